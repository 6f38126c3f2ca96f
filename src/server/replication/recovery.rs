//! A primary that boots without history: what it makes of its peers' answers.

use super::follow::offer_of;
use crate::replication::Offer;
use crate::replication::guard::{Choice, PeerAnswer, choose};
use crate::replication::handshake::{PsyncReply, read_history, read_psync_reply};
use crate::server::Node;
use crate::server::config::Address;
use std::io;

/// What a round of asking came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Round {
    /// Every peer answered and none has a history: this node begins one.
    StartNew,
    /// Take the history of a peer.
    Take {
        /// Its index.
        peer: usize,
        /// Every peer answered, so nobody can be ahead of it: its lineage may be gone on with.
        keep_lineage: bool,
    },
    /// Stay fenced and ask again; why.
    Wait(String),
}

/// Judges the peers' `INFO replication`, in the order of `peers`; `None` for one that did not answer.
pub fn judge_round(peers: &[Address], infos: &[Option<String>]) -> Round {
    let answer = |info: &Option<String>| info.as_deref().map_or(PeerAnswer::Silent, read_history);
    let answers: Vec<PeerAnswer> = infos.iter().map(answer).collect();
    let names = || peers.iter().map(Address::to_string).collect::<Vec<_>>().join(", ");
    match choose(&answers) {
        Choice::StartNew => Round::StartNew,
        Choice::Take { peer, keep_lineage } => Round::Take { peer, keep_lineage },
        Choice::Wait => Round::Wait(format!("waiting for the history of {}", names())),
        Choice::Conflict => Round::Wait(format!(
            "the peers {} have histories that contradict each other; choose one with REPLICAOF",
            names()
        )),
    }
}

/// Begins a history of this node's own.
pub fn start_new(node: &Node) {
    tracing::info!("no peer has a history: starting a new one");
    node.role.set_has_history(true);
    node.gate.unfence();
}

/// Reads the answer to `PSYNC ? -1`; an error unless a snapshot follows.
pub fn read_offer(answer: &str, info: &str) -> io::Result<Offer> {
    match read_psync_reply(answer) {
        PsyncReply::FullResync(place) => Ok(offer_of(place, info)),
        other => Err(io::Error::other(format!("instead of a full sync the peer offers {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(offset: u64) -> Option<String> {
        let id = "0123456789abcdef0123456789abcdef01234567";
        Some(format!(
            "role:slave\r\nmaster_replid:{id}\r\nslave_repl_offset:{offset}\r\noutrigger_history:yes\r\n"
        ))
    }

    #[test]
    fn the_most_advanced_peer_is_taken_and_silence_costs_the_lineage() {
        let peers = [
            Address { host: "a".into(), port: 1 },
            Address { host: "b".into(), port: 2 },
            Address { host: "c".into(), port: 3 },
        ];
        let all = [info(10), info(30), info(20)];
        assert_eq!(judge_round(&peers, &all), Round::Take { peer: 1, keep_lineage: true });
        let silent = [info(10), None, info(20)];
        assert_eq!(judge_round(&peers, &silent), Round::Take { peer: 2, keep_lineage: false });
        let none = judge_round(&peers, &[None, None, None]);
        assert_eq!(none, Round::Wait("waiting for the history of a:1, b:2, c:3".into()));
    }

    #[test]
    fn only_a_full_sync_is_an_offer() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let text = format!("master_replid2:{id}\r\nsecond_repl_offset:8\r\n");
        let offer = read_offer(&format!("+FULLRESYNC {id} 42"), &text).expect("an offer");
        assert_eq!((offer.place.offset, offer.previous_end), (42, 7));
        assert!(read_offer("+CONTINUE", "").is_err());
        assert!(read_offer("-LOADING", "").is_err());
    }
}
