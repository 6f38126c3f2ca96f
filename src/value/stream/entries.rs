//! The entries of a stream: nodes, ordered by the id of their first entry, and the figures kept about them.

use super::node::{self, Counts, Entry, NodeError, NodeRef};
use super::{StreamId, radix};
use crate::value::{Limits, Listpack};
use std::collections::BTreeMap;
use std::collections::btree_map::Range;

/// A node never grows past this, whatever the configuration says.
const NODE_MAX_BYTES: usize = 1 << 30;
/// What a node costs in the index: its key and the pointer to it, and the index's free room.
const INDEX_BYTES: usize = 36;

/// Why an entry was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The id is not above the last one.
    #[error("the id is not above the last one")]
    NotAbove,
    /// Fields and values are more than a node may hold.
    #[error("fields and values are too large")]
    TooLarge,
}

/// Which entries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trim {
    /// The oldest, until so many are left.
    MaxLen(u64),
    /// Those with a lower id.
    MinId(StreamId),
}

/// Entries and what is known about them.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    nodes: BTreeMap<StreamId, Listpack>,
    len: u64,
    /// The id of the last entry added, or what XSETID set.
    pub last_id: StreamId,
    /// The id of the first entry that is there; `0-0` if none is.
    pub first_id: StreamId,
    /// The greatest id that was deleted by XDEL, or what XSETID set.
    pub max_deleted_id: StreamId,
    /// Entries ever added, or what XSETID set.
    pub added: u64,
}

impl Entries {
    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an entry; `pairs` are fields and values in turn, at least one of each.
    ///
    /// # Errors
    /// If the id is not above [`Entries::last_id`], or fields and values are too large together.
    pub fn append(&mut self, id: StreamId, pairs: &[&[u8]], limits: &Limits) -> Result<(), AppendError> {
        if id <= self.last_id {
            return Err(AppendError::NotAbove);
        }
        let text_bytes: usize = pairs.iter().map(|text| text.len()).sum();
        let most_bytes = node::bytes_at_most(pairs);
        if !Listpack::new().has_room_for(most_bytes) {
            return Err(AppendError::TooLarge);
        }
        match self.nodes.last_entry() {
            Some(mut last)
                if has_room(last.get(), text_bytes, limits) && last.get().has_room_for(most_bytes) =>
            {
                let node_id = *last.key();
                node::append(last.get_mut(), node_id, id, pairs);
            }
            _ => {
                self.nodes.insert(id, node::create(pairs));
            }
        }
        self.len += 1;
        self.added = self.added.wrapping_add(1);
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
        Ok(())
    }

    /// The entries from `start` to `end`, both included, upwards.
    pub fn range(&self, start: StreamId, end: StreamId) -> Iter<'_> {
        let from = self.nodes.range(..=start).next_back().map_or(StreamId::MIN, |(id, _)| *id);
        Iter { nodes: self.nodes.range(from..), here: None, start, end, reverse: false }
    }

    /// The entries from `end` down to `start`, both included.
    pub fn range_down(&self, start: StreamId, end: StreamId) -> Iter<'_> {
        let first = self.nodes.keys().next().map_or(end, |first| end.max(*first));
        Iter { nodes: self.nodes.range(..=first), here: None, start, end, reverse: true }
    }

    /// The entry with this id.
    pub fn get(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// The id of the last entry that is there.
    pub fn last_live_id(&self) -> Option<StreamId> {
        self.range_down(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id)
    }

    /// The id of the first entry that nodes hold, deleted or not; the greatest id if there is none.
    pub fn first_kept_id(&self) -> StreamId {
        let first = self.nodes.iter().next().and_then(|(id, pack)| {
            let node = NodeRef::new(*id, pack)?;
            node.entry(node.start())
        });
        first.map_or(StreamId::MAX, |entry| entry.id)
    }

    /// Deletes an entry; false if it was not there.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let mut found = self.range(id, id);
        let Some(at) = found.next().map(|entry| entry.at) else { return false };
        let Some(node_id) = found.here.map(|(node, _)| node.id()) else { return false };
        let Some(pack) = self.nodes.get_mut(&node_id) else { return false };
        let Counts { live, deleted } = node::counts(pack);
        if live <= 1 {
            self.nodes.remove(&node_id);
        } else {
            node::flag_deleted(pack, at);
            node::set_counts(pack, Counts { live: live - 1, deleted: deleted + 1 });
        }
        self.len -= 1;
        self.max_deleted_id = self.max_deleted_id.max(id);
        if id == self.first_id || self.is_empty() {
            self.renew_first_id();
        }
        true
    }

    /// Removes the oldest entries, whole nodes only if `whole_nodes`, and no more than `limit` (0: any number) as far as
    /// whole nodes go. Returns how many went.
    pub fn trim(&mut self, trim: Trim, whole_nodes: bool, limit: u64) -> u64 {
        let mut gone = 0;
        while let Some(mut first) = self.nodes.first_entry() {
            if matches!(trim, Trim::MaxLen(len) if self.len <= len) {
                break;
            }
            let counts = node::counts(first.get());
            if limit > 0 && gone + counts.live > limit {
                break;
            }
            let goes_whole = match trim {
                Trim::MaxLen(len) => self.len - counts.live >= len,
                Trim::MinId(id) => {
                    let last = NodeRef::new(*first.key(), first.get()).and_then(|node| node.last_id());
                    last.is_none_or(|last| last < id)
                }
            };
            if goes_whole {
                first.remove();
                self.len -= counts.live;
                gone += counts.live;
                continue;
            }
            if !whole_nodes {
                let node_id = *first.key();
                let removed = trim_node(node_id, first.get_mut(), trim, self.len, counts);
                self.len -= removed;
                gone += removed;
            }
            break;
        }
        if gone > 0 || self.is_empty() {
            self.renew_first_id();
        }
        gone
    }

    fn renew_first_id(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id);
        self.first_id = first.unwrap_or_default();
    }

    /// How many entries had been added when the one with this id was, where that can be told.
    pub fn added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if id == self.last_id || (self.is_empty() && id < self.last_id) {
            return Some(self.added);
        }
        if id > self.last_id {
            return None;
        }
        let before_first = self.added.wrapping_sub(self.len);
        let has_gaps = !self.max_deleted_id.is_zero() && self.max_deleted_id >= self.first_id;
        match id.cmp(&self.first_id) {
            _ if has_gaps => None,
            std::cmp::Ordering::Less => Some(before_first),
            std::cmp::Ordering::Equal => Some(before_first.wrapping_add(1)),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// Whether the greatest deleted id lies at or behind `start`, with entries before it.
    pub fn has_gap_from(&self, start: StreamId) -> bool {
        !self.is_empty()
            && !self.max_deleted_id.is_zero()
            && self.first_id <= self.max_deleted_id
            && start <= self.max_deleted_id
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Number of nodes of the radix tree in which Redis would keep the nodes' ids.
    pub fn radix_node_count(&self) -> usize {
        radix::node_count(self.nodes.keys().map(|id| id.to_bytes()))
    }

    /// The nodes as they go into an RDB file.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (StreamId, &Listpack)> {
        self.nodes.iter().map(|(id, pack)| (*id, pack))
    }

    /// As [`Entries::nodes`], from the first on that is not before `id`.
    pub fn nodes_from(&self, id: StreamId) -> impl Iterator<Item = (StreamId, &Listpack)> {
        self.nodes.range(id..).map(|(id, pack)| (*id, pack))
    }

    /// Adds a node that was read from elsewhere, after checking it; false if there is one with its id.
    ///
    /// # Errors
    /// If it is no node of a stream.
    pub fn load_node(&mut self, id: StreamId, pack: Listpack) -> Result<bool, NodeError> {
        let counts = node::validate(pack.view())?;
        self.len = self.len.saturating_add(counts.live);
        Ok(self.nodes.insert(id, pack).is_none())
    }

    /// Sets the first id by the entries, for streams written by servers that did not keep it.
    pub fn load_first_id(&mut self) {
        self.renew_first_id();
    }

    /// About how many bytes this takes on the heap, nodes being judged by the first `samples` (0: all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let samples = if samples == 0 { self.nodes.len() } else { samples.min(self.nodes.len()) };
        if samples == 0 {
            return 0;
        }
        let sampled: usize = self.nodes.values().take(samples).map(Listpack::byte_len).sum();
        sampled * self.nodes.len() / samples + self.nodes.len() * INDEX_BYTES
    }
}

