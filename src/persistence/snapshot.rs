//! Snapshots: an RDB of the keyspace as of one place in its history.
//!
//! A snapshot is taken with all shards locked. [`SnapshotJob::start`] holds them just for the fork; the child has the
//! memory of that moment to itself and writes it to a file. [`save`] writes in this process and holds them throughout;
//! [`super::live`] writes in this process, too, and holds them just while the moment is marked. Keys that have expired
//! are written like others: the log says itself when a key goes.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::Point;
use super::blocks::{self, Plan};
use crate::base::time::Clock;
use crate::command::access;
use crate::format::aof::seal::Epoch;
use crate::format::rdb::writer::{ReplicationPoint, Usage};
use crate::format::rdb::{Header, RdbWriter, WriteOptions};
use crate::keyspace::{Entry, Keyspace, Locked, Shard, ValueRef};
use crate::sys::fork::{
    ForkError, ForkHandle, ForkOptions, ForkOutcome, ForkProgress, ForkStatus, fork_child,
};
use crate::sys::{Disk, DiskError, DiskFile};
use crate::value::Element;

/// A file is fsynced each time this many bytes were written, so that the last fsync has little left to do.
const SYNC_EVERY_BYTES: u64 = 32 << 20;

/// What the access field of an entry means, hence what of it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UsageKind {
    /// Nothing that is worth keeping.
    #[default]
    None,
    /// When it was last used.
    Lru,
    /// How often it is used.
    Lfu,
}

/// What is written besides the keys, and how.
#[derive(Debug, Clone, Default)]
pub struct SnapshotOptions {
    /// Compression and checksum.
    pub format: WriteOptions,
    /// The version of Redis that the server presents itself as.
    pub redis_version: String,
    /// What the access field of entries means.
    pub usage: UsageKind,
    /// Sources of function libraries.
    pub functions: Vec<Vec<u8>>,
    /// Whether it is the base of an append-only file.
    pub aof_base: bool,
    /// The history's epoch, where it is to be told.
    pub epoch: Epoch,
    /// `rdb-key-save-delay`, by which tests have a snapshot take its time.
    pub key_delay_us: i64,
}

/// Facts of ours ([`crate::format::rdb::AUX_PREFIX`]): the history's epoch, and the offset at which it began.
pub(super) const AUX_EPOCH: &str = "epoch";
pub(super) const AUX_EPOCH_SINCE: &str = "epoch-since";

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Keys.
    pub keys: u64,
    /// Bytes.
    pub bytes: u64,
    /// CRC64 of them, 0 if it was not wanted.
    pub crc: u64,
}

/// Why there is no snapshot.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is no child.
    #[error(transparent)]
    Fork(#[from] ForkError),
}

/// The moment of a snapshot, as far as its header tells it.
pub(super) struct Moment {
    pub(super) point: Option<Point>,
    unix_ms: u64,
    used_memory_bytes: u64,
}

