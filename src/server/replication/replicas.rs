//! Who follows this node, and how far each is.

use super::refer::Referrals;
use super::sync::Syncs;
use crate::replication::ReaderId;
use crate::server::clients::ClientInfo;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;

/// Where a replica is on its way to being fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum ReplicaStage {
    /// Waits for its snapshot to begin.
    WaitSnapshot = 0,
    /// Receives its snapshot.
    SendSnapshot = 1,
    /// Is fed the stream.
    Online = 2,
}

impl ReplicaStage {
    /// INFO's word.
    pub fn word(self) -> &'static str {
        match self {
            ReplicaStage::WaitSnapshot => "wait_bgsave",
            ReplicaStage::SendSnapshot => "send_bulk",
            ReplicaStage::Online => "online",
        }
    }
}

/// One replica.
pub struct Replica {
    /// Its connection.
    pub client: Arc<ClientInfo>,
    /// The address it announced, or the one it came from.
    pub ip: String,
    /// The port it listens on.
    pub port: u16,
    stage: AtomicU32,
    received: AtomicU64,
    durable: AtomicU64,
    /// Unix ms of its last ACK.
    pub ack_at_ms: AtomicI64,
    /// It has acknowledged what it fsynced.
    pub acks_durable: AtomicBool,
    /// Its last acknowledgement told that: its disk is well.
    is_durable: AtomicBool,
    /// The node's term ([`crate::replication::acks`]) in which it came.
    term: u32,
    acked: AtomicBool,
    /// Its reader of the log, from the moment that it has one.
    pub reader: OnceLock<ReaderId>,
    /// Unix ms since when it has been further behind than the soft limit; 0: it is not.
    pub over_soft_since_ms: AtomicI64,
    /// It has been cut off; its feed ends.
    pub is_cut_off: AtomicBool,
    /// It gives other replicas their snapshots.
    pub gives_snapshots: bool,
}

impl Replica {
    /// A replica that has just asked to sync, in this term of the node.
    pub fn new(client: Arc<ClientInfo>, ip: String, port: u16, now_ms: i64, term: u32) -> Replica {
        Replica {
            client,
            ip,
            port,
            stage: AtomicU32::new(ReplicaStage::WaitSnapshot as u32),
            received: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            ack_at_ms: AtomicI64::new(now_ms),
            acks_durable: AtomicBool::new(false),
            is_durable: AtomicBool::new(false),
            term,
            acked: AtomicBool::new(false),
            reader: OnceLock::new(),
            over_soft_since_ms: AtomicI64::new(0),
            is_cut_off: AtomicBool::new(false),
            gives_snapshots: false,
        }
    }

    /// Its stage.
    pub fn stage(&self) -> ReplicaStage {
        match self.stage.load(Ordering::Acquire) {
            0 => ReplicaStage::WaitSnapshot,
            1 => ReplicaStage::SendSnapshot,
            _ => ReplicaStage::Online,
        }
    }

    /// Moves it on.
    pub fn set_stage(&self, stage: ReplicaStage) {
        self.stage.store(stage as u32, Ordering::Release);
    }

    /// True once it has acknowledged anything on this connection.
    pub fn has_acked(&self) -> bool {
        self.acked.load(Ordering::Acquire)
    }

    /// The offset it has received.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    /// The node's term in which it came.
    pub fn term(&self) -> u32 {
        self.term
    }

    /// Its last acknowledgement told what it has fsynced: its disk is well.
    pub fn tells_durable(&self) -> bool {
        self.is_durable.load(Ordering::Acquire)
    }

    /// The offset it has fsynced.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }
}

