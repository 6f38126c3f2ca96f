//! Finding the command that a restore is to stop before.

use std::collections::VecDeque;
use std::fmt;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use super::{OfflineError, Part, StopAt, Stopped, forgive};
use crate::base::num::parse_i64;
use crate::base::time::utc_text;
use crate::format::aof::verify::{LogVisitor, LoggedCommand, Mark};
use crate::persistence::destroying::{ByName, destroying};
use crate::persistence::pattern::{CommandPattern, shown_command};
use crate::persistence::recovery::Chain;

/// Matches that are remembered beside the one that is wanted.
const REMEMBERED: usize = 10;

/// Which of the commands that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    /// The first.
    First,
    /// Counted from the last, which is 1.
    FromLast(usize),
}

/// The state just before a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// What the command looks like.
    pub pattern: CommandPattern,
    /// Which of those.
    pub occurrence: Occurrence,
}

/// A command that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The command, long ones cut short.
    pub command: String,
    /// The database it ran in.
    pub db: u32,
    /// When it was written, in milliseconds of Unix time, where the log tells it.
    pub time_ms: Option<u64>,
    /// Bytes of history before it (before its transaction, if it stands in one), where the log tells it.
    pub offset: Option<u64>,
    /// The log file.
    pub file: PathBuf,
    /// Where in it the command (or its transaction) begins.
    pub byte: u64,
    /// Whether it stands in a transaction, which is then left out whole.
    pub in_transaction: bool,
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (database {}", self.command, self.db)?;
        if let Some(ms) = self.time_ms {
            write!(f, ", {}", utc_text(ms))?;
        }
        match self.offset {
            Some(offset) => write!(f, ", offset {offset})"),
            None => write!(f, ", byte {} of {})", self.byte, self.file.display()),
        }
    }
}

/// The command that a restore stopped before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedBefore {
    /// The command.
    pub found: Match,
    /// How many match in all.
    pub matches: u64,
    /// The last of them, the last one last, the one that was stopped before among them.
    pub last: Vec<Match>,
}

/// What a search came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    first: Option<(StopAt, Match)>,
    last: VecDeque<(StopAt, Match)>,
    matches: u64,
    destroyed: ByName,
}

/// Finds the command that is meant in the log files up to `limit`, and leaves out what lies behind it.
pub(super) fn stop_before(
    chain: Chain,
    limit: Option<StopAt>,
    before: &Before,
    part: &Part,
) -> Result<(Stopped, StoppedBefore), OfflineError> {
    let kept = match before.occurrence {
        Occurrence::First => 1,
        Occurrence::FromLast(number) => number.max(1),
    };
    let mut found = Found::default();
    for (index, file) in chain.incr.iter().enumerate() {
        let limit = match limit {
            Some(stop) if stop.file < index => break,
            Some(stop) if stop.file == index => Some(stop.byte),
            _ => None,
        };
        // A file begins in database 0, or says otherwise.
        let mut search = Search {
            before,
            part,
            limit,
            kept: kept.max(REMEMBERED),
            file: index,
            path: &file.path,
            from: file.from,
            db: 0,
            transaction: None,
            told_ms: None,
            untimed: 0,
            found: &mut found,
        };
        file.verifier.walk(file.log(), &mut search);
        if limit.is_none()
            && let Some(problem) = file.problem(index + 1 == chain.incr.len())
        {
            if before.occurrence != Occurrence::First || found.first.is_none() {
                let last = found.last.pop_back().map(|(_, found)| Box::new(found));
                return Err(OfflineError::Unsure { problem, last, pattern: before.pattern.to_string() });
            }
            break;
        }
    }
    let place = match before.occurrence {
        Occurrence::First => found.first.clone(),
        Occurrence::FromLast(number) => {
            found.last.len().checked_sub(number.max(1)).and_then(|at| found.last.get(at)).cloned()
        }
    };
    let Some((stop, command)) = place else { return Err(nothing_found(before, found)) };
    let told = StoppedBefore {
        found: command,
        matches: found.matches,
        last: found.last.into_iter().map(|(_, found)| found).collect(),
    };
    let mut chain = chain;
    chain.incr.truncate(stop.file + 1);
    Ok((forgive(chain, stop), told))
}

