//! Requests a second and server CPU a request, test by test, the servers in turns.

use crate::cases::{CASES, Case};
use crate::load::{self, Load};
use crate::report::{geometric_mean, median, row, thousands};
use crate::servers::Server;
use std::io;
use std::process::Command;
use std::time::Duration;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Requests in flight on each connection
    #[arg(long, short = 'P', default_value_t = 16)]
    pipeline: usize,
    /// Connections
    #[arg(long, short = 'c', default_value_t = 50)]
    connections: usize,
    /// Requests of a measurement (fewer where replies are long)
    #[arg(long, short = 'n', default_value_t = 1_000_000)]
    requests: usize,
    /// Random keys are taken from so many
    #[arg(long, short = 'r', default_value_t = 100_000)]
    key_space: u64,
    /// Measurements of each server in each test
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// I/O threads of ours
    #[arg(long, default_value_t = 1)]
    io_threads: usize,
    /// Only tests whose name holds this
    #[arg(long, default_value = "")]
    only: String,
    /// Send the load by redis-benchmark instead (it is the bottleneck in deep pipelines)
    #[arg(long)]
    by_redis_benchmark: bool,
}

/// One server's figures in one test.
#[derive(Default)]
struct Figures {
    per_second: Vec<f64>,
    cpu_us: Vec<f64>,
}

/// Measures and prints a Markdown table.
pub fn run(options: &Options) -> io::Result<()> {
    let servers = [Server::redis()?, Server::ours(options.io_threads)?];
    println!(
        "{} connections, {} deep, {} random keys, {} I/O thread(s), load by {}\n",
        options.connections,
        options.pipeline,
        options.key_space,
        options.io_threads,
        if options.by_redis_benchmark { "redis-benchmark" } else { "this program" }
    );
    let heads = [
        "test",
        "redis-server, requests/s",
        "outrigger, requests/s",
        "ratio",
        "CPU µs, redis-server",
        "CPU µs, outrigger",
        "ratio",
    ];
    row(&heads.map(String::from));
    row(&["---", "--:", "--:", "--:", "--:", "--:", "--:"].map(String::from));
    let (mut speeds, mut costs) = (Vec::new(), Vec::new());
    for case in CASES.iter().filter(|case| case.name.contains(&options.only)) {
        let mut figures = [Figures::default(), Figures::default()];
        for _ in 0..options.rounds {
            for (server, figures) in servers.iter().zip(&mut figures) {
                measure(options, server, case, figures)?;
            }
        }
        let [theirs, ours] = figures.map(|it| (median(it.per_second), median(it.cpu_us)));
        speeds.push(ours.0 / theirs.0);
        costs.push(ours.1 / theirs.1);
        row(&[
            case.name.into(),
            thousands(theirs.0),
            thousands(ours.0),
            format!("{:.2}", ours.0 / theirs.0),
            format!("{:.2}", theirs.1),
            format!("{:.2}", ours.1),
            format!("{:.2}", ours.1 / theirs.1),
        ]);
    }
    println!(
        "\nGeometric means: requests/s {:.2}, CPU a request {:.2}",
        geometric_mean(&speeds),
        geometric_mean(&costs)
    );
    Ok(())
}

fn measure(options: &Options, server: &Server, case: &Case, figures: &mut Figures) -> io::Result<()> {
    let requests = options.requests / case.weight;
    let mut client = server.client()?;
    client.command(&["FLUSHALL"])?;
    let mut before = Vec::new();
    let sent = case.write_before(requests, options.key_space, &mut before);
    client.pipeline(&before, sent)?;
    let cpu = server.cpu()?;
    let (took, sent) = if options.by_redis_benchmark {
        (redis_benchmark(options, server, case, requests)?, requests)
    } else {
        let load = Load { connections: options.connections, pipeline: options.pipeline, requests };
        let took = load::run(server.port, &load, &mut |rng, out| case.write(rng, options.key_space, out))?;
        let step = options.connections * options.pipeline;
        (took.all, (requests / step).max(1) * step)
    };
    let cpu = server.cpu()? - cpu;
    figures.per_second.push(sent as f64 / took.as_secs_f64());
    figures.cpu_us.push(cpu.as_secs_f64() * 1e6 / sent as f64);
    Ok(())
}

/// Has redis-benchmark send the load; the time it says that it took.
fn redis_benchmark(options: &Options, server: &Server, case: &Case, requests: usize) -> io::Result<Duration> {
    let number = |n: usize| n.to_string();
    let output = Command::new("redis-benchmark")
        .args(["-p", &server.port.to_string(), "-t", case.flag, "-n", &number(requests)])
        .args(["-P", &number(options.pipeline), "-c", &number(options.connections)])
        .args(["-r", &options.key_space.to_string(), "--csv"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().rev().find(|line| line.contains(case.name.split(' ').next().unwrap_or_default()));
    let per_second = line.and_then(|line| line.split('"').nth(3)).and_then(|field| field.parse::<f64>().ok());
    let Some(per_second) = per_second.filter(|figure| *figure > 0.0) else {
        return Err(io::Error::other(format!("{} on {}: {text}", case.name, server.name)));
    };
    Ok(Duration::from_secs_f64(requests as f64 / per_second))
}
