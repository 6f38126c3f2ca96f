use crate::command::testing::Harness;

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn popping() {
    for entries in [128, 0] {
        let mut h = Harness::new();
        h.settings.limits.zset_max_listpack_entries = entries;
        h.run("ZADD z 1 a 2 b 3 c 4 d 5 5");
        h.check_effects("ZPOPMIN z", r#"["a", "1"]"#, &["ZPOPMIN z"]);
        h.check_effects("ZPOPMAX z 2", r#"["5", "5", "d", "4"]"#, &["ZPOPMAX z 2"]);
        assert_eq!(h.dirty, 2);
        h.check_effects("ZPOPMIN z 0", "[]", &[]);
        h.check("ZPOPMIN z -1", "-ERR value is out of range, must be positive");
        h.check("ZPOPMIN z x", "-ERR value is out of range, must be positive");
        h.check("ZPOPMIN z 1 1", "-ERR syntax error");
        h.resp3 = true;
        h.check("ZPOPMAX z", r#"["c", ,3]"#);
        h.check("ZPOPMIN z 10", r#"[["b", ,2]]"#);
        h.check_effects("ZPOPMIN z 10", "[]", &[]);
        h.check("SET z string", "+OK");
        h.check("ZPOPMIN z 0", WRONG);
    }
}

#[test]
fn popping_from_the_first_key_that_has_any() {
    let mut h = Harness::new();
    h.run("ZADD z 1 a 2 b 3 c");
    let popped = r#"["z", [["a", "1"], ["b", "2"]]]"#;
    h.check_effects("ZMPOP 2 none z MIN COUNT 2", popped, &["ZPOPMIN z 2"]);
    h.check_effects("ZMPOP 1 z MAX COUNT 9", r#"["z", [["c", "3"]]]"#, &["ZPOPMAX z 1"]);
    h.check_effects("ZMPOP 1 z MAX", "nil[]", &[]);
    h.run("SET s x");
    h.check("ZMPOP 2 s z MIN", WRONG);
    for (line, error) in [
        ("ZMPOP 0 z MIN", "-ERR numkeys should be greater than 0"),
        ("ZMPOP x z MIN", "-ERR numkeys should be greater than 0"),
        ("ZMPOP 2 z MIN", "-ERR syntax error"),
        ("ZMPOP 1 z MED", "-ERR syntax error"),
        ("ZMPOP 1 z MIN COUNT", "-ERR syntax error"),
        ("ZMPOP 1 z MIN COUNT 0", "-ERR count should be greater than 0"),
        ("ZMPOP 1 z MIN COUNT 1 COUNT 2", "-ERR syntax error"),
    ] {
        h.check_effects(line, error, &[]);
    }
}

#[test]
fn waiting() {
    let mut h = Harness::new();
    h.check("BZPOPMIN a b 1.5", "blocked 1500 [a, b]");
    h.check("BZMPOP 0 2 a b MAX COUNT 3", "blocked 0 [a, b]");
    h.check("BZPOPMIN a x", "-ERR timeout is not a float or out of range");
    h.check("BZPOPMIN a -1", "-ERR timeout is negative");
    h.check("BZMPOP x 0 a MAX", "-ERR numkeys should be greater than 0");
    h.run("ZADD b 1 m 2 n 3 o");
    h.check_effects("BZPOPMAX a b 0", r#"["b", "o", "3"]"#, &["ZPOPMAX b"]);
    let popped = r#"["b", [["n", "2"], ["m", "1"]]]"#;
    h.check_effects("BZMPOP 0 2 a b MAX COUNT 3", popped, &["ZPOPMAX b 2"]);
    h.run("SET s x");
    h.check("BZPOPMIN s 0", WRONG);
    h.may_block = false;
    h.check("BZPOPMIN a 0", "nil[]");
    h.check("BZMPOP 0 1 a MIN", "nil[]");
    h.may_block = true;
    h.run("ZADD b 1 m");
    h.resp3 = true;
    h.check("BZPOPMIN b 0", r#"["b", "m", ,1]"#);
    h.check("ZADD b 1 m", ":1");
    h.check("BZMPOP 0 1 b MIN", r#"["b", [["m", ,1]]]"#);
}

#[test]
fn a_waited_for_key_becomes_ready_when_it_is_made() {
    let mut h = Harness::new();
    let hash = crate::value::hash_bytes(b"z");
    h.keyspace.lock_one(hash).shard_mut(hash).await_key(0, b"z");
    h.run("ZADD z XX 1 a");
    assert!(h.ready.is_empty());
    h.run("ZADD z 1 a");
    assert_eq!(h.ready.len(), 1);
    h.run("ZADD src 1 a");
    h.run("ZRANGESTORE z src 0 -1");
    assert_eq!(h.ready.len(), 2);
}
