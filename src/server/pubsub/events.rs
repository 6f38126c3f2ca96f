//! Keyspace events on their way to subscribers.
//!
//! They stand in one line of their own, whatever their channels: who has subscribed to a pattern sees the events of a
//! command, which go to several channels, in their order. They join it under the locks of their keys, so that those of a
//! key stand in the order of its changes; that takes no time, and whoever has let go of the keys delivers.

use super::{Kind, Message, PubSub, Pusher};
use crate::command::{Event, WantedEvents};
use crate::server::Node;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Events that are to be delivered.
#[derive(Default)]
pub(super) struct EventLine {
    /// Its lock is one of the last of all.
    line: Mutex<VecDeque<(WantedEvents, Event)>>,
    /// Held by whoever delivers. It comes before the lock of a stripe.
    turn: Mutex<()>,
}

impl PubSub {
    /// Puts events in line, if anybody could hear of them; the caller may hold shards of the keyspace. If so, it must call
    /// [`PubSub::deliver_events`] once those are let go.
    #[must_use = "whoever lines events up must deliver them"]
    pub fn line_up_events(&self, wanted: WantedEvents, events: impl IntoIterator<Item = Event>) -> bool {
        if !self.has_listeners(Kind::Channel) {
            return false;
        }
        self.events.line.lock().extend(events.into_iter().map(|event| (wanted, event)));
        true
    }

    /// Delivers the events that stand in line.
    pub fn deliver_events(&self, node: &Node) {
        let turn = self.events.turn.lock();
        let pusher = Pusher::new(node);
        // What joins the line from now on is delivered by those who bring it.
        let events = std::mem::take(&mut *self.events.line.lock());
        for (wanted, Event { db, name, key }) in events {
            if wanted.by_key() {
                let channel = [format!("__keyspace@{db}__:").as_bytes(), &key].concat();
                self.tell_event(&pusher, &channel, name.as_bytes());
            }
            if wanted.by_event() {
                self.tell_event(&pusher, format!("__keyevent@{db}__:{name}").as_bytes(), &key);
            }
        }
        drop(turn);
    }

    fn tell_event(&self, pusher: &Pusher<'_>, channel: &[u8], payload: &[u8]) {
        let message = Message::new(Kind::Channel, channel, payload);
        self.deliver_one(pusher, &mut self.stripe(channel).tables.lock(), &message);
    }
}
