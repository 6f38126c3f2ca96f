//! Hashes whose fields carry times, against a plain model.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn small_limits() -> Limits {
    Limits { hash_max_listpack_entries: 12, hash_max_listpack_value: 8, ..Limits::default() }
}

fn check_structure(hash: &Hash) {
    match &hash.form {
        Form::TimedTable(table) => table.check(),
        Form::TimedPack(pack) => {
            assert!(pack.iter().is_sorted_by_key(|triple| triple.2));
            assert_eq!(pack.iter().count(), pack.len());
        }
        Form::Listpack(_) | Form::Shaped { .. } | Form::Table(_) => {}
    }
}

fn contents(hash: &Hash) -> Model {
    let all: Model = hash.iter_timed().map(|(f, v, time)| (f.to_vec(), (v.to_vec(), time))).collect();
    assert_eq!(all.len(), hash.len(), "a field came twice");
    all
}

fn check_whole(hash: &Hash, model: &Model) {
    check_structure(hash);
    assert_eq!(&contents(hash), model);
    assert_eq!(hash.has_times(), model.values().any(|(_, time)| time.is_some()));
    let soonest = model.values().filter_map(|(_, time)| *time).min();
    assert!(hash.soonest_ms() <= soonest.unwrap_or(NEVER));
    assert!(soonest.is_some() || hash.soonest_ms() == NEVER);
    let copy = hash.clone();
    check_structure(&copy);
    assert_eq!((contents(&copy), copy.encoding()), (contents(hash), hash.encoding()));
}

