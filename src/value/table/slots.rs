//! The items of one segment: dense, in no order, with a small index beside them.
//!
//! Items lie in one array that grows by a size class at a time, so a segment costs little more than its items
//! however full it is (a table of buckets costs twice as much just after a split as just before). The index is
//! groups of seven words of 16 bits: seven bits of the hash, nine bits of position. The eighth word of a group
//! counts the items that found it full and went on to the next, so that a search knows when to stop and a removal
//! leaves no trace. (The counting of overflows is that of Facebook's F14 tables.)

/// Items that the index can name; those beyond are searched one by one. Only a table whose directory may not grow
/// any more comes to that.
pub(super) const INDEXED_MAX: usize = GROUPS_MAX * LANES;

const GROUPS_MAX: usize = 64;
/// Words of a group that name items.
const LANES: usize = 7;
/// Items for which a group is provided: with one lane in seven free, few searches need a second group.
const LOAD: usize = 6;

const POSITION_BITS: u32 = 9;
const POSITION_MASK: u16 = (1 << POSITION_BITS) - 1;
/// A lane that names nothing; its position is one that no item has.
const FREE: u16 = u16::MAX;

const _: () = assert!(INDEXED_MAX <= POSITION_MASK as usize);

#[derive(Clone, Copy)]
#[repr(align(16))]
struct Group([u16; LANES + 1]);

impl Group {
    const EMPTY: Group = Group([FREE, FREE, FREE, FREE, FREE, FREE, FREE, 0]);

    fn overflows(&self) -> u16 {
        self.0[LANES]
    }

    /// A bit for each lane whose word, under `mask`, is `word`.
    #[inline]
    fn lanes_with(&self, mask: u16, word: u16) -> u32 {
        let mut found = 0;
        for (lane, here) in self.0.iter().enumerate() {
            found |= u32::from(here & mask == word) << lane;
        }
        found & ((1 << LANES) - 1)
    }
}

/// Where the search for a hash begins, and the bits by which its words are told from others.
#[derive(Clone, Copy)]
struct Probe {
    group: usize,
    tag: u16,
}

