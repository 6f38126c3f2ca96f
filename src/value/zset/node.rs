//! The nodes of the counted B+ tree and how they share items among neighbours.
//!
//! A leaf is a vector of (score, entry), the score kept beside the pointer so that a search mostly stays in the leaf.
//! An inner node keeps, for each child, the child itself, how many items lie below it and its smallest item. Nodes
//! are as full as can be had cheaply: a full node shares its items with both neighbours before the three become four;
//! appends and prepends at the ends of the tree open a fresh node and leave the full one full.

use std::cmp::Ordering;

use super::entry::{Entry, EntryPtr, EntryView};

/// Items in a leaf: 1,024 bytes, a size class of the allocator. Unit tests want deep trees of few items; the suite
/// of integration tests runs the real size.
pub(super) const LEAF_CAP: usize = if cfg!(test) { 8 } else { 64 };
/// Children of an inner node: with 48 bytes a child the node fits 2,048 bytes.
pub(super) const INNER_CAP: usize = if cfg!(test) { 8 } else { 42 };
const _: () = assert!(LEAF_CAP * size_of::<Item>() <= 1024 && size_of::<Inner>() <= 2048);
/// A full node shares with its neighbours while a node among them has on average more than this part of its capacity
/// free. Less air means fewer bytes a member and more items moved about.
const SPREAD_SHARE: usize = 16;
/// Nodes with fewer items or children than a quarter of their capacity are merged, unless at an end of the tree.
pub(super) const LEAF_MIN: usize = LEAF_CAP / 4;
pub(super) const INNER_MIN: usize = INNER_CAP / 4;

/// A position in the order: by score, then by the bytes of the member.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) score: f64,
    pub(super) member: &'a [u8],
}

/// An entry in its leaf; `score` repeats the entry's.
pub(super) struct Item {
    pub(super) score: f64,
    pub(super) entry: Entry,
}

/// The smallest item below a child.
#[derive(Clone, Copy)]
pub(super) struct First {
    pub(super) score: f64,
    pub(super) entry: EntryPtr,
}

pub(super) enum Node {
    Leaf(Vec<Item>),
    Inner(Box<Inner>),
}

pub(super) struct Inner {
    pub(super) len: usize,
    pub(super) firsts: [First; INNER_CAP],
    pub(super) counts: [usize; INNER_CAP],
    pub(super) nodes: [Node; INNER_CAP],
}

/// Whether a node is the first or the last of its level: there nodes may run low.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) left: bool,
    pub(super) right: bool,
}

/// Compares an item, of which the member is only fetched at a tie, with a key.
fn order(score: f64, view: EntryView<'_>, key: Key<'_>) -> Ordering {
    // Not total_cmp: -0 and 0 are the same score. NaN is never stored.
    if score < key.score {
        Ordering::Less
    } else if score > key.score {
        Ordering::Greater
    } else {
        view.member().cmp(key.member)
    }
}

impl Item {
    pub(super) fn new(entry: Entry) -> Self {
        Self { score: entry.view().score(), entry }
    }

    pub(super) fn order(&self, key: Key<'_>) -> Ordering {
        order(self.score, self.entry.view(), key)
    }

    fn first(&self) -> First {
        First { score: self.score, entry: self.entry.ptr() }
    }
}

impl First {
    const UNUSED: Self = Self { score: 0.0, entry: EntryPtr::DANGLING };

    pub(super) fn of(entry: &Entry) -> Self {
        Self { score: entry.view().score(), entry: entry.ptr() }
    }
}

impl Node {
    pub(super) const EMPTY: Self = Self::Leaf(Vec::new());

