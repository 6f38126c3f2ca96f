//! ROLE, REPLICAOF, SLAVEOF, FAILOVER, PSYNC, SYNC, REPLCONF, WAIT, WAITAOF.

use super::{Call, Handler};
use crate::base::num::parse_i64;
use crate::command::CommandError;
use crate::replication::Lineage;
use crate::replication::referral::{GIVES_SNAPSHOTS, MAY_REFER, ONLY_SNAPSHOT, STILL_JOINING, TAKES_LZ4};
use crate::server::clients::ClientKind;
use crate::server::config::Address;
use crate::server::dispatch::Next;
use crate::server::replication::wait::{WaitFor, wait_reply};
use crate::server::replication::{FeedStart, PsyncDecision, decide_psync};
use crate::server::replication::{failover, refer, takeover};
use crate::server::stats::add;

pub(super) fn handler(name: &str, _sub: &str) -> Option<Handler> {
    Some(match name {
        "role" => role,
        "replicaof" | "slaveof" => replicaof,
        "failover" => failover,
        "psync" => psync,
        "sync" => sync,
        "replconf" => replconf,
        "wait" => wait,
        "waitaof" => waitaof,
        _ => return None,
    })
}

fn role(call: &mut Call<'_, '_>) -> Next {
    let node = call.node;
    let offset = node.log.end();
    let mut reply = call.reply();
    if let Some(target) = node.role.target() {
        reply.array(5);
        reply.bulk("slave");
        reply.bulk(&target.address.host);
        reply.int(i64::from(target.address.port));
        reply.bulk(node.role.phase().word());
        reply.int(if node.role.has_history() { offset as i64 } else { -1 });
        return Next::Continue;
    }
    let replicas = node.replicas.list();
    reply.array(3);
    reply.bulk("master");
    reply.int(offset as i64);
    reply.array(replicas.len());
    for replica in replicas {
        reply.array(3);
        reply.bulk(&replica.ip);
        reply.bulk(replica.port.to_string());
        reply.bulk(replica.received().to_string());
    }
    Next::Continue
}

fn replicaof(call: &mut Call<'_, '_>) -> Next {
    let (host, port) = (call.args[1], call.args[2]);
    if call.node.failover.is_on() {
        return call.error("ERR REPLICAOF not allowed while failing over.");
    }
    if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
        if let Some(text) = takeover::hindrance(call.node) {
            return call.error(text);
        }
        let fences = call.node.gate.fences();
        if call.node.role.target().is_none() && fences.is_fenced() {
            return call.error(format!("FENCED {}", fences.refusal()));
        }
        if call.node.role.target().is_some() {
            tracing::info!("promoted to primary by an operator");
            let node = call.node;
            call.with_all_shards(|all| node.follow_locked(all, None, true));
        }
        return call.ok();
    }
    let Some(port) = parse_i64(port).and_then(|port| u16::try_from(port).ok()) else {
        return call.error("ERR Invalid master port");
    };
    let host = String::from_utf8_lossy(host).into_owned();
    let address = Address { host, port };
    if call.node.role.target().is_some_and(|target| target.address == address) {
        // An operator who repeats the order means it: a refused sync is now allowed.
        if call.node.role.refusal().is_some() {
            let node = call.node;
            call.with_all_shards(|all| node.follow_locked(all, Some(address), true));
        }
        call.reply().simple("OK Already connected to specified master");
        return Next::Continue;
    }
    tracing::info!(%address, "following another primary by an operator's order");
    let node = call.node;
    call.with_all_shards(|all| node.follow_locked(all, Some(address), true));
    call.ok()
}

/// FAILOVER [TO host port [FORCE]] [TIMEOUT ms], or FAILOVER ABORT.
fn failover(call: &mut Call<'_, '_>) -> Next {
    let args = call.args;
    if args.len() == 2 && args[1].eq_ignore_ascii_case(b"abort") {
        let node = call.node;
        return match call.with_all_shards(|all| failover::abort(node, all, "an operator's order")) {
            Ok(()) => call.ok(),
            Err(text) => call.error(text),
        };
    }
    let begun = failover_plan(args, call.session.now_ms).and_then(|plan| {
        let begun = failover::begin(call.node, plan);
        begun.map_err(std::borrow::Cow::from)
    });
    match begun {
        Ok(()) => call.ok(),
        Err(text) => call.error(&*text),
    }
}

