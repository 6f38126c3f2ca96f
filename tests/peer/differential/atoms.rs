//! Random arguments of each kind.

use super::grammar::Arg;
use crate::support::rng::Pick;
use outrigger::base::random::Rng;
use outrigger::format::rdb::dump::encode;
use outrigger::value::{Direction, Limits, List, Set, Str, Value};
use std::cell::Cell;

type Make = fn(&mut Rng) -> Arg;

/// Every atom the grammar may name.
const ATOMS: &[(&str, Make)] = &[
    ("key", any_key),
    ("str", |rng| key_of(b's', rng)),
    ("list", |rng| key_of(b'l', rng)),
    ("set", |rng| key_of(b'e', rng)),
    ("zset", |rng| key_of(b'z', rng)),
    ("hash", |rng| key_of(b'h', rng)),
    ("stream", |rng| key_of(b'k', rng)),
    ("far", |rng| vec![b'w', b'1' + rng.below(2) as u8]),
    ("newid", new_stream_id),
    ("sid", stream_id),
    ("new", |_| b">".to_vec()),
    ("last", |_| b"+".to_vec()),
    ("sstart", |rng| range_id(rng, "-")),
    ("send", |rng| range_id(rng, "+")),
    ("farid", |rng| format!("900000000000{}-{}", rng.below(10), rng.below(9)).into_bytes()),
    ("slen", |rng| usual(rng, |rng| text(rng.below(200)), integer)),
    ("group", |rng| usual(rng, |rng| vec![b'g', b'1' + rng.below(2) as u8], |rng| bytes_of(rng, 0, 40))),
    ("consumer", |rng| usual(rng, |rng| vec![b'c', b'1' + rng.below(3) as u8], |rng| bytes_of(rng, 0, 40))),
    ("minidle", |rng| {
        usual(rng, |rng| words(rng, &["0", "0", "-1", "1000000"]), |rng| words(rng, &["x", ""]))
    }),
    ("idle", |rng| usual(rng, |rng| words(rng, &["0", "5000000", "1"]), |rng| words(rng, &["-1", "x"]))),
    ("blockms", |rng| usual(rng, |rng| text(1 + rng.below(3)), |rng| words(rng, &["-1", "x", "1.5"]))),
    ("lex", |rng| vec![b'x', b'1' + rng.below(2) as u8]),
    ("small", |rng| vec![b't', b'1' + rng.below(3) as u8]),
    ("letters", |rng| bytes_of(rng, 0, 40)),
    ("setz", |rng| key_of(*rng.pick(&[&b'e', &b'z']), rng)),
    ("val", value),
    ("num", stored_number),
    ("int", integer),
    ("posint", |rng| usual(rng, |rng| text(rng.between(0, 20)), integer)),
    ("float", float),
    ("idx", |rng| usual(rng, |rng| text(rng.between(-12, 12)), integer)),
    ("rank", |rng| usual(rng, |rng| text(rng.between(-3, 5)), integer)),
    ("offset", |rng| {
        usual(
            rng,
            |rng| text(rng.between(0, 60)),
            |rng| words(rng, &["-1", "536870912", "9223372036854775807", "x"]),
        )
    }),
    ("count", |rng| usual(rng, |rng| text(rng.between(-2, 12)), integer)),
    ("member", member),
    ("field", |rng| text(rng.below(12)).into_iter().chain(*b"f").collect()),
    ("score", score),
    ("smin", score_bound),
    ("lmin", lex_bound),
    ("secs", |rng| usual(rng, |rng| text(rng.between(100, 1_000_000)), odd_time)),
    ("ms", |rng| usual(rng, |rng| text(rng.between(100_000, 1_000_000_000)), odd_time)),
    ("at", |rng| usual(rng, |rng| text(rng.between(2_000_000_000, 2_000_000_020)), odd_time)),
    ("at-ms", |rng| usual(rng, |rng| text(rng.between(2_000_000_000_000, 2_000_000_000_020)), odd_time)),
    ("timeout", |rng| {
        usual(rng, |_| b"0.003".to_vec(), |rng| words(rng, &["-1", "x", "nan", "-0.1", "0.002", "1e-3", ""]))
    }),
    ("pattern", pattern),
    ("odd-cursor", |rng| words(rng, &["x", "1.5", "18446744073709551616", " 1", "1x", "--1", "0x1"])),
    ("db", |rng| {
        usual(rng, |rng| text(rng.between(0, 2)), |rng| words(rng, &["-1", "16", "99999999999", "x"]))
    }),
    ("bit", |rng| words(rng, &["0", "1", "0", "1", "0", "1", "0", "1", "0", "1", "0", "1", "2", "-1", "x"])),
    ("bitoff", |rng| usual(rng, |rng| text(rng.below(400)), odd_bit_offset)),
    ("bitidx", |rng| usual(rng, |rng| text(rng.between(-90, 90)), integer)),
    ("field-type", field_type),
    ("field-offset", field_offset),
    ("hll", |rng| if rng.percent(2) { any_key(rng) } else { vec![b'p', b'1' + rng.below(5) as u8] }),
    ("element", |rng| text(rng.next_u64())),
    ("hll-bytes", hll_bytes),
    ("hll-cache", |rng| rng.next_u64().to_le_bytes().to_vec()),
    ("geo", |rng| if rng.percent(2) { any_key(rng) } else { vec![b'g', b'1' + rng.below(4) as u8] }),
    ("place", |rng| if rng.percent(95) { format!("at{}", rng.below(60)).into_bytes() } else { member(rng) }),
    ("lon", |rng| coordinate(rng, 180.0)),
    ("lat", |rng| coordinate(rng, 85.051_128_78)),
    ("length", length),
    ("unit", |rng| usual(rng, |rng| words(rng, &["m", "km", "ft", "mi", "KM"]), junk)),
    ("nums", |rng| if rng.percent(2) { any_key(rng) } else { vec![b'n', b'1' + rng.below(3) as u8] }),
    ("numset", |rng| vec![b'o', b'1' + rng.below(3) as u8]),
    ("numz", |rng| vec![b'q', b'1' + rng.below(3) as u8]),
    ("sortnum", |rng| usual(rng, |rng| text(rng.between(-9, 30)), |rng| usual(rng, float, stored_number))),
    ("weight", |rng| format!("w_{}", rng.between(-9, 30)).into_bytes()),
    ("weights", |rng| format!("v_{}", rng.between(-9, 30)).into_bytes()),
    ("by", |rng| {
        words(rng, &["w_*", "w_*", "v_*->f", "v_*->f", "v_*->none", "none*", "w_*->f", "v_*", "*", "s*"])
    }),
    ("get", |rng| {
        words(rng, &["#", "#", "w_*", "v_*->g", "v_*->f", "none", "v_*->", "*->f", "", "##", "s*", "h*->1f"])
    }),
    ("payload-str", |rng| {
        let value = Str::from_vec(value(rng));
        payload(Value::Str(value), rng)
    }),
    ("payload-list", |rng| {
        let mut list = List::new();
        (0..1 + rng.below(20)).for_each(|_| list.push(Direction::Backward, &value(rng), &Limits::default()));
        payload(Value::List(list), rng)
    }),
    ("payload-set", |rng| {
        let mut set = Set::new();
        (0..1 + rng.below(20)).for_each(|_| _ = set.add(&member(rng), &Limits::default()));
        payload(Value::Set(set), rng)
    }),
    // Redis lets one overflow that leaves the range of its clock.
    ("ttl", |rng| {
        usual(rng, |rng| text(rng.between(100_000, 1_000_000_000)), |rng| words(rng, &["-1", "x", "", "1.5"]))
    }),
    ("absent-id", |rng| words(rng, &["99999999", "0", "-1", "x", "", "9223372036854775808", "1.5"])),
    ("type", |rng| words(rng, &["string", "list", "set", "zset", "hash", "stream", "STRING", "nosuchtype"])),
    ("junk", junk),
    ("text", |rng| words(rng, &["hello", "a b", "", "x", "with\nline"])),
];

