//! The periodic work of a node: expiry, sampling, limits, idle clients.

use super::blocked::{awaited_streams, serve_missed, serve_ready_of_node};
use super::client_eviction;
use super::clients::ClientKind;
use super::events;
use super::eviction::{self, Room};
use super::gate::bits;
use super::latency::{self, Event};
use super::mailbox::close_slow_clients;
use super::node::Node;
use super::own_keys;
use super::replication::acks;
use super::stats::add;
use crate::base::time::Clock;
use crate::command::EventClass;
use crate::command::context::release;
use crate::keyspace::{Entry, Expired, ExpiredFields, SHARD_COUNT, Shard};
use crate::resp::command_bytes::write_command;
use crate::sys::ticks;
use crate::value::hash_bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the work is done.
const EVERY: Duration = Duration::from_millis(100);
/// Rounds from one doing of the rarer work to the next.
const ROUNDS_A_SECOND: u64 = 10;
/// Most keys, and fields of hashes, that are removed under one hold of a lock.
const SLICE_KEYS: usize = 128;
/// Most segments that are looked through under one hold of a lock. Together the two keep it well under a millisecond.
const SLICE_SEGMENTS: usize = 4;

/// Runs for ever.
pub async fn run(node: Arc<Node>) {
    let mut rounds = tokio::time::interval(EVERY);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for round in 0u64.. {
        rounds.tick().await;
        if node.cron_paused.load(Ordering::Relaxed) {
            continue;
        }
        node.pause.end_if_due(&node.gate, node.now_ms());
        serve_missed(&node);
        node.rates.sample(&node.stats, node.clock().monotonic_us());
        client_eviction::make_room(&node);
        make_room(&node).await;
        if round % ROUNDS_A_SECOND == 0 {
            node.memory.sample();
            ticks::calibrate();
            node.refine_thresholds();
            close_idle_clients(&node);
            if node.pubsub.is_used() || node.gate.has(bits::MONITORED) {
                close_slow_clients(&node);
            }
        }
        expire_due(&node).await;
        own_keys::remove_due(&node).await;
    }
}

/// Brings the memory in use under its limit, if keys may go for that; others are served in between.
async fn make_room(node: &Node) {
    while eviction::make_room(node) == Room::Making {
        tokio::task::yield_now().await;
    }
}

/// Removes all keys and fields whose time has come, a slice at a time; in between the thread's connections are served.
async fn expire_due(node: &Node) {
    for index in 0..SHARD_COUNT {
        while expire_slice(node, index) {
            tokio::task::yield_now().await;
        }
    }
}

/// May keys be removed because of their expiry? Not where the primary decides, nor where nothing may change.
fn may_expire(node: &Node) -> bool {
    node.active_expiry.load(Ordering::Relaxed) && !node.gate.has(bits::NO_REMOVALS)
}

/// Does a slice of one shard's expiry; true when there may be more to do.
pub(super) fn expire_slice(node: &Node, index: usize) -> bool {
    let (mut gone, mut awaited, mut told) = (Expired::default(), Vec::new(), false);
    let now_ms = node.now_ms();
    let begun = node.latency.begin();
    let mut shard = node.keyspace.lock_shard(index);
    // Under the lock: a change of role takes them all.
    if !may_expire(node) {
        return false;
    }
    let mut segments = 0;
    for db in 0..node.keyspace.databases() {
        let begun = (gone.keys.len(), gone.fields.len());
        expire_in(&mut shard, db, now_ms, &mut segments, &mut gone);
        let word: &[u8] = if node.settings().lazy_expire { b"UNLINK" } else { b"DEL" };
        log_removals(node, &shard, db, &gone.keys[begun.0..], word);
        log_expired_fields(node, &shard, db, &gone.fields[begun.1..]);
        told |= tell_expired(node, &shard, db, &gone.keys[begun.0..], &gone.fields[begun.1..]);
        awaited.extend(awaited_streams(&shard, db, &gone.keys[begun.0..]));
        if gone.count() >= SLICE_KEYS || segments >= SLICE_SEGMENTS {
            break;
        }
    }
    drop(shard);
    if told {
        node.pubsub.deliver_events(node);
    }
    serve_ready_of_node(node, awaited);
    node.tell_of_changes();
    add(&node.stats.expired_keys, gone.keys.len() as u64);
    add(&node.stats.expired_subkeys, gone.field_count as u64);
    gone.keys.into_iter().for_each(release);
    if segments > 0 {
        latency::end(node, Event::ExpireCycle, begun);
    }
    segments > 0 && !gone.held
}

/// Takes expired keys and fields out of one database, as far as the slice allows.
fn expire_in(shard: &mut Shard, db: u32, now_ms: i64, segments: &mut usize, gone: &mut Expired) {
    let slice = shard.db_mut(db);
    if slice.expiring() == 0 && slice.timed() == 0 {
        return;
    }
    for segment in 0..slice.segment_count() {
        if *segments >= SLICE_SEGMENTS || gone.count() >= SLICE_KEYS {
            return;
        }
        if slice.is_segment_due(segment, now_ms) {
            *segments += 1;
            slice.expire_segment(segment, now_ms, SLICE_KEYS, gone);
        }
    }
}

