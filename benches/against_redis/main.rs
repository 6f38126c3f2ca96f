//! Outrigger beside stock `redis-server`, measured in one run: `cargo bench --bench against_redis -- --help`.
//!
//! Figures are ratios, taken in turns on the same machine, because absolute ones mean little elsewhere.

mod cases;
mod check_logs;
mod check_snapshots;
mod durable;
mod files;
mod load;
mod memory;
mod mixed;
mod paced;
mod ranks;
mod report;
mod restore;
mod servers;
#[path = "../../tests/support/slow_disk.rs"]
mod slow_disk;
mod stalls;
mod sync;
mod throughput;
mod trouble;

use clap::{Parser, Subcommand};

/// Compares Outrigger with the stock redis-server on the PATH.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
    /// Given by cargo; means nothing here.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum What {
    /// Requests a second and server CPU a request, for each test that redis-benchmark runs by default
    Throughput(throughput::Options),
    /// The worst GET of one client while another runs an expensive command
    Stalls(stalls::Options),
    /// Writes that are durable before they are answered: by durable acks, WAITAOF, and stock `appendfsync always`
    Durable(durable::Options),
    /// A full sync under load: its time, and what clients and memory notice
    Sync(sync::Options),
    /// What a primary's clients notice of a replica whose disk is slow, full or broken, or that forks a snapshot
    Trouble(trouble::Options),
    /// Resident bytes an item
    Memory(memory::Options),
    /// Requests a second and server CPU a request on one sorted set of ten million members
    Ranks(ranks::Options),
    /// Loading a snapshot and an append-only folder at start, and SAVE
    Files(files::Options),
    /// Checking append-only files offline: aof-check beside redis-check-aof
    CheckLogs(check_logs::Options),
    /// Checking a snapshot file offline: rdb-check beside redis-check-rdb
    CheckSnapshots(check_snapshots::Options),
    /// Loading a data set into a running server, by `restore --into` and by `redis-cli --pipe`
    Restore(restore::Options),
}

fn main() {
    let done = match Options::parse().what {
        What::Throughput(options) => throughput::run(&options),
        What::Stalls(options) => stalls::run(&options),
        What::Durable(options) => durable::run(&options),
        What::Sync(options) => sync::run(&options),
        What::Trouble(options) => trouble::run(&options),
        What::Memory(options) => memory::run(&options),
        What::Ranks(options) => ranks::run(&options),
        What::Files(options) => files::run(&options),
        What::CheckLogs(options) => check_logs::run(&options),
        What::CheckSnapshots(options) => check_snapshots::run(&options),
        What::Restore(options) => restore::run(&options),
    };
    if let Err(error) = done {
        eprintln!("against_redis: {error}");
        std::process::exit(1);
    }
}