/// Is there an atom of this name?
pub fn exists(name: &str) -> bool {
    ATOMS.iter().any(|(atom, _)| *atom == name)
}

/// A random argument of this kind.
pub fn random(name: &str, rng: &mut Rng) -> Arg {
    let (_, make) = ATOMS.iter().find(|(atom, _)| *atom == name).expect("checked by the parser");
    make(rng)
}

fn text(number: impl ToString) -> Arg {
    number.to_string().into_bytes()
}

fn words(rng: &mut Rng, words: &[&str]) -> Arg {
    rng.pick(words).as_bytes().to_vec()
}

/// Mostly the usual, sometimes the odd.
fn usual(rng: &mut Rng, usual: fn(&mut Rng) -> Arg, odd: fn(&mut Rng) -> Arg) -> Arg {
    if rng.percent(94) { usual(rng) } else { odd(rng) }
}

/// Few keys a type, and now and then one of another type.
fn key_of(kind: u8, rng: &mut Rng) -> Arg {
    if rng.percent(3) {
        return any_key(rng);
    }
    vec![kind, b'1' + rng.below(4) as u8]
}

fn any_key(rng: &mut Rng) -> Arg {
    let kind = *rng.pick(&[&b's', &b'l', &b'e', &b'z', &b'h', &b'k']);
    vec![kind, b'1' + rng.below(4) as u8]
}

