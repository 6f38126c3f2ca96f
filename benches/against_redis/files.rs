//! Loading files at start and saving: how long each server takes for the same bytes.

use crate::report::{median, row};
use crate::servers::{Client, Program, Server};
use outrigger::base::random::Rng;
use outrigger::resp::write_command;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Commands sent before their replies are read.
const BATCH: usize = 2_000;
/// Bytes in a megabyte.
const MB: f64 = 1e6;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Commands that make up the data set; a million and a half are some 210 MB of snapshot and 350 MB of log
    #[arg(long, short = 'n', default_value_t = 1_500_000)]
    commands: usize,
    /// Measurements of each server, in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only what is called so: rdb (load and save) or aof
    #[arg(long, default_value = "")]
    only: String,
}

impl Options {
    /// For files of so many commands.
    pub fn of(commands: usize) -> Options {
        Options { commands, rounds: 1, only: String::new() }
    }
}

/// What one server did once.
#[derive(Clone, Copy)]
struct Run {
    bytes: u64,
    wall: Duration,
    cpu: Duration,
}

/// The runs of both servers of one kind.
struct Row {
    what: &'static str,
    theirs: Vec<Run>,
    ours: Vec<Run>,
}

/// Measures and prints a Markdown table.
pub fn run(options: &Options) -> io::Result<()> {
    let made = tempfile::TempDir::with_prefix("against-redis-files-")?;
    let keys = make_files(options, made.path())?;
    let mut rows = Vec::new();
    if "rdb".contains(&options.only) {
        rows.extend([Row::new("load of a snapshot"), Row::new("SAVE")]);
    }
    if "aof".contains(&options.only) {
        rows.push(Row::new("load of an append-only folder"));
    }
    for _ in 0..options.rounds {
        for program in [Program::Redis, Program::Ours] {
            for row in &mut rows {
                let runs = if program == Program::Ours { &mut row.ours } else { &mut row.theirs };
                match row.what {
                    "load of a snapshot" => runs.push(load(program, &made.path().join("rdb"), &RDB, keys)?.0),
                    "SAVE" => runs.push(save(program, &made.path().join("rdb"), keys)?),
                    _ => runs.push(load(program, &made.path().join("aof"), &AOF, keys)?.0),
                }
            }
        }
    }
    println!(
        "{keys} keys of all types, {} rounds in turns; from the start of the process on\n",
        options.rounds
    );
    let heads = [
        "",
        "MB",
        "redis-server, MB/s",
        "outrigger, MB/s",
        "ratio",
        "CPU s, redis-server",
        "CPU s, outrigger",
        "ratio",
    ];
    row(&heads.map(String::from));
    row(&["---", "--:", "--:", "--:", "--:", "--:", "--:", "--:"].map(String::from));
    rows.iter().for_each(Row::print);
    Ok(())
}

impl Row {
    fn new(what: &'static str) -> Row {
        Row { what, theirs: Vec::new(), ours: Vec::new() }
    }

    fn print(&self) {
        let speed = |runs: &[Run]| median(runs.iter().map(Run::mb_per_s).collect());
        let cpu = |runs: &[Run]| median(runs.iter().map(|run| run.cpu.as_secs_f64()).collect());
        // Each pair of a round was measured under the same conditions.
        let pairs = || self.theirs.iter().zip(&self.ours);
        let faster = pairs().map(|(theirs, ours)| ours.mb_per_s() / theirs.mb_per_s()).collect();
        let cheaper =
            pairs().map(|(theirs, ours)| ours.cpu.as_secs_f64() / theirs.cpu.as_secs_f64()).collect();
        row(&[
            self.what.into(),
            format!("{:.0}", self.theirs.first().map_or(0.0, |run| run.bytes as f64 / MB)),
            format!("{:.0}", speed(&self.theirs)),
            format!("{:.0}", speed(&self.ours)),
            format!("{:.2}", median(faster)),
            format!("{:.2}", cpu(&self.theirs)),
            format!("{:.2}", cpu(&self.ours)),
            format!("{:.2}", median(cheaper)),
        ]);
    }
}

impl Run {
    fn mb_per_s(&self) -> f64 {
        self.bytes as f64 / MB / self.wall.as_secs_f64()
    }
}

const RDB: [&str; 4] = ["--save", "", "--appendonly", "no"];
/// The log is not rewritten by itself: the folder is to be a small base and a long log.
const AOF: [&str; 6] = ["--save", "", "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];

/// Starts a server in a copy of `from`, waits until it serves, and makes sure that it has all keys.
fn load(program: Program, from: &Path, args: &[&str], keys: i64) -> io::Result<(Run, Server)> {
    let dir = tempfile::TempDir::with_prefix("against-redis-")?;
    let bytes = copy(from, dir.path())?;
    let server = Server::begin(program, dir, args)?;
    server.wait(Duration::from_secs(120))?;
    let run = Run { bytes, wall: server.age(), cpu: server.cpu_of_all()? };
    let found = server.client()?.command(&["DBSIZE"])?.as_int().unwrap_or(0);
    match found == keys {
        true => Ok((run, server)),
        false => Err(io::Error::other(format!("{} has {found} keys of {keys}", server.name))),
    }
}

/// SAVE of what a snapshot holds.
fn save(program: Program, from: &Path, keys: i64) -> io::Result<Run> {
    let (_, server) = load(program, from, &RDB, keys)?;
    let mut client = server.client()?;
    let (cpu, started) = (server.cpu_of_all()?, Instant::now());
    client.command(&["SAVE"])?;
    let wall = started.elapsed();
    let bytes = std::fs::metadata(server.dir().join("dump.rdb"))?.len();
    Ok(Run { bytes, wall, cpu: server.cpu_of_all()? - cpu })
}

/// Copies a folder of files and folders, onto the disk. Returns their bytes.
fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    std::fs::create_dir_all(to)?;
    let mut bytes = 0;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            bytes += copy(&entry.path(), &target)?;
        } else {
            bytes += std::fs::copy(entry.path(), &target)?;
            std::fs::File::open(&target)?.sync_all()?;
        }
    }
    Ok(bytes)
}

