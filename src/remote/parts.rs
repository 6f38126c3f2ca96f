//! A snapshot by parts, for passing it on to a server without loading it first.
//!
//! The parts are whole records that follow each other, cut by their lengths alone: the same ones in every process, and so the units
//! of a restore.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::NAMED_KEYS;
use super::plan::{Held, Item, Timed};
use super::state::key_text;
use crate::format::rdb::cut::{Cutter, Part, RawEntry};
use crate::format::rdb::{RdbError, RdbReader, ReadOptions, Record};
use crate::keyspace::Entry;
use crate::persistence::offline::Snapshot;

/// Bytes of a part, about.
pub const PART_BYTES: usize = 256 << 10;

/// A snapshot and where its parts lie.
pub struct Parts<'s> {
    snapshot: &'s Snapshot,
    parts: Vec<Part>,
    /// Keys of each part.
    keys: Vec<u64>,
    /// Databases that hold keys.
    pub used: BTreeSet<u32>,
    /// Hashes whose fields have times.
    pub timed: Timed,
    /// The database that all keys go to, if the URL names one.
    only: Option<u32>,
}

impl<'s> Parts<'s> {
    /// Walks over a snapshot once, and holds its bytes against its checksum meanwhile. `None` if something is wrong with it,
    /// which a load tells.
    pub fn of(snapshot: &'s Snapshot, only: Option<u32>) -> Option<Parts<'s>> {
        std::thread::scope(|scope| {
            let summed = scope.spawn(|| snapshot.is_sound());
            let (timed, used) = (Timed::default(), BTreeSet::new());
            let mut parts = Parts { snapshot, parts: Vec::new(), keys: Vec::new(), used, timed, only };
            let walked = parts.walk();
            (walked.is_ok() && summed.join().is_ok_and(|is_sound| is_sound)).then_some(parts)
        })
    }

    fn walk(&mut self) -> Result<(), RdbError> {
        let mut cutter = Cutter::new(self.snapshot.file(), &ReadOptions::default())?;
        let mut room = Vec::new();
        loop {
            let (begins, db, mut keys) = (cutter.offset(), cutter.db(), 0);
            let mut ends = begins;
            while ends - begins < PART_BYTES {
                let Some(entry) = cutter.next_raw()? else { break };
                (ends, keys) = (cutter.offset(), keys + 1);
                if entry.db != db || keys == 1 {
                    self.used.insert(entry.db);
                }
                if entry.has_field_times() {
                    self.timed.0 += 1;
                    if self.timed.1.len() < NAMED_KEYS {
                        let key = entry.key(&mut room)?;
                        let text = key_text(key.as_bytes(&mut itoa::Buffer::new()));
                        self.timed.1.push(format!("\"{text}\""));
                    }
                }
            }
            if keys == 0 {
                return Ok(());
            }
            self.parts.push(Part { bytes: begins..ends, db, version: cutter.version() });
            self.keys.push(keys);
        }
    }

    /// How many parts there are.
    pub fn count(&self) -> usize {
        self.parts.len()
    }

    /// Keys of a part.
    pub fn keys(&self, part: usize) -> u64 {
        self.keys.get(part).copied().unwrap_or(0)
    }

    /// Keys of all parts.
    pub fn all_keys(&self) -> u64 {
        self.keys.iter().sum()
    }

    /// Where a database's keys go.
    pub fn target_db(&self, db: u32) -> u32 {
        self.only.unwrap_or(db)
    }

    /// Whether keys go to another database than they are from.
    pub fn is_moved(&self) -> bool {
        self.used.iter().any(|db| self.target_db(*db) != *db)
    }

    /// Databases that keys go to.
    pub fn targets(&self) -> BTreeSet<u32> {
        self.used.iter().map(|db| self.target_db(*db)).collect()
    }

    /// Shows the keys of a part. What has been passed is given back at its end.
    pub fn each<E>(
        &self,
        part: usize,
        unreadable: impl Fn(RdbError) -> E,
        mut see: impl FnMut(RawEntry<'s>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(part) = self.parts.get(part) else { return Ok(()) };
        let mut cutter = Cutter::at(self.snapshot.file(), part, &ReadOptions::default());
        while cutter.offset() < part.bytes.end
            && let Some(entry) = cutter.next_raw().map_err(&unreadable)?
        {
            see(entry)?;
        }
        self.snapshot.file().release(part.bytes.clone());
        Ok(())
    }

    /// A key, decoded; `None` if it is an empty collection, as faulty old servers left some, which no load keeps.
    pub fn item(&self, place: &Place) -> Result<Option<Item<'s>>, RdbError> {
        let version = self.parts.first().map_or(0, |part| part.version);
        let part = Part { bytes: place.bytes.clone(), db: place.db, version };
        let bytes = self.snapshot.file().get(place.bytes.clone()).unwrap_or_default();
        let mut reader = RdbReader::of_part(bytes, &part, ReadOptions::default());
        while let Some(record) = reader.next_record()? {
            if let Record::Entry(entry) = record {
                let held = Held::Alone(Arc::new(Entry::new(entry.key, entry.value, entry.expire_at_ms)));
                return Ok(Some(Item { unit: place.unit, db: self.target_db(place.db), entry: held }));
            }
        }
        Ok(None)
    }
}

/// Where a key lies in a snapshot.
#[derive(Debug, Clone)]
pub struct Place {
    /// The part it belongs to.
    pub unit: u32,
    /// The database it is from.
    pub db: u32,
    /// Its record.
    pub bytes: std::ops::Range<usize>,
}
