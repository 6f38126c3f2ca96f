//! What each command cost and how often it failed: INFO commandstats, errorstats, and the slow log's measurements.
//!
//! One reading of the processor's counter a command: where one command of a batch ends, the next begins. A session
//! gathers its figures and hands them over once a batch.

use crate::command::registry;
use crate::sys::ticks;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Distinct error codes that are counted: a script or a client must not grow the table without end.
const ERROR_CODES_MAX: usize = 128;

/// Figures of one command.
#[derive(Default)]
struct Counters {
    calls: AtomicU64,
    ticks: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
}

/// Figures of one command, as INFO shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandFigures {
    /// Full name.
    pub name: &'static str,
    /// Times it ran.
    pub calls: u64,
    /// Time it took, in microseconds.
    pub us: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and answered with an error.
    pub failed: u64,
}

/// Figures of all commands.
pub struct CommandStats {
    commands: Box<[Counters]>,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Default for CommandStats {
    fn default() -> Self {
        let commands = (0..registry::count()).map(|_| Counters::default()).collect();
        CommandStats { commands, errors: Mutex::new(BTreeMap::new()) }
    }
}

impl CommandStats {
    /// Takes over what a session gathered.
    pub fn take(&self, tally: &mut Tally) {
        for run in tally.runs.drain(..) {
            let Some(counters) = self.commands.get(run.index) else { continue };
            let add = |to: &AtomicU64, n: u64| {
                if n > 0 {
                    to.fetch_add(n, Ordering::Relaxed);
                }
            };
            add(&counters.calls, run.calls);
            add(&counters.ticks, run.ticks);
            add(&counters.rejected, run.rejected);
            add(&counters.failed, run.failed);
        }
    }

    /// Counts an error reply by its code: the text's first word.
    pub fn count_error(&self, text: &[u8]) {
        let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        let mut errors = self.errors.lock();
        let room = errors.len() < ERROR_CODES_MAX;
        let code = String::from_utf8_lossy(code);
        match errors.get_mut(&*code) {
            Some(count) => *count += 1,
            None if room => drop(errors.insert(code.into_owned(), 1)),
            None => {}
        }
    }

    /// Commands that were called or refused, in the table's order.
    pub fn commands(&self) -> impl Iterator<Item = CommandFigures> {
        let figures = self.commands.iter().enumerate().map(|(index, counters)| CommandFigures {
            name: registry::name_at(index),
            calls: counters.calls.load(Ordering::Relaxed),
            us: ticks::to_ns(counters.ticks.load(Ordering::Relaxed)) / 1000,
            rejected: counters.rejected.load(Ordering::Relaxed),
            failed: counters.failed.load(Ordering::Relaxed),
        });
        figures.filter(|it| it.calls + it.rejected + it.failed > 0)
    }

    /// Error replies by code.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        self.errors.lock().clone()
    }

    /// Sets everything to zero.
    pub fn reset(&self) {
        self.errors.lock().clear();
        for counters in &self.commands {
            for counter in [&counters.calls, &counters.ticks, &counters.rejected, &counters.failed] {
                counter.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// How a command of a client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It ran (or waits).
    Well,
    /// It ran and answered with an error.
    Failed,
    /// It was refused before it ran.
    Refused,
}

#[derive(Clone, Copy)]
struct Run {
    index: usize,
    calls: u64,
    ticks: u64,
    rejected: u64,
    failed: u64,
}

/// What one session gathers in a batch.
#[derive(Default)]
pub struct Tally {
    runs: SmallVec<[Run; 4]>,
    /// When the command at hand began, in ticks.
    begun: u64,
}

impl Tally {
    /// Starts measuring: the first command of a batch begins now.
    #[inline]
    pub fn begin(&mut self) {
        self.begun = ticks::now();
    }

    /// Counts a command that has just ended, and begins the next. Returns how long it took, in ticks.
    #[inline]
    pub fn end(&mut self, index: usize, ended: Ended) -> u64 {
        let now = ticks::now();
        let took = now.saturating_sub(self.begun);
        self.begun = now;
        self.add(index, ended, took);
        took
    }

    /// Begins the next command without counting the one at hand, which goes on. Returns how long it took so far.
    pub fn lap(&mut self) -> u64 {
        let now = ticks::now();
        now.saturating_sub(std::mem::replace(&mut self.begun, now))
    }

    /// Counts a command that took so many ticks.
    pub fn add(&mut self, index: usize, ended: Ended, ticks: u64) {
        let found = self.runs.iter().position(|run| run.index == index).unwrap_or_else(|| {
            self.runs.push(Run { index, calls: 0, ticks: 0, rejected: 0, failed: 0 });
            self.runs.len() - 1
        });
        let run = &mut self.runs[found];
        if ended == Ended::Refused {
            run.rejected += 1;
            return;
        }
        run.calls += 1;
        run.ticks += ticks;
        run.failed += u64::from(ended == Ended::Failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_add_up_and_reset() {
        let stats = CommandStats::default();
        let get = registry::find(b"get").and_then(registry::index).unwrap();
        let ping = registry::find(b"ping").and_then(registry::index).unwrap();
        let mut tally = Tally::default();
        tally.begin();
        let begun = std::time::Instant::now();
        while begun.elapsed().as_millis() < 2 {}
        let took = tally.end(get, Ended::Well);
        assert!((1_900_000..100_000_000).contains(&ticks::to_ns(took)));
        tally.end(get, Ended::Failed);
        tally.end(ping, Ended::Refused);
        stats.take(&mut tally);
        stats.take(&mut tally);
        let mut figures: Vec<_> = stats.commands().collect();
        figures.sort_by_key(|it| it.name);
        assert_eq!(figures.iter().map(|it| it.name).collect::<Vec<_>>(), ["get", "ping"]);
        assert_eq!((figures[0].calls, figures[0].failed, figures[0].rejected), (2, 1, 0));
        assert_eq!((figures[1].calls, figures[1].rejected, figures[1].us), (0, 1, 0));
        assert!(figures[0].us >= 1_900);
        stats.count_error(b"ERR no");
        stats.count_error(b"ERR other");
        (0..500).for_each(|n| stats.count_error(format!("CODE{n} x").as_bytes()));
        assert_eq!((stats.errors()["ERR"], stats.errors().len()), (2, ERROR_CODES_MAX));
        stats.reset();
        assert_eq!((stats.commands().count(), stats.errors().len()), (0, 0));
    }
}
