use crate::command::testing::Harness;

fn with_sets(check: impl Fn(&mut Harness)) {
    for entries in [128, 0] {
        let mut h = Harness::new();
        h.settings.limits.zset_max_listpack_entries = entries;
        h.run("ZADD a 1 x 2 y 3 7");
        h.run("ZADD b 10 y 20 7 30 z");
        // Members of a set count 1.
        let set = crate::value::Set::for_members(b"7", 2, &h.settings.limits);
        let mut locked = h.keyspace.lock_one(crate::value::hash_bytes(b"s"));
        let shard = locked.shard_mut(crate::value::hash_bytes(b"s"));
        let mut set = set;
        set.add(b"7", &h.settings.limits);
        set.add(b"9", &h.settings.limits);
        let value = crate::value::Value::Set(set);
        shard.db_mut(0).set_value(crate::value::hash_bytes(b"s"), b"s", value, None, 0);
        drop(locked);
        check(&mut h);
    }
}

#[test]
fn unions() {
    with_sets(|h| {
        h.check("ZUNION 2 a b WITHSCORES", r#"["x", "1", "y", "12", "7", "23", "z", "30"]"#);
        h.check("ZUNION 2 a b AGGREGATE MIN WITHSCORES", r#"["x", "1", "y", "2", "7", "3", "z", "30"]"#);
        h.check("ZUNION 3 a b s AGGREGATE MAX", r#"["9", "x", "y", "7", "z"]"#);
        h.check("ZUNION 2 a none WEIGHTS 2 3 WITHSCORES", r#"["x", "2", "y", "4", "7", "6"]"#);
        h.check("ZUNION 2 a a WITHSCORES", r#"["x", "2", "y", "4", "7", "6"]"#);
        h.check("ZUNION 1 none", "[]");
        let line = "ZUNIONSTORE d 2 a s WEIGHTS 1 100";
        h.check_effects(line, ":4", &[line]);
        h.check("ZRANGE d 0 -1 WITHSCORES", r#"["x", "1", "y", "2", "9", "100", "7", "103"]"#);
        h.resp3 = true;
        h.check("ZUNION 1 s WITHSCORES", r#"[["7", ,1], ["9", ,1]]"#);
    });
}

#[test]
fn intersections() {
    with_sets(|h| {
        h.check("ZINTER 2 a b WITHSCORES", r#"["y", "12", "7", "23"]"#);
        h.check("ZINTER 3 a b s WITHSCORES", r#"["7", "24"]"#);
        h.check("ZINTER 2 a none", "[]");
        h.check("ZINTER 2 a b WEIGHTS -1 1 AGGREGATE MIN WITHSCORES", r#"["7", "-3", "y", "-2"]"#);
        h.check("ZINTERCARD 2 a b", ":2");
        h.check("ZINTERCARD 2 a b LIMIT 1", ":1");
        h.check("ZINTERCARD 2 a b LIMIT 0", ":2");
        h.check("ZINTERCARD 2 a b LIMIT -1", "-ERR LIMIT can't be negative");
        h.check("ZINTERCARD 2 a b BOUND 1", "-ERR syntax error");
        h.check("ZINTERSTORE a 2 a b", ":2");
        h.check("ZRANGE a 0 -1", r#"["y", "7"]"#);
        h.check_effects("ZINTERSTORE a 2 a none", ":0", &["ZINTERSTORE a 2 a none"]);
        h.check_effects("ZINTERSTORE a 2 a none", ":0", &[]);
    });
}

#[test]
fn differences() {
    with_sets(|h| {
        h.check("ZDIFF 2 a b WITHSCORES", r#"["x", "1"]"#);
        h.check("ZDIFF 2 a s WITHSCORES", r#"["x", "1", "y", "2"]"#);
        h.check("ZDIFF 2 s a WITHSCORES", r#"["9", "1"]"#);
        h.check("ZDIFF 2 a a", "[]");
        h.check("ZDIFF 2 none a", "[]");
        h.check("ZDIFF 1 a WEIGHTS 1", "-ERR syntax error");
        h.check("ZDIFFSTORE d 2 b a", ":1");
        h.check("ZDIFFSTORE d 2 b a WITHSCORES", "-ERR syntax error");
    });
}

#[test]
fn infinities_and_what_is_no_number() {
    let mut h = Harness::new();
    h.run("ZADD p inf m");
    h.run("ZADD n -inf m");
    h.check("ZUNION 2 p n WITHSCORES", r#"["m", "0"]"#);
    h.check("ZINTER 2 p n WITHSCORES", r#"["m", "0"]"#);
    h.check("ZUNION 1 p WEIGHTS 0 WITHSCORES", r#"["m", "0"]"#);
    h.check("ZUNION 2 p n AGGREGATE MAX WITHSCORES", r#"["m", "inf"]"#);
    h.check("ZUNION 1 p WEIGHTS nan", "-ERR weight value is not a float");
}

#[test]
fn refusals() {
    let mut h = Harness::new();
    h.check("ZUNION 0 a", "-ERR at least 1 input key is needed for 'zunion' command");
    h.check("ZDIFFSTORE d -1 a", "-ERR at least 1 input key is needed for 'zdiffstore' command");
    h.check("ZUNION 2 a", "-ERR syntax error");
    h.check("ZINTERCARD x a", "-ERR value is not an integer or out of range");
    h.check("ZUNION 1 a AGGREGATE AVG", "-ERR syntax error");
    h.check("ZUNION 2 a b WEIGHTS 1", "-ERR syntax error");
    h.run("SET s x");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    h.check("ZUNION 2 a s BOGUS", wrong);
    h.check("ZUNIONSTORE d 1 s", wrong);
}
