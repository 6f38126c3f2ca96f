//! Channels, patterns and who has subscribed to them.
//!
//! Channels are spread over stripes, so that publishing to one does not wait for another with many subscribers. A
//! message is delivered under the lock of its channel's stripe: all subscribers of a channel see its messages in one order,
//! and none sees any after it has been told that it is unsubscribed. That order is the one in which the messages stand in
//! the log: a message joins its stripe's line while the log's order is held, which takes no time, and whoever has the
//! stripe next delivers all that stand in line. So a shard of the keyspace is never held while messages are delivered.
//!
//! Keyspace events have a line of their own, over all channels (see `events`).
//!
//! Locks are taken in this order: shards of the keyspace, the turn of who delivers events, a stripe, the patterns, mailboxes.

mod events;
mod heard;
mod session;

pub use heard::Heard;
pub use session::Subscriptions;

use super::Node;
use super::clients::ClientInfo;
use super::mailbox::{Pusher, Shared};
use crate::base::glob::glob_match;
use crate::resp::reply::Reply;
use crate::value::hash_bytes;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// log2 of the number of stripes.
const STRIPE_BITS: u32 = 6;

/// What one can subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    /// A channel.
    Channel,
    /// All channels whose names fit a pattern.
    Pattern,
    /// A channel of SSUBSCRIBE, apart from the others.
    Shard,
}

/// Clients by their ids.
type Subscribers = BTreeMap<u64, Arc<ClientInfo>>;
/// Subscribers by the name of what they have subscribed to; never an empty list of them.
type Table = HashMap<Bytes, Subscribers, ahash::RandomState>;

/// A message on its way.
pub struct Message {
    kind: Kind,
    channel: Box<[u8]>,
    payload: Box<[u8]>,
    /// To how many it was delivered.
    receivers: AtomicUsize,
}

impl Message {
    /// A message to a channel, of shards or not.
    pub fn new(kind: Kind, channel: &[u8], payload: &[u8]) -> Arc<Message> {
        let receivers = AtomicUsize::new(0);
        Arc::new(Message { kind, channel: channel.into(), payload: payload.into(), receivers })
    }
}

/// A message that stands in line, unless nobody could hear of it.
#[must_use = "whoever lines a message up must deliver it"]
pub struct LinedUp(Option<Arc<Message>>);

