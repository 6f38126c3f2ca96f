//! What a checker says about a folder, by the same code that loads it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::chain::{fault, torn};
use super::judging::{JudgePlan, Looking, judge};
use super::lint::Lint;
use super::{Chain, CutTail, RecoveryError, RecoveryErrorKind, start_of};
use crate::format::aof::manifest::FileKind;
use crate::format::aof::seal::Epoch;
use crate::format::aof::verify::{HistoryPoint, LogVerifier, Mark, MetCommand, Watcher};
use crate::format::rdb::{MAGIC, ReadOptions};
use crate::persistence::generation::read_manifest;
use crate::persistence::judge::{Judging, Plan, judge as judge_snapshot};
use crate::persistence::load::{Facts, LoadError};
use crate::persistence::names::Names;
use crate::persistence::timeline::{Span, Timeline};
use crate::sys::{Disk, MappedFile};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Its path.
    pub path: PathBuf,
    /// Base or log.
    pub kind: FileKind,
    /// Its length in bytes.
    pub bytes: u64,
    /// How much of it is good, in bytes.
    pub good_bytes: u64,
    /// Keys (of a base), or commands (of a log) in the good part.
    pub items: u64,
    /// Seals in the good part.
    pub seals: u64,
    /// Where in the history it begins, if the manifest says so.
    pub start: Option<HistoryPoint>,
    /// Where in the history its good part ends, if it is sealed.
    pub end: Option<HistoryPoint>,
    /// When its last seal was written (a base: when it was taken), in milliseconds of Unix time.
    pub time_ms: Option<u64>,
    /// CRC64 that vouches for the good part: of a sealed log, or at the end of a base.
    pub crc: Option<u64>,
}

/// A folder.
#[derive(Debug)]
pub struct Report {
    /// Its files, base first; those that could be read.
    pub files: Vec<FileReport>,
    /// A torn end of the last file, which a start may cut.
    pub cut: Option<CutTail>,
    /// Where in the history the good part ends; `None` if nothing says so or the history has a fault before.
    pub end: Option<HistoryPoint>,
    /// The history's epoch there, as the log files tell it.
    pub epoch: Epoch,
    /// All that is wrong, in the order in which a load would come to it. Empty: it loads, but for commands of a log without
    /// seals that fail when they are run.
    pub problems: Vec<RecoveryError>,
    /// When what happened, if that was asked for.
    pub timeline: Option<Timeline>,
}

/// How files are looked through.
pub struct Inspect<'i> {
    /// Databases that the server has.
    pub databases: u32,
    /// The time that a timeline is wanted of.
    pub timeline: Option<Span>,
    /// Is told bytes done and bytes in all.
    pub progress: &'i (dyn Fn(u64, u64) + Sync),
}

/// As many databases as a server has unless it is told otherwise.
const DATABASES: u32 = 16;

impl Default for Inspect<'_> {
    fn default() -> Self {
        Inspect { databases: DATABASES, timeline: None, progress: &|_, _| () }
    }
}

/// Looks at the commands of a log.
struct Looks {
    lint: Lint,
    timeline: Option<Timeline>,
}

impl Watcher for Looks {
    fn command(&mut self, met: &MetCommand<'_>) {
        self.lint.command(met);
        if let Some(timeline) = &mut self.timeline {
            timeline.command(met);
        }
    }

    fn mark(&mut self, mark: &Mark, at: usize) {
        if let Some(timeline) = &mut self.timeline {
            timeline.mark(mark, at);
        }
    }
}

impl Inspect<'_> {
    fn looks(&self) -> Looks {
        Looks { lint: Lint::new(self.databases), timeline: self.timeline.map(Timeline::new) }
    }

    /// What those who looked at a log's parts have found: the first command that does not belong there, and the timeline.
    fn findings(
        &self,
        path: &Path,
        from: usize,
        good_len: usize,
        looks: Vec<Looks>,
    ) -> (Option<RecoveryError>, Option<Timeline>) {
        let mut bad = None;
        let mut lines = Vec::new();
        for looked in looks {
            bad = bad.or_else(|| looked.lint.finding(path, from, good_len));
            lines.extend(looked.timeline);
        }
        (bad, self.timeline.map(|span| Timeline::of_file(span, path, lines.into_iter())))
    }
}

impl Report {
    /// Whether a start would load the folder without cutting anything.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && self.cut.is_none()
    }
}

