//! When silence means that a child hangs.

use std::time::{Duration, Instant};

/// One look may count at most this share of the limit as silence.
const MAX_SHARE_OF_A_LOOK: u32 = 4;

/// Measures a child's silence.
///
/// Only time between looks counts, and a single look never counts for more than a quarter of the limit: after
/// a pause of the whole machine or of the parent, a healthy child gets the time to speak up.
#[derive(Debug)]
pub struct Watchdog {
    hang_after: Duration,
    silent: Duration,
    last_look: Instant,
}

impl Watchdog {
    /// A watchdog that bites after `hang_after` of silence.
    pub fn new(hang_after: Duration, now: Instant) -> Self {
        Watchdog { hang_after, silent: Duration::ZERO, last_look: now }
    }

    /// Looks: `heard` says whether the child spoke since the last look. True if it has been silent too long. Look
    /// at least four times within the limit, or detection takes four looks.
    pub fn look(&mut self, heard: bool, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.last_look);
        self.last_look = now;
        if heard {
            self.silent = Duration::ZERO;
        } else {
            self.silent += since.min(self.hang_after / MAX_SHARE_OF_A_LOOK);
        }
        self.silent >= self.hang_after
    }

    /// The silence so far.
    pub fn silent(&self) -> Duration {
        self.silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bites_after_the_limit_only() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut dog = Watchdog::new(Duration::from_millis(100), start);
        assert!(!(1..10).any(|i| dog.look(false, at(i * 10))));
        assert!(!dog.look(true, at(99)));
        assert!(!(10..19).any(|i| dog.look(false, at(i * 10))));
        assert!(dog.look(false, at(200)));
        assert_eq!(dog.silent(), Duration::from_millis(101));
    }

    #[test]
    fn a_pause_of_the_parent_is_forgiven() {
        let start = Instant::now();
        let mut dog = Watchdog::new(Duration::from_millis(100), start);
        assert!(!dog.look(false, start + Duration::from_secs(3600)));
        assert!(!dog.look(true, start + Duration::from_secs(3601)));
        assert_eq!(dog.silent(), Duration::ZERO);
    }
}
