//! When what happened, by a log: commands a minute, and the commands that destroyed data.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use smallvec::SmallVec;

use super::destroying::{ByName, destroying_head, may_destroy};
use super::pattern::shown_command;
use crate::base::num::parse_i64;
use crate::format::aof::verify::{Mark, MetCommand, Watcher};

/// Rows that there are at most; beyond, each covers a longer time.
const ROWS_MAX: usize = 10_000;
/// Commands that are listed one by one at most: the last ones.
const LISTED_MAX: usize = 1_000;
/// Arguments of a command that are looked at.
const ARGS_LOOKED_AT: usize = 64;
const MINUTE_MS: u64 = 60_000;
/// What a row covers when there are too many: so many times as much as before.
const WIDER: u64 = 10;

/// The time that is asked about, in milliseconds of Unix time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// What was written before is left out.
    pub since_ms: Option<u64>,
    /// What was written behind is left out.
    pub until_ms: Option<u64>,
}

impl Span {
    fn holds(&self, time_ms: u64) -> bool {
        self.since_ms.is_none_or(|since| since <= time_ms)
            && self.until_ms.is_none_or(|until| time_ms <= until)
    }
}

/// What was written in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Row {
    /// Commands, MULTI, EXEC and SELECT among them.
    pub commands: u64,
    /// Their bytes.
    pub bytes: u64,
    /// DEL and UNLINK of one key: by clients, and of keys that had expired or were evicted, which a log does not tell apart.
    pub removed_singly: u64,
    /// Keys that DEL and UNLINK of several named.
    pub removed_together: u64,
    /// Commands that destroyed more than a few keys.
    pub grave: u64,
}

impl Row {
    fn add(&mut self, other: &Row) {
        self.commands += other.commands;
        self.bytes += other.bytes;
        self.removed_singly += other.removed_singly;
        self.removed_together += other.removed_together;
        self.grave += other.grave;
    }
}

/// A command that destroyed data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it was written, in milliseconds of Unix time, where the log tells it.
    pub time_ms: Option<u64>,
    /// Bytes of history before it, where the log tells it.
    pub offset: Option<u64>,
    /// The database it ran in.
    pub db: u32,
    /// The command, long ones cut short.
    pub command: String,
    /// Keys that it names to be removed.
    pub keys: u64,
    /// The log file.
    pub file: PathBuf,
    /// Where it begins in the file.
    pub byte: u64,
}

/// An event whose database the part of the log before may have to tell.
#[derive(Debug)]
struct Met {
    event: Event,
    db: Option<u32>,
}

/// What waits for its time to be told.
#[derive(Debug, Default)]
struct Batch {
    row: Row,
    events: VecDeque<Met>,
    by_name: ByName,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.row.commands == 0
    }

    fn add(&mut self, other: Batch) {
        self.row.add(&other.row);
        self.events.extend(other.events);
        merge(&mut self.by_name, other.by_name);
    }
}

/// What a log, or a part of one, tells of times.
#[derive(Debug)]
pub struct Timeline {
    span: Span,
    /// By the time at which a row begins, in ms.
    rows: BTreeMap<u64, Row>,
    row_ms: u64,
    events: VecDeque<Met>,
    /// Events that were not kept, as there are too many.
    not_listed: u64,
    by_name: ByName,
    /// Without a time: a stock server's commands before the first timestamp.
    untimed: Batch,
    /// Since the last mark.
    open: Batch,
    /// Whether the log has offsets, so that marks close what stands before them.
    has_seals: bool,
    told_ms: Option<u64>,
    db: Option<u32>,
}

impl Timeline {
    /// Nothing yet.
    pub fn new(span: Span) -> Timeline {
        Timeline {
            span,
            rows: BTreeMap::new(),
            row_ms: MINUTE_MS,
            events: VecDeque::new(),
            not_listed: 0,
            by_name: ByName::new(),
            untimed: Batch::default(),
            open: Batch::default(),
            has_seals: false,
            told_ms: None,
            db: None,
        }
    }

    /// Rows by the Unix time in milliseconds at which they begin, and how long each is.
    pub fn rows(&self) -> (impl Iterator<Item = (u64, &Row)>, u64) {
        (self.rows.iter().map(|(time, row)| (*time, row)), self.row_ms)
    }

    /// What no time is told of.
    pub fn untimed(&self) -> &Row {
        &self.untimed.row
    }

