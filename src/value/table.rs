//! An extendible hash table: it grows and shrinks one small segment at a time.
//!
//! Shape: a directory of `2^depth` slots points at segments; a segment is a small open-addressing table
//! of at most [`SEGMENT_MAX`] items that share the first `segment.depth` bits of their hash (after the
//! table's `skip_bits`). A full segment splits in two and touches nothing else, so no insert ever moves
//! more than one segment's items: no latency spike, no doubling of memory, few pages dirtied under a fork.
//! (Fagin et al., "Extendible hashing", 1979.)
//!
//! Because segments hold disjoint, ordered ranges of hashes, "all items in order of their hash" is an order
//! that splits and merges do not disturb. [`Table::scan`] walks it, which gives SCAN's guarantee: an item
//! present from start to end is returned at least once, whatever else is inserted or removed.

use hashbrown::HashTable;

/// Items a segment holds before it splits (7/8 of 512 buckets).
pub const SEGMENT_MAX: usize = 448;
/// A segment with fewer items than this looks for a buddy to merge with.
const SEGMENT_MIN: usize = 48;
/// Scan positions keep the top 48 bits of a hash, so that cursors fit what every client can parse.
const CURSOR_SHIFT: u32 = 16;
/// Deepest directory a table may reach; beyond it a segment simply grows.
const DEPTH_MAX: u32 = 30;

/// What a table stores: an item that can tell the hash it was inserted under.
pub trait Hashed {
    /// The item's 64-bit hash; every bit must be well mixed.
    fn table_hash(&self) -> u64;
}

struct Segment<T> {
    items: HashTable<T>,
    /// Number of hash bits (after `skip_bits`) that all items share.
    depth: u32,
    /// Those bits, right-aligned.
    prefix: u64,
    /// A lower bound the owner may keep for its items (the keyspace: soonest expiry in ms).
    hint: i64,
}

/// A hash table that grows by splitting segments. See the module's text.
pub struct Table<T> {
    directory: Vec<u32>,
    segments: Vec<Segment<T>>,
    depth: u32,
    skip_bits: u32,
    len: usize,
}

/// hashbrown takes its tag from the top bits and the bucket from the low bits; the directory uses the top
/// bits too, so the halves are swapped to keep the tags selective within a segment.
#[inline]
fn inner_hash(hash: u64) -> u64 {
    hash.rotate_left(32)
}

impl<T: Hashed> Default for Table<T> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T: Hashed> Table<T> {
    /// An empty table whose directory ignores the first `skip_bits` bits of each hash (those that already
    /// chose the shard).
    pub fn new(skip_bits: u32) -> Self {
        assert!(skip_bits < 16);
        Table { directory: Vec::new(), segments: Vec::new(), depth: 0, skip_bits, len: 0 }
    }

    /// Number of items.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when the table holds nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of segments, for sliced maintenance by index.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    #[inline]
    fn slot(&self, hash: u64) -> usize {
        if self.depth == 0 { 0 } else { ((hash << self.skip_bits) >> (64 - self.depth)) as usize }
    }

    #[inline]
    fn segment_of(&self, hash: u64) -> Option<&Segment<T>> {
        let index = *self.directory.get(self.slot(hash))?;
        self.segments.get(index as usize)
    }

    #[inline]
    fn segment_of_mut(&mut self, hash: u64) -> Option<&mut Segment<T>> {
        let index = *self.directory.get(self.slot(hash))?;
        self.segments.get_mut(index as usize)
    }

    /// The item with this hash that `eq` accepts.
    #[inline]
    pub fn find(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        self.segment_of(hash)?.items.find(inner_hash(hash), eq)
    }

