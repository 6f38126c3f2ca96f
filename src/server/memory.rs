//! The node's memory as sampled now and then: INFO memory, MEMORY STATS, eviction.

use crate::sys::memory::{self, AllocatorFigures};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often two figures that do not fit together are looked at again.
const LOOKS_MAX: usize = 4;

/// The last sample, and the most there ever was.
#[derive(Default)]
pub struct MemoryWatch {
    last: Mutex<AllocatorFigures>,
    peak_bytes: AtomicU64,
    startup_bytes: AtomicU64,
    not_counted_bytes: AtomicU64,
}

/// Figures of one moment, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryFigures {
    /// The allocator's figures.
    pub allocator: AllocatorFigures,
    /// The most that was ever allocated, as far as samples tell.
    pub peak: u64,
    /// What was allocated before any data was there.
    pub startup: u64,
    /// Resident.
    pub rss: u64,
}

impl MemoryWatch {
    /// Asks the allocator. A few microseconds to a millisecond.
    pub fn sample(&self) -> AllocatorFigures {
        let figures = memory::allocator_figures();
        self.peak_bytes.fetch_max(figures.allocated, Ordering::Relaxed);
        let _ =
            self.startup_bytes.compare_exchange(0, figures.allocated, Ordering::Relaxed, Ordering::Relaxed);
        *self.last.lock() = figures;
        figures
    }

    /// Asks the allocator and, for the same moment, how much of what is allocated does not count: other threads may free
    /// megabytes of it between the two looks, which are repeated then.
    pub fn sample_beside(&self, not_counted: impl Fn() -> u64) -> (AllocatorFigures, u64) {
        let mut before = not_counted();
        let mut figures = self.sample();
        for _ in 0..LOOKS_MAX {
            let after = not_counted();
            if after == std::mem::replace(&mut before, after) {
                break;
            }
            figures = self.sample();
        }
        self.not_counted_bytes.store(before, Ordering::Relaxed);
        (figures, before)
    }

    /// What did not count when that was last asked.
    pub fn last_not_counted(&self) -> u64 {
        self.not_counted_bytes.load(Ordering::Relaxed)
    }

    /// Fresh figures.
    pub fn figures(&self) -> MemoryFigures {
        self.sample();
        self.last_figures()
    }

    /// The figures of the last sample.
    pub fn last_figures(&self) -> MemoryFigures {
        let allocator = *self.last.lock();
        MemoryFigures {
            allocator,
            peak: self.peak_bytes.load(Ordering::Relaxed),
            startup: self.startup_bytes.load(Ordering::Relaxed),
            rss: memory::rss_bytes().unwrap_or(allocator.resident),
        }
    }

    /// Forgets the peak.
    pub fn reset_peak(&self) {
        self.peak_bytes.store(0, Ordering::Relaxed);
        self.sample();
    }
}

/// A number of bytes as people read it: `1.50M`.
pub fn human(bytes: u64) -> String {
    let units = [(1u64 << 50, "P"), (1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, letter)) => format!("{:.2}{letter}", bytes as f64 / *unit as f64),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_one_moment() {
        let (watch, looks) = (MemoryWatch::default(), std::cell::Cell::new(0));
        let changing_until = |last: u64| {
            looks.set(0);
            watch.sample_beside(|| {
                looks.set(looks.get() + 1);
                looks.get().min(last)
            })
        };
        assert_eq!((changing_until(1).1, looks.get()), (1, 2));
        assert_eq!((changing_until(3).1, looks.get()), (3, 4), "looked at until it stands still");
        assert_eq!((changing_until(100).1, looks.get()), (5, 5), "but not for ever");
        assert_eq!(watch.last_not_counted(), 5);
    }

    #[test]
    fn human_sizes() {
        let shown = [0, 1023, 1024, 1536 << 20, 3 << 50].map(human);
        assert_eq!(shown, ["0B", "1023B", "1.00K", "1.50G", "3.00P"]);
    }
}
