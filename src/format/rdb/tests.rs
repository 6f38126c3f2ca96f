use std::convert::Infallible;
use std::io::{BufReader, Read};

use super::stream::tests::{sample_stream, stream_contents};
use super::writer::{ReplicationPoint, Usage};
use super::*;
use crate::base::crc::crc64;
use crate::value::zset::ZSetBuilder;
use crate::value::{Direction, Element, Hash, Limits, List, Listpack, Set, Str, Stream, Value};
use proptest::prelude::*;

mod field_times;

const ID: &str = "0123456789abcdef0123456789abcdef01234567";

/// What a value holds, in an order that does not depend on its encoding.
fn contents(value: &Value) -> Vec<Vec<u8>> {
    let text = |element: Element<'_>| element.to_vec();
    let mut all: Vec<Vec<u8>> = match value {
        Value::Str(string) => return vec![text(string.element())],
        Value::List(list) => return list.iter().map(text).collect(),
        Value::Set(set) => set.iter().map(text).collect(),
        Value::Hash(hash) => {
            let until = |time: Option<i64>| time.map_or(Vec::new(), |at| format!(" until {at}").into_bytes());
            let all = hash.iter_timed();
            all.map(|(field, value, time)| [&text(field)[..], b" = ", &text(value), &until(time)].concat())
                .collect()
        }
        Value::ZSet(zset) => zset
            .iter()
            .map(|(member, score)| [text(member), format!(" at {score}").into_bytes()].concat())
            .collect(),
        Value::Stream(stream) => return stream_contents(stream),
    };
    all.sort();
    all
}

