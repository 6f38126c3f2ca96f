//! Clients that wait in blocking commands, and who wakes them.
//!
//! A waiter is registered under the locks of its keys' shards, so no push can slip in between its empty
//! look and its registration. A command that makes an awaited key ready is followed, on its own thread and
//! after its locks are released, by [`serve_ready`]: the waiters' commands are run again, first come first
//! served, and their replies handed over.

use super::acl::{self, SessionUser};
use super::clients::ClientInfo;
use super::dispatch::{Ran, run_handler};
use super::endpoint::Endpoint;
use super::events;
use super::gate::bits;
use super::latency::{self, Event};
use super::node::Node;
use super::session::Session;
use crate::command::apply::OwnedCommand;
use crate::command::context::ReadyKey;
use crate::command::locking::lock_for;
use crate::command::table::{Block, Command, flags};
use crate::keyspace::{Entry, Locked, Shard, ValueRef};
use crate::resp::reply::Reply;
use crate::value::hash_bytes;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::oneshot;

/// States in which nothing is written for a client that waits.
const NO_SERVING: u32 = bits::READ_ONLY | bits::FENCED | bits::PAUSED;

/// One blocked client.
pub struct Waiter {
    command: OwnedCommand,
    db: u32,
    keys: Vec<Box<[u8]>>,
    resp3: bool,
    /// Who waits, and from where.
    user: Mutex<SessionUser>,
    info: Arc<ClientInfo>,
    /// Whoever sets this first (a waker, the timeout, a disconnect) decides how the wait ends.
    ended: AtomicBool,
    reply: Mutex<Option<oneshot::Sender<Woken>>>,
}

/// What a waker hands over.
pub struct Woken {
    /// The reply's bytes.
    pub reply: Vec<u8>,
    /// The log position of the write it made.
    pub position: u64,
}

impl Waiter {
    /// Claims the end of the wait; true for the first who does. Its caller holds the locks of the waiter's keys: a waker
    /// runs the command between its look at the claim and its own, and what it takes must have someone to go to.
    fn claim(&self, _locked: &Locked<'_>) -> bool {
        !self.ended.swap(true, Ordering::AcqRel)
    }

    fn hashes(&self) -> impl Iterator<Item = u64> + '_ {
        self.keys.iter().map(|key| hash_bytes(key))
    }
}

type Queues = HashMap<(u32, Box<[u8]>), VecDeque<Arc<Waiter>>>;

/// All blocked clients by key.
#[derive(Default)]
pub struct BlockedClients {
    queues: Mutex<Queues>,
    count: AtomicUsize,
    /// Somebody was not served because of the node's state.
    missed: AtomicBool,
}

impl BlockedClients {
    /// How many keys clients wait for, and for how many of these a wait ends also when they go.
    pub fn key_counts(&self) -> (usize, usize) {
        let queues = self.queues.lock();
        let reads_group = |waiter: &Arc<Waiter>| waiter.command.0.name == "xreadgroup";
        (queues.len(), queues.values().filter(|waiters| waiters.iter().any(reads_group)).count())
    }
}

/// A registration; dropping it takes the client off the queues.
pub struct Registration {
    node: Arc<Node>,
    /// The waiter.
    pub waiter: Arc<Waiter>,
    /// Where the reply will come.
    pub woken: oneshot::Receiver<Woken>,
}

