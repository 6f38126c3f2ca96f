//! Writes that are on a disk before they are answered: by whom, and at what price.

use crate::load::{self, Load};
use crate::report::{median, row, thousands};
use crate::servers::Server;
use outrigger::base::random::Rng;
use outrigger::resp::write_command;
use std::io;
use std::time::{Duration, Instant};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Requests in flight on each connection
    #[arg(long, short = 'P', default_value_t = 16)]
    pipeline: usize,
    /// Connections
    #[arg(long, short = 'c', default_value_t = 50)]
    connections: usize,
    /// Requests of a measurement
    #[arg(long, short = 'n', default_value_t = 400_000)]
    requests: usize,
    /// Random keys are taken from so many
    #[arg(long, short = 'r', default_value_t = 100_000)]
    key_space: u64,
    /// Measurements of each, in turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// One way of writing.
struct Way<'s> {
    name: &'static str,
    server: &'s Server,
    /// `durable-acks` of the server meanwhile.
    acks: Option<&'static str>,
    /// The last request of each pipeline is a WAITAOF.
    asks: bool,
    per_second: Vec<f64>,
    median_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    cpu_us: Vec<f64>,
}

/// Measures and prints a Markdown table.
pub fn run(options: &Options) -> io::Result<()> {
    let stock = Server::redis_always()?;
    let ours = Server::ours_with(&["--io-threads", "1"])?;
    let of = format!("127.0.0.1 {}", ours.port);
    let _replica = Server::ours_with(&["--io-threads", "1", "--replicaof", &of])?;
    wait_for_replica(&ours)?;
    let way = |name, server, acks, asks| Way {
        name,
        server,
        acks,
        asks,
        per_second: Vec::new(),
        median_ms: Vec::new(),
        p99_ms: Vec::new(),
        cpu_us: Vec::new(),
    };
    let mut ways = [
        way("outrigger and a replica, not waiting", &ours, Some("0"), false),
        way("outrigger, durable-acks 1", &ours, Some("1"), false),
        way("outrigger, WAITAOF 0 1 0 after each pipeline", &ours, Some("0"), true),
        way("redis-server, appendfsync always, no replica", &stock, None, false),
    ];
    for _ in 0..options.rounds {
        for way in &mut ways {
            measure(options, way)?;
        }
    }
    println!(
        "SET, {} connections, {} deep, {} random keys; primary and replica on one machine and one disk\n",
        options.connections, options.pipeline, options.key_space
    );
    let heads = ["", "requests/s", "pipeline, median ms", "p99 ms", "CPU µs of the primary"];
    row(&heads.map(String::from));
    row(&["---", "--:", "--:", "--:", "--:"].map(String::from));
    for way in ways {
        row(&[
            way.name.into(),
            thousands(median(way.per_second)),
            format!("{:.2}", median(way.median_ms)),
            format!("{:.2}", median(way.p99_ms)),
            format!("{:.2}", median(way.cpu_us)),
        ]);
    }
    Ok(())
}

fn measure(options: &Options, way: &mut Way<'_>) -> io::Result<()> {
    let mut client = way.server.client()?;
    client.command(&["FLUSHALL"])?;
    if let Some(acks) = way.acks {
        client.command(&["WAITAOF", "0", "1", "0"])?;
        client.command(&["CONFIG", "SET", "durable-acks", acks])?;
    }
    let load =
        Load { connections: options.connections, pipeline: options.pipeline, requests: options.requests };
    let mut written = 0;
    let mut write = |rng: &mut Rng, out: &mut Vec<u8>| {
        written += 1;
        match way.asks && written % options.pipeline == 0 {
            true => write_command(out, &["WAITAOF", "0", "1", "0"]),
            false => {
                let key = format!("key:{:012}", rng.below(options.key_space));
                write_command(out, &["SET", &key, "xxx"]);
            }
        }
    };
    let cpu = way.server.cpu()?;
    let took = load::run(way.server.port, &load, &mut write)?;
    let cpu = way.server.cpu()? - cpu;
    let step = options.connections * options.pipeline;
    let sent = (options.requests / step).max(1) * step;
    way.per_second.push(sent as f64 / took.all.as_secs_f64());
    way.median_ms.push(took.share_ms(0.5));
    way.p99_ms.push(took.share_ms(0.99));
    way.cpu_us.push(cpu.as_secs_f64() * 1e6 / sent as f64);
    Ok(())
}

fn wait_for_replica(primary: &Server) -> io::Result<()> {
    let start = Instant::now();
    let mut client = primary.client()?;
    loop {
        let info = client.command(&["INFO", "replication"])?;
        let info = String::from_utf8_lossy(info.as_bytes().unwrap_or_default()).into_owned();
        if info.contains("outrigger_durable_replicas:1") {
            return Ok(());
        }
        if start.elapsed() > Duration::from_secs(20) {
            return Err(io::Error::other("the replica does not come"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
