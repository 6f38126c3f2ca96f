//! The folder that holds the backups.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::pack::{read_index, unpack};
use super::rehearsal::rehearse;
use super::{ARCHIVE_SUFFIX, BackupError, Form, Progress, RECORD_FILE};
use crate::base::crc::crc64;
use crate::format::archive::{ArchiveError, MAX_RECORD_BYTES, Record, Role, StoredFile};
use crate::persistence::names::Names;
use crate::persistence::toolbox::APPEND_FOLDER;
use crate::sys::disk::TEMPORARY_PREFIX;
use crate::sys::lock::FolderLock;
use crate::sys::{Disk, DiskError, EntryKind, RealDisk, remove_tree};

/// What is read at a time.
const READ_BYTES: usize = 1 << 20;
/// A day.
const DAY_MS: u64 = 86_400_000;
/// The first Monday lies so many days behind the first of January 1970.
const FIRST_MONDAY_DAYS: u64 = 4;

/// A backup that is there.
#[derive(Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// How it lies there.
    pub form: Form,
    /// Where.
    pub path: PathBuf,
    /// Bytes that it takes.
    pub stored_bytes: u64,
    /// What its record says; or what is wrong with it. Files are there and as long as they should be; their bytes were not read.
    pub record: Result<Record, BackupError>,
}

/// All backups in a folder, the oldest first; those that cannot be read before all.
pub fn list(folder: &Path) -> Result<Vec<Listed>, BackupError> {
    list_on(&RealDisk, folder)
}

pub(super) fn list_on(disk: &dyn Disk, folder: &Path) -> Result<Vec<Listed>, BackupError> {
    let mut found = Vec::new();
    for entry in disk.list_dir(folder)? {
        let path = folder.join(&entry.name);
        let Some(name) = entry.name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        match entry.kind {
            EntryKind::Dir if disk.file_len(&path.join(RECORD_FILE))?.is_some() => {
                let record = read_record(disk, &path).and_then(|record| look(disk, &path, record));
                let stored_bytes = record.as_ref().map_or(0, Record::bytes);
                let (name, form) = (name.to_owned(), Form::Folder);
                found.push(Listed { name, form, path, stored_bytes, record });
            }
            EntryKind::File => {
                let Some(name) = name.strip_suffix(ARCHIVE_SUFFIX) else { continue };
                let record = read_index(disk, &path);
                let (name, form, stored_bytes) = (name.to_owned(), Form::Archive, entry.len);
                found.push(Listed { name, form, path, stored_bytes, record });
            }
            _ => {}
        }
    }
    found.sort_by_cached_key(|listed| (listed.record.as_ref().map_or(0, |r| r.time_ms), listed.name.clone()));
    Ok(found)
}

/// What the record of a folder says.
pub(super) fn read_record(disk: &dyn Disk, folder: &Path) -> Result<Record, BackupError> {
    let path = folder.join(RECORD_FILE);
    let reader = disk.open_read(&path)?;
    let len = usize::try_from(reader.len()?).unwrap_or(usize::MAX).min(MAX_RECORD_BYTES + 1);
    let mut text = vec![0; len];
    let read = reader.read_at(0, &mut text)?;
    let record = Record::parse(text.get(..read).unwrap_or_default());
    record.map_err(|error| BackupError::Archive { path, error })
}

fn path_in(folder: &Path, file: &StoredFile) -> PathBuf {
    folder.join(APPEND_FOLDER).join(std::ffi::OsStr::from_bytes(&file.name))
}

/// Are the files there, as long as they should be?
fn look(disk: &dyn Disk, folder: &Path, record: Record) -> Result<Record, BackupError> {
    for file in &record.files {
        let path = path_in(folder, file);
        let what = match disk.file_len(&path)? {
            Some(len) if len == file.bytes => continue,
            Some(len) => format!("it holds {len} bytes instead of {}", file.bytes),
            None => "it is not there".to_owned(),
        };
        return Err(BackupError::File { path, what });
    }
    Ok(record)
}

