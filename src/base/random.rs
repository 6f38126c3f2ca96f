//! A small fast generator for sampling, jitter and identifiers. Not for secrets: it is predictable from its output.

use std::hash::{BuildHasher, RandomState};

/// xoshiro256++: 32 bytes of state, about a nanosecond a number.
#[derive(Debug, Clone)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A generator that yields the same sequence for the same seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut x = seed;
        Self { state: std::array::from_fn(|_| split_mix(&mut x)) }
    }

    /// A generator seeded from the operating system's randomness (through the keys of the std hasher).
    pub fn from_os() -> Self {
        let keyed = RandomState::new();
        let mut state = std::array::from_fn(|i| keyed.hash_one(i));
        if state == [0; 4] {
            state[0] = 1; // the one state the generator cannot leave
        }
        Self { state }
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number in `0..n`, without bias; 0 when `n` is 0.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        // Multiply-shift with rejection of the few low products that would favour some results.
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            let low = product as u64;
            if low >= n || low >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }

    /// A float in `0.0..1.0` with 53 random bits.
    #[inline]
    pub fn unit_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `len` lowercase hex digits; run ids and lineages take 40.
    pub fn hex(&mut self, len: usize) -> String {
        let mut text = String::with_capacity(len);
        while text.len() < len {
            let bits = self.next_u64();
            let take = (len - text.len()).min(16);
            text.extend((0..take).filter_map(|i| char::from_digit((bits >> (4 * i)) as u32 & 15, 16)));
        }
        text
    }
}

fn split_mix(x: &mut u64) -> u64 {
    *x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *x;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers() {
        let (mut a, mut b, mut c) = (Rng::from_seed(1), Rng::from_seed(1), Rng::from_seed(2));
        let first: Vec<u64> = (0..100).map(|_| a.next_u64()).collect();
        assert!(first.iter().all(|&x| x == b.next_u64()));
        assert_ne!(first[0], c.next_u64());
    }

    #[test]
    fn os_seeds_differ() {
        assert_ne!(Rng::from_os().next_u64(), Rng::from_os().next_u64());
    }

    #[test]
    fn below_covers_the_range_evenly() {
        let mut rng = Rng::from_seed(3);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|&c| (9_500..10_500).contains(&c)), "{counts:?}");
        assert_eq!((rng.below(0), rng.below(1)), (0, 0));
        assert!(rng.below(u64::MAX) < u64::MAX);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&rng.unit_f64())));
    }

    #[test]
    fn hex_ids() {
        let mut rng = Rng::from_seed(4);
        let id = rng.hex(40);
        assert_eq!(id.len(), 40);
        assert!(id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        assert_ne!(id, rng.hex(40));
        assert_eq!(rng.hex(0), "");
    }
}
