//! How often a command took how long: counts by ranges of durations, as LATENCY HISTOGRAM and INFO latencystats show them.
//!
//! The ranges are those of an HDR histogram of two digits, so that the figures are the ones Redis would give: below 256 ns
//! one a nanosecond, from there on 128 an octave.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Ranges in an octave.
const OCTAVE_RANGES: usize = 128;
/// The same as a power of two.
const OCTAVE_BITS: u32 = OCTAVE_RANGES.trailing_zeros();
/// Octaves that there are counts for: up to 2^30 ns.
const OCTAVES: usize = 24;
/// What takes longer, in nanoseconds, counts as taking so long.
const LONGEST_NS: u64 = 1_000_000_000;
/// The first step of the cumulative counts, in nanoseconds; each further one is twice as long.
const FIRST_STEP_NS: u64 = 1024;

/// The range that a duration lies in.
#[inline]
fn range_of(ns: u64) -> usize {
    let ns = ns.clamp(1, LONGEST_NS);
    let octave = (ns | OCTAVE_RANGES as u64).ilog2() - OCTAVE_BITS;
    ((octave as usize) << OCTAVE_BITS) + (ns >> octave) as usize
}

/// The shortest and the longest duration of a range, in nanoseconds.
fn bounds(range: usize) -> (u64, u64) {
    let octave = (range >> OCTAVE_BITS).max(1) - 1;
    let least = ((range - (octave << OCTAVE_BITS)) as u64) << octave;
    (least, least + (1 << octave) - 1)
}

/// Counts that one thread makes and any may read. An octave takes memory when the first duration falls into it.
#[derive(Default)]
pub(super) struct Histogram {
    octaves: [OnceLock<Box<[AtomicU64; OCTAVE_RANGES]>>; OCTAVES],
}

impl Histogram {
    /// Counts a duration. Only the thread whose counts these are may call it.
    #[inline]
    pub(super) fn count(&self, ns: u64) {
        let range = range_of(ns);
        let Some(octave) = self.octaves.get(range >> OCTAVE_BITS) else { return };
        let counts = octave.get_or_init(|| Box::new([const { AtomicU64::new(0) }; OCTAVE_RANGES]));
        super::bump(&counts[range % OCTAVE_RANGES], 1);
    }

    /// Adds the counts to `sum`.
    pub(super) fn add_to(&self, sum: &mut Distribution) {
        for (octave, counts) in self.octaves.iter().enumerate() {
            let Some(counts) = counts.get() else { continue };
            for (at, count) in counts.iter().enumerate() {
                sum.add(octave * OCTAVE_RANGES + at, count.load(Ordering::Relaxed));
            }
        }
    }
}

/// The durations of a command's calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Counts by range, as far as there is one that is not zero.
    counts: Vec<u64>,
}

impl Distribution {
    fn add(&mut self, range: usize, count: u64) {
        if count == 0 {
            return;
        }
        if self.counts.len() <= range {
            self.counts.resize(range + 1, 0);
        }
        self.counts[range] += count;
    }

    /// Takes out what had been counted at an earlier time.
    pub(super) fn subtract(&mut self, earlier: &Distribution) {
        for (now, then) in self.counts.iter_mut().zip(&earlier.counts) {
            *now = now.saturating_sub(*then);
        }
    }

    /// Number of calls.
    pub fn calls(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Pairs of a duration in microseconds and the number of calls that took no longer; the durations double from about one to
    /// the next, and those that add no call are left out.
    pub fn cumulative_us(&self) -> Vec<(u64, u64)> {
        let (mut pairs, mut sum, mut told, mut step) = (Vec::new(), 0, 0, FIRST_STEP_NS);
        let mut counts = self.counts.iter();
        for range in 0..OCTAVES * OCTAVE_RANGES {
            sum += counts.next().copied().unwrap_or(0);
            let (least, greatest) = bounds(range);
            let is_last = range + 1 == OCTAVES * OCTAVE_RANGES;
            if least < step && !is_last {
                continue;
            }
            step *= 2;
            if sum > told {
                pairs.push((greatest / 1000, sum));
                told = sum;
            }
        }
        pairs
    }

    /// The duration, in nanoseconds, that so many percent of the calls did not exceed, as exactly as it is known.
    pub fn percentile_ns(&self, percent: f64) -> u64 {
        let wanted = (percent.min(100.0) / 100.0 * self.calls() as f64 + 0.5) as u64;
        let mut sum = 0;
        let mut ranges = self.counts.iter().enumerate();
        let found = ranges.find(|(_, count)| {
            sum += **count;
            sum >= wanted.max(1)
        });
        let (least, greatest) = found.map_or((0, 0), |(range, _)| bounds(range));
        if percent == 0.0 { least } else { greatest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(durations_ns: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        durations_ns.iter().for_each(|ns| histogram.count(*ns));
        let mut sum = Distribution::default();
        histogram.add_to(&mut sum);
        sum
    }

    #[test]
    fn ranges_lie_side_by_side_and_are_narrow() {
        let mut next = 0;
        for range in 0..OCTAVES * OCTAVE_RANGES {
            let (least, greatest) = bounds(range);
            assert_eq!(least, next);
            if (1..=LONGEST_NS).contains(&least) && greatest <= LONGEST_NS {
                assert_eq!((range_of(least), range_of(greatest)), (range, range));
            }
            assert!(greatest - least <= least / 128);
            next = greatest + 1;
        }
        assert_eq!(next, 1 << 30);
        assert_eq!(range_of(0), range_of(1));
        assert_eq!(range_of(u64::MAX), range_of(LONGEST_NS));
    }

    /// What a stock server tells of such durations.
    #[test]
    fn figures_are_those_of_redis() {
        let calls = of(&[10_000, 10_000, 21_000, 60_000, 600_000_000, 1_200_000_000]);
        let text = |percent: f64| {
            format!("{:.3}", of(&[10_000, 10_000, 21_000]).percentile_ns(percent) as f64 / 1e3)
        };
        assert_eq!([text(0.0), text(50.0), text(99.0)], ["9.984", "10.047", "21.119"]);
        assert_eq!(calls.percentile_ns(100.0), 1_002_438_655);
        assert_eq!(calls.percentile_ns(80.0), 603_979_775);
        assert_eq!(calls.cumulative_us(), [(16, 2), (33, 3), (66, 4), (1_073_741, 6)]);
        assert_eq!(of(&[0, 1_000, 1_031, 1_032, 2_000]).cumulative_us(), [(1, 3), (2, 5)]);
        let all: Vec<u64> = (0..20).map(|step| 1000 << step).collect();
        let steps: Vec<u64> = of(&all).cumulative_us().into_iter().map(|(us, _)| us).collect();
        assert_eq!(steps[..12], [1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1056, 2113]);
        assert_eq!(steps[12..], [4227, 8454, 16_908, 33_816, 67_633, 135_266, 270_532, 541_065]);
        assert_eq!(of(&all).calls(), 20);
    }

    #[test]
    fn what_was_before_is_taken_out() {
        let mut now = of(&[5, 5, 700, 1 << 20]);
        now.subtract(&of(&[5, 700]));
        assert_eq!((now.calls(), now.percentile_ns(1.0)), (2, 5));
        assert_eq!(now.cumulative_us(), [(1, 1), (1056, 2)]);
        assert_eq!((of(&[]).calls(), of(&[]).percentile_ns(50.0)), (0, 0));
    }
}
