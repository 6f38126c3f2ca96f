//! A piece length, then a snapshot. Checksums are overlooked, or nothing behind them would ever be reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::format::rdb::{FeedReader, RdbReader, ReadOptions, Record, dump};

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
                assert_eq!(again.encoding(), entry.value.encoding());
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
    if let Some(end) = end {
        assert_eq!(pieces.offset(), end);
    }
});
