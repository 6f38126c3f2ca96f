//! The child's side of a fork.

use std::ffi::CStr;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{Pid, getppid, write};

use super::frame::{self, ForkProgress, FrameBytes};
use super::{ForkOptions, InheritedFds};
use crate::sys::memory;

/// Progress is reported no more often than this.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Measuring copied memory walks the page tables; it may take one part in this many of the child's time.
const COPIED_SHARE: u32 = 100;
/// Exit status of a child whose work panicked.
const PANIC_STATUS: i32 = 101;
/// Exit status of a child that found its parent gone.
const ORPHAN_STATUS: i32 = 102;
/// How high a descriptor to close, where the kernel has no `close_range` and the limit is higher still.
const MAX_FD_WITHOUT_CLOSE_RANGE: libc::c_uint = 1 << 16;

/// The child's end of the pipe to its parent.
pub struct ChildPipe {
    fd: OwnedFd,
    latest: ForkProgress,
    report_at: Instant,
    measure_at: Instant,
}

impl ChildPipe {
    pub(super) fn new(fd: OwnedFd) -> Self {
        let now = Instant::now();
        ChildPipe { fd, latest: ForkProgress::default(), report_at: now, measure_at: now }
    }

    /// Says how far the work is, and that it is alive. Cheap: most calls only look at the clock, so call it every
    /// few hundred keys. A report that finds the pipe full is dropped; the next will tell more.
    pub fn progress(&mut self, keys_done: u64, bytes_done: u64) {
        self.latest.keys_done = keys_done;
        self.latest.bytes_done = bytes_done;
        let now = Instant::now();
        if now < self.report_at {
            return;
        }
        self.report_at = now + PROGRESS_EVERY;
        if now >= self.measure_at {
            self.measure_copied(now);
        }
        let _ = write(&self.fd, &frame::progress(self.latest));
    }

    /// Says that all is done and good, and returns the exit status to return from the work. `check` is whatever
    /// number the parent wants to know, say a checksum of what was written.
    #[must_use = "return it from the work"]
    pub fn done(&mut self, keys_done: u64, bytes_done: u64, check: u64) -> i32 {
        self.latest.keys_done = keys_done;
        self.latest.bytes_done = bytes_done;
        self.measure_copied(Instant::now());
        if self.send(&frame::done(self.latest, check)) { 0 } else { ORPHAN_STATUS }
    }

    /// Says what went wrong, and returns the exit status to return from the work.
    #[must_use = "return it from the work"]
    pub fn fail(&mut self, reason: &dyn fmt::Display) -> i32 {
        self.send(&frame::failed(reason));
        1
    }

    fn measure_copied(&mut self, now: Instant) {
        if let Some(bytes) = memory::private_dirty_bytes() {
            self.latest.copied_bytes = bytes;
        }
        let after = Instant::now();
        self.measure_at = after + after.duration_since(now).saturating_mul(COPIED_SHARE);
    }

    /// Writes a frame, waiting for room in the pipe. False if the parent is gone.
    fn send(&self, frame: &FrameBytes) -> bool {
        loop {
            match write(&self.fd, frame) {
                Ok(_) => return true,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLOUT)];
                    let _ = poll(&mut fds, PollTimeout::NONE);
                }
                Err(_) => return false,
            }
        }
    }
}

/// All that the child does. Never returns, so nothing of the parent's is dropped or flushed twice.
pub(super) fn run(
    options: &ForkOptions,
    name: &CStr,
    parent: Pid,
    fd: OwnedFd,
    work: impl FnOnce(&mut ChildPipe) -> i32,
) -> ! {
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    if getppid() != parent {
        // The parent died before the line above could take effect.
        exit_now(ORPHAN_STATUS);
    }
    reset_signals();
    let _ = prctl::set_name(name);
    close_inherited(&options.fds, fd.as_raw_fd());
    // SAFETY: `nice` takes any number and touches no memory of ours. It cannot fail, as it only lowers the claim.
    let _ = unsafe { libc::nice(options.nicer_by.into()) };
    if let Some(score) = options.oom_score_adj {
        raise_oom_score(score);
    }
    let mut pipe = ChildPipe::new(fd);
    let status = match catch_unwind(AssertUnwindSafe(|| work(&mut pipe))) {
        Ok(status) => status,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            let _ = pipe.fail(&format_args!("panicked: {}", text.unwrap_or("no message")));
            PANIC_STATUS
        }
    };
    exit_now(status)
}

/// Ends the process without destructors, exit handlers or flushes, all of which belong to the parent.
fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` takes any status and never returns; it touches no memory of ours.
    unsafe { libc::_exit(status) }
}

/// Makes the child a likelier victim than its parent; one that an operator made likelier still stays so.
fn raise_oom_score(wanted: i16) {
    const FILE: &str = "/proc/self/oom_score_adj";
    let now = std::fs::read_to_string(FILE).ok().and_then(|text| text.trim().parse::<i16>().ok());
    if now.is_none_or(|now| now < wanted) {
        // Without the right to change it the child merely is as likely a victim as its parent.
        let _ = std::fs::write(FILE, wanted.to_string());
    }
}

/// Gives signals their default meaning, as the parent's handlers would write to the parent's wake-up pipes.
/// All signals are blocked on entry (see the parent) and let through afterwards.
fn reset_signals() {
    for kind in Signal::iterator() {
        let handler = match kind {
            Signal::SIGKILL | Signal::SIGSTOP => continue,
            // The standard library's stack overflow report stays.
            Signal::SIGSEGV | Signal::SIGBUS => continue,
            // A dead parent, and a file that may not grow, are to show as errors of `write`.
            Signal::SIGPIPE | Signal::SIGXFSZ => SigHandler::SigIgn,
            _ => SigHandler::SigDfl,
        };
        // SAFETY: default and ignore are no handler functions, so no code can run in a signal's context.
        let _ = unsafe { signal(kind, handler) };
    }
    let _ = SigSet::empty().thread_set_mask();
}

/// Closes what the child must not hold open: a socket that it holds would not close when the parent closes it.
fn close_inherited(fds: &InheritedFds, pipe: RawFd) {
    match fds {
        InheritedFds::Close(list) => list.iter().filter(|fd| **fd != pipe).for_each(|fd| {
            // SAFETY: the number is not used again here, as the child never runs its owner's destructor; closing
            // a number that is not open is an error without effect.
            let _ = unsafe { libc::close(*fd) };
        }),
        InheritedFds::CloseAllBut(list) => {
            let mut keep: Vec<libc::c_uint> = vec![0, 1, 2];
            keep.extend(list.iter().chain([&pipe]).filter_map(|fd| libc::c_uint::try_from(*fd).ok()));
            keep.sort_unstable();
            let mut next = 0;
            for fd in keep {
                if next < fd {
                    close_range(next, fd - 1);
                }
                next = next.max(fd.saturating_add(1));
            }
            close_range(next, libc::c_uint::MAX);
        }
    }
}

/// Closes all descriptors from `first` to `last`.
fn close_range(first: libc::c_uint, last: libc::c_uint) {
    // SAFETY: as for `close` above: no owner of these numbers uses or drops them in the child, as the caller of
    // `fork_child` names those that its work needs.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if done == 0 {
        return;
    }
    for fd in first..=last.min(MAX_FD_WITHOUT_CLOSE_RANGE) {
        // SAFETY: the same.
        let _ = unsafe { libc::close(fd as RawFd) };
    }
}
