use super::*;
use proptest::prelude::*;

fn print(value: LongDouble) -> String {
    let mut out = Vec::new();
    value.format(&mut out);
    String::from_utf8(out).unwrap()
}

fn add(a: &str, b: &str) -> String {
    let parse = |t: &str| LongDouble::parse(t.as_bytes()).unwrap_or_else(|| panic!("{t} must parse"));
    print(parse(a).checked_add(parse(b)).unwrap())
}

#[test]
fn sums_as_the_stock_server_prints_them() {
    for (a, b, sum) in [
        ("0.1", "0.2", "0.3"),
        ("10.5", "1e20", "100000000000000000008"),
        ("3.0", "1.1", "4.1"),
        ("5.0e3", "2.0e2", "5200"),
        ("-5", "5", "0"),
        ("0", "-0", "0"),
        ("1e-20", "0", "0"),
        ("-1e-20", "0", "0"),
        ("0x1p-1", "0x.8", "1"),
    ] {
        assert_eq!(add(a, b), sum, "{a} + {b}");
    }
}

#[test]
fn thousandfold_is_rounded_to_64_bits_and_then_up() {
    for (text, expected) in [
        ("0", 0),
        ("-0", 0),
        ("1.5", 1500),
        ("0.0001", 1),
        ("0.0011", 2),
        ("1e-4949", 1),
        ("-1e-4949", 0),
        ("-0.0011", -1),
        // A bit above -1 as the stock server multiplies it.
        ("-0.001", 0),
        ("-2", -2000),
        ("0x1p-3", 125),
        ("9223372036854775", 9_223_372_036_854_775_000),
        ("-9223372036854775", -9_223_372_036_854_775_000),
        ("9223372036854776", i64::MAX),
        ("-9223372036854776", i64::MIN),
        ("1e30", i64::MAX),
        ("1e4932", i64::MAX),
        ("-1e4932", i64::MIN),
        ("inf", i64::MAX),
        ("-inf", i64::MIN),
    ] {
        let value = LongDouble::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} must parse"));
        assert_eq!(value.thousandfold_rounded_up(), expected, "{text}");
    }
}

#[test]
fn infinities() {
    let inf = LongDouble::parse(b"inf").unwrap();
    let minus = LongDouble::parse(b"-Infinity").unwrap();
    assert!(!inf.is_finite() && LongDouble::ZERO.is_finite());
    assert_eq!(inf.checked_add(minus), None);
    assert_eq!(inf.checked_add(LongDouble::ZERO), Some(inf));
    assert_eq!(LongDouble::ZERO.checked_add(minus), Some(minus));
    assert_eq!((print(inf), print(minus)), ("inf".into(), "-inf".into()));
    let max = LongDouble::parse(b"1.1e4932").unwrap();
    assert!(max.is_finite() && !max.checked_add(max).unwrap().is_finite());
}

#[test]
fn range_and_grammar() {
    for text in ["1e4933", "-1e4933", "1e-4960", "1e99999999", "", " 1", "1 ", "nan", "1e", "0x", "0x1p16384"]
    {
        assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
    }
    for text in ["1e4932", "1e-4949", "4e-4951", "0e99999999", "0x1p16383", "0x1p-16445"] {
        assert!(LongDouble::parse(text.as_bytes()).is_some(), "{text:?}");
    }
    assert!(LongDouble::parse("1".repeat(5119).as_bytes()).is_none(), "beyond the range");
    assert!(LongDouble::parse(format!("0.{}", "1".repeat(5117)).as_bytes()).is_some());
    assert!(LongDouble::parse(format!("0.{}", "1".repeat(5118)).as_bytes()).is_none(), "too long");
    assert_eq!(print(LongDouble::parse(b"1e4932").unwrap()).len(), 4933);
}

#[test]
fn sixty_four_bits_round_to_even() {
    // 2^64 + 1 lies half way between neighbours that are 2 apart.
    assert_eq!(add("18446744073709551616", "1"), "18446744073709551616");
    assert_eq!(add("18446744073709551616", "3"), "18446744073709551620");
    assert_eq!(add("18446744073709551616", "1.0001"), "18446744073709551618");
    assert_eq!(add("18446744073709551615", "0"), "18446744073709551615");
    assert_eq!(add("18446744073709551616", "-0.25"), "18446744073709551616");
    assert_eq!(add("18446744073709551616", "-0.75"), "18446744073709551615");
}

/// An exact rational model: value = numerator / 2^shift.
fn exact(value: LongDouble) -> (bool, BigUint) {
    match value.magnitude {
        Magnitude::Finite { mantissa, exponent } => {
            (value.negative, BigUint::from(mantissa) << (exponent + 17_000) as u32)
        }
        Magnitude::Infinite => panic!("finite expected"),
    }
}

/// Rounds an exact sum by the definition: cut to 64 bits, compare the rest with one half.
fn rounded_sum(a: LongDouble, b: LongDouble) -> (bool, BigUint) {
    let ((an, a), (bn, b)) = (exact(a), exact(b));
    let (negative, sum) = if an == bn {
        (an, a + b)
    } else if a >= b {
        (an, a - b)
    } else {
        (bn, b - a)
    };
    let drop = sum.bits().saturating_sub(64);
    let kept = &sum >> drop;
    let rest = &sum - (&kept << drop);
    let twice = rest << 1u32;
    let unit = BigUint::from(1u32) << drop;
    let up = drop > 0 && (twice > unit || (twice == unit && kept.bit(0)));
    ((negative), (kept + u32::from(up)) << drop)
}

fn any_long_double() -> impl Strategy<Value = LongDouble> {
    (any::<bool>(), any::<u64>(), -120i32..120, 0u32..64).prop_map(|(negative, mantissa, exponent, zeros)| {
        LongDouble { negative, magnitude: Magnitude::Finite { mantissa: mantissa >> zeros, exponent } }
    })
}

proptest! {
    #[test]
    fn addition_rounds_the_exact_sum(a in any_long_double(), b in any_long_double()) {
        let sum = a.checked_add(b).unwrap();
        let (model_negative, model) = rounded_sum(a, b);
        let (negative, value) = exact(sum);
        prop_assert_eq!(&value, &model);
        prop_assert!(model == BigUint::ZERO || negative == model_negative);
    }

    #[test]
    fn integers_of_64_bits_are_exact(a in any::<u64>()) {
        prop_assert_eq!(print(LongDouble::parse(a.to_string().as_bytes()).unwrap()), a.to_string());
    }

    #[test]
    fn short_and_long_paths_agree(digits in 1u64.., power in -18i32..=18) {
        let text = digits.to_string();
        let trimmed = text.trim_end_matches('0').as_bytes();
        let small = small_decimal(trimmed, power);
        let big = big_decimal(trimmed, power).unwrap();
        prop_assert_eq!(round(small), round(big));
    }
}
