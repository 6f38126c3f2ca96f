//! What the rest of the program may ask of a disk.
//!
//! The vocabulary is small on purpose. Files are appended to, written whole, renamed, linked and removed;
//! nothing is ever truncated or overwritten, so no history can be damaged by a repair.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::mapped::MappedFile;

/// The prefix of every file that is still being written whole. One left behind belongs to a writer that
/// died; [`sweep_temporaries`] removes it.
pub const TEMPORARY_PREFIX: &str = ".outrigger-tmp-";

/// What was being asked of the disk when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Making a new file.
    Create,
    /// Opening an existing file.
    Open,
    /// Reading or mapping.
    Read,
    /// Appending.
    Write,
    /// Making a file's bytes durable.
    Sync,
    /// Making a folder's names durable.
    SyncDir,
    /// Giving a file another name.
    Rename,
    /// Giving a file a second name.
    Link,
    /// Removing a name.
    Remove,
    /// Reading a folder.
    List,
    /// Making a folder.
    CreateDir,
    /// Asking for a length or for free space.
    Stat,
}

impl fmt::Display for DiskOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DiskOp::Create => "create",
            DiskOp::Open => "open",
            DiskOp::Read => "read",
            DiskOp::Write => "write",
            DiskOp::Sync => "fsync",
            DiskOp::SyncDir => "fsync of folder",
            DiskOp::Rename => "rename",
            DiskOp::Link => "link",
            DiskOp::Remove => "remove",
            DiskOp::List => "list",
            DiskOp::CreateDir => "create folder",
            DiskOp::Stat => "stat",
        })
    }
}

/// A disk operation that failed: which, on what, and why.
#[derive(Debug, Error)]
#[error("{op} {}: {source}", path.display())]
pub struct DiskError {
    /// The operation.
    pub op: DiskOp,
    /// The file or folder it was about.
    pub path: PathBuf,
    /// The system's reason.
    #[source]
    pub source: io::Error,
}

/// Why a file that failed once refuses everything after: its tail is unknown.
#[derive(Clone, Copy, Debug, Error)]
#[error("an earlier write or fsync of this file failed, so its tail cannot be trusted; start a new file")]
pub struct Poisoned;

impl DiskError {
    /// Names the operation and the path of a system error.
    pub fn new(op: DiskOp, path: impl Into<PathBuf>, source: io::Error) -> Self {
        DiskError { op, path: path.into(), source }
    }

    /// True if the disk or the quota is full, which heals without anybody's repair.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// True if the file or folder is not there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// True if a file of that name was there already.
    pub fn is_already_there(&self) -> bool {
        self.source.kind() == io::ErrorKind::AlreadyExists
    }

    /// True if this refusal is due to an earlier failure on the same file.
    pub fn is_poisoned(&self) -> bool {
        self.source.get_ref().is_some_and(|inner| inner.is::<Poisoned>())
    }
}

/// What a name in a folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A plain file.
    File,
    /// A folder.
    Dir,
    /// Anything else: a link, a socket, a device.
    Other,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// The name without the folder.
    pub name: OsString,
    /// Length in bytes; 0 for what is not a file.
    pub len: u64,
    /// What it is.
    pub kind: EntryKind,
}