fn value(rng: &mut Rng) -> Arg {
    match rng.below(24) {
        0..=7 => words(rng, &["a", "b", "c", "abc", "hello world", "foobar"]),
        8..=13 => stored_number(rng),
        14 => Vec::new(),
        15 => bytes_of(rng, 43, 46),
        16 => bytes_of(rng, 62, 66),
        17 => bytes_of(rng, 250, 260),
        18 => b"a\0b\r\n\xff\x80".to_vec(),
        19 if rng.percent(20) => bytes_of(rng, 8_000, 9_000),
        20 if rng.percent(10) => bytes_of(rng, 60_000, 70_000),
        _ => bytes_of(rng, 1, 30),
    }
}

/// Half compressible, half not.
fn bytes_of(rng: &mut Rng, low: i64, high: i64) -> Arg {
    let len = rng.between(low, high);
    let letters = if rng.percent(50) { 2 } else { 26 };
    (0..len).map(|_| b'a' + rng.below(letters) as u8).collect()
}

/// Numbers as values: of each width that encodings tell apart, and texts that only look like numbers.
fn stored_number(rng: &mut Rng) -> Arg {
    match rng.below(12) {
        0..=4 => text(rng.between(-20, 300)),
        5 => text(rng.between(-40_000, 40_000)),
        6 => text(rng.between(-9_000_000, 9_000_000)),
        7 => text(rng.next_u64() as i64),
        8 => float(rng),
        9 => words(
            rng,
            &["9223372036854775807", "-9223372036854775808", "9223372036854775808", "4095", "4096", "-4097"],
        ),
        10 => words(
            rng,
            &[
                "127",
                "128",
                "-128",
                "-129",
                "32767",
                "32768",
                "8388607",
                "8388608",
                "2147483647",
                "2147483648",
                "10000",
                "9999",
            ],
        ),
        _ => words(rng, &["007", "+5", "-0", " 1", "1 ", "1e3", "0x10", "3.0", "10.5"]),
    }
}

fn integer(rng: &mut Rng) -> Arg {
    match rng.below(10) {
        0..=5 => text(rng.between(-20, 20)),
        6 => words(
            rng,
            &["9223372036854775807", "-9223372036854775808", "9223372036854775806", "-9223372036854775807"],
        ),
        7 => words(rng, &["9223372036854775808", "-9223372036854775809", "99999999999999999999"]),
        8 => words(rng, &["", "x", "1.5", "01", "-0", "+1", " 1", "0x1"]),
        _ => text(rng.next_u64() as i64),
    }
}

fn float(rng: &mut Rng) -> Arg {
    match rng.below(12) {
        0..=4 => format!("{}.{}", rng.between(-50, 50), rng.below(1_000)).into_bytes(),
        5 | 6 => text(rng.between(-1_000, 1_000)),
        7 => words(rng, &["1e20", "-1e20", "1e-10", "3e5", "1.7976931348623157e308", "5e-324", "1e300"]),
        8 => words(rng, &["inf", "-inf", "+inf", "Infinity", "nan", "-nan"]),
        9 => words(rng, &["", "x", "1.5x", " 1.5", "1,5", "1e400", "--1"]),
        10 => words(rng, &["0.1", "0.2", "0.3", "-0.0", "0", "1e0", ".5", "5.", "+.5e1"]),
        _ => format!("{}e{}", rng.unit_f64(), rng.between(-20, 20)).into_bytes(),
    }
}

fn score(rng: &mut Rng) -> Arg {
    match rng.below(10) {
        0..=5 => text(rng.between(-5, 15)),
        6 => format!("{}.5", rng.between(-5, 15)).into_bytes(),
        _ => float(rng),
    }
}

