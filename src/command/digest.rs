//! Digests of the data set, of a database and of a value, equal to those that Redis's DEBUG DIGEST and DEBUG
//! DIGEST-VALUE compute: two servers hold the same data if, and for all practical purposes only if, their
//! digests are equal.
//!
//! Everything is built from two steps on 20 bytes. *Xor*: the SHA-1 of some bytes is xored in, so the order of such
//! steps does not matter (members of sets, keys of a database). *Mix*: as xor, then the 20 bytes are replaced by
//! their own SHA-1, so the order matters (elements of lists, parts of a pair).

use crate::base::num::format_score;
use crate::keyspace::{Entry, Keyspace, Locked, Shard, ValueRef};
use crate::value::stream::StreamId;
use crate::value::{Element, Value};
use sha1::{Digest as _, Sha1};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const DIGEST_BYTES: usize = 20;
/// What is xored in for a key that carries an expiry, whenever that is.
const EXPIRE_MARK: &[u8] = b"!!expire!!";
/// What is xored in for a field that carries a time, whenever that is.
const FIELD_TIME_MARK: &[u8] = b"!!hexpire!!";

/// A digest; `Display` prints its 40 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Digest([u8; DIGEST_BYTES]);

impl Digest {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }

    fn xor(&mut self, bytes: &[u8]) {
        let hash = Sha1::digest(bytes);
        self.0.iter_mut().zip(hash).for_each(|(to, from)| *to ^= from);
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.xor(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    fn xor_element(&mut self, element: Element<'_>) {
        self.xor(element.as_bytes(&mut itoa::Buffer::new()));
    }

    fn mix_element(&mut self, element: Element<'_>) {
        self.mix(element.as_bytes(&mut itoa::Buffer::new()));
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The digest of everything in the locked shards: of the whole data set if all are held. Expired keys that were not
/// removed yet count.
pub fn of_locked(locked: &Locked<'_>, databases: u32) -> Digest {
    of_locked_by(locked, databases, 1)
}

/// As [`of_locked`], by all processors.
pub fn of_locked_by_all(locked: &Locked<'_>, databases: u32) -> Digest {
    of_locked_by(locked, databases, thread::available_parallelism().map_or(1, usize::from))
}

fn of_locked_by(locked: &Locked<'_>, databases: u32, threads: usize) -> Digest {
    let shards: Vec<&Shard> = locked.iter().map(|(_, shard)| shard).collect();
    let next = AtomicUsize::new(0);
    // The keys of a database are xored, in any order; databases follow each other.
    let work = || {
        let mut sums = vec![Digest::default(); databases as usize];
        while let Some(shard) = shards.get(next.fetch_add(1, Ordering::Relaxed)) {
            for (db, sum) in (0..).zip(&mut sums) {
                shard.db(db).iter().for_each(|entry| sum.xor(&of_key(entry).0));
            }
        }
        sums
    };
    let sums: Vec<Vec<Digest>> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let join = |other: thread::ScopedJoinHandle<'_, _>| {
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        others.into_iter().map(join).chain([own]).collect()
    });
    let mut all = Digest::default();
    for db in (0..databases).filter(|db| shards.iter().any(|shard| !shard.db(*db).is_empty())) {
        all.mix(&db.to_be_bytes());
        for sum in sums.iter().filter_map(|sums| sums.get(db as usize)) {
            all.0.iter_mut().zip(sum.0).for_each(|(to, from)| *to ^= from);
        }
    }
    all
}

/// The digest of the whole data set, as DEBUG DIGEST answers it; all zeros when it is empty.
pub fn of_keyspace(keyspace: &Keyspace) -> Digest {
    of_locked(&keyspace.lock_all(), keyspace.databases())
}

/// What a key and its value contribute to the digest of their database.
pub fn of_key(entry: &Entry) -> Digest {
    let mut digest = Digest::default();
    digest.mix(entry.key());
    mix_entry(&mut digest, entry);
    digest
}

/// The digest of a key's value and of whether it expires, as DEBUG DIGEST-VALUE answers it; a key that does not
/// exist has [`Digest::default`].
pub fn of_value(entry: &Entry) -> Digest {
    let mut digest = Digest::default();
    mix_entry(&mut digest, entry);
    digest
}

/// The digest of a value alone, as if the fields of a hash that are due at `now_ms` were not there any more.
pub fn of_value_at(value: ValueRef<'_>, now_ms: i64) -> Digest {
    let mut digest = Digest::default();
    mix_ref(&mut digest, value, now_ms);
    digest
}

fn mix_entry(digest: &mut Digest, entry: &Entry) {
    mix_ref(digest, entry.value(), i64::MIN);
    if entry.expire_at_ms().is_some() {
        digest.xor(EXPIRE_MARK);
    }
}

fn mix_ref(digest: &mut Digest, value: ValueRef<'_>, now_ms: i64) {
    match value {
        ValueRef::Int(int) => mix_string(digest, Element::Int(int)),
        ValueRef::Bytes(bytes) => mix_string(digest, Element::Bytes(bytes)),
        ValueRef::Object(value) => mix_value(digest, value, now_ms),
    }
}

fn mix_string(digest: &mut Digest, string: Element<'_>) {
    digest.mix(&0u32.to_be_bytes());
    digest.mix_element(string);
}

fn mix_value(digest: &mut Digest, value: &Value, now_ms: i64) {
    match value {
        Value::Str(string) => mix_string(digest, string.element()),
        Value::List(list) => {
            digest.mix(&1u32.to_be_bytes());
            list.iter().for_each(|element| digest.mix_element(element));
        }
        Value::Set(set) => {
            digest.mix(&2u32.to_be_bytes());
            set.iter().for_each(|member| digest.xor_element(member));
        }
        Value::ZSet(zset) => {
            digest.mix(&3u32.to_be_bytes());
            let mut score_text = Vec::new();
            for (member, score) in zset.iter() {
                score_text.clear();
                format_score(&mut score_text, score);
                let mut pair = Digest::default();
                pair.mix_element(member);
                pair.mix(&score_text);
                digest.xor(&pair.0);
            }
        }
        Value::Hash(hash) => {
            digest.mix(&4u32.to_be_bytes());
            let is_due = |time: &Option<i64>| time.is_some_and(|at| at <= now_ms);
            for (field, value, time) in hash.iter_timed().filter(|(_, _, time)| !is_due(time)) {
                let mut pair = Digest::default();
                pair.mix_element(field);
                pair.mix_element(value);
                if time.is_some() {
                    pair.xor(FIELD_TIME_MARK);
                }
                digest.xor(&pair.0);
            }
        }
        Value::Stream(stream) => {
            digest.mix(&6u32.to_be_bytes());
            for entry in stream.entries().range(StreamId::MIN, StreamId::MAX) {
                digest.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                for (field, value) in entry.fields() {
                    digest.mix_element(field);
                    digest.mix_element(value);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
