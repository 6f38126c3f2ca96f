//! The checker of snapshots and the loader agree, whatever the bytes are.

use crate::support::scaled;
use outrigger::base::crc::crc64;
use outrigger::base::random::Rng;
use outrigger::command::Settings;
use outrigger::format::rdb::{RdbReader, ReadOptions, Record, dump};
use outrigger::keyspace::Keyspace;
use outrigger::persistence::judge::{Judged, Judging, Plan, judge};
use outrigger::persistence::load::{Facts, Inserting, LoadError, load_rdb};
use outrigger::value::stream::{Group, Pending, StreamId};
use outrigger::value::zset::ZSetBuilder;
use outrigger::value::{Direction, Hash, Limits, List, Set, Str, Stream, Value};

const NOW_MS: i64 = 1_795_000_000_000;
const DATABASES: u32 = 16;
/// "a" and 1000, as a ziplist.
const ZIPLIST: &[u8] = b"\x12\0\0\0\x0d\0\0\0\x02\0\x00\x01a\x03\xc0\xe8\x03\xff";
/// "a" and 5 as a listpack.
const LISTPACK: &[u8] = b"\x0c\0\0\0\x02\0\x81a\x02\x05\x01\xff";
/// Field, value and time of "a", 1, 9 and "b", 2, none as a listpack.
const TRIPLES: &[u8] = b"\x15\0\0\0\x06\0\x81a\x02\x01\x01\x09\x01\x81b\x02\x02\x01\x00\x01\xff";

/// A snapshot of version `version` with these bytes as its records.
fn file(version: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("REDIS{version:04}").into_bytes();
    bytes.extend(records.concat());
    bytes.push(0xff);
    if version >= 5 {
        bytes.extend(crc64(0, &bytes).to_le_bytes());
    }
    bytes
}

/// Puts the right checksum at the end.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(at) = bytes.len().checked_sub(8) {
        let crc = crc64(0, &bytes[..at]);
        bytes[at..].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

fn record(kind: u8, key: &str, content: &[u8]) -> Vec<u8> {
    [&[kind, key.len() as u8], key.as_bytes(), content].concat()
}

fn blob(kind: u8, key: &str, bytes: &[u8]) -> Vec<u8> {
    record(kind, key, &[&[bytes.len() as u8], bytes].concat())
}

/// A value as the writer of today writes it.
fn written(key: &str, value: &Value) -> Vec<u8> {
    let payload = dump::encode(value);
    record(payload[0], key, &payload[1..payload.len() - 10])
}

/// Every type of value that servers have ever written, and what may stand around it.
fn old_records() -> Vec<Vec<u8>> {
    let intset = b"\x02\0\0\0\x03\0\0\0\xff\xff\x05\x00\x07\x00";
    let quicklist = [&b"\x02\x12"[..], ZIPLIST, b"\x12", ZIPLIST].concat();
    let nodes = [&b"\x02\x02\x0c"[..], LISTPACK, b"\x01\x03big"].concat();
    let soonest = 1_800_000_000_000_u64.to_le_bytes();
    vec![
        b"\xfe\x00\xfb\x05\x02".to_vec(),
        record(0, "text", b"\x05hello"),
        record(0, "number", b"\xc1\xe8\x03"),
        record(0, "packed", b"\xc3\x05\x0a\x00x\xe0\x00\x00"),
        [b"\xfd\xff\xff\xff\x7f".to_vec(), record(0, "seconds", b"\x01v")].concat(),
        [b"\xfc\x01\0\0\0\x10\0\0\0\xf8\x05".to_vec(), record(0, "ms", b"\x01v")].concat(),
        [b"\xf9\x07".to_vec(), record(0, "used", b"\xc0\x07")].concat(),
        record(1, "list", b"\x03\x01a\xc0\x05\x01a"),
        record(1, "no list", b"\x00"),
        record(2, "set", b"\x03\x01a\xc0\x05\x02xy"),
        record(3, "zset 1", b"\x03\x01a\x041e-1\x01b\xfe\x01c\xff"),
        record(4, "hash", b"\x02\x01f\x01v\xc0\x05\x00"),
        record(5, "zset 2", b"\x02\x01b\0\0\0\0\0\0\xf8\x3f\x01a\0\0\0\0\0\0\xf0\xbf"),
        blob(9, "zipmap", b"\x02\x01f\x01\x00v\x01g\x01\x00w\xff"),
        blob(10, "list of ziplist", ZIPLIST),
        blob(11, "intset", intset),
        blob(12, "zset of ziplist", ZIPLIST),
        blob(13, "hash of ziplist", ZIPLIST),
        b"\xfe\x03".to_vec(),
        record(14, "quicklist of ziplists", &quicklist),
        blob(16, "hash of listpack", LISTPACK),
        blob(17, "zset of listpack", LISTPACK),
        record(18, "quicklist", &nodes),
        blob(20, "set of listpack", LISTPACK),
        record(22, "times before 7.4", b"\x02\x00\x01f\x01v\x07\x01g\x01w"),
        blob(23, "timed listpack before 7.4", TRIPLES),
        record(24, "times", &[&soonest[..], b"\x02\x01\x01f\x01v\x00\x01g\x01w"].concat()),
        [&[25, 5][..], b"timed", &soonest, &[TRIPLES.len() as u8], TRIPLES].concat(),
        b"\xf5\x08#!lua xx".to_vec(),
        b"\xf4\x01\x02\x03".to_vec(),
        record(0, "last", b"\x03end"),
    ]
}

