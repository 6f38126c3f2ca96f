//! CPU time spent.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// CPU time in user and in kernel mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// In the program.
    pub user: Duration,
    /// In the kernel on its behalf.
    pub system: Duration,
}

/// All threads of this process.
pub fn of_process() -> CpuTimes {
    times(UsageWho::RUSAGE_SELF)
}

/// Children that have ended and been reaped.
pub fn of_children() -> CpuTimes {
    times(UsageWho::RUSAGE_CHILDREN)
}

/// The calling thread.
pub fn of_thread() -> CpuTimes {
    times(UsageWho::RUSAGE_THREAD)
}

fn times(who: UsageWho) -> CpuTimes {
    // It fails for an unknown `who` only, which these are not.
    getrusage(who)
        .map(|usage| CpuTimes { user: duration(usage.user_time()), system: duration(usage.system_time()) })
        .unwrap_or_default()
}

fn duration(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted() {
        let (process, thread) = (of_process(), of_thread());
        let begun = std::time::Instant::now();
        while of_thread().user + of_thread().system < thread.user + thread.system + Duration::from_millis(20)
        {
            assert!(begun.elapsed() < Duration::from_secs(20), "CPU time stands still");
        }
        let now = of_process();
        assert!(now.user + now.system >= process.user + process.system + Duration::from_millis(15));
    }

    #[test]
    fn reaped_children_are_counted() {
        use crate::sys::fork::{ForkOptions, ForkOutcome, fork_child};
        let before = of_children();
        let mut child = fork_child("t-cpu", &ForkOptions::default(), |pipe| {
            let begun = of_thread();
            while of_thread().user + of_thread().system
                < begun.user + begun.system + Duration::from_millis(20)
            {}
            pipe.done(0, 0, 0)
        })
        .unwrap();
        assert!(matches!(child.wait(Duration::from_secs(20)), Some(ForkOutcome::Done { .. })));
        let now = of_children();
        assert!(now.user + now.system >= before.user + before.system + Duration::from_millis(15));
    }
}
