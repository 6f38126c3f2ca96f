//! Snapshot files.

use super::ToolError;
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

const CHECK_LOG: &str = "check it with `aof-check FILE`";

/// What a file is that is no snapshot, or more than one, if it can be told; and what to do.
fn other_kind(bytes: &[u8], error: &LoadError) -> Option<(String, &'static str)> {
    let is = |what: &str, next: &'static str| Some((what.to_owned(), next));
    match error {
        LoadError::Trailing { offset, .. } => {
            let behind = bytes.get(usize::try_from(*offset).ok()?..)?;
            let is_log = behind.starts_with(b"*") || behind.starts_with(b"#");
            is_log.then(|| {
                let what = format!(
                    "is an append-only file that begins with a snapshot: the snapshot ({offset} bytes) is sound, and a log follows"
                );
                (what, CHECK_LOG)
            })
        }
        LoadError::Rdb(error) if matches!(error.kind, RdbErrorKind::NotRdb) => {
            if bytes.starts_with(b"VALKEY") {
                let version: String = bytes.iter().skip(6).take(3).map(|byte| char::from(*byte)).collect();
                let what =
                    format!("is a snapshot in Valkey's own format, version {version:?}, which is not read");
                return Some((
                    what,
                    "let the Valkey server hand its data over as a replica's primary, or by MIGRATE",
                ));
            }
            match bytes {
                [b'*', b'0'..=b'9', ..] | [b'#', b'T', b'S', ..] => {
                    is("is an append-only file, not a snapshot", CHECK_LOG)
                }
                [b'f', b'i', b'l', b'e', b' ', ..] => is(
                    "is the manifest of a folder of append-only files, not a snapshot",
                    "check the folder with `aof-check DIR`",
                ),
                [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x04, 0x22, 0x4d, 0x18, ..] => is(
                    "is compressed as a whole (gzip, zstd or lz4)",
                    "decompress it, and check what comes out",
                ),
                _ => {
                    let head = bytes.get(..256).unwrap_or(bytes);
                    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
                    let is_text = bytes.len() > 9 && head.iter().all(is_text);
                    is_text.then(|| {
                        ("is a text, not a snapshot".to_owned(), "name the snapshot file (`dump.rdb`)")
                    })
                }
            }
        }
        _ => None,
    }
}
