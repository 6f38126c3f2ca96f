//! `outrigger pair`, from the outside: started, written to, killed in parts, stopped, started again.

use crate::support::server::{free_port, our_program};
use crate::support::{Client, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Longest that a pair may take to be ready, or to end.
const LIMIT: Duration = Duration::from_secs(60);

/// A running pair in a folder of its own; stopped when it goes out of scope.
pub struct Pair {
    child: Child,
    /// The primary's port; the replica has the next one.
    pub port: u16,
    dir: PathBuf,
    log: PathBuf,
}

/// A port whose successor is free, too; no other test of this process is given either.
pub fn free_port_pair() -> u16 {
    let mut port = free_port();
    loop {
        let next = free_port();
        if next == port + 1 {
            return port;
        }
        port = next;
    }
}

fn spawn(dir: &Path, port: u16, log: &Path, directives: &[&str]) -> Child {
    let out = OpenOptions::new().create(true).append(true).open(log).expect("open the pair's log");
    let err = out.try_clone().expect("share the pair's log");
    let mut command = Command::new(our_program());
    command.arg("pair").arg("--dir").arg(dir).args(["--port", &port.to_string(), "--"]).args(directives);
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    command.spawn().expect("start a pair")
}

impl Pair {
    /// Starts a pair over `home/data` and waits until it is ready.
    pub fn start(home: &Path, port: u16, directives: &[&str]) -> Pair {
        let (dir, log) = (home.join("data"), home.join(format!("pair-{}.log", rand_name())));
        let child = spawn(&dir, port, &log, directives);
        let pair = Pair { child, port, dir, log };
        wait_for("the pair to be ready", LIMIT, || pair.log().contains("| ready: "));
        pair
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A connection to the primary.
    pub fn primary(&self) -> Client {
        Client::connect(self.port).expect("connect to the primary")
    }

    /// A connection to the replica.
    pub fn replica(&self) -> Client {
        Client::connect(self.port + 1).expect("connect to the replica")
    }

    /// The process that pair.json names, if it is up.
    pub fn pid(&self, who: &str) -> Option<i32> {
        let text = std::fs::read_to_string(self.dir.join("pair.json")).ok()?;
        let (_, rest) = text.split_once(&format!("\"{who}\":{{\"pid\":"))?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    fn kill_part(&self, who: &str) -> i32 {
        let pid = self.pid(who).expect("a running process");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill it");
        pid
    }

    /// Waits until the part runs under another id and `key` reads as `value` on both.
    fn wait_back(&self, who: &str, old: i32, key: &str, value: &str) {
        wait_for("the part to be started again", LIMIT, || self.pid(who).is_some_and(|pid| pid != old));
        for port in [self.port, self.port + 1] {
            wait_for("the data to be back", LIMIT, || reads(port, key).as_deref() == Some(value));
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("signal the supervisor");
    }

    fn wait_end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the pair's end", LIMIT, || {
            status = self.child.try_wait().expect("ask for the supervisor");
            status.is_some()
        });
        status.expect("waited for it")
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::SIGTERM);
            wait_for("the pair's end", LIMIT, || !matches!(self.child.try_wait(), Ok(None)));
        }
        if std::thread::panicking() {
            eprintln!("--- the pair's log:\n{}", self.log());
        }
    }
}

/// A name for a log, unlike the last one.
fn rand_name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

fn reads(port: u16, key: &str) -> Option<String> {
    let reply = Client::connect(port).ok()?.try_command(&["GET", key]).ok()?;
    Some(String::from_utf8_lossy(reply.as_bytes()?).into_owned())
}

