//! A rewrite of the append-only files while the server serves: a snapshot by a child becomes the base of a new
//! generation, and the log since then follows it.
//!
//! The snapshot is read back and decoded whole before anything refers to it: a base that could not be loaded never takes
//! the place of one that can.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use thiserror::Error;

use super::Point;
use super::generation::{Generation, GenerationError, IncrFile};
use super::load::check_rdb;
use super::names::Names;
use super::snapshot::{SnapshotError, SnapshotJob, SnapshotOptions, SnapshotStatus, Target, save};
use super::writer::{AofWriter, Finished, Pending, Rotation, WriterError};
use crate::base::time::Clock;
use crate::format::aof::verify::HistoryPoint;
use crate::format::rdb::ReadOptions;
use crate::keyspace::Keyspace;
use crate::sys::Disk;
use crate::sys::fork::{ForkHandle, ForkOptions, ForkProgress};

/// What a rewrite is made with.
pub struct RewriteTools<'a> {
    /// The disk, which the child must share.
    pub disk: Arc<dyn Disk>,
    /// The names.
    pub names: &'a Names,
    /// Makes the name of the temporary file; no two at once may be the same.
    pub tag: &'a str,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// How the snapshot is written.
    pub options: &'a SnapshotOptions,
    /// How the child is set up.
    pub fork: ForkOptions,
}

/// A rewrite under way. Whoever holds it looks at it some times a second. Dropped before the end, it is given up.
pub struct Rewrite {
    disk: Arc<dyn Disk>,
    temporary: PathBuf,
    stage: Stage,
}

enum Stage {
    /// The child writes; the writer has been asked to rotate.
    Child(Box<SnapshotJob>, Pending<Rotation>),
    /// The base is being read back.
    Verifying(Receiver<Result<(), String>>, Rotation),
    /// The writer is putting it in place.
    Finishing(Pending<Finished>),
    Over,
}

/// What a look at a rewrite found.
#[derive(Debug)]
pub enum RewriteStatus {
    /// The child is at work.
    Writing(ForkProgress),
    /// The base is read back, or put in place.
    Finishing,
    /// The new generation is in place.
    Done(Finished),
    /// There is none; the old one is as good as before, and the writer knows.
    Failed(String),
    /// It ended before this look.
    Over,
}

impl Rewrite {
    /// Locks all shards, asks `at` for the place in the history, has `writer` rotate there, forks, and unlocks. The
    /// calling thread must outlive the child.
    pub fn start(
        keyspace: &Keyspace,
        writer: &AofWriter,
        at: impl FnOnce() -> Point,
        tools: RewriteTools<'_>,
    ) -> Result<Rewrite, SnapshotError> {
        let RewriteTools { disk, names, tag, clock, options, fork } = tools;
        let temporary = names.temporary_base(tag);
        let options = SnapshotOptions { aof_base: true, ..options.clone() };
        let file = temporary.clone();
        let target = Target { disk: Arc::clone(&disk), temporary: file, rename_to: None };
        let mut rotating = None;
        let place = || {
            let point = at();
            rotating = Some(writer.rotate_at(point));
            Some(point)
        };
        let started = SnapshotJob::start("aof-rewrite", keyspace, place, target, clock, &options, fork);
        match (started, rotating) {
            (Ok(job), Some(rotating)) => {
                Ok(Rewrite { disk, temporary, stage: Stage::Child(Box::new(job), rotating) })
            }
            (Ok(_), None) => Ok(Rewrite { disk, temporary, stage: Stage::Over }),
            (Err(error), _) => {
                writer.abandon(error.to_string());
                Err(error)
            }
        }
    }

    /// The child, while it writes.
    pub fn child(&self) -> Option<&ForkHandle> {
        match &self.stage {
            Stage::Child(job, _) => Some(job.child()),
            _ => None,
        }
    }

