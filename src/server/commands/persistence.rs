//! SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE, SHUTDOWN, and the reloading ones of DEBUG.

use super::{Call, Handler};
use crate::command::CommandError;
use crate::server::dispatch::Next;
use crate::server::durability::JobKind;
use crate::server::shutdown::{Asked, SaveWish};

pub(super) fn handler(name: &str, _sub: &str) -> Option<Handler> {
    Some(match name {
        "save" => save,
        "bgsave" => bgsave,
        "bgrewriteaof" => bgrewriteaof,
        "lastsave" => last_save,
        "shutdown" => shutdown,
        _ => return None,
    })
}

fn last_save(call: &mut Call<'_, '_>) -> Next {
    let at = call.node.durability.save_status().last_save_s;
    call.reply().int(at);
    Next::Continue
}

fn save(call: &mut Call<'_, '_>) -> Next {
    if call.node.durability.save_status().running == Some(JobKind::Snapshot) {
        return call.error("ERR Background save already in progress");
    }
    match call.node.durability.save_now(call.node) {
        Ok(()) => call.ok(),
        Err(error) => call.error(format!("ERR {error}")),
    }
}

fn bgsave(call: &mut Call<'_, '_>) -> Next {
    let schedule = match call.args {
        [_] => false,
        [_, word] if word.eq_ignore_ascii_case(b"schedule") => true,
        _ => return call.error(CommandError::Syntax.to_string()),
    };
    let in_transaction = call.held.is_some();
    match call.node.durability.save_status().running {
        Some(JobKind::Snapshot) => return call.error("ERR Background save already in progress"),
        Some(JobKind::Rewrite) if !schedule && !in_transaction => {
            return call.error(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in \
                 order to schedule a BGSAVE whenever possible.",
            );
        }
        Some(JobKind::Rewrite) => {
            call.node.durability.request(JobKind::Snapshot);
            call.reply().simple("Background saving scheduled");
        }
        None => {
            if !call.node.durability.request(JobKind::Snapshot) {
                return call.error("ERR Background save already in progress");
            }
            // Nothing is begun while the transaction holds the data set.
            let word = if in_transaction { "scheduled" } else { "started" };
            call.reply().simple(format!("Background saving {word}"));
        }
    }
    Next::Continue
}

fn bgrewriteaof(call: &mut Call<'_, '_>) -> Next {
    let in_transaction = call.held.is_some();
    let running = call.node.durability.save_status().running;
    if running == Some(JobKind::Rewrite) || !call.node.durability.request(JobKind::Rewrite) {
        return call.error("ERR Background append only file rewriting already in progress");
    }
    // Nothing is begun while a transaction holds the data set.
    call.reply().simple(match running.is_some() || in_transaction {
        true => "Background append only file rewriting scheduled",
        false => "Background append only file rewriting started",
    });
    Next::Continue
}

fn shutdown(call: &mut Call<'_, '_>) -> Next {
    let mut asked = Asked { save: SaveWish::ByRules, now: false, force: false };
    for word in &call.args[1..] {
        match word.to_ascii_lowercase().as_slice() {
            b"save" if asked.save == SaveWish::ByRules => asked.save = SaveWish::Yes,
            b"nosave" if asked.save == SaveWish::ByRules => asked.save = SaveWish::No,
            b"now" => asked.now = true,
            b"force" => asked.force = true,
            b"abort" if call.args.len() == 2 => {
                return match call.node.shutdown.abort(call.node) {
                    true => call.ok(),
                    false => call.error("ERR No shutdown in progress."),
                };
            }
            _ => return call.error(CommandError::Syntax.to_string()),
        }
    }
    let node = call.node.clone();
    // The process ends in the middle of this wait, unless the shutdown fails or is aborted.
    let resp3 = call.session.resp3;
    Next::Later(Box::pin(async move {
        let reason = crate::server::shutdown::run(&node, asked).await;
        let mut out = Vec::new();
        crate::resp::reply::Reply::new(&mut out, resp3).error(format!("ERR {reason}"));
        out
    }))
}

/// DEBUG RELOAD [NOSAVE].
pub fn debug_reload(call: &mut Call<'_, '_>) -> Next {
    let mut save = true;
    for word in &call.args[2..] {
        match word.to_ascii_lowercase().as_slice() {
            b"nosave" => save = false,
            b"noflush" | b"merge" => {
                return call.error("ERR DEBUG RELOAD with NOFLUSH or MERGE is not implemented");
            }
            _ => return call.error("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."),
        }
    }
    let node = call.node;
    let done = match &mut call.held {
        Some(locked) => node.durability.reload(node, locked, save),
        None => node.durability.reload(node, &mut node.keyspace.lock_all(), save),
    };
    match done {
        Ok(()) => call.ok(),
        Err(error) => call.error(format!("ERR Error trying to load the RDB dump: {error}")),
    }
}

/// DEBUG LOADAOF.
pub fn debug_loadaof(call: &mut Call<'_, '_>) -> Next {
    let node = call.node;
    let done = match &mut call.held {
        Some(locked) => node.durability.load_aof(node, locked),
        None => node.durability.load_aof(node, &mut node.keyspace.lock_all()),
    };
    match done {
        Ok(()) => call.ok(),
        Err(error) => call.error(format!("ERR Error trying to load the AOF files: {error}")),
    }
}