fn check_view(hash: &Hash, model: &Model, now_ms: i64, rng: &mut Rng) {
    let view = hash.at(now_ms);
    let live = |time: Option<i64>| time.is_none_or(|at_ms| at_ms >= now_ms);
    let expected: BTreeSet<_> =
        model.iter().filter(|(_, (_, time))| live(*time)).map(|(f, (v, _))| (f.clone(), v.clone())).collect();
    let pair = |(field, value): (Element<'_>, Element<'_>)| (field.to_vec(), value.to_vec());
    assert_eq!(view.iter().map(pair).collect::<BTreeSet<_>>(), expected);
    assert_eq!((view.len(), view.is_empty()), (expected.len(), expected.is_empty()));
    let (mut seen, mut cursor) = (BTreeSet::new(), 0);
    loop {
        cursor = view.scan(cursor, 5, |field, value| {
            seen.insert(pair((field, value)));
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, expected);
    match view.random(rng) {
        Some(drawn) => assert!(expected.contains(&pair(drawn))),
        None => assert!(expected.is_empty()),
    }
}

/// One change to both.
fn change(hash: &mut Hash, model: &mut Model, now_ms: i64, fields: u64, rng: &mut Rng) {
    let limits = small_limits();
    let field = match rng.below(3) {
        0 => rng.below(fields).to_string().into_bytes(),
        _ => format!("f{}", rng.below(fields)).into_bytes(),
    };
    let long = if rng.below(400) == 0 { "long, longer, longest " } else { "" };
    let value = format!("{long}{}", rng.below(30)).into_bytes();
    let new_time = Some(now_ms - 20 + rng.below(200) as i64);
    match rng.below(10) {
        0..=2 => {
            let is_new = model.insert(field.clone(), (value.clone(), None)).is_none();
            assert_eq!(hash.set(&field, &value, &limits), is_new);
        }
        3 => {
            let time = model.get(&field).and_then(|(_, time)| *time);
            let is_new = model.insert(field.clone(), (value.clone(), time)).is_none();
            assert_eq!(hash.set_keeping_time(&field, &value, &limits), is_new);
        }
        4..=6 => {
            let found = model.get_mut(&field).map(|entry| entry.1 = new_time);
            assert_eq!(hash.set_time(&field, new_time), found.is_some());
        }
        7 => {
            let found = model.get_mut(&field).map(|entry| entry.1 = None);
            assert_eq!(hash.set_time(&field, None), found.is_some());
        }
        8 => assert_eq!(hash.delete(&field), model.remove(&field).is_some()),
        _ => {
            let limit = 1 + rng.below(8) as usize;
            let mut gone = Vec::new();
            let count = hash.take_due(now_ms, limit, |field| gone.push(field.to_vec()));
            assert!(count == gone.len() && count <= limit);
            for field in gone {
                let (_, time) = model.remove(&field).expect("a field that is there");
                assert!(time.is_some_and(|at_ms| at_ms < now_ms));
            }
            let due = model.values().any(|(_, time)| time.is_some_and(|at_ms| at_ms < now_ms));
            assert!(!due || hash.soonest_ms() < now_ms, "what is left is not forgotten");
        }
    }
    let expected = model.get(&field);
    assert_eq!(hash.get(&field).map(|value| value.to_vec()).as_ref(), expected.map(|(value, _)| value));
    assert_eq!(hash.time(&field), expected.and_then(|(_, time)| *time));
}

/// 100,000 changes a run, of small hashes and of large ones.
#[test]
fn agrees_with_a_map_of_values_and_times() {
    let (rounds, changes) = if cfg!(miri) { (1, 100) } else { (50, 2_000) };
    let seed = std::env::var("OUTRIGGER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(11);
    let mut rng = Rng::from_seed(seed);
    let mut encodings = BTreeSet::new();
    for round in 0..rounds {
        let fields = [5, 20, 700][round % 3];
        let (mut hash, mut model, mut now_ms) = (Hash::new(), Model::new(), 1_000);
        for step in 0..changes {
            change(&mut hash, &mut model, now_ms, fields, &mut rng);
            now_ms += i64::from(rng.below(10) == 0);
            if step % 50 == 0 || model.len() < 8 {
                check_whole(&hash, &model);
                check_view(&hash, &model, now_ms, &mut rng);
                encodings.insert((hash.encoding(), hash.is_timed()));
            }
        }
    }
    let all = [("hashtable", true), ("listpack", false), ("listpackex", true)];
    assert!(cfg!(miri) || all.iter().all(|form| encodings.contains(form)), "{encodings:?}");
}

#[test]
fn a_large_hash_gives_up_what_is_due_bit_by_bit() {
    let limits = Limits::default();
    let mut hash = Hash::new();
    let count = 30_000;
    for n in 0..count {
        hash.set(format!("field {n}").as_bytes(), b"value", &limits);
        if n % 3 > 0 {
            hash.set_time(format!("field {n}").as_bytes(), Some(if n % 3 == 1 { 50 } else { 90 }));
        }
    }
    assert_eq!((hash.soonest_ms(), hash.at(50).len(), hash.at(51).len()), (50, count, count / 3 * 2));
    assert_eq!(hash.take_due(50, usize::MAX, |_| panic!("nothing is due")), 0);
    let (mut gone, mut calls) = (0, 0);
    while hash.soonest_ms() < 60 {
        let taken = hash.take_due(60, 128, |_| ());
        assert!(taken <= 128);
        gone += taken;
        calls += 1;
    }
    assert_eq!((gone, hash.len(), hash.soonest_ms()), (count / 3, count / 3 * 2, 90));
    assert!(calls < count / 3 / 128 + 40, "{calls} calls");
    check_structure(&hash);
    while hash.take_due(100, 1_000, |_| ()) > 0 {}
    assert_eq!((hash.len(), hash.has_times(), hash.soonest_ms()), (count / 3, false, NEVER));
}

/// As Redis orders them: by time, an equal one before those that were there; without one, by their coming.
#[test]
fn a_packed_hash_is_in_the_order_of_times() {
    let limits = Limits::default();
    let mut hash = Hash::new();
    for field in ["a", "b", "c", "d"] {
        hash.set(field.as_bytes(), b"1", &limits);
    }
    let order = |hash: &Hash| -> String {
        hash.iter().map(|(field, _)| String::from_utf8(field.to_vec()).unwrap()).collect()
    };
    hash.set_time(b"c", Some(20));
    hash.set_time(b"b", Some(10));
    assert_eq!((order(&hash), hash.encoding()), ("bcad".into(), "listpackex"));
    hash.set_time(b"d", Some(20));
    assert_eq!(order(&hash), "bdca");
    hash.set_keeping_time(b"d", b"2", &limits);
    hash.set(b"b", b"2", &limits);
    assert_eq!(order(&hash), "dcab");
    hash.set(b"e", b"1", &limits);
    hash.set_time(b"c", None);
    assert_eq!(order(&hash), "dabec");
    assert_eq!(hash.encoding(), "listpackex");
}

#[test]
fn times_that_were_stored_are_checked_and_put_into_order() {
    let limits = small_limits();
    let load = |elements: &[Element<'_>]| {
        Hash::from_timed_listpack(Listpack::from_elements(elements.iter().copied()), &limits)
    };
    let text = |text: &'static str| Element::Bytes(text.as_bytes());
    let hash = load(&[text("a"), text("1"), Element::Int(0), text("b"), Element::Int(2), Element::Int(9)]);
    let hash = hash.unwrap();
    assert_eq!((hash.encoding(), hash.len(), hash.soonest_ms()), ("listpackex", 2, 9));
    check_structure(&hash);
    for (what, elements) in [
        ("half a field", &[text("a"), text("1")][..]),
        ("a time that is a text", &[text("a"), text("1"), text("9")]),
        ("a time before all times", &[text("a"), text("1"), Element::Int(-9)]),
        ("a time beyond all times", &[text("a"), text("1"), Element::Int(FIELD_TIME_MAX_MS + 1)]),
        ("a field twice", &[text("a"), text("1"), Element::Int(5), text("a"), text("2"), Element::Int(0)]),
    ] {
        assert!(load(elements).is_err(), "{what}");
    }
    let many: Vec<Element<'_>> =
        (0..20).flat_map(|n| [Element::Int(n), Element::Int(n), Element::Int(100 - n)]).collect();
    let hash = load(&many).unwrap();
    assert_eq!((hash.encoding(), hash.len(), hash.soonest_ms()), ("hashtable", 20, 81));
    check_structure(&hash);
}

#[test]
fn hashes_of_few_fields_with_times_are_judged_by_their_listpack() {
    let limits = small_limits();
    let mut hash = Hash::new();
    hash.set(b"f", b"v", &limits);
    assert!(!hash.set_time(b"other", Some(5)) && !hash.set_time(b"other", None));
    assert_eq!((hash.encoding(), hash.set_time(b"f", None)), ("listpack", true));
    hash.prepare_times();
    assert_eq!((hash.encoding(), hash.is_timed(), hash.has_times()), ("listpackex", true, false));
    hash.set_time(b"f", Some(FIELD_TIME_MAX_MS));
    assert_eq!(hash.time(b"f"), Some(FIELD_TIME_MAX_MS));
    hash.set(b"long", b"more than eight bytes", &limits);
    assert_eq!((hash.encoding(), hash.time(b"f")), ("hashtable", Some(FIELD_TIME_MAX_MS)));
    let with_times = hash.memory_bytes(0);
    let mut plain = Hash::new();
    plain.set(b"f", b"v", &limits);
    plain.set(b"long", b"more than eight bytes", &limits);
    assert!(with_times > plain.memory_bytes(0) + 8);
}
