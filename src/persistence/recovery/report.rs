//! What a checker says about a folder, by the same code that loads it.

use std::path::{Path, PathBuf};

use super::chain::{fault, torn};
use super::{Chain, CutTail, RecoveryError, RecoveryErrorKind, start_of};
use crate::format::aof::manifest::FileKind;
use crate::format::aof::verify::{HistoryPoint, LogVerifier};
use crate::format::rdb::{MAGIC, ReadOptions};
use crate::persistence::load::{LoadError, judge_rdb};
use crate::persistence::names::Names;
use crate::sys::Disk;

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
    /// All that is wrong. Empty: it loads (but for commands that this server might not follow).
    pub problems: Vec<RecoveryError>,
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
    let Some(chain) = Chain::read(disk, names)? else {
        return Err(RecoveryError::new(names.manifest(), None, RecoveryErrorKind::MissingFile));
    };
    let mut problems = Vec::new();
    let mut files = Vec::new();
    if let Some(base) = &chain.base {
        let start = start_of(&base.entry);
        let mut report = FileReport { start, end: start, ..blank(&base.path, FileKind::Base, &base.bytes) };
        if let Err((offset, kind)) = base_report(&base.bytes, &mut report) {
            problems.push(RecoveryError::new(base.path.clone(), offset, kind));
        }
        files.push(report);
    }
    problems.extend(chain.problems(true));
    for file in &chain.incr {
        let extent = file.verdict.extent();
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
    Ok(Report { files, cut: chain.cut(), end, problems })
}

/// Judges one log file by itself: one of a folder, or the single file of servers before 7.0, which may begin with
/// a snapshot.
pub fn verify_file(disk: &dyn Disk, path: &Path) -> Result<Report, RecoveryError> {
    let bytes = disk.read_sealed(path)?;
    let mut files = Vec::new();
    let mut problems = Vec::new();
    let mut snapshot_bytes = 0;
    if bytes.starts_with(MAGIC) {
        let mut report = blank(path, FileKind::Base, &bytes);
        match judge_rdb(&bytes, ReadOptions::default(), &mut |_, _| ()) {
            Ok(facts) => {
                (report.good_bytes, report.items, report.crc) = (facts.bytes, facts.keys, facts.checksum);
                report.bytes = facts.bytes;
                report.start = facts.point.map(|point| point.history());
                report.time_ms = facts.ctime_s.map(|s| s.saturating_mul(1000));
            }
            Err(error) => {
                let offset = Some(error.offset());
                problems.push(RecoveryError::new(
                    path.to_owned(),
                    offset,
                    RecoveryErrorKind::Snapshot(error),
                ));
            }
        }
        snapshot_bytes = usize::try_from(report.bytes).unwrap_or(bytes.len());
        files.push(report);
    }
    let commands = bytes.get(snapshot_bytes..).unwrap_or_default();
    let mut cut = None;
    if files.is_empty() || !commands.is_empty() {
        let verdict = LogVerifier::new().check(commands);
        let at = |offset: u64| offset + snapshot_bytes as u64;
        let extent = verdict.extent();
        let mut report = blank(path, FileKind::Incr, commands);
        (report.good_bytes, report.items, report.seals) = (extent.len as u64, extent.commands, extent.seals);
        (report.end, report.time_ms) = (extent.history, extent.time_ms);
        report.crc = extent.history.map(|_| extent.crc);
        files.push(report);
        match torn(path, &verdict) {
            Some(tail) => cut = Some(CutTail { at: at(tail.at), ..tail }),
            None => problems.extend(
                fault(&verdict, false)
                    .map(|(offset, kind)| RecoveryError::new(path.to_owned(), Some(at(offset)), kind)),
            ),
        }
    }
    let end = if problems.is_empty() { files.last().and_then(|file| file.end) } else { None };
    Ok(Report { files, cut, end, problems })
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
fn base_report(bytes: &[u8], report: &mut FileReport) -> Result<(), (Option<u64>, RecoveryErrorKind)> {
    if !bytes.starts_with(MAGIC) {
        // A base of commands, as stock servers write it without `aof-use-rdb-preamble`.
        let verdict = LogVerifier::new().check(bytes);
        (report.good_bytes, report.items) = (verdict.extent().len as u64, verdict.extent().commands);
        return fault(&verdict, false).map_or(Ok(()), |(offset, kind)| Err((Some(offset), kind)));
    }
    let facts = judge_rdb(bytes, ReadOptions::default(), &mut |_, _| ())
        .map_err(|error| (Some(error.offset()), RecoveryErrorKind::Snapshot(error)))?;
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
