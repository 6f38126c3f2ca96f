//! Sets combined.

use super::{Operation, Sets};
use crate::command::testing::Harness;
use crate::value::{Limits, Set};
use proptest::prelude::*;
use std::collections::BTreeSet;

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

fn three() -> Harness {
    let mut h = Harness::new();
    h.run("SADD a 1 2 3 4");
    h.run("SADD b 3 4 5");
    h.run("SADD c 4 x");
    h
}

#[test]
fn replies() {
    let mut h = three();
    h.check("SINTER a b", r#"["3", "4"]"#);
    h.check("SINTER a b c a", r#"["4"]"#);
    h.check("SINTER a none", "[]");
    h.check("SUNION b none", r#"["3", "4", "5"]"#);
    h.check("SUNION a b", r#"["1", "2", "3", "4", "5"]"#);
    h.check("SUNION c c", r#"["4", "x"]"#);
    h.check("SDIFF a b none c", r#"["1", "2"]"#);
    h.check("SDIFF a a", "[]");
    h.check("SDIFF none a", "[]");
    h.resp3 = true;
    h.check("SINTER a b c", r#"~["4"]"#);
    h.check("SUNION none", "~[]");
    h.check("SDIFF c a", r#"~["x"]"#);
    assert_eq!((h.counts.hits, h.counts.misses), (23, 5));
}

#[test]
fn other_types_are_refused_even_beside_absent_keys() {
    let mut h = three();
    h.run("RPUSH l x");
    for line in ["SINTER none l", "SUNION a l", "SDIFF none l", "SINTERCARD 2 none l", "SDIFFSTORE a none l"]
    {
        h.check_effects(line, WRONG_TYPE, &[]);
    }
    h.check("SCARD a", ":4");
    h.check_effects("SUNIONSTORE l a", ":4", &["SUNIONSTORE l a"]);
    h.check("SCARD l", ":4");
}

#[test]
fn counts() {
    let mut h = three();
    h.check("SINTERCARD 2 a b", ":2");
    h.check("SINTERCARD 2 a b LIMIT 1", ":1");
    h.check("SINTERCARD 2 a b LIMIT 1 limit 0", ":2");
    h.check("SINTERCARD 2 a none", ":0");
    for (line, error) in [
        ("SINTERCARD 0 a", "numkeys should be greater than 0"),
        ("SINTERCARD x a", "numkeys should be greater than 0"),
        ("SINTERCARD 2 a", "Number of keys can't be greater than number of args"),
        ("SINTERCARD 1 a LIMIT", "syntax error"),
        ("SINTERCARD 1 a LIMIT -1", "LIMIT can't be negative"),
        ("SINTERCARD 1 a LIMIT x", "LIMIT can't be negative"),
        ("SINTERCARD 1 a WHAT 1", "syntax error"),
    ] {
        h.check(line, &format!("-ERR {error}"));
    }
}

#[test]
fn stored_results() {
    let mut h = three();
    h.run("SET d x EX 100");
    h.check_effects("SINTERSTORE d a b", ":2", &["SINTERSTORE d a b"]);
    assert_eq!(h.dirty, 1);
    h.check("SMEMBERS d", r#"["3", "4"]"#);
    let expiry = h.keyspace.lock_all();
    assert!(expiry.iter().all(|(_, shard)| shard.db(0).expiring() == 0), "the old key's expiry is gone");
    drop(expiry);
    h.check("SUNIONSTORE d d b", ":3");
    h.check("SDIFFSTORE d d none", ":3");
    h.check_effects("SDIFFSTORE d d d", ":0", &["SDIFFSTORE d d d"]);
    assert_eq!(h.dirty, 1);
    h.check_effects("SINTERSTORE d none a", ":0", &[]);
    h.check("SCARD d", ":0");
}

fn result(operation: Operation, sets: &[Option<Set>]) -> Vec<String> {
    let sets: Sets<'_> = sets.iter().map(Option::as_ref).collect();
    let mut members = Vec::new();
    operation.run(&sets, &Limits::default(), |member| {
        members.push(String::from_utf8_lossy(&member.to_vec()).into_owned());
        true
    });
    members
}

fn expected(operation: Operation, models: &[BTreeSet<String>]) -> BTreeSet<String> {
    let combine = |a: &BTreeSet<String>, b: &BTreeSet<String>| match operation {
        Operation::Intersection => a & b,
        Operation::Union => a | b,
        Operation::Difference => a - b,
    };
    let (first, others) = models.split_first().expect("at least one set");
    others.iter().fold(first.clone(), |all, next| combine(&all, next))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 128 }, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn agree_with_btree_sets(
        models in prop::collection::vec(prop::collection::btree_set("[0-9ab]{1,2}", 0..40), 1..12),
        entries in 1usize..60,
    ) {
        // Varied limits give varied encodings.
        let limits = Limits {
            set_max_listpack_entries: entries, set_max_intset_entries: entries, ..Limits::default()
        };
        let sets: Vec<Option<Set>> = models.iter().map(|model| {
            let mut set = Set::new();
            model.iter().for_each(|member| assert!(set.add(member.as_bytes(), &limits)));
            (!model.is_empty()).then_some(set)
        }).collect();
        for operation in [Operation::Intersection, Operation::Union, Operation::Difference] {
            let members = result(operation, &sets);
            let distinct: BTreeSet<String> = members.iter().cloned().collect();
            prop_assert_eq!(members.len(), distinct.len(), "{:?} gave a member twice", operation);
            prop_assert_eq!(distinct, expected(operation, &models), "{:?}", operation);
        }
    }
}
