//! Clocks: wall time for expiry and timestamps, monotonic time for durations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of time. Handlers and state machines get one handed in, so tests can drive it.
pub trait Clock: Send + Sync {
    /// Microseconds since the Unix epoch (wall clock; may step).
    fn unix_us(&self) -> u64;

    /// Microseconds from an arbitrary fixed start; never goes back.
    fn monotonic_us(&self) -> u64;

    /// Milliseconds since the Unix epoch (wall clock; may step).
    fn unix_ms(&self) -> u64 {
        self.unix_us() / 1000
    }
}

/// The operating system's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at 0 now.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn unix_us(&self) -> u64 {
        // A clock set before 1970 reads as the epoch itself.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
    }

    fn monotonic_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }
}

/// Unix time in milliseconds as people read it: `2026-11-23T10:00:00.250Z`.
pub fn utc_text(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    // Days in years that begin in March, so that the leap day is the last: of eras of 400 years.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = if ms == 0 { String::new() } else { format!(".{ms:03}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock {
    unix_us: AtomicU64,
    monotonic_us: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `unix_ms`; its monotonic time is 0.
    pub fn at_ms(unix_ms: u64) -> Self {
        Self { unix_us: AtomicU64::new(unix_ms * 1000), monotonic_us: AtomicU64::new(0) }
    }

    /// Moves both times forward.
    pub fn advance_ms(&self, ms: u64) {
        self.advance_us(ms * 1000);
    }

    /// Moves both times forward.
    pub fn advance_us(&self, us: u64) {
        self.unix_us.fetch_add(us, Ordering::SeqCst);
        self.monotonic_us.fetch_add(us, Ordering::SeqCst);
    }

    /// Steps the wall clock, forward or back, as NTP or an operator would; monotonic time stays.
    pub fn set_unix_ms(&self, unix_ms: u64) {
        self.unix_us.store(unix_ms * 1000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn unix_us(&self) -> u64 {
        self.unix_us.load(Ordering::SeqCst)
    }

    fn monotonic_us(&self) -> u64 {
        self.monotonic_us.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_and_steps() {
        let clock = ManualClock::at_ms(5_000);
        clock.advance_ms(2);
        clock.advance_us(7);
        assert_eq!((clock.unix_ms(), clock.unix_us(), clock.monotonic_us()), (5_002, 5_002_007, 2_007));
        clock.set_unix_ms(1);
        assert_eq!((clock.unix_ms(), clock.monotonic_us()), (1, 2_007));
    }

    #[test]
    fn system_clock_is_sane() {
        let clock = SystemClock::new();
        let first = clock.monotonic_us();
        assert!(clock.unix_ms() > 1_700_000_000_000);
        assert!(clock.monotonic_us() >= first);
    }
}
