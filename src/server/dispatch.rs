//! From a parsed command to its reply: look-up, gate, locks, handler, log.

use super::acl;
use super::blocked::{self, serve_ready};
use super::clients::{ClientInfo, ClientKind};
use super::command_stats::Ended;
use super::commands;
use super::events;
use super::eviction;
use super::gate::bits;
use super::latency;
use super::later;
use super::monitor;
use super::node::Node;
use super::removal::remove_past_due;
use super::replication::acks;
use super::session::Session;
use super::stats::add;
use super::tracking;
use super::transaction;
use crate::command::context::ReadyKey;
use crate::command::error::shown;
use crate::command::locking::{FirstHash, NO_HASH, lock_for};
use crate::command::registry;
use crate::command::table::{Block, Command, Outcome, Run, TimeoutReply, Walk, flags};
use crate::command::{CommandError, Context, ExpiryMode};
use crate::keyspace::Locked;
use crate::resp::reply::Reply;
use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The bytes of a reply that takes a while. It must not be dropped lightly: dropping it is how a client's
/// disconnect ends the wait.
pub type LaterReply = Pin<Box<dyn Future<Output = Vec<u8>>>>;

/// What the connection does after a command.
pub enum Next {
    /// Go on with the next command.
    Continue,
    /// As [`Next::Continue`]; the reply is made of pushes, which CLIENT REPLY does not silence.
    Pushed,
    /// Write what there is and close.
    Close,
    /// Await the reply, then go on.
    Later(LaterReply),
    /// Nothing has been done: run the command again when the pause is over.
    Paused,
    /// The peer is a replica: hand the connection over to the feed.
    Feed(super::replication::FeedStart),
    /// Send keys to another server, and reply how that went.
    Migrate(Box<super::migration::Migration>),
}

/// Runs one command of a client and appends its reply to `out`.
pub fn execute(node: &Arc<Node>, session: &mut Session, args: &[&[u8]], out: &mut Vec<u8>) -> Next {
    session.batch_commands += 1;
    let mark = out.len();
    let command = match admit(node, session, args) {
        Ok(command) => command,
        Err(Refusal { command: None, .. }) if is_http(args[0]) => return hang_up(node, session),
        Err(refusal) => return refuse(node, session, out, refusal),
    };
    if session.transaction.is_some() && !transaction::runs_at_once(command) {
        session.tally.begin();
        return transaction::queue(node, session, command, args, out);
    }
    let next = match command.run {
        Run::Keyspace(_) if session.user.restricted && refuses_sort(session, command, args, out) => {
            Next::Continue
        }
        Run::Keyspace(_) => run_keyspace(node, session, command, args, out),
        _ => {
            let next = commands::run(node, session, command, args, out, None);
            if !matches!(next, Next::Paused) {
                monitor::tell(node, session, command, args);
            }
            next
        }
    };
    session.tracked_command_ended(args);
    match next {
        Next::Later(_) => later::begin(session, command, args),
        Next::Paused => session.batch_commands -= 1,
        _ => account(node, session, command, args, out.get(mark..).unwrap_or_default()),
    }
    next
}

/// Answers a SORT that its user may not run so; false: it may.
#[cold]
pub(super) fn refuses_sort(session: &Session, command: &Command, args: &[&[u8]], out: &mut Vec<u8>) -> bool {
    let text = acl::sort_refusal(session, command, args);
    text.iter().for_each(|text| Reply::new(out, session.resp3).error(text));
    text.is_some()
}

/// Why a command was refused before it ran, and which it was, if it is one at all.
pub struct Refusal {
    /// The table's entry.
    pub command: Option<&'static Command>,
    /// The error, code first.
    pub text: Cow<'static, [u8]>,
}