/// Judges a folder without loading it into anything: the log files by their seals and their order, the base by decoding
/// it whole. An error if there is no folder to judge.
pub fn verify_directory(disk: &dyn Disk, names: &Names) -> Result<Report, RecoveryError> {
    inspect_directory(disk, names, &Inspect::default())
}

/// As [`verify_directory`], with more to be told.
pub fn inspect_directory(
    disk: &dyn Disk,
    names: &Names,
    inspect: &Inspect<'_>,
) -> Result<Report, RecoveryError> {
    let (done, total) = (AtomicU64::new(0), bytes_of(disk, names));
    let progress = |bytes| (inspect.progress)(done.fetch_add(bytes, Ordering::Relaxed) + bytes, total);
    let looking = Looking { watcher: &|| inspect.looks(), progress: &progress };
    let Some((chain, looked)) = Chain::read_watched(disk, names, &looking)? else {
        return Err(RecoveryError::new(names.manifest(), None, RecoveryErrorKind::MissingFile));
    };
    let mut problems = chain.problems(true);
    let mut files = Vec::new();
    if let Some(base) = &chain.base {
        let start = start_of(&base.entry);
        let mut report = FileReport { start, end: start, ..blank(&base.path, FileKind::Base, &base.bytes) };
        if let Err((offset, kind)) = base_report(&base.bytes, &mut report, inspect, &looking) {
            problems.push(RecoveryError::new(base.path.clone(), offset, kind));
        }
        files.push(report);
    }
    let (mut timeline, mut epoch): (Option<Timeline>, _) = (None, Epoch::UNKNOWN);
    for (file, looks) in chain.incr.iter().zip(looked) {
        let extent = file.verdict.extent();
        let (bad, line) = inspect.findings(&file.path, 0, extent.len, looks);
        problems.extend(bad);
        match (&mut timeline, line) {
            (Some(timeline), Some(line)) => timeline.go_on(line),
            (none, line) => *none = line,
        }
        epoch = if extent.epoch.is_known() { extent.epoch } else { epoch };
        files.push(FileReport {
            path: file.path.clone(),
            kind: FileKind::Incr,
            bytes: file.bytes.len() as u64,
            good_bytes: extent.len as u64,
            items: extent.commands,
            seals: extent.seals,
            start: start_of(&file.entry),
            end: extent.history,
            time_ms: extent.time_ms,
            crc: extent.history.map(|_| extent.crc),
        });
    }
    let end = if problems.is_empty() { files.last().and_then(|file| file.end.or(file.start)) } else { None };
    Ok(Report { files, cut: chain.cut(), end, epoch, problems, timeline })
}

/// Bytes of all files that the manifest names, as far as they are there.
fn bytes_of(disk: &dyn Disk, names: &Names) -> u64 {
    let Ok(Some(manifest)) = read_manifest(disk, names) else { return 0 };
    let len = |name: &[u8]| disk.file_len(&names.path(name)).ok().flatten().unwrap_or(0);
    manifest.base.iter().chain(&manifest.incr).map(|entry| len(&entry.name)).sum()
}

/// Judges one log file by itself: one of a folder, or the single file of servers before 7.0, which may begin with
/// a snapshot.
pub fn verify_file(disk: &dyn Disk, path: &Path) -> Result<Report, RecoveryError> {
    inspect_file(disk, path, &Inspect::default())
}

