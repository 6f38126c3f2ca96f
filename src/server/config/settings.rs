//! The settings themselves: one typed field each, with their defaults.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

/// Declares a setting that is one of a few words, with the words in the order error messages list them.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every word of this setting, in declaration order.
            pub const WORDS: &'static [&'static str] = &[$($word),*];
            const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The word for this value.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// The value at a position of [`Self::WORDS`].
            pub(super) fn at(index: usize) -> Option<Self> {
                Self::ALL.get(index).copied()
            }
        }
    };
}

words! {
    /// `appendfsync`: when the log is forced to the disk.
    AppendFsync {
        /// After every batch of writes, before they are answered.
        Always = "always",
        /// About once a second, off the serving threads.
        EverySec = "everysec",
        /// When the system sees fit.
        No = "no",
    }
}
words! {
    /// `loglevel`: the least important messages that are still logged.
    LogLevel {
        /// Everything.
        Debug = "debug",
        /// Much of little use.
        Verbose = "verbose",
        /// What production wants.
        Notice = "notice",
        /// Only what needs attention.
        Warning = "warning",
        /// Silence.
        Nothing = "nothing",
    }
}
words! {
    /// `maxmemory-policy`; only [`MaxmemoryPolicy::NoEviction`] can be set so far.
    MaxmemoryPolicy {
        /// Evict the least recently used keys that have an expiry.
        VolatileLru = "volatile-lru",
        /// Evict the least frequently used keys that have an expiry.
        VolatileLfu = "volatile-lfu",
        /// Evict any keys that have an expiry.
        VolatileRandom = "volatile-random",
        /// Evict the keys nearest to their expiry.
        VolatileTtl = "volatile-ttl",
        /// Evict the least recently used keys.
        AllkeysLru = "allkeys-lru",
        /// Evict the least frequently used keys.
        AllkeysLfu = "allkeys-lfu",
        /// Evict any keys.
        AllkeysRandom = "allkeys-random",
        /// Evict nothing; refuse writes that need memory.
        NoEviction = "noeviction",
    }
}
words! {
    /// `repl-diskless-load`: how a replica takes a snapshot in.
    DisklessLoad {
        /// Write it to a file, then load the file.
        Disabled = "disabled",
        /// Load it from the socket when there is nothing to lose.
        OnEmptyDb = "on-empty-db",
        /// Load it beside the data set in use, then swap.
        SwapDb = "swapdb",
    }
}
words! {
    /// Who may use a protected facility (`enable-debug-command`, `enable-protected-configs`).
    DebugAccess {
        /// Nobody.
        No = "no",
        /// Every client.
        Yes = "yes",
        /// Clients on a loopback address or the Unix socket.
        Local = "local",
    }
}
words! {
    /// `role-persistence`: does the role decide whether this node writes to its disk?
    RolePersistence {
        /// A primary serves from memory, a replica persists, unless `appendonly` or `save` were set.
        Auto = "auto",
        /// Stock Redis's defaults, whatever the role.
        Off = "off",
    }
}

/// The role of a node, as far as the effective settings depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes writes from clients.
    Primary,
    /// Follows a primary.
    Replica,
}

/// One `save` rule: snapshot after `seconds` if at least `changes` keys changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaveRule {
    /// Age of the oldest unsaved change, in seconds.
    pub seconds: u64,
    /// Least number of changes.
    pub changes: u64,
}

/// The `save` rules of stock Redis.
pub const STOCK_SAVE_RULES: [SaveRule; 3] = [
    SaveRule { seconds: 3600, changes: 1 },
    SaveRule { seconds: 300, changes: 100 },
    SaveRule { seconds: 60, changes: 10_000 },
];

/// How much unsent output one class of clients may pile up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferLimit {
    /// Disconnect at once beyond this; 0 is no limit.
    pub hard_bytes: u64,
    /// Disconnect after `soft_seconds` beyond this; 0 is no limit.
    pub soft_bytes: u64,
    /// Patience beyond the soft limit, in seconds.
    pub soft_seconds: u64,
}

/// `client-output-buffer-limit`, one limit a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputBufferLimits {
    /// Ordinary clients, MONITOR included.
    pub normal: BufferLimit,
    /// Replicas.
    pub replica: BufferLimit,
    /// Clients subscribed to a channel or pattern.
    pub pubsub: BufferLimit,
}

/// What a SIGINT or SIGTERM adds to a plain shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShutdownOptions {
    /// Snapshot even without save rules.
    pub save: bool,
    /// No snapshot even with save rules.
    pub nosave: bool,
    /// Do not wait for lagging replicas.
    pub now: bool,
    /// Go down even if the snapshot fails.
    pub force: bool,
}

/// A host and port, as `replicaof` and `recover-from-peers` name nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A password: any bytes, kept out of debug output. Empty means none is set.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "Secret(none)" } else { "Secret(set)" })
    }
}