/// Logs the removal of these keys as one command of this name, and raises the flags of those who watch them. The
/// caller holds the shard.
pub(super) fn log_removals(node: &Node, shard: &Shard, db: u32, gone: &[Entry], word: &[u8]) {
    if gone.is_empty() {
        return;
    }
    let mut args = Vec::with_capacity(1 + gone.len());
    args.push(word);
    args.extend(gone.iter().map(Entry::key));
    let mut bytes = Vec::new();
    write_command(&mut bytes, &args);
    let position = node.log.append_effects(1, std::iter::once((db, &bytes[..])));
    acks::note_removed(node, gone.iter().map(Entry::key), position);
    gone.iter().for_each(|entry| shard.touched(db, entry.key()));
}

/// As [`log_removals`], for fields of hashes: an HDEL each hash.
fn log_expired_fields(node: &Node, shard: &Shard, db: u32, gone: &[ExpiredFields]) {
    let mut bytes = Vec::new();
    for hash in gone {
        let mut args: Vec<&[u8]> = vec![b"HDEL", &hash.key];
        args.extend(hash.fields.iter().map(|field| &field[..]));
        bytes.clear();
        write_command(&mut bytes, &args);
        let position = node.log.append_effects(1, std::iter::once((db, &bytes[..])));
        acks::note_removed(node, std::iter::once(&hash.key[..]), position);
        shard.touched(db, &hash.key);
    }
}

/// Puts in line the events of keys and fields that have expired; true if there are some to be delivered.
fn tell_expired(node: &Node, shard: &Shard, db: u32, keys: &[Entry], fields: &[ExpiredFields]) -> bool {
    let mut told =
        events::line_up_each(node, db, EventClass::Expired, "expired", keys.iter().map(Entry::key));
    for hash in fields {
        let key = &hash.key[..];
        told |= events::line_up_each(node, db, EventClass::Hash, "hexpired", std::iter::once(key));
        let is_gone = shard.db(db).get(hash_bytes(key), key).is_none();
        if is_gone {
            told |= events::line_up_each(node, db, EventClass::Generic, "del", std::iter::once(key));
        }
    }
    told
}

