//! What happens at `maxmemory`: keys go, or writes are refused.
//!
//! Asking the allocator what is in use is too dear for every command. So each serving thread tells how much it has
//! allocated, net, since it last said so; once the sum uses up a *budget*, the next command that needs memory asks
//! the allocator, and evicts. Keys are evicted a little ahead of the limit, so that what is allocated until the next
//! look does not pass it.
//!
//! Which key goes is decided as Redis does it: a few keys are drawn at random, the best of them join a pool of the best
//! seen so far, and the best of the pool that still qualifies is evicted.

use super::Node;
use super::client_eviction;
use super::config::MaxmemoryPolicy;
use super::gate::bits;
use super::latency::{self, Event};
use super::removal::remove_key;
use super::replication::Replica;
use super::stats::add;
use crate::base::random::Rng;
use crate::command::access::{lfu_count, lru_idle_s};
use crate::command::context::release;
use crate::command::families::memory_usage::{DEFAULT_SAMPLES, entry_bytes};
use crate::command::{EventClass, Settings};
use crate::keyspace::db::locate;
use crate::keyspace::{Db, Entry, SHARD_COUNT};
use crate::sys::memory::thread_net_bytes;
use parking_lot::Mutex;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Candidates kept from one eviction to the next.
const POOL_MAX: usize = 16;
/// Keys evicted at one go on a serving thread at the default `maxmemory-eviction-tenacity`; what is left to evict is done by
/// the commands that follow.
const KEYS_AT_ONCE: usize = 64;
/// The least and the most that may be allocated from one look at the allocator to the next, in bytes.
const BUDGET_BYTES: std::ops::RangeInclusive<u64> = 1 << 10..=1 << 20;
/// Draws for one key that qualifies, before the keys are gone through one after the other.
const DRAWS_A_SAMPLE: u32 = 8;

/// A key that may go; the greater `score`, the sooner.
struct Candidate {
    score: u64,
    db: u32,
    key: Box<[u8]>,
}

/// State of the eviction.
pub struct Eviction {
    on: AtomicBool,
    /// Bytes allocated, net, since the allocator was last asked.
    grown: AtomicI64,
    /// How many may be.
    budget: AtomicI64,
    work: Mutex<Work>,
}

struct Work {
    pool: Vec<Candidate>,
    rng: Rng,
}

impl Eviction {
    /// Nothing is known yet. `on`: there is a limit.
    pub fn new(on: bool) -> Eviction {
        let work = Mutex::new(Work { pool: Vec::new(), rng: Rng::from_os() });
        Eviction { on: AtomicBool::new(on), grown: AtomicI64::new(0), budget: AtomicI64::new(0), work }
    }

    /// Is there a limit?
    #[inline]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Says whether there is a limit.
    pub fn set_on(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }
}

thread_local! {
    /// [`thread_net_bytes`] when this thread last told.
    static TOLD: Cell<i64> = const { Cell::new(0) };
}

/// Takes in what this thread has allocated since it last did so; called after a write where there is a limit. The
/// caller may hold locks of shards.
#[inline]
pub fn note_growth(node: &Node) {
    let now = thread_net_bytes();
    let grown = now - TOLD.replace(now);
    let eviction = &node.eviction;
    if eviction.grown.fetch_add(grown, Ordering::Relaxed) + grown > eviction.budget.load(Ordering::Relaxed) {
        node.gate.set(bits::MEMORY_DUE, true);
    }
}

/// What one look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// There is room.
    Enough,
    /// Keys went, and more must go.
    Making,
    /// There is none, and no key may go.
    None,
}

/// Keys evicted at one go, by `maxmemory-eviction-tenacity`: as Redis's limit of time does, the number rises in proportion up to
/// the default of 10, then by 15 % a step, and at 100 there is none.
fn keys_at_once(tenacity: u32) -> usize {
    match tenacity {
        0..=10 => (KEYS_AT_ONCE * tenacity as usize / 10).max(1),
        11..100 => (KEYS_AT_ONCE as f64 * 1.15_f64.powi(tenacity as i32 - 10)) as usize,
        _ => usize::MAX,
    }
}

