//! OUTRIGGER: STATUS, RECOVER, FENCE, UNFENCE, PROMOTE.

use super::{Call, Handler};
use crate::command::CommandError;
use crate::resp::reply::Reply;
use crate::server::Node;
use crate::server::config::Address;
use crate::server::dispatch::Next;
use crate::server::replication::recovery::{self, Ask, Choosing};
use crate::server::replication::{Replica, takeover};
use std::borrow::Cow;
use std::sync::atomic::Ordering;

/// Most bytes of a fence's reason.
const REASON_MAX_BYTES: usize = 256;

pub(super) fn handler(name: &str, sub: &str) -> Option<Handler> {
    if name != "outrigger" {
        return None;
    }
    Some(match sub {
        "status" => status,
        "recover" => recover,
        "fence" => fence,
        "unfence" => unfence,
        "promote" => promote,
        _ => return None,
    })
}

/// Fields of a map, and what writes each value.
type Field<'f> = (&'static str, Box<dyn Fn(&mut Reply<'_>) + 'f>);

fn text<'f>(name: &'static str, value: impl Into<Cow<'f, str>>) -> Field<'f> {
    let value: Cow<'f, str> = value.into();
    (name, Box::new(move |reply| reply.bulk(value.as_bytes())))
}

fn number(name: &'static str, value: Option<u64>) -> Field<'static> {
    (name, Box::new(move |reply| reply.int(value.map_or(-1, |value| value as i64))))
}

fn write_map(reply: &mut Reply<'_>, fields: &[Field<'_>]) {
    reply.map(fields.len());
    for (name, value) in fields {
        reply.bulk(name);
        value(reply);
    }
}

fn status(call: &mut Call<'_, '_>) -> Next {
    let node = call.node;
    let (history, offset, _) = node.log.position();
    let own = takeover::own_history(node);
    let fences = node.gate.fences();
    let target = node.role.target();
    let replicas = node.replicas.list();
    let refusal = node.role.refusal().unwrap_or_default();
    let mut fields = vec![
        text("role", if target.is_some() { "replica" } else { "primary" }),
        text("lineage", own.map_or_else(|| "none".into(), |_| history.lineage.to_string())),
        number("epoch", Some(own.map_or(0, |own| own.epoch.number))),
        number("offset", own.map(|_| offset)),
        number("durable-offset", node.durable_offset()),
        text("writes", node.durability.writes_word(node)),
        text("fenced", if fences.is_fenced() { "yes" } else { "no" }),
        text("fence-reason", fences.reason()),
    ];
    if let Some(target) = &target {
        fields.push(text("primary", target.address.to_string()));
        fields.push(text("link", node.role.phase().word()));
        fields.push(text("refused", refusal));
    }
    fields.push((
        "replicas",
        Box::new(|reply| {
            reply.array(replicas.len());
            replicas.iter().for_each(|replica| write_map(reply, &replica_fields(replica)));
        }),
    ));
    fields.push(text("next", next_step(node)));
    write_map(&mut call.reply(), &fields);
    Next::Continue
}

fn replica_fields(replica: &Replica) -> Vec<Field<'static>> {
    let durable = replica.acks_durable.load(Ordering::Relaxed).then(|| replica.durable());
    vec![
        text("address", format!("{}:{}", replica.ip, replica.port)),
        text("state", replica.stage().word()),
        number("offset", Some(replica.received())),
        number("durable-offset", durable),
    ]
}

/// What an operator should see to.
fn next_step(node: &Node) -> String {
    let fences = node.gate.fences();
    if fences.is_fenced() {
        return fences.advice();
    }
    if node.is_replica() {
        return match node.role.refusal() {
            Some(refusal) => refusal,
            None if takeover::hindrance(node).is_some() => "wait for its sync".into(),
            None => "nothing".into(),
        };
    }
    match node.durability.duty() {
        Some(offset) => format!(
            "attach a replica: this node writes to its own disk until one has fsynced past offset {offset}"
        ),
        None if node.durable_offset().is_none() && node.acks.attached() == 0 => {
            "attach a replica: no disk has this history".into()
        }
        None => "nothing".into(),
    }
}

