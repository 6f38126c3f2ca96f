//! Snapshot files.

use super::ToolError;
use super::kinds::{Kind, is_like_a_snapshot};
use crate::format::rdb::{RdbErrorKind, ReadOptions};
use crate::persistence::judge::{Fault, Judged, Judging, Plan, judge};
use crate::persistence::load::LoadError;
use crate::sys::{Disk, MappedFile, RealDisk};
use std::path::Path;

/// What was found in a snapshot file.
#[derive(Debug)]
pub struct SnapshotReport {
    /// Its length in bytes.
    pub bytes: u64,
    /// The snapshot, and what is wrong with it.
    pub judged: Judged,
}

/// Judges a snapshot file. `databases` is how many a server would have, if that is to be held against it; `progress` is
/// told bytes read and bytes in all.
///
/// # Errors
/// There is no such file, it cannot be read, or it is something else than a snapshot.
pub fn check_snapshot(
    path: &Path,
    databases: Option<u32>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<SnapshotReport, ToolError> {
    let file = open(path)?;
    let bytes = file.len() as u64;
    let mut judging = Judging {
        read: ReadOptions::default(),
        databases,
        plan: Plan::of(file.len()),
        passed: &|range| file.release(range),
        progress: &mut |done| progress(done, bytes),
    };
    let mut judged = judge(&file, &mut judging);
    if judged.fault.is_none() && judged.facts.bytes < bytes {
        let offset = judged.facts.bytes;
        let error = LoadError::Trailing { offset, bytes: bytes - offset };
        judged.fault = Some(Fault { error, record_at: None, key: None, db: 0, after: None });
    }
    if let Some(Fault { error, .. }) = &judged.fault
        && let Some((what, next)) = other_kind(&file, error)
    {
        return Err(ToolError::WrongFile { path: path.to_owned(), what, next });
    }
    progress(bytes, bytes);
    Ok(SnapshotReport { bytes, judged })
}

/// Opens a snapshot file.
pub(super) fn open(path: &Path) -> Result<MappedFile, ToolError> {
    if RealDisk.list_dir(path).is_ok() {
        let what = "is a folder, not a snapshot file".to_owned();
        let next = "name the file (`dump.rdb` in a data folder); `aof-check DIR` checks a folder of append-only files";
        return Err(ToolError::WrongFile { path: path.to_owned(), what, next });
    }
    Ok(RealDisk.read_sealed(path)?)
}

/// What a file is that is no snapshot, or more than one, if it can be told; and what to do.
fn other_kind(bytes: &[u8], error: &LoadError) -> Option<(String, &'static str)> {
    const WANTED: &str = "name the snapshot file (`dump.rdb`)";
    match error {
        LoadError::Trailing { offset, .. } => {
            let behind = bytes.get(usize::try_from(*offset).ok()?..)?;
            let is_log = behind.starts_with(b"*") || behind.starts_with(b"#");
            is_log.then(|| {
                let what = format!(
                    "is an append-only file that begins with a snapshot: the snapshot ({offset} bytes) is sound, and a log follows"
                );
                (what, Kind::Log.next(WANTED))
            })
        }
        LoadError::Rdb(error) if matches!(error.kind, RdbErrorKind::NotRdb) => {
            let Some(kind) = Kind::of(bytes) else {
                let is_other = !bytes.is_empty() && !is_like_a_snapshot(bytes);
                return is_other.then(|| ("is not a snapshot: it does not begin as one".to_owned(), WANTED));
            };
            Some((kind.and_not("a snapshot"), kind.next(WANTED)))
        }
        _ => None,
    }
}
