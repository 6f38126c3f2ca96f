//! PING, ECHO, SELECT, QUIT, RESET, AUTH.

use super::{Call, Handler, client_tracking, hello};
use crate::acl::DEFAULT_USER;
use crate::base::num::parse_i64;
use crate::command::CommandError;
use crate::server::acl;
use crate::server::dispatch::Next;
use crate::server::replication::acks;
use crate::server::session::ReplyMode;
use crate::server::transaction;
use std::sync::atomic::Ordering;

/// The error for a wrong user or password.
pub const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

pub(super) fn handler(name: &str, _sub: &str) -> Option<Handler> {
    Some(match name {
        "ping" => ping,
        "echo" => echo,
        "select" => select,
        "quit" => quit,
        "reset" => reset,
        "auth" => auth,
        "hello" => hello::hello,
        _ => return None,
    })
}

fn ping(call: &mut Call<'_, '_>) -> Next {
    match call.args {
        // As a message, where nothing else may come.
        [_] | [_, _] if call.session.is_only_subscriber() => {
            let text = call.args.get(1).copied().unwrap_or_default();
            let mut reply = call.reply();
            reply.push(2);
            reply.bulk("pong");
            reply.bulk(text);
        }
        [_] => call.reply().simple("PONG"),
        [_, text] => call.reply().bulk(text),
        _ => return call.error(CommandError::Arity("ping".into()).to_string()),
    }
    Next::Continue
}

fn echo(call: &mut Call<'_, '_>) -> Next {
    let text = call.args[1];
    call.reply().bulk(text);
    Next::Continue
}

fn quit(call: &mut Call<'_, '_>) -> Next {
    call.ok();
    Next::Close
}

fn select(call: &mut Call<'_, '_>) -> Next {
    let Some(db) = parse_i64(call.args[1]) else {
        return call.error(CommandError::NotInteger.to_string());
    };
    if i32::try_from(db).is_err() {
        return call.error("ERR value is out of range, value must between -2147483648 and 2147483647");
    }
    match u32::try_from(db) {
        Ok(db) if db < call.node.keyspace.databases() => set_db(call, db),
        _ => return call.error(CommandError::DbIndex.to_string()),
    }
    call.ok()
}

fn set_db(call: &mut Call<'_, '_>, db: u32) {
    call.session.db = db;
    call.session.info.db.store(db, Ordering::Relaxed);
}

/// Puts the connection into the state of a fresh one, but for its id and its library's name.
fn reset(call: &mut Call<'_, '_>) -> Next {
    if call.held.is_none() {
        transaction::abandon(call.node, call.session);
    }
    call.session.unsubscribe_all(&call.node.pubsub);
    call.node.monitors.remove(call.node, call.session);
    client_tracking::untrack(call);
    set_db(call, 0);
    set_resp3(call, false);
    let session = &mut *call.session;
    session.be_newcomer(&call.node.acl);
    session.reply_mode = ReplyMode::On;
    acks::choose(call.node, session, None, |_| ());
    session.info.no_evict.store(false, Ordering::Relaxed);
    session.info.labels.lock().name.clear();
    call.reply().simple("RESET");
    Next::Continue
}

/// Chooses the protocol of this connection.
pub(super) fn set_resp3(call: &mut Call<'_, '_>, resp3: bool) {
    let info = call.session.info.clone();
    // What was made for one protocol comes before the change to the other.
    info.mailbox.change(call.out, || info.resp.store(if resp3 { 3 } else { 2 }, Ordering::Relaxed));
    call.session.resp3 = resp3;
    call.session.update_bits();
}

fn auth(call: &mut Call<'_, '_>) -> Next {
    let (user, password) = match call.args {
        [_, password] => {
            if call.node.acl.default_needs_no_password() {
                return call.error(
                    "ERR AUTH <password> called without any password configured for the default user. Are you \
                     sure your configuration is correct?",
                );
            }
            (DEFAULT_USER, *password)
        }
        [_, user, password] => (*user, *password),
        _ => return call.error(CommandError::Syntax.to_string()),
    };
    match authenticate(call, user, password) {
        true => call.ok(),
        false => call.error(WRONG_PASSWORD),
    }
}

/// Checks user and password and, where they are right, lets the session in.
pub(super) fn authenticate(call: &mut Call<'_, '_>, user: &[u8], password: &[u8]) -> bool {
    match call.node.acl.authenticate(user, password) {
        Some(user) => {
            call.session.log_in(user);
            true
        }
        None => {
            let in_transaction = call.held.is_some();
            acl::note_wrong_password(call.node, call.session, user, call.args[0], in_transaction);
            false
        }
    }
}
