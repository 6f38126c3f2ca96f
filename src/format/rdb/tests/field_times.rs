//! Hashes whose fields carry times.

use super::*;

/// The hash with a time to every other field.
pub(super) fn timed(value: Value) -> Value {
    let Value::Hash(mut hash) = value else { panic!("a hash was expected") };
    let fields: Vec<Vec<u8>> = hash.iter().map(|(field, _)| field.to_vec()).collect();
    for (n, field) in fields.iter().enumerate().filter(|(n, _)| n % 2 == 0) {
        assert!(hash.set_time(field, Some(1_800_000_000_000 + (n as i64 * 7_919) % 100_000)));
    }
    Value::Hash(hash)
}

fn samples_of_times() -> [(&'static str, Value, u8); 2] {
    let all = super::samples();
    let find = |name| all.iter().find(|(key, _)| *key == name).expect("a sample").1.clone();
    [
        ("timed hash", find("timed hash"), value_type::HASH_TIMED_LISTPACK),
        ("timed table hash", find("timed table hash"), value_type::HASH_TIMES),
    ]
}

#[test]
fn only_times_ask_for_a_newer_version() {
    let options = WriteOptions::default();
    for (key, value, kind) in samples_of_times() {
        let bytes = write(options, &[(key, value.clone())]);
        assert!(bytes.starts_with(b"REDIS0012"));
        let payload = dump::encode(&value);
        assert_eq!((payload[0], payload[payload.len() - 10]), (kind, 12));
        let Value::Hash(mut hash) = value else { panic!("a hash was expected") };
        let fields: Vec<Vec<u8>> = hash.iter().map(|(field, _)| field.to_vec()).collect();
        fields.iter().for_each(|field| assert!(hash.set_time(field, None)));
        // The form stays, but nothing in the bytes tells of it.
        assert!(hash.is_timed() && !hash.has_times());
        let plain = Value::Hash(hash);
        let bytes = write(options, &[(key, plain.clone())]);
        assert!(bytes.starts_with(b"REDIS0010"));
        assert_eq!(read_all(&bytes[..]).unwrap()[0].3, contents(&plain));
        let payload = dump::encode(&plain);
        let plain_kind =
            if kind == value_type::HASH_TIMES { value_type::HASH } else { value_type::HASH_LISTPACK };
        assert_eq!((payload[0], payload[payload.len() - 10]), (plain_kind, 10));
    }
}

/// Type and key, the soonest time, then what follows.
fn record(kind: u8, soonest_ms: Option<u64>, rest: &[u8]) -> Vec<u8> {
    let soonest: Vec<u8> = soonest_ms.into_iter().flat_map(u64::to_le_bytes).collect();
    [&[kind, 1, b'k'][..], &soonest, rest].concat()
}

/// Field, value and time of "a", 1, 9 and "b", 2, none as a listpack.
const TRIPLES: &[u8] = b"\x17\0\0\0\x06\0\x81a\x02\x01\x01\x09\x01\x81b\x02\x02\x01\x00\x01\xff";

#[test]
fn the_forms_of_seven_four_and_of_its_candidates_are_read() {
    let expected = lines(&["a = 1 until 9", "b = 2"]);
    let mut triples = TRIPLES.to_vec();
    triples[0] = triples.len() as u8;
    let packed = [&[triples.len() as u8][..], &triples].concat();
    let fields = b"\x02\x03\x01a\x011\x00\x01b\x012";
    let absolute = b"\x02\x09\x01a\x011\x00\x01b\x012";
    for bytes in [
        record(value_type::HASH_TIMED_LISTPACK, Some(9), &packed),
        record(value_type::HASH_TIMED_LISTPACK_PRE_GA, None, &packed),
        record(value_type::HASH_TIMES, Some(7), fields),
        record(value_type::HASH_TIMES_PRE_GA, None, absolute),
    ] {
        let entry = one(12, &bytes).unwrap();
        assert_eq!((entry.2, entry.3), ("listpackex", expected.clone()), "type {}", bytes[0]);
    }
    let none: [&[u8]; 2] = [b"\x07\x07\0\0\0\0\0\xff", b"\0"];
    let kinds = [value_type::HASH_TIMED_LISTPACK, value_type::HASH_TIMES];
    for (kind, rest) in kinds.into_iter().zip(none) {
        let bytes = file(12, &[&record(kind, Some(9), rest)]);
        assert_eq!(read_all(&bytes[..]).unwrap(), []);
    }
}

#[test]
fn times_that_cannot_be_are_refused() {
    use RdbErrorKind as K;
    let kind_of = |bytes: &[u8]| one(12, bytes).expect_err("refused").kind;
    let times =
        |soonest_ms: u64, fields: &[u8]| kind_of(&record(value_type::HASH_TIMES, Some(soonest_ms), fields));
    assert!(matches!(times(0, b"\x01\x01\x01a\x011"), K::BadFieldTime));
    assert!(matches!(times(1 << 48, b"\x01\x01\x01a\x011"), K::BadFieldTime));
    assert!(matches!(times(u64::MAX, b"\x01\x01\x01a\x011"), K::BadFieldTime));
    assert!(matches!(times((1 << 48) - 1, b"\x01\x02\x01a\x011"), K::BadFieldTime));
    let long = b"\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a\x011";
    assert!(matches!(times(9, long), K::BadFieldTime));
    assert!(matches!(kind_of(&record(value_type::HASH_TIMES_PRE_GA, None, long)), K::BadFieldTime));
    assert!(matches!(times(9, b"\x02\x01\x01a\x011\x00\x01a\x012"), K::Duplicate));
    assert!(one(12, &record(value_type::HASH_TIMES, Some((1 << 48) - 1), b"\x01\x01\x01a\x011")).is_ok());
    let packed = |elements: &[Element<'_>]| {
        let listpack = Listpack::from_elements(elements.iter().copied());
        let bytes = [&[listpack.byte_len() as u8][..], listpack.as_bytes()].concat();
        kind_of(&record(value_type::HASH_TIMED_LISTPACK, Some(9), &bytes))
    };
    let (a, one) = (Element::Bytes(b"a"), Element::Int(1));
    for elements in
        [&[a, one][..], &[a, one, a], &[a, one, Element::Int(-1)], &[a, one, one, a, one, Element::Int(0)]]
    {
        assert!(matches!(packed(elements), K::Listpack(_)), "{elements:?}");
    }
}
