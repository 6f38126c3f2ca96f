//! One database's slice in one shard.

use super::capture::{Capture, Taken, Walked};
use super::entry::Entry;
use super::{SHARD_BITS, SHARD_COUNT, shard_of};
use crate::value::table::{Hashed, Table};
use crate::value::{Hash, Value, hash_bytes};

/// The keys of one database that belong to one shard.
pub struct Db {
    table: Table<Entry>,
    /// Keys that carry an expiry.
    expiring: usize,
    /// Hashes whose fields carry times.
    timed: usize,
    /// The snapshot that is being taken, if this slice is part of it.
    capture: Option<Box<Capture>>,
}

/// Fields that were removed from a hash because their time had come.
#[derive(Debug)]
pub struct ExpiredFields {
    /// The hash's key.
    pub key: Box<[u8]>,
    /// The fields.
    pub fields: Vec<Box<[u8]>>,
}

/// What was removed because its time had come.
#[derive(Default)]
pub struct Expired {
    /// Keys.
    pub keys: Vec<Entry>,
    /// Fields, by hash. A hash whose last field went is gone.
    pub fields: Vec<ExpiredFields>,
    /// Number of these fields.
    pub field_count: usize,
    /// Something was left that a snapshot must have first: it is to be tried again in a while.
    pub held: bool,
}

impl Expired {
    /// Number of keys and fields.
    pub fn count(&self) -> usize {
        self.keys.len() + self.field_count
    }
}

