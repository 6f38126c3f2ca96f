//! What a handler sees: its database, the locked shards, the clock, the reply and the effects.
//!
//! Handlers are synchronous and pure: time and randomness come from here, nothing blocks, and all that a
//! command changes goes through these methods, which keep WATCH, blocked clients, expiry and the log right.

use super::effect::Effects;
use super::error::CommandError;
use super::events::{EventClass, WantedEvents};
use super::table::{Block, CommandResult, Outcome, TimeoutReply};
use crate::base::random::Rng;
use crate::keyspace::freeing::{LAZY_FREE_EFFORT, free_later};
use crate::keyspace::{Entry, Keyspace, Locked, Shard, ValueRef};
use crate::resp::reply::Reply;
use crate::value::{Limits, List, Set, Stream, Value, ZSet, hash_bytes};

/// Settings that handlers read.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Encoding thresholds.
    pub limits: Limits,
    /// The access field counts frequency (LFU) instead of time (LRU).
    pub lfu: bool,
    /// `lfu-log-factor`.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time`, minutes.
    pub lfu_decay_time_min: u32,
    /// Expired keys are logged as UNLINK instead of DEL (`lazyfree-lazy-expire`).
    pub lazy_expire: bool,
    /// Where a command's outcome is that its key goes, that is logged as UNLINK (`lazyfree-lazy-server-del`).
    pub lazy_server_del: bool,
    /// DEL behaves as UNLINK (`lazyfree-lazy-user-del`).
    pub lazy_user_del: bool,
    /// FLUSHALL and FLUSHDB without a word free lazily (`lazyfree-lazy-user-flush`).
    pub lazy_user_flush: bool,
    /// Small integers are said to be shared, as Redis shares them where no policy needs to know when each was used.
    pub shared_integers: bool,
    /// Largest bulk string, bytes (`proto-max-bulk-len`).
    pub max_bulk_bytes: usize,
    /// Checksums of snapshots and DUMP payloads are looked at; tests of damage have their own ideas of them.
    pub verify_checksums: bool,
    /// Which events are collected.
    pub events: WantedEvents,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            limits: Limits::default(),
            lfu: false,
            lfu_log_factor: 10,
            lfu_decay_time_min: 1,
            lazy_expire: false,
            lazy_server_del: false,
            lazy_user_del: false,
            lazy_user_flush: false,
            shared_integers: true,
            max_bulk_bytes: 512 * 1024 * 1024,
            verify_checksums: true,
            events: WantedEvents::default(),
        }
    }
}

/// What an expired key means to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryMode {
    /// Remove it and log the removal: a primary's client.
    Delete,
    /// Treat it as absent and leave it: a replica's client.
    Hide,
    /// Treat it as present: effects from the primary or a log, which says itself when a key goes.
    Ignore,
}

/// Figures that commands add up, handed to the server's statistics after each batch.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    /// Lookups by reading commands that found the key.
    pub hits: u64,
    /// Lookups by reading commands that did not.
    pub misses: u64,
    /// Keys removed because their time had come.
    pub expired: u64,
    /// Fields of hashes removed because their time had come.
    pub expired_fields: u64,
    /// Changes to the data set (`rdb_changes_since_last_save`).
    pub changes: u64,
    /// Everything was flushed.
    pub flushed: bool,
}

/// A key that blocked clients wait for and that became ready: database and name.
pub type ReadyKey = (u32, Box<[u8]>);

/// A key that was found past its time: database and name.
pub type PastDue = (u32, Box<[u8]>);

/// Most of them that one command leaves to be removed.
const PAST_DUE_MAX: usize = 1_000;

