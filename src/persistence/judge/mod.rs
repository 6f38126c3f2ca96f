//! Judging a snapshot without loading it: all cores, little memory, and the loader's verdict.
//!
//! The records are examined in parts ([`crate::format::rdb::examine`]), on several threads. Where one is doubted, the examination goes on
//! on one thread from the last part that was sound, so that the fault told is the first; and the record that is doubted is
//! shown to the loader's decoder, which has the last word.

mod keys;
mod resume;
mod tally;

use super::load::{Facts, Gathered, LoadError};
use super::parts::{Follower, decode_in_parts, sum};
pub use super::parts::{PassedRange, Plan};
use crate::base::crc::{crc64, crc64_joined};
use crate::format::rdb::cut::{Cutter, Part};
use crate::format::rdb::examine::{Buffers, Examiner, Seen};
use crate::format::rdb::{CHECKSUM_BYTES, HEADER_BYTES, RdbError, RdbErrorKind, RdbReader, ReadOptions};
use keys::KeyHashes;
pub use resume::After;
pub use tally::{DbCount, FORMS, Tally};

/// A doubted record of more bytes is not shown to the loader's decoder, which needs memory for its value.
const SHOWN_BYTES: usize = 64 << 20;

/// How a snapshot is judged.
pub struct Judging<'j> {
    /// How it is read.
    pub read: ReadOptions,
    /// How many databases there are, if that matters.
    pub databases: Option<u32>,
    /// How the work is divided; `None` for one thread.
    pub plan: Option<Plan>,
    /// Told of ranges that were read, in no order; for giving memory back.
    pub passed: PassedRange<'j>,
    /// Told how many bytes are done with.
    pub progress: &'j mut dyn FnMut(u64),
}

/// What was found.
#[derive(Debug)]
pub struct Judged {
    /// What the snapshot says about itself, as far as it was read. Sources of functions are left out.
    pub facts: Facts,
    /// What it holds, up to the fault.
    pub tally: Tally,
    /// The version of the format; 0 if not even that could be read.
    pub version: u16,
    /// What is wrong.
    pub fault: Option<Fault>,
}

/// What is wrong, and where.
#[derive(Debug)]
pub struct Fault {
    /// The loader's words.
    pub error: LoadError,
    /// The first byte of the record at fault, if it is one of the records.
    pub record_at: Option<u64>,
    /// Its key, if that can be read.
    pub key: Option<Vec<u8>>,
    /// Its database.
    pub db: u32,
    /// What can be read behind it.
    pub after: Option<After>,
}

/// A record that could not be read.
struct BadRecord {
    at: usize,
    db: u32,
    key: Option<Vec<u8>>,
    error: RdbError,
}

/// Judges the snapshot that begins at the first byte. Bytes behind its end are not looked at; how many it has,
/// [`Facts::bytes`] says.
pub fn judge(bytes: &[u8], judging: &mut Judging<'_>) -> Judged {
    judge_and(bytes, judging, true)
}

/// The fault of a snapshot that could not be loaded: the first in the order of its bytes.
pub(super) fn first_fault(bytes: &[u8], read: ReadOptions, databases: u32) -> LoadError {
    let (plan, databases) = (Plan::of(bytes.len()), Some(databases));
    let mut judging = Judging { read, databases, plan, passed: &|_| (), progress: &mut |_| () };
    let judged = judge_and(bytes, &mut judging, false);
    // If nothing is wrong with the bytes, they are not what they were when they were loaded.
    let changed = LoadError::Unfinished { offset: judged.facts.bytes };
    judged.fault.map_or(changed, |fault| fault.error)
}

fn judge_and(bytes: &[u8], judging: &mut Judging<'_>, look_behind: bool) -> Judged {
    let version = match Cutter::new(bytes, &judging.read) {
        Ok(cutter) => cutter.version(),
        Err(error) => return Judged::unreadable(error),
    };
    let mut walk = Walk::new(bytes, version, judging.databases);
    let ended = walk.in_parts(judging);
    let bad = if ended { None } else { walk.in_turn(judging).err() };
    let Walk { tally, gathered, hashes, end, wrong_database, .. } = walk;
    let facts = gathered.done(end as u64, tally.skipped_empty);
    let mut judged = Judged { facts, tally, version, fault: None };
    if let Some(bad) = bad {
        let is_checksum = matches!(bad.error.kind, RdbErrorKind::Checksum { .. });
        let look_behind = look_behind && !is_checksum;
        let after = look_behind.then(|| resume::after(bytes, version, bad.at, bad.db, judging));
        judged.fault = Some(Fault {
            record_at: (!is_checksum).then_some(bad.at as u64),
            key: bad.key,
            db: bad.db,
            after,
            error: LoadError::Rdb(bad.error),
        });
        return judged;
    }
    let twice = keys::first_twice(bytes, version, hashes, judging);
    // The sooner of the two is the one that a loader meets.
    judged.fault = match (twice, wrong_database) {
        (Some(twice), Some(wrong)) if wrong.error.offset() <= twice.error.offset() => Some(wrong),
        (twice, wrong) => twice.or(wrong),
    };
    judged
}

