use super::*;
use crate::base::Rng;
use crate::base::time::ManualClock;
use crate::command::Settings;
use crate::command::digest;
use crate::command::testing::{Harness, START_MS};
use crate::format::rdb::{RdbReader, ReadOptions, Record};
use crate::keyspace::capture::{HEAVY_BYTES, HEAVY_PARTS};
use crate::keyspace::db::locate;
use crate::persistence::load::{Inserting, load_rdb};
use crate::persistence::testing::point;
use std::collections::BTreeMap;

/// Of each key: type, digest, expiry, and the times of fields.
type Contents = BTreeMap<(u32, Vec<u8>), (&'static str, String, Option<i64>, Vec<(Vec<u8>, i64)>)>;

fn contents(keyspace: &Keyspace) -> Contents {
    let mut all = Contents::new();
    for (_, shard) in keyspace.lock_all().iter() {
        for db in 0..keyspace.databases() {
            for entry in shard.db(db).iter() {
                let kind = match entry.value() {
                    ValueRef::Object(value) => value.type_name(),
                    _ => "string",
                };
                let times = entry.hash().into_iter().flat_map(|hash| hash.iter_timed());
                let times = times.filter_map(|(field, _, time)| Some((field.to_vec(), time?)));
                let mut times: Vec<_> = times.collect();
                times.sort();
                let digest = digest::of_value(entry).to_string();
                all.insert((db, entry.key().to_vec()), (kind, digest, entry.expire_at_ms(), times));
            }
        }
    }
    all
}

fn begin(keyspace: &Keyspace, limit_bytes: usize) -> LiveSnapshot {
    let clock = ManualClock::at_ms(START_MS as u64);
    let options = SnapshotOptions { redis_version: "7.0.15".into(), ..SnapshotOptions::default() };
    let at = || Some(point(55));
    LiveSnapshot::begin(keyspace, at, &clock, &options, limit_bytes, Box::new(|| ()))
}

fn loaded(bytes: &[u8]) -> Contents {
    let keyspace = Keyspace::new(16);
    let how = Inserting::new(&Settings::default(), START_MS);
    // Each key may come only once, or this is an error; and the checksum must be right.
    let facts = load_rdb(bytes, &keyspace, &how, |_| ()).expect("a sound snapshot");
    assert_eq!(facts.point, Some(point(55)));
    contents(&keyspace)
}

fn assert_same(found: &Contents, expected: &Contents, what: &str) {
    for (key, value) in expected {
        assert_eq!(found.get(key), Some(value), "{what}: {} {}", key.0, key.1.escape_ascii());
    }
    let extra = found.keys().find(|key| !expected.contains_key(*key));
    assert_eq!(extra, None, "{what}");
}

/// Puts heavy values of every type at keys `heavy:<type>`.
fn put_heavy(harness: &mut Harness) {
    let members: Vec<String> = (0..6 * HEAVY_PARTS).map(|n| format!("member-{n}")).collect();
    for (command, key) in [("SADD", "heavy:set"), ("RPUSH", "heavy:list")] {
        harness.run(&format!("{command} {key} {}", members.join(" ")));
    }
    for n in 0..60 {
        harness.run(&format!("RPUSH heavy:list {}", format!("{n}").repeat(4_000)));
    }
    harness.run(&format!("HSET heavy:hash {}", members.join(" ")));
    harness.run(&format!("HSET heavy:timed {}", members.join(" ")));
    for n in (0..HEAVY_PARTS).step_by(9) {
        let at = harness.now_ms + 1_000 * (n as i64 + 1);
        harness.run(&format!("HPEXPIREAT heavy:timed {at} FIELDS 1 member-{}", 2 * n));
    }
    let scored: Vec<String> = members.iter().enumerate().map(|(n, member)| format!("{n} {member}")).collect();
    harness.run(&format!("ZADD heavy:zset {}", scored.join(" ")));
    harness.run(&format!("SET heavy:string {}", "s".repeat(HEAVY_BYTES + 10)));
    for n in 1..=600 {
        harness.run(&format!("XADD heavy:stream {n}-1 field {}", "v".repeat(500)));
    }
    harness.run("XGROUP CREATE heavy:stream readers 0");
    harness.run("XREADGROUP GROUP readers alice COUNT 300 STREAMS heavy:stream >");
}

/// A random command on one of some keys of every type.
fn traffic(rng: &mut Rng, keys: u64) -> String {
    let n = rng.below(keys);
    let m = rng.below(50);
    let heavy = rng.below(40) == 0;
    let key = |kind: &str| if heavy { format!("heavy:{kind}") } else { format!("{kind}:{n}") };
    match rng.below(34) {
        0..=3 => format!("SET {} value-{m}", key("string")),
        4 => format!("SET {} value-{m} PX {}", key("string"), 1 + rng.below(500)),
        5 => format!("APPEND {} more-{m}", key("string")),
        6 => format!("SETRANGE {} {m} x", key("string")),
        7 => format!("INCR int:{n}"),
        8 => format!("SADD {} member-{m}", key("set")),
        9 => format!("SREM {} member-{m}", key("set")),
        10 => format!("SPOP {}", key("set")),
        11 => format!("HSET {} field-{m} value-{m}", key("hash")),
        12 => format!("HDEL {} member-{m}", key("hash")),
        13 => format!("HSET {} field-{m} value-{m}", key("timed")),
        14 => format!("HPEXPIRE {} {} FIELDS 1 field-{m}", key("timed"), 1 + rng.below(500)),
        15 => format!("HGETALL {}", key("timed")),
        16 => format!("ZADD {} {m} member-{m}", key("zset")),
        17 => format!("ZPOPMIN {}", key("zset")),
        18 => format!("RPUSH {} item-{m}", key("list")),
        19 => format!("LPOP {}", key("list")),
        20 => format!("LSET {} 0 other-{m}", key("list")),
        21 => format!("XADD {} * field {m}", key("stream")),
        22 => format!("XTRIM {} MAXLEN {}", key("stream"), 10 * m),
        23 => "XACK heavy:stream readers 1-1 2-1 3-1 4-1".into(),
        24 => format!("PEXPIRE {} {}", key("set"), 1 + rng.below(500)),
        25 => format!("PERSIST {}", key("string")),
        26 => format!("RENAME {} {}", key("zset"), key("other")),
        27 => format!("COPY {} {} REPLACE", key("hash"), key("copied")),
        28 => format!("MOVE {} {}", key("list"), rng.below(4)),
        29 => format!("DEL {} {}", key("string"), key("stream")),
        30 => format!("GET {}", key("string")),
        31 => format!("SUNIONSTORE {} {} heavy:set", key("set"), key("set")),
        32 => format!("PFADD {} {m}", key("hll")),
        _ => format!("GETEX {} PX {}", key("string"), 1 + rng.below(500)),
    }
}

fn change(harness: &mut Harness, rng: &mut Rng, keys: u64) {
    harness.db = rng.below(4) as u32;
    match rng.below(1_500) {
        0 => harness.run("FLUSHDB"),
        1 => harness.run(&format!("SWAPDB {} {}", rng.below(4), rng.below(4))),
        2 if rng.below(4) == 0 => harness.run("FLUSHALL"),
        3..=100 => {
            harness.now_ms += rng.below(20) as i64;
            String::new()
        }
        101..=110 => {
            let mut shard = harness.keyspace.lock_shard(rng.below(64) as usize);
            let slice = shard.db_mut(harness.db);
            for segment in (0..slice.segment_count()).rev() {
                slice.expire_segment(segment, harness.now_ms, 100, &mut crate::keyspace::Expired::default());
            }
            String::new()
        }
        _ => harness.run(&traffic(rng, keys)),
    };
}

/// Walks to the end with changes in between, and returns the bytes.
fn run(live: &mut LiveSnapshot, harness: &mut Harness, rng: &mut Rng, keys: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let haste = 1 + rng.below(40);
    loop {
        for _ in 0..rng.below(haste) {
            change(harness, rng, keys);
        }
        if rng.below(10) == 0 {
            let key = ["heavy:set", "heavy:zset", "heavy:list"][rng.below(3) as usize].as_bytes();
            let (index, hash) = locate(key);
            harness.keyspace.lock_shard(index).db(harness.db).is_held(hash, key);
        }
        match live.step(&harness.keyspace) {
            Step::Going => {}
            Step::Ended => break,
            Step::Over => panic!("given up"),
        }
        if rng.below(3) == 0 {
            bytes.append(&mut live.take());
        }
    }
    bytes.append(&mut live.take());
    bytes
}

#[test]
fn it_is_the_state_of_its_first_moment_whatever_happens_meanwhile() {
    for seed in 0..5 {
        let mut rng = Rng::from_seed(seed);
        let mut harness = Harness::new();
        let keys = [30, 1_000][seed as usize % 2];
        for db in 0..3 {
            harness.db = db;
            put_heavy(&mut harness);
        }
        for _ in 0..3_000 {
            harness.db = rng.below(4) as u32;
            harness.run(&traffic(&mut rng, keys));
        }
        // Twice, as the first must leave no trace.
        for round in 0..2 {
            let before = contents(&harness.keyspace);
            let mut live = begin(&harness.keyspace, usize::MAX);
            let bytes = run(&mut live, &mut harness, &mut rng, keys);
            assert_same(&loaded(&bytes), &before, &format!("seed {seed} round {round}"));
        }
    }
}

#[test]
fn many_keys_split_their_segments_meanwhile() {
    let mut harness = Harness::new();
    for n in 0..20_000 {
        harness.run(&format!("SET key:{n} {n}"));
    }
    let before = contents(&harness.keyspace);
    let mut live = begin(&harness.keyspace, usize::MAX);
    let (mut bytes, mut n) = (Vec::new(), 20_000);
    while live.step(&harness.keyspace) == Step::Going {
        for _ in 0..300 {
            n += 1;
            harness.run(&format!("SET key:{n} {n}"));
            harness.run(&format!("DEL key:{}", n * 7 % 20_000));
        }
        bytes.append(&mut live.take());
    }
    bytes.append(&mut live.take());
    assert!(n > 30_000);
    assert_same(&loaded(&bytes), &before, "splits");
}

#[test]
fn a_heavy_value_that_goes_half_way_is_whole() {
    let commands = [
        "DEL heavy:set",
        "SADD heavy:set more",
        "RENAME heavy:set other",
        "FLUSHALL",
        "PEXPIRE heavy:set 10",
        "SET heavy:set 1",
        "SWAPDB 0 3",
    ];
    for command in commands {
        let mut harness = Harness::new();
        put_heavy(&mut harness);
        let before = contents(&harness.keyspace);
        let mut live = begin(&harness.keyspace, usize::MAX);
        let (index, hash) = locate(b"heavy:set");
        let asks = || harness.keyspace.lock_shard(index).db(0).is_held(hash, b"heavy:set");
        assert!(asks() && asks());
        for _ in 0..2 {
            assert_eq!(live.step_asked(&harness.keyspace), Step::Going);
        }
        assert!(live.shared.heavy.lock().is_some(), "it is half written");
        harness.run(command);
        let bytes = run(&mut live, &mut harness, &mut Rng::from_seed(1), 10);
        assert_same(&loaded(&bytes), &before, command);
    }
}

#[test]
fn what_is_asked_for_comes_first_and_is_held_no_longer() {
    let mut harness = Harness::new();
    put_heavy(&mut harness);
    let before = contents(&harness.keyspace);
    let mut live = begin(&harness.keyspace, usize::MAX);
    let ask = |key: &[u8]| {
        let (index, hash) = locate(key);
        harness.keyspace.lock_shard(index).db(0).is_held(hash, key)
    };
    assert!(ask(b"heavy:zset") && ask(b"heavy:list") && !ask(b"absent"));
    assert!(live.is_asked());
    while live.step_asked(&harness.keyspace) == Step::Going {}
    assert!(!ask(b"heavy:zset") && !ask(b"heavy:list") && ask(b"heavy:hash"));
    assert_eq!(live.heavy_done(), 2);
    harness.run("DEL heavy:zset");
    let bytes = run(&mut live, &mut harness, &mut Rng::from_seed(1), 10);
    assert_same(&loaded(&bytes), &before, "asked for");
}

#[test]
fn beyond_the_limit_it_is_given_up_and_leaves_no_trace() {
    let mut harness = Harness::new();
    for n in 0..5_000 {
        harness.run(&format!("SET key:{n} {}", "x".repeat(100)));
    }
    put_heavy(&mut harness);
    let mut live = begin(&harness.keyspace, 200_000);
    assert_eq!(live.step(&harness.keyspace), Step::Going);
    for n in 0..2_500 {
        harness.run(&format!("SET key:{n} y"));
    }
    assert_eq!(live.step(&harness.keyspace), Step::Over);
    assert!((200_000..250_000).contains(&live.peak_bytes()), "{}", live.peak_bytes());
    harness.run("SWAPDB 0 2");
    harness.run("FLUSHALL");
    put_heavy(&mut harness);
    harness.run("SET key other");
    while !live.sweep(&harness.keyspace) {}
    let before = contents(&harness.keyspace);
    let mut live = begin(&harness.keyspace, usize::MAX);
    let bytes = run(&mut live, &mut harness, &mut Rng::from_seed(2), 10);
    assert_same(&loaded(&bytes), &before, "the next");
}

#[test]
fn an_empty_keyspace_has_a_snapshot() {
    let mut harness = Harness::new();
    let mut live = begin(&harness.keyspace, usize::MAX);
    harness.run("SET key value");
    let bytes = run(&mut live, &mut harness, &mut Rng::from_seed(3), 10);
    assert_eq!(loaded(&bytes), Contents::new());
    let mut reader = RdbReader::new(&bytes[..], ReadOptions::default());
    while let Some(record) = reader.next_record().unwrap() {
        assert!(!matches!(record, Record::SelectDb(_)));
    }
}

#[test]
fn the_bound_of_a_slice_holds_for_large_databases_and_values() {
    let mut harness = Harness::new();
    for n in 0..3_000 {
        harness.run(&format!("SET key:{n} {}", "x".repeat(5_000)));
    }
    put_heavy(&mut harness);
    let mut live = begin(&harness.keyspace, usize::MAX);
    let mut longest = 0;
    while live.step(&harness.keyspace) == Step::Going {
        longest = longest.max(live.take().len());
    }
    // The last value of a slice may be one that is just not heavy.
    assert!((SLICE_BYTES..2 * SLICE_BYTES + HEAVY_BYTES).contains(&longest), "{longest}");
}
