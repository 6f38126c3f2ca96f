//! The drill of `docs/runbook.md`, as it stands there: an hour of traffic, a FLUSHALL by mistake, and back.

use super::nodes::{Nodes, copy_folder, wait_loaded};
use super::traffic::{Traffic, words};
use crate::support::rng::Seeded;
use crate::support::server::our_program;
use crate::support::{Client, Server, free_port, peer, scaled};
use outrigger::format::aof::seal::{SealKind, Sealer};
use outrigger::format::aof::verify::{LogVerifier, LogVisitor, LoggedCommand, Mark};
use outrigger::persistence::toolbox::check_log;
use outrigger::resp::RespValue;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Marks a block of commands that belongs to the drill.
const MARK: &str = "<!-- drill -->\n```sh\n";
/// Minutes of traffic before the mistake, and after it.
const MINUTES: usize = 60;
const MINUTES_AFTER: usize = 3;
/// What stands in the runbook for places in the history: the drill puts its own there.
const TIME_IN_BOOK: &str = "2026-11-23T03:12:07Z";
const OFFSET_IN_BOOK: &str = "48211067";
/// The minute that they stand for here.
const MINUTE_IN_BOOK: usize = 41;

/// What the primary was at the end of a minute.
struct Moment {
    offset: u64,
    digest: String,
}

/// An hour of traffic, as a replica's folder has it.
struct Hour {
    home: TempDir,
    moments: Vec<Moment>,
    /// When it began, in milliseconds of Unix time.
    began_ms: u64,
}

impl Hour {
    fn dir(&self) -> PathBuf {
        self.home.path().join("outrigger")
    }

    /// The last second of a minute.
    fn end_of(&self, minute: usize) -> u64 {
        self.began_ms + (minute as u64 + 1) * 60_000 - 1_000
    }

    fn run() -> Hour {
        let seeded = Seeded::new(7_300);
        let mut nodes = Nodes::start(&["--appendfsync", "always"]);
        let mut traffic = Traffic::new(seeded.seed);
        traffic.brief = false;
        let mut client = nodes.primary.client();
        traffic.only_what_is_known_to(&mut client);
        let mut moments = Vec::new();
        for minute in 0..MINUTES + MINUTES_AFTER {
            if minute == MINUTES {
                client.ok("SELECT 2");
                client.ok("FLUSHALL");
            }
            traffic.send(&mut client, scaled(25));
            client.ok("SELECT 0");
            let sessions: Vec<_> =
                (0..5).map(|n| words(&format!("SET session:{} m{minute}", n * 7 % 30))).collect();
            client.pipeline(&sessions);
            let (digest, offset) = nodes.settle();
            moments.push(Moment { offset, digest });
        }
        assert!(nodes.replica.stop().success());
        let home = TempDir::with_prefix("outrigger-drill-").expect("make a temporary folder");
        copy_folder(&nodes.replica.dir().join("appendonlydir"), &home.path().join("outrigger/appendonlydir"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        let hour = Hour { home, moments, began_ms: (now / 60 + 2) * 60_000 };
        hour.spread();
        hour
    }

    /// Writes the log anew with the times of an hour in its seals. Nothing else of it changes.
    fn spread(&self) {
        let folder = self.dir().join("appendonlydir");
        let entries =
            std::fs::read_dir(&folder).expect("read the folder").flatten().map(|entry| entry.path());
        let mut logs: Vec<PathBuf> =
            entries.filter(|path| path.to_string_lossy().ends_with(".incr.aof")).collect();
        let (Some(path), true) = (logs.pop(), logs.is_empty()) else { panic!("not one log") };
        let bytes = std::fs::read(&path).expect("read the log");
        let mut again =
            Again { hour: self, bytes: &bytes, out: Vec::new(), sealer: None, seen: BTreeMap::new() };
        assert!(LogVerifier::new().walk(&bytes, &mut again).is_sound());
        assert!(again.seen.len() >= MINUTES, "the log does not tell minutes apart");
        std::fs::write(&path, &again.out).expect("write the log");
        assert!(check_log(&self.dir()).expect("a report").is_sound());
    }
}

/// Seals a log again, with other times.
struct Again<'h> {
    hour: &'h Hour,
    bytes: &'h [u8],
    out: Vec<u8>,
    sealer: Option<Sealer>,
    /// Seals by minute, so that each has its time within it.
    seen: BTreeMap<usize, u64>,
}

impl LogVisitor<'_> for Again<'_> {
    fn command(&mut self, command: &LoggedCommand<'_, '_>) -> ControlFlow<()> {
        // The SELECT of the first line comes with that.
        if command.history_bytes > 0 {
            let bytes = &self.bytes[command.bytes.clone()];
            self.sealer.as_mut().expect("a first line").feed(bytes);
            self.out.extend_from_slice(bytes);
        }
        ControlFlow::Continue(())
    }