/// Has the processor fetch what lies at an address, and goes on meanwhile.
#[inline]
fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: this is a hint; it reads nothing, and any address may be named.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// The items of a segment. `T`'s hash is what the caller says it is, always the same for one item.
pub(super) struct Slots<T> {
    items: Vec<T>,
    /// A power of two of groups, or none.
    groups: Box<[Group]>,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Self {
        Slots { items: Vec::new(), groups: Box::new([]) }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn items(&self) -> &[T] {
        &self.items
    }

    pub(super) fn items_mut(&mut self) -> &mut [T] {
        &mut self.items
    }

    pub(super) fn into_items(self) -> Vec<T> {
        self.items
    }

    #[inline]
    fn probe(&self, hash: u64) -> Probe {
        // The top bits chose the segment.
        let tag = (hash >> 6) as u16 & !POSITION_MASK;
        Probe { group: hash as usize & (self.groups.len() - 1), tag }
    }

    fn next_group(&self, group: usize) -> usize {
        (group + 1) & (self.groups.len() - 1)
    }

    /// Position of the item with this hash that `eq` accepts.
    #[inline]
    pub(super) fn position(&self, hash: u64, mut eq: impl FnMut(&T) -> bool) -> Option<usize> {
        if self.groups.is_empty() {
            return None;
        }
        let Probe { mut group, tag } = self.probe(hash);
        for _ in 0..self.groups.len() {
            let words = &self.groups[group];
            let mut lanes = words.lanes_with(!POSITION_MASK, tag);
            while lanes != 0 {
                let position = usize::from(words.0[lanes.trailing_zeros() as usize] & POSITION_MASK);
                // A free lane looks like a tag of ones, but names no item.
                if self.items.get(position).is_some_and(&mut eq) {
                    return Some(position);
                }
                lanes &= lanes - 1;
            }
            if words.overflows() == 0 {
                break;
            }
            group = self.next_group(group);
        }
        let beyond = self.items.get(INDEXED_MAX..)?;
        beyond.iter().position(eq).map(|at| at + INDEXED_MAX)
    }

    /// Has the processor fetch what a search for this hash reads first, and where an insert would put its item.
    #[inline]
    pub(super) fn fetch(&self, hash: u64) {
        if !self.groups.is_empty() {
            prefetch(&self.groups[self.probe(hash).group]);
        }
        prefetch(self.items.as_ptr().wrapping_add(self.items.len()));
    }

    /// Adds an item that is not there yet; `hash_of` gives the hashes of the others when the index has to grow.
    /// Returns its position.
    pub(super) fn push(&mut self, hash: u64, item: T, hash_of: impl Fn(&T) -> u64) -> usize {
        let position = self.items.len();
        if position >= self.groups.len() * LOAD && self.groups.len() < GROUPS_MAX {
            self.index_anew((self.groups.len() * 2).max(1), hash_of);
        }
        if position == self.items.capacity() {
            self.items.reserve_exact(capacity_for(position + 1, size_of::<T>()) - position);
        }
        self.items.push(item);
        self.enter(hash, position);
        position
    }

    /// Room for `count` items, so that they are pushed without growing.
    pub(super) fn with_room_for(count: usize) -> Self {
        Self::indexing(count, count)
    }

    /// Room for `count` items, and an index that does not grow before there are more than `most`.
    pub(super) fn indexing(most: usize, count: usize) -> Self {
        Slots {
            items: Vec::with_capacity(capacity_for(count, size_of::<T>())),
            groups: vec![Group::EMPTY; groups_for(most)].into(),
        }
    }

    fn index_anew(&mut self, groups: usize, hash_of: impl Fn(&T) -> u64) {
        self.groups = vec![Group::EMPTY; groups].into();
        for position in 0..self.items.len() {
            self.enter(hash_of(&self.items[position]), position);
        }
    }

    /// Puts a position into the index, if it has a place left.
    fn enter(&mut self, hash: u64, position: usize) {
        if position >= INDEXED_MAX {
            return;
        }
        let Probe { mut group, tag } = self.probe(hash);
        // There are lanes for all positions below INDEXED_MAX, so one is free.
        loop {
            let free = self.groups[group].lanes_with(u16::MAX, FREE);
            let words = &mut self.groups[group].0;
            if free != 0 {
                words[free.trailing_zeros() as usize] = tag | position as u16;
                return;
            }
            words[LANES] += 1;
            group = self.next_group(group);
        }
    }

    /// Takes a position out of the index.
    fn forget(&mut self, hash: u64, position: usize) {
        if position >= INDEXED_MAX {
            return;
        }
        let Probe { mut group, tag } = self.probe(hash);
        let word = tag | position as u16;
        for _ in 0..self.groups.len() {
            let found = self.groups[group].lanes_with(u16::MAX, word);
            let words = &mut self.groups[group].0;
            if found != 0 {
                words[found.trailing_zeros() as usize] = FREE;
                return;
            }
            debug_assert!(words[LANES] > 0, "an item is in its own group, or where that overflowed to");
            words[LANES] -= 1;
            group = self.next_group(group);
        }
    }

    /// Removes the item at `position`, whose hash is `hash`. The last item takes its place.
    pub(super) fn remove(&mut self, position: usize, hash: u64, hash_of: impl Fn(&T) -> u64) -> T {
        self.forget(hash, position);
        let last = self.items.len() - 1;
        let item = self.items.swap_remove(position);
        if position != last {
            if last < INDEXED_MAX {
                self.rename(last, position);
            } else if position < INDEXED_MAX {
                self.enter(hash_of(&self.items[position]), position);
            }
        }
        item
    }

    /// Has the index say `to` where it says `from`; cheaper than a look at the item for its hash.
    fn rename(&mut self, from: usize, to: usize) {
        for group in &mut self.groups {
            let found = group.lanes_with(POSITION_MASK, from as u16);
            if found != 0 {
                let word = &mut group.0[found.trailing_zeros() as usize];
                *word = *word & !POSITION_MASK | to as u16;
                return;
            }
        }
        debug_assert!(false, "every indexed position is in the index");
    }

    /// Gives back what room is not needed.
    pub(super) fn shrink(&mut self, hash_of: impl Fn(&T) -> u64) {
        let (count, groups) = (self.items.len(), groups_for(self.items.len()));
        if groups < self.groups.len() {
            self.index_anew(groups, hash_of);
        }
        self.items.shrink_to(capacity_for(count, size_of::<T>()));
    }

    /// True if there is much more room than items.
    pub(super) fn is_sparse(&self) -> bool {
        self.groups.len() > 2 && self.items.len() * 8 < self.groups.len() * LANES
    }

    /// Checks that index and items agree; for tests.
    #[cfg(test)]
    pub(super) fn check(&self, hash_of: impl Fn(&T) -> u64) {
        let named: usize =
            self.groups.iter().map(|g| LANES - g.lanes_with(u16::MAX, FREE).count_ones() as usize).sum();
        assert_eq!(named, self.items.len().min(INDEXED_MAX));
        for (position, item) in self.items.iter().enumerate() {
            let mut at = 0;
            let found = self.position(hash_of(item), |other| {
                at += 1;
                std::ptr::eq(item, other)
            });
            assert_eq!(found, Some(position));
        }
    }
}

fn groups_for(count: usize) -> usize {
    count.div_ceil(LOAD).next_power_of_two().min(GROUPS_MAX)
}

/// How many items of `item_bytes` to make room for, so that `count` fit and the allocator's size class (four for
/// each doubling) is filled.
fn capacity_for(count: usize, item_bytes: usize) -> usize {
    let bytes = (count * item_bytes).max(16);
    let step = (bytes.next_power_of_two() / 8).max(16);
    bytes.next_multiple_of(step) / item_bytes.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Rng;

    /// Few different hashes, so that groups overflow.
    fn hash_of(n: &u64) -> u64 {
        (n % 37).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn agrees_with_a_list() {
        let mut rng = Rng::from_seed(11);
        for most in [3, 40, 300, INDEXED_MAX as u64, 600] {
            let mut slots = Slots::new();
            let mut model = Vec::new();
            for step in 0..20_000 {
                let n = rng.below(most * 2);
                let found = slots.position(hash_of(&n), |it| *it == n);
                assert_eq!(found.is_some(), model.contains(&n));
                // Waves, so that it fills and empties.
                let adding = rng.below(10) < if step / 2_000 % 2 == 0 { 8 } else { 3 };
                match found {
                    None if adding && (model.len() as u64) < most => {
                        slots.push(hash_of(&n), n, hash_of);
                        model.push(n);
                    }
                    Some(at) if !adding => {
                        assert_eq!(slots.remove(at, hash_of(&n), hash_of), n);
                        model.retain(|&other| other != n);
                    }
                    _ => {}
                }
                assert_eq!(slots.len(), model.len());
                if step % 500 == 0 {
                    slots.check(hash_of);
                    slots.shrink(hash_of);
                    slots.check(hash_of);
                }
            }
        }
    }

    #[test]
    fn room_grows_by_size_classes() {
        assert_eq!(capacity_for(1, 8), 2);
        assert_eq!(capacity_for(193, 8), 224);
        assert_eq!(capacity_for(256, 8), 256);
        assert_eq!(capacity_for(257, 8), 320);
        assert_eq!(capacity_for(384, 8), 384);
        for count in 1..2_000 {
            for item_bytes in [1, 8, 16, 24] {
                let capacity = capacity_for(count, item_bytes);
                assert!(capacity >= count && capacity * item_bytes < count * item_bytes * 5 / 4 + 32);
            }
        }
    }
}
