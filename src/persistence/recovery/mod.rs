//! Loading at start: from the append-only folder, or from a snapshot file.
//!
//! The log files are judged as a whole before the first key is loaded, by the verifier that the checkers use. Damage
//! stops the start, with the place and what to do about it; a torn end, as an interrupted write leaves it, is cut at
//! the last seal. Nothing on disk changes until [`Recovered::go_on`].

mod chain;
mod judging;
mod lanes;
mod lint;
mod report;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::Point;
use super::generation::{Cut, Generation, GenerationError, IncrFile};
use super::load::{Facts, Inserting, LoadError, load_rdb};
use super::names::Names;
use crate::command::Settings;
use crate::command::apply::{Applied, ApplyError};
use crate::format::aof::manifest::ManifestError;
use crate::format::aof::seal::{Epoch, Sealer};
use crate::format::aof::verify::{
    DamageKind, Extent, HistoryPoint, LogVerifier, LogVisitor, LoggedCommand, NoWatcher, TornWhy, Verdict,
};
use crate::keyspace::Keyspace;
use crate::sys::{Disk, DiskError, MappedFile, sweep_temporaries};

pub use chain::end_of_folder;
pub(super) use chain::{Base, Chain, Checked, is_called_a_snapshot, start_of};
use judging::{JudgePlan, Looking, judge};
use lanes::{Ground, Hands, apply_log, lanes_for};
pub use report::{
    FileReport, Inspect, Report, inspect_directory, inspect_file, verify_directory, verify_file,
};

/// Progress is told each time about this many bytes have been loaded.
const PROGRESS_EVERY_BYTES: usize = 4 << 20;

/// Why nothing was loaded.
#[derive(Debug, Error)]
#[error("{}{}: {kind}. {}", file.display(), place(*offset), kind.advice())]
pub struct RecoveryError {
    /// The file.
    pub file: PathBuf,
    /// Where in it, in bytes, if it is about a place.
    pub offset: Option<u64>,
    /// What is wrong.
    #[source]
    pub kind: Box<RecoveryErrorKind>,
}

fn place(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!(", byte {offset}"))
}

impl RecoveryError {
    pub(super) fn new(file: PathBuf, offset: Option<u64>, kind: RecoveryErrorKind) -> Self {
        RecoveryError { file, offset, kind: Box::new(kind) }
    }

    /// The disk's error, if that is what it is; else itself.
    ///
    /// # Errors
    /// It is about something else than the disk.
    pub fn into_disk(self) -> Result<DiskError, RecoveryError> {
        match *self.kind {
            RecoveryErrorKind::Disk(error) => Ok(error),
            kind => Err(RecoveryError { kind: Box::new(kind), ..self }),
        }
    }
}

impl From<DiskError> for RecoveryError {
    fn from(error: DiskError) -> Self {
        RecoveryError::new(error.path.clone(), None, RecoveryErrorKind::Disk(error))
    }
}

/// What is wrong.
#[derive(Debug, Error)]
pub enum RecoveryErrorKind {
    /// The disk failed.
    #[error("{0}")]
    Disk(DiskError),
    /// The manifest cannot be read.
    #[error("{0}")]
    Manifest(ManifestError),
    /// The folder cannot be read.
    #[error("{0}")]
    Folder(String),
    /// The manifest names a file that is not there.
    #[error("the manifest names this file and it is missing")]
    MissingFile,
    /// The first log file says that a snapshot goes before it, and the manifest names none.
    #[error("the manifest names no base for this file")]
    NoBase,
    /// A log file does not begin where the one before it, or the base, ends.
    #[error(
        "the file begins at offset {} of lineage {}, and what goes before ends at offset {} of lineage {}",
        start.offset, start.lineage, end.offset, end.lineage
    )]
    Gap {
        /// Where the history before it ends.
        end: HistoryPoint,
        /// Where it begins.
        start: HistoryPoint,
    },
    /// A log file has changed since it was written.
    #[error("{0}")]
    Damaged(DamageKind),
    /// A log file ends in the middle of a write, and it is not the last, or cutting is not allowed.
    #[error("the file is torn: {0}")]
    Torn(TornWhy),
    /// A snapshot is not good.
    #[error("{0}")]
    Snapshot(LoadError),
    /// A snapshot is of another place in history than the manifest says.
    #[error("the snapshot is not of the place in history that the manifest names")]
    OtherSnapshot,
    /// A command of the log does not work.
    #[error("{0}")]
    Command(ApplyError),
}

