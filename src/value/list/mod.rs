//! The list value: one listpack, whole or in pieces, or a deque of nodes once that would be too large.

mod node;
mod quicklist;
#[cfg(test)]
mod tests;

pub use node::NodeRef;

use super::limits::NodeLimit;
use super::{Direction, Element, Limits, Listpack, Needle};
use node::{Node, NodeIter};
use quicklist::Quicklist;
use std::ops::Range;

/// A list. It leaves the single listpack when that would exceed `list-max-listpack-size`, and returns to it when
/// removals leave one node of at most half that.
///
/// A listpack of more than [`PIECE_BYTES`] is kept as pieces of about that size: an allocator's size classes lie wide
/// apart there (2607 bytes take 3072), and a push at the head moves less. Nobody sees it: the encoding, its limit, and
/// what is written to files are those of the one listpack.
///
/// Ends are named by the direction one walks from them: [`Direction::Forward`] is the head, `Backward` the tail.
#[derive(Clone)]
pub struct List {
    form: Form,
}

#[derive(Clone)]
enum Form {
    Packed(Listpack),
    /// One listpack in pieces.
    Pieces(Box<Quicklist>),
    Quick(Box<Quicklist>),
}

/// Bytes of a piece: one of the allocator's size classes.
const PIECE_BYTES: usize = 2048;
/// What a piece may hold.
const PIECE: NodeLimit = NodeLimit::of_bytes(PIECE_BYTES);

/// The elements that `start` and `stop` of LRANGE or LTRIM mean: negative ones count from the end, -1 being the last
/// element, and `stop` is included. Empty if they mean none.
pub fn resolve_range(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let absolute = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    let start = absolute(start).max(0);
    let end = absolute(stop).min(len - 1).saturating_add(1);
    if start >= end { 0..0 } else { start as usize..end as usize }
}

impl List {
    /// An empty list.
    pub fn new() -> Self {
        Self { form: Form::Packed(Listpack::new()) }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match &self.form {
            Form::Packed(_) | Form::Pieces(_) => "listpack",
            Form::Quick(_) => "quicklist",
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Packed(listpack) => listpack.len(),
            Form::Pieces(quick) | Form::Quick(quick) => quick.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The index of the element that a signed index means, -1 being the last.
    pub fn resolve_index(&self, index: i64) -> Option<usize> {
        let len = self.len();
        let index = match usize::try_from(index) {
            Ok(index) => index,
            Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
        };
        (index < len).then_some(index)
    }

    /// The element at a signed index, -1 being the last.
    pub fn get(&self, index: i64) -> Option<Element<'_>> {
        match &self.form {
            Form::Packed(listpack) => listpack.view().get(listpack.view().seek_signed(index)?),
            Form::Pieces(quick) | Form::Quick(quick) => quick.get(self.resolve_index(index)?),
        }
    }

    /// Adds one element at an end.
    pub fn push(&mut self, end: Direction, bytes: &[u8], limits: &Limits) {
        self.grow(bytes.len(), 1, limits);
        self.push_raw(end, bytes, limits.list_node());
    }

    /// Adds elements at an end, one after the other, as one push command does: the encoding is chosen once, for all.
    pub fn push_all<'a>(
        &mut self,
        end: Direction,
        elements: impl Iterator<Item = &'a [u8]> + Clone,
        limits: &Limits,
    ) {
        let (mut bytes, mut count) = (0usize, 0usize);
        for element in elements.clone() {
            bytes = bytes.saturating_add(element.len());
            count += 1;
        }
        self.grow(bytes, count, limits);
        elements.for_each(|element| self.push_raw(end, element, limits.list_node()));
    }

    fn push_raw(&mut self, end: Direction, bytes: &[u8], limit: NodeLimit) {
        self.cut_before(bytes.len());
        match (&mut self.form, end) {
            (Form::Packed(listpack), Direction::Forward) => listpack.push_front(Element::parse(bytes)),
            (Form::Packed(listpack), Direction::Backward) => listpack.push_back(Element::parse(bytes)),
            (Form::Pieces(quick), end) => quick.push(end, bytes, PIECE),
            (Form::Quick(quick), end) => quick.push(end, bytes, limit),
        }
    }

