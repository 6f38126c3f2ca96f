//! The append loop and the poison rule, shared by the real and the failing disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::disk::{DiskError, DiskFile, DiskOp, Poisoned, SyncHandle};

/// The two system calls that a file in append mode needs.
pub(super) trait RawFile: Send + Sync {
    /// Appends some of `bytes`; may be short, may be interrupted.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Makes all that was written before the call durable.
    fn sync_data(&self) -> io::Result<()>;
}

/// State that the appending thread and the fsyncing threads share.
struct Shared<R> {
    raw: R,
    path: PathBuf,
    len: AtomicU64,
    durable: AtomicU64,
    poisoned: AtomicBool,
}

/// A file in append mode over any [`RawFile`].
pub(super) struct Appender<R>(Arc<Shared<R>>);

impl<R: RawFile> Shared<R> {
    fn guard(&self, op: DiskOp) -> Result<(), DiskError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(DiskError::new(op, &self.path, io::Error::other(Poisoned)));
        }
        Ok(())
    }

    fn poison(&self, op: DiskOp, source: io::Error) -> DiskError {
        self.poisoned.store(true, Ordering::Release);
        DiskError::new(op, &self.path, source)
    }

    fn sync(&self) -> Result<u64, DiskError> {
        self.guard(DiskOp::Sync)?;
        // The length is read before the fsync starts: what is appended meanwhile may or may not be covered.
        let covered = self.len.load(Ordering::Acquire);
        self.raw.sync_data().map_err(|e| self.poison(DiskOp::Sync, e))?;
        // Another thread's fsync or write may have failed while this one ran. The kernel reports a lost page to
        // one caller only, so this success proves nothing then.
        self.guard(DiskOp::Sync)?;
        self.durable.fetch_max(covered, Ordering::AcqRel);
        Ok(covered)
    }
}

impl<R: RawFile + 'static> Appender<R> {
    /// Wraps a file that holds `len` bytes, all of them durable.
    pub(super) fn new(raw: R, path: &Path, len: u64) -> Self {
        Appender(Arc::new(Shared {
            raw,
            path: path.to_owned(),
            len: AtomicU64::new(len),
            durable: AtomicU64::new(len),
            poisoned: AtomicBool::new(false),
        }))
    }
}

impl<R: RawFile + 'static> DiskFile for Appender<R> {
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let shared = &*self.0;
        shared.guard(DiskOp::Write)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            match shared.raw.write(rest) {
                Ok(0) => return Err(shared.poison(DiskOp::Write, io::ErrorKind::WriteZero.into())),
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(shared.poison(DiskOp::Write, e)),
            }
        }
        shared.len.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        Ok(())
    }

    fn sync_data(&mut self) -> Result<u64, DiskError> {
        self.0.sync()
    }

    fn sync_handle(&self) -> Arc<dyn SyncHandle> {
        Arc::new(Syncer(Arc::clone(&self.0)))
    }

    fn len(&self) -> u64 {
        self.0.len.load(Ordering::Acquire)
    }

    fn durable_len(&self) -> u64 {
        self.0.durable.load(Ordering::Acquire)
    }

    fn path(&self) -> &Path {
        &self.0.path
    }
}

/// The fsync half of an [`Appender`].
struct Syncer<R>(Arc<Shared<R>>);

impl<R: RawFile> SyncHandle for Syncer<R> {
    fn sync_data(&self) -> Result<u64, DiskError> {
        self.0.sync()
    }

    fn durable_len(&self) -> u64 {
        self.0.durable.load(Ordering::Acquire)
    }
}
