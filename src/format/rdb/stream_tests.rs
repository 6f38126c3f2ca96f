use crate::base::crc::crc64;
use crate::format::rdb::dump::{self, DumpError};
use crate::format::rdb::{RdbErrorKind, ReadOptions};
use crate::value::stream::{Group, Pending, StreamError, StreamId};
use crate::value::{Limits, Stream, Value};

/// DUMP, of Redis 7.0.15: two nodes of two entries, one deleted; a group of two consumers that have an entry each; a group
/// of one that has none.
const STOCK: &str = "\
    130210000000000000000100000000000000013b3b0000001200020100010201846e616d6505836167650400010201000100\
    0185616c696365061e01050102010001010183626f62048178020501ff10000000000000000500000000000000002f2f0000\
    000f000101010101018166020001030100010001010104010201c127020701f4351cdcdf02000000090401ff03412c070101\
    05000402c04d412c0781ffffffffffffffff0001c063cd793f12a20100000001670102020200000000000000010000000000\
    0000010068e5cf8b01000002000000000000000100000000000000020068e5cf8b010000412c02026331ba793f12a2010000\
    0100000000000000010000000000000001026332ae793f12a201000001000000000000000100000000000000020a0044740a\
    5b2dc2ca73";

fn stock() -> Vec<u8> {
    let digits: Vec<u8> = STOCK.bytes().filter_map(|b| char::from(b).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Everything that a stream holds and knows, a line each.
pub(in crate::format::rdb) fn stream_contents(stream: &Stream) -> Vec<Vec<u8>> {
    let entries = stream.entries();
    let mut lines = vec![format!(
        "{} {} {} {} {} {}",
        entries.len(),
        entries.node_count(),
        entries.last_id,
        entries.first_id,
        entries.max_deleted_id,
        entries.added
    )];
    for entry in entries.range(StreamId::MIN, StreamId::MAX) {
        lines.push(format!("{} {:?}", entry.id, entry.fields().collect::<Vec<_>>()));
    }
    for (name, group) in stream.groups() {
        lines.push(format!("{} {} {:?}", name.escape_ascii(), group.last_id, group.entries_read));
        for (id, pending) in group.pending() {
            let name = group.consumer(pending.consumer).name().escape_ascii();
            lines.push(format!("{id} {} {} {name}", pending.delivered_ms, pending.deliveries));
        }
        for consumer in group.consumers() {
            let name = consumer.name().escape_ascii();
            // The types that are written have no room for when it was active.
            lines.push(format!("{name} {} {:?}", consumer.seen_ms, consumer.pending()));
        }
    }
    lines.into_iter().map(String::into_bytes).collect()
}

/// Three nodes, a deleted entry, two groups, one of which has three consumers.
pub(in crate::format::rdb) fn sample_stream() -> Value {
    let limits = Limits { stream_node_max_entries: 4, ..Limits::default() };
    let mut stream = Stream::new();
    let id = |n: u64| StreamId::new(1_700_000_000_000 + n * n, n % 3);
    for n in 0..10 {
        let value = "value ".repeat(n as usize);
        let pairs: [&[u8]; 4] = [b"name", value.as_bytes(), if n < 6 { b"12" } else { b"other" }, b"-70000"];
        stream.entries_mut().append(id(n), &pairs, &limits).unwrap();
    }
    stream.entries_mut().delete(id(3));
    let mut group = Group::new(id(7), Some(8));
    for (n, name) in [(0, "alice"), (1, "bob"), (5, "alice"), (7, "12")] {
        let (consumer, _) = group.consumer_or_new(name.as_bytes(), 1_700_000_001_000 + n as i64);
        group.assign(id(n), Pending { delivered_ms: 1_700_000_000_500, deliveries: n * 1000, consumer });
    }
    group.create_consumer(b"idle", 5);
    stream.create_group(b"readers", group);
    stream.create_group(b"-12", Group::new(StreamId::MIN, None));
    Value::Stream(stream)
}

/// A payload of type `kind` with this content, in pieces.
fn payload(kind: u8, content: &[&[u8]]) -> Vec<u8> {
    let mut bytes = [&[kind], content.concat().as_slice(), &[10, 0]].concat();
    bytes.extend(crc64(0, &bytes).to_le_bytes());
    bytes
}

fn decoded(kind: u8, content: &[&[u8]]) -> Result<Vec<String>, RdbErrorKind> {
    match dump::decode(&payload(kind, content), &ReadOptions::default()) {
        Ok(Value::Stream(stream)) => {
            Ok(stream_contents(&stream).into_iter().map(|line| String::from_utf8(line).unwrap()).collect())
        }
        Ok(other) => panic!("{other:?}"),
        Err(DumpError::Content(error)) => Err(error.kind),
        Err(error) => panic!("{error}"),
    }
}

/// A node `1-0` with two entries, `1-0` and `3-0`.
const NODE: &[u8] =
    b"\x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\x26\x26\0\0\0\x0f\0\x02\x01\0\x01\x01\x01\x81f\x02\0\x01\
    \x02\x01\0\x01\0\x01\x01\x01\x04\x01\x02\x01\x02\x01\0\x01\x02\x01\x04\x01\xff";
const ID_1: &[u8] = b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0";
const ID_3: &[u8] = b"\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0";
const TIME: &[u8] = b"\x05\0\0\0\0\0\0\0";
/// Length 2, last id 3-0, first id 1-0, no deleted id, 2 added.
const FACTS: &[u8] = b"\x02\x03\0\x01\0\0\0\x02";

#[test]
fn the_stream_of_a_stock_server_is_read_and_written() {
    let value = dump::decode(&stock(), &ReadOptions::default()).unwrap();
    assert_eq!(dump::encode(&value), stock());
    let Value::Stream(stream) = value else { panic!("{value:?}") };
    let lines: Vec<String> =
        stream_contents(&stream).into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
    let expected = [
        "3 2 300-7 1-1 5-0 4",
        r#"1-1 [("name", "alice"), ("age", 30)]"#,
        r#"1-2 [("name", "bob"), ("age", "x")]"#,
        r#"300-7 [("f", 12345678901)]"#,
        "77 300-7 None",
        "99 1795602479565 {}",
        "g 1-2 Some(2)",
        "1-1 1700000000000 2 c1",
        "1-2 1700000000000 300 c2",
        "c1 1795602479546 {StreamId { ms: 1, seq: 1 }}",
        "c2 1795602479534 {StreamId { ms: 1, seq: 2 }}",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn streams_of_older_and_newer_servers_are_read() {
    let group = b"\x01\x01g\x03\0";
    let pending = [b"\x01", ID_1, TIME, b"\x07\x01\x01c", TIME].concat();
    let owned = [b"\x01", ID_1].concat();
    let expected = [
        "2 1 3-0 1-0 0-0 2",
        r#"1-0 [("f", 1)]"#,
        r#"3-0 [("f", 2)]"#,
        "g 3-0 Some(2)",
        "1-0 5 7 c",
        "c 5 {StreamId { ms: 1, seq: 0 }}",
    ];
    let old = decoded(15, &[b"\x01", NODE, b"\x02\x03\0", group, &pending, &owned]);
    assert_eq!(old.unwrap(), expected);
    let present = decoded(19, &[b"\x01", NODE, FACTS, group, b"\x02", &pending, &owned]);
    assert_eq!(present.unwrap(), expected);
    let new = decoded(21, &[b"\x01", NODE, FACTS, group, b"\x02", &pending, TIME, &owned]);
    assert_eq!(new.unwrap(), expected);
}

#[test]
fn when_consumers_were_active_is_read_where_it_is_told() {
    let consumer = [b"\x01g\x03\0\x02\0\x01\x01c", TIME].concat();
    let active_ms = |kind: u8, active: &[u8]| {
        let bytes = payload(kind, &[b"\x01", NODE, FACTS, b"\x01", &consumer, active, b"\0"]);
        let Ok(Value::Stream(stream)) = dump::decode(&bytes, &ReadOptions::default()) else {
            panic!("{bytes:?}")
        };
        let group = stream.group(b"g").unwrap();
        group.consumers().map(|consumer| (consumer.seen_ms, consumer.active_ms)).collect::<Vec<_>>()
    };
    assert_eq!(active_ms(19, b""), [(5, Some(5))]);
    assert_eq!(active_ms(21, b"\x03\0\0\0\0\0\0\0"), [(5, Some(3))]);
    assert_eq!(active_ms(21, &[0xff; 8]), [(5, None)]);
}

#[test]
fn streams_that_disagree_with_themselves_are_refused() {
    let refused = |content: &[&[u8]]| match decoded(19, content) {
        Err(RdbErrorKind::Stream(error)) => error,
        other => panic!("{other:?}"),
    };
    let node = &[b"\x01", NODE].concat();
    assert_eq!(refused(&[b"\x01\x03abc"]), StreamError::NodeId);
    assert_eq!(refused(&[b"\x02", NODE, NODE]), StreamError::NodeTwice);
    assert_eq!(refused(&[node, b"\x03\x03\0"]), StreamError::Length);
    let mut flagged = node.clone();
    flagged[36] = 3;
    assert!(matches!(refused(&[&flagged]), StreamError::Node(_)));
    let group = b"\x01g\x03\0\x02";
    let with = |rest: &[&[u8]]| refused(&[node, FACTS, b"\x02", group, &rest.concat()]);
    let pending = &[ID_1, TIME, b"\x01"].concat();
    let consumer = &[b"\x01c", TIME].concat();
    assert_eq!(with(&[b"\0\0", group, b"\0\0"]), StreamError::GroupTwice);
    assert_eq!(with(&[b"\x02", pending, pending]), StreamError::PendingTwice);
    assert_eq!(with(&[b"\0\x02", consumer, b"\0", consumer]), StreamError::ConsumerTwice);
    assert_eq!(with(&[b"\x01", pending, b"\x01", consumer, b"\x01", ID_3]), StreamError::NotPending);
    assert_eq!(with(&[b"\x01", pending, b"\x01", consumer, b"\x02", ID_1, ID_1]), StreamError::NotPending);
    assert_eq!(with(&[b"\x01", pending, b"\0"]), StreamError::NoConsumer);
}

#[test]
fn every_cut_of_a_stream_is_noticed() {
    let bytes = stock();
    let content = &bytes[..bytes.len() - 10];
    for cut in 1..content.len() {
        assert!(decoded(19, &[&content[1..cut]]).is_err(), "cut at {cut}");
    }
    assert!(decoded(19, &[&content[1..]]).is_ok());
}