fn nothing_found(before: &Before, found: Found) -> OfflineError {
    if found.matches > 0 {
        return OfflineError::NotSoMany { pattern: before.pattern.to_string(), matches: found.matches };
    }
    let seen = found.destroyed.iter().map(|(name, met)| {
        let time = met.last_ms.map_or_else(String::new, |ms| format!(" at {}", utc_text(ms)));
        let offset = met.last_offset.map_or_else(String::new, |offset| format!(" before offset {offset}"));
        format!("{name} ({}, the last{time}{offset})", met.count)
    });
    let seen = seen.collect::<Vec<_>>().join(", ");
    OfflineError::NoMatch { pattern: before.pattern.to_string(), seen }
}

/// Looks at the commands of one file.
struct Search<'s> {
    before: &'s Before,
    part: &'s Part,
    /// Commands that end behind it do not count.
    limit: Option<usize>,
    kept: usize,
    file: usize,
    path: &'s std::path::Path,
    /// Where the log begins in it.
    from: usize,
    db: u32,
    /// Where an open transaction begins: in the file, and in the history.
    transaction: Option<(usize, Option<u64>)>,
    /// The time that a stock server's last timestamp tells.
    told_ms: Option<u64>,
    /// So many of the last matches wait for the seal that tells their time.
    untimed: usize,
    found: &'s mut Found,
}

impl Search<'_> {
    /// Whether the command is about a database that is wanted.
    fn is_wanted(&self, name: &[u8]) -> bool {
        let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
        self.part.db.is_none_or(|db| db == self.db) || is(b"flushall") || is(b"swapdb") || is(b"move")
    }

    fn note(&mut self, command: &LoggedCommand<'_, '_>) {
        if let Some(destroying) = destroying(command.args) {
            let met = self.found.destroyed.entry(destroying.name).or_default();
            met.count += 1;
            (met.last_offset, met.last_ms) = (command.offset, self.told_ms);
        }
    }

    fn take(&mut self, command: &LoggedCommand<'_, '_>) {
        let (byte, offset) = self.transaction.unwrap_or((command.bytes.start, command.offset));
        let found = Match {
            command: shown_command(command.args),
            db: self.db,
            time_ms: self.told_ms,
            offset,
            file: self.path.to_owned(),
            byte: (self.from + byte) as u64,
            in_transaction: self.transaction.is_some(),
        };
        let place = (StopAt { file: self.file, byte }, found);
        self.found.matches += 1;
        self.untimed += 1;
        if self.found.first.is_none() {
            self.found.first = Some(place.clone());
        }
        self.found.last.push_back(place);
        if self.found.last.len() > self.kept {
            self.found.last.pop_front();
        }
    }
}

impl LogVisitor<'_> for Search<'_> {
    fn command(&mut self, command: &LoggedCommand<'_, '_>) -> ControlFlow<()> {
        if self.limit.is_some_and(|limit| command.bytes.end > limit) {
            return ControlFlow::Break(());
        }
        let name = command.args.first().copied().unwrap_or_default();
        let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
        if is(b"multi") {
            self.transaction = Some((command.bytes.start, command.offset));
        } else if is(b"exec") {
            self.transaction = None;
        } else if is(b"select") {
            let db = command.args.get(1).and_then(|text| parse_i64(text));
            self.db = db.and_then(|db| u32::try_from(db).ok()).unwrap_or(self.db);
        } else if self.is_wanted(name) {
            self.note(command);
            if self.before.pattern.matches(command.args) {
                self.take(command);
            }
        }
        ControlFlow::Continue(())
    }

    fn mark(&mut self, mark: &Mark, _bytes: Range<usize>) -> ControlFlow<()> {
        let seal = match mark {
            Mark::Timestamp(seconds) => {
                self.told_ms = Some(seconds.saturating_mul(1000));
                return ControlFlow::Continue(());
            }
            Mark::Seal(seal) => seal,
        };
        let untimed = std::mem::take(&mut self.untimed);
        for (_, found) in self.found.last.iter_mut().rev().take(untimed) {
            found.time_ms = Some(seal.time_ms);
        }
        if let Some((_, first)) = &mut self.found.first {
            first.time_ms = first.time_ms.or(Some(seal.time_ms));
        }
        for met in self.found.destroyed.values_mut() {
            met.last_ms = met.last_ms.or(Some(seal.time_ms));
        }
        ControlFlow::Continue(())
    }
}
