//! The backups in a bucket.
//!
//! `NAME.oar` is an archive. `NAME.record` is written behind it, once the archive was read back and is what it should be: a backup
//! without a record is not published. There is no lock in a bucket, and none is needed: names are unique, and nobody touches what
//! another one may still be uploading.

use super::address::Address;
use super::bucket::{Bucket, Object};
use super::download::{read_through, read_to, record, record_in};
use super::upload::send;
use super::work::{Begun, Work};
use super::{RECORD_SUFFIX, S3Error, archive_of, record_of};
use crate::storage::{Done, S3Options};
use crate::times;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use outrigger::backup::shelf::{self, Listed, Retention};
use outrigger::backup::take::{Order, Taken, take};
use outrigger::backup::{ARCHIVE_SUFFIX, BackupError, Form, Progress};
use outrigger::base::random::Rng;
use outrigger::format::archive::{MAX_RECORD_BYTES, Record};
use outrigger::persistence::toolbox::locate_folder;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// An archive without a record that is older than this belongs to nobody who is still at work.
const ABANDONED_AFTER_MS: u64 = 86_400_000;
/// Records that are read at once.
const RECORDS_AT_ONCE: usize = 8;

/// A bucket, or a part of one, that holds backups.
pub struct Shelf {
    bucket: Bucket,
    /// Where archives are made, if it was said.
    work: Option<PathBuf>,
}

/// A backup on its way.
struct Sending<'a> {
    bucket: &'a Bucket,
    begun: Begun,
    progress: &'a Progress<'a>,
}

impl Shelf {
    /// Makes ready for requests. Sends none.
    pub fn open(address: &str, options: &S3Options, work: Option<&Path>) -> Result<Shelf, S3Error> {
        let bucket = Bucket::connect(Address::parse(address)?, options)?;
        Ok(Shelf { bucket, work: work.map(Path::to_owned) })
    }

    /// As it was given.
    pub fn address(&self) -> &str {
        self.bucket.address().text()
    }

    /// Takes a backup: made and proven in a local folder, sent, read back, and published only then.
    pub fn take(
        &self,
        from: &Path,
        databases: u32,
        time_ms: u64,
        progress: &Progress<'_>,
    ) -> Result<Done, S3Error> {
        locate_folder(from).map_err(BackupError::Nothing)?;
        let objects = self.bucket.look()?;
        let work = Work::open(self.work.as_deref(), &self.bucket, "take")?;
        let mut notes = Vec::new();
        let (swept, mut open) = self.sweep(&work, &objects, time_ms, &mut notes)?;
        // Another machine may take one in the same millisecond.
        let unique = Rng::from_os().next_u64() as u32;
        let name = format!("backup-{}-{unique:08x}", times::name_of(time_ms));
        if objects.iter().any(|object| object.name.starts_with(&name)) {
            return Err(BackupError::Exists(self.shown(&name)).into());
        }
        // Whether anything may be written is found out before the work is done.
        let upload = self.bucket.begin(&archive_of(&name))?;
        let begun = Begun { name: name.clone(), upload };
        open.push(begun.clone());
        let sending = Sending { bucket: &self.bucket, begun, progress };
        let (from, to, form) = (from.to_owned(), work.shelf(), Form::Archive);
        let order = Order { from, to, name, form, may_link: false, databases, time_ms };
        let made = work.note(&open).and_then(|()| Ok(take(&order, progress)?));
        let stored = made.and_then(|taken| sending.store(&taken));
        let record = match stored {
            Ok(record) => record,
            Err(error) => {
                // What cannot be removed now stays noted, and is removed by the next.
                let begun = &sending.begun;
                if self.bucket.clear_away(&archive_of(&begun.name), &begun.upload).is_ok() {
                    open.pop();
                    let _ = work.note(&open);
                }
                return Err(error);
            }
        };
        // From here on it may count, whatever an answer says: it stays noted, and the next run sees which.
        sending.publish(&record)?;
        open.pop();
        if let Err(error) = work.note(&open) {
            notes.push(error.to_string());
        }
        Ok(Done { taken: Taken { path: self.shown(&order.name), record, swept }, notes })
    }

