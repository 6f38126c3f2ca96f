//! An object, read in pieces and held against its record as it comes.

use super::address::Address;
use super::bucket::Bucket;
use super::{S3Error, archive_of, record_of};
use crate::storage::S3Options;
use futures_util::{StreamExt, TryStreamExt, stream};
use outrigger::backup::{BackupError, Progress};
use outrigger::base::crc::crc64;
use outrigger::format::archive::{ArchiveError, MAX_RECORD_BYTES, Record, Walk};
use outrigger::sys::scratch::{Scratch, ScratchError};
use outrigger::sys::{Disk, RealDisk, nearest_folder};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of a piece.
const PIECE_BYTES: u64 = 8 << 20;
/// Pieces that are under way at once.
const PIECES_AT_ONCE: usize = 3;
/// What a folder for an archive that is fetched is called.
const PREFIX: &str = ".outrigger-fetched-";

/// The record of a published backup; `None` if there is none of that name.
pub fn record(bucket: &Bucket, name: &str) -> Result<Option<Record>, S3Error> {
    bucket.run_any(record_in(bucket, name))
}

/// As [`record`], beside other requests.
pub async fn record_in(bucket: &Bucket, name: &str) -> Result<Option<Record>, S3Error> {
    let object = record_of(name);
    let Some(text) = bucket.get(&object, MAX_RECORD_BYTES as u64).await? else { return Ok(None) };
    let bad = |error| BackupError::Archive { path: bucket.address().shown(&object), error };
    let record = Record::parse(&text).map_err(bad)?;
    match record.name == name {
        true => Ok(Some(record)),
        // Somebody gave it another name.
        false => Err(bad(ArchiveError::Record { at: 0, what: "the name of its object" }).into()),
    }
}

/// Reads an archive through and holds every byte against its record; `keep` is given the bytes.
pub fn read_through(
    bucket: &Bucket,
    record: &Record,
    told: &'static str,
    progress: &Progress<'_>,
    mut keep: impl FnMut(&[u8]) -> Result<(), S3Error>,
) -> Result<(), S3Error> {
    let object = archive_of(&record.name);
    let path = bucket.address().shown(&object);
    let bad = |error| S3Error::Backup(BackupError::Archive { path: path.clone(), error });
    let total = record.archive_bytes();
    match bucket.head(&object)? {
        Some(found) if found.bytes == total => {}
        Some(found) => {
            let what = format!("it holds {} bytes instead of {total}", found.bytes);
            return Err(BackupError::File { path, what }.into());
        }
        None => return Err(BackupError::File { path, what: "it is not there".to_owned() }.into()),
    }
    let doing = bucket.about("reading", &object);
    let (name, doing) = (&*object, &*doing);
    let piece = |number: u64| async move {
        let from = number * PIECE_BYTES;
        let got = bucket.get_part(name, from..total.min(from + PIECE_BYTES)).await;
        got.map_err(|error| bucket.explained(doing, &error))
    };
    let mut walk = Walk::new(record);
    let mut done = 0;
    let pieces = stream::iter(0..total.div_ceil(PIECE_BYTES)).map(piece).buffered(PIECES_AT_ONCE);
    let mut judge = |bytes: bytes::Bytes| {
        walk.feed(&bytes).map_err(bad)?;
        keep(&bytes)?;
        done += bytes.len() as u64;
        progress(told, done, total);
        Ok(())
    };
    bucket.run_any(pieces.try_for_each(|bytes| std::future::ready(judge(bytes))))?;
    walk.finish().map_err(bad)
}

/// Reads an archive into the folder `home`, under the name that it has in the bucket.
pub fn read_to(
    bucket: &Bucket,
    record: &Record,
    home: &Path,
    advice: &'static str,
    progress: &Progress<'_>,
) -> Result<PathBuf, S3Error> {
    let path = home.join(archive_of(&record.name));
    let available = RealDisk.available_bytes(home).map_err(BackupError::from)?;
    // It is unpacked beside itself afterwards.
    let needed = record.archive_bytes().saturating_add(record.bytes());
    if available < needed {
        return Err(S3Error::NoRoom { folder: home.to_owned(), needed, available, advice });
    }
    let fail = |doing| {
        let path = path.clone();
        move |error| S3Error::Disk { doing, path, error }
    };
    let mut file = File::create_new(&path).map_err(fail("create"))?;
    read_through(bucket, record, "downloading", progress, |bytes| {
        file.write_all(bytes).map_err(fail("write"))
    })?;
    Ok(path)
}

/// Fetches the archive that an address names into a folder beside `near` (or the first one above it that is there), which goes
/// when what is returned does.
pub fn fetch(
    from: &str,
    near: &Path,
    options: &S3Options,
    progress: &Progress<'_>,
) -> Result<(Scratch, PathBuf), S3Error> {
    let (address, name) = Address::parse_archive(from)?;
    let bucket = Bucket::connect(address, options)?;
    bucket.look()?;
    let record = record(&bucket, &name)?.ok_or_else(|| S3Error::NotPublished(from.to_owned()))?;
    let near = nearest_folder(near).map_err(BackupError::from)?;
    let tag = format!("{:016x}", crc64(0, &record.print()));
    let home = Scratch::begin(&near, PREFIX, &tag).map_err(|error| match error {
        ScratchError::Disk(error) => {
            S3Error::Disk { doing: "make a folder in", path: near.clone(), error: error.source }
        }
        ScratchError::Busy(error) => BackupError::from(error).into(),
    })?;
    let advice = " there, or restore to another disk";
    let archive = read_to(&bucket, &record, home.path(), advice, progress)?;
    Ok((home, archive))
}
