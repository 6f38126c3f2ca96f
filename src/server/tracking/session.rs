//! One connection's tracking.

use super::{Change, Options, RUNNING};
use crate::command::locking::each_key;
use crate::command::table::{Command, flags};
use crate::keyspace::Locked;
use crate::server::{Node, Session};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a prefix takes beside its bytes, which are kept here and in the table of all, in bytes, about.
const PREFIX_BYTES: usize = 160;

/// How a connection tracks.
#[derive(Debug, Default)]
pub struct SessionTracking {
    /// What it was told.
    pub options: Options,
    /// CLIENT CACHING said that the next command is to be treated otherwise than the mode has it.
    pub caching: bool,
    /// What the command read whose reply is to come later.
    late_keys: Vec<Box<[u8]>>,
}

impl SessionTracking {
    /// Is what this command reads to be remembered?
    fn remembers(&self, command: &Command) -> bool {
        let wanted = if self.options.optin { self.caching } else { !(self.options.optout && self.caching) };
        wanted && !self.options.bcast && command.has(flags::READONLY)
    }
}

impl Session {
    /// Lets the connection track so. All shards are held.
    pub fn track(&mut self, node: &Arc<Node>, all: &mut Locked<'_>, options: Options) {
        node.tracking.add(node, all, &self.info, &options);
        let info = &self.info;
        info.redirect_broken.store(false, Ordering::Relaxed);
        info.tracks.store(true, Ordering::Relaxed);
        info.tracks_prefixes.store(options.bcast, Ordering::Relaxed);
        info.redirect.store(options.redirect as i64, Ordering::Relaxed);
        let prefix_bytes = options.prefixes.iter().map(|prefix| PREFIX_BYTES + 2 * prefix.len()).sum();
        info.kept.prefix_bytes.store(prefix_bytes, Ordering::Relaxed);
        self.tracking = Some(Box::new(SessionTracking { options, ..SessionTracking::default() }));
        self.begin_tracked_batch();
        self.update_bits();
    }

    /// Ends the connection's tracking. All shards are held.
    pub fn untrack(&mut self, node: &Node, all: &mut Locked<'_>) {
        self.tracking = None;
        node.tracking.remove(node, all, self.info.id);
        let info = &self.info;
        info.redirect_broken.store(false, Ordering::Relaxed);
        info.tracks.store(false, Ordering::Relaxed);
        info.tracks_prefixes.store(false, Ordering::Relaxed);
        info.redirect.store(-1, Ordering::Relaxed);
        info.kept.prefix_bytes.store(0, Ordering::Relaxed);
        RUNNING.set(0);
        self.update_bits();
    }

    /// Commands of this connection run on this thread from now on: what they change is its own.
    #[inline]
    pub fn begin_tracked_batch(&self) {
        if self.tracking.is_some() {
            RUNNING.set(self.info.id);
        }
    }

    /// They do not any more.
    #[inline]
    pub fn end_tracked_batch(&self) {
        if self.tracking.is_some() {
            RUNNING.set(0);
        }
    }

    /// A command is done: what CLIENT CACHING said of it is over. A transaction counts as one, and CLIENT as none.
    #[inline]
    pub fn tracked_command_ended(&mut self, args: &[&[u8]]) {
        if let Some(tracking) = &mut self.tracking
            && tracking.caching
            && self.transaction.is_none()
            && !args[0].eq_ignore_ascii_case(b"client")
        {
            tracking.caching = false;
        }
    }
}

/// The reply of a command that has read keys will come later, and pushes may come in front of it: so what it tells may be
/// old when the client gets it.
pub fn will_be_late(session: &mut Session, command: &Command, args: &[&[u8]]) {
    if let Some(tracking) = &mut session.tracking
        && tracking.remembers(command)
    {
        each_key(command, args, |key| tracking.late_keys.push(key.into()));
    }
}

/// That reply is made, and goes in front of everything that is pushed from now on: the client is told that what it
/// read may have changed.
pub fn was_late(node: &Node, session: &mut Session) {
    if let Some(tracking) = &mut session.tracking {
        for key in tracking.late_keys.drain(..) {
            node.tracking.tell(node, std::iter::once(session.info.id), Change::Keys(&[&key]));
        }
    }
}

/// A command of a client has run, and what it locked is held still: what it has read is remembered.
pub fn has_run(node: &Node, session: &Session, command: &Command, args: &[&[u8]]) {
    if session.tracking.as_ref().is_some_and(|tracking| tracking.remembers(command)) {
        each_key(command, args, |key| node.tracking.remember(session.info.id, key));
        node.tracking.keep_limit(node);
    }
}