impl Default for Db {
    fn default() -> Self {
        Db { table: Table::new(SHARD_BITS), expiring: 0, timed: 0, capture: None }
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

    /// Number of hashes whose fields carry times.
    pub fn timed(&self) -> usize {
        self.timed
    }

    /// The entry of a key, whether or not it has expired.
    #[inline]
    pub fn get(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        self.table.find(hash, |entry| entry.key() == key)
    }

    /// As [`Db::get`], mutably. The expiry is changed only through [`Db::set_expiry`] and its like; call
    /// [`Db::field_times_changed`] after a change to the times of a hash's fields.
    #[inline]
    pub fn get_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut Entry> {
        let entry = self.table.find_mut(hash, |entry| entry.key() == key)?;
        if let Some(capture) = &self.capture {
            capture.before_change(hash, entry);
        }
        Some(entry)
    }

    /// As [`Db::get_mut`], for an access that changes nothing but the access field: no snapshot is told.
    #[inline]
    pub fn get_for_access(&mut self, hash: u64, key: &[u8]) -> Option<&mut Entry> {
        self.table.find_mut(hash, |entry| entry.key() == key)
    }

    /// Adds a key that is known to be absent and returns its entry in place.
    pub fn insert(&mut self, hash: u64, mut entry: Entry) -> &mut Entry {
        let timed = entry.hash().is_some_and(Hash::has_times);
        entry.set_timed(timed);
        self.timed += usize::from(timed);
        self.expiring += usize::from(entry.expire_at_ms().is_some());
        if let Some(capture) = &self.capture {
            capture.mark_new(hash, &mut entry);
        }
        self.table.insert(hash, entry)
    }

    /// Adds an entry; gives it back where its key is there already.
    pub fn insert_if_new(&mut self, hash: u64, entry: Entry) -> Result<(), Entry> {
        if self.get(hash, entry.key()).is_some() {
            return Err(entry);
        }
        self.insert(hash, entry);
        Ok(())
    }

    /// Makes room for about so many keys, if there is none yet.
    pub fn make_room(&mut self, keys: usize) {
        self.table.make_room(keys);
    }

    /// Has the processor fetch from memory where the key of this hash is, or would be put: worth it for several keys in a
    /// row, each of which would wait by itself else.
    #[inline]
    pub fn fetch(&self, hash: u64) {
        self.table.fetch(hash);
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
        let Some(entry) = self.table.find_mut(hash, |entry| entry.key() == key) else {
            let mut entry = Entry::new_string(key, bytes, expire_at_ms);
            entry.set_access(access);
            self.expiring += usize::from(expire_at_ms.is_some());
            if let Some(capture) = &self.capture {
                capture.mark_new(hash, &mut entry);
            }
            self.table.insert(hash, entry);
            return (None, true);
        };
        if let Some(capture) = &self.capture {
            capture.before_change(hash, entry);
        }
        let had = entry.expire_at_ms();
        self.timed -= usize::from(entry.is_timed());
        let old = entry.set_string(bytes, expire_at_ms);
        entry.set_access(access);
        if had != expire_at_ms {
            self.expiry_changed(hash, had, expire_at_ms);
        }
        (old, false)
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
        let Some(entry) = self.table.find_mut(hash, |entry| entry.key() == key) else {
            let mut entry = Entry::new(key, value, expire_at_ms);
            entry.set_access(access);
            self.insert(hash, entry);
            return (None, true);
        };
        if let Some(capture) = &self.capture {
            capture.before_change(hash, entry);
        }
        let had = entry.expire_at_ms();
        self.timed -= usize::from(entry.is_timed());
        let old = entry.set_value(value, expire_at_ms);
        entry.set_access(access);
        self.expiry_changed(hash, had, expire_at_ms);
        self.field_times_changed(hash, key);
        (old, false)
    }

    /// Sets or clears a key's expiry; false when there is no such key.
    pub fn set_expiry(&mut self, hash: u64, key: &[u8], expire_at_ms: Option<i64>) -> bool {
        let Some(entry) = self.get_mut(hash, key) else { return false };
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

    /// Takes note of the times that a hash's fields carry now.
    pub fn field_times_changed(&mut self, hash: u64, key: &[u8]) {
        let Some(entry) = self.table.find_mut(hash, |entry| entry.key() == key) else { return };
        let has = entry.hash().is_some_and(Hash::has_times);
        self.timed = self.timed + usize::from(has) - usize::from(entry.is_timed());
        entry.set_timed(has);
        if has {
            let soonest_ms = entry.soonest_field_ms();
            self.table.note_hint(hash, soonest_ms);
        }
    }

    /// Removes a key and gives its entry back.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        if self.capture.is_some() {
            self.get_mut(hash, key)?;
        }
        let mut entry = self.table.remove(hash, |entry| entry.key() == key)?;
        self.timed -= usize::from(entry.is_timed());
        self.expiring -= usize::from(entry.expire_at_ms().is_some());
        if self.capture.is_some() {
            // It may go into a database of which no snapshot is taken.
            entry.set_kept(false);
        }
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

    /// Removes keys and fields of hashes whose time has come from segment `index`, until `expired` holds `limit` of
    /// them; nothing at once when all that the segment holds lies ahead.
    pub fn expire_segment(&mut self, index: usize, now_ms: i64, limit: usize, expired: &mut Expired) {
        if !self.is_segment_due(index, now_ms) {
            return;
        }
        let (mut keys, mut timed_lost) = (Vec::new(), 0);
        let mut room = limit.saturating_sub(expired.count());
        let capture = self.capture.as_deref();
        let take = |entry: &mut Entry| {
            if room == 0 {
                return false;
            }
            let is_due = entry.expire_at_ms().is_some_and(|at| at < now_ms);
            if !is_due && entry.soonest_field_ms() >= now_ms {
                return false;
            }
            if let Some(capture) = capture {
                let hash = entry.table_hash();
                // It goes in a later round, when the snapshot has it.
                if capture.hurry_if_held(hash, entry) {
                    expired.held = true;
                    return false;
                }
                capture.before_change(hash, entry);
            }
            if is_due {
                room -= 1;
                return true;
            }
            room -= expire_fields(entry, now_ms, room, expired, &mut timed_lost);
            entry.hash().is_some_and(Hash::is_empty)
        };
        self.table.extract_from_segment(index, usize::MAX, take, |entry| keys.push(entry));
        self.timed -= timed_lost;
        for entry in keys {
            self.expiring -= usize::from(entry.expire_at_ms().is_some());
            self.timed -= usize::from(entry.is_timed());
            if !entry.hash().is_some_and(Hash::is_empty) {
                expired.keys.push(entry);
            }
        }
    }

    /// May segment `index` hold a key, or a hash with a field, whose time has come?
    pub fn is_segment_due(&self, index: usize, now_ms: i64) -> bool {
        self.table.hint(index) < now_ms
    }

    /// Number of segments, for [`Db::expire_segment`].
    pub fn segment_count(&self) -> usize {
        self.table.segment_count()
    }

    /// Makes this slice part of the snapshot whose moment is now.
    pub(super) fn begin_capture(&mut self, capture: Capture) {
        self.capture = Some(Box::new(capture));
    }

    /// The number that this database had at the moment of the snapshot that is being taken; `None` where there is none, or
    /// its walk has passed.
    #[inline]
    pub fn captured_db(&self) -> Option<u32> {
        self.capture.as_ref().map(|capture| capture.db)
    }

    /// Is there a heavy value at the key that the snapshot which is being taken has not got? A change of it would have to
    /// keep all of it first. It will soon be there, then.
    pub fn is_held(&self, hash: u64, key: &[u8]) -> bool {
        self.capture.as_ref().is_some_and(|capture| {
            self.get(hash, key).is_some_and(|entry| capture.hurry_if_held(hash, entry))
        })
    }

    /// The entry of a key, if the snapshot has not got it.
    pub fn wanted(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        let capture = self.capture.as_ref()?;
        self.get(hash, key).filter(|entry| capture.wants(hash, entry))
    }

    /// Says that the snapshot has the entry of a key now.
    pub fn set_kept(&mut self, hash: u64, key: &[u8]) {
        if self.capture.is_some()
            && let Some(entry) = self.table.find_mut(hash, |entry| entry.key() == key)
        {
            entry.set_kept(true);
        }
    }

    /// A step of the snapshot's walk: shows `take` what the snapshot has not got of the next segment.
    pub fn walk_captured(&mut self, mut take: impl FnMut(&Entry) -> Taken) -> Walked {
        let Some(capture) = &mut self.capture else { return Walked::All };
        let from = capture.next;
        let mut stopped = false;
        let passed = self.table.visit_segment_mut(from, |entry| {
            if entry.is_kept() {
                return true;
            }
            let taken = take(entry);
            entry.set_kept(taken != Taken::Begun);
            stopped = taken != Taken::Whole;
            !stopped
        });
        if stopped {
            return Walked::Part;
        }
        // Behind the walk no entry is marked: the next snapshot finds them so.
        self.table.visit_segment_mut(from, |entry| {
            entry.set_kept(false);
            true
        });
        match passed {
            Some(next) => {
                capture.next = next;
                Walked::Part
            }
            None => {
                self.capture = None;
                Walked::All
            }
        }
    }
}

/// Removes at most `limit` fields whose time has come from a hash. Returns how many, and adds 1 to `timed_lost` if no
/// field carries a time any more.
fn expire_fields(
    entry: &mut Entry,
    now_ms: i64,
    limit: usize,
    expired: &mut Expired,
    timed_lost: &mut usize,
) -> usize {
    let Some(Value::Hash(hash)) = entry.object_mut() else { return 0 };
    let mut fields = Vec::new();
    let count = hash.take_due(now_ms, limit, |field| fields.push(field.into()));
    let has_times = hash.has_times();
    *timed_lost += usize::from(!has_times);
    entry.set_timed(has_times);
    if count > 0 {
        expired.field_count += count;
        expired.fields.push(ExpiredFields { key: entry.key().into(), fields });
    }
    count
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
        let mut expired = Expired::default();
        for index in 0..db.segment_count() {
            db.expire_segment(index, i64::MAX, usize::MAX, &mut expired);
        }
        assert_eq!((expired.keys.len(), db.expiring()), (expiring, 0), "the hints let every expiry be found");
    }
}
