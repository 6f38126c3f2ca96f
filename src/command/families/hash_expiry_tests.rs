use crate::command::ExpiryMode;
use crate::command::testing::{Harness, START_MS};

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_WORD: &str = "-ERR Mandatory argument FIELDS is missing or not at the right position";
const MISMATCH: &str = "-ERR The `numfields` parameter must match the number of arguments";

/// What the database of the harness counts: hashes with times.
fn timed(h: &Harness) -> usize {
    h.keyspace.lock_all().iter().map(|(_, shard)| shard.db(h.db).timed()).sum()
}

fn with_hash(line: &str) -> Harness {
    let mut h = Harness::new();
    h.run(line);
    h
}

#[test]
fn times_are_set_told_and_taken_away() {
    let mut h = with_hash("HSET h a 1 b 2 c 3");
    let at = START_MS + 10_000;
    h.check_effects(
        "HEXPIRE h 10 FIELDS 3 a none b",
        "[:1, :-2, :1]",
        &[&format!("HPEXPIREAT h {at} FIELDS 2 a b")],
    );
    assert_eq!((h.dirty, timed(&h)), (2, 1));
    h.check("HTTL h FIELDS 4 a b c none", "[:10, :10, :-1, :-2]");
    h.check("HPTTL h FIELDS 1 a", "[:10000]");
    h.check("HPEXPIRETIME h FIELDS 2 a c", &format!("[:{at}, :-1]"));
    h.check("HEXPIRETIME h FIELDS 1 a", &format!("[:{}]", at / 1000));
    // Seconds are rounded up.
    h.check("HPEXPIRE h 1001 fields 1 a", "[:1]");
    h.check("HTTL h FIELDS 1 a", "[:2]");
    h.check("HEXPIRETIME h FIELDS 1 a", &format!("[:{}]", START_MS / 1000 + 2));
    h.check_effects("HPERSIST h FIELDS 3 b c none", "[:1, :-1, :-2]", &["HPERSIST h FIELDS 1 b"]);
    assert_eq!((h.dirty, timed(&h)), (1, 1));
    h.check_effects("HPERSIST h FIELDS 1 a", "[:1]", &["HPERSIST h FIELDS 1 a"]);
    assert_eq!(timed(&h), 0);
    h.check_effects("HPERSIST h FIELDS 1 a", "[:-1]", &[]);
    h.check_effects("HEXPIREAT h 1800000000 FIELDS 1 a", "[:1]", &["HPEXPIREAT h 1800000000000 FIELDS 1 a"]);
    h.check_effects(
        "HPEXPIREAT h 1800000000001 FIELDS 1 a",
        "[:1]",
        &["HPEXPIREAT h 1800000000001 FIELDS 1 a"],
    );
    h.check("HEXPIRETIME h FIELDS 1 a", "[:1800000001]");
}

#[test]
fn conditions() {
    let mut h = with_hash("HSET h a 1 b 2");
    for (line, reply) in [
        ("HEXPIRE h 10 XX FIELDS 1 a", "[:0]"),
        ("HEXPIRE h 10 GT FIELDS 1 a", "[:0]"),
        ("HEXPIRE h 10 LT FIELDS 1 a", "[:1]"),
        ("HEXPIRE h 5 NX FIELDS 2 a b", "[:0, :1]"),
        ("HEXPIRE h 10 GT FIELDS 2 a b", "[:0, :1]"),
        ("HEXPIRE h 10 lt FIELDS 2 a b", "[:0, :0]"),
        ("HEXPIRE h 9 Lt FIELDS 1 a", "[:1]"),
        ("HEXPIRE h 20 XX FIELDS 2 a b", "[:1, :1]"),
        ("HEXPIRE h 0 GT FIELDS 1 a", "[:0]"),
        ("HEXPIRE h 0 LT FIELDS 1 a", "[:2]"),
    ] {
        h.check(line, reply);
    }
    h.check_effects("HEXPIRE h 5 NX FIELDS 1 b", "[:0]", &[]);
    assert_eq!(h.dirty, 0);
}

