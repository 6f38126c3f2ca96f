//! Folders changed in every way: the checker says what a load says, and never more.

use super::Written;
use crate::support::rng::{Pick, Seeded};
use crate::support::scaled;
use outrigger::base::random::Rng;
use outrigger::command::Settings;
use outrigger::command::apply::ApplyError;
use outrigger::format::aof::manifest::{FileEntry, FileKind, Manifest};
use outrigger::format::aof::seal::{SealKind, Sealer};
use outrigger::format::aof::verify::{LogVerifier, LogVisitor, LoggedCommand, Mark};
use outrigger::keyspace::Keyspace;
use outrigger::persistence::names::Names;
use outrigger::persistence::recovery::{
    CutTail, LoadFrom, RecoverOptions, RecoveryError, RecoveryErrorKind, Report, recover, verify_directory,
    verify_file,
};
use outrigger::sys::Disk;
use outrigger::sys::fault::FaultDisk;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

/// Folders that are changed: 20,000 from `OUTRIGGER_TEST_SCALE=25` on.
const MUTATIONS: usize = 800;
const SINGLE: &str = "/data/appendonly.aof";

/// A folder's files by path.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn names() -> Names {
    Names::new("/data", "appendonlydir", "appendonly.aof").expect("names")
}

/// Takes a sealed log apart: its commands as they are, and a second log from the middle on.
struct Apart<'b> {
    bytes: &'b [u8],
    /// Behind which byte of the log the second begins.
    middle: usize,
    first_len: usize,
    plain: Vec<u8>,
    second: Option<(Sealer, u64)>,
    second_bytes: Vec<u8>,
    db: u32,
}

impl LogVisitor<'_> for Apart<'_> {
    fn command(&mut self, command: &LoggedCommand<'_, '_>) -> ControlFlow<()> {
        let bytes = &self.bytes[command.bytes.clone()];
        if command.args[0].eq_ignore_ascii_case(b"select") {
            self.db = std::str::from_utf8(command.args[1]).expect("digits").parse().expect("a database");
        }
        self.plain.extend_from_slice(bytes);
        if let Some((sealer, _)) = &mut self.second {
            sealer.feed(bytes);
            self.second_bytes.extend_from_slice(bytes);
        }
        ControlFlow::Continue(())
    }

    fn mark(&mut self, mark: &Mark, at: Range<usize>) -> ControlFlow<()> {
        let Mark::Seal(line) = mark else { return ControlFlow::Continue(()) };
        self.plain.extend_from_slice(format!("#TS:{}\r\n", line.time_ms / 1000).as_bytes());
        match &mut self.second {
            Some((sealer, _)) => sealer.seal(line.time_ms, &mut self.second_bytes),
            None if line.kind == SealKind::Seal && at.end >= self.middle => {
                self.first_len = at.end;
                let started = Sealer::start_in(
                    line.lineage,
                    line.offset,
                    self.db,
                    line.epoch,
                    line.time_ms,
                    &mut self.second_bytes,
                );
                self.second = Some((started, line.offset));
            }
            None => {}
        }
        ControlFlow::Continue(())
    }
}

/// What a replica has written, and the same as others would have: in two logs; without seals; as one file.
fn originals(written: &Written) -> Vec<Files> {
    let names = names();
    let log = written.bytes(&written.log);
    let middle = log.len() / 2;
    let (plain, second_bytes) = (Vec::new(), Vec::new());
    let mut apart = Apart { bytes: &log, middle, first_len: 0, plain, second: None, second_bytes, db: 0 };
    assert!(LogVerifier::new().walk(&log, &mut apart).is_sound());
    let manifest = Manifest::parse(&written.bytes(&written.manifest)).expect("a manifest");
    let (base, incr) = (manifest.base.clone().expect("a base"), manifest.incr[0].clone());
    let base_bytes = written.bytes(&written.base);
    let folder = |manifest: &Manifest, logs: Vec<(&FileEntry, Vec<u8>)>| -> Files {
        let mut files = Files::from([(names.manifest(), manifest.print().expect("text"))]);
        files.insert(names.path(&base.name), base_bytes.clone());
        files.extend(logs.into_iter().map(|(entry, bytes)| (names.path(&entry.name), bytes)));
        files
    };
    let one = folder(&manifest, vec![(&incr, log.clone())]);
    let start = apart.second.as_ref().expect("a second log").1;
    let name = names.incr_name(incr.seq + 1);
    let lineage = incr.lineage.expect("a lineage");
    let next = FileEntry::new(name, incr.seq + 1, FileKind::Incr).at(lineage, start);
    let both = Manifest { incr: vec![incr.clone(), next.clone()], ..manifest.clone() };
    let two = folder(&both, vec![(&incr, log[..apart.first_len].to_vec()), (&next, apart.second_bytes)]);
    let old = |entry: &FileEntry| FileEntry::new(entry.name.clone(), entry.seq, entry.kind);
    let stock = Manifest { base: Some(old(&base)), incr: vec![old(&incr)], ..manifest.clone() };
    let stock = folder(&stock, vec![(&incr, apart.plain.clone())]);
    let single = Files::from([(PathBuf::from(SINGLE), [base_bytes.clone(), apart.plain].concat())]);
    vec![one, two, stock, single]
}

