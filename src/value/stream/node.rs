//! One node of a stream: a listpack of entries, byte for byte as Redis keeps it and writes it to RDB files.
//!
//! It begins with the master entry: how many entries are live, how many are deleted, a number of field names, the
//! names, 0. Each entry follows as: flags, the differences of its id's two parts to the node's id, then either (with
//! [`SAME_FIELDS`]) values for the master entry's names, or a number of fields and names and values in turn; at last
//! how many elements that were, so that entries can be walked backwards. Deleting an entry sets a flag.

use super::StreamId;
use crate::value::listpack::{self, Position};
use crate::value::{Element, Listpack, ListpackRef};

/// The entry is deleted.
const DELETED: i64 = 1;
/// The entry has the master entry's field names.
const SAME_FIELDS: i64 = 2;
/// Flags, and the two parts of the id.
const ENTRY_HEAD_ELEMENTS: usize = 3;

/// Why a listpack is no node of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// It ends inside the master entry or an entry.
    #[error("it ends inside an entry")]
    Truncated,
    /// Text, or a negative number, where a count, a flag or a part of an id must stand.
    #[error("not a number where one must stand")]
    NotANumber,
    /// No 0 behind the master entry's field names.
    #[error("the master entry has no end")]
    MasterEnd,
    /// Flags that do not exist.
    #[error("unknown flags")]
    Flags,
    /// The number behind an entry is not that of its elements.
    #[error("an entry's number of elements is wrong")]
    ElementCount,
    /// The master entry's counts differ from the entries that are there.
    #[error("the number of entries is wrong")]
    EntryCount,
}

/// A node for reading.
#[derive(Clone, Copy)]
pub(super) struct NodeRef<'a> {
    id: StreamId,
    view: ListpackRef<'a>,
    names_at: Position,
    name_count: usize,
    /// Where the first entry begins.
    entries_at: Position,
}

/// The counts at the start of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    /// Entries that are there.
    pub(super) live: u64,
    /// Entries that were deleted.
    pub(super) deleted: u64,
}

/// An entry of a stream.
#[derive(Clone)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    pub(super) deleted: bool,
    pub(super) at: Position,
    behind: Position,
    /// The master entry's names, where they are shared.
    names: Option<listpack::Iter<'a>>,
    /// Values, or names and values in turn.
    body: listpack::Iter<'a>,
    len: usize,
}

impl<'a> Entry<'a> {
    /// Number of fields.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no field (only modules of Redis add such entries).
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fields and values, in the order they were given.
    pub fn fields(&self) -> impl Iterator<Item = (Element<'a>, Element<'a>)> + use<'a> {
        let (mut names, mut body) = (self.names.clone(), self.body.clone());
        let pairs = std::iter::from_fn(move || {
            let name = match &mut names {
                Some(names) => names.next()?,
                None => body.next()?,
            };
            Some((name, body.next()?))
        });
        pairs.take(self.len)
    }
}

fn int(elements: &mut listpack::Iter<'_>) -> Option<i64> {
    elements.next()?.as_int()
}

fn size(elements: &mut listpack::Iter<'_>) -> Option<usize> {
    usize::try_from(int(elements)?).ok()
}

/// The counts of a node.
pub(super) fn counts(pack: &Listpack) -> Counts {
    let mut elements = pack.iter();
    let mut count = || int(&mut elements).and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
    Counts { live: count(), deleted: count() }
}

