//! What `outrigger-backup` prints.

use crate::output;
use crate::views::{Moment, Place, RestoredView};
use outrigger::backup::Form;
use outrigger::backup::shelf::Listed;
use outrigger::backup::take::Taken;
use outrigger::format::archive::Record;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One backup.
#[derive(Debug, Serialize)]
pub struct BackupView {
    /// Its name.
    pub name: String,
    /// Where it is.
    #[serde(serialize_with = "output::path")]
    pub path: PathBuf,
    /// `folder` or `archive`.
    pub form: &'static str,
    /// When it was taken.
    pub time: Option<Moment>,
    /// The place in the history that it ends at; none for a stock server's files.
    pub place: Option<Place>,
    /// The history's epoch there; 0: not known.
    pub epoch: u64,
    /// Keys in it.
    pub keys: u64,
    /// The digest that DEBUG DIGEST answers for it.
    pub digest: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes that they take.
    pub stored_bytes: u64,
    /// The files with their lengths and checksums.
    pub files: Vec<FileView>,
    /// What is wrong with it.
    pub damage: Option<String>,
}

/// A file of a backup.
#[derive(Debug, Serialize)]
pub struct FileView {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CRC64 of its bytes, hex.
    pub crc64: String,
}

impl BackupView {
    fn bare(name: &str, path: &Path, form: Form) -> BackupView {
        BackupView {
            name: name.to_owned(),
            path: path.to_owned(),
            form: if form == Form::Folder { "folder" } else { "archive" },
            time: None,
            place: None,
            epoch: 0,
            keys: 0,
            digest: String::new(),
            bytes: 0,
            stored_bytes: 0,
            files: Vec::new(),
            damage: None,
        }
    }

    fn with(mut self, record: &Record) -> BackupView {
        self.time = Some(record.time_ms.into());
        self.place = record.place.map(Place::from);
        self.epoch = record.epoch.number;
        self.keys = record.keys;
        self.digest = record.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.bytes = record.bytes();
        let file = |file: &outrigger::format::archive::StoredFile| FileView {
            name: String::from_utf8_lossy(&file.name).into_owned(),
            bytes: file.bytes,
            crc64: format!("{:016x}", file.crc),
        };
        self.files = record.files.iter().map(file).collect();
        self
    }

    /// Of one that was taken.
    pub fn taken(taken: &Taken, form: Form) -> BackupView {
        let mut view = BackupView::bare(&taken.record.name, &taken.path, form).with(&taken.record);
        view.stored_bytes = if form == Form::Folder { view.bytes } else { taken.record.stored_bytes() };
        view
    }

    /// Of one that is there.
    pub fn listed(listed: &Listed) -> BackupView {
        let mut view = BackupView::bare(&listed.name, &listed.path, listed.form);
        view.stored_bytes = listed.stored_bytes;
        match &listed.record {
            Ok(record) => view.with(record),
            Err(error) => BackupView { damage: Some(error.to_string()), ..view },
        }
    }

    /// For a person, one line.
    pub fn line(&self) -> String {
        if let Some(damage) = &self.damage {
            return format!("{} ({}) DAMAGED: {damage}\n", self.name, self.form);
        }
        let time = self.time.as_ref().map_or("", |time| &time.rfc3339);
        let place = self.place.as_ref().map_or_else(
            || "no place in a history".to_owned(),
            |place| format!("lineage {}, offset {}", place.lineage, place.offset),
        );
        format!(
            "{} ({}) {time}: {} keys, digest {}, {place}, epoch {}, {} bytes in {}\n",
            self.name, self.form, self.keys, self.digest, self.epoch, self.bytes, self.stored_bytes
        )
    }
}

/// What a run of `outrigger-backup` took and removed.
#[derive(Debug, Serialize)]
pub struct TakenView {
    /// The new one.
    pub backup: BackupView,
    /// What was left of interrupted ones, and was cleared away.
    pub cleared: usize,
    /// Names of older ones that were removed.
    pub removed: Vec<String>,
    /// What did not work, and does not matter to the new one.
    pub notes: Vec<String>,
}

impl TakenView {
    /// For a person.
    pub fn text(&self) -> String {
        let mut text = self.backup.line();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "VERIFIED: {} was read back and loaded", self.backup.path.display());
        if self.backup.place.is_none() {
            text.push_str(
                "  These are a stock server's files, which carry no seals: what was copied ends at a whole command \
                 and loads, but nothing vouches for its bytes before they were copied\n",
            );
        }
        if self.cleared > 0 {
            let _ = writeln!(text, "cleared away {} leftovers of an interrupted one", self.cleared);
        }
        for name in &self.removed {
            let _ = writeln!(text, "removed {name}");
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        let _ = writeln!(text, "  next: outrigger restore {} --into NEW", self.backup.path.display());
        text
    }
}

/// What `--list` and `--verify` found.
#[derive(Debug, Serialize)]
pub struct ListView {
    /// The folder.
    #[serde(serialize_with = "output::path")]
    pub folder: PathBuf,
    /// The backups, the oldest first.
    pub backups: Vec<BackupView>,
    /// Whether their bytes were read and loaded, too.
    pub verified: bool,
}

impl ListView {
    /// Is nothing wrong?
    pub fn is_sound(&self) -> bool {
        self.backups.iter().all(|backup| backup.damage.is_none())
    }

    /// For a person.
    pub fn text(&self) -> String {
        let mut text: String = self.backups.iter().map(BackupView::line).collect();
        if self.backups.is_empty() {
            text = format!("no backups in {}\n", self.folder.display());
        } else if self.verified {
            text.push_str(
                "VERIFIED: every checksum agrees, and it loads as the data that its record names\n",
            );
        }
        text
    }
}

/// What `aof-rewrite` did.
#[derive(Debug, Serialize)]
pub struct RewrittenView {
    /// The new generation.
    #[serde(flatten)]
    pub rewritten: RestoredView,
    /// The earlier ones beside it, the oldest first: folders or archives.
    #[serde(serialize_with = "output::paths")]
    pub carried: Vec<PathBuf>,
}

impl RewrittenView {
    /// For a person.
    pub fn text(&self) -> String {
        let mut text = self.rewritten.text();
        for path in &self.carried {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "earlier generation: {}", path.display());
        }
        text
    }
}
