//! Loading a data set into a running server: `restore --into URL` beside `redis-cli --pipe` with the same data.

use crate::files;
use crate::report::{median, row};
use crate::servers::{Program, Server};
use outrigger::command::families::dump::payload_of;
use outrigger::keyspace::{Entry, ValueRef};
use outrigger::persistence::offline::RestoreTo;
use outrigger::persistence::state::{State, load_state};
use outrigger::remote::commands::Existing;
use outrigger::remote::restore::IntoOptions;
use outrigger::remote::toolbox::restore_into;
use outrigger::remote::{Patience, Target};
use outrigger::resp::write_command;
use outrigger::value::{Element, Value};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
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
    /// Ours, without a proof.
    Ours,
    /// Ours, with the proof.
    OursProven,
}

const WAYS: [Way; 4] = [Way::PipedCommands, Way::PipedRestores, Way::Ours, Way::OursProven];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::PipedCommands => "redis-cli --pipe, commands",
            Way::PipedRestores => "redis-cli --pipe, RESTOREs",
            Way::Ours => "restore --into --no-verify",
            Way::OursProven => "restore --into",
        }
    }
}

/// Measures and prints a Markdown table.
pub fn run(options: &Options) -> io::Result<()> {
    let made = tempfile::TempDir::with_prefix("against-redis-restore-")?;
    let keys = files::make_files(&files::Options::of(options.commands), made.path())?;
    let folder = made.path().join("aof");
    let state = load_state(&folder, &RestoreTo::End.into(), 16, &|_, _| ()).map_err(io::Error::other)?;
    let digest = state.fingerprint.digest.to_string();
    write_files(&state, made.path())?;
    drop(state);
    let mut seconds =
        [Program::Redis, Program::Ours].map(|program| (program, WAYS.map(|way| (way, Vec::new()))));
    for _ in 0..options.rounds {
        for (program, ways) in &mut seconds {
            for (way, taken) in ways {
                taken.push(once(*program, *way, made.path(), &folder, &digest)?.as_secs_f64());
            }
        }
    }
    println!(
        "{keys} keys of all types, {} rounds in turns. `restore` reads and checks the folder in its time; `redis-cli` is given \
         the commands in a file. Each end was checked by DEBUG DIGEST.\n",
        options.rounds
    );
    row(&["into", "by", "seconds", "keys a second", "times as fast as the better redis-cli"]
        .map(String::from));
    row(&["---", "---", "--:", "--:", "--:"].map(String::from));
    for (program, ways) in seconds {
        let into = if program == Program::Ours { "outrigger" } else { "redis-server" };
        let medians = ways.map(|(way, taken)| (way, median(taken)));
        let best = medians[0].1.min(medians[1].1);
        for (way, taken) in medians {
            let speed = format!("{:.0}", keys as f64 / taken);
            row(&[
                into.into(),
                way.name().into(),
                format!("{taken:.2}"),
                speed,
                format!("{:.2}", best / taken),
            ]);
        }
    }
    Ok(())
}

/// One load into an empty server; its time.
fn once(program: Program, way: Way, made: &Path, folder: &Path, digest: &str) -> io::Result<Duration> {
    let args = ["--save", "", "--enable-debug-command", "yes"];
    let server = Server::begin(program, tempfile::TempDir::with_prefix("against-redis-")?, &args)?;
    server.wait(Duration::from_secs(20))?;
    let began = Instant::now();
    match way {
        Way::PipedCommands => pipe(&server, &made.join("commands.resp"))?,
        Way::PipedRestores => pipe(&server, &made.join("restores.resp"))?,
        Way::Ours | Way::OursProven => into(&server, made, folder, way == Way::OursProven)?,
    }
    let taken = began.elapsed();
    let reply = server.client()?.command(&["DEBUG", "DIGEST"])?;
    if reply.as_bytes() != Some(digest.as_bytes()) {
        return Err(io::Error::other(format!("{}: {} left other data", server.name, way.name())));
    }
    Ok(taken)
}

fn pipe(server: &Server, file: &Path) -> io::Result<()> {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &server.port.to_string(), "--pipe"]).stdin(File::open(file)?);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() && text.contains("errors: 0") {
        true => Ok(()),
        false => Err(io::Error::other(format!("redis-cli --pipe: {text}"))),
    }
}

fn into(server: &Server, made: &Path, folder: &Path, verify: bool) -> io::Result<()> {
    let target: Target = format!("redis://127.0.0.1:{}", server.port).parse().map_err(io::Error::other)?;
    let options = IntoOptions {
        patience: Patience::default(),
        existing: Existing::Refuse,
        connections: 0,
        resume_file: Some(made.join("resume")),
        verify,
    };
    restore_into(folder, &target, &RestoreTo::End.into(), 16, &options, &|_, _| (), &|_, _| ())
        .map_err(io::Error::other)?;
    Ok(())
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
