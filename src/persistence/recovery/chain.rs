//! The files of a folder as one history: mapped, each judged, and held against its neighbours.

use std::path::{Path, PathBuf};

use super::judging::{JudgePlan, Looking, judge};
use super::{CutTail, RecoveryError, RecoveryErrorKind};
use crate::format::aof::manifest::{FileEntry, FileKind, Manifest};
use crate::format::aof::seal::Epoch;
use crate::format::aof::verify::{Expected, HistoryPoint, LogVerifier, NoWatcher, Verdict, Watcher};
use crate::format::rdb::cut::Cutter;
use crate::format::rdb::{MAGIC, ReadOptions};
use crate::persistence::generation::{GenerationError, read_manifest};
use crate::persistence::names::Names;
use crate::sys::{Disk, MappedFile};

/// How often a folder may have moved on while it is being opened.
const MOVED_ON_TIMES: usize = 5;

/// A log file and the verdict on it.
pub(in crate::persistence) struct Checked {
    pub(in crate::persistence) entry: FileEntry,
    pub(in crate::persistence) path: PathBuf,
    pub(in crate::persistence) bytes: MappedFile,
    /// Where in the file the log begins: behind the snapshot that a single file may begin with. Places in the verdict count from
    /// there.
    pub(in crate::persistence) from: usize,
    pub(in crate::persistence) verifier: LogVerifier,
    pub(in crate::persistence) verdict: Verdict,
}

impl Checked {
    /// The log.
    pub(in crate::persistence) fn log(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or_default()
    }

    /// What is wrong with it, and where in the file.
    pub(in crate::persistence) fn problem(&self, may_cut: bool) -> Option<RecoveryError> {
        let (offset, kind) = fault(&self.verdict, may_cut)?;
        Some(RecoveryError::new(self.path.clone(), Some(self.from as u64 + offset), kind))
    }
}

/// A base file, not looked into yet.
pub(in crate::persistence) struct Base {
    pub(in crate::persistence) entry: FileEntry,
    pub(in crate::persistence) path: PathBuf,
    pub(in crate::persistence) bytes: MappedFile,
    /// Bytes of it: all of the file, but in a single one, where commands may follow.
    pub(in crate::persistence) len: usize,
}

/// A folder.
pub(in crate::persistence) struct Chain {
    pub(in crate::persistence) base: Option<Base>,
    pub(in crate::persistence) incr: Vec<Checked>,
}

/// A folder, and for each log file those who looked at its parts, in order.
pub(in crate::persistence) type Watched<W> = (Chain, Vec<Vec<W>>);

/// The place in the history that an entry names.
pub(in crate::persistence) fn start_of(entry: &FileEntry) -> Option<HistoryPoint> {
    Some(HistoryPoint { lineage: entry.lineage?, offset: entry.start_offset? })
}

/// Where the history in a folder ends and in which epoch, without loading it; `None` if there is no folder, or nothing in it says
/// where that is. The log files are judged as a load judges them; of the base only the manifest's word is read. A torn end is cut in
/// thought only, and only if it may be.
///
/// # Errors
/// What a load would stop at.
pub fn end_of_folder(
    disk: &dyn Disk,
    names: &Names,
    may_cut: bool,
) -> Result<Option<(HistoryPoint, Epoch)>, RecoveryError> {
    let Some(chain) = Chain::read(disk, names)? else { return Ok(None) };
    if let Some(problem) = chain.problems(may_cut).into_iter().next() {
        return Err(problem);
    }
    let mut end = chain.base.as_ref().and_then(|base| start_of(&base.entry));
    let mut epoch = Epoch::UNKNOWN;
    for file in &chain.incr {
        let extent = file.verdict.extent();
        end = extent.history.or(start_of(&file.entry));
        epoch = if extent.epoch.is_known() { extent.epoch } else { epoch };
    }
    Ok(end.map(|end| (end, epoch)))
}

