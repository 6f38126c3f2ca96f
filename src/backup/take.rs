//! Taking a backup.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::pack::{pack, read_index};
use super::pins::{Pinned, Pins, pin, write_manifest};
use super::rehearsal::{Rehearsed, rehearse};
use super::shelf::{self, checksum};
use super::{ARCHIVE_SUFFIX, BackupError, Form, Progress, RECORD_FILE};
use crate::format::archive::{ArchiveError, Record, Role, StoredFile};
use crate::persistence::names::Names;
use crate::persistence::toolbox::{APPEND_FOLDER, ToolError, locate_folder};
use crate::sys::disk::TEMPORARY_PREFIX;
use crate::sys::lock::FolderLock;
use crate::sys::{Disk, DiskError, DiskOp, RealDisk, remove_tree};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// The folder to be backed up, or its manifest.
    pub from: PathBuf,
    /// The folder that holds the backups.
    pub to: PathBuf,
    /// The new one's name.
    pub name: String,
    /// Its form.
    pub form: Form,
    /// Whether a second name for a file that nobody will write to again counts as a copy.
    pub may_link: bool,
    /// How many databases there may be.
    pub databases: u32,
    /// The time now, in milliseconds of Unix time.
    pub time_ms: u64,
}

/// A backup that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub record: Record,
    /// Leftovers of interrupted ones that were cleared away.
    pub swept: usize,
}

/// Takes a backup of a node's files, running or not. When it returns the backup is durable, was read back, loaded, and has its
/// name; otherwise there is none.
pub fn take(order: &Order, progress: &Progress<'_>) -> Result<Taken, BackupError> {
    let names = locate_folder(&order.from).map_err(BackupError::Nothing)?;
    let to = std::path::absolute(&order.to).unwrap_or_else(|_| order.to.clone());
    // There a server keeps its files and its lock.
    if to == names.dir() || to.starts_with(names.folder()) {
        let reason = "it is the folder that is to be backed up; name another one for the backups".to_owned();
        return Err(BackupError::Nothing(ToolError::Path { path: order.to.clone(), reason }));
    }
    RealDisk.create_dir_all(&order.to)?;
    let _lock = FolderLock::acquire(&order.to)?;
    take_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), &names, order, progress)
}

/// As [`take`], on any disk, without a lock.
pub(super) fn take_on(
    disk: &Arc<dyn Disk>,
    names: &Names,
    order: &Order,
    progress: &Progress<'_>,
) -> Result<Taken, BackupError> {
    let odd = |c: char| matches!(c, '/' | '\\' | '\n' | '\r' | '\0');
    if order.name.is_empty() || order.name.starts_with('.') || order.name.contains(odd) {
        return Err(BackupError::Name(order.name.clone()));
    }
    let disk = &**disk;
    let swept = shelf::sweep(disk, &order.to)?;
    let published = match order.form {
        Form::Folder => order.to.join(&order.name),
        Form::Archive => order.to.join(format!("{}{ARCHIVE_SUFFIX}", order.name)),
    };
    let is_there = disk.list_dir(&order.to)?.iter().any(|entry| Some(&*entry.name) == published.file_name());
    if is_there {
        return Err(BackupError::Exists(published));
    }
    let work = order.to.join(format!("{TEMPORARY_PREFIX}{}", order.name));
    let job = Job { disk, names, order, work, published, progress };
    let made = job.run();
    // After a failure as after a success; what cannot be removed now is swept by the next.
    let _ = remove_tree(disk, &job.work);
    let _ = disk.remove_file(&job.temporary_archive());
    made.map(|record| Taken { path: job.published, record, swept })
}

struct Job<'a> {
    disk: &'a dyn Disk,
    names: &'a Names,
    order: &'a Order,
    /// The folder that nobody looks into.
    work: PathBuf,
    published: PathBuf,
    progress: &'a Progress<'a>,
}

