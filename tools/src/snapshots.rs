//! What `rdb-check` prints.

use crate::output;
use crate::views::{Damage, Moment, Place};
use outrigger::persistence::judge::{After, Fault, Tally};
use outrigger::persistence::toolbox::SnapshotReport;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What `rdb-check` found.
#[derive(Debug, Serialize)]
pub struct SnapshotView {
    /// The file.
    #[serde(serialize_with = "output::path")]
    pub path: PathBuf,
    /// Whether it loads.
    pub sound: bool,
    /// Its length.
    pub bytes: u64,
    /// The version of the format.
    pub version: u16,
    /// Records read, up to the damage.
    pub records: u64,
    /// Keys read.
    pub keys: u64,
    /// Keys of them that expire.
    pub expiring: u64,
    /// Members, fields and entries in collections.
    pub elements: u64,
    /// Fields of hashes that expire.
    pub expiring_fields: u64,
    /// Collections without elements, which a start leaves out.
    pub skipped_empty: u64,
    /// Keys by database.
    pub databases: Vec<DatabaseView>,
    /// Keys by type and encoding.
    pub encodings: Vec<EncodingView>,
    /// What the file says about itself, as it says it.
    pub facts: Vec<FactView>,
    /// Its place in a history.
    pub place: Option<Place>,
    /// The history's epoch, if the file tells it.
    pub epoch: Option<u64>,
    /// When it was taken.
    pub time: Option<Moment>,
    /// CRC64 that was verified, hex.
    pub crc64: Option<String>,
    /// Function libraries in it.
    pub functions: u64,
    /// Damage.
    pub damage: Option<Damage>,
    /// Where exactly, and what can be read around it.
    pub around: Option<AroundView>,
}

/// Keys of a database.
#[derive(Debug, Serialize)]
pub struct DatabaseView {
    /// Its number.
    pub db: u32,
    /// Keys.
    pub keys: u64,
    /// Of them, those that expire.
    pub expiring: u64,
}

/// Keys of a type and encoding.
#[derive(Debug, Serialize)]
pub struct EncodingView {
    /// The type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How it lies in the file.
    pub encoding: &'static str,
    /// Keys.
    pub keys: u64,
}

/// A fact that the file tells about itself.
#[derive(Debug, Serialize)]
pub struct FactView {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What can be read around the damage.
#[derive(Debug, Serialize)]
pub struct AroundView {
    /// The first byte of the damaged record.
    pub record_at: Option<u64>,
    /// Its database.
    pub db: u32,
    /// Its key, escaped.
    pub key: Option<String>,
    /// Keys before it, all sound.
    pub keys_before: u64,
    /// Where reading can go on behind it.
    pub resumes_at: Option<u64>,
    /// Whether the damaged record's lengths lead there; else sound records were found there by trying.
    pub by_its_lengths: bool,
    /// Keys that can be read from there on.
    pub keys_after: u64,
    /// Further damaged records among them.
    pub damaged_after: u64,
    /// Whether that leads to the end of the file.
    pub reaches_end: bool,
}

impl AroundView {
    fn new(fault: &Fault, tally: &Tally) -> AroundView {
        let after = fault.after.unwrap_or_default();
        let After { resumes_at, by_its_lengths, keys, damaged, reaches_end } = after;
        AroundView {
            record_at: fault.record_at,
            db: fault.db,
            key: fault.key.as_ref().map(|key| key.escape_ascii().to_string()),
            keys_before: tally.keys,
            resumes_at,
            by_its_lengths,
            keys_after: keys,
            damaged_after: damaged,
            reaches_end,
        }
    }

