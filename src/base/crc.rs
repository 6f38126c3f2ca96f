//! CRC64 as RDB, DUMP and AOF checksums use it: Jones polynomial, reflected, initial value and final xor 0.

use crc_fast::{CrcAlgorithm, Digest, checksum_combine};

/// From this many bytes on the carry-less-multiply implementation is the faster one.
const BULK_BYTES: usize = 64;

/// Continues a CRC64 over `bytes`. Start with state 0; the state after each call is the checksum so far, so
/// `crc64(crc64(0, a), b)` equals `crc64(0, ab)`.
#[inline]
pub fn crc64(state: u64, bytes: &[u8]) -> u64 {
    if bytes.len() < BULK_BYTES { ::crc64::crc64(state, bytes) } else { bulk(state, bytes) }
}

/// The checksum of `ab`, of the checksum of `a` and of `b` each taken by itself from state 0.
pub fn crc64_joined(a: u64, b: u64, b_bytes: u64) -> u64 {
    checksum_combine(CrcAlgorithm::Crc64Redis, a, b, b_bytes)
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
