//! A folder that one run of a tool works in, and that is gone afterwards; also what runs left that were killed.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::disk::{DiskError, DiskOp, EntryKind, remove_tree};
use super::lock::{FolderLock, LOCK_FILE, LockError};
use super::{Disk, RealDisk};

/// What a folder is called that is being swept. Behind the prefix, so that a sweep that is killed is gone on with.
const GONE: &str = "gone-";
/// How long somebody else's lock is waited for: a sweep holds one for a moment, and so does a run that ends.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is tried meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Why there is no such folder.
#[derive(Debug, Error)]
pub enum ScratchError {
    /// The disk does not let it be made.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another run is at work in it.
    #[error(transparent)]
    Busy(LockError),
}

/// The folder. Only its maker may look into it; it goes when this does.
#[derive(Debug)]
pub struct Scratch {
    home: PathBuf,
    _lock: FolderLock,
}

impl Scratch {
    /// Makes the folder `prefix` + `tag` in `near`, or empties that of a run that was killed. Those of other killed runs beside it
    /// are removed; what a living one holds stays.
    ///
    /// # Errors
    /// It cannot be made or locked, or another run has the one of this name.
    pub fn begin(near: &Path, prefix: &str, tag: &str) -> Result<Scratch, ScratchError> {
        let home = near.join(format!("{prefix}{tag}"));
        let lock = take(&home)?;
        let scratch = Scratch { home, _lock: lock };
        empty(&scratch.home)?;
        sweep(near, prefix, &scratch.home);
        Ok(scratch)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.home
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next.
        let _ = remove(&self.home);
    }
}

/// Removes all but the lock.
fn empty(home: &Path) -> Result<(), DiskError> {
    for entry in RealDisk.list_dir(home)?.iter().filter(|entry| entry.name != LOCK_FILE) {
        let path = home.join(&entry.name);
        match entry.kind {
            EntryKind::Dir => remove_tree(&RealDisk, &path)?,
            EntryKind::File | EntryKind::Other => RealDisk.remove_file(&path)?,
        }
    }
    Ok(())
}

/// Removes a folder whose lock is held. The lock goes last: once it is gone somebody else may be at work there.
fn remove(home: &Path) -> Result<(), DiskError> {
    empty(home)?;
    remove_tree(&RealDisk, home)
}

