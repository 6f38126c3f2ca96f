//! The settings themselves: one typed field each, with their defaults.

use crate::command::WantedEvents;
use crate::replication::acks::OnLoss;
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
        /// About once a second, off the serving threads.
        EverySec = "everysec",
        /// After every batch of writes, at once.
        Always = "always",
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
    /// `maxmemory-policy`.
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
impl MaxmemoryPolicy {
    /// Only keys that have an expiry may go.
    pub fn volatile_only(self) -> bool {
        use MaxmemoryPolicy::*;
        matches!(self, VolatileLru | VolatileLfu | VolatileRandom | VolatileTtl)
    }

    /// It asks when or how often each key was used.
    pub fn needs_access(self) -> bool {
        matches!(self, MaxmemoryPolicy::VolatileLru | MaxmemoryPolicy::AllkeysLru) || self.counts_use()
    }

    /// The access field of keys counts their use (LFU) instead of telling the last one (LRU).
    pub fn counts_use(self) -> bool {
        matches!(self, MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::AllkeysLfu)
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
    /// `replica-sync-source`: who gives a replica its snapshot.
    SyncSource {
        /// Another replica where one can, named by the primary.
        Replica = "replica",
        /// The primary.
        Primary = "primary",
    }
}
words! {
    /// `durable-acks-on-loss`: what is done while too few replicas are attached that fsync.
    DurableAcksOnLoss {
        /// Replies wait.
        Block = "block",
        /// Replies are given at once.
        Degrade = "degrade",
        /// Writes are refused.
        Error = "error",
    }
}
impl From<DurableAcksOnLoss> for OnLoss {
    fn from(word: DurableAcksOnLoss) -> OnLoss {
        match word {
            DurableAcksOnLoss::Block => OnLoss::Block,
            DurableAcksOnLoss::Degrade => OnLoss::Degrade,
            DurableAcksOnLoss::Error => OnLoss::Error,
        }
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
    /// `acl-pubsub-default`: which channels a new user may use.
    AclPubsubDefault {
        /// All.
        AllChannels = "allchannels",
        /// None.
        ResetChannels = "resetchannels",
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

/// `maxmemory-clients`: what the buffers of clients may take together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientsLimit {
    /// So many bytes; 0: as much as they like.
    Bytes(u64),
    /// So much of `maxmemory`, in percent.
    Percent(u8),
}

impl std::fmt::Display for ClientsLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClientsLimit::Bytes(bytes) => bytes.fmt(f),
            ClientsLimit::Percent(percent) => write!(f, "{percent}%"),
        }
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
    /// Ordinary clients.
    pub normal: BufferLimit,
    /// Replicas.
    pub replica: BufferLimit,
    /// Clients subscribed to a channel or pattern, and those that monitor.
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

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Declares [`Config`] and its defaults in one place.
macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $default:expr,)*) => {
        /// Every setting of the server. Names follow the directives; `docs/configuration.md` explains each.
        #[derive(Debug, Clone)]
        #[allow(missing_docs, reason = "each field is documented by its directive in the table")]
        pub struct Config {
            $($(#[$doc])* pub $field: $type,)*
            /// Directives set otherwise than by a file: REWRITE writes them even when they are at their default.
            pub(super) touched: BTreeSet<&'static str>,
        }

        impl Default for Config {
            fn default() -> Self {
                Config { $($field: $default,)* touched: BTreeSet::new() }
            }
        }
    };
}

const UNLIMITED: BufferLimit = BufferLimit { hard_bytes: 0, soft_bytes: 0, soft_seconds: 0 };

settings! {
    // Network and clients.
    port: u16 = 6379,
    bind: Vec<String> = vec!["*".to_owned(), "-::*".to_owned()],
    protected_mode: bool = true,
    disable_thp: bool = true,
    tcp_backlog: u32 = 511,
    timeout_seconds: u32 = 0,
    tcp_keepalive_seconds: u32 = 300,
    unixsocket: Option<PathBuf> = None,
    unixsocket_mode: u32 = 0,
    io_threads: usize = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4)),
    maxclients: u32 = 10_000,
    proto_max_bulk_bytes: u64 = 512 * MIB,
    client_query_buffer_limit_bytes: u64 = 1024 * MIB,
    client_output_buffer_limit: OutputBufferLimits = OutputBufferLimits {
        normal: UNLIMITED,
        replica: BufferLimit { hard_bytes: 256 * MIB, soft_bytes: 64 * MIB, soft_seconds: 60 },
        pubsub: BufferLimit { hard_bytes: 32 * MIB, soft_bytes: 8 * MIB, soft_seconds: 60 },
    },
    requirepass: Secret = Secret::default(),
    /// The words of each `user` line.
    users: Vec<Vec<Vec<u8>>> = Vec::new(),
    aclfile: String = String::new(),
    acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::ResetChannels,
    acllog_max_len: usize = 128,
    tracking_table_max_keys: u64 = 1_000_000,
    enable_debug_command: DebugAccess = DebugAccess::Local,
    enable_protected_configs: DebugAccess = DebugAccess::No,
    // The process.
    databases: u32 = 16,
    loglevel: LogLevel = LogLevel::Notice,
    logfile: String = String::new(),
    set_proc_title: bool = true,
    proc_title_template: String = "{title} {listen-addr} {server-mode}".into(),
    pidfile: String = String::new(),
    shutdown_timeout_seconds: u32 = 10,
    shutdown_on_sigint: ShutdownOptions = ShutdownOptions::default(),
    shutdown_on_sigterm: ShutdownOptions = ShutdownOptions::default(),
    hz: u32 = 10,
    dynamic_hz: bool = true,
    slowlog_slower_than_us: i64 = 10_000,
    slowlog_max_len: usize = 128,
    notify_keyspace_events: WantedEvents = WantedEvents::default(),
    latency_monitor_threshold_ms: u64 = 0,
    latency_tracking: bool = true,
    /// In percent.
    latency_percentiles: Vec<f64> = vec![50.0, 99.0, 99.9],
    // Persistence.
    dir: PathBuf = PathBuf::from("."),
    dbfilename: String = "dump.rdb".to_owned(),
    /// `save` if set by hand; see [`Config::effective_save`].
    save: Option<Vec<SaveRule>> = None,
    /// `appendonly` if set by hand; see [`Config::effective_appendonly`].
    appendonly: Option<bool> = None,
    role_persistence: RolePersistence = RolePersistence::Auto,
    stop_writes_on_bgsave_error: bool = true,
    rdbcompression: bool = true,
    rdbchecksum: bool = true,
    appendfilename: String = "appendonly.aof".to_owned(),
    appenddirname: String = "appendonlydir".to_owned(),
    appendfsync: AppendFsync = AppendFsync::EverySec,
    no_appendfsync_on_rewrite: bool = false,
    auto_aof_rewrite_percentage: u32 = 100,
    auto_aof_rewrite_min_size_bytes: u64 = 64 * MIB,
    aof_load_truncated: bool = true,
    aof_timestamp_enabled: bool = false,
    keep_generations: u32 = 1,
    snapshot_child_nice: u8 = 10,
    snapshot_child_timeout_ms: u64 = 3_600_000,
    start_new_history: bool = false,
    rdb_key_save_delay_us: i64 = 0,
    /// Set by DEBUG SET-SKIP-CHECKSUM-VALIDATION; no directive.
    skip_checksum_validation: bool = false,
    recover_from_peers: Vec<Address> = Vec::new(),
    // Replication.
    replicaof: Option<Address> = None,
    masterauth: Secret = Secret::default(),
    masteruser: String = String::new(),
    replica_read_only: bool = true,
    replica_serve_stale_data: bool = true,
    replica_priority: u32 = 100,
    replica_announce_ip: String = String::new(),
    replica_announce_port: u16 = 0,
    repl_ping_replica_period_seconds: u32 = 10,
    repl_timeout_seconds: u32 = 60,
    repl_backlog_size_bytes: u64 = MIB,
    repl_backlog_ttl_seconds: u64 = 3600,
    repl_diskless_sync: bool = true,
    repl_diskless_sync_delay_seconds: u32 = 0,
    replica_sync_source: SyncSource = SyncSource::Replica,
    replica_sync_lz4: bool = false,
    repl_diskless_load: DisklessLoad = DisklessLoad::Disabled,
    repl_disable_tcp_nodelay: bool = false,
    min_replicas_to_write: u32 = 0,
    min_replicas_max_lag_seconds: u32 = 10,
    durable_acks: u8 = 0,
    durable_acks_timeout_ms: u64 = 0,
    durable_acks_on_loss: DurableAcksOnLoss = DurableAcksOnLoss::Block,
    // Memory and encodings.
    maxmemory_bytes: u64 = 0,
    maxmemory_clients: ClientsLimit = ClientsLimit::Bytes(0),
    maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::NoEviction,
    maxmemory_samples: u32 = 5,
    maxmemory_eviction_tenacity: u32 = 10,
    lazyfree_lazy_eviction: bool = false,
    lazyfree_lazy_expire: bool = false,
    lazyfree_lazy_server_del: bool = false,
    lazyfree_lazy_user_del: bool = false,
    lazyfree_lazy_user_flush: bool = false,
    replica_lazy_flush: bool = false,
    lfu_log_factor: u32 = 10,
    lfu_decay_time_minutes: u32 = 1,
    activerehashing: bool = true,
    hash_max_listpack_entries: usize = 512,
    hash_max_listpack_value_bytes: usize = 64,
    set_max_intset_entries: usize = 512,
    set_max_listpack_entries: usize = 128,
    set_max_listpack_value_bytes: usize = 64,
    zset_max_listpack_entries: usize = 128,
    zset_max_listpack_value_bytes: usize = 64,
    /// Positive: entries a node; -1 to -5: 4, 8, 16, 32 or 64 KiB a node.
    list_max_listpack_size: i32 = -2,
    list_compress_depth: u32 = 0,
    /// Set by DEBUG QUICKLIST-PACKED-THRESHOLD; no directive.
    list_packed_threshold_bytes: usize = 0,
    stream_node_max_bytes: usize = 4096,
    stream_node_max_entries: usize = 100,
    hll_sparse_max_bytes: usize = 3000,
}

impl Config {
    /// Records what REPLICAOF decided, so that CONFIG GET shows and CONFIG REWRITE writes it.
    pub fn follow(&mut self, primary: Option<Address>) {
        self.replicaof = primary;
        self.touched.insert("replicaof");
    }

    /// Records the users there are, so that CONFIG REWRITE writes them.
    pub fn set_users(&mut self, lines: Vec<Vec<Vec<u8>>>) {
        if self.users != lines {
            self.users = lines;
            self.touched.insert("user");
        }
    }

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