fn stream() -> Value {
    let limits = Limits { stream_node_max_entries: 4, ..Limits::default() };
    let (mut stream, mut group) = (Stream::new(), Group::new(StreamId::new(5, 0), Some(5)));
    for n in 1..10 {
        let pairs: [&[u8]; 4] = [b"name", b"value", if n < 6 { b"12" } else { b"other" }, b"-70000"];
        stream.entries_mut().append(StreamId::new(n, 1), &pairs, &limits).unwrap();
        let (consumer, _) = group.consumer_or_new(if n % 2 == 0 { b"bob" } else { b"alice" }, 5);
        group.assign(StreamId::new(n, 1), Pending { delivered_ms: 7, deliveries: n, consumer });
    }
    stream.entries_mut().delete(StreamId::new(3, 1));
    stream.create_group(b"readers", group);
    stream.create_group(b"idle", Group::new(StreamId::MIN, None));
    Value::Stream(stream)
}

/// Values of every encoding that is written today.
fn new_records() -> Vec<Vec<u8>> {
    let limits = Limits::default();
    let mut records = vec![b"\xfa\x09redis-ver\x057.2.4\xfa\x05ctime\xc2\0\0\0\x65\xfe\x01".to_vec()];
    for count in [3, 200] {
        let (mut list, mut set, mut ints, mut hash) = (List::new(), Set::new(), Set::new(), Hash::new());
        let mut zset = ZSetBuilder::new();
        for n in 0..count {
            let text = format!("member {n}");
            list.push(Direction::Backward, text.as_bytes(), &limits);
            set.add(text.as_bytes(), &limits);
            ints.add((n * 1000).to_string().as_bytes(), &limits);
            hash.set(text.as_bytes(), n.to_string().as_bytes(), &limits);
            zset.push(text.as_bytes(), f64::from(n) / 4.0).unwrap();
        }
        let zset = Value::ZSet(zset.finish(&limits).unwrap());
        let mut timed = hash.clone();
        timed.set_time(b"member 1", Some(NOW_MS + 5));
        let values = [
            Value::List(list),
            Value::Set(set),
            Value::Set(ints),
            Value::Hash(hash),
            zset,
            Value::Hash(timed),
        ];
        for (n, value) in values.iter().enumerate() {
            records.push(written(&format!("value {n} of {count}"), value));
        }
    }
    records.push(written("stream", &stream()));
    records.push(written("empty stream", &Value::Stream(Stream::new())));
    records.push(written("page", &Value::Str(Str::from_slice("compressed ".repeat(30).as_bytes()))));
    records
}

fn fixtures() -> Vec<Vec<u8>> {
    let old = old_records();
    let mut all: Vec<Vec<u8>> = (1..=12).map(|version| file(version, &old)).collect();
    all.push(file(12, &new_records()));
    // So that what is little among much is changed often enough, too.
    all.extend(
        old.iter()
            .chain(&new_records())
            .filter(|record| record.len() < 400)
            .map(|record| file(11, std::slice::from_ref(record))),
    );
    all
}

type Verdict = Result<Facts, String>;

fn of_loader(bytes: &[u8]) -> Verdict {
    let how = Inserting::new(&Settings::default(), NOW_MS);
    let loaded = load_rdb(bytes, &Keyspace::new(DATABASES), &how, |_| ());
    let bare = |facts: Facts| Facts { functions: Vec::new(), ..facts };
    loaded.map(bare).map_err(|error| format!("{error:?}"))
}

fn judged(bytes: &[u8], plan: Option<Plan>) -> Judged {
    let (read, databases) = (ReadOptions::default(), Some(DATABASES));
    judge(bytes, &mut Judging { read, databases, plan, passed: &|_| (), progress: &mut |_| () })
}

