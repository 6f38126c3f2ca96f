//! A backup as what a restore reads from.

use std::path::{Path, PathBuf};

use super::pack::{read_index, unpack};
use super::shelf::remove_tree;
use super::{BackupError, Progress};
use crate::base::crc::crc64;
use crate::format::archive::{Record, check_head};
use crate::persistence::toolbox::APPEND_FOLDER;
use crate::sys::lock::FolderLock;
use crate::sys::{Disk, DiskError, DiskOp, RealDisk};

/// What a folder for unpacking is called. Others than the temporary ones, which a backup sweeps.
const PREFIX: &str = ".outrigger-unpacked-";

/// A folder of append-only files, which may be unpacked for as long as this lives.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    unpacked: Option<Unpacked>,
}

impl Source {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Was it unpacked for this?
    pub fn is_unpacked(&self) -> bool {
        self.unpacked.is_some()
    }
}

/// A folder that an archive is unpacked into; removed at the end. Its name tells the archive, so that the next call with that finds
/// what a killed one left, and nobody takes it away from one that is at work.
#[derive(Debug)]
struct Unpacked {
    home: PathBuf,
    _lock: FolderLock,
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = remove_tree(&RealDisk, &self.home);
    }
}

impl Unpacked {
    /// Makes the folder, or empties that of a call that was killed.
    fn begin(near: &Path, record: &Record) -> Result<Unpacked, BackupError> {
        let name = format!("{PREFIX}{:016x}", crc64(0, &record.print()));
        let home = near.join(name);
        RealDisk.create_dir_all(&home)?;
        let unpacked = Unpacked { _lock: FolderLock::acquire(&home)?, home };
        remove_tree(&RealDisk, &unpacked.home.join(APPEND_FOLDER))?;
        Ok(unpacked)
    }
}

/// An archive is unpacked into a temporary folder in `near` (or the first folder above it that is there), block by block, and each file
/// held against its checksum. Anything else is used as it lies there: a backup in a folder is a data folder.
pub fn open(path: &Path, near: &Path, progress: &Progress<'_>) -> Result<Source, BackupError> {
    if !is_archive(path) {
        return Ok(Source { path: path.to_owned(), unpacked: None });
    }
    let record = read_index(&RealDisk, path)?;
    let near = std::path::absolute(near).map_err(|error| DiskError::new(DiskOp::Open, near, error))?;
    let near = near.ancestors().find(|folder| RealDisk.list_dir(folder).is_ok()).unwrap_or(Path::new("."));
    let here = |error| match error {
        BackupError::NoRoom { needed, available, .. } => {
            let reason = format!("{needed} bytes are needed, and it has {available} free");
            BackupError::Unpacking { folder: near.to_owned(), reason }
        }
        BackupError::Disk { error } => {
            BackupError::Unpacking { folder: near.to_owned(), reason: error.to_string() }
        }
        BackupError::Lock(error) => {
            BackupError::Unpacking { folder: near.to_owned(), reason: error.to_string() }
        }
        BackupError::Locked(error) => {
            let reason = format!("another call unpacks the same archive there: {error}");
            BackupError::Unpacking { folder: near.to_owned(), reason }
        }
        other => other,
    };
    let unpacked = Unpacked::begin(near, &record).map_err(here)?;
    unpack(&RealDisk, path, &record.files, &unpacked.home.join(APPEND_FOLDER), progress).map_err(here)?;
    Ok(Source { path: unpacked.home.clone(), unpacked: Some(unpacked) })
}

/// Does the file begin as an archive, or is it called one?
fn is_archive(path: &Path) -> bool {
    let named = path.extension().is_some_and(|suffix| suffix == "oar");
    let Ok(Some(_)) = RealDisk.file_len(path) else { return false };
    let mut head = [0; crate::format::archive::HEAD.len()];
    let read = RealDisk.open_read(path).and_then(|reader| reader.read_at(0, &mut head));
    named || read.is_ok_and(|read| check_head(head.get(..read).unwrap_or_default()).is_ok())
}
