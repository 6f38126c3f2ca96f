use crate::command::testing::Harness;

fn letters(h: &mut Harness, listpack: bool) {
    h.settings.limits.zset_max_listpack_entries = if listpack { 128 } else { 0 };
    h.run("ZADD z 1 a 2 b 3 c 4 d 5 e");
    h.run("ZADD lex 0 a 0 b 0 c 0 d");
}

fn both(check: impl Fn(&mut Harness)) {
    for listpack in [true, false] {
        let mut h = Harness::new();
        letters(&mut h, listpack);
        check(&mut h);
    }
}

#[test]
fn by_rank() {
    both(|h| {
        h.check("ZRANGE z 0 -1", r#"["a", "b", "c", "d", "e"]"#);
        h.check("ZRANGE z -2 100 WITHSCORES", r#"["d", "4", "e", "5"]"#);
        h.check("ZRANGE z 1 2 REV", r#"["d", "c"]"#);
        h.check("ZREVRANGE z 0 0 WITHSCORES", r#"["e", "5"]"#);
        h.check("ZRANGE z 3 2", "[]");
        h.check("ZRANGE z 5 9", "[]");
        h.check("ZRANGE z -100 -6", "[]");
        h.check("ZRANGE z -9223372036854775808 9223372036854775807 REV", r#"["e", "d", "c", "b", "a"]"#);
        h.check("ZRANGE none 0 -1", "[]");
        h.resp3 = true;
        h.check("ZRANGE z 0 1 WITHSCORES", r#"[["a", ,1], ["b", ,2]]"#);
    });
}

#[test]
fn by_score() {
    both(|h| {
        h.check("ZRANGEBYSCORE z 2 4", r#"["b", "c", "d"]"#);
        h.check("ZRANGEBYSCORE z (2 (4 WITHSCORES", r#"["c", "3"]"#);
        h.check("ZRANGE z -inf +inf BYSCORE LIMIT 1 2", r#"["b", "c"]"#);
        h.check("ZRANGE z 4 2 BYSCORE REV LIMIT 1 -1", r#"["c", "b"]"#);
        h.check("ZREVRANGEBYSCORE z +inf (3", r#"["e", "d"]"#);
        h.check("ZRANGEBYSCORE z 4 2", "[]");
        h.check("ZRANGEBYSCORE z (3 3", "[]");
        h.check("ZRANGEBYSCORE z -inf inf LIMIT -1 2", "[]");
        h.check("ZRANGEBYSCORE z -inf inf LIMIT 0 0", "[]");
        h.check("ZRANGEBYSCORE z -inf inf LIMIT 9 1", "[]");
        h.check("ZCOUNT z (1 4", ":3");
        h.check("ZCOUNT none 0 1", ":0");
        h.check("ZCOUNT z x 1", "-ERR min or max is not a float");
    });
}

#[test]
fn by_name() {
    both(|h| {
        h.check("ZRANGEBYLEX lex [b (d", r#"["b", "c"]"#);
        h.check("ZRANGEBYLEX lex - + LIMIT 1 2", r#"["b", "c"]"#);
        h.check("ZREVRANGEBYLEX lex + (a LIMIT 0 2", r#"["d", "c"]"#);
        h.check("ZRANGE lex (c - BYLEX REV", r#"["b", "a"]"#);
        h.check("ZRANGEBYLEX lex + -", "[]");
        h.check("ZLEXCOUNT lex - [b", ":2");
        h.check("ZLEXCOUNT lex b +", "-ERR min or max not valid string range item");
        h.check("ZLEXCOUNT lex ++ +", "-ERR min or max not valid string range item");
    });
}

#[test]
fn refusals() {
    let mut h = Harness::new();
    let limit = "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
    h.check("ZRANGE z 0 1 LIMIT 0 1", limit);
    h.check("ZREVRANGE z 0 1 LIMIT 0 1", limit);
    h.run("ZADD ranked 1 a 2 b");
    h.check("ZRANGE ranked 0 -1 LIMIT 1 -1", r#"["a", "b"]"#);
    h.check("ZRANGE ranked 0 -1 LIMIT -3 -1 REV", r#"["b", "a"]"#);
    let scores = "-ERR syntax error, WITHSCORES not supported in combination with BYLEX";
    h.check("ZRANGE z - + BYLEX WITHSCORES", scores);
    h.check("ZREVRANGE z 0 1 REV", "-ERR syntax error");
    h.check("ZRANGEBYSCORE z 0 1 BYLEX", "-ERR syntax error");
    h.check("ZRANGE z 0 1 BYSCORE BYLEX", "-ERR syntax error");
    h.check("ZRANGE z 0 1 BYSCORE LIMIT 1", "-ERR syntax error");
    h.check("ZRANGE z 0 1 BYSCORE LIMIT 1 x", "-ERR value is not an integer or out of range");
    h.check("ZRANGE z 0 x", "-ERR value is not an integer or out of range");
    h.check("ZRANGESTORE d z 0 1 WITHSCORES", "-ERR syntax error");
    h.run("SET s x");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    for line in ["ZRANGE s 0 1", "ZRANGESTORE d s 0 1", "ZCOUNT s 0 1", "ZREMRANGEBYRANK s 0 1"] {
        h.check(line, wrong);
    }
}

#[test]
fn storing() {
    both(|h| {
        let line = "ZRANGESTORE d z 2 4 BYSCORE";
        h.check_effects(line, ":3", &[line]);
        h.check("ZRANGE d 0 -1 WITHSCORES", r#"["b", "2", "c", "3", "d", "4"]"#);
        h.check("ZRANGESTORE d d 0 1 REV", ":2");
        h.check("ZRANGE d 0 -1", r#"["c", "d"]"#);
        h.check_effects("ZRANGESTORE d none 0 1", ":0", &["ZRANGESTORE d none 0 1"]);
        h.check_effects("ZRANGESTORE d none 0 1", ":0", &[]);
        h.run("SET s x");
        h.check("ZRANGESTORE s z 0 0", ":1");
        h.check("ZCARD s", ":1");
    });
}

#[test]
fn removing() {
    both(|h| {
        h.check_effects("ZREMRANGEBYRANK z 9 10", ":0", &[]);
        h.check_effects("ZREMRANGEBYRANK z -1 -1", ":1", &["ZREMRANGEBYRANK z -1 -1"]);
        h.check("ZREMRANGEBYSCORE z (1 2", ":1");
        h.check("ZRANGE z 0 -1", r#"["a", "c", "d"]"#);
        h.check("ZREMRANGEBYLEX lex [b +", ":3");
        h.check("ZREMRANGEBYSCORE z -inf inf", ":3");
        assert_eq!(h.dirty, 3);
        h.check("SET z gone", "+OK");
        h.check("GET z", r#""gone""#);
    });
}

#[test]
fn where_names_are_not_in_order_effects_name_the_members() {
    both(|h| {
        h.check_effects("ZRANGESTORE d z [a + BYLEX", ":5", &["DEL d", "ZADD d 1 a 2 b 3 c 4 d 5 e"]);
        h.check_effects("ZRANGESTORE d z [x + BYLEX", ":0", &["DEL d"]);
        h.check_effects("ZRANGESTORE d z [x + BYLEX", ":0", &[]);
        h.check_effects("ZREMRANGEBYLEX z [b [c", ":2", &["ZREM z b c"]);
        h.check_effects("ZREMRANGEBYLEX z [x +", ":0", &[]);
        h.check_effects("ZREMRANGEBYLEX lex [b [c", ":2", &["ZREMRANGEBYLEX lex [b [c"]);
    });
}

/// As Redis does, which fills a listpack first: a stock replica must come to the same scores.
#[test]
fn stored_minus_zero_loses_its_sign_while_a_listpack_would_take_it() {
    let mut h = Harness::new();
    h.settings.limits.zset_max_listpack_entries = 2;
    h.check("ZADD z 0 a 0 b -0.0 c -0.0 d", ":4");
    h.check("ZRANGESTORE to z 0 -1 REV", ":4");
    h.check("ZRANGE to 0 -1 WITHSCORES", r#"["a", "0", "b", "0", "c", "0", "d", "0"]"#);
    h.check("ZRANGESTORE to z 0 -1", ":4");
    h.check("ZRANGE to 0 -1 WITHSCORES", r#"["a", "0", "b", "0", "c", "-0", "d", "-0"]"#);
}
