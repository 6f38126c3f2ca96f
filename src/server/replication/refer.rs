//! Joiners whose snapshot another replica gives: what the primary does for them, and the giver.
//!
//! A primary's time is dear, and so is the walk over its data. So it names a replica that has what the joiner needs, and keeps
//! what follows in its log until the joiner is back. Where no replica will do it serves the snapshot itself.

use super::{LinkPhase, ReplicaStage};
use crate::replication::Lineage;
use crate::replication::referral::{Candidate, Reach, Referral, choose};
use crate::replication::reserve::{Ended, Reserve};
use crate::server::config::SyncSource;
use crate::server::gate::bits;
use crate::server::stats::add;
use crate::server::{Node, Session};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far behind a giver may be.
const LAG_MAX_BYTES: u64 = 32 << 20;
/// Or this part of what may be kept for the joiner, if that is less: the rest is for what is written meanwhile.
const LAG_SHARE: u64 = 4;
/// The most that is kept for joiners where `client-output-buffer-limit replica` sets no limit, in bytes.
const KEPT_MAX_BYTES: u64 = 1 << 30;

/// Joiners that were sent elsewhere, and snapshots given to those that came from elsewhere.
#[derive(Debug, Default)]
pub struct Referrals {
    reserve: Reserve,
    /// Joiners that were sent to another replica.
    pub sent: AtomicU64,
    /// Those that came back for what follows, and got it.
    pub back: AtomicU64,
    /// Snapshots that this node gave to other nodes' replicas.
    pub given: AtomicU64,
}

/// The reservation of the joiner behind a connection; it ends with it.
pub struct Reserved {
    node: Arc<Node>,
    joiner: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.node.replicas.referrals.reserve.release(&self.node.log, self.joiner) {
            tracing::warn!(
                "a replica that was sent to another for its snapshot is gone; its log is kept no longer"
            );
        }
    }
}

impl Referrals {
    /// Joiners that are on their way.
    pub fn under_way(&self) -> usize {
        self.reserve.len()
    }

    /// The joiner behind this connection lives. False when nothing is kept for it any more.
    pub fn still_joining(&self, node: &Node, joiner: u64) -> bool {
        let is_kept = self.reserve.renew(&node.log, joiner, until_ms(node));
        if !is_kept {
            sweep(node, node.now_ms());
        }
        is_kept
    }

    /// The joiner behind this connection, if it is one, reads the log itself now.
    pub fn release(&self, node: &Node, joiner: u64) {
        self.reserve.release(&node.log, joiner);
    }
}

fn until_ms(node: &Node) -> i64 {
    let patience_ms = i64::from(node.config().repl_timeout_seconds).saturating_mul(1000);
    node.now_ms().saturating_add(patience_ms)
}

/// Ends what is kept for joiners that are silent, or that were outrun. Call several times a second.
pub fn sweep(node: &Node, now_ms: i64) {
    for (_, why) in node.replicas.referrals.reserve.sweep(&node.log, now_ms) {
        let why = match why {
            Ended::Silent => "it was silent for longer than repl-timeout",
            Ended::Outrun => {
                "more was written meanwhile than client-output-buffer-limit replica allows to keep"
            }
        };
        tracing::warn!(%why, "a replica that was sent to another for its snapshot: its log is kept no longer");
        node.replicas
            .set_trouble(format!("a replica that was sent to another for its snapshot was given up: {why}"));
    }
}

/// Sends the replica behind this connection, which needs a full sync, to another one, and keeps what it will need next. `None`:
/// it is to get its snapshot here.
pub fn refer(node: &Arc<Node>, session: &mut Session) -> Option<Referral> {
    if node.config().replica_sync_source == SyncSource::Primary || node.failover.is_on() {
        return None;
    }
    let limit_bytes = super::feed::limit_bytes(node).min(KEPT_MAX_BYTES);
    let referrals = &node.replicas.referrals;
    let replicas = node.replicas.list();
    let now_ms = node.now_ms();
    let candidates: Vec<Candidate<'_>> = replicas
        .iter()
        .map(|replica| Candidate {
            host: &replica.ip,
            port: replica.port,
            gives: replica.gives_snapshots,
            follows: replica.stage() == ReplicaStage::Online && replica.has_acked(),
            received: replica.received(),
            ack_age_ms: now_ms.saturating_sub(replica.ack_at_ms.load(Ordering::Relaxed)),
            joiners: referrals.reserve.of_giver(&replica.ip, replica.port),
        })
        .collect();
    let lag_max_bytes = LAG_MAX_BYTES.min(limit_bytes / LAG_SHARE);
    let (history, end, _) = node.log.position();
    let host = session.peer_host();
    let reach = Reach { start: node.log.start(), end, lag_max_bytes };
    let giver = &replicas[choose(&candidates, (&host, session.peer.listening_port), reach)?];
    let offset = giver.received();
    let joiner = session.info.id;
    // Of an earlier time: its end must not be that of the new one.
    session.reserved = None;
    let address = (giver.ip.clone(), giver.port);
    referrals.reserve.make(&node.log, joiner, address, offset, limit_bytes, until_ms(node)).ok()?;
    // A history that took another name meanwhile is not the one that the giver was chosen for.
    if node.log.history() != history {
        referrals.reserve.release(&node.log, joiner);
        return None;
    }
    session.reserved = Some(Reserved { node: node.clone(), joiner });
    add(&referrals.sent, 1);
    tracing::info!(
        replica = %host,
        port = session.peer.listening_port,
        giver = %giver.ip,
        giver_port = giver.port,
        offset,
        "full sync: sent to another replica for the snapshot; the log is kept meanwhile"
    );
    let place = crate::replication::Place { lineage: history.lineage, offset };
    Some(Referral { host: giver.ip.clone(), port: giver.port, place, epoch: history.epoch.number })
}

/// Whether this node gives a snapshot of this lineage, at `offset` or later, to one who will follow its primary.
///
/// # Errors
/// Why not.
pub fn may_give(node: &Node, lineage: Option<Lineage>, offset: i64) -> Result<(), String> {
    let (history, end, _) = node.log.position();
    match () {
        () if node.config().replica_sync_source == SyncSource::Primary => {
            Err("replica-sync-source is primary here".into())
        }
        () if !node.is_replica() => Err("this node is no replica".into()),
        () if node.gate.has(bits::FENCED) => Err("this node is fenced".into()),
        () if node.role.is_sync_unfinished() || !node.role.has_history() => {
            Err("this node has not finished a full sync of its own".into())
        }
        () if node.role.phase() != LinkPhase::Connected => {
            Err("this node's link to its primary is down".into())
        }
        () if lineage != Some(history.lineage) => {
            Err(format!("this node holds the lineage {}", history.lineage))
        }
        () if i64::try_from(end).unwrap_or(i64::MAX) < offset => {
            Err(format!("this node stands at offset {end}"))
        }
        () => Ok(()),
    }
}
