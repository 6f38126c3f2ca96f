//! CLIENT TRACKING: who keeps copies of which keys, and is told when they change.
//!
//! What a client has read is remembered under the lock of the key's shard, and a change is told of under the same lock: no
//! change slips in between a reply and the note of it. The shards tell of each change whatever makes it, a command, the
//! primary's stream, a time that has come or want of memory ([`Observer`]). While nobody tracks they have nobody to tell, and
//! a reader has nothing to note. Keys go by their names alone, whatever database they are in.
//!
//! Clients that keep copies of all keys with a prefix (BCAST) are told at the end of a batch, in one push, of what it changed.
//!
//! Locks are taken in this order: shards of the keyspace, a part of the table or the prefixes, the trackers, mailboxes.

mod options;
mod session;
#[cfg(test)]
mod tests;
mod underway;

pub use options::Options;
pub use session::{SessionTracking, has_run, was_late, will_be_late};

use super::Node;
use super::clients::ClientInfo;
use super::gate::bits;
use super::mailbox::{Pusher, Shared};
use crate::keyspace::{Locked, Observer};
use crate::resp::reply::Reply;
use crate::value::hash_bytes;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use underway::Underway;

/// log2 of the number of parts of the table of keys.
const PART_BITS: u32 = 5;
/// The channel that RESP2 clients hear of changes on.
const CHANNEL: &[u8] = b"__redis__:invalidate";

thread_local! {
    /// The client whose command runs on this thread, if one that tracks; else 0.
    static RUNNING: Cell<u64> = const { Cell::new(0) };
}

/// A client that tracks.
struct Tracker {
    info: Arc<ClientInfo>,
    /// The client that is told in its place; 0 for none.
    redirect: u64,
    /// It is not told of its own changes.
    noloop: bool,
}

/// Ids of clients in order; most keys have one reader or a few.
type Readers = SmallVec<[u64; 2]>;

/// From so many readers of a key on, those who have gone are looked for now and then.
const MANY_READERS: usize = 64;

/// Keys and their readers.
type Part = HashMap<Box<[u8]>, Readers, ahash::RandomState>;

/// Who is told of all keys that begin so, by the length of the beginning: a key is looked up once for each length there is.
type Prefixes = BTreeMap<usize, ByPrefix>;
type ByPrefix = HashMap<Box<[u8]>, BTreeSet<u64>, ahash::RandomState>;

/// Who is told of changes of what.
#[derive(Default)]
pub struct Tracking {
    trackers: RwLock<HashMap<u64, Tracker, ahash::RandomState>>,
    /// Who has read which keys since they were last changed. Ids of those who have gone are passed over.
    keys: [Mutex<Part>; 1 << PART_BITS],
    prefixes: RwLock<Prefixes>,
    /// Keys that have changed and whose prefixes' clients are still to be told; with each, who changed it first, as in
    /// [`RUNNING`].
    changed: Mutex<BTreeMap<Box<[u8]>, u64>>,
    /// There are some. Changes under their lock.
    has_changed: AtomicBool,
    key_count: AtomicUsize,
    item_count: AtomicUsize,
    /// Where the next key to forget is looked for.
    hand: AtomicUsize,
    underway: Underway,
}

/// Figures for INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackingFigures {
    /// Clients that track.
    pub clients: usize,
    /// Keys in the table.
    pub keys: usize,
    /// Readers of them together.
    pub items: usize,
    /// Prefixes.
    pub prefixes: usize,
}

/// What the shards tell.
struct Observing(Weak<Node>);

impl Observer for Observing {
    fn changed(&self, key: &[u8]) {
        if let Some(node) = self.0.upgrade() {
            node.tracking.changed(&node, key);
        }
    }

    fn everything_changed(&self) {
        if let Some(node) = self.0.upgrade() {
            node.tracking.everything_changed(&node);
        }
    }
}

/// What has changed.
#[derive(Clone, Copy)]
enum Change<'a> {
    Keys(&'a [&'a [u8]]),
    Everything,
}

impl<'a> Change<'a> {
    /// As clients are told of it.
    fn shared(self, underway: &'a Underway) -> Shared<impl Fn(bool) -> Bytes + 'a> {
        Shared::new(move |resp3| underway.count(self.encode(resp3)))
    }

    fn encode(self, resp3: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, resp3);
        if resp3 {
            reply.push(2);
            reply.bulk("invalidate");
        } else {
            reply.push(3);
            reply.bulk("message");
            reply.bulk(CHANNEL);
        }
        match self {
            Change::Keys(keys) => {
                reply.array(keys.len());
                keys.iter().for_each(|key| reply.bulk(key));
            }
            Change::Everything => reply.null(),
        }
        out
    }
}

