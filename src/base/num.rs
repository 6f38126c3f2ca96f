//! Numbers as text: parsing as strictly, and printing exactly, as Redis 7.0 does.

use crate::base::long_double::{Binary, DecimalText, round_binary, scan_decimal, scan_hex};

/// Longest text `parse_i64` accepts: `-9223372036854775808`.
const I64_MAX_DIGITS: usize = 20;

/// Parses a canonical decimal integer: an optional minus, no plus, no leading zeros, no spaces, no `-0`.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', digits) => (true, digits),
        _ => (false, text),
    };
    let (&first, rest) = digits.split_first()?;
    if !first.is_ascii_digit() || text.len() > I64_MAX_DIGITS {
        return None;
    }
    if first == b'0' {
        return (rest.is_empty() && !negative).then_some(0);
    }
    let mut magnitude = u64::from(first - b'0');
    for &byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Parses decimal digits without a sign (leading zeros allowed), as SCAN cursors and ids come.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { value.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

/// Parses a float argument (scores, increments, timeouts): the whole text as C's `strtod` reads it, decimal, hex
/// (`0x1.8p3`) or `inf`/`infinity` in any case. Rejects surrounding space, nan, empty text, and what overflows or
/// underflows to zero.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let (value, out_of_range) = read_f64(text)?;
    (!out_of_range && !value.is_nan()).then_some(value)
}

/// Like [`parse_f64`] but keeps a literal `nan` as NaN, for callers with an error of their own for it.
pub fn parse_f64_or_nan(text: &[u8]) -> Option<f64> {
    let (value, out_of_range) = read_f64(text)?;
    (!out_of_range).then_some(value)
}

/// Parses a score bound (behind its optional `(`) as ZRANGEBYSCORE and its kin do: more leniently than
/// [`parse_f64`], leading white space passes, empty text is 0, and overflow saturates to infinity. Rejects nan.
pub fn parse_score_bound(text: &[u8]) -> Option<f64> {
    if text.is_empty() {
        return Some(0.0);
    }
    let start = text.iter().position(|&b| !is_c_space(b))?;
    let (value, _) = read_f64(&text[start..])?;
    (!value.is_nan()).then_some(value)
}

/// A text as C's `strtod` reads all of it: up to its first NUL, leading white space passes, empty text is 0. Rejects nan,
/// and what a double cannot hold or holds only with less than its usual precision.
pub fn parse_c_double(text: &[u8]) -> Option<f64> {
    if let Some(int) = parse_i64(text) {
        return Some(int as f64);
    }
    let text = text.split(|&b| b == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let start = text.iter().position(|&b| !is_c_space(b))?;
    let (value, out_of_range) = read_f64(&text[start..])?;
    let (_, body) = split_sign(&text[start..]);
    let inexact = value.is_subnormal() && scan_hex(body).is_none();
    (!out_of_range && !inexact && !value.is_nan()).then_some(value)
}

/// C's `isspace` in the C locale: like `is_ascii_whitespace` plus vertical tab.
#[inline]
pub fn is_c_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The value of the whole text and whether it left the range of f64 (to infinity or to zero).
fn read_f64(text: &[u8]) -> Option<(f64, bool)> {
    let (negative, body) = split_sign(text);
    let sign = if negative { -1.0 } else { 1.0 };
    if is_infinity(body) {
        return Some((sign * f64::INFINITY, false));
    }
    if is_nan(body) {
        return Some((f64::NAN, false));
    }
    let (magnitude, is_zero) = if let Some(hex) = scan_hex(body) {
        (f64_from_hex(hex), hex.mantissa == 0)
    } else {
        let decimal = scan_decimal(body)?;
        // The grammar is checked; the std parser rounds correctly and accepts all of it.
        let value: f64 = std::str::from_utf8(body).ok()?.parse().ok()?;
        (value, is_zero_decimal(&decimal))
    };
    let out_of_range = magnitude.is_infinite() || (magnitude == 0.0 && !is_zero);
    Some((sign * magnitude, out_of_range))
}

fn is_zero_decimal(decimal: &DecimalText<'_>) -> bool {
    decimal.integer.iter().chain(decimal.fraction).all(|&b| b == b'0')
}

/// Splits an optional `+` or `-` off.
pub(crate) fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    }
}

