//! The same random commands to a stock server and to ours: every reply and, time and again, the whole data must be equal.
//!
//! What is sent comes from the table of grammars; `OUTRIGGER_TEST_SCALE` lengthens the run, `OUTRIGGER_SEED` replays it, and
//! `OUTRIGGER_DIFF_FAMILY=list` keeps to the lines of one family.

mod atoms;
mod audit;
mod compare;
mod differences;
mod events;
mod followers;
pub mod grammar;
mod history;
mod newer;
mod steps;
pub mod table;

use crate::support::rng::{Pick, Seeded};
use crate::support::{Client, Server, scaled, show};
use compare::{Pair, Replies};
use followers::Followers;
use grammar::{Arg, Part};
use history::History;
use outrigger::base::random::Rng;
use outrigger::resp::RespValue;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use table::{FAMILIES, Line, Mode, RARE};

/// Commands of a run at scale 1.
const COMMANDS: usize = 20_000;
/// How many commands apart the data sets are compared.
const DIGEST_EVERY: usize = 1_000;
/// How many commands apart what the replica has on disk is loaded and compared.
const FILES_EVERY: usize = 100_000;
/// A run ends early after so many differences of different kinds.
const MAX_DIFFERENCES: usize = 40;
/// … and after so many of any kind: each starts both servers anew.
const MAX_RESTARTS: usize = 150;
/// Commands of the table that ours is allowed not to have yet. Empty once a family is complete.
const ALLOWED_MISSING: &[&str] = &[];

/// A line of the table, parsed.
struct Entry {
    mode: Mode,
    spoils: bool,
    part: Part,
    name: String,
}

/// The servers that are compared, and connections to them.
struct Setup {
    pairs: [Pair; 2],
    followers: Followers,
    _servers: [Server; 2],
}

struct Run {
    setup: Setup,
    rng: Rng,
    entries: Vec<Entry>,
    rare: Vec<Entry>,
    history: History,
    differences: BTreeMap<String, String>,
    /// How often a look found each of the stock server's encodings.
    encodings: BTreeMap<String, usize>,
    sent: usize,
    restarts: usize,
    /// Limits of encodings and the like, for the report.
    options: Options,
}

fn entries(lines: &[Line]) -> Vec<Entry> {
    let entry = |(mode, text): &Line| Entry {
        mode: *mode,
        // A blocking command's spoilt timeout could be for ever, a spoilt id could be that of a client that is there, and
        // ranges by name need equal scores.
        spoils: !["BL", "BR", "BZ", "CLIENT"].iter().any(|start| text.starts_with(start))
            && !text.contains("<lex>"),
        part: grammar::parse(text),
        name: text.split([' ', '[']).next().unwrap_or_default().to_string(),
    };
    lines.iter().map(entry).collect()
}

fn all_entries() -> Vec<Entry> {
    let wanted = std::env::var("OUTRIGGER_DIFF_FAMILY").ok();
    let chosen =
        |family: &str| wanted.as_deref().is_none_or(|wanted| wanted == family || family == "generic");
    FAMILIES.iter().filter(|(family, _)| chosen(family)).flat_map(|(_, lines)| entries(lines)).collect()
}

/// Does this reply say that the command does not exist (yet)?
fn is_missing(reply: &RespValue) -> bool {
    let text = reply.as_error().map(String::from_utf8_lossy).unwrap_or_default();
    text.contains("not implemented yet") || text.starts_with("ERR unknown command")
}

/// The names of the lines' commands that our server lacks.
fn missing_commands(lines: &[Entry]) -> BTreeSet<String> {
    let server = Server::ours(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    let mut rng = Rng::from_seed(1);
    let mut missing = BTreeSet::new();
    for entry in lines {
        let mut args = Vec::new();
        grammar::generate(&entry.part, &mut rng, &mut args);
        if is_missing(&client.command(&args)) {
            missing.insert(entry.name.clone());
        }
    }
    missing
}

/// Configuration of a run: what encodings' limits and the like are set to.
#[derive(Debug, Clone, Copy)]
struct Options {
    both: &'static [&'static str],
    /// Only of ours: the stock server does not know them.
    ours: &'static [&'static str],
    /// The stock server is a newer one, and what is compared is what `newer` says.
    newer: bool,
    /// What the two tell of the commands is compared, too.
    events: bool,
}

/// A fresh pair of servers and connections to them; `None` without a stock server.
fn start(options: Options) -> Option<Setup> {
    let always = ["--enable-debug-command", "yes", "--hz", "500", "--databases", "3"];
    let args = [&always[..], options.both].concat();
    let theirs = if options.newer { Server::newer_redis(&args)? } else { Server::redis(&args)? };
    let our_args = [&args[..], options.ours].concat();
    let ours = Server::ours(&our_args);
    let followers = Followers::start(&ours, &args, options.ours, options.newer);
    let pairs = [
        Pair::new(ours.client(), theirs.client(), options),
        Pair::new(ours.client3(), theirs.client3(), options),
    ];
    Some(Setup { pairs, followers, _servers: [ours, theirs] })
}

