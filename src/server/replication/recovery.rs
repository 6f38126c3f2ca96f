//! A primary that boots without history: what it makes of its peers' answers.

use crate::keyspace::Locked;
use crate::replication::guard::{Choice, PeerAnswer, choose, choose_by_order};
use crate::replication::handshake::{PsyncReply, offer_of, read_history, read_psync_reply};
use crate::replication::{Offer, Place};
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
    /// Take the history of a peer.
    Take(Taking),
    /// Stay fenced and ask again; why.
    Wait(String),
}

/// Which peer's history is taken, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taking {
    /// The peer's index.
    pub peer: usize,
    /// Where it said it stands.
    pub place: Place,
    /// The highest epoch that any peer told.
    pub epoch: u64,
    /// Nobody is ahead of it or goes on with it: its lineage may be gone on with.
    pub keep_lineage: bool,
}

/// Judges the peers' `INFO replication`, in the order of `peers`; `None` for one that did not answer. `durable_acks` is what
/// this node promises with.
pub fn judge_round(
    peers: &[Address],
    infos: &[Option<String>],
    choosing: Choosing,
    durable_acks: u8,
) -> Round {
    let answer = |info: &Option<String>| info.as_deref().map_or(PeerAnswer::Silent, read_history);
    let answers: Vec<PeerAnswer> = infos.iter().map(answer).collect();
    let names = || peers.iter().map(Address::to_string).collect::<Vec<_>>().join(", ");
    let choice = match choosing {
        Choosing::Carefully => choose(&answers, durable_acks.into()),
        Choosing::Furthest => choose_by_order(&answers, false),
        Choosing::Named => choose_by_order(&answers, true),
    };
    match choice {
        Choice::StartNew => Round::StartNew,
        Choice::Take { peer, place, epoch, keep_lineage } => {
            Round::Take(Taking { peer, place, epoch, keep_lineage })
        }
        Choice::Serving(peer) => Round::Wait(format!(
            "{} serves this history as its primary; follow it with REPLICAOF",
            peers[peer]
        )),
        Choice::WaitForEnd => {
            Round::Wait(format!("the peers {} still follow a primary; waiting for its end", names()))
        }
        Choice::Wait => Round::Wait(format!("waiting for the history of {}", names())),
        Choice::Conflict => Round::Wait(format!(
            "the peers {} have histories that contradict each other; choose one with REPLICAOF",
            names()
        )),
    }
}

/// Begins a history of this node's own, unless `order` is no longer in force.
pub fn start_new(node: &Node, order: u64) {
    start_new_locked(node, &node.keyspace.lock_all(), order);
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
    let expected = taking.place;
    match read_psync_reply(answer) {
        PsyncReply::FullResync(place) => {
            let grown = place.lineage == expected.lineage && place.offset >= expected.offset;
            if place == expected || (grown && !taking.keep_lineage) {
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
    use crate::replication::Lineage;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn place(offset: u64) -> Place {
        Place { lineage: Lineage::parse(ID.as_bytes()).unwrap(), offset }
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
            Round::Take(Taking { peer, place: place(offset), epoch: 0, keep_lineage })
        };
        let all = [info(10), info(30), info(20)];
        assert_eq!(judge_round(&peers, &all, Choosing::Carefully, 0), take(1, 30, true));
        let silent = [info(10), None, info(20)];
        assert_eq!(judge_round(&peers, &silent, Choosing::Carefully, 0), take(2, 20, false));
        let none = judge_round(&peers, &[None, None, None], Choosing::Carefully, 0);
        assert_eq!(none, Round::Wait("waiting for the history of a:1, b:2, c:3".into()));
        let growing = info(40).map(|text| text.replace("status:down", "status:up"));
        let waiting = judge_round(&peers[..2], &[info(10), growing.clone()], Choosing::Furthest, 0);
        assert_eq!(waiting, Round::Take(Taking { peer: 0, place: place(10), epoch: 0, keep_lineage: false }));
        let waiting = judge_round(&peers[..2], &[None, growing.clone()], Choosing::Furthest, 0);
        assert_eq!(
            waiting,
            Round::Wait("the peers a:1, b:2 still follow a primary; waiting for its end".into())
        );
        assert_eq!(judge_round(&peers[..2], &[info(10), growing], Choosing::Named, 0), take(1, 40, false));
        let serving = info(40).map(|text| text.replace("role:slave", "role:master"));
        let waiting = judge_round(&peers[..2], &[None, serving], Choosing::Furthest, 0);
        let text = "b:2 serves this history as its primary; follow it with REPLICAOF";
        assert_eq!(waiting, Round::Wait(text.into()));
    }

    #[test]
    fn only_a_full_sync_of_what_was_told_is_an_offer() {
        let text = format!("master_replid2:{ID}\r\nsecond_repl_offset:8\r\n");
        let at = |place, keep_lineage| Taking { peer: 0, place, epoch: 0, keep_lineage };
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
