//! The stream value: entries in the order of their ids, and the groups of consumers that read them.

mod entries;
mod group;
mod id;
mod node;
mod radix;
#[cfg(test)]
mod tests;

pub use entries::{AppendError, Entries, Iter, Trim};
pub use group::{Consumer, ConsumerId, Group, Pending};
pub use id::{IdText, StreamId};
pub use node::{Entry, NodeError, validate_node};

use std::collections::BTreeMap;
use std::ops::Bound;

/// A stream. It stays in the keyspace when it is empty.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    body: Box<Body>,
}

#[derive(Clone, Debug, Default)]
struct Body {
    entries: Entries,
    groups: BTreeMap<Box<[u8]>, Group>,
}

/// Why a stream that was read from elsewhere is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// A node is malformed.
    #[error("node: {0}")]
    Node(#[from] NodeError),
    /// A node's id is not 16 bytes long.
    #[error("a node's id is not one")]
    NodeId,
    /// Two nodes have one id.
    #[error("two nodes of one id")]
    NodeTwice,
    /// The length differs from the number of entries.
    #[error("the length is not the number of entries")]
    Length,
    /// Two groups have one name.
    #[error("two groups of one name")]
    GroupTwice,
    /// Two pending entries of a group have one id.
    #[error("two pending entries of one id")]
    PendingTwice,
    /// Two consumers of a group have one name.
    #[error("two consumers of one name")]
    ConsumerTwice,
    /// A consumer has what is not pending, or another has it too.
    #[error("a consumer has what is not pending for it")]
    NotPending,
    /// A pending entry has no consumer.
    #[error("a pending entry without a consumer")]
    NoConsumer,
}

impl Stream {
    /// A stream without entries and groups.
    pub fn new() -> Stream {
        Stream::default()
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// The entries.
    pub fn entries(&self) -> &Entries {
        &self.body.entries
    }

    /// The entries, to be changed.
    pub fn entries_mut(&mut self) -> &mut Entries {
        &mut self.body.entries
    }

    /// The groups, by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.body.groups.iter().map(|(name, group)| (&name[..], group))
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.body.groups.get(name)
    }

    /// The group that comes behind the one of this name, by name; without a name the first.
    pub fn group_behind(&self, name: Option<&[u8]>) -> Option<(&[u8], &Group)> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let (name, group) = self.body.groups.range::<[u8], _>((from, Bound::Unbounded)).next()?;
        Some((name, group))
    }

    /// The group of this name, to be changed, with the entries that it reads.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<(&Entries, &mut Group)> {
        let Body { entries, groups } = &mut *self.body;
        Some((entries, groups.get_mut(name)?))
    }

    /// Adds a group; false if there is one of this name.
    pub fn create_group(&mut self, name: &[u8], group: Group) -> bool {
        let is_new = !self.body.groups.contains_key(name);
        if is_new {
            self.body.groups.insert(name.into(), group);
        }
        is_new
    }

    /// Takes a group out.
    pub fn remove_group(&mut self, name: &[u8]) -> Option<Group> {
        self.body.groups.remove(name)
    }

    /// How many entries the group has still to read, where that can be told.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let entries = self.entries();
        if entries.added == 0 {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if !entries.has_gap_from(group.last_id) => read,
            _ => entries.added_up_to(group.last_id)?,
        };
        Some(entries.added.wrapping_sub(read) as i64)
    }

    /// About how many allocations freeing this takes: groups are judged by the first, to make this quick.
    pub fn estimated_free_effort(&self) -> usize {
        let groups = &self.body.groups;
        let pending = groups.values().next().map_or(0, |group| group.pending().len());
        2 + self.entries().node_count() + groups.len() * (1 + pending)
    }

    /// About how many bytes the stream takes on the heap, nodes being judged by the first `samples` (0: all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        let of_group = |(name, group): (&[u8], &Group)| {
            name.len() + size_of::<Box<[u8]>>() + size_of::<Group>() + group.memory_bytes()
        };
        let groups: usize = self.groups().map(of_group).sum();
        size_of::<Body>() + self.entries().memory_bytes(samples) + groups
    }
}