fn of_judge(judged: &Judged) -> Verdict {
    match &judged.fault {
        Some(fault) => Err(format!("{:?}", fault.error)),
        None => Ok(judged.facts.clone()),
    }
}

/// Keys that the decoder reads before it meets a fault.
fn keys_before_a_fault(bytes: &[u8]) -> u64 {
    let mut reader = RdbReader::new(bytes, ReadOptions::default());
    let mut keys = 0;
    while let Ok(Some(record)) = reader.next_record() {
        keys += u64::from(matches!(record, Record::Entry(_)));
    }
    keys
}

#[test]
fn sound_snapshots_of_every_version_and_encoding_pass() {
    for bytes in fixtures() {
        let verdict = of_loader(&bytes);
        assert!(verdict.is_ok(), "{verdict:?} {}", bytes.escape_ascii());
        for plan in [None, Some(Plan { threads: 3, part_bytes: 100 })] {
            let judged = judged(&bytes, plan);
            assert_eq!(of_judge(&judged), verdict);
            assert_eq!(judged.tally.keys, keys_before_a_fault(&bytes));
            assert_eq!(judged.tally.forms().map(|(.., keys)| keys).sum::<u64>(), judged.tally.keys);
            // Nothing was left to the loader's decoder.
            assert!(judged.tally.forms().all(|(kind, ..)| kind != "?"));
        }
    }
    let all = judged(&file(12, &old_records()), None);
    assert_eq!((all.tally.timed_fields, all.tally.skipped_empty, all.tally.expiring), (4, 1, 2));
    assert_eq!(
        all.tally.databases.iter().map(|count| (count.db, count.keys)).collect::<Vec<_>>(),
        [(0, 16), (3, 10)]
    );
}

/// Changes the bytes in one of many ways.
fn mutated(rng: &mut Rng, sound: &[u8]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    let mut place = |len: usize| rng.below(len as u64) as usize;
    for _ in 0..1 + place(2) {
        let at = place(bytes.len());
        let end = bytes.len().min(at + 1 + place(12));
        match place(10) {
            0 => bytes.truncate(at.max(1)),
            1..4 => bytes[at] ^= 1 << place(8),
            4 => bytes[at] = bytes[at].wrapping_add(1),
            5 => bytes[at] = bytes[at].wrapping_sub(1),
            6 => bytes[at] = [0, 1, 0x7f, 0x80, 0x81, 0xc3, 0xfe, 0xff][place(8)],
            7 => drop(bytes.drain(at..end.min(bytes.len() - 1))),
            8 => {
                let copied = bytes[at..end].to_vec();
                let to = place(bytes.len());
                bytes.splice(to..to, copied);
            }
            _ => {
                // Over what stands elsewhere, so that members, keys and ids meet.
                let (copied, to) = (bytes[at..end].to_vec(), place(bytes.len()));
                let to_end = bytes.len().min(to + copied.len());
                bytes[to..to_end].copy_from_slice(&copied[..to_end - to]);
            }
        }
    }
    // Mostly with a checksum that holds: else little would be found but that it does not.
    if place(8) > 0 { summed(bytes) } else { bytes }
}

#[test]
fn a_snapshot_cut_anywhere_gets_the_loaders_verdict() {
    let (hashes, places) = many_hashes();
    // Between two records, too, where nothing tells that more was to come.
    assert!(places.iter().all(|at| *at < hashes.len()));
    for sound in [hashes, file(4, &old_records()), file(12, &new_records()[..8])] {
        for cut in 0..sound.len() {
            let bytes = &sound[..cut];
            let judged = judged(bytes, None);
            assert_eq!(of_judge(&judged), of_loader(bytes), "cut at {cut}: {}", bytes.escape_ascii());
            assert!(judged.fault.is_some());
        }
    }
}

