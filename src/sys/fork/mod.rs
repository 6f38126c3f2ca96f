//! Fork children: a copy of the process that saves the memory of one moment while the parent goes on.
//!
//! The parent must hold every lock whose data the child is to find consistent, as a lock that another thread
//! holds at the fork stays locked in the child for ever. The child runs one closure, tells its parent by a pipe how
//! it goes, and ends by `_exit`. It must not log, use the async runtime, or take a lock that a thread of the
//! parent may have held. (Allocating is fine: jemalloc and glibc prepare their locks for a fork.)

mod child;
mod frame;
#[cfg(test)]
mod tests;
mod watchdog;

use std::ffi::CString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, getpid, pipe2, read};
use thiserror::Error;

pub use self::child::ChildPipe;
pub use self::frame::ForkProgress;
use self::frame::{FRAME_BYTES, Frame};
pub use self::watchdog::Watchdog;

/// A child silent for this long is taken to hang, unless the caller knows better.
pub const DEFAULT_HANG_AFTER: Duration = Duration::from_secs(60);
/// How often [`ForkHandle::wait`] looks.
const WAIT_LOOK_MS: u16 = 20;
/// Bytes of a process name that the kernel keeps.
const NAME_BYTES: usize = 15;

/// Which of the parent's descriptors the child closes first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InheritedFds {
    /// All but the standard three, the pipe and these, which are what the work writes to. A client's socket that
    /// stayed open in the child would not close when the parent closes it.
    CloseAllBut(Vec<RawFd>),
    /// These: the listening sockets, at the least.
    Close(Vec<RawFd>),
}

/// How a child is set up.
#[derive(Clone, Debug)]
pub struct ForkOptions {
    /// What becomes of inherited descriptors.
    pub fds: InheritedFds,
    /// The child's `oom_score_adj` (-1000 to 1000), so that the kernel, short of memory, takes it before its parent.
    pub oom_score_adj: Option<i16>,
    /// How much less than its parent it may claim of the processors: added to the niceness, 0 to 19. A snapshot has time,
    /// what serves has not.
    pub nicer_by: u8,
    /// After how much silence it is killed.
    pub hang_after: Duration,
}

impl Default for ForkOptions {
    fn default() -> Self {
        let fds = InheritedFds::CloseAllBut(Vec::new());
        ForkOptions { fds, oom_score_adj: Some(800), nicer_by: 0, hang_after: DEFAULT_HANG_AFTER }
    }
}

/// Why no child was started.
#[derive(Debug, Error)]
pub enum ForkError {
    /// No pipe: the process is out of descriptors.
    #[error("cannot make a pipe for the child {name}: {source}")]
    Pipe {
        /// The child's name.
        name: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// No process: out of memory (see `vm.overcommit_memory`) or of processes.
    #[error("cannot fork the child {name}: {source}")]
    Fork {
        /// The child's name.
        name: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForkOutcome {
    /// It said that all is done and good, and exited with 0.
    Done {
        /// Its last figures.
        progress: ForkProgress,
        /// The number it gave to [`ChildPipe::done`].
        check: u64,
    },
    /// It said what went wrong.
    Failed {
        /// Its words, cut to some 200 bytes.
        reason: String,
    },
    /// It exited without having said that it was done.
    Exited {
        /// The exit status; even 0 is no success here.
        status: i32,
    },
    /// A signal ended it that this handle did not send: it crashed, or the kernel or an operator killed it.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// It was silent for too long and was killed.
    Hung {
        /// How long it was silent.
        silent_ms: u64,
    },
    /// [`ForkHandle::kill`] ended it.
    Cancelled,
    /// Somebody else has reaped it, so its end is unknown.
    Lost,
}

impl fmt::Display for ForkOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForkOutcome::Done { progress, .. } => {
                write!(f, "done: {} keys, {} bytes", progress.keys_done, progress.bytes_done)
            }
            ForkOutcome::Failed { reason } => write!(f, "failed: {reason}"),
            ForkOutcome::Exited { status } => write!(f, "exited with status {status} before it was done"),
            ForkOutcome::Signalled { signal } => write!(f, "ended by signal {signal}"),
            ForkOutcome::Hung { silent_ms } => {
                write!(f, "killed after {silent_ms} ms without a sign of life")
            }
            ForkOutcome::Cancelled => f.write_str("cancelled"),
            ForkOutcome::Lost => f.write_str("reaped by somebody else"),
        }
    }
}

