//! Unit tests of what the supervisor decides; `tests/pair.rs` runs whole pairs.

use super::PairArgs;
use super::backoff::Backoff;
use super::hull::ending_text;
use super::probe::Facts;
use super::record::{Entry, text_of};
use super::setup::{SetupError, plan};
use super::status::{Reading, StatusLine, bytes_text, grouped};
use clap::Parser;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

fn args(words: &[&str]) -> PairArgs {
    PairArgs::try_parse_from(["outrigger pair"].iter().chain(words)).unwrap()
}

fn reading(primary: &str, replica: &str) -> Reading {
    let facts = |text: &str| (!text.is_empty()).then(|| Facts::parse(text));
    Reading { primary: facts(primary), replica: facts(replica) }
}

#[test]
fn waits_grow_until_the_process_serves() {
    let mut backoff = Backoff::default();
    let waits: Vec<u128> = (0..9).map(|_| backoff.died().as_millis()).collect();
    assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    for _ in 0..100 {
        assert_eq!(backoff.died(), Duration::from_secs(5));
    }
    backoff.served();
    assert_eq!(backoff.died(), Duration::from_millis(50));
}

#[test]
fn the_command_line_is_checked() {
    let parsed = args(&["--dir", "x", "--port", "7000", "--", "--maxmemory", "1gb"]);
    assert_eq!((parsed.port, parsed.directives.len()), (7000, 2));
    for refused in [&["--port", "65535"][..], &["--port", "0"], &["--port", "x"], &["loose"]] {
        assert!(PairArgs::try_parse_from(["p"].iter().chain(refused)).is_err(), "{refused:?}");
    }
}

#[test]
fn directives_that_break_a_pair_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let refusal = |words: &[&str]| plan(&args(&[&["--dir", dir, "--"], words].concat())).unwrap_err();
    for name in ["port", "dir", "replicaof", "SLAVEOF", "recover-from-peers", "start-new-history", "pidfile"]
    {
        let error = refusal(&[&format!("--{name}"), "1"]);
        assert!(matches!(&error, SetupError::Reserved(it) if *it == name.to_lowercase()), "{name}: {error}");
    }
    assert!(matches!(refusal(&["--port 1"]), SetupError::Reserved(_)), "name and value in one argument");
    assert!(matches!(refusal(&["maxmemory", "1"]), SetupError::NoDirective(_)));
    assert!(matches!(refusal(&["--no-such-thing", "1"]), SetupError::Directive(_)));
    assert!(matches!(refusal(&["--maxmemory", "much"]), SetupError::Directive(_)));
}

#[test]
fn a_password_is_given_to_both() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() / 2;
    let words = ["--dir", dir, "--port", &port.to_string(), "--", "--requirepass", "a secret"];
    let Ok(plan) = plan(&args(&words)) else { return }; // somebody took the port
    assert_eq!(plan.password, b"a secret");
    for args in [&plan.primary_args, &plan.replica_args] {
        let [name, value] = args.last_chunk::<2>().unwrap();
        assert_eq!((name, value), (&OsString::from("--masterauth"), &OsString::from("a secret")));
    }
    let second = super::setup::plan(&super::PairArgs::try_parse_from(["p", "--dir", dir]).unwrap());
    assert!(matches!(second, Err(SetupError::Locked(_))), "{second:?}");
}

#[test]
fn facts_of_info() {
    let facts = Facts::parse(
        "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
         slave0:ip=::1,port=1,state=wait_bgsave,offset=0,lag=0\r\n\
         slave1:ip=127.0.0.1,port=2,state=online,offset=3,lag=0,durable_offset=2\r\nmaster_repl_offset:3\r\n",
    );
    assert!(facts.has_replica_online());
    assert_eq!((facts.number("master_repl_offset"), facts.number("role")), (Some(3), None));
    assert!(!Facts::parse("connected_slaves:1\r\nslave0:state=wait_bgsave\r\n").has_replica_online());
    assert!(!Facts::parse("connected_slaves:99999999999\r\n").has_replica_online());
    assert!(!Facts::parse("outrigger_fenced:0").is_set("outrigger_fenced"));
    assert!(Facts::parse("outrigger_fenced:1").is_set("outrigger_fenced"));
}

