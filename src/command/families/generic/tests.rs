use crate::command::ExpiryMode;
use crate::command::testing::{Harness, START_MS};
use crate::value::hash_bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn harness() -> Harness {
    let mut harness = Harness::new();
    harness.put_list("list", &["a", "b"]);
    harness
}

#[test]
fn removing_and_counting() {
    let mut h = harness();
    h.check("MSET a 1 b 2", "+OK");
    h.check("EXISTS a b a none", ":3");
    h.check("TOUCH a none list", ":2");
    h.check_effects("DEL a none a", ":1", &["DEL a none a"]);
    h.check_effects("UNLINK list b", ":2", &["UNLINK list b"]);
    assert_eq!(h.dirty, 2);
    h.check_effects("DEL a", ":0", &[]);
    h.check("DBSIZE", ":0");
}

#[test]
fn types() {
    let mut h = harness();
    h.check("SET s v", "+OK");
    h.check("TYPE s", "+string");
    h.check("TYPE list", "+list");
    h.check("TYPE none", "+none");
}

#[test]
fn renaming() {
    let mut h = harness();
    h.check("SET a 1 PX 500", "+OK");
    h.check("RENAME none x", "-ERR no such key");
    h.check_effects("RENAME a a", "+OK", &[]);
    h.check_effects("RENAMENX a list", ":0", &[]);
    h.check_effects("RENAME a list", "+OK", &["RENAME a list"]);
    assert_eq!(h.dirty, 1);
    h.check("GET list", "\"1\"");
    h.check("PTTL list", ":500");
    h.check("EXISTS a", ":0");
    h.check("SET b 2 PX 1", "+OK");
    h.now_ms += 2;
    h.check_effects("RENAMENX list b", ":1", &["DEL b", "RENAMENX list b"]);
    h.check("GET b", "\"1\"");
}

#[test]
fn renaming_wakes_those_who_wait_for_the_name() {
    let mut h = harness();
    let hash = hash_bytes(b"queue");
    h.keyspace.lock_one(hash).shard_mut(hash).await_key(0, b"queue");
    h.check("RENAME list queue", "+OK");
    assert_eq!(h.ready, [(0, Box::from(&b"queue"[..]))]);
}

#[test]
fn copying() {
    let mut h = harness();
    h.check("SET a 1 PX 500", "+OK");
    h.check_effects("COPY a b", ":1", &["COPY a b"]);
    h.check("PTTL b", ":500");
    h.check_effects("COPY list b", ":0", &[]);
    h.check("COPY list b REPLACE", ":1");
    h.check("TYPE b", "+list");
    h.check("COPY a a DB 3", ":1");
    h.check("COPY a a", "-ERR source and destination objects are the same");
    h.check("COPY none x", ":0");
    h.check("COPY a b DB 16", "-ERR DB index is out of range");
    h.check("COPY a b DB", "-ERR syntax error");
    h.check("COPY a b DB x", "-ERR value is not an integer or out of range");
    let range = "-ERR value is out of range, value must between -2147483648 and 2147483647";
    h.check("COPY a b DB 3000000000", range);
    h.db = 3;
    h.check("GET a", "\"1\"");
    h.check("PTTL a", ":500");
}

#[test]
fn moving() {
    let mut h = harness();
    h.check("SET a 1 PX 500", "+OK");
    h.check_effects("MOVE a 2", ":1", &["MOVE a 2"]);
    assert_eq!(h.dirty, 1);
    h.check("MOVE a 2", ":0");
    h.check("MOVE a 0", "-ERR source and destination objects are the same");
    h.check("MOVE a 16", "-ERR DB index is out of range");
    h.check("SET a 2", "+OK");
    h.check_effects("MOVE a 2", ":0", &[]);
    h.now_ms += 501;
    h.check_effects("MOVE a 2", ":1", &["2:DEL a", "MOVE a 2"]);
    h.db = 2;
    h.check("GET a", "\"2\"");
    h.check("TTL a", ":-1");
}

/// All keys that SCAN yields with these options, and the number of calls.
fn scanned(h: &mut Harness, options: &str) -> (Vec<String>, usize) {
    let (mut cursor, mut keys, mut calls) = ("0".to_string(), Vec::new(), 0);
    loop {
        let reply = h.run(&format!("SCAN {cursor} {options}"));
        let inner = reply.strip_prefix("[\"").and_then(|r| r.strip_suffix("]]")).expect("a scan reply");
        let (next, elements) = inner.split_once("\", [").expect("a cursor and elements");
        keys.extend(elements.split(", ").filter(|e| !e.is_empty()).map(|e| e.trim_matches('"').to_string()));
        calls += 1;
        if next == "0" {
            return (keys, calls);
        }
        assert!(next.parse::<u64>().is_ok_and(|c| c < 1 << 48));
        cursor = next.to_string();
    }
}

fn filled(count: usize) -> (Harness, BTreeSet<String>) {
    let mut h = Harness::new();
    let keys: BTreeSet<String> = (0..count).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        h.check(&format!("SET {key} v"), "+OK");
    }
    (h, keys)
}

