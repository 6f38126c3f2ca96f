//! SUBSCRIBE, UNSUBSCRIBE and their kin, PUBLISH, SPUBLISH, PUBSUB, MONITOR.

use super::{Call, Handler};
use crate::keyspace::shard_of;
use crate::resp::command_bytes::write_command;
use crate::server::Node;
use crate::server::dispatch::{Next, writes_wait};
use crate::server::events;
use crate::server::gate::bits;
use crate::server::pubsub::{Kind, Message};
use crate::value::hash_bytes;

pub(super) fn handler(name: &str, sub: &str) -> Option<Handler> {
    Some(match (name, sub) {
        ("subscribe", "") => |call| subscribe(call, Kind::Channel),
        ("psubscribe", "") => |call| subscribe(call, Kind::Pattern),
        ("ssubscribe", "") => |call| subscribe(call, Kind::Shard),
        ("unsubscribe", "") => |call| unsubscribe(call, Kind::Channel),
        ("punsubscribe", "") => |call| unsubscribe(call, Kind::Pattern),
        ("sunsubscribe", "") => |call| unsubscribe(call, Kind::Shard),
        ("publish", "") => |call| publish(call, Kind::Channel),
        ("spublish", "") => |call| publish(call, Kind::Shard),
        ("pubsub", "channels") => |call| channels(call, Kind::Channel),
        ("pubsub", "shardchannels") => |call| channels(call, Kind::Shard),
        ("pubsub", "numsub") => |call| subscriber_counts(call, Kind::Channel),
        ("pubsub", "shardnumsub") => |call| subscriber_counts(call, Kind::Shard),
        ("pubsub", "numpat") => pattern_count,
        ("monitor", "") => monitor,
        _ => return None,
    })
}

/// Tells of one change of the client's subscriptions.
fn confirm(call: &mut Call<'_, '_>, name: Option<&[u8]>, count: usize) {
    let word = call.command.name;
    let mut reply = call.reply();
    reply.push(3);
    reply.bulk(word);
    match name {
        Some(name) => reply.bulk(name),
        None => reply.null(),
    }
    reply.int(count as i64);
}

fn subscribe(call: &mut Call<'_, '_>, kind: Kind) -> Next {
    if kind == Kind::Shard && call.held.is_some() {
        return call.error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
    }
    for name in &call.args[1..] {
        let count = call.session.subscribe(&call.node.pubsub, kind, name);
        // Messages wait in the mailbox until this command is done, so they come behind this.
        confirm(call, Some(name), count);
    }
    Next::Pushed
}

fn unsubscribe(call: &mut Call<'_, '_>, kind: Kind) -> Next {
    let all = call.session.subscribed(kind);
    let names: Vec<&[u8]> = match &call.args[1..] {
        [] => all.iter().map(|name| &name[..]).collect(),
        names => names.to_vec(),
    };
    let counts: Vec<usize> =
        names.iter().map(|name| call.session.unsubscribe(&call.node.pubsub, kind, name)).collect();
    // What was sent before the end is told before it; within EXEC's reply nothing can be.
    if call.held.is_none() {
        call.session.info.mailbox.take_into(call.out, usize::MAX);
    }
    for (name, count) in names.iter().zip(counts) {
        confirm(call, Some(name), count);
    }
    if names.is_empty() {
        let count = call.session.subscription_count(kind);
        confirm(call, None, count);
    }
    Next::Pushed
}

/// Does what is published belong into this node's log? A replica's own clients add nothing to its primary's history, and
/// where no write may run the log must not move. Good as long as a shard is locked.
fn goes_into_log(node: &Node) -> bool {
    !node.gate.has(bits::REPLICA | bits::FENCED | bits::LOADING | bits::CLOSING)
}

fn publish(call: &mut Call<'_, '_>, kind: Kind) -> Next {
    let node = call.node;
    let (channel, payload) = (call.args[1], call.args[2]);
    let message = Message::new(kind, channel, payload);
    let lined_up = if call.held.is_some() {
        // What was done before it is told before it.
        if call.session.effects.has_events() {
            events::line_up(node, call.session);
            events::deliver(node, call.session);
        }
        // Logged with the rest of the transaction, whose locks keep others from coming in between.
        if goes_into_log(node) {
            call.session.effects.push(call.session.db, call.args);
        }
        node.pubsub.line_up(&message)
    } else {
        // Role, fences and pauses change under all shards; which one is held does not matter.
        let _shard = node.keyspace.lock_shard(shard_of(hash_bytes(channel)));
        if writes_wait(node, call.session) {
            return Next::Paused;
        }
        if goes_into_log(node) {
            let mut bytes = Vec::with_capacity(channel.len() + payload.len() + 48);
            write_command(&mut bytes, call.args);
            call.session.last_write = node.log.append_neutral(&bytes);
        }
        node.pubsub.line_up(&message)
    };
    let receivers = node.pubsub.deliver(node, lined_up);
    call.reply().int(receivers as i64);
    Next::Continue
}

fn channels(call: &mut Call<'_, '_>, kind: Kind) -> Next {
    let pattern = match call.args {
        [_, _] => None,
        [_, _, pattern] => Some(*pattern),
        _ => return call.wrong_arguments(),
    };
    let found = call.node.pubsub.channels(kind, pattern);
    let mut reply = call.reply();
    reply.array(found.len());
    found.iter().for_each(|name| reply.bulk(name));
    Next::Continue
}

fn subscriber_counts(call: &mut Call<'_, '_>, kind: Kind) -> Next {
    let names = &call.args[2..];
    let counts: Vec<usize> = names.iter().map(|name| call.node.pubsub.subscribers(kind, name)).collect();
    let mut reply = call.reply();
    reply.array(2 * names.len());
    for (name, count) in names.iter().zip(counts) {
        reply.bulk(name);
        reply.int(count as i64);
    }
    Next::Continue
}

fn pattern_count(call: &mut Call<'_, '_>) -> Next {
    let count = call.node.pubsub.count(Kind::Pattern);
    call.reply().int(count as i64);
    Next::Continue
}

fn monitor(call: &mut Call<'_, '_>) -> Next {
    if call.held.is_some() {
        return call.error("ERR MONITOR isn't allowed for DENY BLOCKING client");
    }
    // Who monitors already gets no further reply, as of a stock server.
    if call.session.bits & bits::MONITORING == 0 {
        call.node.monitors.add(call.node, call.session);
        call.ok();
    }
    Next::Continue
}