    fn mark(&mut self, mark: &Mark, _bytes: Range<usize>) -> ControlFlow<()> {
        let Mark::Seal(line) = mark else { panic!("{mark:?}") };
        let minute = self.hour.moments.iter().take_while(|moment| moment.offset < line.offset).count();
        let seals = self.seen.entry(minute).or_default();
        *seals += 1;
        let time_ms = self.hour.began_ms + minute as u64 * 60_000 + (*seals * 10).min(58_000);
        match (line.kind, &mut self.sealer) {
            (SealKind::Log, none) => {
                let db = line.select.unwrap_or(0);
                let started = Sealer::start_in(
                    line.lineage,
                    line.offset,
                    db,
                    line.epoch,
                    self.hour.began_ms,
                    &mut self.out,
                );
                *none = Some(started);
            }
            (SealKind::Seal, Some(sealer)) => {
                sealer.set_epoch(line.epoch);
                sealer.seal(time_ms, &mut self.out);
            }
            other => panic!("{other:?}"),
        }
        ControlFlow::Continue(())
    }
}

/// The drill's blocks: commands, and the lines they promise.
fn blocks(book: &str) -> Vec<(String, Vec<String>)> {
    let block = |part: &str| {
        let text = part.split("\n```").next().unwrap_or_default();
        let (promised, commands): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with("# "));
        (commands.join("\n"), promised.iter().map(|line| line[2..].to_owned()).collect())
    };
    book.split(MARK).skip(1).map(block).collect()
}

/// Whether the promised line is among those that were printed, where `…` stands for anything.
fn is_kept(lines: &str, promised: &str) -> bool {
    lines.lines().any(|line| {
        let mut rest = line;
        promised.split('…').all(|part| match rest.find(part.trim_end()) {
            Some(at) => {
                rest = &rest[at + part.trim_end().len()..];
                true
            }
            None => false,
        })
    })
}

/// Has the programs of the workspace built, and returns the folder they are in.
fn programs() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--offline", "-p", "outrigger-tools", "--bins"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.expect("run cargo").success(), "the tools do not build");
    our_program().parent().expect("the folder of the build").to_owned()
}

/// Starts our server and a stock one over copies of a folder; both must hold this.
fn both_load(dir: &Path, digest: &str) {
    let copies = TempDir::new().expect("make a temporary folder");
    let (one, other) = (copies.path().join("ours"), copies.path().join("stock"));
    copy_folder(dir, &one);
    copy_folder(dir, &other);
    let ours = Server::ours_in(&one, &["--appendonly", "yes"]);
    let mut client = ours.client();
    wait_loaded(&mut client);
    assert_eq!(client.digest(), digest, "ours over {}", dir.display());
    let Some(stock) = Server::redis_in(&other, &["--appendonly", "yes"]) else { return };
    let mut client = stock.client();
    wait_loaded(&mut client);
    if !peer::stands_for_stock() {
        assert_eq!(client.digest(), digest, "stock over {}", dir.display());
    }
}

/// The digest of what is left of a restored folder if only keys of database 0 that begin so are kept.
fn digest_of_prefix(dir: &Path, prefix: &str) -> String {
    let copies = TempDir::new().expect("make a temporary folder");
    copy_folder(dir, copies.path());
    let server = Server::ours_in(copies.path(), &["--appendonly", "yes"]);
    let mut client = server.client();
    wait_loaded(&mut client);
    for db in 0..16 {
        client.ok(&format!("SELECT {db}"));
        let others = keys_of(&mut client, "*")
            .into_iter()
            .filter(|key| db != 0 || !key.starts_with(prefix.as_bytes()));
        others.collect::<Vec<_>>().iter().for_each(|key| drop(client.command(&[&b"DEL"[..], key])));
    }
    client.digest()
}

fn keys_of(client: &mut Client, pattern: &str) -> Vec<Vec<u8>> {
    let RespValue::Array(keys) = client.cmd(&format!("KEYS {pattern}")) else { panic!("no keys") };
    keys.iter().filter_map(|key| key.as_bytes()).map(<[u8]>::to_vec).collect()
}

#[test]
fn the_runbook_brings_back_what_a_flushall_took() {
    if peer::on_path("redis-cli").is_none() {
        return;
    }
    let book = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbook.md"));
    let blocks = blocks(&book.expect("docs/runbook.md"));
    assert!(blocks.len() >= 9, "the drill has lost its marks: {} blocks", blocks.len());
    let (programs, hour) = (programs(), Hour::run());
    // The primary that lost its data and went on.
    let live = Server::ours(&[]);
    live.client().ok("SET session:0 newer");
    let home = hour.home.path();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let time = outrigger::base::time::utc_text(hour.end_of(MINUTE_IN_BOOK));
    let side = free_port();
    for (commands, promised) in blocks {
        let script = commands
            .replace("/var/lib/", &format!("{}/", home.display()))
            .replace(TIME_IN_BOOK, &time)
            .replace(OFFSET_IN_BOOK, &hour.moments[MINUTE_IN_BOOK].offset.to_string())
            .replace("6379", &live.port().to_string())
            .replace("6390", &side.to_string());
        let output = Command::new("timeout")
            .args(["300", "sh", "-c", &script])
            .env("PATH", &path)
            .current_dir(home)
            .output()
            .expect("run a block of the drill");
        let shown = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let shown = shown.concat();
        for line in promised {
            assert!(is_kept(&shown, &line), "\n{script}\npromises `{line}` and said\n{shown}");
        }
    }
    let before = &hour.moments[MINUTES - 1];
    both_load(&home.join("restored"), &before.digest);
    for name in ["restored-time", "restored-offset"] {
        both_load(&home.join(name), &hour.moments[MINUTE_IN_BOOK].digest);
    }
    let sessions = digest_of_prefix(&home.join("restored"), "session:");
    both_load(&home.join("restored-sessions"), &sessions);
    let mut client = live.client();
    assert_eq!(client.text("GET session:0").split_at(1).0, "m", "the live server has the sessions back");
    assert_eq!(keys_of(&mut client, "session:*").len(), 5);
    assert_eq!(client.digest(), before.digest, "and all that the FLUSHALL took");
    assert!(check_log(&hour.dir()).expect("a report").is_sound(), "the source is as it was");
}
