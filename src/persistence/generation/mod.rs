//! The folder of append-only files: which of them make up the history, and how that changes.
//!
//! The manifest is the only truth. Every change makes its new files durable first and then replaces the manifest in
//! one rename; what the old manifest named stays loadable until then, and is removed only after. A crash at any step
//! leaves either the old or the new state, and perhaps files that no manifest names. Such strays are harmless: numbers
//! are never used twice, and those below the numbers in use are removed when a generation is finished.

mod previous;
mod repair;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::Point;
use super::names::Names;
use crate::format::aof::manifest::{FileEntry, FileKind, Manifest, ManifestError};
use crate::format::aof::seal::{Epoch, Sealer};
use crate::format::aof::verify::HistoryPoint;
use crate::sys::{Disk, DiskError, DiskFile, DiskOp, EntryKind};

pub use repair::Cut;

/// Why the folder could not be read or changed.
#[derive(Debug, Error)]
pub enum GenerationError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The manifest cannot be read, or could not be printed so that it can be.
    #[error("{}: {error}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        error: ManifestError,
    },
    /// The files that were to follow the base do not begin where it ends.
    #[error("no log file begins at offset {} of lineage {}, where the new base ends", .0.offset, .0.lineage)]
    NoFollower(HistoryPoint),
    /// A file is not what it was when it was looked at.
    #[error("{} holds {found} bytes and should hold {expected}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// The length it should have, in bytes.
        expected: u64,
        /// The length it has, in bytes.
        found: u64,
    },
    /// There is no generation to do this with.
    #[error("there is no generation in {}", .0.display())]
    Missing(PathBuf),
}

impl GenerationError {
    /// Whether the manifest may be the new one all the same: it was renamed into place, and only the fsync of its
    /// folder failed.
    pub fn leaves_manifest_unknown(&self) -> bool {
        matches!(self, GenerationError::Disk(error) if error.op == DiskOp::SyncDir)
    }

    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        matches!(self, GenerationError::Disk(error) if error.is_full())
    }
}

/// A log file that is being appended to.
pub struct IncrFile {
    /// The file.
    pub file: Box<dyn DiskFile>,
    /// Its running checksum and place in the history.
    pub sealer: Sealer,
    /// Its number.
    pub seq: i64,
}

/// What became of the generation that a new one has replaced.
#[derive(Debug)]
pub enum Kept {
    /// There was none.
    Nothing,
    /// It was removed, as the policy is to keep none.
    Dropped,
    /// It is whole in this folder.
    In(PathBuf),
    /// It could not be kept (say, no room for links). Its files stay where they are until the next finish, but
    /// nothing names them.
    Failed(GenerationError),
}

/// Bytes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// The base file.
    pub base_bytes: u64,
    /// All log files that the manifest names, as long as they were when they were closed or found.
    pub incr_bytes: u64,
}

/// The folder and its manifest. One owner at a time.
pub struct Generation {
    disk: Arc<dyn Disk>,
    names: Names,
    /// Earlier generations to keep.
    keep: usize,
    manifest: Option<Manifest>,
    /// Log files that exist and that no manifest names yet, in ascending order.
    unnamed: Vec<FileEntry>,
    highest_base: i64,
    highest_incr: i64,
    epoch: Epoch,
}

impl Generation {
    /// Reads the folder, which is made if it is missing. Nothing in it changes.
    pub fn open(disk: Arc<dyn Disk>, names: Names, keep: usize) -> Result<Generation, GenerationError> {
        disk.create_dir_all(&names.folder())?;
        let manifest = read_manifest(&*disk, &names)?;
        let (mut highest_base, mut highest_incr) = (0, 0);
        let mut note = |kind, seq: i64| match kind {
            FileKind::Base => highest_base = highest_base.max(seq),
            FileKind::Incr => highest_incr = highest_incr.max(seq),
            FileKind::History => {}
        };
        for entry in manifest.iter().flat_map(Manifest::files) {
            note(entry.kind, entry.seq);
        }
        for file in disk.list_dir(&names.folder())? {
            let name = file.name.as_encoded_bytes();
            if let Some((kind, seq)) = names.parse(name) {
                note(kind, seq);
            } else if let Some(seq) = names.parse_torn(name) {
                note(FileKind::Incr, seq);
            }
        }
        let (unnamed, epoch) = (Vec::new(), Epoch::UNKNOWN);
        Ok(Generation { disk, names, keep, manifest, unnamed, highest_base, highest_incr, epoch })
    }