/// What a look at a child found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForkStatus {
    /// At work.
    Running(ForkProgress),
    /// Killed, but the kernel has not let go of it yet, as when it waits for a disk that hangs.
    Dying,
    /// Ended, and reaped.
    Ended(ForkOutcome),
}

/// Forks, runs `work` in the child, and hands the parent a handle.
///
/// The work says how it goes through its [`ChildPipe`] and returns an exit status, by way of [`ChildPipe::done`]
/// or [`ChildPipe::fail`]; the child then ends without running destructors. A panic in it is reported as a
/// failure where panics unwind.
///
/// See the module for what the caller must hold and the work must not do. Two rules more: the work's descriptors must
/// be among those that [`ForkOptions::fds`] keeps; and the calling *thread* must outlive the child, as the kernel
/// kills the child when the thread that forked it ends.
pub fn fork_child(
    name: &'static str,
    options: &ForkOptions,
    work: impl FnOnce(&mut ChildPipe) -> i32,
) -> Result<ForkHandle, ForkError> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .map_err(|errno| ForkError::Pipe { name, source: errno.into() })?;
    let cut = name.get(..NAME_BYTES.min(name.len())).unwrap_or("child");
    let process_name = CString::new(cut).unwrap_or_default();
    let parent = getpid();
    // No signal may reach the child before it has let go of the parent's handlers.
    let mask = SigSet::all()
        .thread_swap_mask(SigmaskHow::SIG_SETMASK)
        .map_err(|errno| ForkError::Fork { name, source: errno.into() })?;
    let begun = Instant::now();
    // SAFETY: the child runs only `child::run`, which never returns. That it finds no lock held by another thread
    // is the documented duty of the caller; a broken duty hangs the child, which the watchdog ends.
    let forked = unsafe { nix::unistd::fork() };
    if let Ok(ForkResult::Child) = forked {
        child::run(options, &process_name, parent, writer, work);
    }
    let fork_took = begun.elapsed();
    let _ = mask.thread_set_mask();
    match forked {
        Ok(ForkResult::Parent { child }) => Ok(ForkHandle {
            name,
            pid: child,
            reader,
            begun,
            fork_us: u64::try_from(fork_took.as_micros()).unwrap_or(u64::MAX),
            watchdog: Watchdog::new(options.hang_after, Instant::now()),
            partial: Vec::new(),
            progress: ForkProgress::default(),
            verdict: None,
            killed: None,
            outcome: None,
        }),
        Ok(ForkResult::Child) => unreachable!("the child never returns"),
        Err(errno) => Err(ForkError::Fork { name, source: errno.into() }),
    }
}

/// The parent's handle on a child. Dropped before the end, it kills the child.
#[derive(Debug)]
pub struct ForkHandle {
    name: &'static str,
    pid: Pid,
    reader: OwnedFd,
    begun: Instant,
    fork_us: u64,
    watchdog: Watchdog,
    partial: Vec<u8>,
    progress: ForkProgress,
    /// The child's last word, good or bad.
    verdict: Option<ForkOutcome>,
    /// Why this handle has killed it.
    killed: Option<ForkOutcome>,
    outcome: Option<ForkOutcome>,
}

impl ForkHandle {
    /// The name given at the fork.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The child's process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// How long the fork held up the parent, in microseconds.
    pub fn fork_us(&self) -> u64 {
        self.fork_us
    }

    /// Time since the fork.
    pub fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The last figures heard.
    pub fn progress(&self) -> ForkProgress {
        self.progress
    }

    /// The pipe's reading end, to wait on: it becomes readable when the child speaks or ends.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Kills the child. [`ForkHandle::check`] goes on until it is reaped, then says [`ForkOutcome::Cancelled`].
    pub fn kill(&mut self) {
        self.kill_for(ForkOutcome::Cancelled);
    }

    /// Looks without waiting: reads what the child said, kills it if it hangs, reaps it if it ended. Call it some
    /// times a second; once ended, the answer stays the same.
    pub fn check(&mut self) -> ForkStatus {
        if let Some(outcome) = &self.outcome {
            return ForkStatus::Ended(outcome.clone());
        }
        // Reaped first and read after: what an ended child said is all in the pipe by then.
        let waited = wait_nohang(self.pid);
        let heard = self.drain();
        let ended = match waited {
            Ok(None) => None,
            Ok(Some(status)) => Some(self.judge(status)),
            Err(_) => Some(ForkOutcome::Lost),
        };
        if let Some(outcome) = ended {
            self.outcome = Some(outcome.clone());
            return ForkStatus::Ended(outcome);
        }
        if self.watchdog.look(heard, Instant::now()) {
            let silent_ms = u64::try_from(self.watchdog.silent().as_millis()).unwrap_or(u64::MAX);
            self.kill_for(ForkOutcome::Hung { silent_ms });
        }
        if self.killed.is_some() { ForkStatus::Dying } else { ForkStatus::Running(self.progress) }
    }

