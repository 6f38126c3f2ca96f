//! What each command cost and how often it failed: INFO commandstats, errorstats and latencystats, LATENCY HISTOGRAM, and the
//! measurements of the slow log and the latency monitor.
//!
//! One reading of the processor's counter a command: where one command of a batch ends, the next begins. Each thread has
//! counts of its own, which it alone changes, so that counting takes no lock and no atomic addition; they are summed up when
//! somebody looks.

mod histogram;

pub use histogram::Distribution;

use crate::command::registry;
use crate::sys::ticks;
use histogram::Histogram;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// Distinct error codes that are counted: a script or a client must not grow the table without end.
const ERROR_CODES_MAX: usize = 128;

/// What one thread has counted of one command.
#[derive(Default)]
struct Counters {
    calls: AtomicU64,
    ticks: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    durations: OnceLock<Box<Histogram>>,
}

/// Adds to a counter that no other thread changes.
#[inline]
fn bump(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

/// What one thread has counted of all commands, by their numbers in the registry.
type ThreadCounts = [Counters];

thread_local! {
    /// This thread's counts, for each [`CommandStats`] (tests have several).
    static OF_THREAD: RefCell<Vec<(u64, Weak<ThreadCounts>)>> = const { RefCell::new(Vec::new()) };
}

/// The counts of the thread that it was made on, and never leaves.
struct Own {
    counts: Arc<ThreadCounts>,
    stays: PhantomData<*const ()>,
}

/// Sums over all threads, of one command.
#[derive(Default, Clone)]
struct Sum {
    calls: u64,
    ticks: u64,
    rejected: u64,
    failed: u64,
    durations: Distribution,
}

impl Sum {
    fn add(&mut self, counters: &Counters) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.calls += get(&counters.calls);
        self.ticks += get(&counters.ticks);
        self.rejected += get(&counters.rejected);
        self.failed += get(&counters.failed);
        if let Some(durations) = counters.durations.get() {
            durations.add_to(&mut self.durations);
        }
    }

    fn subtract(&mut self, earlier: &Sum) {
        self.calls = self.calls.saturating_sub(earlier.calls);
        self.ticks = self.ticks.saturating_sub(earlier.ticks);
        self.rejected = self.rejected.saturating_sub(earlier.rejected);
        self.failed = self.failed.saturating_sub(earlier.failed);
        self.durations.subtract(&earlier.durations);
    }
}

/// Figures of one command, as INFO shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// How long each call took that was made while durations were tracked.
    pub durations: Distribution,
}

/// Figures of all commands.
pub struct CommandStats {
    id: u64,
    threads: Mutex<Vec<Arc<ThreadCounts>>>,
    /// What had been counted when the figures were last set to zero: nobody but their threads may touch the counts.
    zero: Mutex<Vec<Sum>>,
    /// Durations are counted (`latency-tracking`).
    tracks_durations: AtomicBool,
    errors: Mutex<BTreeMap<String, u64>>,
}

impl Default for CommandStats {
    fn default() -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        CommandStats {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            threads: Mutex::default(),
            zero: Mutex::default(),
            tracks_durations: AtomicBool::new(true),
            errors: Mutex::default(),
        }
    }
}

impl CommandStats {
    /// Says whether durations are counted from now on (`latency-tracking`).
    pub fn track_durations(&self, on: bool) {
        self.tracks_durations.store(on, Ordering::Relaxed);
    }

    /// The counts of this thread.
    #[cold]
    fn own(&self) -> Own {
        let counts = OF_THREAD.with_borrow_mut(|known| {
            known.retain(|(_, counts)| counts.strong_count() > 0);
            if let Some((_, counts)) = known.iter().find(|(other, _)| *other == self.id)
                && let Some(counts) = counts.upgrade()
            {
                return counts;
            }
            let counts: Arc<ThreadCounts> = (0..registry::count()).map(|_| Counters::default()).collect();
            self.threads.lock().push(counts.clone());
            known.push((self.id, Arc::downgrade(&counts)));
            counts
        });
        Own { counts, stays: PhantomData }
    }

