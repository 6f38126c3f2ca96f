//! The offline tools, one call each: paths in, a report out. Sources are only read.

mod analysis;
mod export;
mod kinds;
mod log;
pub mod programs;
mod snapshot;
mod values;

pub use analysis::{Analysis, AnalysisOptions, BigKey, Sum, TTL_CLASSES, analyze_snapshot};
pub use export::{ExportFormat, ExportReport, export_snapshot};
pub use snapshot::{SnapshotReport, check_snapshot};

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::names::Names;
use super::offline::{OfflineError, Origin};
use super::recovery::{RecoveryError, RecoveryErrorKind};
use crate::sys::{Disk, DiskError, DiskOp, EntryKind, RealDisk};

pub use log::{check_log, inspect_log, restore, rewrite};

/// The folder of the append-only files inside a data folder, unless `appenddirname` says otherwise.
pub const APPEND_FOLDER: &str = "appendonlydir";
/// What a manifest's name ends in.
const MANIFEST_SUFFIX: &str = ".manifest";

/// Why a tool has nothing to report, or did not do what it should.
#[derive(Debug, Error)]
pub enum ToolError {
    /// Nothing to work on.
    #[error("{} holds no append-only files (no `*.manifest` in it or in its `{APPEND_FOLDER}`)", .0.display())]
    NothingThere(PathBuf),
    /// More than one history in a folder.
    #[error("{} holds more than one manifest; name the one that is meant", .0.display())]
    Ambiguous(PathBuf),
    /// A path that cannot name a folder of ours.
    #[error("{} cannot be used: {reason}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is not of the kind that the tool reads.
    #[error("{} {what}\n  next: {next}", path.display())]
    WrongFile {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to do.
        next: &'static str,
    },
    /// A file that does not even begin like a snapshot.
    #[error("{} cannot be read as a snapshot: {error}", path.display())]
    NoSnapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The files cannot be judged further than this.
    #[error(transparent)]
    Source(#[from] RecoveryError),
    /// No new folder was written.
    #[error(transparent)]
    Offline(OfflineError),
}

impl From<OfflineError> for ToolError {
    fn from(error: OfflineError) -> Self {
        match error {
            OfflineError::Source(error) => ToolError::Source(error),
            other => ToolError::Offline(other),
        }
    }
}

impl ToolError {
    /// What to do next; empty where the text says it.
    pub fn advice(&self) -> &'static str {
        match self {
            ToolError::NothingThere(_) => {
                "name the server's data folder (`CONFIG GET dir`), its `appendonlydir`, or one file"
            }
            ToolError::Disk(error) | ToolError::Offline(OfflineError::Disk(error)) => advice_for(error),
            ToolError::Source(error) => advice_for_source(error),
            _ => "",
        }
    }

    /// Whether it is about damage in the files, rather than about the call or the disk.
    pub fn is_damage(&self) -> bool {
        match self {
            ToolError::Source(error) => !matches!(*error.kind, RecoveryErrorKind::Disk(_)),
            ToolError::Offline(error) => {
                matches!(error, OfflineError::Differs { .. } | OfflineError::Unsure { .. })
            }
            ToolError::NoSnapshot { .. } => true,
            ToolError::NothingThere(_)
            | ToolError::Ambiguous(_)
            | ToolError::Path { .. }
            | ToolError::WrongFile { .. }
            | ToolError::Disk(_) => false,
        }
    }
}

/// What to do where the disk is why files cannot be judged; empty where they are damaged, which the text says.
pub fn advice_for_source(error: &RecoveryError) -> &'static str {
    match &*error.kind {
        RecoveryErrorKind::Disk(error) => advice_for(error),
        _ => "",
    }
}

/// What to do about what the disk or the system refused.
pub fn advice_for(error: &DiskError) -> &'static str {
    match (error.source.kind(), error.op) {
        (io::ErrorKind::NotFound, _) => {
            "see whether the path is right; `CONFIG GET dir` tells a server's data folder"
        }
        (io::ErrorKind::PermissionDenied, DiskOp::Open | DiskOp::Read | DiskOp::List | DiskOp::Stat) => {
            "run this as the user that the server runs as"
        }
        (io::ErrorKind::PermissionDenied, _) => NOT_WRITABLE,
        _ => "see to the disk, then run this again",
    }
}

/// What to do about a folder that one may not write to.
pub const NOT_WRITABLE: &str = "name a folder that this user may write to";

/// The names of the append-only files that a path stands for: a data folder, an append-only folder, or its manifest.
pub fn locate_folder(path: &Path) -> Result<Names, ToolError> {
    match locate(path)? {
        Located::Folder(names) => Ok(names),
        Located::File => {
            let reason = "a folder or its manifest is needed, not a single file".to_owned();
            Err(ToolError::Path { path: path.to_owned(), reason })
        }
    }
}

/// What a path stands for.
pub(super) enum Located {
    /// A folder of append-only files.
    Folder(Names),
    /// One file.
    File,
}

/// What a path stands for, as what a state is loaded from.
pub(super) fn origin(path: &Path) -> Result<Origin, ToolError> {
    Ok(match locate(path)? {
        Located::Folder(names) => Origin::Folder(names),
        Located::File => Origin::File(path.to_owned()),
    })
}

pub(super) fn locate(path: &Path) -> Result<Located, ToolError> {
    let entries = match RealDisk.list_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.is_not_found() || error.source.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(error.into());
        }
        Err(_) => {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            return match name.strip_suffix(MANIFEST_SUFFIX) {
                Some(prefix) => names(path.parent().unwrap_or(Path::new(".")), prefix).map(Located::Folder),
                None => Ok(Located::File),
            };
        }
    };
    let prefixes = entries.iter().filter(|entry| entry.kind == EntryKind::File).filter_map(|entry| {
        let name = entry.name.to_str().filter(|name| !name.starts_with('.'))?;
        name.strip_suffix(MANIFEST_SUFFIX)
    });
    match prefixes.collect::<Vec<_>>().as_slice() {
        [prefix] => names(path, prefix).map(Located::Folder),
        [_, _, ..] => Err(ToolError::Ambiguous(path.to_owned())),
        [] => {
            let inner =
                entries.iter().any(|entry| entry.kind == EntryKind::Dir && entry.name == APPEND_FOLDER);
            if inner {
                return locate(&path.join(APPEND_FOLDER));
            }
            Err(ToolError::NothingThere(path.to_owned()))
        }
    }
}

fn names(folder: &Path, prefix: &str) -> Result<Names, ToolError> {
    let wrong = |reason: String| ToolError::Path { path: folder.to_owned(), reason };
    // `.` and `..` have no name of their own.
    let folder = std::path::absolute(folder).map_err(|error| wrong(error.to_string()))?;
    let name = folder.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| wrong("its name is not a folder's".to_owned()))?;
    let dir = folder.parent().unwrap_or(Path::new("/"));
    Names::new(dir, name, prefix).map_err(|error| wrong(error.to_string()))
}
