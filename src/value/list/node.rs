//! One node of a list.

use crate::value::blob::Blob;
use crate::value::limits::NodeLimit;
use crate::value::listpack;
use crate::value::{Direction, Element, Listpack, ListpackRef, Needle};

/// A node as a reader sees it: what one entry of an RDB file holds.
#[derive(Clone, Copy, Debug)]
pub enum NodeRef<'a> {
    /// Many elements.
    Packed(ListpackRef<'a>),
    /// One large element.
    Plain(&'a [u8]),
}

impl<'a> NodeRef<'a> {
    /// Bytes of the listpack or of the element.
    pub fn byte_len(self) -> usize {
        match self {
            NodeRef::Packed(view) => view.as_bytes().len(),
            NodeRef::Plain(bytes) => bytes.len(),
        }
    }

    /// The elements from `index` on, walking in `direction` (to the node's end or start).
    pub(super) fn iter_from(self, index: usize, direction: Direction) -> NodeIter<'a> {
        match self {
            NodeRef::Plain(bytes) => NodeIter::Plain(Some(bytes)),
            NodeRef::Packed(view) => NodeIter::Packed(match direction {
                Direction::Forward => view.iter_from(view.seek(index).unwrap_or(view.end())),
                Direction::Backward => view.iter_until(view.seek(index + 1).unwrap_or(view.end())),
            }),
        }
    }

    /// All elements, to be walked in either direction.
    pub(super) fn iter(self) -> NodeIter<'a> {
        match self {
            NodeRef::Plain(bytes) => NodeIter::Plain(Some(bytes)),
            NodeRef::Packed(view) => NodeIter::Packed(view.iter()),
        }
    }

    pub(super) fn get(self, index: usize) -> Option<Element<'a>> {
        match self {
            NodeRef::Packed(view) => view.get_index(index),
            NodeRef::Plain(bytes) => (index == 0).then_some(Element::Bytes(bytes)),
        }
    }
}

/// The elements of a node.
#[derive(Clone)]
pub(super) enum NodeIter<'a> {
    Packed(listpack::Iter<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> NodeIter<'a> {
    pub(super) fn step(&mut self, direction: Direction) -> Option<Element<'a>> {
        match (self, direction) {
            (NodeIter::Packed(iter), Direction::Forward) => iter.next(),
            (NodeIter::Packed(iter), Direction::Backward) => iter.next_back(),
            (NodeIter::Plain(bytes), _) => bytes.take().map(Element::Bytes),
        }
    }
}

/// A node as it is stored. The count is kept beside the pointer so that walking the nodes to an index does not touch
/// them.
#[derive(Clone)]
pub(super) enum Node {
    Packed { count: u32, listpack: Listpack },
    Plain(Blob),
}

const _: () = assert!(size_of::<Node>() == 16);

impl Node {
    /// A node for one element: its own, if it is too large to share one.
    pub(super) fn for_element(bytes: &[u8], limit: NodeLimit) -> Self {
        if limit.is_large(bytes.len()) {
            Node::Plain(Blob::new(bytes))
        } else {
            Node::packed(Listpack::from_elements([Element::parse(bytes)]))
        }
    }

    pub(super) fn packed(listpack: Listpack) -> Self {
        // A listpack holds less than 2^30 entries: each takes two bytes or more.
        Node::Packed { count: listpack.len() as u32, listpack }
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Node::Packed { count, .. } => *count as usize,
            Node::Plain(_) => 1,
        }
    }

    pub(super) fn view(&self) -> NodeRef<'_> {
        match self {
            Node::Packed { listpack, .. } => NodeRef::Packed(listpack.view()),
            Node::Plain(blob) => NodeRef::Plain(blob.bytes()),
        }
    }

    /// Inserts an element at `index` if the node may take it.
    pub(super) fn try_insert(&mut self, index: usize, bytes: &[u8], limit: NodeLimit) -> bool {
        match self {
            Node::Packed { count, listpack }
                if limit.admits(listpack.byte_len(), *count as usize, bytes.len()) =>
            {
                let view = listpack.view();
                let at = if index >= *count as usize {
                    view.end()
                } else {
                    view.seek(index).unwrap_or(view.end())
                };
                listpack.insert(at, Element::parse(bytes));
                *count += 1;
                true
            }
            _ => false,
        }
    }

    /// Replaces the element at `index` if the node may hold the new one.
    pub(super) fn try_replace(&mut self, index: usize, bytes: &[u8], limit: NodeLimit) -> bool {
        if self.count() == 1 {
            *self = Node::for_element(bytes, limit);
            return true;
        }
        let Node::Packed { count, listpack } = self else { return false };
        let Some(at) = listpack.view().seek(index) else { return false };
        let old = listpack.view().get(at).map_or(0, listpack::entry_bytes);
        let new_bytes = listpack.byte_len() - old + listpack::entry_bytes(Element::parse(bytes));
        if limit.is_large(bytes.len()) || limit.exceeded_by(new_bytes, *count as usize) {
            return false;
        }
        listpack.replace(at, Element::parse(bytes));
        true
    }

    /// Removes `n` elements from `index` on, which must leave at least one.
    pub(super) fn remove(&mut self, index: usize, n: usize) {
        if let Node::Packed { count, listpack } = self {
            *count -= listpack.remove_range(index, n) as u32;
        }
    }

    /// Removes up to `limit` elements that match; a plain node that matches reports 1 and is for the caller to drop.
    pub(super) fn remove_matching(
        &mut self,
        needle: &Needle<'_>,
        limit: usize,
        direction: Direction,
    ) -> usize {
        match self {
            Node::Packed { count, listpack } => {
                let removed = listpack.remove_matching(needle, limit, direction);
                *count -= removed as u32;
                removed
            }
            Node::Plain(blob) => usize::from(limit > 0 && blob.bytes() == needle.bytes()),
        }
    }

    /// Cuts the elements from `index` on off into a node of their own. `None` for a plain node.
    pub(super) fn split_off(&mut self, index: usize) -> Option<Node> {
        let Node::Packed { count, listpack } = self else { return None };
        let tail = Node::packed(listpack.split_off(listpack.view().seek(index)?));
        *count -= tail.count() as u32;
        Some(tail)
    }

    /// Takes the elements of the node that follows, if both together are within the limit.
    pub(super) fn try_append(&mut self, next: &Node, limit: NodeLimit) -> bool {
        let (Node::Packed { count, listpack }, Node::Packed { count: more, listpack: other }) = (self, next)
        else {
            return false;
        };
        let bytes = listpack.byte_len() + other.byte_len() - listpack::EMPTY_BYTES;
        if limit.exceeded_by(bytes, (*count + *more) as usize) {
            return false;
        }
        listpack.append(other);
        *count += *more;
        true
    }
}