fn failover_plan(args: &[&[u8]], now_ms: i64) -> Result<failover::Plan, std::borrow::Cow<'static, str>> {
    let mut plan = failover::Plan { target: None, force: false, until_ms: None };
    let mut rest = &args[1..];
    while let Some((word, after)) = rest.split_first() {
        rest = match (&word.to_ascii_lowercase()[..], after) {
            (b"timeout", [ms, after @ ..]) if plan.until_ms.is_none() => {
                let ms = parse_i64(ms).ok_or_else(|| CommandError::NotInteger.to_string())?;
                if ms <= 0 {
                    return Err("ERR FAILOVER timeout must be greater than 0".into());
                }
                plan.until_ms = Some(now_ms.saturating_add(ms));
                after
            }
            (b"to", [host, port, after @ ..]) if plan.target.is_none() => {
                let port = parse_i64(port).ok_or_else(|| CommandError::NotInteger.to_string())?;
                // No replica listens on a port that is none: it is then said not to be one.
                let port = u16::try_from(port).unwrap_or(0);
                plan.target = Some(Address { host: String::from_utf8_lossy(host).into_owned(), port });
                after
            }
            (b"force", after) if !plan.force => {
                plan.force = true;
                after
            }
            _ => return Err(CommandError::Syntax.to_string().into()),
        };
    }
    Ok(plan)
}

/// PSYNC's word FAILOVER: the primary asks this replica to take its role.
fn take_over(call: &mut Call<'_, '_>, offset: i64) -> Result<(), &'static str> {
    let (node, asked) = (call.node, Lineage::parse(call.args[1]));
    let history = node.log.history();
    if !node.is_replica() {
        // Asked again, because the answer was lost on its way: this is the primary that it became.
        let is_done = asked == Some(history.previous) && history.previous_end == offset - 1;
        return if is_done { Ok(()) } else { Err("ERR PSYNC FAILOVER can't be sent to a master.") };
    }
    if asked != Some(history.lineage) || !node.role.has_history() {
        return Err("ERR PSYNC FAILOVER replid must match my replid.");
    }
    if takeover::hindrance(node).is_some() {
        return Err("UNSYNCED this replica has not finished its full sync and cannot take over");
    }
    tracing::info!("promoted to primary by its primary's failover");
    call.with_all_shards(|all| node.follow_locked(all, None, true));
    Ok(())
}

fn refuse_sync(call: &mut Call<'_, '_>) -> Option<Next> {
    if call.node.role.target().is_some()
        && call.node.role.phase() != crate::server::replication::LinkPhase::Connected
        && !call.node.role.has_history()
    {
        return Some(call.error("NOMASTERLINK Can't SYNC while not connected with my master"));
    }
    None
}

fn psync(call: &mut Call<'_, '_>) -> Next {
    if let Some(refused) = refuse_sync(call) {
        return refused;
    }
    let Some(offset) = parse_i64(call.args[2]) else {
        return call.error(CommandError::NotInteger.to_string());
    };
    if call.args.get(3).is_some_and(|word| word.eq_ignore_ascii_case(b"failover"))
        && let Err(text) = take_over(call, offset)
    {
        return call.error(text);
    }
    let word = call.args.get(3).copied().unwrap_or_default();
    if word.eq_ignore_ascii_case(ONLY_SNAPSHOT.as_bytes()) {
        return only_snapshot(call, offset);
    }
    let told_epoch = call.session.peer.told.epoch();
    match decide_psync(&call.node.log, call.args[1], offset, told_epoch) {
        PsyncDecision::Continue { position, lineage } => {
            add(&call.node.stats.sync_partial_ok, 1);
            if call.session.reserved.is_some() {
                add(&call.node.replicas.referrals.back, 1);
            }
            let text = match call.session.peer.capa_psync2 {
                true => format!("CONTINUE {lineage}"),
                false => "CONTINUE".into(),
            };
            call.reply().simple(text);
            call.session.info.set_kind(ClientKind::Replica);
            Next::Feed(FeedStart::Partial { position, lineage })
        }
        PsyncDecision::Full => {
            if call.args[1] != b"?" {
                add(&call.node.stats.sync_partial_err, 1);
            }
            if word.eq_ignore_ascii_case(MAY_REFER.as_bytes())
                && let Some(referral) = refer::refer(call.node, call.session)
            {
                call.reply().simple(referral.line());
                return Next::Continue;
            }
            call.session.info.set_kind(ClientKind::Replica);
            Next::Feed(FeedStart::Full { answer: true })
        }
    }
}

