//! What RESTORE is given: a value's type and content, to which the target adds a version and the right checksum.
//! What is accepted then bears the work that commands do on it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::base::crc::crc64;
use outrigger::base::random::Rng;
use outrigger::format::rdb::{NEWEST_READ_VERSION, ReadOptions, dump};
use outrigger::value::{Direction, Limits, Value};

fn decode(content: &[u8]) -> Option<Value> {
    let mut payload = [content, &NEWEST_READ_VERSION.to_le_bytes()[..]].concat();
    payload.extend(crc64(0, &payload).to_le_bytes());
    dump::decode(&payload, &ReadOptions::default()).ok()
}

/// Reads, adds, scans and removes until nothing is left.
fn work(value: &mut Value, rng: &mut Rng) {
    let limits = Limits::default();
    match value {
        Value::Str(_) => {}
        Value::List(list) => {
            let len = list.len();
            assert_eq!(list.iter().count(), len);
            list.push(Direction::Forward, b"new", &limits);
            list.set(0, &[b'x'; 200], &limits);
            list.insert(len / 2, b"7", &limits);
            list.remove_matching(b"7", 1, Direction::Backward, &limits);
            while list.pop(Direction::Backward, &limits).is_some() {}
        }
        Value::Set(set) => {
            let members: Vec<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
            assert_eq!(members.len(), set.len());
            assert!(members.iter().all(|member| set.contains(member)));
            let is_new = set.add(b"new", &limits);
            assert_eq!(is_new, !members.iter().any(|member| member == b"new"));
            while set.pop_random(rng).is_some() {}
        }
        Value::Hash(hash) => {
            let fields: Vec<Vec<u8>> = hash.iter().map(|(field, _)| field.to_vec()).collect();
            assert_eq!(fields.len(), hash.len());
            hash.set(b"new", &[b'v'; 100], &limits);
            assert_eq!(hash.iter().count(), hash.len());
            assert!(fields.iter().all(|field| hash.delete(field) || field == b"new"));
        }
        Value::ZSet(zset) => {
            let members: Vec<(Vec<u8>, f64)> =
                zset.iter().map(|(member, score)| (member.to_vec(), score)).collect();
            assert_eq!(members.len(), zset.len());
            for (rank, (member, score)) in members.iter().enumerate() {
                assert_eq!(zset.rank(member, false), Some((rank, *score)));
            }
            zset.insert(b"new", 3.0, &limits);
            while zset.pop_max().is_some() {}
        }
        // The target `stream` does this.
        Value::Stream(_) => {}
    }
    assert!(
        matches!(value, Value::Str(_) | Value::Stream(_) | Value::Hash(_)) || value.is_empty_collection()
    );
}

fuzz_target!(|content: &[u8]| {
    let Some(mut value) = decode(content) else { return };
    let written = dump::encode(&value);
    let again = decode(&written[..written.len() - 10]).expect("what was written is read");
    assert_eq!(again.type_name(), value.type_name());
    assert!(value.memory_bytes(0) < content.len() * 400 + 100_000, "no payload blows itself up");
    work(&mut value, &mut Rng::from_seed(content.len() as u64));
});
