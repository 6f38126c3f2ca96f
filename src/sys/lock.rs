//! One server a data folder.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use thiserror::Error;

/// The name of the lock file in a data folder.
pub const LOCK_FILE: &str = "outrigger.lock";
/// How long a lock whose holder is dead is waited for.
const DEAD_HOLDER_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried meanwhile.
const DEAD_HOLDER_LOOK: Duration = Duration::from_millis(10);
/// No process id is longer than this.
const PID_TEXT_BYTES: u64 = 20;

/// Why a folder could not be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process, or another lock in this one, holds it.
    #[error("{} is in use by {}", folder.display(), holder(*pid))]
    Held {
        /// The data folder.
        folder: PathBuf,
        /// The process that holds it, if it has written its id.
        pid: Option<u32>,
    },
    /// The lock file could not be made, locked or written.
    #[error("cannot lock {}: {source}", folder.display())]
    Io {
        /// The data folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// The exclusive right to a data folder (`flock`), until dropped or until the process ends, however it ends.
///
/// The file stays: removing it would let two processes lock two files of the same name. A fork child shares the
/// lock while it keeps the descriptor open; [`super::fork`] closes it by default.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
    path: PathBuf,
}

impl FolderLock {
    /// Takes the folder, or says who has it. Waits only where the process that had it is dead: a child that it had just forked
    /// shares the lock until it has closed its copy, or has been ended in its turn.
    pub fn acquire(folder: &Path) -> Result<FolderLock, LockError> {
        let fail = |source| LockError::Io { folder: folder.to_owned(), source };
        let path = folder.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fail)?;
        let until = Instant::now() + DEAD_HOLDER_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(fail(source)),
                Err(TryLockError::WouldBlock) => {
                    let pid = read_pid(&mut file).map_err(fail)?;
                    if !pid.is_some_and(is_dead) || Instant::now() >= until {
                        return Err(LockError::Held { folder: folder.to_owned(), pid });
                    }
                    std::thread::sleep(DEAD_HOLDER_LOOK);
                }
            }
        }
        write_pid(&mut file).map_err(fail)?;
        Ok(FolderLock { file, path })
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file that is locked is the one of that name: false if it was removed, or its folder was, between being
    /// opened and being locked. Then it excludes nobody.
    pub fn is_in_place(&self) -> bool {
        let of = |found: Metadata| (found.dev(), found.ino());
        let named = std::fs::symlink_metadata(&self.path).map(of);
        matches!((self.file.metadata().map(of), named), (Ok(held), Ok(named)) if held == named)
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing would not do if a fork child were about to close its copy of the descriptor.
        let _ = self.file.unlock();
    }
}

fn read_pid(file: &mut File) -> io::Result<Option<u32>> {
    file.rewind()?;
    let mut text = Vec::new();
    file.take(PID_TEXT_BYTES).read_to_end(&mut text)?;
    Ok(std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()))
}

/// Is there no such process any more?
fn is_dead(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| pid > 0 && kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fork::{ForkOptions, ForkOutcome, fork_child};

    #[test]
    fn the_second_is_told_who_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = FolderLock::acquire(dir.path()).unwrap();
        assert!(first.path().ends_with(LOCK_FILE));
        let refused = FolderLock::acquire(dir.path()).unwrap_err();
        let me = std::process::id();
        assert!(matches!(&refused, LockError::Held { pid: Some(pid), .. } if *pid == me), "{refused}");
        assert!(refused.to_string().ends_with(&format!("is in use by process {me}")), "{refused}");
        drop(first);
        FolderLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn another_process_is_kept_out_and_a_dead_ones_lock_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let lock = FolderLock::acquire(dir.path()).unwrap();
        let attempt = |pipe: &mut crate::sys::fork::ChildPipe| match FolderLock::acquire(dir.path()) {
            Ok(lock) => {
                // As in a crash: the lock is not dropped, the process just ends.
                std::mem::forget(lock);
                pipe.done(1, 0, 0)
            }
            Err(LockError::Held { pid, .. }) => pipe.done(0, 0, u64::from(pid.unwrap_or(0))),
            Err(e) => pipe.fail(&e),
        };
        let options = ForkOptions::default();
        let mut child = fork_child("t-lock", &options, attempt).unwrap();
        let held = child.wait(std::time::Duration::from_secs(10));
        let me = u64::from(std::process::id());
        assert!(matches!(held, Some(ForkOutcome::Done { check, .. }) if check == me), "{held:?}");
        drop(lock);
        let mut child = fork_child("t-lock", &options, attempt).unwrap();
        let taken = child.wait(std::time::Duration::from_secs(10));
        assert!(
            matches!(taken, Some(ForkOutcome::Done { progress, .. }) if progress.keys_done == 1),
            "{taken:?}"
        );
        FolderLock::acquire(dir.path()).unwrap();
    }

    /// A child that the dead process had just forked has its copy of the lock for a moment longer.
    #[test]
    fn the_lock_of_a_dead_process_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        let pid = dead.id();
        dead.wait().unwrap();
        let mut copy = File::create(dir.path().join(LOCK_FILE)).unwrap();
        copy.try_lock().unwrap();
        writeln!(copy, "{pid}").unwrap();
        let child = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(copy);
        });
        FolderLock::acquire(dir.path()).unwrap();
        child.join().unwrap();
    }

    #[test]
    fn a_missing_folder_is_an_error_of_its_own() {
        let refused = FolderLock::acquire(Path::new("/nonexistent/folder")).unwrap_err();
        assert!(matches!(refused, LockError::Io { .. }));
    }
}
