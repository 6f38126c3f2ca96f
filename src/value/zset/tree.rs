//! A counted B+ tree of entries ordered by (score, member): logarithmic insert, remove, rank and access by rank.

use std::cmp::Ordering;

use super::entry::{Entry, EntryPtr, EntryView};
use super::iter::Range;
use super::node::{Ends, First, INNER_CAP, Inner, Item, Key, LEAF_CAP, Node, grow};

/// Fill of the leaves of a tree built from sorted items: a little air, so that the first inserts do not split each.
const BUILD_LEAF: usize = LEAF_CAP - LEAF_CAP / 16;
const BUILD_INNER: usize = INNER_CAP - INNER_CAP / 16;

/// Where a descent starts: the root is both the first and the last of its level.
const ROOT: Ends = Ends { left: true, right: true };

/// The tree; it owns its entries.
pub(super) struct Tree {
    root: Node,
    len: usize,
}

impl Default for Tree {
    fn default() -> Self {
        Self { root: Node::EMPTY, len: 0 }
    }
}

impl Tree {
    /// Builds a tree from entries that arrive in strictly ascending order (the caller has checked).
    pub(super) fn from_sorted(entries: impl Iterator<Item = Entry>) -> Self {
        let mut len = 0;
        let mut level = Vec::new();
        let mut leaf = Vec::new();
        for entry in entries {
            if leaf.len() == BUILD_LEAF {
                level.push(Node::Leaf(std::mem::take(&mut leaf)));
            }
            grow(&mut leaf, 1);
            leaf.push(Item::new(entry));
            len += 1;
        }
        level.push(Node::Leaf(leaf));
        while level.len() > 1 {
            let mut above: Vec<Node> = Vec::with_capacity(level.len() / BUILD_INNER + 1);
            let mut inner = Inner::new();
            for node in level {
                if inner.len == BUILD_INNER {
                    above.push(Node::Inner(std::mem::replace(&mut inner, Inner::new())));
                }
                inner.push(node);
            }
            above.push(Node::Inner(inner));
            level = above;
        }
        Self { root: level.pop().unwrap_or(Node::EMPTY), len }
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The root, for iteration.
    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// Adds an entry; the tree must not hold an equal one. Returns its address, which lasts as long as the entry.
    pub(super) fn insert(&mut self, entry: Entry) -> EntryPtr {
        let ptr = entry.ptr();
        self.insert_item(Item::new(entry));
        ptr
    }

    fn insert_item(&mut self, item: Item) {
        let first = First::of(&item.entry);
        self.len += 1;
        if self.root.is_full() {
            let mut inner = Inner::new();
            inner.push(std::mem::replace(&mut self.root, Node::EMPTY));
            self.root = Node::Inner(inner);
        }
        let mut ends = ROOT;
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Leaf(items) => {
                    let key = Key { score: item.score, member: item.entry.view().member() };
                    let at = items.partition_point(|it| it.order(key) == Ordering::Less);
                    grow(items, 1);
                    items.insert(at, item);
                    return;
                }
                Node::Inner(inner) => {
                    let key = Key { score: item.score, member: item.entry.view().member() };
                    let mut i = inner.child_for(key);
                    if inner.nodes[i].is_full() {
                        inner.make_room(i, key, first, ends);
                        i = inner.child_for(key);
                    }
                    inner.counts[i] += 1;
                    // Only what goes before everything lands left of a child's smallest item.
                    if i == 0 && inner.is_before_first(key) {
                        inner.firsts[0] = first;
                    }
                    ends = ends.of_child(i, inner.len);
                    node = &mut inner.nodes[i];
                }
            }
        }
    }

    /// Takes out the entry with exactly this score and member.
    pub(super) fn remove(&mut self, key: Key<'_>) -> Option<Entry> {
        let entry = remove_key(&mut self.root, key, ROOT)?;
        self.removed(1);
        Some(entry)
    }

    /// Takes out the entry of this rank.
    pub(super) fn remove_at(&mut self, rank: usize) -> Option<Entry> {
        let entry = remove_rank(&mut self.root, rank, ROOT)?;
        self.removed(1);
        Some(entry)
    }

    /// Takes out the entries of ranks `from..to` in ascending order.
    pub(super) fn remove_range(&mut self, from: usize, to: usize, taken: &mut impl FnMut(Entry)) {
        let to = to.min(self.len);
        if from < to {
            remove_ranks(&mut self.root, from, to, ROOT, taken);
            self.removed(to - from);
        }
    }

    fn removed(&mut self, count: usize) {
        self.len -= count;
        while let Node::Inner(inner) = &mut self.root {
            match inner.len {
                0 => self.root = Node::EMPTY,
                1 => self.root = inner.remove_slot(0),
                _ => return,
            }
        }
        if self.len == 0 {
            self.root = Node::EMPTY;
        }
    }

    /// Changes a score; `key` must be in the tree, or `false` is returned.
    pub(super) fn update(&mut self, key: Key<'_>, score: f64) -> bool {
        match update_in_place(&mut self.root, key, score, ROOT) {
            Update::Done => true,
            Update::Absent => false,
            Update::Moves => {
                let Some(mut entry) = self.remove(key) else { return false };
                entry.set_score(score);
                self.insert_item(Item::new(entry));
                true
            }
        }
    }

    /// The rank of exactly this score and member.
    pub(super) fn rank(&self, key: Key<'_>) -> Option<usize> {
        let mut rank = 0;
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(items) => {
                    return items.binary_search_by(|it| it.order(key)).ok().map(|at| rank + at);
                }
                Node::Inner(inner) => {
                    let i = inner.child_for(key);
                    rank += inner.counts()[..i].iter().sum::<usize>();
                    node = &inner.nodes[i];
                }
            }
        }
    }

    /// How many entries satisfy `before`, which must hold for a prefix of the order and not after it. It is given
    /// the score and the entry, which is slower to look at.
    pub(super) fn partition_rank(&self, before: impl Fn(f64, EntryView<'_>) -> bool) -> usize {
        let mut rank = 0;
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(items) => {
                    return rank + items.partition_point(|it| before(it.score, it.entry.view()));
                }
                Node::Inner(inner) => {
                    let i = inner.child_where(&before);
                    rank += inner.counts()[..i].iter().sum::<usize>();
                    node = &inner.nodes[i];
                }
            }
        }
    }

    /// The entry of this rank.
    pub(super) fn get(&self, mut rank: usize) -> Option<EntryView<'_>> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(items) => return items.get(rank).map(|it| it.entry.view()),
                Node::Inner(inner) => {
                    let (i, within) = inner.child_at(rank)?;
                    rank = within;
                    node = &inner.nodes[i];
                }
            }
        }
    }

    /// At most `count` entries from rank `start` on: upwards, or downwards if `reverse`.
    pub(super) fn range(&self, start: usize, count: usize, reverse: bool) -> Range<'_> {
        Range::new(self, start, count, reverse)
    }

    /// Bytes asked of the allocator for nodes and entries, the latter estimated from a sample.
    pub(super) fn memory_bytes(&self, samples: usize) -> usize {
        let sampled: usize = self.range(0, samples, false).map(|view| view.size_bytes()).sum();
        let entries = if samples == 0 { 0 } else { sampled * self.len / samples.min(self.len).max(1) };
        entries + node_bytes(&self.root)
    }
}