    /// What all threads have counted since the start, by the commands' numbers.
    fn sums(&self) -> Vec<Sum> {
        let mut sums = vec![Sum::default(); registry::count()];
        for counts in self.threads.lock().iter() {
            sums.iter_mut().zip(counts.iter()).for_each(|(sum, counters)| sum.add(counters));
        }
        sums
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
        // The lock goes first: what is subtracted must have been counted earlier.
        let zero = self.zero.lock();
        let mut sums = self.sums();
        sums.iter_mut().zip(zero.iter()).for_each(|(sum, zero)| sum.subtract(zero));
        let figures = sums.into_iter().enumerate().map(|(index, sum)| CommandFigures {
            name: registry::name_at(index),
            calls: sum.calls,
            us: ticks::to_ns(sum.ticks) / 1000,
            rejected: sum.rejected,
            failed: sum.failed,
            durations: sum.durations,
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
        let mut zero = self.zero.lock();
        *zero = self.sums();
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

/// Measures the commands of one session, and counts them.
#[derive(Default)]
pub struct Tally {
    /// When the command at hand began, in ticks.
    begun: u64,
    own: Option<Own>,
}

impl Tally {
    /// Starts measuring: the first command of a batch begins now.
    #[inline]
    pub fn begin(&mut self) {
        self.begun = ticks::now();
    }

    /// When the command at hand began, in ticks.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Has the command at hand begun earlier: others ran within it (EXEC), and their time is a part of its own.
    pub fn begin_at(&mut self, begun: u64) {
        self.begun = begun;
    }

    /// Counts a command that has just ended, and begins the next. Returns how long it took, in ticks.
    #[inline]
    pub fn end(&mut self, stats: &CommandStats, index: usize, ended: Ended) -> u64 {
        let now = ticks::now();
        let took = now.saturating_sub(self.begun);
        self.begun = now;
        self.add(stats, index, ended, took);
        took
    }

    /// Begins the next command without counting the one at hand, which goes on. Returns how long it took so far.
    pub fn lap(&mut self) -> u64 {
        let now = ticks::now();
        now.saturating_sub(std::mem::replace(&mut self.begun, now))
    }

    /// Counts a command that took so many ticks.
    #[inline]
    pub fn add(&mut self, stats: &CommandStats, index: usize, ended: Ended, ticks: u64) {
        let own = self.own.get_or_insert_with(|| stats.own());
        let Some(counters) = own.counts.get(index) else { return };
        if ended == Ended::Refused {
            return bump(&counters.rejected, 1);
        }
        bump(&counters.calls, 1);
        bump(&counters.ticks, ticks);
        if ended == Ended::Failed {
            bump(&counters.failed, 1);
        }
        if stats.tracks_durations.load(Ordering::Relaxed) {
            counters.durations.get_or_init(Box::default).count(ticks::to_ns(ticks));
        }
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
        let took = tally.end(&stats, get, Ended::Well);
        assert!((1_900_000..100_000_000).contains(&ticks::to_ns(took)));
        tally.end(&stats, get, Ended::Failed);
        tally.end(&stats, ping, Ended::Refused);
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
        tally.add(&stats, get, Ended::Well, 0);
        let figures: Vec<_> = stats.commands().collect();
        assert_eq!((figures.len(), figures[0].calls, figures[0].failed), (1, 1, 0));
        assert!(figures[0].us < 1_900);
    }

    #[test]
    fn durations_are_counted_while_they_are_tracked() {
        let stats = CommandStats::default();
        let get = registry::find(b"get").and_then(registry::index).unwrap();
        let mut tally = Tally::default();
        let durations = || stats.commands().next().unwrap().durations;
        let ms = ticks::from_ns(5_000_000);
        tally.add(&stats, get, Ended::Well, ms);
        tally.add(&stats, get, Ended::Refused, ms);
        assert_eq!(durations().cumulative_us(), [(8454, 1)]);
        stats.track_durations(false);
        tally.add(&stats, get, Ended::Well, ms);
        assert_eq!(durations().calls(), 1, "what was counted stays");
        stats.track_durations(true);
        tally.add(&stats, get, Ended::Failed, ms);
        assert_eq!(durations().calls(), 2);
        stats.reset();
        tally.add(&stats, get, Ended::Well, 0);
        assert_eq!(durations().cumulative_us(), [(1, 1)]);
    }

    #[test]
    fn all_threads_and_sessions_are_summed_up() {
        let stats = CommandStats::default();
        let get = registry::find(b"get").and_then(registry::index).unwrap();
        let work = || {
            for _ in 0..50 {
                let mut tally = Tally::default();
                (0..100).for_each(|_| tally.add(&stats, get, Ended::Well, 1));
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
        work();
        let figures: Vec<_> = stats.commands().collect();
        assert_eq!((figures[0].calls, figures[0].durations.calls()), (25_000, 25_000));
        assert_eq!(stats.threads.lock().len(), 5, "one set of counts a thread, not a session");
    }
}
