//! A snapshot of a keyspace that goes on changing: what is about to change is kept first.
//!
//! [`Shard::begin_capture`], called with all shards held, marks the moment. From then on each slice of a database knows
//! up to which hash the snapshot's walk has come (`next`). Behind that point nothing is to be heeded. Ahead of it an entry
//! without the mark *kept* is as it was at that moment and not yet in the snapshot: before its first change, whatever that
//! is, it is shown to the [`Keeper`], and marked. An entry that came later is marked from the start. So the walk,
//! which takes every entry without the mark, together with what was kept shows each entry of that moment once, as it
//! was, however segments split and merge meanwhile: their order is that of hashes.
//!
//! The mark lies in the entry itself, so there is no list of changed keys that could grow. A database that is flushed or
//! replaced meanwhile is set aside with its place in the walk ([`Shard::take_db`]), and one that is swapped takes its place
//! along.

use super::db::Db;
use super::entry::{Entry, ValueRef};
use super::shard::Shard;
use crate::value::Value;
use std::sync::Arc;

/// A value above this is heavy: to keep it would take its writer long. Bytes.
pub const HEAVY_BYTES: usize = 256 * 1024;
/// A value of more parts than this is heavy.
pub const HEAVY_PARTS: usize = 1024;
/// A value of fewer parts is judged by what lies in it only from here on.
const WEIGHED_PARTS: usize = 8;
/// Members by which a value's size is judged.
const WEIGHED_SAMPLES: usize = 4;

/// Takes what the snapshot must still have of an entry that is about to change.
pub trait Keeper: Send + Sync {
    /// This entry of the snapshot, which was in database `db` then, is about to change or to go. Called under its
    /// shard's lock; each entry once.
    fn keep(&self, db: u32, hash: u64, entry: &Entry);

    /// A heavy entry of the snapshot is to change or to go as soon as that has it.
    fn hurry(&self, db: u32, hash: u64, key: &[u8]);

    /// The snapshot has been given up: nothing is kept any more.
    fn is_over(&self) -> bool;
}

/// What a slice of a database knows of the snapshot that is being taken.
pub(super) struct Capture {
    keeper: Arc<dyn Keeper>,
    /// The database's number at the snapshot's moment.
    pub(super) db: u32,
    /// The walk has come up to here: the first hash that it has not passed.
    pub(super) next: u64,
}

impl Capture {
    pub(super) fn new(keeper: Arc<dyn Keeper>, db: u32, start: u64) -> Capture {
        Capture { keeper, db, next: start }
    }

    /// Is the entry one that the snapshot has not got yet?
    pub(super) fn wants(&self, hash: u64, entry: &Entry) -> bool {
        hash >= self.next && !entry.is_kept()
    }

    /// Call before any change to an entry.
    #[cold]
    pub(super) fn before_change(&self, hash: u64, entry: &mut Entry) {
        if self.wants(hash, entry) {
            self.keeper.keep(self.db, hash, entry);
            entry.set_kept(true);
        }
    }

    /// Marks an entry that has just come.
    #[cold]
    pub(super) fn mark_new(&self, hash: u64, entry: &mut Entry) {
        entry.set_kept(hash >= self.next);
    }

    /// Would a change to the entry have to keep a heavy value first?
    pub(super) fn is_held(&self, hash: u64, entry: &Entry) -> bool {
        self.wants(hash, entry) && is_heavy(entry) && !self.keeper.is_over()
    }

    /// As [`Capture::is_held`]; if so, the value is soon in the snapshot.
    pub(super) fn hurry_if_held(&self, hash: u64, entry: &Entry) -> bool {
        let held = self.is_held(hash, entry);
        if held {
            self.keeper.hurry(self.db, hash, entry.key());
        }
        held
    }
}

/// Whether writing a value out takes so long that it is done in slices.
pub fn is_heavy(entry: &Entry) -> bool {
    match entry.value() {
        ValueRef::Int(_) => false,
        ValueRef::Bytes(bytes) => bytes.len() > HEAVY_BYTES,
        ValueRef::Object(value) => {
            let parts = value.estimated_free_effort();
            parts > HEAVY_PARTS || parts > WEIGHED_PARTS && weigh(value) > HEAVY_BYTES
        }
    }
}

fn weigh(value: &Value) -> usize {
    value.memory_bytes(WEIGHED_SAMPLES)
}

/// What the walk does with an entry that it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is in the snapshot now.
    Whole,
    /// It is, and that is enough for this time.
    WholeAndEnough,
    /// It is not yet: it is written in slices.
    Begun,
}

/// How far a step of the walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walked {
    /// Somewhere in the slice.
    Part,
    /// To the end of the slice, which is rid of the capture now.
    All,
}

impl Shard {
    /// Begins a capture of all databases. The caller holds all shards.
    pub fn begin_capture(&mut self, index: usize, databases: u32, keeper: &Arc<dyn Keeper>) {
        debug_assert!(self.captured().is_none(), "a snapshot is being taken already");
        let start = super::db::shard_start(index);
        for db in 0..databases {
            let slice = self.db_mut(db);
            if !slice.is_empty() {
                slice.begin_capture(Capture::new(keeper.clone(), db, start));
            }
        }
    }

    /// A slice that the walk is not through with.
    pub fn captured(&mut self) -> Option<&mut Db> {
        self.slices_mut().find(|slice| slice.captured_db().is_some())
    }

    /// The slice of what was database `db` at the snapshot's moment, if the walk is not through with it.
    pub fn captured_as(&mut self, db: u32) -> Option<&mut Db> {
        self.slices_mut().find(|slice| slice.captured_db() == Some(db))
    }
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
