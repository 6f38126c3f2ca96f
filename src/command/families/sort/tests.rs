use super::pattern::Pattern;
use crate::command::table::sort_store;
use crate::command::testing::Harness;

fn harness() -> Harness {
    let mut h = Harness::new();
    h.check("RPUSH list 3 1 10 2", ":4");
    h.check("SADD ints 3 1 10 2", ":4");
    h.check("SADD words b a c", ":3");
    h.check("ZADD zset 1 c 2 a 3 b", ":3");
    h
}

#[test]
fn numbers_and_texts_in_both_directions() {
    let mut h = harness();
    for command in ["SORT", "SORT_RO"] {
        h.check(&format!("{command} list"), "[\"1\", \"2\", \"3\", \"10\"]");
        h.check(&format!("{command} list DESC"), "[\"10\", \"3\", \"2\", \"1\"]");
        h.check(&format!("{command} list alpha"), "[\"1\", \"10\", \"2\", \"3\"]");
        h.check(&format!("{command} list DESC ASC"), "[\"1\", \"2\", \"3\", \"10\"]");
        h.check(&format!("{command} ints"), "[\"1\", \"2\", \"3\", \"10\"]");
        h.check(&format!("{command} zset ALPHA"), "[\"a\", \"b\", \"c\"]");
        h.check(&format!("{command} none"), "[]");
    }
    h.check("SORT zset", "-ERR One or more scores can't be converted into double");
    h.check("RPUSH odd \"\" \" 2\" 0x1 inf -inf 1.5", ":6");
    h.check("SORT odd", "[\"-inf\", \"\", \"0x1\", \"1.5\", \" 2\", \"inf\"]");
    assert_eq!(h.effects(), [""; 0]);
}

#[test]
fn limits() {
    let mut h = harness();
    for (limit, reply) in [
        ("0 2", "[\"1\", \"2\"]"),
        ("1 2", "[\"2\", \"3\"]"),
        ("-5 1", "[\"1\"]"),
        ("2 -1", "[\"3\", \"10\"]"),
        ("2 9223372036854775807", "[\"3\", \"10\"]"),
        ("0 0", "[]"),
        ("4 1", "[]"),
        ("9223372036854775807 -1", "[]"),
    ] {
        h.check(&format!("SORT list LIMIT {limit}"), reply);
        h.check(&format!("SORT list LIMIT 3 1 LIMIT {limit}"), reply);
    }
    h.check("SORT list LIMIT 1 2 DESC", "[\"3\", \"2\"]");
    h.check("SORT list LIMIT x 1", "-ERR value is not an integer or out of range");
    h.check("SORT list LIMIT 0 x STORE", "-ERR value is not an integer or out of range");
}

#[test]
fn refusals() {
    let mut h = harness();
    h.check("SET string 1", "+OK");
    for words in ["LIMIT 1", "BY", "GET", "STORE", "NOSUCH", "ASC 1"] {
        h.check(&format!("SORT string {words}"), "-ERR syntax error");
    }
    h.check("SORT_RO list STORE d", "-ERR syntax error");
    let wrong_type = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    h.check("SORT string", wrong_type);
    h.check("HSET hash f v", ":1");
    h.check("SORT_RO hash", wrong_type);
}

#[test]
fn weights_and_values_of_other_keys() {
    let mut h = harness();
    h.check("MSET w_1 30 w_2 20 w_3 10 n_1 one n_10 ten", "+OK");
    h.check("SORT list BY w_*", "[\"10\", \"3\", \"2\", \"1\"]");
    h.check("SORT list BY w_* GET #", "[\"10\", \"3\", \"2\", \"1\"]");
    h.check(
        "SORT list GET # GET n_* GET nostar",
        "[\"1\", \"one\", nil, \"2\", nil, nil, \"3\", nil, nil, \"10\", \"ten\", nil]",
    );
    h.check("SORT list BY w_* LIMIT 1 2 DESC GET #", "[\"2\", \"3\"]");
    h.check("SORT list BY n_*", "-ERR One or more scores can't be converted into double");
    h.check("SORT list BY n_* ALPHA", "[\"3\", \"2\", \"1\", \"10\"]");
    h.check("SORT list BY n_* ALPHA DESC", "[\"10\", \"1\", \"3\", \"2\"]");
    h.check("HSET h_1 w 5 n uno", ":2");
    h.check("HSET h_2 w 7", ":1");
    h.check("SORT list BY h_*->w DESC GET h_*->n GET h_*", "[nil, nil, \"uno\", nil, nil, nil, nil, nil]");
    h.check("SET *-> x", "+OK");
    h.check("SET 1-> y", "+OK");
    h.check("SORT list LIMIT 0 1 GET *->", "[\"y\"]");
    h.resp3 = true;
    h.check("SORT list LIMIT 1 1 GET n_*", "[nil]");
}

#[test]
fn no_order_at_all() {
    let mut h = harness();
    h.check("SORT list BY nosort", "[\"3\", \"1\", \"10\", \"2\"]");
    h.check("SORT list BY nosort DESC", "[\"2\", \"10\", \"1\", \"3\"]");
    h.check("SORT list BY nosort DESC LIMIT 1 2", "[\"10\", \"1\"]");
    h.check("SORT list BY nosort LIMIT 4 2", "[]");
    h.check("SORT zset BY nosort", "[\"c\", \"a\", \"b\"]");
    h.check("SORT zset BY nosort DESC LIMIT 0 2", "[\"b\", \"a\"]");
    h.check("SORT zset BY nosort BY w_* LIMIT 1 1", "[\"a\"]");
    h.check("SORT ints BY nosort LIMIT 1 2", "[\"2\", \"3\"]");
    // What is stored never depends on the order of a set.
    h.check("SORT words BY nosort DESC STORE d", ":3");
    h.check("LRANGE d 0 -1", "[\"c\", \"b\", \"a\"]");
}

