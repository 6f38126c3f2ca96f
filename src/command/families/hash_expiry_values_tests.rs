use crate::command::testing::{Harness, START_MS};

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
const NO_WORD: &str = "-ERR Mandatory argument FIELDS is missing or not at the right position";
const BAD_COUNT: &str = "-ERR Number of fields must be a positive integer";
const MISMATCH: &str = "-ERR The `numfields` parameter must match the number of arguments";
const ARITY: &str = "-ERR wrong number of arguments for 'hsetex' command";
const NOT_INT: &str = "-ERR value is not an integer or out of range";
const NEGATIVE: &str = "-ERR invalid expire time, must be >= 0";

fn with_hash() -> Harness {
    let mut h = Harness::new();
    h.run("HSET h a 1 b two");
    h.put_list("l", &["x"]);
    h
}

#[test]
fn hgetdel() {
    let mut h = with_hash();
    for (line, reply) in [
        ("HGETDEL l FIELD 1 a", WRONG),
        ("HGETDEL h FIELD 1 a", NO_WORD),
        ("HGETDEL h FIELDS 0 a", BAD_COUNT),
        ("HGETDEL h FIELDS x a", BAD_COUNT),
        ("HGETDEL h FIELDS 2 a", MISMATCH),
        ("HGETDEL none FIELDS 2 a b", "[nil, nil]"),
        ("HGETDEL h FIELDS 1 none", "[nil]"),
    ] {
        h.check_effects(line, reply, &[]);
    }
    h.check_effects("HGETDEL h FIELDS 3 a none a", r#"["1", nil, nil]"#, &["HDEL h a"]);
    assert_eq!(h.dirty, 1);
    h.run("HEXPIRE h 5 FIELDS 1 b");
    h.check_effects("hgetdel h fields 1 b", r#"["two"]"#, &["HDEL h b"]);
    h.check("EXISTS h", ":0");
    let timed: usize = h.keyspace.lock_all().iter().map(|(_, shard)| shard.db(0).timed()).sum();
    assert_eq!(timed, 0);
}

#[test]
fn hgetex() {
    let mut h = with_hash();
    let at = START_MS + 5_000;
    h.check_effects("HGETEX h FIELDS 2 a none", r#"["1", nil]"#, &[]);
    h.check("OBJECT ENCODING h", r#""listpack""#);
    let log = format!("HPEXPIREAT h {at} FIELDS 1 a");
    h.check_effects("HGETEX h EX 5 FIELDS 2 a none", r#"["1", nil]"#, &[&log]);
    assert_eq!(h.dirty, 1);
    h.check("HPTTL h FIELDS 2 a b", "[:5000, :-1]");
    h.check_effects("HGETEX h px 5000 FIELDS 1 a", r#"["1"]"#, &[&log]);
    h.check_effects(
        "HGETEX h EXAT 1800000000 FIELDS 1 a",
        r#"["1"]"#,
        &["HPEXPIREAT h 1800000000000 FIELDS 1 a"],
    );
    h.check_effects(
        "HGETEX h PXAT 1800000000001 FIELDS 1 a",
        r#"["1"]"#,
        &["HPEXPIREAT h 1800000000001 FIELDS 1 a"],
    );
    h.check_effects("HGETEX h FIELDS 1 a", r#"["1"]"#, &[]);
    h.check("HPEXPIRETIME h FIELDS 1 a", "[:1800000000001]");
    h.check_effects("HGETEX h PERSIST FIELDS 3 a b none", r#"["1", "two", nil]"#, &["HPERSIST h FIELDS 1 a"]);
    assert_eq!(h.dirty, 1);
    h.check("HTTL h FIELDS 1 a", "[:-1]");
    h.check_effects("HGETEX h EX 0 FIELDS 2 a none", r#"["1", nil]"#, &["HDEL h a"]);
    h.check_effects("HGETEX h PXAT 1 FIELDS 1 b", r#"["two"]"#, &["HDEL h b"]);
    h.check("EXISTS h", ":0");
    h.check("HGETEX h EX 5 FIELDS 2 a b", "[nil, nil]");
}

#[test]
fn refusals_of_hgetex() {
    let mut h = with_hash();
    for (line, reply) in [
        ("HGETEX l EX x FIELDS 1 a", WRONG),
        ("HGETEX h EX x FIELDS 1 a", NOT_INT),
        ("HGETEX h EX -1 FIELDS 1 a", NEGATIVE),
        ("HGETEX h EX 99999999999999 FIELDS 1 a", "-ERR invalid expire time in 'hgetex' command"),
        ("HGETEX h PXAT 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hgetex' command"),
        ("HGETEX h EX 5 PERSIST FIELDS 1 a", NO_WORD),
        ("HGETEX h KEEPTTL FIELDS 1 a", NO_WORD),
        ("HGETEX h EX 5 FIELDS", BAD_COUNT),
        ("HGETEX h FIELDS x a", BAD_COUNT),
        ("HGETEX h PERSIST FIELDS 0 a", BAD_COUNT),
        ("HGETEX h PERSIST FIELDS 1 a b", MISMATCH),
        ("HGETEX h FIELDS 3 a b", MISMATCH),
    ] {
        h.check_effects(line, reply, &[]);
    }
}

#[test]
fn hsetex() {
    let mut h = with_hash();
    let at = START_MS + 5_000;
    h.check_effects("HSETEX h FIELDS 2 a 3 c 4", ":1", &["HSET h a 3 c 4"]);
    let times = format!("HPEXPIREAT h {at} FIELDS 2 a d");
    h.check_effects("HSETEX h EX 5 FIELDS 2 a 4 d 5", ":1", &["HSET h a 4 d 5", &times]);
    h.check("HPTTL h FIELDS 3 a c d", "[:5000, :-1, :5000]");
    h.check_effects("HSETEX h PX 5000 FIELDS 2 a 4 d 5", ":1", &["HSET h a 4 d 5", &times]);
    // Times stay with KEEPTTL, and go without a word.
    h.run("HPEXPIRE h 7000 FIELDS 1 d");
    h.check_effects(
        "HSETEX h KEEPTTL FIELDS 3 a 6 b 6 d 6",
        ":1",
        &[
            "HSET h a 6 b 6 d 6",
            &format!("HPEXPIREAT h {at} FIELDS 1 a"),
            &format!("HPEXPIREAT h {} FIELDS 1 d", at + 2_000),
        ],
    );
    h.check("HPTTL h FIELDS 3 a b d", "[:5000, :-1, :7000]");
    h.check_effects("HSETEX h FIELDS 1 a 7", ":1", &["HSET h a 7"]);
    h.check("HPTTL h FIELDS 1 a", "[:-1]");
    h.check("HSETEX new PXAT 1800000000001 FIELDS 1 f v", ":1");
    h.check("HPEXPIRETIME new FIELDS 1 f", "[:1800000000001]");
    h.check("HSETEX new exat 1800000000 FIELDS 1 f v", ":1");
    h.check("HPEXPIRETIME new FIELDS 1 f", "[:1800000000000]");
}

#[test]
fn conditions_of_hsetex() {
    let mut h = with_hash();
    h.check_effects("HSETEX h FNX FIELDS 2 c 1 a 1", ":0", &[]);
    h.check_effects("HSETEX h FXX FIELDS 2 a 1 c 1", ":0", &[]);
    h.check("HMGET h a c", r#"["1", nil]"#);
    h.check_effects("HSETEX h FXX FIELDS 2 a 5 b 5", ":1", &["HSET h a 5 b 5"]);
    h.check_effects("HSETEX h FNX FIELDS 2 c 5 d 5", ":1", &["HSET h c 5 d 5"]);
    h.check_effects("HSETEX none FXX FIELDS 1 a 5", ":0", &[]);
    h.check("EXISTS none", ":0");
    h.check("HSETEX none FNX EX 5 FIELDS 1 a 5", ":1");
    h.check("HTTL none FIELDS 1 a", "[:5]");
    // What is due does not exist.
    h.now_ms += 5_001;
    h.check_effects("HSETEX none FXX FIELDS 1 a 6", ":0", &["HDEL none a"]);
    h.run("HSETEX none EX 5 FIELDS 1 a 5");
    h.now_ms += 5_001;
    h.check_effects("HSETEX none FNX FIELDS 1 a 6", ":1", &["HDEL none a", "HSET none a 6"]);
}

#[test]
fn a_time_that_has_come_deletes_what_is_set() {
    let mut h = with_hash();
    h.check_effects("HSETEX h EX 0 FIELDS 2 a 9 new 9", ":1", &["HDEL h a"]);
    h.check("HGETALL h", r#"["b", "two"]"#);
    h.check_effects("HSETEX none PXAT 1 FIELDS 1 a 9", ":1", &[]);
    h.check("EXISTS none", ":0");
    h.check_effects("HSETEX h FXX EXAT 0 FIELDS 1 b 9", ":1", &["HDEL h b"]);
    h.check("EXISTS h", ":0");
}

#[test]
fn refusals_of_hsetex() {
    let mut h = with_hash();
    let both = "-ERR Only one of FXX or FNX arguments can be specified";
    let one = "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified";
    for (line, reply) in [
        ("HSETEX l FIELDS 1 a 1", WRONG),
        ("HSETEX l FIELDS x a 1", "-ERR invalid number of fields"),
        ("HSETEX h FIELDS 0 a 1", "-ERR invalid number of fields"),
        ("HSETEX h FIELDS 2147483648 a 1", "-ERR invalid number of fields"),
        ("HSETEX h FIELDS 2 a 1", ARITY),
        ("HSETEX h FIELDS 1 a 1 b", ARITY),
        ("HSETEX h EX 5 FIELDS 1", ARITY),
        ("HSETEX h EX 5 FIELDS 1 a", ARITY),
        ("HSETEX h FNX FXX FIELDS 1 a 1", both),
        ("HSETEX h FXX FXX FIELDS 1 a 1", both),
        ("HSETEX h EX 5 KEEPTTL FIELDS 1 a 1", one),
        ("HSETEX h KEEPTTL PX 5 FIELDS 1 a 1", one),
        ("HSETEX h EX 5 EX 5 FIELDS 1 a 1", one),
        ("HSETEX h FNX KEEPTTL EX 5", one),
        ("HSETEX h EX x FIELDS 1 a 1", NOT_INT),
        ("HSETEX h EX -5 FIELDS 1 a 1", NEGATIVE),
        ("HSETEX h EXAT 70368744178 FIELDS 1 a 1", "-ERR invalid expire time in 'hsetex' command"),
        ("HSETEX h BOGUS FIELDS 1 a 1", "-ERR unknown argument: BOGUS"),
        ("HSETEX h PERSIST FIELDS 1 a 1", "-ERR unknown argument: PERSIST"),
        ("HSETEX h FNX NX EX 5", "-ERR unknown argument: NX"),
    ] {
        h.check_effects(line, reply, &[]);
    }
    h.check("HGETALL h", r#"["a", "1", "b", "two"]"#);
}