/// Finds the command that the arguments call, if it may run now.
fn admit(node: &Node, session: &Session, args: &[&[u8]]) -> Result<&'static Command, Refusal> {
    let refused = |command, text: Vec<u8>| Err(Refusal { command, text: text.into() });
    let arity = |command| CommandError::Arity(registry::full_name(command).into()).to_string().into_bytes();
    let Some(mut command) = registry::find(args[0]) else { return refused(None, unknown_command(args)) };
    if !command.sub.is_empty() {
        match args.get(1).map(|name| registry::find_sub(command, name)) {
            Some(Some(sub)) => command = sub,
            Some(None) => return refused(Some(command), unknown_subcommand(args)),
            None if matches!(command.run, Run::Container) => return refused(Some(command), arity(command)),
            None => {}
        }
    }
    if !command.arity_fits(args.len()) {
        return refused(Some(command), arity(command));
    }
    if session.user.restricted
        && let Some(text) = acl::refusal(node, session, command, args)
    {
        return refused(Some(command), text);
    }
    if node.gate.has(bits::MEMORY_DUE) && command.has(flags::DENYOOM) {
        eviction::make_room(node);
    }
    match acks::refuse(node, session, command) {
        Some(Cow::Borrowed(text)) => Err(Refusal { command: Some(command), text: text.as_bytes().into() }),
        Some(Cow::Owned(text)) => refused(Some(command), text.into_bytes()),
        None => Ok(command),
    }
}

/// Counts a command that has run, its time and, where `reply` is one, its error.
#[inline]
pub fn account(node: &Node, session: &mut Session, command: &Command, args: &[&[u8]], reply: &[u8]) {
    let Some(index) = registry::index(command) else { return };
    let failed = reply.first() == Some(&b'-');
    session.last_command = index;
    let took =
        session.tally.end(&node.command_stats, index, if failed { Ended::Failed } else { Ended::Well });
    if failed {
        count_error(node, reply);
    }
    note_if_long(node, session, command, args, took);
}

/// Takes a command that took so many ticks into the slow log and the latency monitor, if it is long.
#[inline]
pub(super) fn note_if_long(node: &Node, session: &Session, command: &Command, args: &[&[u8]], took: u64) {
    if node.latency.is_long(took) {
        latency::note_long(node, session, command, args, took);
    }
}

/// Counts an error reply; `reply` begins with it.
#[cold]
pub(super) fn count_error(node: &Node, reply: &[u8]) {
    add(&node.stats.error_replies, 1);
    let line = reply.split(|byte| *byte == b'\r').next().unwrap_or_default();
    node.command_stats.count_error(line.strip_prefix(b"-").unwrap_or(line));
}

/// Refuses a command before it ran; a transaction that was being queued is broken by it.
pub fn refuse(node: &Node, session: &mut Session, out: &mut Vec<u8>, refusal: Refusal) -> Next {
    add(&node.stats.rejected_calls, 1);
    if let Some(transaction) = &mut session.transaction {
        transaction.broken = true;
    }
    match refusal.command.and_then(registry::index) {
        Some(index) => drop(session.tally.end(&node.command_stats, index, Ended::Refused)),
        None => session.tally.begin(),
    }
    let mark = out.len();
    match refusal.command {
        Some(command) if command.name == "exec" => {
            transaction::abandon(node, session);
            let why = refusal.text.strip_prefix(b"ERR ").unwrap_or(&refusal.text);
            let start = b"EXECABORT Transaction discarded because of: ".as_slice();
            Reply::new(out, session.resp3).error([start, why].concat());
        }
        _ => Reply::new(out, session.resp3).error(&refusal.text),
    }
    count_error(node, out.get(mark..).unwrap_or_default());
    Next::Continue
}

