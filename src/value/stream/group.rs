//! Consumer groups: how far a group has read, and who was given what and has not acknowledged it.

use super::StreamId;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

/// What an entry of an ordered map or set takes besides its content: the free room of its nodes.
const ORDERED_SLACK: usize = 8;

/// A consumer of a group, good until it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerId(u32);

/// Stands for "nobody" while a group is loaded.
const NOBODY: ConsumerId = ConsumerId(u32::MAX);

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was delivered last, unix time in ms.
    pub delivered_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
    /// To whom.
    pub consumer: ConsumerId,
}

/// One consumer of a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Arc<[u8]>,
    /// When it last asked for entries, unix time in ms.
    pub seen_ms: i64,
    /// When it last got some that were new to it.
    pub active_ms: Option<i64>,
    pending: BTreeSet<StreamId>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The ids that were delivered to it and not acknowledged.
    pub fn pending(&self) -> &BTreeSet<StreamId> {
        &self.pending
    }
}

/// A consumer group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The last id delivered.
    pub last_id: StreamId,
    /// How many entries of the stream had ever been added up to that one, where that is known.
    pub entries_read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    /// Consumers by number.
    consumers: Vec<Option<Consumer>>,
    /// Numbers of deleted consumers, to be used again.
    free: Vec<ConsumerId>,
    names: BTreeMap<Arc<[u8]>, ConsumerId>,
}

impl Group {
    /// A group without consumers.
    pub fn new(last_id: StreamId, entries_read: Option<u64>) -> Group {
        Group { last_id, entries_read, ..Group::default() }
    }

    /// What is pending, by id.
    pub fn pending(&self) -> &BTreeMap<StreamId, Pending> {
        &self.pending
    }

    /// The pending entry with this id.
    pub fn pending_entry(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// The consumers, by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.names.values().map(|id| self.consumer(*id))
    }

    /// The consumer that comes behind the one of this name, by name; without a name the first.
    pub fn consumer_behind(&self, name: Option<&[u8]>) -> Option<&Consumer> {
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let (_, id) = self.names.range::<[u8], _>((from, Bound::Unbounded)).next()?;
        Some(self.consumer(*id))
    }

    /// A consumer by its number.
    ///
    /// # Panics
    /// If it has been deleted.
    pub fn consumer(&self, id: ConsumerId) -> &Consumer {
        let consumer = self.consumers.get(id.0 as usize).and_then(Option::as_ref);
        consumer.expect("a pending entry's consumer exists as long as the entry")
    }

