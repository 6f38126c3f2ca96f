//! A disk in memory that fails on demand, for the tests of whoever writes to disk.
//!
//! It remembers which bytes and which names an fsync has made durable. A crash keeps those and, as its seed
//! decides, some of the rest; a failed fsync loses the bytes it was for while a later one succeeds, as on
//! Linux. Same seed, same plan, same calls: same outcome.
//!
//! The files live in this process: what a fork child writes to its copy is not seen here, so a test that
//! injects faults into a snapshot writes it in-process.
//!
//! ```
//! use outrigger::sys::fault::FaultDisk;
//! use outrigger::sys::Disk;
//! use std::path::Path;
//!
//! let disk = FaultDisk::new(1);
//! let mut log = disk.create_new(Path::new("/log"))?;
//! log.write_all(b"kept")?;
//! log.sync_data()?;
//! log.write_all(b"lost")?;
//! disk.crash();
//! disk.restart();
//! assert_eq!(&disk.read_sealed(Path::new("/log"))?[..], b"kept");
//! # Ok::<(), outrigger::sys::DiskError>(())
//! ```

mod state;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::state::{FileId, Node, State};
use super::appender::{Appender, RawFile};
use super::disk::{
    Disk, DiskError, DiskFile, DiskOp, DiskRead, EntryKind, FileEntry, TEMPORARY_PREFIX, parent_of,
};
use super::mapped::MappedFile;

/// Called before an fsync takes effect, with its path and its number (the first is 1), outside all locks: it
/// may sleep, wait on a channel or crash the disk.
pub type SyncHook = Arc<dyn Fn(&Path, u64) + Send + Sync>;

/// What becomes of bytes that no fsync covered when the disk crashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrashTail {
    /// All of them are lost.
    #[default]
    Lost,
    /// A prefix of them survives; the seed says how long.
    Torn,
    /// A prefix of them survives in length, and from some point on reads as zeros, as after delayed allocation.
    Zeroed,
}

/// What goes wrong. The default is a disk without faults.
#[derive(Clone, Default)]
pub struct FaultPlan {
    /// Writes take at most a few bytes at a time, and some are interrupted (`EINTR`).
    pub short_writes: bool,
    /// The disk is full after this many more bytes; the write that hits the limit is cut there.
    pub full_after_bytes: Option<u64>,
    /// The numbers of the fsyncs, of files and of folders, that fail with EIO. See [`FaultDisk::syncs`].
    pub failing_syncs: Vec<u64>,
    /// Every fsync fails with EIO.
    pub all_syncs_fail: bool,
    /// Every read fails with EIO.
    pub reads_fail: bool,
    /// The disk crashes instead of taking this step. See [`FaultDisk::steps`].
    pub crash_at_step: Option<u64>,
    /// The fate of unsynced bytes in a crash.
    pub crash_tail: CrashTail,
    /// In a crash, a name that no folder fsync covered may survive, as the seed says. If false all are undone.
    pub unsynced_names_may_survive: bool,
    /// Called before each fsync.
    pub sync_hook: Option<SyncHook>,
}

/// A disk in memory that fails on demand. Clones share the one disk. It starts with the folder `/`.
#[derive(Clone)]
pub struct FaultDisk(Arc<Mutex<State>>);

impl FaultDisk {
    /// A disk without faults whose random choices follow `seed`.
    pub fn new(seed: u64) -> Self {
        FaultDisk::with_plan(seed, FaultPlan::default())
    }

    /// A disk that fails by `plan` and whose random choices follow `seed`.
    pub fn with_plan(seed: u64, plan: FaultPlan) -> Self {
        FaultDisk(Arc::new(Mutex::new(State::new(seed, plan))))
    }

    /// Changes what goes wrong from here on.
    pub fn plan(&self, change: impl FnOnce(&mut FaultPlan)) {
        change(&mut self.0.lock().plan);
    }

    /// Ends all faults, except that a crashed disk stays down until [`FaultDisk::restart`]. Bytes that a failed
    /// fsync lost stay lost.
    pub fn heal(&self) {
        self.plan(|plan| {
            *plan = FaultPlan {
                crash_tail: plan.crash_tail,
                unsynced_names_may_survive: plan.unsynced_names_may_survive,
                ..FaultPlan::default()
            };
        });
    }

    /// Crashes now: what is not durable is lost, and all calls fail until [`FaultDisk::restart`].
    pub fn crash(&self) {
        self.0.lock().crash();
    }

    /// Brings a crashed disk back with what survived. Handles from before the crash stay dead.
    pub fn restart(&self) {
        self.0.lock().restart();
    }

    /// True between a crash and the restart.
    pub fn is_crashed(&self) -> bool {
        self.0.lock().is_crashed()
    }

