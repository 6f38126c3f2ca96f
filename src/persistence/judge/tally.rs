//! Counting what a snapshot holds.

use super::OfPart;
use crate::format::rdb::Record;
use crate::format::rdb::examine::{Form, Held};
use crate::value::Value;

/// Facts about the snapshot that are kept word by word.
const MOST_AUX: usize = 64;
/// Bytes of each that are kept.
const MOST_AUX_BYTES: usize = 256;

/// The ways in which a value lies in a file: the number of the type in the file (the two last are strings, which have one
/// type), the type of the key, and what the way is called.
pub const FORMS: [(u8, &str, &str); 26] = [
    (0, "string", "plain"),
    (30, "string", "number"),
    (31, "string", "lzf"),
    (1, "list", "elements"),
    (10, "list", "ziplist"),
    (14, "list", "quicklist of ziplists"),
    (18, "list", "quicklist"),
    (2, "set", "members"),
    (11, "set", "intset"),
    (20, "set", "listpack"),
    (3, "zset", "members, scores as text"),
    (5, "zset", "members"),
    (12, "zset", "ziplist"),
    (17, "zset", "listpack"),
    (4, "hash", "fields"),
    (9, "hash", "zipmap"),
    (13, "hash", "ziplist"),
    (16, "hash", "listpack"),
    (22, "hash", "fields with times (7.4 pre-release)"),
    (23, "hash", "listpack with times (7.4 pre-release)"),
    (24, "hash", "fields with times"),
    (25, "hash", "listpack with times"),
    (15, "stream", "listpacks"),
    (19, "stream", "listpacks (7.0)"),
    (21, "stream", "listpacks (7.2)"),
    (29, "?", "shown to the loader"),
];

/// Numbers of forms.
const FORM_NUMBERS: usize = 32;
const INT: u8 = 30;
const PACKED: u8 = 31;

/// Keys of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbCount {
    /// The database.
    pub db: u32,
    /// Its keys.
    pub keys: u64,
    /// Keys of them that expire.
    pub expiring: u64,
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records: keys, facts about the file, marks.
    pub records: u64,
    /// Keys.
    pub keys: u64,
    /// Keys of them that expire.
    pub expiring: u64,
    /// Elements of collections: members, fields, entries.
    pub elements: u64,
    /// Fields of hashes that carry a time.
    pub timed_fields: u64,
    /// Collections without elements, which a loader leaves out.
    pub skipped_empty: u64,
    /// Function libraries.
    pub functions: u64,
    /// Databases in the order of the file.
    pub databases: Vec<DbCount>,
    /// Facts about the snapshot, in the order of the file.
    pub aux: Vec<(Vec<u8>, Vec<u8>)>,
    forms: [u64; FORM_NUMBERS],
}

impl Tally {
    /// Keys by the way their values lie in the file, as in [`FORMS`]; those that do not occur are left out.
    pub fn forms(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let counted = FORMS
            .iter()
            .map(|(n, kind, way)| (*kind, *way, self.forms.get(usize::from(*n)).copied().unwrap_or(0)));
        counted.filter(|(.., count)| *count > 0)
    }

    pub(super) fn aux(&mut self, key: &[u8], value: &[u8]) {
        self.records += 1;
        let kept = |bytes: &[u8]| bytes.get(..MOST_AUX_BYTES).unwrap_or(bytes).to_vec();
        if self.aux.len() < MOST_AUX {
            self.aux.push((kept(key), kept(value)));
        }
    }

    pub(super) fn function(&mut self) {
        self.records += 1;
        self.functions += 1;
    }

    pub(super) fn entry(&mut self, db: u32, form: Form, held: Held, expires: bool) {
        let number = match form {
            Form { is_int: true, .. } => INT,
            Form { is_packed: true, .. } => PACKED,
            Form { kind, .. } => kind,
        };
        self.records += 1;
        self.keys += 1;
        self.elements += held.elements;
        self.timed_fields += held.timed;
        self.expiring += u64::from(expires);
        if let Some(count) = self.forms.get_mut(usize::from(number)) {
            *count += 1;
        }
        self.count(DbCount { db, keys: 1, expiring: u64::from(expires) });
    }

    fn count(&mut self, more: DbCount) {
        // Nearly always the same as before.
        match self.databases.iter_mut().rev().find(|count| count.db == more.db) {
            Some(count) => {
                count.keys += more.keys;
                count.expiring += more.expiring;
            }
            None => self.databases.push(more),
        }
    }

    pub(super) fn absorb(&mut self, later: Tally) {
        self.records += later.records;
        self.keys += later.keys;
        self.expiring += later.expiring;
        self.elements += later.elements;
        self.timed_fields += later.timed_fields;
        self.skipped_empty += later.skipped_empty;
        self.functions += later.functions;
        later.databases.into_iter().for_each(|more| self.count(more));
        let room = MOST_AUX.saturating_sub(self.aux.len());
        self.aux.extend(later.aux.into_iter().take(room));
        self.forms.iter_mut().zip(later.forms).for_each(|(sum, more)| *sum += more);
    }
}

/// The number of a form that only the loader's decoder took.
const SHOWN: u8 = 29;

impl OfPart {
    /// Takes a record that the loader's decoder has read.
    pub(super) fn take_record(&mut self, record: &Record<'_>, at: usize, databases: Option<u32>) {
        match record {
            Record::Entry(entry) => {
                let timed = match &entry.value {
                    Value::Hash(hash) => hash.count_times() as u64,
                    _ => 0,
                };
                self.gathered.facts.keys += 1;
                let form = Form { kind: SHOWN, is_int: false, is_packed: false };
                self.tally.entry(entry.db, form, Held { elements: 0, timed }, entry.expire_at_ms.is_some());
                self.hashes.push(super::keys::hash_of(entry.db, entry.key));
                self.check_database(entry.db, entry.key, at, databases);
                self.db = entry.db;
            }
            Record::Aux { key, value } => {
                self.gathered.aux(key, value);
                self.tally.aux(key, value);
            }
            Record::SelectDb(db) => {
                self.db = *db;
                self.tally.records += 1;
            }
            Record::FunctionCode(_) => self.tally.function(),
            Record::ResizeDb { .. } | Record::End { .. } => self.tally.records += 1,
        }
    }
}
