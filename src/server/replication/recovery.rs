//! A primary that boots without history: what it makes of its peers' answers.

use crate::keyspace::Locked;
use crate::replication::Offer;
use crate::replication::guard::{Choice, PeerAnswer, Standing, Taken, choose, choose_by_order};
use crate::replication::handshake::{PsyncReply, offer_of, read_history, read_psync_reply};
use crate::server::Node;
use crate::server::config::Address;
use std::io;
use tokio::sync::watch;

/// How a history is chosen among the peers'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choosing {
    /// By itself: only where nothing could be lost or contradicted by it.
    Carefully,
    /// By an operator's order: the furthest of those that answer.
    Furthest,
    /// The same among peers that the operator has named, whatever they do.
    Named,
}

/// An order to recover a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The peers to ask.
    pub peers: Vec<Address>,
    /// How to choose.
    pub choosing: Choosing,
}

/// What is being recovered, and what the last round of asking came to.
pub struct Recovery {
    asked: watch::Sender<(u64, Option<Ask>)>,
    /// The order that was served, and why it has not succeeded yet.
    outcome: watch::Sender<(u64, Option<String>)>,
}

impl Default for Recovery {
    fn default() -> Recovery {
        Recovery { asked: watch::Sender::new((0, None)), outcome: watch::Sender::new((0, None)) }
    }
}

impl Recovery {
    /// Gives an order, in place of any before it; its number.
    pub fn ask(&self, ask: Ask) -> u64 {
        let mut number = 0;
        self.asked.send_modify(|asked| {
            number = asked.0 + 1;
            *asked = (number, Some(ask));
        });
        number
    }

    /// Gives an order and waits for the end of its first round.
    ///
    /// # Errors
    /// Why the node has no history yet. It goes on asking.
    pub async fn ask_and_wait(&self, ask: Ask) -> Result<(), String> {
        let mut outcomes = self.outcome.subscribe();
        let number = self.ask(ask);
        let outcome = outcomes.wait_for(|outcome| outcome.0 >= number).await;
        match outcome.map(|outcome| outcome.clone()) {
            Ok((_, None)) => Ok(()),
            Ok((_, Some(why))) => Err(why),
            Err(_) => Err("the server is about to end".into()),
        }
    }

    /// Tells of orders: their number, and what to do.
    pub fn watch(&self) -> watch::Receiver<(u64, Option<Ask>)> {
        self.asked.subscribe()
    }

    /// A round for this order has ended: the node has a history, or why it has not.
    pub fn round_ended(&self, number: u64, why: Option<String>) {
        self.outcome.send_replace((number, why));
    }
}

/// What a round of asking came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Round {
    /// Every peer answered and none has a history: this node begins one.
    StartNew,
    /// Take a history over.
    Take(Taking),
    /// Stay fenced and ask again; why.
    Wait(String),
}

/// Which history is taken over, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taking {
    /// The index of the peer that has it; `None`: this node's own files do.
    pub peer: Option<usize>,
    /// How.
    pub taken: Taken,
    /// A peer that serves less of it as its primary: it is to be told that it no longer is.
    pub rival: Option<usize>,
}

/// Judges the peers' `INFO replication`, in the order of `peers`; `None` for one that did not answer. `own` is what this node's
/// files hold, and `durable_acks` what it promises with.
pub fn judge_round(
    own: Option<&Offer>,
    peers: &[Address],
    infos: &[Option<String>],
    choosing: Choosing,
    durable_acks: u8,
) -> Round {
    let answer = |info: &Option<String>| info.as_deref().map_or(PeerAnswer::Silent, read_history);
    let answers: Vec<PeerAnswer> = infos.iter().map(answer).collect();
    let names = || peers.iter().map(Address::to_string).collect::<Vec<_>>().join(", ");
    let serves = |answer: &PeerAnswer| matches!(answer, PeerAnswer::At(_, Standing::Primary));
    // Whoever is named may be a primary that is to go on: so a copy is made.
    let rival = answers.iter().position(serves).filter(|_| choosing != Choosing::Named);
    let take = |peer, taken| Round::Take(Taking { peer, taken, rival });
    let choice = match choosing {
        Choosing::Carefully => choose(own, &answers, durable_acks.into()),
        Choosing::Furthest => choose_by_order(own, &answers, false),
        Choosing::Named => choose_by_order(own, &answers, true),
    };
    match choice {
        Choice::StartNew => Round::StartNew,
        Choice::Own(taken) => take(None, taken),
        Choice::Take { peer, taken } => take(Some(peer), taken),
        Choice::Serving(peer) => Round::Wait(format!(
            "{} serves this history as its primary; follow it with REPLICAOF",
            peers[peer]
        )),
        Choice::WaitForEnd => {
            Round::Wait(format!("the peers {} still follow a primary; waiting for its end", names()))
        }
        Choice::Wait => Round::Wait(format!("waiting for the history of {}", names())),
        Choice::Conflict if own.is_some() => Round::Wait(format!(
            "the peers {} and this node's own files have histories that contradict each other; choose one with REPLICAOF, \
             or with OUTRIGGER RECOVER",
            names()
        )),
        Choice::Conflict => Round::Wait(format!(
            "the peers {} have histories that contradict each other; choose one with REPLICAOF",
            names()
        )),
    }
}

/// Begins a history of this node's own, unless `order` is no longer in force.
///
/// # Errors
/// What this node's files hold could not be marked as past, so that a later start would take it for the history.
pub fn start_new(node: &Node, order: u64) -> Result<(), String> {
    node.durability.leave_own_files(node)?;
    start_new_locked(node, &node.keyspace.lock_all(), order);
    Ok(())
}

