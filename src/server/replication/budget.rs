//! The memory that a node spends on its replicas, and its limit.
//!
//! Replicas share what is kept for them: one log, of which the one furthest behind holds no more than
//! `client-output-buffer-limit replica` allows, and one snapshot at a time, of which a bounded part waits. Each one's own is
//! a buffer of fixed size. So the limit hardly depends on how many there are.

use super::sync;
use crate::server::{Node, eviction};
use std::sync::atomic::Ordering;

/// What a single replica's connection may take: pieces of the stream on their way, in bytes.
const CONNECTION_BYTES: u64 = 1 << 20;
/// The log is held in whole blocks; bytes.
const LOG_SLACK_BYTES: u64 = 256 << 10;

/// Memory for replicas, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// What the log holds for them beyond the backlog, what waits of a snapshot, and what waits in their connections.
    pub used: u64,
    /// The most it can be; 0 where the configuration sets no limit.
    pub limit: u64,
}

/// How it stands now.
pub fn budget(node: &Node) -> Budget {
    let config = node.config();
    let backlog = config.repl_backlog_size_bytes;
    let used = eviction::held_for_readers(node, backlog) + node.replicas.syncs.waiting_bytes();
    let limit = match config.client_output_buffer_limit.replica.hard_bytes {
        0 => 0,
        hard => {
            let of_log = hard.saturating_sub(backlog) + LOG_SLACK_BYTES;
            of_log + sync::limit_bytes(node) + node.replicas.len() as u64 * CONNECTION_BYTES
        }
    };
    Budget { used, limit }
}

/// Notes the most it has been.
pub fn note(node: &Node) -> Budget {
    let budget = budget(node);
    node.replicas.memory_peak_bytes.fetch_max(budget.used, Ordering::Relaxed);
    budget
}
