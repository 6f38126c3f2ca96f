//! What the offline tools do to a folder: write a new one. The source is only ever read.

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::Point;
use super::generation::{Generation, GenerationError};
use super::names::Names;
use super::recovery::{
    Chain, Checked, LoadFrom, Loading, RecoverOptions, Recovered, RecoveryError, RecoveryErrorKind, StopAt,
    fault, recover, start_of,
};
use super::rewrite::{BeginError, begin};
use super::snapshot::SnapshotOptions;
use crate::base::random::Rng;
use crate::base::time::Clock;
use crate::command::digest::{Digest, of_keyspace};
use crate::format::aof::seal::{BadLineage, Lineage};
use crate::format::aof::verify::{LogVisitor, LoggedCommand, Mark};
use crate::keyspace::{Keyspace, SHARD_COUNT};
use crate::sys::{Disk, DiskError};

/// Up to where a restore goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreTo {
    /// To the end of what is good.
    End,
    /// To the last command (or whole transaction) that ends at or before this replication offset.
    Offset(u64),
    /// To the last batch written at or before this Unix time in milliseconds, as seals (or stock servers' timestamps)
    /// tell it.
    TimeMs(u64),
}

/// Why no new folder was written.
#[derive(Debug, Error)]
pub enum OfflineError {
    /// The source cannot be loaded.
    #[error(transparent)]
    Source(#[from] RecoveryError),
    /// The new folder could not be written. What there is of it is not to be used.
    #[error("{0}")]
    Target(String),
    /// There is something in the new place already.
    #[error("{} is there already; name a folder that does not exist", .0.display())]
    TargetExists(PathBuf),
    /// The target lies before what the folder holds.
    #[error(
        "the folder's history begins at {begins}, behind the {wanted} asked for; try an earlier generation"
    )]
    TooEarly {
        /// Where it begins.
        begins: String,
        /// What was asked for.
        wanted: String,
    },
    /// The target lies behind what the folder holds.
    #[error("the folder's history ends at {ends}, before the {wanted} asked for")]
    TooLate {
        /// Where it ends.
        ends: String,
        /// What was asked for.
        wanted: String,
    },
    /// The log files tell no offsets, so none can be aimed at.
    #[error("the log files are a stock server's and tell no offsets; restore to a time, or to the end")]
    NoOffsets,
    /// The new folder, loaded again, does not hold the same data.
    #[error(
        "the new folder was loaded again and does not hold the same data ({wanted:?} and {found:?}): do not use it"
    )]
    Differs {
        /// What was to be written.
        wanted: Fingerprint,
        /// What was loaded.
        found: Fingerprint,
    },
}

impl From<GenerationError> for OfflineError {
    fn from(error: GenerationError) -> Self {
        OfflineError::Target(error.to_string())
    }
}

impl From<BeginError> for OfflineError {
    fn from(error: BeginError) -> Self {
        OfflineError::Target(error.to_string())
    }
}

impl From<DiskError> for OfflineError {
    fn from(error: DiskError) -> Self {
        OfflineError::Target(error.to_string())
    }
}

/// What tells one data set from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Keys of all databases.
    pub keys: u64,
    /// The digest that DEBUG DIGEST answers.
    pub digest: Digest,
    /// Sum of all expiry times in ms, which the digest leaves out.
    pub expiry_sum: i64,
}

impl Fingerprint {
    /// Of a whole keyspace.
    pub fn of(keyspace: &Keyspace) -> Fingerprint {
        let (mut keys, mut expiry_sum) = (0, 0i64);
        for shard in 0..SHARD_COUNT {
            let shard = keyspace.lock_shard(shard);
            for entry in (0..keyspace.databases()).flat_map(|db| shard.db(db).iter()) {
                keys += 1;
                expiry_sum = expiry_sum.wrapping_add(entry.expire_at_ms().unwrap_or(0));
            }
        }
        Fingerprint { keys, digest: of_keyspace(keyspace), expiry_sum }
    }
}

/// What the tools are given.
pub struct Offline<'a> {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// How the source is loaded.
    pub options: &'a RecoverOptions,
    /// How the new base is written.
    pub snapshot: &'a SnapshotOptions,
    /// How many databases there may be.
    pub databases: u32,
    /// Is told bytes loaded and bytes in all: of the source, then of the new folder.
    pub progress: &'a dyn Fn(u64, u64),
}