/// As [`start_new`], for a caller that holds all shards.
pub fn start_new_locked(node: &Node, _all: &Locked<'_>, order: u64) {
    if node.role.order() != order {
        return;
    }
    tracing::info!("starting a new history");
    node.role.set_has_history(true);
    node.gate.change_fences(|fences| fences.no_history = None);
}

/// Reads the chosen peer's answer to `PSYNC ? -1`; an error unless a snapshot of the history it told of follows. If the
/// lineage is to be kept, the peer must stand where it did.
pub fn read_offer(answer: &str, info: &str, taking: &Taking) -> io::Result<Offer> {
    let expected = taking.taken.place;
    match read_psync_reply(answer) {
        PsyncReply::FullResync(place) => {
            let grown = place.lineage == expected.lineage && place.offset >= expected.offset;
            if place == expected || (grown && !taking.taken.keep_lineage) {
                return Ok(offer_of(place, info));
            }
            Err(io::Error::other("its history has changed since it told where it stands"))
        }
        other => Err(io::Error::other(format!("instead of a full sync the peer offers {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::{Epoch, Lineage, Place};

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn place(offset: u64) -> Place {
        Place { lineage: Lineage::parse(ID.as_bytes()).unwrap(), offset }
    }

    fn taken(offset: u64, keep_lineage: bool) -> Taken {
        Taken { place: place(offset), epoch: 0, keep_lineage }
    }

    fn info(offset: u64) -> Option<String> {
        Some(format!(
            "role:slave\r\nmaster_link_status:down\r\nmaster_replid:{ID}\r\nslave_repl_offset:{offset}\r\n\
             outrigger_history:yes\r\n"
        ))
    }

    #[test]
    fn the_most_advanced_peer_is_taken_and_silence_costs_the_lineage() {
        let peers = [
            Address { host: "a".into(), port: 1 },
            Address { host: "b".into(), port: 2 },
            Address { host: "c".into(), port: 3 },
        ];
        let take = |peer, offset, keep_lineage| {
            Round::Take(Taking { peer: Some(peer), taken: taken(offset, keep_lineage), rival: None })
        };
        let all = [info(10), info(30), info(20)];
        assert_eq!(judge_round(None, &peers, &all, Choosing::Carefully, 0), take(1, 30, true));
        let silent = [info(10), None, info(20)];
        assert_eq!(judge_round(None, &peers, &silent, Choosing::Carefully, 0), take(2, 20, false));
        let none = judge_round(None, &peers, &[None, None, None], Choosing::Carefully, 0);
        assert_eq!(none, Round::Wait("waiting for the history of a:1, b:2, c:3".into()));
        let growing = info(40).map(|text| text.replace("status:down", "status:up"));
        let waiting = judge_round(None, &peers[..2], &[info(10), growing.clone()], Choosing::Furthest, 0);
        assert_eq!(waiting, take(0, 10, false));
        let waiting = judge_round(None, &peers[..2], &[None, growing.clone()], Choosing::Furthest, 0);
        assert_eq!(
            waiting,
            Round::Wait("the peers a:1, b:2 still follow a primary; waiting for its end".into())
        );
        assert_eq!(
            judge_round(None, &peers[..2], &[info(10), growing], Choosing::Named, 0),
            take(1, 40, false)
        );
        let serving = info(40).map(|text| text.replace("role:slave", "role:master"));
        let waiting = judge_round(None, &peers[..2], &[None, serving], Choosing::Furthest, 0);
        let text = "b:2 serves this history as its primary; follow it with REPLICAOF";
        assert_eq!(waiting, Round::Wait(text.into()));
    }

    #[test]
    fn who_serves_less_than_is_taken_is_a_rival() {
        let peers = [Address { host: "a".into(), port: 1 }, Address { host: "b".into(), port: 2 }];
        let own = Offer {
            place: place(30),
            previous: Lineage::NONE,
            previous_end: -1,
            epoch: Epoch { number: 2, since: 0 },
        };
        let serving = info(40).map(|text| text.replace("role:slave", "role:master"));
        let infos = [info(10), serving];
        let round = judge_round(Some(&own), &peers, &infos, Choosing::Carefully, 1);
        let taken = Taken { place: place(30), epoch: 2, keep_lineage: true };
        assert_eq!(round, Round::Take(Taking { peer: None, taken, rival: Some(1) }));
        // A copy of a primary that an operator named leaves it alone.
        let round = judge_round(None, &peers[1..], &infos[1..], Choosing::Named, 1);
        assert!(matches!(round, Round::Take(Taking { peer: Some(0), rival: None, .. })), "{round:?}");
    }

    #[test]
    fn only_a_full_sync_of_what_was_told_is_an_offer() {
        let text = format!("master_replid2:{ID}\r\nsecond_repl_offset:8\r\n");
        let at = |place, keep_lineage| {
            let taken = Taken { place, epoch: 0, keep_lineage };
            Taking { peer: Some(0), taken, rival: None }
        };
        let answer = format!("+FULLRESYNC {ID} 42");
        let offer = read_offer(&answer, &text, &at(place(42), true)).expect("an offer");
        assert_eq!((offer.place.offset, offer.previous_end), (42, 7));
        assert!(read_offer(&answer, &text, &at(place(41), false)).is_ok());
        assert!(read_offer(&answer, &text, &at(place(41), true)).is_err());
        assert!(read_offer(&answer, &text, &at(place(43), false)).is_err());
        let other = Place { lineage: Lineage::NONE, ..place(42) };
        assert!(read_offer(&answer, &text, &at(other, false)).is_err());
        assert!(read_offer("+CONTINUE", "", &at(place(42), false)).is_err());
        assert!(read_offer("-LOADING", "", &at(place(42), false)).is_err());
    }
}
