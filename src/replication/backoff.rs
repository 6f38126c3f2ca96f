//! Pauses between attempts that come to nothing one after the other.

use crate::base::random::Rng;

/// Counts failures in a row and tells how long to wait after each.
///
/// The first costs nothing, as links do drop now and then. From the second on the pause doubles up to the longest, and a half of
/// it is left to chance: many who failed at the same moment are not to come back at the same moment.
#[derive(Debug)]
pub struct Backoff {
    first_ms: u64,
    longest_ms: u64,
    failures: u32,
    rng: Rng,
}

impl Backoff {
    /// No failure yet. The pause after the second one is `first_ms` at most, any pause `longest_ms`.
    pub fn new(first_ms: u64, longest_ms: u64, rng: Rng) -> Backoff {
        Backoff { first_ms, longest_ms, failures: 0, rng }
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// One more has failed: the pause before the next, ms.
    pub fn failed(&mut self) -> u64 {
        self.failures = self.failures.saturating_add(1);
        let Some(doublings) = self.failures.checked_sub(2) else { return 0 };
        let factor = 1u64.checked_shl(doublings).unwrap_or(u64::MAX);
        let most_ms = self.first_ms.saturating_mul(factor).min(self.longest_ms);
        let least_ms = most_ms / 2;
        least_ms + self.rng.below(most_ms - least_ms + 1)
    }

    /// One has come to something: the count begins anew.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(seed: u64, count: usize) -> Vec<u64> {
        let mut backoff = Backoff::new(500, 30_000, Rng::from_seed(seed));
        (0..count).map(|_| backoff.failed()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        for seed in 0..50 {
            let pauses = pauses(seed, 100);
            assert_eq!(pauses[0], 0);
            for (at, pause) in pauses.iter().enumerate().skip(1) {
                let most = if at < 7 { 500 << (at - 1) } else { 30_000 };
                assert!((most / 2..=most).contains(pause), "{at}: {pause} ms of {most}");
            }
        }
    }

    #[test]
    fn no_two_come_back_at_the_same_moment() {
        let mut last: Vec<u64> = (0..20).map(|seed| pauses(seed, 8)[7]).collect();
        last.sort_unstable();
        last.dedup();
        assert!(last.len() > 15, "{last:?}");
    }

    #[test]
    fn what_comes_to_something_ends_the_row() {
        let mut backoff = Backoff::new(500, 30_000, Rng::from_seed(1));
        for _ in 0..5 {
            backoff.failed();
        }
        backoff.succeeded();
        assert_eq!((backoff.failures(), backoff.failed(), backoff.failures()), (0, 0, 1));
        assert!(backoff.failed() <= 500);
    }
}
