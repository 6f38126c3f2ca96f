//! Iteration over a run of ranks, in both directions.

use smallvec::SmallVec;

use super::super::Element;
use super::entry::EntryView;
use super::node::{Inner, Item, Node};
use super::packed::Pairs;
use super::tree::Tree;

/// Entries of consecutive ranks, upwards or downwards.
pub(super) struct Range<'a> {
    /// The inner nodes above the leaf, with the child taken in each.
    path: SmallVec<[(&'a Inner, usize); 6]>,
    leaf: &'a [Item],
    /// Upwards the next item in the leaf; downwards one past it.
    at: usize,
    left: usize,
    reverse: bool,
}

impl<'a> Range<'a> {
    pub(super) fn new(tree: &'a Tree, start: usize, count: usize, reverse: bool) -> Self {
        let available = if start >= tree.len() {
            0
        } else if reverse {
            start + 1
        } else {
            tree.len() - start
        };
        let left = count.min(available);
        let mut range = Self { path: SmallVec::new(), leaf: &[], at: 0, left, reverse };
        if left > 0 {
            range.seek(tree.root(), start);
        }
        range
    }

    fn seek(&mut self, mut node: &'a Node, mut rank: usize) {
        loop {
            match node {
                Node::Leaf(items) => {
                    self.leaf = items;
                    self.at = rank + usize::from(self.reverse);
                    return;
                }
                Node::Inner(inner) => {
                    let Some((i, within)) = inner.child_at(rank) else { return };
                    self.path.push((inner, i));
                    rank = within;
                    node = &inner.nodes[i];
                }
            }
        }
    }

    /// Goes to the neighbouring leaf.
    fn turn(&mut self) -> Option<()> {
        let mut node = loop {
            let (inner, i) = self.path.pop()?;
            let next = if self.reverse { i.checked_sub(1) } else { Some(i + 1) };
            if let Some((next, node)) = next.and_then(|next| Some((next, inner.nodes().get(next)?))) {
                self.path.push((inner, next));
                break node;
            }
        };
        loop {
            match node {
                Node::Leaf(items) => {
                    self.leaf = items;
                    self.at = if self.reverse { items.len() } else { 0 };
                    return Some(());
                }
                Node::Inner(inner) => {
                    let i = if self.reverse { inner.len.checked_sub(1)? } else { 0 };
                    self.path.push((inner, i));
                    node = inner.nodes().get(i)?;
                }
            }
        }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = EntryView<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let at_end = if self.reverse { self.at == 0 } else { self.at >= self.leaf.len() };
        if at_end {
            self.turn()?;
        }
        let item = if self.reverse {
            self.at -= 1;
            self.leaf.get(self.at)?
        } else {
            self.at += 1;
            self.leaf.get(self.at - 1)?
        };
        Some(item.entry.view())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Range<'_> {}

/// Members and scores of consecutive ranks.
pub struct Iter<'a>(Source<'a>);

enum Source<'a> {
    Packed { pairs: Pairs<'a>, left: usize, reverse: bool },
    Tree(Range<'a>),
}

impl<'a> Iter<'a> {
    pub(super) fn packed(pairs: Pairs<'a>, count: usize, reverse: bool) -> Self {
        Self(Source::Packed { pairs, left: count, reverse })
    }

    pub(super) fn tree(range: Range<'a>) -> Self {
        Self(Source::Tree(range))
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Element<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Packed { pairs, left, reverse } => {
                *left = left.checked_sub(1)?;
                if *reverse { pairs.next_back() } else { pairs.next() }
            }
            Source::Tree(range) => range.next().map(|view| (Element::Bytes(view.member()), view.score())),
        }
    }
}
