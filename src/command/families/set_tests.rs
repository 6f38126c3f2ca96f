//! Single sets and SMOVE.

use crate::command::testing::Harness;
use std::collections::BTreeSet;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

fn with_set(members: &str) -> Harness {
    let mut harness = Harness::new();
    harness.run(&format!("SADD s {members}"));
    harness
}

/// The members that a reply shows, and how many times it shows any.
fn shown(reply: &str) -> (BTreeSet<String>, usize) {
    let inner = reply.trim_start_matches('~').trim_start_matches('[').trim_end_matches(']');
    let all: Vec<String> = inner.split(", ").filter(|word| !word.is_empty()).map(str::to_string).collect();
    let count = all.len();
    (all.into_iter().collect(), count)
}

#[test]
fn additions_and_removals() {
    let mut h = Harness::new();
    h.check_effects("SADD s 2 1 2", ":2", &["SADD s 2 1 2"]);
    assert_eq!(h.dirty, 2);
    h.check("SMEMBERS s", r#"["1", "2"]"#);
    h.check_effects("SADD s 1", ":0", &[]);
    h.check("SADD s a 01", ":2");
    h.check("SCARD s", ":4");
    h.check("SISMEMBER s 01", ":1");
    h.check("SMISMEMBER s 1 b a", "[:1, :0, :1]");
    h.check_effects("SREM s zz", ":0", &[]);
    h.check_effects("SREM s a b 01", ":2", &["SREM s a b 01"]);
    assert_eq!(h.dirty, 2);
    h.check("SREM s 1 2 3", ":2");
    assert!(h.keyspace.lock_all().iter().all(|(_, shard)| shard.is_empty()));
    h.check("SREM s 1", ":0");
    h.check("SCARD s", ":0");
    h.check("SISMEMBER s 1", ":0");
    h.check("SMISMEMBER s 1 2", "[:0, :0]");
    h.check("SMEMBERS s", "[]");
    h.resp3 = true;
    h.check("SMEMBERS s", "~[]");
    h.run("SADD s x");
    h.check("SMEMBERS s", "~[\"x\"]");
}

#[test]
fn other_types_are_refused() {
    let mut h = Harness::new();
    h.run("RPUSH l a");
    for line in [
        "SADD l a",
        "SREM l a",
        "SISMEMBER l a",
        "SMISMEMBER l a",
        "SCARD l",
        "SMEMBERS l",
        "SPOP l",
        "SPOP l 0",
        "SRANDMEMBER l",
        "SRANDMEMBER l 0",
        "SSCAN l 0",
        "SMOVE l x a",
    ] {
        h.check_effects(line, WRONG_TYPE, &[]);
    }
    h.check("LRANGE l 0 -1", "[\"a\"]");
}

#[test]
fn random_pops() {
    let mut h = with_set("a b c d e");
    h.resp3 = true;
    let reply = h.run("SPOP s");
    assert_eq!(h.effects(), [format!("SREM s {}", reply.trim_matches('"'))]);
    let reply = h.run("SPOP s 2");
    assert!(reply.starts_with('~'));
    assert_eq!(h.dirty, 2);
    let (popped, count) = shown(&reply);
    assert_eq!((popped.len(), count), (2, 2));
    let named: BTreeSet<String> =
        h.effects()[0].split(' ').skip(2).map(|member| format!("\"{member}\"")).collect();
    assert_eq!((h.effects().len(), named), (1, popped));
    h.check_effects("SPOP s 0", "~[]", &[]);
    h.check("SCARD s", ":2");
    assert_eq!(shown(&h.run("SPOP s 2")).1, 2);
    assert_eq!((h.effects(), h.dirty), (vec!["DEL s".to_string()], 2));
    h.check_effects("SPOP s", "nil", &[]);
    h.check("SPOP s 3", "~[]");
    h.check("SPOP s x", "-ERR value is out of range, must be positive");
    h.check("SPOP s -1", "-ERR value is out of range, must be positive");
    h.check("SPOP s 1 2", "-ERR syntax error");
    h.run("SADD s last");
    h.check_effects("SPOP s", "\"last\"", &["SREM s last"]);
    assert!(h.keyspace.lock_all().iter().all(|(_, shard)| shard.is_empty()));
}

#[test]
fn many_pops_are_logged_in_batches() {
    let mut h = Harness::new();
    for n in 0..3000 {
        h.run(&format!("SADD s member{n}"));
    }
    let (popped, count) = shown(&h.run("SPOP s 2500"));
    assert_eq!((popped.len(), count), (2500, 2500));
    let effects = h.effects();
    let sizes: Vec<usize> = effects.iter().map(|effect| effect.split(' ').count() - 2).collect();
    assert_eq!(sizes, [1024, 1024, 452]);
    // A follower that runs the effects has what is left here.
    let mut follower = Harness::new();
    for n in 0..3000 {
        follower.run(&format!("SADD s member{n}"));
    }
    effects.iter().for_each(|effect| drop(follower.run(effect)));
    assert_eq!(shown(&follower.run("SMEMBERS s")), shown(&h.run("SMEMBERS s")));
}

#[test]
fn random_members() {
    let mut h = with_set("a b c 4");
    h.resp3 = true;
    let everything = shown(r#"["a", "b", "c", "4"]"#);
    assert!(everything.0.contains(&h.run("SRANDMEMBER s")));
    assert_eq!(shown(&h.run("SRANDMEMBER s 9")), everything);
    assert_eq!(shown(&h.run("SRANDMEMBER s 3")).0.len(), 3);
    h.check("SRANDMEMBER s 0", "[]");
    let (members, count) = shown(&h.run("SRANDMEMBER s -50"));
    assert_eq!((members, count), (everything.0, 50));
    h.check("SRANDMEMBER none", "nil");
    h.check("SRANDMEMBER none 2", "[]");
    h.check("SRANDMEMBER none -2", "[]");
    h.check("SRANDMEMBER s x", "-ERR value is not an integer or out of range");
    h.check("SRANDMEMBER s 1 2", "-ERR syntax error");
    h.check("SCARD s", ":4");
    h.settings.max_bulk_bytes = 1000;
    assert!(h.run("SRANDMEMBER s -9223372036854775807").contains("proto-max-bulk-len"));
    assert!(h.run("SRANDMEMBER s -9223372036854775808").contains("must between"));
}

#[test]
fn moves() {
    let mut h = with_set("a b");
    h.check_effects("SMOVE s t a", ":1", &["SMOVE s t a"]);
    assert_eq!(h.dirty, 2);
    h.check_effects("SMOVE s t zz", ":0", &[]);
    h.check_effects("SMOVE s s b", ":1", &[]);
    h.check_effects("SMOVE s s zz", ":0", &[]);
    h.run("SADD t b");
    h.check_effects("SMOVE s t b", ":1", &["SMOVE s t b"]);
    assert_eq!(h.dirty, 1);
    h.check("SCARD s", ":0");
    h.check("SCARD t", ":2");
    h.run("RPUSH l x");
    h.check("SMOVE none l a", ":0");
    h.check_effects("SMOVE t l zz", WRONG_TYPE, &[]);
    h.check("SMOVE l t x", WRONG_TYPE);
}

#[test]
fn scans() {
    let mut h = with_set("1 2 3");
    h.check("SSCAN s 0", r#"["0", ["1", "2", "3"]]"#);
    h.check("SSCAN s 0 MATCH [23] COUNT 1", r#"["0", ["2", "3"]]"#);
    h.check("SSCAN none 0 NONSENSE", r#"["0", []]"#);
    h.check("SSCAN s 0 NONSENSE 1", "-ERR syntax error");
    h.check("SSCAN s 0 NOVALUES", "-ERR syntax error");
    h.check("SSCAN s x", "-ERR invalid cursor");
    for n in 0..1000 {
        h.run(&format!("SADD big member:{n}"));
    }
    let (mut cursor, mut seen, mut calls) = ("0".to_string(), BTreeSet::new(), 0);
    loop {
        let reply = h.run(&format!("SSCAN big {cursor} COUNT 50"));
        let (next, members) = reply.trim_start_matches("[\"").split_once("\", ").expect("cursor and members");
        seen.extend(shown(members.trim_end_matches("]]")).0);
        calls += 1;
        if next == "0" {
            break;
        }
        cursor = next.to_string();
    }
    assert_eq!(seen.len(), 1000);
    assert!(calls > 5, "{calls}");
}

#[test]
fn a_set_that_goes_whole_is_logged_as_the_settings_say() {
    let mut h = with_set("a b c");
    h.run("SPOP s 5");
    assert_eq!(h.effects(), ["DEL s"]);
    let mut h = with_set("a b c");
    h.settings.lazy_server_del = true;
    h.run("SPOP s 5");
    assert_eq!(h.effects(), ["UNLINK s"]);
}
