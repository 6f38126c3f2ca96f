use super::*;
use crate::format::rdb::stream::tests::sample_stream;
use crate::format::rdb::writer::{GatheringWriter, Usage};
use crate::format::rdb::{Header, RdbReader, ReadOptions, Record};
use crate::value::stream::{Group, Pending, StreamId};
use crate::value::{Direction, Limits, Str, Stream};

fn large_stream() -> Value {
    let mut stream = Stream::new();
    let mut group = Group::new(StreamId::new(3_000, 0), None);
    for n in 1..3_000 {
        let id = StreamId::new(n, 0);
        stream.entries_mut().append(id, &[b"field", n.to_string().as_bytes()], &Limits::default()).unwrap();
        let (consumer, _) = group.consumer_or_new(if n % 3 == 0 { b"a" } else { b"b" }, 5);
        group.assign(id, Pending { delivered_ms: n as i64, deliveries: 1, consumer });
    }
    stream.create_group(b"", group);
    stream.create_group(b"other", Group::new(StreamId::MIN, Some(7)));
    Value::Stream(stream)
}

fn values() -> Vec<Value> {
    let limits = Limits::default();
    let (mut list, mut set, mut hash, mut timed, mut zset) =
        (List::new(), Set::new(), Hash::new(), Hash::new(), ZSet::new());
    let mut long_list = List::new();
    for n in 0..3_000 {
        let text = format!("member number {n:06}");
        list.push(Direction::Backward, text.as_bytes(), &limits);
        set.add(text.as_bytes(), &limits);
        hash.set(text.as_bytes(), b"17", &limits);
        timed.set(text.as_bytes(), b"value", &limits);
        if n % 7 == 3 {
            timed.set_time(text.as_bytes(), Some(1_700_000_000_000 - n));
        }
        zset.insert(text.as_bytes(), n as f64 / 3.0, &limits);
    }
    for n in 0..7 {
        long_list.push(Direction::Forward, &vec![b'a' + n; 100_000 * usize::from(n)], &limits);
        set.add(&vec![b'a' + n; 70_000], &limits);
    }
    let mut small = Set::new();
    small.add(b"12", &limits);
    let mut ends = ZSet::new();
    for n in 0..2 * MEMBERS_A_PIECE {
        ends.insert(format!("member {n}").as_bytes(), 1.0, &limits);
    }
    vec![
        Value::Str(Str::from_slice(&[b'x'; 3 * PIECE_BYTES])),
        Value::Str(Str::from_slice(b"short")),
        Value::Str(Str::Int(12)),
        Value::List(list),
        Value::List(long_list),
        Value::Set(set),
        Value::Set(small),
        Value::Hash(hash),
        Value::Hash(timed),
        Value::ZSet(zset),
        Value::ZSet(ends),
        sample_stream(),
        large_stream(),
        Value::Stream(Stream::new()),
    ]
}

fn writer() -> GatheringWriter {
    let mut rdb = GatheringWriter::gathering(true);
    let header = Header {
        redis_version: "7.0.15",
        ctime_s: 1,
        used_memory_bytes: 2,
        aof_base: false,
        field_times: true,
        replication: None,
        ours: &[],
    };
    let Ok(()) = rdb.header(&header);
    rdb
}

#[test]
fn pieces_add_up_to_the_same_bytes() {
    for value in values() {
        let (mut whole, mut pieced) = (writer(), writer());
        let Ok(()) = whole.entry(b"key", &value, Some(77), Usage::None);
        let Ok(()) = pieced.begin_entry(b"key", &value, Some(77));
        let mut pieces = Pieces::default();
        let (mut bytes, mut longest) = (pieced.take(), 0);
        while !pieced.piece(&mut pieces, &value).unwrap() {
            longest = longest.max(pieced.gathered_bytes());
            bytes.append(&mut pieced.take());
        }
        bytes.append(&mut pieced.take());
        assert!(bytes == whole.take(), "a {} {}", value.type_name(), value.encoding());
        assert!(longest <= 700_000, "{longest}");
        let (mut end, same) = (pieced.end(), whole.end());
        assert_eq!(end, same, "the checksums");
        bytes.append(&mut end);
        let mut reader = RdbReader::new(&bytes[..], ReadOptions::default());
        let mut keys = 0;
        while let Some(record) = reader.next_record().unwrap() {
            keys += usize::from(matches!(record, Record::Entry(_)));
        }
        assert_eq!(keys, 1);
    }
}

#[test]
fn large_values_come_in_many_pieces() {
    let expected = [3, 1, 1, 8, 7, 15, 1, 8, 16, 12, 2, 10, 30, 3];
    for (value, least) in values().iter().zip(expected) {
        let (mut rdb, mut pieces, mut count) = (writer(), Pieces::default(), 1);
        while !rdb.piece(&mut pieces, value).unwrap() {
            count += 1;
        }
        assert!(count >= least, "{count} pieces of a {} {}", value.type_name(), value.encoding());
    }
}