#[test]
fn scan_yields_every_key_once() {
    let (mut h, keys) = filled(5_000);
    for (options, most_calls) in [("", 600), ("COUNT 100", 60), ("COUNT 100000", 2)] {
        let (found, calls) = scanned(&mut h, options);
        assert_eq!(found.len(), keys.len(), "{options}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), keys, "{options}");
        assert!(calls <= most_calls, "{options}: {calls} calls");
    }
}

#[test]
fn scan_options() {
    let (mut h, _) = filled(100);
    h.put_list("list", &["a"]);
    assert_eq!(scanned(&mut h, "MATCH key:1? COUNT 7").0.len(), 10);
    assert_eq!(scanned(&mut h, "TYPE LIST").0, ["list"]);
    assert_eq!(scanned(&mut h, "TYPE zset").0.len(), 0);
    h.check("PEXPIRE list 5", ":1");
    h.now_ms += 6;
    assert_eq!(scanned(&mut h, "TYPE list").0.len(), 0);
    h.expiry = ExpiryMode::Ignore;
    assert_eq!(scanned(&mut h, "TYPE list").0.len(), 1);
    for line in ["x", "\" 0\"", "18446744073709551616"] {
        h.check(&format!("SCAN {line}"), "-ERR invalid cursor");
    }
    h.check("SCAN 18446744073709551615", "[\"0\", []]");
    for line in ["COUNT 0", "COUNT", "MATCH", "TYPE", "FOO 1"] {
        h.check(&format!("SCAN 0 {line}"), "-ERR syntax error");
    }
}

#[test]
fn keys_by_pattern() {
    let (mut h, keys) = filled(3_000);
    let all = h.run("KEYS *");
    let found: BTreeSet<String> =
        all.trim_matches(['[', ']']).split(", ").map(|k| k.trim_matches('"').to_string()).collect();
    assert_eq!(found, keys);
    h.check("KEYS key:1234", "[\"key:1234\"]");
    h.check("KEYS key:123[4]", "[\"key:1234\"]");
    h.check("KEYS nothing*", "[]");
    h.check("KEYS nothing", "[]");
    h.check("PEXPIRE key:1234 5", ":1");
    h.now_ms += 6;
    h.check("KEYS key:1234", "[]");
    h.check("KEYS key:123[4]", "[]");
}

#[test]
fn keys_replies_of_many_chunks_are_whole() {
    let mut h = Harness::new();
    let padding = "p".repeat(900);
    for n in 0..1_000 {
        h.check(&format!("SET {n}:{padding} v"), "+OK");
    }
    assert_eq!(h.run("KEYS *").matches(&padding).count(), 1_000);
}

#[test]
fn random_keys() {
    let mut h = Harness::new();
    h.check("RANDOMKEY", "nil");
    h.check("MSET a 1 b 2 c 3", "+OK");
    let seen: BTreeSet<String> = (0..200).map(|_| h.run("RANDOMKEY")).collect();
    assert_eq!(seen.len(), 3);
    for n in 0..300 {
        h.check(&format!("SET old:{n} v PX 1"), "+OK");
    }
    h.check("DEL a b", ":2");
    h.now_ms += 2;
    for _ in 0..20 {
        h.check("RANDOMKEY", "\"c\"");
    }
    h.check("DEL c", ":1");
    h.check("RANDOMKEY", "nil");
}

#[test]
fn scans_and_draws_have_expired_keys_removed() {
    let mut h = Harness::new();
    for line in ["SET a v PX 1", "RPUSH b v", "PEXPIRE b 1", "SET other v PX 1", "SET c v"] {
        h.run(line);
    }
    h.now_ms += 2;
    let met = |h: &mut Harness| {
        let met: BTreeSet<_> =
            h.past_due.drain(..).map(|(_, key)| String::from_utf8_lossy(&key).into_owned()).collect();
        met.into_iter().collect::<Vec<_>>().join(" ")
    };
    h.expiry = ExpiryMode::Hide;
    assert_eq!((scanned(&mut h, "COUNT 100").0.join(" "), met(&mut h)), ("c".into(), "".into()));
    h.run("RANDOMKEY");
    assert_eq!(met(&mut h), "");
    h.expiry = ExpiryMode::Delete;
    assert_eq!((scanned(&mut h, "COUNT 100").0.join(" "), met(&mut h)), ("c".into(), "a b other".into()));
    // The pattern counts, and the type does not.
    scanned(&mut h, "MATCH ? TYPE string");
    assert_eq!(met(&mut h), "a b");
    scanned(&mut h, "MATCH ? COUNT 2000");
    assert_eq!(met(&mut h), "a b");
    h.run("DEL c");
    h.check("RANDOMKEY", "nil");
    assert_eq!(met(&mut h), "a b other");
    h.run("KEYS *");
    assert_eq!(met(&mut h), "");
}

#[test]
fn flushing() {
    let mut h = harness();
    h.check("SET a 1", "+OK");
    let (watched, other) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    for (key, flag) in [("a", &watched), ("absent", &other)] {
        let hash = hash_bytes(key.as_bytes());
        h.keyspace.lock_one(hash).shard_mut(hash).watch(0, key.as_bytes(), flag, &Arc::default());
    }
    h.db = 1;
    h.check("SET b 1", "+OK");
    h.check("FLUSHDB FOO", "-ERR syntax error");
    h.check("FLUSHDB SYNC ASYNC", "-ERR syntax error");
    h.check_effects("FLUSHDB sync", "+OK", &["FLUSHDB sync"]);
    assert_eq!(h.dirty, 1);
    h.db = 0;
    h.check("DBSIZE", ":2");
    h.check_effects("FLUSHALL", "+OK", &["FLUSHALL"]);
    h.check("DBSIZE", ":0");
    assert!(watched.load(Ordering::Relaxed) && !other.load(Ordering::Relaxed));
    // An empty primary says it all the same: a replica may hold something.
    h.check_effects("FLUSHALL ASYNC", "+OK", &["FLUSHALL ASYNC"]);
}

#[test]
fn swapping_databases() {
    let mut h = harness();
    let hash = hash_bytes(b"list");
    h.keyspace.lock_one(hash).shard_mut(hash).await_key(1, b"list");
    h.check_effects("SWAPDB 0 1", "+OK", &["SWAPDB 0 1"]);
    assert_eq!(h.ready, [(1, Box::from(&b"list"[..]))]);
    h.check("DBSIZE", ":0");
    h.db = 1;
    h.check("TYPE list", "+list");
    // A database that is exchanged with itself changes nothing for anybody.
    let (changed, stale) = (Arc::new(AtomicBool::new(false)), Arc::default());
    h.keyspace.lock_one(hash).shard_mut(hash).watch(1, b"list", &changed, &stale);
    h.check_effects("SWAPDB 1 1", "+OK", &["SWAPDB 1 1"]);
    assert!(h.ready.len() == 1 && !changed.load(Ordering::Relaxed));
    h.check("TYPE list", "+list");
    h.check("SWAPDB 2 1", "+OK");
    assert!(h.ready.len() == 2 && changed.load(Ordering::Relaxed));
    h.check("SWAPDB 2 1", "+OK");
    h.check("SWAPDB x y", "-ERR invalid first DB index");
    h.check("SWAPDB 99 y", "-ERR invalid second DB index");
    h.check("SWAPDB 0 16", "-ERR DB index is out of range");
    h.check("SWAPDB -1 0", "-ERR DB index is out of range");
}

#[test]
fn object() {
    let mut h = harness();
    h.check("MSET i 9999 j 10000 e short", "+OK");
    h.check(&format!("SET r {}", "x".repeat(45)), "+OK");
    for (key, encoding, refcount) in [
        ("i", "int", i32::MAX),
        ("j", "int", 1),
        ("e", "embstr", 1),
        ("r", "raw", 1),
        ("list", "listpack", 1),
    ] {
        h.check(&format!("OBJECT ENCODING {key}"), &format!("\"{encoding}\""));
        h.check(&format!("OBJECT REFCOUNT {key}"), &format!(":{refcount}"));
    }
    h.settings.shared_integers = false;
    h.check("OBJECT REFCOUNT i", ":1");
    h.check("OBJECT ENCODING none", "nil");
    h.check("OBJECT FREQ none", "nil");
    h.now_ms += 7_000;
    h.check("TYPE i", "+string");
    h.check("OBJECT IDLETIME i", ":7");
    h.check("TOUCH i", ":1");
    h.check("OBJECT IDLETIME i", ":0");
    assert!(h.run("OBJECT FREQ i").starts_with("-ERR An LFU maxmemory policy is not selected"));
    h.settings.lfu = true;
    assert!(h.run("OBJECT IDLETIME i").starts_with("-ERR An LFU maxmemory policy is selected"));
    h.check("SET f 1", "+OK");
    h.check("OBJECT FREQ f", ":5");
    h.check("GET f", "\"1\"");
    h.check("OBJECT FREQ f", ":6");
    h.check("SET f 2", "+OK");
    assert_ne!(h.run("OBJECT FREQ f"), ":5", "the counter survives being overwritten");
    assert!(h.run("OBJECT HELP").contains("ENCODING key"));
    assert_eq!(h.now_ms, START_MS + 7_000);
}

/// What one command brings is counted without what occurs twice in it, as in Redis 7.0.
#[test]
fn repetitions_do_not_change_an_encoding() {
    let mut h = Harness::new();
    (h.settings.limits.hash_max_listpack_entries, h.settings.limits.set_max_intset_entries) = (2, 2);
    h.check("HSET h a 1 a 2 b 3", ":2");
    h.check("OBJECT ENCODING h", "\"listpack\"");
    h.check("SADD s 1 1 2 2", ":2");
    h.check("SADD s 2 2 2", ":0");
    h.check("OBJECT ENCODING s", "\"intset\"");
    h.check("SADD s 3", ":1");
    h.check("OBJECT ENCODING s", "\"hashtable\"");
}