impl Judged {
    fn unreadable(error: RdbError) -> Judged {
        let error = LoadError::Rdb(error);
        let fault = Fault { error, record_at: None, key: None, db: 0, after: None };
        Judged { facts: Facts::default(), tally: Tally::default(), version: 0, fault: Some(fault) }
    }
}

/// What a part gave.
struct OfPart {
    tally: Tally,
    gathered: Gathered,
    hashes: Vec<u64>,
    wrong_database: Option<Fault>,
    db: u32,
    /// Where the loader would say that its next record begins.
    next: usize,
}

/// A walk over a snapshot, and what came of it so far.
struct Walk<'b> {
    bytes: &'b [u8],
    version: u16,
    databases: Option<u32>,
    tally: Tally,
    gathered: Gathered,
    hashes: KeyHashes,
    wrong_database: Option<Fault>,
    db: u32,
    /// Records up to here were sound; and the checksum of the bytes before it.
    end: usize,
    crc: u64,
}

impl<'b> Walk<'b> {
    fn new(bytes: &'b [u8], version: u16, databases: Option<u32>) -> Walk<'b> {
        Walk {
            bytes,
            version,
            databases,
            tally: Tally::default(),
            gathered: Gathered::default(),
            hashes: KeyHashes::new(),
            wrong_database: None,
            db: 0,
            end: HEADER_BYTES,
            crc: crc64(0, bytes.get(..HEADER_BYTES).unwrap_or_default()),
        }
    }

    /// True if all of it is sound.
    fn in_parts(&mut self, judging: &mut Judging<'_>) -> bool {
        let Some(plan) = judging.plan else { return false };
        let (bytes, read, passed, databases) = (self.bytes, judging.read, judging.passed, self.databases);
        let make = || {
            let mut buffers = Buffers::default();
            move |part: &Part| {
                let follower = Follower::new(passed, part.bytes.start);
                let tell = |at| follower.at(at);
                let taken = std::mem::take(&mut buffers);
                let mut examiner = Examiner::new(bytes, part, &read, taken).telling(&tell);
                let found = examine_part(&mut examiner, databases);
                buffers = examiner.into_buffers();
                found
            }
        };
        let progress = &mut judging.progress;
        let end = decode_in_parts(bytes, read, plan, passed, make, |found, part, crc| {
            self.absorb(found);
            (self.end, self.crc) = (part.bytes.end, crc);
            progress(part.bytes.end as u64);
        });
        let Ok(end) = end else { return false };
        self.gathered.facts.checksum = end.checksum;
        self.tally.records += 1;
        self.end = end.bytes as usize;
        true
    }

    fn absorb(&mut self, found: OfPart) {
        self.tally.absorb(found.tally);
        self.gathered.absorb(found.gathered);
        found.hashes.into_iter().for_each(|hash| self.hashes.push(hash));
        if self.wrong_database.is_none() {
            self.wrong_database = found.wrong_database;
        }
        self.db = found.db;
    }

    /// Goes on from the end of what was sound, on this thread, to the end or to the first fault.
    fn in_turn(&mut self, judging: &mut Judging<'_>) -> Result<(), BadRecord> {
        let mut buffers = Buffers::default();
        loop {
            let rest = Part { bytes: self.end..self.bytes.len(), db: self.db, version: self.version };
            let follower = Follower::new(judging.passed, self.end);
            let tell = |at| follower.at(at);
            let mut examiner = Examiner::new(self.bytes, &rest, &judging.read, buffers).telling(&tell);
            match self.records(&mut examiner, judging)? {
                Some(()) => return Ok(()),
                None => buffers = examiner.into_buffers(),
            }
        }
    }

    /// `None` if the loader's decoder has taken over in between, so that another examiner is needed.
    fn records(
        &mut self,
        examiner: &mut Examiner<'_>,
        judging: &mut Judging<'_>,
    ) -> Result<Option<()>, BadRecord> {
        loop {
            let at = examiner.offset();
            match examiner.next_record() {
                Ok(Some(Seen::End(written))) => {
                    self.tally.records += 1;
                    self.gathered.facts.checksum = written;
                    return self.checksum(examiner.offset(), written, judging).map(Some);
                }
                Ok(Some(seen)) => {
                    let mut found = OfPart::new(at, self.db);
                    found.take(seen, examiner, self.databases, at);
                    self.sum_to(examiner.offset(), judging);
                    self.absorb(found);
                }
                Ok(None) => return Ok(Some(())),
                Err(error) => {
                    let key = error.key.as_deref().map(<[u8]>::to_vec);
                    let bad = BadRecord { at, db: self.db, key, error };
                    self.show(bad, judging)?;
                    return Ok(None);
                }
            }
            if at >> 22 != examiner.offset() >> 22 {
                (judging.progress)(at as u64);
            }
        }
    }

    fn sum_to(&mut self, end: usize, judging: &Judging<'_>) {
        let range = self.end..end;
        self.end = end;
        if judging.read.verify_checksum {
            self.crc = match range.len() {
                0..=SUMMED_IN_PLACE_BYTES => crc64(self.crc, self.bytes.get(range).unwrap_or_default()),
                long => crc64_joined(self.crc, sum(self.bytes, &range, judging.passed), long as u64),
            };
        }
    }

    fn checksum(&mut self, end: usize, written: Option<u64>, judging: &Judging<'_>) -> Result<(), BadRecord> {
        let at = self.end;
        if let Some(written) = written {
            self.sum_to(end - CHECKSUM_BYTES, judging);
            if judging.read.verify_checksum && written != self.crc {
                let kind = RdbErrorKind::Checksum { written, found: self.crc };
                let error = RdbError { offset: end as u64, key: None, kind };
                return Err(BadRecord { at, db: self.db, key: None, error });
            }
        }
        self.end = end;
        Ok(())
    }

    /// Shows a doubted record to the loader's decoder.
    fn show(&mut self, bad: BadRecord, judging: &Judging<'_>) -> Result<(), BadRecord> {
        if bad.error.offset.saturating_sub(bad.at as u64) > SHOWN_BYTES as u64 {
            return Err(bad);
        }
        let rest = self.bytes.get(bad.at..).unwrap_or_default();
        let part = Part { bytes: bad.at..self.bytes.len(), db: self.db, version: self.version };
        let read = ReadOptions { verify_checksum: false, ..judging.read };
        let mut reader = RdbReader::of_part(rest, &part, read);
        match reader.next_record() {
            Err(error) => {
                let key = error.key.as_deref().map(<[u8]>::to_vec);
                Err(BadRecord { key: key.or(bad.key), error, ..bad })
            }
            // It is taken after all.
            Ok(record) => {
                let mut found = OfPart::new(bad.at, self.db);
                if let Some(record) = &record {
                    found.take_record(record, bad.at, self.databases);
                }
                let end = reader.offset() as usize;
                if end <= bad.at {
                    // A part may end between two records, but a snapshot has an end.
                    return Err(bad);
                }
                self.sum_to(end, judging);
                self.absorb(found);
                Ok(())
            }
        }
    }
}

/// Records of fewer bytes are summed up as they are passed.
const SUMMED_IN_PLACE_BYTES: usize = 1 << 20;

fn examine_part(examiner: &mut Examiner<'_>, databases: Option<u32>) -> Result<OfPart, RdbError> {
    let mut at = examiner.offset();
    let mut found = OfPart::new(at, examiner.db());
    while let Some(seen) = examiner.next_record()? {
        found.take(seen, examiner, databases, at);
        at = examiner.offset();
    }
    Ok(found)
}

impl OfPart {
    fn new(next: usize, db: u32) -> OfPart {
        OfPart {
            tally: Tally::default(),
            gathered: Gathered::default(),
            hashes: Vec::new(),
            wrong_database: None,
            db,
            next,
        }
    }

