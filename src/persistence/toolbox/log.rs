//! The tools for append-only files.

use std::path::Path;
use std::sync::Arc;

use super::kinds::Kind;
use super::{APPEND_FOLDER, Located, NewFolder, ToolError, locate, origin};
use crate::base::time::{Clock, SystemClock};
use crate::command::Settings;
use crate::format::aof::manifest::FileKind;
use crate::persistence::names::Names;
use crate::persistence::offline::{Offline, Origin, RestoreTo, Restored, Wanted};
use crate::persistence::recovery::{
    Inspect, LoadFrom, RecoverOptions, Report, inspect_directory, inspect_file, is_called_a_snapshot,
};
use crate::persistence::snapshot::SnapshotOptions;
use crate::sys::{Disk, RealDisk};

/// Judges append-only files as a start would: those of a data folder, of an append-only folder, of the folder of a
/// manifest; or one file by itself.
pub fn check_log(path: &Path) -> Result<Report, ToolError> {
    inspect_log(path, &Inspect::default())
}

/// As [`check_log`], with more to be told.
pub fn inspect_log(path: &Path, inspect: &Inspect<'_>) -> Result<Report, ToolError> {
    match locate(path)? {
        Located::Folder(names) => Ok(inspect_directory(&RealDisk, &names, inspect)?),
        Located::File => {
            let report = inspect_file(&RealDisk, path, inspect)?;
            match wrong_file(path, &report)? {
                Some(wrong) => Err(wrong),
                None => Ok(report),
            }
        }
    }
}

/// A file with nothing of a log in it: not a damaged log, but something else.
fn wrong_file(path: &Path, report: &Report) -> Result<Option<ToolError>, ToolError> {
    const WANTED: &str = "name a data folder, its `appendonlydir`, or one append-only file";
    let [only] = &*report.files else { return Ok(None) };
    if only.bytes == 0 && is_called_a_snapshot(path) {
        let what = "is empty, and called as a snapshot is, not as an append-only file".to_owned();
        let next = "name another one, if it was to hold data: a server does not start from an empty snapshot";
        return Ok(Some(ToolError::WrongFile { path: path.to_owned(), what, next }));
    }
    let is_nothing = only.kind == FileKind::Incr && only.good_bytes == 0 && only.bytes > 0;
    if !is_nothing {
        return Ok(None);
    }
    let bytes = RealDisk.read_sealed(path)?;
    let (what, next) = match Kind::of(&bytes) {
        Some(Kind::Log) => return Ok(None),
        Some(kind) => (kind.and_not("an append-only file"), kind.next(WANTED)),
        None => ("is not an append-only file: no command can be made out in it".to_owned(), WANTED),
    };
    Ok(Some(ToolError::WrongFile { path: path.to_owned(), what, next }))
}

/// What the files of a new folder are called when they come from a single one.
const PREFIX: &str = "appendonly.aof";

/// Writes what is wanted of a folder of append-only files, or of a single file, into a new data folder, loads that again
/// and compares; only then the folder gets its name. A torn end of the source is left out.
pub fn restore(
    from: &Path,
    into: &Path,
    wanted: &Wanted,
    databases: u32,
    progress: &dyn Fn(u64, u64),
) -> Result<Restored, ToolError> {
    restore_to(from, NewFolder::prepare(from, into)?, wanted, databases, progress)
}

/// As [`restore`], into a folder that was looked at before.
pub fn restore_to(
    from: &Path,
    into: NewFolder,
    wanted: &Wanted,
    databases: u32,
    progress: &dyn Fn(u64, u64),
) -> Result<Restored, ToolError> {
    let source = origin(from)?;
    let prefix = match &source {
        Origin::Folder(names) => names.prefix(),
        Origin::File(_) => PREFIX,
    };
    let data = into.data();
    let target = Names::new(&data, APPEND_FOLDER, prefix)
        .map_err(|error| ToolError::Path { path: data, reason: error.to_string() })?;
    let clock = SystemClock::new();
    let options = RecoverOptions {
        from: LoadFrom::AppendOnly,
        may_cut: true,
        settings: Settings::default(),
        now_ms: i64::try_from(clock.unix_ms()).unwrap_or(i64::MAX),
    };
    let snapshot = SnapshotOptions::default();
    let disk = Arc::new(RealDisk);
    let tool = Offline { disk, clock: &clock, options: &options, snapshot: &snapshot, databases, progress };
    let restored = tool.restore(&source, &target, wanted)?;
    into.publish()?;
    Ok(restored)
}

/// Writes what a folder of append-only files (or a single file) holds into a new data folder: one base and an empty log.
pub fn rewrite(
    from: &Path,
    into: &Path,
    databases: u32,
    progress: &dyn Fn(u64, u64),
) -> Result<Restored, ToolError> {
    restore(from, into, &RestoreTo::End.into(), databases, progress)
}