/// A folder that was written, and has been loaded again to prove it.
#[derive(Debug)]
pub struct Restored {
    /// Where in which history it stands. Of a source that names no history: a new one, from offset 0.
    pub point: Point,
    /// What is in it.
    pub fingerprint: Fingerprint,
    /// What the source came to.
    pub source: Recovered,
}

impl Offline<'_> {
    /// Writes what is in the folder of `from` as a new folder: one base, one empty log file.
    pub fn rewrite(&self, from: &Names, into: &Names) -> Result<Restored, OfflineError> {
        self.restore(from, into, RestoreTo::End)
    }

    /// Writes the state of the folder of `from` as of `to` as a new folder.
    pub fn restore(&self, from: &Names, into: &Names, to: RestoreTo) -> Result<Restored, OfflineError> {
        let exists = self.disk.list_dir(&into.folder()).is_ok();
        if exists {
            return Err(OfflineError::TargetExists(into.folder()));
        }
        let keyspace = Keyspace::new(self.databases);
        let source = self.load(from, to, &keyspace)?;
        let point = match source.point {
            Some(point) => point,
            None => new_history().map_err(|error| OfflineError::Target(error.to_string()))?,
        };
        let fingerprint = Fingerprint::of(&keyspace);
        self.write(&keyspace, into, &point, &source)?;
        drop(keyspace);
        let again = Keyspace::new(self.databases);
        let options = RecoverOptions { from: LoadFrom::AppendOnly, may_cut: false, ..self.options.clone() };
        let nowhere = into.dir().join("no-snapshot");
        let loaded = recover(&*self.disk, into, &nowhere, &again, &options, &mut |done, total| {
            (self.progress)(done, total)
        })?;
        let found = Fingerprint::of(&again);
        let same_place = loaded.point.map(|point| point.history()) == Some(point.history());
        if found != fingerprint || !same_place {
            return Err(OfflineError::Differs { wanted: fingerprint, found });
        }
        Ok(Restored { point, fingerprint, source })
    }

    fn load(&self, from: &Names, to: RestoreTo, keyspace: &Keyspace) -> Result<Recovered, OfflineError> {
        let Some(chain) = Chain::read(&*self.disk, from)? else {
            return Err(RecoveryError::new(from.manifest(), None, RecoveryErrorKind::MissingFile).into());
        };
        // What lies behind the target need not be good: that is what a restore is for.
        let (chain, stop_at) = match to {
            RestoreTo::End => (chain, None),
            RestoreTo::Offset(offset) => stop_at_offset(chain, offset)?,
            RestoreTo::TimeMs(time_ms) => stop_at_time(chain, time_ms)?,
        };
        let mut progress = |done, total| (self.progress)(done, total);
        let mut loading =
            Loading { keyspace, options: self.options, progress: &mut progress, done: 0, total: 0, stop_at };
        let loaded = loading.folder(&chain, from)?;
        if let RestoreTo::TimeMs(wanted) = to
            && let Some(begins) = loaded.snapshot_ctime_s
            && begins > wanted / 1000
        {
            let (begins, wanted) = (format!("second {begins}"), format!("millisecond {wanted}"));
            return Err(OfflineError::TooEarly { begins, wanted });
        }
        Ok(loaded)
    }

    fn write(
        &self,
        keyspace: &Keyspace,
        into: &Names,
        point: &Point,
        source: &Recovered,
    ) -> Result<(), OfflineError> {
        let mut generation = Generation::open(Arc::clone(&self.disk), into.clone(), 0)?;
        generation.set_epoch(source.epoch);
        let options = SnapshotOptions { functions: source.functions.clone(), ..self.snapshot.clone() };
        begin(keyspace, &mut generation, point, self.clock, &options)?;
        Ok(())
    }
}

fn new_history() -> Result<Point, BadLineage> {
    let lineage: Lineage = Rng::from_os().hex(40).parse()?;
    Ok(Point { lineage, offset: 0, db: 0 })
}

type Stopped = (Chain, Option<StopAt>);