/// All replicas of this node.
#[derive(Default)]
pub struct Replicas {
    all: Mutex<Vec<Arc<Replica>>>,
    /// Told at each acknowledgement.
    pub acked: Notify,
    /// Those that need a snapshot.
    pub syncs: Syncs,
    /// Those that are sent to others for theirs.
    pub referrals: Referrals,
    /// Those that were cut off because they were too slow or silent.
    pub cut_off: AtomicU64,
    /// The most memory that was seen to be taken for them, in bytes.
    pub memory_peak_bytes: AtomicU64,
    /// Why the last sync was given up or the last replica cut off.
    trouble: Mutex<Option<String>>,
}

impl Replicas {
    /// Why the last sync was given up or the last replica cut off, if any was.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Notes why.
    pub fn set_trouble(&self, why: String) {
        *self.trouble.lock() = Some(why);
    }

    /// Adds one.
    pub fn add(&self, replica: Arc<Replica>) {
        self.all.lock().push(replica);
    }

    /// Removes one.
    pub fn remove(&self, replica: &Arc<Replica>) {
        self.all.lock().retain(|other| !Arc::ptr_eq(other, replica));
        self.acked.notify_waiters();
    }

    /// All of them, in the order in which they came.
    pub fn list(&self) -> Vec<Arc<Replica>> {
        self.all.lock().clone()
    }

    /// The replica behind a connection.
    pub fn of_client(&self, id: u64) -> Option<Arc<Replica>> {
        self.all.lock().iter().find(|replica| replica.client.id == id).cloned()
    }

    /// Number of replicas.
    pub fn len(&self) -> usize {
        self.all.lock().len()
    }

    /// True when nobody follows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes an acknowledgement.
    pub fn acknowledge(&self, replica: &Replica, received: u64, durable: Option<u64>, now_ms: i64) {
        replica.acked.store(true, Ordering::Release);
        replica.received.fetch_max(received, Ordering::AcqRel);
        if let Some(durable) = durable {
            replica.acks_durable.store(true, Ordering::Relaxed);
            replica.durable.fetch_max(durable, Ordering::AcqRel);
        }
        replica.is_durable.store(durable.is_some(), Ordering::Release);
        replica.ack_at_ms.store(now_ms, Ordering::Relaxed);
        self.acked.notify_waiters();
    }

    /// Replicas online that have received `offset`.
    pub fn count_received(&self, offset: u64) -> usize {
        self.count(|replica| replica.received() >= offset)
    }

    /// Replicas online that have fsynced `offset`.
    pub fn count_durable(&self, offset: u64) -> usize {
        self.count(|replica| replica.durable() >= offset)
    }

    /// What each replica online that came in `term` and tells what it fsyncs has fsynced. A replica that has come back while
    /// its old connection still seems to live is one replica: replicas are told apart by the addresses they announce.
    pub fn durable_offsets(&self, term: u32) -> SmallVec<[u64; 8]> {
        let tells = |replica: &&Arc<Replica>| {
            replica.stage() == ReplicaStage::Online
                && replica.term == term
                && replica.is_durable.load(Ordering::Acquire)
        };
        let all = self.all.lock();
        let mut found: SmallVec<[(&str, u16, u64); 8]> = SmallVec::new();
        for replica in all.iter().filter(tells) {
            match found.iter_mut().find(|(ip, port, _)| *ip == replica.ip && *port == replica.port) {
                Some((_, _, durable)) => *durable = (*durable).max(replica.durable()),
                None => found.push((&replica.ip, replica.port, replica.durable())),
            }
        }
        found.iter().map(|(_, _, durable)| *durable).collect()
    }

    /// Replicas online whose last acknowledgement is at most `max_lag_ms` old; 0 means any age.
    pub fn count_good(&self, now_ms: i64, max_lag_ms: i64) -> usize {
        self.count(|replica| {
            max_lag_ms == 0 || now_ms - replica.ack_at_ms.load(Ordering::Relaxed) <= max_lag_ms
        })
    }

    fn count(&self, good: impl Fn(&Replica) -> bool) -> usize {
        let online = |replica: &&Arc<Replica>| replica.stage() == ReplicaStage::Online && good(replica);
        self.all.lock().iter().filter(online).count()
    }
}
