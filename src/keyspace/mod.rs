//! The keyspace: databases split into shards, each behind its own lock.
//!
//! A key's shard is given by the top bits of its hash, for every database alike, so a shard holds a slice
//! of all databases. What touches several keys locks their shards in ascending order ([`Keyspace::lock`]);
//! what walks everything takes one shard at a time, or all ([`Keyspace::lock_all`]).

pub mod capture;
pub mod db;
pub mod entry;
pub mod freeing;
pub mod locked;
pub mod shard;

pub use db::{Db, Expired, ExpiredFields};
pub use entry::{Entry, ValueRef};
pub use locked::Locked;
pub use shard::{Observer, Presence, Shard};

use parking_lot::{Mutex, MutexGuard};

/// log2 of the number of shards.
pub const SHARD_BITS: u32 = 6;
/// Number of shards.
pub const SHARD_COUNT: usize = 1 << SHARD_BITS;

/// Keeps each shard's lock on cache lines of its own.
#[repr(align(128))]
struct Padded(Mutex<Shard>);

/// All keys of all databases.
pub struct Keyspace {
    shards: Box<[Padded]>,
    databases: u32,
}

/// The shard a hash belongs to.
#[inline]
pub fn shard_of(hash: u64) -> usize {
    (hash >> (64 - SHARD_BITS)) as usize
}

impl Keyspace {
    /// An empty keyspace of `databases` databases.
    pub fn new(databases: u32) -> Keyspace {
        let shards = (0..SHARD_COUNT).map(|_| Padded(Mutex::new(Shard::new(databases)))).collect();
        Keyspace { shards, databases }
    }

    /// Number of databases.
    pub fn databases(&self) -> u32 {
        self.databases
    }

    /// Locks the shard of one hash.
    #[inline]
    pub fn lock_one(&self, hash: u64) -> Locked<'_> {
        let index = shard_of(hash);
        Locked::one(index, self.shards[index].0.lock())
    }

    /// Locks the shards of several hashes, each once, in ascending order.
    pub fn lock(&self, hashes: impl Iterator<Item = u64>) -> Locked<'_> {
        let mut wanted = 0u64;
        for hash in hashes {
            wanted |= 1 << shard_of(hash);
        }
        let mut locked = Locked::none();
        while wanted != 0 {
            let index = wanted.trailing_zeros() as usize;
            wanted &= wanted - 1;
            locked.push(index, self.shards[index].0.lock());
        }
        locked
    }

    /// Locks every shard.
    pub fn lock_all(&self) -> Locked<'_> {
        let mut locked = Locked::none();
        for (index, shard) in self.shards.iter().enumerate() {
            locked.push(index, shard.0.lock());
        }
        locked
    }

    /// Locks one shard by index (below [`SHARD_COUNT`]).
    pub fn lock_shard(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.shards[index].0.lock()
    }

    /// Makes room in a database for about so many keys, in those of its shards that have none yet.
    pub fn make_room(&self, db: u32, keys: usize) {
        for index in 0..SHARD_COUNT {
            self.lock_shard(index).db_mut(db).make_room(keys / SHARD_COUNT);
        }
    }

    /// Number of keys in a database, shard by shard.
    pub fn len(&self, db: u32) -> usize {
        (0..SHARD_COUNT).map(|i| self.lock_shard(i).db(db).len()).sum()
    }

    /// True when no database holds a key.
    pub fn is_empty(&self) -> bool {
        (0..SHARD_COUNT).all(|i| self.lock_shard(i).is_empty())
    }
}
const _: () = assert!(SHARD_COUNT <= 64, "a set of shards is a u64");