/// Changes something; what.
fn mutate(files: &mut Files, rng: &mut Rng) -> String {
    let paths: Vec<PathBuf> = files.keys().cloned().collect();
    let path = paths[rng.index(paths.len())].clone();
    let what = rng.below(10);
    if what == 0 {
        let other = paths[rng.index(paths.len())].clone();
        let (one, two) = (files[&path].clone(), files[&other].clone());
        files.insert(path.clone(), two);
        files.insert(other.clone(), one);
        return format!("{} swapped with {}", path.display(), other.display());
    }
    let bytes = files.get_mut(&path).expect("a file");
    let (at, len) = (rng.index(bytes.len() + 1), bytes.len());
    let end = (at + 1 + rng.index(200)).min(len);
    match what {
        1 | 2 if at < len => bytes[at] ^= 1 << rng.below(8),
        3 => bytes.truncate(at),
        // The tail, where torn ends are.
        4 => bytes.truncate(len.saturating_sub(rng.index(700))),
        5 => lengths(bytes, rng),
        6 | 7 => seals(bytes, rng),
        8 => drop(bytes.drain(at.min(end)..end)),
        _ => {
            let piece = bytes[at.min(end)..end].to_vec();
            let to = rng.index(len + 1);
            bytes.splice(to..to, piece);
        }
    }
    format!("{} ({len} bytes) changed by {what} at {at}", path.display())
}

/// Changes the digits of a length or count.
fn lengths(bytes: &mut [u8], rng: &mut Rng) {
    let from = rng.index(bytes.len().max(1));
    let found = bytes.iter().skip(from).position(|byte| matches!(byte, b'$' | b'*'));
    if let Some(digit) = found.and_then(|at| bytes.get_mut(from + at + 1)) {
        *digit = b'0' + rng.below(10) as u8;
    }
}

/// Drops a line, puts it elsewhere, or swaps it with another.
fn seals(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let begins: Vec<usize> = bytes
        .windows(2)
        .enumerate()
        .filter(|(at, pair)| pair == b"#O" || pair == b"#T" || (pair == b"fi" && *at < 400))
        .map(|(at, _)| at)
        .collect();
    if begins.is_empty() {
        return;
    }
    let line = |bytes: &[u8], at: usize| {
        at..bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| at + end + 1)
    };
    let range = line(bytes, begins[rng.index(begins.len())]);
    let text: Vec<u8> = bytes.drain(range).collect();
    match rng.below(3) {
        0 => {}
        1 => {
            let at = rng.index(bytes.len() + 1);
            bytes.splice(at..at, text);
        }
        _ => {
            let at = begins[rng.index(begins.len())].min(bytes.len());
            bytes.splice(at..at, text);
        }
    }
}

/// What a start does: what it cuts, or what it stops at.
fn load(disk: &FaultDisk) -> Result<Option<CutTail>, RecoveryError> {
    let keyspace = Keyspace::new(16);
    let (settings, now_ms) = (Settings::default(), 1_700_000_000_000);
    let options = RecoverOptions { from: LoadFrom::AppendOnly, may_cut: true, settings, now_ms };
    let loaded = recover(disk, &names(), Path::new("/data/none"), &keyspace, &options, &mut |_, _| ());
    loaded.map(|recovered| recovered.cut)
}