/// Length and CRC64 of a file.
pub(super) fn checksum(disk: &dyn Disk, path: &Path) -> Result<(u64, u64), BackupError> {
    let reader = disk.open_read(path)?;
    let mut buffer = vec![0; READ_BYTES];
    let (mut at, mut crc) = (0, 0);
    loop {
        let read = reader.read_at(at, &mut buffer)?;
        if read == 0 {
            return Ok((at, crc));
        }
        crc = crc64(crc, &buffer[..read]);
        at += read as u64;
    }
}

/// Reads a backup through, loads it, and compares with what its record says.
pub fn verify(folder: &Path, name: &str, progress: &Progress<'_>) -> Result<Listed, BackupError> {
    let _lock = FolderLock::acquire(folder)?;
    sweep(&RealDisk, folder)?;
    verify_on(&RealDisk, folder, name, progress)
}

pub(super) fn verify_on(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    progress: &Progress<'_>,
) -> Result<Listed, BackupError> {
    let plain = name.strip_suffix(ARCHIVE_SUFFIX).unwrap_or(name).trim_end_matches('/');
    let mut all = list_on(disk, folder)?.into_iter().filter(|listed| listed.name == plain);
    let none = || BackupError::NoSuch { folder: folder.to_owned(), name: name.to_owned() };
    let mut listed = all.next().ok_or_else(none)?;
    let record = listed.record?;
    match listed.form {
        Form::Folder => {
            for file in &record.files {
                let path = path_in(&listed.path, file);
                let (_, found) = checksum(disk, &path)?;
                if found != file.crc {
                    let name = path.display().to_string();
                    let error = ArchiveError::File { name, recorded: file.crc, found };
                    return Err(BackupError::Archive { path: listed.path, error });
                }
            }
            compare(disk, &listed.path, &record, &listed.path, progress)?;
        }
        Form::Archive => {
            let work = folder.join(format!("{TEMPORARY_PREFIX}check-{plain}"));
            let checked = unpack(disk, &listed.path, &record.files, &work.join(APPEND_FOLDER), progress)
                .and_then(|()| compare(disk, &work, &record, &listed.path, progress));
            let _ = remove_tree(disk, &work);
            checked?;
        }
    }
    listed.record = Ok(record);
    Ok(listed)
}

/// The names of the files of a backup in a data folder.
pub(super) fn names_of(record: &Record, dir: &Path) -> Result<Names, BackupError> {
    let manifest = record.files.iter().find(|file| file.role == Role::Manifest);
    let prefix = manifest
        .and_then(|file| std::str::from_utf8(&file.name).ok())
        .and_then(|name| name.strip_suffix(".manifest"));
    let names = prefix.and_then(|prefix| Names::new(dir, APPEND_FOLDER, prefix).ok());
    let error = ArchiveError::Record { at: 0, what: "a manifest among the files" };
    names.ok_or_else(|| BackupError::Archive { path: dir.to_owned(), error })
}

fn compare(
    disk: &dyn Disk,
    dir: &Path,
    record: &Record,
    path: &Path,
    progress: &Progress<'_>,
) -> Result<(), BackupError> {
    rehearse(disk, &names_of(record, dir)?, record.databases, progress)?.compare(record, path)
}

/// Removes what interrupted backups left; how much there was. Only under the folder's lock: nobody else is at work then.
pub(super) fn sweep(disk: &dyn Disk, folder: &Path) -> Result<usize, DiskError> {
    let mut swept = 0;
    for entry in disk.list_dir(folder)? {
        if !entry.name.as_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) {
            continue;
        }
        let path = folder.join(&entry.name);
        match entry.kind {
            EntryKind::File => disk.remove_file(&path)?,
            EntryKind::Dir => remove_tree(disk, &path)?,
            EntryKind::Other => continue,
        }
        swept += 1;
    }
    if swept > 0 {
        disk.sync_dir(folder)?;
    }
    Ok(swept)
}