    /// Items of a leaf, children of an inner node.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Inner(inner) => inner.len,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.capacity()
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Leaf(_) => LEAF_CAP,
            Self::Inner(_) => INNER_CAP,
        }
    }

    fn is_low(&self) -> bool {
        match self {
            Self::Leaf(items) => items.len() < LEAF_MIN,
            Self::Inner(inner) => inner.len < INNER_MIN,
        }
    }

    /// How many items lie below.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Inner(inner) => inner.counts().iter().sum(),
        }
    }

    /// The smallest item below; an unusable mark for an empty node.
    fn first(&self) -> First {
        match self {
            Self::Leaf(items) => items.first().map_or(First::UNUSED, Item::first),
            Self::Inner(inner) => inner.firsts().first().copied().unwrap_or(First::UNUSED),
        }
    }

    /// The greatest item below.
    pub(super) fn last(&self) -> Option<&Item> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(items) => return items.last(),
                Self::Inner(inner) => node = inner.nodes().last()?,
            }
        }
    }

    /// An empty node of the same kind.
    fn sibling(&self) -> Self {
        match self {
            Self::Leaf(_) => Self::Leaf(Vec::with_capacity(LEAF_CAP)),
            Self::Inner(_) => Self::Inner(Inner::new()),
        }
    }
}