impl Tracking {
    fn part(&self, key: &[u8]) -> &Mutex<Part> {
        &self.keys[(hash_bytes(key) >> (64 - PART_BITS)) as usize]
    }

    /// Lets a client track from now on, or changes how it does. All shards are held: where it is the first, they tell of
    /// changes from now on.
    fn add(&self, node: &Arc<Node>, all: &mut Locked<'_>, info: &Arc<ClientInfo>, options: &Options) {
        let mut trackers = self.trackers.write();
        if trackers.is_empty() {
            let observer: Arc<dyn Observer> = Arc::new(Observing(Arc::downgrade(node)));
            all.iter_mut().for_each(|(_, shard)| shard.observe(Some(observer.clone())));
            node.gate.set(bits::KEYS_CACHED, true);
        }
        let tracker = Tracker { info: info.clone(), redirect: options.redirect, noloop: options.noloop };
        trackers.insert(info.id, tracker);
        drop(trackers);
        let mut prefixes = self.prefixes.write();
        for prefix in options.prefixes.iter().filter(|_| options.bcast) {
            let of_length = prefixes.entry(prefix.len()).or_default();
            of_length.entry(prefix.clone()).or_default().insert(info.id);
        }
    }

    /// Ends that. All shards are held: where it was the last, they tell nobody any more.
    fn remove(&self, node: &Node, all: &mut Locked<'_>, id: u64) {
        self.prefixes.write().retain(|_, of_length| {
            of_length.retain(|_, clients| {
                clients.remove(&id);
                !clients.is_empty()
            });
            !of_length.is_empty()
        });
        let mut trackers = self.trackers.write();
        trackers.remove(&id);
        if trackers.is_empty() {
            all.iter_mut().for_each(|(_, shard)| shard.observe(None));
            node.gate.set(bits::KEYS_CACHED, false);
            drop(trackers);
            self.forget_all();
        }
    }

    fn forget_all(&self) {
        for part in &self.keys {
            *part.lock() = Part::default();
        }
        let mut changed = self.changed.lock();
        *changed = BTreeMap::new();
        self.has_changed.store(false, Ordering::Release);
        drop(changed);
        self.key_count.store(0, Ordering::Relaxed);
        self.item_count.store(0, Ordering::Relaxed);
    }

    /// Remembers that a client has read a key. Its shard is held.
    fn remember(&self, id: u64, key: &[u8]) {
        let mut part = self.part(key).lock();
        let readers = match part.get_mut(key) {
            Some(readers) => readers,
            None => {
                self.key_count.fetch_add(1, Ordering::Relaxed);
                part.entry(key.into()).or_default()
            }
        };
        let Err(at) = readers.binary_search(&id) else { return };
        let before = readers.len();
        readers.insert(at, id);
        if before >= MANY_READERS && before.is_power_of_two() {
            let trackers = self.trackers.read();
            readers.retain(|id| trackers.contains_key(id));
        }
        // Before the rest: the sum never falls below what it counts.
        self.item_count.fetch_add(1, Ordering::Relaxed);
        self.item_count.fetch_sub(before + 1 - readers.len(), Ordering::Relaxed);
    }

    /// Brings the table under its limit: its readers are told of a key as if it had changed, and it is forgotten.
    fn keep_limit(&self, node: &Node) {
        let most = node.config().tracking_table_max_keys;
        while most > 0 && self.key_count.load(Ordering::Relaxed) as u64 > most {
            let part = &self.keys[self.hand.fetch_add(1, Ordering::Relaxed) % self.keys.len()];
            let found = part.lock().keys().next().cloned();
            if let Some(key) = found {
                self.tell_readers(node, &key);
            }
        }
    }

    /// Tells of a key that has changed. Its shard is held.
    fn changed(&self, node: &Node, key: &[u8]) {
        self.tell_readers(node, key);
        let prefixes = self.prefixes.read();
        let begins_so = |(length, of_length): (&usize, &ByPrefix)| {
            key.get(..*length).is_some_and(|prefix| of_length.contains_key(prefix))
        };
        if prefixes.iter().any(begins_so) {
            let mut changed = self.changed.lock();
            changed.entry(key.into()).or_insert(RUNNING.get());
            self.has_changed.store(true, Ordering::Release);
        }
    }