/// Do lines of HTTP begin with this word? A web page can make a browser send a request here whose body holds commands.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// Ends a connection that speaks HTTP before the commands in the body of a request are reached.
#[cold]
fn hang_up(node: &Node, session: &Session) -> Next {
    const BETWEEN_WARNINGS_MS: i64 = 60_000;
    static WARNED_MS: AtomicI64 = AtomicI64::new(i64::MIN);
    let now_ms = node.now_ms();
    let warned_ms = WARNED_MS.load(Ordering::Relaxed);
    if now_ms.saturating_sub(warned_ms) > BETWEEN_WARNINGS_MS
        && WARNED_MS.compare_exchange(warned_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    {
        tracing::warn!(
            client = %session.info.addr,
            "POST or Host: instead of a command: somebody may be using a web browser to attack; the connection is closed"
        );
    }
    Next::Close
}

/// How much of an unknown command, and of its arguments, its error shows, in bytes.
const UNKNOWN_SHOWN_BYTES: usize = 128;

fn unknown_command(args: &[&[u8]]) -> Vec<u8> {
    let name = shown(args[0], UNKNOWN_SHOWN_BYTES);
    let mut text = [b"ERR unknown command '", name, b"', with args beginning with: "].concat();
    let mut room = UNKNOWN_SHOWN_BYTES;
    for arg in &args[1..] {
        if room == 0 {
            break;
        }
        let piece = [b"'", shown(arg, room), b"' "].concat();
        room = room.saturating_sub(piece.len());
        text.extend_from_slice(&piece);
    }
    text
}

fn unknown_subcommand(args: &[&[u8]]) -> Vec<u8> {
    let container = shown(args[0], usize::MAX).to_ascii_uppercase();
    let sub = shown(args[1], UNKNOWN_SHOWN_BYTES);
    [b"ERR unknown subcommand '", sub, b"'. Try ", &container, b" HELP."].concat()
}

/// What a handler runs with, beyond its command.
pub struct Ran<'a, 'k> {
    /// The node.
    pub node: &'k Node,
    /// The client's session.
    pub session: &'a mut Session,
    /// The shards held.
    pub locked: &'a mut Locked<'k>,
    /// Gets the awaited keys that became ready.
    pub ready: &'a mut Vec<ReadyKey>,
    /// Whether the client may be made to wait.
    pub may_block: bool,
}

/// What is left to do after a handler.
pub enum Unfinished {
    /// The client must wait.
    Block(Block),
    /// The walk must be stepped.
    Walk(Box<dyn Walk>),
}

fn expiry_mode(node: &Node) -> ExpiryMode {
    if node.gate.has(bits::REPLICA | bits::PAUSED) { ExpiryMode::Hide } else { ExpiryMode::Delete }
}

/// Runs a keyspace handler under locks that are held, writes its reply, and appends its effects to the log.
/// `None` when it is done.
#[inline]
pub fn run_handler<'k>(
    call: &mut Ran<'_, 'k>,
    command: &Command,
    args: &[&[u8]],
    out: &mut Vec<u8>,
) -> Option<Unfinished> {
    let unfinished = run_unlogged(call, command, args, out, NO_HASH);
    if append_effects(call.node, call.session) {
        acks::note_written(call.node, command, args, call.session.last_write);
    }
    unfinished
}

/// As [`run_handler`], but leaves the effects in the session (for transactions).
pub fn run_unlogged<'k>(
    call: &mut Ran<'_, 'k>,
    command: &Command,
    args: &[&[u8]],
    out: &mut Vec<u8>,
    first_hash: FirstHash,
) -> Option<Unfinished> {
    let Run::Keyspace(handler) = command.run else { return None };
    let session = &mut *call.session;
    let mark = out.len();
    let mut context = Context {
        db: session.db,
        now_ms: session.now_ms,
        keyspace: &call.node.keyspace,
        keys: call.locked,
        reply: Reply::new(out, session.resp3),
        effects: &mut session.effects,
        settings: &session.settings,
        rng: &mut session.rng,
        counts: &mut session.counts,
        no_touch: session.no_touch,
        ready: call.ready,
        past_due: &mut session.past_due,
        expiry: expiry_mode(call.node),
        may_block: call.may_block,
        first_hash,
        dirty: 0,
        logged: false,
    };
    let outcome = handler(&mut context, args);
    let (dirty, logged) = (context.dirty, context.logged);
    if dirty > 0 {
        session.counts.changes += dirty;
        if call.node.gate.has(bits::REPLICA) {
            call.node.own_keys.note(call.locked, session.db, command, args);
        }
        if !logged && command.has(flags::WRITE) {
            session.effects.push(session.db, args);
        }
    }
    match outcome {
        Ok(Outcome::Done) => None,
        Ok(Outcome::Block(block)) => Some(Unfinished::Block(block)),
        Ok(Outcome::Walk(walk)) => Some(Unfinished::Walk(walk)),
        Err(error) => {
            out.truncate(mark);
            Reply::new(out, session.resp3).error(error.reply());
            None
        }
    }
}

