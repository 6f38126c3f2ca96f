//! The deterministic effects of commands: what goes into the log, and the events that go with it.

use super::events::Event;
use crate::resp::command_bytes::write_command;

/// Effects in order, each a command in canonical RESP with the database it applies to.
#[derive(Default)]
pub struct Effects {
    bytes: Vec<u8>,
    spans: Vec<(u32, usize)>,
    events: Vec<Event>,
}

impl Effects {
    /// Adds one command.
    #[inline]
    pub fn push(&mut self, db: u32, args: &[&[u8]]) {
        write_command(&mut self.bytes, args);
        self.spans.push((db, self.bytes.len()));
    }

    /// Number of commands.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True when nothing was changed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The commands with their databases, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let mut start = 0;
        self.spans.iter().map(move |&(db, end)| {
            let bytes = &self.bytes[start..end];
            start = end;
            (db, bytes)
        })
    }

    /// Forgets all commands, keeping a modest buffer.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.bytes.clear();
        if self.bytes.capacity() > 64 * 1024 {
            self.bytes = Vec::new();
        }
    }

    /// Notes that something happened to a key, for those who subscribe to that.
    #[cold]
    pub fn tell(&mut self, db: u32, name: &'static str, key: &[u8]) {
        self.events.push(Event { db, name, key: key.into() });
    }

    /// Is there something to tell?
    #[inline]
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Takes what there is to tell, in order.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Takes back the last thing that was noted, as far as it is this.
    pub fn untell(&mut self, db: u32, name: &str, key: &[u8]) {
        if self.events.last().is_some_and(|last| last.db == db && last.name == name && *last.key == *key) {
            self.events.pop();
        }
    }

    /// Drops what was pushed after the first `len` commands.
    pub fn truncate(&mut self, len: usize) {
        self.spans.truncate(len);
        self.bytes.truncate(self.spans.last().map_or(0, |&(_, end)| end));
    }
}
