//! Passwords: kept as the SHA-256 of what was given, compared without telling where two differ.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Digits of a password's hash.
const HASH_DIGITS: usize = 64;

/// A password's SHA-256 in lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hash(pub [u8; HASH_DIGITS]);

impl Hash {
    /// The hash of a password.
    pub fn of(password: &[u8]) -> Hash {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; HASH_DIGITS];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(Sha256::digest(password)) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        Hash(digits)
    }

    /// A hash as it was written down, if it is one.
    pub fn written(text: &[u8]) -> Option<Hash> {
        let digits: [u8; HASH_DIGITS] = text.try_into().ok()?;
        digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).then_some(Hash(digits))
    }

    /// Compares in a time that does not depend on the digits.
    pub fn is(&self, other: &Hash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standard() {
        let abc = b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(Hash::of(b"abc").is(&Hash::written(abc).expect("64 digits")));
        assert!(!Hash::of(b"abd").is(&Hash(*abc)));
        let upper = abc.to_ascii_uppercase();
        let not_hex = [&abc[..63], b"g"].concat();
        for wrong in [&abc[..63], &upper, &not_hex, b""] {
            assert!(Hash::written(wrong).is_none());
        }
    }
}
