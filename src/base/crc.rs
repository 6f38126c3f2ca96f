//! CRC64 as RDB, DUMP and AOF checksums use it: Jones polynomial, reflected, initial value and final xor 0.

use crc_fast::{CrcAlgorithm, Digest};

/// From this many bytes on the carry-less-multiply implementation is the faster one.
const BULK_BYTES: usize = 64;

/// Continues a CRC64 over `bytes`. Start with state 0; the state after each call is the checksum so far, so
/// `crc64(crc64(0, a), b)` equals `crc64(0, ab)`.
#[inline]
pub fn crc64(state: u64, bytes: &[u8]) -> u64 {
    if bytes.len() < BULK_BYTES { ::crc64::crc64(state, bytes) } else { bulk(state, bytes) }
}

/// The checksum of `ab`, of the checksum of `a` and of `b` each taken by itself from state 0.
///
/// The bytes of `b` multiply the checksum of `a` by a power of x, which a few products of powers in a table make; to go
/// by matrices, as `crc_fast` does, takes a hundred times as long, which shows when parts are many.
pub fn crc64_joined(a: u64, b: u64, b_bytes: u64) -> u64 {
    let (mut moved, mut left) = (a, b_bytes);
    while left != 0 {
        let bit = left.trailing_zeros();
        moved = times(moved, BYTE_POWERS[bit as usize]);
        left &= left - 1;
    }
    moved ^ b
}

/// The polynomial without its highest term. The bits of all polynomials here are reflected: the highest bit is x^0.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// x^8, x^16, x^32, ...: what 1, 2, 4, ... bytes multiply a checksum by.
static BYTE_POWERS: [u64; 64] = {
    let mut powers = [1 << 55; 64];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = times(powers[at - 1], powers[at - 1]);
        at += 1;
    }
    powers
};

/// The product of two polynomials, modulo the checksum's.
const fn times(a: u64, mut b: u64) -> u64 {
    let (mut product, mut left) = (0, a);
    while left != 0 {
        if left >> 63 == 1 {
            product ^= b;
        }
        left <<= 1;
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
    }
    product
}

fn bulk(state: u64, bytes: &[u8]) -> u64 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc64Redis, state);
    digest.update(bytes);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;

    #[test]
    fn check_value() {
        assert_eq!(crc64(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(bulk(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(0, b""), 0);
    }

    #[test]
    fn every_split_agrees_with_the_oracle() {
        let mut rng = Rng::from_seed(7);
        let data: Vec<u8> = (0..700).map(|_| rng.next_u64() as u8).collect();
        let whole = ::crc64::crc64(0, &data);
        for split in 0..=data.len() {
            let (a, b) = data.split_at(split);
            assert_eq!(crc64(crc64(0, a), b), whole, "split at {split}");
            assert_eq!(bulk(bulk(0, a), b), whole, "bulk split at {split}");
            assert_eq!(crc64_joined(crc64(0, a), crc64(0, b), b.len() as u64), whole, "joined at {split}");
            assert_eq!(crc64(0, a), ::crc64::crc64(0, a), "prefix of {split}");
        }
    }

    #[test]
    fn joining_agrees_with_the_crate_at_any_length() {
        let mut rng = Rng::from_seed(9);
        for bits in 0..64 {
            let (a, b) = (rng.next_u64(), rng.next_u64());
            for bytes in [1 << bits, (1 << bits) - 1, rng.next_u64() >> bits] {
                let oracle = crc_fast::checksum_combine(CrcAlgorithm::Crc64Redis, a, b, bytes);
                assert_eq!(crc64_joined(a, b, bytes), oracle, "{bytes} bytes");
            }
        }
    }

    #[test]
    fn many_small_pieces_and_nonzero_states() {
        let mut rng = Rng::from_seed(8);
        let data: Vec<u8> = (0..20_000).map(|_| rng.next_u64() as u8).collect();
        for _ in 0..50 {
            let seed = rng.next_u64();
            let (mut state, mut pos) = (seed, 0);
            while pos < data.len() {
                let n = (rng.below(900) as usize + 1).min(data.len() - pos);
                state = crc64(state, &data[pos..pos + n]);
                pos += n;
            }
            assert_eq!(state, ::crc64::crc64(seed, &data));
        }
    }
}
