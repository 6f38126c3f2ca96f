use super::*;
use crate::resp::Reply;
use proptest::prelude::*;

fn one(bytes: &[u8]) -> RespValue {
    let (value, used) = decode_reply(bytes).unwrap().expect("whole");
    assert_eq!(used, bytes.len());
    value
}

fn bulk(text: &str) -> RespValue {
    RespValue::Bulk(text.into())
}

#[test]
fn every_type() {
    use RespValue::*;
    for (bytes, value) in [
        (&b"+OK\r\n"[..], Simple(b"OK".to_vec())),
        (b"-ERR no\r\n", Error(b"ERR no".to_vec())),
        (b"!6\r\nERR no\r\n", Error(b"ERR no".to_vec())),
        (b":-5\r\n", Int(-5)),
        (b"$3\r\na\r\n\r\n", bulk("a\r\n")),
        (b"$0\r\n\r\n", bulk("")),
        (b"$-1\r\n", Null),
        (b"_\r\n", Null),
        (b"*-1\r\n", NullArray),
        (b"*0\r\n", Array(vec![])),
        (b"*2\r\n:1\r\n*1\r\n$1\r\nx\r\n", Array(vec![Int(1), Array(vec![bulk("x")])])),
        (b",1.5\r\n", Double(1.5)),
        (b",-inf\r\n", Double(f64::NEG_INFINITY)),
        (b"#t\r\n", Bool(true)),
        (b"(-123\r\n", BigNumber(b"-123".to_vec())),
        (b"=5\r\ntxt:x\r\n", Verbatim { format: *b"txt", text: b"x".to_vec() }),
        (b"%1\r\n+k\r\n:1\r\n", Map(vec![(Simple(b"k".to_vec()), Int(1))])),
        (b"~1\r\n:1\r\n", Set(vec![Int(1)])),
        (b">2\r\n+a\r\n_\r\n", Push(vec![Simple(b"a".to_vec()), Null])),
        (b"|1\r\n+ttl\r\n:9\r\n:1\r\n", Int(1)),
        (b"|0\r\n:1\r\n", Int(1)),
        (b"*2\r\n|1\r\n+a\r\n*1\r\n:0\r\n:1\r\n:2\r\n", Array(vec![Int(1), Int(2)])),
    ] {
        assert_eq!(one(bytes), value, "{}", bytes.escape_ascii());
    }
    assert!(matches!(one(b",nan\r\n"), Double(x) if x.is_nan()));
}

#[test]
fn accessors() {
    assert_eq!(one(b"+a\r\n").as_bytes(), Some(&b"a"[..]));
    assert_eq!((one(b":3\r\n").as_int(), one(b"_\r\n").is_null()), (Some(3), true));
    assert_eq!(one(b"-ERR x\r\n").as_error(), Some(&b"ERR x"[..]));
    assert_eq!(one(b"*1\r\n_\r\n").as_slice().map(<[_]>::len), Some(1));
}

#[test]
fn malformed_bytes_are_named() {
    for (bytes, error) in [
        (&b"x"[..], DecodeError::UnknownType(b'x')),
        (b":\r\n", DecodeError::BadNumber(b':')),
        (b"$-2\r\n", DecodeError::BadNumber(b'$')),
        (b"%-1\r\n", DecodeError::BadNumber(b'%')),
        (b"#x\r\n", DecodeError::BadNumber(b'#')),
        (b"_x\r\n", DecodeError::BadNumber(b'_')),
        (b"(1x\r\n", DecodeError::BadNumber(b'(')),
        (b"$1\r\nxyz", DecodeError::MissingTerminator),
        (b"+a\rb", DecodeError::MissingTerminator),
        (b"=2\r\nab\r\n", DecodeError::BadVerbatim),
        (b"$536870913\r\n", DecodeError::BulkTooLong { len: 536_870_913, max: 536_870_912 }),
    ] {
        assert_eq!(decode_reply(bytes), Err(error), "{}", bytes.escape_ascii());
    }
    assert_eq!(decode_reply(&[b'+'; 70_000]), Err(DecodeError::LineTooLong));
    assert_eq!(decode_reply(&b"*1\r\n".repeat(129)), Err(DecodeError::TooDeep));
    assert_eq!(decode_reply(&b"*1\r\n".repeat(128)), Ok(None));
}

