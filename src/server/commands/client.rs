//! CLIENT: who is connected, names, replies, blocked clients.

use super::client_kill::{kill, type_named};
use super::client_tracking;
use super::{Call, Handler};
use crate::base::num::parse_i64;
use crate::command::error::quoting;
use crate::command::{CommandError, registry};
use crate::replication::acks::ACKS_MAX;
use crate::server::clients::{ClientInfo, ClientKind};
use crate::server::dispatch::Next;
use crate::server::replication::acks;
use crate::server::session::ReplyMode;
use std::fmt::Write;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

pub(super) fn handler(name: &str, sub: &str) -> Option<Handler> {
    if name != "client" {
        return None;
    }
    Some(match sub {
        "id" => id,
        "info" => info,
        "list" => list,
        "setname" => set_name,
        "getname" => get_name,
        "setinfo" => set_info,
        "kill" => kill,
        "no-evict" => no_evict,
        "no-touch" => no_touch,
        "reply" => reply,
        "unblock" => unblock,
        "durability" => durability,
        "pause" => pause,
        "unpause" => unpause,
        _ => return client_tracking::handler(sub),
    })
}

fn id(call: &mut Call<'_, '_>) -> Next {
    let id = call.session.info.id;
    call.reply().int(id as i64);
    Next::Continue
}

/// The letters of a client's state.
fn flag_letters(client: &ClientInfo) -> String {
    let mut letters = String::new();
    match client.kind() {
        ClientKind::Replica => letters.push('S'),
        ClientKind::Primary => letters.push('M'),
        ClientKind::Normal => {}
    }
    let states = [
        (client.monitors.load(Relaxed), 'O'),
        (client.is_subscriber(), 'P'),
        (client.queued.load(Relaxed) >= 0, 'x'),
        (client.blocked.load(Relaxed) || client.held_back.load(Relaxed), 'b'),
        (client.tracks.load(Relaxed), 't'),
        (client.redirect_broken.load(Relaxed), 'R'),
        (client.tracks_prefixes.load(Relaxed), 'B'),
        (client.closing.load(Relaxed), 'c'),
        (client.no_evict.load(Relaxed), 'e'),
        (client.no_touch.load(Relaxed), 'T'),
    ];
    letters.extend(states.iter().filter(|(is, _)| *is).map(|(_, letter)| letter));
    if letters.is_empty() { "N".into() } else { letters }
}

/// One client's line of CLIENT LIST, without its end. What this server does not count apart is 0.
pub(in crate::server) fn describe(client: &ClientInfo, now_ms: i64) -> String {
    let labels = client.labels.lock().clone();
    let user = client.user.lock().clone();
    // The link to a primary is nobody's.
    let user = user.as_ref().map_or("(superuser)".into(), |user| String::from_utf8_lossy(&user.name));
    let seconds_since = |ms: i64| (now_ms - ms).max(0) / 1000;
    let (input, free) = (client.query_bytes.load(Relaxed), client.query_free_bytes.load(Relaxed));
    let output = client.output_bytes.load(Relaxed);
    let room = client.output_room_bytes.load(Relaxed);
    let (pushes, push_bytes) = client.mailbox.waiting();
    let queued = client.kept.queue_bytes.load(Relaxed);
    let [channels, patterns, shard_channels] =
        [0, 1, 2].map(|kind: usize| client.subscriptions[kind].load(Relaxed));
    let memory = client.memory_bytes();
    let command = registry::name_at(client.last_command.load(Relaxed));
    let mut line = String::with_capacity(400);
    // Writing to a String cannot fail.
    let _ = write!(
        line,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={channels} psub={patterns} ssub={shard_channels} multi={} watch={} \
         qbuf={input} qbuf-free={free} argv-mem=0 multi-mem={queued} rbs={room} rbp=0 obl={output} oll={pushes} omem={push_bytes} \
         tot-mem={memory} events={} cmd={} user={user} redir={} resp={} lib-name={} lib-ver={}",
        client.id,
        client.addr,
        client.local_addr,
        client.fd,
        labels.name,
        seconds_since(client.connected_at_ms),
        seconds_since(client.active_at_ms.load(Relaxed)),
        flag_letters(client),
        client.db.load(Relaxed),
        client.queued.load(Relaxed),
        client.watching.load(Relaxed),
        if output + pushes > 0 { "rw" } else { "r" },
        if command.is_empty() { "NULL" } else { command },
        client.redirect.load(Relaxed),
        client.resp.load(Relaxed),
        labels.lib_name,
        labels.lib_version,
    );
    line
}