impl RecoveryErrorKind {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            RecoveryErrorKind::Disk(_) => "See to the disk or the permissions, then start again",
            RecoveryErrorKind::Torn(_) => {
                "Run `aof-check DIR`; with `aof-load-truncated yes` a torn end of the last file is cut at start, and \
                 `restore DIR --into NEW` writes what is good to a new folder"
            }
            RecoveryErrorKind::Command(_) => {
                "The log is whole, but this server cannot follow it: see the settings and the version that wrote it"
            }
            _ => {
                "Run `aof-check DIR` to see what is good; `restore DIR --into NEW --to-offset N` writes a new folder \
                 up to a good offset, and an earlier generation lies beside as `DIR.previous-N`"
            }
        }
    }
}

/// What to load from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadFrom {
    /// The append-only folder, or the single file of servers before 7.0.
    AppendOnly,
    /// The snapshot file.
    Snapshot,
    /// The append-only folder if there is one, else the snapshot file.
    Either,
}

/// How to load.
#[derive(Debug, Clone)]
pub struct RecoverOptions {
    /// What to load from.
    pub from: LoadFrom,
    /// Whether a torn end of the last log file is cut (`aof-load-truncated`).
    pub may_cut: bool,
    /// The server's settings.
    pub settings: Settings,
    /// Unix time in ms.
    pub now_ms: i64,
}

/// What was loaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadedFrom {
    /// There was nothing.
    Nothing,
    /// This snapshot file.
    Snapshot(PathBuf),
    /// The folder with this manifest.
    Folder(PathBuf),
    /// A single append-only file as servers before 7.0 wrote it.
    SingleFile(PathBuf),
}

/// A torn end that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutTail {
    /// The file. It is not touched until [`Recovered::go_on`].
    pub file: PathBuf,
    /// Bytes of it that are good.
    pub at: u64,
    /// Bytes behind them.
    pub bytes: u64,
    /// Of these, bytes of whole commands that no seal vouched for.
    pub whole_commands_bytes: u64,
    /// What the end looks like.
    pub why: TornWhy,
}

/// How the folder is to be gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum GoOn {
    /// It has no manifest.
    FromNothing,
    /// At the end of its last file.
    Append(Sealer),
    /// In new files behind the good part of its last one, which is so many bytes long.
    AfterCut(u64),
    /// In a new file: the last one is not of this program, or there is none.
    NewFile,
}

/// What a start has loaded.
#[derive(Debug)]
pub struct Recovered {
    /// Where in which history this is; `None` if nothing says so (stock servers' files), or nothing was loaded.
    pub point: Option<Point>,
    /// Where the lineage before that one ends, if a log file holds the change of name.
    pub previous: Option<HistoryPoint>,
    /// The history's epoch there, as the log files tell it, or else the snapshot.
    pub epoch: Epoch,
    /// Where it came from.
    pub source: LoadedFrom,
    /// Keys of the snapshot; commands of the log may have added and removed some.
    pub snapshot_keys: u64,
    /// Commands of the log that were applied, MULTI and EXEC included.
    pub commands: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What was cut.
    pub cut: Option<CutTail>,
    /// Sources of function libraries in the snapshot.
    pub functions: Vec<Vec<u8>>,
    /// When the snapshot was taken, in seconds of Unix time.
    pub snapshot_ctime_s: Option<u64>,
    go_on: GoOn,
}

