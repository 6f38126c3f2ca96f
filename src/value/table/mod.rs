//! An extendible hash table: it grows and shrinks one small segment at a time.
//!
//! Shape: a directory of `2^depth` slots points at segments; a segment is a small table ([`slots`])
//! of at most [`SEGMENT_MAX`] items that share the first `segment.depth` bits of their hash (after the
//! table's `skip_bits`). A full segment splits in two and touches nothing else, so no insert ever moves
//! more than one segment's items: no latency spike, no doubling of memory, few pages dirtied under a fork.
//! (Fagin et al., "Extendible hashing", 1979.)
//!
//! Because segments hold disjoint, ordered ranges of hashes, "all items in order of their hash" is an order
//! that splits and merges do not disturb. [`Table::scan`] walks it, which gives SCAN's guarantee: an item
//! present from start to end is returned at least once, whatever else is inserted or removed.

mod slots;

use slots::Slots;

/// Items a segment holds before it splits: as many as its index takes before searches grow long.
pub const SEGMENT_MAX: usize = 384;
/// A segment with fewer items than this looks for a buddy to merge with.
const SEGMENT_MIN: usize = 48;
/// Scan positions keep the top 48 bits of a hash, so that cursors fit what every client can parse.
const CURSOR_SHIFT: u32 = 16;
/// Items of a segment for which room is made beforehand, at most: hashes do not fill all segments alike, and one that is
/// a little fuller than others is not to split.
const SEGMENT_ROOM: usize = SEGMENT_MAX / 6 * 5;
/// Deepest directory a table may reach; beyond it a segment simply grows.
const DEPTH_MAX: u32 = 30;

/// What a table stores: an item that can tell the hash it was inserted under.
pub trait Hashed {
    /// The item's 64-bit hash; every bit must be well mixed.
    fn table_hash(&self) -> u64;
    /// When the item is next due, for [`Table::hint`] (unix ms); `i64::MAX` for never.
    #[inline]
    fn due_ms(&self) -> i64 {
        i64::MAX
    }
}

