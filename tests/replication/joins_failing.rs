//! A joiner that the primary sends to another replica, and that one fails it: the primary gives the snapshot itself.

use super::joins::{announce, fill, fill_under, giver, joined, referred, wait_following, wait_midway};
use super::{primary, replica};
use crate::support::nodes::{LIMIT, figure, in_step, order, wait_linked};
use crate::support::rng::Seeded;
use crate::support::tap::Tap;
use crate::support::{Server, free_port, scaled, wait_for};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A joiner with data of its own.
fn joiner(args: &[&str]) -> Server {
    let joiner = primary(args);
    joiner.client().ok("SET old value");
    joiner
}

/// The joiner went to another replica in vain, and has everything from the primary; why it was in vain.
fn settled(primary: &Server, joiner: &Server) -> String {
    in_step(primary, joiner);
    let (fetched, failed, source) = joined(joiner);
    assert_eq!((fetched, failed), (0, 1));
    assert_eq!(source, Some(format!("127.0.0.1:{}", primary.port())));
    assert_eq!(referred(primary), [2, 1, 0, 0]);
    assert_eq!(figure(&mut joiner.client(), "outrigger_full_syncs"), 1);
    assert!(joiner.log().contains("the primary is asked for its own"), "{}", joiner.log());
    joiner.client().info("outrigger_full_sync_from_replica_failure").expect("a reason")
}

/// A primary whose only replica announces this port.
fn announcing(port: u16) -> (Server, Server) {
    let primary = primary(&[]);
    fill(&primary);
    let giver = giver(&primary, &[]);
    announce(&primary, &giver, port);
    (primary, giver)
}

fn in_vain(primary: &Server) -> String {
    let joiner = joiner(&[]);
    order(&joiner, primary);
    settled(primary, &joiner)
}

#[test]
fn one_that_is_gone() {
    let (primary, _giver) = announcing(free_port());
    let why = in_vain(&primary);
    assert!(why.contains("refused"), "{why}");
}

#[test]
fn one_that_refuses() {
    let primary = primary(&[]);
    let giver = giver(&primary, &[]);
    giver.client().ok("CONFIG SET replica-sync-source primary");
    let why = in_vain(&primary);
    assert!(why.contains("NOSNAPSHOT replica-sync-source is primary here"), "{why}");
    assert!(giver.log().contains("request for a snapshot was refused"), "{}", giver.log());
}

#[test]
fn one_of_another_history_or_none_at_all() {
    let other = primary(&[]);
    other.client().ok("SET other data");
    let other_replica = replica(&other, &[]);
    let (primary, giver) = announcing(other_replica.port());
    let why = in_vain(&primary);
    assert!(why.contains("it holds the lineage"), "{why}");
    announce(&primary, &giver, other.port());
    let second = joiner(&[]);
    order(&second, &primary);
    in_step(&primary, &second);
    assert_eq!(joined(&second).0, 0);
    let why = second.client().info("outrigger_full_sync_from_replica_failure").expect("a reason");
    assert!(why.contains("no replica any more"), "{why}");
    for node in [&primary, &second] {
        assert_eq!(node.client().int("EXISTS other"), 0);
    }
}

#[test]
fn one_that_does_not_answer() {
    let (primary, giver) = announcing(free_port());
    let tap = Tap::to(giver.port(), 0);
    announce(&primary, &giver, tap.port());
    let why = in_vain(&primary);
    assert!(why.contains("it did not answer in time"), "{why}");
}

#[test]
fn one_that_stops_midway() {
    let (primary, giver) = announcing(free_port());
    let tap = Tap::to(giver.port(), 1_000_000);
    announce(&primary, &giver, tap.port());
    let joiner = joiner(&["--repl-timeout", "2"]);
    order(&joiner, &primary);
    wait_midway(&joiner);
    assert_eq!(joiner.client().text("GET old"), "value");
    let why = settled(&primary, &joiner);
    assert!(why.contains("it sent nothing for longer than repl-timeout"), "{why}");
    drop(tap);
    in_step(&primary, &giver);
}

#[test]
fn one_that_is_killed_midway() {
    let (primary, mut giver) = announcing(free_port());
    // More than the system holds of what a process that is gone has written: 4 MB, and what the other end has room for.
    ["b", "c", "d", "e", "f", "g"].iter().for_each(|name| fill_under(&primary, name));
    in_step(&primary, &giver);
    let tap = Tap::to(giver.port(), 1_000_000);
    announce(&primary, &giver, tap.port());
    let joiner = joiner(&[]);
    order(&joiner, &primary);
    wait_midway(&joiner);
    assert_eq!(joiner.client().text("GET old"), "value");
    giver.kill();
    tap.open();
    settled(&primary, &joiner);
    assert_eq!(joiner.client().int("EXISTS old"), 0);
    giver.restart();
    in_step(&primary, &giver);
    // No part of a snapshot is left behind.
    let parts = |dir: &std::path::Path| {
        let found = std::fs::read_dir(dir.join("appendonlydir")).expect("its folder").flatten();
        found.filter(|entry| entry.file_name().to_string_lossy().contains("temp")).count()
    };
    assert_eq!(parts(joiner.dir()), 0);
}

