//! Servers under test, ours and stock ones, each a process of its own in a folder of its own.

use super::client::Client;
use super::{peer, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use outrigger::resp::RespValue;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest that a start may take.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How much of a server's log a failing test shows, in bytes.
const LOG_TAIL_BYTES: u64 = 6_000;

/// A running server; it is killed, and its folder removed, when it goes out of scope.
pub struct Server {
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    port: u16,
    dir: PathBuf,
    log: PathBuf,
    child: Child,
    _owned: TempDir,
}

/// The server's program as built for this test run.
pub fn our_program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_outrigger"))
}

/// A port nobody listens on, and that this process has not handed out before.
pub fn free_port() -> u16 {
    // Below the range the kernel takes for outgoing connections, so that none of those grabs it meanwhile.
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(2_654_435_761) % COUNT;
    for _ in 0..COUNT {
        let port = (FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT) as u16;
        // A bus port for stock servers is not needed: they run without cluster mode.
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

impl Server {
    /// Our server with these arguments (words, as on the command line).
    pub fn ours(args: &[&str]) -> Server {
        Server::start(our_program(), args, None)
    }

    /// Our server over a folder of the test's.
    pub fn ours_in(dir: &Path, args: &[&str]) -> Server {
        Server::start(our_program(), args, Some(dir))
    }

    /// Our server on a port that the test chose: nodes that know each other need theirs beforehand.
    pub fn ours_on(port: u16, args: &[&str]) -> Server {
        Server::start_on(port, our_program(), args, None)
    }

    /// The same, with more in its environment.
    pub fn ours_with_env(port: u16, args: &[&str], env: Vec<(String, String)>) -> Server {
        Server::start_with(port, our_program(), args, None, env)
    }

    /// A stock server with these arguments; it persists nothing unless they say so.
    pub fn redis(args: &[&str]) -> Option<Server> {
        Server::redis_at(None, args)
    }

    /// A stock server over a folder of the test's.
    pub fn redis_in(dir: &Path, args: &[&str]) -> Option<Server> {
        Server::redis_at(Some(dir), args)
    }

    /// A stock server on a port that the test chose.
    pub fn redis_on(port: u16, args: &[&str]) -> Option<Server> {
        let quiet = ["--save", "", "--enable-debug-command", "yes"];
        Some(Server::start_on(port, peer::redis_server()?, &[&quiet, args].concat(), None))
    }

    /// A stock server of 7.4 or later.
    pub fn newer_redis(args: &[&str]) -> Option<Server> {
        Server::newer_redis_at(None, args)
    }

    /// The same, over a folder of the test's.
    pub fn newer_redis_in(dir: &Path, args: &[&str]) -> Option<Server> {
        Server::newer_redis_at(Some(dir), args)
    }

    fn newer_redis_at(dir: Option<&Path>, args: &[&str]) -> Option<Server> {
        let quiet = ["--save", "", "--enable-debug-command", "yes"];
        Some(Server::start(peer::newer_redis_server()?, &[&quiet, args].concat(), dir))
    }

    fn redis_at(dir: Option<&Path>, args: &[&str]) -> Option<Server> {
        let quiet = ["--save", "", "--enable-debug-command", "yes"];
        Some(Server::start(peer::redis_server()?, &[&quiet, args].concat(), dir))
    }

    /// Starts `program` and waits until it answers PING (with anything: a fenced or loading server is up).
    pub fn start(program: PathBuf, args: &[&str], dir: Option<&Path>) -> Server {
        Server::start_on(free_port(), program, args, dir)
    }

    fn start_on(port: u16, program: PathBuf, args: &[&str], dir: Option<&Path>) -> Server {
        Server::start_with(port, program, args, dir, Vec::new())
    }

    fn start_with(
        port: u16,
        program: PathBuf,
        args: &[&str],
        dir: Option<&Path>,
        env: Vec<(String, String)>,
    ) -> Server {
        let owned = TempDir::with_prefix("outrigger-test-").expect("make a temporary folder");
        let dir = dir.map_or_else(|| owned.path().join("data"), Path::to_path_buf);
        std::fs::create_dir_all(&dir).expect("make the data folder");
        let log = owned.path().join("server.log");
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let child = spawn(&program, &args, &env, port, &dir, &log);
        let mut server = Server { program, args, env, port, dir, log, child, _owned: owned };
        server.wait_up();
        server
    }

    fn wait_up(&mut self) {
        let start = Instant::now();
        loop {
            let answered = Client::connect(self.port).and_then(|mut client| client.try_command(&["PING"]));
            let is_loading =
                |reply: &RespValue| reply.as_error().is_some_and(|text| text.starts_with(b"LOADING "));
            if answered.is_ok_and(|reply| !is_loading(&reply)) {
                return;
            }
            if let Some(status) = self.child.try_wait().expect("ask for the child") {
                panic!("{} ended with {status} at its start:\n{}", self.program.display(), self.log_tail());
            }
            assert!(
                start.elapsed() < START_LIMIT,
                "{} does not answer:\n{}",
                self.program.display(),
                self.log_tail()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its data folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.port)
            .unwrap_or_else(|error| panic!("connect to port {}: {error}\n{}", self.port, self.log_tail()))
    }

    /// A new connection that speaks RESP3.
    pub fn client3(&self) -> Client {
        let mut client = self.client();
        client.hello3();
        client
    }

    /// What it has written to its output.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let len = file.metadata()?.len();
            file.seek(SeekFrom::Start(len.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("signal the server");
    }

    /// Kills it outright (SIGKILL) and waits for its end; its data stays.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop (SIGTERM) and returns how it ended.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait_end(Duration::from_secs(30))
    }

    /// Waits until it has ended by itself.
    pub fn wait_end(&mut self, limit: Duration) -> ExitStatus {
        let mut status = None;
        wait_for("the server's end", limit, || {
            status = self.child.try_wait().expect("ask for the child");
            status.is_some()
        });
        status.expect("waited for it")
    }

    /// Starts it again (after its end) with the same arguments, port and folder.
    pub fn restart(&mut self) {
        self.spawn_again();
        self.wait_up();
    }

    /// As [`Server::restart`], without waiting for it to be up.
    pub fn spawn_again(&mut self) {
        self.kill();
        self.child = spawn(&self.program, &self.args, &self.env, self.port, &self.dir, &self.log);
    }

    /// Replaces the arguments of the next start.
    pub fn set_args(&mut self, args: &[&str]) {
        self.args = args.iter().map(ToString::to_string).collect();
    }

    /// Is the process still there?
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

fn spawn(
    program: &Path,
    args: &[String],
    env: &[(String, String)],
    port: u16,
    dir: &Path,
    log: &Path,
) -> Child {
    let out = OpenOptions::new().create(true).append(true).open(log).expect("open the server's log");
    let err = out.try_clone().expect("share the server's log");
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
    command.arg("--dir").arg(dir).args(args).envs(env.iter().cloned());
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    command.spawn().unwrap_or_else(|error| panic!("start {}: {error}", program.display()))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of {} on port {}:\n{}", self.program.display(), self.port, self.log_tail());
        }
    }
}
