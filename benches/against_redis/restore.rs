//! Loading a data set into a running server: `restore --into URL` beside `redis-cli --pipe` with the same data.

use crate::files;
use crate::report::{median, row};
use crate::servers::{Program, Server};
use outrigger::command::families::dump::payload_of;
use outrigger::keyspace::{Entry, ValueRef};
use outrigger::persistence::offline::{Fingerprint, RestoreTo};
use outrigger::persistence::state::{State, load_state};
use outrigger::resp::write_command;
use outrigger::value::{Element, Value};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Commands that make up the data set; a million and a half leave some million keys
    #[arg(long, short = 'n', default_value_t = 1_500_000)]
    commands: usize,
    /// Measurements of each kind, in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// A way to get the data into a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `redis-cli --pipe` with the commands that make the keys.
    PipedCommands,
    /// `redis-cli --pipe` with RESTOREs.
    PipedRestores,
    /// The snapshot turned into commands on the way to `redis-cli --pipe`.
    Exported,
    /// Ours of the snapshot, without a proof.
    Ours,
    /// Ours of the snapshot, with the proof.
    OursProven,
    /// Ours of the folder with its long log, without a proof.
    OursOfLog,
}

const WAYS: [Way; 6] =
    [Way::PipedCommands, Way::PipedRestores, Way::Exported, Way::Ours, Way::OursProven, Way::OursOfLog];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::PipedCommands => "`redis-cli --pipe`, commands in a file",
            Way::PipedRestores => "`redis-cli --pipe`, RESTOREs in a file",
            Way::Exported => "`rdb-check --export resp dump.rdb`, into `redis-cli --pipe`",
            Way::Ours => "`restore dump.rdb --into URL --no-verify`",
            Way::OursProven => "`restore dump.rdb --into URL`",
            Way::OursOfLog => "`restore FOLDER --into URL --no-verify`, of a long log",
        }
    }
}

/// One of the tools, which are built beside the server.
fn tool(name: &str) -> io::Result<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_outrigger")).with_file_name(name);
    match path.is_file() {
        true => Ok(path),
        false => Err(io::Error::other(format!(
            "no {}: run `cargo build --release -p outrigger-tools`",
            path.display()
        ))),
    }
}

/// Measures and prints a Markdown table.
pub fn run(options: &Options) -> io::Result<()> {
    let made = tempfile::TempDir::with_prefix("against-redis-restore-")?;
    let keys = files::make_files(&files::Options::of(options.commands), made.path())?;
    let snapshot = made.path().join("rdb/dump.rdb");
    let state = load_state(&snapshot, &RestoreTo::End.into(), 16, &|_, _| ()).map_err(io::Error::other)?;
    let digest = Fingerprint::of(&state.keyspace).digest.to_string();
    write_files(&state, made.path())?;
    drop(state);
    let mut seconds =
        [Program::Redis, Program::Ours].map(|program| (program, WAYS.map(|way| (way, Vec::new()))));
    for _ in 0..options.rounds {
        for (program, ways) in &mut seconds {
            for (way, taken) in ways {
                taken.push(once(*program, *way, made.path(), &digest)?.as_secs_f64());
            }
        }
    }
    println!(
        "{keys} keys of all types, a snapshot of {} MB; {} rounds in turns, whole processes. Each end was checked by DEBUG DIGEST.\n",
        std::fs::metadata(&snapshot)?.len() / 1_000_000,
        options.rounds
    );
    row(&["into", "by", "seconds", "keys a second", "times as fast as the first"].map(String::from));
    row(&["---", "---", "--:", "--:", "--:"].map(String::from));
    for (program, ways) in seconds {
        let into = if program == Program::Ours { "outrigger" } else { "redis-server" };
        let first = ways[0].1.clone();
        for (way, taken) in ways {
            // Each pair of a round was measured under the same conditions.
            let faster = median(first.iter().zip(&taken).map(|(first, taken)| first / taken).collect());
            let taken = median(taken);
            let speed = format!("{:.0}", keys as f64 / taken);
            row(&[into.into(), way.name().into(), format!("{taken:.2}"), speed, format!("{faster:.2}")]);
        }
    }
    Ok(())
}