impl Inner {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            len: 0,
            firsts: [First::UNUSED; INNER_CAP],
            counts: [0; INNER_CAP],
            nodes: [const { Node::EMPTY }; INNER_CAP],
        })
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes[..self.len]
    }

    pub(super) fn counts(&self) -> &[usize] {
        &self.counts[..self.len]
    }

    pub(super) fn firsts(&self) -> &[First] {
        &self.firsts[..self.len]
    }

    /// Appends a child that holds at least one item.
    pub(super) fn push(&mut self, node: Node) {
        let (first, count) = (node.first(), node.count());
        self.insert_slot(self.len, node, first, count);
    }

    fn insert_slot(&mut self, at: usize, node: Node, first: First, count: usize) {
        let end = self.len + 1;
        self.firsts.copy_within(at..self.len, at + 1);
        self.counts.copy_within(at..self.len, at + 1);
        self.nodes[at..end].rotate_right(1);
        self.firsts[at] = first;
        self.counts[at] = count;
        self.nodes[at] = node;
        self.len = end;
    }

    /// Takes the child at `at` out.
    pub(super) fn remove_slot(&mut self, at: usize) -> Node {
        let node = std::mem::replace(&mut self.nodes[at], Node::EMPTY);
        self.nodes[at..self.len].rotate_left(1);
        self.firsts.copy_within(at + 1..self.len, at);
        self.counts.copy_within(at + 1..self.len, at);
        self.len -= 1;
        node
    }

    /// The child that holds `key`, or would.
    pub(super) fn child_for(&self, key: Key<'_>) -> usize {
        self.child_where(|score, view| order(score, view, key) != Ordering::Greater)
    }

    /// The last child whose smallest item satisfies `before`, else the first; `before` must hold for a prefix of the
    /// order. The boundary between the items that satisfy it and the rest is in this child or at its end.
    pub(super) fn child_where(&self, before: impl Fn(f64, EntryView<'_>) -> bool) -> usize {
        let later = self.firsts().get(1..).unwrap_or_default();
        later.partition_point(|first| {
            // SAFETY: each used slot of `firsts` names an entry that a leaf below this node owns: every change of a
            // child refreshes its slot before the removed entry can be freed.
            before(first.score, unsafe { first.entry.view() })
        })
    }

    /// The child that holds the item of rank `rank` among this node's, and the rank within it.
    pub(super) fn child_at(&self, mut rank: usize) -> Option<(usize, usize)> {
        for (i, &count) in self.counts().iter().enumerate() {
            if rank < count {
                return Some((i, rank));
            }
            rank -= count;
        }
        None
    }

    /// Whether `key` goes before all items of this node, which must not be empty.
    pub(super) fn is_before_first(&self, key: Key<'_>) -> bool {
        let first = self.firsts[0];
        debug_assert!(self.len > 0);
        // SAFETY: the node is not empty, so slot 0 names a live entry, see `child_where`.
        order(first.score, unsafe { first.entry.view() }, key).is_gt()
    }

    /// Recomputes the mark of child `i`.
    pub(super) fn refresh_first(&mut self, i: usize) {
        self.firsts[i] = self.nodes[i].first();
    }

    /// Recomputes what is kept about child `i`.
    pub(super) fn refresh(&mut self, i: usize) {
        self.counts[i] = self.nodes[i].count();
        self.firsts[i] = self.nodes[i].first();
    }

    /// Makes room in the full child `i` for an item with `key`, which is `first`; this node must have a free slot.
    /// The caller has to look its child up again.
    pub(super) fn make_room(&mut self, i: usize, key: Key<'_>, first: First, ends: Ends) {
        debug_assert!(self.len < INNER_CAP);
        if ends.right && i + 1 == self.len && self.nodes[i].last().is_some_and(|last| last.order(key).is_lt())
        {
            return self.open_right(i, first);
        }
        if ends.left && i == 0 && self.is_before_first(key) {
            return self.open_left(first);
        }
        // Share with the neighbours; if they are full as well, so with a new node among them.
        let from = i.saturating_sub(1);
        let to = (i + 2).min(self.len);
        let capacity = self.nodes[i].capacity();
        let free: usize = self.nodes[from..to].iter().map(|node| capacity - node.len()).sum();
        if free >= (to - from) * (capacity / SPREAD_SHARE + 1) {
            self.spread(from, to);
        } else {
            let empty = self.nodes[i].sibling();
            self.insert_slot(i + 1, empty, First::UNUSED, 0);
            self.spread(from, to + 1);
        }
    }

    /// The new item goes after all others: leave the full child `i` full.
    fn open_right(&mut self, i: usize, first: First) {
        match &self.nodes[i] {
            Node::Leaf(_) => {
                let leaf = self.nodes[i].sibling();
                self.insert_slot(i + 1, leaf, first, 0);
            }
            Node::Inner(inner) => {
                let at = inner.len - 1;
                self.split(i, at);
            }
        }
    }

    /// The new item goes before all others: leave the full first child full.
    fn open_left(&mut self, first: First) {
        match &self.nodes[0] {
            Node::Leaf(_) => {
                let leaf = self.nodes[0].sibling();
                self.insert_slot(0, leaf, first, 0);
            }
            Node::Inner(_) => self.split(0, 1),
        }
    }

    /// Splits child `i` in two, the first `at` of its items or children staying.
    fn split(&mut self, i: usize, at: usize) {
        let mut right = self.nodes[i].sibling();
        balance(&mut self.nodes[i], &mut right, at);
        self.insert_slot(i + 1, right, First::UNUSED, 0);
        self.refresh(i);
        self.refresh(i + 1);
    }

    /// Shares the items of the children `from..to` evenly.
    fn spread(&mut self, from: usize, to: usize) {
        match &self.nodes[from] {
            Node::Leaf(_) => spread_leaves(&mut self.nodes[from..to]),
            Node::Inner(_) => spread_inners(&mut self.nodes[from..to]),
        }
        (from..to).for_each(|i| self.refresh(i));
    }

    /// Moves items between children `i` and `i + 1` until `i` holds `target`.
    fn balance_pair(&mut self, i: usize, target: usize) {
        let (left, right) = self.nodes.split_at_mut(i + 1);
        if let (Some(left), Some(right)) = (left.last_mut(), right.first_mut()) {
            balance(left, right, target);
        }
        self.refresh(i);
        self.refresh(i + 1);
    }

    /// After items were removed below child `i`: drops it if empty, refreshes its mark, and merges it if it runs low.
    pub(super) fn settle(&mut self, i: usize, ends: Ends) {
        if self.nodes[i].len() == 0 {
            self.remove_slot(i);
            return;
        }
        self.refresh_first(i);
        let at_end = (ends.left && i == 0) || (ends.right && i + 1 == self.len);
        if !at_end {
            self.repair(i);
        }
    }

    /// Merges or evens out child `i` with a neighbour until it no longer runs low or is alone.
    fn repair(&mut self, mut i: usize) {
        while self.len > 1 && self.nodes[i].is_low() {
            i = i.saturating_sub(1);
            let sum = self.nodes[i].len() + self.nodes[i + 1].len();
            // Some air is left in a merged node, so that deletes and inserts in turn do not merge and split it.
            if sum > self.nodes[i].capacity() / 8 * 7 {
                self.spread(i, i + 2);
                self.tidy_child(i + 1);
            } else {
                self.balance_pair(i, sum);
                self.remove_slot(i + 1);
            }
            self.tidy_child(i);
        }
    }

    /// Children that had no neighbour to merge with may have got one.
    fn tidy_child(&mut self, i: usize) {
        if let Node::Inner(inner) = &mut self.nodes[i] {
            inner.tidy();
            self.refresh(i);
        }
    }

    /// Merges all children that run low.
    pub(super) fn tidy(&mut self) {
        while self.len > 1 {
            let Some(low) = self.nodes().iter().position(Node::is_low) else { return };
            self.repair(low);
        }
    }
}

