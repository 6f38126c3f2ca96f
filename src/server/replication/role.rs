//! Whom this node follows, and the state of the link to it.

use super::joining::Joining;
use super::resync::Resync;
use crate::server::config::Address;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use tokio::sync::watch;

/// A primary to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its address.
    pub address: Address,
    /// An operator ordered it (REPLICAOF): its history may replace ours, once.
    pub ordered: bool,
    /// Rises with each order, so that the same address given again is a new order.
    pub order: u64,
}

/// What the link is doing, as INFO and ROLE name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPhase {
    /// Not connected.
    Connect,
    /// Connecting or shaking hands.
    Connecting,
    /// Receiving a snapshot.
    Sync,
    /// Receiving the stream.
    Connected,
}

impl LinkPhase {
    /// ROLE's word.
    pub fn word(self) -> &'static str {
        match self {
            LinkPhase::Connect => "connect",
            LinkPhase::Connecting => "connecting",
            LinkPhase::Sync => "sync",
            LinkPhase::Connected => "connected",
        }
    }
}

/// Figures of the link, for INFO.
#[derive(Debug)]
pub struct Role {
    target: watch::Sender<Option<Target>>,
    phase: Mutex<LinkPhase>,
    has_history: AtomicBool,
    orders: AtomicU64,
    /// Unix ms of the last byte from the primary; 0 before.
    pub last_io_ms: AtomicI64,
    /// Unix ms when the link went down; 0 while it is up.
    pub down_since_ms: AtomicI64,
    /// Bytes of the snapshot received so far.
    pub sync_bytes: AtomicU64,
    /// Its size in bytes, if it was told.
    pub sync_total_bytes: AtomicU64,
    /// Partial syncs this replica was granted.
    pub partial_syncs: AtomicU64,
    /// Full syncs this replica took.
    pub full_syncs: AtomicU64,
    /// How its full syncs went.
    pub resync: Resync,
    /// Where their snapshots came from.
    pub joining: Joining,
    refusal: Mutex<Option<String>>,
    held_epoch: AtomicU64,
    sync_unfinished: AtomicBool,
    claim: watch::Sender<Option<Claim>>,
}

/// What a promoted node has to tell the primary that it lost: that it holds a higher epoch now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The address of that primary.
    pub address: Address,
    /// The epoch that is claimed.
    pub epoch: u64,
}

impl Default for Role {
    fn default() -> Self {
        Role {
            target: watch::Sender::new(None),
            phase: Mutex::new(LinkPhase::Connect),
            has_history: AtomicBool::new(false),
            orders: AtomicU64::new(0),
            last_io_ms: AtomicI64::new(0),
            down_since_ms: AtomicI64::new(0),
            sync_bytes: AtomicU64::new(0),
            sync_total_bytes: AtomicU64::new(0),
            partial_syncs: AtomicU64::new(0),
            full_syncs: AtomicU64::new(0),
            resync: Resync::default(),
            joining: Joining::default(),
            refusal: Mutex::new(None),
            held_epoch: AtomicU64::new(0),
            sync_unfinished: AtomicBool::new(false),
            claim: watch::Sender::new(None),
        }
    }
}

impl Role {
    /// Whom to follow; `None` for a primary.
    pub fn target(&self) -> Option<Target> {
        self.target.borrow().clone()
    }

    /// Tells the link task about changes of the target.
    pub fn watch_target(&self) -> watch::Receiver<Option<Target>> {
        self.target.subscribe()
    }

    /// The number of the order in force. It changes only while all shards are locked: whoever holds one and sees
    /// its order still in force acts before the next.
    pub fn order(&self) -> u64 {
        self.orders.load(Ordering::Acquire)
    }

    /// Follows another node, or nobody. All shards must be locked, unless nobody is served yet.
    pub fn follow(&self, address: Option<Address>, ordered: bool) {
        let order = self.orders.fetch_add(1, Ordering::AcqRel) + 1;
        self.set_refusal(None);
        self.resync.forget();
        self.joining.forget();
        self.target.send_replace(address.map(|address| Target { address, ordered, order }));
    }

    /// This order was carried out: from now on the guard protects the new history.
    pub fn order_fulfilled(&self, order: u64) {
        self.target.send_if_modified(|target| {
            if let Some(target) = target.as_mut().filter(|target| target.order == order) {
                target.ordered = false;
            }
            false
        });
    }

    /// What the link is doing.
    pub fn phase(&self) -> LinkPhase {
        *self.phase.lock()
    }

    /// Notes what the link is doing, at `now_ms`.
    pub fn set_phase(&self, phase: LinkPhase, now_ms: i64) {
        let before = std::mem::replace(&mut *self.phase.lock(), phase);
        if phase == LinkPhase::Connected {
            self.down_since_ms.store(0, Ordering::Relaxed);
        } else if before == LinkPhase::Connected || self.down_since_ms.load(Ordering::Relaxed) == 0 {
            self.down_since_ms.store(now_ms, Ordering::Relaxed);
        }
    }

    /// True once this node has a history that must not be lost: it served as a primary, or has synced, or
    /// has loaded one.
    pub fn has_history(&self) -> bool {
        self.has_history.load(Ordering::Acquire)
    }

    /// Notes that it has.
    pub fn set_has_history(&self, has: bool) {
        self.has_history.store(has, Ordering::Release);
    }

    /// The epoch to which this node itself was promoted; 0: none, or it has given it up.
    pub fn held_epoch(&self) -> u64 {
        self.held_epoch.load(Ordering::Acquire)
    }

    /// Notes it.
    pub fn set_held_epoch(&self, epoch: u64) {
        self.held_epoch.store(epoch, Ordering::Release);
    }

    /// A full sync was begun and has not come to its end: what this node has is known to be older than its primary's.
    pub fn is_sync_unfinished(&self) -> bool {
        self.sync_unfinished.load(Ordering::Acquire)
    }

    /// Notes that one was begun, or that the node has what its primary has.
    pub fn set_sync_unfinished(&self, unfinished: bool) {
        self.sync_unfinished.store(unfinished, Ordering::Release);
    }

    /// Tells whoever brings it there about what is to be claimed.
    pub fn watch_claim(&self) -> watch::Receiver<Option<Claim>> {
        self.claim.subscribe()
    }

    /// Sets what is to be claimed.
    pub fn set_claim(&self, claim: Option<Claim>) {
        self.claim.send_replace(claim);
    }

    /// This claim has been heard.
    pub fn claimed(&self, claim: &Claim) {
        self.claim.send_if_modified(|pending| {
            if pending.as_ref() == Some(claim) {
                *pending = None;
            }
            false
        });
    }

    /// Why the last full sync was refused, if it was.
    pub fn refusal(&self) -> Option<String> {
        self.refusal.lock().clone()
    }

    /// Notes a refusal, or that there is none any more.
    pub fn set_refusal(&self, text: Option<String>) {
        *self.refusal.lock() = text;
    }
}