/// How a changed folder was judged.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    sound: usize,
    torn: usize,
    told: usize,
    /// Told by the load alone: a command of a log without seals that fails when it is run.
    only_run: usize,
}

/// Whether a command of the log did not work with the data that there was.
fn is_refusal(error: &RecoveryError) -> bool {
    matches!(&*error.kind, RecoveryErrorKind::Command(ApplyError::Refused { .. }))
}

/// Whether a load comes to `one` before `other`. Files of a log are named by their numbers.
fn is_before(one: &RecoveryError, other: &RecoveryError) -> bool {
    (&one.file, one.offset) < (&other.file, other.offset)
}

fn judge(disk: &FaultDisk, is_single: bool, what: &str, tally: &mut Tally) {
    let report: Result<Report, _> = match is_single {
        true => verify_file(disk, Path::new(SINGLE)),
        false => verify_directory(disk, &names()),
    };
    let problem = match &report {
        Ok(report) => report.problems.first(),
        Err(error) => Some(error),
    };
    match (load(disk), problem) {
        // Without seals, the load may be stopped earlier, by what only running a command shows.
        (Err(error), Some(problem)) if is_refusal(&error) && is_before(&error, problem) => {
            tally.only_run += 1
        }
        (Err(error), Some(problem)) => {
            assert_eq!(error.to_string(), problem.to_string(), "{what}: checker and load differ");
            let placed = matches!(
                *error.kind,
                RecoveryErrorKind::Damaged(_) | RecoveryErrorKind::Torn(_) | RecoveryErrorKind::Snapshot(_)
            );
            assert!(!placed || error.offset.is_some(), "{what}: {error}");
            tally.told += 1;
        }
        (Ok(cut), None) => {
            assert_eq!(cut.as_ref(), report.as_ref().ok().and_then(|report| report.cut.as_ref()), "{what}");
            if cut.is_some() { tally.torn += 1 } else { tally.sound += 1 }
        }
        (Err(error), None) => {
            assert!(is_refusal(&error), "{what}: the checker is content, and the load says: {error}");
            tally.only_run += 1;
        }
        (Ok(_), Some(problem)) => panic!("{what}: loaded, and the checker says: {problem}"),
    }
}

#[test]
fn checker_and_load_say_the_same_of_any_folder() {
    let seeded = Seeded::new(7_104);
    let written = Written::new(seeded.seed);
    let originals = originals(&written);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let count = scaled(MUTATIONS);
    let work = |thread: usize| {
        let mut tallies = vec![Tally::default(); originals.len()];
        for turn in (thread..count).step_by(threads) {
            // Each has its own, so that any of them can be had again.
            let mut rng = Rng::from_seed(seeded.seed ^ (turn as u64) << 20);
            let which = turn / threads % originals.len();
            let disk = FaultDisk::new(1);
            disk.create_dir_all(&names().folder()).expect("make the folder");
            let mut files = originals[which].clone();
            let changes: Vec<String> = (0..1 + rng.below(3)).map(|_| mutate(&mut files, &mut rng)).collect();
            files.iter().for_each(|(path, bytes)| disk.put(path, bytes));
            let is_single = files.contains_key(Path::new(SINGLE));
            judge(
                &disk,
                is_single,
                &format!("turn {turn}, folder {which}: {changes:?}"),
                &mut tallies[which],
            );
        }
        tallies
    };
    let work = &work;
    let all: Vec<Vec<Tally>> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        started.into_iter().map(|thread| thread.join().expect("a thread that holds")).collect()
    });
    let sum =
        |pick: fn(&Tally) -> usize, which: usize| all.iter().map(|one| pick(&one[which])).sum::<usize>();
    for which in 0..originals.len() {
        let (sound, torn) = (sum(|t| t.sound, which), sum(|t| t.torn, which));
        let (told, only_run) = (sum(|t| t.told, which), sum(|t| t.only_run, which));
        println!("folder {which}: {sound} sound, {torn} torn, {told} told, {only_run} only when run");
        assert!(torn > 0 && told > torn, "folder {which}");
        let seals = which < 2;
        assert!(!seals || only_run == 0, "folder {which}: seals leave nothing to be found out by running");
    }
}