/// Loads what is on disk into `keyspace`, which must be empty, and is empty again after an error. `progress` is told
/// bytes loaded and bytes in all.
pub fn recover(
    disk: &dyn Disk,
    names: &Names,
    snapshot: &Path,
    keyspace: &Keyspace,
    options: &RecoverOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Recovered, RecoveryError> {
    let mut loading = Loading { keyspace, options, progress, done: 0, total: 0, stop_at: None };
    let outcome = loading.recover(disk, names, snapshot);
    if outcome.is_err() {
        clear(keyspace);
    }
    outcome
}

/// Empties a keyspace that was loaded in part.
pub(super) fn clear(keyspace: &Keyspace) {
    drop(super::load::swap_in(Keyspace::new(keyspace.databases()), keyspace));
}

/// A place in one log file behind which nothing is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StopAt {
    /// Which log file of the chain.
    pub(super) file: usize,
    /// Commands that end behind this byte are not applied.
    pub(super) byte: usize,
}

/// A load under way.
pub(super) struct Loading<'a> {
    pub(super) keyspace: &'a Keyspace,
    pub(super) options: &'a RecoverOptions,
    pub(super) progress: &'a mut dyn FnMut(u64, u64),
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) stop_at: Option<StopAt>,
}

/// What the log files came to.
pub(super) struct Applying {
    pub(super) commands: u64,
    pub(super) end: Option<HistoryPoint>,
    pub(super) previous: Option<HistoryPoint>,
    pub(super) epoch: Epoch,
    pub(super) db: u32,
}