/// PSYNC's word SNAPSHOT: a replica of this node's primary wants a snapshot of what it named, and then goes on there.
fn only_snapshot(call: &mut Call<'_, '_>, offset: i64) -> Next {
    let lineage = Lineage::parse(call.args[1]);
    let refused = match call.session.peer.capa_eof {
        true => refer::may_give(call.node, lineage, offset).err(),
        false => Some("it must be able to read a snapshot up to a mark".into()),
    };
    if let Some(why) = refused {
        tracing::warn!(joiner = %call.session.info.addr, %why, "a replica's request for a snapshot was refused");
        return call.error(format!("NOSNAPSHOT {why}"));
    }
    call.session.info.set_kind(ClientKind::Replica);
    Next::Feed(FeedStart::OnlySnapshot)
}

fn sync(call: &mut Call<'_, '_>) -> Next {
    if let Some(refused) = refuse_sync(call) {
        return refused;
    }
    call.session.info.set_kind(ClientKind::Replica);
    Next::Feed(FeedStart::Full { answer: false })
}

/// REPLCONF option value …: what a replica tells before PSYNC, and its acknowledgements after it.
fn replconf(call: &mut Call<'_, '_>) -> Next {
    let args = call.args;
    if args.len().is_multiple_of(2) {
        return call.error(CommandError::Syntax.to_string());
    }
    let mut told = Heard::default();
    for pair in args[1..].chunks_exact(2) {
        let (word, value) = (pair[0].to_ascii_lowercase(), pair[1]);
        let text = String::from_utf8_lossy(value).into_owned();
        let peer = &mut call.session.peer;
        match &word[..] {
            b"listening-port" => match text.parse() {
                Ok(port) => peer.listening_port = port,
                Err(_) => return call.error(CommandError::NotInteger.to_string()),
            },
            b"ip-address" => peer.ip_address = text,
            b"capa" if value.eq_ignore_ascii_case(b"eof") => peer.capa_eof = true,
            b"capa" if value.eq_ignore_ascii_case(b"psync2") => peer.capa_psync2 = true,
            b"capa" if value.eq_ignore_ascii_case(TAKES_LZ4.as_bytes()) => peer.capa_lz4 = true,
            b"capa" if value.eq_ignore_ascii_case(GIVES_SNAPSHOTS.as_bytes()) => peer.gives_snapshots = true,
            b"capa" | b"rdb-only" | b"rdb-filter-only" | b"version" => {}
            word if word == STILL_JOINING.as_bytes() => return still_joining(call),
            b"outrigger-claim" => told.claim = true,
            b"outrigger-yield" => told.yields = true,
            word if word.starts_with(b"outrigger-") => match peer.told.take(word, value) {
                true => told.history = true,
                false => return call.error(CommandError::Syntax.to_string()),
            },
            // Acknowledgements are never answered.
            b"ack" => return acknowledge(call),
            b"getack" => return Next::Continue,
            _ => {
                let shown = String::from_utf8_lossy(pair[0]).into_owned();
                return call.error(format!("ERR Unrecognized REPLCONF option: {shown}"));
            }
        }
    }
    if told.history { hear(call, &told) } else { call.ok() }
}