impl<'a> NodeRef<'a> {
    /// Reads the master entry; `None` if there is none (in no node that was let in).
    pub(super) fn new(id: StreamId, pack: &'a Listpack) -> Option<NodeRef<'a>> {
        let view = pack.view();
        let mut elements = view.iter();
        elements.skip_elements(2);
        let name_count = size(&mut elements)?;
        let names_at = elements.position();
        elements.skip_elements(name_count.checked_add(1)?);
        Some(NodeRef { id, view, names_at, name_count, entries_at: elements.position() })
    }

    /// The node's id.
    pub(super) fn id(&self) -> StreamId {
        self.id
    }

    /// Where the first entry begins.
    pub(super) fn start(&self) -> Position {
        self.entries_at
    }

    /// Where the last entry ends.
    pub(super) fn end(&self) -> Position {
        self.view.end()
    }

    /// The entry that begins at `at`; `None` at the end.
    pub(super) fn entry(&self, at: Position) -> Option<Entry<'a>> {
        let mut elements = self.view.iter_from(at);
        let flags = int(&mut elements)?;
        let (ms, seq) = (int(&mut elements)?, int(&mut elements)?);
        let same = flags & SAME_FIELDS != 0;
        let len = if same { self.name_count } else { size(&mut elements)? };
        let body = elements.clone();
        let body_len = if same { len } else { len.checked_mul(2)? };
        elements.skip_elements(body_len.checked_add(1)?);
        Some(Entry {
            id: self.id.plus(ms, seq),
            deleted: flags & DELETED != 0,
            at,
            behind: elements.position(),
            names: same.then(|| self.view.iter_from(self.names_at)),
            body,
            len,
        })
    }

    /// The entry behind another; `None` behind the last.
    pub(super) fn after(&self, entry: &Entry<'a>) -> Option<Entry<'a>> {
        self.entry(entry.behind)
    }

    /// The entry that ends at `end`; `None` before the first.
    pub(super) fn ending_at(&self, end: Position) -> Option<Entry<'a>> {
        let mut at = self.view.prev(end)?;
        let count = usize::try_from(self.view.get(at)?.as_int()?).ok().filter(|count| *count > 0)?;
        for _ in 0..count {
            at = self.view.prev(at)?;
        }
        self.entry(at)
    }

    /// The id of the last entry, deleted or not.
    pub(super) fn last_id(&self) -> Option<StreamId> {
        self.ending_at(self.end()).map(|entry| entry.id)
    }

    /// Whether these are the master entry's field names.
    fn has_names(&self, pairs: &[&[u8]]) -> bool {
        pairs.len() / 2 == self.name_count
            && self
                .view
                .iter_from(self.names_at)
                .zip(pairs.chunks(2))
                .all(|(name, pair)| name.eq_bytes(pair[0]))
    }
}

/// No entry of these fields and values, nor a node made for it, takes more bytes than this.
pub(super) fn bytes_at_most(pairs: &[&[u8]]) -> usize {
    /// An element's head and back length.
    const ELEMENT_OVERHEAD_BYTES: usize = 10;
    const FRAME_BYTES: usize = 128;
    let element = |text: &[u8]| text.len() + ELEMENT_OVERHEAD_BYTES;
    // A first entry's names stand in the master entry, another's in itself; never in both.
    pairs.iter().map(|text| element(text)).sum::<usize>() + FRAME_BYTES
}

/// A node of one entry, whose id is the node's. `pairs` are names and values in turn.
pub(super) fn create(pairs: &[&[u8]]) -> Listpack {
    let names = pairs.chunks(2);
    let head = [Element::Int(1), Element::Int(0), Element::Int(names.len() as i64)];
    let master = head.into_iter().chain(names.map(|pair| Element::parse(pair[0]))).chain([Element::Int(0)]);
    Listpack::from_elements(master.chain(entry_elements(true, (0, 0), pairs)))
}

/// Adds an entry behind the last.
pub(super) fn append(pack: &mut Listpack, node_id: StreamId, id: StreamId, pairs: &[&[u8]]) {
    let same = NodeRef::new(node_id, pack).is_some_and(|node| node.has_names(pairs));
    pack.extend(entry_elements(same, id.minus(node_id), pairs));
    let Counts { live, deleted } = counts(pack);
    set_counts(pack, Counts { live: live + 1, deleted });
}