#[test]
fn announced_lengths_allocate_nothing() {
    let mut decoder = ReplyDecoder::default();
    let huge = b"*9223372036854775807\r\n%9223372036854775807\r\n$536870912\r\nabc";
    let Ok(Decoded::Incomplete { consumed, needed }) = decoder.decode(huge) else { panic!("incomplete") };
    assert_eq!((consumed, needed), (44, 536_870_911));
    assert!(decoder.is_mid_reply());
    assert!(decoder.stack.iter().all(|frame| frame.items.capacity() == 0));
}

/// Writes a value as the server would, RESP3.
fn write(reply: &mut Reply<'_>, value: &RespValue) {
    match value {
        RespValue::Simple(text) => reply.simple(text),
        RespValue::Error(text) => reply.error(text),
        RespValue::Int(n) => reply.int(*n),
        RespValue::Bulk(bytes) => reply.bulk(bytes),
        RespValue::Null => reply.null(),
        RespValue::NullArray => reply.raw(b"*-1\r\n"),
        RespValue::Double(x) => reply.double(*x),
        RespValue::Bool(b) => reply.bool(*b),
        RespValue::BigNumber(digits) => reply.big_number(digits),
        RespValue::Verbatim { format, text } => reply.verbatim(format, text),
        RespValue::Array(items) => {
            reply.array(items.len());
            items.iter().for_each(|item| write(reply, item));
        }
        RespValue::Set(items) => {
            reply.set(items.len());
            items.iter().for_each(|item| write(reply, item));
        }
        RespValue::Push(items) => {
            reply.push(items.len());
            items.iter().for_each(|item| write(reply, item));
        }
        RespValue::Map(pairs) => {
            reply.map(pairs.len());
            pairs.iter().for_each(|(key, value)| {
                write(reply, key);
                write(reply, value);
            });
        }
    }
}

fn any_value() -> impl Strategy<Value = RespValue> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    let leaf = prop_oneof![
        "[ -~]{0,12}".prop_map(|s| RespValue::Simple(s.into_bytes())),
        "[ -~]{0,12}".prop_map(|s| RespValue::Error(s.into_bytes())),
        any::<i64>().prop_map(RespValue::Int),
        bytes().prop_map(RespValue::Bulk),
        Just(RespValue::Null),
        Just(RespValue::NullArray),
        (-1e300..1e300f64).prop_map(RespValue::Double),
        any::<bool>().prop_map(RespValue::Bool),
        "-?[0-9]{1,30}".prop_map(|s| RespValue::BigNumber(s.into_bytes())),
        bytes().prop_map(|text| RespValue::Verbatim { format: *b"txt", text }),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let items = || proptest::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            items().prop_map(RespValue::Array),
            items().prop_map(RespValue::Set),
            items().prop_map(RespValue::Push),
            proptest::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(RespValue::Map),
        ]
    })
}

/// Decodes a stream that arrives in pieces of `piece` bytes, dropping what was consumed each time.
fn in_pieces(stream: &[u8], piece: usize) -> Result<Vec<RespValue>, DecodeError> {
    let (mut decoder, mut buf, mut values) = (ReplyDecoder::default(), Vec::new(), Vec::new());
    for chunk in stream.chunks(piece) {
        buf.extend_from_slice(chunk);
        loop {
            match decoder.decode(&buf)? {
                Decoded::Complete { consumed, value } => {
                    values.push(value);
                    buf.drain(..consumed);
                }
                Decoded::Incomplete { consumed, needed } => {
                    assert!(needed > 0);
                    buf.drain(..consumed);
                    break;
                }
            }
        }
    }
    Ok(values)
}

proptest! {
    #[test]
    fn what_is_written_is_read(values in proptest::collection::vec(any_value(), 0..5), piece in 1usize..40) {
        let mut stream = Vec::new();
        for value in &values {
            write(&mut Reply::new(&mut stream, true), value);
        }
        prop_assert_eq!(in_pieces(&stream, piece), Ok(values));
    }

    #[test]
    fn garbage_never_panics(bytes in "[-+:$*_,#(=!%~>|0-9tf\r\n]{0,80}", noise in proptest::collection::vec(any::<u8>(), 0..80), piece in 1usize..20) {
        for stream in [bytes.as_bytes(), &noise] {
            prop_assert_eq!(in_pieces(stream, piece).is_err(), in_pieces(stream, 1000).is_err());
        }
    }
}
