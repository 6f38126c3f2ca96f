//! The x87 80-bit float (64-bit mantissa, round to nearest even), in integers.
//!
//! INCRBYFLOAT and HINCRBYFLOAT of the stock server compute in C's `long double`; to print the same digits the same
//! parse, addition and `%.17Lf` are done here, on any machine.

use crate::base::num::{is_infinity, is_nan, split_sign};
use num_bigint::BigUint;

/// Bits of the mantissa.
const PRECISION: u32 = 64;
/// Exponent of the smallest subnormal: 2^-16445.
const MIN_EXPONENT: i32 = -16445;
/// Values reach up to, not including, 2^16384.
const MAX_TOP: i32 = 16384;
/// Longest text the stock server copies for `strtold`, in bytes.
const TEXT_MAX_BYTES: usize = 5 * 1024 - 1;

/// A finite number or an infinity; never NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Magnitude {
    /// `mantissa * 2^exponent`; zero is mantissa 0.
    Finite {
        mantissa: u64,
        exponent: i32,
    },
    Infinite,
}

impl LongDouble {
    /// Zero: what a missing key or field counts as.
    pub const ZERO: Self =
        Self { negative: false, magnitude: Magnitude::Finite { mantissa: 0, exponent: 0 } };

    /// Parses the whole text as C's `strtold` does: decimal, hex or infinity. Rejects surrounding space, nan, empty text,
    /// text of 5 KiB or more, and what overflows or underflows to zero.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_MAX_BYTES {
            return None;
        }
        let (negative, body) = split_sign(text);
        if is_infinity(body) {
            return Some(Self { negative, magnitude: Magnitude::Infinite });
        }
        if is_nan(body) {
            return None;
        }
        let (exact, is_zero) = match scan_hex(body) {
            Some(hex) => (hex, hex.mantissa == 0),
            None => {
                let decimal = scan_decimal(body)?;
                binary_from_decimal(&decimal)?
            }
        };
        let (mantissa, exponent) = round(exact)?;
        if mantissa == 0 && !is_zero {
            return None;
        }
        Some(Self { negative, magnitude: Magnitude::Finite { mantissa, exponent } })
    }

    /// Is it finite? An increment that is not must be refused.
    pub fn is_finite(&self) -> bool {
        matches!(self.magnitude, Magnitude::Finite { .. })
    }

    /// The sum rounded to 64 bits; `None` is NaN (infinities of opposite signs).
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let ((a, a_exp), (b, b_exp)) = match (self.magnitude, other.magnitude) {
            (Magnitude::Infinite, Magnitude::Infinite) => {
                return (self.negative == other.negative).then_some(self);
            }
            (Magnitude::Infinite, _) => return Some(self),
            (_, Magnitude::Infinite) => return Some(other),
            (
                Magnitude::Finite { mantissa: a, exponent: a_exp },
                Magnitude::Finite { mantissa: b, exponent: b_exp },
            ) => ((a, a_exp), (b, b_exp)),
        };
        if a == 0 && b == 0 {
            return Some(Self { negative: self.negative && other.negative, ..self });
        }
        if a == 0 {
            return Some(other);
        }
        if b == 0 {
            return Some(self);
        }
        let (high, low) = {
            let x = (normalized(a, a_exp), self.negative);
            let y = (normalized(b, b_exp), other.negative);
            let key = |((mantissa, exponent), _): ((u128, i32), bool)| (exponent, mantissa);
            if key(x) >= key(y) { (x, y) } else { (y, x) }
        };
        let ((high_mantissa, exponent), negative) = high;
        let ((low_mantissa, low_exponent), low_negative) = low;
        let aligned = shift_right_sticky(low_mantissa, exponent.abs_diff(low_exponent));
        let mantissa =
            if negative == low_negative { high_mantissa + aligned } else { high_mantissa - aligned };
        if mantissa == 0 {
            return Some(Self::ZERO);
        }
        let magnitude = match round(Binary { mantissa, exponent }) {
            Some((mantissa, exponent)) => Magnitude::Finite { mantissa, exponent },
            None => Magnitude::Infinite,
        };
        Some(Self { negative, magnitude })
    }

    /// A thousand times the number, rounded to 64 bits and then up to an integer; the nearest there is, where it is beyond
    /// 64-bit integers.
    pub fn thousandfold_rounded_up(&self) -> i64 {
        let beyond = if self.negative { i64::MIN } else { i64::MAX };
        let Magnitude::Finite { mantissa, exponent } = self.magnitude else { return beyond };
        let Some((mantissa, exponent)) = round(Binary { mantissa: u128::from(mantissa) * 1000, exponent })
        else {
            return beyond;
        };
        let (down, was_cut) = if exponent >= 0 {
            // A mantissa of 64 bits, shifted by as many: beyond, as it would be by more.
            (u128::from(mantissa) << exponent.min(64), false)
        } else {
            let cut_bits = exponent.unsigned_abs();
            let down = mantissa.checked_shr(cut_bits).unwrap_or(0);
            (u128::from(down), mantissa.trailing_zeros() < cut_bits && mantissa != 0)
        };
        match i64::try_from(down) {
            Ok(down) if self.negative => -down,
            Ok(down) => down.saturating_add(i64::from(was_cut)),
            Err(_) => beyond,
        }
    }

    /// Appends the number as C's `%.17Lf` with trailing zeros (and a bare point) cut, and `-0` as `0`.
    pub fn format(&self, out: &mut Vec<u8>) {
        let (mantissa, exponent) = match self.magnitude {
            Magnitude::Infinite => {
                return out.extend_from_slice(if self.negative { b"-inf" } else { b"inf" });
            }
            Magnitude::Finite { mantissa, exponent } => (mantissa, exponent),
        };
        let (digits, has_fraction) = if exponent >= 0 {
            (integer_digits(mantissa, exponent.unsigned_abs()), false)
        } else {
            (scaled_digits(mantissa, exponent.unsigned_abs()), true)
        };
        let text = if has_fraction { point_and_trim(&digits) } else { digits };
        if self.negative && text != "0" {
            out.push(b'-');
        }
        out.extend_from_slice(text.as_bytes());
    }
}

