//! A full sync under load: how long it takes, and what clients and the primary's memory notice of it.

use crate::mixed;
use crate::paced::{self, Latencies};
use crate::report::row;
use crate::servers::{self, Server};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Size of the data set, MiB of our primary's `used_memory`
    #[arg(long, default_value_t = 2048)]
    mib: u64,
    /// SETs a second meanwhile, ten in a pipeline
    #[arg(long, default_value_t = 10_000)]
    writes: u32,
    /// GETs a second meanwhile, one at a time
    #[arg(long, default_value_t = 1_000)]
    reads: u32,
    /// Niceness of the replicas: they share the machine with the primary here
    #[arg(long, default_value_t = 10)]
    replica_nice: u32,
    /// Leave the last core to the replicas, and the others to the primary and the load
    #[arg(long)]
    apart: bool,
    /// Seconds of the load before each sync
    #[arg(long, default_value_t = 10)]
    before: u64,
    /// Measure only pairs whose name holds this
    #[arg(long, default_value = "")]
    only: String,
}

/// SETs of one pipeline.
const WRITES_AT_ONCE: u32 = 10;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Longest that a sync may take.
const LIMIT: Duration = Duration::from_secs(280);

/// A primary's replica.
struct Pair {
    name: &'static str,
    primary: Primary,
    start: fn(&[&str], u32) -> io::Result<Server>,
    args: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq)]
enum Primary {
    Ours,
    Stock,
}

const PAIRS: &[Pair] = &[
    Pair {
        name: "outrigger <- outrigger, which writes files",
        primary: Primary::Ours,
        start: Server::ours_nice,
        args: &[],
    },
    Pair {
        name: "outrigger <- outrigger without files",
        primary: Primary::Ours,
        start: Server::ours_nice,
        args: &["--role-persistence", "off", "--save", "", "--appendonly", "no"],
    },
    Pair {
        name: "outrigger <- redis-server",
        primary: Primary::Ours,
        start: Server::redis_nice,
        args: &["--repl-diskless-load", "on-empty-db"],
    },
    Pair {
        name: "redis-server <- redis-server, diskless",
        primary: Primary::Stock,
        start: Server::redis_nice,
        args: &["--repl-diskless-load", "on-empty-db"],
    },
];

/// Measures and prints a Markdown table.
pub fn run(options: &Options) -> io::Result<()> {
    if options.apart {
        servers::keep_apart()?;
    }
    let ours = Server::ours_with(&[])?;
    let keys = mixed::fill_up_to(&ours, options.mib << 20)?;
    let wanted: Vec<&Pair> = PAIRS.iter().filter(|pair| pair.name.contains(&options.only)).collect();
    println!(
        "{keys} keys, {} MiB; {} SETs and {} GETs a second; replicas at niceness {}\n",
        options.mib, options.writes, options.reads, options.replica_nice
    );
    let heads = [
        "primary <- replica",
        "full sync, s",
        "GET p99.9 before, ms",
        "during",
        "longest GET before, ms",
        "during",
        "primary's memory, MiB",
        "more at most",
        "%",
    ];
    row(&heads.map(String::from));
    row(&["---", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "--:"].map(String::from));
    for pair in wanted.iter().filter(|pair| pair.primary == Primary::Ours) {
        measure(options, pair, &ours, keys)?;
    }
    drop(ours);
    if let Some(pair) = wanted.iter().find(|pair| pair.primary == Primary::Stock) {
        let stock = Server::redis_with(&["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"])?;
        mixed::fill(&stock, keys)?;
        measure(options, pair, &stock, keys)?;
    }
    Ok(())
}

/// What was seen in one stretch of the load.
struct Stretch {
    gets: Latencies,
    peak_rss_bytes: u64,
}

/// Runs `then` under the load.
fn under_load(
    options: &Options,
    primary: &Server,
    keys: u64,
    then: impl FnOnce() -> io::Result<()>,
) -> io::Result<Stretch> {
    let (stop, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut rng = paced::rng(1);
            paced::drive(primary.port, options.writes / WRITES_AT_ONCE, &stop, |out| {
                (0..WRITES_AT_ONCE).for_each(|_| mixed::write_set(keys, &mut rng, out));
                WRITES_AT_ONCE as usize
            })
        });
        let reading = scope.spawn(|| {
            let mut rng = paced::rng(2);
            paced::drive(primary.port, options.reads, &stop, |out| {
                mixed::write_get(keys, &mut rng, out);
                1
            })
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                peak.fetch_max(primary.rss_bytes().unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(LOOK);
            }
        });
        let done = then();
        stop.store(true, Ordering::Relaxed);
        let panicked = |_| io::Error::other("a thread of the load panicked");
        writing.join().map_err(panicked)??;
        let gets = reading.join().map_err(panicked)??;
        done?;
        Ok(Stretch { gets, peak_rss_bytes: peak.load(Ordering::Relaxed) })
    })
}

fn measure(options: &Options, pair: &Pair, primary: &Server, keys: u64) -> io::Result<()> {
    let before = under_load(options, primary, keys, || {
        std::thread::sleep(Duration::from_secs(options.before));
        Ok(())
    })?;
    let rss = primary.rss_bytes()?;
    let replica = (pair.start)(pair.args, options.replica_nice)?;
    let mut took = Duration::ZERO;
    let during = under_load(options, primary, keys, || {
        let begun = Instant::now();
        replica.client()?.command(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()])?;
        wait_until_caught_up(primary, &replica)?;
        took = begun.elapsed();
        Ok(())
    })?;
    // A child's memory is not its parent's: what it had to copy is told by the server itself.
    let copied = match pair.primary {
        Primary::Ours => 0,
        Primary::Stock => primary.figure("rdb_last_cow_size")?,
    };
    let more = during.peak_rss_bytes.saturating_sub(rss) + copied;
    let (mut before, mut during) = (before.gets, during.gets);
    row(&[
        pair.name.into(),
        format!("{:.1}", took.as_secs_f64()),
        format!("{:.2}", before.share_ms(0.999)),
        format!("{:.2}", during.share_ms(0.999)),
        format!("{:.1}", before.worst_ms()),
        format!("{:.1}", during.worst_ms()),
        (rss >> 20).to_string(),
        (more >> 20).to_string(),
        format!("{:.1}", more as f64 * 100.0 / rss as f64),
    ]);
    Ok(())
}

/// Waits until the replica is in the stream and has what the primary had a moment before.
fn wait_until_caught_up(primary: &Server, replica: &Server) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(50));
        if replica.info("master_link_status")?.as_deref() == Some("up") {
            let end = primary.figure("master_repl_offset")?;
            if replica.figure("slave_repl_offset")? >= end.saturating_sub(1 << 20) {
                return Ok(());
            }
        }
        if begun.elapsed() > LIMIT {
            return Err(io::Error::other("the sync does not come to its end"));
        }
    }
}
