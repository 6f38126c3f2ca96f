//! Backups of the append-only files: taken from a running node, verified by loading them, and only then published.
//!
//! * [`take`]: pins what the manifest names, copies it up to the last whole seal, rehearses a restore, publishes.
//! * [`shelf`]: the folder that holds the backups: what is there, what an interrupted one left, what is kept.
//! * [`source`]: a backup as what a restore reads from.
//! * [`history`]: earlier generations carried along by an offline rewrite.

pub mod history;
mod pack;
mod pins;
mod rehearsal;
pub mod shelf;
pub mod source;
pub mod take;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::format::archive::ArchiveError;
use crate::persistence::offline::Fingerprint;
use crate::persistence::recovery::RecoveryError;
use crate::persistence::toolbox::{NOT_WRITABLE, ToolError, advice_for};
use crate::sys::DiskError;
use crate::sys::lock::LockError;

/// The file of a folder backup that says what is in it. It is written last.
pub const RECORD_FILE: &str = "outrigger-backup.record";
/// What an archive's name ends in.
pub const ARCHIVE_SUFFIX: &str = ".oar";

/// Is told what is being done, and how many bytes of how many are.
pub type Progress<'a> = dyn Fn(&'static str, u64, u64) + 'a;

/// How a backup lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A data folder.
    Folder,
    /// One file of LZ4 frames.
    Archive,
}

/// Why there is no backup, or none that is good.
#[derive(Debug, Error)]
pub enum BackupError {
    /// There is nothing to back up, or it cannot be told what.
    #[error("{0}")]
    Nothing(ToolError),
    /// The files to be backed up, or the copy of them, are damaged.
    #[error("{0}")]
    Source(RecoveryError),
    /// The manifest named other files each time that it was looked at.
    #[error("the files of {} changed at every look; try again", .0.display())]
    Moving(PathBuf),
    /// The disk failed.
    #[error("{error}{}", if .error.is_full() { ". Nothing was published; make room, then try again" } else { "" })]
    Disk {
        /// How.
        error: DiskError,
    },
    /// The disk has too little room.
    #[error(
        "{} has {available} bytes free, and {needed} are needed (a backup is unpacked and loaded before it is published). \
         Nothing was published; make room, or name another folder",
        folder.display()
    )]
    NoRoom {
        /// The folder.
        folder: PathBuf,
        /// What is needed.
        needed: u64,
        /// What is there.
        available: u64,
    },
    /// An archive could not be unpacked for a restore.
    #[error("the archive cannot be unpacked in {}: {reason}. Name a folder with more room with --work", folder.display())]
    Unpacking {
        /// Where.
        folder: PathBuf,
        /// Why.
        reason: String,
    },
    /// Another one is at work.
    #[error("{0}: another backup or check is at work there")]
    Locked(LockError),
    /// The lock could not be had for another reason.
    #[error("{0}")]
    Lock(LockError),
    /// An archive or a record is damaged.
    #[error("{}: {error}", path.display())]
    Archive {
        /// Which.
        path: PathBuf,
        /// How.
        error: ArchiveError,
    },
    /// A file of a folder is not there, or not as long as it was.
    #[error("{} is not the file that the backup's record names: {what}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// It loads, and holds other data than the record says.
    #[error("{} loads, but holds other data than its record says: {wanted}, and found {found}", path.display())]
    Differs {
        /// Which.
        path: PathBuf,
        /// What the record says.
        wanted: String,
        /// What was loaded.
        found: String,
    },
    /// There is no backup of that name.
    #[error("{} holds no backup {name}; `--list` shows what is there", folder.display())]
    NoSuch {
        /// The folder.
        folder: PathBuf,
        /// The name.
        name: String,
    },
    /// There is one of that name.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// A name that cannot be a file's.
    #[error("{0:?} cannot be the name of a backup")]
    Name(String),
}

impl From<DiskError> for BackupError {
    fn from(error: DiskError) -> Self {
        BackupError::Disk { error }
    }
}

impl From<RecoveryError> for BackupError {
    fn from(error: RecoveryError) -> Self {
        error.into_disk().map_or_else(BackupError::Source, BackupError::from)
    }
}

impl From<LockError> for BackupError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held { .. } => BackupError::Locked(error),
            LockError::Io { .. } => BackupError::Lock(error),
        }
    }
}

impl BackupError {
    /// Whether it is about damage in files, rather than about the call or the disk.
    pub fn is_damage(&self) -> bool {
        match self {
            BackupError::Nothing(error) => error.is_damage(),
            BackupError::Source(_)
            | BackupError::Archive { .. }
            | BackupError::File { .. }
            | BackupError::Differs { .. } => true,
            _ => false,
        }
    }

    /// What to do next; empty where the text says it.
    pub fn advice(&self) -> &'static str {
        match self {
            BackupError::Nothing(error) => error.advice(),
            // The text says what to do about a full one.
            BackupError::Disk { error } if !error.is_full() => advice_for(error),
            BackupError::Lock(LockError::Io { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                NOT_WRITABLE
            }
            BackupError::Lock(LockError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                "see whether the path is right"
            }
            _ => "",
        }
    }
}

/// A data set in some words.
fn said(found: &Fingerprint) -> String {
    format!("{} keys, digest {}", found.keys, found.digest)
}