#[test]
fn mutated_snapshots_get_the_loaders_verdict() {
    let fixtures = fixtures();
    let mut rng = Rng::from_seed(20);
    let (mut sound, mut kinds) = (0, std::collections::BTreeSet::new());
    let count = scaled(4_000);
    for n in 0..count {
        let bytes = mutated(&mut rng, &fixtures[n % fixtures.len()]);
        let shown = || bytes.escape_ascii().to_string();
        let verdict = of_loader(&bytes);
        for plan in [None, Some(Plan { threads: 2, part_bytes: 60 })] {
            let judged = judged(&bytes, plan);
            assert_eq!(of_judge(&judged), verdict, "case {n}, {plan:?}: {}", shown());
            let Some(fault) = &judged.fault else { continue };
            if !matches!(fault.error, LoadError::DuplicateKey { .. } | LoadError::Database { .. }) {
                assert_eq!(judged.tally.keys, keys_before_a_fault(&bytes), "case {n}: {}", shown());
            }
            if let Some(at) = fault.record_at {
                // What is cut off begins where the bytes end.
                assert!(at <= bytes.len() as u64, "case {n}: {}", shown());
            }
            if let Some(next) = fault.after.and_then(|after| after.resumes_at) {
                assert!(fault.record_at.is_some_and(|at| at < next), "case {n}: {}", shown());
            }
        }
        match verdict {
            Ok(_) => sound += 1,
            Err(error) => {
                let kind = error.split_once("kind: ").map_or(error.as_str(), |(_, kind)| kind);
                kinds.insert(kind.split([' ', '(', '{']).next().unwrap_or_default().to_owned());
            }
        }
    }
    // What was to be tried was tried.
    assert!(sound > count / 50 && sound < count / 2, "{sound} of {count} were sound");
    assert!(kinds.len() > 10, "{kinds:?}");
}

/// Hashes as listpacks, whose inner bytes can be damaged while their lengths stay.
fn many_hashes() -> (Vec<u8>, Vec<usize>) {
    let mut records = vec![b"\xfe\x02".to_vec()];
    records.extend((0..40).map(|n| blob(16, &format!("key:{n:02}"), LISTPACK)));
    let mut places = vec![9 + 2];
    records[1..].iter().for_each(|record| places.push(places[places.len() - 1] + record.len()));
    (file(10, &records), places)
}

#[test]
fn damage_is_located_to_the_record_and_reading_goes_on_behind_it() {
    let (sound, places) = many_hashes();
    let at = places[20];
    // Within the value: its own lengths lead on.
    let mut bytes = sound.clone();
    bytes[at + 8 + 1] ^= 0x40;
    let found = judged(&summed(bytes), None).fault.expect("a fault");
    assert_eq!((found.record_at, found.db, found.key.as_deref()), (Some(at as u64), 2, Some(&b"key:20"[..])));
    let after = found.after.expect("a search");
    assert_eq!((after.resumes_at, after.by_its_lengths), (Some(places[21] as u64), true));
    assert_eq!((after.keys, after.damaged, after.reaches_end), (19, 0, true));
    // The length of the key: it leads astray, and the records behind are found by trying.
    let mut bytes = sound.clone();
    bytes[at + 1] = 0x3f;
    let judged_bytes = judged(&summed(bytes), None);
    assert_eq!(judged_bytes.tally.keys, 20);
    let after = judged_bytes.fault.and_then(|fault| fault.after).expect("a search");
    assert!(!after.by_its_lengths && after.reaches_end && (16..=19).contains(&after.keys), "{after:?}");
    // Two places, and an end that is missing.
    let mut bytes = sound.clone();
    bytes[at + 8 + 1] ^= 0x40;
    bytes[places[30] + 8 + 1] ^= 0x40;
    let after = judged(&bytes, None).fault.and_then(|fault| fault.after).expect("a search");
    assert_eq!((after.keys, after.damaged, after.reaches_end), (18, 1, true));
    bytes.truncate(places[38] + 3);
    let after = judged(&bytes, None).fault.and_then(|fault| fault.after).expect("a search");
    assert_eq!((after.keys, after.damaged, after.reaches_end), (16, 1, false));
    // A checksum alone is about no record.
    let mut bytes = sound;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let found = judged(&bytes, None);
    assert_eq!((found.tally.keys, found.fault.and_then(|fault| fault.record_at)), (40, None));
}

#[test]
fn a_key_twice_is_found_across_parts_and_named_with_its_record() {
    let mut records = vec![b"\xfe\x00".to_vec()];
    records.extend((0..3_000).map(|n| record(0, &format!("key:{n}"), b"\x01v")));
    records.push(b"\xfe\x01".to_vec());
    records.push(record(0, "key:17", b"\x01v"));
    records.push(record(0, "other", b"\x01v"));
    let sound = file(10, &records);
    assert!(judged(&sound, Some(Plan { threads: 3, part_bytes: 500 })).fault.is_none());
    records.push(record(0, "key:17", b"\x01w"));
    let bytes = file(10, &records);
    let at = bytes.len() - 9 - records[records.len() - 1].len();
    for plan in [None, Some(Plan { threads: 3, part_bytes: 500 })] {
        let judged = judged(&bytes, plan);
        assert_eq!(of_judge(&judged), of_loader(&bytes));
        let fault = judged.fault.expect("a fault");
        assert_eq!(
            (fault.record_at, fault.db, fault.key.as_deref()),
            (Some(at as u64), 1, Some(&b"key:17"[..]))
        );
    }
}
