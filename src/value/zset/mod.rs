//! Sorted sets: members ordered by a score, members of equal score by their bytes.
//!
//! Few and short members are kept in a listpack, exactly as Redis keeps them and writes them to RDB files. Beyond the
//! limits of the configuration a set turns into a counted B+ tree with a hash table beside it, for good. OBJECT
//! ENCODING calls that `skiplist`, as clients know it.
//!
//! Ranges of every kind are ranges of ranks here: [`ZSet::score_range`] and [`ZSet::lex_range`] find them in
//! logarithmic time, [`ZSet::iter_range`] walks and [`ZSet::remove_range`] removes them.

mod bounds;
mod builder;
mod entry;
mod indexed;
mod iter;
mod node;
mod packed;
mod tree;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tree_tests;

pub use bounds::{LexBound, ScoreBound};
pub use builder::ZSetBuilder;
pub use iter::Iter;
pub use packed::validate as validate_pairs;

use std::ops::Range;

use super::{Element, Limits, Listpack};
use crate::base::Rng;
use entry::EntryView;
use indexed::Indexed;

/// A sorted set.
#[derive(Clone)]
pub struct ZSet(Repr);

#[derive(Clone)]
enum Repr {
    Packed(Listpack),
    Indexed(Box<Indexed>),
}

/// What became of a member whose score was to be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inserted {
    /// The member is new.
    Added,
    /// The member had another score, this one.
    Updated(f64),
    /// The member had this score already.
    Unchanged,
}

/// Why pairs from elsewhere do not make a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sorted set: {kind} at pair {pair}")]
pub struct Rejected {
    /// The number of the offending pair, from 0.
    pub pair: usize,
    /// What is wrong with it.
    pub kind: RejectedKind,
}

/// The ways in which pairs fail to make a sorted set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RejectedKind {
    /// A member without a score after it.
    #[error("member without a score")]
    NoScore,
    /// A score that is not a number.
    #[error("score is not a number")]
    Score,
    /// A pair that belongs before its predecessor.
    #[error("pair out of order")]
    Order,
    /// A member that came before.
    #[error("member appears twice")]
    Duplicate,
}

impl Default for ZSet {
    fn default() -> Self {
        Self::new()
    }
}

impl ZSet {
    /// An empty set.
    pub fn new() -> Self {
        Self(Repr::Packed(Listpack::new()))
    }

    /// Takes over a validated listpack of members and scores, if its content is that of a sorted set. It is
    /// converted at once if it is larger than `limits` allow.
    ///
    /// # Errors
    /// On a missing or unreadable score, a pair out of order, or a member that appears twice.
    pub fn from_listpack(pack: Listpack, limits: &Limits) -> Result<Self, Rejected> {
        let longest = packed::validate(pack.view())?;
        if let Some(pair) = packed::find_duplicate(&pack) {
            return Err(Rejected { pair, kind: RejectedKind::Duplicate });
        }
        let fits =
            pack.len() / 2 <= limits.zset_max_listpack_entries && longest <= limits.zset_max_listpack_value;
        Ok(Self(if fits {
            Repr::Packed(pack)
        } else {
            Repr::Indexed(Box::new(Indexed::from_distinct(packed::entries(&pack))))
        }))
    }

    /// The whole listpack as it goes into an RDB file, if that is the encoding.
    pub fn as_listpack_bytes(&self) -> Option<&[u8]> {
        self.as_listpack().map(Listpack::as_bytes)
    }

