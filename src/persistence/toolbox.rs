//! The offline tools, one call each: paths in, a report out. Sources are only read.

mod analysis;
mod export;
mod kinds;
mod log;
mod new_folder;
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
use super::recovery::RecoveryError;
use crate::sys::{Disk, DiskError, DiskOp, EntryKind, FileEntry, RealDisk};

pub use log::{check_log, inspect_log, restore, restore_to, rewrite};
pub use new_folder::{NewFolder, UNFINISHED_PREFIX, unfinished};

/// The folder of the append-only files inside a data folder, unless `appenddirname` says otherwise.
pub const APPEND_FOLDER: &str = "appendonlydir";
/// What a manifest's name ends in.
const MANIFEST_SUFFIX: &str = ".manifest";

/// Why a tool has nothing to report, or did not do what it should.
#[derive(Debug, Error)]
pub enum ToolError {
    /// Nothing to work on.
    #[error("{} holds no append-only files (no `*.manifest` in it or in its `{APPEND_FOLDER}`){}", path.display(), but(seen.as_deref()))]
    NothingThere {
        /// The folder.
        path: PathBuf,
        /// What lies in it that may be meant.
        seen: Option<PathBuf>,
    },
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
    Source(RecoveryError),
    /// No new folder was written.
    #[error(transparent)]
    Offline(OfflineError),
}

fn but(seen: Option<&Path>) -> String {
    seen.map_or_else(String::new, |seen| format!(", but there is {}", seen.display()))
}

impl From<RecoveryError> for ToolError {
    fn from(error: RecoveryError) -> Self {
        error.into_disk().map_or_else(ToolError::Source, ToolError::Disk)
    }
}

impl From<OfflineError> for ToolError {
    fn from(error: OfflineError) -> Self {
        match error {
            OfflineError::Source(error) => error.into(),
            other => ToolError::Offline(other),
        }
    }
}

impl ToolError {
    /// What to do next; empty where the text says it.
    pub fn advice(&self) -> &'static str {
        match self {
            ToolError::NothingThere { seen: Some(_), .. } => "name that, if it is meant",
            ToolError::NothingThere { .. } => {
                "name the server's data folder (`CONFIG GET dir`), its `appendonlydir`, or one file"
            }
            ToolError::Disk(error) | ToolError::Offline(OfflineError::Disk(error)) => advice_for(error),
            _ => "",
        }
    }

    /// Whether it is about damage in the files, rather than about the call or the disk.
    pub fn is_damage(&self) -> bool {
        match self {
            ToolError::Source(_) | ToolError::NoSnapshot { .. } => true,
            ToolError::Offline(error) => {
                matches!(error, OfflineError::Differs { .. } | OfflineError::Unsure { .. })
            }
            ToolError::NothingThere { .. }
            | ToolError::Ambiguous(_)
            | ToolError::Path { .. }
            | ToolError::WrongFile { .. }
            | ToolError::Disk(_) => false,
        }
    }
}

/// What to do about what the disk or the system refused.
pub fn advice_for(error: &DiskError) -> &'static str {
    match (error.source.kind(), error.op) {
        (io::ErrorKind::NotFound, DiskOp::Open | DiskOp::Read | DiskOp::List | DiskOp::Stat) => {
            "see whether the path is right; `CONFIG GET dir` tells a server's data folder"
        }
        (io::ErrorKind::PermissionDenied, DiskOp::Open | DiskOp::Read | DiskOp::List | DiskOp::Stat) => {
            "run this as the user that the server runs as"
        }
        (io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem, _) => NOT_WRITABLE,
        (io::ErrorKind::AlreadyExists, DiskOp::CreateDir) => {
            "that is a file: name a folder, or one that does not exist"
        }
        (io::ErrorKind::NotADirectory, _) => {
            "see whether the path is right: a file stands where a folder is named"
        }
        (io::ErrorKind::InvalidInput, DiskOp::Open) => "name a plain file, or a folder",
        _ => "see to the path and the disk, then run this again",
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
        Located::File => {
            kinds::state(path)?;
            Origin::File(path.to_owned())
        }
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
            let inner = path.join(APPEND_FOLDER);
            // It may be a link to another disk.
            if entries.iter().any(|entry| entry.name == APPEND_FOLDER) && RealDisk.list_dir(&inner).is_ok() {
                return locate(&inner);
            }
            Err(ToolError::NothingThere { path: path.to_owned(), seen: likely(path, &entries) })
        }
    }
}

/// What in a folder without append-only files may be meant: a data folder in it, else a file of a server.
fn likely(path: &Path, entries: &[FileEntry]) -> Option<PathBuf> {
    let of = |kind: EntryKind| entries.iter().filter(move |entry| entry.kind == kind);
    let is_data =
        |dir: &PathBuf| RealDisk.list_dir(&dir.join(APPEND_FOLDER)).is_ok_and(|entries| !entries.is_empty());
    // What a tool works in, or was killed in, is hidden, and nobody's data.
    let is_seen = |entry: &&FileEntry| !entry.name.as_encoded_bytes().starts_with(b".");
    let folder = of(EntryKind::Dir).filter(is_seen).map(|entry| path.join(&entry.name)).find(is_data);
    let file = |suffix: &str| {
        let found =
            of(EntryKind::File).find(|entry| entry.name.as_encoded_bytes().ends_with(suffix.as_bytes()));
        found.map(|entry| path.join(&entry.name))
    };
    folder.or_else(|| file(".aof")).or_else(|| file(".rdb"))
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