/// The mantissa with its top bit at bit 125: 62 guard bits below, room for one carry above.
fn normalized(mantissa: u64, exponent: i32) -> (u128, i32) {
    let shift = mantissa.leading_zeros();
    (u128::from(mantissa << shift) << 62, exponent - shift as i32 - 62)
}

fn round(exact: Binary) -> Option<(u64, i32)> {
    round_binary(exact, PRECISION, MIN_EXPONENT, MAX_TOP)
}

fn integer_digits(mantissa: u64, exponent: u32) -> String {
    if exponent <= 64 {
        (u128::from(mantissa) << exponent).to_string()
    } else {
        (BigUint::from(mantissa) << exponent).to_string()
    }
}

/// `mantissa / 2^shift * 10^17`, rounded half to even, in decimal. The product fits in 121 bits.
fn scaled_digits(mantissa: u64, shift: u32) -> String {
    let scaled = u128::from(mantissa) * 100_000_000_000_000_000;
    if shift >= 128 {
        return "0".to_owned();
    }
    let (quotient, rest) = (scaled >> shift, scaled & ((1 << shift) - 1));
    let half = 1u128 << (shift - 1);
    let up = rest > half || (rest == half && quotient & 1 == 1);
    (quotient + u128::from(up)).to_string()
}

/// Puts the point before the last 17 digits and cuts trailing zeros.
fn point_and_trim(digits: &str) -> String {
    let padded = format!("{digits:0>18}");
    let (integer, fraction) = padded.split_at(padded.len() - 17);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { integer.to_owned() } else { format!("{integer}.{fraction}") }
}