impl Loading<'_> {
    fn recover(
        &mut self,
        disk: &dyn Disk,
        names: &Names,
        snapshot: &Path,
    ) -> Result<Recovered, RecoveryError> {
        if self.options.from != LoadFrom::Snapshot {
            if let Some(chain) = Chain::read(disk, names)? {
                return self.chain(&chain, LoadedFrom::Folder(names.manifest()));
            }
            let single = names.dir().join(names.prefix());
            if let Some(bytes) = map(disk, &single)? {
                return self.single_file(&single, &bytes);
            }
        }
        if self.options.from != LoadFrom::AppendOnly
            && let Some(bytes) = map(disk, snapshot)?
        {
            self.total = bytes.len() as u64;
            let facts = self.snapshot(snapshot, &bytes, false)?;
            return Ok(recovered(LoadedFrom::Snapshot(snapshot.to_owned()), facts, None));
        }
        Ok(recovered(LoadedFrom::Nothing, Facts::default(), None))
    }

    /// Judges the files of a folder, or a single one, whole, then loads them.
    pub(super) fn chain(&mut self, chain: &Chain, from: LoadedFrom) -> Result<Recovered, RecoveryError> {
        if let Some(problem) = chain.problems(self.options.may_cut).into_iter().next() {
            return Err(problem);
        }
        self.total = chain.bytes();
        let mut facts = Facts::default();
        let mut base_commands = 0;
        if let Some(base) = &chain.base {
            let preamble = base.bytes.starts_with(crate::format::rdb::MAGIC);
            if preamble {
                facts = self.snapshot(&base.path, &base.bytes, base.len < base.bytes.len())?;
            } else {
                let verifier = LogVerifier::new();
                let verdict = verifier.check(&base.bytes);
                if let Some((offset, kind)) = chain::fault(&verdict, false) {
                    return Err(RecoveryError::new(base.path.clone(), Some(offset), kind));
                }
                let log =
                    Log { path: &base.path, bytes: &base.bytes, verifier: &verifier, verdict: &verdict };
                base_commands = self.log(&log, 0, None)?.commands;
            }
            let named = start_of(&base.entry);
            if named.is_some() && named != facts.point.map(|point| point.history()) {
                return Err(RecoveryError::new(base.path.clone(), None, RecoveryErrorKind::OtherSnapshot));
            }
        }
        let applied = self.logs(chain)?;
        // A snapshot by itself is at the place that it names; commands without offsets move on from it.
        let point = facts.point.filter(|_| matches!(from, LoadedFrom::Snapshot(_)));
        let mut done = recovered(from, facts, Some(&applied));
        done.point = done.point.or(point);
        done.commands += base_commands;
        done.bytes = self.total;
        done.cut = chain.cut();
        if self.stop_at.is_some() {
            // Not the end of the folder, so nothing can go on there.
            return Ok(done);
        }
        done.go_on = match (chain.incr.last().map(|file| &file.verdict), &done.cut) {
            (Some(_), Some(cut)) => GoOn::AfterCut(cut.at),
            (Some(verdict), None) => verdict.extent().sealer().map_or(GoOn::NewFile, GoOn::Append),
            (None, _) => GoOn::NewFile,
        };
        Ok(done)
    }

    /// Applies the log files of a chain, up to where it is to stop.
    pub(super) fn logs(&mut self, chain: &Chain) -> Result<Applying, RecoveryError> {
        let start = chain.base.as_ref().and_then(|base| start_of(&base.entry));
        let mut sum = Applying { commands: 0, end: start, previous: None, epoch: Epoch::UNKNOWN, db: 0 };
        for (index, file) in chain.incr.iter().enumerate() {
            let stop = match self.stop_at {
                Some(stop) if stop.file < index => break,
                Some(stop) if stop.file == index => Some(stop.byte),
                _ => None,
            };
            let start = start_of(&file.entry);
            let Checked { path, from, verifier, verdict, .. } = file;
            let log = Log { path, bytes: file.log(), verifier, verdict };
            let applied = self.log(&log, sum.commands, stop).map_err(|mut error| {
                error.offset = error.offset.map(|at| *from as u64 + at);
                error
            })?;
            let epoch = if applied.epoch.is_known() { applied.epoch } else { sum.epoch };
            let previous = applied.previous.or(sum.previous);
            sum = Applying { end: applied.end.or(start), previous, epoch, ..applied };
        }
        Ok(sum)
    }

    /// Loads a snapshot that makes up the whole file, or (`with_tail`) its beginning.
    fn snapshot(&mut self, path: &Path, bytes: &MappedFile, with_tail: bool) -> Result<Facts, RecoveryError> {
        let how = Inserting::new(&self.options.settings, self.options.now_ms);
        let before = self.done;
        let (progress, total) = (&mut *self.progress, self.total);
        let loaded = load_rdb(bytes, self.keyspace, &how, |done| {
            bytes.release_before(done);
            progress(before + done as u64, total);
        });
        let trailing = |facts: &Facts| bytes.len() as u64 - facts.bytes;
        let checked = loaded.and_then(|facts| match trailing(&facts) {
            behind if behind > 0 && !with_tail => {
                Err(LoadError::Trailing { offset: facts.bytes, bytes: behind })
            }
            _ => Ok(facts),
        });
        let facts = checked.map_err(|error| {
            let kind = RecoveryErrorKind::Snapshot(error);
            let offset = match &kind {
                RecoveryErrorKind::Snapshot(error) => Some(error.offset()),
                _ => None,
            };
            RecoveryError::new(path.to_owned(), offset, kind)
        })?;
        self.done += facts.bytes;
        (self.progress)(self.done, self.total);
        Ok(facts)
    }

    /// Applies one log file, as far as it is good.
    fn log(&mut self, log: &Log<'_>, commands: u64, stop: Option<usize>) -> Result<Applying, RecoveryError> {
        if let (None, Verdict::Damaged { offset, kind, .. }) = (stop, log.verdict) {
            let kind = RecoveryErrorKind::Damaged(*kind);
            return Err(RecoveryError::new(log.path.to_owned(), Some(*offset as u64), kind));
        }
        let options = self.options;
        let ground = Ground { keyspace: self.keyspace, settings: &options.settings, now_ms: options.now_ms };
        let (before, total) = (self.done, self.total);
        let mut progress = |done: usize| (self.progress)(before + done as u64, total);
        // Each file begins in database 0, or says otherwise.
        let (walked, applied) = apply_log(lanes_for(log.bytes.len()), ground, |hands| {
            let mut apply = Apply { hands, stop, commands, settled: None, told: 0, progress: &mut progress };
            let verdict = match stop {
                None => {
                    log.verifier.hand_on(log.bytes, log.verdict.extent(), &mut apply);
                    *log.verdict
                }
                // How far it is proven at the stop shows on the way only.
                Some(_) => log.verifier.walk(log.bytes, &mut apply),
            };
            (verdict, apply.commands, apply.settled)
        });
        let (verdict, commands, settled) = walked;
        let db = applied.map_err(|(at, error)| {
            RecoveryError::new(log.path.to_owned(), Some(at as u64), RecoveryErrorKind::Command(error))
        })?;
        self.done += log.bytes.len() as u64;
        (self.progress)(self.done, self.total);
        let end = match verdict {
            // The walk may have proven more than it was let to apply.
            Verdict::Stopped { proven, .. } => {
                proven.history.map(|point| HistoryPoint { offset: settled.unwrap_or(point.offset), ..point })
            }
            _ => verdict.extent().history,
        };
        let Extent { previous, epoch, .. } = *verdict.extent();
        Ok(Applying { commands, end, previous, epoch, db })
    }

    /// A single append-only file: perhaps a snapshot, then commands.
    fn single_file(&mut self, path: &Path, bytes: &MappedFile) -> Result<Recovered, RecoveryError> {
        self.total = bytes.len() as u64;
        let mut facts = Facts::default();
        if bytes.starts_with(crate::format::rdb::MAGIC) {
            facts = self.snapshot(path, bytes, true)?;
        }
        let begin = usize::try_from(facts.bytes).unwrap_or(usize::MAX);
        let tail = bytes.get(begin..).unwrap_or_default();
        let verifier = LogVerifier::new();
        let looking = Looking { watcher: &NoWatcher::default, progress: &|_| () };
        let (verdict, _) = judge(&verifier, bytes, begin, JudgePlan::of(tail.len()), &looking);
        let fail =
            |at: usize, kind| Err(RecoveryError::new(path.to_owned(), Some((begin + at) as u64), kind));
        let mut cut = None;
        match verdict {
            Verdict::Damaged { offset, kind, .. } => return fail(offset, RecoveryErrorKind::Damaged(kind)),
            Verdict::TornTail { sealed, why, .. } if !self.options.may_cut => {
                return fail(sealed.len, RecoveryErrorKind::Torn(why));
            }
            Verdict::TornTail { .. } => {
                let torn = chain::torn(path, &verdict);
                cut = torn.map(|torn| CutTail { at: begin as u64 + torn.at, ..torn });
            }
            Verdict::Sound(_) | Verdict::Stopped { .. } => {}
        }
        let log = Log { path, bytes: tail, verifier: &verifier, verdict: &verdict };
        let applied = self.log(&log, 0, None).map_err(|mut error| {
            error.offset = error.offset.map(|at| begin as u64 + at);
            error
        })?;
        let mut done = recovered(LoadedFrom::SingleFile(path.to_owned()), facts, Some(&applied));
        // Whatever place the snapshot named, commands without offsets have moved on from it.
        done.point = None;
        done.cut = cut;
        done.bytes = self.total;
        Ok(done)
    }
}