/// As [`verify_file`], with more to be told.
pub fn inspect_file(disk: &dyn Disk, path: &Path, inspect: &Inspect<'_>) -> Result<Report, RecoveryError> {
    let bytes = disk.read_sealed(path)?;
    let total = bytes.len() as u64;
    let done = AtomicU64::new(0);
    let progress = |bytes| (inspect.progress)(done.fetch_add(bytes, Ordering::Relaxed) + bytes, total);
    let looking = Looking { watcher: &|| inspect.looks(), progress: &progress };
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let mut snapshot_bytes = 0;
    if bytes.starts_with(MAGIC) {
        let mut report = blank(path, FileKind::Base, &bytes);
        match judge_base(&bytes, inspect.databases) {
            Ok(facts) => {
                (report.good_bytes, report.items, report.crc) = (facts.bytes, facts.keys, facts.checksum);
                report.bytes = facts.bytes;
                report.start = facts.point.map(|point| point.history());
                report.time_ms = facts.ctime_s.map(|s| s.saturating_mul(1000));
            }
            Err(error) => {
                let offset = Some(error.offset());
                let kind = RecoveryErrorKind::Snapshot(error);
                problems.push(RecoveryError::new(path.to_owned(), offset, kind));
            }
        }
        snapshot_bytes = usize::try_from(report.bytes).unwrap_or(bytes.len());
        progress(report.bytes);
        files.push(report);
    }
    let commands = bytes.get(snapshot_bytes..).unwrap_or_default();
    let (mut cut, mut timeline, mut epoch) = (None, None, Epoch::UNKNOWN);
    if files.is_empty() || !commands.is_empty() {
        let plan = JudgePlan::of(commands.len());
        let (verdict, looks) = judge(&LogVerifier::new(), &bytes, snapshot_bytes, plan, &looking);
        let at = |offset: u64| offset + snapshot_bytes as u64;
        let extent = verdict.extent();
        let mut report = blank(path, FileKind::Incr, commands);
        (report.good_bytes, report.items, report.seals) = (extent.len as u64, extent.commands, extent.seals);
        (report.end, report.time_ms, epoch) = (extent.history, extent.time_ms, extent.epoch);
        report.crc = extent.history.map(|_| extent.crc);
        files.push(report);
        match torn(path, &verdict) {
            Some(tail) => cut = Some(CutTail { at: at(tail.at), ..tail }),
            None => problems.extend(
                fault(&verdict, false)
                    .map(|(offset, kind)| RecoveryError::new(path.to_owned(), Some(at(offset)), kind)),
            ),
        }
        let (bad, line) = inspect.findings(path, snapshot_bytes, extent.len, looks);
        problems.extend(bad);
        timeline = line;
    }
    let end = if problems.is_empty() { files.last().and_then(|file| file.end) } else { None };
    Ok(Report { files, cut, end, epoch, problems, timeline })
}

/// Judges a snapshot, by several threads if it is worth it, and gives back what has been read.
fn judge_base(bytes: &MappedFile, databases: u32) -> Result<Facts, LoadError> {
    let mut judging = Judging {
        read: ReadOptions::default(),
        databases: Some(databases),
        plan: Plan::of(bytes.len()),
        passed: &|range| bytes.release(range),
        progress: &mut |_| (),
    };
    let judged = judge_snapshot(bytes, &mut judging);
    judged.fault.map_or(Ok(judged.facts), |fault| Err(fault.error))
}

fn blank(path: &Path, kind: FileKind, bytes: &[u8]) -> FileReport {
    let (path, bytes) = (path.to_owned(), bytes.len() as u64);
    let (good_bytes, items, seals) = (0, 0, 0);
    FileReport {
        path,
        kind,
        bytes,
        good_bytes,
        items,
        seals,
        start: None,
        end: None,
        time_ms: None,
        crc: None,
    }
}

/// Looks through a base and completes its report; where and what is wrong otherwise.
fn base_report(
    bytes: &MappedFile,
    report: &mut FileReport,
    inspect: &Inspect<'_>,
    looking: &Looking<'_, Looks>,
) -> Result<(), (Option<u64>, RecoveryErrorKind)> {
    if !bytes.starts_with(MAGIC) {
        // A base of commands, as stock servers write it without `aof-use-rdb-preamble`.
        let (verdict, looks) = judge(&LogVerifier::new(), bytes, 0, JudgePlan::of(bytes.len()), looking);
        let extent = verdict.extent();
        (report.good_bytes, report.items) = (extent.len as u64, extent.commands);
        if let Some((offset, kind)) = fault(&verdict, false) {
            return Err((Some(offset), kind));
        }
        if let (Some(bad), _) = inspect.findings(&report.path, 0, extent.len, looks) {
            return Err((bad.offset, *bad.kind));
        }
        // Commands name no place in a history.
        return report.start.map_or(Ok(()), |_| Err((None, RecoveryErrorKind::OtherSnapshot)));
    }
    let facts = judge_base(bytes, inspect.databases)
        .map_err(|error| (Some(error.offset()), RecoveryErrorKind::Snapshot(error)))?;
    (looking.progress)(report.bytes);
    (report.good_bytes, report.items) = (facts.bytes, facts.keys);
    report.crc = facts.checksum;
    report.time_ms = facts.ctime_s.map(|s| s.saturating_mul(1000));
    let behind = report.bytes - facts.bytes;
    if behind > 0 {
        let error = LoadError::Trailing { offset: facts.bytes, bytes: behind };
        return Err((Some(facts.bytes), RecoveryErrorKind::Snapshot(error)));
    }
    if report.start.is_some() && report.start != facts.point.map(|point| point.history()) {
        return Err((None, RecoveryErrorKind::OtherSnapshot));
    }
    Ok(())
}
