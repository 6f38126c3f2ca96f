//! What the slots of a set's and a hash's table point at: one allocation an item, one word a slot.

use super::hash_bytes;
use super::table::{Hashed, Table};
use super::thin::{SelfSized, Thin};
use smallvec::SmallVec;
use std::fmt;

/// First byte of a length: up to this it is the length.
const LEN_MAX_INLINE: usize = 253;
/// First byte of a length that follows as u16 LE.
const LEN_U16: u8 = 254;
/// First byte of a length that follows as u64 LE.
const LEN_U64: u8 = 255;

type LenBytes = SmallVec<[u8; 18]>;

fn push_len(out: &mut LenBytes, len: usize) {
    if len <= LEN_MAX_INLINE {
        out.push(len as u8);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(LEN_U16);
        out.extend_from_slice(&len.to_le_bytes());
    } else {
        out.push(LEN_U64);
        out.extend_from_slice(&(len as u64).to_le_bytes());
    }
}

/// Reads a length at `at`: the length and the offset behind it.
///
/// # Safety
/// `ptr` starts an initialised allocation with a length at `at`, as [`push_len`] writes it.
unsafe fn read_len(ptr: *const u8, at: usize) -> (usize, usize) {
    // SAFETY: the caller grants that a whole length lies there; its first byte tells how long it is.
    unsafe {
        let data = ptr.add(at + 1);
        match ptr.add(at).read() {
            LEN_U16 => (usize::from(u16::from_le_bytes(data.cast::<[u8; 2]>().read())), at + 3),
            LEN_U64 => (u64::from_le_bytes(data.cast::<[u8; 8]>().read()) as usize, at + 9),
            len => (usize::from(len), at + 1),
        }
    }
}

struct BlobHeader;

// SAFETY: the length is read from the bytes of the first length, which every blob starts with.
unsafe impl SelfSized for BlobHeader {
    unsafe fn total_len(ptr: *const u8) -> usize {
        // SAFETY: the caller passes an initialised blob.
        let (len, start) = unsafe { read_len(ptr, 0) };
        start + len
    }
}

/// Bytes behind a thin pointer: a member of a set, an element of a list that has a node of its own.
#[derive(Clone)]
pub(super) struct Blob {
    raw: Thin<BlobHeader>,
}

impl Blob {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut len = LenBytes::new();
        push_len(&mut len, bytes.len());
        Self { raw: Thin::concat(&[&len, bytes]) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let all = self.raw.bytes();
        let start = match all.first() {
            Some(&LEN_U16) => 3,
            Some(&LEN_U64) => 9,
            _ => 1,
        };
        &all[start..]
    }

    /// Size of the allocation.
    pub(super) fn byte_len(&self) -> usize {
        self.raw.len()
    }
}

impl Hashed for Blob {
    fn table_hash(&self) -> u64 {
        hash_bytes(self.bytes())
    }
}

struct PairHeader;

// SAFETY: the length is read from the bytes of the two lengths that every pair starts with.
unsafe impl SelfSized for PairHeader {
    unsafe fn total_len(ptr: *const u8) -> usize {
        // SAFETY: the caller passes an initialised pair.
        let (first, second, start) = unsafe { read_pair(ptr) };
        start + first + second
    }
}

/// # Safety
/// `ptr` starts an initialised pair.
unsafe fn read_pair(ptr: *const u8) -> (usize, usize, usize) {
    // SAFETY: a pair starts with two lengths.
    unsafe {
        let (first, at) = read_len(ptr, 0);
        let (second, at) = read_len(ptr, at);
        (first, second, at)
    }
}

/// A hash's field and value in one allocation.
#[derive(Clone)]
pub(super) struct Pair {
    raw: Thin<PairHeader>,
}

impl Pair {
    pub(super) fn new(field: &[u8], value: &[u8]) -> Self {
        Self { raw: Thin::concat(&[&pair_header(field, value), field, value]) }
    }

