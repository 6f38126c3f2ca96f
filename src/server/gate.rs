//! The gate every command passes: one atomic word that is zero on a healthy primary, so that the common
//! case costs one load; each bit names a state in which some commands are refused.

use super::session::Session;
use crate::command::registry::full_name;
use crate::command::table::{Command, flags};
use crate::replication::fences::Fences;
use parking_lot::RwLock;
use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, Ordering};

/// The bits of the gate.
pub mod bits {
    /// Up, but serving could lose or contradict history.
    pub const FENCED: u32 = 1;
    /// Loading a data set.
    pub const LOADING: u32 = 1 << 1;
    /// A replica that refuses writes of clients.
    pub const READ_ONLY: u32 = 1 << 2;
    /// A replica whose link is down and that may not serve stale data.
    pub const STALE: u32 = 1 << 3;
    /// The default user needs a password, or may not log in.
    pub const PASSWORD: u32 = 1 << 4;
    /// Fewer good replicas than `min-replicas-to-write`.
    pub const FEW_REPLICAS: u32 = 1 << 5;
    /// Memory use is above `maxmemory`.
    pub const MEMORY: u32 = 1 << 6;
    /// The last snapshot or append failed and `stop-writes-on-bgsave-error` is on.
    pub const DISK: u32 = 1 << 7;
    /// This node is a replica (whether or not it takes writes).
    pub const REPLICA: u32 = 1 << 8;
    /// Shutting down: no more writes.
    pub const CLOSING: u32 = 1 << 9;
    /// CLIENT PAUSE: connections hold some commands back; nothing expires meanwhile.
    pub const PAUSED: u32 = 1 << 10;
    /// The memory in use is to be looked at before the next command that needs some.
    pub const MEMORY_DUE: u32 = 1 << 11;
    /// Somebody asks for durable acks: writes note their positions. Refuses nothing.
    pub const TRACKED: u32 = 1 << 12;
    /// A snapshot for a full sync is being taken: a write to a heavy value may have to wait. Refuses nothing.
    pub const SYNCING: u32 = 1 << 13;
    /// This node was told to append, and does: replies wait until its own file has what they tell of. Refuses nothing.
    pub const APPENDED: u32 = 1 << 14;
    /// This node was told to append, and its disk fails.
    pub const FILE_BROKEN: u32 = 1 << 15;
    /// Somebody monitors. Refuses nothing.
    pub const MONITORED: u32 = 1 << 16;
    /// Of a session: others push to it. Refuses nothing.
    pub const PUSHED_TO: u32 = 1 << 17;
    /// Of a session: it has subscribed to something and speaks RESP2, which cannot tell a message from a reply.
    pub const SUBSCRIBED: u32 = 1 << 18;
    /// Of a session: it monitors.
    pub const MONITORING: u32 = 1 << 19;
    /// Some client tracks keys (CLIENT TRACKING). Refuses nothing.
    pub const KEYS_CACHED: u32 = 1 << 20;
    /// Bits that refuse nothing.
    pub const HARMLESS: u32 = TRACKED | SYNCING | APPENDED | MONITORED | PUSHED_TO | KEYS_CACHED;
    /// States in which the node removes nothing by itself, neither what has expired nor what is to be evicted: another node
    /// decides, or nothing may change. All change under all locks, so that a look under any lock is good until that is let go.
    pub const NO_REMOVALS: u32 = REPLICA | FENCED | LOADING | PAUSED;
}

/// The state of the gate.
#[derive(Default)]
pub struct Gate {
    word: AtomicU32,
    fences: RwLock<Fences>,
}

impl Gate {
    /// Sets or clears a bit.
    pub fn set(&self, bit: u32, on: bool) {
        if on {
            self.word.fetch_or(bit, Ordering::AcqRel);
        } else {
            self.word.fetch_and(!bit, Ordering::AcqRel);
        }
    }