struct Segment<T> {
    items: Slots<T>,
    /// Number of hash bits (after `skip_bits`) that all items share.
    depth: u32,
    /// Those bits, right-aligned.
    prefix: u64,
    /// A lower bound of when its items are due.
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
        let items = &self.segment_of(hash)?.items;
        items.items().get(items.position(hash, eq)?)
    }

    /// As [`Table::find`], mutably. The item's hash must not be changed.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let items = &mut self.segment_of_mut(hash)?.items;
        let position = items.position(hash, eq)?;
        items.items_mut().get_mut(position)
    }

    /// Has the processor fetch the memory that a search for this hash, or an insert under it, begins with.
    #[inline]
    pub fn fetch(&self, hash: u64) {
        if let Some(segment) = self.segment_of(hash) {
            segment.items.fetch(hash);
        }
    }

    /// Makes an empty table one for about `count` items, so that they come to lie where they stay: growing by splits would
    /// move each of them, and look each up for its hash, time and again. Does nothing to a table that is not empty.
    ///
    /// It costs some bytes for each item at once, so the caller bounds the count.
    pub fn make_room(&mut self, count: usize) {
        if !self.directory.is_empty() || count == 0 {
            return;
        }
        let mut depth = 0;
        while count.div_ceil(1 << depth) > SEGMENT_ROOM && depth < DEPTH_MAX {
            depth += 1;
        }
        let each = count.div_ceil(1 << depth);
        // More items than that are moved, which is cheap; to index them anew is not.
        let most = if depth > 0 { each + each / 8 } else { each };
        self.depth = depth;
        self.directory = (0..1 << depth).collect();
        let empty = |prefix| Segment { items: Slots::indexing(most, each), depth, prefix, hint: i64::MAX };
        self.segments = (0..1 << depth).map(empty).collect();
    }

    /// Inserts an item that is known to be absent and returns it in place.
    pub fn insert(&mut self, hash: u64, item: T) -> &mut T {
        debug_assert_eq!(item.table_hash(), hash, "item inserted under a hash that is not its own");
        if self.directory.is_empty() {
            self.directory.push(0);
            self.segments.push(Segment { items: Slots::new(), depth: 0, prefix: 0, hint: i64::MAX });
        }
        let mut index = self.directory[self.slot(hash)] as usize;
        while self.segments[index].items.len() >= SEGMENT_MAX && self.segments[index].depth < DEPTH_MAX {
            self.split(index);
            index = self.directory[self.slot(hash)] as usize;
        }
        self.len += 1;
        let segment = &mut self.segments[index];
        segment.hint = segment.hint.min(item.due_ms());
        let position = segment.items.push(hash, item, T::table_hash);
        &mut segment.items.items_mut()[position]
    }

    /// Removes the item with this hash that `eq` accepts.
    pub fn remove(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<T> {
        let index = *self.directory.get(self.slot(hash))? as usize;
        let items = &mut self.segments[index].items;
        let item = items.remove(items.position(hash, eq)?, hash, T::table_hash);
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
        self.segments.iter().flat_map(|s| s.items.items())
    }

    /// All items mutably; their hashes must not be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.segments.iter_mut().flat_map(|s| s.items.items_mut())
    }

    /// The items of segment `index` (below [`Table::segment_count`]).
    pub fn segment_items(&self, index: usize) -> impl Iterator<Item = &T> {
        self.segments.get(index).into_iter().flat_map(|s| s.items.items())
    }

    /// An item chosen at random, near enough to uniformly: first a segment by its share of the hash space,
    /// then an item of it.
    pub fn random(&self, mut next_u64: impl FnMut() -> u64) -> Option<&T> {
        if self.len == 0 {
            return None;
        }
        for _ in 0..64 {
            let Some(segment) = self.segment_of(next_u64() >> self.skip_bits) else { continue };
            let items = segment.items.items();
            if !items.is_empty() {
                return items.get((next_u64() % items.len() as u64) as usize);
            }
        }
        // A very sparse table: take the n-th item of all.
        self.iter().nth((next_u64() % self.len as u64) as usize)
    }

    /// Tells the segment of `hash` that one of its items is now due at `due_ms`; keeps the soonest.
    #[inline]
    pub fn note_hint(&mut self, hash: u64, due_ms: i64) {
        if let Some(segment) = self.segment_of_mut(hash) {
            segment.hint = segment.hint.min(due_ms);
        }
    }

    /// Tells the segment of `hash` that an item which was due at `was_ms` is so no more, or is gone: if that was the
    /// soonest, the next is looked for. So hints stay exact, where each change is told.
    pub fn renew_hint(&mut self, hash: u64, was_ms: i64) {
        let Some(segment) = self.segment_of_mut(hash) else { return };
        if was_ms > segment.hint || was_ms == i64::MAX {
            return;
        }
        let mut soonest = i64::MAX;
        for item in segment.items.items() {
            soonest = soonest.min(item.due_ms());
            if soonest <= was_ms {
                break;
            }
        }
        segment.hint = soonest;
    }

    /// When an item of segment `index` is due, or sooner; `i64::MAX` when none is.
    pub fn hint(&self, index: usize) -> i64 {
        self.segments.get(index).map_or(i64::MAX, |s| s.hint)
    }

    /// The soonest of all hints.
    pub fn soonest_hint(&self) -> i64 {
        self.segments.iter().map(|segment| segment.hint).min().unwrap_or(i64::MAX)
    }

    /// Number of items that are due before `now_ms`; looks only into segments that may hold one.
    pub fn count_due(&self, now_ms: i64) -> usize {
        let due = self.segments.iter().filter(|segment| segment.hint < now_ms);
        due.flat_map(|segment| segment.items.items()).filter(|item| item.due_ms() < now_ms).count()
    }

    /// Takes out of segment `index` the items that `take` selects (at most `limit`), handing each to
    /// `taken`, and sets the segment's hint anew. `take` may change an item, but not its hash. Returns how many
    /// were taken.
    pub fn extract_from_segment(
        &mut self,
        index: usize,
        limit: usize,
        mut take: impl FnMut(&mut T) -> bool,
        mut taken: impl FnMut(T),
    ) -> usize {
        let Some(segment) = self.segments.get_mut(index) else { return 0 };
        let mut count = 0;
        let mut left = i64::MAX;
        // From the last on: what a removal moves has been looked at already.
        for position in (0..segment.items.len()).rev() {
            let item = &mut segment.items.items_mut()[position];
            if count < limit && take(item) {
                count += 1;
                let hash = item.table_hash();
                taken(segment.items.remove(position, hash, T::table_hash));
            } else {
                left = left.min(item.due_ms());
            }
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
            let with_hash = segment.items.items().iter().map(|it| (it.table_hash() >> CURSOR_SHIFT, it));
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
        for item in segment.items.items() {
            if from_start || item.table_hash() >= from {
                visit(item);
            }
        }
        self.segment_end(segment, from)
    }

    /// Shows `visit`, unsorted, the items at or after position `from` of the one segment that holds it, until it says
    /// false. Items may be changed, but not their hashes. Returns the next segment's first position, or `None` after the
    /// last.
    pub fn visit_segment_mut(&mut self, from: u64, mut visit: impl FnMut(&mut T) -> bool) -> Option<u64> {
        let segment = self.segment_of(from)?;
        let from_start = self.segment_start(segment, from) >= from;
        let end = self.segment_end(segment, from);
        let segment = self.segment_of_mut(from)?;
        for item in segment.items.items_mut() {
            if (from_start || item.table_hash() >= from) && !visit(item) {
                break;
            }
        }
        end
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
        let (depth, prefix) = (self.segments[index].depth, self.segments[index].prefix);
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|&i| [i, i]).collect();
            self.depth += 1;
        }
        let skip = self.skip_bits;
        let bit = 63 - skip - depth;
        let old = &mut self.segments[index];
        let items = std::mem::replace(&mut old.items, Slots::new()).into_items();
        let hashes: Vec<u64> = items.iter().map(T::table_hash).collect();
        let above = hashes.iter().filter(|&hash| hash >> bit & 1 == 1).count();
        let mut lower = Slots::with_room_for(items.len() - above);
        let mut upper = Slots::with_room_for(above);
        let (mut lower_hint, mut hint) = (i64::MAX, i64::MAX);
        for (item, hash) in items.into_iter().zip(hashes) {
            let (half, soonest) =
                if hash >> bit & 1 == 1 { (&mut upper, &mut hint) } else { (&mut lower, &mut lower_hint) };
            *soonest = item.due_ms().min(*soonest);
            half.push(hash, item, T::table_hash);
        }
        old.items = lower;
        old.hint = lower_hint;
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
            if segment.items.is_sparse() {
                segment.items.shrink(T::table_hash);
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
        for item in gone.items.into_items() {
            kept.items.push(item.table_hash(), item, T::table_hash);
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
            s.items.check(T::table_hash);
            assert!(s.items.items().iter().all(|item| item.due_ms() >= s.hint));
            for item in s.items.items() {
                let hash = item.table_hash() << self.skip_bits;
                let prefix = if s.depth == 0 { 0 } else { hash >> (64 - s.depth) };
                assert_eq!(prefix, s.prefix);
            }
        }
    }

    /// Checks that each segment's hint is its soonest item, too; for tests.
    #[cfg(test)]
    pub(super) fn check_hints(&self) {
        self.check();
        for s in &self.segments {
            assert_eq!(s.hint, s.items.items().iter().map(Hashed::due_ms).min().unwrap_or(i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests;
