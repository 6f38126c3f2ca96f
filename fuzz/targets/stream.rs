//! A stream as it stands in an RDB file: its type (15, 19 or 21), then its content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::base::crc::crc64;
use outrigger::format::rdb::{ReadOptions, dump};
use outrigger::value::stream::{Entries, StreamId, Trim};
use outrigger::value::{Limits, Stream, Value};

fn decode(content: &[u8]) -> Option<Stream> {
    let mut payload = [content, &[11, 0]].concat();
    payload.extend(crc64(0, &payload).to_le_bytes());
    match dump::decode(&payload, &ReadOptions::default()) {
        Ok(Value::Stream(stream)) => Some(stream),
        _ => None,
    }
}

fn ids(entries: &Entries) -> Vec<StreamId> {
    let ids: Vec<StreamId> = entries.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
    let mut down: Vec<StreamId> =
        entries.range_down(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
    down.reverse();
    assert_eq!(ids, down);
    assert_eq!(ids.len() as u64, entries.len());
    ids
}

fuzz_target!(|content: &[u8]| {
    let Some(mut stream) = decode(content).filter(|_| matches!(content.first(), Some(15 | 19 | 21))) else {
        return;
    };
    let found = ids(stream.entries());
    for entry in stream.entries().range(StreamId::MIN, StreamId::MAX) {
        assert_eq!(entry.fields().count(), entry.len());
    }
    let written = dump::encode(&Value::Stream(stream.clone()));
    let again = decode(&written[..written.len() - 10]).expect("what was written is read");
    assert_eq!(ids(again.entries()), found);
    assert_eq!(dump::encode(&Value::Stream(again)), written);
    for (_, group) in stream.groups() {
        let owned: usize = group.consumers().map(|consumer| consumer.pending().len()).sum();
        assert_eq!(owned, group.pending().len());
        stream.lag(group);
    }
    let entries = stream.entries_mut();
    if let Some(id) = entries.last_id.next() {
        entries.append(id, &[b"f", b"v"], &Limits::default()).expect("an id above the last");
        assert_eq!(ids(entries).len(), found.len() + 1);
    }
    // Ids may come in any order, and even twice, in what a file says; each is to be deleted once.
    if found.windows(2).all(|pair| pair[0] < pair[1]) && found.last().is_none_or(|id| *id <= entries.last_id)
    {
        for id in found.iter().step_by(2) {
            if entries.get(*id).is_some() {
                assert!(entries.delete(*id));
            }
        }
    }
    let len = ids(entries).len() as u64;
    entries.trim(Trim::MaxLen(len / 2), false, 0);
    assert_eq!(ids(entries).len() as u64, len / 2);
    entries.trim(Trim::MinId(StreamId::MAX), true, 3);
    ids(entries);
});