    fn consumer_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.consumers.get_mut(id.0 as usize).and_then(Option::as_mut)
    }

    /// The consumer of this name.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerId> {
        self.names.get(name).copied()
    }

    /// Notes that a consumer asked for entries.
    pub fn seen(&mut self, id: ConsumerId, now_ms: i64) {
        if let Some(consumer) = self.consumer_mut(id) {
            consumer.seen_ms = now_ms;
        }
    }

    /// Notes when a consumer last got entries.
    pub fn active(&mut self, id: ConsumerId, at_ms: Option<i64>) {
        if let Some(consumer) = self.consumer_mut(id) {
            consumer.active_ms = at_ms;
        }
    }

    /// The consumer of this name, which asks for entries now, and whether it had to be created.
    pub fn consumer_or_new(&mut self, name: &[u8], now_ms: i64) -> (ConsumerId, bool) {
        match self.find_consumer(name) {
            Some(id) => {
                self.seen(id, now_ms);
                (id, false)
            }
            None => (self.add_consumer(name, now_ms), true),
        }
    }

    /// Creates a consumer; false if there is one of this name.
    pub fn create_consumer(&mut self, name: &[u8], now_ms: i64) -> bool {
        let is_new = !self.names.contains_key(name);
        if is_new {
            self.add_consumer(name, now_ms);
        }
        is_new
    }

    fn add_consumer(&mut self, name: &[u8], seen_ms: i64) -> ConsumerId {
        let name: Arc<[u8]> = name.into();
        let pending = BTreeSet::new();
        let consumer = Some(Consumer { name: name.clone(), seen_ms, active_ms: None, pending });
        let id = match self.free.pop() {
            Some(id) => {
                self.consumers[id.0 as usize] = consumer;
                id
            }
            None => {
                self.consumers.push(consumer);
                ConsumerId(self.consumers.len() as u32 - 1)
            }
        };
        self.names.insert(name, id);
        id
    }

    /// Deletes a consumer and all that is pending for it; how much that was, or `None` if there is no such consumer.
    pub fn delete_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let id = self.names.remove(name)?;
        let consumer = self.consumers.get_mut(id.0 as usize)?.take()?;
        self.free.push(id);
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Makes an entry pending for a consumer, whoever had it before.
    pub fn assign(&mut self, id: StreamId, pending: Pending) {
        match self.pending.insert(id, pending) {
            Some(old) if old.consumer == pending.consumer => return,
            Some(old) => {
                if let Some(consumer) = self.consumer_mut(old.consumer) {
                    consumer.pending.remove(&id);
                }
            }
            None => {}
        }
        if let Some(consumer) = self.consumer_mut(pending.consumer) {
            consumer.pending.insert(id);
        }
    }

    /// Ends an entry's being pending; false if it was not.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        if let Some(consumer) = self.consumer_mut(pending.consumer) {
            consumer.pending.remove(&id);
        }
        true
    }

    /// What is pending for the group, or for one consumer of it, within a range of ids.
    pub fn pending_range(
        &self,
        consumer: Option<ConsumerId>,
        range: RangeInclusive<StreamId>,
    ) -> impl Iterator<Item = (StreamId, &Pending)> {
        // A range that ends before it starts is empty, which the maps would not have.
        let range = (range.start() <= range.end()).then_some(range);
        let (of_group, of_one) = match (consumer, range) {
            (_, None) => (None, None),
            (None, Some(range)) => (Some(self.pending.range(range)), None),
            (Some(id), Some(range)) => (None, Some(self.consumer(id).pending.range(range))),
        };
        let of_one = of_one.into_iter().flatten().filter_map(|id| self.pending.get_key_value(id));
        of_group.into_iter().flatten().chain(of_one).map(|(id, pending)| (*id, pending))
    }

    /// Adds a pending entry that was read from elsewhere, its consumer to follow; false if there is one of this id.
    pub fn load_pending(&mut self, id: StreamId, delivered_ms: i64, deliveries: u64) -> bool {
        self.pending.insert(id, Pending { delivered_ms, deliveries, consumer: NOBODY }).is_none()
    }

    /// Gives a pending entry its consumer; false if there is no such entry, or it has one.
    pub fn load_owner(&mut self, id: StreamId, consumer: ConsumerId) -> bool {
        match self.pending.get_mut(&id) {
            Some(pending) if pending.consumer == NOBODY => {
                pending.consumer = consumer;
                self.consumer_mut(consumer).is_some_and(|consumer| consumer.pending.insert(id))
            }
            _ => false,
        }
    }

    /// Whether every pending entry has a consumer.
    pub fn is_loaded(&self) -> bool {
        self.pending.values().all(|pending| pending.consumer != NOBODY)
    }

    /// About how many bytes this takes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        /// The two counters before the bytes of an `Arc`.
        const COUNTERS: usize = 16;
        let pending = size_of::<StreamId>() + size_of::<Pending>() + ORDERED_SLACK;
        let owned = size_of::<StreamId>() + ORDERED_SLACK;
        let named = size_of::<Arc<[u8]>>() + size_of::<ConsumerId>() + ORDERED_SLACK + COUNTERS;
        let names: usize = self.names.keys().map(|name| name.len() + named).sum();
        names
            + self.consumers.capacity() * size_of::<Option<Consumer>>()
            + self.pending.len() * (pending + owned)
    }
}