/// `inf` or `infinity`, any case.
pub(crate) fn is_infinity(body: &[u8]) -> bool {
    body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity")
}

/// `nan` or `nan(chars)`, any case.
pub(crate) fn is_nan(body: &[u8]) -> bool {
    let Some((head, tail)) = body.split_at_checked(3) else { return false };
    head.eq_ignore_ascii_case(b"nan")
        && match tail {
            [] => true,
            [b'(', inner @ .., b')'] => inner.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_'),
            _ => false,
        }
}

fn f64_from_hex(hex: Binary) -> f64 {
    match round_binary(hex, f64::MANTISSA_DIGITS, -1074, 1024) {
        None => f64::INFINITY,
        // Both factors are exact, and so is the product, since the rounding above respected range and subnormals;
        // the scaling goes in two steps because 2^-1074 alone is out of reach of a normal factor.
        Some((mantissa, exponent)) => {
            let half = exponent / 2;
            mantissa as f64 * 2f64.powi(half) * 2f64.powi(exponent - half)
        }
    }
}

/// Appends a decimal integer.
#[inline]
pub fn format_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a double as scores are printed: C's `%.17g`, with `inf`, `-inf` and `nan`.
pub fn format_score(out: &mut Vec<u8>, value: f64) {
    // Integers below 1e17 print without exponent under %.17g; -0 keeps its sign and goes the long way.
    if value.abs() < 1e17 && value == value.trunc() && !(value == 0.0 && value.is_sign_negative()) {
        return format_i64(out, value as i64);
    }
    if value.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value < 0.0 { b"-inf" } else { b"inf" });
    }
    format_17g(out, value);
}

/// `%.17g` of a finite value.
fn format_17g(out: &mut Vec<u8>, value: f64) {
    use std::io::Write;
    // d.dddddddddddddddde[-]x: 17 significant digits, correctly rounded.
    let mut stack = [0u8; 32];
    let mut cursor = std::io::Cursor::new(&mut stack[..]);
    if write!(cursor, "{:.16e}", value.abs()).is_err() {
        return; // cannot happen: the longest text is 24 bytes
    }
    let len = cursor.position() as usize;
    let text = &stack[..len];
    let Some(e) = text.iter().position(|&b| b == b'e') else { return };
    let Some(exponent) = parse_i64(&text[e + 1..]) else { return };
    let mut digits = [b'0'; 17];
    digits[0] = text[0];
    digits[1..].copy_from_slice(&text[2..18]);
    let significant = digits.iter().rposition(|&d| d != b'0').map_or(1, |i| i + 1);
    let digits = &digits[..significant];
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if (-4..17).contains(&exponent) {
        plain(out, digits, exponent as i32);
    } else {
        scientific(out, digits, exponent as i32);
    }
}

/// `digits` (first one before the point) times ten to `exponent`, without exponent notation.
fn plain(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-1 - exponent) as usize, b'0');
        return out.extend_from_slice(digits);
    }
    let before_point = exponent as usize + 1;
    if digits.len() <= before_point {
        out.extend_from_slice(digits);
        out.resize(out.len() + before_point - digits.len(), b'0');
    } else {
        out.extend_from_slice(&digits[..before_point]);
        out.push(b'.');
        out.extend_from_slice(&digits[before_point..]);
    }
}

/// `d.ddde±xx`, the exponent with at least two digits.
fn scientific(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.unsigned_abs() < 10 {
        out.push(b'0');
    }
    format_i64(out, i64::from(exponent.unsigned_abs()));
}

/// Appends a double as C's `%.17f` with trailing zeros (and a bare point) cut: GEOPOS coordinates.
pub fn format_human(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() || value.is_infinite() {
        return format_score(out, value);
    }
    let text = format!("{value:.17}");
    let trimmed = text.trim_end_matches('0').trim_end_matches('.');
    out.extend_from_slice(if trimmed == "-0" { b"0" } else { trimmed.as_bytes() });
}

#[cfg(test)]
#[path = "num_tests.rs"]
mod tests;