/// A replica that was sent elsewhere for its snapshot says that it is still at it.
fn still_joining(call: &mut Call<'_, '_>) -> Next {
    match call.node.replicas.referrals.still_joining(call.node, call.session.info.id) {
        true => call.ok(),
        false => call.error("NOTKEPT what follows the snapshot is not kept any longer"),
    }
}

/// What a REPLCONF of one of our nodes told.
#[derive(Default)]
struct Heard {
    /// Of the history that it holds.
    history: bool,
    /// It serves that history.
    claim: bool,
    /// It gives its epoch up to this node.
    yields: bool,
}

fn hear(call: &mut Call<'_, '_>, heard: &Heard) -> Next {
    let Some(told) = call.session.peer.told.history() else { return call.ok() };
    let (node, peer) = (call.node, &call.session.peer);
    if heard.yields {
        return match call.with_all_shards(|all| takeover::take_yielded(node, all, &told)) {
            Ok(()) => call.ok(),
            Err(text) => call.error(text),
        };
    }
    let host = call.session.peer_host();
    let by = (heard.claim && peer.listening_port > 0).then_some((host, peer.listening_port));
    call.with_all_shards(|all| takeover::hear(node, all, &told, heard.claim, by));
    call.ok()
}

fn acknowledge(call: &mut Call<'_, '_>) -> Next {
    let number = |at: usize| call.args.get(at).and_then(|arg| parse_i64(arg)).map(|n| n.max(0) as u64);
    let Some(received) = number(2) else { return Next::Continue };
    let says_durable = call.args.get(3).is_some_and(|word| word.eq_ignore_ascii_case(b"fack"));
    let durable = if says_durable { number(4) } else { None };
    if let Some(replica) = call.node.replicas.of_client(call.session.info.id) {
        call.node.replicas.acknowledge(&replica, received, durable, call.session.now_ms);
        call.node.replicas_changed();
    }
    Next::Continue
}

fn timeout_arg(arg: &[u8]) -> Result<u64, &'static str> {
    match parse_i64(arg) {
        None => Err("ERR timeout is not an integer or out of range"),
        Some(ms) => u64::try_from(ms).map_err(|_| "ERR timeout is negative"),
    }
}

fn wait(call: &mut Call<'_, '_>) -> Next {
    if call.node.is_replica() {
        return call.error(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a \
             replica is configured to be writable (which is not the default) writes to replicas are just \
             local and are not propagated.",
        );
    }
    let Some(wanted) = parse_i64(call.args[1]) else {
        return call.error(CommandError::NotInteger.to_string());
    };
    let timeout_ms = match timeout_arg(call.args[2]) {
        Ok(ms) => ms,
        Err(text) => return call.error(text),
    };
    hold(call, WaitFor::Received(wanted.max(0) as usize), timeout_ms)
}

fn waitaof(call: &mut Call<'_, '_>) -> Next {
    let Some(local) = parse_i64(call.args[1]) else {
        return call.error(CommandError::NotInteger.to_string());
    };
    if !(0..=1).contains(&local) {
        return call.error("ERR value is out of range, value must between 0 and 1");
    }
    let Some(replicas) = parse_i64(call.args[2]) else {
        return call.error(CommandError::NotInteger.to_string());
    };
    if replicas < 0 {
        return call.error(CommandError::MustBePositive.to_string());
    }
    let timeout_ms = match timeout_arg(call.args[3]) {
        Ok(ms) => ms,
        Err(text) => return call.error(text),
    };
    if call.node.is_replica() {
        return call.error(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas \
             are just local and are not propagated.",
        );
    }
    if local > 0 && call.node.durable_offset().is_none() {
        return call.error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
    }
    let what = WaitFor::Durable { local: local as usize, replicas: replicas as usize };
    hold(call, what, timeout_ms)
}

fn hold(call: &mut Call<'_, '_>, what: WaitFor, timeout_ms: u64) -> Next {
    let may_wait = call.held.is_none();
    match wait_reply(call.node, call.session, what, timeout_ms, may_wait) {
        Ok(bytes) => {
            call.out.extend_from_slice(&bytes);
            Next::Continue
        }
        Err(later) => Next::Later(later),
    }
}
