//! The files of a folder as one history: mapped, each judged, and held against its neighbours.

use std::path::{Path, PathBuf};

use super::{CutTail, RecoveryError, RecoveryErrorKind};
use crate::format::aof::manifest::{FileEntry, Manifest};
use crate::format::aof::seal::Epoch;
use crate::format::aof::verify::{Expected, HistoryPoint, LogVerifier, Verdict};
use crate::persistence::generation::{GenerationError, read_manifest};
use crate::persistence::names::Names;
use crate::sys::{Disk, MappedFile};

/// A log file and the verdict on it.
pub(in crate::persistence) struct Checked {
    pub(in crate::persistence) entry: FileEntry,
    pub(in crate::persistence) path: PathBuf,
    pub(in crate::persistence) bytes: MappedFile,
    pub(in crate::persistence) verifier: LogVerifier,
    pub(in crate::persistence) verdict: Verdict,
}

/// A base file, not looked into yet.
pub(in crate::persistence) struct Base {
    pub(in crate::persistence) entry: FileEntry,
    pub(in crate::persistence) path: PathBuf,
    pub(in crate::persistence) bytes: MappedFile,
}

/// A folder.
pub(in crate::persistence) struct Chain {
    pub(in crate::persistence) base: Option<Base>,
    pub(in crate::persistence) incr: Vec<Checked>,
}

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

impl Chain {
    /// Reads a folder; `None` if it has no manifest.
    pub(in crate::persistence) fn read(
        disk: &dyn Disk,
        names: &Names,
    ) -> Result<Option<Chain>, RecoveryError> {
        let manifest = match read_manifest(disk, names) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return Ok(None),
            Err(GenerationError::Manifest { path, error }) => {
                let offset = Some(error.offset as u64);
                return Err(RecoveryError::new(path, offset, RecoveryErrorKind::Manifest(error)));
            }
            Err(GenerationError::Disk(error)) => return Err(error.into()),
            Err(other) => {
                let kind = RecoveryErrorKind::Folder(other.to_string());
                return Err(RecoveryError::new(names.manifest(), None, kind));
            }
        };
        Chain::map(disk, names, manifest).map(Some)
    }

    fn map(disk: &dyn Disk, names: &Names, manifest: Manifest) -> Result<Chain, RecoveryError> {
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
                Some(Base { entry, path, bytes })
            }
            None => None,
        };
        let mut incr = Vec::new();
        for entry in manifest.incr {
            let (path, bytes) = open(&entry)?;
            let verifier = start_of(&entry).map_or_else(LogVerifier::new, |start| {
                LogVerifier::expecting(Expected { lineage: start.lineage, start_offset: start.offset })
            });
            let verdict = verifier.check(&bytes);
            incr.push(Checked { entry, path, bytes, verifier, verdict });
        }
        Ok(Chain { base, incr })
    }

    /// Bytes of all files.
    pub(in crate::persistence) fn bytes(&self) -> u64 {
        let base = self.base.as_ref().map_or(0, |base| base.bytes.len());
        let incr: usize = self.incr.iter().map(|file| file.bytes.len()).sum();
        (base + incr) as u64
    }

    /// The torn end of the last file, if it has one.
    pub(in crate::persistence) fn cut(&self) -> Option<CutTail> {
        let last = self.incr.last()?;
        torn(&last.path, &last.verdict)
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
            if let Some((offset, kind)) = fault(&file.verdict, last && may_cut) {
                problems.push(RecoveryError::new(file.path.clone(), Some(offset), kind));
            }
            end = file.verdict.extent().history;
        }
        problems
    }
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
