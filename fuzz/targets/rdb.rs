//! A piece length, then a snapshot. Checksums are overlooked, or nothing behind them would ever be reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::format::rdb::cut::Cutter;
use outrigger::format::rdb::{FeedReader, RdbReader, ReadOptions, Record, dump};
use outrigger::value::{Hash, Value};

/// A listpack set is written member by member, as 7.0 reads no other form of it; one that holds integers only comes back as
/// an intset, as in 7.0.
fn assert_same(again: &Value, value: &Value) {
    if let (Value::Hash(again), Value::Hash(hash)) = (again, value) {
        let times = |hash: &Hash| {
            let mut all: Vec<_> =
                hash.iter_timed().map(|(f, v, time)| (f.to_vec(), v.to_vec(), time)).collect();
            all.sort();
            all
        };
        assert_eq!(times(again), times(hash));
        // One that could carry times and does not is written as one that cannot.
        let is_written_plain = hash.encoding() == "listpackex" && !hash.has_times();
        let encoding = if is_written_plain { "listpack" } else { hash.encoding() };
        return assert_eq!(again.encoding(), encoding);
    }
    let (Value::Set(again), Value::Set(set)) = (again, value) else {
        return assert_eq!(again.encoding(), value.encoding());
    };
    assert_eq!(again.len(), set.len());
    assert!(set.iter().all(|member| again.contains_element(member)));
    let is_packed_integers = set.encoding() == "listpack" && again.encoding() == "intset";
    assert!(is_packed_integers || again.encoding() == set.encoding());
}

/// The keys of a snapshot that is decoded in parts, and its length; `None` if anything is wrong with it.
fn in_parts(bytes: &[u8], about: usize, options: ReadOptions) -> Option<(Vec<Vec<u8>>, u64)> {
    let mut cutter = Cutter::new(bytes, &options).ok()?;
    let mut keys = Vec::new();
    while let Some(part) = cutter.next_part(about).ok()? {
        let mut reader = RdbReader::of_part(&bytes[part.bytes.clone()], &part, options);
        while let Some(record) = reader.next_record().ok()? {
            if let Record::Entry(entry) = record {
                keys.push(entry.key.to_vec());
            }
        }
    }
    Some((keys, cutter.end()?.bytes))
}

fuzz_target!(|data: &[u8]| {
    let Some((&piece, bytes)) = data.split_first() else { return };
    let options = ReadOptions { verify_checksum: false, ..ReadOptions::default() };
    let mut whole = RdbReader::new(bytes, options);
    let mut keys = Vec::new();
    let end = loop {
        match whole.next_record() {
            Ok(Some(Record::Entry(entry))) => {
                let again =
                    dump::decode(&dump::encode(&entry.value), &options).expect("what was written is read");
                assert_same(&again, &entry.value);
                keys.push(entry.key.to_vec());
            }
            Ok(Some(_)) => {}
            Ok(None) => break Some(whole.offset()),
            Err(_) => break None,
        }
    };
    let mut pieces = FeedReader::new(options);
    let mut fed = Vec::new();
    let mut rest = bytes.chunks(usize::from(piece).max(1)).peekable();
    loop {
        pieces.feed(rest.next().unwrap_or_default());
        let all = rest.peek().is_none();
        let failed = loop {
            match pieces.next_record(all) {
                Ok(Some(Record::Entry(entry))) => fed.push(entry.key.to_vec()),
                Ok(Some(_)) => {}
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        if failed || all {
            assert_eq!(failed, end.is_none());
            break;
        }
    }
    assert_eq!(fed, keys);
    let cut = in_parts(bytes, usize::from(piece), options);
    assert_eq!(cut, end.map(|end| (keys, end)));
    if let Some(end) = end {
        assert_eq!(pieces.offset(), end);
    }
});
