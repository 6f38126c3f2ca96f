//! What the server keeps for one connection.

use super::acl::{Acl, SessionUser};
use super::clients::ClientInfo;
use super::command_stats::Tally;
use super::later::Waiting;
use super::pubsub::Subscriptions;
use super::replication::acks::SessionAcks;
use super::replication::refer::Reserved;
use super::tracking::SessionTracking;
use crate::base::random::Rng;
use crate::command::apply::OwnedCommand;
use crate::command::context::PastDue;
use crate::command::{Counts, Effects, Settings};
use crate::replication::epoch::Told;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What CLIENT REPLY asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyMode {
    /// Answer everything.
    On,
    /// Answer nothing.
    Off,
    /// Do not answer the next command.
    SkipNext,
    /// Do not answer the command at hand.
    Skip,
}

/// A transaction being queued.
#[derive(Default)]
pub struct Transaction {
    /// The commands so far.
    pub queue: Vec<OwnedCommand>,
    /// What they take, about.
    pub queue_bytes: usize,
    /// A command was refused while queueing: EXEC will abort.
    pub broken: bool,
}

/// Keys that WATCH named, and the flag that their change raises.
#[derive(Default)]
pub struct Watches {
    /// Database, key, and whether the key has expired since before it was named.
    pub keys: Vec<(u32, Box<[u8]>, Arc<AtomicBool>)>,
    /// What they take here and in the keyspace, about.
    pub bytes: usize,
    /// Raised by whoever changes one of them.
    pub flag: Arc<AtomicBool>,
}

/// What a peer told in REPLCONF before it asks to sync.
#[derive(Debug, Default, Clone)]
pub struct PeerFacts {
    /// REPLCONF listening-port.
    pub listening_port: u16,
    /// REPLCONF ip-address.
    pub ip_address: String,
    /// REPLCONF capa eof: it reads a stream that ends with a mark.
    pub capa_eof: bool,
    /// REPLCONF capa psync2.
    pub capa_psync2: bool,
    /// REPLCONF capa outrigger-lz4: it takes a snapshot packed.
    pub capa_lz4: bool,
    /// REPLCONF capa outrigger-gives-snapshots.
    pub gives_snapshots: bool,
    /// What it told of the history that it holds, if it is one of ours.
    pub told: Told,
}

/// The state of one connection. It lives on one I/O thread.
pub struct Session {
    /// What others may see.
    pub info: Arc<ClientInfo>,
    /// The selected database.
    pub db: u32,
    /// RESP3 was agreed on.
    pub resp3: bool,
    /// May use commands although a password is set.
    pub authenticated: bool,
    /// Who it is.
    pub user: SessionUser,
    /// MULTI was sent.
    pub transaction: Option<Transaction>,
    /// WATCH.
    pub watches: Watches,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// What it has subscribed to.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// CLIENT TRACKING.
    pub tracking: Option<Box<SessionTracking>>,
    /// Bits that its commands meet in addition to those of the gate.
    pub bits: u32,
    /// What the peer told for replication.
    pub peer: PeerFacts,
    /// The epoch that INFO last told this peer; 0: that there is no history.
    pub told_epoch: Option<u64>,
    /// What is kept of the log for the replica that this peer is to become.
    pub reserved: Option<Reserved>,
    /// The log position of its last write, for WAIT.
    pub last_write: u64,
    /// What it wants of durability.
    pub acks: SessionAcks,
    /// The clock of the current batch, unix ms.
    pub now_ms: i64,
    /// Settings as of the current batch.
    pub settings: Arc<Settings>,
    /// Figures of the current batch.
    pub counts: Counts,
    /// Commands run in the current batch.
    pub batch_commands: u64,
    /// What they were and cost.
    pub tally: Tally,
    /// A command of it that is still to be answered.
    pub waiting: Option<Waiting>,
    /// The number of the last command in the registry.
    pub last_command: usize,
    /// Randomness of its own.
    pub rng: Rng,
    /// Effects of the command at hand; empty between commands.
    pub effects: Effects,
    /// Keys that the command at hand found past their time; empty between commands.
    pub past_due: Vec<PastDue>,
    /// Events of the command at hand stand in line.
    pub events_lined_up: bool,
}

impl Session {
    /// The state of a fresh connection, which is the server's own until somebody is said to be at its other end.
    pub fn new(info: Arc<ClientInfo>, settings: Arc<Settings>, authenticated: bool) -> Session {
        Session {
            info,
            db: 0,
            resp3: false,
            authenticated,
            user: SessionUser::server(),
            transaction: None,
            watches: Watches::default(),
            no_touch: false,
            reply_mode: ReplyMode::On,
            subscriptions: None,
            tracking: None,
            bits: 0,
            peer: PeerFacts::default(),
            told_epoch: None,
            reserved: None,
            last_write: 0,
            acks: SessionAcks::default(),
            now_ms: 0,
            settings,
            counts: Counts::default(),
            batch_commands: 0,
            tally: Tally::default(),
            waiting: None,
            last_command: usize::MAX,
            rng: Rng::from_os(),
            effects: Effects::default(),
            past_due: Vec::new(),
            events_lined_up: false,
        }
    }

    /// The address that the peer announces as a replica, or the one it comes from.
    pub fn peer_host(&self) -> String {
        match self.peer.ip_address.is_empty() {
            true => self.info.addr.host(),
            false => self.peer.ip_address.clone(),
        }
    }

    /// Makes it that of a client that has said nothing yet.
    pub fn be_newcomer(&mut self, acl: &Acl) {
        let (user, is_open) = acl.of_newcomer();
        self.authenticated = is_open;
        self.be(user);
    }

    /// Makes it that of a user who has given the right password.
    pub fn log_in(&mut self, user: SessionUser) {
        self.authenticated = true;
        self.be(user);
    }

    fn be(&mut self, user: SessionUser) {
        *self.info.user.lock() = user.user().cloned();
        self.user = user;
    }

    /// A session with the same view (database, protocol, clock), for work that outlives the command.
    pub fn for_walk(&self) -> Session {
        let fresh = Session::new(self.info.clone(), self.settings.clone(), self.authenticated);
        Session { db: self.db, resp3: self.resp3, now_ms: self.now_ms, ..fresh }
    }
}
