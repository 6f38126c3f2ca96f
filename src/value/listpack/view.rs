//! Reading a listpack from borrowed bytes.

use super::codec::{self, COUNT_UNKNOWN, END, HEADER};
use super::{ListpackError, ListpackErrorKind};
use crate::value::{Element, Needle, hash_bytes};

/// Where an entry starts, as a byte offset; good until the listpack changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub(super) usize);

impl Position {
    /// Bytes from the start of the listpack.
    pub fn offset(self) -> usize {
        self.0
    }
}

/// A read-only listpack over borrowed bytes.
///
/// Every access is checked: on bytes that were never validated, reading ends early, it never panics.
#[derive(Clone, Copy)]
pub struct ListpackRef<'a> {
    bytes: &'a [u8],
}

impl<'a> ListpackRef<'a> {
    /// Validates `bytes` deeply and borrows them.
    ///
    /// # Errors
    /// As [`super::validate`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, ListpackError> {
        super::validate(bytes, true)?;
        Ok(Self { bytes })
    }

    /// Borrows bytes that were validated before.
    pub fn trusted(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The whole listpack: header, entries and end marker.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Number of entries. Walks the entries if there are 65,535 or more.
    pub fn len(&self) -> usize {
        match self.header_count() {
            COUNT_UNKNOWN => self.count_by_walking(),
            count => usize::from(count),
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    pub(super) fn header_count(&self) -> u16 {
        self.bytes.get(4..).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_le_bytes(*b))
    }

    pub(super) fn count_by_walking(&self) -> usize {
        let mut at = HEADER;
        let mut count = 0;
        while let Some(next) = self.skip(at) {
            at = next;
            count += 1;
        }
        count
    }

    /// Offset behind the entry at `at`; `None` at the end.
    pub(super) fn skip(&self, at: usize) -> Option<usize> {
        let body = codec::body_len(self.bytes, at)?;
        let next = at + body + codec::back_len_size(body);
        (next < self.bytes.len()).then_some(next)
    }

    /// Offset of the end marker.
    pub(super) fn end_offset(&self) -> usize {
        self.bytes.len().saturating_sub(1)
    }

    /// The position behind the last entry: where an insertion appends.
    pub fn end(&self) -> Position {
        Position(self.end_offset())
    }

    /// The first entry.
    pub fn first(&self) -> Option<Position> {
        self.skip(HEADER).map(|_| Position(HEADER))
    }

    /// The last entry.
    pub fn last(&self) -> Option<Position> {
        self.prev(self.end())
    }

    /// The entry behind `at`.
    pub fn next(&self, at: Position) -> Option<Position> {
        self.skip(at.0).filter(|&next| next < self.end_offset()).map(Position)
    }

    /// The entry before `at`, which may be [`ListpackRef::end`].
    pub fn prev(&self, at: Position) -> Option<Position> {
        if at.0 <= HEADER {
            return None;
        }
        let body = codec::read_back_len(self.bytes, at.0)?;
        let start = at.0.checked_sub(body + codec::back_len_size(body))?;
        (start >= HEADER).then_some(Position(start))
    }

    /// The element at `at`; `None` at the end.
    pub fn get(&self, at: Position) -> Option<Element<'a>> {
        codec::decode(self.bytes, at.0).map(|(element, _)| element)
    }

    /// The entry at `index`, walking from the nearer end.
    pub fn seek(&self, index: usize) -> Option<Position> {
        let count = self.header_count();
        if count == COUNT_UNKNOWN {
            return self.seek_forward(index);
        }
        let count = usize::from(count);
        if index >= count {
            return None;
        }
        if index <= count / 2 {
            return self.seek_forward(index);
        }
        let mut at = self.end();
        for _ in index..count {
            at = self.prev(at)?;
        }
        Some(at)
    }

    /// The entry at a signed index: -1 is the last one.
    pub fn seek_signed(&self, index: i64) -> Option<Position> {
        if index >= 0 {
            return self.seek(usize::try_from(index).ok()?);
        }
        let mut at = self.end();
        let mut left = index.unsigned_abs();
        while left > 0 {
            at = self.prev(at)?;
            left -= 1;
        }
        Some(at)
    }

    fn seek_forward(&self, index: usize) -> Option<Position> {
        let mut at = self.first()?;
        for _ in 0..index {
            at = self.next(at)?;
        }
        Some(at)
    }

    /// The element at `index`.
    pub fn get_index(&self, index: usize) -> Option<Element<'a>> {
        self.get(self.seek(index)?)
    }

    /// Finds `needle` from `from` on, leaving `skip` entries uncompared after each compared one (1 for the fields of
    /// field and value pairs).
    pub fn find(&self, from: Position, needle: &Needle<'_>, skip: usize) -> Option<Position> {
        let mut at = from.0;
        loop {
            let (element, size) = codec::decode(self.bytes, at)?;
            if needle.matches(element) {
                return Some(Position(at));
            }
            at += size;
            for _ in 0..skip {
                at = self.skip(at)?;
            }
        }
    }

    /// An entry whose content an earlier one has, comparing only every `skip + 1`th entry from the first on (1 for
    /// the fields of field and value pairs). Costs a sort of hashes, not a comparison of each with each.
    pub fn find_duplicate(&self, skip: usize) -> Option<Position> {
        let mut hashes = Vec::new();
        let mut buf = itoa::Buffer::new();
        let mut at = self.first();
        while let Some(here) = at {
            hashes.push((hash_bytes(self.get(here)?.as_bytes(&mut buf)), here));
            let (behind, _) = self.advance(here.0, skip + 1);
            at = (behind < self.end_offset()).then_some(Position(behind));
        }
        hashes.sort_unstable();
        let same = |a: &(u64, Position), b: &(u64, Position)| a.0 == b.0 && self.get(a.1) == self.get(b.1);
        hashes.windows(2).find_map(|pair| match pair {
            [a, b] if same(a, b) => Some(b.1),
            _ => None,
        })
    }

    /// All elements, from both ends.
    pub fn iter(&self) -> Iter<'a> {
        Iter { view: *self, front: HEADER, back: self.end_offset() }
    }

    /// The elements from `at` to the last.
    pub fn iter_from(&self, at: Position) -> Iter<'a> {
        Iter { view: *self, front: at.0, back: self.end_offset() }
    }

    /// The elements before `at`; take them from the back to walk away from it.
    pub fn iter_until(&self, at: Position) -> Iter<'a> {
        Iter { view: *self, front: HEADER, back: at.0 }
    }

    /// Offset behind `count` entries from `at` on, and how many there were.
    pub(super) fn advance(&self, at: usize, count: usize) -> (usize, usize) {
        let mut at = at;
        for done in 0..count {
            match self.skip(at) {
                Some(next) => at = next,
                None => return (at, done),
            }
        }
        (at, count)
    }
}

