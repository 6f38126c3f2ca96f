//! One shard: its slice of every database, and who watches or waits for its keys.

use super::db::Db;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

type DbKey = (u32, Box<[u8]>);

/// A slice of the keyspace behind one lock.
pub struct Shard {
    dbs: Vec<Db>,
    /// WATCHed keys: the flags to raise when the key changes.
    watched: HashMap<DbKey, Vec<Arc<AtomicBool>>>,
    /// Keys that blocked clients wait for, with the number of waits.
    awaited: HashMap<DbKey, usize>,
}

impl Shard {
    /// An empty shard of `databases` databases.
    pub fn new(databases: u32) -> Shard {
        let dbs = (0..databases).map(|_| Db::default()).collect();
        Shard { dbs, watched: HashMap::new(), awaited: HashMap::new() }
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

    /// Takes a database's slice out and leaves an empty one.
    pub fn take_db(&mut self, db: u32) -> Db {
        std::mem::take(&mut self.dbs[db as usize])
    }

    /// Puts a slice in place of another.
    pub fn put_db(&mut self, db: u32, slice: Db) -> Db {
        std::mem::replace(&mut self.dbs[db as usize], slice)
    }

    /// Swaps two databases' slices.
    pub fn swap_dbs(&mut self, a: u32, b: u32) {
        self.dbs.swap(a as usize, b as usize);
    }

    /// Asks that `flag` be raised when the key changes.
    pub fn watch(&mut self, db: u32, key: &[u8], flag: &Arc<AtomicBool>) {
        self.watched.entry((db, key.into())).or_default().push(flag.clone());
    }

    /// Takes a watch back.
    pub fn unwatch(&mut self, db: u32, key: &[u8], flag: &Arc<AtomicBool>) {
        let slot = (db, Box::from(key));
        if let Some(flags) = self.watched.get_mut(&slot) {
            flags.retain(|f| !Arc::ptr_eq(f, flag));
            if flags.is_empty() {
                self.watched.remove(&slot);
            }
        }
    }

    /// Raises the flags of those who watch a key that changed.
    #[inline]
    pub fn touched(&self, db: u32, key: &[u8]) {
        if !self.watched.is_empty() {
            self.raise(db, key);
        }
    }

    #[cold]
    fn raise(&self, db: u32, key: &[u8]) {
        for flag in self.watched.get(&(db, Box::from(key))).into_iter().flatten() {
            flag.store(true, Ordering::Release);
        }
    }

    /// Raises the flags of every watched key of `db` for which `changed` says so; for commands that
    /// replace a whole database.
    pub fn touched_all(&self, db: u32, changed: impl Fn(&Shard, &[u8]) -> bool) {
        for ((watched_db, key), flags) in &self.watched {
            if *watched_db == db && changed(self, key) {
                flags.iter().for_each(|flag| flag.store(true, Ordering::Release));
            }
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
