//! The node: everything that the connections of one server share.

use super::acl::Acl;
use super::blocked::BlockedClients;
use super::client_eviction::ClientMemory;
use super::clients::Clients;
use super::command_stats::CommandStats;
use super::config::{Address, Config};
use super::durability::Durability;
use super::eviction::Eviction;
use super::gate::{Gate, bits};
use super::latency::Latency;
use super::memory::MemoryWatch;
use super::monitor::Monitors;
use super::own_keys::OwnKeys;
use super::pause::Pause;
use super::pubsub::PubSub;
use super::replication::acks::DurableAcks;
use super::replication::failover::Failover;
use super::replication::recovery::Recovery;
use super::replication::takeover;
use super::replication::{Replicas, Role};
use super::session::Session;
use super::shutdown::Shutdown;
use super::slowlog::SlowLog;
use super::stats::{Rates, Stats, add};
use super::tracking::Tracking;
use crate::base::random::Rng;
use crate::base::time::{Clock, SystemClock};
use crate::command::{Counts, Settings};
use crate::keyspace::{Keyspace, Locked};
use crate::replication::acks::FSYNC_WORD;
use crate::replication::{Lineage, Log};
use crate::resp::command_bytes::write_command;
use crate::sys::fork::ForkOptions;
use crate::value::Limits;
use parking_lot::RwLock;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// All that one server is.
pub struct Node {
    /// The keys.
    pub keyspace: Keyspace,
    /// The stream of effects.
    pub log: Arc<Log>,
    /// What refuses commands.
    pub gate: Gate,
    /// Users.
    pub acl: Acl,
    /// Figures.
    pub stats: Stats,
    /// Figures a second.
    pub rates: Rates,
    /// Figures of each command.
    pub command_stats: CommandStats,
    /// Commands that took long.
    pub slowlog: SlowLog,
    /// Events that took long.
    pub latency: Latency,
    /// What the buffers of clients take.
    pub client_memory: ClientMemory,
    /// Of a writable replica: keys that its own clients gave a time.
    pub own_keys: OwnKeys,
    /// The memory in use.
    pub memory: MemoryWatch,
    /// What makes room in it.
    pub eviction: Eviction,
    /// Keys are removed when their time comes, not only when they are next asked for (DEBUG SET-ACTIVE-EXPIRE).
    pub active_expiry: AtomicBool,
    /// The periodic work rests (DEBUG PAUSE-CRON).
    pub cron_paused: AtomicBool,
    /// The configuration file, for INFO and CONFIG REWRITE.
    pub config_file: Option<PathBuf>,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// FAILOVER.
    pub failover: Failover,
    /// Connections.
    pub clients: Clients,
    /// Channels and their subscribers.
    pub pubsub: PubSub,
    /// Who is told of every command.
    pub monitors: Monitors,
    /// Who keeps copies of keys.
    pub tracking: Tracking,
    /// Clients in blocking commands.
    pub blocked: BlockedClients,
    /// Whom this node follows.
    pub role: Role,
    /// What gives it a history where it has none.
    pub recovery: Recovery,
    /// Who follows it.
    pub replicas: Replicas,
    /// Who waits for their fsyncs.
    pub acks: DurableAcks,
    /// The offset up to which this node's own files are fsynced; `u64::MAX` while it writes none.
    durable: AtomicU64,
    /// What it writes to disk.
    pub durability: Durability,
    /// Its orderly end.
    pub shutdown: Shutdown,
    /// Connections of MIGRATE that are kept for the next one.
    pub migrate_sockets: AtomicUsize,
    /// Told when that offset moves.
    pub durable_moved: Notify,
    /// Changes since the last snapshot.
    pub changes: AtomicU64,
    /// A name of this process's run, 40 hex digits.
    pub run_id: String,
    /// When it started, unix ms.
    pub started_at_ms: i64,
    clock: SystemClock,
    config: RwLock<Arc<Config>>,
    settings: RwLock<Arc<Settings>>,
    config_version: AtomicU64,
}

