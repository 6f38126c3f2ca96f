//! What the offline tools do to a folder: write a new one. The source is only ever read.

mod before;
mod fingerprint;
mod identity;
mod part;
mod target;
mod whole;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::Point;
use super::generation::{Generation, GenerationError};
use super::load::check_rdb;
use super::names::Names;
use super::recovery::{
    Chain, LoadFrom, LoadedFrom, Loading, RecoverOptions, Recovered, RecoveryError, RecoveryErrorKind,
    StopAt, is_called_a_snapshot, recover,
};
use super::rewrite::{BeginError, begin};
use super::snapshot::{SnapshotError, SnapshotOptions};
use crate::base::random::Rng;
use crate::base::time::{Clock, utc_text};
use crate::format::aof::seal::{BadLineage, Epoch, Lineage};
use crate::format::rdb::ReadOptions;
use crate::keyspace::Keyspace;
use crate::sys::{Disk, DiskError};

pub use before::{Before, Match, Occurrence, StoppedBefore};
pub use fingerprint::Fingerprint;
pub use identity::Identity;
pub use part::Part;
use part::{keep_only, keys_by_database};
use target::{Stopped, forgive, stop_at_offset, stop_at_time};
pub use whole::Snapshot;

/// What the names of a folder's log files end in, which are whole only with those before them.
const INCR_SUFFIX: &[u8] = b".incr.aof";

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

/// What a restore is to come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Up to where it goes.
    pub to: RestoreTo,
    /// The command, among those up to there, that it stops before.
    pub before: Option<Before>,
    /// Which keys are wanted.
    pub part: Part,
}

impl From<RestoreTo> for Wanted {
    fn from(to: RestoreTo) -> Self {
        Wanted { to, before: None, part: Part::default() }
    }
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
    /// The system did not let the new folder be written. What there is of it is not to be used.
    #[error(transparent)]
    Disk(DiskError),
    /// There is no room for the new folder.
    #[error(
        "the disk is full: {0}. What there was of the new folder is removed; restore to a disk with more room"
    )]
    Full(String),
    /// There is something in the new place already.
    #[error("{} is there already; name a folder that does not exist", .0.display())]
    TargetExists(PathBuf),
    /// The new place is among the files that are read.
    #[error("{} lies in the folder that is read; name one outside of it", .0.display())]
    InSource(PathBuf),
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
    /// A snapshot by itself has no earlier moments.
    #[error(
        "{} is a snapshot, which is of one moment; an earlier one is in a folder of append-only files, or in an older snapshot",
        .0.display()
    )]
    OneMoment(PathBuf),
    /// A log that begins in the middle of a history.
    #[error(
        "{} is one of the files of a folder, and only a part of the data without those before it; name the folder",
        .0.display()
    )]
    PartOfFolder(PathBuf),
    /// The log files tell no offsets, so none can be aimed at.
    #[error("the log files are a stock server's and tell no offsets; restore to a time, or to the end")]
    NoOffsets,
    /// No command matches.
    #[error("no command up to there matches {pattern}. {}", destroying_commands(seen))]
    NoMatch {
        /// What was asked for.
        pattern: String,
        /// What destroying commands there are.
        seen: String,
    },
    /// Fewer commands match.
    #[error("only {matches} commands up to there match {pattern}; name a lower --occurrence")]
    NotSoMany {
        /// What was asked for.
        pattern: String,
        /// How many there are.
        matches: u64,
    },
    /// The log is damaged before its end, so which command is the last cannot be told.
    #[error("{problem}. What stands behind that cannot be read, so the last {pattern} is not known. {}", before_damage(last.as_deref()))]
    Unsure {
        /// The damage.
        #[source]
        problem: RecoveryError,
        /// The last command before it that matches.
        last: Option<Box<Match>>,
        /// What was asked for.
        pattern: String,
    },
    /// No key is of the part that is wanted.
    #[error("there are no {part} at that place; {}", keys_there(there))]
    NoKeys {
        /// What was asked for.
        part: String,
        /// Databases and how many keys they hold.
        there: Vec<(u32, usize)>,
    },
    /// The new folder, loaded again, does not hold the same data.
    #[error(
        "the new folder was loaded again and did not hold the same data ({wanted:?} and {found:?}): it is not used"
    )]
    Differs {
        /// What was to be written.
        wanted: Fingerprint,
        /// What was loaded.
        found: Fingerprint,
    },
}

fn destroying_commands(seen: &str) -> String {
    match seen {
        "" => "The log holds no command that destroys data: see `aof-check DIR --timeline`, and the earlier generations \
               beside the folder"
            .to_owned(),
        seen => format!("Commands there that destroy data: {seen}. `aof-check DIR --timeline` shows them one by one"),
    }
}