    fn shown(&self, name: &str) -> PathBuf {
        self.bucket.address().shown(&archive_of(name))
    }

    /// Removes what interrupted runs left: those of this machine, which are noted, and what nobody can be at work on any more. Returns
    /// how much there was, and the notes that must be kept. What cannot be removed hinders no backup.
    fn sweep(
        &self,
        work: &Work,
        objects: &[Object],
        time_ms: u64,
        notes: &mut Vec<String>,
    ) -> Result<(usize, Vec<Begun>), S3Error> {
        let there: BTreeSet<&str> = objects.iter().map(|object| &*object.name).collect();
        let is_unpublished =
            |name: &str| there.contains(&*archive_of(name)) && !there.contains(&*record_of(name));
        let (mut swept, mut kept) = (0, Vec::new());
        let mut removed = BTreeSet::new();
        for begun in work.begun()? {
            let object = archive_of(&begun.name);
            let ended = self.bucket.abort(&object, &begun.upload).and_then(|was_there| {
                // Asked anew: its end may have come after the listing.
                let left = self.bucket.head(&object)?.is_some() && self.remove_unpublished(&begun.name)?;
                Ok(was_there || left)
            });
            match ended {
                Ok(was_there) => swept += usize::from(was_there),
                Err(error) => {
                    notes.push(format!("what an interrupted run left could not be removed: {error}"));
                    kept.push(begun.clone());
                }
            }
            removed.insert(begun.name);
        }
        work.note(&kept)?;
        for object in objects {
            let Some(name) = object.name.strip_suffix(ARCHIVE_SUFFIX) else { continue };
            let is_abandoned = object.time_ms.saturating_add(ABANDONED_AFTER_MS) < time_ms;
            if !is_abandoned || removed.contains(name) || !is_unpublished(name) {
                continue;
            }
            match self.remove_unpublished(name) {
                Ok(was_there) => swept += usize::from(was_there),
                Err(error) => notes.push(format!("{} is not published and old: {error}", object.name)),
            }
        }
        Ok((swept, kept))
    }

    /// Removes an archive, unless it has a record by now.
    fn remove_unpublished(&self, name: &str) -> Result<bool, S3Error> {
        if self.bucket.head(&record_of(name))?.is_some() {
            return Ok(false);
        }
        self.bucket.remove(&archive_of(name)).map(|()| true)
    }

    /// The published backups, the oldest first; those that cannot be read before all. Of archives nothing is read: that they are there
    /// and as long as they should be is seen from the listing.
    pub fn list(&self) -> Result<Vec<Listed>, S3Error> {
        let objects = self.bucket.look()?;
        let names = objects.iter().filter_map(|object| object.name.strip_suffix(RECORD_SUFFIX));
        let names: Vec<&str> = names.filter(|name| !name.is_empty() && !name.starts_with('.')).collect();
        let read = |name: &str| {
            let name = name.to_owned();
            async move {
                match record_in(&self.bucket, &name).await {
                    Ok(record) => Ok(record.map(|record| (name, Ok(record)))),
                    Err(S3Error::Backup(error)) => Ok(Some((name, Err(error)))),
                    Err(error) => Err(error),
                }
            }
        };
        let records = stream::iter(names.into_iter().map(read)).buffered(RECORDS_AT_ONCE);
        let found: Vec<_> = self.bucket.run_any(records.try_collect())?;
        let mut listed: Vec<Listed> = found
            .into_iter()
            // One that went while it was looked at is none.
            .flatten()
            .map(|(name, record)| self.listed(&objects, name, record))
            .collect();
        let key = |listed: &Listed| (listed.record.as_ref().map_or(0, |r| r.time_ms), listed.name.clone());
        listed.sort_by_cached_key(key);
        Ok(listed)
    }

