//! A listpack: many small elements in one allocation, byte for byte as Redis lays it out and writes it to RDB files.
//!
//! Layout: total bytes (u32 LE), number of entries (u16 LE, 65,535 for "walk to know"), entries, `0xFF`. See
//! [`codec`] for the entries.

mod codec;
#[cfg(test)]
mod tests;
mod view;

pub use view::{Iter, ListpackRef, Position, validate, validate_each};

use super::thin::{SelfSized, Thin};
use super::{Direction, Element, Needle};
use codec::{COUNT_UNKNOWN, END, Encoded, HEADER};
use std::ops::Range;

/// A listpack never grows past this, so that its sizes stay far from the 32 bits they are written in.
pub const MAX_BYTES: usize = 1 << 30;

/// Bytes of a listpack without entries.
pub const EMPTY_BYTES: usize = HEADER + 1;

/// Why bytes are not a listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("listpack: {kind} at byte {offset}")]
pub struct ListpackError {
    /// Byte offset of the damage, from the start of the listpack.
    pub offset: usize,
    /// What is wrong there.
    pub kind: ListpackErrorKind,
}

/// The ways in which bytes fail to be a listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListpackErrorKind {
    /// Fewer bytes than a header and an end marker.
    #[error("too short")]
    TooShort,
    /// More bytes than a listpack may have ([`MAX_BYTES`]).
    #[error("too long")]
    TooLong,
    /// The header's total differs from the number of bytes.
    #[error("total bytes differ from the header's")]
    TotalBytes,
    /// The last byte is not `0xFF`.
    #[error("no end marker")]
    NoEndMarker,
    /// An encoding byte that does not exist, or the end marker among the entries.
    #[error("unknown encoding")]
    Encoding,
    /// An entry reaches past the end marker.
    #[error("entry longer than what is left")]
    EntryOverflow,
    /// A back length that does not lead to the entry's start.
    #[error("wrong back length")]
    BackLength,
    /// The header's count differs from the number of entries.
    #[error("count of entries differs from the header's")]
    Count,
    /// Elements that the type built on the listpack does not allow: an odd number for pairs, a duplicate member.
    #[error("content not allowed here")]
    Content,
}

/// Parts of a listpack that are joined without an allocation for the list of them.
const MOST_PARTS: usize = 36;

struct Header;

// SAFETY: the length is read from the first four bytes, which every listpack has: it is never shorter than
// `EMPTY_BYTES`.
unsafe impl SelfSized for Header {
    unsafe fn total_len(ptr: *const u8) -> usize {
        // SAFETY: the caller passes an initialised listpack.
        u32::from_le_bytes(unsafe { ptr.cast::<[u8; 4]>().read() }) as usize
    }
}

/// An owned listpack behind a thin pointer, allocated exactly.
///
/// A [`Position`] is good until the next change. What would grow a listpack past [`MAX_BYTES`] panics: callers that
/// do not bound their elements ask [`Listpack::has_room_for`] first.
#[derive(Clone)]
pub struct Listpack {
    raw: Thin<Header>,
}

impl Listpack {
    /// A listpack without entries.
    pub fn new() -> Self {
        Self { raw: Thin::concat(&[&header(EMPTY_BYTES, 0), &[END]]) }
    }

