//! Keys that go without a command of theirs: removed, logged, and those told who watch them or wait for them.

use super::Node;
use super::blocked::{awaited_streams, serve_ready_of_node};
use super::cron::log_removals;
use super::events;
use super::gate::bits;
use super::stats::add;
use crate::command::EventClass;
use crate::command::context::{PastDue, release};
use crate::keyspace::db::locate;
use crate::keyspace::{Entry, Locked};

/// Removes a key, whose shard is held, logs that as a command of this name, and tells of this event.
pub(super) fn remove_key(
    node: &Node,
    mut locked: Locked<'_>,
    hash: u64,
    (db, key): (u32, &[u8]),
    word: &[u8],
    (class, event): (EventClass, &'static str),
) -> Option<Entry> {
    let shard = locked.shard_mut(hash);
    let entry = shard.db_mut(db).remove(hash, key)?;
    log_removals(node, shard, db, std::slice::from_ref(&entry), word);
    let awaited = awaited_streams(shard, db, std::slice::from_ref(&entry));
    let told = events::line_up_each(node, db, class, event, std::iter::once(key));
    drop(locked);
    if told {
        node.pubsub.deliver_events(node);
    }
    serve_ready_of_node(node, awaited);
    Some(entry)
}

/// Removes keys that a command without locks met past their time, as far as they still are. The caller holds no lock.
pub(super) fn remove_past_due(node: &Node, met: &mut Vec<PastDue>) {
    for (db, key) in met.drain(..) {
        let (_, hash) = locate(&key);
        let locked = node.keyspace.lock_one(hash);
        // Under the lock: a change of role takes them all.
        if node.gate.has(bits::NO_REMOVALS) {
            continue;
        }
        // Where a sync's snapshot would have to take all of it in first, the periodic work removes it later.
        if locked.shard(hash).db(db).is_held(hash, &key) {
            continue;
        }
        let expire_at_ms = locked.shard(hash).db(db).get(hash, &key).and_then(Entry::expire_at_ms);
        if expire_at_ms.is_none_or(|at| at >= node.now_ms()) {
            continue;
        }
        let word: &[u8] = if node.settings().lazy_expire { b"UNLINK" } else { b"DEL" };
        let event = (EventClass::Expired, "expired");
        if let Some(entry) = remove_key(node, locked, hash, (db, &key), word, event) {
            add(&node.stats.expired_keys, 1);
            release(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::Config;
    use std::sync::atomic::Ordering;

    fn put(node: &Node, key: &[u8], expire_at_ms: Option<i64>) {
        let (_, hash) = locate(key);
        let entry = Entry::new_string(key, b"value", expire_at_ms);
        node.keyspace.lock_one(hash).shard_mut(hash).db_mut(1).insert(hash, entry);
    }

    #[test]
    fn what_is_past_due_is_looked_at_again() {
        let node = Node::new(Config::default());
        let (past, future) = (node.now_ms() - 10, node.now_ms() + 1_000_000);
        put(&node, b"due", Some(past));
        put(&node, b"prolonged", Some(future));
        put(&node, b"persisted", None);
        let names = [&b"due"[..], b"due", b"prolonged", b"persisted", b"gone"];
        let met = || names.iter().map(|name| (1, Box::from(*name))).collect::<Vec<_>>();
        node.gate.set(bits::REPLICA, true);
        remove_past_due(&node, &mut met());
        assert_eq!((node.keyspace.len(1), node.log.end()), (3, 0), "a replica removes nothing by itself");
        node.gate.set(bits::REPLICA, false);
        let mut met = met();
        remove_past_due(&node, &mut met);
        assert_eq!((node.keyspace.len(1), met.len()), (2, 0));
        assert_eq!(node.stats.expired_keys.load(Ordering::Relaxed), 1);
        let logged = b"*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n*2\r\n$3\r\nDEL\r\n$3\r\ndue\r\n";
        assert_eq!(node.log.end(), logged.len() as u64);
    }
}