fn before_damage(last: Option<&Match>) -> String {
    match last {
        Some(found) => match found.offset {
            Some(offset) => {
                format!("Before the damage the last is {found}: `--to-offset {offset}` goes there")
            }
            None => format!("Before the damage the last is {found}"),
        },
        None => "Before the damage there is none: `aof-check DIR` shows how far the log is good".to_owned(),
    }
}

fn keys_there(there: &[(u32, usize)]) -> String {
    if there.is_empty() {
        return "there are no keys at all".to_owned();
    }
    let all: Vec<String> = there.iter().map(|(db, keys)| format!("{keys} in database {db}")).collect();
    format!("there are other keys: {}", all.join(", "))
}

impl From<GenerationError> for OfflineError {
    fn from(error: GenerationError) -> Self {
        match error {
            GenerationError::Disk(error) => error.into(),
            other => OfflineError::Target(other.to_string()),
        }
    }
}

impl From<BeginError> for OfflineError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Snapshot(SnapshotError::Disk(error)) => error.into(),
            BeginError::Generation(error) => error.into(),
            other => OfflineError::Target(other.to_string()),
        }
    }
}

impl From<DiskError> for OfflineError {
    fn from(error: DiskError) -> Self {
        match error.is_full() {
            true => OfflineError::Full(error.to_string()),
            false => OfflineError::Disk(error),
        }
    }
}

/// Where a state comes from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A folder of append-only files.
    Folder(Names),
    /// One file: a snapshot, or the append-only file of a server before 7.0.
    File(PathBuf),
}

/// A state that was loaded.
pub(super) struct Found {
    /// What the files came to.
    pub(super) source: Recovered,
    /// The command that it stopped before.
    pub(super) before: Option<StoppedBefore>,
    /// The state's name.
    pub(super) identity: Identity,
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
    /// The command that it stopped before.
    pub before: Option<StoppedBefore>,
    /// Keys that were left out, as they are not of the part that was wanted; `None` if all were wanted.
    pub left_out: Option<u64>,
    /// Whether the lineage is a new one: of a part, or of a source that names none.
    pub is_new_lineage: bool,
}

