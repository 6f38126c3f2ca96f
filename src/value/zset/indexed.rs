//! The encoding for many members: the tree for order and rank, a hash table for finding a member.

use std::ops::Range;

use super::super::blob::scan_table;
use super::super::hash_bytes;
use super::super::table::{Hashed, Table};
use super::bounds::{LexBound, ScoreBound};
use super::entry::{Entry, EntryPtr, EntryView};
use super::iter;
use super::node::Key;
use super::tree::Tree;
use super::{Rejected, RejectedKind};

/// The address of an entry that the tree beside the table owns.
///
/// The entry is alive as long as the slot is in the table: [`Indexed`] takes a slot out before it lets go of the
/// entry, and runs no foreign code in between.
struct Slot(EntryPtr);

impl Slot {
    fn view(&self) -> EntryView<'_> {
        // SAFETY: see the type's text. Scores are written only through `&mut Indexed`, so not while `self` is
        // borrowed.
        unsafe { self.0.view() }
    }
}

impl Hashed for Slot {
    fn table_hash(&self) -> u64 {
        hash_bytes(self.view().member())
    }
}

/// Members in a tree and in an index.
#[derive(Default)]
pub(super) struct Indexed {
    tree: Tree,
    index: Table<Slot>,
}

impl Indexed {
    /// Builds the set from entries in ascending order; only whether members differ is checked.
    pub(super) fn from_sorted(entries: Vec<Entry>) -> Result<Self, Rejected> {
        let mut index: Table<Slot> = Table::default();
        index.make_room(entries.len());
        for (pair, entry) in entries.iter().enumerate() {
            let member = entry.view().member();
            let hash = hash_bytes(member);
            if index.find(hash, |slot| slot.view().member() == member).is_some() {
                return Err(Rejected { pair, kind: RejectedKind::Duplicate });
            }
            index.insert(hash, Slot(entry.ptr()));
        }
        Ok(Self { tree: Tree::from_sorted(entries.into_iter()), index })
    }

    /// Builds the set from entries in ascending order whose members are known to differ.
    pub(super) fn from_distinct(entries: impl Iterator<Item = Entry>) -> Self {
        let mut index: Table<Slot> = Table::default();
        let tree = Tree::from_sorted(entries.inspect(|entry| {
            index.insert(hash_bytes(entry.view().member()), Slot(entry.ptr()));
        }));
        Self { tree, index }
    }

    pub(super) fn len(&self) -> usize {
        self.tree.len()
    }

    fn find(&self, hash: u64, member: &[u8]) -> Option<EntryView<'_>> {
        Some(self.index.find(hash, |slot| slot.view().member() == member)?.view())
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        Some(self.find(hash_bytes(member), member)?.score())
    }

    pub(super) fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let score = self.score(member)?;
        Some((self.tree.rank(Key { score, member })?, score))
    }

    pub(super) fn get(&self, rank: usize) -> Option<EntryView<'_>> {
        self.tree.get(rank)
    }

    /// Sets the score of `member` to what `decide` makes of the present one; nothing happens on `None`.
    /// Returns the score before.
    pub(super) fn upsert(
        &mut self,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Option<f64> {
        let hash = hash_bytes(member);
        let old = self.find(hash, member).map(EntryView::score);
        let new = decide(old);
        match (old, new) {
            (Some(old), Some(new)) if old != new => {
                self.tree.update(Key { score: old, member }, new);
            }
            (None, Some(new)) => {
                let ptr = self.tree.insert(Entry::new(new, member));
                self.index.insert(hash, Slot(ptr));
            }
            _ => {}
        }
        old
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let slot = self.index.remove(hash_bytes(member), |slot| slot.view().member() == member)?;
        let score = slot.view().score();
        self.tree.remove(Key { score, member })?;
        Some(score)
    }

    /// Takes out the entries of these ranks.
    pub(super) fn remove_range(&mut self, ranks: Range<usize>) {
        if ranks.len() >= self.len() {
            *self = Self::default();
            return;
        }
        for view in self.tree.range(ranks.start, ranks.len(), false) {
            self.index.remove(hash_bytes(view.member()), |slot| slot.0 == view.ptr());
        }
        self.tree.remove_range(ranks.start, ranks.end, &mut drop);
    }

    /// Takes out the entry of this rank.
    pub(super) fn remove_at(&mut self, rank: usize) -> Option<Entry> {
        let view = self.tree.get(rank)?;
        self.index.remove(hash_bytes(view.member()), |slot| slot.0 == view.ptr());
        self.tree.remove_at(rank)
    }

    pub(super) fn range(&self, start: usize, count: usize, reverse: bool) -> iter::Range<'_> {
        self.tree.range(start, count, reverse)
    }

    /// How many members lie before a range from `min`, and in or before one to `max`.
    pub(super) fn score_ranks(&self, min: ScoreBound, max: ScoreBound) -> (usize, usize) {
        let start = self.tree.partition_rank(|score, _| min.is_after(score));
        let end = self.tree.partition_rank(|score, _| max.reaches(score));
        (start, end)
    }

    /// As [`Indexed::score_ranks`], by member; the scores are taken to be equal.
    pub(super) fn lex_ranks(&self, min: LexBound<'_>, max: LexBound<'_>) -> (usize, usize) {
        let start = self.tree.partition_rank(|_, view| min.is_after(view.member()));
        let end = self.tree.partition_rank(|_, view| max.reaches(view.member()));
        (start, end)
    }

    /// Visits members in the order of the index; returns the next cursor, 0 at the end.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(EntryView<'_>)) -> u64 {
        scan_table(&self.index, cursor, count, |slot| visit(slot.view()))
    }

    /// Bytes asked of the allocator, members estimated from the first `samples`.
    pub(super) fn memory_bytes(&self, samples: usize) -> usize {
        let slots = self.index.len() * (size_of::<Slot>() + 1) * 3 / 2;
        size_of::<Self>() + slots + self.tree.memory_bytes(samples)
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        self.tree.check();
        assert_eq!(self.index.len(), self.tree.len());
        for view in self.tree.range(0, usize::MAX, false) {
            let found = self.find(hash_bytes(view.member()), view.member());
            assert_eq!(found.map(EntryView::ptr), Some(view.ptr()));
        }
    }
}

impl Clone for Indexed {
    fn clone(&self) -> Self {
        let views = self.tree.range(0, usize::MAX, false);
        Self::from_distinct(views.map(|view| Entry::new(view.score(), view.member())))
    }
}