fn is_gone(pid: i32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    // A process that has ended stays as a zombie until whoever inherited it looks.
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

#[test]
fn survives_the_death_of_each_part_and_comes_back_with_its_data() {
    let home = TempDir::with_prefix("outrigger-pair-").unwrap();
    let port = free_port_pair();
    let mut pair = Pair::start(home.path(), port, &[]);
    pair.primary().ok("SET one 1");
    wait_for("the write to reach the replica", LIMIT, || reads(port + 1, "one").as_deref() == Some("1"));
    let old = pair.kill_part("primary");
    pair.wait_back("primary", old, "one", "1");
    pair.primary().ok("SET two 2");
    let old = pair.kill_part("replica");
    pair.wait_back("replica", old, "two", "2");
    pair.primary().ok("SET three 3");
    let parts = [pair.pid("primary").unwrap(), pair.pid("replica").unwrap()];
    pair.signal(Signal::SIGTERM);
    assert_eq!(pair.wait_end().code(), Some(0), "{}", pair.log());
    assert!(parts.iter().all(|&pid| is_gone(pid)));
    let log = pair.log();
    assert!(log.contains("pair    | primary pid=") && log.contains("replica | "), "{log}");
    assert!(log.contains("was ended by SIGKILL; starting it again in 50 ms"), "{log}");
    assert!(log.contains("stopped: everything is on the disk"), "{log}");
    assert!(!home.path().join("data/pair.json").exists());

    let mut pair = Pair::start(home.path(), port, &[]);
    for (key, value) in [("one", "1"), ("two", "2"), ("three", "3")] {
        assert_eq!(reads(port, key).as_deref(), Some(value));
    }
    pair.signal(Signal::SIGINT);
    assert_eq!(pair.wait_end().code(), Some(0), "{}", pair.log());
}

#[test]
fn the_primary_writes_nothing() {
    let home = TempDir::with_prefix("outrigger-pair-").unwrap();
    let pair = Pair::start(home.path(), free_port_pair(), &[]);
    let mut client = pair.primary();
    (0..1000).for_each(|i| client.ok(&format!("SET key:{i} {i}")));
    let pid = pair.pid("primary").unwrap();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        let is_file = target.metadata().is_ok_and(|meta| meta.is_file());
        assert!(!is_file, "the primary holds {} open", target.display());
    }
    let found: Vec<_> = std::fs::read_dir(home.path().join("data/primary")).unwrap().flatten().collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn both_end_when_the_supervisor_is_killed_and_a_new_one_takes_over() {
    let home = TempDir::with_prefix("outrigger-pair-").unwrap();
    let port = free_port_pair();
    let mut pair = Pair::start(home.path(), port, &[]);
    pair.primary().ok("SET kept yes");
    wait_for("the write to reach the replica", LIMIT, || reads(port + 1, "kept").as_deref() == Some("yes"));
    let parts = [pair.pid("primary").unwrap(), pair.pid("replica").unwrap()];
    pair.signal(Signal::SIGKILL);
    pair.wait_end();
    let pair = Pair::start(home.path(), port, &[]);
    assert!(parts.iter().all(|&pid| is_gone(pid)), "the new pair waits for the old processes");
    assert_eq!(reads(port, "kept").as_deref(), Some("yes"));
    drop(pair);
}

#[test]
fn a_password_holds_for_both_and_between_them() {
    let home = TempDir::with_prefix("outrigger-pair-").unwrap();
    let pair = Pair::start(home.path(), free_port_pair(), &["--requirepass", "open sesame"]);
    let refused = pair.primary().cmd("GET key");
    assert!(refused.as_error().is_some_and(|error| error.starts_with(b"NOAUTH")), "{refused:?}");
    let mut client = pair.primary();
    client.command(&["AUTH", "open sesame"]);
    client.ok("SET key value");
    let mut replica = pair.replica();
    replica.command(&["AUTH", "open sesame"]);
    wait_for("the replica to follow", LIMIT, || replica.cmd("GET key").as_bytes() == Some(b"value"));
}

/// Runs a pair that must refuse to start; its exit code and what it says.
fn refusal(dir: &Path, port: u16, directives: &[&str]) -> (Option<i32>, String) {
    let home = TempDir::with_prefix("outrigger-pair-").unwrap();
    let log = home.path().join("log");
    let mut child = spawn(dir, port, &log, directives);
    let mut status = None;
    wait_for("the refusal", LIMIT, || {
        status = child.try_wait().expect("ask for the supervisor");
        status.is_some()
    });
    (status.and_then(|status| status.code()), std::fs::read_to_string(&log).unwrap_or_default())
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let home = TempDir::with_prefix("outrigger-pair-").unwrap();
    let port = free_port_pair();
    for taken in [port, port + 1] {
        let listener = TcpListener::bind(("127.0.0.1", taken)).unwrap();
        let (code, said) = refusal(&home.path().join("a"), port, &[]);
        assert!(code == Some(2) && said.contains(&format!("port {taken} on 127.0.0.1")), "{code:?} {said}");
        drop(listener);
    }
    File::create(home.path().join("file")).unwrap();
    let (code, said) = refusal(&home.path().join("file/b"), port, &[]);
    assert!(code == Some(2) && said.contains("cannot be used"), "{code:?} {said}");
    let (code, said) = refusal(&home.path().join("c"), port, &["--replicaof", "127.0.0.1 1"]);
    assert!(code == Some(2) && said.contains("--replicaof cannot be given"), "{code:?} {said}");
    let (code, said) = refusal(&home.path().join("d"), port, &["--no-such-directive", "1"]);
    assert!(code == Some(2) && said.contains("no-such-directive"), "{code:?} {said}");

    let pair = Pair::start(home.path(), port, &[]);
    let (code, said) = refusal(&home.path().join("data"), free_port_pair(), &[]);
    let supervisor = pair.child.id();
    assert!(code == Some(2) && said.contains(&format!("process {supervisor}")), "{code:?} {said}");
}