/// An exact (or sticky) binary number: `mantissa * 2^exponent`. When low bits were lost, bit 0 is set in their
/// stead, which rounds the same as long as the mantissa has a few bits more than the target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binary {
    pub(crate) mantissa: u128,
    pub(crate) exponent: i32,
}

/// Shifts right and keeps in bit 0 whether any bit was lost.
fn shift_right_sticky(value: u128, shift: u32) -> u128 {
    if shift == 0 {
        return value;
    }
    if shift >= 128 {
        return u128::from(value != 0);
    }
    (value >> shift) | u128::from(value & ((1 << shift) - 1) != 0)
}

/// Rounds to `precision` bits (at most 64), half to even, with subnormals at `2^min_exponent`. `None` when the result
/// reaches `2^max_top`.
pub(crate) fn round_binary(
    exact: Binary,
    precision: u32,
    min_exponent: i32,
    max_top: i32,
) -> Option<(u64, i32)> {
    let Binary { mantissa, exponent } = exact;
    if mantissa == 0 {
        return Some((0, 0));
    }
    let bits = 128 - mantissa.leading_zeros();
    let target = exponent.saturating_add(bits as i32 - precision as i32).max(min_exponent);
    let (mut rounded, mut exponent) = if target <= exponent {
        // Fits as it is.
        (mantissa, exponent)
    } else {
        let shift = target.abs_diff(exponent);
        let kept = if shift >= 128 { 0 } else { mantissa >> shift };
        // What was cut, scaled so that its top bit means one half.
        let cut = match shift {
            1..=127 => mantissa << (128 - shift),
            128 => mantissa,
            _ => 1,
        };
        let up = cut > 1 << 127 || (cut == 1 << 127 && kept & 1 == 1);
        (kept + u128::from(up), target)
    };
    if rounded >> precision != 0 {
        rounded >>= 1; // the carry left a power of two, nothing is lost
        exponent += 1;
    }
    if rounded == 0 {
        return Some((0, 0));
    }
    let top = exponent.saturating_add(128 - rounded.leading_zeros() as i32);
    (top <= max_top).then_some((rounded as u64, exponent))
}

/// The parts of a decimal float whose grammar has been checked.
pub(crate) struct DecimalText<'a> {
    pub(crate) integer: &'a [u8],
    pub(crate) fraction: &'a [u8],
    /// Power of ten, saturated far outside any float's range.
    pub(crate) exponent: i64,
}

/// Splits `digits[.digits][e[±]digits]` with at least one mantissa digit; `None` for anything else.
pub(crate) fn scan_decimal(body: &[u8]) -> Option<DecimalText<'_>> {
    let (integer, rest) = split_while(body, u8::is_ascii_digit);
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', rest)) => split_while(rest, u8::is_ascii_digit),
        _ => (&[][..], rest),
    };
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent = match rest.split_first() {
        None => 0,
        Some((b'e' | b'E', digits)) => scan_exponent(digits)?,
        Some(_) => return None,
    };
    Some(DecimalText { integer, fraction, exponent })
}

/// A signed decimal exponent that is the whole text, saturating.
fn scan_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0i64, |v, d| (v * 10 + i64::from(d - b'0')).min(1 << 30));
    Some(if negative { -magnitude } else { magnitude })
}

fn split_while(text: &[u8], wanted: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|b| !wanted(b)).unwrap_or(text.len()))
}