/// Whether the configuration lets a node take another entry of so many bytes of text.
fn has_room(pack: &Listpack, text_bytes: usize, limits: &Limits) -> bool {
    let max_bytes = match limits.stream_node_max_bytes {
        0 => NODE_MAX_BYTES,
        bytes => bytes.min(NODE_MAX_BYTES),
    };
    if pack.byte_len() + text_bytes >= max_bytes {
        return false;
    }
    let Counts { live, deleted } = node::counts(pack);
    limits.stream_node_max_entries == 0 || live + deleted < limits.stream_node_max_entries as u64
}

/// Marks the oldest entries of a node as deleted; `len` is the number of entries of the whole stream before. Returns how
/// many were marked.
fn trim_node(id: StreamId, pack: &mut Listpack, trim: Trim, len: u64, counts: Counts) -> u64 {
    let mut removed = 0;
    let mut at = NodeRef::new(id, pack).map(|node| node.start());
    while let Some(here) = at {
        let Some(node) = NodeRef::new(id, pack) else { break };
        let Some(entry) = node.entry(here) else { break };
        let enough = match trim {
            Trim::MaxLen(max) => len - removed <= max,
            Trim::MinId(min) => entry.id >= min,
        };
        if enough {
            break;
        }
        let next = node.after(&entry).map(|entry| entry.at);
        if !entry.deleted {
            node::flag_deleted(pack, here);
            removed += 1;
        }
        at = next;
    }
    let Counts { live, deleted } = counts;
    node::set_counts(pack, Counts { live: live - removed, deleted: deleted + removed });
    removed
}

/// Entries of a range, one after another.
pub struct Iter<'a> {
    nodes: Range<'a, StreamId, Listpack>,
    /// The node at hand, and the entry that came last.
    here: Option<(NodeRef<'a>, Option<Entry<'a>>)>,
    start: StreamId,
    end: StreamId,
    reverse: bool,
}

impl<'a> Iter<'a> {
    /// The next entry that nodes hold, whatever it is.
    fn advance(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some((node, last)) = &mut self.here {
                let next = match (last.as_ref(), self.reverse) {
                    (None, false) => node.entry(node.start()),
                    (None, true) => node.ending_at(node.end()),
                    (Some(entry), false) => node.after(entry),
                    (Some(entry), true) => node.ending_at(entry.at),
                };
                if let Some(entry) = next {
                    *last = Some(entry.clone());
                    return Some(entry);
                }
            }
            let (id, pack) = if self.reverse { self.nodes.next_back()? } else { self.nodes.next()? };
            self.here = NodeRef::new(*id, pack).map(|node| (node, None));
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let entry = self.advance()?;
            let (too_early, too_late) = match self.reverse {
                false => (entry.id < self.start, entry.id > self.end),
                true => (entry.id > self.end, entry.id < self.start),
            };
            if too_early || entry.deleted {
                continue;
            }
            return (!too_late).then_some(entry);
        }
    }
}