/// Looks at the memory in use, and evicts up to [`keys_at_once`] keys if it is too much. Opens or closes the gate for
/// commands that need memory. The caller holds no lock.
pub fn make_room(node: &Node) -> Room {
    let config = node.config();
    let limit = config.maxmemory_bytes;
    // A replica takes what its primary sends, whatever the limit, and only its primary evicts.
    if limit == 0 || node.gate.has(bits::NO_REMOVALS) {
        return settle(node, Room::Enough);
    }
    let Some(mut work) = node.eviction.work.try_lock() else {
        // Another thread is at it.
        return Room::Making;
    };
    // Clients go before keys do.
    client_eviction::make_room(node);
    let backlog_bytes = config.repl_backlog_size_bytes;
    let (figures, not_counted) = node.memory.sample_beside(|| not_counted(node, backlog_bytes));
    let used = figures.allocated.saturating_sub(not_counted);
    node.eviction.grown.store(0, Ordering::Relaxed);
    let policy = config.maxmemory_policy;
    let ahead = (limit / 1024).clamp(*BUDGET_BYTES.start(), *BUDGET_BYTES.end());
    if policy == MaxmemoryPolicy::NoEviction {
        let left = limit.saturating_sub(used);
        node.eviction.budget.store((left / 2).min(1 << 40) as i64, Ordering::Relaxed);
        return settle(node, if used > limit { Room::None } else { Room::Enough });
    }
    let target = limit.saturating_sub(ahead);
    if used <= target {
        node.eviction.budget.store((target - used + ahead / 2).min(1 << 40) as i64, Ordering::Relaxed);
        return settle(node, Room::Enough);
    }
    node.eviction.budget.store((ahead / 2) as i64, Ordering::Relaxed);
    let at_once = keys_at_once(config.maxmemory_eviction_tenacity);
    let (mut to_free, mut gone) = (used - target, 0);
    let begun = node.latency.begin();
    while to_free > 0 && gone < at_once {
        let Some(freed) = evict_one(node, policy, config.maxmemory_samples, &mut work) else {
            latency::end(node, Event::EvictionCycle, begun);
            return settle(node, if used > limit { Room::None } else { Room::Enough });
        };
        to_free = to_free.saturating_sub(freed as u64);
        gone += 1;
    }
    node.tell_of_changes();
    latency::end(node, Event::EvictionCycle, begun);
    settle(node, if to_free > 0 { Room::Making } else { Room::Enough })
}

/// What is allocated and not held against the limit, in bytes: what goes by itself, or would grow with each key that went.
pub(super) fn not_counted(node: &Node, backlog_bytes: u64) -> u64 {
    let of_clients = node.client_memory.leaving_bytes() + node.tracking.underway_bytes();
    held_for_readers(node, backlog_bytes) + of_clients
}

/// What is held because a replica or the disk is behind: by the log, beyond the backlog, and by the connections of
/// replicas. It does not count: keys that went for it would make the log longer still, until none was left.
pub(super) fn held_for_readers(node: &Node, backlog_bytes: u64) -> u64 {
    let of_connection = |replica: &Arc<Replica>| replica.client.output_memory_bytes() as u64;
    beyond_backlog(node, backlog_bytes) + node.replicas.list().iter().map(of_connection).sum::<u64>()
}

/// What the log holds beyond the backlog.
pub(super) fn beyond_backlog(node: &Node, backlog_bytes: u64) -> u64 {
    node.log.allocated_bytes().saturating_sub(backlog_bytes)
}

/// Sets the gate by what was found.
fn settle(node: &Node, room: Room) -> Room {
    node.gate.set(bits::MEMORY, room == Room::None);
    // Where there is no room yet each command looks again: a DEL may have made some.
    node.gate.set(bits::MEMORY_DUE, room != Room::Enough);
    room
}

/// Evicts the best candidate and returns about how many bytes that frees; `None` if no key may go.
fn evict_one(node: &Node, policy: MaxmemoryPolicy, samples: u32, work: &mut Work) -> Option<usize> {
    // A candidate of the pool may be gone, or have been used, by now; each try takes one out.
    for _ in 0..=POOL_MAX {
        draw(node, policy, samples, work);
        let best = work.pool.pop()?;
        if let Some(freed) = evict(node, policy, &best) {
            return Some(freed);
        }
    }
    None
}

