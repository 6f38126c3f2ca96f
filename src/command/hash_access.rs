//! Hashes for handlers: without the fields whose time has come.
//!
//! Where this node decides about expiry ([`ExpiryMode::Delete`]), an access removes a few of the fields that are due and
//! logs an HDEL; a change also removes those that it names, so that replicas, which count no field as due, do the same
//! to the same fields. What is left is hidden, and the periodic work removes it: a hash of which a million fields come
//! due at once holds nobody up. A replica only hides them.

use super::context::{Context, ExpiryMode};
use super::error::CommandError;
use super::events::EventClass;
use crate::keyspace::{Entry, ValueRef};
use crate::resp::reply::Reply;
use crate::value::{Hash, HashView, Value};
use std::ptr::NonNull;

/// Most fields that an access removes from a hash because their time has come.
const SWEPT_FIELDS: usize = 64;

impl<'a> Context<'a, '_> {
    /// The moment by which fields are due: their own time comes before it. The least number where none ever is.
    #[inline]
    pub fn fields_now_ms(&self) -> i64 {
        if self.expiry == ExpiryMode::Ignore { i64::MIN } else { self.now_ms }
    }

    /// Whether the hash of this entry, if it holds one, may have fields to be removed.
    #[inline]
    fn is_to_be_swept(&self, entry: &Entry) -> bool {
        entry.is_timed() && self.expiry == ExpiryMode::Delete && entry.soonest_field_ms() < self.now_ms
    }

    /// The hash at a key for a reading command; refuses other types. Good until self is used again.
    fn read_hash_inner(&mut self, key: &[u8]) -> Result<Option<NonNull<Hash>>, CommandError> {
        let Some(entry) = self.read(key).map(NonNull::from) else { return Ok(None) };
        // SAFETY: the entry comes from a borrow of self and nothing has been touched since. (The borrow checker cannot
        // yet see that the way on which it is not returned ends the loan.)
        let entry = unsafe { entry.as_ref() };
        if self.is_to_be_swept(entry) && !self.is_held(self.db, self.hash_of(key), key) {
            self.sweep_fields(key, std::iter::empty());
            return match self.peek(key).map(Entry::value) {
                None => Ok(None),
                Some(ValueRef::Object(Value::Hash(hash))) => Ok(Some(hash.into())),
                Some(_) => Err(CommandError::WrongType),
            };
        }
        match entry.value() {
            ValueRef::Object(Value::Hash(hash)) => Ok(Some(hash.into())),
            _ => Err(CommandError::WrongType),
        }
    }

    /// The hash at a key for a reading command; refuses other types.
    #[inline]
    pub fn read_hash(&mut self, key: &[u8]) -> Result<Option<HashView<'_>>, CommandError> {
        let now_ms = self.fields_now_ms();
        let hash = self.read_hash_inner(key)?;
        // SAFETY: the pointer comes from a unique borrow of self, which the result goes on with.
        Ok(hash.map(|hash| unsafe { hash.as_ref() }.at(now_ms)))
    }

    /// As [`Context::read_hash`], together with the reply to write it to.
    #[inline]
    pub fn read_hash_with_reply(
        &mut self,
        key: &[u8],
    ) -> Result<(Option<HashView<'_>>, &mut Reply<'a>), CommandError> {
        let now_ms = self.fields_now_ms();
        let hash = self.read_hash_inner(key)?;
        // SAFETY: as in `read_hash`; the hash lies in the shards behind `self.keys` and not in the reply.
        let view = hash.map(|hash| unsafe { hash.as_ref() }.at(now_ms));
        Ok((view, &mut self.reply))
    }

    /// The hash at a key, untouched and shared; refuses other types.
    pub fn peek_hash(&self, key: &[u8]) -> Result<Option<HashView<'_>>, CommandError> {
        match self.peek(key).map(Entry::value) {
            None => Ok(None),
            Some(ValueRef::Object(Value::Hash(hash))) => Ok(Some(hash.at(self.fields_now_ms()))),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    /// The hash at a key for changing the fields `named` in place; refuses other types. Afterwards call
    /// [`Context::hash_changed`]; after a removal also [`Context::remove_if_empty`].
    pub fn hash_mut<'f>(
        &mut self,
        key: &[u8],
        named: impl Iterator<Item = &'f [u8]>,
    ) -> Result<Option<&mut Hash>, CommandError> {
        let hash = self.hash_for_change(key, named)?;
        // SAFETY: the pointer comes from a unique borrow of self, which the result goes on with.
        Ok(hash.map(|mut hash| unsafe { hash.as_mut() }))
    }

    /// As [`Context::hash_mut`], together with the reply: to write out what is then removed.
    pub fn hash_mut_with_reply<'f>(
        &mut self,
        key: &[u8],
        named: impl Iterator<Item = &'f [u8]>,
    ) -> Result<(Option<&mut Hash>, &mut Reply<'a>), CommandError> {
        let hash = self.hash_for_change(key, named)?;
        // SAFETY: as in `hash_mut`; the hash lies in the shards behind `self.keys` and not in the reply.
        let hash = hash.map(|mut hash| unsafe { hash.as_mut() });
        Ok((hash, &mut self.reply))
    }

    /// As [`Context::hash_mut`], adding an empty hash where the key is absent. The caller puts something in, or calls
    /// [`Context::remove_if_empty`].
    pub fn hash_or_new<'f>(
        &mut self,
        key: &[u8],
        named: impl Iterator<Item = &'f [u8]>,
    ) -> Result<&mut Hash, CommandError> {
        if let Some(mut hash) = self.hash_for_change(key, named)? {
            // SAFETY: as in `hash_mut`.
            return Ok(unsafe { hash.as_mut() });
        }
        let (hash, db) = (self.hash_of(key), self.db);
        self.note_ready(db, hash, key);
        self.tell(EventClass::New, "new", key);
        let mut entry = Entry::new(key, Value::Hash(Hash::new()), None);
        entry.set_access(self.fresh_access());
        match self.keys.shard_mut(hash).db_mut(db).insert(hash, entry).object_mut() {
            Some(Value::Hash(hash)) => Ok(hash),
            _ => Err(CommandError::WrongType),
        }
    }

    /// The hash at a key, ridden of the fields that are due, as far as this node may. Good until self is used again.
    fn hash_for_change<'f>(
        &mut self,
        key: &[u8],
        named: impl Iterator<Item = &'f [u8]>,
    ) -> Result<Option<NonNull<Hash>>, CommandError> {
        let Some(mut entry) = self.lookup_mut(key).map(NonNull::from) else { return Ok(None) };
        // SAFETY: the entry comes from a unique borrow of self and nothing has been touched since.
        if self.is_to_be_swept(unsafe { entry.as_ref() }) {
            self.sweep_fields(key, named);
            match self.lookup_mut(key).map(NonNull::from) {
                Some(swept) => entry = swept,
                None => return Ok(None),
            }
        }
        // SAFETY: as above, whichever entry it is.
        match unsafe { entry.as_mut() }.object_mut() {
            Some(Value::Hash(hash)) => Ok(Some(hash.into())),
            _ => Err(CommandError::WrongType),
        }
    }

    /// Removes fields that are due from the hash at a key: a few, and all those that are `named`. Logs it, and removes
    /// the key with the last field.
    #[cold]
    fn sweep_fields<'f>(&mut self, key: &[u8], named: impl Iterator<Item = &'f [u8]>) {
        debug_assert_eq!(self.expiry, ExpiryMode::Delete);
        let (hash, db, now_ms) = (self.hash_of(key), self.db, self.now_ms);
        let shard = self.keys.shard_mut(hash);
        let Some(Value::Hash(fields)) = shard.db_mut(db).get_mut(hash, key).and_then(Entry::object_mut)
        else {
            return;
        };
        let mut gone: Vec<Vec<u8>> = Vec::new();
        fields.take_due(now_ms, SWEPT_FIELDS, |field| gone.push(field.to_vec()));
        for field in named {
            if fields.time(field).is_some_and(|at_ms| at_ms < now_ms) && fields.delete(field) {
                gone.push(field.to_vec());
            }
        }
        shard.db_mut(db).field_times_changed(hash, key);
        if gone.is_empty() {
            return;
        }
        shard.touched(db, key);
        self.counts.expired_fields += gone.len() as u64;
        let mut effect: Vec<&[u8]> = vec![b"HDEL", key];
        effect.extend(gone.iter().map(Vec::as_slice));
        self.effects.push(db, &effect);
        self.tell(EventClass::Hash, "hexpired", key);
        self.remove_if_empty(key);
    }

    /// Says that the hash at `key` changed: counts `changes`, wakes watchers, and takes note of the times that its
    /// fields carry now. The caller changed it already, and tells whether the hash [`Hash::is_timed`].
    #[inline]
    pub fn hash_changed(&mut self, key: &[u8], changes: usize, timed: bool) {
        self.modified_times(key, changes);
        if timed {
            let (hash, db) = (self.hash_of(key), self.db);
            self.keys.shard_mut(hash).db_mut(db).field_times_changed(hash, key);
        }
    }
}