impl<'a> IntoIterator for ListpackRef<'a> {
    type Item = Element<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl std::fmt::Debug for ListpackRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The elements of a listpack, from both ends.
#[derive(Clone)]
pub struct Iter<'a> {
    view: ListpackRef<'a>,
    front: usize,
    back: usize,
}

impl Iter<'_> {
    /// Where the next element from the front starts.
    pub fn position(&self) -> Position {
        Position(self.front)
    }

    /// Passes over up to `count` elements from the front, and returns how many there were.
    pub fn skip_elements(&mut self, count: usize) -> usize {
        let (mut at, mut done) = (self.front, 0);
        while done < count && at < self.back {
            let Some(next) = self.view.skip(at) else { break };
            at = next;
            done += 1;
        }
        self.front = at;
        done
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (element, size) = codec::decode(self.view.bytes, self.front)?;
        self.front += size;
        Some(element)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        let at = self.view.prev(Position(self.back))?;
        self.back = at.0;
        self.view.get(at)
    }
}

/// Checks that `bytes` are one whole listpack.
///
/// Without `deep` only the header and the end marker are checked. With it every entry is: known encoding, data
/// inside the bytes, a back length that is written as servers write it, and as many entries as the header counts.
///
/// # Errors
/// What is wrong, and at which byte offset.
pub fn validate(bytes: &[u8], deep: bool) -> Result<(), ListpackError> {
    let fail = |offset, kind| Err(ListpackError { offset, kind });
    if bytes.len() <= HEADER {
        return fail(bytes.len(), ListpackErrorKind::TooShort);
    }
    let total = bytes.first_chunk().map_or(0, |b| u32::from_le_bytes(*b));
    if total as usize != bytes.len() {
        return fail(0, ListpackErrorKind::TotalBytes);
    }
    let end = bytes.len() - 1;
    if bytes[end] != END {
        return fail(end, ListpackErrorKind::NoEndMarker);
    }
    if !deep {
        return Ok(());
    }
    walk_entries(bytes, end, |_| ()).map(|_| ())
}

/// As a deep [`validate`], and shows each element to `see`, in order, before it is known whether all is well. Returns how
/// many there are.
///
/// # Errors
/// As [`validate`].
pub fn validate_each<'a>(bytes: &'a [u8], mut see: impl FnMut(Element<'a>)) -> Result<usize, ListpackError> {
    validate(bytes, false)?;
    walk_entries(bytes, bytes.len() - 1, |at| {
        if let Some((element, _)) = codec::decode(bytes, at) {
            see(element);
        }
    })
}

/// Checks the entries up to the end marker at `end`; `see` is told where each begins.
#[inline]
fn walk_entries(bytes: &[u8], end: usize, mut see: impl FnMut(usize)) -> Result<usize, ListpackError> {
    let fail = |offset, kind| Err(ListpackError { offset, kind });
    let view = ListpackRef { bytes };
    let (mut at, mut count) = (HEADER, 0usize);
    while at < end {
        let Some(body) = codec::body_len(bytes, at) else {
            return fail(at, ListpackErrorKind::Encoding);
        };
        let next = at + body + codec::back_len_size(body);
        if next > end {
            return fail(at, ListpackErrorKind::EntryOverflow);
        }
        if !codec::ends_in_back_len(&bytes[at..next], body) {
            return fail(next - 1, ListpackErrorKind::BackLength);
        }
        see(at);
        at = next;
        count += 1;
    }
    let declared = view.header_count();
    if declared != COUNT_UNKNOWN && usize::from(declared) != count {
        return fail(4, ListpackErrorKind::Count);
    }
    Ok(count)
}