/// Makes room for `extra` items, by doubling up to the capacity of a leaf and never beyond it.
pub(super) fn grow(items: &mut Vec<Item>, extra: usize) {
    let want = items.len() + extra;
    if want > items.capacity() {
        let capacity = want.next_power_of_two().clamp(4, LEAF_CAP).max(want);
        items.reserve_exact(capacity - items.len());
    }
}

/// Moves items or children between two neighbours of one kind until `left` holds `target` of them.
fn balance(left: &mut Node, right: &mut Node, target: usize) {
    match (left, right) {
        (Node::Leaf(left), Node::Leaf(right)) => {
            if target < left.len() {
                grow(right, left.len() - target);
                right.splice(..0, left.drain(target..));
            } else {
                let moved = (target - left.len()).min(right.len());
                grow(left, moved);
                left.extend(right.drain(..moved));
            }
        }
        (Node::Inner(left), Node::Inner(right)) => balance_inner(left, right, target),
        _ => debug_assert!(false, "neighbours are of one kind"),
    }
}

/// How many of `total` things the next of `nodes` nodes gets.
fn share(total: usize, nodes: usize) -> usize {
    total.div_ceil(nodes.max(1))
}

fn spread_leaves(nodes: &mut [Node]) {
    let mut all = Vec::with_capacity(nodes.len() * LEAF_CAP);
    for node in nodes.iter_mut() {
        if let Node::Leaf(items) = node {
            all.append(items);
        }
    }
    let mut all = all.into_iter();
    let count = nodes.len();
    for (i, node) in nodes.iter_mut().enumerate() {
        if let Node::Leaf(items) = node {
            let share = share(all.len(), count - i);
            grow(items, share);
            items.extend(all.by_ref().take(share));
        }
    }
}

fn spread_inners(nodes: &mut [Node]) {
    let mut all = Vec::with_capacity(nodes.len() * INNER_CAP);
    for node in nodes.iter_mut() {
        if let Node::Inner(inner) = node {
            let children = inner.nodes.iter_mut().map(|node| std::mem::replace(node, Node::EMPTY));
            let marks = inner.firsts.iter().copied().zip(inner.counts);
            all.extend(children.zip(marks).take(std::mem::take(&mut inner.len)));
        }
    }
    let mut all = all.into_iter();
    let count = nodes.len();
    for (i, node) in nodes.iter_mut().enumerate() {
        if let Node::Inner(inner) = node {
            let share = share(all.len(), count - i);
            for (child, (first, count)) in all.by_ref().take(share) {
                inner.insert_slot(inner.len, child, first, count);
            }
        }
    }
}

fn balance_inner(left: &mut Inner, right: &mut Inner, target: usize) {
    while left.len > target {
        let at = left.len - 1;
        let (first, count) = (left.firsts[at], left.counts[at]);
        let node = left.remove_slot(at);
        right.insert_slot(0, node, first, count);
    }
    while left.len < target && right.len > 0 {
        let (first, count) = (right.firsts[0], right.counts[0]);
        let node = right.remove_slot(0);
        left.insert_slot(left.len, node, first, count);
    }
}