    /// Size of the allocation.
    pub(super) fn byte_len(&self) -> usize {
        self.raw.len()
    }

    fn split(&self) -> (&[u8], &[u8]) {
        let all = self.raw.bytes();
        // SAFETY: `all` is a whole pair.
        let (field_len, _, start) = unsafe { read_pair(all.as_ptr()) };
        all[start..].split_at(field_len)
    }

    pub(super) fn field(&self) -> &[u8] {
        self.split().0
    }

    pub(super) fn value(&self) -> &[u8] {
        self.split().1
    }

    pub(super) fn set_value(&mut self, value: &[u8]) {
        let (field, old) = self.split();
        let (field_len, old_len) = (field.len(), old.len());
        let header = pair_header(field, value);
        if header.len() == self.raw.len() - field_len - old_len {
            self.raw.splice(&header, header.len() + field_len, old_len, &[value]);
        } else {
            *self = Self::new(field, value);
        }
    }
}

fn pair_header(field: &[u8], value: &[u8]) -> LenBytes {
    let mut header = LenBytes::new();
    push_len(&mut header, field.len());
    push_len(&mut header, value.len());
    header
}

impl Hashed for Pair {
    fn table_hash(&self) -> u64 {
        hash_bytes(self.field())
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.bytes().escape_ascii())
    }
}

/// A copy of a table and all its items.
pub(super) fn clone_table<T: Hashed + Clone>(table: &Table<T>) -> Table<T> {
    let mut copy = Table::default();
    copy.make_room(table.len());
    for item in table.iter() {
        copy.insert(item.table_hash(), item.clone());
    }
    copy
}

/// About how many bytes a table takes, its items judged by the first `samples` of them (0: all).
pub(super) fn table_bytes<T: Hashed>(
    table: &Table<T>,
    samples: usize,
    item_bytes: impl Fn(&T) -> usize,
) -> usize {
    // An item's slot with the air of its segment, and its share of the segment's index.
    let slots = table.len() * (size_of::<T>() * 9 / 8 + 4);
    let samples = if samples == 0 { table.len() } else { samples.min(table.len()) };
    let sampled: usize = table.iter().take(samples).map(item_bytes).sum();
    let items = (sampled as u128 * table.len() as u128).checked_div(samples as u128).unwrap_or(0) as usize;
    size_of::<Table<T>>() + slots + items
}

/// Positions of a table's scan are hashes with the low 16 bits clear; cursors are those without the 16 bits, and
/// 0 at the start and the end.
const CURSOR_SHIFT: u32 = 16;

/// Visits at least `count` items from `cursor` on, if so many are left; returns the next cursor, 0 at the end.
pub(super) fn scan_table<T: Hashed>(
    table: &Table<T>,
    cursor: u64,
    count: usize,
    visit: impl FnMut(&T),
) -> u64 {
    table.scan(cursor << CURSOR_SHIFT, count, visit).map_or(0, |next| next >> CURSOR_SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [usize; 8] = [0, 1, 253, 254, 255, 65_535, 65_536, 100_000];

    #[test]
    fn every_length_comes_back() {
        for len in LENGTHS {
            let bytes = vec![b'x'; len];
            let blob = Blob::new(&bytes);
            assert_eq!(blob.bytes(), bytes);
            assert_eq!(blob.clone().bytes(), bytes);
        }
        assert_eq!(size_of::<Blob>(), 8);
        assert_eq!(size_of::<Pair>(), 8);
    }

    #[test]
    fn values_change_through_every_length() {
        for field_len in LENGTHS {
            let field = vec![b'f'; field_len];
            let mut pair = Pair::new(&field, b"first");
            for len in LENGTHS.iter().chain(LENGTHS.iter().rev()) {
                let value = vec![b'v'; *len];
                pair.set_value(&value);
                assert!(pair.field() == field && pair.value() == value);
            }
        }
    }
}
