//! What a primary's clients notice of a replica in trouble: nothing, if all is well.

use crate::mixed;
use crate::paced::{self, Latencies};
use crate::report::row;
use crate::servers::{self, Server};
use crate::slow_disk::{DiskState, SlowDisk};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Size of the data set whose snapshot is forked, MiB of the primary's `used_memory`
    #[arg(long, default_value_t = 2048)]
    mib: u64,
    /// Size of the data set while the disk is in trouble, MiB
    #[arg(long, default_value_t = 64)]
    disk_mib: u64,
    /// Connections; every other one sends GETs, the rest SETs
    #[arg(long, short = 'c', default_value_t = 8)]
    connections: u32,
    /// Requests a second, all connections together
    #[arg(long, default_value_t = 8_000)]
    rate: u32,
    /// Seconds of each stretch
    #[arg(long, default_value_t = 7)]
    seconds: u64,
    /// Turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Niceness of the replica: it shares the machine with the primary here
    #[arg(long, default_value_t = 19)]
    replica_nice: u32,
    /// Leave the last core to the replicas, and the others to the primary and the load
    #[arg(long)]
    apart: bool,
    /// Let the primary and the load go before everything else on the machine; takes root
    #[arg(long)]
    ahead: bool,
    /// Delay of each fsync of a slow disk, ms
    #[arg(long, default_value_t = 5_000)]
    delay_ms: u64,
}

/// Longest that a replica may take to sync or to heal.
const LIMIT: Duration = Duration::from_secs(120);

/// What the replica is in.
#[derive(Clone, Copy)]
enum Trouble {
    Disk(DiskState),
    Fork,
}

/// GETs and SETs of one stretch.
#[derive(Default)]
struct Stretch {
    gets: Latencies,
    sets: Latencies,
}

/// Requests of one sort, of all stretches of one kind.
#[derive(Default)]
struct Taken {
    all: Latencies,
    /// The p99.9 of each stretch, in ms.
    worst_ms: Vec<f64>,
}

impl Taken {
    fn add(&mut self, mut of_stretch: Latencies) {
        self.worst_ms.push(of_stretch.share_ms(0.999));
        self.all.join(of_stretch);
    }

    /// The median of the stretches' p99.9, in ms: a moment in which the machine is taken away spoils one stretch, not all.
    fn typical_worst_ms(&self) -> f64 {
        let mut sorted = self.worst_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        (at(sorted.len().saturating_sub(1) / 2) + at(sorted.len() / 2)) / 2.0
    }
}

/// GETs and SETs of all stretches of one kind.
type Both = [Taken; 2];

/// A primary and a replica that writes, on a disk that can be put in trouble.
struct Pair {
    primary: Server,
    replica: Server,
    disk: SlowDisk,
    keys: u64,
}

/// Measures and prints a Markdown table.
pub fn run(options: &Options) -> io::Result<()> {
    if options.apart {
        servers::keep_apart()?;
    }
    if options.ahead {
        servers::go_ahead()?;
    }
    println!(
        "{} GETs and SETs a second on {} connections; {} and {} MiB; the replica at niceness {}\n",
        options.rate, options.connections, options.disk_mib, options.mib, options.replica_nice
    );
    println!("p99.9 is the median of the p99.9 of {} stretches of {} s\n", options.rounds, options.seconds);
    let heads = ["the replica", "GET p50, ms", "p99.9", "to quiet", "SET p50, ms", "p99.9", "to quiet"];
    row(&heads.map(String::from));
    row(&["---", "--:", "--:", "--:", "--:", "--:", "--:"].map(String::from));
    let slow = format!("each fsync takes {} ms", options.delay_ms);
    let of_disk = [
        (slow.as_str(), Trouble::Disk(DiskState::Slow(options.delay_ms))),
        ("its disk is full", Trouble::Disk(DiskState::Full)),
        ("its fsyncs fail (EIO)", Trouble::Disk(DiskState::Broken)),
    ];
    measure_all(options, options.disk_mib, &of_disk)?;
    let snapshot = format!("forks and writes a snapshot of {} MiB", options.mib);
    measure_all(options, options.mib, &[(&snapshot, Trouble::Fork)])
}

/// Takes turns between quiet and each trouble, and prints a line of each.
fn measure_all(options: &Options, mib: u64, troubles: &[(&str, Trouble)]) -> io::Result<()> {
    let pair = Pair::start(options, mib)?;
    let mut taken: Vec<[Both; 2]> = troubles.iter().map(|_| Default::default()).collect();
    for _ in 0..options.rounds {
        for ((_, trouble), [quiet, troubled]) in troubles.iter().zip(&mut taken) {
            add(quiet, pair.drive(options, || pair.rest(options))?);
            add(troubled, pair.drive(options, || pair.suffer(options, *trouble))?);
            pair.heal()?;
        }
    }
    for ((name, _), [mut quiet, mut troubled]) in troubles.iter().zip(taken) {
        print("quiet", &mut quiet, None);
        print(name, &mut troubled, Some(&quiet));
    }
    Ok(())
}