/// Appends the session's effects to the log, as one unit, and empties them; its events are put in line, and are to be
/// delivered once the locks are let go. True when something was appended whose position is to be noted, for the sake of
/// durable acks.
#[inline]
pub fn append_effects(node: &Node, session: &mut Session) -> bool {
    if session.effects.has_events() {
        events::line_up(node, session);
    }
    if session.effects.is_empty() {
        return false;
    }
    let tracked = node.gate.has(bits::REPLICA | bits::TRACKED);
    if tracked && node.is_replica() {
        // A writable replica's own writes are no part of the primary's history.
        session.effects.clear();
        return false;
    }
    let count = session.effects.len();
    session.last_write = node.log.append_effects(count, session.effects.iter());
    if node.eviction.is_on() {
        eviction::note_growth(node);
    }
    session.effects.clear();
    tracked
}

/// Tells those who want to know that a command on keys has run; what it locked is held still.
#[inline]
pub(super) fn tell_observers(node: &Node, session: &Session, command: &Command, args: &[&[u8]]) {
    if node.gate.has(bits::MONITORED | bits::KEYS_CACHED) {
        monitor::tell(node, session, command, args);
        tracking::has_run(node, session, command, args);
    }
}

/// Must a client's writes wait for the end of a pause? Good as long as the caller holds a lock.
pub(super) fn writes_wait(node: &Node, session: &Session) -> bool {
    node.gate.has(bits::PAUSED) && session.info.kind() == ClientKind::Normal
}

fn run_keyspace(
    node: &Arc<Node>,
    session: &mut Session,
    command: &'static Command,
    args: &[&[u8]],
    out: &mut Vec<u8>,
) -> Next {
    let mut ready = Vec::new();
    let (mut locked, first_hash) = lock_for(&node.keyspace, command, args);
    // The role may have changed since the look at the gate, a fence gone up or a pause begun. That takes all locks, so now
    // it stays.
    if command.has(flags::WRITE) && node.gate.has(bits::READ_ONLY | bits::FENCED | bits::PAUSED) {
        if let Some(text) = node.gate.refuse(session, command) {
            drop(locked);
            let text = text.into_owned().into_bytes().into();
            return refuse(node, session, out, Refusal { command: Some(command), text });
        }
        if writes_wait(node, session) {
            return Next::Paused;
        }
    }
    let mut call = Ran { node, session, locked: &mut locked, ready: &mut ready, may_block: true };
    let unfinished = run_unlogged(&mut call, command, args, out, first_hash);
    tell_observers(node, session, command, args);
    let tracked = append_effects(node, session);
    if tracked || session.acks.wanted > 0 {
        acks::note(node, session, command, args, first_hash, tracked);
        if unfinished.is_some() {
            acks::hold_later(node, session, command, args);
        }
    }
    if unfinished.is_some() {
        tracking::will_be_late(session, command, args);
    }
    let later = match unfinished {
        None => None,
        Some(Unfinished::Block(mut block)) => {
            let as_given = || args.iter().map(|arg| Box::from(*arg)).collect();
            let owned = (command, block.command.take().unwrap_or_else(as_given));
            Some(blocked_reply(node, session, owned, block, &mut locked))
        }
        Some(Unfinished::Walk(walk)) => Some(walked_reply(node, session, walk)),
    };
    drop(locked);
    events::deliver(node, session);
    if !ready.is_empty() {
        serve_ready(node, session, ready);
    }
    if !session.past_due.is_empty() {
        remove_past_due(node, &mut session.past_due);
    }
    later.map_or(Next::Continue, Next::Later)
}

