//! Checking snapshot files offline: `rdb-check` beside `redis-check-rdb`, over the same bytes.

use crate::files::{self, make_files};
use crate::report::{median, row};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Bytes in a megabyte.
const MB: f64 = 1e6;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Commands that make up the data set; a million and a half are some 210 MB
    #[arg(long, short = 'n', default_value_t = 1_500_000)]
    commands: usize,
    /// Measurements of each program, in turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// One run of a program.
#[derive(Clone, Copy)]
struct Run {
    wall: Duration,
    cpu_s: f64,
}

/// Measures and prints a Markdown table.
pub fn run(options: &Options) -> io::Result<()> {
    let ours = beside("rdb-check")?;
    let made = tempfile::TempDir::with_prefix("against-redis-snapshots-")?;
    let keys = make_files(&files::Options::of(options.commands), made.path())?;
    let path = made.path().join("rdb/dump.rdb");
    let mb = std::fs::metadata(&path)?.len() as f64 / MB;
    let (mut theirs, mut own) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        theirs.push(measure(Path::new("redis-check-rdb"), &path)?);
        own.push(measure(&ours, &path)?);
    }
    println!("{keys} keys of all types, {} rounds in turns; the file is in the page cache\n", options.rounds);
    let heads = [
        "MB",
        "redis-check-rdb, MB/s",
        "rdb-check, MB/s",
        "ratio",
        "CPU s, redis-check-rdb",
        "CPU s, rdb-check",
        "ratio",
    ];
    row(&heads.map(String::from));
    row(&["--:", "--:", "--:", "--:", "--:", "--:", "--:"].map(String::from));
    let speed = |runs: &[Run]| median(runs.iter().map(|run| mb / run.wall.as_secs_f64()).collect());
    let cpu = |runs: &[Run]| median(runs.iter().map(|run| run.cpu_s).collect());
    // Each pair of a round was measured under the same conditions.
    let pairs = || theirs.iter().zip(&own);
    let faster = pairs().map(|(theirs, own)| theirs.wall.as_secs_f64() / own.wall.as_secs_f64()).collect();
    let cheaper = pairs().map(|(theirs, own)| own.cpu_s / theirs.cpu_s).collect();
    row(&[
        format!("{mb:.0}"),
        format!("{:.0}", speed(&theirs)),
        format!("{:.0}", speed(&own)),
        format!("{:.2}", median(faster)),
        format!("{:.2}", cpu(&theirs)),
        format!("{:.2}", cpu(&own)),
        format!("{:.2}", median(cheaper)),
    ]);
    Ok(())
}

/// A program of the workspace, as built for this profile.
fn beside(name: &str) -> io::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let folder = this.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let path = folder.join(name);
    let missing = format!("{} is not there: cargo build --release -p outrigger-tools", path.display());
    if path.is_file() { Ok(path) } else { Err(io::Error::other(missing)) }
}

/// CPU seconds of all children that have ended.
fn cpu_of_children() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6)
}

/// Runs a checker, which must find the file good.
fn measure(program: &Path, path: &Path) -> io::Result<Run> {
    let (before, started) = (cpu_of_children()?, Instant::now());
    let mut command = Command::new(program);
    let ended =
        command.arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let wall = started.elapsed();
    match ended.success() {
        true => Ok(Run { wall, cpu_s: cpu_of_children()? - before }),
        false => Err(io::Error::other(format!("{} of {}: {ended}", program.display(), path.display()))),
    }
}