#[test]
fn results_are_stored_and_logged() {
    let mut h = harness();
    h.check("SET d string", "+OK");
    h.check_effects("SORT list STORE d", ":4", &["DEL d", "RPUSH d 1 2 3 10"]);
    assert_eq!(h.dirty, 4);
    h.check("SET n_1 one", "+OK");
    h.check_effects("SORT list GET n_* LIMIT 0 2 STORE list", ":2", &["DEL list", "RPUSH list one "]);
    h.check("SORT list ALPHA", "[\"\", \"one\"]");
    h.check_effects("SORT none STORE list", ":0", &["DEL list"]);
    h.check_effects("SORT none STORE list", ":0", &[]);
    assert_eq!(h.dirty, 0);
    h.check("RPUSH many 1", ":1");
    for n in 2..=2_100 {
        h.check(&format!("RPUSH many {n}"), &format!(":{n}"));
    }
    h.check("SORT many STORE d", ":2100");
    let words: Vec<usize> = h.effects().iter().map(|effect| effect.split(' ').count()).collect();
    assert_eq!(words, [2, 1_026, 1_026, 54]);
}

#[test]
fn texts_end_at_nul_unless_they_are_stored() {
    let mut h = Harness::new();
    h.check("RPUSH l \"a\\x00b\" \"a\\x00a\" a", ":3");
    h.check("SORT l ALPHA", "[\"a\\x00b\", \"a\\x00a\", \"a\"]");
    h.check("SORT l ALPHA STORE d", ":3");
    h.check("LRANGE d 0 -1", "[\"a\", \"a\\x00a\", \"a\\x00b\"]");
}

#[test]
fn expired_weights_are_absent() {
    let mut h = harness();
    h.check("SET w_1 100 PX 5", "+OK");
    h.check("SORT list BY w_* LIMIT 3 1", "[\"1\"]");
    h.now_ms += 6;
    h.check_effects("SORT list BY w_* LIMIT 3 1", "[\"3\"]", &["DEL w_1"]);
}

#[test]
fn expired_fields_are_absent() {
    let mut h = harness();
    h.check("HSET w_1 f 30 g 1", ":2");
    h.check("HPEXPIRE w_1 5 FIELDS 1 f", "[:1]");
    h.check("SORT list LIMIT 0 1 GET w_*->f", "[\"30\"]");
    h.now_ms += 6;
    h.check("SORT list LIMIT 0 1 GET w_*->f GET w_*->g", "[nil, \"1\"]");
}

#[test]
fn long_results_come_in_slices_in_the_same_order() {
    let mut h = Harness::new();
    let mut expected: Vec<u64> = (0..20_000).map(|n| n * 7_919 % 10_007).collect();
    for part in expected.chunks(1_000) {
        let words: Vec<String> = part.iter().map(u64::to_string).collect();
        h.run(&format!("RPUSH l {}", words.join(" ")));
    }
    let shown = |numbers: &[u64]| {
        let words: Vec<String> = numbers.iter().map(|n| format!("\"{n}\"")).collect();
        format!("[{}]", words.join(", "))
    };
    assert_eq!(h.run("SORT l BY nosort"), shown(&expected));
    expected.sort();
    assert_eq!(h.run("SORT l"), shown(&expected));
    assert_eq!(h.run("SORT l LIMIT 100 15000"), shown(&expected[100..15_100]));
    assert_eq!(h.run("SORT l LIMIT 100 100"), shown(&expected[100..200]));
    assert_eq!(h.run("SORT l GET # GET x").matches("nil").count(), 20_000);
    expected.reverse();
    assert_eq!(h.run("SORT_RO l DESC"), shown(&expected));
}

#[test]
fn patterns() {
    let key = |before: &'static str, after: &'static str, field: Option<&'static str>| Pattern::Key {
        before: before.as_bytes(),
        after: after.as_bytes(),
        field: field.map(str::as_bytes),
    };
    for (text, pattern) in [
        (&b"#"[..], Pattern::Element),
        (b"#\0*", Pattern::Element),
        (b"##", Pattern::Nothing),
        (b"", Pattern::Nothing),
        (b"a\0*", Pattern::Nothing),
        (b"*", key("", "", None)),
        (b"a*b*c", key("a", "b*c", None)),
        (b"a*b->f", key("a", "b", Some("f"))),
        (b"*->f->g", key("", "", Some("f->g"))),
        (b"*->", key("", "->", None)),
        (b"*->\0f", key("", "->\0f", None)),
        (b"a->b*", key("a->b", "", None)),
    ] {
        assert_eq!(Pattern::parse(text), pattern, "{}", text.escape_ascii());
    }
}

#[test]
fn the_key_that_is_stored_to_is_found() {
    let at = |line: &str| {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        sort_store(&args)
    };
    assert_eq!(at("SORT k STORE d"), Some(3));
    assert_eq!(at("SORT k store d STORE e DESC"), Some(5));
    assert_eq!(at("SORT store BY store GET store LIMIT store store"), None);
    assert_eq!(at("SORT k STORE"), None);
    assert_eq!(at("SORT k STORE d STORE"), Some(3));
}
