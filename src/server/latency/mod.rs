//! The latency monitor: events that took at least `latency-monitor-threshold`, as the LATENCY command shows them.
//!
//! While the threshold is 0 nothing is measured for it: [`Latency::begin`] is one look at the threshold, and commands, which
//! are measured in any case, are held against the lesser of this threshold and the slow log's ([`note_long`]).

mod graph;
mod report;
mod series;

pub use series::{Sample, Series};

use super::Node;
use super::config::Config;
use super::session::Session;
use super::slowlog;
use crate::command::table::{Command, flags};
use crate::sys::ticks;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Declares the events with the names that Redis gives them.
macro_rules! events {
    ($($(#[$doc:meta])* $event:ident = $name:literal,)*) => {
        /// What may take long.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Event { $($(#[$doc])* $event,)* }

        impl Event {
            #[cfg(test)]
            const ALL: &'static [Event] = &[$(Event::$event),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Event::$event => $name,)* }
            }
        }
    };
}

events! {
    /// A command of a client.
    Command = "command",
    /// A command that ought to be quick.
    FastCommand = "fast-command",
    /// A blocked client's command, run when its key was ready.
    CommandUnblocking = "command-unblocking",
    /// A fork, as long as it held everybody up.
    Fork = "fork",
    /// Expired keys and fields were removed, in one slice under one lock.
    ExpireCycle = "expire-cycle",
    /// Keys were evicted, at one go.
    EvictionCycle = "eviction-cycle",
    /// One key was evicted.
    EvictionDel = "eviction-del",
    /// A batch was appended to the log file.
    AofWrite = "aof-write",
    /// The same, while a child wrote a snapshot.
    AofWriteActiveChild = "aof-write-active-child",
    /// The same, while none did.
    AofWriteAlone = "aof-write-alone",
    /// The same, while the file was being fsynced; or waiting for the end of that, where it took too long.
    AofWritePendingFsync = "aof-write-pending-fsync",
    /// The log file was fsynced because of `appendfsync always`.
    AofFsyncAlways = "aof-fsync-always",
    /// A new generation's files were put in their place.
    AofRename = "aof-rename",
}

/// When something began that may take long; nothing while nobody wants to know.
#[must_use]
pub struct Begun(Option<u64>);

/// The monitor.
pub struct Latency {
    /// Events that take so long, in ms, are noted; 0: none.
    threshold_ms: AtomicU64,
    /// Commands that take so many ticks are looked at: for this monitor, or for the slow log.
    long_ticks: AtomicU64,
    series: Mutex<Vec<(Event, Series)>>,
}

impl Latency {
    /// Nothing has been noted yet.
    pub fn new(config: &Config) -> Latency {
        let latency = Latency {
            threshold_ms: AtomicU64::new(0),
            long_ticks: AtomicU64::new(u64::MAX),
            series: Mutex::default(),
        };
        latency.configure(config);
        latency
    }

    /// Takes the thresholds from the configuration. Also to be called when the measure of a tick was refined.
    pub fn configure(&self, config: &Config) {
        let threshold_ms = config.latency_monitor_threshold_ms;
        let own_ticks = match threshold_ms {
            0 => u64::MAX,
            ms => ticks::from_ns(ms.saturating_mul(1_000_000)),
        };
        self.threshold_ms.store(threshold_ms, Ordering::Relaxed);
        self.long_ticks.store(own_ticks.min(slowlog::threshold_ticks(config)), Ordering::Relaxed);
    }

    /// Are events noted?
    #[inline]
    pub fn is_on(&self) -> bool {
        self.threshold_ms.load(Ordering::Relaxed) > 0
    }

    /// Did a command take so long, in ticks, that [`note_long`] is to be told of it?
    #[inline]
    pub fn is_long(&self, ticks: u64) -> bool {
        ticks >= self.long_ticks.load(Ordering::Relaxed)
    }

    /// Begins to measure, if events are noted.
    #[inline]
    pub fn begin(&self) -> Begun {
        Begun(self.is_on().then(ticks::now))
    }

    /// Notes an event that took so long, if that is long enough. `now_ms` is only asked for then.
    fn note(&self, event: Event, took: Duration, now_ms: impl FnOnce() -> i64) {
        let (took_ms, threshold_ms) = (took.as_millis(), self.threshold_ms.load(Ordering::Relaxed));
        if threshold_ms == 0 || took_ms < u128::from(threshold_ms) {
            return;
        }
        let sample = Sample { at_s: now_ms() / 1000, ms: u32::try_from(took_ms).unwrap_or(u32::MAX) };
        let mut all = self.series.lock();
        match all.iter_mut().find(|(known, _)| *known == event) {
            Some((_, series)) => series.add(sample),
            None => all.push((event, Series::new(sample))),
        }
    }

    /// All events noted, in the order in which each was first.
    pub fn all(&self) -> Vec<(Event, Series)> {
        self.series.lock().clone()
    }

    /// The event of this name, if it was noted.
    pub fn find(&self, name: &[u8]) -> Option<(Event, Series)> {
        self.series.lock().iter().find(|(event, _)| event.name().as_bytes() == name).cloned()
    }

    /// Forgets the events of this name, in any case, or all of them, and returns how many that were.
    pub fn reset(&self, name: Option<&[u8]>) -> usize {
        let mut all = self.series.lock();
        let before = all.len();
        all.retain(|(event, _)| name.is_some_and(|name| !event.name().as_bytes().eq_ignore_ascii_case(name)));
        before - all.len()
    }
}

/// Ends a measurement, and notes the event if it took long.
#[inline]
pub fn end(node: &Node, event: Event, begun: Begun) {
    if let Begun(Some(begun)) = begun {
        note_ticks(node, event, ticks::now().saturating_sub(begun));
    }
}

#[cold]
fn note_ticks(node: &Node, event: Event, ticks: u64) {
    note(node, event, Duration::from_nanos(ticks::to_ns(ticks)));
}

/// Notes an event that was measured elsewhere, if it took long.
pub fn note(node: &Node, event: Event, took: Duration) {
    node.latency.note(event, took, || node.now_ms());
}

/// Takes a long command ([`Latency::is_long`]), which took so many ticks, into the slow log and the monitor, as far as it
/// is long enough for them.
#[cold]
pub fn note_long(node: &Node, session: &Session, command: &Command, args: &[&[u8]], took: u64) {
    if node.slowlog.is_slow(took) && !command.has(flags::SKIP_SLOWLOG) {
        let (addr, name) = (session.info.addr.to_string(), session.info.labels.lock().name.clone());
        node.slowlog.add(took, node.now_ms(), &slowlog::redacted(command, args), addr, name);
    }
    let event = if command.has(flags::FAST) { Event::FastCommand } else { Event::Command };
    note_ticks(node, event, took);
}

/// LATENCY GRAPH's picture of what was noted of an event.
pub fn graph(node: &Node, event: Event, series: &Series) -> String {
    graph::draw(event.name(), series, node.now_ms() / 1000)
}

/// LATENCY DOCTOR's report.
pub fn report(node: &Node) -> String {
    report::write(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(threshold_ms: u64, slower_than_us: i64) -> Latency {
        let mut config = Config::default();
        (config.latency_monitor_threshold_ms, config.slowlog_slower_than_us) = (threshold_ms, slower_than_us);
        Latency::new(&config)
    }

    fn note(latency: &Latency, event: Event, us: u64, at_s: i64) {
        latency.note(event, Duration::from_micros(us), || at_s * 1000);
    }

    #[test]
    fn notes_what_is_long_enough() {
        let monitor = latency(20, -1);
        note(&monitor, Event::Fork, 19_999, 5);
        assert!(monitor.all().is_empty());
        note(&monitor, Event::Fork, 20_999, 5);
        note(&monitor, Event::Command, 1_000_000, 6);
        let events: Vec<Event> = monitor.all().into_iter().map(|(event, _)| event).collect();
        assert_eq!(events, [Event::Fork, Event::Command]);
        assert_eq!(monitor.find(b"fork").unwrap().1.latest(), Sample { at_s: 5, ms: 20 });
        assert!(monitor.find(b"FORK").is_none() && monitor.find(b"eviction-del").is_none());
        assert_eq!((monitor.reset(Some(b"FORK")), monitor.reset(Some(b"fork"))), (1, 0));
        assert_eq!((monitor.reset(None), monitor.all().len()), (1, 0));
        let off = latency(0, -1);
        note(&off, Event::Fork, u64::MAX, 5);
        assert!(off.all().is_empty() && off.begin().0.is_none() && monitor.begin().0.is_some());
    }

    #[test]
    fn commands_are_held_against_the_lesser_threshold() {
        let ms = |ms: u64| ticks::from_ns(ms * 1_000_000);
        for (threshold_ms, slower_than_us, least_ms) in
            [(20, 5_000, 5), (5, 20_000, 5), (5, -1, 5), (0, 5_000, 5)]
        {
            let monitor = latency(threshold_ms, slower_than_us);
            // What a tick is worth may be measured anew between two looks.
            assert!(monitor.is_long(ms(least_ms) / 99 * 100) && !monitor.is_long(ms(least_ms) / 100 * 99));
        }
        assert!(!latency(0, -1).is_long(ms(1 << 40)));
        assert!(latency(0, 0).is_long(0));
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::HashSet<&str> = Event::ALL.iter().map(|event| event.name()).collect();
        assert_eq!(names.len(), Event::ALL.len());
    }
}