/// Which backups are kept. What a rule keeps, another one cannot remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The latest ones; one at least.
    pub last: usize,
    /// Of so many days (UTC) that have one, the latest of each.
    pub daily: usize,
    /// Of so many weeks (from Monday, UTC) that have one, the latest of each.
    pub weekly: usize,
}

impl Retention {
    /// Of these backups, from the oldest to the latest, those that no rule keeps. What cannot be read neither counts nor goes.
    pub fn surplus(&self, listed: Vec<Listed>) -> Vec<Listed> {
        let (good, times): (Vec<Listed>, Vec<u64>) = listed
            .into_iter()
            .filter_map(|listed| {
                let time_ms = listed.record.as_ref().ok()?.time_ms;
                Some((listed, time_ms))
            })
            .unzip();
        let kept = self.kept(&times);
        let places = good.into_iter().enumerate();
        places.filter(|(place, _)| !kept.contains(place)).map(|(_, listed)| listed).collect()
    }

    /// The places of those that stay, among times from the oldest to the latest.
    fn kept(&self, times: &[u64]) -> BTreeSet<usize> {
        let newest_first = || (0..times.len()).rev();
        let mut kept: BTreeSet<usize> = newest_first().take(self.last.max(1)).collect();
        let day = |ms: u64| ms / DAY_MS;
        let week = |ms: u64| (day(ms) + 7 - FIRST_MONDAY_DAYS) / 7;
        let mut of_each = |period: &dyn Fn(u64) -> u64, count: usize| {
            let mut seen = BTreeSet::new();
            for place in newest_first() {
                if seen.len() < count && seen.insert(period(times[place])) {
                    kept.insert(place);
                }
            }
        };
        of_each(&day, self.daily);
        of_each(&week, self.weekly);
        kept
    }
}

/// Removes the backups that no rule keeps; returns their names. Those that cannot be read neither count nor go.
pub fn retain(folder: &Path, rules: Retention) -> Result<Vec<String>, BackupError> {
    let _lock = FolderLock::acquire(folder)?;
    retain_on(&RealDisk, folder, rules)
}

pub(super) fn retain_on(
    disk: &dyn Disk,
    folder: &Path,
    rules: Retention,
) -> Result<Vec<String>, BackupError> {
    let mut removed = Vec::new();
    for listed in rules.surplus(list_on(disk, folder)?) {
        // It loses its name first: nobody meets half a backup.
        let gone = folder.join(format!("{TEMPORARY_PREFIX}gone-{}", listed.name));
        disk.rename_durable(&listed.path, &gone)?;
        match listed.form {
            Form::Folder => remove_tree(disk, &gone)?,
            Form::Archive => disk.remove_file(&gone)?,
        }
        removed.push(listed.name);
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_keep_the_latest_of_each_period() {
        let hour = 3_600_000;
        // Four backups a day for 30 days from a Monday on.
        let start = 19_723 * DAY_MS;
        assert_eq!((19_723 + 7 - FIRST_MONDAY_DAYS) % 7, 0, "2024-01-01 is a Monday");
        let times: Vec<u64> = (0..120).map(|turn| start + turn * 6 * hour).collect();
        let kept = |last, daily, weekly| {
            Retention { last, daily, weekly }.kept(&times).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(kept(2, 0, 0), [118, 119]);
        assert_eq!(kept(0, 0, 0), [119], "the only one that is left stays");
        assert_eq!(kept(1, 3, 0), [111, 115, 119]);
        // Sundays are days 6, 13, 20, 27; the last week has begun.
        assert_eq!(kept(1, 0, 3), [83, 111, 119]);
        assert_eq!(kept(3, 2, 2), [111, 115, 117, 118, 119]);
        assert_eq!(kept(500, 0, 0).len(), 120);
        assert!(Retention { last: 5, daily: 1, weekly: 1 }.kept(&[]).is_empty());
    }
}
