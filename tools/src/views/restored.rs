//! What `aof-rewrite` and `restore` print.

use super::{EMPTY, Moment, Place, Torn};
use crate::output;
use outrigger::persistence::offline::{Match, Restored, StoppedBefore};
use outrigger::persistence::recovery::LoadedFrom;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What `aof-rewrite` and `restore` did.
#[derive(Debug, Serialize)]
pub struct RestoredView {
    /// The source.
    #[serde(serialize_with = "output::path")]
    pub from: PathBuf,
    /// The new data folder.
    #[serde(serialize_with = "output::path")]
    pub into: PathBuf,
    /// The place in history of the new folder.
    pub place: Place,
    /// Whether that is a new history: of a part of the data, or of a source that names none.
    pub new_history: bool,
    /// Keys in it.
    pub keys: u64,
    /// The digest that DEBUG DIGEST answers for it.
    pub digest: String,
    /// Keys of the source's base.
    pub base_keys: u64,
    /// Commands that were applied.
    pub commands: u64,
    /// Bytes of the source.
    pub bytes: u64,
    /// A torn end of the source that was left out.
    pub torn: Option<Torn>,
    /// The command that it stopped before.
    #[serde(flatten)]
    pub stopped: StoppedView,
    /// Keys that were left out, if only a part was wanted.
    pub left_out: Option<u64>,
}

/// A command of a log.
#[derive(Debug, Serialize)]
pub struct Command {
    /// The command, long ones cut short.
    pub command: String,
    /// The database it ran in.
    pub db: u32,
    /// When it was written.
    pub time: Option<Moment>,
    /// The offset before it (or its transaction).
    pub offset: Option<u64>,
    /// The log file.
    #[serde(serialize_with = "output::path")]
    pub file: PathBuf,
    /// Where it (or its transaction) begins in the file.
    pub byte: u64,
    /// Whether it stands in a transaction.
    pub in_transaction: bool,
    /// The same for a person.
    #[serde(skip)]
    text: String,
}

impl From<&Match> for Command {
    fn from(found: &Match) -> Self {
        Command {
            command: found.command.clone(),
            db: found.db,
            time: found.time_ms.map(Moment::from),
            offset: found.offset,
            file: found.file.clone(),
            byte: found.byte,
            in_transaction: found.in_transaction,
            text: found.to_string(),
        }
    }
}

impl RestoredView {
    /// Of what was done.
    pub fn new(from: &Path, into: &Path, restored: &Restored) -> RestoredView {
        let source = match &restored.source.source {
            LoadedFrom::Folder(path) | LoadedFrom::Snapshot(path) | LoadedFrom::SingleFile(path) => {
                path.clone()
            }
            LoadedFrom::Nothing => from.to_owned(),
        };
        RestoredView {
            from: source,
            into: into.to_owned(),
            place: restored.point.history().into(),
            new_history: restored.is_new_lineage,
            keys: restored.fingerprint.keys,
            digest: restored.fingerprint.digest.to_string(),
            base_keys: restored.source.snapshot_keys,
            commands: restored.source.commands,
            bytes: restored.source.bytes,
            torn: restored.source.cut.as_ref().map(Torn::from),
            stopped: StoppedView::of(restored.before.as_ref()),
            left_out: restored.left_out,
        }
    }

    /// For a person.
    pub fn text(&self) -> String {
        let mut text = format!(
            "read {}: {} keys of a base, {} commands, {} bytes\n",
            self.from.display(),
            self.base_keys,
            self.commands,
            self.bytes
        );
        if self.bytes == 0 {
            text.push_str(EMPTY);
        }
        if let Some(torn) = &self.torn {
            text.push_str(&torn.text());
            text.push_str("  (left out; the source is as it was)\n");
        }
        self.stopped.text(&mut text);
        if let Some(left_out) = self.left_out {
            // Writing to a String cannot fail.
            let _ =
                writeln!(text, "left out {left_out} keys that were not asked for, and function libraries");
        }
        let which = if self.new_history { "new lineage" } else { "lineage" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "wrote {}: {} keys, digest {}, {which} {}, offset {}",
            self.into.display(),
            self.keys,
            self.digest,
            self.place.lineage,
            self.place.offset
        );
        let _ = writeln!(text, "VERIFIED: the new folder was loaded again and holds the same data");
        let _ = writeln!(text, "  next: outrigger --dir {} --appendonly yes", self.into.display());
        text
    }
}

/// The command that a source was loaded up to.
#[derive(Debug, Serialize)]
pub struct StoppedView {
    /// The command.
    pub before: Option<Command>,
    /// How many commands match, that one among them.
    pub matches: Option<u64>,
    /// The last of those, the very last one last.
    pub last_matches: Vec<Command>,
}

impl StoppedView {
    /// Of what a search found, if there was one.
    pub fn of(stopped: Option<&StoppedBefore>) -> StoppedView {
        StoppedView {
            before: stopped.map(|stopped| Command::from(&stopped.found)),
            matches: stopped.map(|stopped| stopped.matches),
            last_matches: stopped.into_iter().flat_map(|stopped| &stopped.last).map(Command::from).collect(),
        }
    }

    /// For a person; nothing if no command was named.
    pub fn text(&self, text: &mut String) {
        let (Some(before), Some(matches)) = (&self.before, self.matches) else { return };
        let whole = if before.in_transaction { " with its whole transaction" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "stopped before {}{whole}", before.text);
        if matches > 1 {
            let _ = writeln!(text, "  {matches} commands match; the last of them, by --occurrence:");
            for (number, found) in self.last_matches.iter().rev().enumerate() {
                let _ = writeln!(text, "  {:>4}  {}", number + 1, found.text);
            }
        }
    }
}