#[test]
fn durability_is_judged_on_one_lineage() {
    let primary = "master_replid:a\nmaster_repl_offset:100\n";
    let at = |durable: i64, received: i64| {
        let text =
            format!("master_replid:a\noutrigger_durable_offset:{durable}\nslave_repl_offset:{received}\n");
        reading(primary, &text)
    };
    assert!(at(100, 100).replica_is_durable_to(100));
    assert!(!at(99, 100).replica_is_durable_to(100));
    assert!(!at(100, 120).replica_is_durable_to(100), "received more than it has fsynced");
    assert!(!at(-1, 100).replica_is_durable_to(0), "no durable offset at all");
    let gone = Reading { primary: None, ..at(100, 100) };
    assert!(gone.replica_is_durable_to(100), "the primary has ended");
    let other = reading(primary, "master_replid:b\noutrigger_durable_offset:900\nslave_repl_offset:900\n");
    assert!(!other.replica_is_durable_to(100), "another history");
    assert!(!reading(primary, "").replica_is_durable_to(0), "no answer");
}

#[test]
fn the_lag_is_the_age_of_what_is_not_durable() {
    let begin = Instant::now();
    let at = |ms: u64| begin + Duration::from_millis(ms);
    let mut status = StatusLine::default();
    let both = |offset: u64, durable: u64| {
        let primary =
            format!("master_replid:a\nmaster_repl_offset:{offset}\ntotal_commands_processed:{offset}\n");
        reading(&primary, &format!("master_replid:a\noutrigger_durable_offset:{durable}\n"))
    };
    assert!(status.line(&both(10, 10), at(0)).contains("lag 0 B / 0 ms"));
    let line = status.line(&both(30, 10), at(500));
    assert!(line.contains("lag 20 B / 500 ms") && line.contains("40 ops/s"), "{line}");
    assert_eq!(status.lag_ms(10, at(800)), 800);
    status.line(&both(50, 30), at(1000));
    assert_eq!(status.lag_ms(30, at(1100)), 600);
    // The primary came back at an earlier offset.
    status.line(&both(20, 20), at(1200));
    assert_eq!(status.lag_ms(20, at(1300)), 0);
    let line = status.line(&reading("", ""), at(1400));
    assert!(line.contains("primary down") && line.contains("lag ?"), "{line}");
    let line = status.line(&reading("outrigger_fenced:1\noutrigger_fence_reason:why\n", ""), at(1500));
    assert!(line.contains("FENCED: why"), "{line}");
}

#[test]
fn the_line_tells_of_durable_acks() {
    let mut status = StatusLine::default();
    let mut line = |state: &str, acks: u8, replicas: &str, replica: &str| {
        let primary =
            format!("outrigger_durable_acks_state:{state}\noutrigger_durable_acks:{acks}\n{replicas}");
        let line = status.line(&reading(&primary, replica), Instant::now());
        line.split("  offset").next().unwrap().to_owned()
    };
    let online = "connected_slaves:1\nslave0:state=online\n";
    let up = "role:slave\n";
    assert_eq!(line("ok", 1, online, up), "link up, replies durable");
    assert_eq!(line("off", 0, online, up), "link up");
    assert_eq!(line("degraded", 1, online, up), "link up, REPLIES DO NOT WAIT FOR A REPLICA");
    assert_eq!(line("blocked", 1, "", up), "replica not attached, REPLIES WAIT FOR A REPLICA");
    let refuses = "role:slave\noutrigger_refused_sync_reason:why\n";
    assert_eq!(line("off", 0, "", refuses), "THE REPLICA REFUSES THE PRIMARY: why");
    assert_eq!(line("refusing", 1, "", ""), "replica down, WRITES ARE REFUSED WITHOUT A REPLICA");
}

#[test]
fn figures_for_people() {
    let grouped_text: Vec<String> = [0, 999, 1000, 1_234_567].map(grouped).into();
    assert_eq!(grouped_text, ["0", "999", "1,000", "1,234,567"]);
    let text: Vec<String> = [0, 1023, 1024, 1 << 20, 3 << 29, u64::MAX].map(bytes_text).into();
    assert_eq!(text, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.5 GiB", "16777216.0 TiB"]);
    assert_eq!(ending_text(ExitStatus::from_raw(9)), "was ended by SIGKILL");
    assert_eq!(ending_text(ExitStatus::from_raw(3 << 8)), "ended with exit code 3");
}

#[test]
fn the_record_is_json() {
    let entry = |pid, port| Entry { pid, port, starts: 2 };
    assert_eq!(
        text_of(7, entry(Some(8), 6379), entry(None, 6380)),
        "{\"supervisor\":{\"pid\":7},\"primary\":{\"pid\":8,\"port\":6379,\"starts\":2},\
         \"replica\":{\"pid\":null,\"port\":6380,\"starts\":2}}\n"
    );
}