/// Runs one seed.
fn run(default_seed: u64, options: Options) {
    let Some(setup) = start(options) else { return };
    let seeded = Seeded::new(default_seed);
    let mut lines = if options.newer { newer::lines(&setup) } else { all_entries() };
    let mut rare = entries(RARE);
    let mut missing = missing_commands(&lines);
    missing.extend(missing_commands(&rare));
    // CLIENT could end the connections of those who hear of events.
    let is_left_out = |name: &str| missing.contains(name) || options.events && name == "CLIENT";
    lines.retain(|entry| !is_left_out(&entry.name));
    rare.retain(|entry| !missing.contains(&entry.name));
    let mut run = Run {
        setup,
        rng: seeded.rng.clone(),
        entries: lines,
        rare,
        history: History::default(),
        differences: BTreeMap::new(),
        encodings: BTreeMap::new(),
        sent: 0,
        restarts: 0,
        options,
    };
    run.go(scaled(COMMANDS));
    let mut report = run.report();
    let unexpected: Vec<&String> =
        missing.iter().filter(|name| !ALLOWED_MISSING.contains(&name.as_str())).collect();
    if !unexpected.is_empty() {
        let _ = writeln!(report, "commands that ours lacks: {unexpected:?}");
    }
    assert!(report.is_empty(), "\n{report}");
}

impl Run {
    fn go(&mut self, commands: usize) {
        while self.sent < commands && self.differences.len() < MAX_DIFFERENCES && self.restarts < MAX_RESTARTS
        {
            let which = self.rng.index(2);
            match self.rng.below(1_000) {
                0 if !self.rare.is_empty() => self.step(which, true),
                1..=15 => self.transaction(which),
                16..=21 => self.expired(which),
                _ => self.step(which, false),
            }
            if self.sent.is_multiple_of(DIGEST_EVERY) {
                self.look_at_encodings();
                self.compare_data(self.sent.is_multiple_of(FILES_EVERY));
            }
        }
        self.compare_data(true);
        println!(
            "seed run of {} commands, {} restarts, options {:?}, encodings met {:?}",
            self.sent, self.restarts, self.options, self.encodings
        );
    }

    /// Asks the stock server how it keeps some of the keys, so that a run can tell what it came by.
    fn look_at_encodings(&mut self) {
        const LOOKS: usize = 6;
        let theirs = &mut self.setup.pairs[0].theirs;
        for _ in 0..LOOKS {
            let key = atoms::random("key", &mut self.rng);
            let encoding = theirs.command(&[b"OBJECT", b"ENCODING".as_slice(), &key]);
            if let (RespValue::Simple(kind), Some(encoding)) =
                (theirs.command(&[b"TYPE", key.as_slice()]), encoding.as_bytes())
            {
                let what = [&kind, &b" "[..], encoding].concat();
                *self.encodings.entry(String::from_utf8_lossy(&what).into_owned()).or_default() += 1;
            }
        }
    }

    /// Notes a difference (one a command and reason) and starts over with empty data.
    fn differs(&mut self, args: &[Arg], replies: &Replies, why: &str, which: usize) {
        let name = String::from_utf8_lossy(&args[0]).to_uppercase();
        let group = format!("{name}: {why}");
        if !self.differences.contains_key(&group) {
            let text = format!(
                "{}\n    ours:   {}\n    theirs: {}\n    RESP{}, command {}\n{}",
                shown(args),
                show(from_difference(&replies.ours.raw, &replies.theirs.raw)),
                show(from_difference(&replies.theirs.raw, &replies.ours.raw)),
                which + 2,
                self.sent,
                self.history.about(args),
            );
            self.differences.insert(group, text);
        }
        self.start_over();
    }

    fn start_over(&mut self) {
        self.restarts += 1;
        self.setup = start(self.options).expect("it was there before");
        self.history.clear();
    }

    /// DEBUG DIGEST of all: the stock server, ours, its replica, and now and then servers over the replica's files.
    fn compare_data(&mut self, files_too: bool) {
        self.compare_with_stock();
        let Setup { pairs: [Pair { ours, .. }, _], followers, .. } = &mut self.setup;
        let digest = ours.digest();
        let mut found = vec![("the replica", followers.digest(ours))];
        if files_too {
            found.extend(followers.digests_of_files(ours));
        }
        let wrong: Vec<_> = found.into_iter().filter(|(_, other)| *other != digest).collect();
        for (who, other) in &wrong {
            let group = format!("DEBUG DIGEST of {who} at command {}", self.sent);
            self.differences.insert(group, format!("primary {digest}, {who} {other}"));
        }
        if !wrong.is_empty() {
            self.start_over();
        }
    }

