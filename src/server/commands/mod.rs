//! Commands that need more than the keyspace: connection, transactions, administration.
//!
//! Each module names its handlers by command and subcommand; they are looked up once, into a list in the order of the
//! command table.

pub mod acl;
mod acl_users;
pub mod client;
pub mod client_kill;
mod client_tracking;
pub mod command;
mod command_docs;
pub mod config;
pub mod connection;
pub mod debug;
pub mod hello;
pub mod info;
mod latency;
pub mod memory;
mod migrate;
mod outrigger;
pub mod persistence;
mod pubsub;
pub mod replication;
pub mod server;
mod transactions;

use super::dispatch::Next;
use super::node::Node;
use super::session::Session;
use crate::command::error::shown;
use crate::command::help::reply_help;
use crate::command::registry;
use crate::command::table::{Command, Run};
use crate::keyspace::Locked;
use crate::resp::reply::Reply;
use std::sync::{Arc, OnceLock};

/// How much of a subcommand its error shows, in bytes.
const SUBCOMMAND_SHOWN_BYTES: usize = 128;

/// What a server command runs with.
pub struct Call<'a, 'k> {
    /// The node.
    pub node: &'k Arc<Node>,
    /// The client's session.
    pub session: &'a mut Session,
    /// The table's entry.
    pub command: &'static Command,
    /// Arguments, the name first.
    pub args: &'a [&'a [u8]],
    /// Where the reply goes.
    pub out: &'a mut Vec<u8>,
    /// All shards, when the command runs inside a transaction; it must not lock any itself then.
    pub held: Option<&'a mut Locked<'k>>,
}

impl<'k> Call<'_, 'k> {
    /// A writer for the reply, in the client's protocol.
    pub fn reply(&mut self) -> Reply<'_> {
        Reply::new(self.out, self.session.resp3)
    }

    /// Answers with an error (code first) and goes on.
    pub fn error(&mut self, text: impl AsRef<[u8]>) -> Next {
        self.reply().error(text);
        Next::Continue
    }

    /// Answers that the subcommand does not take these arguments, where its arity alone does not say so.
    pub fn wrong_arguments(&mut self) -> Next {
        let container = shown(self.args[0], usize::MAX).to_ascii_uppercase();
        let before = b"ERR unknown subcommand or wrong number of arguments for '".as_slice();
        let sub = shown(self.args.get(1).copied().unwrap_or_default(), SUBCOMMAND_SHOWN_BYTES);
        self.error([before, sub, b"'. Try ", &container, b" HELP."].concat())
    }

    /// Answers OK and goes on.
    pub fn ok(&mut self) -> Next {
        self.reply().ok();
        Next::Continue
    }

    /// Answers with a text, which RESP3 clients learn is one.
    pub fn text(&mut self, text: impl AsRef<[u8]>) -> Next {
        self.reply().verbatim(b"txt", text);
        Next::Continue
    }

    /// Runs `with` on every shard: all held for a transaction, else all locked now.
    pub fn with_all_shards<R>(&mut self, with: impl FnOnce(&mut Locked<'k>) -> R) -> R {
        match &mut self.held {
            Some(held) => with(held),
            None => with(&mut self.node.keyspace.lock_all()),
        }
    }

    /// Answers what the subcommands of this command's container are, from the table.
    pub fn help(&mut self) -> Next {
        let Some(container) = registry::find(self.args[0]) else { return Next::Continue };
        reply_help(&mut self.reply(), &container.name.to_uppercase(), container.sub);
        Next::Continue
    }

    /// Answers with an array of simple strings.
    pub fn simple_lines<T: AsRef<[u8]>>(&mut self, lines: &[T]) -> Next {
        let mut reply = self.reply();
        reply.array(lines.len());
        lines.iter().for_each(|line| reply.simple(line));
        Next::Continue
    }
}

/// Runs one command; whatever it answers is written to the call's output.
pub type Handler = fn(&mut Call<'_, '_>) -> Next;

/// The handler of a command (`sub` is empty) or subcommand.
fn find_handler(name: &str, sub: &str) -> Option<Handler> {
    connection::handler(name, sub)
        .or_else(|| transactions::handler(name, sub))
        .or_else(|| replication::handler(name, sub))
        .or_else(|| persistence::handler(name, sub))
        .or_else(|| client::handler(name, sub))
        .or_else(|| command::handler(name, sub))
        .or_else(|| config::handler(name, sub))
        .or_else(|| server::handler(name, sub))
        .or_else(|| memory::handler(name, sub))
        .or_else(|| latency::handler(name, sub))
        .or_else(|| acl::handler(name, sub))
        .or_else(|| pubsub::handler(name, sub))
        .or_else(|| migrate::handler(name, sub))
        .or_else(|| outrigger::handler(name, sub))
}

/// The handlers by the commands' numbers in the registry.
fn handlers() -> &'static [Option<Handler>] {
    static HANDLERS: OnceLock<Vec<Option<Handler>>> = OnceLock::new();
    HANDLERS.get_or_init(|| {
        let handler = |index| {
            let (name, sub) =
                registry::name_at(index).split_once('|').unwrap_or((registry::name_at(index), ""));
            let help: Handler = |call| call.help();
            if sub == "help" { Some(help) } else { find_handler(name, sub) }
        };
        (0..registry::count()).map(handler).collect()
    })
}

/// Runs a command of the table that is marked as the server's.
pub fn run<'k>(
    node: &'k Arc<Node>,
    session: &mut Session,
    command: &'static Command,
    args: &[&[u8]],
    out: &mut Vec<u8>,
    held: Option<&mut Locked<'k>>,
) -> Next {
    debug_assert!(!matches!(command.run, Run::Keyspace(_)));
    let handler = registry::index(command).and_then(|index| handlers().get(index).copied().flatten());
    let mut call = Call { node, session, command, args, out, held };
    match handler {
        Some(handler) => handler(&mut call),
        None => call.error(format!("ERR {} is known but not implemented yet", registry::full_name(command))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_command_has_a_handler() {
        for command in registry::all().flat_map(|command| std::iter::once(command).chain(command.sub)) {
            let handler = registry::index(command).and_then(|index| handlers()[index]);
            let name = registry::full_name(command);
            match command.run {
                Run::Server => assert!(handler.is_some(), "{name} has no handler"),
                // HELP may be either's.
                _ => assert!(handler.is_none() || command.name == "help", "{name} has two handlers"),
            }
        }
    }
}
