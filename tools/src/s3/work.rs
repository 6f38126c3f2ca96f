//! The local folder where an archive is made and proven before it is sent, or checked after it was fetched.
//!
//! There is one for each user, place and purpose, always of the same name. So two runs of one machine exclude each other, and the
//! next one finds what a killed one left: the files, and a note of the upload that it had begun.

use super::S3Error;
use super::bucket::Bucket;
use outrigger::backup::BackupError;
use outrigger::base::crc::crc64;
use outrigger::sys::lock::FolderLock;
use outrigger::sys::{Disk, RealDisk, sweep_temporaries};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where it is, if nobody says otherwise and TMPDIR is not set. What lies in /tmp may lie in memory, and the disk of the data is
/// not to be filled by a backup.
const DEFAULT_HOME: &str = "/var/tmp";
/// The note of an upload that has begun.
const NOTE: &str = "begun";
/// Longest note that is read.
const MAX_NOTE_BYTES: u64 = 64 << 10;

/// A folder of this run alone.
pub struct Work {
    folder: PathBuf,
    _lock: FolderLock,
}

/// An upload that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The backup's name.
    pub name: String,
    /// The upload's.
    pub upload: String,
}

impl Work {
    /// Takes the folder for this place and purpose, and clears away the files that an earlier run left there.
    pub fn open(home: Option<&Path>, bucket: &Bucket, purpose: &str) -> Result<Work, S3Error> {
        let standard = || {
            std::env::var_os("TMPDIR")
                .filter(|dir| !dir.is_empty())
                .unwrap_or_else(|| DEFAULT_HOME.into())
                .into()
        };
        let home = home.map_or_else(standard, Path::to_owned);
        fs::create_dir_all(&home).map_err(fail("create", &home))?;
        let place = format!("{} {}", bucket.endpoint(), bucket.address().text());
        let user = nix::unistd::geteuid().as_raw();
        let name = format!("outrigger-s3-{purpose}-{user}-{:016x}", crc64(0, place.as_bytes()));
        let folder = home.join(name);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(fail("create", &folder)(error));
            }
            _ => {}
        }
        // It holds the data, and anybody could have made one of that name.
        let found = fs::symlink_metadata(&folder).map_err(fail("open", &folder))?;
        if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
            return Err(S3Error::NotOurs(folder));
        }
        let lock = FolderLock::acquire(&folder).map_err(BackupError::from)?;
        let work = Work { folder, _lock: lock };
        work.clear()?;
        sweep_temporaries(&RealDisk, &work.folder).map_err(BackupError::from)?;
        fs::create_dir(work.shelf()).map_err(fail("create", &work.shelf()))?;
        Ok(work)
    }

    /// The folder for archives.
    pub fn shelf(&self) -> PathBuf {
        self.folder.join("shelf")
    }

    fn clear(&self) -> Result<(), S3Error> {
        match fs::remove_dir_all(self.shelf()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fail("clear", &self.shelf())(error)),
            _ => Ok(()),
        }
    }

    /// The uploads that earlier runs had begun and did not end.
    pub fn begun(&self) -> Result<Vec<Begun>, S3Error> {
        let path = self.folder.join(NOTE);
        let mut text = String::new();
        match File::open(&path).and_then(|file| file.take(MAX_NOTE_BYTES).read_to_string(&mut text)) {
            Ok(_) => Ok(text.lines().filter_map(Begun::parse).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(fail("read", &path)(error)),
        }
    }

    /// Notes which uploads have begun and have not ended. Durable when it returns.
    pub fn note(&self, begun: &[Begun]) -> Result<(), S3Error> {
        let path = self.folder.join(NOTE);
        let text: String = begun.iter().map(|one| format!("{} {}\n", one.name, one.upload)).collect();
        let written = RealDisk.write_whole(&path, &mut |out| out.write_all(text.as_bytes()));
        written.map(drop).map_err(|error| BackupError::from(error).into())
    }
}

impl Begun {
    fn parse(line: &str) -> Option<Begun> {
        let (name, upload) = line.split_once(' ')?;
        let is_whole = !name.is_empty() && !upload.is_empty();
        is_whole.then(|| Begun { name: name.to_owned(), upload: upload.to_owned() })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next one. The folder stays, as its lock must.
        let _ = self.clear();
    }
}

fn fail(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> S3Error {
    let path = path.to_owned();
    move |error| S3Error::Disk { doing, path, error }
}
