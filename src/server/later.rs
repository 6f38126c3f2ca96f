//! Commands whose replies take a while: what they cost is counted when they end.

use super::command_stats::Ended;
use super::dispatch::{LaterReply, count_error, note_if_long};
use super::node::Node;
use super::session::Session;
use super::tracking;
use crate::command::apply::OwnedCommand;
use crate::command::registry;
use crate::command::table::Command;
use crate::sys::ticks;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A command that waits, or works in steps.
pub struct Waiting {
    command: OwnedCommand,
    /// How long it worked before it gave way to others, in ticks.
    worked: u64,
}

/// Notes that the command at hand will be answered later.
pub fn begin(session: &mut Session, command: &'static Command, args: &[&[u8]]) {
    if let Some(index) = registry::index(command) {
        session.last_command = index;
    }
    let args = args.iter().map(|arg| Box::from(*arg)).collect();
    session.waiting = Some(Waiting { command: (command, args), worked: session.tally.lap() });
}

/// Counts the command that has now been answered with `reply`, which is about to be sent, after it worked for so many ticks
/// more.
pub fn end(node: &Node, session: &mut Session, worked: u64, reply: &[u8]) {
    tracking::was_late(node, session);
    let Some(Waiting { command: (command, args), worked: before }) = session.waiting.take() else { return };
    let Some(index) = registry::index(command) else { return };
    let failed = reply.first() == Some(&b'-');
    let took = before.saturating_add(worked);
    session.tally.add(&node.command_stats, index, if failed { Ended::Failed } else { Ended::Well }, took);
    if failed {
        count_error(node, reply);
    }
    let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
    note_if_long(node, session, command, &args, took);
    node.take_counts(session);
}

/// A reply that takes a while, and how long it was worked on.
pub struct Measured {
    reply: LaterReply,
    worked: u64,
}

impl Measured {
    /// Measures from now on.
    pub fn new(reply: LaterReply) -> Measured {
        Measured { reply, worked: 0 }
    }

    /// How long it has been worked on, in ticks. Waiting does not count.
    pub fn worked(&self) -> u64 {
        self.worked
    }
}

impl Future for Measured {
    type Output = Vec<u8>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Vec<u8>> {
        let begun = ticks::now();
        let polled = self.reply.as_mut().poll(task);
        self.worked += ticks::now().saturating_sub(begun);
        polled
    }
}
