//! The shards that one command holds.

use super::{SHARD_COUNT, Shard, shard_of};
use parking_lot::MutexGuard;
use smallvec::SmallVec;

/// Locked shards in ascending order; they unlock when this drops.
pub struct Locked<'a> {
    guards: SmallVec<[(usize, MutexGuard<'a, Shard>); 1]>,
}

impl<'a> Locked<'a> {
    /// Holds nothing.
    pub fn none() -> Self {
        Locked { guards: SmallVec::new() }
    }

    /// Holds one shard.
    #[inline]
    pub(super) fn one(index: usize, guard: MutexGuard<'a, Shard>) -> Self {
        let mut guards = SmallVec::new();
        guards.push((index, guard));
        Locked { guards }
    }

    /// Adds a shard; indexes must rise (this is the deadlock rule).
    pub(super) fn push(&mut self, index: usize, guard: MutexGuard<'a, Shard>) {
        debug_assert!(self.guards.last().is_none_or(|(last, _)| *last < index));
        self.guards.push((index, guard));
    }

    /// True when every shard is held.
    #[inline]
    pub fn is_all(&self) -> bool {
        self.guards.len() == SHARD_COUNT
    }

    /// True when nothing is held.
    pub fn is_none(&self) -> bool {
        self.guards.is_empty()
    }

    #[inline]
    fn position(&self, index: usize) -> usize {
        if self.is_all() {
            return index;
        }
        let found = self.guards.iter().position(|(i, _)| *i == index);
        found.expect("a command touched a key that its key specs do not name")
    }

    /// The shard of a hash; it must be among those held.
    #[inline]
    pub fn shard(&self, hash: u64) -> &Shard {
        &self.guards[self.position(shard_of(hash))].1
    }

    /// As [`Locked::shard`], mutably.
    #[inline]
    pub fn shard_mut(&mut self, hash: u64) -> &mut Shard {
        let position = self.position(shard_of(hash));
        &mut self.guards[position].1
    }

    /// All held shards with their indexes.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Shard)> {
        self.guards.iter_mut().map(|(index, guard)| (*index, &mut **guard))
    }

    /// Tells who hears of changes, if anybody does, that whole databases have changed. All shards must be held.
    pub fn everything_changed(&self) {
        debug_assert!(self.is_all());
        if let Some(observer) = self.guards.first().and_then(|(_, shard)| shard.observer()) {
            observer.everything_changed();
        }
    }

    /// All held shards with their indexes.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Shard)> {
        self.guards.iter().map(|(index, guard)| (*index, &**guard))
    }
}