type Read1 = (u32, Vec<u8>, &'static str, Vec<Vec<u8>>, Option<i64>, Option<u64>, Option<u8>);

fn owned(entry: &Entry<'_>) -> Read1 {
    let contents = contents(&entry.value);
    (
        entry.db,
        entry.key.to_vec(),
        entry.value.encoding(),
        contents,
        entry.expire_at_ms,
        entry.idle_s,
        entry.lfu,
    )
}

fn read_all<R: std::io::BufRead>(source: R) -> Result<Vec<Read1>, RdbError> {
    let mut reader = RdbReader::new(source, ReadOptions::default());
    let mut entries = Vec::new();
    while let Some(record) = reader.next_record()? {
        if let Record::Entry(entry) = record {
            entries.push(owned(&entry));
        }
    }
    let offset = reader.offset();
    match reader.into_source().fill_buf().map_or(0, <[u8]>::len) as u64 {
        0 => Ok(entries),
        // A version without checksum leaves that of another behind, say.
        behind => Err(RdbError::new(offset, RdbErrorKind::TrailingBytes(behind))),
    }
}

fn feed_all(bytes: &[u8], piece: usize) -> Result<Vec<Read1>, RdbError> {
    let mut reader = FeedReader::new(ReadOptions::default());
    let mut entries = Vec::new();
    let mut pieces = bytes.chunks(piece).peekable();
    while let Some(bytes) = pieces.next() {
        reader.feed(bytes);
        while let Some(record) = reader.next_record(pieces.peek().is_none())? {
            if let Record::Entry(entry) = record {
                entries.push(owned(&entry));
            }
        }
    }
    Ok(entries)
}

/// A snapshot of version `version` with these bytes as its records.
fn file(version: u16, records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("REDIS{version:04}").into_bytes();
    bytes.extend(records.concat());
    bytes.push(opcode::EOF);
    if version >= 5 {
        bytes.extend(crc64(0, &bytes).to_le_bytes());
    }
    bytes
}

/// The only entry of a snapshot of this record. That it can be cut is seen beside.
fn one(version: u16, record: &[u8]) -> Result<Read1, RdbError> {
    let bytes = file(version, &[record]);
    let read = read_all(&bytes[..]);
    let parts = super::cut::tests::in_parts(&bytes, 1);
    assert_eq!(read.is_ok(), parts.is_ok_and(|(_, end)| end.is_some()), "{read:?}");
    read.map(|mut entries| entries.remove(0))
}

fn lines(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

pub(super) fn samples() -> Vec<(&'static str, Value)> {
    let limits = Limits::default();
    let list = |elements: &[&[u8]]| {
        let mut list = List::new();
        list.push_all(Direction::Backward, elements.iter().copied(), &limits);
        Value::List(list)
    };
    let set = |members: &[&[u8]]| {
        let mut set = Set::new();
        members.iter().for_each(|member| {
            set.add(member, &limits);
        });
        Value::Set(set)
    };
    let hash = |pairs: &[(&[u8], &[u8])]| {
        let mut hash = Hash::new();
        pairs.iter().for_each(|(field, value)| {
            hash.set(field, value, &limits);
        });
        Value::Hash(hash)
    };
    let zset = |pairs: &[(&[u8], f64)]| {
        let mut builder = ZSetBuilder::new();
        pairs.iter().for_each(|(member, score)| builder.push(member, *score).unwrap());
        Value::ZSet(builder.finish(&limits).unwrap())
    };
    let many: Vec<Vec<u8>> = (0..1000).map(|n| format!("element number {n}").into_bytes()).collect();
    let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    let pairs: Vec<(&[u8], &[u8])> = many.iter().map(|member| (*member, *member)).collect();
    let scored: Vec<(&[u8], f64)> =
        many.iter().enumerate().map(|(n, member)| (*member, n as f64 / 3.0)).collect();
    let long = vec![b'x'; 10_000];
    vec![
        ("empty", Value::Str(Str::from_slice(b""))),
        ("int8", Value::Str(Str::Int(-128))),
        ("int16", Value::Str(Str::Int(32767))),
        ("int32", Value::Str(Str::Int(i32::MIN.into()))),
        ("int64", Value::Str(Str::Int(i64::MIN))),
        ("not an int", Value::Str(Str::from_slice(b"007"))),
        ("raw", Value::Str(Str::from_slice(&(0..=255).collect::<Vec<u8>>()))),
        ("compressible", Value::Str(Str::from_slice(&long))),
        ("long", Value::Str(Str::from_slice(&many.concat().repeat(10)))),
        ("list", list(&[b"a", b"12", b"-70000", b"", b"12345678901"])),
        ("quicklist", list(&many)),
        ("plain node", list(&[b"before", &long, b"after"])),
        ("intset", set(&[b"3", b"-5", b"70000", b"5000000000"])),
        ("listpack set", set(&[b"3", b"three"])),
        ("table set", set(&many)),
        ("long member", set(&[&long, b"1"])),
        ("hash", hash(&[(b"f", b"v"), (b"1", b"2"), (b"empty", b"")])),
        ("table hash", hash(&pairs)),
        ("long value", hash(&[(b"f", &long)])),
        ("timed hash", field_times::timed(hash(&[(b"f", b"v"), (b"1", b"2"), (b"g", b"")]))),
        ("timed table hash", field_times::timed(hash(&pairs))),
        ("zset", zset(&[(b"a", 1.5), (b"7", -0.1), (b"inf", f64::INFINITY), (b"-inf", f64::NEG_INFINITY)])),
        ("table zset", zset(&scored)),
        ("stream", sample_stream()),
        ("empty stream", Value::Stream(Stream::new())),
    ]
}

pub(super) fn write(options: WriteOptions, entries: &[(&str, Value)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = RdbWriter::new(options, |chunk: &[u8]| -> Result<(), Infallible> {
        bytes.extend_from_slice(chunk);
        Ok(())
    });
    let header = Header {
        redis_version: "7.2.4",
        ctime_s: 1_700_000_000,
        used_memory_bytes: 123_456,
        aof_base: true,
        field_times: entries.iter().any(|(_, value)| matches!(value, Value::Hash(hash) if hash.has_times())),
        replication: Some(ReplicationPoint { lineage: ID.parse().unwrap(), offset: 987, stream_db: -1 }),
        ours: &[("generation", "7")],
    };
    let Ok(()) = writer.header(&header);
    let Ok(()) = writer.select_db(3, entries.len() as u64, 1);
    for (n, (key, value)) in entries.iter().enumerate() {
        let usage = [Usage::None, Usage::IdleS(70_000), Usage::Lfu(9)][n % 3];
        let Ok(()) = writer.entry(key.as_bytes(), value, (n % 2 == 1).then_some(1_800_000_000_000), usage);
    }
    let Ok((crc, len)) = writer.finish();
    assert_eq!(len, bytes.len() as u64);
    assert_eq!(bytes[bytes.len() - 8..], crc.to_le_bytes());
    bytes
}

#[test]
fn hashes_that_share_their_names_are_written_like_others() {
    let limits = Limits::default();
    let pairs: [(&[u8], &[u8]); 4] =
        [(b"shared in rdb", b"v"), (b"12", b"-5000"), (b"", b""), (b"text", b"007")];
    let build = || {
        let mut hash = Hash::new();
        pairs.iter().for_each(|(field, value)| assert!(hash.set(field, value, &limits)));
        Value::Hash(hash)
    };
    let first = build();
    (0..2000).for_each(|_| drop(build()));
    let shared = build();
    assert!(shared.memory_bytes(0) < first.memory_bytes(0) - 20, "the names lie elsewhere");
    let elements = pairs.iter().flat_map(|(field, value)| [Element::parse(field), Element::parse(value)]);
    let listpack = Listpack::from_elements(elements);
    let payload = dump::encode(&shared);
    assert_eq!(payload, dump::encode(&first));
    assert_eq!(payload[..2], [value_type::HASH_LISTPACK, listpack.byte_len() as u8]);
    assert_eq!(&payload[2..payload.len() - 10], listpack.as_bytes());
    let files = [&first, &shared].map(|value| {
        let options = WriteOptions { compress: true, checksum: true };
        write(options, &[("hash", value.clone())])
    });
    assert_eq!(files[0], files[1]);
    assert_eq!(read_all(&files[1][..]).unwrap()[0].3, contents(&shared));
    let read = dump::decode(&payload, &ReadOptions::default()).unwrap();
    assert_eq!((read.memory_bytes(0), dump::encode(&read)), (shared.memory_bytes(0), payload));
}

#[test]
fn every_value_round_trips() {
    for compress in [false, true] {
        for checksum in [false, true] {
            let samples = samples();
            let bytes = write(WriteOptions { compress, checksum }, &samples);
            let entries = read_all(&bytes[..]).unwrap();
            assert_eq!(entries.len(), samples.len());
            for (n, (entry, (key, value))) in entries.iter().zip(&samples).enumerate() {
                let expire = (n % 2 == 1).then_some(1_800_000_000_000);
                assert_eq!(
                    (entry.0, &entry.1[..], entry.2, entry.4),
                    (3, key.as_bytes(), value.encoding(), expire)
                );
                assert_eq!(entry.3, contents(value), "{key}");
                assert_eq!((entry.5, entry.6), ((n % 3 == 1).then_some(70_000), (n % 3 == 2).then_some(9)));
            }
            for piece in [1, 7, 64, 5000] {
                assert_eq!(feed_all(&bytes, piece).unwrap(), entries, "pieces of {piece}");
            }
            assert_eq!(read_all(BufReader::with_capacity(11, &bytes[..])).unwrap(), entries);
        }
    }
}

#[test]
fn the_header_is_what_stock_servers_write() {
    let bytes = write(WriteOptions::default(), &[]);
    assert!(
        bytes.starts_with(b"REDIS0010\xfa\x09redis-ver\x057.2.4\xfa\x0aredis-bits\xc0\x40\xfa\x05ctime\xc2")
    );
    let mut reader = RdbReader::new(&bytes[..], ReadOptions::default());
    let mut facts = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        match record {
            Record::Aux { key, value } => facts.push([key, b"=", value].concat()),
            Record::SelectDb(db) => assert_eq!(db, 3),
            Record::ResizeDb { keys, expires } => assert_eq!((keys, expires), (0, 1)),
            Record::End { checksum } => assert_eq!(checksum, Some(crc64(0, &bytes[..bytes.len() - 8]))),
            other => panic!("{other:?}"),
        }
    }
    let id = format!("repl-id={ID}");
    let expected = [
        "redis-ver=7.2.4",
        "redis-bits=64",
        "ctime=1700000000",
        "used-mem=123456",
        "repl-stream-db=-1",
        &id,
        "repl-offset=987",
        "aof-base=1",
        "outrigger-generation=7",
    ];
    assert_eq!(facts, lines(&expected));
    assert_eq!((reader.version(), reader.offset()), (10, bytes.len() as u64));
    assert!(reader.next_record().unwrap().is_none());
}

#[test]
fn set_listpacks_are_not_written_for_servers_that_do_not_know_them() {
    let samples = samples();
    let (_, value) = samples.iter().find(|(key, _)| *key == "listpack set").unwrap();
    assert_eq!(value.encoding(), "listpack");
    assert_eq!(dump::encode(value)[0], value_type::SET);
}

#[test]
fn lengths_take_their_four_forms() {
    for (len, form) in [(63usize, 1), (64, 2), (16_383, 2), (16_384, 5), (100_000, 5)] {
        let options = WriteOptions { compress: false, checksum: false };
        let samples = [("k", Value::Str(Str::from_slice(&vec![b'x'; len])))];
        let bytes = write(options, &samples);
        let shorter = write(options, &[("k", Value::Str(Str::from_slice(b"")))]);
        assert_eq!(bytes.len() - shorter.len(), len + form - 1, "{len}");
        assert_eq!(read_all(&bytes[..]).unwrap()[0].3[0].len(), len);
    }
    // 64 bits, big endian, where fewer would do.
    assert_eq!(one(9, b"\x00\x01k\x81\0\0\0\0\0\0\0\x02ab").unwrap().3, lines(&["ab"]));
    assert_eq!(one(9, b"\x00\x01k\x80\0\0\0\x02ab").unwrap().3, lines(&["ab"]));
    assert_eq!(one(9, b"\x00\x01k\x40\x02ab").unwrap().3, lines(&["ab"]));
}

#[test]
fn reads_strings_and_expiries_of_all_kinds() {
    let text = |record: &[u8]| String::from_utf8(one(3, record).unwrap().3.remove(0)).unwrap();
    assert_eq!(text(b"\x00\x01k\xc0\x80"), "-128");
    assert_eq!(text(b"\x00\x01k\xc1\xe8\x03"), "1000");
    assert_eq!(text(b"\x00\x01k\xc2\x00\x00\x00\x80"), "-2147483648");
    // Compressed: 4 bytes that make "xxxxxxxxxx".
    assert_eq!(text(b"\x00\x01k\xc3\x05\x0a\x00x\xe0\x00\x00"), "xxxxxxxxxx");
    // The key may be encoded too.
    assert_eq!(one(3, b"\x00\xc0\x07\x01v").unwrap().1, b"7");
    assert_eq!(one(3, b"\xfd\xff\xff\xff\x7f\x00\x01k\x01v").unwrap().4, Some(2_147_483_647_000));
    assert_eq!(one(3, b"\xfc\x01\0\0\0\0\0\0\0\xf8\x05\x00\x01k\x01v").unwrap().4, Some(1));
}

#[test]
fn reads_plain_collections() {
    let entry = one(1, b"\x01\x01l\x03\x01a\xc0\x05\x01a").unwrap();
    assert_eq!((entry.2, entry.3), ("listpack", lines(&["a", "5", "a"])));
    let entry = one(1, b"\x02\x01s\x02\x01a\xc0\x05").unwrap();
    assert_eq!((entry.2, entry.3), ("listpack", lines(&["5", "a"])));
    let entry = one(1, b"\x02\x01s\x02\xc0\x07\xc0\x05").unwrap();
    assert_eq!((entry.2, entry.3), ("intset", lines(&["5", "7"])));
    let entry = one(1, b"\x04\x01h\x02\x01f\x01v\xc0\x05\x00").unwrap();
    assert_eq!((entry.2, entry.3), ("listpack", lines(&["5 = ", "f = v"])));
    let entry = one(1, b"\x03\x01z\x03\x01a\x041e-1\x01b\xfe\x01c\xff").unwrap();
    assert_eq!((entry.2, entry.3), ("listpack", lines(&["a at 0.1", "b at inf", "c at -inf"])));
    let entry = one(8, b"\x05\x01z\x02\x01b\0\0\0\0\0\0\xf8\x3f\x01a\0\0\0\0\0\0\xf0\xbf").unwrap();
    assert_eq!((entry.2, entry.3), ("listpack", lines(&["a at -1", "b at 1.5"])));
}

/// "a" and 1000, as a ziplist.
const ZIPLIST: &[u8] = b"\x12\0\0\0\x0d\0\0\0\x02\0\x00\x01a\x03\xc0\xe8\x03\xff";

#[test]
fn reads_the_packed_encodings_of_old_servers() {
    let packed = |kind: u8, blob: &[u8]| [&[kind, 1, b'k', blob.len() as u8], blob].concat();
    let zipmap = b"\x01\x01f\x01\x00v\xff";
    assert_eq!(one(3, &packed(value_type::HASH_ZIPMAP, zipmap)).unwrap().3, lines(&["f = v"]));
    assert_eq!(one(3, &packed(value_type::LIST_ZIPLIST, ZIPLIST)).unwrap().3, lines(&["a", "1000"]));
    assert_eq!(one(6, &packed(value_type::HASH_ZIPLIST, ZIPLIST)).unwrap().3, lines(&["a = 1000"]));
    assert_eq!(one(6, &packed(value_type::ZSET_ZIPLIST, ZIPLIST)).unwrap().3, lines(&["a at 1000"]));
    let intset = b"\x02\0\0\0\x02\0\0\0\xff\xff\x05\x00";
    let entry = one(6, &packed(value_type::SET_INTSET, intset)).unwrap();
    assert_eq!((entry.2, entry.3), ("intset", lines(&["-1", "5"])));
    let quicklist = [&[14, 1, b'k', 2, 0x12], ZIPLIST, &[0x12], ZIPLIST].concat();
    assert_eq!(one(7, &quicklist).unwrap().3, lines(&["a", "1000", "a", "1000"]));
}

#[test]
fn reads_the_packed_encodings_of_new_servers() {
    // "a" and 5 as a listpack: total, count, entries, end.
    let listpack = b"\x0c\0\0\0\x02\0\x81a\x02\x05\x01\xff";
    assert_eq!(Listpack::from_bytes(listpack).unwrap().len(), 2);
    let packed = |kind: u8| [&[kind, 1, b'k', 0x0c], &listpack[..]].concat();
    assert_eq!(one(11, &packed(value_type::HASH_LISTPACK)).unwrap().3, lines(&["a = 5"]));
    assert_eq!(one(11, &packed(value_type::ZSET_LISTPACK)).unwrap().3, lines(&["a at 5"]));
    let entry = one(11, &packed(value_type::SET_LISTPACK)).unwrap();
    assert_eq!((entry.2, entry.3), ("listpack", lines(&["5", "a"])));
    let quicklist = [&[18, 1, b'k', 2, 2, 0x0c], &listpack[..], &[1, 3], b"big"].concat();
    assert_eq!(one(11, &quicklist).unwrap().3, lines(&["a", "5", "big"]));
}

#[test]
fn empty_collections_are_left_out_and_counted() {
    let bytes = file(9, &[b"\x01\x01l\x00", b"\xfc\x01\0\0\0\0\0\0\0\x02\x01s\x00", b"\x00\x01k\x01v"]);
    let mut reader = RdbReader::new(&bytes[..], ReadOptions::default());
    let Some(Record::Entry(entry)) = reader.next_record().unwrap() else { panic!() };
    assert_eq!((entry.key, entry.expire_at_ms), (b"k".as_slice(), None));
    assert!(matches!(reader.next_record(), Ok(Some(Record::End { .. }))));
    assert_eq!(reader.skipped_empty(), 2);
    assert_eq!(feed_all(&bytes, 1).unwrap().len(), 1);
}

#[test]
fn functions_and_slots_are_read_and_skipped() {
    let bytes = file(11, &[b"\xf5\x08#!lua xx", b"\xf4\x01\x02\x03", b"\x00\x01k\x01v"]);
    let mut reader = RdbReader::new(&bytes[..], ReadOptions::default());
    assert!(matches!(reader.next_record(), Ok(Some(Record::FunctionCode(b"#!lua xx")))));
    assert!(matches!(reader.next_record(), Ok(Some(Record::Entry(_)))));
}

fn kind_of(version: u16, record: &[u8]) -> RdbErrorKind {
    one(version, record).expect_err("refused").kind
}

#[test]
fn refuses_what_it_cannot_read_and_says_where() {
    use RdbErrorKind as K;
    assert!(matches!(read_all(&b"RDBIS0009\xff"[..]).unwrap_err().kind, K::NotRdb));
    assert!(matches!(read_all(&b"REDIS00x9\xff"[..]).unwrap_err().kind, K::NotRdb));
    for version in [0, 13, 80] {
        let error = read_all(&file(version, &[])[..]).unwrap_err();
        assert!(matches!(error.kind, K::Version(v) if v == u32::from(version)));
    }
    for kind in [6, 7] {
        let error = one(11, &[kind, 1, b'k']).unwrap_err();
        assert!(matches!(error.kind, K::Unsupported(_)), "{error}");
        assert_eq!((error.offset, error.key.as_deref()), (12, Some(b"k".as_slice())));
    }
    assert!(matches!(kind_of(11, b"\xf7\x01"), K::Unsupported(_)));
    assert!(matches!(kind_of(11, b"\xf6\x01"), K::Unsupported(_)));
    assert!(matches!(kind_of(11, b"\x08\x01k"), K::UnknownType(8)));
    assert!(matches!(kind_of(11, b"\x63\x01k"), K::UnknownType(0x63)));
    assert!(matches!(kind_of(11, b"\x00\x01k\xc4"), K::StringEncoding(4)));
    assert!(matches!(kind_of(11, b"\x00\x01k\x82"), K::LengthForm(0x82)));
    assert!(matches!(kind_of(11, b"\x01\x01k\xc0"), K::NotALength));
    assert!(matches!(kind_of(11, b"\x02\x01k\x02\x01a\x01a"), K::Duplicate));
    assert!(matches!(kind_of(11, b"\x04\x01k\x02\x01a\x01a\x01a\x01b"), K::Duplicate));
    assert!(matches!(kind_of(11, b"\x09\x01k\x0c\x02\x01f\x01\x00v\x01f\x01\x00v\xff"), K::Duplicate));
    assert!(matches!(kind_of(11, b"\x03\x01k\x01\x01a\xfd"), K::BadScore));
    assert!(matches!(kind_of(11, b"\x03\x01k\x01\x01a\x01x"), K::BadScore));
    assert!(matches!(kind_of(11, b"\x05\x01k\x01\x01a\0\0\0\0\0\0\xf8\x7f"), K::ZSet(_)));
    assert!(matches!(kind_of(11, b"\x03\x01k\x02\x01a\x011\x01a\x012"), K::ZSet(_)));
    assert!(matches!(kind_of(11, b"\x12\x01k\x01\x03\x00"), K::NodeContainer(3)));
    assert!(matches!(kind_of(11, b"\xfc\0\0\0\0\0\0\0\0\xfe\x00"), K::DanglingAttribute));
    assert!(matches!(kind_of(11, b"\x10\x01k\x07\x07\0\0\0\0\0\xfe"), K::Listpack(_)));
    assert!(matches!(kind_of(11, b"\x0b\x01k\xc0\x05"), K::Intset(_)));
    assert!(matches!(kind_of(11, b"\x0d\x01k\x01\x00"), K::Ziplist(_)));
    assert!(matches!(kind_of(11, b"\x09\x01k\x01\x00"), K::Zipmap(_)));
    assert!(matches!(kind_of(11, b"\x00\x01k\xc3\x02\x0a\x00x"), K::Lzf(_)));
    let shown = one(11, b"\x02\x02k\n\x02\x01a\x01a").unwrap_err().to_string();
    assert_eq!(shown, "the same member or field twice, at byte 18, in the key \"k\\n\"");
}

#[test]
fn announced_lengths_take_no_memory() {
    // A string of 2^62 bytes is over the limit; one of 2^32 - 1 is not, but its bytes are not there.
    assert!(matches!(kind_of(9, b"\x00\x01k\x81\x40\0\0\0\0\0\0\0x"), RdbErrorKind::TooLong(_)));
    assert!(matches!(kind_of(9, b"\x00\x01k\x80\xff\xff\xff\xffx"), RdbErrorKind::Truncated { .. }));
    assert!(matches!(kind_of(9, b"\x00\x01k\xc3\x02\x80\xff\xff\xff\xff\x00x"), RdbErrorKind::Lzf(_)));
    for kind in [1, 2, 3, 4, 5, 14, 15, 18, 19, 21, 22, 24] {
        let mut record = vec![kind, 1, b'k'];
        if kind == value_type::HASH_TIMES {
            record.extend(1_800_000_000_000u64.to_le_bytes());
        }
        record.extend([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert!(one(9, &record).is_err(), "type {kind}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = write(WriteOptions::default(), &samples()[..12]);
    for cut in 0..bytes.len() {
        if cut < 3000 || cut % 97 == 0 || bytes.len() - cut < 20 {
            let error = read_all(&bytes[..cut]).unwrap_err();
            assert!(error.is_truncation(), "cut at {cut}: {error}");
        }
    }
    assert!(feed_all(&bytes[..bytes.len() - 1], 100).is_err());
}

#[test]
fn every_flipped_byte_is_noticed() {
    let small: Vec<_> =
        samples().into_iter().filter(|(_, value)| contents(value).concat().len() < 1000).collect();
    let bytes = write(WriteOptions::default(), &small);
    for at in 0..bytes.len() {
        for bit in [0, 3, 7] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            assert!(read_all(&bytes[..]).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_checksum_can_be_left_out_or_overlooked() {
    let mut bytes = file(9, &[b"\x00\x01k\x01v"]);
    let len = bytes.len();
    bytes[len - 1] ^= 1;
    assert!(matches!(read_all(&bytes[..]).unwrap_err().kind, RdbErrorKind::Checksum { .. }));
    let mut reader =
        RdbReader::new(&bytes[..], ReadOptions { verify_checksum: false, ..ReadOptions::default() });
    reader.next_record().unwrap();
    assert!(matches!(reader.next_record(), Ok(Some(Record::End { checksum: Some(_) }))));
    bytes[len - 8..].fill(0);
    assert_eq!(read_all(&bytes[..]).unwrap().len(), 1);
}

#[test]
fn what_follows_a_snapshot_is_left_alone() {
    let mut bytes = file(9, &[b"\x00\x01k\x01v"]);
    let len = bytes.len() as u64;
    bytes.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let mut reader = RdbReader::new(&bytes[..], ReadOptions::default());
    while reader.next_record().unwrap().is_some() {}
    assert_eq!(reader.offset(), len);
    let mut rest = Vec::new();
    reader.into_source().read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"*1\r\n$4\r\nPING\r\n");
    let mut reader = FeedReader::new(ReadOptions::default());
    reader.feed(&bytes);
    while reader.next_record(false).unwrap().is_some() {}
    assert_eq!((reader.offset(), reader.rest()), (len, &b"*1\r\n$4\r\nPING\r\n"[..]));
}

#[test]
fn a_sink_that_fails_ends_the_writing() {
    let mut left = 2;
    let mut writer = RdbWriter::new(WriteOptions { compress: false, checksum: true }, |_: &[u8]| {
        left -= 1;
        if left == 0 { Err("disk full") } else { Ok(()) }
    });
    let value = Value::Str(Str::from_slice(&vec![b'x'; 40_000]));
    let outcome = (0..10).try_for_each(|_| writer.entry(b"k", &value, None, Usage::None));
    assert_eq!(outcome, Err("disk full"));
}

#[test]
fn dump_payloads_round_trip_and_notice_changes() {
    for (key, value) in samples() {
        let payload = dump::encode(&value);
        let read = dump::decode(&payload, &ReadOptions::default()).unwrap();
        assert_eq!((read.encoding(), contents(&read)), (value.encoding(), contents(&value)), "{key}");
        for at in (0..payload.len()).step_by(1 + payload.len() / 50) {
            let mut changed = payload.clone();
            changed[at] ^= 0x10;
            let read = dump::decode(&changed, &ReadOptions::default());
            assert!(matches!(read, Err(dump::DumpError::Footer)));
            assert!(dump::decode(&payload[..at], &ReadOptions::default()).is_err());
        }
    }
    let sealed = |content: &[u8], version: u16| {
        let mut payload = [content, &version.to_le_bytes()].concat();
        let crc = crc64(0, &payload);
        payload.extend(crc.to_le_bytes());
        dump::decode(&payload, &ReadOptions::default())
    };
    assert!(sealed(b"\x00\x01v", 12).is_ok());
    assert!(matches!(sealed(b"\x00\x01v", 13), Err(dump::DumpError::Footer)));
    assert!(matches!(sealed(b"\x00\x01vx", 11), Err(dump::DumpError::Content(_))));
    assert!(matches!(sealed(b"\x02\x00", 11), Err(dump::DumpError::Content(_))));
    assert!(matches!(sealed(b"", 11), Err(dump::DumpError::Content(_))));
}

#[test]
fn the_payload_of_a_stock_server_is_read() {
    // DUMP of the string "10" on Redis 7.0.
    let payload = b"\x00\xc0\x0a\x0a\x00\x6e\x9f\x57\x45\x0e\xae\x63\xbb";
    assert_eq!(contents(&dump::decode(payload, &ReadOptions::default()).unwrap()), lines(&["10"]));
    assert_eq!(dump::encode(&Value::Str(Str::Int(10))), payload);
}

proptest! {
    #[test]
    fn changed_content_never_panics(at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>()) {
        for (_, value) in samples() {
            let payload = dump::encode(&value);
            let mut content = payload[..payload.len() - 10].to_vec();
            let at = at.index(content.len());
            content[at] = to;
            if cut.index(4) == 0 {
                content.truncate(cut.index(content.len()));
            }
            content.extend(10u16.to_le_bytes());
            let crc = crc64(0, &content);
            content.extend(crc.to_le_bytes());
            let _ = dump::decode(&content, &ReadOptions::default());
        }
    }

    #[test]
    fn any_records_never_panic(records in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = file(9, &[&records]);
        let whole = read_all(&bytes[..]);
        prop_assert_eq!(feed_all(&bytes, 3).is_ok(), whole.is_ok());
    }
}

#[test]
fn an_encoder_makes_one_payload_after_another() {
    let mut encoder = dump::Encoder::default();
    for (index, (_, value)) in samples().iter().enumerate() {
        let payload = encoder.encode(value);
        let read = |payload: &[u8]| {
            let read = dump::decode(payload, &ReadOptions::default());
            dump::encode(&read.unwrap_or_else(|error| panic!("{index}: {error}")))
        };
        // What was read may lie in another order than what was written.
        assert_eq!(read(payload), read(&dump::encode(value)), "sample {index}");
    }
}
