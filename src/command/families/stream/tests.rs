use crate::command::ExpiryMode;
use crate::command::testing::{Harness, START_MS};

/// A stream `s` of five entries, 1-0 to 5-0, with a group `g` that reads from the start.
fn filled() -> Harness {
    let mut h = Harness::new();
    (1..=5).for_each(|n| drop(h.run(&format!("XADD s {n} f v{n}"))));
    h.run("XGROUP CREATE s g 0");
    h
}

#[test]
fn entries_are_added_and_logged_with_their_ids() {
    let mut h = Harness::new();
    let now = START_MS;
    h.check("XADD s NOMKSTREAM * f v", "nil");
    h.check_effects("XADD s 5 f v", "\"5-0\"", &["XADD s 5 f v"]);
    h.check_effects("XADD s 5-* f v", "\"5-1\"", &["XADD s 5-1 f v"]);
    h.check_effects("XADD s * f v", &format!("\"{now}-0\""), &[&format!("XADD s {now}-0 f v")]);
    h.check_effects("XADD s * f v", &format!("\"{now}-1\""), &[&format!("XADD s {now}-1 f v")]);
    h.now_ms -= 1000;
    h.check("XADD s * f v", &format!("\"{now}-2\""));
    let line = "XADD s MAXLEN = 2 9999999999999 f v";
    h.check_effects(line, "\"9999999999999-0\"", &[line]);
    h.check("XLEN s", ":2");
    let top = "-ERR The ID specified in XADD is equal or smaller than the target stream top item";
    h.check("XADD s 5 f v", top);
    h.check("XADD new 0-0 f v", "-ERR The ID specified in XADD must be greater than 0-0");
    h.check("XADD new 1 f v g", "-ERR wrong number of arguments for 'xadd' command");
    h.check("EXISTS new", ":0");
    h.check(
        "XADD s 18446744073709551615-18446744073709551615 f v",
        "\"18446744073709551615-18446744073709551615\"",
    );
    h.check("XADD s * f v", "-ERR The stream has exhausted the last possible ID, unable to add more items");
    h.put_list("l", &["x"]);
    h.check("XADD l 1 f v", "-WRONGTYPE Operation against a key holding the wrong kind of value");
}

#[test]
fn a_refused_entry_leaves_no_key() {
    let mut h = Harness::new();
    let big = vec![b'x'; 600 << 20];
    let reply = h.run_args(&[b"XADD", b"s", b"*", &big, &big]);
    assert_eq!(reply, "-ERR Elements are too large to be stored");
    h.check_effects("EXISTS s", ":0", &[]);
}

#[test]
fn rough_trimming_is_logged_as_what_it_left() {
    let mut h = Harness::new();
    h.settings.limits.stream_node_max_entries = 3;
    (1..=10).for_each(|n| drop(h.run(&format!("XADD s {n} f v"))));
    h.check_effects("XADD s MAXLEN ~ 5 11 f v", "\"11-0\"", &["XADD s MAXLEN = 5 11 f v"]);
    h.check_effects(
        "XADD s MINID ~ 9 * f v",
        &format!("\"{START_MS}-0\""),
        &[&format!("XADD s MINID = 7-0 {START_MS}-0 f v")],
    );
    h.check_effects("XTRIM s MAXLEN ~ 3 LIMIT 2", ":0", &[]);
    h.check_effects("XTRIM s MAXLEN ~ 3 LIMIT 3", ":3", &["XTRIM s MAXLEN = 3 LIMIT 3"]);
    h.check_effects("XTRIM s MINID 11", ":1", &["XTRIM s MINID 11"]);
    h.check(
        "XTRIM s MAXLEN 1 LIMIT 1",
        "-ERR syntax error, LIMIT cannot be used without the special ~ option",
    );
    h.check("XADD s LIMIT 0 * f v", "-ERR syntax error, LIMIT cannot be used without the special ~ option");
    // What was logged is taken as it is.
    h.expiry = ExpiryMode::Ignore;
    h.check("XTRIM s MAXLEN = 1 LIMIT 1", ":1");
    h.check("XLEN s", ":1");
}

