//! A deque of nodes: the list that has outgrown one listpack, or a listpack in pieces.

use super::node::{Node, NodeRef};
use crate::value::limits::NodeLimit;
use crate::value::{Direction, Element, Listpack, Needle, listpack};
use std::collections::VecDeque;

#[derive(Clone, Default)]
pub(super) struct Quicklist {
    nodes: VecDeque<Node>,
    len: usize,
}

impl Quicklist {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, index: usize) -> Option<NodeRef<'_>> {
        self.nodes.get(index).map(Node::view)
    }

    pub(super) fn push_node(&mut self, node: Node) {
        self.len += node.count();
        self.nodes.push_back(node);
    }

    /// Bytes of the one listpack that nodes of packed elements would be.
    pub(super) fn packed_bytes(&self) -> usize {
        let content = |node: &Node| node.view().byte_len() - listpack::EMPTY_BYTES;
        listpack::EMPTY_BYTES + self.nodes.iter().map(content).sum::<usize>()
    }

    /// The one listpack that nodes of packed elements are.
    pub(super) fn merged(&self) -> Listpack {
        let mut whole = Listpack::new();
        for node in &self.nodes {
            match node {
                Node::Packed { listpack, .. } => whole.append(listpack),
                Node::Plain(_) => unreachable!("no piece of a listpack is plain"),
            }
        }
        whole
    }

    /// Takes the only node out, if there is just one.
    pub(super) fn only_node(&self) -> Option<&Node> {
        self.nodes.front().filter(|_| self.nodes.len() == 1)
    }

    pub(super) fn into_only_node(mut self) -> Option<Node> {
        self.nodes.pop_front()
    }

    /// The node that holds element `index`, and the index within it; walks from the nearer end.
    pub(super) fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len {
            return None;
        }
        if index < self.len / 2 {
            let mut left = index;
            for (n, node) in self.nodes.iter().enumerate() {
                match left.checked_sub(node.count()) {
                    Some(rest) => left = rest,
                    None => return Some((n, left)),
                }
            }
            return None;
        }
        let mut start = self.len;
        for (n, node) in self.nodes.iter().enumerate().rev() {
            start -= node.count();
            if index >= start {
                return Some((n, index - start));
            }
        }
        None
    }

    pub(super) fn get(&self, index: usize) -> Option<Element<'_>> {
        let (n, i) = self.locate(index)?;
        self.node(n)?.get(i)
    }

    pub(super) fn push(&mut self, end: Direction, bytes: &[u8], limit: NodeLimit) {
        self.len += 1;
        let node = match end {
            Direction::Forward => self.nodes.front_mut(),
            Direction::Backward => self.nodes.back_mut(),
        };
        let index = if end == Direction::Forward { 0 } else { usize::MAX };
        if node.is_some_and(|node| node.try_insert(index, bytes, limit)) {
            return;
        }
        let node = Node::for_element(bytes, limit);
        match end {
            Direction::Forward => self.nodes.push_front(node),
            Direction::Backward => self.nodes.push_back(node),
        }
    }

    /// Inserts an element before the one at `index`; at the end if there is none.
    pub(super) fn insert(&mut self, index: usize, bytes: &[u8], limit: NodeLimit) {
        let Some((n, i)) = self.locate(index) else {
            return self.push(Direction::Backward, bytes, limit);
        };
        self.len += 1;
        if self.nodes[n].try_insert(i, bytes, limit) {
            return;
        }
        if i == 0 {
            let before = n.checked_sub(1).and_then(|before| self.nodes.get_mut(before));
            if !before.is_some_and(|node| node.try_insert(usize::MAX, bytes, limit)) {
                self.nodes.insert(n, Node::for_element(bytes, limit));
            }
            return;
        }
        self.insert_in_split(n, i, bytes, limit);
    }

    /// The node is full: cut it in two where the element goes, and put the element on either side or between.
    fn insert_in_split(&mut self, n: usize, i: usize, bytes: &[u8], limit: NodeLimit) {
        let Some(mut tail) = self.nodes[n].split_off(i) else { return };
        let placed = self.nodes[n].try_insert(usize::MAX, bytes, limit) || tail.try_insert(0, bytes, limit);
        self.nodes.insert(n + 1, tail);
        let mut tail_at = n + 1;
        if !placed {
            self.nodes.insert(n + 1, Node::for_element(bytes, limit));
            tail_at += 1;
        }
        self.merge_with_next(tail_at, limit);
        if let Some(before) = n.checked_sub(1) {
            self.merge_with_next(before, limit);
        }
    }

    fn merge_with_next(&mut self, n: usize, limit: NodeLimit) {
        // Both are needed at once, so the right one is taken out of its slot; an empty listpack fills it meanwhile.
        let Some(slot) = self.nodes.get_mut(n + 1) else { return };
        let next = std::mem::replace(slot, Node::packed(Listpack::new()));
        if self.nodes[n].try_append(&next, limit) {
            self.nodes.remove(n + 1);
        } else {
            self.nodes[n + 1] = next;
        }
    }

    /// Replaces the element at `index`; false if there is none.
    pub(super) fn set(&mut self, index: usize, bytes: &[u8], limit: NodeLimit) -> bool {
        let Some((n, i)) = self.locate(index) else { return false };
        if !self.nodes[n].try_replace(i, bytes, limit) {
            self.remove_range(index, 1);
            self.insert(index, bytes, limit);
        }
        true
    }

    /// Removes up to `count` elements from `start` on.
    pub(super) fn remove_range(&mut self, start: usize, count: usize) {
        let Some((first, mut i)) = self.locate(start) else { return };
        let mut left = count.min(self.len - start);
        self.len -= left;
        let (mut n, mut whole) = (first, first..first);
        while left > 0 {
            let Some(node) = self.nodes.get_mut(n) else { break };
            let take = left.min(node.count() - i);
            if take == node.count() {
                if whole.is_empty() {
                    whole.start = n;
                }
                whole.end = n + 1;
            } else {
                node.remove(i, take);
            }
            left -= take;
            i = 0;
            n += 1;
        }
        self.nodes.drain(whole);
    }

    /// Removes up to `limit` elements that match, met in `direction`; returns how many.
    pub(super) fn remove_matching(
        &mut self,
        needle: &Needle<'_>,
        limit: usize,
        direction: Direction,
    ) -> usize {
        let mut removed = 0;
        let mut emptied = Vec::new();
        for step in 0..self.nodes.len() {
            if removed >= limit {
                break;
            }
            let n = match direction {
                Direction::Forward => step,
                Direction::Backward => self.nodes.len() - 1 - step,
            };
            let node = &mut self.nodes[n];
            let before = node.count();
            let hits = node.remove_matching(needle, limit - removed, direction);
            removed += hits;
            if hits == before {
                emptied.push(n);
            }
        }
        self.len -= removed;
        self.drop_nodes(emptied);
        removed
    }

    fn drop_nodes(&mut self, mut doomed: Vec<usize>) {
        if doomed.is_empty() {
            return;
        }
        doomed.sort_unstable();
        let mut doomed = doomed.into_iter().peekable();
        let mut n = 0;
        self.nodes.retain(|_| {
            let drop = doomed.next_if_eq(&n).is_some();
            n += 1;
            !drop
        });
    }
}
