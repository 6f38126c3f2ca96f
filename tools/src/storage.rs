//! Where backups are kept: a folder, or a bucket of S3-compatible storage where this was built in.

use crate::times;
use clap::Args;
use outrigger::backup::shelf::{self, Listed, Retention};
use outrigger::backup::take::{self, Taken};
use outrigger::backup::{BackupError, Form, Progress, source};
use outrigger::remote::is_url;
use outrigger::sys::scratch::Scratch;
use std::path::{Path, PathBuf};
use thiserror::Error;

#[cfg(feature = "s3")]
use crate::s3;

/// What an address in S3-compatible storage begins with.
pub const SCHEME: &str = "s3://";
/// Longest that a request to S3-compatible storage is tried again, in seconds: its signature is good for 15 minutes.
const MAX_PATIENCE_S: u64 = 300;

/// Is it an address in S3-compatible storage, and no path?
pub fn is_s3(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.starts_with(SCHEME))
}

/// How S3-compatible storage is reached.
#[derive(Debug, Clone, Args)]
pub struct S3Options {
    /// With s3://: the storage's own address, where that is not Amazon's. Otherwise AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// With s3://: for how many seconds a request that fails is tried again
    #[arg(long, value_name = "S", default_value_t = 240, value_parser = clap::value_parser!(u64).range(..=MAX_PATIENCE_S))]
    pub patience: u64,
}

/// Why a place for backups does not do what it should.
#[derive(Debug, Error)]
pub enum StorageError {
    /// As in a folder.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A server's address, or one in another storage.
    #[error(
        "{0}: backups go to a folder or to s3://BUCKET/PREFIX; `restore DIR --into URL` loads into a running server"
    )]
    Url(String),
    /// Only archives go to a bucket.
    #[error("{0} holds archives only: leave --form away, or name a folder")]
    ArchivesOnly(String),
    /// The program was built without it.
    #[cfg(not(feature = "s3"))]
    #[error(
        "{0}: this program was built without S3. Build it with\n    cargo build --release -p outrigger-tools --features s3"
    )]
    NotBuilt(String),
    /// S3-compatible storage failed.
    #[cfg(feature = "s3")]
    #[error(transparent)]
    S3(#[from] s3::S3Error),
}

impl StorageError {
    /// Whether it is about damage in files, rather than about the call, the disk or the network.
    pub fn is_damage(&self) -> bool {
        match self {
            StorageError::Backup(error) => error.is_damage(),
            StorageError::ArchivesOnly(_) | StorageError::Url(_) => false,
            #[cfg(not(feature = "s3"))]
            StorageError::NotBuilt(_) => false,
            #[cfg(feature = "s3")]
            StorageError::S3(error) => error.is_damage(),
        }
    }

    /// What to do next; empty where the text says it.
    pub fn advice(&self) -> &'static str {
        self.backup().map_or("", BackupError::advice)
    }

    /// What is wrong with backups or their folder, if that is it.
    pub fn backup(&self) -> Option<&BackupError> {
        match self {
            StorageError::Backup(error) => Some(error),
            #[cfg(feature = "s3")]
            StorageError::S3(s3::S3Error::Backup(error)) => Some(error),
            _ => None,
        }
    }
}

/// What is to be backed up, and how.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The folder to be backed up, or its manifest.
    pub from: PathBuf,
    /// The form.
    pub form: Form,
    /// Whether a second name for a file that nobody will write to again counts as a copy.
    pub may_link: bool,
    /// How many databases there may be.
    pub databases: u32,
}

/// A backup that was published, and what else there is to say.
#[derive(Debug)]
pub struct Done {
    /// The backup.
    pub taken: Taken,
    /// What did not work, and did not matter to the backup.
    pub notes: Vec<String>,
}

/// A place for backups.
pub enum Storage {
    /// A folder.
    Folder(PathBuf),
    /// A bucket, or a part of one.
    #[cfg(feature = "s3")]
    S3(Box<s3::Shelf>),
}

