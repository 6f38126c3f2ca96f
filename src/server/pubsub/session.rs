//! What one connection has subscribed to.

use super::{Kind, PubSub};
use crate::server::Session;
use crate::server::gate::bits;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// What a subscription takes beside its name, which is kept here and in the table of all, in bytes, about.
const SUBSCRIPTION_BYTES: usize = 160;

/// Names by what they are names of, in order.
#[derive(Default)]
pub struct Subscriptions {
    names: [BTreeSet<Bytes>; 3],
    /// What they take.
    bytes: usize,
}

impl Subscriptions {
    fn of(&mut self, kind: Kind) -> &mut BTreeSet<Bytes> {
        &mut self.names[kind as usize]
    }

    fn len(&self, kind: Kind) -> usize {
        self.names[kind as usize].len()
    }

    /// How many subscriptions clients are told of after they have changed one of this kind.
    fn told(&self, kind: Kind) -> usize {
        match kind {
            Kind::Shard => self.len(Kind::Shard),
            Kind::Channel | Kind::Pattern => self.len(Kind::Channel) + self.len(Kind::Pattern),
        }
    }
}

impl Session {
    /// Subscribes to a name, and returns how many subscriptions the client is told that it has.
    pub fn subscribe(&mut self, pubsub: &PubSub, kind: Kind, name: &[u8]) -> usize {
        let subscriptions = self.subscriptions.get_or_insert_default();
        if !subscriptions.of(kind).contains(name) {
            let name = Bytes::copy_from_slice(name);
            subscriptions.of(kind).insert(name.clone());
            subscriptions.bytes += SUBSCRIPTION_BYTES + 2 * name.len();
            pubsub.add(kind, &name, &self.info);
        }
        let told = subscriptions.told(kind);
        self.subscriptions_changed(kind);
        told
    }

    /// Ends a subscription, if there is one, and returns how many the client is told that are left.
    pub fn unsubscribe(&mut self, pubsub: &PubSub, kind: Kind, name: &[u8]) -> usize {
        let Some(subscriptions) = &mut self.subscriptions else { return 0 };
        if subscriptions.of(kind).remove(name) {
            subscriptions.bytes -= SUBSCRIPTION_BYTES + 2 * name.len();
            pubsub.remove(kind, name, &self.info);
        }
        let told = subscriptions.told(kind);
        self.subscriptions_changed(kind);
        told
    }

    /// What the connection has subscribed to, of this kind.
    pub fn subscribed(&self, kind: Kind) -> Vec<Bytes> {
        self.subscriptions.iter().flat_map(|it| it.names[kind as usize].iter().cloned()).collect()
    }

    /// How many subscriptions the client is told that it has.
    pub fn subscription_count(&self, kind: Kind) -> usize {
        self.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.told(kind))
    }

    /// Ends all subscriptions.
    pub fn unsubscribe_all(&mut self, pubsub: &PubSub) {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            for name in self.subscribed(kind) {
                self.unsubscribe(pubsub, kind, &name);
            }
        }
        self.subscriptions = None;
    }

    fn subscriptions_changed(&mut self, kind: Kind) {
        let (count, bytes) = self.subscriptions.as_ref().map_or((0, 0), |it| (it.len(kind), it.bytes));
        self.info.subscriptions[kind as usize].store(count, Ordering::Relaxed);
        self.info.kept.subscription_bytes.store(bytes, Ordering::Relaxed);
        self.update_bits();
    }

    /// Makes the session's bits what follows from its subscriptions, its protocol and whether it monitors or tracks.
    pub fn update_bits(&mut self) {
        let subscribed = self.info.is_subscriber();
        let monitors = self.info.monitors.load(Ordering::Relaxed);
        let states = [
            (subscribed || monitors || self.tracking.is_some(), bits::PUSHED_TO),
            (subscribed && !self.resp3, bits::SUBSCRIBED),
            (monitors, bits::MONITORING),
        ];
        self.bits = states.iter().filter(|(is, _)| *is).fold(0, |all, (_, bit)| all | bit);
    }

    /// Is the client one that may do nothing but subscribe?
    pub fn is_only_subscriber(&self) -> bool {
        self.bits & bits::SUBSCRIBED != 0
    }
}
