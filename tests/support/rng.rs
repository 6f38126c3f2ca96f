//! Seeds of random tests: fixed by default, `OUTRIGGER_SEED=<number>` replays one, `OUTRIGGER_SEED=random` picks one.

use outrigger::base::random::Rng;

/// A generator whose seed is printed if the test panics while it lives.
pub struct Seeded {
    /// The generator.
    pub rng: Rng,
    /// What it was seeded with.
    pub seed: u64,
}

impl Seeded {
    /// Seeds with `OUTRIGGER_SEED`, else with `default`.
    pub fn new(default: u64) -> Seeded {
        let seed = match std::env::var("OUTRIGGER_SEED").as_deref() {
            Ok("random") => Rng::from_os().next_u64() >> 16,
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("OUTRIGGER_SEED={text} is no number")),
            Err(_) => default,
        };
        Seeded { rng: Rng::from_seed(seed), seed }
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with OUTRIGGER_SEED={}", self.seed);
        }
    }
}

/// Small conveniences over [`Rng`].
pub trait Pick {
    /// A number in `0..n` as an index.
    fn index(&mut self, n: usize) -> usize;
    /// One of the items.
    fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T;
    /// True in `percent` of 100 cases.
    fn percent(&mut self, percent: u64) -> bool;
    /// A number in `low..=high`.
    fn between(&mut self, low: i64, high: i64) -> i64;
}

impl Pick for Rng {
    fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }
    fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.index(items.len())]
    }
    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low) as u64 + 1) as i64
    }
}