/// Makes what this client shows of itself that of this very moment.
fn update_own(call: &Call<'_, '_>) {
    let info = &call.session.info;
    info.active_at_ms.store(call.session.now_ms, Relaxed);
    if let Some(index) = registry::index(call.command) {
        info.last_command.store(index, Relaxed);
    }
}

fn info(call: &mut Call<'_, '_>) -> Next {
    update_own(call);
    let text = describe(&call.session.info, call.session.now_ms) + "\n";
    call.text(text)
}

fn list(call: &mut Call<'_, '_>) -> Next {
    update_own(call);
    let mut clients = call.node.clients.list();
    match call.args {
        [_, _] => {}
        [_, _, word, kind] if word.eq_ignore_ascii_case(b"type") => match type_named(kind) {
            Ok(kind) => clients.retain(|client| kind.fits(client)),
            Err(text) => return call.error(text),
        },
        [_, _, word, ids @ ..] if word.eq_ignore_ascii_case(b"id") && !ids.is_empty() => {
            let ids: Option<Vec<i64>> = ids.iter().map(|id| parse_i64(id)).collect();
            let Some(ids) = ids else { return call.error("ERR Invalid client ID") };
            clients = ids.iter().filter_map(|id| call.node.clients.get(u64::try_from(*id).ok()?)).collect();
        }
        _ => return call.error(CommandError::Syntax.to_string()),
    }
    let mut text = String::new();
    for client in clients {
        text.push_str(&describe(&client, call.session.now_ms));
        text.push('\n');
    }
    call.text(text)
}

/// A client's name, if it is one: printable, without spaces.
pub(super) fn checked_name(name: &[u8]) -> Result<String, String> {
    checked_label(name, "Client names")
}

fn checked_label(text: &[u8], what: &str) -> Result<String, String> {
    match text.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        true => Ok(String::from_utf8_lossy(text).into_owned()),
        false => Err(format!("ERR {what} cannot contain spaces, newlines or special characters.")),
    }
}

fn set_name(call: &mut Call<'_, '_>) -> Next {
    match checked_name(call.args[2]) {
        Ok(name) => call.session.info.labels.lock().name = name,
        Err(text) => return call.error(text),
    }
    call.ok()
}

fn get_name(call: &mut Call<'_, '_>) -> Next {
    let name = call.session.info.labels.lock().name.clone();
    if name.is_empty() {
        call.reply().null()
    } else {
        call.reply().bulk(name)
    }
    Next::Continue
}

fn set_info(call: &mut Call<'_, '_>) -> Next {
    let (word, value) = (call.args[2], call.args[3]);
    let is_name = word.eq_ignore_ascii_case(b"lib-name");
    if !is_name && !word.eq_ignore_ascii_case(b"lib-ver") {
        return call.error(quoting("ERR Unrecognized option '", word, "'"));
    }
    let what = if is_name { "lib-name" } else { "lib-ver" };
    let value = match checked_label(value, what) {
        Ok(value) => value,
        Err(text) => return call.error(text),
    };
    let mut labels = call.session.info.labels.lock();
    if is_name {
        labels.lib_name = value;
    } else {
        labels.lib_version = value;
    }
    drop(labels);
    call.ok()
}

/// ON or OFF.
pub(super) fn on_off(word: &[u8]) -> Option<bool> {
    if word.eq_ignore_ascii_case(b"on") {
        return Some(true);
    }
    word.eq_ignore_ascii_case(b"off").then_some(false)
}