/// Everything a handler may use. `'k` is the borrow of the keyspace.
pub struct Context<'a, 'k> {
    /// The selected database.
    pub db: u32,
    /// The command's clock: unix time in ms, the same throughout a command, transaction or script.
    pub now_ms: i64,
    /// The keyspace, for walks that take one shard at a time.
    pub keyspace: &'k Keyspace,
    /// The shards this command holds.
    pub keys: &'a mut Locked<'k>,
    /// Where the reply goes.
    pub reply: Reply<'a>,
    /// Where the effects go.
    pub effects: &'a mut Effects,
    /// Settings.
    pub settings: &'a Settings,
    /// Randomness.
    pub rng: &'a mut Rng,
    /// Figures.
    pub counts: &'a mut Counts,
    /// Reading a key leaves its access field alone (CLIENT NO-TOUCH).
    pub no_touch: bool,
    /// Awaited keys that became ready.
    pub ready: &'a mut Vec<ReadyKey>,
    /// Keys that were found past their time by a command that holds no lock: to be removed after it.
    pub past_due: &'a mut Vec<PastDue>,
    /// How expired keys are seen.
    pub expiry: ExpiryMode,
    /// Whether the client may be made to wait.
    pub may_block: bool,
    /// The hash that dispatch took of the first key, so that it is not taken again: the key's address and
    /// length, and the hash.
    pub first_hash: (usize, usize, u64),
    /// Changes made by this command.
    pub dirty: u64,
    /// The command said itself what to log (perhaps nothing).
    pub logged: bool,
}

impl<'a, 'k> Context<'a, 'k> {
    /// The hash of a key; taken from dispatch where it is the very key that dispatch hashed.
    #[inline]
    pub(super) fn hash_of(&self, key: &[u8]) -> u64 {
        let (address, len, hash) = self.first_hash;
        if key.as_ptr().addr() == address && key.len() == len && len > 0 {
            return hash;
        }
        hash_bytes(key)
    }

    /// The access field of a key that is touched now.
    fn touched_access(&mut self, old: u32) -> u32 {
        if self.settings.lfu {
            super::access::lfu_touch(old, self.now_ms, self.settings, self.rng)
        } else {
            super::access::lru_now(self.now_ms)
        }
    }

    /// The access field of a key that is about to be set: the clock (LRU), or the counter it had, one access
    /// on (LFU).
    #[inline]
    pub(super) fn access_for_set(&mut self, db: u32, hash: u64, key: &[u8]) -> u32 {
        if !self.settings.lfu {
            return super::access::lru_now(self.now_ms);
        }
        match self.keys.shard(hash).db(db).get(hash, key).map(Entry::access) {
            Some(old) => self.touched_access(old),
            None => self.fresh_access(),
        }
    }

    pub(super) fn fresh_access(&self) -> u32 {
        if self.settings.lfu {
            super::access::lfu_fresh(self.now_ms)
        } else {
            super::access::lru_now(self.now_ms)
        }
    }

    #[inline]
    pub(super) fn is_expired(&self, entry: &Entry) -> bool {
        self.expiry != ExpiryMode::Ignore && entry.expire_at_ms().is_some_and(|at| at < self.now_ms)
    }

    /// The live entry of a key, with no effect on its access field or on statistics.
    /// Several may be held at once. An expired key counts as absent.
    pub fn peek(&self, key: &[u8]) -> Option<&Entry> {
        self.peek_in(self.db, key)
    }

    /// As [`Context::peek`], in another database.
    pub fn peek_in(&self, db: u32, key: &[u8]) -> Option<&Entry> {
        let hash = self.hash_of(key);
        let entry = self.keys.shard(hash).db(db).get(hash, key)?;
        (!self.is_expired(entry)).then_some(entry)
    }

    /// Removes the key if it has expired (as [`ExpiryMode`] says); call it for each key before
    /// [`Context::peek`]ing at several.
    pub fn expire_if_due(&mut self, key: &[u8]) {
        self.expire_if_due_in(self.db, key);
    }

    /// As [`Context::expire_if_due`], in another database.
    pub fn expire_if_due_in(&mut self, db: u32, key: &[u8]) {
        let hash = self.hash_of(key);
        let entry = self.keys.shard(hash).db(db).get(hash, key);
        if entry.is_some_and(|entry| self.is_expired(entry)) {
            self.drop_expired(db, hash, key);
        }
    }

    /// Would a change of the key have to show a snapshot that is being taken all of a heavy value? A reading command then
    /// leaves alone what has expired; the periodic work removes it.
    #[cold]
    pub(super) fn is_held(&self, db: u32, hash: u64, key: &[u8]) -> bool {
        self.keys.shard(hash).db(db).is_held(hash, key)
    }