    /// Tells clients by prefixes of what has changed since this was last done, in one push for each prefix.
    pub fn tell_of_prefixes(&self, node: &Node) {
        if !self.has_changed.load(Ordering::Acquire) {
            return;
        }
        let mut changed = self.changed.lock();
        let changed_keys = std::mem::take(&mut *changed);
        self.has_changed.store(false, Ordering::Release);
        drop(changed);
        let prefixes = self.prefixes.read();
        for (length, of_length) in prefixes.iter() {
            let mut by_prefix: BTreeMap<&[u8], Vec<(&[u8], u64)>> = BTreeMap::new();
            for (key, by) in &changed_keys {
                if let Some(prefix) = key.get(..*length).filter(|prefix| of_length.contains_key(*prefix)) {
                    by_prefix.entry(prefix).or_default().push((key, *by));
                }
            }
            for (prefix, keys) in by_prefix {
                self.tell_of_prefix(node, of_length.get(prefix).into_iter().flatten(), &keys);
            }
        }
    }

    /// Tells some clients of keys, each with who changed it.
    fn tell_of_prefix<'a>(&self, node: &Node, ids: impl Iterator<Item = &'a u64>, keys: &[(&[u8], u64)]) {
        let pusher = Pusher::new(node);
        let trackers = self.trackers.read();
        let all: Vec<&[u8]> = keys.iter().map(|(key, _)| *key).collect();
        let mut of_all = Change::Keys(&all).shared(&self.underway);
        for tracker in ids.filter_map(|id| trackers.get(id)) {
            let is_own = |(_, by): &&(&[u8], u64)| tracker.noloop && *by == tracker.info.id;
            if !keys.iter().any(|key| is_own(&key)) {
                tell_one(node, &pusher, tracker, &mut of_all);
                continue;
            }
            let others: Vec<&[u8]> = keys.iter().filter(|key| !is_own(key)).map(|(key, _)| *key).collect();
            if !others.is_empty() {
                tell_one(node, &pusher, tracker, &mut Change::Keys(&others).shared(&self.underway));
            }
        }
    }

    fn tell_readers(&self, node: &Node, key: &[u8]) {
        let Some(readers) = self.part(key).lock().remove(key) else { return };
        self.key_count.fetch_sub(1, Ordering::Relaxed);
        self.item_count.fetch_sub(readers.len(), Ordering::Relaxed);
        self.tell(node, readers.into_iter(), Change::Keys(&[key]));
    }

    /// Tells everybody that nothing is as it was. All shards are held.
    fn everything_changed(&self, node: &Node) {
        self.forget_all();
        let all: Vec<u64> = self.trackers.read().keys().copied().collect();
        self.tell(node, all.into_iter(), Change::Everything);
    }

    fn tell(&self, node: &Node, ids: impl Iterator<Item = u64>, change: Change<'_>) {
        let mut ids = ids.peekable();
        if ids.peek().is_none() {
            return;
        }
        let pusher = Pusher::new(node);
        let mut telling = change.shared(&self.underway);
        let trackers = self.trackers.read();
        for tracker in ids.filter_map(|id| trackers.get(&id)) {
            let own = RUNNING.get() == tracker.info.id;
            if !(own && tracker.noloop && matches!(change, Change::Keys(_))) {
                tell_one(node, &pusher, tracker, &mut telling);
            }
        }
    }

    /// Bytes of pushes that their clients' connections have not taken yet.
    pub fn underway_bytes(&self) -> u64 {
        self.underway.bytes()
    }

    /// Figures.
    pub fn figures(&self) -> TrackingFigures {
        TrackingFigures {
            clients: self.trackers.read().len(),
            keys: self.key_count.load(Ordering::Relaxed),
            items: self.item_count.load(Ordering::Relaxed),
            prefixes: self.prefixes.read().values().map(HashMap::len).sum(),
        }
    }
}

fn tell_one(
    node: &Node,
    pusher: &Pusher<'_>,
    tracker: &Tracker,
    telling: &mut Shared<impl Fn(bool) -> Bytes>,
) {
    let info = &tracker.info;
    if tracker.redirect == 0 {
        // RESP2 cannot tell a push from a reply; such a client hears nothing.
        if info.resp.load(Ordering::Relaxed) == 3 {
            pusher.push(info, |resp3| telling.get(resp3));
        }
        return;
    }
    let Some(target) = node.clients.get(tracker.redirect) else {
        info.redirect_broken.store(true, Ordering::Relaxed);
        if info.resp.load(Ordering::Relaxed) == 3 {
            pusher.push(info, |_| broken_redirect(tracker.redirect));
        }
        return;
    };
    if target.resp.load(Ordering::Relaxed) == 3 || target.is_subscriber() {
        pusher.push(&target, |resp3| telling.get(resp3));
    }
}

fn broken_redirect(id: u64) -> Bytes {
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, true);
    reply.push(2);
    reply.bulk("tracking-redir-broken");
    reply.int(id as i64);
    Bytes::from(out)
}
