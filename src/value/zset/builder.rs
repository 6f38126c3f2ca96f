//! Building a sorted set of many pairs at once.

use std::cmp::Ordering;

use super::super::{Limits, Listpack};
use super::entry::Entry;
use super::indexed::Indexed;
use super::{Rejected, RejectedKind, Repr, ZSet, packed};

/// Collects pairs in any order and builds the set at the end. Pairs that come in ascending or in descending order
/// (as an RDB file has them) are not sorted again.
#[derive(Default)]
pub struct ZSetBuilder {
    entries: Vec<Entry>,
    longest: usize,
    total: usize,
    not_ascending: bool,
    not_descending: bool,
}

fn order(a: &Entry, b: &Entry) -> Ordering {
    let (a, b) = (a.view(), b.view());
    // Never NaN; -0 equals 0.
    let by_score = a.score().partial_cmp(&b.score()).unwrap_or(Ordering::Equal);
    by_score.then_with(|| a.member().cmp(b.member()))
}

impl ZSetBuilder {
    /// A builder without pairs.
    pub fn new() -> Self {
        Self::default()
    }

    /// A builder with room for so many pairs.
    pub fn with_room_for(pairs: usize) -> Self {
        Self { entries: Vec::with_capacity(pairs), ..Self::default() }
    }

    /// Adds a pair.
    ///
    /// # Errors
    /// If the score is NaN.
    pub fn push(&mut self, member: &[u8], score: f64) -> Result<(), Rejected> {
        if score.is_nan() {
            return Err(Rejected { pair: self.entries.len(), kind: RejectedKind::Score });
        }
        let entry = Entry::new(score, member);
        if let Some(last) = self.entries.last() {
            let order = order(last, &entry);
            self.not_ascending |= order.is_ge();
            self.not_descending |= order.is_le();
        }
        self.longest = self.longest.max(member.len());
        self.total = self.total.saturating_add(member.len() + packed::PAIR_OVERHEAD_BYTES);
        self.entries.push(entry);
        Ok(())
    }

    /// Number of pairs so far.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no pair yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The set of the pairs, in the encoding that `limits` ask for.
    ///
    /// # Errors
    /// If a member came twice; the pair is counted in sorted order.
    pub fn finish(mut self, limits: &Limits) -> Result<ZSet, Rejected> {
        if self.not_ascending {
            if self.not_descending {
                self.entries.sort_unstable_by(order);
            } else {
                self.entries.reverse();
            }
        }
        let fits = self.entries.len() <= limits.zset_max_listpack_entries
            && self.longest <= limits.zset_max_listpack_value
            && Listpack::new().has_room_for(self.total);
        if !fits {
            return Ok(ZSet(Repr::Indexed(Box::new(Indexed::from_sorted(self.entries)?))));
        }
        let pack = packed::from_entries(&self.entries);
        match packed::find_duplicate(&pack) {
            Some(pair) => Err(Rejected { pair, kind: RejectedKind::Duplicate }),
            None => Ok(ZSet(Repr::Packed(pack))),
        }
    }
}