/// Removes the candidate's key, if it is still there and may still go.
fn evict(node: &Node, policy: MaxmemoryPolicy, candidate: &Candidate) -> Option<usize> {
    let (_, hash) = locate(&candidate.key);
    let locked = node.keyspace.lock_one(hash);
    // Under the lock: a change of role or a pause takes them all, and once CONFIG SET has answered that there is no limit,
    // no key that a client writes afterwards may go.
    if node.gate.has(bits::NO_REMOVALS) || !node.eviction.is_on() {
        return None;
    }
    let entry = locked.shard(hash).db(candidate.db).get(hash, &candidate.key)?;
    if policy.volatile_only() && entry.expire_at_ms().is_none() {
        return None;
    }
    // A sync's snapshot has not got it, and would have to take all of it in now.
    if locked.shard(hash).db(candidate.db).is_held(hash, &candidate.key) {
        return None;
    }
    let word: &[u8] = if node.config().lazyfree_lazy_eviction { b"UNLINK" } else { b"DEL" };
    let event = (EventClass::Evicted, "evicted");
    let begun = node.latency.begin();
    let entry = remove_key(node, locked, hash, (candidate.db, &candidate.key), word, event)?;
    let freed = entry_bytes(&entry, DEFAULT_SAMPLES);
    add(&node.stats.evicted_keys, 1);
    release(entry);
    latency::end(node, Event::EvictionDel, begun);
    Some(freed)
}

/// Draws keys from one shard and puts the best of them into the pool.
fn draw(node: &Node, policy: MaxmemoryPolicy, samples: u32, work: &mut Work) {
    let settings = node.settings();
    let now_ms = node.now_ms();
    let first = work.rng.below(SHARD_COUNT as u64) as usize;
    let mut found = 0;
    // As a rule the first shard has keys; the others are for small data sets.
    for step in 0..SHARD_COUNT {
        let index = (first + step) % SHARD_COUNT;
        let shard = node.keyspace.lock_shard(index);
        for db in 0..node.keyspace.databases() {
            let slice = shard.db(db);
            let qualified = if policy.volatile_only() { slice.expiring() } else { slice.len() };
            if qualified == 0 {
                continue;
            }
            let Work { pool, rng } = work;
            sample(slice, policy, samples, rng, |entry| {
                found += 1;
                let score = score(entry, policy, now_ms, &settings);
                offer(pool, score, db, entry.key());
            });
        }
        if found >= samples {
            return;
        }
    }
}

/// Shows up to `samples` keys that qualify.
fn sample(db: &Db, policy: MaxmemoryPolicy, samples: u32, rng: &mut Rng, mut show: impl FnMut(&Entry)) {
    let qualifies = |entry: &Entry| !policy.volatile_only() || entry.expire_at_ms().is_some();
    let mut shown = 0;
    for _ in 0..samples * DRAWS_A_SAMPLE {
        if let Some(entry) = db.random(|| rng.next_u64()).filter(|entry| qualifies(entry)) {
            show(entry);
            shown += 1;
            if shown == samples {
                return;
            }
        }
    }
    if shown == 0 {
        // Few among many have an expiry: the first that are met must do.
        db.iter().filter(|entry| qualifies(entry)).take(samples as usize).for_each(show);
    }
}

/// How much a key deserves to go.
fn score(entry: &Entry, policy: MaxmemoryPolicy, now_ms: i64, settings: &Settings) -> u64 {
    use MaxmemoryPolicy::*;
    match policy {
        VolatileLru | AllkeysLru => lru_idle_s(entry.access(), now_ms),
        VolatileLfu | AllkeysLfu => u64::from(255 - lfu_count(entry.access(), now_ms, settings).min(255)),
        VolatileTtl => u64::MAX - entry.expire_at_ms().unwrap_or(i64::MAX).max(0) as u64,
        // All alike: the last one drawn goes.
        VolatileRandom | AllkeysRandom | NoEviction => u64::MAX,
    }
}

/// Puts a key into the pool, in its place, unless it is there or the pool is full of better ones. The best is last.
fn offer(pool: &mut Vec<Candidate>, score: u64, db: u32, key: &[u8]) {
    if pool.iter().any(|other| other.db == db && *other.key == *key) {
        return;
    }
    let at = pool.partition_point(|other| other.score <= score);
    if pool.len() == POOL_MAX {
        if at == 0 {
            return;
        }
        pool.remove(0);
        return pool.insert(at - 1, Candidate { score, db, key: key.into() });
    }
    pool.insert(at, Candidate { score, db, key: key.into() });
}

#[cfg(test)]
#[path = "eviction_tests.rs"]
mod tests;