/// What it gives is of the history that was named, whatever becomes of its link meanwhile.
#[test]
fn one_that_loses_its_primary_midway_has_given_what_was_named() {
    let (primary, giver) = announcing(free_port());
    let tap = Tap::to(giver.port(), 1_000_000);
    announce(&primary, &giver, tap.port());
    let joiner = joiner(&[]);
    order(&joiner, &primary);
    wait_midway(&joiner);
    // It goes its own way, from a place behind the snapshot's.
    giver.client().ok("OUTRIGGER PROMOTE FORCE");
    giver.client().ok("SET astray 1");
    primary.client().ok("SET meanwhile 1");
    tap.open();
    wait_linked(&joiner);
    in_step(&primary, &joiner);
    assert_eq!((joined(&joiner).0, joined(&joiner).1), (1, 0));
    assert_eq!(joiner.client().int("EXISTS astray"), 0);
}

#[test]
fn more_is_written_meanwhile_than_may_be_kept() {
    let limits = ["--client-output-buffer-limit", "replica", "2mb", "0", "0", "--repl-backlog-size", "64kb"];
    let primary = primary(&limits);
    fill(&primary);
    let giver = giver(&primary, &[]);
    let tap = Tap::to(giver.port(), 1_000_000);
    announce(&primary, &giver, tap.port());
    let joiner = joiner(&[]);
    order(&joiner, &primary);
    wait_midway(&joiner);
    let mut client = primary.client();
    let value = "w".repeat(100_000);
    for n in 0..40 {
        client.ok(&format!("SET late:{} {value}", n % 5));
        assert_eq!(client.int("WAIT 1 10000"), 1, "the giver keeps up");
        assert!(figure(&mut client, "repl_backlog_histlen") < 3 << 20);
    }
    let why = settled(&primary, &joiner);
    assert!(why.contains("NOTKEPT"), "{why}");
    assert!(primary.client().info("outrigger_sync_trouble").is_some_and(|text| text.contains("given up")));
    drop((tap, giver));
}

/// The primary ends in the middle of it and comes back without its memory: the joiner keeps what it had.
#[test]
fn the_primary_dies_midway() {
    let (mut primary, giver) = announcing(free_port());
    let tap = Tap::to(giver.port(), 1_000_000);
    announce(&primary, &giver, tap.port());
    let joiner = joiner(&[]);
    order(&joiner, &primary);
    wait_midway(&joiner);
    primary.kill();
    wait_for("the link to be given up", LIMIT, || {
        joiner.client().info("master_sync_in_progress").as_deref() == Some("0")
    });
    assert_eq!(joiner.client().text("GET old"), "value");
    assert_eq!(figure(&mut joiner.client(), "outrigger_full_syncs"), 0);
    // It was not the giver's fault.
    assert_eq!(joined(&joiner), (0, 0, None));
    giver.client().ok("OUTRIGGER PROMOTE FORCE");
    order(&joiner, &giver);
    tap.open();
    in_step(&giver, &joiner);
}

/// Givers that are killed at any moment of a join.
#[test]
fn givers_that_die_at_any_moment() {
    let primary = primary(&["--repl-backlog-size", "64kb"]);
    fill(&primary);
    let mut giver = giver(&primary, &[]);
    let joiner = joiner(&[]);
    let mut seeded = Seeded::new(81);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = primary.client();
            let mut n = 0u64;
            while !stop.load(Ordering::Relaxed) {
                n += 1;
                client.ok(&format!("SET key:{} value:{n}", n % 50));
                std::thread::sleep(Duration::from_micros(300));
            }
        });
        for round in 0..scaled(6) {
            wait_following(&primary, &giver);
            // A joiner that has nothing the primary knows of.
            joiner.client().cmd("REPLICAOF NO ONE");
            joiner.client().ok("FLUSHALL");
            order(&joiner, &primary);
            std::thread::sleep(Duration::from_millis(seeded.rng.below(60)));
            giver.kill();
            wait_for("the joiner to be linked", LIMIT, || {
                joiner.client().info("master_link_status").as_deref() == Some("up")
            });
            giver.restart();
            wait_linked(&giver);
            assert!(figure(&mut joiner.client(), "outrigger_full_syncs") > round as i64);
        }
        stop.store(true, Ordering::Relaxed);
    });
    in_step(&primary, &joiner);
    in_step(&primary, &giver);
    let [snapshots, sent, back, under_way] = referred(&primary);
    println!("{snapshots} snapshots of the primary, {sent} joiners sent elsewhere, {back} came back");
    assert!(sent > 0 && under_way == 0);
    assert_eq!(figure(&mut primary.client(), "outrigger_sync_snapshots_at_once_peak"), 1);
}