    /// A listpack that an element of `len` bytes would make too large for one piece goes over to pieces.
    fn cut_before(&mut self, len: usize) {
        if let Form::Packed(listpack) = &mut self.form
            && !PIECE.admits(listpack.byte_len(), listpack.len(), len)
            && !listpack.is_empty()
        {
            self.form = Form::Pieces(Box::new(pieces_of(std::mem::take(listpack))));
        }
    }

    /// Leaves the single listpack if `count` more elements of `bytes` bytes in all are too much for it.
    fn grow(&mut self, bytes: usize, count: usize, limits: &Limits) {
        let packed_bytes = match &self.form {
            Form::Packed(listpack) => listpack.byte_len(),
            Form::Pieces(pieces) => pieces.packed_bytes(),
            Form::Quick(_) => return,
        };
        if limits.list_node().exceeded_by(bytes.saturating_add(packed_bytes), self.len() + count) {
            self.quick();
        }
    }

    /// The deque, after going over to it if need be.
    fn quick(&mut self) -> &mut Quicklist {
        let packed = match &mut self.form {
            Form::Packed(listpack) => Some(std::mem::take(listpack)),
            Form::Pieces(pieces) => Some(pieces.merged()),
            Form::Quick(_) => None,
        };
        if let Some(listpack) = packed {
            let mut quick = Quicklist::default();
            if !listpack.is_empty() {
                quick.push_node(Node::packed(listpack));
            }
            self.form = Form::Quick(Box::new(quick));
        }
        match &mut self.form {
            Form::Quick(quick) => quick,
            Form::Packed(_) | Form::Pieces(_) => unreachable!("just made into a deque"),
        }
    }

    /// Goes back to a single listpack if there is one node, small enough; one piece is whole again, whatever its size.
    fn settle(&mut self, limits: &Limits, shrinking: bool) {
        let limit = match &self.form {
            Form::Packed(_) => return,
            Form::Pieces(_) => None,
            Form::Quick(_) => Some(limits.list_node()),
        };
        let (Form::Pieces(quick) | Form::Quick(quick)) = &mut self.form else { return };
        let fits = match quick.only_node() {
            Some(Node::Packed { count, listpack }) => {
                limit.is_none_or(|limit| limit.fits_listpack(listpack.byte_len(), *count as usize, shrinking))
            }
            Some(Node::Plain(_)) => false,
            None => quick.node_count() == 0,
        };
        if fits {
            let listpack = match std::mem::take(&mut **quick).into_only_node() {
                Some(Node::Packed { listpack, .. }) => listpack,
                _ => Listpack::new(),
            };
            self.form = Form::Packed(listpack);
        }
    }

    /// Removes the element at an end and returns it.
    pub fn pop(&mut self, end: Direction, limits: &Limits) -> Option<Vec<u8>> {
        let (index, signed) = match end {
            Direction::Forward => (0, 0),
            Direction::Backward => (self.len().checked_sub(1)?, -1),
        };
        let element = self.get(signed)?.to_vec();
        self.remove_range(index..index + 1, limits);
        Some(element)
    }

    /// Replaces the element at a signed index; false if there is none.
    pub fn set(&mut self, index: i64, bytes: &[u8], limits: &Limits) -> bool {
        let Some(index) = self.resolve_index(index) else { return false };
        self.grow(bytes.len(), 1, limits);
        match &mut self.form {
            Form::Packed(listpack) => {
                if let Some(at) = listpack.view().seek(index) {
                    listpack.replace(at, Element::parse(bytes));
                }
            }
            Form::Pieces(pieces) => {
                pieces.set(index, bytes, PIECE);
            }
            Form::Quick(quick) => {
                quick.set(index, bytes, limits.list_node());
            }
        }
        self.settle(limits, true);
        true
    }

    /// Inserts an element before the one at `index`; behind the last if `index` is not less than the length.
    pub fn insert(&mut self, index: usize, bytes: &[u8], limits: &Limits) {
        self.grow(bytes.len(), 1, limits);
        self.cut_before(bytes.len());
        match &mut self.form {
            Form::Packed(listpack) => {
                let at = listpack.view().seek(index).unwrap_or(listpack.view().end());
                listpack.insert(at, Element::parse(bytes));
            }
            Form::Pieces(pieces) => pieces.insert(index, bytes, PIECE),
            Form::Quick(quick) => quick.insert(index, bytes, limits.list_node()),
        }
    }

