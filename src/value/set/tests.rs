use super::*;
use crate::base::Rng;
use proptest::prelude::*;
use std::collections::{BTreeSet, HashSet};

fn small_limits() -> Limits {
    Limits {
        set_max_intset_entries: 12,
        set_max_listpack_entries: 8,
        set_max_listpack_value: 6,
        ..Limits::default()
    }
}

fn members(set: &Set) -> BTreeSet<Vec<u8>> {
    let all: Vec<_> = set.iter().map(|member| member.to_vec()).collect();
    let distinct: BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!(all.len(), distinct.len(), "a member came twice");
    distinct
}

fn set_of<'a>(members: impl IntoIterator<Item = &'a str>, limits: &Limits) -> Set {
    let mut set: Option<Set> = None;
    for member in members {
        let member = member.as_bytes();
        set.get_or_insert_with(|| Set::for_members(member, 1, limits)).add(member, limits);
    }
    set.unwrap_or_default()
}

#[test]
fn encodings_change_where_redis_changes_them() {
    let limits = Limits::default();
    let numbers: Vec<String> = (0..513).map(|n| n.to_string()).collect();
    let first = |n: usize| numbers[..n].iter().map(String::as_str);
    assert_eq!(set_of(first(512), &limits).encoding(), "intset");
    assert_eq!(set_of(first(513), &limits).encoding(), "hashtable");
    // An intset goes to a listpack only while that has room for the one that comes.
    assert_eq!(set_of(first(127).chain(["a"]), &limits).encoding(), "listpack");
    assert_eq!(set_of(first(128).chain(["a"]), &limits).encoding(), "hashtable");
    assert_eq!(set_of(["a"].into_iter().chain(first(127)), &limits).encoding(), "listpack");
    assert_eq!(set_of(["a"].into_iter().chain(first(128)), &limits).encoding(), "hashtable");
    let (fits, too_long) = ("x".repeat(64), "x".repeat(65));
    assert_eq!(set_of(["1", &fits], &limits).encoding(), "listpack");
    assert_eq!(set_of(["1", &too_long], &limits).encoding(), "hashtable");
    assert_eq!(set_of(["a", &too_long], &limits).encoding(), "hashtable");
}

#[test]
fn expected_size_chooses_the_encoding() {
    let limits = Limits::default();
    let encoding = |first: &str, expected| Set::for_members(first.as_bytes(), expected, &limits).encoding();
    assert_eq!(encoding("1", 512), "intset");
    assert_eq!(encoding("1", 513), "hashtable");
    assert_eq!(encoding("a", 128), "listpack");
    assert_eq!(encoding("a", 129), "hashtable");
}

