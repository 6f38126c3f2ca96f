//! Servers of both kinds, each in a folder of its own.

use super::client::Client;
use outrigger::persistence::toolbox::rewrite;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Stock,
}

/// A running server; killed, and its folder removed, at the end.
pub struct Server {
    program: PathBuf,
    args: Vec<String>,
    child: Child,
    pub port: u16,
    home: TempDir,
}

/// The server's program, beside the tools. Cargo builds a package's own programs for its tests, and this one is another
/// package's.
fn our_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let program = Path::new(env!("CARGO_BIN_EXE_restore")).with_file_name("outrigger");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "-q", "-p", "outrigger", "--bin", "outrigger"]);
        if program.parent().is_some_and(|folder| folder.ends_with("release")) {
            build.arg("--release");
        }
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let built = build.status().expect("run cargo");
        assert!(built.success() && program.is_file(), "no server at {}", program.display());
        program
    })
}

/// The stock server, if there is one; with `OUTRIGGER_REQUIRE_PEERS=1` there must be.
fn stock_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("redis-server")).find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var_os("OUTRIGGER_REQUIRE_PEERS").is_none_or(|v| v != "1"), "no redis-server");
        eprintln!("SKIPPED: redis-server not found");
    }
    found
}

impl Server {
    /// A server of this kind; `None` if there is none.
    pub fn start(kind: Kind, args: &[&str]) -> Option<Server> {
        let program = match kind {
            Kind::Ours => our_program().to_owned(),
            Kind::Stock => stock_program()?,
        };
        let home = TempDir::with_prefix("outrigger-live-").expect("make a folder");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let mut args: Vec<String> = args.iter().map(ToString::to_string).collect();
        if kind == Kind::Stock {
            args.splice(0..0, ["--save".to_owned(), String::new()]);
        }
        let child = spawn(&program, port, home.path(), &args);
        let mut server = Server { program, args, child, port, home };
        server.wait_up();
        Some(server)
    }

    /// Ours.
    pub fn ours(args: &[&str]) -> Server {
        Server::start(Kind::Ours, args).expect("our server")
    }

    /// Ours, over this folder. The error is what it says if it ends at its start.
    pub fn over(dir: &Path, args: &[&str]) -> Result<Server, String> {
        let home = TempDir::with_prefix("outrigger-live-").expect("make a folder");
        let log = home.path().join("log");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let mut command = Command::new(our_program());
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]).arg("--dir").arg(dir).args(args);
        let out = std::fs::File::create(&log).expect("make a file");
        command.stdin(Stdio::null()).stderr(out.try_clone().expect("a second one")).stdout(out);
        let child = command.spawn().expect("start a server");
        let program = our_program().to_owned();
        let mut server = Server { program, args: Vec::new(), child, port, home };
        while !is_up(port) {
            if server.child.try_wait().expect("ask for it").is_some() {
                return Err(std::fs::read_to_string(log).expect("what it said"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    fn wait_up(&mut self) {
        let began = Instant::now();
        while !is_up(self.port) {
            assert!(began.elapsed() < Duration::from_secs(60), "{} does not answer", self.program.display());
            assert!(matches!(self.child.try_wait(), Ok(None)), "{} has ended", self.program.display());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A connection.
    pub fn client(&self) -> Client {
        Client::connect(self.port).expect("connect")
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.home.path()
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, with the same arguments.
    pub fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.program, self.port, self.home.path(), &self.args);
        self.wait_up();
    }
}

fn is_up(port: u16) -> bool {
    let reply = Client::connect(port).and_then(|mut client| client.try_command(&["PING"]));
    reply.is_ok_and(|reply| !reply.as_error().is_some_and(|text| text.starts_with(b"LOADING")))
}

fn spawn(program: &Path, port: u16, dir: &Path, args: &[String]) -> Child {
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]).arg("--dir").arg(dir).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start a server")
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A data folder, and what is in it.
pub struct Source {
    pub home: TempDir,
    pub digest: String,
    pub keys: i64,
}

impl Source {
    /// Of our server that was filled so.
    pub fn filled(fill: impl FnOnce(&mut Client)) -> Source {
        let mut server = Server::ours(&["--appendonly", "yes"]);
        let mut client = server.client();
        fill(&mut client);
        let digest = client.digest();
        let keys = keys_of(&mut client);
        client.cmd("WAITAOF 1 0 0");
        server.kill();
        let home = TempDir::with_prefix("outrigger-live-").expect("make a folder");
        let (from, to) = (server.dir().join("appendonlydir"), home.path().join("data/appendonlydir"));
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("make a folder");
        std::fs::rename(from, to).expect("move the files");
        Source { home, digest, keys }
    }

    /// The data folder.
    pub fn dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The same in one snapshot: a base and an empty log.
    pub fn rewritten(&self) -> PathBuf {
        let into = self.home.path().join("rewritten");
        if !into.exists() {
            rewrite(&self.dir(), &into, 16, &|_, _| ()).expect("rewrite the folder");
        }
        into
    }

    /// The files beside the source that say how far a load got.
    pub fn resume_files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.home.path()).expect("read the folder").flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
    }
}

/// Keys of all databases.
pub fn keys_of(client: &mut Client) -> i64 {
    let text = client.text("INFO keyspace");
    text.split("keys=").skip(1).filter_map(|rest| rest.split(',').next()?.parse::<i64>().ok()).sum()
}

/// Waits until a server holds no more keys than that.
pub fn wait_for_keys(client: &mut Client, keys: i64) {
    let began = Instant::now();
    while keys_of(client) > keys {
        assert!(began.elapsed() < Duration::from_secs(60), "keys do not expire");
        std::thread::sleep(Duration::from_millis(20));
    }
}