/// Makes the folder `aof` by ours, a base and then commands, and the folder `rdb` by the stock server that has loaded it.
/// Returns the number of keys.
pub fn make_files(options: &Options, dir: &Path) -> io::Result<i64> {
    let (aof, rdb) = (dir.join("aof"), dir.join("rdb"));
    let server = Server::begin(Program::Ours, tempfile::TempDir::with_prefix("against-redis-")?, &AOF)?;
    server.wait(Duration::from_secs(20))?;
    let mut client = server.client()?;
    let mut rng = Rng::from_seed(11);
    let in_base = options.commands / 20;
    feed(&mut client, &mut rng, 0..in_base)?;
    client.command(&["BGREWRITEAOF"])?;
    while info(&mut client, "persistence")?.contains("aof_rewrite_in_progress:1") {
        std::thread::sleep(Duration::from_millis(20));
    }
    feed(&mut client, &mut rng, in_base..options.commands)?;
    let keys = client.command(&["DBSIZE"])?.as_int().unwrap_or(0);
    client.command(&["WAITAOF", "1", "0", "0"])?;
    // Not with the earlier generation that lies beside it.
    copy(&server.dir().join("appendonlydir"), &aof.join("appendonlydir"))?;
    drop(server);
    let (_, stock) = load(Program::Redis, &aof, &AOF, keys)?;
    stock.client()?.command(&["SAVE"])?;
    std::fs::create_dir_all(&rdb)?;
    std::fs::copy(stock.dir().join("dump.rdb"), rdb.join("dump.rdb"))?;
    Ok(keys)
}

fn info(client: &mut Client, section: &str) -> io::Result<String> {
    let reply = client.command(&["INFO", section])?;
    Ok(String::from_utf8_lossy(reply.as_bytes().unwrap_or_default()).into_owned())
}

fn feed(client: &mut Client, rng: &mut Rng, numbers: std::ops::Range<usize>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for start in numbers.clone().step_by(BATCH) {
        let batch = start..numbers.end.min(start + BATCH);
        bytes.clear();
        let sent = batch.map(|number| write_one(rng, number, &mut bytes)).sum();
        client.pipeline(&bytes, sent)?;
    }
    Ok(())
}

/// Appends one command, or a transaction; returns how many replies it gets. The mix: sessions and small objects that come
/// new, queues, sets, boards and streams that grow, counters, and keys that are changed or go.
pub fn write_one(rng: &mut Rng, number: usize, out: &mut Vec<u8>) -> usize {
    let mut command = |words: &[String]| write_command(out, words);
    let word = |text: &str| text.to_owned();
    match rng.below(100) {
        0..48 => command(&[
            word("SET"),
            format!("session:{}", rng.hex(32)),
            rng.hex(64),
            word("EX"),
            word("86400"),
        ]),
        48..66 => command(
            &[
                format!("HSET user:{}", rng.hex(16)),
                format!(
                    "name n{number} email user{number}@example.com age {} city Lisbon lang pt",
                    rng.below(99)
                ),
                format!("ts {} plan basic n {number}", 1_700_000_000 + number),
            ]
            .join(" ")
            .split(' ')
            .map(String::from)
            .collect::<Vec<_>>(),
        ),
        66..74 => many(&mut command, "RPUSH", format!("q:{}", number % 2_000), || vec![rng.hex(24)]),
        74..79 => many(&mut command, "SADD", format!("ids:{}", number % 5_000), || {
            vec![rng.below(60_000).to_string()]
        }),
        79..82 => many(&mut command, "SADD", format!("tags:{}", number % 400), || {
            vec![format!("tag-{}", rng.below(20_000))]
        }),
        82..87 => many(&mut command, "ZADD", format!("board:{}", number % 20), || {
            vec![rng.below(1_000_000).to_string(), format!("member:{}", rng.hex(12))]
        }),
        87..90 => command(&[
            word("XADD"),
            format!("events:{}", number % 50),
            word("*"),
            word("kind"),
            word("view"),
            word("user"),
            rng.hex(16),
            word("page"),
            format!("/shop/item/{}", rng.below(100_000)),
        ]),
        90..94 => command(&[word("INCR"), format!("hits:{}", rng.below(30_000))]),
        94..97 => command(&[
            word("HSET"),
            format!("profile:{}", rng.below(300)),
            format!("field:{}", rng.below(20_000)),
            rng.hex(40),
        ]),
        97 => command(&[
            word("SET"),
            format!("page:{}", rng.below(30_000)),
            format!("<li class=\"item\" id=\"{}\">{}</li>", rng.hex(8), number).repeat(40),
        ]),
        98 => command(&[word("LPOP"), format!("q:{}", rng.below(2_000))]),
        _ => {
            let id = rng.hex(12);
            command(&[word("MULTI")]);
            command(&[word("SET"), format!("order:{id}"), format!("{{\"total\":{number},\"paid\":false}}")]);
            command(&[word("LPUSH"), format!("orders:{}", number % 100), id]);
            command(&[word("EXEC")]);
            return 4;
        }
    }
    1
}

/// A command of a key and ten elements.
fn many(
    command: &mut impl FnMut(&[String]),
    name: &str,
    key: String,
    mut element: impl FnMut() -> Vec<String>,
) {
    let elements = (0..10).flat_map(|_| element());
    command(&[name.to_owned(), key].into_iter().chain(elements).collect::<Vec<_>>());
}
