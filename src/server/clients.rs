//! Who is connected: what CLIENT LIST shows and CLIENT KILL reaches.

use super::endpoint::Endpoint;
use super::mailbox::Mailbox;
use crate::acl::User;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// What kind of connection it is, for CLIENT LIST's `flags` and `TYPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum ClientKind {
    /// An ordinary client.
    Normal,
    /// A replica that follows this node.
    Replica,
    /// The link to this node's own primary.
    Primary,
}

/// One connection, as others may see it. The connection itself updates it once a batch.
pub struct ClientInfo {
    /// Unique and rising.
    pub id: u64,
    /// The client's address.
    pub addr: Endpoint,
    /// Our end's address.
    pub local_addr: Endpoint,
    /// The socket's descriptor number, shown only.
    pub fd: i32,
    /// When it connected, unix ms.
    pub connected_at_ms: i64,
    /// Last activity, unix ms.
    pub active_at_ms: AtomicI64,
    /// Selected database.
    pub db: AtomicU32,
    /// RESP version, 2 or 3.
    pub resp: AtomicU32,
    /// Kind, a [`ClientKind`].
    kind: AtomicU32,
    /// Commands queued in a transaction; -1 outside one.
    pub queued: AtomicI64,
    /// Keys watched.
    pub watching: AtomicUsize,
    /// Waits in a blocking command.
    pub blocked: AtomicBool,
    /// Held back by CLIENT PAUSE.
    pub held_back: AtomicBool,
    /// Its replies are held until they are durable.
    pub replies_held: AtomicBool,
    /// CLIENT NO-EVICT on.
    pub no_evict: AtomicBool,
    /// CLIENT NO-TOUCH on.
    pub no_touch: AtomicBool,
    /// Will be closed once its output is written.
    pub closing: AtomicBool,
    /// Input bytes not parsed yet.
    pub query_bytes: AtomicUsize,
    /// Room in the input buffer.
    pub query_free_bytes: AtomicUsize,
    /// Output bytes not written yet.
    pub output_bytes: AtomicUsize,
    /// Room of the output buffer while they wait, what is written already included.
    pub output_room_bytes: AtomicUsize,
    /// What its buffers took when it last told ([`super::client_eviction`]).
    pub told_bytes: AtomicUsize,
    /// What they took when it was told to go.
    pub leaving_bytes: AtomicUsize,
    /// What is kept for it beside its buffers.
    pub kept: KeptFor,
    /// What it is sent without having asked.
    pub mailbox: Mailbox,
    /// Channels, patterns and shard channels that it has subscribed to.
    pub subscriptions: [AtomicUsize; 3],
    /// MONITOR.
    pub monitors: AtomicBool,
    /// CLIENT TRACKING.
    pub tracks: AtomicBool,
    /// It does so by prefixes of keys.
    pub tracks_prefixes: AtomicBool,
    /// The client that is told in its place is gone.
    pub redirect_broken: AtomicBool,
    /// That client; 0: it is told itself, -1: it does not track.
    pub redirect: AtomicI64,
    /// Commands run.
    pub commands: AtomicU64,
    /// The number of the last command in the registry; the greatest number before the first.
    pub last_command: AtomicUsize,
    /// Who it is; `None`: the server itself.
    pub user: Mutex<Option<Arc<User>>>,
    /// Name and library.
    pub labels: Mutex<Labels>,
    /// Ends the connection from outside: shuts its socket down.
    kill: Box<dyn Fn() + Send + Sync>,
    /// Wakes a blocked connection so that it notices `unblock`.
    pub unblock: tokio::sync::Notify,
    /// Set by CLIENT UNBLOCK: 0 no, 1 as if timed out, 2 with an error.
    pub unblock_as: AtomicU32,
}

/// What the server keeps for a client beside its buffers, in bytes, about: with what tables of them take.
#[derive(Default)]
pub struct KeptFor {
    /// Commands of its transaction.
    pub queue_bytes: AtomicUsize,
    /// Keys that it watches.
    pub watch_bytes: AtomicUsize,
    /// Names that it has subscribed to.
    pub subscription_bytes: AtomicUsize,
    /// Prefixes of keys that it is told of.
    pub prefix_bytes: AtomicUsize,
}

impl KeptFor {
    /// All together.
    pub fn bytes(&self) -> usize {
        let all = [&self.queue_bytes, &self.watch_bytes, &self.subscription_bytes, &self.prefix_bytes];
        all.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
    }
}

/// The texts a client gave of itself.
#[derive(Debug, Default, Clone)]
pub struct Labels {
    /// CLIENT SETNAME.
    pub name: String,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: String,
    /// CLIENT SETINFO LIB-VER.
    pub lib_version: String,
}

