//! Strings as arrays of bits, the first bit being the highest of the first byte; a word at a time where it pays.

use std::ops::Range;

/// What BITOP does to its sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitOp {
    /// Set where all have it set.
    And,
    /// Set where any has.
    Or,
    /// Set where an odd number has.
    Xor,
    /// Set where the one source has not.
    Not,
}

/// Number of bits that are set.
pub fn count_ones(bytes: &[u8]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= 64 && std::arch::is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has the instruction.
        return unsafe { count_ones_popcnt(bytes) };
    }
    count_ones_in_words(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn count_ones_popcnt(bytes: &[u8]) -> u64 {
    count_ones_in_words(bytes)
}

#[inline(always)]
fn count_ones_in_words(bytes: &[u8]) -> u64 {
    let (groups, rest) = bytes.as_chunks::<32>();
    let mut sums = [0u64; 4];
    for group in groups {
        for (sum, word) in sums.iter_mut().zip(group.as_chunks::<8>().0) {
            *sum += u64::from(u64::from_ne_bytes(*word).count_ones());
        }
    }
    sums.iter().sum::<u64>() + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// Number of bits that are set among `bits`, which must lie within `bytes`.
pub fn count_ones_in(bytes: &[u8], bits: Range<u64>) -> u64 {
    if bits.is_empty() {
        return 0;
    }
    let (first, last) = (byte_of(bits.start), byte_of(bits.end - 1));
    let Some(touched) = bytes.get(first..=last) else { return 0 };
    let before = touched[0] & !(0xff >> (bits.start % 8));
    let behind = touched[last - first] & (0x7f >> ((bits.end - 1) % 8));
    count_ones(touched) - u64::from(before.count_ones() + behind.count_ones())
}

/// The first bit among `bits` (which must lie within `bytes`) that is `wanted`.
pub fn find(bytes: &[u8], wanted: bool, bits: Range<u64>) -> Option<u64> {
    if bits.is_empty() {
        return None;
    }
    let flip = if wanted { 0 } else { 0xff };
    let (first, last) = (byte_of(bits.start), byte_of(bits.end - 1));
    let touched = bytes.get(first..=last)?;
    let head = (touched[0] ^ flip) & (0xff >> (bits.start % 8));
    let found = if head != 0 {
        bits.start - bits.start % 8 + u64::from(head.leading_zeros())
    } else {
        let at = first + 1 + find_other(&touched[1..], flip)?;
        at as u64 * 8 + u64::from((bytes[at] ^ flip).leading_zeros())
    };
    (found < bits.end).then_some(found)
}

/// The first byte that is not `byte`.
fn find_other(bytes: &[u8], byte: u8) -> Option<usize> {
    let (groups, _) = bytes.as_chunks::<32>();
    let same = groups.iter().take_while(|group| **group == [byte; 32]).count() * 32;
    bytes[same..].iter().position(|other| *other != byte).map(|at| same + at)
}

fn byte_of(bit: u64) -> usize {
    usize::try_from(bit / 8).unwrap_or(usize::MAX)
}

/// Combines sources into one string as long as the longest; shorter ones count as padded with zero bits. NOT takes the
/// first source alone.
pub fn combine(op: BitOp, sources: &[&[u8]]) -> Vec<u8> {
    let Some((first, others)) = sources.split_first() else { return Vec::new() };
    if op == BitOp::Not {
        return first.iter().map(|byte| !byte).collect();
    }
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = Vec::with_capacity(len);
    result.extend_from_slice(first);
    result.resize(len, 0);
    for source in others {
        let pairs = result.iter_mut().zip(source.iter());
        match op {
            BitOp::And => {
                pairs.for_each(|(to, from)| *to &= from);
                result[source.len()..].fill(0);
            }
            BitOp::Or => pairs.for_each(|(to, from)| *to |= from),
            BitOp::Xor => pairs.for_each(|(to, from)| *to ^= from),
            BitOp::Not => {}
        }
    }
    result
}

/// One bit; those behind the end are clear.
pub fn bit(bytes: &[u8], at: u64) -> bool {
    bytes.get(byte_of(at)).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
}

/// Sets one bit, which must lie within `bytes`, and returns what it was.
pub fn set_bit(bytes: &mut [u8], at: u64, value: bool) -> bool {
    let Some(byte) = bytes.get_mut(byte_of(at)) else { return false };
    let mask = 1 << (7 - at % 8);
    let old = *byte & mask != 0;
    *byte = if value { *byte | mask } else { *byte & !mask };
    old
}

/// Bytes that a field of 64 bits may touch.
const FIELD_BYTES: usize = 9;

/// The bytes that hold a field that starts in this byte, as far as they are there.
fn window(bytes: &[u8], first: usize) -> u128 {
    let mut window = [0; 16];
    let there = bytes.get(first..).unwrap_or_default();
    let there = &there[..there.len().min(FIELD_BYTES)];
    window[..there.len()].copy_from_slice(there);
    u128::from_be_bytes(window)
}

/// The unsigned integer of `width` (1 to 64) bits from bit `at` on, highest bit first; bits behind the end are clear.
pub fn field(bytes: &[u8], at: u64, width: u32) -> u64 {
    let word = window(bytes, byte_of(at)) << (at % 8);
    (word >> (128 - width)) as u64
}

/// Writes the lowest `width` (1 to 64) bits of `value` to bit `at` and on; what lies behind the end is lost.
pub fn set_field(bytes: &mut [u8], at: u64, width: u32, value: u64) {
    let first = byte_of(at);
    let shift = 128 - width - (at % 8) as u32;
    let mask = (u128::MAX >> (128 - width)) << shift;
    let word = window(bytes, first) & !mask | u128::from(value) << shift & mask;
    let there = bytes.get_mut(first..).unwrap_or_default();
    let there_len = there.len().min(FIELD_BYTES);
    there[..there_len].copy_from_slice(&word.to_be_bytes()[..there_len]);
}

/// The signed integer that the lowest `width` (1 to 64) bits are in two's complement.
pub fn sign_extended(value: u64, width: u32) -> i64 {
    let unused = 64 - width;
    (value << unused) as i64 >> unused
}

#[cfg(test)]
#[path = "bits_tests.rs"]
mod tests;
