//! Walking the values of a snapshot file, on several threads, in the order of the file.

use super::snapshot::open;
use super::{SnapshotReport, ToolError, check_snapshot};
use crate::format::rdb::cut::Part;
use crate::format::rdb::{HEADER_BYTES, RdbError, RdbReader, ReadOptions, Record};
use crate::persistence::load::LoadError;
use crate::persistence::parts::{Plan, decode_in_parts};
use crate::sys::MappedFile;
use std::path::Path;

/// Bytes of the file that one thread alone decodes before it hands over what came of them.
const HANDED_OVER_BYTES: u64 = 1 << 20;

/// A walk that met a fault: what stands before it was handed over.
#[derive(Debug)]
pub(super) struct Stopped(pub(super) LoadError);

/// Opens a file for a walk. That it is a snapshot at all is seen to.
pub(super) fn open_snapshot(path: &Path) -> Result<MappedFile, ToolError> {
    let file = open(path)?;
    let header = file.get(..HEADER_BYTES).unwrap_or(&file);
    if RdbReader::new(header, ReadOptions::default()).next_record().is_err_and(|error| error.offset == 0) {
        // It says better what this is.
        let SnapshotReport { judged, .. } = check_snapshot(path, None, &mut |_, _| ())?;
        if let Some(fault) = judged.fault {
            return Err(ToolError::NoSnapshot { path: path.to_owned(), error: fault.error.to_string() });
        }
    }
    Ok(file)
}

/// Decodes the records, lets `see` take them up into what is handed over to `take` every now and then, with the byte up to
/// which that is.
pub(super) fn walk<T: Default + Send>(
    file: &MappedFile,
    see: impl Fn(&mut T, Record<'_>) + Sync,
    mut take: impl FnMut(T, u64),
) -> Result<(), Stopped> {
    let (bytes, read) = (&file[..], ReadOptions { verify_checksum: false, ..ReadOptions::default() });
    let version = crate::format::rdb::cut::Cutter::new(bytes, &read).map_err(stopped)?.version();
    let mut rest = Part { bytes: HEADER_BYTES..bytes.len(), db: 0, version };
    if let Some(plan) = Plan::of(bytes.len()) {
        let work = |part: &Part| {
            let slice = bytes.get(part.bytes.clone()).unwrap_or_default();
            let mut reader = RdbReader::of_part(slice, part, read);
            let (mut taken, mut db) = (T::default(), part.db);
            while let Some(record) = reader.next_record()? {
                if let Record::SelectDb(selected) = record {
                    db = selected;
                }
                see(&mut taken, record);
            }
            Ok::<_, RdbError>((taken, db))
        };
        let passed = |range| file.release(range);
        let ended = decode_in_parts(
            bytes,
            read,
            plan,
            &passed,
            || &work,
            |(taken, db), part, _| {
                (rest.bytes.start, rest.db) = (part.bytes.end, db);
                take(taken, part.bytes.end as u64);
            },
        );
        if ended.is_ok() {
            return Ok(());
        }
    }
    let mut reader = RdbReader::of_part(bytes.get(rest.bytes.clone()).unwrap_or_default(), &rest, read);
    let (mut taken, mut handed_over) = (T::default(), rest.bytes.start as u64);
    let mut behind = file.behind(rest.bytes.start);
    loop {
        let (ended, failed) = match reader.next_record() {
            Ok(Some(Record::End { .. })) => (true, None),
            // The bytes end between two records: a snapshot has an end.
            Ok(None) => (true, Some(LoadError::Unfinished { offset: reader.offset() })),
            Ok(Some(record)) => {
                see(&mut taken, record);
                (false, None)
            }
            Err(error) => (true, Some(LoadError::Rdb(error))),
        };
        let at = reader.offset();
        if ended || at - handed_over >= HANDED_OVER_BYTES {
            take(std::mem::take(&mut taken), at);
            handed_over = at;
            behind.at(at as usize);
        }
        match (failed, ended) {
            (Some(error), _) => return Err(Stopped(error)),
            (None, true) => return Ok(()),
            (None, false) => {}
        }
    }
}

fn stopped(error: RdbError) -> Stopped {
    Stopped(LoadError::Rdb(error))
}