/// Finds the file and byte of the last command that ends at or before `wanted`, and leaves the files behind it out.
fn stop_at_offset(mut chain: Chain, wanted: u64) -> Result<Stopped, OfflineError> {
    let say = |offset: u64| format!("offset {offset}");
    let begins = chain.base.as_ref().and_then(|base| start_of(&base.entry));
    if let Some(begins) = begins.filter(|begins| begins.offset > wanted) {
        let (begins, wanted) = (say(begins.offset), say(wanted));
        return Err(OfflineError::TooEarly { begins, wanted });
    }
    let starts: Option<Vec<u64>> =
        chain.incr.iter().map(|file| start_of(&file.entry).map(|start| start.offset)).collect();
    let starts = starts.ok_or(OfflineError::NoOffsets)?;
    let file = starts.iter().rposition(|start| *start <= wanted).ok_or(OfflineError::NoOffsets)?;
    chain.incr.truncate(file + 1);
    let Some(last) = chain.incr.last() else { return Err(OfflineError::NoOffsets) };
    let ends = last.verdict.extent().history.map_or(0, |end| end.offset);
    if ends < wanted {
        // Torn is where the history ends; damage is where the rest of it cannot be read.
        if let Some(damage) = damage_of(last) {
            return Err(damage.into());
        }
        return Err(OfflineError::TooLate { ends: say(ends), wanted: say(wanted) });
    }
    let mut byte = 0;
    let mut find = |command: &LoggedCommand<'_, '_>| match command.offset {
        Some(offset) if offset + command.history_bytes <= wanted => {
            byte = command.bytes.end;
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Break(()),
    };
    last.verifier.walk(&last.bytes, &mut find);
    Ok(forgive(chain, StopAt { file, byte }))
}

/// What lies behind the place to stop at does not matter, good or not.
fn forgive(mut chain: Chain, stop: StopAt) -> Stopped {
    if let Some(last) = chain.incr.last_mut() {
        last.verdict = crate::format::aof::verify::Verdict::Sound(*last.verdict.extent());
    }
    (chain, Some(stop))
}

/// Finds the last batch that was written at or before `wanted`.
fn stop_at_time(mut chain: Chain, wanted: u64) -> Result<Stopped, OfflineError> {
    let mut stop = StopAt { file: 0, byte: 0 };
    let (mut told, mut over) = (false, false);
    for (index, file) in chain.incr.iter().enumerate() {
        let mut times = Times { wanted, good: 0, ended: 0, told: false, over: false };
        file.verifier.walk(&file.bytes, &mut times);
        told |= times.told;
        // A stock file without timestamps belongs to the last time told before it.
        let good = if times.over { times.good } else { times.ended.max(times.good) };
        stop = StopAt { file: index, byte: good };
        over = times.over;
        if over {
            break;
        }
        // The time asked for may lie behind the damage.
        if let Some(damage) = damage_of(file) {
            return Err(damage.into());
        }
    }
    if !told && !chain.incr.is_empty() {
        let wanted = format!("millisecond {wanted}");
        return Err(OfflineError::TooLate { ends: "no time that the log files tell".to_owned(), wanted });
    }
    chain.incr.truncate(stop.file + 1);
    // At the very end a torn tail is left out like any, and told.
    Ok(if over { forgive(chain, stop) } else { (chain, Some(stop)) })
}

/// What is damaged in a log file, but for a torn end.
fn damage_of(file: &Checked) -> Option<RecoveryError> {
    fault(&file.verdict, true).map(|(at, kind)| RecoveryError::new(file.path.clone(), Some(at), kind))
}

/// Looks for the first mark of a later time.
struct Times {
    wanted: u64,
    /// End of the last batch that is not too late.
    good: usize,
    /// End of the last command seen.
    ended: usize,
    told: bool,
    over: bool,
}

impl LogVisitor<'_> for Times {
    fn command(&mut self, command: &LoggedCommand<'_, '_>) -> ControlFlow<()> {
        self.ended = command.bytes.end;
        ControlFlow::Continue(())
    }

    fn mark(&mut self, mark: &Mark, _bytes: Range<usize>) -> ControlFlow<()> {
        self.told = true;
        let (time_ms, closes_batch) = match mark {
            Mark::Seal(seal) => (seal.time_ms, true),
            Mark::Timestamp(seconds) => (seconds.saturating_mul(1000), false),
        };
        if time_ms > self.wanted {
            // A seal's batch is too late with it; what stands before a timestamp is not.
            if !closes_batch {
                self.good = self.ended;
            }
            self.over = true;
            return ControlFlow::Break(());
        }
        self.good = self.ended;
        ControlFlow::Continue(())
    }
}

/// Errors of an I/O kind that a tool meets before there is a disk, such as a path that is no folder.
pub fn folder_names(path: &Path, prefix: &str) -> io::Result<Names> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let folder =
        path.file_name().and_then(|name| name.to_str()).ok_or_else(|| invalid("not a folder's name"))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Names::new(dir, folder, prefix).map_err(|error| invalid(&error.to_string()))
}
