//! What `aof-check --timeline` prints.

use super::Moment;
use crate::output;
use outrigger::persistence::timeline::{Row, Timeline};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

/// When what happened.
#[derive(Debug, Serialize)]
pub struct TimelineView {
    /// How much time a row covers, in seconds: a minute, or more of a very long log.
    pub row_seconds: u64,
    /// The rows, earliest first.
    pub rows: Vec<RowView>,
    /// What no time is told of, as in a stock server's log without timestamps.
    pub without_time: Option<Amounts>,
    /// Commands that destroyed data, but for removals of a few keys; the last thousand.
    pub destroying: Vec<EventView>,
    /// How many more there were before these.
    pub not_listed: u64,
    /// Kinds of commands that destroy data, removals of a few keys among them.
    pub kinds: Vec<KindView>,
}

/// A row.
#[derive(Debug, Serialize)]
pub struct RowView {
    /// When it begins.
    pub time: Moment,
    /// What there was.
    #[serde(flatten)]
    pub amounts: Amounts,
}

/// What there was in some time.
#[derive(Debug, Serialize)]
pub struct Amounts {
    /// Commands.
    pub commands: u64,
    /// Their bytes.
    pub bytes: u64,
    /// DEL and UNLINK of one key, and keys that expired or were evicted.
    pub removed_singly: u64,
    /// Keys that DEL and UNLINK of several keys named.
    pub removed_together: u64,
    /// Commands among those of the list.
    pub destroying: u64,
}

impl From<&Row> for Amounts {
    fn from(row: &Row) -> Self {
        let Row { commands, bytes, removed_singly, removed_together, grave } = *row;
        Amounts { commands, bytes, removed_singly, removed_together, destroying: grave }
    }
}

/// A command that destroyed data.
#[derive(Debug, Serialize)]
pub struct EventView {
    /// When it was written.
    pub time: Option<Moment>,
    /// The offset before it.
    pub offset: Option<u64>,
    /// The database it ran in.
    pub db: u32,
    /// The command, long ones cut short.
    pub command: String,
    /// Keys that it names to be removed.
    pub keys: u64,
    /// The log file.
    #[serde(serialize_with = "output::path")]
    pub file: PathBuf,
    /// Where it begins in the file.
    pub byte: u64,
}

/// A kind of command that destroys data.
#[derive(Debug, Serialize)]
pub struct KindView {
    /// Its name.
    pub name: String,
    /// How many there were.
    pub count: u64,
    /// When the last was written.
    pub last_time: Option<Moment>,
    /// The offset before the last.
    pub last_offset: Option<u64>,
}

impl TimelineView {
    /// Of a timeline.
    pub fn new(timeline: &Timeline) -> TimelineView {
        let (rows, row_ms) = timeline.rows();
        let rows = rows.map(|(begins, row)| RowView { time: begins.into(), amounts: row.into() }).collect();
        let untimed = timeline.untimed();
        let events = timeline.events().map(|event| EventView {
            time: event.time_ms.map(Moment::from),
            offset: event.offset,
            db: event.db,
            command: event.command.clone(),
            keys: event.keys,
            file: event.file.clone(),
            byte: event.byte,
        });
        let kinds = timeline.by_name().into_iter().map(|(name, met)| KindView {
            name: name.to_owned(),
            count: met.count,
            last_time: met.last_ms.map(Moment::from),
            last_offset: met.last_offset,
        });
        TimelineView {
            row_seconds: row_ms / 1000,
            rows,
            without_time: (untimed.commands > 0).then(|| untimed.into()),
            destroying: events.collect(),
            not_listed: timeline.not_listed(),
            kinds: kinds.collect(),
        }
    }

    /// For a person.
    pub(super) fn write_to(&self, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<20} {:>12} {:>15} {:>12} {:>14} {:>10}",
            format!("each {} s from", self.row_seconds),
            "commands",
            "bytes",
            "DEL of one",
            "keys together",
            "destroying"
        );
        let mut line = |when: &str, row: &Amounts| {
            let _ = writeln!(
                text,
                "{when:<20} {:>12} {:>15} {:>12} {:>14} {:>10}",
                row.commands, row.bytes, row.removed_singly, row.removed_together, row.destroying
            );
        };
        self.without_time.iter().for_each(|row| line("no time told", row));
        self.rows.iter().for_each(|row| line(&row.time.rfc3339, &row.amounts));
        if self.destroying.is_empty() {
            text.push_str("no command that destroyed more than a few keys\n");
        } else {
            let _ = writeln!(text, "{:<24} {:>15} {:>3}  destroying command", "time", "offset", "db");
        }
        if self.not_listed > 0 {
            let _ = writeln!(text, "({} before these: see --until)", self.not_listed);
        }
        for event in &self.destroying {
            let when = event.time.as_ref().map_or("-", |time| &time.rfc3339);
            let place =
                event.offset.map_or_else(|| format!("byte {}", event.byte), |offset| offset.to_string());
            let keys = if event.keys > 0 { format!("  ({} keys)", event.keys) } else { String::new() };
            let _ = writeln!(text, "{when:<24} {place:>15} {:>3}  {}{keys}", event.db, event.command);
        }
        for kind in &self.kinds {
            let last = kind
                .last_time
                .as_ref()
                .map_or_else(String::new, |time| format!(", the last {}", time.rfc3339));
            let _ = writeln!(text, "{} {}{last}", kind.count, kind.name);
        }
    }
}
