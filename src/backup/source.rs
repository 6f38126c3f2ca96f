//! A backup as what a restore reads from.

use std::path::{Path, PathBuf};

use super::pack::{read_index, unpack};
use super::{BackupError, Progress};
use crate::base::crc::crc64;
use crate::format::archive::check_head;
use crate::persistence::toolbox::APPEND_FOLDER;
use crate::sys::scratch::{Scratch, ScratchError};
use crate::sys::{Disk, RealDisk, nearest_folder};

/// What a folder for unpacking is called. Others than the temporary ones, which a backup sweeps.
const PREFIX: &str = ".outrigger-unpacked-";

/// A folder of append-only files, which may be unpacked for as long as this lives.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    unpacked: Option<Scratch>,
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
/// held against its checksum. Its name tells the archive, so that no two unpack the same one there at once. Anything else is used as it
/// lies there: a backup in a folder is a data folder.
pub fn open(path: &Path, near: &Path, progress: &Progress<'_>) -> Result<Source, BackupError> {
    if !is_archive(path) {
        return Ok(Source { path: path.to_owned(), unpacked: None });
    }
    let record = read_index(&RealDisk, path)?;
    let near = nearest_folder(near)?;
    let refused = |reason: String| BackupError::Unpacking { folder: near.clone(), reason };
    let here = |error| match error {
        BackupError::NoRoom { needed, available, .. } => {
            refused(format!("{needed} bytes are needed, and it has {available} free"))
        }
        BackupError::Disk { error } => refused(error.to_string()),
        other => other,
    };
    let tag = format!("{:016x}", crc64(0, &record.print()));
    let unpacked = Scratch::begin(&near, PREFIX, &tag).map_err(|error| match error {
        ScratchError::Disk(error) => refused(error.to_string()),
        ScratchError::Busy(error) => refused(format!("another call unpacks the same archive there: {error}")),
    })?;
    unpack(&RealDisk, path, &record.files, &unpacked.path().join(APPEND_FOLDER), progress).map_err(here)?;
    Ok(Source { path: unpacked.path().to_owned(), unpacked: Some(unpacked) })
}

/// Does the file begin as an archive, or is it called one?
fn is_archive(path: &Path) -> bool {
    let named = path.extension().is_some_and(|suffix| suffix == "oar");
    let Ok(Some(_)) = RealDisk.file_len(path) else { return false };
    let mut head = [0; crate::format::archive::HEAD.len()];
    let read = RealDisk.open_read(path).and_then(|reader| reader.read_at(0, &mut head));
    named || read.is_ok_and(|read| check_head(head.get(..read).unwrap_or_default()).is_ok())
}
