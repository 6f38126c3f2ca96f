//! LATENCY: events that took long, how long calls take, and INFO latencystats.

use super::on_each_server;
use crate::support::slow_disk::{DiskState, SlowDisk};
use crate::support::{Client, Server, free_port, wait_for};
use outrigger::resp::RespValue;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LIMIT: Duration = Duration::from_secs(20);

fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs() as i64
}

fn text(value: &RespValue) -> String {
    String::from_utf8_lossy(value.as_bytes().expect("a string")).into_owned()
}

fn ints(value: &RespValue) -> Vec<i64> {
    value.as_slice().expect("an array").iter().filter_map(RespValue::as_int).collect()
}

/// LATENCY LATEST as names, each with the latest time and the greatest, in ms.
fn latest(client: &mut Client) -> Vec<(String, i64, i64)> {
    let reply = client.cmd("LATENCY LATEST");
    let event = |event: &RespValue| {
        let parts = event.as_slice().expect("an event");
        let figures = ints(event);
        assert_eq!((parts.len(), figures.len()), (4, 3), "{event:?}");
        assert!((now_s() - 60..=now_s()).contains(&figures[0]), "{event:?}");
        (text(&parts[0]), figures[1], figures[2])
    };
    reply.as_slice().expect("events").iter().map(event).collect()
}

fn names(client: &mut Client) -> Vec<String> {
    latest(client).into_iter().map(|(name, ..)| name).collect()
}

/// Waits until the server's clock has come to another second.
fn next_second() {
    let begun = now_s();
    wait_for("the next second", LIMIT, || now_s() > begun);
}

/// Back to the state of a server that has just begun.
fn begin(client: &mut Client, threshold_ms: u64) {
    client.ok(&format!("CONFIG SET latency-monitor-threshold {threshold_ms}"));
    client.ok("CONFIG SET latency-tracking yes");
    client.int("LATENCY RESET");
    client.ok("CONFIG RESETSTAT");
}

#[test]
fn slow_commands_are_noted_once_a_second() {
    on_each_server(|server| {
        let mut client = server.client();
        begin(&mut client, 0);
        client.ok("DEBUG SLEEP 0.25");
        assert_eq!(latest(&mut client), [], "while the monitor is off");
        client.ok("CONFIG SET latency-monitor-threshold 200");
        client.ok("DEBUG SLEEP 0.01");
        assert_eq!(latest(&mut client), [], "too short");
        next_second();
        client.ok("DEBUG SLEEP 0.6");
        client.ok("DEBUG SLEEP 0.21");
        next_second();
        client.ok("DEBUG SLEEP 0.22");
        let events = latest(&mut client);
        let [(name, latest_ms, max_ms)] = &events[..] else { panic!("{events:?}") };
        assert_eq!(name, "command");
        assert!((220..600).contains(latest_ms) && (600..2000).contains(max_ms), "{events:?}");
        let history = client.cmd("LATENCY HISTORY command");
        let samples: Vec<Vec<i64>> = history.as_slice().expect("samples").iter().map(ints).collect();
        let [first, second] = &samples[..] else { panic!("{samples:?}") };
        assert!(first[0] < second[0] && first[1] == *max_ms && second[1] == *latest_ms, "{samples:?}");
        assert_eq!(client.int("LATENCY RESET nothing"), 0);
        assert_eq!(client.int("LATENCY RESET COMMAND command"), 1);
        assert_eq!(latest(&mut client), []);
        assert_eq!(ints(&client.cmd("LATENCY HISTORY command")), []);
    });
}

#[test]
fn a_transaction_is_as_long_as_its_commands_together() {
    on_each_server(|server| {
        let mut client = server.client();
        begin(&mut client, 100);
        client.ok("MULTI");
        (0..3).for_each(|_| assert_eq!(client.text("DEBUG SLEEP 0.05"), "QUEUED"));
        client.cmd("EXEC");
        let events = latest(&mut client);
        assert!(matches!(&events[..], [(name, 150..1000, _)] if name == "command"), "{events:?}");
        let stats = client.text("INFO commandstats");
        let exec =
            stats.lines().find_map(|line| line.strip_prefix("cmdstat_exec:calls=1,usec=")).expect("EXEC");
        let us: u64 = exec.split(',').next().and_then(|us| us.parse().ok()).expect("a number");
        assert!(us >= 150_000, "{exec}");
    });
}

