use crate::command::testing::{Harness, START_MS};

/// What DUMP answers with at a key.
fn dumped(harness: &mut Harness, key: &str) -> Vec<u8> {
    let bytes = harness.run_raw(&[b"DUMP", key.as_bytes()]);
    let at = bytes.iter().position(|byte| *byte == b'\n').expect("a bulk string") + 1;
    bytes[at..bytes.len() - 2].to_vec()
}

fn restore_with(harness: &mut Harness, key: &str, ttl: &str, payload: &[u8], words: &[&str]) -> String {
    let mut args: Vec<&[u8]> = vec![b"RESTORE", key.as_bytes(), ttl.as_bytes(), payload];
    args.extend(words.iter().map(|word| word.as_bytes()));
    harness.run_args(&args)
}

fn filled() -> Harness {
    let mut harness = Harness::new();
    for line in [
        "SET int 12345",
        "SET text \"some \\x00 text\"",
        "RPUSH list a b 3 4",
        "SADD ints 1 2 3",
        "SADD set a b 3",
        "HSET hash f v g 2",
        "ZADD zset 1 a 2.5 b",
    ] {
        harness.run(line);
    }
    harness
}

#[test]
fn every_type_comes_back() {
    let mut harness = filled();
    for (key, read) in [
        ("int", "GET @"),
        ("text", "GET @"),
        ("list", "LRANGE @ 0 -1"),
        ("ints", "SMEMBERS @"),
        ("hash", "HGETALL @"),
        ("zset", "ZRANGE @ 0 -1 WITHSCORES"),
    ] {
        let payload = dumped(&mut harness, key);
        assert_eq!(restore_with(&mut harness, "copy", "0", &payload, &["replace"]), "+OK");
        let [before, after] = [key, "copy"].map(|key| harness.run(&read.replace('@', key)));
        assert_eq!(before, after, "{key}");
        let [before, after] = [key, "copy"].map(|key| harness.run(&format!("OBJECT ENCODING {key}")));
        assert_eq!(before, after, "{key}");
    }
    harness.check("DUMP none", "nil");
}

#[test]
fn the_time_to_live_is_logged_as_a_moment() {
    let mut harness = filled();
    let payload = dumped(&mut harness, "int");
    assert_eq!(restore_with(&mut harness, "a", "1000", &payload, &[]), "+OK");
    let logged = harness.effects();
    assert!(
        logged[0].starts_with(&format!("RESTORE a {} ", START_MS + 1000)) && logged[0].ends_with(" ABSTTL")
    );
    harness.check("PEXPIRETIME a", &format!(":{}", START_MS + 1000));
    let at = (START_MS + 7).to_string();
    assert_eq!(restore_with(&mut harness, "b", &at, &payload, &["ABSTTL"]), "+OK");
    assert!(harness.effects()[0].ends_with(" ABSTTL"), "{:?}", harness.effects());
    harness.check("PEXPIRETIME b", &format!(":{at}"));
    // A moment that has passed: the key goes.
    assert_eq!(restore_with(&mut harness, "b", "1", &payload, &["ABSTTL", "REPLACE"]), "+OK");
    assert_eq!(harness.effects(), ["DEL b"]);
    harness.check("EXISTS b", ":0");
    assert_eq!(restore_with(&mut harness, "b", "1", &payload, &["ABSTTL", "REPLACE"]), "+OK");
    assert!(harness.effects().is_empty());
    harness.settings.lazy_server_del = true;
    assert_eq!(restore_with(&mut harness, "a", "1", &payload, &["ABSTTL", "REPLACE"]), "+OK");
    assert_eq!(harness.effects(), ["UNLINK a"]);
}

#[test]
fn refusals_in_their_order() {
    let mut harness = filled();
    let payload = dumped(&mut harness, "int");
    let mut refused = |key: &str, ttl: &str, payload: &[u8], words: &[&str]| {
        restore_with(&mut harness, key, ttl, payload, words)
    };
    assert_eq!(refused("int", "x", b"", &[]), "-BUSYKEY Target key name already exists.");
    assert_eq!(refused("a", "x", b"", &[]), "-ERR value is not an integer or out of range");
    assert_eq!(refused("a", "-1", b"", &[]), "-ERR Invalid TTL value, must be >= 0");
    assert_eq!(refused("a", "0", b"", &[]), "-ERR DUMP payload version or checksum are wrong");
    for at in 0..payload.len() {
        let mut changed = payload.clone();
        changed[at] ^= 0x10;
        assert_eq!(refused("a", "0", &changed, &[]), "-ERR DUMP payload version or checksum are wrong");
    }
    assert_eq!(refused("a", "0", &payload, &["x"]), "-ERR syntax error");
    assert_eq!(refused("a", "0", &payload, &["IDLETIME"]), "-ERR syntax error");
    assert_eq!(refused("a", "0", &payload, &["IDLETIME", "1", "FREQ", "1"]), "-ERR syntax error");
    assert_eq!(refused("a", "0", &payload, &["IDLETIME", "-1"]), "-ERR Invalid IDLETIME value, must be >= 0");
    assert_eq!(
        refused("a", "0", &payload, &["FREQ", "256"]),
        "-ERR Invalid FREQ value, must be >= 0 and <= 255"
    );
    let mut bad = vec![1, 5, 10, 0];
    bad.extend_from_slice(&crate::base::crc::crc64(0, &bad).to_le_bytes());
    assert_eq!(refused("a", "0", &bad, &[]), "-ERR Bad data format");
}

#[test]
fn access_figures_are_taken_over() {
    let mut harness = filled();
    let payload = dumped(&mut harness, "int");
    restore_with(&mut harness, "idle", "0", &payload, &["IDLETIME", "1000"]);
    harness.check("OBJECT IDLETIME idle", ":1000");
    harness.settings.lfu = true;
    restore_with(&mut harness, "often", "0", &payload, &["FREQ", "200"]);
    harness.check("OBJECT FREQ often", ":200");
}
