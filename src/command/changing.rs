//! Changes that need more than the value at one key: strings edited in place, entries moved whole, and reads that leave
//! no trace in the access field.

use super::context::{Context, ExpiryMode, release};
use super::error::CommandError;
use super::events::EventClass;
use crate::base::limits::ARG_MOST_BYTES;
use crate::keyspace::{Entry, ValueRef};
use crate::value::Value;

/// Longest string that an effect from a log may make, in bytes: a primary's `proto-max-bulk-len` may be larger than
/// ours, but no length is believed without a bound.
const LOGGED_STRING_MAX_BYTES: usize = ARG_MOST_BYTES as usize;

impl Context<'_, '_> {
    /// The live entry of a key for a reading command that does not touch it (TYPE, TTL, OBJECT): counted as hit or
    /// miss, its access field left alone.
    pub fn read_untouched(&mut self, key: &[u8]) -> Option<&Entry> {
        if self.inspect(key).is_none() {
            self.tell(EventClass::KeyMiss, "keymiss", key);
        }
        self.peek(key)
    }

    /// As [`Context::read_untouched`], for OBJECT, of which nobody is told that the key is not there.
    pub fn inspect(&mut self, key: &[u8]) -> Option<&Entry> {
        self.expire_if_due(key);
        let is_there = self.peek(key).is_some();
        if is_there {
            self.counts.hits += 1;
        } else {
            self.counts.misses += 1;
        }
        self.peek(key)
    }

    /// Lets `edit` change a string, adding the key with what it makes of an empty string where it is absent; refuses
    /// other types. The expiry stays. Does not count as a change: call [`Context::modified`].
    pub fn edit_string<R>(
        &mut self,
        key: &[u8],
        edit: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Result<R, CommandError> {
        let Some(entry) = self.lookup_mut(key) else {
            let mut bytes = Vec::new();
            let result = edit(&mut bytes);
            bytes.shrink_to_fit();
            let mut entry = Entry::new_edited(key, bytes);
            entry.set_access(self.fresh_access());
            let (hash, db) = (self.hash_of(key), self.db);
            self.keys.shard_mut(hash).db_mut(db).insert(hash, entry);
            self.tell(EventClass::New, "new", key);
            return Ok(result);
        };
        match entry.object_mut() {
            Some(Value::Str(string)) => return Ok(edit(string.make_bytes())),
            Some(_) => return Err(CommandError::WrongType),
            None => {}
        }
        let mut bytes = match entry.value() {
            ValueRef::Int(n) => itoa::Buffer::new().format(n).as_bytes().to_vec(),
            ValueRef::Bytes(bytes) => bytes.to_vec(),
            ValueRef::Object(_) => return Err(CommandError::WrongType),
        };
        let result = edit(&mut bytes);
        entry.set_edited(bytes);
        Ok(result)
    }

    /// As [`Context::edit_string`], for changes that need at least `len` bytes and no more than there are then: a
    /// shorter string is padded with zero bytes, and one that is long enough is changed where it lies. Says whether
    /// it was made longer, or made.
    pub fn edit_bytes<R>(
        &mut self,
        key: &[u8],
        len: usize,
        edit: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<(R, bool), CommandError> {
        if let Some(bytes) = self.lookup_mut(key).and_then(Entry::bytes_mut)
            && bytes.len() >= len
        {
            return Ok((edit(bytes), false));
        }
        self.edit_string(key, |bytes| {
            let grows = bytes.len() < len;
            if len / 2 > bytes.len() {
                // Fresh zero pages cost nothing until they are touched.
                let mut longer = vec![0; len];
                longer[..bytes.len()].copy_from_slice(bytes);
                *bytes = longer;
            } else if bytes.len() < len {
                bytes.resize(len, 0);
            }
            (edit(bytes), grows)
        })
    }

    /// Sets a string that came of computing (BITOP): as [`Context::set_string`], but it stays bytes whatever they are.
    pub fn set_edited(&mut self, key: &[u8], bytes: Vec<u8>) {
        let (hash, db) = (self.hash_of(key), self.db);
        if !self.settings.events.is_none() {
            self.tell_before_set(db, hash, key);
        }
        let mut entry = Entry::new_edited(key, bytes);
        entry.set_access(self.access_for_set(db, hash, key));
        self.put(db, entry);
    }

    /// Longest string that a command may make, in bytes.
    pub fn max_string_bytes(&self) -> usize {
        match self.expiry {
            ExpiryMode::Ignore => LOGGED_STRING_MAX_BYTES.max(self.settings.max_bulk_bytes),
            ExpiryMode::Delete | ExpiryMode::Hide => self.settings.max_bulk_bytes,
        }
    }

    /// Refuses a string that would become longer than `proto-max-bulk-len`; gives back the length that
    /// `len + more` comes to.
    pub fn check_string_len(&self, len: usize, more: usize) -> Result<usize, CommandError> {
        len.checked_add(more)
            .filter(|total| *total <= self.max_string_bytes())
            .ok_or(CommandError::text("ERR string exceeds maximum allowed size (proto-max-bulk-len)"))
    }

    /// Removes what is at the key where nothing is stored after all: as [`Context::remove`], also of a key whose time has come,
    /// and tells that it was deleted.
    pub fn remove_stored(&mut self, key: &[u8]) -> bool {
        let (hash, db) = (self.hash_of(key), self.db);
        let shard = self.keys.shard_mut(hash);
        let Some(entry) = shard.db_mut(db).remove(hash, key) else { return false };
        shard.touched(db, key);
        self.dirty += 1;
        if entry.is_stream() {
            self.note_ready(db, hash, key);
        }
        release(entry);
        self.tell(EventClass::Generic, "del", key);
        true
    }

    /// Removes a key and gives its entry back, without counting a change: the caller puts it elsewhere with
    /// [`Context::install`], which does.
    pub fn take(&mut self, key: &[u8]) -> Option<Entry> {
        let entry = self.remove(key)?;
        self.dirty -= 1;
        Some(entry)
    }

    /// Puts a whole entry (key, value, expiry, access field) into a database in place of whatever its key held there.
    /// Counts as a change, is told as a new key, and wakes clients blocked on the key.
    pub fn install(&mut self, db: u32, entry: Entry) {
        self.tell_in(db, EventClass::New, "new", entry.key());
        self.put(db, entry);
    }

    fn put(&mut self, db: u32, entry: Entry) {
        let hash = self.hash_of(entry.key());
        let shard = self.keys.shard_mut(hash);
        let old = shard.db_mut(db).remove(hash, entry.key());
        shard.touched(db, entry.key());
        self.note_ready(db, hash, entry.key());
        self.keys.shard_mut(hash).db_mut(db).insert(hash, entry);
        self.dirty += 1;
        if let Some(old) = old {
            release(old);
        }
    }

    /// Makes a live key expire at a time (unix ms): counts as a change, logged with that time.
    pub fn expire_at(&mut self, key: &[u8], at_ms: i64) {
        self.set_expiry(key, Some(at_ms));
        self.modified(key);
        self.tell(EventClass::Generic, "expire", key);
        self.log(&[b"PEXPIREAT", key, itoa::Buffer::new().format(at_ms).as_bytes()]);
    }

    /// Removes a live key that was told to expire in the past: logged as a removal.
    pub fn remove_as_expired(&mut self, key: &[u8]) {
        if let Some(old) = self.remove(key) {
            release(old);
            self.tell(EventClass::Generic, "del", key);
        }
        let word: &[u8] = if self.settings.lazy_expire { b"UNLINK" } else { b"DEL" };
        self.log(&[word, key]);
    }
}