    /// DEBUG DIGEST of the stock server and ours; where it differs, the keys that do.
    fn compare_with_stock(&mut self) {
        let digest = [b"DEBUG".to_vec(), b"DIGEST".to_vec()];
        let replies = self.setup.pairs[0].both(&digest).expect("digests");
        if replies.ours.raw == replies.theirs.raw || is_missing(&replies.ours.value) {
            return;
        }
        let mut text = String::new();
        for db in ["0", "1", "2"] {
            let Pair { ours, theirs, .. } = &mut self.setup.pairs[0];
            let (a, b) = (keys_of(ours, db), keys_of(theirs, db));
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                if a.get(key) != b.get(key) {
                    let _ =
                        writeln!(text, "    db {db} key {}: {:?} / {:?}", show(key), a.get(key), b.get(key));
                    let _ = writeln!(text, "{}", self.history.about(std::slice::from_ref(key)));
                }
            }
        }
        let group = format!("DEBUG DIGEST at command {}", self.sent);
        self.differences
            .insert(group, format!("{} / {}\n{text}", show(&replies.ours.raw), show(&replies.theirs.raw)));
        self.start_over();
    }

    fn report(&self) -> String {
        let mut text = String::new();
        for (group, what) in &self.differences {
            let _ = writeln!(text, "--- {group}\n    {what}");
        }
        if !text.is_empty() {
            let _ = writeln!(text, "options {:?}", self.options);
        }
        text
    }
}

/// Type and digest of every key of a database.
fn keys_of(client: &mut Client, db: &str) -> BTreeMap<Arg, String> {
    client.ok(&format!("SELECT {db}"));
    let keys = client.cmd("KEYS *");
    let mut found = BTreeMap::new();
    for key in keys.as_slice().unwrap_or_default().iter().filter_map(RespValue::as_bytes) {
        let kind = client.command(&[b"TYPE", key]);
        let digest = client.command(&[b"DEBUG".as_slice(), b"DIGEST-VALUE", key]);
        let expiry = client.command(&[b"PEXPIRETIME", key]);
        found.insert(
            key.to_vec(),
            format!("{kind:?} {digest:?} expires {}", expiry.as_int().unwrap_or(0) >= 0),
        );
    }
    client.ok("SELECT 0");
    found
}

fn shown(args: &[Arg]) -> String {
    args.iter().map(|arg| format!("\"{}\"", show(arg))).collect::<Vec<_>>().join(" ")
}

/// A reply that is too long to show whole, from shortly before its first difference on.
fn from_difference<'a>(reply: &'a [u8], other: &[u8]) -> &'a [u8] {
    let equal = reply.iter().zip(other).take_while(|(a, b)| a == b).count();
    if reply.len() > 100 { &reply[equal.saturating_sub(40)..] } else { reply }
}

#[test]
fn same_replies_as_redis() {
    run(1, Options { both: &[], ours: &[], newer: false, events: false });
}

/// With sets packed as little as 7.0 packs them, so that every encoding must be the same.
#[test]
fn same_replies_as_redis_with_small_encodings() {
    let both = &[
        "--set-max-intset-entries",
        "8",
        "--hash-max-listpack-entries",
        "8",
        "--hash-max-listpack-value",
        "32",
        "--zset-max-listpack-entries",
        "8",
        "--zset-max-listpack-value",
        "32",
        "--list-max-listpack-size",
        "4",
        "--stream-node-max-entries",
        "4",
    ];
    run(2, Options { both, ours: &["--set-max-listpack-entries", "0"], newer: false, events: false });
}

/// With limits in between, lists of small and compressed nodes, and access counted by frequency.
#[test]
fn same_replies_as_redis_with_other_limits() {
    let both = &[
        "--set-max-intset-entries",
        "40",
        "--hash-max-listpack-entries",
        "20",
        "--hash-max-listpack-value",
        "255",
        "--zset-max-listpack-entries",
        "20",
        "--zset-max-listpack-value",
        "0",
        "--list-max-listpack-size",
        "-1",
        "--list-compress-depth",
        "1",
        "--stream-node-max-entries",
        "0",
        "--stream-node-max-bytes",
        "200",
        "--hll-sparse-max-bytes",
        "100",
        "--proto-max-bulk-len",
        "1mb",
        "--maxmemory-policy",
        "allkeys-lfu",
    ];
    run(3, Options { both, ours: &["--set-max-listpack-entries", "0"], newer: false, events: false });
}
