//! One shard: its slice of every database, and who watches or waits for its keys.

use super::db::Db;
use super::entry::Entry;
use crate::value::hash_bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

type DbKey = (u32, Box<[u8]>);

/// Who hears of changes of keys, whatever makes them. It is called with locks of shards held, and must take none itself.
pub trait Observer: Send + Sync {
    /// A key, of whatever database, has changed or gone. Its shard is held.
    fn changed(&self, key: &[u8]);
    /// Any number of keys have changed at once. All shards are held.
    fn everything_changed(&self);
}

/// Somebody who watches a key.
struct Watcher {
    /// Raised when the key changes.
    flag: Arc<AtomicBool>,
    /// The key is there but has expired, and had when it was first looked at. That it goes is no change then.
    stale: Arc<AtomicBool>,
}

/// What is at a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Absent,
    /// Something that has expired.
    Stale,
    /// Something.
    Live,
}

impl Watcher {
    /// The key's database was replaced by another: is that a change of the key?
    fn sees_change(&self, before: Presence, after: Presence) -> bool {
        let was_stale = self.stale.load(Ordering::Acquire);
        if !was_stale && before != Presence::Absent {
            return true;
        }
        self.stale.store(after == Presence::Stale, Ordering::Release);
        after == Presence::Live
    }
}

/// A slice of the keyspace behind one lock.
pub struct Shard {
    dbs: Vec<Db>,
    /// What was flushed or replaced, and is kept for a snapshot that is being taken.
    set_aside: Vec<Db>,
    /// WATCHed keys, and who watches them.
    watched: HashMap<DbKey, Vec<Watcher>>,
    /// Keys that blocked clients wait for, with the number of waits.
    awaited: HashMap<DbKey, usize>,
    observer: Option<Arc<dyn Observer>>,
}

impl Shard {
    /// An empty shard of `databases` databases.
    pub fn new(databases: u32) -> Shard {
        let dbs = (0..databases).map(|_| Db::default()).collect();
        Shard { dbs, set_aside: Vec::new(), watched: HashMap::new(), awaited: HashMap::new(), observer: None }
    }

    /// A database's slice; `db` must be below the number of databases.
    #[inline]
    pub fn db(&self, db: u32) -> &Db {
        &self.dbs[db as usize]
    }

    /// As [`Shard::db`], mutably.
    #[inline]
    pub fn db_mut(&mut self, db: u32) -> &mut Db {
        &mut self.dbs[db as usize]
    }

    /// True when no database holds a key here.
    pub fn is_empty(&self) -> bool {
        self.dbs.iter().all(Db::is_empty)
    }

    /// Takes a database's slice out and leaves an empty one. What a snapshot that is being taken still needs is set aside,
    /// and an empty slice comes back.
    pub fn take_db(&mut self, db: u32) -> Db {
        self.put_db(db, Db::default())
    }

    /// Puts a slice in place of another, which comes back as from [`Shard::take_db`].
    pub fn put_db(&mut self, db: u32, slice: Db) -> Db {
        let old = std::mem::replace(&mut self.dbs[db as usize], slice);
        if old.captured_db().is_none() {
            return old;
        }
        self.set_aside.push(old);
        Db::default()
    }

    /// The slices of all databases, and what is set aside.
    pub(super) fn slices_mut(&mut self) -> impl Iterator<Item = &mut Db> {
        self.dbs.iter_mut().chain(&mut self.set_aside)
    }

    /// Gives up what was set aside and is of no more use.
    pub fn drain_set_aside(&mut self, all: bool) -> Vec<Db> {
        self.set_aside.extract_if(.., |slice| all || slice.captured_db().is_none()).collect()
    }

    /// Swaps two databases' slices.
    pub fn swap_dbs(&mut self, a: u32, b: u32) {
        self.dbs.swap(a as usize, b as usize);
    }

    /// Asks that `flag` be raised when the key changes. `stale` says that the key is there and has expired; it is kept
    /// up to date.
    pub fn watch(&mut self, db: u32, key: &[u8], flag: &Arc<AtomicBool>, stale: &Arc<AtomicBool>) {
        let watcher = Watcher { flag: flag.clone(), stale: stale.clone() };
        self.watched.entry((db, key.into())).or_default().push(watcher);
    }

