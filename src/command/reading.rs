//! Several keys read at once, while a reply is written.

use super::context::{Context, ExpiryMode};
use super::error::CommandError;
use crate::base::random::Rng;
use crate::keyspace::{Entry, Locked, ValueRef};
use crate::resp::reply::Reply;
use crate::value::{Set, Value, hash_bytes};

/// The locked shards, shared: entries of any number of keys may be held at the same time.
#[derive(Clone, Copy)]
pub struct Reading<'c, 'k> {
    keys: &'c Locked<'k>,
    db: u32,
    now_ms: i64,
    expiry: ExpiryMode,
}

impl<'c> Reading<'c, '_> {
    /// The live entry of a key, with no effect on its access field or on statistics. An expired key counts as absent.
    pub fn entry(&self, key: &[u8]) -> Option<&'c Entry> {
        let hash = hash_bytes(key);
        let entry = self.keys.shard(hash).db(self.db).get(hash, key)?;
        let expired = self.expiry != ExpiryMode::Ignore
            && entry.expire_at_ms().is_some_and(|at_ms| at_ms < self.now_ms);
        (!expired).then_some(entry)
    }

    /// The set at a key; refuses other types.
    pub fn set(&self, key: &[u8]) -> Result<Option<&'c Set>, CommandError> {
        match self.entry(key).map(Entry::value) {
            None => Ok(None),
            Some(ValueRef::Object(Value::Set(set))) => Ok(Some(set)),
            Some(_) => Err(CommandError::WrongType),
        }
    }
}

impl<'a, 'k> Context<'a, 'k> {
    /// The keys for shared reading, with the reply and the randomness that go with it. Call [`Context::read`] or
    /// [`Context::expire_if_due`] for each key first.
    pub fn reading(&mut self) -> (Reading<'_, 'k>, &mut Reply<'a>, &mut Rng) {
        let reading = Reading { keys: self.keys, db: self.db, now_ms: self.now_ms, expiry: self.expiry };
        (reading, &mut self.reply, self.rng)
    }

    /// As [`Context::lookup_mut`], together with the reply and the randomness: to write out what is then removed from the
    /// value.
    #[inline]
    pub fn lookup_with(&mut self, key: &[u8]) -> (Option<&mut Entry>, &mut Reply<'a>, &mut Rng) {
        let entry: Option<*mut Entry> = self.lookup_mut(key).map(std::ptr::from_mut);
        // SAFETY: the pointer comes from a unique borrow of self, which the result goes on with, and points into the
        // shards behind `self.keys`: not into the two other fields that are lent out, and `keys` itself is not.
        let entry = entry.map(|entry| unsafe { &mut *entry });
        (entry, &mut self.reply, self.rng)
    }

    /// As [`Context::modified`], where one command made several changes to the key.
    #[inline]
    pub fn modified_times(&mut self, key: &[u8], changes: usize) {
        self.modified(key);
        self.dirty += (changes as u64).saturating_sub(1);
    }
}
