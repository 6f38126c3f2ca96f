//! Finding out in bounded memory whether all members of a collection differ.

use crate::base::num::parse_i64;
use crate::value::{Element, hash_bytes};

/// Hashes held at once: 64 MiB of them.
const MOST_HASHES: usize = 8 << 20;

/// The hash of a member. Equal members have equal ones, however they are stored.
#[inline]
pub(super) fn hash_of(element: Element<'_>) -> u64 {
    let int = match element {
        Element::Int(int) => Some(int),
        Element::Bytes(bytes @ [b'0'..=b'9' | b'-', ..]) => parse_i64(bytes),
        Element::Bytes(_) => None,
    };
    match (int, element) {
        // The finalizer of splitmix64: every bit of the number reaches every bit of the hash, and no two numbers meet.
        (Some(int), _) => {
            let mut mixed = (int as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }
        (None, Element::Bytes(bytes)) => hash_bytes(bytes),
        (None, Element::Int(_)) => 0,
    }
}

/// Whether all of these differ. Leaves them in another order.
pub(super) fn all_differ(hashes: &mut [u64]) -> bool {
    hashes.sort_unstable();
    hashes.windows(2).all(|pair| pair[0] != pair[1])
}

/// Takes the hashes of members that are walked over and over, each time those of a range, so that no more are held than a
/// bound.
pub(super) struct Sieve {
    hashes: Vec<u64>,
    /// How many are held at once.
    most: usize,
    /// The range of this walk, both ends in it.
    from: u64,
    to: u64,
}

impl Default for Sieve {
    fn default() -> Sieve {
        Sieve { hashes: Vec::new(), most: MOST_HASHES, from: 0, to: u64::MAX }
    }
}

impl Sieve {
    /// Before the first walk.
    pub(super) fn begin(&mut self) {
        self.hashes.clear();
        (self.from, self.to) = (0, u64::MAX);
    }

    #[inline]
    pub(super) fn push(&mut self, hash: u64) {
        if hash >= self.from && hash <= self.to {
            self.hashes.push(hash);
            if self.hashes.len() >= self.most {
                self.narrow();
            }
        }
    }

    /// Leaves the upper half of the range to a later walk.
    #[cold]
    fn narrow(&mut self) {
        while self.hashes.len() >= self.most / 2 && self.from < self.to {
            self.to = self.from + (self.to - self.from) / 2;
            let to = self.to;
            self.hashes.retain(|hash| *hash <= to);
        }
    }

    /// After a walk: those hashes that came more than once in it, sorted. They stay until [`Sieve::next_walk`].
    pub(super) fn twice(&mut self) -> Vec<u64> {
        self.hashes.sort_unstable();
        let mut twice: Vec<u64> =
            self.hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        twice.dedup();
        twice
    }

    /// Whether another walk is needed, which is then prepared for.
    pub(super) fn next_walk(&mut self) -> bool {
        self.hashes.clear();
        if self.hashes.capacity() > super::IDLE_BUFFER_BYTES / size_of::<u64>() {
            self.hashes = Vec::new();
        }
        let is_left = self.to < u64::MAX;
        if is_left {
            (self.from, self.to) = (self.to + 1, u64::MAX);
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_hash_however_it_is_stored() {
        for int in [0, 7, -7, i64::MAX, i64::MIN] {
            assert_eq!(hash_of(Element::Int(int)), hash_of(Element::Bytes(int.to_string().as_bytes())));
        }
        for text in ["07", "-", "-0", "+7", "7 ", "", "9223372036854775808"] {
            assert_eq!(hash_of(Element::Bytes(text.as_bytes())), hash_bytes(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn more_than_fits_takes_more_walks_and_none_is_missed() {
        const MOST: usize = 1_000;
        let count = MOST as u64 * 20 + 13;
        let mut sieve = Sieve { most: MOST, ..Sieve::default() };
        let (mut walks, mut seen, mut twice) = (0, 0, Vec::new());
        sieve.begin();
        loop {
            walks += 1;
            for n in 0..count {
                sieve.push(hash_of(Element::Int(n as i64)));
                assert!(sieve.hashes.len() <= MOST);
            }
            sieve.push(hash_of(Element::Int(12_345)));
            seen += sieve.hashes.len() as u64;
            twice.append(&mut sieve.twice());
            if !sieve.next_walk() {
                break;
            }
        }
        assert_eq!((seen, twice), (count + 1, vec![hash_of(Element::Int(12_345))]));
        assert!(walks > 20, "{walks}");
    }
}