    /// As [`Table::find`], mutably. The item's hash must not be changed.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        self.segment_of_mut(hash)?.items.find_mut(inner_hash(hash), eq)
    }

    /// Inserts an item that is known to be absent and returns it in place.
    pub fn insert(&mut self, hash: u64, item: T) -> &mut T {
        self.insert_with_hint(hash, item, i64::MAX)
    }

    /// As [`Table::insert`], with the item's bound as for [`Table::note_hint`].
    pub fn insert_with_hint(&mut self, hash: u64, item: T, bound: i64) -> &mut T {
        debug_assert_eq!(item.table_hash(), hash, "item inserted under a hash that is not its own");
        if self.directory.is_empty() {
            self.directory.push(0);
            self.segments.push(Segment { items: HashTable::new(), depth: 0, prefix: 0, hint: i64::MAX });
        }
        let mut index = self.directory[self.slot(hash)] as usize;
        while self.segments[index].items.len() >= SEGMENT_MAX && self.segments[index].depth < DEPTH_MAX {
            self.split(index);
            index = self.directory[self.slot(hash)] as usize;
        }
        self.len += 1;
        let segment = &mut self.segments[index];
        segment.hint = segment.hint.min(bound);
        segment.items.insert_unique(inner_hash(hash), item, |it| inner_hash(it.table_hash())).into_mut()
    }

    /// Removes the item with this hash that `eq` accepts.
    pub fn remove(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<T> {
        let index = *self.directory.get(self.slot(hash))? as usize;
        let entry = self.segments[index].items.find_entry(inner_hash(hash), eq).ok()?;
        let (item, _) = entry.remove();
        self.len -= 1;
        self.after_removal(index);
        Some(item)
    }

    /// Drops every item and gives the memory back.
    pub fn clear(&mut self) {
        *self = Table::new(self.skip_bits);
    }

    /// All items, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.segments.iter().flat_map(|s| s.items.iter())
    }

    /// All items mutably; their hashes must not be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.segments.iter_mut().flat_map(|s| s.items.iter_mut())
    }

    /// The items of segment `index` (below [`Table::segment_count`]).
    pub fn segment_items(&self, index: usize) -> impl Iterator<Item = &T> {
        self.segments.get(index).into_iter().flat_map(|s| s.items.iter())
    }

    /// An item chosen at random, near enough to uniformly: first a segment by its share of the hash space,
    /// then a bucket of it.
    pub fn random(&self, mut next_u64: impl FnMut() -> u64) -> Option<&T> {
        if self.len == 0 {
            return None;
        }
        for _ in 0..64 {
            let Some(segment) = self.segment_of(next_u64() >> self.skip_bits) else { continue };
            let buckets = segment.items.num_buckets();
            if segment.items.is_empty() || buckets == 0 {
                continue;
            }
            for _ in 0..64 {
                if let Some(item) = segment.items.get_bucket(next_u64() as usize % buckets) {
                    return Some(item);
                }
            }
        }
        // A very sparse table: take the n-th item of all.
        self.iter().nth((next_u64() % self.len as u64) as usize)
    }

    /// Tells the segment of `hash` that one of its items now has this bound; keeps the smallest.
    #[inline]
    pub fn note_hint(&mut self, hash: u64, bound: i64) {
        if let Some(segment) = self.segment_of_mut(hash) {
            segment.hint = segment.hint.min(bound);
        }
    }

    /// The smallest bound noted for segment `index`; `i64::MAX` when none was.
    pub fn hint(&self, index: usize) -> i64 {
        self.segments.get(index).map_or(i64::MAX, |s| s.hint)
    }

    /// Takes out of segment `index` the items that `take` selects (at most `limit`), handing each to
    /// `taken`, and sets the segment's hint anew to the least that `bound` says of those that stay.
    /// Returns how many were taken.
    pub fn extract_from_segment(
        &mut self,
        index: usize,
        limit: usize,
        mut take: impl FnMut(&T) -> bool,
        bound: impl Fn(&T) -> i64,
        mut taken: impl FnMut(T),
    ) -> usize {
        let Some(segment) = self.segments.get_mut(index) else { return 0 };
        let mut count = 0;
        let mut left = i64::MAX;
        let gone = segment.items.extract_if(|item| {
            let take_it = count < limit && take(item);
            if take_it {
                count += 1;
            } else {
                left = left.min(bound(item));
            }
            take_it
        });
        for item in gone {
            taken(item);
        }
        segment.hint = left;
        self.len -= count;
        self.after_removal(index);
        count
    }

    /// Visits items in the order of their hash, from the first at or after position `from`, until `count`
    /// were visited (items whose positions are equal go together) or many segments were passed.
    /// Returns the position to go on from, or `None` at the end. The first position is 0 (or the first
    /// hash of the shard); positions are hashes with the low 16 bits clear.
    pub fn scan(&self, from: u64, count: usize, mut visit: impl FnMut(&T)) -> Option<u64> {
        let mut position = from;
        let mut visited = 0;
        let mut segments_left = count.saturating_mul(4).max(4);
        let mut batch: Vec<(u64, &T)> = Vec::new();
        while let Some(segment) = self.segment_of(position) {
            batch.clear();
            let with_hash = segment.items.iter().map(|it| (it.table_hash() >> CURSOR_SHIFT, it));
            batch.extend(with_hash.filter(|(h, _)| *h >= position >> CURSOR_SHIFT));
            batch.sort_unstable_by_key(|(h, _)| *h);
            let mut last = None;
            for (hash, item) in &batch {
                if visited >= count && last != Some(*hash) {
                    return Some(hash << CURSOR_SHIFT);
                }
                visit(item);
                visited += 1;
                last = Some(*hash);
            }
            position = self.segment_end(segment, position)?;
            segments_left -= 1;
            if visited >= count || segments_left == 0 {
                return Some(position);
            }
        }
        None
    }

    /// Visits, unsorted, all items at or after position `from` of the one segment that holds it; returns
    /// the next segment's first position, or `None` after the last. For walks that release a lock between
    /// segments: what is present throughout is visited; a merge in between may visit an item again.
    pub fn walk_segment(&self, from: u64, mut visit: impl FnMut(&T)) -> Option<u64> {
        let segment = self.segment_of(from)?;
        let from_start = self.segment_start(segment, from) >= from;
        for item in segment.items.iter() {
            if from_start || item.table_hash() >= from {
                visit(item);
            }
        }
        self.segment_end(segment, from)
    }

    fn range_shift(&self, segment: &Segment<T>) -> u32 {
        64 - self.skip_bits - segment.depth
    }

    /// The bits before the directory's, as they stand in `position`.
    fn skipped(&self, position: u64) -> u64 {
        if self.skip_bits == 0 { 0 } else { (position >> (64 - self.skip_bits)) << (64 - self.skip_bits) }
    }

    fn segment_start(&self, segment: &Segment<T>, position: u64) -> u64 {
        let shift = self.range_shift(segment);
        self.skipped(position) | if shift >= 64 { 0 } else { segment.prefix << shift }
    }

    fn segment_end(&self, segment: &Segment<T>, position: u64) -> Option<u64> {
        let shift = self.range_shift(segment);
        let next = segment.prefix + 1;
        if next >> segment.depth != 0 {
            return None;
        }
        Some(self.skipped(position) | (next << shift))
    }

    fn split(&mut self, index: usize) {
        let (depth, prefix, hint) = {
            let s = &self.segments[index];
            (s.depth, s.prefix, s.hint)
        };
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|&i| [i, i]).collect();
            self.depth += 1;
        }
        let skip = self.skip_bits;
        let bit = 63 - skip - depth;
        let old = &mut self.segments[index];
        // Both halves are built anew: removals would leave tombstones, and those make a table double.
        let mut lower = HashTable::with_capacity(SEGMENT_MAX);
        let mut upper = HashTable::with_capacity(SEGMENT_MAX);
        for item in std::mem::take(&mut old.items) {
            let hash = item.table_hash();
            let half = if hash >> bit & 1 == 1 { &mut upper } else { &mut lower };
            half.insert_unique(inner_hash(hash), item, |it| inner_hash(it.table_hash()));
        }
        old.items = lower;
        old.depth = depth + 1;
        old.prefix = prefix << 1;
        let new_index = self.segments.len() as u32;
        let prefix = prefix << 1 | 1;
        self.segments.push(Segment { items: upper, depth: depth + 1, prefix, hint });
        self.point_slots(new_index);
    }

    /// Makes every directory slot in a segment's range point at it.
    fn point_slots(&mut self, index: u32) {
        let segment = &self.segments[index as usize];
        let width = self.depth - segment.depth;
        let first = (segment.prefix << width) as usize;
        self.directory[first..first + (1 << width)].fill(index);
    }

    fn after_removal(&mut self, index: usize) {
        if self.len == 0 {
            self.clear();
            return;
        }
        let segment = &mut self.segments[index];
        let len = segment.items.len();
        if len >= SEGMENT_MIN {
            return;
        }
        if segment.depth == 0 {
            if segment.items.num_buckets() > 16 && len * 8 < segment.items.num_buckets() {
                segment.items.shrink_to(len * 2, |it| inner_hash(it.table_hash()));
            }
            return;
        }
        self.merge(index);
    }

    fn merge(&mut self, index: usize) {
        let (depth, prefix) = (self.segments[index].depth, self.segments[index].prefix);
        let buddy_slot = (prefix ^ 1) << (self.depth - depth);
        let buddy = self.directory[buddy_slot as usize] as usize;
        let together = self.segments[index].items.len() + self.segments[buddy].items.len();
        if self.segments[buddy].depth != depth || together > SEGMENT_MAX / 2 {
            return;
        }
        let (keep, drop) = (index.min(buddy), index.max(buddy));
        let gone = self.segments.swap_remove(drop);
        if drop < self.segments.len() {
            self.point_slots(drop as u32);
        }
        let kept = &mut self.segments[keep];
        for item in gone.items {
            let hash = inner_hash(item.table_hash());
            kept.items.insert_unique(hash, item, |it| inner_hash(it.table_hash()));
        }
        kept.depth = depth - 1;
        kept.prefix = prefix >> 1;
        kept.hint = kept.hint.min(gone.hint);
        self.point_slots(keep as u32);
        if self.segments.len() * 8 < self.directory.len() {
            self.halve_directory();
        }
    }

    fn halve_directory(&mut self) {
        let deepest = self.segments.iter().map(|s| s.depth).max().unwrap_or(0);
        if deepest >= self.depth {
            return;
        }
        let step = 1usize << (self.depth - deepest);
        self.directory = self.directory.iter().step_by(step).copied().collect();
        self.depth = deepest;
    }

    /// Checks the structure's invariants; for tests.
    #[cfg(test)]
    fn check(&self) {
        assert_eq!(self.len, self.segments.iter().map(|s| s.items.len()).sum::<usize>());
        if self.segments.is_empty() {
            assert!(self.directory.is_empty());
            return;
        }
        assert_eq!(self.directory.len(), 1 << self.depth);
        for (slot, &index) in self.directory.iter().enumerate() {
            let s = &self.segments[index as usize];
            assert!(s.depth <= self.depth);
            assert_eq!(slot as u64 >> (self.depth - s.depth), s.prefix);
        }
        for s in &self.segments {
            for item in &s.items {
                let hash = item.table_hash() << self.skip_bits;
                let prefix = if s.depth == 0 { 0 } else { hash >> (64 - s.depth) };
                assert_eq!(prefix, s.prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    struct Item(u64);

    fn mix(n: u64) -> u64 {
        let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    impl Hashed for Item {
        fn table_hash(&self) -> u64 {
            mix(self.0)
        }
    }

    fn insert(table: &mut Table<Item>, n: u64) {
        table.insert(mix(n), Item(n));
    }

    fn scan_all(table: &Table<Item>, count: usize, mut between: impl FnMut()) -> Vec<u64> {
        let mut seen = Vec::new();
        let mut at = Some(0);
        while let Some(from) = at {
            at = table.scan(from, count, |it| seen.push(it.0));
            between();
        }
        seen
    }

    #[test]
    fn grows_shrinks_and_finds() {
        let n = if cfg!(miri) { 2_000 } else { 100_000 };
        let mut table = Table::default();
        (0..n).for_each(|i| insert(&mut table, i));
        table.check();
        assert_eq!(table.len(), n as usize);
        assert!((0..n).all(|i| table.find(mix(i), |it| it.0 == i).is_some()));
        assert!(table.find(mix(n), |it| it.0 == n).is_none());
        let mut seen = scan_all(&table, 10, || ());
        seen.sort_unstable();
        assert_eq!(seen, (0..n).collect::<Vec<_>>());
        for i in 0..n - 10 {
            assert_eq!(table.remove(mix(i), |it| it.0 == i).map(|it| it.0), Some(i));
        }
        table.check();
        assert_eq!(table.len(), 10);
        assert!(table.directory.len() <= 16, "directory gave its memory back");
        assert_eq!(table.iter().count(), 10);
    }

    #[test]
    fn scan_returns_what_stays_under_growth_and_shrinkage() {
        let mut table = Table::default();
        (0..2_000).for_each(|i| insert(&mut table, i));
        let mut seen = HashSet::new();
        let mut at = Some(0);
        let mut next = 10_000;
        let mut gone = 1_000;
        while let Some(from) = at {
            at = table.scan(from, 7, |it| {
                seen.insert(it.0);
            });
            (0..40).for_each(|i| insert(&mut table, next + i));
            next += 40;
            for _ in 0..5 {
                table.remove(mix(gone), |it| it.0 == gone);
                gone = if gone < 1_999 { gone + 1 } else { gone };
            }
            if next > 30_000 {
                // shrink hard so that segments merge under the cursor
                for i in 10_000..next {
                    table.remove(mix(i), |it| it.0 == i);
                }
                next = 40_000;
            }
        }
        table.check();
        assert!((0..1_000).all(|i| seen.contains(&i)));
    }

    #[test]
    fn random_reaches_every_item() {
        let mut table = Table::default();
        (0..600).for_each(|i| insert(&mut table, i));
        let mut state = 1;
        let mut seen = HashSet::new();
        for _ in 0..20_000 {
            let item = table.random(|| {
                state += 1;
                mix(state)
            });
            seen.insert(item.map(|it| it.0));
        }
        assert_eq!(seen.len(), 600);
    }

    #[test]
    fn walk_and_extract_by_segment() {
        let mut table = Table::default();
        (0..5_000).for_each(|i| insert(&mut table, i));
        let mut seen = 0;
        let mut at = Some(0);
        while let Some(from) = at {
            at = table.walk_segment(from, |_| seen += 1);
        }
        assert_eq!(seen, 5_000);
        (0..5_000).for_each(|i| table.note_hint(mix(i), i as i64));
        let segments = table.segment_count();
        let first = (0..segments).min_by_key(|&i| table.hint(i)).unwrap_or(0);
        assert_eq!(table.hint(first), 0);
        let taken = table.extract_from_segment(first, 1, |it| it.0 == 0, |it| it.0 as i64, drop);
        assert_eq!((taken, table.len()), (1, 4_999));
        assert!(table.hint(first) > 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 64 }, ..Default::default() })]
        #[test]
        fn agrees_with_a_map(ops in prop::collection::vec((any::<bool>(), 0u64..3_000), 1..4_000)) {
            let mut table: Table<Item> = Table::new(6);
            let mut model = HashMap::new();
            for (add, n) in ops {
                // one shard's hashes: the first six bits equal
                let hash = |n: u64| mix(n);
                let n = (n..).find(|&n| hash(n) >> 58 == 5).unwrap_or(0);
                if add && model.insert(n, ()).is_none() {
                    table.insert(hash(n), Item(n));
                } else if !add {
                    let removed = table.remove(hash(n), |it| it.0 == n).is_some();
                    prop_assert_eq!(removed, model.remove(&n).is_some());
                }
            }
            table.check();
            prop_assert_eq!(table.len(), model.len());
            let mut seen = Vec::new();
            let mut at = Some(5u64 << 58);
            while let Some(from) = at {
                at = table.scan(from, 3, |it| seen.push(it.0));
            }
            seen.sort_unstable();
            let mut want: Vec<u64> = model.into_keys().collect();
            want.sort_unstable();
            prop_assert_eq!(seen, want);
        }
    }
}