    /// Has a key removed that was met past its time: at once where this command holds it, else after the command. Whoever
    /// removes it looks at it again.
    pub fn met_expired(&mut self, key: Box<[u8]>) {
        if !self.keys.is_none() {
            self.expire_if_due(&key);
        } else if self.expiry == ExpiryMode::Delete && self.past_due.len() < PAST_DUE_MAX {
            self.past_due.push((self.db, key));
        }
    }

    #[cold]
    pub(super) fn drop_expired(&mut self, db: u32, hash: u64, key: &[u8]) {
        if self.expiry != ExpiryMode::Delete {
            return;
        }
        let shard = self.keys.shard_mut(hash);
        if let Some(entry) = shard.db_mut(db).remove(hash, key) {
            shard.touched(db, key);
            if entry.is_stream() {
                self.note_ready(db, hash, key);
            }
            release(entry);
            self.counts.expired += 1;
            self.tell_in(db, EventClass::Expired, "expired", key);
            let word: &[u8] = if self.settings.lazy_expire { b"UNLINK" } else { b"DEL" };
            self.effects.push(db, &[word, key]);
        }
    }

    /// The live entry of a key, touched (LRU/LFU) but not counted as hit or miss.
    #[inline]
    pub fn lookup(&mut self, key: &[u8]) -> Option<&Entry> {
        self.find_live::<false>(key).map(|entry| &*entry)
    }

    /// As [`Context::lookup`], for changing the entry: a snapshot that is being taken keeps what it was.
    #[inline]
    pub fn lookup_mut(&mut self, key: &[u8]) -> Option<&mut Entry> {
        self.find_live::<true>(key)
    }

    #[inline]
    fn find_live<const CHANGES: bool>(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let hash = self.hash_of(key);
        let db = self.db;
        let now_access = if self.settings.lfu { None } else { Some(super::access::lru_now(self.now_ms)) };
        let slice = self.keys.shard_mut(hash).db_mut(db);
        let entry: *mut Entry =
            if CHANGES { slice.get_mut(hash, key)? } else { slice.get_for_access(hash, key)? };
        // SAFETY: the pointer comes from a unique borrow of self.keys that lives as long as self; it is
        // turned back into a borrow of self on each way out, and not used after drop_expired. (The borrow
        // checker cannot yet see that the early return ends the loan.)
        let entry = unsafe { &mut *entry };
        if self.is_expired(entry) {
            if CHANGES || !self.is_held(db, hash, key) {
                self.drop_expired(db, hash, key);
            }
            return None;
        }
        if self.no_touch {
            return Some(entry);
        }
        let access = match now_access {
            Some(access) => access,
            None => self.touched_access(entry.access()),
        };
        if entry.access() != access {
            entry.set_access(access);
        }
        Some(entry)
    }

    /// The live entry of a key for a reading command: touched, and counted as hit or miss.
    #[inline]
    pub fn read(&mut self, key: &[u8]) -> Option<&Entry> {
        // Counted before the borrow: an entry that lookup returns is always a hit.
        self.counts.hits += 1;
        let this: *mut Self = self;
        // SAFETY: this is self, which is not used otherwise from here on. It is borrowed again only where the look-up lent
        // nothing out. (The borrow checker cannot yet see that the other way ends the loan.)
        match unsafe { &mut *this }.lookup(key) {
            Some(entry) => Some(entry),
            None => {
                // SAFETY: as above.
                let this = unsafe { &mut *this };
                this.counts.hits -= 1;
                this.counts.misses += 1;
                this.tell(EventClass::KeyMiss, "keymiss", key);
                None
            }
        }
    }

    /// The value at a key for a reading command, together with the reply to write it to: the way to copy a
    /// value straight into the connection's buffer.
    #[inline]
    pub fn read_with_reply(&mut self, key: &[u8]) -> (Option<ValueRef<'_>>, &mut Reply<'a>) {
        let reply: *mut Reply<'a> = &raw mut self.reply;
        let value = self.read(key).map(Entry::value);
        // SAFETY: the value borrows from the shards behind `self.keys` and nothing in `self.reply`, which
        // `read` does not touch; both borrows end with this borrow of self.
        (value, unsafe { &mut *reply })
    }

