//! What a primary's stream tells a replica's subscribers.

use super::{Kind, Message};
use crate::server::Node;
use std::sync::Arc;

/// Messages of the stream that are not delivered yet: those of a transaction that has not ended.
#[derive(Default)]
pub struct Heard(Vec<Arc<Message>>);

impl Heard {
    /// Notes a command of the stream if it publishes.
    pub fn note(&mut self, node: &Node, args: &[&[u8]]) {
        let [name, channel, payload] = args else { return };
        let kind = match name.len() {
            7 if name.eq_ignore_ascii_case(b"publish") => Kind::Channel,
            8 if name.eq_ignore_ascii_case(b"spublish") => Kind::Shard,
            _ => return,
        };
        if node.pubsub.has_listeners(kind) {
            self.0.push(Message::new(kind, channel, payload));
        }
    }

    /// Delivers what was noted. The stream is applied by one task, which gives messages their order.
    pub fn deliver(&mut self, node: &Node) {
        for message in self.0.drain(..) {
            let lined_up = node.pubsub.line_up(&message);
            node.pubsub.deliver(node, lined_up);
        }
    }
}
