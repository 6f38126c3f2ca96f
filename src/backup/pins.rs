//! The files of a running node, held open: what the manifest named at one moment stays readable, whatever becomes of the
//! names.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::BackupError;
use crate::format::aof::manifest::{FileEntry, Manifest};
use crate::format::aof::verify::{Expected, LogVerifier, Verdict};
use crate::persistence::generation::{GenerationError, read_manifest};
use crate::persistence::names::Names;
use crate::persistence::recovery::{RecoveryError, RecoveryErrorKind};
use crate::persistence::toolbox::ToolError;
use crate::sys::{Disk, DiskRead};

/// How often the manifest is read again if a file that it named has gone meanwhile: a rewrite has ended.
const LOOKS: usize = 20;
/// What is copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// A file that is held open.
pub(super) struct Pinned {
    /// Its name, without the folder.
    pub(super) name: Vec<u8>,
    /// Where it was.
    pub(super) path: PathBuf,
    /// Its bytes.
    pub(super) reader: Box<dyn DiskRead>,
    /// How many of them belong to the backup.
    pub(super) len: u64,
    /// Whether nobody will write to it again, so that a second name for it is as good as a copy.
    pub(super) is_sealed: bool,
    /// Whether it is a copy that was made for this backup, whole, and may be moved to where it belongs.
    pub(super) is_own: bool,
}

/// A generation, held open.
pub(super) struct Pins {
    /// The manifest of what is held.
    pub(super) manifest: Manifest,
    /// Base and log files, in the manifest's order.
    pub(super) files: Vec<Pinned>,
}

/// Opens everything that the manifest names.
pub(super) fn pin(disk: &dyn Disk, names: &Names) -> Result<Pins, BackupError> {
    let mut before: Option<Manifest> = None;
    for _ in 0..LOOKS {
        let mut manifest = manifest_of(disk, names)?;
        manifest.history.clear();
        match open_all(disk, names, &manifest) {
            Ok(files) => return Ok(Pins { manifest, files }),
            // The same manifest still names it: it is not there.
            Err(error) if before.as_ref() == Some(&manifest) => return Err(error),
            Err(BackupError::Source(error)) if matches!(*error.kind, RecoveryErrorKind::MissingFile) => {
                before = Some(manifest);
            }
            Err(error) => return Err(error),
        }
    }
    Err(BackupError::Moving(names.folder()))
}

fn manifest_of(disk: &dyn Disk, names: &Names) -> Result<Manifest, BackupError> {
    let fault = |path, offset, kind| RecoveryError { file: path, offset, kind: Box::new(kind) };
    match read_manifest(disk, names) {
        Ok(Some(manifest)) => Ok(manifest),
        Ok(None) => Err(BackupError::Nothing(ToolError::NothingThere { path: names.folder(), seen: None })),
        Err(GenerationError::Manifest { path, error }) => {
            let at = Some(error.offset as u64);
            Err(fault(path, at, RecoveryErrorKind::Manifest(error)).into())
        }
        Err(GenerationError::Disk(error)) => Err(error.into()),
        Err(other) => Err(fault(names.manifest(), None, RecoveryErrorKind::Folder(other.to_string())).into()),
    }
}

fn open_all(disk: &dyn Disk, names: &Names, manifest: &Manifest) -> Result<Vec<Pinned>, BackupError> {
    let last = manifest.incr.last().map(|entry| &entry.name);
    let open = |entry: &FileEntry| {
        let path = names.path(&entry.name);
        let reader = match disk.open_read(&path) {
            Ok(reader) => reader,
            Err(error) if error.is_not_found() => {
                let kind = Box::new(RecoveryErrorKind::MissingFile);
                return Err(BackupError::Source(RecoveryError { file: path, offset: None, kind }));
            }
            Err(error) => return Err(error.into()),
        };
        let len = reader.len()?;
        // Of a stock server's files nobody knows whether they are durable, and its repair tool cuts them in place.
        let is_sealed = entry.lineage.is_some() && last != Some(&entry.name);
        Ok(Pinned { name: entry.name.clone(), path, reader, len, is_sealed, is_own: false })
    };
    manifest.base.iter().chain(&manifest.incr).map(open).collect()
}

