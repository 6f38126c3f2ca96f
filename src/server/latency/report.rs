//! LATENCY DOCTOR: what was noted, and what may be done about it.

use super::{Event, Series};
use crate::server::Node;
use crate::server::config::Config;
use crate::server::stats::get;
use crate::sys::memory::huge_page_bytes;
use std::fmt::Write;

const GIB: f64 = (1u64 << 30) as f64;

/// What is known of the node beside its events.
struct Facts<'a> {
    config: &'a Config,
    /// GiB of memory that the last fork took over in a second; `None` if there was none.
    fork_rate: Option<f64>,
    /// The process has huge pages.
    huge_pages: bool,
    now_s: i64,
}

/// The report on a node.
pub(super) fn write(node: &Node) -> String {
    let fork_us = get(&node.stats.last_fork_us);
    let used = node.memory.last_figures().allocator.allocated as f64;
    let facts = Facts {
        config: &node.config(),
        fork_rate: (fork_us > 0).then(|| used * 1e6 / fork_us as f64 / GIB),
        huge_pages: huge_page_bytes().is_some_and(|bytes| bytes > 0),
        now_s: node.now_ms() / 1000,
    };
    of(&node.latency.all(), &facts)
}

fn of(events: &[(Event, Series)], facts: &Facts<'_>) -> String {
    let threshold_ms = facts.config.latency_monitor_threshold_ms;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = match (events.is_empty(), threshold_ms) {
        (true, 0) => writeln!(
            out,
            "Nothing is noted: the latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> \
             turns it on."
        ),
        (true, _) => writeln!(out, "Nothing has taken {threshold_ms} ms or longer."),
        (false, _) => writeln!(out, "These events took long, the most of each second:\n"),
    };
    for (number, (event, series)) in events.iter().enumerate() {
        let it = series.summary(facts.now_s);
        let _ = write!(
            out,
            "{}. {}: {} latency spikes (average {}ms, mean deviation {}ms, period {:.2} sec). Worst all time event \
             {}ms.",
            number + 1,
            event.name(),
            it.samples,
            it.mean_ms,
            it.deviation_ms,
            it.period_s as f64 / it.samples as f64,
            series.all_time_max_ms()
        );
        if let (Event::Fork, Some(rate)) = (event, facts.fork_rate) {
            let _ = write!(out, " Fork rate is {rate:.2} GB/sec ({}).", quality(rate));
        }
        out.push('\n');
    }
    let advice = advice(events, facts);
    if !advice.is_empty() {
        out.push_str("\nWhat may help:\n\n");
        advice.iter().for_each(|advice| out.extend(["- ", advice, "\n"]));
    }
    out
}

/// What to think of a rate at which forks take over memory, in GiB a second.
fn quality(rate: f64) -> &'static str {
    match rate {
        ..10.0 => "terrible",
        10.0..25.0 => "poor",
        25.0..100.0 => "good",
        _ => "excellent",
    }
}

fn advice(events: &[(Event, Series)], facts: &Facts<'_>) -> Vec<String> {
    let has = |wanted: &[Event]| events.iter().any(|(event, _)| wanted.contains(event));
    let mut advice = if has(&[Event::Command]) { of_commands(facts.config) } else { Vec::new() };
    let mut advise = |when: bool, text: &str| {
        if when {
            advice.push(text.to_owned());
        }
    };
    advise(
        has(&[Event::FastCommand]),
        "Commands that ought to be quick take long where the process does not get the processor, or waits \
         for the keys of a command that is not quick. Lower the machine's load, look for a noisy \
         neighbour, and measure the system with 'redis-cli --intrinsic-latency 100'.",
    );
    advise(
        has(&[Event::Fork]) && facts.fork_rate.is_some_and(|rate| rate < 25.0),
        "Forks are slow on this machine. Let a replica write the snapshots, or use a machine whose virtual \
         memory is quicker.",
    );
    let writes =
        [Event::AofWrite, Event::AofWriteAlone, Event::AofWriteActiveChild, Event::AofWritePendingFsync];
    advise(
        has(&writes) || has(&[Event::AofFsyncAlways, Event::AofRename]),
        "The disk takes its time: who waits for the log file waits for it. A local disk, a faster one, or \
         one that nothing else writes to.",
    );
    advise(
        has(&[Event::AofWriteActiveChild]),
        "Children that write snapshots take the disk's time: save less often (save, \
         auto-aof-rewrite-percentage), or on a replica.",
    );
    advise(
        has(&[Event::AofFsyncAlways]),
        "An fsync for each batch (appendfsync always, durable acks) is as slow as the disk; appendfsync \
         everysec is quicker, and may lose a second.",
    );
    advise(
        has(&[Event::ExpireCycle]),
        "Many keys, or fields, come due at once: spread their times. A slice of them that takes long may \
         also have waited for the processor.",
    );
    advise(
        has(&[Event::EvictionCycle, Event::EvictionDel]),
        "Eviction takes long where much has to go at once: after maxmemory was lowered, or when commands \
         store large values. A smaller maxmemory-eviction-tenacity evicts less at one go.",
    );
    advise(
        facts.huge_pages,
        "The process has huge pages, of which a single write after a fork copies 2 MiB. Leave disable-thp \
         at yes, and restart.",
    );
    advice
}

