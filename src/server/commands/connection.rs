//! PING, ECHO, SELECT, QUIT.

use super::Call;
use crate::base::num::parse_i64;
use crate::command::CommandError;
use crate::command::table::Command;
use crate::server::dispatch::Next;
use std::sync::atomic::Ordering;

/// Runs a connection command; `None` when it is not one of these.
pub fn route(call: &mut Call<'_, '_>, command: &Command) -> Option<Next> {
    Some(match command.name {
        "ping" => ping(call),
        "echo" => {
            let text = call.args[1];
            call.reply().bulk(text);
            Next::Continue
        }
        "select" => select(call),
        "quit" => {
            call.ok();
            Next::Close
        }
        _ => return None,
    })
}

fn ping(call: &mut Call<'_, '_>) -> Next {
    match call.args {
        [_] => call.reply().simple("PONG"),
        [_, text] => call.reply().bulk(text),
        _ => return call.error(CommandError::Arity("ping".into()).to_string()),
    }
    Next::Continue
}

fn select(call: &mut Call<'_, '_>) -> Next {
    let Some(db) = parse_i64(call.args[1]) else {
        return call.error("ERR invalid DB index");
    };
    match u32::try_from(db) {
        Ok(db) if db < call.node.keyspace.databases() => call.session.db = db,
        _ => return call.error(CommandError::DbIndex.to_string()),
    }
    call.session.info.db.store(call.session.db, Ordering::Relaxed);
    call.ok()
}