/// Makes the folder and takes its lock, however often it is swept meanwhile.
fn take(home: &Path) -> Result<FolderLock, ScratchError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match DirBuilder::new().mode(0o700).create(home) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(DiskError::new(DiskOp::CreateDir, home, error).into());
            }
            _ => {}
        }
        match is_ours(home) {
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(DiskError::new(DiskOp::Stat, home, error).into()),
            Ok(false) => {
                let error = io::Error::new(io::ErrorKind::PermissionDenied, "another user has made it");
                return Err(DiskError::new(DiskOp::Open, home, error).into());
            }
        }
        match FolderLock::acquire(home) {
            Ok(lock) if lock.is_in_place() => return Ok(lock),
            Ok(_) => {}
            Err(LockError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(LockError::Io { source, .. }) => {
                return Err(DiskError::new(DiskOp::Create, home.join(LOCK_FILE), source).into());
            }
            Err(held) if Instant::now() >= until => return Err(ScratchError::Busy(held)),
            Err(_) => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Whether a folder (no link to one) belongs to this user. Anybody may make one of a name that begins so where all may write.
fn is_ours(folder: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(folder)?;
    Ok(found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw())
}

/// Removes the folders in `near` that are called so and that nobody holds, but for `own`. What cannot be removed stays: that is no
/// reason not to go on.
fn sweep(near: &Path, prefix: &str, own: &Path) {
    for entry in RealDisk.list_dir(near).into_iter().flatten() {
        let path = near.join(&entry.name);
        let is_one = entry.name.as_encoded_bytes().starts_with(prefix.as_bytes());
        if !is_one || entry.kind != EntryKind::Dir || path == own || !is_ours(&path).unwrap_or(false) {
            continue;
        }
        let Ok(lock) = FolderLock::acquire(&path) else { continue };
        // It loses its name first. Whoever wants one of that name makes it anew, and need not wait until all is removed.
        let gone = near.join(format!("{prefix}{GONE}{}", std::process::id()));
        let gone = if lock.is_in_place() && fs::rename(&path, &gone).is_ok() { gone } else { path };
        let _ = remove(&gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = ".outrigger-test-";

    fn names(folder: &Path) -> Vec<String> {
        let entries = RealDisk.list_dir(folder).unwrap();
        entries.into_iter().map(|entry| entry.name.into_string().unwrap()).collect()
    }

    /// A folder as a killed run leaves it.
    fn left(near: &Path, tag: &str) {
        let scratch = Scratch::begin(near, PREFIX, tag).unwrap();
        fs::create_dir(scratch.path().join("deep")).unwrap();
        fs::write(scratch.path().join("deep/file"), "x").unwrap();
        let Scratch { home, _lock } = &scratch;
        let copy = near.join("copy");
        fs::rename(home, &copy).unwrap();
        let home = home.clone();
        drop(scratch);
        fs::rename(copy, home).unwrap();
    }

    #[test]
    fn it_goes_with_its_run_and_a_killed_ones_is_emptied_or_swept() {
        let near = tempfile::tempdir().unwrap();
        left(near.path(), "a");
        left(near.path(), "b");
        // Neither is a folder of that name that is no scratch of ours a reason to fail, nor what only looks like one.
        fs::write(near.path().join(format!("{PREFIX}file")), "x").unwrap();
        std::os::unix::fs::symlink("/", near.path().join(format!("{PREFIX}link"))).unwrap();
        assert_eq!(names(near.path()).len(), 3, "the second has swept the first");
        left(near.path(), "a");
        let scratch = Scratch::begin(near.path(), PREFIX, "a").unwrap();
        assert_eq!(names(scratch.path()), [LOCK_FILE], "emptied");
        let kept = ["a", "file", "link"].map(|name| format!("{PREFIX}{name}"));
        assert_eq!(names(near.path()), kept);
        drop(scratch);
        assert_eq!(names(near.path()), kept[1..]);
        assert!(Path::new("/").is_dir());
    }

    #[test]
    fn what_somebody_is_at_work_in_stays() {
        let near = tempfile::tempdir().unwrap();
        let first = Scratch::begin(near.path(), PREFIX, "a").unwrap();
        fs::write(first.path().join("file"), "x").unwrap();
        let second = Scratch::begin(near.path(), PREFIX, "b").unwrap();
        assert_eq!(names(first.path()), ["file", LOCK_FILE]);
        let refused = Scratch::begin(near.path(), PREFIX, "a");
        assert!(matches!(refused, Err(ScratchError::Busy(LockError::Held { .. }))), "{refused:?}");
        assert_eq!(names(first.path()), ["file", LOCK_FILE]);
        drop((first, second));
        assert!(names(near.path()).is_empty());
    }

    /// Makers of the same name and sweepers at once: each has it for itself, and no one fails but by somebody who holds it.
    #[test]
    fn many_at_once_exclude_each_other() {
        let near = tempfile::tempdir().unwrap();
        let near = near.path();
        std::thread::scope(|scope| {
            for hand in 0..6 {
                scope.spawn(move || {
                    for turn in 0..40 {
                        let tag = ["a", "b", "c"][(hand + turn) % 3];
                        match Scratch::begin(near, PREFIX, tag) {
                            Ok(scratch) => {
                                let mine = scratch.path().join("mine");
                                assert!(!mine.exists());
                                fs::write(&mine, [hand as u8]).unwrap();
                                assert_eq!(fs::read(&mine).unwrap(), [hand as u8]);
                            }
                            Err(ScratchError::Busy(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
        let left: Vec<String> = names(near);
        assert!(left.is_empty(), "{left:?}");
    }
}