    /// Looks without waiting, and goes on to the next step.
    pub fn check(&mut self, writer: &AofWriter) -> RewriteStatus {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Child(job, rotating) => self.look_at_child(job, rotating, writer),
            Stage::Verifying(verdict, rotation) => match verdict.try_recv() {
                Err(TryRecvError::Empty) => self.stay(Stage::Verifying(verdict, rotation)),
                Err(TryRecvError::Disconnected) => self.failed(writer, "the check of the base ended early"),
                Ok(Err(why)) => self.failed(writer, &why),
                Ok(Ok(())) => {
                    let finishing = writer.finish(self.temporary.clone(), rotation);
                    self.stay(Stage::Finishing(finishing))
                }
            },
            Stage::Finishing(finishing) => match finishing.poll() {
                None => self.stay(Stage::Finishing(finishing)),
                Some(Ok(finished)) => RewriteStatus::Done(finished),
                Some(Err(error)) => self.failed(writer, &error.to_string()),
            },
            Stage::Over => RewriteStatus::Over,
        }
    }

    fn stay(&mut self, stage: Stage) -> RewriteStatus {
        self.stage = stage;
        RewriteStatus::Finishing
    }

    fn look_at_child(
        &mut self,
        mut job: Box<SnapshotJob>,
        rotating: Pending<Rotation>,
        writer: &AofWriter,
    ) -> RewriteStatus {
        match job.check() {
            SnapshotStatus::Running(progress) => {
                self.stage = Stage::Child(job, rotating);
                RewriteStatus::Writing(progress)
            }
            SnapshotStatus::Failed(why) => self.failed(writer, &why),
            SnapshotStatus::Done { .. } => match rotating.poll() {
                None => self.stay(Stage::Child(job, rotating)),
                Some(Err(error)) => self.failed(writer, &error.to_string()),
                Some(Ok(rotation)) => match self.verify(rotation) {
                    Ok(verdict) => self.stay(Stage::Verifying(verdict, rotation)),
                    Err(error) => self.failed(writer, &error.to_string()),
                },
            },
        }
    }

    /// Reads the base back on a thread of its own.
    fn verify(&self, rotation: Rotation) -> Result<Receiver<Result<(), String>>, WriterError> {
        let (tell, verdict) = channel();
        let (disk, path) = (Arc::clone(&self.disk), self.temporary.clone());
        let wanted = rotation.point.history();
        let check = move || {
            // Nobody to tell is nobody to care.
            let _ = tell.send(check_base(&*disk, &path, wanted));
        };
        let spawned = std::thread::Builder::new().name("base-check".to_owned()).spawn(check);
        spawned.map(|_| verdict).map_err(|error| WriterError::NoBase(error.to_string()))
    }

    fn failed(&mut self, writer: &AofWriter, why: &str) -> RewriteStatus {
        let _ = self.disk.remove_file(&self.temporary);
        writer.abandon(why);
        RewriteStatus::Failed(why.to_owned())
    }

    /// Ends the child, if it still writes. [`Rewrite::check`] goes on to say that it failed.
    pub fn cancel(&mut self) {
        if let Stage::Child(job, _) = &mut self.stage {
            job.cancel();
        }
    }
}

/// Why a first generation could not be written.
#[derive(Debug, Error)]
pub enum BeginError {
    /// Its base could not be written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Its log file or its manifest could not be written.
    #[error(transparent)]
    Generation(#[from] GenerationError),
    /// Its base does not read back as what it should be.
    #[error("the new base is not good: {0}")]
    Base(String),
}

/// Writes a keyspace as the first generation of a folder that has none, by the calling thread: a base at `point`, read
/// back whole, and an empty log file behind it. When it returns all of it is durable.
pub fn begin(
    keyspace: &Keyspace,
    generation: &mut Generation,
    point: &Point,
    clock: &dyn Clock,
    options: &SnapshotOptions,
) -> Result<IncrFile, BeginError> {
    let disk = Arc::clone(generation.disk());
    let temporary = generation.names().temporary_base("first");
    let options = SnapshotOptions { aof_base: true, ..options.clone() };
    disk.create_dir_all(&generation.names().folder()).map_err(GenerationError::from)?;
    save(keyspace, || Some(*point), &*disk, &temporary, clock, &options)?;
    check_base(&*disk, &temporary, point.history()).map_err(BeginError::Base)?;
    let incr = generation.create_incr(point, clock.unix_ms())?;
    generation.finish(&temporary, &point.history(), incr.seq)?;
    Ok(incr)
}

/// Whether a snapshot decodes whole and is of this place in the history.
pub(super) fn check_base(
    disk: &dyn Disk,
    path: &std::path::Path,
    wanted: HistoryPoint,
) -> Result<(), String> {
    let bytes = disk.read_sealed(path).map_err(|error| error.to_string())?;
    let facts = check_rdb(&bytes, ReadOptions::default()).map_err(|error| error.to_string())?;
    if facts.bytes != bytes.len() as u64 {
        return Err(format!("the base is {} bytes long and ends at {}", bytes.len(), facts.bytes));
    }
    match facts.point {
        Some(point) if point.history() == wanted => Ok(()),
        _ => Err("the base is not of the place in history that it was to be of".to_owned()),
    }
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
