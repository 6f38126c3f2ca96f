//! What a key is, small enough to be kept for many: its type, a digest of its value, and its time.

use crate::base::crc::crc64;
use crate::command::digest::{Digest, of_value_at};
use crate::keyspace::ValueRef;
use crate::value::stream::Stream;
use crate::value::{Hash, Value};

/// A key's value and time, as far as two servers can be held against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyState {
    /// What TYPE says.
    pub kind: &'static str,
    /// What DEBUG DIGEST-VALUE says of the value alone.
    pub digest: Digest,
    /// What that leaves out: times of a hash's fields; groups and ids of a stream.
    pub beside: u64,
    /// When the key expires, in ms of Unix time.
    pub expire_at_ms: Option<i64>,
}

impl KeyState {
    /// Of a key at this time; `None` if it has expired by then, or all its fields have.
    pub fn of(value: ValueRef<'_>, expire_at_ms: Option<i64>, now_ms: i64) -> Option<KeyState> {
        if expire_at_ms.is_some_and(|at| at <= now_ms) {
            return None;
        }
        let (kind, beside) = match value {
            ValueRef::Int(_) | ValueRef::Bytes(_) => ("string", 0),
            ValueRef::Object(value) => {
                let beside = match value {
                    Value::Hash(hash) => field_times(hash, now_ms)?,
                    Value::Stream(stream) => of_groups(stream),
                    _ => 0,
                };
                (value.type_name(), beside)
            }
        };
        Some(KeyState { kind, digest: of_value_at(value, now_ms), beside, expire_at_ms })
    }
}

/// A value as it would lie in an entry.
pub fn as_ref(value: &Value) -> ValueRef<'_> {
    match value {
        Value::Str(crate::value::Str::Int(int)) => ValueRef::Int(*int),
        Value::Str(crate::value::Str::Bytes(bytes)) => ValueRef::Bytes(bytes),
        object => ValueRef::Object(object),
    }
}

/// The times of the fields that are not due; `None` if none but due fields are left.
fn field_times(hash: &Hash, now_ms: i64) -> Option<u64> {
    if !hash.has_times() {
        return Some(0);
    }
    let (mut sum, mut left) = (0u64, false);
    for (field, _, time) in hash.iter_timed() {
        let Some(at) = time else {
            left = true;
            continue;
        };
        if at > now_ms {
            left = true;
            let name = crc64(0, field.as_bytes(&mut itoa::Buffer::new()));
            // The order of fields does not count.
            sum = sum.wrapping_add(crc64(name, &at.to_le_bytes()));
        }
    }
    left.then_some(sum)
}

/// All of a stream that is not entries. When a consumer was last seen is no part of its state.
fn of_groups(stream: &Stream) -> u64 {
    let entries = stream.entries();
    let mut sum = crc64(0, &entries.last_id.to_bytes());
    sum = crc64(sum, &entries.max_deleted_id.to_bytes());
    sum = crc64(sum, &entries.added.to_le_bytes());
    let name = |sum, name: &[u8]| crc64(crc64(sum, &(name.len() as u64).to_le_bytes()), name);
    for (group_name, group) in stream.groups() {
        sum = crc64(name(sum, group_name), &group.last_id.to_bytes());
        for (id, pending) in group.pending() {
            sum = crc64(sum, &id.to_bytes());
            sum = crc64(sum, &pending.deliveries.to_le_bytes());
            sum = name(sum, group.consumer(pending.consumer).name());
        }
        sum = group.consumers().fold(sum, |sum, consumer| name(sum, consumer.name()));
    }
    sum
}

/// The hash that keys are divided by: the same in every process.
pub fn key_hash(key: &[u8]) -> u64 {
    // A CRC is linear: its top bits alone tell keys of one pattern badly apart. The finish of MurmurHash3 mixes them.
    mix(crc64(0, key))
}

/// Makes every bit depend on every other.
pub fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// A key for a report: as text, long ones cut.
pub fn key_text(key: &[u8]) -> String {
    const SHOWN_BYTES: usize = 100;
    let shown = key.get(..SHOWN_BYTES).unwrap_or(key).escape_ascii().to_string();
    if key.len() > SHOWN_BYTES { format!("{shown}… ({} bytes)", key.len()) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Harness;
    use crate::format::rdb::ReadOptions;
    use crate::format::rdb::dump::decode;

    fn state(harness: &mut Harness, now_ms: i64) -> Option<KeyState> {
        let bytes = harness.run_raw(&[b"DUMP", b"k"]);
        let at = bytes.iter().position(|byte| *byte == b'\n').expect("a bulk string") + 1;
        let value = decode(&bytes[at..bytes.len() - 2], &ReadOptions::default()).expect("a value");
        KeyState::of(as_ref(&value), None, now_ms)
    }

    #[test]
    fn what_the_digest_leaves_out_is_seen() {
        for (first, then) in [
            ("XADD k 1-1 f v", "XGROUP CREATE k g 0"),
            ("XADD k 1-1 f v", "XSETID k 2-2"),
            ("HSET k f v g w", "HSET k f w"),
            ("SET k 1", "SET k 01"),
            ("RPUSH k a b", "RPUSH k c"),
        ] {
            let mut harness = Harness::new();
            harness.run(first);
            let before = state(&mut harness, 0);
            assert_eq!(before, state(&mut harness, 0));
            harness.run(then);
            assert_ne!(before, state(&mut harness, 0), "{first}, {then}");
        }
    }

    #[test]
    fn due_fields_and_keys_are_not_there() {
        let mut harness = Harness::new();
        harness.run("HSET k f v g w");
        let plain = state(&mut harness, 0);
        harness.run("HPEXPIREAT k 9999999999999 FIELDS 1 f");
        assert_ne!(plain, state(&mut harness, 0));
        let later = state(&mut harness, 9_999_999_999_999).expect("a field is left");
        harness.run("HDEL k f");
        assert_eq!(state(&mut harness, 0), Some(later));
        harness.run("HPEXPIREAT k 9999999999999 FIELDS 1 g");
        assert_eq!(state(&mut harness, 9_999_999_999_999), None);
        assert!(KeyState::of(ValueRef::Int(1), Some(5), 4).is_some());
        assert!(KeyState::of(ValueRef::Int(1), Some(5), 5).is_none());
    }

    #[test]
    fn keys_of_one_pattern_spread() {
        let mut buckets = [0u32; 64];
        (0..6400).for_each(|n| buckets[(key_hash(format!("user:{n}").as_bytes()) >> 58) as usize] += 1);
        assert!(buckets.iter().all(|count| (50..170).contains(count)), "{buckets:?}");
        assert_eq!(key_text(b"a\n"), "a\\n");
        assert!(key_text(&[b'x'; 5000]).ends_with("… (5000 bytes)"));
    }
}