    /// Inserts an element before the first one equal to `pivot`; false if there is none.
    pub fn insert_before(&mut self, pivot: &[u8], bytes: &[u8], limits: &Limits) -> bool {
        let index = self.index_of(pivot);
        if let Some(index) = index {
            self.insert(index, bytes, limits);
        }
        index.is_some()
    }

    /// Inserts an element behind the first one equal to `pivot`; false if there is none.
    pub fn insert_after(&mut self, pivot: &[u8], bytes: &[u8], limits: &Limits) -> bool {
        let index = self.index_of(pivot);
        if let Some(index) = index {
            self.insert(index + 1, bytes, limits);
        }
        index.is_some()
    }

    /// The index of the first element equal to `bytes`.
    pub fn index_of(&self, bytes: &[u8]) -> Option<usize> {
        let needle = Needle::new(bytes);
        self.iter().position(|element| needle.matches(element))
    }

    /// The indexes of elements equal to `bytes` as LPOS looks for them: walking in `direction`, passing over `skip`
    /// matches first, up to `count` of them, comparing at most `max_compared` elements.
    pub fn positions(
        &self,
        bytes: &[u8],
        direction: Direction,
        skip: usize,
        count: usize,
        max_compared: usize,
    ) -> Vec<usize> {
        let needle = Needle::new(bytes);
        let last = self.len().saturating_sub(1);
        let walked = self.iter_from(if direction == Direction::Forward { 0 } else { last }, direction);
        let hits = walked.take(max_compared).enumerate().filter(|(_, element)| needle.matches(*element));
        let index = |step: usize| if direction == Direction::Forward { step } else { last - step };
        hits.skip(skip).take(count).map(|(step, _)| index(step)).collect()
    }

    /// Removes up to `limit` elements equal to `bytes`, met in `direction`; returns how many.
    pub fn remove_matching(
        &mut self,
        bytes: &[u8],
        limit: usize,
        direction: Direction,
        limits: &Limits,
    ) -> usize {
        let needle = Needle::new(bytes);
        let removed = match &mut self.form {
            Form::Packed(listpack) => listpack.remove_matching(&needle, limit, direction),
            Form::Pieces(quick) | Form::Quick(quick) => quick.remove_matching(&needle, limit, direction),
        };
        self.settle(limits, true);
        removed
    }

    /// Removes the elements whose indexes are in `range`, as far as there are such.
    pub fn remove_range(&mut self, range: Range<usize>, limits: &Limits) {
        match &mut self.form {
            Form::Packed(listpack) => {
                listpack.remove_range(range.start, range.len());
            }
            Form::Pieces(quick) | Form::Quick(quick) => quick.remove_range(range.start, range.len()),
        }
        self.settle(limits, true);
    }

    /// Removes up to `count` elements from an end.
    pub fn remove_end(&mut self, end: Direction, count: usize, limits: &Limits) {
        let len = self.len();
        let count = count.min(len);
        match end {
            Direction::Forward => self.remove_range(0..count, limits),
            Direction::Backward => self.remove_range(len - count..len, limits),
        }
    }

    /// Removes all elements but those whose indexes are in `keep`.
    pub fn trim(&mut self, keep: Range<usize>, limits: &Limits) {
        let len = self.len();
        if keep.is_empty() {
            return self.remove_range(0..len, limits);
        }
        self.remove_range(keep.end.min(len)..len, limits);
        self.remove_range(0..keep.start, limits);
    }

