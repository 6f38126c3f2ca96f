//! Hashes that share their field names, against hashes that do not.

use super::shape::shapes;
use super::*;
use crate::base::Rng;
use proptest::prelude::*;

/// Names that have shapes in every order and number.
const NAMES: [&[u8]; 4] = [b"name", b"7", b"", b"-30000"];

fn learn_all(path: &mut Vec<&'static [u8]>) {
    for name in NAMES {
        if !path.contains(&name) {
            path.push(name);
            shapes().teach(path);
            learn_all(path);
            path.pop();
        }
    }
}

fn is_shaped(hash: &Hash) -> bool {
    matches!(hash.form, Form::Shaped { .. })
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn plain(pairs: &[(Vec<u8>, Vec<u8>)]) -> Listpack {
    Listpack::from_elements(pairs.iter().flat_map(|(f, v)| [Element::parse(f), Element::parse(v)]))
}

fn contents(hash: &Hash) -> Pairs {
    hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect()
}

/// The hash is that of these pairs, in this order.
fn check(hash: &Hash, pairs: &Pairs) {
    assert_eq!(&contents(hash), pairs);
    assert_eq!((hash.len(), hash.is_empty()), (pairs.len(), pairs.is_empty()));
    let expected = plain(pairs);
    assert_eq!(hash.encoding(), "listpack");
    assert!(hash.is_packed() && !hash.has_times() && !hash.is_timed());
    assert_eq!(hash.as_listpack().unwrap().as_bytes(), expected.as_bytes());
    for (n, (field, value)) in pairs.iter().enumerate() {
        assert!(hash.contains(field) && hash.get(field).unwrap().eq_bytes(value));
        let stored = hash.iter().nth(n).unwrap();
        assert_eq!(
            (matches!(stored.0, Element::Int(_)), matches!(stored.1, Element::Int(_))),
            (Element::parse(field).as_int().is_some(), Element::parse(value).as_int().is_some())
        );
    }
    let mut seen = Pairs::new();
    assert_eq!(hash.scan(0, 1, |field, value| seen.push((field.to_vec(), value.to_vec()))), 0);
    assert_eq!(&seen, pairs);
    match &hash.form {
        Form::Shaped { shape, values } => {
            assert_eq!(shapes().get(*shape).len(), values.len());
            assert!(!pairs.is_empty());
            assert_eq!(hash.memory_bytes(0), values.byte_len());
            assert_eq!(Shaped::new(*shape, values).plain_bytes(), expected.byte_len());
        }
        _ => assert_eq!(hash.memory_bytes(0), expected.byte_len()),
    }
}

fn own(pairs: &[(&[u8], &[u8])]) -> Pairs {
    pairs.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect()
}

fn build(pairs: &Pairs, limits: &Limits) -> Hash {
    let mut hash = Hash::new();
    pairs.iter().for_each(|(field, value)| assert!(hash.set(field, value, limits)));
    hash
}

#[test]
fn hashes_come_to_share_their_names() {
    let limits = Limits::default();
    let fields: Vec<Vec<u8>> = ["of sessions", "seen", "17", ""].map(|name| name.as_bytes().to_vec()).into();
    let mut first_shaped = None;
    for n in 0..2000 {
        let pairs: Pairs = fields.iter().map(|field| (field.clone(), n.to_string().into_bytes())).collect();
        let hash = build(&pairs, &limits);
        check(&hash, &pairs);
        if is_shaped(&hash) {
            first_shaped.get_or_insert(n);
        }
    }
    // Each name takes its time: more of it than this if other tests' names come in between.
    assert!(first_shaped.is_some_and(|n| n > 15), "{first_shaped:?}");
}

#[test]
fn a_shape_is_left_where_none_fits() {
    learn_all(&mut Vec::new());
    let limits = Limits::default();
    let mut pairs = own(&[(b"name", b"x"), (b"7", b"8"), (b"", b"")]);
    let mut hash = build(&pairs, &limits);
    assert!(is_shaped(&hash));
    check(&hash, &pairs);
    assert!(hash.memory_bytes(0) < plain(&pairs).byte_len());
    // A field that no other hash has.
    assert!(hash.set(b"only here", b"1", &limits) && !is_shaped(&hash));
    pairs.push((b"only here".to_vec(), b"1".to_vec()));
    check(&hash, &pairs);
    // Too long a value, and too many fields.
    let small = Limits { hash_max_listpack_entries: 3, hash_max_listpack_value: 8, ..limits };
    for (field, value) in [(&b"name"[..], &b"123456789"[..]), (b"-30000", b"x")] {
        let mut hash = build(&own(&[(b"name", b"x"), (b"7", b"8"), (b"", b"")]), &small);
        assert!(is_shaped(&hash));
        hash.set(field, value, &small);
        assert_eq!(hash.encoding(), "hashtable");
        assert!(hash.get(field).unwrap().eq_bytes(value) && hash.get(b"7").unwrap().eq_bytes(b"8"));
    }
    // Times.
    let mut hash = build(&own(&[(b"name", b"x"), (b"7", b"8")]), &limits);
    assert!(hash.set_time(b"name", None) && !hash.set_time(b"nobody", Some(5)) && is_shaped(&hash));
    assert!(hash.set_time(b"7", Some(5)));
    assert_eq!((hash.encoding(), hash.time(b"7"), hash.time(b"name")), ("listpackex", Some(5), None));
    assert_eq!(contents(&hash), own(&[(b"7", b"8"), (b"name", b"x")]));
    let mut hash = build(&own(&[(b"name", b"x")]), &limits);
    hash.prepare_times();
    assert_eq!((hash.encoding(), hash.len()), ("listpackex", 1));
}

#[test]
fn many_fields_at_once_come_out_as_one_by_one() {
    learn_all(&mut Vec::new());
    let limits = Limits::default();
    let cases: &[&[&[u8]]] = &[
        &[b"name", b"1"],
        &[b"name", b"1", b"7", b"x", b"", b""],
        &[b"name", b"1", b"7", b"x", b"stranger", b"y", b"", b"z"],
        &[b"name", b"1", b"7", b"x", b"name", b"2", b"", b"z"],
        &[b"stranger", b"1", b"7", b"x"],
        &[b"name", &[b'x'; 64], b"7", &[b'y'; 65], b"", b"z"],
    ];
    let small = Limits { hash_max_listpack_entries: 2, ..limits };
    let large = Limits { hash_max_listpack_value: 1 << 20, ..limits };
    for (parts, limits) in cases.iter().flat_map(|parts| [(parts, limits), (parts, small), (parts, large)]) {
        let begun: [&[&[u8]]; 3] = [&[], &[b"7", b"old"], &[b"stranger", b"old"]];
        for before in begun {
            let (mut hash, mut other) = (Hash::new(), Hash::new());
            for pair in before.chunks_exact(2) {
                assert!(hash.set(pair[0], pair[1], &limits) && other.set(pair[0], pair[1], &limits));
            }
            let added = hash.set_all(parts, &limits);
            let expected = parts.chunks_exact(2).filter(|pair| other.set(pair[0], pair[1], &limits)).count();
            assert_eq!((added, hash.encoding()), (expected, other.encoding()));
            match hash.is_packed() {
                true => check(&hash, &contents(&other)),
                false => assert!(other.iter().all(|(f, v)| hash.get(&f.to_vec()) == Some(v))),
            }
            // The stranger may come to have a shape at any time: other tests show it too.
            let known = other.iter().all(|(field, _)| NAMES.contains(&field.to_vec().as_slice()));
            assert!(!known || is_shaped(&hash) == is_shaped(&other));
        }
    }
    let mut hash = Hash::new();
    assert_eq!(hash.set_all(cases[1], &limits), 3);
    assert!(is_shaped(&hash));
}

#[test]
fn deletion_keeps_the_order_and_may_keep_a_shape() {
    learn_all(&mut Vec::new());
    let limits = Limits::default();
    let all = own(&[(b"name", b"x"), (b"7", b"8"), (b"", b""), (b"-30000", b"y")]);
    for n in 0..4 {
        let (mut hash, mut pairs) = (build(&all, &limits), all.clone());
        let (field, _) = pairs.remove(n);
        assert!(hash.delete(&field) && !hash.delete(&field) && is_shaped(&hash));
        check(&hash, &pairs);
    }
    // What is left behind the middle one has a shape only together with it.
    let known = own(&[(b"at first", b"1"), (b"then", b"2"), (b"at last", b"3")]);
    shapes().teach(&known.iter().map(|(field, _)| field.as_slice()).collect::<Vec<_>>());
    let (mut hash, mut pairs) = (build(&known, &limits), known.clone());
    assert!(is_shaped(&hash));
    pairs.remove(1);
    assert!(hash.delete(b"then") && !is_shaped(&hash));
    check(&hash, &pairs);
    // Down to nothing.
    let mut hash = build(&all, &limits);
    all.iter().rev().for_each(|(field, _)| assert!(hash.delete(field)));
    check(&hash, &Pairs::new());
    assert!(hash.set(b"7", b"again", &limits) && is_shaped(&hash));
}

#[test]
fn loaded_listpacks_take_shapes_only_if_their_bytes_come_back() {
    learn_all(&mut Vec::new());
    let limits = Limits::default();
    let load = |listpack: Listpack| Hash::from_listpack(listpack, &limits).unwrap();
    let pairs = own(&[(b"7", b"8"), (b"name", b"9 "), (b"-30000", b"")]);
    let hash = load(plain(&pairs));
    assert!(is_shaped(&hash));
    check(&hash, &pairs);
    // A number that is stored as text in the place of a value stays what it is.
    let text = Listpack::from_elements([Element::Bytes(b"name"), Element::Bytes(b"12")]);
    let hash = load(text.clone());
    assert!(is_shaped(&hash));
    assert_eq!(hash.as_listpack().unwrap().as_bytes(), text.as_bytes());
    // As a field it is not what a shape would give back.
    let text = Listpack::from_elements([Element::Bytes(b"7"), Element::Int(12)]);
    let hash = load(text.clone());
    assert_eq!((is_shaped(&hash), hash.as_listpack().unwrap().as_bytes()), (false, text.as_bytes()));
    // Nor is a small number in a wide entry: 7 and 8 in 16 bits.
    for entries in [[0xF1, 7, 0, 3, 8, 1], [7, 1, 0xF1, 8, 0, 3]] {
        let bytes = [&[13, 0, 0, 0, 2, 0][..], &entries, &[0xFF]].concat();
        let hash = load(Listpack::from_bytes(&bytes).unwrap());
        assert_eq!((is_shaped(&hash), hash.as_listpack().unwrap().as_bytes()), (false, &bytes[..]));
        assert!(hash.get(b"7").unwrap().eq_bytes(b"8"));
    }
    let twice = [b"7", b"1", b"7", b"1"].map(|text| Element::parse(text));
    assert!(Hash::from_listpack(Listpack::from_elements(twice), &limits).is_err());
    assert!(Hash::from_listpack(Listpack::from_elements([Element::Int(7)]), &limits).is_err());
    assert!(!is_shaped(&load(Listpack::new())));
    let small = Limits { hash_max_listpack_entries: 2, ..limits };
    assert_eq!(Hash::from_listpack(plain(&pairs), &small).unwrap().encoding(), "hashtable");
}

#[test]
fn random_fields_are_drawn_evenly_and_as_from_a_listpack() {
    learn_all(&mut Vec::new());
    let limits = Limits::default();
    let pairs = own(&[(b"name", b"x"), (b"7", b"8"), (b"", b""), (b"-30000", b"y")]);
    let shaped = build(&pairs, &limits);
    let plain = Hash { form: Form::Listpack(plain(&pairs)) };
    let (mut rng, mut same) = (Rng::from_seed(3), Rng::from_seed(3));
    for _ in 0..200 {
        let drawn = [(&shaped, &mut rng), (&plain, &mut same)].map(|(hash, rng)| {
            let (field, value) = hash.at(i64::MIN).random(rng).unwrap();
            (field.to_vec(), value.to_vec())
        });
        assert_eq!(drawn[0], drawn[1]);
    }
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => prop::sample::select(NAMES.to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::sample::select(vec![&b"stranger"[..], b"8"]).prop_map(<[u8]>::to_vec),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[ab]{0,3}".prop_map(String::into_bytes),
        4 => any::<(i64, u8)>().prop_map(|(n, shift)| (n >> (shift % 64)).to_string().into_bytes()),
        1 => (0usize..200).prop_map(|len| vec![b'x'; len]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 256 }, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn agrees_with_a_list_of_pairs(ops in prop::collection::vec((0u8..12, field(), value()), 1..60)) {
        learn_all(&mut Vec::new());
        let limits = Limits { hash_max_listpack_value: 500, ..Limits::default() };
        let (mut hash, mut model) = (Hash::new(), Pairs::new());
        for (op, field, value) in ops {
            let known = model.iter().position(|(name, _)| *name == field);
            prop_assert_eq!(hash.contains(&field), known.is_some());
            match (op, known) {
                (0..7, Some(at)) => {
                    prop_assert!(!hash.set(&field, &value, &limits));
                    model[at].1 = value;
                }
                (0..7, None) => {
                    prop_assert!(hash.set(&field, &value, &limits));
                    model.push((field, value));
                }
                (7..10, at) => {
                    prop_assert_eq!(hash.delete(&field), at.is_some());
                    at.map(|at| model.remove(at));
                }
                (10, _) => {
                    // As through a file, and as if the shape had come to be only now.
                    let listpack = hash.as_listpack().unwrap().into_owned();
                    hash = Hash::from_listpack(listpack, &limits).unwrap();
                    let known = model.iter().all(|(name, _)| NAMES.contains(&name.as_slice()));
                    prop_assert!(is_shaped(&hash) == (known && !model.is_empty()) || !known);
                }
                _ => {
                    // Through the other forms, which keep no order for the table.
                    let mut other = hash.clone();
                    other.convert_to_table();
                    let (mut pairs, mut sorted) = (contents(&other), model.clone());
                    pairs.sort();
                    sorted.sort();
                    prop_assert_eq!(&pairs, &sorted);
                    let mut other = hash.clone();
                    other.prepare_times();
                    prop_assert_eq!(other.encoding(), "listpackex");
                    prop_assert_eq!(&contents(&other), &model);
                    other.convert_to_table();
                    prop_assert_eq!(other.len(), model.len());
                }
            }
            check(&hash, &model);
            check(&hash.clone(), &model);
        }
    }
}

/// What [`Hash::from_packed`] has to agree with.
fn unpacked(bytes: &[u8], limits: &Limits) -> Result<Hash, ListpackError> {
    Hash::from_listpack(Listpack::from_bytes(bytes)?, limits)
}

proptest! {
    #[test]
    fn what_has_the_shape_of_another_is_recognized_and_nothing_else(
        order in Just(NAMES.to_vec()).prop_shuffle(),
        fields in 1..=NAMES.len(),
        values in prop::collection::vec(value_bytes(), NAMES.len()),
        others in prop::collection::vec(value_bytes(), NAMES.len()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        most in 1usize..8,
    ) {
        learn_all(&mut Vec::new());
        let limits = Limits { hash_max_listpack_entries: most, ..Limits::default() };
        let of = |values: &[Vec<u8>]| -> Pairs {
            order.iter().take(fields).map(|name| name.to_vec()).zip(values.iter().cloned()).collect()
        };
        let mut recent = RecentShapes::default();
        let first = plain(&of(&values));
        prop_assert!(recent.recognize(first.as_bytes(), most).is_none());
        let hash = Hash::from_packed(first.as_bytes(), &limits, &mut recent).unwrap();
        prop_assert_eq!(is_shaped(&hash), fields <= most);
        let second = plain(&of(&others));
        prop_assert_eq!(recent.recognize(second.as_bytes(), most).is_some(), fields <= most);
        let mut bytes = second.as_bytes().to_vec();
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        let expected = unpacked(&bytes, &limits);
        if recent.recognize(&bytes, most).is_some() {
            prop_assert!(expected.as_ref().is_ok_and(is_shaped));
        }
        let told = |hash: Result<Hash, ListpackError>| {
            hash.map(|hash| (contents(&hash), hash.encoding(), hash.as_listpack().map(|it| it.as_bytes().to_vec())))
        };
        prop_assert_eq!(told(Hash::from_packed(&bytes, &limits, &mut recent)), told(expected));
    }
}

fn value_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>()
            .prop_flat_map(|int| (0u32..64).prop_map(move |shift| (int >> shift).to_string().into_bytes())),
        prop::collection::vec(any::<u8>(), 0..140),
        prop_oneof![Just(4095usize), Just(4096)].prop_map(|len| vec![b'v'; len]),
    ]
}
