//! MULTI, EXEC, DISCARD, WATCH.

use super::acl;
use super::commands;
use super::dispatch::{
    Next, Ran, Refusal, Unfinished, account, append_effects, count_error, refuse, refuses_sort, run_unlogged,
    tell_observers, walk_at_once, writes_wait,
};
use super::events;
use super::monitor;
use super::node::Node;
use super::replication::acks;
use super::session::{ReplyMode, Session, Transaction};
use crate::command::apply::OwnedCommand;
use crate::command::locking::{NO_HASH, lock_for_all};
use crate::command::registry::full_name;
use crate::command::table::{Command, Run, TimeoutReply, flags};
use crate::keyspace::{Keyspace, Locked};
use crate::resp::reply::Reply;
use crate::value::hash_bytes;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a watched key takes beside its name, which is kept here and in its shard, in bytes, about.
const WATCH_BYTES: usize = 160;

/// Commands that are run, not queued, between MULTI and EXEC.
pub fn runs_at_once(command: &Command) -> bool {
    matches!(command.name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}

/// Queues a command.
pub fn queue(
    node: &Node,
    session: &mut Session,
    command: &'static Command,
    args: &[&[u8]],
    out: &mut Vec<u8>,
) -> Next {
    if command.has(flags::NO_MULTI) {
        let text = b"ERR Command not allowed inside a transaction".as_slice();
        return refuse(node, session, out, Refusal { command: Some(command), text: text.into() });
    }
    let mut reply = Reply::new(out, session.resp3);
    let Some(transaction) = &mut session.transaction else { return Next::Continue };
    let owned: OwnedCommand = (command, args.iter().map(|arg| Box::from(*arg)).collect());
    let of_args: usize = args.iter().map(|arg| size_of::<Box<[u8]>>() + arg.len()).sum();
    transaction.queue_bytes += size_of::<OwnedCommand>() + of_args;
    transaction.queue.push(owned);
    show_queue(session);
    reply.simple("QUEUED");
    Next::Continue
}

/// MULTI.
pub fn multi(session: &mut Session, out: &mut Vec<u8>) -> Next {
    let mut reply = Reply::new(out, session.resp3);
    if session.transaction.is_some() {
        reply.error("ERR MULTI calls can not be nested");
    } else {
        session.transaction = Some(Transaction::default());
        show_queue(session);
        reply.ok();
    }
    Next::Continue
}

/// Shows others how much is queued.
fn show_queue(session: &Session) {
    let (count, bytes) =
        session.transaction.as_ref().map_or((-1, 0), |it| (it.queue.len() as i64, it.queue_bytes));
    session.info.queued.store(count, Ordering::Relaxed);
    session.info.kept.queue_bytes.store(bytes, Ordering::Relaxed);
}

/// Ends a transaction without running it: DISCARD, RESET, disconnect.
pub fn abandon(node: &Node, session: &mut Session) {
    session.transaction = None;
    show_queue(session);
    unwatch(&node.keyspace, session);
}

/// DISCARD.
pub fn discard(node: &Node, session: &mut Session, out: &mut Vec<u8>) -> Next {
    if session.transaction.is_none() {
        Reply::new(out, session.resp3).error("ERR DISCARD without MULTI");
        return Next::Continue;
    }
    abandon(node, session);
    Reply::new(out, session.resp3).ok();
    Next::Continue
}

/// WATCH key ….
pub fn watch(node: &Node, session: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Next {
    let mut reply = Reply::new(out, session.resp3);
    if session.transaction.is_some() {
        reply.error("ERR WATCH inside MULTI is not allowed");
        return Next::Continue;
    }
    reply.ok();
    for key in &args[1..] {
        let hash = hash_bytes(key);
        let mut locked = node.keyspace.lock_one(hash);
        let shard = locked.shard_mut(hash);
        let known = session.watches.keys.iter().any(|(db, other, _)| *db == session.db && **other == **key);
        if known {
            continue;
        }
        let entry = shard.db(session.db).get(hash, key);
        let expired = entry.and_then(|e| e.expire_at_ms()).is_some_and(|at| at < session.now_ms);
        let stale = Arc::new(AtomicBool::new(expired));
        shard.watch(session.db, key, &session.watches.flag, &stale);
        session.watches.keys.push((session.db, Box::from(*key), stale));
        session.watches.bytes += WATCH_BYTES + 2 * key.len();
    }
    show_watches(session);
    Next::Continue
}

/// Forgets all watches.
pub fn unwatch(keyspace: &Keyspace, session: &mut Session) {
    let flag = std::mem::take(&mut session.watches.flag);
    for (db, key, _) in session.watches.keys.drain(..) {
        let hash = hash_bytes(&key);
        keyspace.lock_one(hash).shard_mut(hash).unwatch(db, &key, &flag);
    }
    session.watches.bytes = 0;
    show_watches(session);
}

/// Shows others how much is watched.
fn show_watches(session: &Session) {
    session.info.watching.store(session.watches.keys.len(), Ordering::Relaxed);
    session.info.kept.watch_bytes.store(session.watches.bytes, Ordering::Relaxed);
}

/// True when a watched key was changed, or has expired since it was named. The caller holds the watched
/// keys' shards or is about to; a change after this look is one that EXEC's locks put after it.
fn watched_key_changed(session: &Session, locked: &Locked<'_>) -> bool {
    let expired_since = |(db, key, stale): &(u32, Box<[u8]>, Arc<AtomicBool>)| {
        let hash = hash_bytes(key);
        let entry = locked.shard(hash).db(*db).get(hash, key);
        !stale.load(Ordering::Acquire)
            && entry.and_then(|e| e.expire_at_ms()).is_some_and(|at| at < session.now_ms)
    };
    session.watches.flag.load(Ordering::Acquire) || session.watches.keys.iter().any(expired_since)
}

/// EXEC: runs the queue under one set of locks and logs its effects as one unit.
pub fn exec(node: &Arc<Node>, session: &mut Session, out: &mut Vec<u8>) -> Next {
    let Some(transaction) = session.transaction.take() else {
        Reply::new(out, session.resp3).error("ERR EXEC without MULTI");
        return Next::Continue;
    };
    show_queue(session);
    if transaction.broken {
        unwatch(&node.keyspace, session);
        Reply::new(out, session.resp3).error("EXECABORT Transaction discarded because of previous errors.");
        return Next::Continue;
    }
    let needs = transaction.queue.iter().map(|(command, args)| (*command, &args[..]));
    let mut locked = match session.watches.keys.is_empty() {
        true => lock_for_all(&node.keyspace, needs),
        // Watches may lie in any shard, and are looked at under the same locks.
        false => node.keyspace.lock_all(),
    };
    let writes =
        |(command, _): &(&Command, _)| command.has(flags::WRITE) || command.has(flags::MAY_REPLICATE);
    if writes_wait(node, session) && transaction.queue.iter().any(writes) {
        session.transaction = Some(transaction);
        show_queue(session);
        return Next::Paused;
    }
    if watched_key_changed(session, &locked) {
        drop(locked);
        unwatch(&node.keyspace, session);
        Reply::new(out, session.resp3).null_array();
        return Next::Continue;
    }
    // The role may have changed since the commands were queued.
    let refused = transaction.queue.iter().find_map(|(command, _)| acks::refuse(node, session, command));
    if let Some(text) = refused {
        drop(locked);
        unwatch(&node.keyspace, session);
        let detail = text.split_once(' ').map_or("", |(_, rest)| rest);
        let code = text.split(' ').next().unwrap_or("ERR");
        Reply::new(out, session.resp3)
            .error(format!("EXECABORT Transaction discarded because of: {code} {detail}"));
        return Next::Continue;
    }
    let (mut ready, mut close, begun) = (Vec::new(), false, session.tally.begun());
    Reply::new(out, session.resp3).array(transaction.queue.len());
    for (command, args) in &transaction.queue {
        let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
        let mark = out.len();
        // Permissions may have changed since the command was queued, also by one of the queue.
        if session.user.restricted
            && let Some(text) = acl::queued_refusal(node, session, command, &args)
        {
            Reply::new(out, session.resp3).error(text);
            count_error(node, out.get(mark..).unwrap_or_default());
            continue;
        }
        close |= run_queued(node, session, &mut locked, &mut ready, command, &args, out);
        account(node, session, command, &args, out.get(mark..).unwrap_or_default());
    }
    let tracked = append_effects(node, session);
    if tracked || session.acks.wanted > 0 {
        acks::note_transaction(node, session, &transaction.queue, tracked);
    }
    drop(locked);
    events::deliver(node, session);
    unwatch(&node.keyspace, session);
    if !ready.is_empty() {
        super::blocked::serve_ready(node, session, ready);
    }
    session.tally.begin_at(begun);
    if close { Next::Close } else { Next::Continue }
}

/// Runs one command of a transaction; true when the connection is to be closed after it.
fn run_queued<'k>(
    node: &'k Arc<Node>,
    session: &mut Session,
    locked: &mut Locked<'k>,
    ready: &mut Vec<crate::command::context::ReadyKey>,
    command: &'static Command,
    args: &[&[u8]],
    out: &mut Vec<u8>,
) -> bool {
    session.batch_commands += 1;
    let Run::Keyspace(_) = command.run else {
        let mark = out.len();
        let next = commands::run(node, session, command, args, out, Some(locked));
        monitor::tell(node, session, command, args);
        return match next {
            Next::Continue => false,
            Next::Pushed => {
                // EXEC's reply is silenced as a whole, what is pushed is not.
                if matches!(session.reply_mode, ReplyMode::Off | ReplyMode::Skip) {
                    let pushed = out.get(mark..).unwrap_or_default();
                    session.info.mailbox.add_own(Bytes::copy_from_slice(pushed));
                }
                false
            }
            Next::Close => true,
            Next::Later(_) | Next::Paused | Next::Feed(_) | Next::Migrate(_) => {
                let name = full_name(command);
                Reply::new(out, session.resp3).error(format!("ERR {name} is not allowed in transactions"));
                false
            }
        };
    };
    if session.user.restricted && refuses_sort(session, command, args, out) {
        return false;
    }
    let mut call = Ran { node, session, locked, ready, may_block: false };
    let unfinished = run_unlogged(&mut call, command, args, out, NO_HASH);
    tell_observers(node, session, command, args);
    match unfinished {
        None => {}
        Some(Unfinished::Walk(walk)) => walk_at_once(node, session, locked, walk, out),
        Some(Unfinished::Block(block)) => {
            // A handler that is told not to block answers by itself; this is its bug, answered safely.
            debug_assert!(false, "{} blocked in a transaction", command.name);
            let mut reply = Reply::new(out, session.resp3);
            match block.on_timeout {
                TimeoutReply::Null => reply.null(),
                TimeoutReply::NullArray => reply.null_array(),
            }
        }
    }
    false
}
