use crate::command::testing::Harness;

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn adding_with_every_option() {
    let mut h = Harness::new();
    h.check_effects("ZADD z 1 a 2 b 3 a", ":2", &["ZADD z 1 a 2 b 3 a"]);
    assert_eq!(h.dirty, 3);
    h.check("ZSCORE z a", r#""3""#);
    h.check_effects("ZADD z NX 9 a 9 c", ":1", &["ZADD z NX 9 a 9 c"]);
    h.check_effects("ZADD z XX 4 a 9 d", ":0", &["ZADD z XX 4 a 9 d"]);
    h.check_effects("ZADD z CH 4 a 5 b 6 e", ":2", &["ZADD z CH 4 a 5 b 6 e"]);
    h.check_effects("ZADD z GT CH 3 a 6 b 0 f", ":2", &["ZADD z GT CH 3 a 6 b 0 f"]);
    h.check("ZADD z LT CH 3 a 7 b", ":1");
    h.check_effects("ZADD z LT CH 3 a", ":0", &[]);
    h.check("ZMSCORE z a b c d e f", r#"["3", "6", "9", nil, "6", "0"]"#);
    h.check_effects("ZADD none XX 1 a", ":0", &[]);
    h.check_effects("ZADD none XX INCR 1 a", "nil", &[]);
    h.check("ZCARD none", ":0");
    for (line, error) in [
        ("ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible"),
        ("ZADD z NX GT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("ZADD z GT LT 1 a", "-ERR GT, LT, and/or NX options at the same time are not compatible"),
        ("ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair"),
        ("ZADD z CH a", "-ERR syntax error"),
        ("ZADD z 1 a 2", "-ERR syntax error"),
        ("ZADD z 1 a x b", "-ERR value is not a valid float"),
        ("ZADD z nan b", "-ERR value is not a valid float"),
    ] {
        h.check_effects(line, error, &[]);
    }
    h.run("SET s x");
    h.check("ZADD s 1 a", WRONG);
}

#[test]
fn incrementing() {
    let mut h = Harness::new();
    h.check_effects("ZINCRBY z 1.5 a", r#""1.5""#, &["ZINCRBY z 1.5 a"]);
    h.check("ZADD z INCR 0.25 a", r#""1.75""#);
    h.check_effects("ZADD z INCR 0 a", r#""1.75""#, &[]);
    h.check("ZADD z NX INCR 1 a", "nil");
    h.check("ZADD z GT INCR -1 a", "nil");
    h.check("ZADD z LT INCR -1 a", r#""0.75""#);
    h.run("ZADD z inf i");
    h.check_effects("ZINCRBY z -inf i", "-ERR resulting score is not a number (NaN)", &[]);
    h.check("ZINCRBY z ch i", "-ERR syntax error");
    h.resp3 = true;
    h.check("ZINCRBY z 1 a", ",1.75");
    h.check("ZSCORE z i", ",inf");
}

#[test]
fn zero_loses_its_sign_in_a_listpack_only() {
    let mut h = Harness::new();
    h.run("ZADD z -0 a");
    h.check("ZSCORE z a", r#""0""#);
    h.settings.limits.zset_max_listpack_entries = 1;
    h.run("ZADD z -0 b");
    h.check("ZMSCORE z a b", r#"["0", "-0"]"#);
}

#[test]
fn removing() {
    let mut h = Harness::new();
    h.run("ZADD z 1 a 2 b 3 c");
    h.check_effects("ZREM z a x b", ":2", &["ZREM z a x b"]);
    assert_eq!(h.dirty, 2);
    h.check_effects("ZREM z x", ":0", &[]);
    h.check_effects("ZREM none x", ":0", &[]);
    h.check("ZREM z c", ":1");
    h.check("SET z string", "+OK");
    h.check("ZREM z c", WRONG);
}

#[test]
fn ranks() {
    let mut h = Harness::new();
    h.run("ZADD z 1 a 2 b 2.5 c");
    h.check("ZRANK z b", ":1");
    h.check("ZREVRANK z c WITHSCORE", r#"[:0, "2.5"]"#);
    h.check("ZRANK z x", "nil");
    h.check("ZRANK z x withscore", "nil[]");
    h.check("ZRANK none x withscore", "nil[]");
    h.check("ZRANK z a bogus", "-ERR syntax error");
    h.check("ZREVRANK z a withscore x", "-ERR wrong number of arguments for 'zrevrank' command");
    h.resp3 = true;
    h.check("ZRANK z c WITHSCORE", "[:2, ,2.5]");
}

#[test]
fn random_members() {
    let mut h = Harness::new();
    h.check("ZRANDMEMBER none", "nil");
    h.check("ZRANDMEMBER none -3", "[]");
    for n in [3, 300] {
        let pairs: String = (0..n).map(|i| format!(" {i} m{i}")).collect();
        h.run(&format!("ZADD z{n}{pairs}"));
        for count in [1, 2, 3, 20, 250, 1000] {
            let reply = h.run(&format!("ZRANDMEMBER z{n} {count}"));
            let mut members: Vec<&str> = reply.trim_matches(['[', ']']).split(", ").collect();
            members.sort_unstable();
            members.dedup();
            assert_eq!(members.len(), count.min(n), "{reply}");
            let reply = h.run(&format!("ZRANDMEMBER z{n} -{count} WITHSCORES"));
            assert_eq!(reply.split(", ").count(), 2 * count);
        }
    }
    h.run("ZADD one 1 m");
    h.check("ZRANDMEMBER one 1 x", "-ERR syntax error");
    h.check(
        "ZRANDMEMBER one -9223372036854775808",
        "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
    );
    h.resp3 = true;
    h.check("ZRANDMEMBER one 5 WITHSCORES", r#"[["m", ,1]]"#);
    h.settings.max_bulk_bytes = 1000;
    h.check(
        "ZRANDMEMBER one -9223372036854775807",
        "-ERR reply exceeds maximum allowed size (proto-max-bulk-len)",
    );
}

#[test]
fn scanning() {
    let mut h = Harness::new();
    h.check("ZSCAN none 0 BOGUS", r#"["0", []]"#);
    h.run("ZADD z 1 ab 2.5 cd");
    h.resp3 = true;
    h.check("ZSCAN z 0", r#"["0", ["ab", "1", "cd", "2.5"]]"#);
    h.check("ZSCAN z 0 MATCH c* COUNT 5", r#"["0", ["cd", "2.5"]]"#);
    h.run("ZADD big 1e17 m");
    h.check("ZSCAN big 0", r#"["0", ["m", "100000000000000000"]]"#);
    h.settings.limits.zset_max_listpack_entries = 0;
    h.run("ZADD bigger 1e17 m");
    h.check("ZSCAN bigger 0", r#"["0", ["m", "1e+17"]]"#);
    h.check("ZSCAN z 0 NOVALUES", "-ERR syntax error");
    h.check("ZSCAN z -", "-ERR invalid cursor");
}
