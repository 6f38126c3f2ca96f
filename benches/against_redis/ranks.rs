//! Requests a second and server CPU a request on one very large sorted set.

use crate::load::{self, Load};
use crate::report::{geometric_mean, median, row, thousands};
use crate::servers::Server;
use outrigger::base::random::Rng;
use outrigger::resp::write_command;
use std::io;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Members of the sorted set
    #[arg(long, default_value_t = 10_000_000)]
    members: u64,
    /// Requests of a measurement
    #[arg(long, short = 'n', default_value_t = 400_000)]
    requests: usize,
    /// Requests in flight on each connection
    #[arg(long, short = 'P', default_value_t = 16)]
    pipeline: usize,
    /// Measurements of each server in each test
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

const SCORES: u64 = 1 << 30;

/// Appends one request about a set of so many members.
type Write = fn(members: u64, rng: &mut Rng, out: &mut Vec<u8>);

const TESTS: &[(&str, Write)] = &[
    ("ZADD, another score", |members, rng, out| {
        write_command(out, &["ZADD", "board", &rng.below(SCORES).to_string(), &member(rng.below(members))]);
    }),
    ("ZADD, a new member", |members, rng, out| {
        let fresh = members + rng.below(1 << 40);
        write_command(out, &["ZADD", "board", &rng.below(SCORES).to_string(), &member(fresh)]);
    }),
    ("ZRANK", |members, rng, out| {
        write_command(out, &["ZRANK", "board", &member(rng.below(members))]);
    }),
    ("ZRANGE by rank, 10 members", |members, rng, out| {
        let first = rng.below(members);
        write_command(out, &["ZRANGE", "board", &first.to_string(), &(first + 9).to_string()]);
    }),
    ("ZRANGE by score, 10 members", |_, rng, out| {
        let least = rng.below(SCORES).to_string();
        write_command(out, &["ZRANGE", "board", &least, "+inf", "BYSCORE", "LIMIT", "0", "10"]);
    }),
];

fn member(n: u64) -> String {
    format!("player:{n:014}")
}

/// Measures and prints a Markdown table.
pub fn run(options: &Options) -> io::Result<()> {
    let servers = [Server::redis()?, Server::ours(1)?];
    println!("a sorted set of {} members, 50 connections, {} deep\n", options.members, options.pipeline);
    for server in &servers {
        fill(server, options.members)?;
    }
    let heads = ["test", "redis-server, requests/s", "outrigger, requests/s", "ratio"];
    let costs = ["CPU µs, redis-server", "CPU µs, outrigger", "ratio"];
    row(&heads.iter().chain(&costs).map(ToString::to_string).collect::<Vec<_>>());
    row(&["---", "--:", "--:", "--:", "--:", "--:", "--:"].map(String::from));
    let load = Load { connections: 50, pipeline: options.pipeline, requests: options.requests };
    let (mut speed_ratios, mut cost_ratios) = (Vec::new(), Vec::new());
    for (name, write) in TESTS {
        let mut speeds = [Vec::new(), Vec::new()];
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..options.rounds {
            for (at, server) in servers.iter().enumerate() {
                let cpu = server.cpu()?;
                let took = load::run(server.port, &load, &mut |rng, out| write(options.members, rng, out))?;
                let cpu = server.cpu()? - cpu;
                speeds[at].push(options.requests as f64 / took.all.as_secs_f64());
                costs[at].push(cpu.as_secs_f64() * 1e6 / options.requests as f64);
            }
        }
        let [their_speed, our_speed] = speeds.map(median);
        let [their_cost, our_cost] = costs.map(median);
        speed_ratios.push(our_speed / their_speed);
        cost_ratios.push(our_cost / their_cost);
        row(&[
            name.to_string(),
            thousands(their_speed),
            thousands(our_speed),
            format!("{:.2}", our_speed / their_speed),
            format!("{their_cost:.2}"),
            format!("{our_cost:.2}"),
            format!("{:.2}", our_cost / their_cost),
        ]);
    }
    println!(
        "\nGeometric means: requests/s {:.2}, CPU a request {:.2}",
        geometric_mean(&speed_ratios),
        geometric_mean(&cost_ratios)
    );
    Ok(())
}

fn fill(server: &Server, members: u64) -> io::Result<()> {
    let mut client = server.client()?;
    let mut rng = Rng::from_seed(5);
    const CHUNK: u64 = 20_000;
    for first in (0..members).step_by(CHUNK as usize) {
        let mut bytes = Vec::new();
        let last = (first + CHUNK).min(members);
        for n in first..last {
            write_command(&mut bytes, &["ZADD", "board", &rng.below(SCORES).to_string(), &member(n)]);
        }
        client.pipeline(&bytes, (last - first) as usize)?;
    }
    Ok(())
}