/// Writes everything that is locked, which must be all shards, to `sink`, and counts the keys in `done`. `plan` tells whether
/// several threads encode a database of so many keys.
fn write_all<E>(
    locked: &Locked<'_>,
    databases: u32,
    moment: &Moment,
    options: &SnapshotOptions,
    plan: impl Fn(u64) -> Option<Plan>,
    done: &Cell<u64>,
    sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Written, E> {
    let mut rdb = RdbWriter::new(options.format, sink);
    write_header(&mut rdb, locked, databases, moment, options)?;
    let now_ms = i64::try_from(moment.unix_ms).unwrap_or(i64::MAX);
    let mut keys = 0u64;
    for db in 0..databases {
        let (in_db, expiring) = count(locked, db);
        if in_db == 0 {
            continue;
        }
        rdb.select_db(db, in_db, expiring)?;
        if let Some(plan) = plan(in_db).filter(|_| options.key_delay_us == 0) {
            keys += blocks::write_db(&mut rdb, locked, db, plan, options, now_ms)?;
            done.set(keys);
            continue;
        }
        for entry in locked.iter().flat_map(|(_, shard)| shard.db(db).iter()) {
            write_entry(&mut rdb, entry, options.usage, now_ms)?;
            keys += 1;
            done.set(keys);
            rest(options.key_delay_us, keys);
        }
    }
    let (crc, bytes) = rdb.finish()?;
    Ok(Written { keys, bytes, crc })
}

/// Writes what stands before the first database.
pub(super) fn write_header<E, S: FnMut(&[u8]) -> Result<(), E>>(
    rdb: &mut RdbWriter<S>,
    locked: &Locked<'_>,
    databases: u32,
    moment: &Moment,
    options: &SnapshotOptions,
) -> Result<(), E> {
    let (number, since) = (options.epoch.number.to_string(), options.epoch.since.to_string());
    let epoch = [(AUX_EPOCH, number.as_str()), (AUX_EPOCH_SINCE, since.as_str())];
    rdb.header(&Header {
        redis_version: &options.redis_version,
        ctime_s: moment.unix_ms / 1000,
        used_memory_bytes: moment.used_memory_bytes,
        aof_base: options.aof_base,
        field_times: locked.iter().any(|(_, shard)| (0..databases).any(|db| shard.db(db).timed() > 0)),
        replication: moment.point.map(|point| ReplicationPoint {
            lineage: point.lineage,
            offset: point.offset,
            stream_db: point.db.into(),
        }),
        ours: if options.epoch.is_known() { &epoch } else { &[] },
    })?;
    options.functions.iter().try_for_each(|code| rdb.function(code))
}

/// Keys of a database, and how many of them carry an expiry. All shards are locked.
pub(super) fn count(locked: &Locked<'_>, db: u32) -> (u64, u64) {
    let sum = |of: fn(&Shard, u32) -> usize| locked.iter().map(|(_, shard)| of(shard, db) as u64).sum();
    (sum(|shard, db| shard.db(db).len()), sum(|shard, db| shard.db(db).expiring()))
}

/// Rests for so many microseconds; a negative number rests for one after each so many keys.
fn rest(delay_us: i64, keys: u64) {
    let us = match u64::try_from(delay_us) {
        Ok(us) => us,
        Err(_) => u64::from(keys.is_multiple_of(delay_us.unsigned_abs())),
    };
    if us > 0 {
        std::thread::sleep(Duration::from_micros(us));
    }
}

pub(super) fn write_entry<E, S: FnMut(&[u8]) -> Result<(), E>>(
    rdb: &mut RdbWriter<S>,
    entry: &Entry,
    usage: UsageKind,
    now_ms: i64,
) -> Result<(), E> {
    let usage = match usage {
        UsageKind::None => Usage::None,
        UsageKind::Lru => Usage::IdleS(access::lru_idle_s(entry.access(), now_ms)),
        UsageKind::Lfu => Usage::Lfu((entry.access() & 0xff) as u8),
    };
    let expiry = entry.expire_at_ms();
    match entry.value() {
        ValueRef::Int(int) => rdb.string_entry(entry.key(), Element::Int(int), expiry, usage),
        ValueRef::Bytes(bytes) => rdb.string_entry(entry.key(), Element::Bytes(bytes), expiry, usage),
        ValueRef::Object(value) => rdb.entry(entry.key(), value, expiry, usage),
    }
}

pub(super) fn moment(point: Option<Point>, clock: &dyn Clock) -> Moment {
    let used = crate::sys::memory::allocator_figures().allocated;
    Moment { point, unix_ms: clock.unix_ms(), used_memory_bytes: used }
}

/// Writes a snapshot to `path`, whole and durable, without a child (SAVE): all shards are locked meanwhile. `at` is
/// called once they are, and says which place in the history this is.
pub fn save(
    keyspace: &Keyspace,
    at: impl FnOnce() -> Option<Point>,
    disk: &dyn Disk,
    path: &Path,
    clock: &dyn Clock,
    options: &SnapshotOptions,
) -> Result<Written, SnapshotError> {
    let locked = keyspace.lock_all();
    let moment = moment(at(), clock);
    let mut written = Err(io::Error::other("nothing was written"));
    disk.write_whole(path, &mut |out| {
        let sink = |bytes: &[u8]| out.write_all(bytes);
        let all = write_all(&locked, keyspace.databases(), &moment, options, Plan::of, &Cell::new(0), sink)?;
        written = Ok(all);
        Ok(())
    })?;
    Ok(written.map_err(|error| DiskError::new(crate::sys::DiskOp::Write, path, error))?)
}

/// Where a child writes: to a file of its own in the folder of `temporary`, fsynced.
pub struct Target {
    /// The disk; it must be one that a child shares with its parent.
    pub disk: Arc<dyn Disk>,
    /// The file while it is being written. It must not exist; removed if the child fails.
    pub temporary: PathBuf,
    /// What it is renamed to, durably, once it is whole; `None` to leave that to the parent.
    pub rename_to: Option<PathBuf>,
}

/// A child at work on a snapshot. Dropped before the end, it kills the child.
pub struct SnapshotJob {
    handle: ForkHandle,
    point: Option<Point>,
    /// Disk and file to clean up after a child that failed.
    temporary: Option<(Arc<dyn Disk>, PathBuf)>,
}

/// What a look at a snapshot's child found.
#[derive(Debug)]
pub enum SnapshotStatus {
    /// At work.
    Running(ForkProgress),
    /// The snapshot is whole.
    Done {
        /// Figures of the child at its end; `copied_bytes` is what copy-on-write has cost.
        progress: ForkProgress,
        /// CRC64 of the bytes, 0 if it was not wanted.
        crc: u64,
    },
    /// There will be none.
    Failed(String),
}

impl SnapshotJob {
    /// Locks all shards, calls `at` (which says what place in the history this is, and may ask the writer to rotate
    /// there), forks, and unlocks.
    ///
    /// The calling thread must outlive the child; see [`fork_child`].
    pub fn start(
        name: &'static str,
        keyspace: &Keyspace,
        at: impl FnOnce() -> Option<Point>,
        target: Target,
        clock: &dyn Clock,
        options: &SnapshotOptions,
        fork: ForkOptions,
    ) -> Result<SnapshotJob, SnapshotError> {
        let mut moment = moment(None, clock);
        let locked = keyspace.lock_all();
        moment.point = at();
        let handle = fork_child(name, &fork, |pipe| {
            let databases = keyspace.databases();
            let keys = Cell::new(0);
            let mut bytes_done = 0;
            let mut alive = |bytes: usize| {
                bytes_done += bytes as u64;
                pipe.progress(keys.get(), bytes_done);
            };
            let Target { disk, temporary, rename_to } = &target;
            let outcome = to_file(&**disk, temporary, rename_to.as_deref(), |file| {
                // One thread: those who serve need the others' time, and a child starts none.
                write_all(
                    &locked,
                    databases,
                    &moment,
                    options,
                    |_| None,
                    &keys,
                    |bytes| {
                        alive(bytes.len());
                        file.write(bytes)
                    },
                )
            });
            match outcome {
                Ok(written) => pipe.done(written.keys, written.bytes, written.crc),
                Err(error) => pipe.fail(&error.to_string()),
            }
        })?;
        drop(locked);
        let temporary = Some((target.disk, target.temporary));
        Ok(SnapshotJob { handle, point: moment.point, temporary })
    }

    /// The place in the history of which this is a snapshot.
    pub fn point(&self) -> Option<Point> {
        self.point
    }

    /// The child: its id, its age, how long the fork took.
    pub fn child(&self) -> &ForkHandle {
        &self.handle
    }

    /// Looks without waiting. Call it some times a second; it also ends a child that hangs.
    pub fn check(&mut self) -> SnapshotStatus {
        match self.handle.check() {
            ForkStatus::Running(progress) => SnapshotStatus::Running(progress),
            ForkStatus::Dying => SnapshotStatus::Running(self.handle.progress()),
            ForkStatus::Ended(ForkOutcome::Done { progress, check }) => {
                self.temporary = None;
                SnapshotStatus::Done { progress, crc: check }
            }
            ForkStatus::Ended(outcome) => {
                self.clean_up();
                SnapshotStatus::Failed(outcome.to_string())
            }
        }
    }

    /// Ends the child. [`SnapshotJob::check`] goes on until it is gone.
    pub fn cancel(&mut self) {
        self.handle.kill();
    }

    fn clean_up(&mut self) {
        if let Some((disk, path)) = self.temporary.take() {
            // What stays is swept as a temporary file at the next start.
            let _ = disk.remove_file(&path);
        }
    }
}

impl Drop for SnapshotJob {
    fn drop(&mut self) {
        if self.temporary.is_some() {
            self.handle.kill();
            self.clean_up();
        }
    }
}

/// Writes a file through `fill`, fsyncs it and gives it its name.
fn to_file(
    disk: &dyn Disk,
    temporary: &Path,
    rename_to: Option<&Path>,
    fill: impl FnOnce(&mut PacedFile) -> Result<Written, DiskError>,
) -> Result<Written, DiskError> {
    let mut file = PacedFile::create(disk, temporary)?;
    let written = fill(&mut file)?;
    file.finish()?;
    if let Some(path) = rename_to {
        disk.rename_durable(temporary, path)?;
    }
    Ok(written)
}

/// A file that is fsynced as it grows.
pub(super) struct PacedFile {
    file: Box<dyn DiskFile>,
    unsynced: u64,
}

impl PacedFile {
    pub(super) fn create(disk: &dyn Disk, path: &Path) -> Result<PacedFile, DiskError> {
        Ok(PacedFile { file: disk.create_new(path)?, unsynced: 0 })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_all(bytes)?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Makes it durable; returns its length in bytes.
    pub(super) fn finish(mut self) -> Result<u64, DiskError> {
        self.file.sync_data()
    }
}

/// Encodes everything that is locked, which must be all shards, as a snapshot in memory.
pub fn encode(
    locked: &Locked<'_>,
    databases: u32,
    point: Option<Point>,
    clock: &dyn Clock,
    options: &SnapshotOptions,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let sink = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok::<(), std::convert::Infallible>(())
    };
    let moment = moment(point, clock);
    match write_all(locked, databases, &moment, options, Plan::of, &Cell::new(0), sink) {
        Ok(_) => bytes,
        Err(never) => match never {},
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
