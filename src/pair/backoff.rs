//! How long to wait before a process that died is started again.

use std::time::Duration;

/// The first wait: short, as most deaths are single.
const FIRST: Duration = Duration::from_millis(50);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles the wait with each death that came before the process had served.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The process serves: its next death is a first one again.
    pub fn served(&mut self) {
        self.failures = 0;
    }

    /// The process died; how long to wait.
    pub fn died(&mut self) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}