impl Storage {
    /// The place that is named so. `work` is where what goes to a bucket is made ready.
    pub fn open(to: &Path, options: &S3Options, work: Option<&Path>) -> Result<Storage, StorageError> {
        if let Some(url) = to.to_str().filter(|to| is_url(to) && !to.starts_with(SCHEME)) {
            let behind_secret = url.rsplit_once('@').map_or(url, |(_, behind)| behind);
            return Err(StorageError::Url(behind_secret.to_owned()));
        }
        if !is_s3(to) {
            return Ok(Storage::Folder(to.to_owned()));
        }
        #[cfg(feature = "s3")]
        return Ok(Storage::S3(Box::new(s3::Shelf::open(&to.to_string_lossy(), options, work)?)));
        #[cfg(not(feature = "s3"))]
        {
            let _ = (options, work);
            Err(StorageError::NotBuilt(to.display().to_string()))
        }
    }

    /// Takes a backup, now.
    pub fn take(&self, wish: &Wish, progress: &Progress<'_>) -> Result<Done, StorageError> {
        let time_ms = times::now_ms();
        match self {
            Storage::Folder(folder) => {
                let order = take::Order {
                    from: wish.from.clone(),
                    to: folder.clone(),
                    name: format!("backup-{}", times::name_of(time_ms)),
                    form: wish.form,
                    may_link: wish.may_link,
                    databases: wish.databases,
                    time_ms,
                };
                Ok(Done { taken: take::take(&order, progress)?, notes: Vec::new() })
            }
            #[cfg(feature = "s3")]
            Storage::S3(shelf) if wish.form == Form::Folder => {
                Err(StorageError::ArchivesOnly(shelf.address().to_owned()))
            }
            #[cfg(feature = "s3")]
            Storage::S3(shelf) => Ok(shelf.take(&wish.from, wish.databases, time_ms, progress)?),
        }
    }

    /// The backups that are there, the oldest first.
    pub fn list(&self) -> Result<Vec<Listed>, StorageError> {
        match self {
            Storage::Folder(folder) => Ok(shelf::list(folder)?),
            #[cfg(feature = "s3")]
            Storage::S3(shelf) => Ok(shelf.list()?),
        }
    }

    /// Reads a backup through, loads it, and compares with what its record says.
    pub fn verify(&self, name: &str, progress: &Progress<'_>) -> Result<Listed, StorageError> {
        match self {
            Storage::Folder(folder) => Ok(shelf::verify(folder, name, progress)?),
            #[cfg(feature = "s3")]
            Storage::S3(shelf) => Ok(shelf.verify(name, progress)?),
        }
    }

    /// Removes the backups that no rule keeps; returns their names.
    pub fn retain(&self, rules: Retention) -> Result<Vec<String>, StorageError> {
        match self {
            Storage::Folder(folder) => Ok(shelf::retain(folder, rules)?),
            #[cfg(feature = "s3")]
            Storage::S3(shelf) => Ok(shelf.retain(rules)?),
        }
    }
}

/// A folder of append-only files to restore from, with what had to be fetched for it.
pub struct Source {
    opened: source::Source,
    fetched: Option<Scratch>,
}

impl Source {
    /// The folder.
    pub fn path(&self) -> &Path {
        self.opened.path()
    }

    /// Was it fetched or unpacked for this?
    pub fn is_temporary(&self) -> bool {
        self.fetched.is_some() || self.opened.is_unpacked()
    }
}

/// Opens what a restore reads from: a folder as it is, an archive unpacked beside `near`, one in a bucket fetched to there first.
pub fn open_source(
    from: &Path,
    near: &Path,
    options: &S3Options,
    progress: &Progress<'_>,
) -> Result<Source, StorageError> {
    if !is_s3(from) {
        return Ok(Source { opened: source::open(from, near, progress)?, fetched: None });
    }
    #[cfg(feature = "s3")]
    {
        let (home, archive) = s3::fetch(&from.to_string_lossy(), near, options, progress)?;
        let opened = source::open(&archive, near, progress)?;
        // Unpacked, it is not needed any more; the room may be.
        let _ = std::fs::remove_file(&archive);
        Ok(Source { opened, fetched: Some(home) })
    }
    #[cfg(not(feature = "s3"))]
    {
        let _ = options;
        Err(StorageError::NotBuilt(from.display().to_string()))
    }
}
