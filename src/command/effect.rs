//! The deterministic effects of commands: what goes into the log.

use crate::resp::command_bytes::write_command;

/// Effects in order, each a command in canonical RESP with the database it applies to.
#[derive(Default)]
pub struct Effects {
    bytes: Vec<u8>,
    spans: Vec<(u32, usize)>,
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

    /// Forgets all, keeping a modest buffer.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.bytes.clear();
        if self.bytes.capacity() > 64 * 1024 {
            self.bytes = Vec::new();
        }
    }

    /// Drops what was pushed after the first `len` commands.
    pub fn truncate(&mut self, len: usize) {
        self.spans.truncate(len);
        self.bytes.truncate(self.spans.last().map_or(0, |&(_, end)| end));
    }
}
