//! Replication as the node sees it: whom it follows, who follows it, and how far they are.

pub mod acks;
pub mod budget;
pub mod cron;
pub mod failover;
pub mod feed;
pub mod follow;
pub mod incoming;
pub mod info;
pub mod intake;
pub mod joining;
pub mod recovery;
pub mod refer;
pub mod replicas;
pub mod resync;
pub mod role;
pub mod slow;
pub mod stream;
pub mod sync;
pub mod takeover;
pub mod wait;

pub use intake::Intake;
pub use replicas::{Replica, ReplicaStage, Replicas};
pub use role::{Claim, LinkPhase, Role, Target};

use crate::replication::{Lineage, Place};

/// How a connection is to be fed once it is a replica's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedStart {
    /// Go on after this position; the answer to PSYNC is written already.
    Partial {
        /// What the replica has.
        position: u64,
        /// The lineage that it was told.
        lineage: Lineage,
    },
    /// Make a snapshot first. `answer` says whether the replica knows PSYNC (and expects `+FULLRESYNC`).
    Full {
        /// It sent PSYNC, not SYNC.
        answer: bool,
    },
    /// Make a snapshot, and leave it at that: the peer will be another node's replica.
    OnlySnapshot,
}

/// What PSYNC came to on the primary's side.
pub enum PsyncDecision {
    /// Go on after this position, under this lineage.
    Continue {
        /// What the replica has.
        position: u64,
        /// The log's present lineage.
        lineage: Lineage,
    },
    /// A snapshot is needed.
    Full,
}

/// Decides what a replica that asks for the lineage `asked` from `offset` on gets. `told_epoch` is what it said of its epoch.
pub fn decide_psync(
    log: &crate::replication::Log,
    asked: &[u8],
    offset: i64,
    told_epoch: Option<u64>,
) -> PsyncDecision {
    // A replica that has everything up to n asks for n + 1.
    let position = u64::try_from(offset - 1).ok();
    let going_on = || {
        let position = position?;
        Some((position, log.lineage_after(Lineage::parse(asked)?, position, told_epoch)?))
    };
    match going_on() {
        Some((position, lineage)) => PsyncDecision::Continue { position, lineage },
        None => PsyncDecision::Full,
    }
}

/// Where the node stands in its history.
pub fn own_place(node: &super::Node) -> Option<Place> {
    if !node.role.has_history() {
        return None;
    }
    let (history, offset, _) = node.log.position();
    Some(Place { lineage: history.lineage, offset })
}
