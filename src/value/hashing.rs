//! The one hash function of keys, members and fields.

use ahash::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

/// Clients choose the keys, so the seed is drawn once a process, from the system's randomness.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Hashes `bytes` with this process's seed; all 64 bits are well mixed. Never stored, never sent.
#[inline]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = SEED.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_is_mixed() {
        let n = 4096u32;
        let mut ones = [0u32; 64];
        for i in 0..n {
            let hash = hash_bytes(format!("key:{i}").as_bytes());
            assert_eq!(hash, hash_bytes(format!("key:{i}").as_bytes()));
            ones.iter_mut().enumerate().for_each(|(bit, count)| *count += (hash >> bit & 1) as u32);
        }
        // Six standard deviations around one half.
        assert!(ones.iter().all(|count| count.abs_diff(n / 2) < 6 * 32), "{ones:?}");
    }

    #[test]
    fn lengths_are_told_apart() {
        let zeros = [0u8; 32];
        let hashes: std::collections::HashSet<u64> = (0..=32).map(|len| hash_bytes(&zeros[..len])).collect();
        assert_eq!(hashes.len(), 33);
    }
}