impl Ends {
    fn of_child(self, i: usize, len: usize) -> Self {
        Self { left: self.left && i == 0, right: self.right && i + 1 == len }
    }
}

enum Update {
    Done,
    Absent,
    /// The new place is, or may be, in another leaf.
    Moves,
}

fn update_in_place(node: &mut Node, key: Key<'_>, score: f64, ends: Ends) -> Update {
    match node {
        Node::Leaf(items) => {
            let Ok(at) = items.binary_search_by(|it| it.order(key)) else { return Update::Absent };
            let moved = Key { score, member: key.member };
            // What lies beyond the leaf is at least as far away as the old place, or there is nothing beyond.
            let fits_left = match at.checked_sub(1).and_then(|before| items.get(before)) {
                Some(before) => before.order(moved).is_lt(),
                None => ends.left || score >= key.score,
            };
            let fits_right = match items.get(at + 1) {
                Some(after) => after.order(moved).is_gt(),
                None => ends.right || score <= key.score,
            };
            if !(fits_left && fits_right) {
                return Update::Moves;
            }
            items[at].score = score;
            items[at].entry.set_score(score);
            Update::Done
        }
        Node::Inner(inner) => {
            let i = inner.child_for(key);
            let ends = ends.of_child(i, inner.len);
            let update = update_in_place(&mut inner.nodes[i], key, score, ends);
            if matches!(update, Update::Done) {
                inner.refresh_first(i);
            }
            update
        }
    }
}

fn remove_key(node: &mut Node, key: Key<'_>, ends: Ends) -> Option<Entry> {
    match node {
        Node::Leaf(items) => {
            let at = items.binary_search_by(|it| it.order(key)).ok()?;
            Some(items.remove(at).entry)
        }
        Node::Inner(inner) => {
            let i = inner.child_for(key);
            let ends_below = ends.of_child(i, inner.len);
            let entry = remove_key(&mut inner.nodes[i], key, ends_below)?;
            inner.counts[i] -= 1;
            inner.settle(i, ends);
            Some(entry)
        }
    }
}

