//! Keys of a writable replica that its own clients gave a time.
//!
//! A replica removes nothing by itself: its primary says when a key goes. Of a key that the replica's own clients wrote the
//! primary knows nothing and will say nothing, so the replica remembers which those are, and removes them itself when
//! their time has come, as stock servers do. It does so only while a key has the very time that the client gave it: one
//! that the primary has written since is the primary's.

use super::events;
use super::gate::bits;
use super::node::Node;
use super::stats::add;
use crate::command::EventClass;
use crate::command::context::release;
use crate::command::locking::each_key;
use crate::command::table::Command;
use crate::keyspace::db::locate;
use crate::keyspace::{Entry, Locked};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most keys that are remembered. Those beyond are hidden when their time comes, and stay until they are written again.
const KEYS_MAX: usize = 1 << 20;
/// Keys that are looked at before others are served.
const SLICE_KEYS: usize = 256;

type Times = HashMap<(u32, Box<[u8]>), i64>;

/// Which keys, and when each is to go, unix ms.
#[derive(Default)]
pub struct OwnKeys {
    times: Mutex<Times>,
    any: AtomicBool,
}

impl OwnKeys {
    /// Remembers those of the keys that a client's command wrote which have a time now. The caller holds their shards.
    #[cold]
    pub(super) fn note(&self, locked: &Locked<'_>, db: u32, command: &Command, args: &[&[u8]]) {
        each_key(command, args, |key| {
            let (_, hash) = locate(key);
            let Some(at_ms) = locked.shard(hash).db(db).get(hash, key).and_then(Entry::expire_at_ms) else {
                return;
            };
            let mut times = self.times.lock();
            if times.len() < KEYS_MAX || times.contains_key(&(db, Box::from(key))) {
                times.insert((db, key.into()), at_ms);
                self.any.store(true, Ordering::Release);
            }
        });
    }

    /// Keys that are remembered.
    pub fn len(&self) -> usize {
        self.times.lock().len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    /// Keys whose time has come at `now_ms`; they are forgotten, and so is everything when the node is no replica any more.
    fn take_due(&self, now_ms: i64, is_replica: bool) -> Vec<(u32, Box<[u8]>, i64)> {
        let mut times = self.times.lock();
        let due = match is_replica {
            true => {
                times.extract_if(|_, at_ms| *at_ms < now_ms).map(|((db, key), at)| (db, key, at)).collect()
            }
            false => {
                *times = Times::new();
                Vec::new()
            }
        };
        self.any.store(!times.is_empty(), Ordering::Release);
        due
    }

    fn put_back(&self, (db, key, at_ms): (u32, Box<[u8]>, i64)) {
        self.times.lock().entry((db, key)).or_insert(at_ms);
        self.any.store(true, Ordering::Release);
    }
}

/// Removes the keys that are due; others are served in between.
pub(super) async fn remove_due(node: &Node) {
    if node.own_keys.is_empty() {
        return;
    }
    let due = node.own_keys.take_due(node.now_ms(), node.gate.has(bits::REPLICA));
    for (number, key) in due.into_iter().enumerate() {
        remove(node, key);
        if number % SLICE_KEYS == SLICE_KEYS - 1 {
            node.tell_of_changes();
            tokio::task::yield_now().await;
        }
    }
    node.tell_of_changes();
}

/// Removes one key, if it still has that time. Nothing is logged: the primary's history knows nothing of it.
fn remove(node: &Node, (db, key, at_ms): (u32, Box<[u8]>, i64)) {
    let (_, hash) = locate(&key);
    let mut locked = node.keyspace.lock_one(hash);
    let shard = locked.shard_mut(hash);
    let is_own = shard.db(db).get(hash, &key).and_then(Entry::expire_at_ms) == Some(at_ms);
    // Under the lock: a change of role takes them all, and then the node's own expiry finds the key.
    if !is_own || !node.gate.has(bits::REPLICA) {
        return;
    }
    // A sync's snapshot must have taken all of it in first.
    if shard.db(db).is_held(hash, &key) {
        drop(locked);
        return node.own_keys.put_back((db, key, at_ms));
    }
    if let Some(entry) = shard.db_mut(db).remove(hash, &key) {
        shard.touched(db, &key);
        let told = events::line_up_each(node, db, EventClass::Expired, "expired", std::iter::once(&key[..]));
        drop(locked);
        if told {
            node.pubsub.deliver_events(node);
        }
        add(&node.stats.expired_keys, 1);
        release(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::registry;
    use crate::server::config::Config;

    fn put(node: &Node, key: &[u8], expire_at_ms: i64) {
        let hash = locate(key).1;
        let entry = Entry::new_string(key, b"value", Some(expire_at_ms));
        let mut locked = node.keyspace.lock_one(hash);
        let db = locked.shard_mut(hash).db_mut(2);
        db.remove(hash, key);
        db.insert(hash, entry);
    }

    fn note(node: &Node, key: &[u8]) {
        let command = registry::find(b"set").expect("SET");
        node.own_keys.note(&node.keyspace.lock_all(), 2, command, &[b"SET", key, b"value"]);
    }

    fn remove_all(node: &Node) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(remove_due(node));
    }

    #[test]
    fn own_keys_go_and_the_primarys_stay() {
        let node = Node::new(Config::default());
        node.gate.set(bits::REPLICA, true);
        let past = node.now_ms() - 1_000;
        for key in [&b"own"[..], b"taken over", b"later"] {
            put(&node, key, if key == b"later" { past + 1_000_000 } else { past });
            note(&node, key);
        }
        put(&node, b"of the primary", past);
        put(&node, b"taken over", past - 1);
        remove_all(&node);
        assert_eq!((node.keyspace.len(2), node.own_keys.len(), node.log.end()), (3, 1, 0));
        assert_eq!(node.stats.expired_keys.load(Ordering::Relaxed), 1);
        // A primary expires all keys by itself.
        node.gate.set(bits::REPLICA, false);
        remove_all(&node);
        assert_eq!((node.keyspace.len(2), node.own_keys.is_empty()), (3, true));
    }
}
