//! Numbers from text: what is parsed must print to a text that parses to the same number.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::base::LongDouble;
use outrigger::base::num::{format_i64, format_score, parse_f64, parse_i64, parse_score_bound, parse_u64};

fuzz_target!(|text: &[u8]| {
    let mut out = Vec::new();
    if let Some(value) = parse_i64(text) {
        format_i64(&mut out, value);
        assert_eq!(out, text);
    }
    let plain = std::str::from_utf8(text).ok().filter(|t| !t.starts_with('+'));
    assert_eq!(parse_u64(text), plain.and_then(|t| t.parse().ok()));
    if let Some(value) = parse_f64(text) {
        out.clear();
        format_score(&mut out, value);
        assert_eq!(parse_f64(&out).map(f64::to_bits), Some(value.to_bits()));
        assert_eq!(parse_score_bound(text), Some(value));
    }
    if let Some(value) = LongDouble::parse(text) {
        out.clear();
        value.format(&mut out);
        // The printed form is cut to 17 decimals; from there on printing must be stable.
        if let Some(printed) = LongDouble::parse(&out) {
            let mut again = Vec::new();
            printed.format(&mut again);
            assert_eq!(out, again);
        }
        let doubled = value.checked_add(value);
        assert!(doubled.is_some());
    }
});