    /// The names.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The disk.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// What the manifest says; `None` without one.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Sets how many earlier generations are kept from the next finish on.
    pub fn set_keep(&mut self, keep: usize) {
        self.keep = keep;
    }

    /// The history's epoch, which the first lines of new log files will tell.
    pub fn set_epoch(&mut self, epoch: Epoch) {
        self.epoch = epoch;
    }

    /// Bytes of the files that the manifest names.
    pub fn sizes(&self) -> Result<Sizes, GenerationError> {
        let mut sizes = Sizes::default();
        for entry in self.manifest.iter().flat_map(Manifest::files) {
            let len = self.disk.file_len(&self.names.path(&entry.name))?.unwrap_or(0);
            match entry.kind {
                FileKind::Base => sizes.base_bytes = len,
                FileKind::Incr => sizes.incr_bytes += len,
                FileKind::History => {}
            }
        }
        Ok(sizes)
    }

    /// Makes a new log file that begins at `point`, durable with its first line. No manifest names it yet:
    /// [`Generation::name_incrs`] or [`Generation::finish`] does.
    pub fn create_incr(&mut self, point: &Point, time_ms: u64) -> Result<IncrFile, GenerationError> {
        self.highest_incr += 1;
        let seq = self.highest_incr;
        let name = self.names.incr_name(seq);
        let mut head = Vec::new();
        let sealer = Sealer::start_in(point.lineage, point.offset, point.db, self.epoch, time_ms, &mut head);
        let mut file = self.disk.create_new(&self.names.path(name.as_bytes()))?;
        file.write_all(&head)?;
        file.sync_data()?;
        let entry = FileEntry::new(name, seq, FileKind::Incr);
        self.unnamed.push(entry.at(point.lineage, point.offset));
        Ok(IncrFile { file, sealer, seq })
    }

    /// Opens the last log file to go on where `sealer` stands, which must be its very end.
    pub fn reopen_last(&mut self, sealer: Sealer) -> Result<IncrFile, GenerationError> {
        let missing = || GenerationError::Missing(self.names.folder());
        let entry = self.manifest.as_ref().and_then(|manifest| manifest.incr.last()).ok_or_else(missing)?;
        let path = self.names.path(&entry.name);
        let file = self.disk.open_append(&path)?;
        let (expected, found) = (sealer.file_len(), file.len());
        if found != expected {
            return Err(GenerationError::Length { path, expected, found });
        }
        Ok(IncrFile { file, sealer, seq: entry.seq })
    }

    /// Names the log files made since, behind those that the manifest names. The file before must be complete and
    /// durable by then.
    pub fn name_incrs(&mut self) -> Result<(), GenerationError> {
        let mut manifest = self.manifest.clone().ok_or_else(|| self.missing())?;
        manifest.incr.append(&mut self.unnamed.clone());
        self.replace_manifest(manifest)?;
        self.unnamed.clear();
        Ok(())
    }

    /// Gives up a log file that was made and never named.
    pub fn forget_incr(&mut self, incr: IncrFile) {
        self.unnamed.retain(|entry| entry.seq != incr.seq);
        let path = incr.file.path().to_owned();
        drop(incr);
        // If it stays it is a stray.
        let _ = self.disk.remove_file(&path);
    }

