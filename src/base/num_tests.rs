use super::*;
use proptest::prelude::*;

fn score(value: f64) -> String {
    let mut out = Vec::new();
    format_score(&mut out, value);
    String::from_utf8(out).unwrap()
}

fn human(value: f64) -> String {
    let mut out = Vec::new();
    format_human(&mut out, value);
    String::from_utf8(out).unwrap()
}

#[test]
fn c_doubles() {
    for (text, value) in [
        (&b"1.5"[..], 1.5),
        (b" \t-2", -2.0),
        (b"", 0.0),
        (b"1\0x", 1.0),
        (b"\0", 0.0),
        (b"0x10", 16.0),
        (b"0x1p-1074", 5e-324),
        (b"inf", f64::INFINITY),
        (b"-Infinity", f64::NEG_INFINITY),
    ] {
        assert_eq!(parse_c_double(text), Some(value), "{}", text.escape_ascii());
    }
    for text in [&b" "[..], b"x", b"1x", b"1 ", b"nan", b"1e400", b"1e-400", b"5e-324", b"--1"] {
        assert_eq!(parse_c_double(text), None, "{}", text.escape_ascii());
    }
}

#[test]
fn integers_are_canonical() {
    for (text, value) in [
        ("0", 0),
        ("7", 7),
        ("-1", -1),
        ("10", 10),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(parse_i64(text.as_bytes()), Some(value), "{text}");
    }
    for text in [
        "",
        "-",
        "+1",
        "01",
        "-0",
        "-01",
        " 1",
        "1 ",
        "1a",
        "a",
        "0x1",
        "00",
        "--1",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999",
        "999999999999999999999",
    ] {
        assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn unsigned_integers() {
    assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(parse_u64(b"0017"), Some(17));
    for text in ["", "-1", "+1", "1 ", "18446744073709551616"] {
        assert_eq!(parse_u64(text.as_bytes()), None, "{text:?}");
    }
}

/// What the stock server's ZADD took and ZSCORE answered.
#[test]
fn scores_as_the_stock_server_has_them() {
    for (text, printed) in [
        ("0.1", "0.10000000000000001"),
        ("1e20", "1e+20"),
        ("1e21", "1e+21"),
        ("3.0", "3"),
        ("1.1e-7", "1.1000000000000001e-07"),
        ("123456789.123", "123456789.123"),
        ("0", "0"),
        ("1e15", "1000000000000000"),
        ("1e16", "10000000000000000"),
        ("1e17", "1e+17"),
        ("1e19", "1e+19"),
        ("9007199254740993", "9007199254740992"),
        ("123456789012345678", "1.2345678901234568e+17"),
        ("-4503599627370497", "-4503599627370497"),
        ("inf", "inf"),
        ("-inf", "-inf"),
        ("+inf", "inf"),
        ("infinity", "inf"),
        ("INFINITY", "inf"),
        ("1e-5", "1.0000000000000001e-05"),
        ("0x10", "16"),
        ("0x1.8p3", "12"),
        ("1e308", "1e+308"),
        ("5e-324", "4.9406564584124654e-324"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-0x1p-2", "-0.25"),
        ("1e23", "9.9999999999999992e+22"),
        ("12345678901234567890", "1.2345678901234567e+19"),
        ("9223372036854775807", "9.2233720368547758e+18"),
        ("0.0001", "0.0001"),
        ("17179869184.5", "17179869184.5"),
    ] {
        let value = parse_f64(text.as_bytes()).unwrap_or_else(|| panic!("{text} must parse"));
        assert_eq!(score(value), printed, "{text}");
    }
    assert_eq!(score(-0.0), "-0");
    assert_eq!(score(f64::NAN), "nan");
}

#[test]
fn bad_floats_are_refused() {
    for text in [
        "",
        " 1",
        "1 ",
        "1e",
        "1e400",
        "-1e400",
        "1e-400",
        "+",
        "-",
        "0x",
        "1_0",
        "infin",
        "nan",
        "NaN",
        ".",
        "e5",
        "1e+",
        "0x1p",
        "0x.p1",
        "--1",
        "+-1",
        "1.2.3",
        "0x1p99999",
        "0x1p-2000",
        "nan(1)",
        "1\0",
    ] {
        assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
    }
    assert!(parse_f64_or_nan(b"nan").is_some_and(f64::is_nan));
    assert_eq!(parse_f64(b"0e99999999999"), Some(0.0));
    assert_eq!(parse_f64(b"0x0p-5000"), Some(0.0));
}

#[test]
fn bounds_are_lenient() {
    assert_eq!(parse_score_bound(b""), Some(0.0));
    assert_eq!(parse_score_bound(b" \x0b1.5"), Some(1.5));
    assert_eq!(parse_score_bound(b"1e400"), Some(f64::INFINITY));
    assert_eq!(parse_score_bound(b"-inf"), Some(f64::NEG_INFINITY));
    for text in ["nan", "1 ", "(1", "foo", "  "] {
        assert_eq!(parse_score_bound(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn hex_floats_round_to_nearest_even() {
    let parse = |t: &str| parse_f64(t.as_bytes()).unwrap();
    assert_eq!(parse("0x1.fffffffffffffp1023"), f64::MAX);
    assert_eq!(parse_f64(b"0x1.fffffffffffff8p1023"), None);
    assert_eq!(parse("0x1p-1074"), 5e-324);
    assert_eq!(parse("0x1.8p-1074"), 1e-323);
    assert_eq!(parse("0x0.8000001p-1074"), 5e-324);
    assert_eq!(parse_f64(b"0x0.8p-1074"), None);
    assert_eq!(parse("0x20000000000001"), 9007199254740992.0);
    assert_eq!(parse("0x20000000000003"), 9007199254740996.0);
    assert_eq!(parse("0X.1P+4"), 1.0);
    assert_eq!(parse(&format!("0x1{}p-400", "0".repeat(100))), 1.0);
}

#[test]
fn human_form_is_trimmed() {
    assert_eq!(human(13.361389338970184), "13.36138933897018433");
    assert_eq!(human(100.0), "100");
    assert_eq!(human(-1e-30), "0");
    assert_eq!(human(1e20), "100000000000000000000");
    assert_eq!(human(f64::INFINITY), "inf");
}

proptest! {
    #[test]
    fn integers_round_trip(value in any::<i64>()) {
        let mut out = Vec::new();
        format_i64(&mut out, value);
        prop_assert_eq!(parse_i64(&out), Some(value));
    }

    #[test]
    fn parse_i64_accepts_only_what_it_prints(text in "[-+ ]?[0-9]{0,21}") {
        let canonical = text.parse::<i64>().ok().filter(|v| v.to_string() == text);
        prop_assert_eq!(parse_i64(text.as_bytes()), canonical);
    }

    #[test]
    fn scores_round_trip(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(!value.is_nan());
        let text = score(value);
        prop_assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), Some(bits), "{}", text);
    }

    #[test]
    fn garbage_never_panics(text in proptest::collection::vec(any::<u8>(), 0..40), floaty in "[-+0-9a-fxp.einINF]{0,40}") {
        for t in [&text[..], floaty.as_bytes()] {
            parse_i64(t);
            parse_u64(t);
            parse_f64(t);
            parse_score_bound(t);
            LongDoubleCheck::parse(t);
        }
    }
}

/// Parsing must leave only what can be printed and added.
struct LongDoubleCheck;

impl LongDoubleCheck {
    fn parse(text: &[u8]) {
        if let Some(value) = crate::base::LongDouble::parse(text) {
            let mut out = Vec::new();
            value.format(&mut out);
            assert!(!out.is_empty());
            value.checked_add(value);
        }
    }
}
