//! The worst GET of one client while another runs something expensive.

use crate::report::row;
use crate::servers::Server;
use outrigger::resp::write_command;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Keys in the data set
    #[arg(long, default_value_t = 2_000_000)]
    keys: usize,
    /// Keys that expire in the same second
    #[arg(long, default_value_t = 1_000_000)]
    expiring: usize,
    /// Members of the big set
    #[arg(long, default_value_t = 1_000_000)]
    members: usize,
    /// I/O threads of ours
    #[arg(long, default_value_t = 2)]
    io_threads: usize,
}

/// Commands whose stall is measured, in an order in which each finds its data.
const COMMANDS: &[&[&str]] =
    &[&["PING"], &["KEYS", "*"], &["SMEMBERS", "big:set"], &["DEL", "big:set"], &["FLUSHALL"]];

/// Measures and prints a Markdown table.
pub fn run(options: &Options) -> io::Result<()> {
    let servers = [Server::redis()?, Server::ours(options.io_threads)?];
    println!(
        "{} keys, a set of {} members, {} I/O thread(s)\n",
        options.keys, options.members, options.io_threads
    );
    for server in &servers {
        fill(server, options)?;
    }
    row(&["while another client runs", "worst GET, redis-server, ms", "worst GET, outrigger, ms"]
        .map(String::from));
    row(&["---", "--:", "--:"].map(String::from));
    for command in COMMANDS {
        let mut worst = Vec::new();
        for server in &servers {
            let figure = worst_get(server, command)?;
            worst.push(format!("{:.1}", figure.as_secs_f64() * 1e3));
        }
        row(&[command.join(" "), worst[0].clone(), worst[1].clone()]);
    }
    let mut worst = Vec::new();
    for server in &servers {
        worst.push(format!("{:.1}", expire_at_once(server, options.expiring)?.as_secs_f64() * 1e3));
    }
    row(&[format!("nothing ({} keys expire)", options.expiring), worst[0].clone(), worst[1].clone()]);
    Ok(())
}

/// The worst GET from before many keys expire, all in one second, until the server has removed them.
fn expire_at_once(server: &Server, keys: usize) -> io::Result<Duration> {
    let mut client = server.client()?;
    client.command(&["SET", "watched", "value"])?;
    // Time enough to write them, and a moment of rest.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
    let due_ms = (now + Duration::from_micros(3 * keys as u64) + Duration::from_secs(3)).as_millis();
    for first in (0..keys).step_by(10_000) {
        let mut bytes = Vec::new();
        let last = (first + 10_000).min(keys);
        for i in first..last {
            let at_ms = (due_ms + i as u128 % 1_000).to_string();
            write_command(&mut bytes, &["SET", &format!("passing:{i:012}"), "some value", "PXAT", &at_ms]);
        }
        client.pipeline(&bytes, last - first)?;
    }
    let (mut worst, mut asked) = (Duration::ZERO, Instant::now());
    loop {
        let start = Instant::now();
        client.command(&["GET", "watched"])?;
        worst = worst.max(start.elapsed());
        if asked.elapsed() > Duration::from_millis(100) {
            asked = Instant::now();
            if client.command(&["DBSIZE"])?.as_int() == Some(1) {
                return Ok(worst);
            }
        }
    }
}

fn fill(server: &Server, options: &Options) -> io::Result<()> {
    let mut client = server.client()?;
    let chunk = 10_000;
    let total = options.keys + options.members;
    for first in (0..total).step_by(chunk) {
        let mut bytes = Vec::new();
        let last = (first + chunk).min(total);
        for i in first..last {
            match i.checked_sub(options.keys) {
                None => write_command(&mut bytes, &["SET", &format!("key:{i:012}"), "some value"]),
                Some(i) => write_command(&mut bytes, &["SADD", "big:set", &format!("member:{i:012}")]),
            }
        }
        client.pipeline(&bytes, last - first)?;
    }
    client.command(&["SET", "watched", "value"]).map(drop)
}

/// GETs without a pause from before the command starts until after it has ended.
fn worst_get(server: &Server, command: &[&str]) -> io::Result<Duration> {
    // The second connection goes to another I/O thread than the first where there are two.
    let (mut runner, mut getter) = (server.client()?, server.client()?);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let getting = scope.spawn(|| {
            let mut worst = Duration::ZERO;
            while !over.load(Ordering::Acquire) {
                let start = Instant::now();
                getter.command(&["GET", "watched"])?;
                worst = worst.max(start.elapsed());
            }
            io::Result::Ok(worst)
        });
        std::thread::sleep(Duration::from_millis(50));
        let ran = runner.command(command);
        std::thread::sleep(Duration::from_millis(50));
        over.store(true, Ordering::Release);
        let worst = getting.join().map_err(|_| io::Error::other("the client's thread panicked"))?;
        ran.and(worst)
    })
}