    /// The listpack, if that is the encoding.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Repr::Packed(pack) => Some(pack),
            Repr::Indexed(_) => None,
        }
    }

    /// The encoding as OBJECT ENCODING names it.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Repr::Packed(_) => "listpack",
            Repr::Indexed(_) => "skiplist",
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Packed(pack) => pack.len() / 2,
            Repr::Indexed(set) => set.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.0 {
            Repr::Packed(pack) => packed::score(pack, member),
            Repr::Indexed(set) => set.score(member),
        }
    }

    /// The rank of a member, from 0, and its score; counted from the greatest if `reverse`.
    pub fn rank(&self, member: &[u8], reverse: bool) -> Option<(usize, f64)> {
        let (rank, score) = match &self.0 {
            Repr::Packed(pack) => packed::rank(pack, member),
            Repr::Indexed(set) => set.rank(member),
        }?;
        Some((if reverse { self.len() - 1 - rank } else { rank }, score))
    }

    /// The member of this rank, and its score.
    pub fn get(&self, rank: usize) -> Option<(Element<'_>, f64)> {
        match &self.0 {
            Repr::Packed(pack) => packed::pairs_from(pack, rank, false).next(),
            Repr::Indexed(set) => set.get(rank).map(pair),
        }
    }

    /// Gives a member this score, which must not be NaN.
    pub fn insert(&mut self, member: &[u8], score: f64, limits: &Limits) -> Inserted {
        match self.upsert(member, limits, |_| Some(score)) {
            None => Inserted::Added,
            Some(old) if old == score => Inserted::Unchanged,
            Some(old) => Inserted::Updated(old),
        }
    }

    /// Gives a member the score that `decide` makes of its present one (`None` if there is no such member); nothing
    /// changes if that is `None`. The new score must not be NaN: the caller refuses it, with its own error. Returns
    /// the score before.
    pub fn upsert(
        &mut self,
        member: &[u8],
        limits: &Limits,
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Option<f64> {
        let pack = match &mut self.0 {
            Repr::Indexed(set) => return set.upsert(member, decide),
            Repr::Packed(pack) => pack,
        };
        let old = packed::score(pack, member);
        let Some(new) = decide(old) else { return old };
        debug_assert!(!new.is_nan(), "a sorted set never holds NaN");
        match old {
            Some(old) if old == new => {}
            Some(_) => {
                packed::remove(pack, member);
                packed::insert(pack, member, new);
            }
            None => {
                let fits = pack.len() / 2 < limits.zset_max_listpack_entries
                    && member.len() <= limits.zset_max_listpack_value
                    && packed::has_room_for(pack, member);
                if fits {
                    packed::insert(pack, member, new);
                } else {
                    let mut set = Indexed::from_distinct(packed::entries(pack));
                    set.upsert(member, |_| Some(new));
                    self.0 = Repr::Indexed(Box::new(set));
                }
            }
        }
        old
    }

    /// Takes a member out; returns its score.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        match &mut self.0 {
            Repr::Packed(pack) => packed::remove(pack, member),
            Repr::Indexed(set) => set.remove(member),
        }
    }

    /// Takes the least member out.
    pub fn pop_min(&mut self) -> Option<(Vec<u8>, f64)> {
        self.remove_at(0, |member, score| (member.to_vec(), score))
    }

    /// Takes the greatest member out.
    pub fn pop_max(&mut self) -> Option<(Vec<u8>, f64)> {
        self.remove_at(self.len().checked_sub(1)?, |member, score| (member.to_vec(), score))
    }

    /// Takes the member of this rank out, and returns what `seen` makes of it.
    pub fn remove_at<R>(&mut self, rank: usize, seen: impl FnOnce(Element<'_>, f64) -> R) -> Option<R> {
        match &mut self.0 {
            Repr::Packed(pack) => {
                let (member, score) = packed::pairs_from(pack, rank, false).next()?;
                let result = seen(member, score);
                packed::remove_range(pack, rank..rank + 1);
                Some(result)
            }
            Repr::Indexed(set) => {
                let entry = set.remove_at(rank)?;
                let view = entry.view();
                Some(seen(Element::Bytes(view.member()), view.score()))
            }
        }
    }

    /// Takes the members of these ranks out, after showing them to `seen` in ascending order; returns how many.
    pub fn remove_range(&mut self, ranks: Range<usize>, mut seen: impl FnMut(Element<'_>, f64)) -> usize {
        let end = ranks.end.min(self.len());
        let ranks = ranks.start.min(end)..end;
        self.iter_range(ranks.start, ranks.len(), false).for_each(|(member, score)| seen(member, score));
        if !ranks.is_empty() {
            match &mut self.0 {
                Repr::Packed(pack) => packed::remove_range(pack, ranks.clone()),
                Repr::Indexed(set) => set.remove_range(ranks.clone()),
            }
        }
        ranks.len()
    }

    /// The ranks of the members whose score lies between two bounds; empty if there are none.
    pub fn score_range(&self, min: ScoreBound, max: ScoreBound) -> Range<usize> {
        let (start, end) = match &self.0 {
            Repr::Packed(pack) => packed::score_ranks(pack, min, max),
            Repr::Indexed(set) => set.score_ranks(min, max),
        };
        start..end.max(start)
    }

    /// The ranks of the members that lie between two bounds. As in Redis, which members that are is only defined
    /// if all scores are equal.
    pub fn lex_range(&self, min: LexBound<'_>, max: LexBound<'_>) -> Range<usize> {
        let (start, end) = match &self.0 {
            Repr::Packed(pack) => packed::lex_ranks(pack, min, max),
            Repr::Indexed(set) => set.lex_ranks(min, max),
        };
        start..end.max(start)
    }

    /// All members and their scores, in ascending order.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_range(0, usize::MAX, false)
    }

    /// At most `count` members from rank `start` (from 0, from the least) on: upwards, or downwards if `reverse`.
    pub fn iter_range(&self, start: usize, count: usize, reverse: bool) -> Iter<'_> {
        let len = self.len();
        let count = if start < len { count } else { 0 };
        match &self.0 {
            Repr::Packed(pack) => {
                Iter::packed(packed::pairs_from(pack, start.min(len), reverse), count, reverse)
            }
            Repr::Indexed(set) => Iter::tree(set.range(start, count, reverse)),
        }
    }

    /// A member chosen at random, each equally likely.
    pub fn random(&self, rng: &mut Rng) -> Option<(Element<'_>, f64)> {
        self.get(rng.below(self.len() as u64) as usize)
    }

    /// Visits some of the members, about `count`, and returns the cursor to go on with: 0 at the end, as at the
    /// start. A member that is present from the first call to the last is visited at least once, perhaps more often.
    /// Cursors have 48 bits. A listpack is visited whole.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'_>, f64)) -> u64 {
        match &self.0 {
            Repr::Packed(pack) => {
                packed::pairs(pack).for_each(|(member, score)| visit(member, score));
                0
            }
            Repr::Indexed(set) => {
                set.scan(cursor, count, |view| visit(Element::Bytes(view.member()), view.score()))
            }
        }
    }

    /// About how many allocations freeing this takes.
    pub fn estimated_free_effort(&self) -> usize {
        match &self.0 {
            Repr::Packed(_) => 1,
            Repr::Indexed(set) => set.len() + 1,
        }
    }

    /// Bytes the set takes on the heap, for MEMORY USAGE: member sizes are taken from the first `samples` members.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        match &self.0 {
            Repr::Packed(pack) => pack.byte_len(),
            Repr::Indexed(set) => set.memory_bytes(samples.max(1)),
        }
    }
}

impl std::fmt::Debug for ZSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

fn pair(view: EntryView<'_>) -> (Element<'_>, f64) {
    (Element::Bytes(view.member()), view.score())
}