    /// Takes a record that begins at `at`.
    fn take(&mut self, seen: Seen, examiner: &Examiner<'_>, databases: Option<u32>, at: usize) {
        self.db = examiner.db();
        match seen {
            Seen::Aux => {
                self.gathered.aux(examiner.key(), examiner.text());
                self.tally.aux(examiner.key(), examiner.text());
            }
            Seen::Entry { db, form, held, expire_at_ms } => {
                self.gathered.facts.keys += 1;
                self.tally.entry(db, form, held, expire_at_ms.is_some());
                self.hashes.push(keys::hash_of(db, examiner.key()));
                self.check_database(db, examiner.key(), at, databases);
            }
            Seen::Empty => self.tally.skipped_empty += 1,
            Seen::Function => self.tally.function(),
            Seen::SelectDb(_) | Seen::ResizeDb | Seen::End(_) => self.tally.records += 1,
            Seen::Skipped => {}
        }
        // What a loader passes over silently belongs to the record that follows.
        if !matches!(seen, Seen::Empty | Seen::Skipped) {
            self.next = examiner.offset();
        }
    }

    fn check_database(&mut self, db: u32, key: &[u8], at: usize, databases: Option<u32>) {
        if let Some(databases) = databases
            && db >= databases
            && self.wrong_database.is_none()
        {
            let error = LoadError::Database { db, databases, offset: self.next as u64 };
            let (record_at, key) = (Some(at as u64), Some(key.to_vec()));
            self.wrong_database = Some(Fault { error, record_at, key, db, after: None });
        }
    }
}
