//! Which of the writer's words on durable offsets are about the present history.
//!
//! What the writer finished for one history may be heard of after the node has taken another, whose offsets mean other
//! bytes; a primary that was told such an offset would count writes as safe that are not.

use crate::server::Node;
use parking_lot::Mutex;

#[derive(Default)]
struct State {
    /// Rises each time the node leaves a history.
    history: u64,
    /// A generation of the present history stands behind what the writer says.
    on: bool,
}

/// Hands the writer's durable offset on to the node.
#[derive(Default)]
pub struct Publisher {
    state: Mutex<State>,
}

impl Publisher {
    /// The present history is left, or has just been: nothing is durable until [`Publisher::begin`] says so. The number of the
    /// history that follows.
    pub fn leave(&self, node: Option<&Node>) -> u64 {
        let mut state = self.state.lock();
        state.history += 1;
        state.on = false;
        if let Some(node) = node {
            node.set_durable_offset(None);
        }
        state.history
    }

    /// The number of the present history.
    pub fn history(&self) -> u64 {
        self.state.lock().history
    }

    /// A generation of this history is whole, and durable up to `offset`; nothing happens when it was left since.
    pub fn begin(&self, node: &Node, history: u64, offset: u64) {
        let mut state = self.state.lock();
        if state.history == history {
            state.on = true;
            node.set_durable_offset(Some(offset));
        }
    }

    /// The writer's durable offset has moved.
    pub fn moved(&self, node: &Node, offset: u64) {
        if self.state.lock().on {
            node.set_durable_offset(Some(offset));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::Config;

    #[test]
    fn what_is_heard_of_a_history_that_was_left_counts_for_nothing() {
        let node = Node::new(Config::default());
        let publisher = Publisher::default();
        let first = publisher.leave(Some(&node));
        publisher.moved(&node, 5);
        assert_eq!(node.durable_offset(), None);
        publisher.begin(&node, first, 10);
        publisher.moved(&node, 12);
        assert_eq!(node.durable_offset(), Some(12));
        // Left, but what follows is not there yet: what was told last stays true of the old one.
        publisher.leave(None);
        publisher.moved(&node, 13);
        assert_eq!(node.durable_offset(), Some(12));
        let second = publisher.leave(Some(&node));
        publisher.begin(&node, first, 1_000);
        publisher.moved(&node, 1_001);
        assert_eq!(node.durable_offset(), None);
        publisher.begin(&node, second, 3);
        assert_eq!((node.durable_offset(), publisher.history()), (Some(3), second));
    }
}