/// One load into an empty server; its time.
fn once(program: Program, way: Way, made: &Path, digest: &str) -> io::Result<Duration> {
    let args = ["--save", "", "--enable-debug-command", "yes"];
    let server = Server::begin(program, tempfile::TempDir::with_prefix("against-redis-")?, &args)?;
    server.wait(Duration::from_secs(20))?;
    let (snapshot, port) = (made.join("rdb/dump.rdb"), server.port.to_string());
    let mut command = match way {
        Way::PipedCommands | Way::PipedRestores => {
            let name = if way == Way::PipedCommands { "commands.resp" } else { "restores.resp" };
            let mut command = Command::new("redis-cli");
            command.args(["-p", &port, "--pipe"]).stdin(File::open(made.join(name))?);
            command
        }
        Way::Exported => {
            let script = "\"$0\" --export resp \"$1\" | redis-cli -p \"$2\" --pipe";
            let mut command = Command::new("sh");
            command.args(["-c", script]).arg(tool("rdb-check")?).arg(&snapshot).arg(&port);
            command
        }
        Way::Ours | Way::OursProven | Way::OursOfLog => {
            let source = if way == Way::OursOfLog { made.join("aof") } else { snapshot };
            let mut command = Command::new(tool("restore")?);
            command.arg(source).args(["--into", &format!("redis://127.0.0.1:{port}")]);
            command.args((way != Way::OursProven).then_some("--no-verify"));
            command
        }
    };
    let began = Instant::now();
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
    let taken = began.elapsed();
    let reply = server.client()?.command(&["DEBUG", "DIGEST"])?;
    if !output.status.success() || reply.as_bytes() != Some(digest.as_bytes()) {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("{}: {} left other data: {said}", server.name, way.name())));
    }
    Ok(taken)
}

/// Writes the data as commands, and as RESTOREs.
fn write_files(state: &State, made: &Path) -> io::Result<()> {
    let (mut commands, mut restores) = (
        io::BufWriter::new(File::create(made.join("commands.resp"))?),
        io::BufWriter::new(File::create(made.join("restores.resp"))?),
    );
    let locked = state.keyspace.lock_all();
    for entry in locked.iter().flat_map(|(_, shard)| shard.db(0).iter()) {
        let mut bytes = Vec::new();
        write_natively(entry, &mut bytes);
        commands.write_all(&bytes)?;
        bytes.clear();
        let time = entry.expire_at_ms().unwrap_or(0).to_string();
        let args: [&[u8]; 5] =
            [b"RESTORE", entry.key(), time.as_bytes(), &payload_of(entry.value()), b"ABSTTL"];
        write_command(&mut bytes, &args);
        restores.write_all(&bytes)?;
    }
    commands.flush()?;
    restores.flush()
}

/// The commands that make a key; large collections in several.
fn write_natively(entry: &Entry, out: &mut Vec<u8>) {
    const ELEMENTS: usize = 512;
    let own = |element: Element<'_>| element.as_bytes(&mut itoa::Buffer::new()).to_vec();
    let (name, words): (&[u8], Vec<Vec<u8>>) = match entry.value() {
        ValueRef::Int(int) => (b"SET", vec![int.to_string().into_bytes()]),
        ValueRef::Bytes(bytes) => (b"SET", vec![bytes.to_vec()]),
        ValueRef::Object(Value::List(list)) => (b"RPUSH", list.iter().map(own).collect()),
        ValueRef::Object(Value::Set(set)) => (b"SADD", set.iter().map(own).collect()),
        ValueRef::Object(Value::ZSet(zset)) => {
            let pair = |(member, score): (Element<'_>, f64)| [format!("{score}").into_bytes(), own(member)];
            (b"ZADD", zset.iter().flat_map(pair).collect())
        }
        ValueRef::Object(Value::Hash(hash)) => {
            (b"HSET", hash.iter_timed().flat_map(|(field, value, _)| [own(field), own(value)]).collect())
        }
        ValueRef::Object(Value::Stream(stream)) => {
            let (first, last) =
                (outrigger::value::stream::StreamId::MIN, outrigger::value::stream::StreamId::MAX);
            for added in stream.entries().range(first, last) {
                let id = format!("{}-{}", added.id.ms, added.id.seq).into_bytes();
                let fields = added.fields().flat_map(|(field, value)| [own(field), own(value)]);
                let head = [b"XADD".to_vec(), entry.key().to_vec(), id];
                write_command(out, &head.into_iter().chain(fields).collect::<Vec<_>>());
            }
            return;
        }
        ValueRef::Object(Value::Str(_)) => return,
    };
    for words in words.chunks(ELEMENTS) {
        let mut args: Vec<&[u8]> = vec![name, entry.key()];
        args.extend(words.iter().map(Vec::as_slice));
        let time = entry.expire_at_ms().map(|at| at.to_string());
        match &time {
            Some(at) if name == b"SET" => args.extend([b"PXAT".as_slice(), at.as_bytes()]),
            _ => {}
        }
        write_command(out, &args);
    }
    if let (Some(at), false) = (entry.expire_at_ms(), name == b"SET") {
        write_command(out, &[b"PEXPIREAT".as_slice(), entry.key(), at.to_string().as_bytes()]);
    }
}