    /// Copies `bytes` after validating them deeply, so that untrusted bytes may be given.
    ///
    /// # Errors
    /// As [`validate`], and if there are more than [`MAX_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ListpackError> {
        if bytes.len() > MAX_BYTES {
            return Err(ListpackError { offset: MAX_BYTES, kind: ListpackErrorKind::TooLong });
        }
        validate(bytes, true)?;
        Ok(Self { raw: Thin::concat(&[bytes]) })
    }

    /// The listpack of these elements, in one allocation.
    pub fn from_elements<'a>(elements: impl IntoIterator<Item = Element<'a>>) -> Self {
        // Most are short, and their length is known only at the end.
        let mut body = smallvec::SmallVec::<[u8; 256]>::new();
        let mut count = 0;
        for element in elements {
            for part in Encoded::new(element).parts() {
                body.extend_from_slice(part);
            }
            count += 1;
        }
        Self::from_body(&[&body], count)
    }

    /// Of a listpack of names and values in turn: the listpack of its values alone, if it is sound, the names are those
    /// whose entries `names` gives, and all is written as it would be written today. `None` if not, whatever the reason is.
    pub fn of_values<'n>(
        bytes: &[u8],
        names: impl ExactSizeIterator<Item = &'n [u8]> + Clone,
    ) -> Option<Self> {
        let count = names.len();
        let view = ListpackRef::trusted(bytes);
        validate(bytes, false).ok().filter(|()| bytes.len() <= MAX_BYTES)?;
        if usize::from(view.header_count()) != 2 * count {
            return None;
        }
        let total = bytes.len().checked_sub(names.clone().map(<[u8]>::len).sum())?;
        let header = header(total, stored_count(count));
        let mut parts = smallvec::SmallVec::<[&[u8]; MOST_PARTS]>::new();
        parts.push(&header);
        let (mut at, end) = (HEADER, view.end_offset());
        for name in names {
            let rest = bytes.get(at..end)?.strip_prefix(name)?;
            let value = rest.get(..codec::shortest_len(rest)?)?;
            parts.push(value);
            at += name.len() + value.len();
        }
        parts.push(&[END]);
        (at == end).then(|| Self { raw: Thin::concat(&parts) })
    }

    /// The listpack of one element.
    pub fn of_one(element: Element<'_>) -> Self {
        Self::from_body(&Encoded::new(element).parts(), 1)
    }

    fn from_body(parts: &[&[u8]], count: usize) -> Self {
        let total = EMPTY_BYTES + parts.iter().map(|part| part.len()).sum::<usize>();
        assert!(total <= MAX_BYTES, "listpack over its size limit");
        let header = header(total, stored_count(count));
        let mut all: smallvec::SmallVec<[&[u8]; 8]> = smallvec::smallvec![header.as_slice()];
        all.extend_from_slice(parts);
        all.push(&[END]);
        Self { raw: Thin::concat(&all) }
    }

    /// For reading.
    pub fn view(&self) -> ListpackRef<'_> {
        ListpackRef::trusted(self.raw.bytes())
    }

    /// The whole listpack as it goes into an RDB file.
    pub fn as_bytes(&self) -> &[u8] {
        self.raw.bytes()
    }

    /// Size of the listpack, and of its allocation, in bytes.
    pub fn byte_len(&self) -> usize {
        self.raw.len()
    }

    /// Number of entries. Walks the entries if there are 65,535 or more.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.byte_len() == EMPTY_BYTES
    }

    /// All elements, from both ends.
    pub fn iter(&self) -> Iter<'_> {
        self.view().iter()
    }

    /// Whether elements of `bytes` bytes in all may be added without nearing [`MAX_BYTES`].
    pub fn has_room_for(&self, bytes: usize) -> bool {
        bytes.saturating_add(self.byte_len()) <= MAX_BYTES - (1 << 16)
    }

    /// Adds an element behind the last.
    pub fn push_back(&mut self, element: Element<'_>) {
        self.insert(self.view().end(), element);
    }

    /// Adds an element before the first.
    pub fn push_front(&mut self, element: Element<'_>) {
        self.insert(Position(HEADER), element);
    }

    /// Adds two elements (a field and its value, a member and its score) behind the last.
    pub fn push_pair_back(&mut self, first: Element<'_>, second: Element<'_>) {
        self.insert_pair(self.view().end(), first, second);
    }

    /// Adds elements behind the last, all at once.
    pub fn extend<'a>(&mut self, elements: impl IntoIterator<Item = Element<'a>>) {
        let mut body = Vec::new();
        let mut added = 0;
        for element in elements {
            for part in Encoded::new(element).parts() {
                body.extend_from_slice(part);
            }
            added += 1;
        }
        let count = match self.view().header_count() {
            COUNT_UNKNOWN => usize::from(COUNT_UNKNOWN),
            count => usize::from(count) + added,
        };
        self.splice(self.view().end_offset(), 0, count, &[&body]);
    }

    /// Inserts an element before the entry at `at`, or at the end.
    pub fn insert(&mut self, at: Position, element: Element<'_>) {
        self.put(at, 0, 0, &[Encoded::new(element)]);
    }

    /// Inserts two elements before the entry at `at`, or at the end.
    pub fn insert_pair(&mut self, at: Position, first: Element<'_>, second: Element<'_>) {
        self.put(at, 0, 0, &[Encoded::new(first), Encoded::new(second)]);
    }

    /// Inserts elements before the entry at `at`, or at the end.
    pub fn insert_all(&mut self, at: Position, elements: &[Element<'_>]) {
        let entries: smallvec::SmallVec<[Encoded<'_>; 3]> =
            elements.iter().map(|element| Encoded::new(*element)).collect();
        self.put(at, 0, 0, &entries);
    }

    /// Inserts an element behind the entry at `at`.
    pub fn insert_after(&mut self, at: Position, element: Element<'_>) {
        let (behind, _) = self.view().advance(at.0, 1);
        self.insert(Position(behind), element);
    }

    /// Replaces the entry at `at`; its position stays good. At the end it appends.
    pub fn replace(&mut self, at: Position, element: Element<'_>) {
        let (behind, removed) = self.view().advance(at.0, 1);
        self.put(at, behind - at.0, removed, &[Encoded::new(element)]);
    }

    /// Removes the entry at `at`; afterwards `at` is the entry that followed it. False at the end.
    pub fn remove(&mut self, at: Position) -> bool {
        self.remove_from(at, 1) == 1
    }

    /// Removes up to `count` entries from `at` on, and returns how many there were.
    pub fn remove_from(&mut self, at: Position, count: usize) -> usize {
        let (behind, removed) = self.view().advance(at.0, count);
        self.put(at, behind - at.0, removed, &[]);
        removed
    }

    /// Removes up to `count` entries from index `start` on, and returns how many there were.
    pub fn remove_range(&mut self, start: usize, count: usize) -> usize {
        match self.view().seek(start) {
            Some(at) => self.remove_from(at, count),
            None => 0,
        }
    }

    /// Removes up to `limit` entries that match, met in the given direction, and returns how many.
    ///
    /// One pass and one new allocation, however many match.
    pub fn remove_matching(&mut self, needle: &Needle<'_>, limit: usize, direction: Direction) -> usize {
        let mut doomed = self.matching_ranges(needle, limit, direction);
        if doomed.is_empty() {
            return 0;
        }
        if direction == Direction::Backward {
            doomed.reverse();
        }
        let bytes = self.as_bytes();
        let mut kept = Vec::with_capacity(bytes.len());
        let mut from = HEADER;
        for range in &doomed {
            kept.extend_from_slice(bytes.get(from..range.start).unwrap_or_default());
            from = range.end;
        }
        kept.extend_from_slice(bytes.get(from..bytes.len() - 1).unwrap_or_default());
        *self = Self::from_body(&[&kept], self.len() - doomed.len());
        doomed.len()
    }

    fn matching_ranges(&self, needle: &Needle<'_>, limit: usize, direction: Direction) -> Vec<Range<usize>> {
        let view = self.view();
        let mut found = Vec::new();
        let mut at = match direction {
            Direction::Forward => view.first(),
            Direction::Backward => view.last(),
        };
        while let Some(here) = at.filter(|_| found.len() < limit) {
            if view.get(here).is_some_and(|element| needle.matches(element)) {
                found.push(here.0..view.advance(here.0, 1).0);
            }
            at = match direction {
                Direction::Forward => view.next(here),
                Direction::Backward => view.prev(here),
            };
        }
        found
    }

    /// Cuts everything from `at` on off and returns it.
    pub fn split_off(&mut self, at: Position) -> Listpack {
        let end = self.view().end_offset();
        let total = self.len();
        let moved = self.view().iter_from(at).count();
        let tail = Self::from_body(&[self.as_bytes().get(at.0..end).unwrap_or_default()], moved);
        self.splice(at.0, end.saturating_sub(at.0), total - moved, &[]);
        tail
    }

    /// Adds all elements of `other` behind the last.
    pub fn append(&mut self, other: &Listpack) {
        let count = self.len() + other.len();
        let body = other.as_bytes().get(HEADER..other.view().end_offset()).unwrap_or_default();
        self.splice(self.view().end_offset(), 0, count, &[body]);
    }

    /// Replaces `removed` entries, `remove_bytes` long, by `entries`.
    fn put(&mut self, at: Position, remove_bytes: usize, removed: usize, entries: &[Encoded<'_>]) {
        if removed == 0 && entries.is_empty() {
            return;
        }
        let count = match self.view().header_count() {
            // Only a listpack that was full of tiny entries is recounted, and only once it can have become smaller.
            COUNT_UNKNOWN
                if removed > 0 && self.byte_len() < EMPTY_BYTES + 2 * usize::from(COUNT_UNKNOWN) =>
            {
                self.view().count_by_walking() + entries.len() - removed
            }
            COUNT_UNKNOWN => usize::from(COUNT_UNKNOWN),
            count => usize::from(count) + entries.len() - removed,
        };
        match entries {
            [one] => self.splice(at.0, remove_bytes, count, &one.parts()),
            _ => {
                let parts: smallvec::SmallVec<[&[u8]; 9]> = entries.iter().flat_map(Encoded::parts).collect();
                self.splice(at.0, remove_bytes, count, &parts);
            }
        }
    }

    fn splice(&mut self, at: usize, remove: usize, count: usize, parts: &[&[u8]]) {
        let total = self.byte_len() - remove + parts.iter().map(|part| part.len()).sum::<usize>();
        assert!(total <= MAX_BYTES, "listpack over its size limit");
        self.raw.splice(&header(total, stored_count(count)), at, remove, parts);
    }
}

/// An element as a listpack entry.
pub fn entry_of(element: Element<'_>) -> Vec<u8> {
    Encoded::new(element).parts().concat()
}

/// Bytes an element takes as a listpack entry.
pub fn entry_bytes(element: Element<'_>) -> usize {
    Encoded::new(element).len()
}

fn stored_count(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(COUNT_UNKNOWN)
}

fn header(total: usize, count: u16) -> [u8; HEADER] {
    let [a, b, c, d] = (total as u32).to_le_bytes();
    let [e, f] = count.to_le_bytes();
    [a, b, c, d, e, f]
}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.view().fmt(f)
    }
}
