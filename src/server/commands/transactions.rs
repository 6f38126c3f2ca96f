//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use super::{Call, Handler};
use crate::server::dispatch::Next;
use crate::server::transaction;

pub(super) fn handler(name: &str, _sub: &str) -> Option<Handler> {
    Some(match name {
        "multi" => multi,
        "exec" => exec,
        "discard" => discard,
        "watch" => watch,
        "unwatch" => unwatch,
        _ => return None,
    })
}

fn multi(call: &mut Call<'_, '_>) -> Next {
    transaction::multi(call.session, call.out)
}

fn exec(call: &mut Call<'_, '_>) -> Next {
    transaction::exec(call.node, call.session, call.out)
}

fn discard(call: &mut Call<'_, '_>) -> Next {
    transaction::discard(call.node, call.session, call.out)
}

fn watch(call: &mut Call<'_, '_>) -> Next {
    transaction::watch(call.node, call.session, call.args, call.out)
}

fn unwatch(call: &mut Call<'_, '_>) -> Next {
    // In a transaction its watches are dropped by EXEC anyway, and all shards are held.
    if call.held.is_none() {
        transaction::unwatch(&call.node.keyspace, call.session);
    }
    call.ok()
}