fn blocked_reply(
    node: &Arc<Node>,
    session: &mut Session,
    command: crate::command::apply::OwnedCommand,
    block: Block,
    locked: &mut Locked<'_>,
) -> LaterReply {
    let (timeout_ms, on_timeout) = (block.timeout_ms, block.on_timeout);
    let registration = blocked::register(node, session, command, block, locked);
    let (node, info, resp3) = (node.clone(), session.info.clone(), session.resp3);
    mark_blocked(&node, &info);
    Box::pin(async move {
        let mut registration = registration;
        let _unblocked = Unmark { node: &node, info: &info };
        let timeout = async {
            match timeout_ms {
                Some(ms) => tokio::time::sleep(std::time::Duration::from_millis(ms)).await,
                None => std::future::pending().await,
            }
        };
        let forced = tokio::select! {
            biased;
            woken = &mut registration.woken => return woken.map(|w| w.reply).unwrap_or_default(),
            how = told_to_end(&info) => how,
            () = timeout => 0,
        };
        if !registration.give_up() {
            // A waker was first: its reply is on its way.
            return (&mut registration.woken).await.map(|w| w.reply).unwrap_or_default();
        }
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, resp3);
        match (unblocked_error(forced), on_timeout) {
            (Some(text), _) => reply.error(text),
            (None, TimeoutReply::Null) => reply.null(),
            (None, TimeoutReply::NullArray) => reply.null_array(),
        }
        out
    })
}

/// Marks a client as blocked, for [`told_to_end`] and [`Unmark`].
pub(super) fn mark_blocked(node: &Node, info: &ClientInfo) {
    // What a CLIENT UNBLOCK left behind that came too late for an earlier wait does not count for this one.
    info.unblock_as.store(0, Ordering::Release);
    node.clients.set_blocked(info, true);
}

/// The error for a client whose wait was ended so, if it is one.
pub(super) fn unblocked_error(how: u32) -> Option<&'static str> {
    match how {
        2 => Some("UNBLOCKED client unblocked via CLIENT UNBLOCK"),
        3 => Some(
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        ),
        _ => None,
    }
}

/// Waits until somebody ends the client's wait, and returns how it is to end.
pub(super) async fn told_to_end(info: &ClientInfo) -> u32 {
    loop {
        info.unblock.notified().await;
        match info.unblock_as.swap(0, Ordering::AcqRel) {
            // Told during an earlier wait.
            0 => {}
            how => return how,
        }
    }
}

/// A client's mark as blocked, which ends with it.
pub(super) struct Unmark<'a> {
    pub(super) node: &'a Node,
    pub(super) info: &'a ClientInfo,
}

impl Drop for Unmark<'_> {
    fn drop(&mut self) {
        self.node.clients.set_blocked(self.info, false);
    }
}

/// Steps a walk on the connection's own thread, letting its other connections in between.
fn walked_reply(node: &Arc<Node>, session: &Session, mut walk: Box<dyn Walk>) -> LaterReply {
    let node = node.clone();
    let mut session = session.for_walk();
    Box::pin(async move {
        let mut out = Vec::new();
        let nothing = &mut Locked::none();
        while !with_context(&node, &mut session, nothing, &mut out, |context| walk.step(context)) {
            remove_past_due(&node, &mut session.past_due);
            tokio::task::yield_now().await;
        }
        with_context(&node, &mut session, nothing, &mut out, |context| walk.finish(context));
        remove_past_due(&node, &mut session.past_due);
        node.take_counts(&mut session);
        out
    })
}

/// Runs a walk from start to end under locks that are held (in a transaction).
pub fn walk_at_once<'k>(
    node: &'k Node,
    session: &mut Session,
    locked: &mut Locked<'k>,
    mut walk: Box<dyn Walk>,
    out: &mut Vec<u8>,
) {
    while !with_context(node, session, locked, out, |context| walk.step(context)) {}
    with_context(node, session, locked, out, |context| walk.finish(context));
}

/// A context outside a handler: nothing that happens in it is logged by itself.
pub fn with_context<'k, R>(
    node: &'k Node,
    session: &mut Session,
    locked: &mut Locked<'k>,
    out: &mut Vec<u8>,
    run: impl FnOnce(&mut Context<'_, 'k>) -> R,
) -> R {
    let mut context = Context {
        db: session.db,
        now_ms: session.now_ms,
        keyspace: &node.keyspace,
        keys: locked,
        reply: Reply::new(out, session.resp3),
        effects: &mut session.effects,
        settings: &session.settings,
        rng: &mut session.rng,
        counts: &mut session.counts,
        no_touch: session.no_touch,
        ready: &mut Vec::new(),
        past_due: &mut session.past_due,
        expiry: expiry_mode(node),
        may_block: false,
        first_hash: NO_HASH,
        dirty: 0,
        logged: true,
    };
    run(&mut context)
}