#[test]
fn graphs_and_the_doctor_are_texts() {
    on_each_server(|server| {
        let (mut client, mut client3) = (server.client(), server.client3());
        begin(&mut client, 200);
        client.ok("DEBUG SLEEP 0.3");
        let graph = client.text("LATENCY GRAPH command");
        let lines: Vec<&str> = graph.lines().collect();
        assert!(
            lines[0].starts_with("command - high ") && lines[0].contains(" ms (all time high "),
            "{graph}"
        );
        assert_eq!(lines[1], "-".repeat(80));
        assert_eq!(lines[2..7], [" ", " ", " ", "_", " "]);
        assert!(lines.last() == Some(&"s") && graph.ends_with('\n'), "{graph}");
        for words in ["LATENCY GRAPH command", "LATENCY DOCTOR"] {
            let reply = client3.cmd(words);
            assert!(matches!(&reply, RespValue::Verbatim { .. }), "{reply:?}");
        }
        let report = client.text("LATENCY DOCTOR");
        let line = "1. command: 1 latency spikes (average ";
        assert!(report.contains(line) && report.contains("sec). Worst all time event "), "{report}");
    });
}

#[test]
fn errors_are_those_of_redis() {
    on_each_server(|server| {
        let mut client = server.client();
        begin(&mut client, 0);
        for (words, error) in [
            ("LATENCY", "ERR wrong number of arguments for 'latency' command"),
            ("LATENCY nothing", "ERR unknown subcommand 'nothing'. Try LATENCY HELP."),
            ("LATENCY LATEST x", "ERR wrong number of arguments for 'latency|latest' command"),
            ("LATENCY HISTORY", "ERR wrong number of arguments for 'latency|history' command"),
            ("LATENCY GRAPH", "ERR wrong number of arguments for 'latency|graph' command"),
            ("LATENCY GRAPH Command", "ERR No samples available for event 'Command'"),
            ("LATENCY HELP x", "ERR wrong number of arguments for 'latency|help' command"),
        ] {
            assert_eq!(client.error(words), error);
        }
        assert_eq!(
            client.command(&[&b"LATENCY"[..], b"GRAPH", b"a\r\nb\0c"]).as_error(),
            Some(&b"ERR No samples available for event 'a  b'"[..])
        );
        for (name, value, reason) in [
            ("latency-monitor-threshold", "x", "argument couldn't be parsed into an integer"),
            (
                "latency-monitor-threshold",
                "-1",
                "argument must be between 0 and 9223372036854775807 inclusive",
            ),
            ("latency-tracking", "maybe", "argument must be 'yes' or 'no'"),
            (
                "latency-tracking-info-percentiles",
                "x",
                "Invalid latency-tracking-info-percentiles parameters",
            ),
            (
                "latency-tracking-info-percentiles",
                "101",
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
            ),
        ] {
            let error = client.error(&format!("CONFIG SET {name} {value}"));
            let start = "ERR CONFIG SET failed (possibly related to argument '";
            assert_eq!(error, format!("{start}{name}') - {reason}"));
        }
        let help = client.cmd("LATENCY HELP");
        let first = text(&help.as_slice().expect("lines")[0]);
        assert_eq!(first, "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    });
}

/// A name, the number of its calls, and pairs of microseconds and calls that took no longer.
type Counted = (String, i64, Vec<(i64, i64)>);

/// LATENCY HISTOGRAM.
fn histogram(client: &mut Client, words: &str) -> Vec<Counted> {
    let reply = client.cmd(&format!("LATENCY HISTOGRAM {words}"));
    let RespValue::Map(commands) = reply else { panic!("{reply:?}") };
    let command = |(name, figures): &(RespValue, RespValue)| {
        let RespValue::Map(figures) = figures else { panic!("{figures:?}") };
        let fields: Vec<String> = figures.iter().map(|(field, _)| text(field)).collect();
        assert_eq!(fields, ["calls", "histogram_usec"]);
        let RespValue::Map(pairs) = &figures[1].1 else { panic!("{figures:?}") };
        let pair = |(us, calls): &(RespValue, RespValue)| Some((us.as_int()?, calls.as_int()?));
        let pairs = pairs.iter().map(|it| pair(it).expect("two numbers")).collect();
        (text(name), figures[0].1.as_int().expect("a number"), pairs)
    };
    commands.iter().map(command).collect()
}

/// The names and numbers of calls of LATENCY HISTOGRAM, sorted.
fn calls(client: &mut Client, words: &str) -> Vec<(String, i64)> {
    let mut calls: Vec<(String, i64)> =
        histogram(client, words).into_iter().map(|(name, calls, _)| (name, calls)).collect();
    calls.sort();
    calls
}

#[test]
fn histograms_count_calls_by_how_long_they_took() {
    on_each_server(|server| {
        let (mut plain, mut client) = (server.client(), server.client3());
        begin(&mut client, 0);
        let named = |names: &[(&str, i64)]| -> Vec<(String, i64)> {
            names.iter().map(|(name, calls)| ((*name).to_owned(), *calls)).collect()
        };
        assert_eq!(calls(&mut client, ""), named(&[("config|resetstat", 1)]));
        plain.ok("SET k v");
        plain.ok("SET k w");
        plain.error("INCR k");
        plain.error("GET");
        plain.ok("DEBUG SLEEP 0.003");
        plain.ok("DEBUG SLEEP 1.1");
        plain.int("CLIENT ID");
        plain.text("CLIENT LIST");
        assert_eq!(
            calls(&mut client, "get set INCR nosuch config|nosuch"),
            named(&[("incr", 1), ("set", 2)])
        );
        assert_eq!(calls(&mut client, "client"), named(&[("client|id", 1), ("client|list", 1)]));
        assert_eq!(calls(&mut client, "Client|Id"), named(&[("client|id", 1)]));
        assert_eq!(calls(&mut client, "set set"), named(&[("set", 2), ("set", 2)]));
        let debug = histogram(&mut client, "debug");
        let [(_, 2, pairs)] = &debug[..] else { panic!("{debug:?}") };
        let [(short_us, 1), (long_us, 2)] = pairs[..] else { panic!("{pairs:?}") };
        assert!((4227..1_000_000).contains(&short_us) && long_us == 1_073_741, "{pairs:?}");
        let RespValue::Array(flat) = plain.cmd("LATENCY HISTOGRAM set") else { panic!("an array") };
        assert_eq!((flat.len(), text(&flat[0])), (2, "set".to_owned()));
        assert_eq!(flat[1].as_slice().map(<[RespValue]>::len), Some(4));
        assert_eq!(calls(&mut client, "latency|histogram"), named(&[("latency|histogram", 7)]));
    });
}

#[test]
fn durations_are_counted_where_they_are_tracked() {
    on_each_server(|server| {
        let mut client = server.client();
        begin(&mut client, 0);
        let shown = |client: &mut Client, name: &str| {
            let prefix = format!("latency_percentiles_usec_{name}:");
            client
                .text("INFO latencystats")
                .lines()
                .find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
        };
        client.ok("CONFIG SET latency-tracking no");
        client.ok("SET k v");
        assert_eq!(shown(&mut client, "set"), None);
        client.ok("CONFIG SET latency-tracking yes");
        (0..3).for_each(|_| client.ok("DEBUG SLEEP 0.001"));
        client.ok("DEBUG SLEEP 1.01");
        let debug = shown(&mut client, "debug").expect("percentiles");
        let parts: Vec<&str> = debug.split(',').collect();
        let us = |text: &str| text.parse::<f64>().expect("a number");
        let p50 = us(parts[0].strip_prefix("p50=").expect("p50"));
        assert!((1_000.0..1_000_000.0).contains(&p50), "{debug}");
        assert_eq!(parts[1..], ["p99=1002438.655", "p99.9=1002438.655"]);
        let set = |client: &mut Client, percentiles: &str| {
            client.command(&["CONFIG", "SET", "latency-tracking-info-percentiles", percentiles]);
            shown(client, "debug").expect("percentiles")
        };
        let changed = set(&mut client, "0 33.33333333 100");
        assert!(changed.starts_with("p0=") && changed.contains(",p33.333333="), "{changed}");
        assert!(changed.ends_with(",p100=1002438.655"), "{changed}");
        assert_eq!(set(&mut client, ""), "");
        assert!(set(&mut client, "50 99 99.9").contains("p99.9="));
        client.ok("CONFIG SET latency-tracking no");
        assert_eq!(shown(&mut client, "debug"), None);
        let kept = client.cmd("LATENCY HISTOGRAM debug");
        assert_eq!(kept.as_slice().map(<[RespValue]>::len), Some(2), "what was counted stays");
        client.ok("CONFIG SET latency-tracking yes");
        assert!(shown(&mut client, "debug").is_some());
        client.ok("CONFIG RESETSTAT");
        assert_eq!(shown(&mut client, "debug"), None);
        assert!(!client.text("INFO").contains("# Latencystats"));
        assert!(client.text("INFO all").contains("# Latencystats"));
    });
}

/// All threads count, and what waits is counted by the one that it waits on.
#[test]
fn connections_of_all_threads_are_counted_together() {
    on_each_server(|server| {
        let mut client = server.client3();
        begin(&mut client, 0);
        for _ in 0..8 {
            let mut other = server.client();
            (0..5).for_each(|_| other.ok("SET k v"));
            other.int("RPUSH q x");
            other.cmd("BLPOP q 1");
        }
        let mut waiting = server.client();
        waiting.send(&["BLPOP", "q", "0"]).expect("send");
        wait_for("a client to wait", LIMIT, || client.info("blocked_clients").as_deref() == Some("1"));
        client.int("RPUSH q x");
        waiting.read().expect("what was pushed");
        let expected =
            [("blpop", 9), ("rpush", 9), ("set", 40)].map(|(name, calls)| (name.to_owned(), calls));
        assert_eq!(calls(&mut client, "blpop rpush set"), expected);
    });
}

#[test]
fn evictions_that_take_long_are_noted() {
    on_each_server(|server| {
        let mut client = server.client();
        begin(&mut client, 1);
        client.ok("CONFIG SET maxmemory-policy allkeys-random maxmemory-eviction-tenacity 100");
        client.ok("DEBUG POPULATE 100000 key 50");
        let used: u64 = client.info("used_memory").and_then(|text| text.parse().ok()).expect("used_memory");
        client.ok(&format!("CONFIG SET maxmemory {}", used - (4 << 20)));
        wait_for("keys to go", LIMIT, || client.info("evicted_keys").is_some_and(|count| count != "0"));
        client.cmd("SET k v");
        let events = names(&mut client);
        assert!(events.contains(&"eviction-cycle".to_owned()), "{events:?}");
        client.ok("CONFIG SET maxmemory 0 maxmemory-policy noeviction maxmemory-eviction-tenacity 10");
        client.ok("FLUSHALL");
    });
}

#[test]
fn a_slow_disk_shows() {
    let disk = SlowDisk::new();
    let args = ["--appendonly", "yes", "--appendfsync", "always", "--latency-monitor-threshold", "50"];
    let server = Server::ours_with_env(free_port(), &args, disk.env());
    let mut client = server.client();
    wait_for("the first generation", LIMIT, || {
        client.info("outrigger_aof_phase").as_deref() == Some("writing")
    });
    client.ok("SET k v");
    client.int("LATENCY RESET");
    disk.set(DiskState::Slow(80));
    client.ok("SET k w");
    // It is noted behind the reply.
    wait_for("the event", LIMIT, || {
        latest(&mut client).iter().any(|event| matches!(event, (name, 80.., _) if name == "aof-fsync-always"))
    });
    client.cmd("BGREWRITEAOF");
    wait_for("the new generation", LIMIT, || names(&mut client).contains(&"aof-rename".to_owned()));
    client.int("LATENCY RESET");
    client.ok("CONFIG SET latency-monitor-threshold 0");
    client.ok("SET k x");
    client.ok("SET k y");
    assert_eq!(names(&mut client), [] as [&str; 0], "while the monitor is off");
    client.ok("CONFIG SET appendfsync everysec latency-monitor-threshold 50");
    disk.set(DiskState::Slow(2500));
    wait_for("a write that waits for an fsync", LIMIT, || {
        client.ok("SET k z");
        names(&mut client).contains(&"aof-write-pending-fsync".to_owned())
    });
    assert!(names(&mut client).contains(&"aof-write".to_owned()));
    disk.set(DiskState::Well);
}