impl Registration {
    /// Ends the wait with nothing; false if a waker was first, whose reply is on its way then.
    pub fn give_up(&self) -> bool {
        self.waiter.claim(&self.node.keyspace.lock(self.waiter.hashes()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        unregister(&self.node, &self.waiter);
    }
}

/// Registers a client under the locks that its command holds.
pub fn register(
    node: &Arc<Node>,
    session: &Session,
    command: OwnedCommand,
    block: Block,
    locked: &mut Locked<'_>,
) -> Registration {
    let (sender, woken) = oneshot::channel();
    let waiter = Arc::new(Waiter {
        command,
        db: session.db,
        keys: block.keys,
        resp3: session.resp3,
        user: Mutex::new(session.user.clone()),
        info: session.info.clone(),
        ended: AtomicBool::new(false),
        reply: Mutex::new(Some(sender)),
    });
    let mut queues = node.blocked.queues.lock();
    for key in &waiter.keys {
        locked.shard_mut(hash_bytes(key)).await_key(session.db, key);
        queues.entry((session.db, key.clone())).or_default().push_back(waiter.clone());
    }
    node.blocked.count.fetch_add(1, Ordering::Relaxed);
    Registration { node: node.clone(), waiter, woken }
}

fn unregister(node: &Node, waiter: &Arc<Waiter>) {
    let mut locked = node.keyspace.lock(waiter.hashes());
    waiter.claim(&locked);
    let mut queues = node.blocked.queues.lock();
    for key in &waiter.keys {
        let slot = (waiter.db, key.clone());
        let Some(queue) = queues.get_mut(&slot) else { continue };
        // A key named twice is queued twice; each entry is taken back once.
        let Some(at) = queue.iter().position(|other| Arc::ptr_eq(other, waiter)) else { continue };
        queue.remove(at);
        if queue.is_empty() {
            queues.remove(&slot);
        }
        locked.shard_mut(hash_bytes(key)).unawait_key(waiter.db, key);
    }
    node.blocked.count.fetch_sub(1, Ordering::Relaxed);
}

/// Runs the commands of clients that wait for these keys, until a key has nothing more to give.
/// What those commands make ready (BLMOVE) is served in turn.
pub fn serve_ready(node: &Node, session: &mut Session, ready: Vec<ReadyKey>) {
    // What came before may have taken a while (a long transaction): a key may have expired meanwhile.
    session.now_ms = node.now_ms();
    let mut pending = VecDeque::from(ready);
    while let Some(slot) = pending.pop_front() {
        let waiting: Vec<Arc<Waiter>> = {
            let queues = node.blocked.queues.lock();
            queues.get(&slot).map(|queue| queue.iter().cloned().collect()).unwrap_or_default()
        };
        // Kinds of commands for which the key has nothing left. Others may be waiting for it, too: for a list that it
        // is not, or for the end of the stream that it was.
        let mut exhausted: SmallVec<[&str; 2]> = SmallVec::new();
        for waiter in waiting {
            let group = waiter.command.0.group;
            if exhausted.contains(&group) {
                continue;
            }
            let mut more = Vec::new();
            let begun = node.latency.begin();
            let served = try_waiter(node, session, &waiter, &slot, &mut more);
            if served == Some(true) {
                latency::end(node, Event::CommandUnblocking, begun);
            }
            pending.extend(more);
            if served == Some(false) {
                exhausted.push(group);
            }
        }
    }
}

/// Serves those who were not served when their keys became ready, once the node's state lets it; the cron calls this.
pub fn serve_missed(node: &Node) {
    let blocked = &node.blocked;
    if node.gate.has(NO_SERVING) || !blocked.missed.swap(false, Ordering::AcqRel) {
        return;
    }
    let awaited = blocked.queues.lock().keys().cloned().collect();
    serve_ready_of_node(node, awaited);
}

/// As [`serve_ready`], where it was no client that made the keys ready: the primary's stream, expiry, eviction.
pub fn serve_ready_of_node(node: &Node, ready: Vec<ReadyKey>) {
    if ready.is_empty() {
        return;
    }
    let nowhere = Endpoint::Unix("".into());
    let info = Arc::new(ClientInfo::new(0, nowhere.clone(), nowhere, -1, node.now_ms(), Box::new(|| ())));
    let mut session = Session::new(info, node.settings(), true);
    session.now_ms = node.now_ms();
    serve_ready(node, &mut session, ready);
    node.take_counts(&mut session);
    node.tell_of_changes();
}

/// The keys among these of one database whose streams clients wait for; `shard` held them.
pub fn awaited_streams(shard: &Shard, db: u32, gone: &[Entry]) -> Vec<ReadyKey> {
    let awaited = gone.iter().filter(|entry| entry.is_stream() && shard.is_awaited(db, entry.key()));
    awaited.map(|entry| (db, entry.key().into())).collect()
}

/// Whether a waiter's command can do anything with what a ready key holds: BLPOP goes on waiting when the key becomes
/// a set, although BLPOP of a set is an error. Readers of a group are told whatever becomes of their stream.
fn is_of_use(command: &Command, locked: &Locked<'_>, (db, key): &ReadyKey) -> bool {
    let hash = hash_bytes(key);
    match (command.group, locked.shard(hash).db(*db).get(hash, key).map(Entry::value)) {
        ("list", Some(ValueRef::Object(value))) => value.type_name() == "list",
        ("sorted-set", Some(ValueRef::Object(value))) => value.type_name() == "zset",
        ("stream", Some(ValueRef::Object(value))) if command.name == "xread" => value.type_name() == "stream",
        ("list" | "sorted-set", Some(_)) => false,
        ("stream", Some(_)) => command.name != "xread",
        _ => true,
    }
}

/// Runs one waiter's command because of a ready key: `Some(true)` it was served, `Some(false)` it must go on waiting as
/// there is nothing left, `None` its wait has ended otherwise or the key is of no use to it.
fn try_waiter(
    node: &Node,
    session: &mut Session,
    waiter: &Arc<Waiter>,
    slot: &ReadyKey,
    more: &mut Vec<ReadyKey>,
) -> Option<bool> {
    if waiter.ended.load(Ordering::Acquire) {
        return None;
    }
    let (command, args) = &waiter.command;
    let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
    let (db, resp3) = (session.db, session.resp3);
    (session.db, session.resp3) = (waiter.db, waiter.resp3);
    let mut reply = Vec::new();
    let (mut locked, _) = lock_for(&node.keyspace, command, &args);
    // Looked at and claimed under the locks: a client that gives up must not have an element taken for it. And since the
    // key became ready the role may have changed, which ends all waits by and by, a fence gone up or a pause begun.
    let is_too_late = command.has(flags::WRITE) && node.gate.has(NO_SERVING);
    node.blocked.missed.fetch_or(is_too_late, Ordering::AcqRel);
    let has_ended = waiter.ended.load(Ordering::Acquire) || is_too_late;
    let outcome = if has_ended || !is_of_use(command, &locked, slot) {
        None
    } else if let Some(text) = acl::again_refused(node, &mut waiter.user.lock(), &waiter.info, command, &args)
    {
        Reply::new(&mut reply, waiter.resp3).error(text);
        Some(true)
    } else {
        let mut call = Ran { node, session, locked: &mut locked, ready: more, may_block: true };
        match run_handler(&mut call, command, &args, &mut reply) {
            None => Some(true),
            // What one reader of a stream has seen already another may not have.
            Some(_) if command.group == "stream" => None,
            Some(_) => Some(false),
        }
    };
    if outcome == Some(true) {
        let first = waiter.claim(&locked);
        debug_assert!(first, "the end of a wait is claimed under the locks of its keys");
    }
    let position = node.log.end();
    drop(locked);
    events::deliver(node, session);
    (session.db, session.resp3) = (db, resp3);
    if outcome == Some(true)
        && let Some(sender) = waiter.reply.lock().take()
    {
        // A receiver that is gone has disconnected; its element went the way Redis's would.
        let _ = sender.send(Woken { reply, position });
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::registry;
    use crate::command::testing::Harness;
    use crate::server::config::Config;
    use crate::server::dispatch::{LaterReply, Next, execute};
    use std::sync::Barrier;
    use std::time::Duration;

    fn session(node: &Node) -> Session {
        let nowhere = Endpoint::Unix("".into());
        let info = ClientInfo::new(0, nowhere.clone(), nowhere, -1, 0, Box::new(|| ()));
        Session::new(Arc::new(info), node.settings(), true)
    }

    fn run(node: &Arc<Node>, words: &str) -> Result<String, LaterReply> {
        let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let mut out = Vec::new();
        match execute(node, &mut session(node), &args, &mut out) {
            Next::Later(later) => Err(later),
            _ => Ok(String::from_utf8(out).expect("a reply in ASCII")),
        }
    }

    fn primary() -> Arc<Node> {
        let node = Arc::new(Node::new(Config::default()));
        node.role.set_has_history(true);
        node
    }

    fn answer(later: LaterReply) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        String::from_utf8(runtime.block_on(later)).expect("a reply in ASCII")
    }

    #[test]
    fn a_wait_does_not_end_while_a_waker_may_hold_its_keys() {
        let node = primary();
        let (registered, locked) = (Barrier::new(2), Barrier::new(2));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let Err(later) = run(&node, "BLPOP q 0.001") else { panic!("nothing to pop") };
                registered.wait();
                locked.wait();
                answer(later)
            });
            registered.wait();
            let held = node.keyspace.lock_all();
            locked.wait();
            std::thread::sleep(Duration::from_millis(50));
            assert!(!waiting.is_finished());
            drop(held);
            assert_eq!(waiting.join().expect("no panic"), "*-1\r\n");
        });
    }

    /// Pushes `a` to `q` as a command does that began before the gate's bit was set, and serves who waits.
    fn push_late(node: &Arc<Node>) {
        let mut session = session(node);
        let (command, _) = registry::resolve(&[b"RPUSH"]).expect("a known command");
        let mut locked = node.keyspace.lock_all();
        let (mut reply, mut ready) = (Vec::new(), Vec::new());
        let mut call =
            Ran { node, session: &mut session, locked: &mut locked, ready: &mut ready, may_block: false };
        assert!(run_handler(&mut call, command, &[b"RPUSH", b"q", b"a"], &mut reply).is_none());
        drop(locked);
        assert_eq!(ready, [(0, (*b"q").into())]);
        serve_ready(node, &mut session, ready);
    }

    #[test]
    fn nothing_is_taken_for_a_waiter_while_the_node_takes_no_writes() {
        for bit in [bits::READ_ONLY, bits::FENCED, bits::PAUSED] {
            let node = primary();
            let Err(later) = run(&node, "BLPOP q 0") else { panic!("nothing to pop") };
            node.gate.set(bit, true);
            push_late(&node);
            serve_missed(&node);
            node.gate.set(bit, false);
            assert_eq!(run(&node, "LLEN q").ok().expect("a reply"), ":1\r\n");
            serve_missed(&node);
            assert_eq!(answer(later), "*2\r\n$1\r\nq\r\n$1\r\na\r\n");
        }
    }

    #[test]
    fn a_waiter_ignores_keys_of_other_types() {
        let mut h = Harness::new();
        for line in ["RPUSH list a", "SADD set a", "SET string a", "XADD stream 1 f v"] {
            h.run(line);
        }
        let locked = h.keyspace.lock_all();
        let of_use_to = |name: &str| {
            let (command, _) = registry::resolve(&[name.as_bytes()]).expect("a known command");
            let useful = |key: &&str| is_of_use(command, &locked, &(0, key.as_bytes().into()));
            ["list", "set", "string", "stream", "none"].into_iter().filter(useful).collect::<Vec<_>>()
        };
        assert_eq!(of_use_to("blpop"), ["list", "none"]);
        assert_eq!(of_use_to("xread"), ["stream", "none"]);
        assert_eq!(of_use_to("xreadgroup"), ["list", "set", "string", "stream", "none"]);
    }
}
