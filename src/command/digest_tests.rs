//! The expected digests are those of a stock Redis 7.0.15 that held the same data.

use super::*;
use crate::base::random::Rng;
use crate::value::stream::Group;
use crate::value::{Direction, Hash, Limits, List, Set, Stream, ZSet, hash_bytes};

/// Both digests of one key in database 0: of the data set, and of the value.
fn digests(value: Value, key: &[u8], expire_at_ms: Option<i64>) -> (String, String) {
    let keyspace = Keyspace::new(16);
    put(&keyspace, 0, Entry::new(key, value, expire_at_ms));
    let hash = hash_bytes(key);
    let locked = keyspace.lock_one(hash);
    let one = of_value(locked.shard(hash).db(0).get(hash, key).unwrap()).to_string();
    drop(locked);
    (of_keyspace(&keyspace).to_string(), one)
}

fn put(keyspace: &Keyspace, db: u32, entry: Entry) {
    let hash = hash_bytes(entry.key());
    keyspace.lock_one(hash).shard_mut(hash).db_mut(db).insert(hash, entry);
}

fn string(text: &str) -> Value {
    Value::Str(crate::value::Str::from_slice(text.as_bytes()))
}

#[track_caller]
fn check(value: Value, key: &[u8], expire_at_ms: Option<i64>, all: &str, one: &str) {
    assert_eq!(digests(value, key, expire_at_ms), (all.to_owned(), one.to_owned()));
}

/// Thresholds that pack everything, and that pack nothing: the digest does not depend on the encoding.
fn limits() -> [Limits; 2] {
    let unpacked = Limits {
        hash_max_listpack_entries: 0,
        set_max_listpack_entries: 0,
        set_max_intset_entries: 0,
        zset_max_listpack_entries: 0,
        ..Limits::default()
    };
    [Limits::default(), unpacked]
}

#[test]
fn strings_and_expiries() {
    let (v, v_alone) =
        ("264ccf65edec66bccfa7cc659414ccca432057d2", "d79ee9fe5d5ad902d7f6620efc3b07b75ddd742f");
    check(string("v"), b"k", None, v, v_alone);
    let expiring = ("bf83f210388eea94f06fb90d517490e16a08d7dd", "311b17018163335616e089f6b951c82c477335ac");
    check(string("v"), b"k", Some(1), expiring.0, expiring.1);
    check(string("v"), b"k", Some(i64::MAX), expiring.0, expiring.1);
    let int = ("bd89258e7688829237e8306726261f65a0e0e9ca", "b66f371049a1c5795af9275a5a132453d88c3649");
    check(string("-12"), b"k", None, int.0, int.1);
}

#[test]
fn collections() {
    for limits in limits() {
        let (mut list, mut ints, mut set) = (List::new(), Set::new(), Set::new());
        for text in ["a", "1", "", "a"] {
            list.push(Direction::Backward, text.as_bytes(), &limits);
        }
        ["3", "1", "2"].iter().for_each(|text| assert!(ints.add(text.as_bytes(), &limits)));
        ["3", "abc", "2"].iter().for_each(|text| assert!(set.add(text.as_bytes(), &limits)));
        let (mut zset, mut hash) = (ZSet::new(), Hash::new());
        for (member, score) in
            [("a", 0.1), ("b", 3.0), ("c", f64::NEG_INFINITY), ("17", 1e100), ("n", -0.3333333333)]
        {
            zset.insert(member.as_bytes(), score, &limits);
        }
        hash.set(b"f", b"v", &limits);
        hash.set(b"n", b"12", &limits);
        let digest = "c94e0c08f26dc8046c299638ea6e3a99dc6b62e6";
        check(Value::List(list), b"l", None, digest, "8a503def509e96512f0a69124f7f31a7207aa993");
        let digest = "5db52aea846889b51b38382f9a31b671754d2571";
        check(Value::Set(ints), b"s", None, digest, "2a462a3f51a1db89738ebbeef0c47ce1bbc85246");
        let digest = "b90b400334d743e460dd25800bc3d42a7e31ed18";
        check(Value::Set(set), b"s", None, digest, "b6b50d226fb4eaaf9de7d3874a19f86b1e4ca270");
        let digest = "9a8c0d8f451c66da3ed3b7f0501a2fe5eb155504";
        check(Value::ZSet(zset), b"z", None, digest, "a3635938cade82d63ab108fa1758fad9dd7b6533");
        let digest = "0879f0c5eb746b92a9a25d081ab3b17d58c3b215";
        check(Value::Hash(hash), b"h", None, digest, "76d7ce7d8cb69c65ddb54b94589fa9396351461b");
    }
}

#[test]
fn streams() {
    let (mut stream, limits) = (Stream::new(), Limits::default());
    let entries: [(u64, u64, &[&[u8]]); 4] = [
        (1, 1, &[b"name", b"alice", b"age", b"30"]),
        (1, 2, &[b"name", b"bob", b"age", b"x"]),
        (5, 0, &[b"f", b"1"]),
        (300, 7, &[b"f", b"12345678901"]),
    ];
    for (ms, seq, pairs) in entries {
        stream.entries_mut().append(StreamId::new(ms, seq), pairs, &limits).unwrap();
    }
    stream.entries_mut().delete(StreamId::new(5, 0));
    stream.create_group(b"groups do not count", Group::new(StreamId::MIN, None));
    let digest = "cb91ddd64bc9b8292c2fe0bcdb950744b36cb1c5";
    check(Value::Stream(stream), b"s", None, digest, "b7a5865129d0061ec05cb75a05109d192e6f53c3");
}

#[test]
fn databases_count() {
    let keyspace = Keyspace::new(16);
    assert_eq!(of_keyspace(&keyspace).to_string(), "0".repeat(40));
    put(&keyspace, 0, Entry::new(b"k", string("v"), None));
    put(&keyspace, 3, Entry::new(b"q", string("w"), None));
    put(&keyspace, 3, Entry::new(b"k", string("v"), None));
    assert_eq!(of_keyspace(&keyspace).to_string(), "19a41c4cdf48a5788732ad889a2a3fa813300b83");
}

#[test]
fn order_of_keys_does_not_matter() {
    let mut rng = Rng::from_seed(1);
    let (a, b) = (Keyspace::new(1), Keyspace::new(1));
    let mut texts: Vec<String> = (0..500).map(|_| rng.next_u64().to_string()).collect();
    texts.iter().for_each(|text| put(&a, 0, Entry::new(text.as_bytes(), string(text), None)));
    texts.sort_unstable();
    texts.iter().for_each(|text| put(&b, 0, Entry::new(text.as_bytes(), string(text), None)));
    assert_eq!(of_keyspace(&a), of_keyspace(&b));
    put(&b, 0, Entry::new(b"more", string("x"), None));
    assert_ne!(of_keyspace(&a), of_keyspace(&b));
}

#[test]
fn several_threads_come_to_the_same() {
    let keyspace = Keyspace::new(16);
    assert_eq!(of_locked_by(&keyspace.lock_all(), 16, 3), Digest::default());
    let mut rng = Rng::from_seed(5);
    for number in 0..500 {
        let expires = (number % 3 == 0).then_some(1_000_000);
        let (db, key) = (rng.below(3) as u32 * 5, format!("key:{number}"));
        put(&keyspace, db, Entry::new(key.as_bytes(), string(&rng.hex(9)), expires));
    }
    let locked = keyspace.lock_all();
    for threads in [0, 1, 2, 7] {
        assert_eq!(of_locked_by(&locked, 16, threads), of_locked(&locked, 16), "{threads} threads");
    }
}