    fn listed(&self, objects: &[Object], name: String, record: Result<Record, BackupError>) -> Listed {
        let path = self.shown(&name);
        let archive = objects.iter().find(|object| object.name == archive_of(&name));
        let record = record.and_then(|record| {
            let what = match archive {
                Some(object) if object.bytes == record.archive_bytes() => return Ok(record),
                Some(object) => {
                    format!("it holds {} bytes instead of {}", object.bytes, record.archive_bytes())
                }
                None => "it is not there".to_owned(),
            };
            Err(BackupError::File { path: path.clone(), what })
        });
        let stored_bytes = archive.map_or(0, |object| object.bytes);
        Listed { name, form: Form::Archive, path, stored_bytes, record }
    }

    /// Fetches a backup, and checks and loads it as one in a folder.
    pub fn verify(&self, name: &str, progress: &Progress<'_>) -> Result<Listed, S3Error> {
        let name = name.strip_suffix(ARCHIVE_SUFFIX).unwrap_or(name);
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(BackupError::Name(name.to_owned()).into());
        }
        self.bucket.look()?;
        let path = self.shown(name);
        let found = record(&self.bucket, name)?;
        let found = found.ok_or_else(|| S3Error::NotPublished(path.display().to_string()))?;
        let work = Work::open(self.work.as_deref(), &self.bucket, "check")?;
        let advice = " there, or name another place with --work";
        read_to(&self.bucket, &found, &work.shelf(), advice, progress)?;
        match shelf::verify(&work.shelf(), name, progress) {
            Ok(listed) => Ok(Listed { path, ..listed }),
            Err(error) => Err(at(error, path).into()),
        }
    }

    /// Removes the backups that no rule keeps; returns their names. Those that cannot be read neither count nor go. The record
    /// goes first: nobody meets half a backup.
    pub fn retain(&self, rules: Retention) -> Result<Vec<String>, S3Error> {
        let mut removed = Vec::new();
        for Listed { name, .. } in rules.surplus(self.list()?) {
            self.bucket.remove(&record_of(&name))?;
            self.bucket.remove(&archive_of(&name))?;
            removed.push(name);
        }
        Ok(removed)
    }
}

impl Sending<'_> {
    fn object(&self) -> String {
        archive_of(&self.begun.name)
    }

    /// Sends the archive and reads it back.
    fn store(&self, taken: &Taken) -> Result<Record, S3Error> {
        let record = taken.record.clone();
        let parts = send(self.bucket, &self.object(), &self.begun.upload, &taken.path, self.progress)?;
        if let Err(error) = self.bucket.complete(&self.object(), &self.begun.upload, parts) {
            // The answer may have been lost, and not the request. Reading back decides.
            let found = self.bucket.head(&self.object());
            if !found.is_ok_and(|found| found.is_some_and(|object| object.bytes == record.archive_bytes())) {
                return Err(error);
            }
        }
        read_through(self.bucket, &record, "reading back", self.progress, |_| Ok(()))?;
        Ok(record)
    }

    /// Writes the record: from then on it counts.
    fn publish(&self, record: &Record) -> Result<(), S3Error> {
        let object = record_of(&self.begun.name);
        let text = Bytes::from(record.print());
        let put = self.bucket.put(&object, text.clone());
        let found = self.bucket.run_any(self.bucket.get(&object, MAX_RECORD_BYTES as u64));
        // Also here an answer may have been lost.
        if !matches!(&found, Ok(Some(found)) if *found == text) {
            put?;
            found?;
            return Err(S3Error::Vanished(self.bucket.address().shown(&object).display().to_string()));
        }
        // Somebody whose clock is a day ahead may have taken it for abandoned a moment ago.
        if self.bucket.head(&self.object())?.is_none() {
            self.bucket.remove(&object)?;
            return Err(S3Error::Vanished(self.bucket.address().shown(&self.object()).display().to_string()));
        }
        Ok(())
    }
}

/// An error in the copy of an archive, told of the archive.
fn at(error: BackupError, url: PathBuf) -> BackupError {
    match error {
        BackupError::Archive { error, .. } => BackupError::Archive { path: url, error },
        BackupError::File { what, .. } => BackupError::File { path: url, what },
        BackupError::Differs { wanted, found, .. } => BackupError::Differs { path: url, wanted, found },
        BackupError::Source(mut error) => {
            error.file = url.join(error.file.file_name().unwrap_or_default());
            BackupError::Source(error)
        }
        other => other,
    }
}