impl ClientInfo {
    /// A fresh connection; `kill` must shut the socket down and return at once.
    pub fn new(
        id: u64,
        addr: Endpoint,
        local_addr: Endpoint,
        fd: i32,
        now_ms: i64,
        kill: Box<dyn Fn() + Send + Sync>,
    ) -> ClientInfo {
        ClientInfo {
            id,
            addr,
            local_addr,
            fd,
            connected_at_ms: now_ms,
            active_at_ms: AtomicI64::new(now_ms),
            db: AtomicU32::new(0),
            resp: AtomicU32::new(2),
            kind: AtomicU32::new(ClientKind::Normal as u32),
            queued: AtomicI64::new(-1),
            watching: AtomicUsize::new(0),
            blocked: AtomicBool::new(false),
            held_back: AtomicBool::new(false),
            replies_held: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            query_bytes: AtomicUsize::new(0),
            query_free_bytes: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            output_room_bytes: AtomicUsize::new(0),
            told_bytes: AtomicUsize::new(0),
            leaving_bytes: AtomicUsize::new(0),
            kept: KeptFor::default(),
            mailbox: Mailbox::default(),
            subscriptions: Default::default(),
            monitors: AtomicBool::new(false),
            tracks: AtomicBool::new(false),
            tracks_prefixes: AtomicBool::new(false),
            redirect_broken: AtomicBool::new(false),
            redirect: AtomicI64::new(-1),
            commands: AtomicU64::new(0),
            last_command: AtomicUsize::new(usize::MAX),
            user: Mutex::new(None),
            labels: Mutex::new(Labels::default()),
            kill,
            unblock: tokio::sync::Notify::new(),
            unblock_as: AtomicU32::new(0),
        }
    }

    /// What kind of connection it is.
    pub fn kind(&self) -> ClientKind {
        match self.kind.load(Ordering::Relaxed) {
            1 => ClientKind::Replica,
            2 => ClientKind::Primary,
            _ => ClientKind::Normal,
        }
    }

    /// What its output takes.
    pub fn output_memory_bytes(&self) -> usize {
        let room = self.output_room_bytes.load(Ordering::Relaxed);
        self.output_bytes.load(Ordering::Relaxed).max(room)
    }

    /// What it takes, with its buffers.
    pub fn memory_bytes(&self) -> usize {
        let of = |bytes: &AtomicUsize| bytes.load(Ordering::Relaxed);
        let buffers = of(&self.query_bytes) + of(&self.query_free_bytes) + self.output_memory_bytes();
        let (_, pushes) = self.mailbox.waiting();
        size_of::<ClientInfo>() + pushes + buffers + self.kept.bytes()
    }

    /// Has it subscribed to anything?
    pub fn is_subscriber(&self) -> bool {
        self.subscriptions.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// Is it one that others push to: a subscriber, or one that monitors?
    pub fn is_pushed_to(&self) -> bool {
        self.is_subscriber() || self.monitors.load(Ordering::Relaxed)
    }

    /// Changes its kind.
    pub fn set_kind(&self, kind: ClientKind) {
        self.kind.store(kind as u32, Ordering::Relaxed);
    }
}

/// All connections.
#[derive(Default)]
pub struct Clients {
    all: Mutex<BTreeMap<u64, Arc<ClientInfo>>>,
    next_id: AtomicU64,
    blocked: AtomicUsize,
}

impl Clients {
    /// An id for a new connection.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Adds a connection, unless `max` are there already.
    pub fn add(&self, client: Arc<ClientInfo>, max: usize) -> bool {
        let mut all = self.all.lock();
        if all.len() >= max {
            return false;
        }
        all.insert(client.id, client);
        true
    }

    /// Removes a connection. Must happen before its socket is closed, so that a kill cannot hit a
    /// descriptor that was given to another.
    pub fn remove(&self, id: u64) {
        self.all.lock().remove(&id);
    }

    /// The connection with this id.
    pub fn get(&self, id: u64) -> Option<Arc<ClientInfo>> {
        self.all.lock().get(&id).cloned()
    }

    /// All connections, oldest first.
    pub fn list(&self) -> Vec<Arc<ClientInfo>> {
        self.all.lock().values().cloned().collect()
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.all.lock().len()
    }

    /// True when nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends a connection from outside; from now on it is not connected for anybody who asks.
    pub fn kill(&self, client: &ClientInfo) {
        // Under the lock: the connection leaves the map before it closes its socket.
        let mut all = self.all.lock();
        if all.remove(&client.id).is_some() {
            (client.kill)();
        }
    }

    /// Number of clients that wait in a blocking command.
    pub fn blocked(&self) -> usize {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Counts a client as blocked as long as what is returned lives: a pause holds it back. CLIENT UNBLOCK does not
    /// reach it.
    pub fn hold_back(&self, client: Arc<ClientInfo>) -> HeldBack<'_> {
        client.held_back.store(true, Ordering::Relaxed);
        self.blocked.fetch_add(1, Ordering::Relaxed);
        HeldBack { clients: self, client }
    }

    /// Marks a client as blocked or not.
    pub fn set_blocked(&self, client: &ClientInfo, blocked: bool) {
        if client.blocked.swap(blocked, Ordering::AcqRel) != blocked {
            if blocked {
                self.blocked.fetch_add(1, Ordering::Relaxed);
            } else {
                self.blocked.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

/// A client that a pause holds back.
pub struct HeldBack<'a> {
    clients: &'a Clients,
    client: Arc<ClientInfo>,
}

impl Drop for HeldBack<'_> {
    fn drop(&mut self) {
        self.client.held_back.store(false, Ordering::Relaxed);
        self.clients.blocked.fetch_sub(1, Ordering::Relaxed);
    }
}