impl Node {
    /// A node with no data and a new lineage.
    pub fn new(config: Config) -> Node {
        let mut rng = Rng::from_os();
        let clock = SystemClock::new();
        let gate = Gate::default();
        let acl = Acl::new(&config, &gate);
        let log = Log::new(Lineage::random(&mut rng), 0, config.repl_backlog_size_bytes);
        let node = Node {
            keyspace: Keyspace::new(config.databases),
            log: Arc::new(log),
            gate,
            acl,
            stats: Stats::default(),
            rates: Rates::default(),
            command_stats: CommandStats::default(),
            slowlog: SlowLog::new(&config),
            latency: Latency::new(&config),
            own_keys: OwnKeys::default(),
            client_memory: ClientMemory::default(),
            memory: MemoryWatch::default(),
            eviction: Eviction::new(config.maxmemory_bytes > 0),
            active_expiry: AtomicBool::new(true),
            cron_paused: AtomicBool::new(false),
            config_file: None,
            pause: Pause::default(),
            failover: Failover::default(),
            clients: Clients::default(),
            pubsub: PubSub::default(),
            monitors: Monitors::default(),
            tracking: Tracking::default(),
            blocked: BlockedClients::default(),
            role: Role::default(),
            recovery: Recovery::default(),
            replicas: Replicas::default(),
            acks: DurableAcks::default(),
            durable: AtomicU64::new(u64::MAX),
            durability: Durability::default(),
            shutdown: Shutdown::default(),
            migrate_sockets: AtomicUsize::new(0),
            durable_moved: Notify::new(),
            changes: AtomicU64::new(0),
            run_id: rng.hex(40),
            started_at_ms: clock.unix_ms() as i64,
            clock,
            settings: RwLock::new(Arc::new(handler_settings(&config))),
            config: RwLock::new(Arc::new(config)),
            config_version: AtomicU64::new(1),
        };
        node.command_stats.track_durations(node.config().latency_tracking);
        node.acks.configure(&node.config());
        node.client_memory.configure(&node.config());
        node.acks.follow_config(&node);
        node
    }

    /// Unix time in ms.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.clock.unix_ms() as i64
    }

    /// The node's clock.
    pub fn clock(&self) -> &SystemClock {
        &self.clock
    }

    /// The configuration as of now.
    pub fn config(&self) -> Arc<Config> {
        self.config.read().clone()
    }

    /// What handlers read of the configuration.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.read().clone()
    }

    /// Rises with every change of the configuration.
    #[inline]
    pub fn config_version(&self) -> u64 {
        self.config_version.load(Ordering::Acquire)
    }

    /// Changes the configuration under its lock; `change` may refuse, and then nothing changes.
    pub fn change_config<E>(&self, change: impl FnOnce(&mut Config) -> Result<(), E>) -> Result<(), E> {
        let mut config = self.config.write();
        let mut next = (**config).clone();
        change(&mut next)?;
        self.log.set_backlog_bytes(next.repl_backlog_size_bytes);
        self.follow_thresholds(&next);
        self.command_stats.track_durations(next.latency_tracking);
        self.eviction.set_on(next.maxmemory_bytes > 0);
        self.client_memory.configure(&next);
        *self.settings.write() = Arc::new(handler_settings(&next));
        *config = Arc::new(next);
        self.durability.configure(&config);
        self.acks.configure(&config);
        self.config_version.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// To be called when the measure of a tick was refined.
    pub(super) fn refine_thresholds(&self) {
        // Held, so that no newer configuration is overtaken.
        let config = self.config.read();
        self.follow_thresholds(&config);
    }

    /// Takes over how long a command must take to be remarkable.
    fn follow_thresholds(&self, config: &Config) {
        self.slowlog.configure(config);
        self.latency.configure(config);
    }

    /// How children are forked.
    pub fn fork_options(&self) -> ForkOptions {
        let config = self.config();
        let hang_after = std::time::Duration::from_millis(config.snapshot_child_timeout_ms);
        ForkOptions { hang_after, nicer_by: config.snapshot_child_nice, ..ForkOptions::default() }
    }

    /// True while this node follows another.
    pub fn is_replica(&self) -> bool {
        self.gate.has(bits::REPLICA)
    }

    /// The offset up to which this node's own files are fsynced; `None` while it writes none.
    pub fn durable_offset(&self) -> Option<u64> {
        let offset = self.durable.load(Ordering::Acquire);
        (offset != u64::MAX).then_some(offset)
    }

    /// Sets that offset, and tells who waits for it. May be called from any thread.
    pub fn set_durable_offset(&self, offset: Option<u64>) {
        self.durable.store(offset.unwrap_or(u64::MAX), Ordering::Release);
        self.durable_moved.notify_waiters();
        if let Some(offset) = offset {
            self.acks.update_own(offset);
        }
    }

    /// Tells readers of the log, and clients that keep copies of keys by their prefixes, of what has changed. Whoever makes
    /// changes calls this when it holds no lock any more, and before anybody is answered.
    #[inline]
    pub fn tell_of_changes(&self) {
        self.log.wake_readers();
        if self.gate.has(bits::KEYS_CACHED) {
            self.tracking.tell_of_prefixes(self);
        }
    }

    /// Asks all replicas to acknowledge at once.
    pub fn ask_for_acks(&self) {
        self.tell_replicas(&["REPLCONF", "GETACK", "*"]);
    }

    /// Asks all replicas to fsync what they have, and for some seconds what follows, at once, and to acknowledge it.
    pub fn ask_for_fsync(&self) {
        self.tell_replicas(&["REPLCONF", "GETACK", FSYNC_WORD]);
    }

    /// Appends what changes nothing, for replicas to read. The caller holds no lock.
    pub fn tell_replicas(&self, args: &[&str]) {
        if self.replicas.is_empty() {
            return;
        }
        let mut bytes = Vec::new();
        write_command(&mut bytes, args);
        // A change of role takes all shards: what a primary tells must not fall into another's history.
        let shard = self.keyspace.lock_shard(0);
        if !self.is_replica() {
            self.log.append_neutral(&bytes);
        }
        drop(shard);
        self.log.wake_readers();
    }

    /// Takes in what a replica acknowledges, or that one has come or gone.
    pub fn replicas_changed(&self) {
        self.acks.update(&self.replicas, self.log.end());
    }

    /// Sets the role of a node that has just been made, before it serves anybody.
    pub fn begin_as_replica(&self, address: Option<Address>) {
        let config = self.config();
        self.gate.set(bits::REPLICA, true);
        self.gate.set(bits::READ_ONLY, config.replica_read_only);
        self.gate.set(bits::STALE, !config.replica_serve_stale_data);
        self.role.follow(address, false);
    }

    /// Makes this node a replica of another, or a primary. On a promotion the log takes a new lineage that
    /// names the old one as its past.
    pub fn follow(&self, address: Option<Address>, ordered: bool) {
        self.follow_locked(&self.keyspace.lock_all(), address, ordered);
    }

    /// As [`Node::follow`], for a caller that holds all shards: no write, of a client or of the link, may fall between
    /// the two roles.
    pub fn follow_locked(&self, _all: &Locked<'_>, address: Option<Address>, ordered: bool) {
        let was_replica = self.is_replica();
        let now_replica = address.is_some();
        let config = self.config();
        let end = self.log.end();
        if was_replica && !now_replica && self.role.has_history() {
            takeover::promote(self);
        }
        if now_replica {
            self.role.set_claim(None);
        }
        self.durability.role_changed(self, was_replica, now_replica);
        if was_replica != now_replica {
            self.acks.begin_term(end, was_replica, self.durable_offset());
        }
        self.gate.set(bits::REPLICA, now_replica);
        self.gate.set(bits::READ_ONLY, now_replica && config.replica_read_only);
        self.gate.set(bits::STALE, now_replica && !config.replica_serve_stale_data);
        if !now_replica {
            self.role.set_has_history(true);
            self.role.set_sync_unfinished(false);
            self.gate.change_fences(|fences| (fences.no_history, fences.superseded) = (None, None));
        }
        let target = address.clone();
        let _ = self.change_config(|config| {
            config.follow(target);
            Ok::<(), ()>(())
        });
        self.role.follow(address, ordered);
        if now_replica {
            self.unblock_all();
        }
    }

    /// Ends the wait of every blocked client: the node's role has changed.
    pub(super) fn unblock_all(&self) {
        for client in self.clients.list() {
            if client.blocked.load(Ordering::Acquire) {
                client.unblock_as.store(3, Ordering::Release);
                client.unblock.notify_one();
            }
        }
    }

    /// Takes a batch's figures from a session.
    pub fn take_counts(&self, session: &mut Session) {
        let Counts { hits, misses, expired, expired_fields, changes, flushed } =
            std::mem::take(&mut session.counts);
        add(&self.stats.keyspace_hits, hits);
        add(&self.stats.keyspace_misses, misses);
        add(&self.stats.expired_keys, expired);
        add(&self.stats.expired_subkeys, expired_fields);
        add(&self.changes, changes);
        if flushed {
            self.durability.flushed(self);
        }
        add(&self.stats.commands, std::mem::take(&mut session.batch_commands));
    }
}