fn recovered(source: LoadedFrom, facts: Facts, applied: Option<&Applying>) -> Recovered {
    let point = match applied {
        Some(applied) => {
            applied.end.map(|end| Point { lineage: end.lineage, offset: end.offset, db: applied.db })
        }
        None => facts.point,
    };
    Recovered {
        point,
        previous: applied.and_then(|applied| applied.previous),
        epoch: applied.map(|applied| applied.epoch).filter(Epoch::is_known).unwrap_or(facts.epoch),
        source,
        snapshot_keys: facts.keys,
        commands: applied.map_or(0, |applied| applied.commands),
        bytes: facts.bytes,
        cut: None,
        functions: facts.functions,
        snapshot_ctime_s: facts.ctime_s,
        go_on: GoOn::FromNothing,
    }
}

fn map(disk: &dyn Disk, path: &Path) -> Result<Option<MappedFile>, RecoveryError> {
    // A folder of that name is none of our business either.
    if disk.file_len(path)?.is_none() {
        return Ok(None);
    }
    Ok(Some(disk.read_sealed(path)?))
}

impl Recovered {
    /// Opens the folder to go on writing where this load ended, or, where nothing says where that was, at `point`, the
    /// place in the history that the caller has decided on. No file of the history is written to in place, but for the
    /// end of a sound one. Temporary files that dead writers left are removed, so no writer may be at work yet.
    ///
    /// A history that goes on under a new lineage begins in the files under its old one: the writer notes the change.
    ///
    /// `None` in place of the log file if there is no generation yet.
    pub fn go_on(
        &self,
        disk: Arc<dyn Disk>,
        names: Names,
        keep: usize,
        point: &Point,
        time_ms: u64,
    ) -> Result<(Generation, Option<IncrFile>), GenerationError> {
        let mut generation = Generation::open(Arc::clone(&disk), names, keep)?;
        sweep_temporaries(&*disk, &generation.names().folder())?;
        generation.set_epoch(self.epoch);
        // A file must begin where the one before it ends, by the same name.
        let point = &self.point.unwrap_or(*point);
        let incr = match &self.go_on {
            GoOn::FromNothing => return Ok((generation, None)),
            GoOn::Append(sealer) => generation.reopen_last(sealer.clone())?,
            GoOn::NewFile => generation.continue_in_new(point, time_ms)?,
            GoOn::AfterCut(len) => {
                let last = generation.manifest().and_then(|manifest| manifest.incr.last());
                let missing = || GenerationError::Missing(generation.names().folder());
                let path = generation.names().path(&last.ok_or_else(missing)?.name);
                let torn = disk.read_sealed(&path)?;
                let len = usize::try_from(*len).unwrap_or(usize::MAX);
                let good = torn.get(..len).ok_or_else(|| GenerationError::Length {
                    path,
                    expected: len as u64,
                    found: torn.len() as u64,
                })?;
                generation.continue_after_cut(&Cut { good }, point, time_ms)?
            }
        };
        Ok((generation, Some(incr)))
    }
}

