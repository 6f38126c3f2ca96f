//! Resident bytes an item, for the data sets of the design's memory figures.

use crate::report::{row, thousands};
use crate::servers::{Client, Server};
use outrigger::base::random::Rng;
use outrigger::resp::write_command;
use std::io;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Divides the number of items, for a quick look
    #[arg(long, default_value_t = 1)]
    divide: usize,
}

/// Appends the command that makes item number `n`.
type Write = fn(n: usize, rng: &mut Rng, out: &mut Vec<u8>);

/// A data set.
struct Set {
    what: &'static str,
    /// Commands sent.
    commands: usize,
    /// What the figure is divided by.
    items: usize,
    write: Write,
}

const SETS: &[Set] = &[
    Set {
        what: "token string: 32 hex digits, 64 bytes, an expiry",
        commands: 1_000_000,
        items: 1_000_000,
        write: token,
    },
    Set {
        what: "session hash: 8 fields, about 100 bytes",
        commands: 500_000,
        items: 500_000,
        write: session,
    },
    Set {
        what: "member of one sorted set of 500,000, 21 bytes",
        commands: 500_000,
        items: 500_000,
        write: ranked,
    },
    Set {
        what: "item of lists of 100 items of 24 bytes",
        commands: 2_000_000,
        items: 2_000_000,
        write: queued,
    },
    Set { what: "member of sets of 50 small integers", commands: 100_000, items: 5_000_000, write: numbers },
    Set {
        what: "session hash, a field at a time, all in turn",
        commands: 8 * SESSIONS,
        items: SESSIONS,
        write: session_by_field,
    },
    Set {
        what: "item of lists of 100, one at a time, all in turn",
        commands: 100 * LISTS,
        items: 100 * LISTS,
        write: queued_in_turn,
    },
    Set {
        what: "member of sets of 50 small integers, one at a time, all in turn",
        commands: 50 * SETS_OF_NUMBERS,
        items: 50 * SETS_OF_NUMBERS,
        write: numbers_in_turn,
    },
];

/// Keys of the data sets that grow as those of a running service do: an item here, an item there.
const SESSIONS: usize = 250_000;
const LISTS: usize = 20_000;
const SETS_OF_NUMBERS: usize = 40_000;

fn token(_: usize, rng: &mut Rng, out: &mut Vec<u8>) {
    write_command(out, &["SET", &format!("session:{}", rng.hex(32)), &rng.hex(64), "EX", "100000"]);
}

fn session(n: usize, rng: &mut Rng, out: &mut Vec<u8>) {
    let (user, seen, token) = (rng.below(1_000_000).to_string(), rng.below(1 << 31).to_string(), rng.hex(16));
    let key = format!("sess:{n:010}");
    let pairs = [
        "user",
        &user,
        "seen",
        &seen,
        "ip",
        "10.20.30.40",
        "lang",
        "en",
        "csrf",
        &token,
        "role",
        "user",
        "n",
        "12",
        "ok",
        "1",
    ];
    write_command(out, &[&["HSET", &key][..], &pairs].concat());
}

fn ranked(n: usize, rng: &mut Rng, out: &mut Vec<u8>) {
    write_command(out, &["ZADD", "board", &rng.below(1 << 30).to_string(), &format!("player:{n:014}")]);
}

fn queued(n: usize, rng: &mut Rng, out: &mut Vec<u8>) {
    write_command(out, &["RPUSH", &format!("queue:{}", n / 100), &rng.hex(24)]);
}

fn numbers(n: usize, rng: &mut Rng, out: &mut Vec<u8>) {
    let members: Vec<String> = (0..50).map(|_| rng.below(30_000).to_string()).collect();
    let mut words = vec!["SADD".to_string(), format!("ints:{n}")];
    words.extend(members);
    write_command(out, &words);
}

fn session_by_field(n: usize, rng: &mut Rng, out: &mut Vec<u8>) {
    let key = format!("sess:{:010}", n % SESSIONS);
    let (user, seen, token) = (rng.below(1_000_000).to_string(), rng.below(1 << 31).to_string(), rng.hex(16));
    let (field, value) = [
        ("user", user.as_str()),
        ("seen", &seen),
        ("ip", "10.20.30.40"),
        ("lang", "en"),
        ("csrf", &token),
        ("role", "user"),
        ("n", "12"),
        ("ok", "1"),
    ][n / SESSIONS % 8];
    write_command(out, &["HSET", &key, field, value]);
}

fn queued_in_turn(n: usize, rng: &mut Rng, out: &mut Vec<u8>) {
    write_command(out, &["RPUSH", &format!("queue:{}", n % LISTS), &rng.hex(24)]);
}

fn numbers_in_turn(n: usize, rng: &mut Rng, out: &mut Vec<u8>) {
    write_command(out, &["SADD", &format!("ints:{}", n % SETS_OF_NUMBERS), &rng.below(30_000).to_string()]);
}

fn resident(client: &mut Client) -> io::Result<u64> {
    let info = client.command(&["INFO", "memory"])?;
    let text = String::from_utf8_lossy(info.as_bytes().unwrap_or_default()).into_owned();
    let field = text.lines().find_map(|line| line.strip_prefix("used_memory_rss:")?.trim().parse().ok());
    field.ok_or_else(|| io::Error::other("no used_memory_rss in INFO memory"))
}

/// Resident bytes an item, of a server that holds nothing else.
fn measure(server: &Server, set: &Set, divide: usize) -> io::Result<f64> {
    let mut client = server.client()?;
    // INFO's figure is sampled now and then.
    let settle = || std::thread::sleep(std::time::Duration::from_millis(1_500));
    settle();
    let before = resident(&mut client)?;
    let mut rng = Rng::from_seed(1);
    let commands = set.commands / divide;
    for first in (0..commands).step_by(10_000) {
        let mut bytes = Vec::new();
        let last = (first + 10_000).min(commands);
        (first..last).for_each(|n| (set.write)(n, &mut rng, &mut bytes));
        client.pipeline(&bytes, last - first)?;
    }
    settle();
    let after = resident(&mut client)?;
    Ok(after.saturating_sub(before) as f64 / (set.items / divide) as f64)
}

/// Measures and prints a Markdown table.
pub fn run(options: &Options) -> io::Result<()> {
    let divide = options.divide.max(1);
    row(&["resident bytes of a", "redis-server", "outrigger", "ratio"].map(String::from));
    row(&["---", "--:", "--:", "--:"].map(String::from));
    for set in SETS {
        // Servers of their own, so that no page of an earlier data set is used again.
        let theirs = measure(&Server::redis()?, set, divide)?;
        let ours = measure(&Server::ours(1)?, set, divide)?;
        row(&[set.what.into(), thousands(theirs), thousands(ours), format!("{:.2}", ours / theirs)]);
    }
    Ok(())
}
