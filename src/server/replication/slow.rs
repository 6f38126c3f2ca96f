//! Replicas that are too slow or silent, and what becomes of them.
//!
//! No writer waits for a replica: the log goes on, and holds for those who are behind as much as
//! `client-output-buffer-limit replica` allows. Who is further behind is cut off. It is looked after from outside, as the
//! task that feeds a replica may be waiting in a write to it.

use super::{Replica, ReplicaStage};
use crate::server::Node;
use crate::server::config::BufferLimit;
use crate::server::stats::add;
use std::sync::atomic::Ordering;

/// Looks at every replica; call several times a second.
pub fn look(node: &Node, now_ms: i64) {
    let config = node.config();
    let limit = config.client_output_buffer_limit.replica;
    let timeout_ms = i64::from(config.repl_timeout_seconds) * 1000;
    for replica in node.replicas.list() {
        let why =
            is_behind(node, &replica, limit, now_ms).or_else(|| is_silent(&replica, timeout_ms, now_ms));
        if let Some(why) = why {
            cut_off(node, &replica, &why);
        }
    }
}

/// Ends a replica's connection. It may come back, and then goes on or syncs anew.
pub fn cut_off(node: &Node, replica: &Replica, why: &str) {
    if replica.is_cut_off.swap(true, Ordering::AcqRel) {
        return;
    }
    tracing::warn!(replica = %replica.ip, port = replica.port, %why, "replica cut off");
    add(&node.replicas.cut_off, 1);
    node.replicas.set_trouble(format!("replica {}:{} was cut off: {why}", replica.ip, replica.port));
    node.clients.kill(&replica.client);
}

/// Whether a replica is further behind than the log or its limit allows, and how.
fn is_behind(node: &Node, replica: &Replica, limit: BufferLimit, now_ms: i64) -> Option<String> {
    let position = node.log.reader_position(*replica.reader.get()?)?;
    let start = node.log.start();
    if position < start {
        return Some(format!(
            "it is {} bytes behind, more than client-output-buffer-limit replica allows",
            node.log.end().saturating_sub(position)
        ));
    }
    let behind = node.log.end().saturating_sub(position);
    // One that is still loading its snapshot gains nothing by loading another.
    if limit.soft_bytes == 0 || behind <= limit.soft_bytes || replica.stage() != ReplicaStage::Online {
        replica.over_soft_since_ms.store(0, Ordering::Relaxed);
        return None;
    }
    let since = &replica.over_soft_since_ms;
    let _ = since.compare_exchange(0, now_ms, Ordering::Relaxed, Ordering::Relaxed);
    let over_ms = now_ms.saturating_sub(since.load(Ordering::Relaxed));
    let allowed_ms = i64::try_from(limit.soft_seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    (over_ms > allowed_ms).then(|| {
        format!("it has been more than {} bytes behind for {} seconds", limit.soft_bytes, limit.soft_seconds)
    })
}

/// Whether a replica in the stream has acknowledged nothing for longer than `repl-timeout`.
fn is_silent(replica: &Replica, timeout_ms: i64, now_ms: i64) -> Option<String> {
    let silent_ms = now_ms.saturating_sub(replica.ack_at_ms.load(Ordering::Relaxed));
    let is_late = timeout_ms > 0 && silent_ms > timeout_ms && replica.stage() == ReplicaStage::Online;
    is_late.then(|| format!("it was silent for {silent_ms} ms"))
}
