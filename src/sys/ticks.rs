//! The cheapest clock there is: the processor's own counter, for durations that are measured at every command.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Fractional bits of [`RATE`].
const RATE_BITS: u32 = 24;
/// How long the first, rough measurement of the rate takes.
const FIRST_LOOK: Duration = Duration::from_millis(1);

/// Nanoseconds a tick, in units of 2^-24.
static RATE: AtomicU64 = AtomicU64::new(0);
static BEGUN: OnceLock<(Instant, u64)> = OnceLock::new();

/// The counter now. It rises steadily and alike on all processors of a machine that Linux trusts to keep time by it.
#[inline]
pub fn now() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has the instruction, and it touches no memory.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}

/// Measures how long a tick is against the system's clock. The first call takes a millisecond; later ones are quick and
/// the more exact the longer ago the first was.
pub fn calibrate() {
    let (begun, first) = *BEGUN.get_or_init(|| {
        let begun = (Instant::now(), now());
        std::thread::sleep(FIRST_LOOK);
        begun
    });
    let nanos = begun.elapsed().as_nanos();
    let ticks = u128::from(now().saturating_sub(first));
    if let Some(rate) = (nanos << RATE_BITS).checked_div(ticks) {
        RATE.store(u64::try_from(rate).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }
}

fn rate() -> u64 {
    match RATE.load(Ordering::Relaxed) {
        0 => {
            calibrate();
            RATE.load(Ordering::Relaxed).max(1)
        }
        rate => rate,
    }
}

/// A number of ticks in nanoseconds.
pub fn to_ns(ticks: u64) -> u64 {
    let ns = (u128::from(ticks) * u128::from(rate())) >> RATE_BITS;
    u64::try_from(ns).unwrap_or(u64::MAX)
}

/// Nanoseconds in ticks; what is out of range becomes the greatest number.
pub fn from_ns(ns: u64) -> u64 {
    let ticks = (u128::from(ns) << RATE_BITS) / u128::from(rate());
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_measure_time() {
        calibrate();
        let (instant, ticks) = (Instant::now(), now());
        std::thread::sleep(Duration::from_millis(30));
        calibrate();
        let by_ticks = to_ns(now().saturating_sub(ticks)) as f64;
        let by_clock = instant.elapsed().as_nanos() as f64;
        assert!((by_ticks / by_clock - 1.0).abs() < 0.05, "{by_ticks} {by_clock}");
        let back = from_ns(to_ns(1_000_000_000)) as f64;
        assert!((back / 1e9 - 1.0).abs() < 1e-3);
        assert!(from_ns(u64::MAX) > from_ns(1 << 60));
    }
}
