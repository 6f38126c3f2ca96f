//! One database's slice in one shard.

use super::entry::Entry;
use super::{SHARD_BITS, SHARD_COUNT, shard_of};
use crate::value::table::Table;
use crate::value::{Value, hash_bytes};

/// The keys of one database that belong to one shard.
pub struct Db {
    table: Table<Entry>,
    /// Keys that carry an expiry.
    expiring: usize,
}

impl Default for Db {
    fn default() -> Self {
        Db { table: Table::new(SHARD_BITS), expiring: 0 }
    }
}

impl Db {
    /// Number of keys, expired ones that were not yet removed included.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True when there is no key.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Number of keys with an expiry.
    pub fn expiring(&self) -> usize {
        self.expiring
    }

    /// The entry of a key, whether or not it has expired.
    #[inline]
    pub fn get(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        self.table.find(hash, |entry| entry.key() == key)
    }

    /// As [`Db::get`], mutably. The expiry is changed only through [`Db::set_expiry`] and its like.
    #[inline]
    pub fn get_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut Entry> {
        self.table.find_mut(hash, |entry| entry.key() == key)
    }

    /// Adds a key that is known to be absent and returns its entry in place.
    pub fn insert(&mut self, hash: u64, entry: Entry) -> &mut Entry {
        let expiry = entry.expire_at_ms();
        self.expiring += usize::from(expiry.is_some());
        self.table.insert_with_hint(hash, entry, expiry.unwrap_or(i64::MAX))
    }

    /// Sets a string value, adding the key or replacing whatever it held, with this access field. Returns
    /// the old value if it was an object, and whether the key is new.
    pub fn set_string(
        &mut self,
        hash: u64,
        key: &[u8],
        bytes: &[u8],
        expire_at_ms: Option<i64>,
        access: u32,
    ) -> (Option<Value>, bool) {
        match self.table.find_mut(hash, |entry| entry.key() == key) {
            Some(entry) => {
                let had = entry.expire_at_ms();
                let old = entry.set_string(bytes, expire_at_ms);
                entry.set_access(access);
                if had != expire_at_ms {
                    self.expiry_changed(hash, had, expire_at_ms);
                }
                (old, false)
            }
            None => {
                let mut entry = Entry::new_string(key, bytes, expire_at_ms);
                entry.set_access(access);
                self.table.insert(hash, entry);
                if expire_at_ms.is_some() {
                    self.expiry_changed(hash, None, expire_at_ms);
                }
                (None, true)
            }
        }
    }

    /// Sets any value, adding the key or replacing what it held; returns as [`Db::set_string`].
    pub fn set_value(
        &mut self,
        hash: u64,
        key: &[u8],
        value: Value,
        expire_at_ms: Option<i64>,
        access: u32,
    ) -> (Option<Value>, bool) {
        match self.table.find_mut(hash, |entry| entry.key() == key) {
            Some(entry) => {
                let had = entry.expire_at_ms();
                let old = entry.set_value(value, expire_at_ms);
                entry.set_access(access);
                self.expiry_changed(hash, had, expire_at_ms);
                (old, false)
            }
            None => {
                let mut entry = Entry::new(key, value, expire_at_ms);
                entry.set_access(access);
                self.table.insert(hash, entry);
                self.expiry_changed(hash, None, expire_at_ms);
                (None, true)
            }
        }
    }

    /// Sets or clears a key's expiry; false when there is no such key.
    pub fn set_expiry(&mut self, hash: u64, key: &[u8], expire_at_ms: Option<i64>) -> bool {
        let Some(entry) = self.table.find_mut(hash, |entry| entry.key() == key) else { return false };
        let had = entry.expire_at_ms();
        entry.set_expiry(expire_at_ms);
        self.expiry_changed(hash, had, expire_at_ms);
        true
    }

    #[inline]
    fn expiry_changed(&mut self, hash: u64, had: Option<i64>, has: Option<i64>) {
        self.expiring = self.expiring + usize::from(has.is_some()) - usize::from(had.is_some());
        if let Some(at) = has {
            self.table.note_hint(hash, at);
        }
    }

    /// Removes a key and gives its entry back.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        let entry = self.table.remove(hash, |entry| entry.key() == key)?;
        self.expiring -= usize::from(entry.expire_at_ms().is_some());
        Some(entry)
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.table.iter()
    }

    /// An entry chosen at random.
    pub fn random(&self, next_u64: impl FnMut() -> u64) -> Option<&Entry> {
        self.table.random(next_u64)
    }

    /// SCAN within this shard; see [`Table::scan`].
    pub fn scan(&self, from: u64, count: usize, visit: impl FnMut(&Entry)) -> Option<u64> {
        self.table.scan(from, count, visit)
    }

    /// One segment of a walk; see [`Table::walk_segment`].
    pub fn walk_segment(&self, from: u64, visit: impl FnMut(&Entry)) -> Option<u64> {
        self.table.walk_segment(from, visit)
    }

    /// Removes at most `limit` keys whose time has come from segment `index`, handing their entries to
    /// `expired`. Returns how many; 0 at once when the segment's soonest expiry lies ahead.
    pub fn expire_segment(
        &mut self,
        index: usize,
        now_ms: i64,
        limit: usize,
        expired: impl FnMut(Entry),
    ) -> usize {
        if self.table.hint(index) >= now_ms {
            return 0;
        }
        let due = |entry: &Entry| entry.expire_at_ms().is_some_and(|at| at < now_ms);
        let bound = |entry: &Entry| entry.expire_at_ms().unwrap_or(i64::MAX);
        let count = self.table.extract_from_segment(index, limit, due, bound, expired);
        self.expiring -= count;
        count
    }

    /// May segment `index` hold a key whose time has come?
    pub fn is_segment_due(&self, index: usize, now_ms: i64) -> bool {
        self.table.hint(index) < now_ms
    }

    /// Number of segments, for [`Db::expire_segment`].
    pub fn segment_count(&self) -> usize {
        self.table.segment_count()
    }
}

/// The first scan position of a shard.
pub fn shard_start(index: usize) -> u64 {
    debug_assert!(index < SHARD_COUNT);
    (index as u64) << (64 - SHARD_BITS)
}

/// The shard and hash of a key.
#[inline]
pub fn locate(key: &[u8]) -> (usize, u64) {
    let hash = hash_bytes(key);
    (shard_of(hash), hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insert_returns_the_entry_it_inserted() {
        let mut db = Db::default();
        for n in 0..60_000u64 {
            // Keys of shard 0 only, as a shard's table expects; with an expiry on every other.
            let key = format!("key {n}");
            let (shard, hash) = locate(key.as_bytes());
            if shard == 0 {
                let entry = Entry::new_string(key.as_bytes(), b"v", (n % 2 == 0).then_some(n as i64));
                assert_eq!(db.insert(hash, entry).key(), key.as_bytes());
            }
        }
        let expiring = db.iter().filter(|entry| entry.expire_at_ms().is_some()).count();
        assert!(expiring > 10);
        assert_eq!(db.expiring(), expiring);
        let mut expired = 0;
        for index in 0..db.segment_count() {
            expired += db.expire_segment(index, i64::MAX, usize::MAX, drop);
        }
        assert_eq!((expired, db.expiring()), (expiring, 0), "the hints let every expiry be found");
    }
}
