//! Checking append-only files offline: `aof-check` beside `redis-check-aof`, over the same bytes.

use crate::files::write_one;
use crate::report::{median, row};
use outrigger::base::random::Rng;
use outrigger::format::aof::seal::{Lineage, Sealer};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Bytes in a megabyte.
const MB: f64 = 1e6;
/// Commands that one seal vouches for, as a replica under load writes them.
const COMMANDS_A_SEAL: usize = 200;
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Megabytes of each log
    #[arg(long, default_value_t = 1_000)]
    megabytes: u64,
    /// Measurements of each program, in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measure with a log of one value of so many megabytes, too
    #[arg(long, default_value_t = 0)]
    big_value: u64,
}

/// One run of a program.
#[derive(Clone, Copy)]
struct Run {
    wall: Duration,
    most_bytes: u64,
}

/// Measures and prints a Markdown table.
pub fn run(options: &Options) -> io::Result<()> {
    let ours = beside("aof-check")?;
    let made = tempfile::TempDir::with_prefix("against-redis-logs-")?;
    let bytes = options.megabytes * 1_000_000;
    let mut logs = vec![
        ("sealed", make(&made.path().join("sealed"), true, bytes)?),
        ("of a stock server", make(&made.path().join("stock"), false, bytes)?),
    ];
    if options.big_value > 0 {
        logs.push(("sealed, one value", make_big(&made.path().join("big"), options.big_value * 1_000_000)?));
    }
    println!("{} rounds in turns; files in the page cache\n", options.rounds);
    let heads = [
        "log",
        "MB",
        "redis-check-aof, MB/s",
        "aof-check, MB/s",
        "ratio",
        "resident MB, redis-check-aof",
        "resident MB, aof-check",
    ];
    row(&heads.map(String::from));
    row(&["---", "--:", "--:", "--:", "--:", "--:", "--:"].map(String::from));
    for (name, dir) in &logs {
        let (mut theirs, mut own) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            // 7.0 takes the manifest.
            theirs.push(measure(Path::new("redis-check-aof"), &dir.join("appendonly.aof.manifest"))?);
            own.push(measure(&ours, dir)?);
        }
        let mb = std::fs::metadata(dir.join("appendonly.aof.1.incr.aof"))?.len() as f64 / MB;
        let speed = |runs: &[Run]| median(runs.iter().map(|run| mb / run.wall.as_secs_f64()).collect());
        let most = |runs: &[Run]| runs.iter().map(|run| run.most_bytes).max().unwrap_or(0) as f64 / MB;
        let pairs = theirs.iter().zip(&own);
        let ratio =
            median(pairs.map(|(theirs, own)| theirs.wall.as_secs_f64() / own.wall.as_secs_f64()).collect());
        row(&[
            (*name).to_owned(),
            format!("{mb:.0}"),
            format!("{:.0}", speed(&theirs)),
            format!("{:.0}", speed(&own)),
            format!("{ratio:.1}"),
            format!("{:.0}", most(&theirs)),
            format!("{:.0}", most(&own)),
        ]);
    }
    Ok(())
}

/// A program of the workspace, as built for this profile.
fn beside(name: &str) -> io::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let folder = this.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let path = folder.join(name);
    let missing = || {
        io::Error::other(format!("{} is not there: cargo build --release -p outrigger-tools", path.display()))
    };
    if path.is_file() { Ok(path) } else { Err(missing()) }
}

/// Runs a checker, which must find everything good.
fn measure(program: &Path, what: &Path) -> io::Result<Run> {
    let started = Instant::now();
    let mut child = Command::new(program)
        .arg(what)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .spawn()?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut most_bytes = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb: u64 = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
        most_bytes = most_bytes.max(kb * 1024);
        std::thread::sleep(LOOK_EVERY);
    };
    let wall = started.elapsed();
    match ended.success() {
        true => Ok(Run { wall, most_bytes }),
        false => Err(io::Error::other(format!("{} of {}: {ended}", program.display(), what.display()))),
    }
}

fn begin(dir: &Path) -> io::Result<BufWriter<File>> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join("appendonly.aof.manifest"), "file appendonly.aof.1.incr.aof seq 1 type i\n")?;
    Ok(BufWriter::new(File::create(dir.join("appendonly.aof.1.incr.aof"))?))
}

/// Writes a folder with one log of so many bytes.
fn make(dir: &Path, is_sealed: bool, bytes: u64) -> io::Result<PathBuf> {
    let mut file = begin(dir)?;
    let (mut rng, mut out, mut commands) = (Rng::from_seed(12), Vec::new(), Vec::new());
    let mut sealer =
        is_sealed.then(|| Sealer::start(Lineage::random(&mut rng), 0, 1_700_000_000_000, &mut out));
    let (mut number, mut written) = (0, 0);
    while written < bytes {
        for _ in 0..COMMANDS_A_SEAL {
            write_one(&mut rng, number, &mut commands);
            number += 1;
        }
        out.extend_from_slice(&commands);
        if let Some(sealer) = &mut sealer {
            sealer.feed(&commands);
            sealer.seal(1_700_000_000_000 + number as u64, &mut out);
        }
        written += out.len() as u64;
        file.write_all(&out)?;
        out.clear();
        commands.clear();
    }
    file.into_inner()?.sync_all()?;
    Ok(dir.to_owned())
}

/// Writes a folder with one log of one value.
fn make_big(dir: &Path, bytes: u64) -> io::Result<PathBuf> {
    const PIECE_BYTES: u64 = 1 << 20;
    let mut file = begin(dir)?;
    let mut out = Vec::new();
    let mut sealer = Sealer::start(Lineage::random(&mut Rng::from_seed(13)), 0, 1_700_000_000_000, &mut out);
    let pieces = bytes / PIECE_BYTES;
    let head = format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${}\r\n", pieces * PIECE_BYTES);
    let piece = vec![b'v'; PIECE_BYTES as usize];
    sealer.feed(head.as_bytes());
    out.extend_from_slice(head.as_bytes());
    file.write_all(&out)?;
    for _ in 0..pieces {
        sealer.feed(&piece);
        file.write_all(&piece)?;
    }
    out.clear();
    sealer.feed(b"\r\n");
    out.extend_from_slice(b"\r\n");
    sealer.seal(1_700_000_000_001, &mut out);
    file.write_all(&out)?;
    file.into_inner()?.sync_all()?;
    Ok(dir.to_owned())
}