#[test]
fn ranges() {
    let mut h = filled();
    h.check("XRANGE s (1 3", r#"[["2-0", ["f", "v2"]], ["3-0", ["f", "v3"]]]"#);
    h.check("XREVRANGE s + (4-0 COUNT 1", r#"[["5-0", ["f", "v5"]]]"#);
    h.check("XRANGE s - + COUNT 0", "nil[]");
    h.check("XRANGE none - + COUNT 0", "[]");
    h.check_effects("XDEL s 2 9 4-0", ":2", &["XDEL s 2 9 4-0"]);
    h.check("XRANGE s 2 4", r#"[["3-0", ["f", "v3"]]]"#);
    h.check_effects("XDEL s 2", ":0", &[]);
    h.check("XDEL s 1 x", "-ERR Invalid stream ID specified as stream command argument");
    h.check("XSETID s 4", "-ERR The ID specified in XSETID is smaller than the target stream top item");
    let line = "XSETID s 9 ENTRIESADDED 7 MAXDELETEDID 8";
    h.check_effects(line, "+OK", &[line]);
    h.check(
        "XINFO STREAM s",
        "[\"length\", :3, \"radix-tree-keys\", :1, \"radix-tree-nodes\", :2, \
        \"last-generated-id\", \"9-0\", \"max-deleted-entry-id\", \"8-0\", \"entries-added\", :7, \
        \"recorded-first-entry-id\", \"1-0\", \"groups\", :1, \"first-entry\", [\"1-0\", [\"f\", \"v1\"]], \
        \"last-entry\", [\"5-0\", [\"f\", \"v5\"]]]",
    );
}

#[test]
fn what_a_consumer_gets_is_logged_as_claims() {
    let mut h = filled();
    let now = h.now_ms;
    let claim = |id: &str, count: u32| {
        format!("XCLAIM s g c 0 {id} TIME {now} RETRYCOUNT {count} FORCE JUSTID LASTID")
    };
    h.check_effects(
        "XREADGROUP GROUP g c COUNT 2 STREAMS s >",
        r#"[["s", [["1-0", ["f", "v1"]], ["2-0", ["f", "v2"]]]]]"#,
        &[
            &format!("{} 1-0", claim("1-0", 1)),
            &format!("{} 2-0", claim("2-0", 1)),
            "XGROUP SETID s g 2-0 ENTRIESREAD 2",
        ],
    );
    h.run("XDEL s 1");
    h.check_effects(
        "XREADGROUP GROUP g c STREAMS s 0",
        r#"[["s", [["1-0", nil[]], ["2-0", ["f", "v2"]]]]]"#,
        &[&format!("{} 2-0", claim("2-0", 2))],
    );
    h.check_effects(
        "XREADGROUP GROUP g d NOACK COUNT 1 STREAMS s >",
        r#"[["s", [["3-0", ["f", "v3"]]]]]"#,
        &["XGROUP CREATECONSUMER s g d", "XGROUP SETID s g 3-0 ENTRIESREAD 3"],
    );
    h.check_effects("XREADGROUP GROUP g e STREAMS s 0", r#"[["s", []]]"#, &["XGROUP CREATECONSUMER s g e"]);
    h.check_effects("XREADGROUP GROUP g e STREAMS s 0", r#"[["s", []]]"#, &[]);
    h.check_effects("XACK s g 1 7", ":1", &["XACK s g 1 7"]);
    h.check("XPENDING s g", r#"[:1, "2-0", "2-0", [["c", "1"]]]"#);
    h.check("XGROUP DELCONSUMER s g c", ":1");
    h.check("XPENDING s g", "[:0, nil, nil, nil[]]");
}

#[test]
fn claims_and_their_log() {
    let mut h = filled();
    h.run("XREADGROUP GROUP g c STREAMS s >");
    h.run("XDEL s 2 4");
    h.now_ms += 100;
    let (then, now) = (h.now_ms - 100, h.now_ms);
    let logged = |consumer: &str, id: &str, at: i64, count: u32| {
        format!("XCLAIM s g {consumer} 0 {id} TIME {at} RETRYCOUNT {count} FORCE JUSTID LASTID 5-0")
    };
    h.check_effects("XCLAIM s g d 101 1", "[]", &["XGROUP CREATECONSUMER s g d"]);
    h.check_effects(
        "XCLAIM s g d 100 1 2 JUSTID",
        r#"["1-0"]"#,
        &[&logged("d", "1-0", now, 1), &logged("c", "2-0", then, 1)],
    );
    h.check_effects("XCLAIM s g d 0 9 LASTID 7", "[]", &["XGROUP SETID s g 7-0 ENTRIESREAD 5"]);
    h.run("XGROUP SETID s g 5");
    h.check("XPENDING s g - + 10 d", r#"[["1-0", "d", :0, :1]]"#);
    h.check_effects(
        "XAUTOCLAIM s g e 50 0 COUNT 2",
        r#"["5-0", [["3-0", ["f", "v3"]]], ["4-0"]]"#,
        &[&logged("e", "3-0", now, 2), &logged("c", "4-0", then, 1)],
    );
    h.check("XAUTOCLAIM s g e 50 5 JUSTID", r#"["0-0", ["5-0"], []]"#);
    h.check("XPENDING s g", r#"[:3, "1-0", "5-0", [["d", "1"], ["e", "2"]]]"#);
    h.check("XCLAIM s g d 0 1 FOO", "-ERR Unrecognized XCLAIM option 'FOO'");
    h.check("XCLAIM s none d 0 1", "-NOGROUP No such key 's' or consumer group 'none'");
}

#[test]
fn a_replica_comes_to_the_same_by_the_log() {
    let (mut h, mut replica) = (filled(), filled());
    replica.expiry = ExpiryMode::Ignore;
    for line in [
        "XREADGROUP GROUP g c COUNT 2 STREAMS s >",
        "XADD s MAXLEN ~ 3 * f v",
        "XREADGROUP GROUP g d NOACK COUNT 1 STREAMS s >",
        "XREADGROUP GROUP g c STREAMS s 0",
        "XDEL s 2 4",
        "XCLAIM s g d 0 1 2 3 FORCE",
        "XREADGROUP GROUP g new STREAMS s 0",
        "XAUTOCLAIM s g e 0 0 COUNT 1",
        "XGROUP CREATE s h $ ENTRIESREAD 3",
        "XACK s g 3",
        "XGROUP DELCONSUMER s g d",
    ] {
        h.now_ms += 7;
        replica.now_ms = h.now_ms;
        h.run(line);
        for effect in h.effects() {
            replica.run(&effect);
        }
        let full = without_consumers_times(&h.run("XINFO STREAM s FULL COUNT 0"));
        let followed = replica.run("XINFO STREAM s FULL COUNT 0");
        assert_eq!(without_consumers_times(&followed), full, "after {line}");
    }
}

/// A shown reply without when consumers asked and got something: a replica takes claims for that, whatever made them.
fn without_consumers_times(shown: &str) -> String {
    let mut parts = shown.split("-time\", :");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |all, part| {
        all + "-time" + part.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit())
    })
}

#[test]
fn readers_wait() {
    let mut h = filled();
    h.check("XREAD BLOCK 100 STREAMS s $", "blocked 100 [s]");
    h.check("XREAD BLOCK 0 STREAMS s none 5 0", "blocked 0 [s, none]");
    h.check("XREAD STREAMS s $", "nil[]");
    h.check("XREAD BLOCK -1 STREAMS s $", "-ERR timeout is negative");
    h.check("XREAD BLOCK 9223372036854775807 STREAMS s $", "-ERR timeout is out of range");
    h.run("XGROUP SETID s g $");
    h.check("XREADGROUP GROUP g c BLOCK 5 STREAMS s >", "blocked 5 [s]");
    h.may_block = false;
    h.check("XREADGROUP GROUP g c BLOCK 5 STREAMS s >", "nil[]");
}

#[test]
fn streams_and_ids_go_in_pairs() {
    let mut h = filled();
    h.check(
        "XREAD STREAMS s t 0",
        "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
    );
    h.check(
        "XREADGROUP GROUP g c STREAMS s t >",
        "-ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
    );
}

#[test]
fn a_consumer_comes_to_be_when_it_asks() {
    let mut h = filled();
    h.run("XGROUP SETID s g $");
    h.check_effects(
        "XREADGROUP GROUP g c BLOCK 5 STREAMS s >",
        "blocked 5 [s]",
        &["XGROUP CREATECONSUMER s g c"],
    );
    h.check_effects("XREADGROUP GROUP g c BLOCK 5 STREAMS s >", "blocked 5 [s]", &[]);
    h.check_effects("XREADGROUP GROUP g d STREAMS s >", "nil[]", &["XGROUP CREATECONSUMER s g d"]);
    h.check_effects("XCLAIM s g e 0 1", "[]", &["XGROUP CREATECONSUMER s g e"]);
    h.check_effects("XAUTOCLAIM s g f 0 0", r#"["0-0", [], []]"#, &["XGROUP CREATECONSUMER s g f"]);
    h.check_effects("XAUTOCLAIM s g f 0 0", r#"["0-0", [], []]"#, &[]);
}

#[test]
fn a_consumer_is_active_when_it_gets_what_is_new_to_it() {
    let mut h = filled();
    let told = |h: &mut Harness, idle: i64, inactive: i64| {
        let times = format!("\"idle\", :{idle}, \"inactive\", :{inactive}]");
        let reply = h.run("XINFO CONSUMERS s g");
        assert!(reply.contains(&times), "{reply} and not {times}");
    };
    h.run("XGROUP CREATECONSUMER s g c");
    h.now_ms += 3;
    told(&mut h, 3, -1);
    h.run("XREADGROUP GROUP g c COUNT 1 NOACK STREAMS s >");
    told(&mut h, 0, -1);
    h.run("XREADGROUP GROUP g c STREAMS s >");
    told(&mut h, 0, 0);
    for (line, inactive) in [
        ("XREADGROUP GROUP g c STREAMS s >", 5),
        ("XREADGROUP GROUP g c STREAMS s 0", 10),
        ("XCLAIM s g c 1000 2", 15),
        ("XAUTOCLAIM s g c 1000 0", 20),
        ("XCLAIM s g c 0 2", 0),
        ("XAUTOCLAIM s g c 0 0 COUNT 1", 0),
    ] {
        h.now_ms += 5;
        h.run(line);
        told(&mut h, 0, inactive);
    }
    let full = h.run("XINFO STREAM s FULL");
    let (now, active) = (h.now_ms, h.now_ms);
    assert!(
        full.contains(&format!("\"seen-time\", :{now}, \"active-time\", :{active}, \"pel-count\"")),
        "{full}"
    );
}

#[test]
fn names_that_look_like_options_do_not_mislead() {
    let mut h = filled();
    h.run("XGROUP CREATE s STREAMS 0");
    h.check(
        "XREADGROUP COUNT 1 NOACK GROUP STREAMS STREAMS STREAMS s >",
        r#"[["s", [["1-0", ["f", "v1"]]]]]"#,
    );
    h.check("XREAD STREAMS streams s 0 4", r#"[["s", [["5-0", ["f", "v5"]]]]]"#);
    h.check(
        "XREAD GROUP STREAMS STREAMS s 0 1",
        "-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
    );
}

#[test]
fn groups_and_their_figures() {
    let mut h = Harness::new();
    h.check(
        "XGROUP CREATE s g $",
        "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you \
        may want to use the MKSTREAM option to create an empty stream automatically.",
    );
    h.check_effects("XGROUP CREATE s g $ MKSTREAM", "+OK", &["XGROUP CREATE s g $ MKSTREAM"]);
    h.check("TYPE s", "+stream");
    h.check("XGROUP CREATE s g 0", "-BUSYGROUP Consumer Group name already exists");
    h.check("XGROUP CREATE s h 0 ENTRIESREAD -2", "-ERR value for ENTRIESREAD must be positive or -1");
    h.check("XGROUP SETID s h 0", "-NOGROUP No such consumer group 'h' for key name 's'");
    h.check(
        "XGROUP SETID s g 0 x",
        "-ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP.",
    );
    h.check("XGROUP CREATECONSUMER s g c", ":1");
    h.check_effects("XGROUP CREATECONSUMER s g c", ":0", &[]);
    h.now_ms += 5;
    h.resp3 = true;
    h.check("XINFO CONSUMERS s g", r#"[{"name": "c", "pending": :0, "idle": :5, "inactive": :-1}]"#);
    h.check(
        "XINFO GROUPS s",
        "[{\"name\": \"g\", \"consumers\": :1, \"pending\": :0, \"last-delivered-id\": \"0-0\", \
        \"entries-read\": nil, \"lag\": :0}]",
    );
    h.check("XREAD STREAMS s 0", "nil");
    h.check("XGROUP DESTROY s g", ":1");
    h.check("XGROUP DESTROY s g", ":0");
    assert_eq!(h.run("OBJECT ENCODING s"), "\"stream\"");
}

#[test]
fn awaited_streams_are_ready_when_they_come_and_when_they_go() {
    for (line, is_ready) in [
        ("XADD s 9 f v", true),
        ("XGROUP DESTROY s g", true),
        ("DEL s", true),
        ("SET s v", true),
        ("RENAME s t", true),
        ("FLUSHALL", true),
        ("SWAPDB 0 1", true),
        ("XDEL s 5", false),
        ("XGROUP CREATE s h 0", false),
    ] {
        let mut h = filled();
        let hash = crate::value::hash_bytes(b"s");
        h.keyspace.lock_one(hash).shard_mut(hash).await_key(0, b"s");
        h.run(line);
        assert_eq!(h.ready.contains(&(0, Box::from(&b"s"[..]))), is_ready, "{line}");
    }
}