fn manifest_of(disk: &dyn Disk, names: &Names) -> Result<Option<Manifest>, RecoveryError> {
    match read_manifest(disk, names) {
        Ok(manifest) => Ok(manifest),
        Err(GenerationError::Manifest { path, error }) => {
            let offset = Some(error.offset as u64);
            Err(RecoveryError::new(path, offset, RecoveryErrorKind::Manifest(error)))
        }
        Err(GenerationError::Disk(error)) => Err(error.into()),
        Err(other) => {
            let kind = RecoveryErrorKind::Folder(other.to_string());
            Err(RecoveryError::new(names.manifest(), None, kind))
        }
    }
}

impl Chain {
    /// Reads a folder; `None` if it has no manifest.
    pub(in crate::persistence) fn read(
        disk: &dyn Disk,
        names: &Names,
    ) -> Result<Option<Chain>, RecoveryError> {
        let looking = Looking { watcher: &NoWatcher::default, progress: &|_| () };
        Ok(Chain::read_watched(disk, names, &looking)?.map(|(chain, _)| chain))
    }

    /// The same, with somebody looking on: for each log file those who looked at its parts, in order.
    pub(in crate::persistence) fn read_watched<W: Watcher + Send>(
        disk: &dyn Disk,
        names: &Names,
        looking: &Looking<'_, W>,
    ) -> Result<Option<Watched<W>>, RecoveryError> {
        let Some(mut manifest) = manifest_of(disk, names)? else { return Ok(None) };
        for _ in 0..MOVED_ON_TIMES {
            match Chain::map(disk, names, manifest.clone(), looking) {
                // Beside a server at work a file may go between the two looks: then the manifest names others by now.
                Err(error) if matches!(*error.kind, RecoveryErrorKind::MissingFile) => {
                    match manifest_of(disk, names)? {
                        Some(now) if now != manifest => manifest = now,
                        _ => return Err(error),
                    }
                }
                mapped => return mapped.map(Some),
            }
        }
        Chain::map(disk, names, manifest, looking).map(Some)
    }

    fn map<W: Watcher + Send>(
        disk: &dyn Disk,
        names: &Names,
        manifest: Manifest,
        looking: &Looking<'_, W>,
    ) -> Result<Watched<W>, RecoveryError> {
        let open = |entry: &FileEntry| {
            let path = names.path(&entry.name);
            match disk.read_sealed(&path) {
                Ok(bytes) => Ok((path, bytes)),
                Err(error) if error.is_not_found() => {
                    Err(RecoveryError::new(path, None, RecoveryErrorKind::MissingFile))
                }
                Err(error) => Err(error.into()),
            }
        };
        let base = match manifest.base {
            Some(entry) => {
                let (path, bytes) = open(&entry)?;
                let len = bytes.len();
                Some(Base { entry, path, bytes, len })
            }
            None => None,
        };
        let (mut incr, mut watchers) = (Vec::new(), Vec::new());
        let opened: Result<Vec<_>, _> =
            manifest.incr.into_iter().map(|entry| open(&entry).map(|opened| (entry, opened))).collect();
        for (entry, (path, bytes)) in opened? {
            let verifier = start_of(&entry).map_or_else(LogVerifier::new, |start| {
                LogVerifier::expecting(Expected { lineage: start.lineage, start_offset: start.offset })
            });
            let (verdict, looked) = judge(&verifier, &bytes, 0, JudgePlan::of(bytes.len()), looking);
            watchers.push(looked);
            incr.push(Checked { entry, path, bytes, from: 0, verifier, verdict });
        }
        Ok((Chain { base, incr }, watchers))
    }

    /// Reads a single file: a snapshot, the log of a server before 7.0, or one followed by the other.
    pub(in crate::persistence) fn of_file(disk: &dyn Disk, path: &Path) -> Result<Chain, RecoveryError> {
        let bytes = disk.read_sealed(path)?;
        let snapshot_bytes = snapshot_len(&bytes);
        let mut chain = Chain { base: None, incr: Vec::new() };
        if snapshot_bytes > 0 {
            // A map of its own, as what one reader has passed is given back.
            let (entry, bytes) = (entry_of(path, FileKind::Base), disk.read_sealed(path)?);
            chain.base = Some(Base { entry, path: path.to_owned(), bytes, len: snapshot_bytes });
        }
        if snapshot_bytes < bytes.len() || snapshot_bytes == 0 {
            let verifier = LogVerifier::new();
            let plan = JudgePlan::of(bytes.len() - snapshot_bytes);
            let looking = Looking { watcher: &NoWatcher::default, progress: &|_| () };
            let (verdict, _) = judge(&verifier, &bytes, snapshot_bytes, plan, &looking);
            let (entry, path) = (entry_of(path, FileKind::Incr), path.to_owned());
            chain.incr.push(Checked { entry, path, bytes, from: snapshot_bytes, verifier, verdict });
        }
        Ok(chain)
    }