    /// A string for reading; refuses other types.
    #[inline]
    pub fn read_string(&mut self, key: &[u8]) -> Result<Option<ValueRef<'_>>, CommandError> {
        match self.read(key).map(Entry::value) {
            Some(ValueRef::Object(_)) => Err(CommandError::WrongType),
            other => Ok(other),
        }
    }

    /// Says that `key` changed: counts a change and wakes its watchers. The caller changed it already.
    #[inline]
    pub fn modified(&mut self, key: &[u8]) {
        self.modified_in(self.db, key);
    }

    /// As [`Context::modified`], in another database.
    pub fn modified_in(&mut self, db: u32, key: &[u8]) {
        self.dirty += 1;
        let hash = self.hash_of(key);
        self.keys.shard_mut(hash).touched(db, key);
    }

    /// Sets a string, adding the key or replacing whatever it held. Counts as a change.
    #[inline]
    pub fn set_string(&mut self, key: &[u8], bytes: &[u8], expire_at_ms: Option<i64>) {
        let hash = self.hash_of(key);
        let db = self.db;
        if !self.settings.events.is_none() {
            self.tell_before_set(db, hash, key);
        }
        let access = self.access_for_set(db, hash, key);
        let shard = self.keys.shard_mut(hash);
        let (old, _) = shard.db_mut(db).set_string(hash, key, bytes, expire_at_ms, access);
        shard.touched(db, key);
        self.dirty += 1;
        if let Some(Value::Stream(_)) = old {
            self.note_ready(db, hash, key);
        }
        if let Some(old) = old {
            release_value(old);
        }
    }

    /// Sets any value, adding the key or replacing whatever it held. Counts as a change and wakes clients
    /// blocked on the key.
    pub fn set_value(&mut self, key: &[u8], value: Value, expire_at_ms: Option<i64>) {
        self.set_value_in(self.db, key, value, expire_at_ms);
    }

    /// As [`Context::set_value`], in another database.
    pub fn set_value_in(&mut self, db: u32, key: &[u8], value: Value, expire_at_ms: Option<i64>) {
        let hash = self.hash_of(key);
        if !self.settings.events.is_none() {
            self.tell_before_set(db, hash, key);
        }
        let access = self.access_for_set(db, hash, key);
        let shard = self.keys.shard_mut(hash);
        let (old, _) = shard.db_mut(db).set_value(hash, key, value, expire_at_ms, access);
        shard.touched(db, key);
        self.dirty += 1;
        self.note_ready(db, hash, key);
        if let Some(old) = old {
            release_value(old);
        }
    }

    /// Tells that a key comes to be where one is about to be set, after an expired one has gone.
    #[cold]
    pub(super) fn tell_before_set(&mut self, db: u32, hash: u64, key: &[u8]) {
        self.expire_if_due_in(db, key);
        if self.keys.shard(hash).db(db).get(hash, key).is_none() {
            self.tell_in(db, EventClass::New, "new", key);
        }
    }

    /// Tells those who subscribe to that what happened to a key. Nothing is kept where nobody wants to know.
    #[inline]
    pub fn tell(&mut self, class: EventClass, name: &'static str, key: &[u8]) {
        self.tell_in(self.db, class, name, key);
    }

    /// As [`Context::tell`], in another database.
    #[inline]
    pub fn tell_in(&mut self, db: u32, class: EventClass, name: &'static str, key: &[u8]) {
        if self.settings.events.wants(class) {
            self.effects.tell(db, name, key);
        }
    }

    /// If blocked clients wait for `key`, has them tried after this command. Called when a key comes to hold something,
    /// and when a stream goes, which ends the waiting of its groups' readers.
    pub(super) fn note_ready(&mut self, db: u32, hash: u64, key: &[u8]) {
        if self.keys.shard(hash).is_awaited(db, key) {
            self.ready.push((db, key.into()));
        }
    }

    /// Removes a key; its entry comes back (expired keys count as absent). Counts as a change.
    /// Give a big entry to [`release`].
    pub fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let hash = self.hash_of(key);
        let db = self.db;
        let entry = self.keys.shard(hash).db(db).get(hash, key)?;
        if self.is_expired(entry) {
            self.drop_expired(db, hash, key);
            return None;
        }
        let shard = self.keys.shard_mut(hash);
        let entry = shard.db_mut(db).remove(hash, key)?;
        shard.touched(db, key);
        self.dirty += 1;
        if entry.is_stream() {
            self.note_ready(db, hash, key);
        }
        Some(entry)
    }

    /// Sets or clears the expiry of a live key; false if there is none. Does not count as a change.
    pub fn set_expiry(&mut self, key: &[u8], expire_at_ms: Option<i64>) -> bool {
        let hash = self.hash_of(key);
        self.keys.shard_mut(hash).db_mut(self.db).set_expiry(hash, key, expire_at_ms)
    }

    /// Runs `with` on one shard by index: the held one where this command holds all, else a lock taken
    /// for the call. Only for commands that hold all shards or none.
    pub fn with_shard<R>(&mut self, index: usize, with: impl FnOnce(&mut Shard) -> R) -> R {
        if self.keys.is_none() {
            return with(&mut self.keyspace.lock_shard(index));
        }
        debug_assert!(self.keys.is_all());
        with(self.keys.shard_mut(crate::keyspace::db::shard_start(index)))
    }

    /// Logs this command in place of the one the client sent. May be called several times.
    pub fn log(&mut self, args: &[&[u8]]) {
        self.effects.push(self.db, args);
        self.logged = true;
    }

    /// Logs that this command's outcome was that the key went.
    pub fn log_removal(&mut self, key: &[u8]) {
        let word: &[u8] = if self.settings.lazy_server_del { b"UNLINK" } else { b"DEL" };
        self.log(&[word, key]);
    }

    /// As [`Context::log`], in another database.
    pub fn log_in(&mut self, db: u32, args: &[&[u8]]) {
        self.effects.push(db, args);
        self.logged = true;
    }

    /// Logs nothing for this command although it changed something that replicas need not know.
    pub fn log_nothing(&mut self) {
        self.logged = true;
    }

    /// Ends a blocking command that found nothing: waits for one of `keys`, or, where the client may not
    /// be made to wait, answers as a time-out would. `timeout_ms` 0 waits for ever.
    pub fn block(&mut self, keys: &[&[u8]], timeout_ms: u64, on_timeout: TimeoutReply) -> CommandResult {
        if !self.may_block {
            match on_timeout {
                TimeoutReply::Null => self.reply.null(),
                TimeoutReply::NullArray => self.reply.null_array(),
            }
            return Ok(Outcome::Done);
        }
        let keys = keys.iter().map(|key| Box::from(*key)).collect();
        let timeout_ms = (timeout_ms > 0).then_some(timeout_ms);
        Ok(Outcome::Block(Block { keys, command: None, timeout_ms, on_timeout }))
    }

    /// As [`Context::block`], with other arguments of the command to be run when a key becomes ready.
    pub fn block_as(
        &mut self,
        args: Vec<Box<[u8]>>,
        keys: &[&[u8]],
        timeout_ms: u64,
        on_timeout: TimeoutReply,
    ) -> CommandResult {
        Ok(match self.block(keys, timeout_ms, on_timeout)? {
            Outcome::Block(block) => Outcome::Block(Block { command: Some(args), ..block }),
            other => other,
        })
    }

    /// Has clients that wait for `key` tried after this command.
    pub fn key_is_ready(&mut self, key: &[u8]) {
        let hash = self.hash_of(key);
        self.note_ready(self.db, hash, key);
    }
}