fn score_bound(rng: &mut Rng) -> Arg {
    match rng.below(12) {
        0..=5 => text(rng.between(-6, 16)),
        6 | 7 => format!("({}", rng.between(-6, 16)).into_bytes(),
        8 => words(rng, &["-inf", "+inf", "(-inf", "(+inf", "inf"]),
        9 => words(rng, &["(", "x", "", "((1", "[1", "nan"]),
        _ => score(rng),
    }
}

fn lex_bound(rng: &mut Rng) -> Arg {
    match rng.below(12) {
        0..=2 => b"-".to_vec(),
        3..=5 => b"+".to_vec(),
        6..=8 => [b"[".to_vec(), member(rng)].concat(),
        9 | 10 => [b"(".to_vec(), member(rng)].concat(),
        _ => words(rng, &["", "a", "-x", "+x", "[", "("]),
    }
}

thread_local! {
    /// About the greatest id given to a stream: new ones must lie above the last.
    static LAST_ID: Cell<u64> = const { Cell::new(1) };
}

/// Mostly an id above all others, now and then one of those.
fn new_stream_id(rng: &mut Rng) -> Arg {
    if rng.percent(15) {
        // An id by the clock would not be the same on both.
        return Some(stream_id(rng)).filter(|id| id != b"*").unwrap_or_default();
    }
    let ms = LAST_ID.get() + rng.below(3);
    LAST_ID.set(ms);
    match rng.below(8) {
        0..=3 => text(ms),
        4 => format!("{ms}-{}", rng.below(4)).into_bytes(),
        5 | 6 => format!("{ms}-*").into_bytes(),
        _ => format!("{ms}-0").into_bytes(),
    }
}

/// The id of an entry that may be there.
fn stream_id(rng: &mut Rng) -> Arg {
    let ms = LAST_ID.get().saturating_sub(rng.below(50));
    match rng.below(40) {
        0..=29 => text(ms),
        30..=34 => format!("{ms}-{}", rng.below(3)).into_bytes(),
        35 => words(rng, &["0", "0-0", "0-1", "18446744073709551615-18446744073709551614"]),
        36 => words(rng, &["-", "+", "$", ">", "*", "(5", "5-*"]),
        37 => words(rng, &["", "x", "-1", "5-", "5-x", "1-2-3", "18446744073709551616", " 7", "007-1"]),
        38 => text(LAST_ID.get() + 5),
        _ => integer(rng),
    }
}

fn range_id(rng: &mut Rng, edge: &str) -> Arg {
    match rng.below(10) {
        0..=4 => edge.as_bytes().to_vec(),
        5 | 6 => [b"(".to_vec(), stream_id(rng)].concat(),
        _ => stream_id(rng),
    }
}

/// Members from a small pool, so that sets overlap; now and then integers, so that sets of integers exist.
fn member(rng: &mut Rng) -> Arg {
    match rng.below(20) {
        0..=7 => text(rng.below(30)),
        8..=13 => vec![b'm', b'a' + rng.below(20) as u8],
        14 => text(rng.below(700)),
        15 => stored_number(rng),
        16 => value(rng),
        _ => words(rng, &["a", "b", "c", "ab", "abc", "A", "B", "aa"]),
    }
}

fn odd_bit_offset(rng: &mut Rng) -> Arg {
    words(rng, &["-1", "4294967296", "9223372036854775807", "x", "#1", "", "300000", "01"])
}

fn field_type(rng: &mut Rng) -> Arg {
    match rng.below(16) {
        0..=6 => format!("i{}", 1 + rng.below(64)).into_bytes(),
        7..=13 => format!("u{}", 1 + rng.below(63)).into_bytes(),
        14 => words(rng, &["i64", "u63", "i1", "u1", "i8", "u16"]),
        _ => words(rng, &["u64", "i65", "i0", "u0", "x8", "", "i", "I8", "u08", "u-1", "u8x"]),
    }
}

fn field_offset(rng: &mut Rng) -> Arg {
    match rng.below(24) {
        0..=13 => text(rng.below(150)),
        14..=21 => format!("#{}", rng.below(12)).into_bytes(),
        22 => words(rng, &["#-1", "#", "#x", "##1", "#9223372036854775807", "#288230376151711744"]),
        _ => odd_bit_offset(rng),
    }
}