#[test]
fn a_time_that_has_come_deletes() {
    let mut h = with_hash("HSET h a 1 b 2 c 3");
    h.check_effects("HEXPIRE h 0 FIELDS 3 a none a", "[:2, :-2, :-2]", &["HDEL h a"]);
    assert_eq!((h.dirty, h.counts.expired_fields), (1, 1));
    h.check_effects(&format!("HPEXPIREAT h {START_MS} FIELDS 1 b"), "[:2]", &["HDEL h b"]);
    h.check_effects("HEXPIREAT h 1 FIELDS 1 c", "[:2]", &["HDEL h c"]);
    h.check("EXISTS h", ":0");
    h.check("HEXPIREAT h 1 FIELDS 2 a b", "[:-2, :-2]");
    // Where a log or the primary says it, the time is just noted.
    for mode in [ExpiryMode::Ignore, ExpiryMode::Hide] {
        let mut h = with_hash("HSET h a 1 b 2");
        h.expiry = mode;
        h.check("HPEXPIREAT h 0 FIELDS 1 a", "[:1]");
        h.check("HPEXPIREAT h 7 FIELDS 1 a", if mode == ExpiryMode::Hide { "[:-2]" } else { "[:1]" });
        assert_eq!(timed(&h), 1);
        h.expiry = ExpiryMode::Ignore;
        h.check("HGETALL h", r#"["a", "1", "b", "2"]"#);
    }
}

#[test]
fn refusals() {
    let mut h = with_hash("HSET h a 1");
    h.put_list("l", &["x"]);
    let bad_count = "-ERR Parameter `numFields` should be greater than 0";
    let other_bad_count = "-ERR Number of fields must be a positive integer";
    let (not_int, negative) =
        ("-ERR value is not an integer or out of range", "-ERR invalid expire time, must be >= 0");
    for (line, reply) in [
        ("HEXPIRE l x FIELDS 0 a", WRONG),
        ("HEXPIRE h x FIELDS 1 a", not_int),
        ("HEXPIRE h -1 FIELDS 1 a", negative),
        ("HEXPIRE none -1 FIELDS 1 a", negative),
        ("HEXPIRE h 10 FIELDS 0 a", bad_count),
        ("HEXPIRE h 10 FIELDS x a", bad_count),
        ("HEXPIRE h 10 FIELDS 2 a", MISMATCH),
        ("HEXPIRE h 10 FIELDS 1 a b", MISMATCH),
        ("HEXPIRE h 10 NX FIELDS 1", MISMATCH),
        ("HEXPIRE h 10 FOO FIELDS 1 a", NO_WORD),
        ("HEXPIRE h 10 NX XX FIELDS 1 a", NO_WORD),
        ("HEXPIRE h 70368744177 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command"),
        ("HPEXPIRE h 70368744177663 FIELDS 1 a", "-ERR invalid expire time in 'hpexpire' command"),
        ("HEXPIREAT h 70368744178 FIELDS 1 a", "-ERR invalid expire time in 'hexpireat' command"),
        ("HPEXPIREAT h 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hpexpireat' command"),
        ("HEXPIRE h 9223372036854775807 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command"),
        ("HPEXPIREAT h 70368744177663 FIELDS 1 a", "[:1]"),
        ("HTTL l FOO 1 a", WRONG),
        ("HTTL h FOO 1 a", NO_WORD),
        ("HTTL h FIELDS 0 a", other_bad_count),
        ("HPTTL h FIELDS x a", other_bad_count),
        ("HEXPIRETIME h FIELDS 2 a", MISMATCH),
        ("HPEXPIRETIME none FIELDS 2 a b", "[:-2, :-2]"),
        ("HPERSIST l FIELDS 1 a", WRONG),
        ("HPERSIST h FIELD 1 a", NO_WORD),
        ("HPERSIST h FIELDS -1 a", other_bad_count),
        ("HPERSIST h FIELDS 3 a", MISMATCH),
        ("HPERSIST none FIELDS 1 a", "[:-2]"),
    ] {
        h.check_effects(
            line,
            reply,
            if reply == "[:1]" { &["HPEXPIREAT h 70368744177663 FIELDS 1 a"] } else { &[] },
        );
    }
}

#[test]
fn writes_keep_or_take_away_times() {
    let mut h = with_hash("HSET h a 1 b 2 c 3 d 4");
    let at = START_MS + 10_000;
    h.run("HEXPIRE h 10 FIELDS 4 a b c d");
    h.check_effects("HINCRBY h a 5", ":6", &["HINCRBY h a 5"]);
    h.check_effects(
        "HINCRBYFLOAT h b 0.5",
        r#""2.5""#,
        &["HSET h b 2.5", &format!("HPEXPIREAT h {at} FIELDS 1 b")],
    );
    h.check("HSETNX h c 9", ":0");
    h.check("HTTL h FIELDS 4 a b c d", "[:10, :10, :10, :10]");
    h.check_effects("HSET h a 7", ":0", &["HSET h a 7"]);
    h.check("HMSET h b 7 e 1", "+OK");
    h.check("HTTL h FIELDS 5 a b c d e", "[:-1, :-1, :10, :10, :-1]");
    h.check("HDEL h c", ":1");
    h.check("HSET h c new", ":1");
    h.check("HTTL h FIELDS 1 c", "[:-1]");
    assert_eq!(timed(&h), 1);
    h.run("HDEL h d");
    assert_eq!(timed(&h), 0);
    // So does what replaces the whole key.
    h.run("HEXPIRE h 10 FIELDS 1 a");
    h.run("SET h string");
    assert_eq!(timed(&h), 0);
    h.check("GET h", r#""string""#);
}

#[test]
fn encodings() {
    let mut h = with_hash("HSET h a 1");
    h.check("HEXPIRE h 10 FIELDS 1 none", "[:-2]");
    h.check("OBJECT ENCODING h", r#""listpackex""#);
    h.run("HEXPIRE h 10 FIELDS 1 a");
    h.check("OBJECT ENCODING h", r#""listpackex""#);
    h.run(&format!("HSET h b {}", "x".repeat(65)));
    h.check("OBJECT ENCODING h", r#""hashtable""#);
    h.check("HTTL h FIELDS 2 a b", "[:10, :-1]");
    h.run("HSET many f 1");
    h.check("HTTL many FIELDS 1 f", "[:-1]");
    h.check("HPERSIST many FIELDS 1 f", "[:-1]");
    h.check("OBJECT ENCODING many", r#""listpack""#);
    let pairs: Vec<String> = (0..200).map(|n| format!("f{n} {n}")).collect();
    h.run(&format!("HSET many {}", pairs.join(" ")));
    h.check("HEXPIRE many 10 FIELDS 2 f1 f199", "[:1, :1]");
    h.check("HLEN many", ":201");
    h.now_ms += 10_001;
    h.check("HLEN many", ":199");
    h.check("HMGET many f1 f2 f199", r#"[nil, "2", nil]"#);
}

#[test]
fn fields_that_are_due_are_gone_for_every_reader() {
    for (read, before, after) in [
        ("HGET h a", r#""1""#, "nil"),
        ("HMGET h a b", r#"["1", "2"]"#, r#"[nil, "2"]"#),
        ("HGETALL h", r#"["a", "1", "b", "2"]"#, r#"["b", "2"]"#),
        ("HKEYS h", r#"["a", "b"]"#, r#"["b"]"#),
        ("HVALS h", r#"["1", "2"]"#, r#"["2"]"#),
        ("HLEN h", ":2", ":1"),
        ("HEXISTS h a", ":1", ":0"),
        ("HSTRLEN h a", ":1", ":0"),
        ("HSCAN h 0", r#"["0", ["a", "1", "b", "2"]]"#, r#"["0", ["b", "2"]]"#),
        ("HRANDFIELD h 5", r#"["a", "b"]"#, r#"["b"]"#),
        ("HTTL h FIELDS 2 a b", "[:1, :-1]", "[:-2, :-1]"),
        ("HGETEX h FIELDS 2 a b", r#"["1", "2"]"#, r#"[nil, "2"]"#),
    ] {
        for expiry in [ExpiryMode::Delete, ExpiryMode::Hide, ExpiryMode::Ignore] {
            let mut h = with_hash("HSET h a 1 b 2");
            h.run("HPEXPIRE h 1000 FIELDS 1 a");
            h.expiry = expiry;
            h.now_ms += 1000;
            h.check_effects(read, before.replace(":1, :-1", ":0, :-1").as_str(), &[]);
            h.now_ms += 1;
            match expiry {
                ExpiryMode::Delete => {
                    h.check_effects(read, after, &["HDEL h a"]);
                    assert_eq!((h.counts.expired_fields, timed(&h)), (1, 0), "{read}");
                    h.check_effects(read, after, &[]);
                }
                ExpiryMode::Hide => h.check_effects(read, after, &[]),
                ExpiryMode::Ignore => h.check(read, &before.replace(":1, :-1", ":0, :-1")),
            }
        }
    }
}

#[test]
fn the_key_goes_with_its_last_field() {
    for read in
        ["HGETALL h", "HKEYS h", "HGET h a", "HLEN h", "HSCAN h 0", "HDEL h a", "HINCRBY h a 0", "HSET h a 1"]
    {
        let mut h = with_hash("HSET h a 1 b 2");
        h.run("HPEXPIRE h 5 FIELDS 2 a b");
        h.now_ms += 6;
        h.run(read);
        let effects = h.effects();
        assert_eq!(effects[0], "HDEL h b a", "{read}");
        let writes = read.starts_with("HS") && !read.starts_with("HSC") || read.starts_with("HI");
        assert_eq!(effects.len(), 1 + usize::from(writes), "{read}");
        assert_eq!(h.run("EXISTS h"), format!(":{}", u8::from(writes)), "{read}");
        assert_eq!(timed(&h), 0);
    }
    let mut h = with_hash("HSET h a 1");
    h.run("HPEXPIRE h 5 FIELDS 1 a");
    h.now_ms += 6;
    // An expired field is as new as one that never was.
    h.check_effects("HINCRBY h a 3", ":3", &["HDEL h a", "HINCRBY h a 3"]);
    h.check("HTTL h FIELDS 1 a", "[:-1]");
}

/// Of a hash with many fields that are due an access removes some only; none of the others shows.
#[test]
fn an_access_removes_a_few_and_those_it_names() {
    let mut h = Harness::new();
    let fields: Vec<String> = (0..1_000).map(|n| format!("f{n}")).collect();
    h.run(&format!(
        "HSET h stays 1 {}",
        fields.iter().map(|f| format!("{f} 5")).collect::<Vec<_>>().join(" ")
    ));
    h.run(&format!("HPEXPIRE h 5 FIELDS 1000 {}", fields.join(" ")));
    h.now_ms += 6;
    h.check("HLEN h", ":1");
    h.check("HRANDFIELD h 10", r#"["stays"]"#);
    h.check("HGET h f999", "nil");
    let left = |h: &Harness| {
        let locked = h.keyspace.lock_all();
        let mut hashes =
            locked.iter().flat_map(|(_, shard)| shard.db(0).iter()).filter_map(|entry| entry.hash());
        hashes.next().map_or(0, |hash| hash.len())
    };
    let before = left(&h);
    assert!((500..1_000).contains(&before), "{before}");
    let named = (0..1_000).rev().map(|n| format!("f{n}")).find(|f| {
        let locked = h.keyspace.lock_all();
        locked.iter().any(|(_, shard)| {
            shard.db(0).iter().any(|entry| entry.hash().is_some_and(|hash| hash.contains(f.as_bytes())))
        })
    });
    let named = named.expect("a field that was not removed yet");
    h.check(&format!("HINCRBY h {named} 1"), ":1");
    let effects = h.effects();
    assert!(effects[0].starts_with("HDEL h ") && effects[0].split(' ').any(|word| word == named));
    assert_eq!(effects[1], format!("HINCRBY h {named} 1"));
    h.check("HLEN h", ":2");
    while left(&h) > 2 {
        h.check("HLEN h", ":2");
    }
    assert_eq!((timed(&h), h.counts.expired_fields), (0, 1_000));
}

#[test]
fn copies_and_moves_take_times_along() {
    let mut h = with_hash("HSET h a 1 b 2");
    h.run("HPEXPIRE h 1000 FIELDS 1 a");
    h.check("COPY h copy", ":1");
    h.check("RENAME h renamed", "+OK");
    h.check("MOVE renamed 3", ":1");
    h.check("HPTTL copy FIELDS 2 a b", "[:1000, :-1]");
    assert_eq!(timed(&h), 1);
    let payload = h.run_raw(&[b"DUMP", b"copy"]);
    let start = payload.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let payload = payload[start..payload.len() - 2].to_vec();
    assert_eq!(h.run_args(&[b"RESTORE", b"restored", b"0", &payload]), "+OK");
    assert_eq!(timed(&h), 2);
    h.check("HPTTL restored FIELDS 2 a b", "[:1000, :-1]");
    h.db = 3;
    h.check("HPTTL renamed FIELDS 2 a b", "[:1000, :-1]");
    assert_eq!(timed(&h), 1);
    h.check("FLUSHDB", "+OK");
    assert_eq!(timed(&h), 0);
    h.check("SWAPDB 0 3", "+OK");
    assert_eq!(timed(&h), 2);
    h.now_ms += 1001;
    h.check_effects("HGETALL restored", r#"["b", "2"]"#, &["HDEL restored a"]);
}

#[test]
fn a_watched_hash_changes_when_its_fields_expire() {
    use crate::value::hash_bytes;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let mut h = with_hash("HSET h a 1 b 2");
    let flag = Arc::new(AtomicBool::new(false));
    let hash = hash_bytes(b"h");
    h.keyspace.lock_one(hash).shard_mut(hash).watch(0, b"h", &flag, &Arc::default());
    let raised = |line: &str, h: &mut Harness| {
        flag.store(false, Ordering::Relaxed);
        h.run(line);
        flag.load(Ordering::Relaxed)
    };
    assert!(raised("HPEXPIRE h 5 FIELDS 1 a", &mut h));
    assert!(!raised("HPEXPIRE h 5 NX FIELDS 1 a", &mut h));
    assert!(!raised("HGETALL h", &mut h));
    assert!(raised("HPERSIST h FIELDS 1 a", &mut h));
    assert!(!raised("HPERSIST h FIELDS 1 a", &mut h));
    h.run("HPEXPIRE h 5 FIELDS 1 a");
    h.now_ms += 6;
    assert!(raised("HGETALL h", &mut h));
}

/// Whatever happens to hashes, each database knows how many carry times, and by its hints finds each field that is due.
#[test]
fn databases_know_their_hashes_with_times() {
    use crate::base::Rng;
    use crate::keyspace::Expired;
    let mut h = Harness::new();
    let mut rng = Rng::from_seed(5);
    h.settings.limits.hash_max_listpack_entries = 4;
    let steps = if cfg!(miri) { 50 } else { 20_000 };
    for step in 0..steps {
        let key = |rng: &mut Rng| format!("h{}", rng.below(6));
        let field = |rng: &mut Rng| format!("f{}", rng.below(8));
        let (k, other, f, g) = (key(&mut rng), key(&mut rng), field(&mut rng), field(&mut rng));
        let ms = rng.below(60);
        let line = match rng.below(16) {
            0..=2 => format!("HSET {k} {f} 1 {g} 2"),
            3 | 4 => format!("HPEXPIRE {k} {ms} FIELDS 2 {f} {g}"),
            5 => format!("HPERSIST {k} FIELDS 2 {f} {g}"),
            6 => format!("HDEL {k} {f} {g}"),
            7 => format!("HSETEX {k} PX {ms} FIELDS 1 {f} 5"),
            8 => format!("HGETEX {k} PX {ms} FIELDS 1 {f}"),
            9 => format!("HGETDEL {k} FIELDS 1 {f}"),
            10 => format!("HSETEX {k} KEEPTTL FIELDS 2 {f} 1 {g} 1"),
            11 => format!("RENAME {k} {other}"),
            12 => format!("COPY {k} {other} REPLACE"),
            13 => format!("MOVE {k} {}", 1 - h.db),
            14 => {
                [format!("SET {k} 1"), format!("DEL {k}"), "SWAPDB 0 1".into()][rng.below(3) as usize].clone()
            }
            _ => [format!("HINCRBY {k} {f} 1"), format!("HGETALL {k}"), format!("PEXPIRE {k} {ms}")]
                [rng.below(3) as usize]
                .clone(),
        };
        h.run(&line);
        h.now_ms += i64::from(rng.below(4) == 0);
        h.db = rng.below(2) as u32;
        if step % 20 == 0 {
            let locked = h.keyspace.lock_all();
            for db in 0..2 {
                let entries = locked.iter().flat_map(|(_, shard)| shard.db(db).iter());
                let with_times =
                    entries.filter(|entry| entry.hash().is_some_and(|hash| hash.has_times())).count();
                let known: usize = locked.iter().map(|(_, shard)| shard.db(db).timed()).sum();
                assert_eq!(with_times, known, "step {step}: {line}");
            }
        }
    }
    let mut locked = h.keyspace.lock_all();
    let mut expired = Expired::default();
    for (_, shard) in locked.iter_mut() {
        for db in 0..2 {
            let slice = shard.db_mut(db);
            for segment in 0..slice.segment_count() {
                slice.expire_segment(segment, i64::MAX, usize::MAX, &mut expired);
            }
            assert_eq!((slice.timed(), slice.expiring()), (0, 0));
            assert!(slice.iter().all(|entry| entry.hash().is_none_or(|hash| !hash.is_empty())));
        }
    }
    assert!(expired.field_count > 0);
}