/// Reads `0x…[.…][p[±]digits]`; `None` when it is not a whole hex float.
pub(crate) fn scan_hex(body: &[u8]) -> Option<Binary> {
    let rest = body.strip_prefix(b"0x").or_else(|| body.strip_prefix(b"0X"))?;
    let (integer, rest) = split_while(rest, u8::is_ascii_hexdigit);
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', rest)) => split_while(rest, u8::is_ascii_hexdigit),
        _ => (&[][..], rest),
    };
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let power = match rest.split_first() {
        None => 0,
        Some((b'p' | b'P', digits)) => scan_exponent(digits)?,
        Some(_) => return None,
    };
    let mut mantissa = 0u128;
    let mut exponent = power.saturating_sub(4 * fraction.len() as i64);
    for digit in integer.iter().chain(fraction) {
        let value = char::from(*digit).to_digit(16)?;
        if mantissa >> 120 == 0 {
            mantissa = (mantissa << 4) | u128::from(value);
        } else {
            mantissa |= u128::from(value != 0);
            exponent = exponent.saturating_add(4);
        }
    }
    let exponent = exponent.clamp(-(1 << 30), 1 << 30) as i32;
    Some(Binary { mantissa, exponent })
}

/// The binary value (with at least 66 bits, or exact) of a decimal, and whether it is zero; `None` when it
/// is beyond the range of a long double on either side.
fn binary_from_decimal(decimal: &DecimalText<'_>) -> Option<(Binary, bool)> {
    let digits: Vec<u8> = decimal.integer.iter().chain(decimal.fraction).copied().collect();
    let leading = digits.iter().position(|&d| d != b'0');
    let trailing = digits.iter().rposition(|&d| d != b'0');
    let (Some(first), Some(last)) = (leading, trailing) else {
        return Some((Binary { mantissa: 0, exponent: 0 }, true));
    };
    let significant = &digits[first..=last];
    let power = decimal.exponent - decimal.fraction.len() as i64 + (digits.len() - 1 - last) as i64;
    // Position of the first digit: beyond these the value is infinite or rounds to zero.
    let top = power + significant.len() as i64;
    if !(-4970..=4940).contains(&top) {
        return None;
    }
    let exact = if significant.len() <= 19 && (-18..=18).contains(&power) {
        small_decimal(significant, power as i32)
    } else {
        big_decimal(significant, power as i32)?
    };
    Some((exact, false))
}

/// At most 19 digits and 18 powers of ten: 128-bit arithmetic does.
fn small_decimal(digits: &[u8], power: i32) -> Binary {
    let value = digits.iter().fold(0u64, |v, d| v * 10 + u64::from(d - b'0'));
    let ten = 10u128.pow(power.unsigned_abs());
    if power >= 0 {
        return Binary { mantissa: u128::from(value) * ten, exponent: 0 };
    }
    // The numerator has 128 bits and the divisor at most 60, so the quotient keeps 68 or more.
    let shift = u128::from(value).leading_zeros();
    let numerator = u128::from(value) << shift;
    let quotient = (numerator / ten) | u128::from(numerator % ten != 0);
    Binary { mantissa: quotient, exponent: -(shift as i32) }
}

fn big_decimal(digits: &[u8], power: i32) -> Option<Binary> {
    let value = BigUint::parse_bytes(digits, 10)?;
    let ten = BigUint::from(10u32).pow(power.unsigned_abs());
    if power >= 0 {
        return top_bits(&(value * ten), 0, false);
    }
    // Enough extra bits that the quotient has at least 100.
    let shift = (ten.bits() + 100).saturating_sub(value.bits());
    let numerator = value << shift;
    let quotient = &numerator / &ten;
    let inexact = &quotient * &ten != numerator;
    top_bits(&quotient, -i32::try_from(shift).ok()?, inexact)
}

/// The top 120 bits of a big number, sticky.
fn top_bits(value: &BigUint, exponent: i32, inexact: bool) -> Option<Binary> {
    let drop = value.bits().saturating_sub(120);
    let top = value >> drop;
    let sticky = inexact || value.trailing_zeros().is_some_and(|zeros| zeros < drop);
    let mantissa = u128::try_from(&top).ok()? | u128::from(sticky);
    Some(Binary { mantissa, exponent: exponent.saturating_add(i32::try_from(drop).ok()?) })
}

#[cfg(test)]
#[path = "long_double_tests.rs"]
mod tests;
