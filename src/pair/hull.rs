//! One of the two processes: started, listened to, started again.

use super::backoff::Backoff;
use super::record::Entry;
use super::screen::Lines;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, getppid};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};

/// A log line longer than this is shown in pieces, bytes.
const LINE_MAX_BYTES: usize = 16 * 1024;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The primary.
    Primary,
    /// The replica.
    Replica,
}

impl Side {
    /// Its name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Side::Primary => "primary",
            Side::Replica => "replica",
        }
    }
}

/// What happens to a process by itself.
#[derive(Debug)]
pub enum HullEvent {
    /// It ended.
    Ended(io::Result<ExitStatus>),
    /// It is time to start it again.
    Due,
}

/// A process and what is needed to start it again.
pub struct Hull {
    side: Side,
    program: PathBuf,
    args: Vec<OsString>,
    port: u16,
    lines: Lines,
    child: Option<Child>,
    /// When to start it again.
    due: Option<Instant>,
    /// Not to be started again.
    retired: bool,
    backoff: Backoff,
    starts: u32,
    pumps: Vec<JoinHandle<()>>,
}

impl Hull {
    /// A process that is due to be started.
    pub fn new(side: Side, program: PathBuf, args: Vec<OsString>, port: u16, lines: Lines) -> Hull {
        let (due, backoff, pumps) = (Some(Instant::now()), Backoff::default(), Vec::new());
        Hull { side, program, args, port, lines, child: None, due, retired: false, backoff, starts: 0, pumps }
    }

    /// What the record says of it.
    pub fn entry(&self) -> Entry {
        Entry { pid: self.child.as_ref().and_then(Child::id), port: self.port, starts: self.starts }
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// It serves.
    pub fn served(&mut self) {
        self.backoff.served();
    }

    /// Waits until it ends or is due. Cancel safe; waits for ever if it is down for good.
    pub async fn event(&mut self) -> HullEvent {
        if let Some(child) = &mut self.child {
            return HullEvent::Ended(child.wait().await);
        }
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
        HullEvent::Due
    }

    /// Takes an event in: starts it, or plans to.
    pub fn handle(&mut self, event: HullEvent) {
        match event {
            HullEvent::Due => {
                if let Err(error) = self.start() {
                    self.plan_restart(&format!("{} cannot be started: {error}", self.side.name()));
                }
            }
            HullEvent::Ended(status) => {
                self.child = None;
                let how = match status {
                    Ok(status) => ending_text(status),
                    Err(error) => format!("ended ({error})"),
                };
                self.plan_restart(&format!("{} {how}", self.side.name()));
            }
        }
    }

    fn plan_restart(&mut self, what: &str) {
        if self.retired {
            return self.lines.say(what);
        }
        let wait = self.backoff.died();
        self.due = Some(Instant::now() + wait);
        self.lines.say(&format!("{what}; starting it again in {} ms", wait.as_millis()));
    }

    fn start(&mut self) -> io::Result<()> {
        self.due = None;
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: the terminal's Ctrl-C is for the supervisor alone.
        command.process_group(0);
        let supervisor = getpid();
        // SAFETY: between fork and exec only system calls are made (prctl, getppid); nothing allocates or locks.
        unsafe { command.pre_exec(move || die_with(supervisor)) };
        let mut child = command.spawn()?;
        self.pumps.retain(|pump| !pump.is_finished());
        if let Some(out) = child.stdout.take() {
            self.pumps.push(tokio::spawn(pump(out, self.side, self.lines.clone())));
        }
        if let Some(err) = child.stderr.take() {
            self.pumps.push(tokio::spawn(pump(err, self.side, self.lines.clone())));
        }
        self.starts += 1;
        let pid = child.id().unwrap_or(0);
        let (name, port, starts) = (self.side.name(), self.port, self.starts);
        self.lines.say(&format!("{name} pid={pid} port={port} start={starts}"));
        self.child = Some(child);
        Ok(())
    }

    /// Not to be started again.
    pub fn retire(&mut self) {
        (self.due, self.retired) = (None, true);
    }

    /// Asks it to end in order (SIGTERM).
    pub fn terminate(&self) {
        self.send(Signal::SIGTERM);
    }

    /// Ends it outright.
    pub fn kill(&self) {
        self.send(Signal::SIGKILL);
    }

    fn send(&self, signal: Signal) {
        // The id is that of an unreaped child, so the signal cannot hit a stranger.
        let pid = self.child.as_ref().and_then(Child::id).and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Waits until its last log lines are through, at most for `limit`.
    pub async fn drain(&mut self, limit: Duration) {
        for pump in self.pumps.drain(..) {
            let stop = pump.abort_handle();
            if tokio::time::timeout(limit, pump).await.is_err() {
                stop.abort();
            }
        }
    }
}

/// In the new process: the kernel sends it SIGTERM when the supervisor ends, however that ends. (It does so when the
/// *thread* that made the process ends: that is the supervisor's main thread.)
fn die_with(supervisor: Pid) -> io::Result<()> {
    set_pdeathsig(Signal::SIGTERM)?;
    // It may have ended before that call.
    match getppid() == supervisor {
        true => Ok(()),
        false => Err(io::ErrorKind::Interrupted.into()),
    }
}

/// How a process ended, for a person.
pub(super) fn ending_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "ended".to_owned(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(number)) => match Signal::try_from(number) {
            Ok(signal) => format!("was ended by {signal}"),
            Err(_) => format!("was ended by signal {number}"),
        },
        (None, None) => "ended".to_owned(),
    }
}

/// Hands a process's output on, line by line.
async fn pump(mut from: impl AsyncRead + Unpin, side: Side, lines: Lines) {
    let mut waiting = Vec::new();
    while let Ok(count) = from.read_buf(&mut waiting).await {
        let mut rest = waiting.as_slice();
        while let Some(end) = rest.iter().position(|&b| b == b'\n') {
            let (line, after) = rest.split_at(end);
            show(line, side, &lines);
            rest = after.get(1..).unwrap_or_default();
        }
        let done = waiting.len() - rest.len();
        waiting.drain(..done);
        if !waiting.is_empty() && (count == 0 || waiting.len() > LINE_MAX_BYTES) {
            show(&waiting, side, &lines);
            waiting.clear();
        }
        if count == 0 {
            return;
        }
    }
}

fn show(line: &[u8], side: Side, lines: &Lines) {
    let text = String::from_utf8_lossy(line);
    lines.line(side.name(), text.trim_end());
}