    /// Steps so far: each creation, write call, fsync, rename, link, removal and folder creation is one. A test
    /// that runs once without faults and then again with a crash at each step has seen every crash.
    pub fn steps(&self) -> u64 {
        self.0.lock().steps
    }

    /// Fsyncs so far, of files and of folders.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// Puts a durable file in place, whatever was there, as a test's starting point. Its folders are made.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        self.0.lock().put(path, bytes);
    }

    /// Flips bits of one byte of a file, on the medium itself. False if there is no such byte.
    pub fn corrupt(&self, path: &Path, offset: usize, xor: u8) -> bool {
        self.0.lock().corrupt(path, offset, xor)
    }

    fn file(&self, op: DiskOp, path: &Path) -> Result<FileId, DiskError> {
        self.0.lock().lookup(path).map_err(|e| DiskError::new(op, path, e))
    }

    fn appender(&self, id: FileId, path: &Path, len: u64) -> Box<dyn DiskFile> {
        let raw = FaultFile { disk: self.clone(), id, path: path.to_owned(), epoch: self.0.lock().epoch };
        Box::new(Appender::new(raw, path, len))
    }

    /// One fsync, of a file or a folder: counts, calls the hook without the lock, then applies or fails.
    fn sync(&self, target: Target, path: &Path, epoch: Option<u64>) -> io::Result<()> {
        let (number, covered, hook, epoch) = {
            let mut state = self.0.lock();
            state.check_epoch(epoch)?;
            state.step()?;
            state.syncs += 1;
            let covered = match target {
                Target::File(id) => state.len_of(id),
                Target::Folder => state.require_dir(path).map(|()| 0)?,
            };
            (state.syncs, covered, state.plan.sync_hook.clone(), state.epoch)
        };
        if let Some(hook) = hook {
            hook(path, number);
        }
        let mut state = self.0.lock();
        state.check_epoch(Some(epoch))?;
        let fails = state.plan.all_syncs_fail || state.plan.failing_syncs.contains(&number);
        match target {
            Target::File(id) if fails => state.lose_unsynced(id, covered),
            Target::File(id) => state.file_synced(id, covered),
            Target::Folder if !fails => state.folder_synced(path),
            Target::Folder => {}
        }
        if fails { Err(state::eio()) } else { Ok(()) }
    }

    /// The steps of a file written whole, up to the rename; `write_whole` removes the temporary on failure.
    fn fill_temporary(
        &self,
        path: &Path,
        temporary: &Path,
        fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<u64, DiskError> {
        let fail = |op| move |e| DiskError::new(op, path, e);
        let id = self.0.lock().create(temporary).map_err(fail(DiskOp::Create))?;
        let epoch = self.0.lock().epoch;
        let raw = FaultFile { disk: self.clone(), id, path: temporary.to_owned(), epoch };
        let mut writer = WholeWriter { raw, written: 0, failed: None };
        fill(&mut writer).map_err(fail(DiskOp::Write))?;
        if let Some(kind) = writer.failed {
            return Err(DiskError::new(DiskOp::Write, path, kind.into()));
        }
        writer.raw.sync_data().map_err(fail(DiskOp::Sync))?;
        self.0.lock().rename(temporary, path).map_err(fail(DiskOp::Rename))?;
        Ok(writer.written)
    }
}

/// What an fsync is about.
#[derive(Clone, Copy)]
enum Target {
    File(FileId),
    Folder,
}

/// A file of a [`FaultDisk`], dead once the disk has crashed.
struct FaultFile {
    disk: FaultDisk,
    id: FileId,
    path: PathBuf,
    epoch: u64,
}

impl RawFile for FaultFile {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.0.lock();
        state.check_epoch(Some(self.epoch))?;
        state.write(self.id, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync(Target::File(self.id), &self.path, Some(self.epoch))
    }
}

/// What `fill` writes to; once failed, always failed.
struct WholeWriter {
    raw: FaultFile,
    written: u64,
    failed: Option<io::ErrorKind>,
}

impl Write for WholeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.failed {
            return Err(kind.into());
        }
        let outcome = self.raw.write(bytes);
        match &outcome {
            Ok(n) => self.written += *n as u64,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => self.failed = Some(e.kind()),
        }
        outcome
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file of a [`FaultDisk`] open for reads.
struct FaultRead {
    disk: FaultDisk,
    id: FileId,
    path: PathBuf,
    epoch: u64,
}

impl FaultRead {
    fn look<T>(&self, op: DiskOp, look: impl FnOnce(&[u8]) -> T) -> Result<T, DiskError> {
        let state = self.disk.0.lock();
        let bytes = state.check_epoch(Some(self.epoch)).and_then(|()| state.read(self.id));
        bytes.map(look).map_err(|e| DiskError::new(op, &self.path, e))
    }
}