/// Closes ordinary clients that have been silent for longer than `timeout`; not those that wait for something.
fn close_idle_clients(node: &Node) {
    let timeout_ms = i64::from(node.config().timeout_seconds) * 1000;
    if timeout_ms == 0 {
        return;
    }
    let now_ms = node.now_ms();
    for client in node.clients.list() {
        let idle_ms = now_ms - client.active_at_ms.load(Ordering::Relaxed);
        let waits = client.blocked.load(Ordering::Acquire) || client.replies_held.load(Ordering::Relaxed);
        if client.kind() == ClientKind::Normal && !waits && !client.is_pushed_to() && idle_ms > timeout_ms {
            tracing::debug!(addr = %client.addr, "closing an idle client");
            node.clients.kill(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::Config;
    use crate::value::{Hash, Limits, Value};
    use std::sync::atomic::AtomicBool;

    fn node() -> Node {
        let node = Node::new(Config::default());
        node.log.keep();
        node
    }

    fn put(node: &Node, db: u32, key: &str, expire_at_ms: Option<i64>) {
        let hash = hash_bytes(key.as_bytes());
        let entry = Entry::new_string(key.as_bytes(), b"value", expire_at_ms);
        node.keyspace.lock_one(hash).shard_mut(hash).db_mut(db).insert(hash, entry);
    }

    fn expire_all(node: &Node) {
        (0..SHARD_COUNT).for_each(|index| while expire_slice(node, index) {});
    }

    fn logged(node: &Node) -> String {
        let id = node.log.add_reader(node.log.start(), 1 << 20, Box::new(|| ())).unwrap();
        let mut bytes = Vec::new();
        while node.log.read(id, &mut bytes, 1 << 20).unwrap() > 0 {}
        node.log.remove_reader(id);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn expired_keys_go_and_are_logged() {
        let node = node();
        let past = Some(node.now_ms() - 1000);
        let future = Some(node.now_ms() + 1_000_000);
        (0..5_000).for_each(|n| put(&node, 0, &format!("past:{n}"), past));
        (0..500).for_each(|n| put(&node, 3, &format!("past:{n}"), past));
        (0..500).for_each(|n| put(&node, 3, &format!("future:{n}"), future));
        put(&node, 0, "forever", None);
        let flag = Arc::new(AtomicBool::new(false));
        let hash = hash_bytes(b"past:7");
        node.keyspace.lock_one(hash).shard_mut(hash).watch(0, b"past:7", &flag, &Arc::default());
        expire_all(&node);
        assert_eq!((node.keyspace.len(0), node.keyspace.len(3)), (1, 500));
        assert_eq!(node.stats.expired_keys.load(Ordering::Relaxed), 5_500);
        assert!(flag.load(Ordering::Acquire));
        let log = logged(&node);
        assert_eq!(log.matches("past:").count(), 5_500);
        assert!(log.contains("\r\nDEL\r\n") && !log.contains("future") && !log.contains("MULTI"));
        let end = node.log.end();
        expire_all(&node);
        assert_eq!(node.log.end(), end);
    }

    /// A hash of `fields` fields, the first `due` of which came due a second ago; a few others will in a while.
    fn put_hash(node: &Node, db: u32, key: &str, fields: usize, due: usize) {
        let mut fields_and_times = Hash::new();
        for n in 0..fields {
            let field = format!("field:{n}");
            fields_and_times.set(field.as_bytes(), b"value", &Limits::default());
            let time = node.now_ms() + if n < due { -1000 } else { 1_000_000 };
            if n < due || n % 10 == 0 {
                fields_and_times.set_time(field.as_bytes(), Some(time));
            }
        }
        let hash = hash_bytes(key.as_bytes());
        let entry = Entry::new(key.as_bytes(), Value::Hash(fields_and_times), None);
        node.keyspace.lock_one(hash).shard_mut(hash).db_mut(db).insert(hash, entry);
    }

    #[test]
    fn expired_fields_go_and_are_logged() {
        let node = node();
        put_hash(&node, 0, "large", 5_000, 4_000);
        put_hash(&node, 0, "all", 300, 300);
        put_hash(&node, 3, "alive", 50, 0);
        (0..500).for_each(|n| put_hash(&node, 3, &format!("small:{n}"), 5, 2));
        put(&node, 0, "forever", None);
        let flag = Arc::new(AtomicBool::new(false));
        let hash = hash_bytes(b"large");
        node.keyspace.lock_one(hash).shard_mut(hash).watch(0, b"large", &flag, &Arc::default());
        expire_all(&node);
        assert_eq!((node.keyspace.len(0), node.keyspace.len(3)), (2, 501));
        assert_eq!(node.stats.expired_subkeys.load(Ordering::Relaxed), 5_300);
        assert_eq!(node.stats.expired_keys.load(Ordering::Relaxed), 0);
        assert!(flag.load(Ordering::Acquire));
        let locked = node.keyspace.lock_one(hash);
        let left = locked.shard(hash).db(0).get(hash, b"large").and_then(Entry::hash).expect("the hash");
        assert_eq!((left.len(), left.at(node.now_ms()).len()), (1_000, 1_000));
        drop(locked);
        let timed =
            |db| node.keyspace.lock_all().iter().map(|(_, shard)| shard.db(db).timed()).sum::<usize>();
        assert_eq!((timed(0), timed(3)), (1, 1));
        let log = logged(&node);
        assert_eq!(log.matches("field:").count(), 5_300);
        assert!(log.contains("\r\nHDEL\r\n") && !log.contains("\r\nDEL\r\n") && !log.contains("MULTI"));
        let end = node.log.end();
        expire_all(&node);
        assert_eq!(node.log.end(), end);
    }

    #[test]
    fn a_slice_that_takes_long_is_noted() {
        let node = node();
        let events = || node.latency.all().into_iter().map(|(event, _)| event).collect::<Vec<_>>();
        let expire_slowly = |threshold_ms: u64| {
            node.change_config(|config| {
                config.latency_monitor_threshold_ms = threshold_ms;
                Ok::<(), ()>(())
            })
            .unwrap();
            put(&node, 0, "k", Some(node.now_ms() - 1000));
            let shard = node.keyspace.lock_one(hash_bytes(b"k"));
            std::thread::scope(|scope| {
                let expiring = scope.spawn(|| expire_all(&node));
                std::thread::sleep(Duration::from_millis(300));
                drop(shard);
                expiring.join().unwrap();
            });
            assert_eq!(node.keyspace.len(0), 0);
        };
        expire_slowly(0);
        assert_eq!(events(), []);
        expire_slowly(1_000_000);
        assert_eq!(events(), []);
        expire_slowly(20);
        assert_eq!(events(), [Event::ExpireCycle]);
    }

    #[test]
    fn nothing_expires_where_it_must_not() {
        let node = node();
        put(&node, 0, "k", Some(node.now_ms() - 1000));
        put_hash(&node, 0, "h", 9, 9);
        for bit in [bits::REPLICA, bits::FENCED, bits::LOADING, bits::PAUSED] {
            node.gate.set(bit, true);
            expire_all(&node);
            node.gate.set(bit, false);
        }
        node.active_expiry.store(false, Ordering::Relaxed);
        expire_all(&node);
        assert_eq!(node.keyspace.len(0), 2);
        assert_eq!(node.stats.expired_subkeys.load(Ordering::Relaxed), 0);
        node.active_expiry.store(true, Ordering::Relaxed);
        expire_all(&node);
        assert_eq!(node.keyspace.len(0), 0);
    }
}