/// A push of these parts.
fn shared<'a>(parts: &'a [&'a [u8]]) -> Shared<impl Fn(bool) -> Bytes + 'a> {
    Shared::new(move |resp3| {
        // A head and an end of line each, and the header.
        let mut out = Vec::with_capacity(parts.iter().map(|part| part.len() + 16).sum::<usize>() + 8);
        let mut reply = Reply::new(&mut out, resp3);
        reply.push(parts.len());
        parts.iter().for_each(|part| reply.bulk(part));
        Bytes::from(out)
    })
}

#[derive(Default)]
struct Stripe {
    /// Messages in the order of the log, to be delivered by whoever has the tables next. Its lock is the last of all.
    line: Mutex<VecDeque<Arc<Message>>>,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    channels: Table,
    shard_channels: Table,
}

impl Tables {
    fn of(&mut self, kind: Kind) -> &mut Table {
        if kind == Kind::Shard { &mut self.shard_channels } else { &mut self.channels }
    }
}

/// All subscriptions of a node.
pub struct PubSub {
    stripes: Box<[Stripe]>,
    patterns: RwLock<Table>,
    events: events::EventLine,
    /// How many channels, patterns and shard channels have subscribers.
    counts: [AtomicUsize; 3],
}

impl Default for PubSub {
    fn default() -> Self {
        PubSub {
            stripes: (0..1 << STRIPE_BITS).map(|_| Stripe::default()).collect(),
            patterns: RwLock::default(),
            events: events::EventLine::default(),
            counts: Default::default(),
        }
    }
}

impl PubSub {
    fn stripe(&self, channel: &[u8]) -> &Stripe {
        &self.stripes[(hash_bytes(channel) >> (64 - STRIPE_BITS)) as usize]
    }

    /// How many channels, patterns or shard channels have subscribers.
    pub fn count(&self, kind: Kind) -> usize {
        self.counts[kind as usize].load(Ordering::Acquire)
    }

    /// Has anybody subscribed to anything?
    pub fn is_used(&self) -> bool {
        [Kind::Channel, Kind::Pattern, Kind::Shard].iter().any(|kind| self.count(*kind) > 0)
    }

    /// Could anybody hear of what is published so?
    fn has_listeners(&self, kind: Kind) -> bool {
        self.count(kind) > 0 || kind == Kind::Channel && self.count(Kind::Pattern) > 0
    }

    /// Shows the table where this name is or would be to `with`.
    fn with_table<R>(&self, kind: Kind, name: &[u8], with: impl FnOnce(&mut Table) -> R) -> R {
        let counted = |table: &mut Table| {
            let before = table.len();
            let result = with(table);
            // Before the lock is let go, so that whoever has been told of a subscription is not overlooked.
            match table.len().checked_sub(before) {
                Some(more) => self.counts[kind as usize].fetch_add(more, Ordering::AcqRel),
                None => self.counts[kind as usize].fetch_sub(before - table.len(), Ordering::AcqRel),
            };
            result
        };
        match kind {
            Kind::Pattern => counted(&mut self.patterns.write()),
            kind => counted(self.stripe(name).tables.lock().of(kind)),
        }
    }

    fn add(&self, kind: Kind, name: &Bytes, client: &Arc<ClientInfo>) {
        self.with_table(kind, name, |table| {
            table.entry(name.clone()).or_default().insert(client.id, client.clone());
        });
    }

    fn remove(&self, kind: Kind, name: &[u8], client: &ClientInfo) {
        self.with_table(kind, name, |table| {
            let Some(subscribers) = table.get_mut(name) else { return };
            subscribers.remove(&client.id);
            if subscribers.is_empty() {
                table.remove(name);
            }
        });
    }

    /// How many clients have subscribed to this very channel.
    pub fn subscribers(&self, kind: Kind, channel: &[u8]) -> usize {
        self.with_table(kind, channel, |table| table.get(channel).map_or(0, BTreeMap::len))
    }

    /// The channels (of shards or not) that have subscribers, as far as their names fit the pattern.
    pub fn channels(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Bytes> {
        let mut found = Vec::new();
        for stripe in &self.stripes {
            let mut tables = stripe.tables.lock();
            let fits = |name: &&Bytes| pattern.is_none_or(|pattern| glob_match(pattern, name));
            found.extend(tables.of(kind).keys().filter(fits).cloned());
        }
        found
    }

    /// Shows all subscriptions: what to, by its name, and who.
    pub fn for_each(&self, mut show: impl FnMut(Kind, &[u8], &ClientInfo)) {
        let mut show_all = |kind: Kind, table: &Table| {
            for (name, subscribers) in table {
                subscribers.values().for_each(|client| show(kind, name, client));
            }
        };
        for stripe in &self.stripes {
            let tables = stripe.tables.lock();
            show_all(Kind::Channel, &tables.channels);
            show_all(Kind::Shard, &tables.shard_channels);
        }
        show_all(Kind::Pattern, &self.patterns.read());
    }

    /// Puts a message in line, if anybody could hear of it. The caller holds what gives messages their order, which may be a
    /// shard of the keyspace. Once that is let go, it must call [`PubSub::deliver`].
    pub fn line_up(&self, message: &Arc<Message>) -> LinedUp {
        let has_listeners = self.has_listeners(message.kind);
        if has_listeners {
            self.stripe(&message.channel).line.lock().push_back(message.clone());
        }
        LinedUp(has_listeners.then(|| message.clone()))
    }

    /// Delivers a message that has been lined up, and what stands in front of it. Returns how many were told of it.
    pub fn deliver(&self, node: &Node, LinedUp(message): LinedUp) -> usize {
        let Some(message) = message else { return 0 };
        self.deliver_line(node, self.stripe(&message.channel));
        message.receivers.load(Ordering::Acquire)
    }

    fn deliver_line(&self, node: &Node, stripe: &Stripe) {
        // Once this is held, the message has been delivered by somebody else or stands in line still.
        let mut tables = stripe.tables.lock();
        let pusher = Pusher::new(node);
        loop {
            // In a statement of its own, so that its lock is let go before the delivery.
            let next = stripe.line.lock().pop_front();
            let Some(message) = next else { return };
            let told = self.deliver_one(&pusher, &mut tables, &message);
            message.receivers.store(told, Ordering::Release);
        }
    }

    fn deliver_one(&self, pusher: &Pusher<'_>, tables: &mut Tables, message: &Message) -> usize {
        let Message { kind, channel, payload, .. } = message;
        let mut told = 0;
        let mut tell = |subscribers: &Subscribers, parts: &[&[u8]]| {
            let mut encoded = shared(parts);
            subscribers.values().for_each(|client| pusher.push(client, |resp3| encoded.get(resp3)));
            told += subscribers.len();
        };
        if let Some(subscribers) = tables.of(*kind).get(&**channel) {
            let word: &[u8] = if *kind == Kind::Shard { b"smessage" } else { b"message" };
            tell(subscribers, &[word, channel, payload]);
        }
        if *kind == Kind::Channel && self.count(Kind::Pattern) > 0 {
            for (pattern, subscribers) in self.patterns.read().iter() {
                if glob_match(pattern, channel) {
                    tell(subscribers, &[b"pmessage", pattern, channel, payload]);
                }
            }
        }
        told
    }
}

#[cfg(test)]
mod tests;
