//! The disk of the machine.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::appender::{Appender, RawFile};
use super::disk::{
    Disk, DiskError, DiskFile, DiskOp, DiskRead, EntryKind, FileEntry, TEMPORARY_PREFIX, parent_of,
};
use super::mapped::MappedFile;

/// The mode of new files before the umask, as stock servers use it.
const FILE_MODE: u32 = 0o644;
/// A whole file is fsynced each time this much was written, so that the last fsync has little left to do and
/// the kernel never holds a whole snapshot in dirty pages.
const SYNC_EVERY_BYTES: u64 = 32 << 20;
/// What is gathered before a system call when a file is written whole.
const WRITE_BUFFER_BYTES: usize = 256 << 10;

/// The disk of the machine, through the system's own calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl RawFile for File {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self;
        Write::write(&mut file, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}

/// Shorthand that names the operation and the path of a failure.
fn at<'a>(op: DiskOp, path: &'a Path) -> impl FnOnce(io::Error) -> DiskError + 'a {
    move |source| DiskError::new(op, path, source)
}

/// Opens a plain file for reading. Anything else is looked at before it is opened: to open a named pipe is to wait for somebody
/// who writes into it.
fn open_plain(path: &Path) -> io::Result<File> {
    let kind = fs::metadata(path)?.file_type();
    let what = match () {
        () if kind.is_file() => return File::open(path),
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a plain file")))
}

impl Disk for RealDisk {
    fn create_new(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(path)
            .map_err(at(DiskOp::Create, path))?;
        self.sync_dir(parent_of(path))?;
        Ok(Box::new(Appender::new(file, path, 0)))
    }

    fn open_append(&self, path: &Path) -> Result<Box<dyn DiskFile>, DiskError> {
        let file = OpenOptions::new().append(true).open(path).map_err(at(DiskOp::Open, path))?;
        file.sync_all().map_err(at(DiskOp::Sync, path))?;
        let len = file.metadata().map_err(at(DiskOp::Stat, path))?.len();
        Ok(Box::new(Appender::new(file, path, len)))
    }

    fn read_sealed(&self, path: &Path) -> Result<MappedFile, DiskError> {
        let file = open_plain(path).map_err(at(DiskOp::Open, path))?;
        MappedFile::map(&file).map_err(at(DiskOp::Read, path))
    }

    fn open_read(&self, path: &Path) -> Result<Box<dyn DiskRead>, DiskError> {
        let file = open_plain(path).map_err(at(DiskOp::Open, path))?;
        Ok(Box::new(RealRead { file, path: path.to_owned() }))
    }

    fn list_dir(&self, path: &Path) -> Result<Vec<FileEntry>, DiskError> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).map_err(at(DiskOp::List, path))? {
            let entry = entry.map_err(at(DiskOp::List, path))?;
            let meta = match entry.metadata() {
                // Removed between the listing and the look.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(at(DiskOp::Stat, path))?,
            };
            let (kind, len) = match () {
                () if meta.is_file() => (EntryKind::File, meta.len()),
                () if meta.is_dir() => (EntryKind::Dir, 0),
                () => (EntryKind::Other, 0),
            };
            entries.push(FileEntry { name: entry.file_name(), len, kind });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn create_dir_all(&self, path: &Path) -> Result<(), DiskError> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = parent_of(path);
        if parent != path {
            self.create_dir_all(parent)?;
        }
        match fs::create_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            Err(e) => Err(DiskError::new(DiskOp::CreateDir, path, e)),
            Ok(()) => self.sync_dir(parent),
        }
    }

    fn write_whole(
        &self,
        path: &Path,
        fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<u64, DiskError> {
        let folder = parent_of(path);
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .permissions(Permissions::from_mode(FILE_MODE))
            .tempfile_in(folder)
            .map_err(at(DiskOp::Create, path))?;
        let paced = PacedWriter { file: temporary.as_file(), written: 0, unsynced: 0, failed: None };
        let mut writer = BufWriter::with_capacity(WRITE_BUFFER_BYTES, paced);
        let filled = fill(&mut writer).and_then(|()| writer.flush());
        // Taken apart, not dropped: a drop would try the failed bytes once more.
        let (paced, _) = writer.into_parts();
        filled.map_err(at(DiskOp::Write, path))?;
        if let Some(kind) = paced.failed {
            // `fill` kept a failure to itself; the bytes cannot be trusted all the same.
            return Err(DiskError::new(DiskOp::Write, path, kind.into()));
        }
        let written = paced.written;
        temporary.as_file().sync_all().map_err(at(DiskOp::Sync, path))?;
        temporary.persist(path).map_err(|e| DiskError::new(DiskOp::Rename, path, e.error))?;
        self.sync_dir(folder)?;
        Ok(written)
    }

    fn rename_durable(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        fs::rename(from, to).map_err(at(DiskOp::Rename, to))?;
        let (source, target) = (parent_of(from), parent_of(to));
        self.sync_dir(target)?;
        if source != target {
            self.sync_dir(source)?;
        }
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        fs::hard_link(from, to).map_err(at(DiskOp::Link, to))?;
        self.sync_dir(parent_of(to))
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        fs::remove_file(path).map_err(at(DiskOp::Remove, path))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), DiskError> {
        fs::remove_dir(path).map_err(at(DiskOp::Remove, path))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), DiskError> {
        File::open(path).and_then(|dir| dir.sync_all()).map_err(at(DiskOp::SyncDir, path))
    }

    fn file_len(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        match fs::metadata(path) {
            Ok(meta) if meta.is_file() => Ok(Some(meta.len())),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(DiskError::new(DiskOp::Stat, path, e)),
        }
    }

    fn available_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        let stat = nix::sys::statvfs::statvfs(path)
            .map_err(|errno| DiskError::new(DiskOp::Stat, path, errno.into()))?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }
}

/// A plain file, read with `pread`.
struct RealRead {
    file: File,
    path: PathBuf,
}

impl DiskRead for RealRead {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(DiskError::new(DiskOp::Read, &self.path, e)),
            }
        }
        Ok(done)
    }

    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.file.metadata().map_err(at(DiskOp::Stat, &self.path))?.len())
    }
}

/// Counts what is written, fsyncs as it goes, and refuses to go on after a failure.
struct PacedWriter<'a> {
    file: &'a File,
    written: u64,
    unsynced: u64,
    failed: Option<io::ErrorKind>,
}

impl PacedWriter<'_> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = RawFile::write(self.file, bytes)?;
        self.written += n as u64;
        self.unsynced += n as u64;
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(n)
    }
}

impl Write for PacedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.failed {
            return Err(kind.into());
        }
        let outcome = self.append(bytes);
        if let Err(e) = &outcome
            && e.kind() != io::ErrorKind::Interrupted
        {
            self.failed = Some(e.kind());
        }
        outcome
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