    /// Takes a watch back.
    pub fn unwatch(&mut self, db: u32, key: &[u8], flag: &Arc<AtomicBool>) {
        let slot = (db, Box::from(key));
        if let Some(watchers) = self.watched.get_mut(&slot) {
            watchers.retain(|watcher| !Arc::ptr_eq(&watcher.flag, flag));
            if watchers.is_empty() {
                self.watched.remove(&slot);
            }
        }
    }

    /// Raises the flags of those who watch a key that changed, and tells the observer.
    #[inline]
    pub fn touched(&self, db: u32, key: &[u8]) {
        if !self.watched.is_empty() {
            self.raise(db, key);
        }
        if let Some(observer) = &self.observer {
            observer.changed(key);
        }
    }

    /// Chooses who hears of changes.
    pub fn observe(&mut self, observer: Option<Arc<dyn Observer>>) {
        self.observer = observer;
    }

    /// Does anybody hear of changes?
    pub fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    pub(super) fn observer(&self) -> Option<&dyn Observer> {
        self.observer.as_deref()
    }

    #[cold]
    fn raise(&self, db: u32, key: &[u8]) {
        for watcher in self.watched.get(&(db, Box::from(key))).into_iter().flatten() {
            let gone = || self.db(db).get(hash_bytes(key), key).is_none();
            if watcher.stale.load(Ordering::Acquire) && gone() {
                watcher.stale.store(false, Ordering::Release);
            } else {
                watcher.flag.store(true, Ordering::Release);
            }
        }
    }

    /// Raises the flags of every watched key of `db` for which `changed` says so; where a whole database is replaced.
    pub fn touched_all(&self, db: u32, changed: impl Fn(&Shard, &[u8]) -> bool) {
        for ((watched_db, key), watchers) in &self.watched {
            if *watched_db == db && changed(self, key) {
                watchers.iter().for_each(|watcher| watcher.flag.store(true, Ordering::Release));
            }
        }
    }

    /// Raises the flags of the watched keys of `db` that change when it is replaced: `presence` tells what is at a key
    /// before and after.
    pub fn replaced(&self, db: u32, presence: impl Fn(&Shard, &[u8]) -> (Presence, Presence)) {
        for ((watched_db, key), watchers) in &self.watched {
            if *watched_db != db {
                continue;
            }
            let (before, after) = presence(self, key);
            for watcher in watchers.iter().filter(|watcher| watcher.sees_change(before, after)) {
                watcher.flag.store(true, Ordering::Release);
            }
        }
    }

    /// What is at a key of one of the databases. Nothing has expired where no time is given.
    pub fn presence(&self, db: u32, key: &[u8], now_ms: Option<i64>) -> Presence {
        match self.db(db).get(hash_bytes(key), key).map(Entry::expire_at_ms) {
            None => Presence::Absent,
            Some(Some(at_ms)) if now_ms.is_some_and(|now_ms| at_ms < now_ms) => Presence::Stale,
            Some(_) => Presence::Live,
        }
    }

    /// Notes that a blocked client waits for a key.
    pub fn await_key(&mut self, db: u32, key: &[u8]) {
        *self.awaited.entry((db, key.into())).or_default() += 1;
    }

    /// Takes such a note back.
    pub fn unawait_key(&mut self, db: u32, key: &[u8]) {
        let slot = (db, Box::from(key));
        if let Some(count) = self.awaited.get_mut(&slot) {
            *count -= 1;
            if *count == 0 {
                self.awaited.remove(&slot);
            }
        }
    }

    /// True when a blocked client waits for the key.
    #[inline]
    pub fn is_awaited(&self, db: u32, key: &[u8]) -> bool {
        !self.awaited.is_empty() && self.awaited.contains_key(&(db, Box::from(key)))
    }

    /// The keys of a database that blocked clients wait for.
    pub fn awaited_keys(&self, db: u32) -> impl Iterator<Item = &[u8]> {
        self.awaited.keys().filter(move |(d, _)| *d == db).map(|(_, key)| &key[..])
    }
}
