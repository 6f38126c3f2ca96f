//! Commands that need more than the keyspace: connection, transactions, administration.

pub mod connection;
pub mod persistence;
pub mod replication;

use super::dispatch::Next;
use super::node::Node;
use super::session::Session;
use super::transaction;
use crate::command::table::Command;
use crate::keyspace::Locked;
use crate::resp::reply::Reply;
use std::sync::Arc;

/// What a server command runs with.
pub struct Call<'a, 'k> {
    /// The node.
    pub node: &'k Arc<Node>,
    /// The client's session.
    pub session: &'a mut Session,
    /// Arguments, the name first.
    pub args: &'a [&'a [u8]],
    /// Where the reply goes.
    pub out: &'a mut Vec<u8>,
    /// All shards, when the command runs inside a transaction; it must not lock any itself then.
    pub held: Option<&'a mut Locked<'k>>,
}

impl Call<'_, '_> {
    /// A writer for the reply, in the client's protocol.
    pub fn reply(&mut self) -> Reply<'_> {
        Reply::new(self.out, self.session.resp3)
    }

    /// Answers with an error (code first) and goes on.
    pub fn error(&mut self, text: impl AsRef<[u8]>) -> Next {
        super::stats::add(&self.node.stats.error_replies, 1);
        self.reply().error(text);
        Next::Continue
    }

    /// Answers OK and goes on.
    pub fn ok(&mut self) -> Next {
        self.reply().ok();
        Next::Continue
    }
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
    match command.name {
        "multi" => return transaction::multi(session, out),
        "exec" => return transaction::exec(node, session, out),
        "discard" => return transaction::discard(node, session, out),
        "watch" => return transaction::watch(node, session, args, out),
        "unwatch" => {
            // In a transaction its watches are dropped by EXEC anyway, and all shards are held.
            if held.is_none() {
                transaction::unwatch(&node.keyspace, session);
            }
            Reply::new(out, session.resp3).ok();
            return Next::Continue;
        }
        _ => {}
    }
    let mut call = Call { node, session, args, out, held };
    let routed = connection::route(&mut call, command)
        .or_else(|| replication::route(&mut call, command))
        .or_else(|| persistence::route(&mut call, command));
    routed.unwrap_or_else(|| {
        let name = super::dispatch::full_name(args, command);
        call.error(format!("ERR {name} is known but not implemented yet"))
    })
}