/// RECOVER [NEW | FROM host:port …]
fn recover(call: &mut Call<'_, '_>) -> Next {
    let (node, args) = (call.node.clone(), call.args);
    let without_history = node.gate.fences().no_history.is_some() && !node.is_replica();
    let is = |word: &str| args.get(2).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    let ask = match args.len() {
        2 => Ask { peers: node.config().recover_from_peers.clone(), choosing: Choosing::Furthest },
        3 if is("new") => Ask { peers: Vec::new(), choosing: Choosing::Furthest },
        4.. if is("from") => match args[3..].iter().map(|arg| address(arg)).collect::<Option<Vec<_>>>() {
            Some(peers) => Ask { peers, choosing: Choosing::Named },
            None => return call.error("ERR a peer is named as host:port"),
        },
        _ => return call.error(CommandError::Syntax.to_string()),
    };
    if !without_history {
        return call.error("ERR this node is not a primary without history, so there is nothing to recover");
    }
    if is("new") {
        return match recovery::start_new(&node, node.role.order()) {
            Ok(()) => call.ok(),
            Err(error) => call.error(format!("ERR {error}")),
        };
    }
    if ask.peers.is_empty() {
        return call.error("ERR no peers are configured (recover-from-peers); name some with RECOVER FROM");
    }
    let resp3 = call.session.resp3;
    Next::Later(Box::pin(async move {
        let outcome = node.recovery.ask_and_wait(ask).await;
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, resp3);
        match outcome {
            Ok(()) => reply.ok(),
            Err(why) => reply.error(format!("ERR not recovered: {why}")),
        }
        out
    }))
}

fn address(arg: &[u8]) -> Option<Address> {
    let (host, port) = std::str::from_utf8(arg).ok()?.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty()).then(|| Address { host: host.trim_matches(['[', ']']).to_owned(), port })
}

/// FENCE [reason …]
fn fence(call: &mut Call<'_, '_>) -> Next {
    let words: Vec<_> = call.args[2..].iter().map(|word| String::from_utf8_lossy(word)).collect();
    let reason: String = words.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if reason.len() > REASON_MAX_BYTES {
        return call.error(format!("ERR a reason has at most {REASON_MAX_BYTES} bytes"));
    }
    let reason = if reason.is_empty() { "no reason was given".into() } else { reason };
    tracing::warn!(%reason, "fenced by an operator");
    let node = call.node;
    call.with_all_shards(|_| {
        node.gate.change_fences(|fences| fences.by_hand = Some(reason));
        node.unblock_all();
    });
    call.ok()
}

/// The option FORCE, if these are the arguments of a command that takes nothing else.
fn forced(args: &[&[u8]]) -> Option<bool> {
    match args {
        [_, _] => Some(false),
        [_, _, word] if word.eq_ignore_ascii_case(b"force") => Some(true),
        _ => None,
    }
}

/// UNFENCE [FORCE]
fn unfence(call: &mut Call<'_, '_>) -> Next {
    let Some(force) = forced(call.args) else { return call.error(CommandError::Syntax.to_string()) };
    let node = call.node;
    let fences = node.gate.fences();
    if !fences.is_fenced() {
        return call.error("ERR this node is not fenced");
    }
    let other = fences.no_history.is_some() || fences.superseded.is_some();
    if other && !force {
        return call.error(format!("ERR {}", fences.refusal()));
    }
    if fences.no_history.is_some()
        && let Err(error) = node.durability.leave_own_files(node)
    {
        return call.error(format!("ERR {error}"));
    }
    tracing::warn!(force, "a fence is lifted by an operator");
    call.with_all_shards(|all| {
        node.gate.change_fences(|fences| fences.by_hand = None);
        if fences.no_history.is_some() {
            recovery::start_new_locked(node, all, node.role.order());
        }
        if fences.superseded.is_some() && !node.is_replica() {
            takeover::serve_again(node, all);
        }
    });
    call.ok()
}

/// PROMOTE [FORCE]
fn promote(call: &mut Call<'_, '_>) -> Next {
    let Some(force) = forced(call.args) else { return call.error(CommandError::Syntax.to_string()) };
    let node = call.node;
    if node.failover.is_on() {
        return call.error("ERR OUTRIGGER PROMOTE is not allowed while failing over");
    }
    if !node.is_replica() {
        return call.error("ERR this node is not a replica");
    }
    if let Some(text) = takeover::hindrance(node).filter(|_| !force) {
        return call.error(text);
    }
    tracing::warn!(force, "promoted to primary by an operator");
    call.with_all_shards(|all| node.follow_locked(all, None, true));
    call.ok()
}