fn remove_rank(node: &mut Node, rank: usize, ends: Ends) -> Option<Entry> {
    match node {
        Node::Leaf(items) => (rank < items.len()).then(|| items.remove(rank).entry),
        Node::Inner(inner) => {
            let (i, within) = inner.child_at(rank)?;
            let ends_below = ends.of_child(i, inner.len);
            let entry = remove_rank(&mut inner.nodes[i], within, ends_below)?;
            inner.counts[i] -= 1;
            inner.settle(i, ends);
            Some(entry)
        }
    }
}

/// Takes ranks `from..to` out of a node, children that go whole without a look at their order.
fn remove_ranks(node: &mut Node, from: usize, to: usize, ends: Ends, taken: &mut impl FnMut(Entry)) {
    match node {
        Node::Leaf(items) => items.drain(from..to).for_each(|it| taken(it.entry)),
        Node::Inner(inner) => {
            let mut i = 0;
            let mut start = 0;
            while i < inner.len && start < to {
                let end = start + inner.counts[i];
                if end <= from {
                    i += 1;
                } else if from <= start && end <= to {
                    take_all(inner.remove_slot(i), taken);
                } else {
                    let (low, high) = (from.max(start) - start, to.min(end) - start);
                    let ends_below = ends.of_child(i, inner.len);
                    remove_ranks(&mut inner.nodes[i], low, high, ends_below, taken);
                    inner.refresh(i);
                    i += 1;
                }
                start = end;
            }
            inner.tidy();
        }
    }
}

fn take_all(node: Node, taken: &mut impl FnMut(Entry)) {
    match node {
        Node::Leaf(items) => items.into_iter().for_each(|it| taken(it.entry)),
        Node::Inner(mut inner) => {
            let len = inner.len;
            for node in &mut inner.nodes[..len] {
                take_all(std::mem::replace(node, Node::EMPTY), taken);
            }
        }
    }
}

fn node_bytes(node: &Node) -> usize {
    match node {
        Node::Leaf(items) => items.capacity() * size_of::<Item>(),
        Node::Inner(inner) => size_of::<Inner>() + inner.nodes().iter().map(node_bytes).sum::<usize>(),
    }
}

#[cfg(test)]
impl Tree {
    /// Checks order, counts, marks, fill and depth.
    pub(super) fn check(&self) {
        let mut items = Vec::new();
        let depth = check_node(&self.root, ROOT, true, &mut items);
        assert_eq!(items.len(), self.len);
        assert!(depth < 12);
        for pair in items.windows(2) {
            let key = Key { score: pair[1].score, member: pair[1].entry.view().member() };
            assert!(pair[0].order(key).is_lt(), "out of order");
        }
    }

    /// Items per slot of the leaves.
    pub(super) fn fill(&self) -> f64 {
        fn slots(node: &Node) -> usize {
            match node {
                Node::Leaf(_) => LEAF_CAP,
                Node::Inner(inner) => inner.nodes().iter().map(slots).sum(),
            }
        }
        self.len as f64 / slots(&self.root) as f64
    }
}

#[cfg(test)]
fn check_node<'a>(node: &'a Node, ends: Ends, is_root: bool, out: &mut Vec<&'a Item>) -> usize {
    use super::node::{INNER_MIN, LEAF_MIN};
    let at_end = ends.left || ends.right;
    match node {
        Node::Leaf(items) => {
            assert!(items.len() <= LEAF_CAP && items.capacity() <= LEAF_CAP);
            assert!(is_root || items.len() >= if at_end { 1 } else { LEAF_MIN }, "leaf of {}", items.len());
            for item in items {
                assert_eq!(item.score.to_bits(), item.entry.view().score().to_bits());
                out.push(item);
            }
            0
        }
        Node::Inner(inner) => {
            let min = if is_root {
                2
            } else if at_end {
                1
            } else {
                INNER_MIN
            };
            assert!(inner.len >= min && inner.len <= INNER_CAP, "inner node of {}", inner.len);
            let mut depths = Vec::new();
            for (i, child) in inner.nodes().iter().enumerate() {
                let from = out.len();
                depths.push(check_node(child, ends.of_child(i, inner.len), false, out));
                assert_eq!(inner.counts[i], out.len() - from);
                assert_eq!(inner.firsts[i].entry, out[from].entry.ptr());
                assert_eq!(inner.firsts[i].score.to_bits(), out[from].score.to_bits());
            }
            assert!(depths.iter().all(|&d| d == depths[0]));
            assert!(inner.nodes[inner.len..].iter().all(|n| n.len() == 0));
            depths[0] + 1
        }
    }
}