    /// True when any of the bits is set.
    #[inline]
    pub fn has(&self, bits: u32) -> bool {
        self.word.load(Ordering::Acquire) & bits != 0
    }

    /// Puts fences up or takes them down. Where writes must have ended with it, the caller holds all shards.
    pub fn change_fences<R>(&self, change: impl FnOnce(&mut Fences) -> R) -> R {
        let mut fences = self.fences.write();
        let outcome = change(&mut fences);
        self.set(bits::FENCED, fences.is_fenced());
        outcome
    }

    /// The node has no history yet, and why.
    pub fn fence_without_history(&self, reason: String) {
        self.change_fences(|fences| fences.no_history = Some(reason));
    }

    /// Why the node is fenced.
    pub fn fences(&self) -> Fences {
        self.fences.read().clone()
    }

    /// The error for a command that may not pass; `None` lets it pass.
    #[inline]
    pub fn refuse(&self, session: &Session, command: &Command) -> Option<Cow<'static, str>> {
        let word = (self.word.load(Ordering::Acquire) | session.bits) & !bits::HARMLESS;
        if word == 0 { None } else { self.refuse_slow(word, session, command) }
    }

    #[cold]
    fn refuse_slow(&self, word: u32, session: &Session, command: &Command) -> Option<Cow<'static, str>> {
        let has = |bit: u32| word & bit != 0;
        let data = command.has(flags::WRITE) || command.has(flags::READONLY);
        let syncs = matches!(command.name, "psync" | "sync");
        if has(bits::PASSWORD) && !session.authenticated && !command.has(flags::NO_AUTH) {
            return Some("NOAUTH Authentication required.".into());
        }
        if has(bits::SUBSCRIBED) && !serves_subscribers(command) {
            return Some(not_for_subscribers(command).into());
        }
        if has(bits::MONITORING) && (data || command.has(flags::MAY_REPLICATE)) {
            return Some("ERR Replica can't interact with the keyspace".into());
        }
        if has(bits::LOADING) && !command.has(flags::LOADING) {
            return Some("LOADING Redis is loading the dataset in memory".into());
        }
        if has(bits::FENCED) && (data || syncs) {
            return Some(format!("FENCED {}", self.fences.read().refusal()).into());
        }
        // A sync hands on a history with its place, which is no answer that could be stale; and a primary that lost its
        // memory can have it from nobody else.
        if has(bits::STALE) && !command.has(flags::STALE) && !syncs {
            let text = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
            return Some(text.into());
        }
        if !command.has(flags::WRITE) {
            return None;
        }
        if has(bits::CLOSING) {
            return Some("ERR the server is shutting down and takes no more writes".into());
        }
        if has(bits::READ_ONLY) {
            return Some("READONLY You can't write against a read only replica.".into());
        }
        if has(bits::FEW_REPLICAS) {
            return Some("NOREPLICAS Not enough good replicas to write.".into());
        }
        if has(bits::DISK) {
            let text = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to \
                        persist to disk. Commands that may modify the data set are disabled, because this \
                        instance is configured to report errors during writes if RDB snapshotting fails \
                        (stop-writes-on-bgsave-error option). Please check the Redis logs for details about \
                        the RDB error.";
            return Some(text.into());
        }
        if has(bits::FILE_BROKEN) {
            return Some(
                "MISCONF Errors writing to the AOF file: INFO persistence and the log tell which".into(),
            );
        }
        if has(bits::MEMORY) && command.has(flags::DENYOOM) {
            return Some("OOM command not allowed when used memory > 'maxmemory'.".into());
        }
        None
    }
}

/// May a RESP2 client that has subscribed to something run it?
fn serves_subscribers(command: &Command) -> bool {
    let family = command.has(flags::PUBSUB) && command.name.ends_with("subscribe");
    family || matches!(command.name, "ping" | "quit" | "reset")
}

fn not_for_subscribers(command: &Command) -> String {
    let name = full_name(command);
    format!(
        "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
         this context"
    )
}