    /// Bytes of all files.
    pub(in crate::persistence) fn bytes(&self) -> u64 {
        let base = self.base.as_ref().map_or(0, |base| base.len);
        let incr: usize = self.incr.iter().map(|file| file.log().len()).sum();
        (base + incr) as u64
    }

    /// The torn end of the last file, if it has one.
    pub(in crate::persistence) fn cut(&self) -> Option<CutTail> {
        let last = self.incr.last()?;
        torn(&last.path, &last.verdict).map(|torn| CutTail { at: last.from as u64 + torn.at, ..torn })
    }

    /// Everything that is wrong with the log files: each for itself, and as one history. A torn end of the last file is
    /// wrong only if it may not be cut.
    pub(in crate::persistence) fn problems(&self, may_cut: bool) -> Vec<RecoveryError> {
        let mut problems = Vec::new();
        let mut end = self.base.as_ref().and_then(|base| start_of(&base.entry));
        if self.base.is_none()
            && let Some(first) = self.incr.first()
            && start_of(&first.entry).is_some()
        {
            problems.push(RecoveryError::new(first.path.clone(), None, RecoveryErrorKind::NoBase));
        }
        for (index, file) in self.incr.iter().enumerate() {
            if let (Some(end), Some(start)) = (end, start_of(&file.entry))
                && end != start
            {
                let kind = RecoveryErrorKind::Gap { end, start };
                problems.push(RecoveryError::new(file.path.clone(), Some(0), kind));
            }
            let last = index + 1 == self.incr.len();
            problems.extend(file.problem(last && may_cut));
            end = file.verdict.extent().history;
        }
        problems
    }
}

/// The length of the snapshot that a file begins with; all of it if the snapshot's end cannot be found, which its decoder will
/// tell more of.
fn snapshot_len(bytes: &MappedFile) -> usize {
    if !bytes.starts_with(MAGIC) {
        return 0;
    }
    let passed = |at| bytes.release_before(at);
    let Ok(cutter) = Cutter::new(bytes, &ReadOptions::default()) else { return bytes.len() };
    let mut cutter = cutter.telling(&passed);
    while let Ok(Some(_)) = cutter.next_part(usize::MAX) {}
    cutter.end().and_then(|end| usize::try_from(end.bytes).ok()).unwrap_or(bytes.len())
}

/// Whether a file is called as snapshots are. Of one that holds nothing only the name tells what it was to be.
pub(in crate::persistence) fn is_called_a_snapshot(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix == "rdb")
}

/// What a manifest would say of a single file.
fn entry_of(path: &Path, kind: FileKind) -> FileEntry {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes().to_vec();
    FileEntry::new(name, 1, kind)
}

/// The torn end of a file.
pub(super) fn torn(path: &Path, verdict: &Verdict) -> Option<CutTail> {
    let Verdict::TornTail { sealed, cut_bytes, why, readable_len } = verdict else { return None };
    Some(CutTail {
        file: path.to_owned(),
        at: sealed.len as u64,
        bytes: *cut_bytes as u64,
        whole_commands_bytes: readable_len.saturating_sub(sealed.len) as u64,
        why: *why,
    })
}

/// What is wrong with a file, and where.
pub(in crate::persistence) fn fault(verdict: &Verdict, may_cut: bool) -> Option<(u64, RecoveryErrorKind)> {
    match verdict {
        Verdict::Sound(_) | Verdict::Stopped { .. } => None,
        Verdict::TornTail { .. } if may_cut => None,
        Verdict::TornTail { sealed, why, .. } => Some((sealed.len as u64, RecoveryErrorKind::Torn(*why))),
        Verdict::Damaged { offset, kind, .. } => Some((*offset as u64, RecoveryErrorKind::Damaged(*kind))),
    }
}
