//! Lists, waiting commands included.

use crate::command::testing::Harness;
use proptest::prelude::*;
use std::collections::VecDeque;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

fn with_list(elements: &str) -> Harness {
    let mut harness = Harness::new();
    harness.run(&format!("RPUSH l {elements}"));
    harness
}

fn all(harness: &mut Harness, key: &str) -> String {
    harness.run(&format!("LRANGE {key} 0 -1"))
}

#[test]
fn pushes() {
    let mut h = Harness::new();
    h.check_effects("LPUSHX l a", ":0", &[]);
    h.check_effects("RPUSH l a b", ":2", &["RPUSH l a b"]);
    assert_eq!(h.dirty, 2);
    h.check("LPUSH l 1 02", ":4");
    h.check("RPUSHX l z", ":5");
    assert_eq!(all(&mut h, "l"), r#"["02", "1", "a", "b", "z"]"#);
    h.check("LLEN l", ":5");
    h.check("LLEN none", ":0");
    h.run("SET s x");
    for line in ["LPUSH s a", "RPUSHX s a", "LLEN s", "LRANGE s 0 1", "LPOP s", "RPOP s 0", "LPOS s a"] {
        h.check(line, WRONG_TYPE);
    }
}

#[test]
fn pops() {
    let mut h = with_list("a b c d e");
    h.check_effects("LPOP l", "\"a\"", &["LPOP l"]);
    h.check_effects("RPOP l 2", r#"["e", "d"]"#, &["RPOP l 2"]);
    assert_eq!(h.dirty, 2);
    h.check_effects("LPOP l 0", "[]", &[]);
    h.check_effects("LPOP l 9", r#"["b", "c"]"#, &["LPOP l 9"]);
    assert_eq!(h.dirty, 2);
    h.check("LLEN l", ":0");
    assert!(h.run("LPUSHX l a") == ":0", "the key went with its last element");
    h.check_effects("LPOP l", "nil", &[]);
    h.check("LPOP l 0", "nil[]");
    h.check("LPOP l x", "-ERR value is out of range, must be positive");
    h.check("RPOP l -1", "-ERR value is out of range, must be positive");
    h.check("RPOP l 1 2", "-ERR wrong number of arguments for 'rpop' command");
    h.run("RPUSH one x");
    h.check_effects("RPOP one", "\"x\"", &["RPOP one"]);
    h.check("LPUSHX one a", ":0");
}

#[test]
fn ranges_and_indexes() {
    let mut h = with_list("a b c d e");
    h.check("LRANGE l 1 3", r#"["b", "c", "d"]"#);
    h.check("LRANGE l -2 100", r#"["d", "e"]"#);
    h.check("LRANGE l 3 1", "[]");
    h.check("LRANGE none 0 -1", "[]");
    h.check("LRANGE none a 1", "-ERR value is not an integer or out of range");
    h.check("LINDEX l -1", "\"e\"");
    h.check("LINDEX l 5", "nil");
    h.check("LINDEX none x", "nil");
    h.check("LINDEX l x", "-ERR value is not an integer or out of range");
    h.check_effects("LSET l -5 A", "+OK", &["LSET l -5 A"]);
    h.check("LSET l 5 x", "-ERR index out of range");
    h.check("LSET none x x", "-ERR no such key");
    h.check("LSET l x x", "-ERR value is not an integer or out of range");
    h.check_effects("LTRIM l 0 3", "+OK", &["LTRIM l 0 3"]);
    h.check_effects("LTRIM l 0 -1", "+OK", &[]);
    assert_eq!(all(&mut h, "l"), r#"["A", "b", "c", "d"]"#);
    h.check_effects("LTRIM l 2 1", "+OK", &["LTRIM l 2 1"]);
    assert_eq!(h.dirty, 4);
    h.check("LLEN l", ":0");
    h.check("LTRIM none 0 x", "-ERR value is not an integer or out of range");
}

#[test]
fn insertions_and_removals() {
    let mut h = with_list("a b a c a");
    h.check_effects("LINSERT l before b x", ":6", &["LINSERT l before b x"]);
    h.check("LINSERT l AFTER a y", ":7");
    assert_eq!(all(&mut h, "l"), r#"["a", "y", "x", "b", "a", "c", "a"]"#);
    h.check_effects("LINSERT l AFTER none y", ":-1", &[]);
    h.check("LINSERT none AFTER a y", ":0");
    h.check("LINSERT none beside a y", "-ERR syntax error");
    h.check_effects("LREM l -2 a", ":2", &["LREM l -2 a"]);
    assert_eq!(h.dirty, 2);
    assert_eq!(all(&mut h, "l"), r#"["a", "y", "x", "b", "c"]"#);
    h.check_effects("LREM l 0 zz", ":0", &[]);
    h.check("LREM none x a", "-ERR value is not an integer or out of range");
    h.run("RPUSH same 7 7 7");
    h.check("LREM same 1 07", ":0");
    h.check("LREM same 2 7", ":2");
    h.check("LREM same 0 7", ":1");
    h.check("LPUSHX same 1", ":0");
}

#[test]
fn positions() {
    let mut h = with_list("a b c 1 2 3 c c");
    h.check("LPOS l c", ":2");
    h.check("LPOS l c RANK 2", ":6");
    h.check("LPOS l c RANK -1", ":7");
    h.check("LPOS l c COUNT 2", "[:2, :6]");
    h.check("LPOS l c COUNT 0 RANK -2", "[:6, :2]");
    h.check("LPOS l c COUNT 0 MAXLEN 3", "[:2]");
    h.check("LPOS l c MAXLEN 2", "nil");
    h.check("LPOS l c RANK 9", "nil");
    h.check("LPOS l none COUNT 0", "[]");
    h.check("LPOS none c", "nil");
    h.check("LPOS none c COUNT 1", "[]");
    h.check("LPOS l c RANK", "-ERR syntax error");
    h.check("LPOS none c WHAT 1", "-ERR syntax error");
    h.check("LPOS l c COUNT x", "-ERR COUNT can't be negative");
    h.check("LPOS l c MAXLEN -1", "-ERR MAXLEN can't be negative");
    h.check("LPOS l c RANK x", "-ERR value is not an integer or out of range");
    assert!(h.run("LPOS l c RANK 0").starts_with("-ERR RANK can't be zero: use 1 to start"));
    assert!(h.run("LPOS l c RANK -9223372036854775808").contains("value must between"));
}

#[test]
fn moves() {
    let mut h = with_list("a b c");
    h.check_effects("LMOVE l m RIGHT left", "\"c\"", &["LMOVE l m RIGHT left"]);
    assert_eq!(h.dirty, 1);
    h.check_effects("RPOPLPUSH l m", "\"b\"", &["RPOPLPUSH l m"]);
    assert_eq!(all(&mut h, "m"), r#"["b", "c"]"#);
    h.check("RPOPLPUSH m m", "\"c\"");
    assert_eq!(all(&mut h, "m"), r#"["c", "b"]"#);
    h.check("LMOVE l l LEFT RIGHT", "\"a\"");
    h.check("LMOVE l m LEFT RIGHT", "\"a\"");
    h.check("LPUSHX l x", ":0");
    h.check_effects("LMOVE l m LEFT RIGHT", "nil", &[]);
    h.check("LMOVE l m UP RIGHT", "-ERR syntax error");
    h.run("SET s x");
    h.check_effects("LMOVE m s LEFT LEFT", WRONG_TYPE, &[]);
    h.check("RPOPLPUSH s m", WRONG_TYPE);
    h.check("RPOPLPUSH none s", "nil");
    assert_eq!(all(&mut h, "m"), r#"["c", "b", "a"]"#);
}

#[test]
fn pops_from_many() {
    let mut h = with_list("a b c");
    h.check_effects("LMPOP 2 none l RIGHT COUNT 2", r#"["l", ["c", "b"]]"#, &["RPOP l 2"]);
    h.check_effects("LMPOP 1 l LEFT COUNT 9", r#"["l", ["a"]]"#, &["LPOP l 1"]);
    h.check_effects("LMPOP 2 l none LEFT", "nil[]", &[]);
    for (line, error) in [
        ("LMPOP 0 l LEFT", "numkeys should be greater than 0"),
        ("LMPOP x l LEFT", "numkeys should be greater than 0"),
        ("LMPOP 2 l LEFT", "syntax error"),
        ("LMPOP 99999999999 l LEFT", "syntax error"),
        ("LMPOP 1 l UP", "syntax error"),
        ("LMPOP 1 l LEFT COUNT", "syntax error"),
        ("LMPOP 1 l LEFT COUNT 0", "count should be greater than 0"),
        ("LMPOP 1 l LEFT COUNT 1 COUNT 1", "syntax error"),
    ] {
        h.check(line, &format!("-ERR {error}"));
    }
    h.run("SET s x");
    h.check("LMPOP 2 s none LEFT", WRONG_TYPE);
}

#[test]
fn waiting_commands_that_find_something() {
    let mut h = with_list("a b c d e f");
    h.check_effects("BLPOP none l 0", r#"["l", "a"]"#, &["LPOP l"]);
    h.check_effects("BRPOP l 1.5", r#"["l", "f"]"#, &["RPOP l"]);
    h.check_effects("BRPOPLPUSH l m 0", "\"e\"", &["RPOPLPUSH l m"]);
    h.check_effects("BLMOVE l m left RIGHT 0", "\"b\"", &["LMOVE l m left RIGHT"]);
    h.check_effects("BLMPOP 0 2 none l LEFT COUNT 5", r#"["l", ["c", "d"]]"#, &["LPOP l 2"]);
    assert_eq!(all(&mut h, "m"), r#"["e", "b"]"#);
    h.run("SET s x");
    h.check("BLPOP none s 0", WRONG_TYPE);
    h.check("BLMOVE m s LEFT LEFT 0", WRONG_TYPE);
}

#[test]
fn waiting_commands_that_find_nothing() {
    let mut h = Harness::new();
    h.check_effects("BLPOP a b 1.5", "blocked 1500 [a, b]", &[]);
    h.check("BRPOP a 0", "blocked 0 [a]");
    h.check("BRPOPLPUSH a b 0.0001", "blocked 1 [a]");
    h.check("BLMOVE a b LEFT LEFT 2", "blocked 2000 [a]");
    h.check("BLMPOP 1 2 a b LEFT", "blocked 1000 [a, b]");
    h.may_block = false;
    for (line, reply) in [
        ("BLPOP a 1", "nil[]"),
        ("BRPOPLPUSH a b 1", "nil"),
        ("BLMOVE a b LEFT LEFT 1", "nil"),
        ("BLMPOP 1 1 a LEFT", "nil[]"),
        ("BLPOP a x", "-ERR timeout is not a float or out of range"),
        ("BRPOP a -1", "-ERR timeout is negative"),
        ("BLMOVE a b UP LEFT x", "-ERR syntax error"),
        ("BLMOVE a b LEFT LEFT x", "-ERR timeout is not a float or out of range"),
        ("BLMPOP x 0 a LEFT", "-ERR numkeys should be greater than 0"),
        ("BLMPOP x 1 a LEFT", "-ERR timeout is not a float or out of range"),
    ] {
        h.check(line, reply);
    }
}

#[derive(Debug, Clone)]
enum Op {
    Push { head: bool, elements: Vec<u16> },
    Pop { head: bool, count: Option<usize> },
    Trim(i64, i64),
    Rotate { from_head: bool, to_head: bool },
    Set(i64, u16),
    Remove(i64, u16),
}

fn op() -> impl Strategy<Value = Op> {
    let index = -12i64..12;
    prop_oneof![
        4 => (any::<bool>(), prop::collection::vec(0u16..6, 1..8))
            .prop_map(|(head, elements)| Op::Push { head, elements }),
        2 => (any::<bool>(), prop::option::of(0usize..6)).prop_map(|(head, count)| Op::Pop { head, count }),
        1 => (-30i64..5, -5i64..30).prop_map(|(start, stop)| Op::Trim(start, stop)),
        1 => any::<(bool, bool)>().prop_map(|(from_head, to_head)| Op::Rotate { from_head, to_head }),
        1 => (index, 0u16..6).prop_map(|(at, element)| Op::Set(at, element)),
        1 => (-3i64..3, 0u16..6).prop_map(|(count, element)| Op::Remove(count, element)),
    ]
}

fn side(head: bool) -> (&'static str, char) {
    if head { ("LEFT", 'L') } else { ("RIGHT", 'R') }
}

fn take(model: &mut VecDeque<u16>, head: bool) -> Option<u16> {
    if head { model.pop_front() } else { model.pop_back() }
}

fn put(model: &mut VecDeque<u16>, head: bool, element: u16) {
    if head { model.push_front(element) } else { model.push_back(element) }
}

/// Does to the model what the returned command does to the list.
fn step(model: &mut VecDeque<u16>, op: &Op) -> String {
    match op {
        Op::Push { head, elements } => {
            elements.iter().for_each(|element| put(model, *head, *element));
            let words: Vec<String> = elements.iter().map(u16::to_string).collect();
            format!("{}PUSH l {}", side(*head).1, words.join(" "))
        }
        Op::Pop { head, count } => {
            for _ in 0..count.unwrap_or(1) {
                take(model, *head);
            }
            let count = count.map(|count| format!(" {count}")).unwrap_or_default();
            format!("{}POP l{count}", side(*head).1)
        }
        Op::Trim(start, stop) => {
            let len = model.len() as i64;
            let at = |index: i64| if index < 0 { index + len } else { index };
            let (first, last) = (at(*start), at(*stop));
            let mut index = -1;
            model.retain(|_| {
                index += 1;
                (first..=last).contains(&index)
            });
            format!("LTRIM l {start} {stop}")
        }
        Op::Rotate { from_head, to_head } => {
            if let Some(element) = take(model, *from_head) {
                put(model, *to_head, element);
            }
            format!("LMOVE l l {} {}", side(*from_head).0, side(*to_head).0)
        }
        Op::Set(index, element) => {
            let at = if *index < 0 { index + model.len() as i64 } else { *index };
            if let Some(slot) = usize::try_from(at).ok().and_then(|at| model.get_mut(at)) {
                *slot = *element;
            }
            format!("LSET l {index} {element}")
        }
        Op::Remove(count, element) => {
            let mut left = if *count == 0 { u64::MAX } else { count.unsigned_abs() };
            let mut kept = VecDeque::new();
            while let Some(next) = take(model, *count >= 0) {
                if next == *element && left > 0 {
                    left -= 1;
                } else {
                    put(&mut kept, *count < 0, next);
                }
            }
            *model = kept;
            format!("LREM l {count} {element}")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 64 }, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn agrees_with_a_deque(ops in prop::collection::vec(op(), 1..60), node_entries in 1i64..9) {
        let (mut h, mut model) = (Harness::new(), VecDeque::new());
        // Small nodes, so that few elements make many of them.
        h.settings.limits.list_max_listpack_size = node_entries;
        for op in ops {
            let line = step(&mut model, &op);
            h.run(&line);
            let words: Vec<String> = model.iter().map(|element| format!("\"{element}\"")).collect();
            prop_assert_eq!(all(&mut h, "l"), format!("[{}]", words.join(", ")), "after {}", line);
            prop_assert_eq!(h.keyspace.lock_all().iter().all(|(_, shard)| shard.is_empty()), model.is_empty());
        }
    }
}