fn no_evict(call: &mut Call<'_, '_>) -> Next {
    let Some(on) = on_off(call.args[2]) else { return call.error(CommandError::Syntax.to_string()) };
    call.session.info.no_evict.store(on, Relaxed);
    call.ok()
}

fn no_touch(call: &mut Call<'_, '_>) -> Next {
    let Some(on) = on_off(call.args[2]) else { return call.error(CommandError::Syntax.to_string()) };
    call.session.no_touch = on;
    call.session.info.no_touch.store(on, Relaxed);
    call.ok()
}

fn durability(call: &mut Call<'_, '_>) -> Next {
    let word = call.args[2];
    let own = if word.eq_ignore_ascii_case(b"default") {
        None
    } else if word.eq_ignore_ascii_case(b"async") {
        Some(0)
    } else {
        match parse_i64(word).and_then(|n| u8::try_from(n).ok()).filter(|n| usize::from(*n) <= ACKS_MAX) {
            Some(replicas) => Some(replicas),
            None => {
                return call.error(format!(
                    "ERR CLIENT DURABILITY takes ASYNC, DEFAULT or a number of replicas up to {ACKS_MAX}"
                ));
            }
        }
    };
    let (node, session) = (call.node, &mut *call.session);
    acks::choose(node, session, own, |begin| match &mut call.held {
        Some(_) => begin(),
        None => {
            let _all = node.keyspace.lock_all();
            begin();
        }
    });
    call.ok()
}

fn reply(call: &mut Call<'_, '_>) -> Next {
    let word = call.args[2];
    let mode = &mut call.session.reply_mode;
    if word.eq_ignore_ascii_case(b"on") {
        *mode = ReplyMode::On;
        return call.ok();
    } else if word.eq_ignore_ascii_case(b"off") {
        *mode = ReplyMode::Off;
    } else if word.eq_ignore_ascii_case(b"skip") {
        if *mode != ReplyMode::Off {
            *mode = ReplyMode::SkipNext;
        }
    } else {
        return call.error(CommandError::Syntax.to_string());
    }
    Next::Continue
}

fn unblock(call: &mut Call<'_, '_>) -> Next {
    let how = match call.args {
        [_, _, _] => 1,
        [_, _, _, word] if word.eq_ignore_ascii_case(b"timeout") => 1,
        [_, _, _, word] if word.eq_ignore_ascii_case(b"error") => 2,
        [_, _, _, _] => return call.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        _ => return call.wrong_arguments(),
    };
    let Some(id) = parse_i64(call.args[2]) else { return call.error(CommandError::NotInteger.to_string()) };
    let target = u64::try_from(id).ok().and_then(|id| call.node.clients.get(id));
    let mut done = false;
    if let Some(client) = target.filter(|client| client.blocked.load(Acquire)) {
        // The first who says how the wait ends is heard.
        done = client.unblock_as.compare_exchange(0, how, AcqRel, Acquire).is_ok();
        client.unblock.notify_one();
    }
    call.reply().int(i64::from(done));
    Next::Continue
}

fn pause(call: &mut Call<'_, '_>) -> Next {
    let all = match call.args {
        [_, _, _] => true,
        [_, _, _, word] if word.eq_ignore_ascii_case(b"all") => true,
        [_, _, _, word] if word.eq_ignore_ascii_case(b"write") => false,
        [_, _, _, _] => return call.error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
        _ => return call.wrong_arguments(),
    };
    let Some(ms) = parse_i64(call.args[2]) else {
        return call.error("ERR timeout is not an integer or out of range");
    };
    if ms < 0 {
        return call.error("ERR timeout is negative");
    }
    let Some(until_ms) = call.node.now_ms().checked_add(ms) else {
        return call.error("ERR timeout is out of range");
    };
    // Under all locks: no write that has begun ends after the reply, so that the offset stands still from then on.
    let node = call.node;
    call.with_all_shards(|_| node.pause.begin(&node.gate, until_ms, all));
    call.ok()
}

fn unpause(call: &mut Call<'_, '_>) -> Next {
    call.node.pause.end(&call.node.gate);
    call.ok()
}
