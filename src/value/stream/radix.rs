//! How large the radix tree would be that Redis keeps ids in: XINFO STREAM tells.
//!
//! In that tree every key is 16 bytes long. A place where keys part is a node, each key ends in a node, and what lies
//! between two of those is one node more if it is a byte or longer (the byte by which keys part belongs to the node
//! where they do).

const KEY_BYTES: usize = 16;

/// Number of nodes of the tree of these keys, which rise.
pub(super) fn node_count(keys: impl Iterator<Item = [u8; KEY_BYTES]>) -> usize {
    let mut count = 0;
    // Depths at which the keys read last part from those before or after, rising; the root is none of them.
    let mut open: Vec<usize> = Vec::with_capacity(KEY_BYTES);
    let mut before: Option<[u8; KEY_BYTES]> = None;
    for key in keys {
        let Some(last) = before.replace(key) else { continue };
        let shared = last.iter().zip(&key).take_while(|(a, b)| a == b).count();
        count += close(&mut open, KEY_BYTES, shared);
    }
    if before.is_none() {
        return 1;
    }
    count + close_all(&mut open, KEY_BYTES)
}

/// A leaf at `leaf` depth is complete, and its next neighbour parts from it at `shared`: counts what is known now.
fn close(open: &mut Vec<usize>, leaf: usize, shared: usize) -> usize {
    let mut count = 0;
    let mut child = leaf;
    while let Some(&parent) = open.last().filter(|parent| **parent > shared) {
        count += edge(parent, child);
        child = parent;
        open.pop();
    }
    if open.last() != Some(&shared) {
        open.push(shared);
    }
    count + edge(shared, child)
}

fn close_all(open: &mut Vec<usize>, leaf: usize) -> usize {
    let mut count = 0;
    let mut child = leaf;
    while let Some(parent) = open.pop() {
        count += edge(parent, child);
        child = parent;
    }
    // The way from the root: if keys part only further down, the root is what they share.
    count + 1 + usize::from(child > 0)
}

/// The child's node, and what lies between it and its parent.
fn edge(parent: usize, child: usize) -> usize {
    1 + usize::from(child - parent > 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Rng;
    use std::collections::{BTreeMap, BTreeSet};

    /// The same by building a plain tree of bytes and counting.
    #[derive(Default)]
    struct Plain(BTreeMap<u8, Plain>);

    impl Plain {
        fn insert(&mut self, key: &[u8]) {
            if let Some((first, rest)) = key.split_first() {
                self.0.entry(*first).or_default().insert(rest);
            }
        }

        /// Nodes of this part; `in_run` says that the byte that led here belongs to a run, which is counted already.
        fn count(&self, in_run: bool) -> usize {
            match self.0.len() {
                1 => {
                    let own = usize::from(!in_run);
                    own + self.0.values().map(|child| child.count(true)).sum::<usize>()
                }
                _ => 1 + self.0.values().map(|child| child.count(false)).sum::<usize>(),
            }
        }
    }

    #[test]
    fn counts_as_a_plain_tree_does() {
        let mut rng = Rng::from_seed(11);
        for round in 0..400 {
            let mut keys = BTreeSet::new();
            for _ in 0..rng.below(40) {
                let mut key = [0u8; 16];
                let from = rng.below(16) as usize;
                key[from..].iter_mut().for_each(|byte| *byte = rng.below(1 + round % 4) as u8);
                keys.insert(key);
            }
            let mut plain = Plain::default();
            keys.iter().for_each(|key| plain.insert(key));
            assert_eq!(node_count(keys.iter().copied()), plain.count(false), "{keys:?}");
        }
        assert_eq!(node_count([[7u8; 16]].into_iter()), 2);
        assert_eq!(node_count(std::iter::empty()), 1);
    }
}