    /// Waits for the end, at most for `limit`; `None` if the child still lives then.
    pub fn wait(&mut self, limit: Duration) -> Option<ForkOutcome> {
        let deadline = Instant::now() + limit;
        loop {
            if let ForkStatus::Ended(outcome) = self.check() {
                return Some(outcome);
            }
            if Instant::now() >= deadline {
                return None;
            }
            let mut fds = [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::from(WAIT_LOOK_MS));
            if ready.is_ok_and(|n| n > 0) {
                // At the end of the pipe a poll returns at once, though the child may not be reapable yet.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn kill_for(&mut self, cause: ForkOutcome) {
        // An unreaped child keeps its id, so the signal cannot hit a stranger.
        if self.outcome.is_none() && self.killed.is_none() {
            let _ = kill(self.pid, Signal::SIGKILL);
            self.killed = Some(cause);
        }
    }

    /// Reads all that is in the pipe; true if there was anything.
    fn drain(&mut self) -> bool {
        let mut heard = false;
        let mut buf = [0; FRAME_BYTES * 16];
        loop {
            match read(&self.reader, &mut buf) {
                Err(Errno::EINTR) => {}
                Ok(0) | Err(_) => return heard,
                Ok(n) => {
                    heard = true;
                    self.partial.extend_from_slice(buf.get(..n).unwrap_or_default());
                    self.take_frames();
                }
            }
        }
    }

    fn take_frames(&mut self) {
        let mut frames = self.partial.chunks_exact(FRAME_BYTES);
        for chunk in &mut frames {
            let decoded = chunk.first_chunk::<FRAME_BYTES>().and_then(frame::decode);
            match decoded {
                Some(Frame::Progress(progress)) => self.progress = progress,
                Some(Frame::Done(progress, check)) => {
                    self.progress = progress;
                    self.verdict = Some(ForkOutcome::Done { progress, check });
                }
                Some(Frame::Failed(reason)) => self.verdict = Some(ForkOutcome::Failed { reason }),
                None => {
                    let reason = "its report could not be read".to_owned();
                    self.verdict = Some(ForkOutcome::Failed { reason });
                }
            }
        }
        self.partial = frames.remainder().to_vec();
    }

    /// What an exit means, given what was said before it.
    fn judge(&mut self, status: WaitStatus) -> ForkOutcome {
        let killed = self.killed.take();
        match (status, self.verdict.take()) {
            (WaitStatus::Exited(_, 0), Some(done @ ForkOutcome::Done { .. })) => done,
            (WaitStatus::Exited(..), Some(failed @ ForkOutcome::Failed { .. })) => failed,
            (WaitStatus::Exited(_, status), _) => ForkOutcome::Exited { status },
            (WaitStatus::Signaled(_, Signal::SIGKILL, _), _) if killed.is_some() => {
                killed.unwrap_or(ForkOutcome::Cancelled)
            }
            (WaitStatus::Signaled(_, signal, _), _) => ForkOutcome::Signalled { signal: signal as i32 },
            _ => ForkOutcome::Lost,
        }
    }
}

impl Drop for ForkHandle {
    fn drop(&mut self) {
        if self.outcome.is_some() {
            return;
        }
        let _ = kill(self.pid, Signal::SIGKILL);
        if matches!(wait_nohang(self.pid), Ok(None)) {
            // Tearing down a large process takes a while; a thread of its own waits for it.
            let pid = self.pid;
            let _ = std::thread::Builder::new()
                .name("reaper".to_owned())
                .spawn(move || while waitpid(pid, None) == Err(Errno::EINTR) {});
        }
    }
}

/// The end of a child, if it has come; an error if it is not ours to reap.
fn wait_nohang(pid: Pid) -> Result<Option<WaitStatus>, Errno> {
    loop {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) => {}
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(status) => return Ok(Some(status)),
            Err(errno) => return Err(errno),
        }
    }
}