/// Frees an entry: here if that is cheap, on the freeing thread if it holds many allocations.
pub fn release(entry: Entry) {
    if let ValueRef::Object(value) = entry.value()
        && value.estimated_free_effort() > LAZY_FREE_EFFORT
    {
        return free_later(entry);
    }
    drop(entry);
}

/// As [`release`], for a value.
pub fn release_value(value: Value) {
    if value.estimated_free_effort() > LAZY_FREE_EFFORT {
        free_later(value);
    }
}

macro_rules! typed_access {
    ($read:ident, $with_reply:ident, $get_mut:ident, $or_new:ident, $peek:ident, $variant:ident, $type:ty, $what:literal) => {
        impl<'a, 'k> Context<'a, 'k> {
            #[doc = concat!("The ", $what, " at a key for a reading command; refuses other types.")]
            pub fn $read(&mut self, key: &[u8]) -> Result<Option<&$type>, CommandError> {
                match self.read(key).map(Entry::value) {
                    None => Ok(None),
                    Some(ValueRef::Object(Value::$variant(it))) => Ok(Some(it)),
                    Some(_) => Err(CommandError::WrongType),
                }
            }

            #[doc = concat!("The ", $what, " at a key for a reading command, together with the reply to write it to;")]
            /// refuses other types.
            pub fn $with_reply(
                &mut self,
                key: &[u8],
            ) -> Result<(Option<&$type>, &mut Reply<'a>), CommandError> {
                match self.read_with_reply(key) {
                    (None, reply) => Ok((None, reply)),
                    (Some(ValueRef::Object(Value::$variant(it))), reply) => Ok((Some(it), reply)),
                    _ => Err(CommandError::WrongType),
                }
            }

            #[doc = concat!("The ", $what, " at a key, untouched and shared; refuses other types.")]
            pub fn $peek(&self, key: &[u8]) -> Result<Option<&$type>, CommandError> {
                match self.peek(key).map(Entry::value) {
                    None => Ok(None),
                    Some(ValueRef::Object(Value::$variant(it))) => Ok(Some(it)),
                    Some(_) => Err(CommandError::WrongType),
                }
            }

            #[doc = concat!("The ", $what, " at a key for changing in place; refuses other types. After a change call")]
            /// [`Context::modified`]; after a removal also [`Context::remove_if_empty`].
            pub fn $get_mut(&mut self, key: &[u8]) -> Result<Option<&mut $type>, CommandError> {
                match self.lookup_mut(key) {
                    None => Ok(None),
                    Some(entry) => match entry.object_mut() {
                        Some(Value::$variant(it)) => Ok(Some(it)),
                        _ => Err(CommandError::WrongType),
                    },
                }
            }

            #[doc = concat!("As the `_mut` form, adding an empty ", $what, " where the key is absent (and waking")]
            /// clients blocked on it). The caller puts something in, or calls [`Context::remove_if_empty`].
            pub fn $or_new(&mut self, key: &[u8]) -> Result<&mut $type, CommandError> {
                let found: Option<*mut Entry> = self.lookup_mut(key).map(std::ptr::from_mut);
                let entry: *mut Entry = match found {
                    Some(entry) => entry,
                    None => {
                        let hash = self.hash_of(key);
                        let db = self.db;
                        self.note_ready(db, hash, key);
                        self.tell(EventClass::New, "new", key);
                        let mut entry = Entry::new(key, Value::$variant(<$type>::new()), None);
                        entry.set_access(self.fresh_access());
                        self.keys.shard_mut(hash).db_mut(db).insert(hash, entry)
                    }
                };
                // SAFETY: either way the pointer comes from a unique borrow of self.keys, nothing was touched
                // since, and it is turned back into a borrow of self. (The borrow checker cannot yet see that
                // the two ways exclude each other.)
                let entry = unsafe { &mut *entry };
                match entry.object_mut() {
                    Some(Value::$variant(it)) => Ok(it),
                    _ => Err(CommandError::WrongType),
                }
            }
        }
    };
}

typed_access!(read_list, read_list_with_reply, list_mut, list_or_new, peek_list, List, List, "list");
typed_access!(read_set, read_set_with_reply, set_mut, set_or_new, peek_set, Set, Set, "set");
typed_access!(read_zset, read_zset_with_reply, zset_mut, zset_or_new, peek_zset, ZSet, ZSet, "sorted set");
typed_access!(
    read_stream,
    read_stream_with_reply,
    stream_mut,
    stream_or_new,
    peek_stream,
    Stream,
    Stream,
    "stream"
);

impl Context<'_, '_> {
    /// Removes the key if it holds an empty collection, and tells that. Does not count as a further change.
    pub fn remove_if_empty(&mut self, key: &[u8]) -> bool {
        let hash = self.hash_of(key);
        let db = self.keys.shard_mut(hash).db_mut(self.db);
        let is_empty = match db.get(hash, key).map(Entry::value) {
            Some(ValueRef::Object(value)) => value.is_empty_collection(),
            _ => false,
        };
        if is_empty {
            db.remove(hash, key);
            self.tell(EventClass::Generic, "del", key);
        }
        is_empty
    }
}