fn add(both: &mut Both, stretch: Stretch) {
    let [gets, sets] = both;
    gets.add(stretch.gets);
    sets.add(stretch.sets);
}

fn print(name: &str, taken: &mut Both, quiet: Option<&Both>) {
    let mut cells = vec![name.to_owned()];
    for (at, of) in taken.iter_mut().enumerate() {
        let worst = of.typical_worst_ms();
        cells.extend([format!("{:.3}", of.all.share_ms(0.5)), format!("{worst:.2}")]);
        cells.push(
            quiet.map_or_else(String::new, |quiet| format!("{:.2}", worst / quiet[at].typical_worst_ms())),
        );
    }
    row(&cells);
}

impl Pair {
    fn start(options: &Options, mib: u64) -> io::Result<Pair> {
        let primary = Server::ours_with(&[])?;
        let keys = mixed::fill_up_to(&primary, mib << 20)?;
        let disk = SlowDisk::new();
        let of = format!("127.0.0.1 {}", primary.port);
        // Nothing forks by itself.
        let args =
            ["--appendonly", "yes", "--save", "", "--auto-aof-rewrite-percentage", "0", "--replicaof", &of];
        let replica = Server::ours_nice_with_env(&args, options.replica_nice, disk.env())?;
        let pair = Pair { primary, replica, disk, keys };
        pair.heal()?;
        Ok(pair)
    }

    /// Sends the load while `meanwhile` runs.
    fn drive(&self, options: &Options, meanwhile: impl FnOnce() -> io::Result<()>) -> io::Result<Stretch> {
        let stop = AtomicBool::new(false);
        let each = options.rate / options.connections;
        std::thread::scope(|scope| {
            let drive = |number: u32| {
                let stop = &stop;
                scope.spawn(move || {
                    let mut rng = paced::rng(u64::from(number));
                    paced::drive(self.primary.port, each, stop, |out| {
                        match number % 2 {
                            0 => mixed::write_get(self.keys, &mut rng, out),
                            _ => mixed::write_set(self.keys, &mut rng, out),
                        }
                        1
                    })
                })
            };
            let driving: Vec<_> = (0..options.connections).map(drive).collect();
            let done = meanwhile();
            stop.store(true, Ordering::Relaxed);
            let mut taken = Stretch::default();
            for (number, thread) in driving.into_iter().enumerate() {
                let latencies = thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
                match number % 2 {
                    0 => taken.gets.join(latencies),
                    _ => taken.sets.join(latencies),
                }
            }
            done.map(|()| taken)
        })
    }

    fn rest(&self, options: &Options) -> io::Result<()> {
        std::thread::sleep(Duration::from_secs(options.seconds));
        Ok(())
    }

    /// Puts the replica in trouble for as long as the stretch is, and sees to it that it was.
    fn suffer(&self, options: &Options, trouble: Trouble) -> io::Result<()> {
        match trouble {
            Trouble::Disk(state) => {
                self.disk.set(state);
                self.rest(options)?;
                let is_broken = self.replica.info("outrigger_aof_phase")?.as_deref() == Some("broken");
                let behind = self.behind()?;
                let took_hold = match state {
                    DiskState::Slow(_) => behind > 0,
                    _ => is_broken,
                };
                took_hold.then_some(()).ok_or_else(|| io::Error::other("the replica is in no trouble"))
            }
            Trouble::Fork => {
                self.replica.client()?.command(&["BGSAVE"])?;
                let begun = Instant::now();
                while self.replica.figure("rdb_bgsave_in_progress")? == 1 {
                    if begun.elapsed() > LIMIT {
                        return Err(io::Error::other("the snapshot does not come to its end"));
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                Ok(())
            }
        }
    }

    /// Bytes of the history that the replica has not fsynced.
    fn behind(&self) -> io::Result<u64> {
        let end = self.primary.figure("master_repl_offset")?;
        let durable = self.replica.info("outrigger_durable_offset")?.unwrap_or_default();
        Ok(end.saturating_sub(durable.parse().unwrap_or(0)))
    }

    /// Waits until the replica is well: linked, and everything is fsynced.
    fn heal(&self) -> io::Result<()> {
        self.disk.set(DiskState::Well);
        let begun = Instant::now();
        let is_well = || {
            let phase = self.replica.info("outrigger_aof_phase")?;
            io::Result::Ok(phase.as_deref() == Some("writing") && self.behind()? < 1 << 10)
        };
        while !is_well()? {
            if begun.elapsed() > LIMIT {
                return Err(io::Error::other("the replica does not get well"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // What it did to get well may go on for a moment.
        std::thread::sleep(Duration::from_secs(1));
        Ok(())
    }
}