    /// Begins a new generation: `temporary` is its base, whole, fsynced and in the folder, a snapshot at `point`, and
    /// the log files from number `first_incr` on follow it. The generation before goes where the policy says.
    ///
    /// On an error the old generation is whole and named, except that after
    /// [`GenerationError::leaves_manifest_unknown`] the new one may be named; no file of either is gone then.
    pub fn finish(
        &mut self,
        temporary: &Path,
        point: &HistoryPoint,
        first_incr: i64,
    ) -> Result<Kept, GenerationError> {
        let incr: Vec<FileEntry> = self
            .manifest
            .iter()
            .flat_map(|manifest| &manifest.incr)
            .chain(&self.unnamed)
            .filter(|entry| entry.seq >= first_incr)
            .cloned()
            .collect();
        let follows = |entry: &FileEntry| {
            entry.lineage == Some(point.lineage) && entry.start_offset == Some(point.offset)
        };
        if !incr.first().is_some_and(follows) {
            return Err(GenerationError::NoFollower(*point));
        }
        self.highest_base += 1;
        let seq = self.highest_base;
        let name = self.names.base_name(seq);
        self.disk.rename_durable(temporary, &self.names.path(name.as_bytes()))?;
        let base = FileEntry::new(name, seq, FileKind::Base).at(point.lineage, point.offset);
        let kept = match &self.manifest {
            None => Kept::Nothing,
            Some(_) if self.keep == 0 => Kept::Dropped,
            Some(old) => {
                // The files that follow the new base are no part of it, and may still grow.
                let mut old = old.clone();
                old.incr.retain(|entry| entry.seq < first_incr);
                previous::keep(&*self.disk, &self.names, &old).map_or_else(Kept::Failed, Kept::In)
            }
        };
        self.replace_manifest(Manifest { base: Some(base), history: Vec::new(), incr })?;
        self.unnamed.clear();
        self.sweep(&kept);
        Ok(kept)
    }

    /// Writes the manifest. On failure the one in memory stays the one that was on disk for certain.
    fn replace_manifest(&mut self, manifest: Manifest) -> Result<(), GenerationError> {
        write_manifest(&*self.disk, &self.names.manifest(), &manifest)?;
        self.manifest = Some(manifest);
        Ok(())
    }

    /// Removes what the manifest in place has superseded. A failure leaves strays for the next time.
    fn sweep(&mut self, kept: &Kept) {
        if !matches!(kept, Kept::Failed(_)) {
            let _ = self.remove_superseded();
            let _ = previous::prune(&*self.disk, &self.names, self.keep);
        }
    }

    fn remove_superseded(&mut self) -> Result<(), DiskError> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        let folder = self.names.folder();
        let first_base = manifest.base.as_ref().map_or(0, |base| base.seq);
        let first_incr = manifest.incr.first().map_or(0, |incr| incr.seq);
        for file in self.disk.list_dir(&folder)? {
            let name = file.name.as_encoded_bytes();
            let superseded = match self.names.parse(name) {
                Some((FileKind::Base, seq)) => seq < first_base,
                Some((_, seq)) => seq < first_incr,
                None => self.names.parse_torn(name).is_some_and(|seq| seq < first_incr),
            };
            let named = manifest.files().any(|entry| entry.name == name);
            if superseded && !named && file.kind == EntryKind::File {
                self.disk.remove_file(&folder.join(&file.name))?;
            }
        }
        self.disk.sync_dir(&folder)
    }

    fn missing(&self) -> GenerationError {
        GenerationError::Missing(self.names.folder())
    }
}

/// Reads the manifest of `names`; `None` if there is none.
pub fn read_manifest(disk: &dyn Disk, names: &Names) -> Result<Option<Manifest>, GenerationError> {
    /// A manifest is some lines; nothing longer is one.
    const MAX_MANIFEST_BYTES: usize = 16 << 20;
    let path = names.manifest();
    let reader = match disk.open_read(&path) {
        Ok(reader) => reader,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let len = usize::try_from(reader.len()?).unwrap_or(usize::MAX).min(MAX_MANIFEST_BYTES);
    let mut bytes = vec![0; len];
    let read = reader.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    let parsed = Manifest::parse(&bytes);
    parsed.map(Some).map_err(|error| GenerationError::Manifest { path, error })
}

/// Writes a manifest whole and durably.
pub(super) fn write_manifest(
    disk: &dyn Disk,
    path: &Path,
    manifest: &Manifest,
) -> Result<(), GenerationError> {
    let printed = manifest.print();
    let bytes = printed.map_err(|error| GenerationError::Manifest { path: path.to_owned(), error })?;
    disk.write_whole(path, &mut |out: &mut dyn Write| -> io::Result<()> { out.write_all(&bytes) })?;
    Ok(())
}
