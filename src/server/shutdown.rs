//! An orderly end: no more writes, replicas caught up, everything fsynced, then the process exits.

use super::Node;
use super::durability::role_of;
use super::gate::bits;
use crate::persistence::writer::Phase;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often replicas are looked at while they catch up.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Whether to write `dump.rdb` before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveWish {
    /// If `save` rules are set.
    ByRules,
    /// SHUTDOWN SAVE.
    Yes,
    /// SHUTDOWN NOSAVE.
    No,
}

/// How the end was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Whether to save.
    pub save: SaveWish,
    /// Do not wait for replicas.
    pub now: bool,
    /// End even if saving fails.
    pub force: bool,
}

type Hook = Box<dyn Fn() + Send + Sync>;

/// The state of a node's shutdown.
#[derive(Default)]
pub struct Shutdown {
    running: AtomicBool,
    aborted: AtomicBool,
    /// Ends the process: set by the program, so that nothing below it calls `exit`.
    end: Mutex<Option<Hook>>,
}

impl Shutdown {
    /// Sets what ends the process.
    pub fn on_end(&self, hook: impl Fn() + Send + Sync + 'static) {
        *self.end.lock() = Some(Box::new(hook));
    }

    /// Takes a shutdown that waits for replicas back; false when none is under way.
    pub fn abort(&self, node: &Node) -> bool {
        if !self.running.load(Ordering::Acquire) {
            return false;
        }
        self.aborted.store(true, Ordering::Release);
        node.gate.set(bits::CLOSING, false);
        true
    }
}

/// Ends the node. Returns only if it does not end, with the reason.
pub async fn run(node: &Arc<Node>, asked: Asked) -> String {
    if node.shutdown.running.swap(true, Ordering::AcqRel) {
        return "a shutdown is already in progress".into();
    }
    node.shutdown.aborted.store(false, Ordering::Release);
    let reason = end(node, asked).await;
    node.durability.go_on_after_all();
    node.gate.set(bits::CLOSING, false);
    node.shutdown.running.store(false, Ordering::Release);
    reason
}

async fn end(node: &Arc<Node>, asked: Asked) -> String {
    if !node.is_replica() {
        // Under all locks, so that no write is halfway through the gate.
        let locked = node.keyspace.lock_all();
        node.gate.set(bits::CLOSING, true);
        drop(locked);
    }
    if !asked.now && !node.is_replica() {
        wait_for_replicas(node).await;
    }
    if !node.is_replica() && !wait_for_generation(node).await {
        tracing::error!(
            "the append-only file is still being begun: what was written since is in memory alone"
        );
        if !asked.force {
            return "Errors trying to SHUTDOWN. Check logs.".into();
        }
    }
    if node.shutdown.aborted.load(Ordering::Acquire) {
        return "Errors trying to SHUTDOWN. Check logs.".into();
    }
    if let Err(error) = node.durability.stop() {
        tracing::error!(%error, "the append-only file was not fsynced at the end");
        if !asked.force {
            return "Errors trying to SHUTDOWN. Check logs.".into();
        }
    }
    let rules = !node.config().effective_save(role_of(node)).is_empty();
    let save = asked.save == SaveWish::Yes || (asked.save == SaveWish::ByRules && rules);
    // A node without a history has nothing to save, and must not put an empty file in place of a good one.
    let has_something = node.role.has_history() && !node.gate.has(bits::FENCED);
    if save
        && has_something
        && let Err(error) = node.durability.save_now(node)
    {
        tracing::error!(%error, "the snapshot at the end failed");
        if !asked.force {
            return "Errors trying to SHUTDOWN. Check logs.".into();
        }
    }
    tracing::info!(offset = node.log.end(), "bye");
    if let Some(end) = &*node.shutdown.end.lock() {
        end();
    }
    "the process could not be ended".into()
}

/// Waits until a primary that was told to append, and whose first generation is still being written, has one that can
/// be loaded; false if that takes longer than `shutdown-timeout`. (A replica's primary has what the replica would lose.)
async fn wait_for_generation(node: &Node) -> bool {
    let config = node.config();
    let until = Instant::now() + Duration::from_secs(u64::from(config.shutdown_timeout_seconds));
    let begun = || {
        let appends = config.effective_appendonly(role_of(node)) && node.role.has_history();
        // Broken means that the disk failed, which has been said, and which waiting does not mend.
        !appends || matches!(node.durability.phase(), Phase::Writing | Phase::Broken)
    };
    while !begun() && Instant::now() < until && !node.shutdown.aborted.load(Ordering::Acquire) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    begun()
}

/// Waits until every replica has received everything (and fsynced it, if it fsyncs), up to
/// `shutdown-timeout`.
async fn wait_for_replicas(node: &Node) {
    let patience = Duration::from_secs(u64::from(node.config().shutdown_timeout_seconds));
    let until = Instant::now() + patience;
    let end = node.log.end();
    let behind = || {
        let replicas = node.replicas.list();
        let lags = |replica: &Arc<super::replication::Replica>| {
            replica.received() < end
                || (replica.acks_durable.load(Ordering::Relaxed) && replica.durable() < end)
        };
        replicas.iter().filter(|replica| lags(replica)).count()
    };
    node.ask_for_acks();
    while behind() > 0 && Instant::now() < until && !node.shutdown.aborted.load(Ordering::Acquire) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    if behind() > 0 {
        tracing::warn!(replicas = behind(), "ending before all replicas have caught up");
    }
}