impl Job<'_> {
    fn run(&self) -> Result<Record, BackupError> {
        let mut pins = pin(self.disk, self.names)?;
        self.disk.create_dir_all(&self.work)?;
        let live = self.work.join("live");
        pins.settle_last(self.disk, &live)?;
        match self.order.form {
            Form::Folder => self.folder(&pins, &live),
            Form::Archive => self.archive(pins),
        }
    }

    /// The names of the files in a folder of ours.
    fn names_in(&self, dir: &Path) -> Result<Names, BackupError> {
        Names::new(dir, APPEND_FOLDER, self.names.prefix()).map_err(|bad| BackupError::Name(bad.0))
    }

    fn rehearse(&self, dir: &Path) -> Result<Rehearsed, BackupError> {
        let loaded = rehearse(self.disk, &self.names_in(dir)?, self.order.databases, self.progress);
        loaded.map_err(|error| match error {
            // The copy will be gone, and what is wrong with it is wrong with its source.
            BackupError::Source(mut error) => {
                let name = error.file.file_name().unwrap_or_default().to_owned();
                error.file = self.names.folder().join(name);
                BackupError::Source(error)
            }
            other => other,
        })
    }

    fn record(&self, loaded: &Rehearsed, files: Vec<StoredFile>) -> Record {
        let found = &loaded.fingerprint;
        Record {
            name: self.order.name.clone(),
            time_ms: self.order.time_ms,
            place: loaded.place,
            epoch: loaded.epoch,
            databases: self.order.databases,
            keys: found.keys,
            digest: *found.digest.as_bytes(),
            expiry_sum: found.expiry_sum,
            files,
        }
    }

    fn folder(&self, pins: &Pins, live: &Path) -> Result<Record, BackupError> {
        let names = self.names_in(&self.work)?;
        let (mut done, total) = (0, pins.bytes());
        pins.place(self.disk, &names.folder(), &names.manifest_name(), self.order.may_link, &mut |bytes| {
            done += bytes;
            (self.progress)("copying", done, total);
        })?;
        if self.disk.file_len(live)?.is_some() {
            self.disk.remove_file(live)?;
        }
        let loaded = self.rehearse(&self.work)?;
        let wanted = pins.files.iter().map(|file| (Role::Data, file.name.clone()));
        let manifest = (Role::Manifest, names.manifest_name().into_bytes());
        let mut files = Vec::new();
        for (role, name) in std::iter::once(manifest).chain(wanted) {
            let (bytes, crc) = checksum(self.disk, &names.path(&name))?;
            files.push(StoredFile { role, name, bytes, crc, blocks: Vec::new() });
        }
        let record = self.record(&loaded, files);
        let text = record.print();
        self.disk.write_whole(&self.work.join(RECORD_FILE), &mut |out| out.write_all(&text))?;
        self.disk.sync_dir(&self.work)?;
        self.disk.rename_durable(&self.work, &self.published)?;
        Ok(record)
    }

    fn temporary_archive(&self) -> PathBuf {
        self.order.to.join(format!("{TEMPORARY_PREFIX}{}{ARCHIVE_SUFFIX}", self.order.name))
    }

    fn archive(&self, pins: Pins) -> Result<Record, BackupError> {
        let name = self.names.manifest_name();
        let path = self.work.join("manifest");
        write_manifest(self.disk, &pins.manifest, &path)?;
        let reader = self.disk.open_read(&path)?;
        let len = reader.len()?;
        let manifest = Pinned { name: name.into_bytes(), path, reader, len, is_sealed: true, is_own: true };
        let temporary = self.temporary_archive();
        let mut out = self.disk.create_new(&temporary)?;
        let files = pack(&mut *out, &manifest, &pins.files, self.progress)?;
        // The files are not needed any more; the room may be.
        drop(pins);
        let check = self.work.join("check");
        let folder = self.names_in(&check)?.folder();
        super::pack::unpack(self.disk, &temporary, &files, &folder, self.progress)?;
        let loaded = self.rehearse(&check)?;
        let record = self.record(&loaded, files);
        let end = record.finish_archive(out.len());
        out.write_all(&end)?;
        out.sync_data()?;
        if read_index(self.disk, &temporary)? != record {
            return Err(BackupError::Archive { path: temporary, error: ArchiveError::BadEnd });
        }
        if self.disk.file_len(&self.published)?.is_some() {
            let there = std::io::ErrorKind::AlreadyExists.into();
            return Err(DiskError::new(DiskOp::Rename, &self.published, there).into());
        }
        self.disk.rename_durable(&temporary, &self.published)?;
        Ok(record)
    }
}