/// What handlers read of the configuration.
fn handler_settings(config: &Config) -> Settings {
    let limits = Limits {
        hash_max_listpack_entries: config.hash_max_listpack_entries,
        hash_max_listpack_value: config.hash_max_listpack_value_bytes,
        set_max_intset_entries: config.set_max_intset_entries,
        set_max_listpack_entries: config.set_max_listpack_entries,
        set_max_listpack_value: config.set_max_listpack_value_bytes,
        zset_max_listpack_entries: config.zset_max_listpack_entries,
        zset_max_listpack_value: config.zset_max_listpack_value_bytes,
        list_max_listpack_size: config.list_max_listpack_size.into(),
        list_packed_threshold: config.list_packed_threshold_bytes,
        list_compress_depth: config.list_compress_depth.into(),
        stream_node_max_bytes: config.stream_node_max_bytes,
        stream_node_max_entries: config.stream_node_max_entries,
        hll_sparse_max_bytes: config.hll_sparse_max_bytes,
    };
    Settings {
        limits,
        lfu: config.maxmemory_policy.counts_use(),
        lfu_log_factor: config.lfu_log_factor,
        lfu_decay_time_min: config.lfu_decay_time_minutes,
        lazy_expire: config.lazyfree_lazy_expire,
        lazy_server_del: config.lazyfree_lazy_server_del,
        lazy_user_del: config.lazyfree_lazy_user_del,
        lazy_user_flush: config.lazyfree_lazy_user_flush,
        shared_integers: config.maxmemory_bytes == 0 || !config.maxmemory_policy.needs_access(),
        max_bulk_bytes: config.proto_max_bulk_bytes as usize,
        verify_checksums: !config.skip_checksum_validation,
        events: config.notify_keyspace_events.audible(),
    }
}