    fn text(&self) -> String {
        let Some(at) = self.record_at else {
            let is_any = self.keys_before > 0;
            return if is_any { "  every record can be read\n".to_owned() } else { String::new() };
        };
        let key = self
            .key
            .as_ref()
            .map_or_else(|| "its key cannot be read".to_owned(), |key| format!("key \"{key}\""));
        let mut text = format!("  the record begins at byte {at}, in database {}: {key}\n", self.db);
        let _ = writeln!(text, "  before it: {} sound keys", self.keys_before);
        let _ = match self.resumes_at {
            None => writeln!(text, "  behind it: nothing that can be read was found"),
            Some(next) => writeln!(
                text,
                "  behind it: {} sound keys from byte {next} on ({}){}{}",
                self.keys_after,
                match self.by_its_lengths {
                    true => "where the damaged record ends by its own lengths",
                    false => "found by trying; their database is a guess",
                },
                match self.damaged_after {
                    0 => String::new(),
                    more => format!(", and {more} more damaged places"),
                },
                if self.reaches_end { ", up to the end" } else { "" },
            ),
        };
        text
    }
}

/// What to do about a damaged snapshot.
pub(crate) const ADVICE: &str = "start from another copy: a replica's `appendonlydir` (see `aof-check`), an earlier \
                      generation, or another node";

impl SnapshotView {
    /// Of a report.
    pub fn new(path: &Path, report: &SnapshotReport) -> SnapshotView {
        let (judged, tally) = (&report.judged, &report.judged.tally);
        let fault = judged.fault.as_ref();
        let damage = fault.map(|fault| Damage {
            file: path.to_owned(),
            byte: Some(fault.error.offset()),
            what: match report.bytes {
                0 => "the file is empty".to_owned(),
                _ => fault.error.to_string(),
            },
            advice: ADVICE.to_owned(),
        });
        let text = |bytes: &Vec<u8>| bytes.escape_ascii().to_string();
        let facts = &judged.facts;
        SnapshotView {
            path: path.to_owned(),
            sound: damage.is_none(),
            bytes: report.bytes,
            version: judged.version,
            records: tally.records,
            keys: tally.keys,
            expiring: tally.expiring,
            elements: tally.elements,
            expiring_fields: tally.timed_fields,
            skipped_empty: tally.skipped_empty,
            databases: tally
                .databases
                .iter()
                .map(|count| DatabaseView { db: count.db, keys: count.keys, expiring: count.expiring })
                .collect(),
            encodings: tally
                .forms()
                .map(|(kind, encoding, keys)| EncodingView { kind, encoding, keys })
                .collect(),
            facts: tally
                .aux
                .iter()
                .map(|(name, value)| FactView { name: text(name), value: text(value) })
                .collect(),
            place: facts.point.map(|point| point.history().into()),
            epoch: facts.epoch.is_known().then_some(facts.epoch.number),
            time: facts.ctime_s.map(|s| s.saturating_mul(1000).into()),
            crc64: facts.checksum.filter(|_| fault.is_none()).map(|crc| format!("{crc:016x}")),
            functions: tally.functions,
            around: fault.map(|fault| AroundView::new(fault, tally)),
            damage,
        }
    }

    /// For a person.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}: {} bytes, RDB version {}, {} records, {} keys ({} expire), {} elements\n",
            self.path.display(),
            self.bytes,
            self.version,
            self.records,
            self.keys,
            self.expiring,
            self.elements
        );
        self.figures(&mut text);
        match (&self.damage, &self.crc64) {
            (Some(damage), _) => {
                text.push_str(&damage.text());
                text.push_str(&self.around.as_ref().map(AroundView::text).unwrap_or_default());
            }
            (None, Some(crc)) => {
                let _ = writeln!(text, "SOUND: crc64 {crc}");
            }
            (None, None) => text.push_str("SOUND in structure; the file carries no checksum\n"),
        }
        text
    }

    /// Writing to a String cannot fail.
    fn figures(&self, text: &mut String) {
        for FactView { name, value } in &self.facts {
            let _ = writeln!(text, "says {name}: {value}");
        }
        for DatabaseView { db, keys, expiring } in &self.databases {
            let _ = writeln!(text, "database {db}: {keys} keys ({expiring} expire)");
        }
        for EncodingView { kind, encoding, keys } in &self.encodings {
            let _ = writeln!(text, "{kind} as {encoding}: {keys} keys");
        }
        if self.expiring_fields > 0 {
            let _ = writeln!(text, "{} fields of hashes expire", self.expiring_fields);
        }
        if self.skipped_empty > 0 {
            let _ = writeln!(
                text,
                "{} collections without elements, which a start leaves out",
                self.skipped_empty
            );
        }
        if self.functions > 0 {
            let _ = writeln!(text, "{} function libraries", self.functions);
        }
        if let Some(place) = &self.place {
            let epoch = self.epoch.map_or_else(String::new, |epoch| format!(", epoch {epoch}"));
            let _ = writeln!(text, "lineage {}, offset {}{epoch}", place.lineage, place.offset);
        }
        if let Some(time) = &self.time {
            let _ = writeln!(text, "taken {}", time.rfc3339);
        }
    }
}