/// Every setting of the server. Names follow the directives; `docs/configuration.md` explains each.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each field is documented by its directive in the table")]
pub struct Config {
    // Network and clients.
    pub port: u16,
    pub bind: Vec<String>,
    pub protected_mode: bool,
    pub tcp_backlog: u32,
    pub timeout_seconds: u32,
    pub tcp_keepalive_seconds: u32,
    pub unixsocket: Option<PathBuf>,
    pub unixsocket_mode: u32,
    pub io_threads: usize,
    pub maxclients: u32,
    pub proto_max_bulk_bytes: u64,
    pub client_query_buffer_limit_bytes: u64,
    pub client_output_buffer_limit: OutputBufferLimits,
    pub requirepass: Secret,
    pub enable_debug_command: DebugAccess,
    pub enable_protected_configs: DebugAccess,
    // The process.
    pub databases: u32,
    pub loglevel: LogLevel,
    pub logfile: String,
    pub pidfile: String,
    pub shutdown_timeout_seconds: u32,
    pub shutdown_on_sigint: ShutdownOptions,
    pub shutdown_on_sigterm: ShutdownOptions,
    pub hz: u32,
    pub dynamic_hz: bool,
    pub slowlog_slower_than_us: i64,
    pub slowlog_max_len: usize,
    pub latency_monitor_threshold_ms: u64,
    // Persistence.
    pub dir: PathBuf,
    pub dbfilename: String,
    /// `save` if set by hand; see [`Config::effective_save`].
    pub save: Option<Vec<SaveRule>>,
    /// `appendonly` if set by hand; see [`Config::effective_appendonly`].
    pub appendonly: Option<bool>,
    pub role_persistence: RolePersistence,
    pub stop_writes_on_bgsave_error: bool,
    pub rdbcompression: bool,
    pub rdbchecksum: bool,
    pub appendfilename: String,
    pub appenddirname: String,
    pub appendfsync: AppendFsync,
    pub no_appendfsync_on_rewrite: bool,
    pub auto_aof_rewrite_percentage: u32,
    pub auto_aof_rewrite_min_size_bytes: u64,
    pub aof_load_truncated: bool,
    pub aof_timestamp_enabled: bool,
    pub keep_generations: u32,
    pub snapshot_child_timeout_ms: u64,
    pub start_new_history: bool,
    pub recover_from_peers: Vec<Address>,
    // Replication.
    pub replicaof: Option<Address>,
    pub masterauth: Secret,
    pub masteruser: String,
    pub replica_read_only: bool,
    pub replica_serve_stale_data: bool,
    pub replica_priority: u32,
    pub replica_announce_ip: String,
    pub replica_announce_port: u16,
    pub repl_ping_replica_period_seconds: u32,
    pub repl_timeout_seconds: u32,
    pub repl_backlog_size_bytes: u64,
    pub repl_backlog_ttl_seconds: u64,
    pub repl_diskless_sync: bool,
    pub repl_diskless_sync_delay_seconds: u32,
    pub repl_diskless_load: DisklessLoad,
    pub repl_disable_tcp_nodelay: bool,
    pub min_replicas_to_write: u32,
    pub min_replicas_max_lag_seconds: u32,
    // Memory and encodings.
    pub maxmemory_bytes: u64,
    pub maxmemory_policy: MaxmemoryPolicy,
    pub maxmemory_samples: u32,
    pub lazyfree_lazy_eviction: bool,
    pub lazyfree_lazy_expire: bool,
    pub lazyfree_lazy_server_del: bool,
    pub lazyfree_lazy_user_del: bool,
    pub lazyfree_lazy_user_flush: bool,
    pub replica_lazy_flush: bool,
    pub lfu_log_factor: u32,
    pub lfu_decay_time_minutes: u32,
    pub activerehashing: bool,
    pub hash_max_listpack_entries: usize,
    pub hash_max_listpack_value_bytes: usize,
    pub set_max_intset_entries: usize,
    pub set_max_listpack_entries: usize,
    pub set_max_listpack_value_bytes: usize,
    pub zset_max_listpack_entries: usize,
    pub zset_max_listpack_value_bytes: usize,
    /// Positive: entries a node; -1 to -5: 4, 8, 16, 32 or 64 KiB a node.
    pub list_max_listpack_size: i32,
    pub list_compress_depth: u32,
    pub stream_node_max_bytes: usize,
    pub stream_node_max_entries: usize,
    pub hll_sparse_max_bytes: usize,
    /// Directives CONFIG SET has touched: REWRITE writes them even when they are back at their default.
    pub(super) touched: BTreeSet<&'static str>,
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

impl Default for Config {
    fn default() -> Self {
        let unlimited = BufferLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 };
        Config {
            port: 6379,
            bind: vec!["*".to_owned(), "-::*".to_owned()],
            protected_mode: true,
            tcp_backlog: 511,
            timeout_seconds: 0,
            tcp_keepalive_seconds: 300,
            unixsocket: None,
            unixsocket_mode: 0,
            io_threads: std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4)),
            maxclients: 10_000,
            proto_max_bulk_bytes: 512 * MIB,
            client_query_buffer_limit_bytes: 1024 * MIB,
            client_output_buffer_limit: OutputBufferLimits {
                normal: unlimited,
                replica: BufferLimit { hard_bytes: 256 * MIB, soft_bytes: 64 * MIB, soft_seconds: 60 },
                pubsub: BufferLimit { hard_bytes: 32 * MIB, soft_bytes: 8 * MIB, soft_seconds: 60 },
            },
            requirepass: Secret::default(),
            enable_debug_command: DebugAccess::Local,
            enable_protected_configs: DebugAccess::No,
            databases: 16,
            loglevel: LogLevel::Notice,
            logfile: String::new(),
            pidfile: String::new(),
            shutdown_timeout_seconds: 10,
            shutdown_on_sigint: ShutdownOptions::default(),
            shutdown_on_sigterm: ShutdownOptions::default(),
            hz: 10,
            dynamic_hz: true,
            slowlog_slower_than_us: 10_000,
            slowlog_max_len: 128,
            latency_monitor_threshold_ms: 0,
            dir: PathBuf::from("."),
            dbfilename: "dump.rdb".to_owned(),
            save: None,
            appendonly: None,
            role_persistence: RolePersistence::Auto,
            stop_writes_on_bgsave_error: true,
            rdbcompression: true,
            rdbchecksum: true,
            appendfilename: "appendonly.aof".to_owned(),
            appenddirname: "appendonlydir".to_owned(),
            appendfsync: AppendFsync::EverySec,
            no_appendfsync_on_rewrite: false,
            auto_aof_rewrite_percentage: 100,
            auto_aof_rewrite_min_size_bytes: 64 * MIB,
            aof_load_truncated: true,
            aof_timestamp_enabled: false,
            keep_generations: 1,
            snapshot_child_timeout_ms: 3_600_000,
            start_new_history: false,
            recover_from_peers: Vec::new(),
            replicaof: None,
            masterauth: Secret::default(),
            masteruser: String::new(),
            replica_read_only: true,
            replica_serve_stale_data: true,
            replica_priority: 100,
            replica_announce_ip: String::new(),
            replica_announce_port: 0,
            repl_ping_replica_period_seconds: 10,
            repl_timeout_seconds: 60,
            repl_backlog_size_bytes: MIB,
            repl_backlog_ttl_seconds: 3600,
            repl_diskless_sync: true,
            repl_diskless_sync_delay_seconds: 5,
            repl_diskless_load: DisklessLoad::Disabled,
            repl_disable_tcp_nodelay: false,
            min_replicas_to_write: 0,
            min_replicas_max_lag_seconds: 10,
            maxmemory_bytes: 0,
            maxmemory_policy: MaxmemoryPolicy::NoEviction,
            maxmemory_samples: 5,
            lazyfree_lazy_eviction: false,
            lazyfree_lazy_expire: false,
            lazyfree_lazy_server_del: false,
            lazyfree_lazy_user_del: false,
            lazyfree_lazy_user_flush: false,
            replica_lazy_flush: false,
            lfu_log_factor: 10,
            lfu_decay_time_minutes: 1,
            activerehashing: true,
            hash_max_listpack_entries: 512,
            hash_max_listpack_value_bytes: 64,
            set_max_intset_entries: 512,
            set_max_listpack_entries: 128,
            set_max_listpack_value_bytes: 64,
            zset_max_listpack_entries: 128,
            zset_max_listpack_value_bytes: 64,
            list_max_listpack_size: -2,
            list_compress_depth: 0,
            stream_node_max_bytes: 4096,
            stream_node_max_entries: 100,
            hll_sparse_max_bytes: 3000,
            touched: BTreeSet::new(),
        }
    }
}

impl Config {
    /// Does the role decide about persistence? Yes unless `appendonly` or `save` was set by hand or
    /// `role-persistence` is off.
    pub fn role_decides(&self) -> bool {
        self.role_persistence == RolePersistence::Auto && self.save.is_none() && self.appendonly.is_none()
    }

    /// The `appendonly` in force for a node of this role.
    pub fn effective_appendonly(&self, role: Role) -> bool {
        match self.role_decides() {
            true => role == Role::Replica,
            false => self.appendonly.unwrap_or(false),
        }
    }

    /// The `save` rules in force for a node of this role.
    pub fn effective_save(&self, role: Role) -> &[SaveRule] {
        match &self.save {
            Some(rules) => rules,
            None if self.role_decides() && role == Role::Primary => &[],
            None => &STOCK_SAVE_RULES,
        }
    }
}
