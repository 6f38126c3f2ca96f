//! Real forks. The test process has many threads, so the children do next to nothing.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, raise};
use nix::unistd::{getppid, pause};

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

fn quick() -> ForkOptions {
    ForkOptions { hang_after: Duration::from_millis(200), ..ForkOptions::default() }
}

#[test]
fn a_child_reports_progress_and_its_result() {
    let parent = std::process::id();
    let mut child = fork_child("t-done", &ForkOptions::default(), |pipe| {
        pipe.progress(10, 1000);
        if getppid().as_raw() as u32 != parent {
            return pipe.fail(&"wrong parent");
        }
        pipe.done(20, 2000, 0xfeed)
    })
    .unwrap();
    assert!(child.pid() > 0 && child.fork_us() > 0 && child.name() == "t-done");
    let Some(ForkOutcome::Done { progress, check: 0xfeed }) = child.wait(LIMIT) else {
        panic!("{:?}", child.check())
    };
    assert_eq!((progress.keys_done, progress.bytes_done), (20, 2000));
    assert!(progress.copied_bytes > 0, "a running child has touched some pages of its own");
    assert!(matches!(child.check(), ForkStatus::Ended(ForkOutcome::Done { .. })), "the answer must stay");
}

#[test]
fn a_failure_is_told_in_words() {
    let mut child = fork_child("t-fail", &quick(), |pipe| pipe.fail(&"disk full")).unwrap();
    assert_eq!(child.wait(LIMIT), Some(ForkOutcome::Failed { reason: "disk full".into() }));
}

#[test]
fn an_exit_without_a_word_is_no_success() {
    let mut child = fork_child("t-mute", &quick(), |_| 0).unwrap();
    assert_eq!(child.wait(LIMIT), Some(ForkOutcome::Exited { status: 0 }));
    let mut child = fork_child("t-liar", &quick(), |pipe| pipe.done(1, 1, 1) + 3).unwrap();
    assert_eq!(child.wait(LIMIT), Some(ForkOutcome::Exited { status: 3 }));
}

#[test]
fn a_crash_is_named_by_its_signal() {
    let mut child = fork_child("t-crash", &quick(), |_| {
        let _ = raise(Signal::SIGTERM);
        0
    })
    .unwrap();
    assert_eq!(child.wait(LIMIT), Some(ForkOutcome::Signalled { signal: Signal::SIGTERM as i32 }));
}

#[test]
fn a_hung_child_is_killed_and_a_slow_one_is_not() {
    let begun = Instant::now();
    let mut hung = fork_child("t-hung", &quick(), |_| {
        loop {
            pause();
        }
    })
    .unwrap();
    let outcome = hung.wait(LIMIT);
    assert!(matches!(outcome, Some(ForkOutcome::Hung { silent_ms: 200.. })), "{outcome:?}");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let options = ForkOptions { hang_after: Duration::from_millis(600), ..ForkOptions::default() };
    let mut slow = fork_child("t-slow", &options, |pipe| {
        for i in 0..9 {
            std::thread::sleep(Duration::from_millis(100));
            pipe.progress(i, i);
        }
        pipe.done(9, 9, 0)
    })
    .unwrap();
    assert!(matches!(slow.wait(LIMIT), Some(ForkOutcome::Done { .. })));
}

#[test]
fn kill_cancels() {
    let mut child = fork_child("t-kill", &ForkOptions::default(), |_| {
        pause();
        0
    })
    .unwrap();
    assert!(matches!(child.check(), ForkStatus::Running(_)));
    child.kill();
    assert_eq!(child.wait(LIMIT), Some(ForkOutcome::Cancelled));
}

