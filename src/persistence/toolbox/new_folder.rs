//! A new data folder that has its name only once it is whole and proven.

use std::path::{Path, PathBuf};

use super::{APPEND_FOLDER, Located, ToolError, locate};
use crate::base::crc::crc64;
use crate::persistence::offline::OfflineError;
use crate::sys::scratch::{Scratch, ScratchError};
use crate::sys::{Disk, DiskError, DiskOp, EntryKind, RealDisk, is_there, nearest_folder};

/// What a folder is called in which a new data folder is made ready: beside it, or in it if it is there already.
pub const UNFINISHED_PREFIX: &str = ".outrigger-restoring-";
/// The new data folder in there.
const DATA: &str = "data";

/// A new data folder under way. What was made goes if it is not published; what a killed run has left goes with the next one.
#[derive(Debug)]
pub struct NewFolder {
    into: PathBuf,
    scratch: Scratch,
}

impl NewFolder {
    /// Looks at the place where the new folder is to be, before anybody reads what goes into it. `from` is what will be read.
    ///
    /// # Errors
    /// There are append-only files in it, it lies in the folder that is read, it cannot be made or written to, or another run is at
    /// work for it.
    pub fn prepare(from: &Path, into: &Path) -> Result<NewFolder, ToolError> {
        let folder = into.join(APPEND_FOLDER);
        if is_there(&folder) {
            return Err(OfflineError::TargetExists(folder).into());
        }
        let into = std::path::absolute(into).map_err(|error| DiskError::new(DiskOp::Open, into, error))?;
        // What is wrong with the source is told by whoever reads it.
        if let Ok(Located::Folder(names)) = locate(from)
            && into.starts_with(names.folder())
        {
            return Err(OfflineError::InSource(into).into());
        }
        let near = nearest_folder(&into)?;
        refuse_files(&near, &into)?;
        let tag = format!("{:016x}", crc64(0, into.as_os_str().as_encoded_bytes()));
        let scratch = Scratch::begin(&near, UNFINISHED_PREFIX, &tag).map_err(|error| match error {
            // Nobody asked for that folder; it stands for the new one.
            ScratchError::Disk(error) => DiskError::new(error.op, &into, error.source).into(),
            ScratchError::Busy(held) => {
                let reason = format!("another call makes a folder of this name: {held}");
                ToolError::Path { path: into.clone(), reason }
            }
        })?;
        Ok(NewFolder { into, scratch })
    }

    /// Where it is made ready.
    pub(super) fn data(&self) -> PathBuf {
        self.scratch.path().join(DATA)
    }

    /// Gives what was made ready its name, by one rename, durably.
    pub(super) fn publish(self) -> Result<(), ToolError> {
        let data = self.data();
        let has_folder = nearest_folder(&self.into)? == self.into;
        let (from, to) = match has_folder {
            true => (data.join(APPEND_FOLDER), self.into.join(APPEND_FOLDER)),
            false => {
                RealDisk.create_dir_all(self.into.parent().unwrap_or(Path::new("/")))?;
                (data, self.into.clone())
            }
        };
        RealDisk.rename_durable(&from, &to).map_err(|error| match error.source.kind() {
            // Somebody else was quicker.
            std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::NotADirectory => {
                OfflineError::TargetExists(to).into()
            }
            _ => ToolError::Disk(error),
        })
    }
}

/// Refuses a path in which something stands where a folder would have to be made, below the folder `near`.
fn refuse_files(near: &Path, into: &Path) -> Result<(), DiskError> {
    let missing = into.strip_prefix(near).ok().and_then(|rest| rest.components().next());
    match missing.map(|name| near.join(name)).filter(|first| is_there(first)) {
        Some(file) => {
            let there = std::io::ErrorKind::AlreadyExists.into();
            Err(DiskError::new(DiskOp::CreateDir, file, there))
        }
        None => Ok(()),
    }
}

/// A folder in a data folder in which a restore was at work, and is not any more, or still is.
pub fn unfinished(disk: &dyn Disk, dir: &Path) -> Result<Option<PathBuf>, DiskError> {
    let entries = match disk.list_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let is_one = |entry: &&crate::sys::FileEntry| {
        entry.kind == EntryKind::Dir
            && entry.name.as_encoded_bytes().starts_with(UNFINISHED_PREFIX.as_bytes())
    };
    Ok(entries.iter().find(is_one).map(|entry| dir.join(&entry.name)))
}