/// A disk. [`super::RealDisk`] is the real one; [`super::fault::FaultDisk`] fails on demand.
///
/// Paths are taken as they are. Every method may block for as long as the device does.
pub trait Disk: Send + Sync {
    /// Makes a file that must not exist and opens it for appending. When this returns, the name is durable:
    /// the folder has been fsynced. On failure after the file was made, the empty file may remain.
    fn create_new(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError>;

    /// Opens an existing file for appending at its end. What it already holds is fsynced first, so that
    /// [`DiskFile::durable_len`] starts at its length: bytes read back after a crash may live in the page cache alone.
    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError>;

    /// Maps a *sealed* file: one that no process will write to, shrink or replace in place again. See [`MappedFile`].
    fn read_sealed(&self, path: &Path) -> Result<MappedFile, DiskError>;

    /// Opens a file for reads at offsets. Unlike a map, this is safe on a log that still grows.
    fn open_read(&self, path: &Path) -> Result<Box<dyn DiskRead>, DiskError>;

    /// The names in a folder, sorted.
    fn list_dir(&self, path: &Path) -> Result<Vec<FileEntry>, DiskError>;

    /// Makes a folder and those above it, durably. A folder that exists is no error.
    fn create_dir_all(&self, path: &Path) -> Result<(), DiskError>;

    /// Writes a file whole and atomically: `fill` writes to a temporary file in the same folder, which is then
    /// fsynced and renamed over `path`, and the folder fsynced. Returns the length in bytes.
    ///
    /// On failure the old file at `path` is still whole, except when only the last step, the fsync of the
    /// folder ([`DiskOp::SyncDir`]), failed: then the new file is in place, but a power cut may bring the old
    /// one back. An error from `fill` comes back as the `source` of a [`DiskOp::Write`].
    fn write_whole(
        &self,
        path: &Path,
        fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<u64, DiskError>;

    /// Renames a file, replacing what is at `to`, and fsyncs both folders. The bytes must have been synced before.
    fn rename_durable(&self, from: &Path, to: &Path) -> Result<(), DiskError>;

    /// Gives a file a second name, durably. `to` must not exist.
    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), DiskError>;

    /// Removes a file's name. Not durable until [`Disk::sync_dir`]: a crash may bring the file back.
    fn remove_file(&self, path: &Path) -> Result<(), DiskError>;

    /// Removes an empty folder. Not durable until [`Disk::sync_dir`] of its parent.
    fn remove_dir(&self, path: &Path) -> Result<(), DiskError>;

    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> Result<(), DiskError>;

    /// The length of a file in bytes, or `None` if there is no such file.
    fn file_len(&self, path: &Path) -> Result<Option<u64>, DiskError>;

    /// Bytes that an unprivileged process may still write to the file system that holds `path`.
    fn available_bytes(&self, path: &Path) -> Result<u64, DiskError>;
}

/// A file that is being appended to.
///
/// After a failed write or fsync the file is *poisoned*: every later write and fsync, through this handle or
/// its [`SyncHandle`]s, is refused with [`DiskError::is_poisoned`]. The kernel may have dropped the dirty pages
/// and would call a second fsync a success, so nothing good can come of a retry; the caller begins a new file.
pub trait DiskFile: Send {
    /// Appends all of `bytes`, through as many short writes as the system makes of it.
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), DiskError>;

    /// Makes durable what has been written so far. Returns that length in bytes.
    fn sync_data(&mut self) -> Result<u64, DiskError>;

    /// A handle through which another thread can fsync while this one goes on appending.
    fn sync_handle(&self) -> Arc<dyn SyncHandle>;

    /// Bytes in the file, those in a failed write's torn tail not counted.
    fn len(&self) -> u64;

    /// True if nothing was written yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length up to which an fsync has succeeded.
    fn durable_len(&self) -> u64;

    /// Where the file was opened. A later rename is not followed.
    fn path(&self) -> &Path;
}

/// The fsync half of a [`DiskFile`], for a thread of its own.
pub trait SyncHandle: Send + Sync {
    /// Makes durable what was written before the call. Returns that length in bytes.
    fn sync_data(&self) -> Result<u64, DiskError>;

    /// The length up to which an fsync has succeeded.
    fn durable_len(&self) -> u64;
}

/// A file open for reads at offsets.
pub trait DiskRead: Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset`; fewer only at the end of the file.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError>;

    /// The length in bytes now.
    fn len(&self) -> Result<u64, DiskError>;

    /// True if the file holds nothing now.
    fn is_empty(&self) -> Result<bool, DiskError> {
        Ok(self.len()? == 0)
    }
}

/// Removes the temporary files that dead writers left in `folder`; returns how many. Call it only while no
/// writer is at work there, that is after taking the [`super::lock::FolderLock`].
pub fn sweep_temporaries(disk: &dyn Disk, folder: &Path) -> Result<usize, DiskError> {
    let mut removed = 0;
    for entry in disk.list_dir(folder)? {
        let temporary = entry.name.as_encoded_bytes().starts_with(TEMPORARY_PREFIX.as_bytes());
        if temporary && entry.kind == EntryKind::File {
            disk.remove_file(&folder.join(&entry.name))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes a folder of ours with what is in it; one that is not there is no error. Links are not followed.
pub fn remove_tree(disk: &dyn Disk, folder: &Path) -> Result<(), DiskError> {
    let entries = match disk.list_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = folder.join(&entry.name);
        match entry.kind {
            EntryKind::Dir => remove_tree(disk, &path)?,
            EntryKind::File | EntryKind::Other => disk.remove_file(&path)?,
        }
    }
    disk.remove_dir(folder)
}

/// The folder of this path, or else the first one above it that is there: where something can be made for it.
///
/// # Errors
/// There is no present folder to begin at.
pub fn nearest_folder(path: &Path) -> Result<PathBuf, DiskError> {
    let whole = std::path::absolute(path).map_err(|error| DiskError::new(DiskOp::Open, path, error))?;
    let near = whole.ancestors().find(|folder| folder.is_dir());
    Ok(near.unwrap_or(Path::new("/")).to_owned())
}

/// Whether anything has this name, were it a link that leads nowhere.
pub fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The folder that holds `path`; `.` for a bare name.
pub(super) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}