#[test]
fn dropping_the_handle_ends_the_child() {
    let child = fork_child("t-drop", &ForkOptions::default(), |_| {
        pause();
        0
    })
    .unwrap();
    let pid = Pid::from_raw(child.pid());
    drop(child);
    let deadline = Instant::now() + LIMIT;
    while kill(pid, None).is_ok() {
        assert!(Instant::now() < deadline, "the child is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn descriptors_are_closed_but_for_those_named() {
    let is_open = |fd: RawFd| nix::fcntl::fcntl(borrow(fd), nix::fcntl::FcntlArg::F_GETFD).is_ok();
    let (a, b) = pipe2(OFlag::O_CLOEXEC).unwrap();
    let (kept, closed) = (std::os::fd::AsRawFd::as_raw_fd(&a), std::os::fd::AsRawFd::as_raw_fd(&b));
    let all_but = ForkOptions { fds: InheritedFds::CloseAllBut(vec![kept]), ..quick() };
    let only = ForkOptions { fds: InheritedFds::Close(vec![closed]), ..quick() };
    for options in [all_but, only] {
        let mut child = fork_child("t-fds", &options, |pipe| {
            pipe.done(u64::from(is_open(kept)), u64::from(is_open(closed)), u64::from(is_open(2)))
        })
        .unwrap();
        let Some(ForkOutcome::Done { progress, check }) = child.wait(LIMIT) else { panic!("not done") };
        assert_eq!((progress.keys_done, progress.bytes_done, check), (1, 0, 1), "{options:?}");
    }
    assert!(is_open(closed), "the parent's own must stay open");
}

fn borrow(fd: RawFd) -> BorrowedFd<'static> {
    // SAFETY: used for F_GETFD only, which does no harm to whatever the number may stand for.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

#[test]
fn the_child_is_set_up_to_die_first() {
    let mut child = fork_child("t-setup", &quick(), |pipe| {
        let dies = nix::sys::prctl::get_pdeathsig() == Ok(Some(Signal::SIGKILL));
        let mut buf = [0; 8];
        let score = std::fs::File::open("/proc/self/oom_score_adj")
            .and_then(|mut f| std::io::Read::read(&mut f, &mut buf))
            .is_ok_and(|n| {
                let text = buf.get(..n).and_then(|text| std::str::from_utf8(text).ok());
                text.and_then(|text| text.trim().parse::<i16>().ok()).is_some_and(|score| score >= 800)
            });
        let unmasked = SigSet::thread_get_mask() == Ok(SigSet::empty());
        pipe.done(u64::from(dies), u64::from(score), u64::from(unmasked))
    })
    .unwrap();
    let Some(ForkOutcome::Done { progress, check }) = child.wait(LIMIT) else { panic!("not done") };
    assert_eq!((progress.keys_done, progress.bytes_done, check), (1, 1, 1));
}

fn niceness() -> i64 {
    // SAFETY: it reads a number of this process and touches no memory of ours.
    i64::from(unsafe { nix::libc::getpriority(nix::libc::PRIO_PROCESS, 0) })
}

#[test]
fn the_child_claims_less_of_the_processors() {
    let options = ForkOptions { nicer_by: 3, ..quick() };
    let mut child = fork_child("t-nice", &options, |pipe| {
        let found = u64::try_from(niceness() + 20).unwrap_or(0);
        pipe.done(0, 0, found)
    })
    .unwrap();
    let Some(ForkOutcome::Done { check, .. }) = child.wait(LIMIT) else { panic!("not done") };
    let expected = (niceness() + 3).min(19) + 20;
    assert_eq!(check, u64::try_from(expected).unwrap());
}

#[test]
fn a_flood_of_results_does_not_block_the_child_for_ever() {
    let mut child = fork_child("t-flood", &ForkOptions::default(), |pipe| {
        // More failures than the pipe holds: the child waits for room, the parent makes it.
        for _ in 0..600 {
            let _ = pipe.fail(&"again");
        }
        pipe.done(1, 1, 1)
    })
    .unwrap();
    assert!(matches!(child.wait(LIMIT), Some(ForkOutcome::Done { .. })));
}