impl Pins {
    /// Copies the last log file, which may still grow, to `copy`, and keeps of it what is whole: up to its last seal, or,
    /// without seals, its last whole command.
    pub(super) fn settle_last(&mut self, disk: &dyn Disk, copy: &Path) -> Result<(), BackupError> {
        let Some(entry) = self.manifest.incr.last() else { return Ok(()) };
        let Some(last) = self.files.last_mut() else { return Ok(()) };
        copy_prefix(disk, last, copy)?;
        let bytes = disk.read_sealed(copy)?;
        let verifier = match (entry.lineage, entry.start_offset) {
            (Some(lineage), Some(start_offset)) => LogVerifier::expecting(Expected { lineage, start_offset }),
            _ => LogVerifier::new(),
        };
        let verdict = verifier.check(&bytes);
        if let Verdict::Damaged { offset, kind, .. } = verdict {
            let kind = Box::new(RecoveryErrorKind::Damaged(kind));
            return Err(RecoveryError { file: last.path.clone(), offset: Some(offset as u64), kind }.into());
        }
        last.len = verdict.extent().len as u64;
        last.reader = disk.open_read(copy)?;
        last.path = copy.to_owned();
        last.is_own = last.len == bytes.len() as u64;
        Ok(())
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }

    /// Puts all files into `folder`, the manifest last, with a second name where that is as good as a copy.
    pub(super) fn place(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        manifest_name: &str,
        may_link: bool,
        done: &mut dyn FnMut(u64),
    ) -> Result<(), BackupError> {
        disk.create_dir_all(folder)?;
        for file in &self.files {
            let to = folder.join(std::ffi::OsStr::from_bytes(&file.name));
            // A link fails across file systems, and where the name is gone already.
            let is_linked = || may_link && file.is_sealed && disk.hard_link(&file.path, &to).is_ok();
            if file.is_own {
                disk.rename_durable(&file.path, &to)?;
            } else if !is_linked() {
                copy_prefix(disk, file, &to)?;
            }
            done(file.len);
        }
        write_manifest(disk, &self.manifest, &folder.join(manifest_name))
    }
}

/// Writes a manifest.
pub(super) fn write_manifest(disk: &dyn Disk, manifest: &Manifest, path: &Path) -> Result<(), BackupError> {
    let printed = manifest.print().map_err(|error| {
        let (file, offset) = (path.to_owned(), Some(error.offset as u64));
        RecoveryError { file, offset, kind: Box::new(RecoveryErrorKind::Manifest(error)) }
    })?;
    disk.write_whole(path, &mut |out| out.write_all(&printed))?;
    Ok(())
}

/// Copies the part of a file that belongs to the backup.
fn copy_prefix(disk: &dyn Disk, file: &Pinned, to: &Path) -> Result<(), BackupError> {
    let folder = to.parent().unwrap_or(Path::new("."));
    need(disk, folder, file.len)?;
    let mut failed = None;
    let mut buffer = vec![0; COPY_BYTES];
    let written = disk.write_whole(to, &mut |out| {
        let mut at = 0;
        while at < file.len {
            let want = usize::try_from(file.len - at).unwrap_or(COPY_BYTES).min(COPY_BYTES);
            let read = file.reader.read_at(at, &mut buffer[..want]).map_err(|error| {
                failed = Some(error);
                std::io::Error::other("the source cannot be read")
            })?;
            if read == 0 {
                return Err(std::io::Error::other(format!("{} has shrunk", file.path.display())));
            }
            out.write_all(&buffer[..read])?;
            at += read as u64;
        }
        Ok(())
    });
    match (failed, written) {
        (Some(error), _) | (None, Err(error)) => Err(error.into()),
        (None, Ok(_)) => Ok(()),
    }
}

/// Refuses what will not fit.
pub(super) fn need(disk: &dyn Disk, folder: &Path, needed: u64) -> Result<(), BackupError> {
    let available = disk.available_bytes(folder)?;
    match available < needed {
        true => Err(BackupError::NoRoom { folder: folder.to_owned(), needed, available }),
        false => Ok(()),
    }
}