fn entry_elements<'a>(
    same: bool,
    (ms, seq): (i64, i64),
    pairs: &'a [&'a [u8]],
) -> impl Iterator<Item = Element<'a>> {
    let own = usize::from(!same);
    let len = pairs.len() / 2;
    let flags = if same { SAME_FIELDS } else { 0 };
    let total = ENTRY_HEAD_ELEMENTS + len + own * (len + 1);
    let head = [Element::Int(flags), Element::Int(ms), Element::Int(seq)];
    let number = (!same).then_some(Element::Int(len as i64));
    let body = pairs.iter().skip(1 - own).step_by(2 - own).map(|text| Element::parse(text));
    head.into_iter().chain(number).chain(body).chain([Element::Int(total as i64)])
}

/// Marks the entry that begins at `at` as deleted; the counts are the caller's to correct.
pub(super) fn flag_deleted(pack: &mut Listpack, at: Position) {
    let flags = pack.view().get(at).and_then(|flags| flags.as_int()).unwrap_or(0);
    pack.replace(at, Element::Int(flags | DELETED));
}

/// Writes the counts at the start of a node.
pub(super) fn set_counts(pack: &mut Listpack, counts: Counts) {
    let Some(first) = pack.view().first() else { return };
    pack.replace(first, Element::Int(counts.live as i64));
    if let Some(second) = pack.view().next(first) {
        pack.replace(second, Element::Int(counts.deleted as i64));
    }
}

/// Checks that a listpack from elsewhere is a node of a stream, to its last element. Returns its counts.
///
/// The order of ids is not looked at: of deleted entries it may be any, as XSETID may go back behind them.
pub(super) fn validate(pack: ListpackRef<'_>) -> Result<Counts, NodeError> {
    let mut elements = pack.iter();
    let number = |elements: &mut listpack::Iter<'_>| match elements.next() {
        Some(element) => element.as_int().ok_or(NodeError::NotANumber),
        None => Err(NodeError::Truncated),
    };
    let count = |elements: &mut listpack::Iter<'_>| {
        u64::try_from(number(elements)?).map_err(|_| NodeError::NotANumber)
    };
    let skip = |elements: &mut listpack::Iter<'_>, count: u64| {
        let count = usize::try_from(count).map_err(|_| NodeError::Truncated)?;
        if elements.skip_elements(count) == count { Ok(()) } else { Err(NodeError::Truncated) }
    };
    let declared = Counts { live: count(&mut elements)?, deleted: count(&mut elements)? };
    let names = count(&mut elements)?;
    skip(&mut elements, names)?;
    if number(&mut elements)? != 0 {
        return Err(NodeError::MasterEnd);
    }
    let mut found = Counts { live: 0, deleted: 0 };
    while elements.position() < pack.end() {
        let flags = number(&mut elements)?;
        if flags & !(DELETED | SAME_FIELDS) != 0 {
            return Err(NodeError::Flags);
        }
        number(&mut elements)?;
        number(&mut elements)?;
        let mut total = ENTRY_HEAD_ELEMENTS as u64;
        let body = match flags & SAME_FIELDS {
            0 => {
                total += 1;
                count(&mut elements)?.checked_mul(2).ok_or(NodeError::Truncated)?
            }
            _ => names,
        };
        skip(&mut elements, body)?;
        if number(&mut elements)? as u64 != total + body {
            return Err(NodeError::ElementCount);
        }
        let kind = if flags & DELETED == 0 { &mut found.live } else { &mut found.deleted };
        *kind += 1;
    }
    if found == declared { Ok(found) } else { Err(NodeError::EntryCount) }
}

/// Checks that a listpack from elsewhere is a node of a stream, to its last element. Returns how many entries of it are
/// there, those that were deleted aside.
///
/// # Errors
/// What is wrong with it.
pub fn validate_node(pack: ListpackRef<'_>) -> Result<u64, NodeError> {
    validate(pack).map(|counts| counts.live)
}
