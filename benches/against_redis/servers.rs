//! The two servers, each a process of its own.

use outrigger::resp::{Decoded, ReplyDecoder, RespValue, write_command};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A niceness beyond the last: the kernel's idle class, which runs only while nobody else wants a core. The nearest
/// that a replica on the same machine comes to one on a machine of its own.
const IDLE: u32 = 20;

/// The core that [`keep_apart`] left to those who are started at a niceness.
static OWN_CORE: OnceLock<String> = OnceLock::new();

/// Leaves the last core to the servers that are started at a niceness from now on, the replicas, and the others to this
/// process and all else that it starts: so a replica takes no core from its primary, as on a machine of its own.
pub fn keep_apart() -> io::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    if cores < 2 {
        return Err(io::Error::other("it takes two cores to keep replicas apart"));
    }
    let ours = format!("0-{}", cores - 2);
    let me = std::process::id().to_string();
    run_tool("taskset", &["--all-tasks", "--cpu-list", "--pid", &ours, &me])?;
    OWN_CORE.get_or_init(|| (cores - 1).to_string());
    Ok(())
}

/// Has this process and all that it starts from now on go before everything else on the machine (real-time scheduling,
/// which takes root), but for the servers that are started at a niceness, the replicas: they have what is left of the cores,
/// as the primary would not notice of them on machines of their own.
pub fn go_ahead() -> io::Result<()> {
    let me = std::process::id().to_string();
    run_tool("chrt", &["--fifo", "--all-tasks", "--pid", "10", &me])
}

fn run_tool(program: &str, args: &[&str]) -> io::Result<()> {
    let done = Command::new(program).args(args).output()?;
    match done.status.success() {
        true => Ok(()),
        false => {
            Err(io::Error::other(format!("{program}: {}", String::from_utf8_lossy(&done.stderr).trim())))
        }
    }
}

/// A running server; killed when it goes out of scope.
pub struct Server {
    /// What the report calls it.
    pub name: &'static str,
    /// Its port.
    pub port: u16,
    child: Child,
    dir: tempfile::TempDir,
    started: Instant,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Our server.
    Ours,
    /// The stock server on the PATH.
    Redis,
}

impl Program {
    fn name_and_path(self) -> (&'static str, PathBuf) {
        match self {
            Program::Ours => ("outrigger", PathBuf::from(env!("CARGO_BIN_EXE_outrigger"))),
            Program::Redis => ("redis-server", PathBuf::from("redis-server")),
        }
    }
}

impl Server {
    /// Our server.
    pub fn ours(io_threads: usize) -> io::Result<Server> {
        Server::ours_with(&["--io-threads", &io_threads.to_string()])
    }

    /// Our server with these arguments.
    pub fn ours_with(args: &[&str]) -> io::Result<Server> {
        Server::start(Program::Ours, args)
    }

    /// Our server, run at this niceness; at [`IDLE`], only while nobody else wants the cores.
    pub fn ours_nice(args: &[&str], nice: u32) -> io::Result<Server> {
        Server::ours_nice_with_env(args, nice, Vec::new())
    }

    /// The same, with more in its environment.
    pub fn ours_nice_with_env(args: &[&str], nice: u32, env: Vec<(String, String)>) -> io::Result<Server> {
        Server::start_nice(Program::Ours, args, nice, env)
    }

    /// The stock server, run at this niceness.
    pub fn redis_nice(args: &[&str], nice: u32) -> io::Result<Server> {
        Server::start_nice(Program::Redis, &[&["--save", ""], args].concat(), nice, Vec::new())
    }

    /// The stock server with these arguments.
    pub fn redis_with(args: &[&str]) -> io::Result<Server> {
        Server::start(Program::Redis, &[&["--save", ""], args].concat())
    }

    fn start_nice(
        program: Program,
        args: &[&str],
        nice: u32,
        env: Vec<(String, String)>,
    ) -> io::Result<Server> {
        let mut command = Command::new("chrt");
        match nice {
            0..IDLE => command.args(["--other", "0", "nice", "-n", &nice.to_string()]),
            _ => command.args(["--idle", "0"]),
        };
        if let Some(core) = OWN_CORE.get() {
            command.args(["taskset", "--cpu-list", core]);
        }
        command.arg(program.name_and_path().1).envs(env);
        let dir = tempfile::TempDir::with_prefix("against-redis-")?;
        Server::spawn(program, command, dir, args)?.ready()
    }

