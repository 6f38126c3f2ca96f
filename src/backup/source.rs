//! A backup as what a restore reads from.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::pack::{read_index, unpack};
use super::{BackupError, Progress};
use crate::format::archive::check_head;
use crate::persistence::toolbox::APPEND_FOLDER;
use crate::sys::{Disk, DiskError, DiskOp, RealDisk};

/// What a folder for unpacking is called. Others than the temporary ones, which a backup sweeps.
const PREFIX: &str = ".outrigger-unpacked-";

/// A folder of append-only files, which may be unpacked for as long as this lives.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    unpacked: Option<TempDir>,
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

/// An archive is unpacked into a temporary folder in `near` (or the first folder above it that is there), block by block, and each file
/// held against its checksum. Anything else is used as it lies there: a backup in a folder is a data folder.
pub fn open(path: &Path, near: &Path, progress: &Progress<'_>) -> Result<Source, BackupError> {
    if !is_archive(path) {
        return Ok(Source { path: path.to_owned(), unpacked: None });
    }
    let record = read_index(&RealDisk, path)?;
    let near = std::path::absolute(near).map_err(|error| DiskError::new(DiskOp::Open, near, error))?;
    let near = near.ancestors().find(|folder| RealDisk.list_dir(folder).is_ok()).unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(near);
    let home = made.map_err(|error| DiskError::new(DiskOp::CreateDir, near, error))?;
    unpack(&RealDisk, path, &record.files, &home.path().join(APPEND_FOLDER), progress)?;
    Ok(Source { path: home.path().to_owned(), unpacked: Some(home) })
}

/// Does the file begin as an archive, or is it called one?
fn is_archive(path: &Path) -> bool {
    let named = path.extension().is_some_and(|suffix| suffix == "oar");
    let Ok(Some(_)) = RealDisk.file_len(path) else { return false };
    let mut head = [0; crate::format::archive::HEAD.len()];
    let read = RealDisk.open_read(path).and_then(|reader| reader.read_at(0, &mut head));
    named || read.is_ok_and(|read| check_head(head.get(..read).unwrap_or_default()).is_ok())
}
