use super::*;
use crate::base::Rng;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};

fn small_limits() -> Limits {
    Limits { hash_max_listpack_entries: 6, hash_max_listpack_value: 8, ..Limits::default() }
}

fn pairs(hash: &Hash) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let all: Vec<_> = hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
    assert_eq!(all.len(), hash.len());
    let map: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(map.len(), hash.len(), "a field came twice");
    map
}

#[test]
fn encodings_change_where_redis_changes_them() {
    let limits = Limits::default();
    let mut hash = Hash::new();
    for n in 0..128 {
        assert!(hash.set(format!("f{n}").as_bytes(), b"v", &limits));
    }
    assert_eq!(hash.encoding(), "listpack");
    assert!(!hash.set(b"f0", b"again", &limits));
    assert_eq!(hash.encoding(), "listpack");
    assert!(hash.set(b"f128", b"v", &limits));
    assert_eq!(hash.encoding(), "hashtable");
    for (field, value, encoding) in [(64, 64, "listpack"), (65, 1, "hashtable"), (1, 65, "hashtable")] {
        let mut hash = Hash::new();
        hash.set(&vec![b'f'; field], &vec![b'v'; value], &limits);
        assert_eq!(hash.encoding(), encoding);
    }
    let mut hash = Hash::new();
    hash.prepare(128, 64, &limits);
    assert_eq!(hash.encoding(), "listpack");
    hash.prepare(129, 1, &limits);
    assert_eq!(hash.encoding(), "hashtable");
}

#[test]
fn loading_checks_and_converts() {
    let limits = small_limits();
    let packed = |all: &[&str]| Listpack::from_elements(all.iter().map(|m| Element::parse(m.as_bytes())));
    let hash = Hash::from_listpack(packed(&["a", "1", "b", "1"]), &limits).unwrap();
    assert!(hash.get(b"b").unwrap().eq_bytes(b"1"));
    assert!(Hash::from_listpack(packed(&["a", "1", "b"]), &limits).is_err());
    assert!(Hash::from_listpack(packed(&["a", "1", "a", "2"]), &limits).is_err());
    let many: Vec<String> = (0..14).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let hash = Hash::from_listpack(packed(&many), &limits).unwrap();
    assert_eq!((hash.encoding(), hash.len()), ("hashtable", 7));
    assert!(hash.as_listpack().is_none());
    assert!(hash.get(b"12").unwrap().eq_bytes(b"13"));
}

#[test]
fn a_value_like_a_field_is_not_a_field() {
    let limits = Limits::default();
    let mut hash = Hash::new();
    hash.set(b"a", b"b", &limits);
    assert!(hash.get(b"b").is_none() && !hash.contains(b"b") && !hash.delete(b"b"));
    assert!(hash.set(b"b", b"c", &limits));
    assert!(hash.delete(b"a"));
    assert_eq!(pairs(&hash), BTreeMap::from([(b"b".to_vec(), b"c".to_vec())]));
}

#[test]
fn scan_and_random_reach_everything() {
    let limits = Limits::default();
    for n in [5usize, 2000] {
        let mut hash = Hash::new();
        for i in 0..n {
            hash.set(format!("f{i}").as_bytes(), format!("v{i}").as_bytes(), &limits);
        }
        let (mut seen, mut cursor) = (HashMap::new(), 0);
        loop {
            cursor = hash.scan(cursor, 7, |field, value| drop(seen.insert(field.to_vec(), value.to_vec())));
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), n);
        assert!((0..n).all(|i| seen[format!("f{i}").as_bytes()] == format!("v{i}").as_bytes()));
        let mut rng = Rng::from_seed(7);
        let mut met = HashSet::new();
        for _ in 0..n * 30 {
            let (field, value) = hash.at(i64::MIN).random(&mut rng).unwrap();
            assert_eq!(field.to_vec()[1..], value.to_vec()[1..]);
            met.insert(field.to_vec());
        }
        assert_eq!(met.len(), n);
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[ab]{0,2}".prop_map(String::into_bytes),
        4 => (-9i64..9).prop_map(|n| n.to_string().into_bytes()),
        1 => (0usize..300).prop_map(|len| vec![b'x'; len]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 256 }, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn agrees_with_a_btree_map(ops in prop::collection::vec((0u8..10, text(), text()), 1..80)) {
        let limits = small_limits();
        let (mut hash, mut model) = (Hash::new(), BTreeMap::new());
        for (op, field, value) in ops {
            let expected: Option<&Vec<u8>> = model.get(&field);
            prop_assert!(hash.get(&field).map(|v| v.to_vec()).as_ref() == expected);
            prop_assert_eq!(hash.contains(&field), expected.is_some());
            if op < 6 {
                prop_assert_eq!(hash.set(&field, &value, &limits), model.insert(field, value).is_none());
            } else {
                prop_assert_eq!(hash.delete(&field), model.remove(&field).is_some());
            }
            prop_assert_eq!(&pairs(&hash), &model);
            prop_assert_eq!(&pairs(&hash.clone()), &model);
        }
    }
}