#[test]
fn loading_checks_and_converts() {
    let limits = small_limits();
    let packed =
        |members: &[&str]| Listpack::from_elements(members.iter().map(|m| Element::parse(m.as_bytes())));
    let set = Set::from_listpack(packed(&["a", "7", "b"]), &limits).unwrap();
    assert_eq!((set.encoding(), set.len()), ("listpack", 3));
    let error = Set::from_listpack(packed(&["a", "7", "b", "7"]), &limits).unwrap_err();
    assert_eq!(error.kind, ListpackErrorKind::Content);
    // The same number, once as a number and once as text.
    let bytes = [12, 0, 0, 0, 2, 0, 0x81, b'7', 2, 7, 1, 0xFF];
    assert!(Set::from_listpack(Listpack::from_bytes(&bytes).unwrap(), &limits).is_err());
    let many: Vec<String> = (0..9).map(|n| format!("m{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(Set::from_listpack(packed(&many), &limits).unwrap().encoding(), "hashtable");
    assert_eq!(Set::from_intset(Intset::from_ints((0..12).collect()), &limits).encoding(), "intset");
    let set = Set::from_intset(Intset::from_ints((0..13).collect()), &limits);
    assert_eq!((set.encoding(), set.len()), ("hashtable", 13));
}

#[test]
fn back_to_an_intset_when_asked() {
    let limits = small_limits();
    let mut set = set_of(["a", "1", "-2"], &limits);
    assert!(!set.shrink_to_intset(&limits));
    set.remove(b"a");
    assert!(set.shrink_to_intset(&limits));
    assert_eq!(members(&set), BTreeSet::from([b"1".to_vec(), b"-2".to_vec()]));
}

#[test]
fn random_is_even_in_every_encoding() {
    let mut rng = Rng::from_seed(1);
    let limits = Limits::default();
    for filler in ["", "a", &"x".repeat(65)] {
        let numbers: Vec<String> = (0..9).map(|n| n.to_string()).collect();
        let set =
            set_of(numbers.iter().map(String::as_str).chain((!filler.is_empty()).then_some(filler)), &limits);
        let mut counts = std::collections::HashMap::new();
        for _ in 0..200 * set.len() {
            *counts.entry(set.random(&mut rng).unwrap().to_vec()).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), set.len());
        assert!(counts.values().all(|n| (120..300).contains(n)), "{} {counts:?}", set.encoding());
        let mut popped = set.clone();
        let mut all = HashSet::new();
        while let Some(member) = popped.pop_random(&mut rng) {
            all.insert(member);
        }
        assert_eq!((all.len(), popped.len()), (set.len(), 0));
    }
}

#[test]
fn scan_gives_what_stays() {
    let limits = Limits::default();
    let mut set = set_of(["x"], &limits);
    (0..3000).for_each(|n| assert!(set.add(format!("m{n}").as_bytes(), &limits)));
    let (mut seen, mut cursor, mut round) = (HashSet::new(), 0, 0);
    loop {
        cursor = set.scan(cursor, 10, |member| {
            seen.insert(member.to_vec());
        });
        (0..20).for_each(|i| assert!(set.add(format!("new{round}.{i}").as_bytes(), &limits)));
        set.remove(format!("m{}", 2000 + round % 1000).as_bytes());
        round += 1;
        if cursor == 0 {
            break;
        }
    }
    assert!(round > 50, "it went in steps");
    assert!((0..2000).all(|n| seen.contains(format!("m{n}").as_bytes())));
    let mut small = Vec::new();
    assert_eq!(set_of(["1", "2"], &limits).scan(0, 1, |member| small.push(member.to_vec())), 0);
    assert_eq!(small.len(), 2);
    // A cursor nobody gave out is harmless.
    set.scan(u64::MAX, 10, |_| ());
}

#[test]
fn samples_are_distinct_and_reach_every_member() {
    let limits = Limits::default();
    let mut rng = Rng::from_seed(11);
    let words: Vec<String> = (0..200).map(|n| format!("m{n}")).collect();
    let numbers: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    for (members, encoding) in
        [(&numbers[..], "intset"), (&words[..40], "listpack"), (&words[..], "hashtable")]
    {
        let set = set_of(members.iter().map(String::as_str), &limits);
        assert_eq!(set.encoding(), encoding);
        let mut seen = HashSet::new();
        for count in [0, 1, 5, 30, members.len() - 1, members.len(), usize::MAX].repeat(20) {
            let mut sample = HashSet::new();
            set.sample(count, &mut rng, |member| assert!(sample.insert(member.to_vec())));
            assert_eq!(sample.len(), count.min(members.len()));
            if count == 30 {
                seen.extend(sample);
            }
        }
        assert!(seen.len() * 10 > members.len() * 9, "{encoding}: {}", seen.len());
    }
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (-15i64..15).prop_map(|n| n.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => "[ab]{0,8}".prop_map(String::into_bytes),
    ]
}

fn cases(n: u32) -> ProptestConfig {
    let cases = if cfg!(miri) { 2 } else { n };
    ProptestConfig { cases, failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn agrees_with_a_btree_set(ops in prop::collection::vec((0u8..10, member()), 1..80)) {
        let limits = small_limits();
        let (mut set, mut model) = (Set::new(), BTreeSet::new());
        for (op, member) in ops {
            prop_assert_eq!(set.contains(&member), model.contains(&member));
            prop_assert_eq!(set.contains_element(Element::parse(&member)), model.contains(&member));
            match op {
                0..5 => prop_assert_eq!(set.add(&member, &limits), model.insert(member)),
                5 => prop_assert_eq!(
                    set.add_element(Element::parse(&member), &limits),
                    model.insert(member)
                ),
                6..9 => prop_assert_eq!(set.remove(&member), model.remove(&member)),
                _ => {
                    let ints = model.iter().all(|m| Element::parse(m).as_int().is_some());
                    prop_assert_eq!(set.shrink_to_intset(&limits), set.encoding() == "intset");
                    prop_assert_eq!(set.encoding() == "intset", ints && model.len() <= 12);
                }
            }
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(&members(&set), &model);
            prop_assert_eq!(&members(&set.clone()), &model);
        }
    }
}