/// A log file and the verdict on it.
struct Log<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    verifier: &'a LogVerifier,
    verdict: &'a Verdict,
}

/// Applies what a walk shows.
struct Apply<'a, 'b> {
    hands: &'a mut dyn Hands<'b>,
    stop: Option<usize>,
    commands: u64,
    /// Bytes of history before the first command that is not applied, transactions whole.
    settled: Option<u64>,
    /// Up to where progress was told.
    told: usize,
    progress: &'a mut dyn FnMut(usize),
}

impl<'b> LogVisitor<'b> for Apply<'_, 'b> {
    fn command(&mut self, command: &LoggedCommand<'_, 'b>) -> ControlFlow<()> {
        if self.settled.is_none() {
            self.settled = command.offset;
        }
        if self.stop.is_some_and(|stop| command.bytes.end > stop) {
            self.hands.abandon_transaction();
            return ControlFlow::Break(());
        }
        match self.hands.take(command.args, command.bytes.start) {
            Ok(Applied::Done) => self.settled = command.offset.map(|offset| offset + command.history_bytes),
            Ok(Applied::Queued) => {}
            Err(_) => return ControlFlow::Break(()),
        }
        self.commands += 1;
        if command.bytes.end - self.told >= PROGRESS_EVERY_BYTES {
            self.told = command.bytes.end;
            (self.progress)(self.told);
        }
        ControlFlow::Continue(())
    }
}