/// What to do about commands that take long.
fn of_commands(config: &Config) -> Vec<String> {
    let threshold_us = config.latency_monitor_threshold_ms.saturating_mul(1000);
    let slower_than_us = config.slowlog_slower_than_us;
    let log_them = format!("CONFIG SET slowlog-log-slower-than {threshold_us}");
    let of_slowlog = match u64::try_from(slower_than_us) {
        Err(_) => Some("is off; it would tell which commands these were"),
        Ok(us) if us > threshold_us => Some("takes only commands that are slower than this monitor's"),
        Ok(_) => None,
    };
    let mut advice: Vec<String> =
        of_slowlog.iter().map(|what| format!("The slow log {what}: {log_them}.")).collect();
    advice.push(
        "See in the slow log which commands take long, and have them do less at one go: SCAN for KEYS, ranges and \
         counts for whole values."
            .into(),
    );
    advice
}

#[cfg(test)]
mod tests {
    use super::super::Sample;
    use super::*;

    fn facts(config: &Config) -> Facts<'_> {
        Facts { config, fork_rate: None, huge_pages: false, now_s: 100 }
    }

    #[test]
    fn nothing_noted() {
        let mut config = Config::default();
        assert!(of(&[], &facts(&config)).contains("CONFIG SET latency-monitor-threshold"));
        config.latency_monitor_threshold_ms = 7;
        assert_eq!(of(&[], &facts(&config)), "Nothing has taken 7 ms or longer.\n");
        let report = of(&[], &Facts { huge_pages: true, ..facts(&config) });
        assert!(report.contains("\n- The process has huge pages"));
    }

    #[test]
    fn events_and_advice() {
        let mut config = Config::default();
        (config.latency_monitor_threshold_ms, config.slowlog_slower_than_us) = (5, 10_000);
        let mut series = Series::new(Sample { at_s: 90, ms: 300 });
        series.add(Sample { at_s: 95, ms: 400 });
        series.add(Sample { at_s: 97, ms: 500 });
        let events =
            [(Event::Command, series.clone()), (Event::Fork, Series::new(Sample { at_s: 99, ms: 50 }))];
        let report = of(&events, &Facts { fork_rate: Some(12.345), ..facts(&config) });
        let lines: Vec<&str> = report.lines().collect();
        assert_eq!(
            lines[2..4],
            [
                "1. command: 3 latency spikes (average 400ms, mean deviation 66ms, period 3.33 sec). Worst all time \
                 event 500ms.",
                "2. fork: 1 latency spikes (average 50ms, mean deviation 0ms, period 1.00 sec). Worst all time event \
                 50ms. Fork rate is 12.35 GB/sec (poor)."
            ]
        );
        assert!(report.contains("slowlog-log-slower-than 5000") && report.contains("Forks are slow"));
        assert!(!report.contains("The slow log is off") && !report.contains("The disk"));
        config.slowlog_slower_than_us = -1;
        let report = of(&[(Event::Command, series)], &facts(&config));
        assert!(report.contains("The slow log is off") && !report.contains("Forks"));
    }
}
