//! Keyspace events that this node tells: of its clients' commands, and of what it does to keys by itself.

use super::node::Node;
use super::session::Session;
use crate::command::{Event, EventClass};

/// Puts the events of the session's command in line. The caller holds the shards of its keys; once it has let go of them it
/// must call [`deliver`].
#[cold]
pub(super) fn line_up(node: &Node, session: &mut Session) {
    let events = session.effects.take_events();
    session.events_lined_up |= node.pubsub.line_up_events(session.settings.events, events);
}

/// Delivers what has been put in line for the session.
#[inline]
pub(super) fn deliver(node: &Node, session: &mut Session) {
    if session.events_lined_up {
        session.events_lined_up = false;
        node.pubsub.deliver_events(node);
    }
}

/// Puts in line that the same happened to these keys. The caller holds their shard; where this is true it must call
/// [`super::pubsub::PubSub::deliver_events`] once it has let go of that.
#[must_use = "whoever lines events up must deliver them"]
pub(super) fn line_up_each<'a>(
    node: &Node,
    db: u32,
    class: EventClass,
    name: &'static str,
    keys: impl Iterator<Item = &'a [u8]>,
) -> bool {
    let wanted = node.settings().events;
    if !wanted.wants(class) {
        return false;
    }
    node.pubsub.line_up_events(wanted, keys.map(|key| Event { db, name, key: key.into() }))
}