    /// The stock server, which fsyncs before it answers.
    pub fn redis_always() -> io::Result<Server> {
        let args = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"];
        Server::start(Program::Redis, &args)
    }

    /// The stock server on the PATH.
    pub fn redis() -> io::Result<Server> {
        Server::start(Program::Redis, &["--save", ""])
    }

    fn start(program: Program, args: &[&str]) -> io::Result<Server> {
        let dir = tempfile::TempDir::with_prefix("against-redis-")?;
        Server::begin(program, dir, args)?.ready()
    }

    fn ready(self) -> io::Result<Server> {
        self.wait(Duration::from_secs(20))?;
        Ok(self)
    }

    /// Starts a server in a folder, which goes with it, and does not wait for it.
    pub fn begin(program: Program, dir: tempfile::TempDir, args: &[&str]) -> io::Result<Server> {
        let command = Command::new(program.name_and_path().1);
        Server::spawn(program, command, dir, args)
    }

    fn spawn(
        program: Program,
        mut command: Command,
        dir: tempfile::TempDir,
        args: &[&str],
    ) -> io::Result<Server> {
        let (name, path) = program.name_and_path();
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]).arg("--dir").arg(dir.path());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let child = command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(Server { name, port, child, dir, started })
    }

    /// Waits until it serves: a PING that is refused while the data is loaded does not count.
    pub fn wait(&self, at_most: Duration) -> io::Result<()> {
        let ping = || self.client().and_then(|mut client| client.command(&["PING"]));
        while !ping().is_ok_and(|reply| reply.as_error().is_none()) {
            if self.started.elapsed() > at_most {
                return Err(io::Error::other(format!("{} does not answer", self.name)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Time since it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A new connection.
    pub fn client(&self) -> io::Result<Client> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, input: Vec::new(), decoder: ReplyDecoder::default() })
    }

    /// CPU time of all its threads so far, in steps of 10 ms; threads that have ended count, too.
    pub fn cpu_of_all(&self) -> io::Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name, in parentheses, may hold spaces. User and system time are the 12th and 13th field behind it.
        let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// A field of INFO.
    pub fn info(&self, field: &str) -> io::Result<Option<String>> {
        let info = self.client()?.command(&["INFO", "everything"])?;
        let info = String::from_utf8_lossy(info.as_bytes().unwrap_or_default()).into_owned();
        let of_field = |line: &str| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned());
        Ok(info.lines().find_map(of_field))
    }

    /// A number in INFO.
    pub fn figure(&self, field: &str) -> io::Result<u64> {
        let text = self.info(field)?.unwrap_or_default();
        text.parse().map_err(|_| io::Error::other(format!("{}: {field} is '{text}'", self.name)))
    }

    /// Its resident memory, without that of children.
    pub fn rss_bytes(&self) -> io::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.map(|kib| kib << 10).ok_or_else(|| io::Error::other("no resident size"))
    }

    /// CPU time of all threads that it has.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut total_ns = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            total_ns += text.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(total_ns))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A plain blocking client.
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    decoder: ReplyDecoder,
}

impl Client {
    /// One command's reply; an error reply is an error.
    pub fn command(&mut self, args: &[&str]) -> io::Result<RespValue> {
        let mut bytes = Vec::new();
        write_command(&mut bytes, args);
        self.stream.write_all(&bytes)?;
        let value = self.read()?;
        match value.as_error() {
            Some(error) => Err(io::Error::other(String::from_utf8_lossy(error).into_owned())),
            None => Ok(value),
        }
    }

    /// Sends many commands and reads as many replies.
    pub fn pipeline(&mut self, bytes: &[u8], count: usize) -> io::Result<()> {
        let mut sender = self.stream.try_clone()?;
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || sender.write_all(bytes));
            for _ in 0..count {
                self.read()?;
            }
            sending.join().map_err(|_| io::Error::other("the sending thread panicked"))?
        })
    }

    fn read(&mut self) -> io::Result<RespValue> {
        loop {
            match self.decoder.decode(&self.input).map_err(io::Error::other)? {
                Decoded::Complete { value, consumed } => {
                    self.input.drain(..consumed);
                    return Ok(value);
                }
                Decoded::Incomplete { consumed, .. } => drop(self.input.drain(..consumed)),
            }
            let mut chunk = [0; 64 << 10];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.input.extend_from_slice(&chunk[..count]),
            }
        }
    }
}
