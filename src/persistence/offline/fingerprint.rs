//! What tells one data set from another.

use crate::command::digest::{Digest, of_locked_by_all};
use crate::keyspace::{Keyspace, Locked};

/// What tells one data set from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Keys of all databases.
    pub keys: u64,
    /// The digest that DEBUG DIGEST answers.
    pub digest: Digest,
    /// Sum of all expiry times in ms, which the digest leaves out.
    pub expiry_sum: i64,
}

impl Fingerprint {
    /// Of a whole keyspace, by all processors.
    pub fn of(keyspace: &Keyspace) -> Fingerprint {
        Fingerprint::of_locked(&keyspace.lock_all(), keyspace.databases())
    }

    /// Of all that the locked shards hold, by all processors.
    pub fn of_locked(locked: &Locked<'_>, databases: u32) -> Fingerprint {
        let (mut keys, mut expiry_sum) = (0, 0i64);
        let all = (0..databases).flat_map(|db| locked.iter().flat_map(move |(_, shard)| shard.db(db).iter()));
        for entry in all {
            keys += 1;
            expiry_sum = expiry_sum.wrapping_add(entry.expire_at_ms().unwrap_or(0));
        }
        Fingerprint { keys, digest: of_locked_by_all(locked, databases), expiry_sum }
    }
}