    /// All elements from the head.
    pub fn iter(&self) -> ListIter<'_> {
        self.iter_from(0, Direction::Forward)
    }

    /// The elements from `index` on, walking to the tail or to the head. Finding the start costs a walk over the
    /// nodes (not their elements) from the nearer end.
    pub fn iter_from(&self, index: usize, direction: Direction) -> ListIter<'_> {
        let start = match &self.form {
            Form::Packed(listpack) => (index < listpack.len()).then_some((0, index)),
            Form::Pieces(quick) | Form::Quick(quick) => quick.locate(index),
        };
        let inner = start.and_then(|(n, i)| Some(self.node(n)?.iter_from(i, direction)));
        ListIter { list: self, node: start.map_or(0, |(n, _)| n), inner, direction }
    }

    fn node(&self, index: usize) -> Option<NodeRef<'_>> {
        match &self.form {
            Form::Packed(listpack) => (index == 0).then(|| NodeRef::Packed(listpack.view())),
            Form::Pieces(quick) | Form::Quick(quick) => quick.node(index),
        }
    }

    /// Number of nodes, or of pieces: 1 for a listpack in one.
    pub fn node_count(&self) -> usize {
        match &self.form {
            Form::Packed(_) => 1,
            Form::Pieces(quick) | Form::Quick(quick) => quick.node_count(),
        }
    }

    /// The listpack that is kept in pieces, whole; `None` for any other list. A file gets this in place of the nodes.
    pub fn merged(&self) -> Option<Listpack> {
        match &self.form {
            Form::Pieces(pieces) => Some(pieces.merged()),
            Form::Packed(_) | Form::Quick(_) => None,
        }
    }

    /// The nodes from the head, as they go into an RDB file; see [`List::merged`].
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeRef<'_>> {
        let empty = NodeRef::Plain(&[]);
        (0..self.node_count()).map(move |n| self.node(n).unwrap_or(empty))
    }

    /// Adds a node of packed elements at the tail, as loading does; call [`List::finish_load`] after the last. An
    /// empty listpack adds nothing.
    pub fn push_packed_node(&mut self, listpack: Listpack) {
        if !listpack.is_empty() {
            self.quick().push_node(Node::packed(listpack));
        }
    }

    /// Adds a node of one element at the tail, as loading does; call [`List::finish_load`] after the last.
    pub fn push_plain_node(&mut self, bytes: &[u8]) {
        self.quick().push_node(Node::Plain(super::blob::Blob::new(bytes)));
    }

    /// Chooses the encoding after all nodes were pushed.
    pub fn finish_load(&mut self, limits: &Limits) {
        self.settle(limits, false);
        self.cut_before(0);
    }

    /// About how many bytes the list takes on the heap, its nodes judged by the first `samples` (0: all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let nodes = self.node_count();
        let samples = if samples == 0 { nodes } else { samples.min(nodes) };
        let sampled: usize = self.nodes().take(samples).map(NodeRef::byte_len).sum();
        let packed = (sampled as u128 * nodes as u128).checked_div(samples as u128).unwrap_or(0) as usize;
        match &self.form {
            Form::Packed(_) => packed,
            Form::Pieces(_) | Form::Quick(_) => packed + size_of::<Quicklist>() + nodes * size_of::<Node>(),
        }
    }

    /// About how many allocations freeing this takes.
    pub fn estimated_free_effort(&self) -> usize {
        self.node_count()
    }
}

/// A listpack cut into pieces.
fn pieces_of(mut rest: Listpack) -> Quicklist {
    let mut pieces = Quicklist::default();
    while rest.byte_len() > PIECE_BYTES {
        let view = rest.view();
        // The first entry whose end does not fit any more; an entry larger than a piece has one for itself.
        let mut at = view.first();
        let mut is_first = true;
        while let Some(here) = at {
            let next = view.next(here);
            if !is_first && next.unwrap_or(view.end()).offset() >= PIECE_BYTES {
                break;
            }
            is_first = false;
            at = next;
        }
        let Some(at) = at else { break };
        let tail = rest.split_off(at);
        pieces.push_node(Node::packed(std::mem::replace(&mut rest, tail)));
    }
    pieces.push_node(Node::packed(rest));
    pieces
}

impl Default for List {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The elements of a list, walked in one direction.
#[derive(Clone)]
pub struct ListIter<'a> {
    list: &'a List,
    node: usize,
    inner: Option<NodeIter<'a>>,
    direction: Direction,
}

impl<'a> Iterator for ListIter<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            if let Some(element) = self.inner.as_mut()?.step(self.direction) {
                return Some(element);
            }
            let next = match self.direction {
                Direction::Forward => self.node.checked_add(1),
                Direction::Backward => self.node.checked_sub(1),
            };
            self.inner = next.and_then(|next| self.list.node(next)).map(NodeRef::iter);
            self.node = next.unwrap_or(0);
        }
    }
}