    /// The last events, in the order of the log.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.untimed.events.iter().chain(&self.events).map(|met| &met.event)
    }

    /// Events that are not among [`Timeline::events`], as there are too many.
    pub fn not_listed(&self) -> u64 {
        self.not_listed
    }

    /// Kinds of commands that destroy data.
    pub fn by_name(&self) -> ByName {
        let mut all = self.untimed.by_name.clone();
        merge(&mut all, self.by_name.clone());
        all
    }

    /// Takes in what follows in the same file.
    fn follow(&mut self, next: Timeline) {
        let Timeline { mut untimed, mut events, .. } = next;
        for met in untimed.events.iter_mut().chain(&mut events) {
            met.db = met.db.or(self.db);
        }
        match self.told_ms {
            Some(time_ms) if !next.has_seals => self.commit(untimed, time_ms),
            _ => self.untimed.add(untimed),
        }
        for (begins, row) in next.rows {
            self.add_row(begins, &row);
        }
        self.not_listed += next.not_listed;
        for met in events {
            self.list(met);
        }
        merge(&mut self.by_name, next.by_name);
        self.has_seals |= next.has_seals;
        self.told_ms = next.told_ms.or(self.told_ms);
        self.db = next.db.or(self.db);
    }

    /// Makes one timeline of the parts of a file, in order.
    pub fn of_file(span: Span, file: &std::path::Path, parts: impl Iterator<Item = Timeline>) -> Timeline {
        let mut whole = Timeline { db: Some(0), ..Timeline::new(span) };
        for mut part in parts {
            // Nothing vouches for what stands behind the last seal.
            let open = std::mem::take(&mut part.open);
            if !part.has_seals {
                match part.told_ms {
                    Some(time_ms) => part.commit(open, time_ms),
                    None => part.untimed.add(open),
                }
            }
            whole.follow(part);
        }
        for met in whole.untimed.events.iter_mut().chain(&mut whole.events) {
            met.event.db = met.db.unwrap_or(0);
            met.event.file = file.to_owned();
        }
        whole
    }

    /// Takes in what another file, which goes on from this one, tells.
    pub fn go_on(&mut self, next: Timeline) {
        // A file without any time goes on in the time before.
        self.follow(next);
    }

    fn commit(&mut self, batch: Batch, time_ms: u64) {
        if batch.is_empty() || !self.span.holds(time_ms) {
            return;
        }
        self.add_row(time_ms / self.row_ms * self.row_ms, &batch.row);
        for mut met in batch.events {
            met.event.time_ms = Some(time_ms);
            self.list(met);
        }
        let mut by_name = batch.by_name;
        by_name.values_mut().for_each(|met| met.last_ms = Some(time_ms));
        merge(&mut self.by_name, by_name);
    }

    fn add_row(&mut self, begins: u64, row: &Row) {
        self.rows.entry(begins / self.row_ms * self.row_ms).or_default().add(row);
        if self.rows.len() > ROWS_MAX {
            self.row_ms = self.row_ms.saturating_mul(WIDER);
            for (begins, row) in std::mem::take(&mut self.rows) {
                self.rows.entry(begins / self.row_ms * self.row_ms).or_default().add(&row);
            }
        }
    }

    fn list(&mut self, met: Met) {
        self.events.push_back(met);
        if self.events.len() > LISTED_MAX {
            self.events.pop_front();
            self.not_listed += 1;
        }
    }

    fn note(&mut self, met: &MetCommand<'_>) {
        let args: SmallVec<[&[u8]; 8]> = (0..ARGS_LOOKED_AT).map_while(|index| met.arg(index)).collect();
        let Some(destroying) = destroying_head(&args, met.arg_count) else { return };
        match destroying.keys {
            1 => self.open.row.removed_singly += 1,
            keys => self.open.row.removed_together += keys,
        }
        let by_name = self.open.by_name.entry(destroying.name).or_default();
        by_name.count += 1;
        by_name.last_offset = met.offset;
        if !destroying.is_grave {
            return;
        }
        self.open.row.grave += 1;
        let mut command = shown_command(&args);
        if met.arg_count > args.len() {
            command.push_str(&format!(" ({} arguments in all)", met.arg_count - 1));
        }
        let event = Event {
            time_ms: None,
            offset: met.offset,
            db: 0,
            command,
            keys: destroying.keys,
            file: PathBuf::new(),
            byte: met.at as u64,
        };
        self.open.events.push_back(Met { event, db: self.db });
        if self.open.events.len() > LISTED_MAX {
            self.open.events.pop_front();
            self.not_listed += 1;
        }
    }
}

fn merge(into: &mut ByName, next: ByName) {
    for (name, met) in next {
        let all = into.entry(name).or_default();
        all.count += met.count;
        (all.last_offset, all.last_ms) = (met.last_offset, met.last_ms);
    }
}

impl Watcher for Timeline {
    fn command(&mut self, met: &MetCommand<'_>) {
        self.has_seals |= met.offset.is_some();
        self.open.row.commands += 1;
        self.open.row.bytes += met.item.len() as u64;
        let Some(name) = met.arg(0) else { return };
        if name.eq_ignore_ascii_case(b"select") {
            let db = met.arg(1).and_then(parse_i64).and_then(|db| u32::try_from(db).ok());
            self.db = db.or(self.db);
        } else if may_destroy(name) {
            self.note(met);
        }
    }

    fn mark(&mut self, mark: &Mark, _at: usize) {
        let open = std::mem::take(&mut self.open);
        match mark {
            // A seal tells when what stands before it was written.
            Mark::Seal(seal) => {
                self.has_seals = true;
                self.commit(open, seal.time_ms);
                self.told_ms = Some(seal.time_ms);
            }
            // A timestamp tells since when what follows it was.
            Mark::Timestamp(seconds) => {
                match self.told_ms {
                    Some(time_ms) => self.commit(open, time_ms),
                    None => self.untimed.add(open),
                }
                self.told_ms = Some(seconds.saturating_mul(1000));
            }
        }
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