impl Offline<'_> {
    /// Writes what is in the folder of `from` as a new folder: one base, one empty log file.
    pub fn rewrite(&self, from: &Names, into: &Names) -> Result<Restored, OfflineError> {
        self.restore(&Origin::Folder(from.clone()), into, &RestoreTo::End.into())
    }

    /// Writes what is wanted of `from` as a new folder. It continues the history it was taken from; but a
    /// part of the data is no state of that history, and begins one of its own.
    pub fn restore(&self, from: &Origin, into: &Names, wanted: &Wanted) -> Result<Restored, OfflineError> {
        let exists = self.disk.list_dir(&into.folder()).is_ok();
        if exists {
            return Err(OfflineError::TargetExists(into.folder()));
        }
        let keyspace = Keyspace::new(self.databases);
        let Found { mut source, before, .. } = self.load(from, wanted, &keyspace)?;
        let left_out = self.take_part(&keyspace, &wanted.part)?;
        if left_out.is_some() {
            // Libraries are no keys.
            source.functions.clear();
        }
        let (point, epoch) = match source.point {
            Some(point) if left_out.is_none() => (point, source.epoch),
            _ => (new_history().map_err(|error| OfflineError::Target(error.to_string()))?, Epoch::UNKNOWN),
        };
        let fingerprint = Fingerprint::of(&keyspace);
        if let Err(error) = self.write(&keyspace, into, (&point, epoch), &source) {
            self.discard(into);
            return Err(error);
        }
        drop(keyspace);
        self.compare(into, &point, fingerprint)?;
        let is_new_lineage = left_out.is_some() || source.point.is_none();
        Ok(Restored { point, fingerprint, source, before, left_out, is_new_lineage })
    }

    /// Removes what there is of a new folder that could not be finished, as far as that goes.
    fn discard(&self, into: &Names) {
        let folder = into.folder();
        for entry in self.disk.list_dir(&folder).into_iter().flatten() {
            let _ = self.disk.remove_file(&folder.join(entry.name));
        }
        let _ = self.disk.remove_dir(&folder);
    }

    /// Leaves only what is wanted. How many keys had to go, if any might have had to.
    pub(super) fn take_part(&self, keyspace: &Keyspace, part: &Part) -> Result<Option<u64>, OfflineError> {
        if part.is_all() {
            return Ok(None);
        }
        let there = keys_by_database(keyspace);
        let left_out = keep_only(keyspace, part);
        if keyspace.is_empty() {
            return Err(OfflineError::NoKeys { part: part.text(), there });
        }
        Ok(Some(left_out))
    }

    /// Loads the new folder and holds it against what was to be written.
    fn compare(&self, into: &Names, point: &Point, wanted: Fingerprint) -> Result<(), OfflineError> {
        let again = Keyspace::new(self.databases);
        let options = RecoverOptions { from: LoadFrom::AppendOnly, may_cut: false, ..self.options.clone() };
        let nowhere = into.dir().join("no-snapshot");
        let loaded = recover(&*self.disk, into, &nowhere, &again, &options, &mut |done, total| {
            (self.progress)(done, total)
        })?;
        let found = Fingerprint::of(&again);
        let same_place = loaded.point.map(|point| point.history()) == Some(point.history());
        if found != wanted || !same_place {
            return Err(OfflineError::Differs { wanted, found });
        }
        Ok(())
    }

    fn files(&self, from: &Origin, wanted: &Wanted) -> Result<(Chain, LoadedFrom), OfflineError> {
        match from {
            Origin::Folder(names) => match Chain::read(&*self.disk, names)? {
                Some(chain) => Ok((chain, LoadedFrom::Folder(names.manifest()))),
                None => {
                    Err(RecoveryError::new(names.manifest(), None, RecoveryErrorKind::MissingFile).into())
                }
            },
            Origin::File(path) => {
                let chain = Chain::of_file(&*self.disk, path)?;
                if chain.bytes() == 0 && is_called_a_snapshot(path) {
                    // What a server that was to load it would say.
                    check_rdb(&[], ReadOptions::default()).map_err(|error| {
                        let (at, kind) = (Some(error.offset()), RecoveryErrorKind::Snapshot(error));
                        RecoveryError::new(path.clone(), at, kind)
                    })?;
                }
                let log = chain.incr.last();
                let in_folder = path.as_os_str().as_encoded_bytes().ends_with(INCR_SUFFIX);
                if log.is_some_and(|log| in_folder || log.verdict.extent().history.is_some()) {
                    return Err(OfflineError::PartOfFolder(path.clone()));
                }
                if log.is_none() && (wanted.to != RestoreTo::End || wanted.before.is_some()) {
                    return Err(OfflineError::OneMoment(path.clone()));
                }
                let loaded = if log.is_some() { LoadedFrom::SingleFile } else { LoadedFrom::Snapshot };
                Ok((chain, loaded(path.clone())))
            }
        }
    }

    pub(super) fn load(
        &self,
        from: &Origin,
        wanted: &Wanted,
        keyspace: &Keyspace,
    ) -> Result<Found, OfflineError> {
        let (chain, from) = self.files(from, wanted)?;
        // What lies behind the target need not be good: that is what a restore is for.
        let mut target: Stopped = match wanted.to {
            RestoreTo::End => (chain, None),
            RestoreTo::Offset(offset) => stop_at_offset(chain, offset)?,
            RestoreTo::TimeMs(time_ms) => stop_at_time(chain, time_ms)?,
        };
        let mut before = None;
        if let Some(wanted_before) = &wanted.before {
            let (place, told) = before::stop_before(target.0, target.1, wanted_before, &wanted.part)?;
            (target, before) = (place, Some(told));
        }
        let (chain, stop_at) = target;
        let mut progress = |done, total| (self.progress)(done, total);
        let mut loading =
            Loading { keyspace, options: self.options, progress: &mut progress, done: 0, total: 0, stop_at };
        let source = loading.chain(&chain, from)?;
        if let RestoreTo::TimeMs(wanted) = wanted.to
            && let Some(begins) = source.snapshot_ctime_s
            && begins > wanted / 1000
        {
            let (begins, wanted) = (utc_text(begins * 1000), utc_text(wanted));
            return Err(OfflineError::TooEarly { begins, wanted });
        }
        let identity = Identity::of(&chain, stop_at, wanted);
        Ok(Found { source, before, identity })
    }

    fn write(
        &self,
        keyspace: &Keyspace,
        into: &Names,
        (point, epoch): (&Point, Epoch),
        source: &Recovered,
    ) -> Result<(), OfflineError> {
        let mut generation = Generation::open(Arc::clone(&self.disk), into.clone(), 0)?;
        generation.set_epoch(epoch);
        let options = SnapshotOptions { functions: source.functions.clone(), ..self.snapshot.clone() };
        begin(keyspace, &mut generation, point, self.clock, &options)?;
        Ok(())
    }
}

fn new_history() -> Result<Point, BadLineage> {
    let lineage: Lineage = Rng::from_os().hex(40).parse()?;
    Ok(Point { lineage, offset: 0, db: 0 })
}

/// Errors of an I/O kind that a tool meets before there is a disk, such as a path that is no folder.
pub fn folder_names(path: &Path, prefix: &str) -> io::Result<Names> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let folder =
        path.file_name().and_then(|name| name.to_str()).ok_or_else(|| invalid("not a folder's name"))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Names::new(dir, folder, prefix).map_err(|error| invalid(&error.to_string()))
}