impl DiskRead for FaultRead {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        self.look(DiskOp::Read, |bytes| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let rest = bytes.get(start..).unwrap_or_default();
            rest.iter().zip(buf.iter_mut()).map(|(from, to)| *to = *from).count()
        })
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.look(DiskOp::Stat, |bytes| bytes.len() as u64)
    }
}

impl Disk for FaultDisk {
    fn create_new(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        let id = self.0.lock().create(path).map_err(|e| DiskError::new(DiskOp::Create, path, e))?;
        self.sync_dir(parent_of(path))?;
        Ok(self.appender(id, path, 0))
    }

    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        let id = self.file(DiskOp::Open, path)?;
        let synced = self.sync(Target::File(id), path, None);
        synced.map_err(|e| DiskError::new(DiskOp::Sync, path, e))?;
        let len = self.0.lock().len_of(id) as u64;
        Ok(self.appender(id, path, len))
    }

    fn read_sealed(&self, path: &Path) -> Result<MappedFile, DiskError> {
        let id = self.file(DiskOp::Open, path)?;
        let bytes = self.0.lock().read(id).map(<[u8]>::to_vec);
        bytes.map(MappedFile::from_vec).map_err(|e| DiskError::new(DiskOp::Read, path, e))
    }

    fn open_read(&self, path: &Path) -> Result<Box<dyn DiskRead>, DiskError> {
        let id = self.file(DiskOp::Open, path)?;
        let epoch = self.0.lock().epoch;
        Ok(Box::new(FaultRead { disk: self.clone(), id, path: path.to_owned(), epoch }))
    }

    fn list_dir(&self, path: &Path) -> Result<Vec<FileEntry>, DiskError> {
        self.0.lock().list(path).map_err(|e| DiskError::new(DiskOp::List, path, e))
    }

    fn create_dir_all(&self, path: &Path) -> Result<(), DiskError> {
        match self.0.lock().node(path) {
            Ok(Node::Dir) => return Ok(()),
            Ok(Node::File(_)) => {
                let source = io::ErrorKind::AlreadyExists.into();
                return Err(DiskError::new(DiskOp::CreateDir, path, source));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(DiskError::new(DiskOp::CreateDir, path, e)),
        }
        let parent = parent_of(path);
        self.create_dir_all(parent)?;
        self.0.lock().create_dir(path).map_err(|e| DiskError::new(DiskOp::CreateDir, path, e))?;
        self.sync_dir(parent)
    }

    fn write_whole(
        &self,
        path: &Path,
        fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<u64, DiskError> {
        let folder = parent_of(path);
        let number = self.0.lock().next_temporary();
        let temporary = folder.join(format!("{TEMPORARY_PREFIX}{number}"));
        let written = self.fill_temporary(path, &temporary, fill);
        if written.is_err() {
            // As a dropped temporary file would: it may fail as well, and then it stays.
            let _ = self.0.lock().unlink(&temporary);
        }
        let written = written?;
        self.sync_dir(folder)?;
        Ok(written)
    }

    fn rename_durable(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.0.lock().rename(from, to).map_err(|e| DiskError::new(DiskOp::Rename, to, e))?;
        let (source, target) = (parent_of(from), parent_of(to));
        self.sync_dir(target)?;
        if source != target {
            self.sync_dir(source)?;
        }
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.0.lock().link(from, to).map_err(|e| DiskError::new(DiskOp::Link, to, e))?;
        self.sync_dir(parent_of(to))
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.0.lock().unlink(path).map_err(|e| DiskError::new(DiskOp::Remove, path, e))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), DiskError> {
        self.0.lock().remove_dir(path).map_err(|e| DiskError::new(DiskOp::Remove, path, e))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DiskError> {
        let synced = self.sync(Target::Folder, path, None);
        synced.map_err(|e| DiskError::new(DiskOp::SyncDir, path, e))
    }

    fn file_len(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        let state = self.0.lock();
        match state.node(path) {
            Ok(Node::File(id)) => Ok(Some(state.len_of(id) as u64)),
            Ok(Node::Dir) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(DiskError::new(DiskOp::Stat, path, e)),
        }
    }

    fn available_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        let state = self.0.lock();
        state.node(path).map_err(|e| DiskError::new(DiskOp::Stat, path, e))?;
        Ok(state.plan.full_after_bytes.unwrap_or(1 << 40))
    }
}

/// The kind of a node, for listings.
fn kind_of(node: Node) -> EntryKind {
    match node {
        Node::Dir => EntryKind::Dir,
        Node::File(_) => EntryKind::File,
    }
}