/// Few places often, so that distances are equal; else places near to some of them, or anywhere.
fn coordinate(rng: &mut Rng, max: f64) -> Arg {
    match rng.below(20) {
        0..=6 => words(rng, &["13.361389", "15.087269", "38.115556", "0", "70", "-70", "1e-7"]),
        7..=12 => format!("{}", 13.3 + rng.unit_f64() * 3.0).into_bytes(),
        13..=17 => format!("{}", (rng.unit_f64() * 2.0 - 1.0) * max).into_bytes(),
        18 => words(rng, &["180", "-180", "85.05112878", "-85.05112878", "84.9", "179.9999"]),
        _ => usual(rng, |rng| words(rng, &["85.06", "-181", "180.0000001"]), float),
    }
}

fn length(rng: &mut Rng) -> Arg {
    match rng.below(16) {
        0..=5 => text(rng.between(1, 300)),
        6..=8 => format!("{}", rng.unit_f64() * 5_000.0).into_bytes(),
        9..=11 => text(rng.between(1, 20_000)),
        12 => words(rng, &["0", "1e7", "2e7", "1e-3", "1e300", "inf", "0.0001"]),
        13 => words(rng, &["-1", "x", "", "nan"]),
        _ => text(rng.between(1, 1_000_000)),
    }
}

/// The sparse registers of a HyperLogLog, mostly valid ones.
fn hll_bytes(rng: &mut Rng) -> Arg {
    let mut bytes = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80".to_vec();
    let mut left = 16_384u64;
    while left > 0 {
        let run = match rng.below(4) {
            0 => 1 + rng.below(left.min(64)),
            1 => 1 + rng.below(left),
            _ => 1 + rng.below(left.min(4)),
        };
        left -= run;
        match run {
            1..=4 if rng.percent(70) => bytes.push(0x80 | (rng.below(32) as u8) << 2 | (run - 1) as u8),
            1..=64 => bytes.push((run - 1) as u8),
            _ => bytes.extend_from_slice(&(0x4000 | (run - 1) as u16).to_be_bytes()),
        }
    }
    match rng.below(12) {
        0 => bytes[rng.index(16)] = rng.below(256) as u8,
        1 => bytes.truncate(10 + rng.index(7)),
        _ => {}
    }
    bytes
}

/// What DUMP might have returned; now and then with a byte that is not what it was.
fn payload(value: Value, rng: &mut Rng) -> Arg {
    let mut bytes = encode(&value);
    if rng.percent(10) {
        let at = rng.index(bytes.len());
        bytes[at] ^= 1 << rng.below(8);
    }
    bytes
}

fn odd_time(rng: &mut Rng) -> Arg {
    words(
        rng,
        &[
            "0",
            "-1",
            "x",
            "",
            "1.5",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775",
            "-100",
        ],
    )
}

fn pattern(rng: &mut Rng) -> Arg {
    const PIECES: &[&[u8]] = &[
        b"*",
        b"?",
        b"[",
        b"]",
        b"^",
        b"-",
        b"\\",
        b"a",
        b"b",
        b"m",
        b"s",
        b"1",
        b"\0",
        b"\x80",
        b"\xff",
        b"[a-c]",
        b"[^a]",
        b"[b-\x80]",
        b"[\x80-1]",
        b"[\\]",
    ];
    if rng.percent(40) {
        return (0..rng.below(5)).flat_map(|_| rng.pick(PIECES).to_vec()).collect();
    }
    words(
        rng,
        &[
            "*", "s*", "?1", "[se]*", "[^s]*", "l[1-2]", "", "nosuch", "*1", "**2", "\\s1", "m[a-c]", "1*",
            "*f",
        ],
    )
}

fn junk(rng: &mut Rng) -> Arg {
    match rng.below(5) {
        0 => integer(rng),
        1 => float(rng),
        2 => words(
            rng,
            &[
                "NX",
                "XX",
                "GT",
                "LT",
                "EX",
                "COUNT",
                "MATCH",
                "LIMIT",
                "WITHSCORES",
                "GET",
                "BYSCORE",
                "REV",
                "LEFT",
                "ASC",
            ],
        ),
        3 => any_key(rng),
        // Errors repeat an argument, and a line has an end.
        _ => value(rng).into_iter().take(10_000).collect(),
    }
}
