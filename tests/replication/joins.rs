//! Full syncs whose snapshot another replica gives: the primary walks its data once, for the first.

use super::{DEBUG, primary, replica};
use crate::support::nodes::{LIMIT, address, equal_digests, figure, in_step, order, send, wait_linked};
use crate::support::tap::Tap;
use crate::support::traffic::Traffic;
use crate::support::{Server, wait_for};
use nix::sys::signal::Signal;
use std::sync::atomic::{AtomicBool, Ordering};

/// Keys that make a snapshot of some MB.
const KEYS: usize = 4_000;

/// Fills a server with what takes a moment to send.
pub(super) fn fill(server: &Server) {
    fill_under(server, "key");
}

/// The same under keys of this name.
pub(super) fn fill_under(server: &Server, name: &str) {
    let mut client = server.client();
    let value = "v".repeat(1_000);
    let commands: Vec<_> =
        (0..KEYS).map(|n| vec!["SET".into(), format!("{name}:{n}"), value.clone()]).collect();
    client.pipeline(&commands);
}

/// A replica that its primary could name: it has everything, and has said so.
pub(super) fn giver(of: &Server, args: &[&str]) -> Server {
    let giver = replica(of, args);
    wait_known(of, &giver);
    giver
}

/// Waits until the primary knows that the replica has everything.
pub(super) fn wait_known(primary: &Server, replica: &Server) {
    in_step(primary, replica);
    let mut client = primary.client();
    wait_for("an acknowledgement of everything", LIMIT, || {
        let end = figure(&mut client, "master_repl_offset");
        let replicas = client.text("INFO replication");
        replicas.lines().any(|line| line.starts_with("slave") && line.contains(&format!("offset={end},")))
    });
}

/// The same while it is written to: waits until the replica is in the stream.
pub(super) fn wait_following(primary: &Server, replica: &Server) {
    let mut client = primary.client();
    wait_for("the replica to follow", LIMIT, || {
        let replicas = client.text("INFO replication");
        let port = format!("port={},state=online", replica.port());
        replicas.lines().any(|line| line.contains(&port) && !line.contains("offset=0,"))
    });
}

/// What tells where a replica's last full sync came from: from replicas, in vain, and its source.
pub(super) fn joined(joiner: &Server) -> (i64, i64, Option<String>) {
    let mut client = joiner.client();
    let [fetched, failed] =
        ["outrigger_full_syncs_from_replicas", "outrigger_full_syncs_from_replicas_failed"]
            .map(|field| figure(&mut client, field));
    (fetched, failed, client.info("outrigger_full_sync_source"))
}

/// Of a primary: snapshots it took, joiners it sent elsewhere, those that came back, and those under way.
pub(super) fn referred(primary: &Server) -> [i64; 4] {
    let mut client = primary.client();
    ["outrigger_sync_snapshots", "outrigger_joins_referred", "outrigger_joins_referred_back"]
        .into_iter()
        .chain(["outrigger_joins_referred_under_way"])
        .map(|field| figure(&mut client, field))
        .collect::<Vec<_>>()
        .try_into()
        .expect("four figures")
}

fn name(server: &Server) -> Option<String> {
    Some(format!("127.0.0.1:{}", server.port()))
}

#[test]
fn joiners_take_the_snapshot_of_a_replica_under_writes_and_the_primary_takes_none() {
    let primary = primary(&[]);
    fill(&primary);
    let giver = giver(&primary, &[]);
    let stop = AtomicBool::new(false);
    let mut joiners = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut client, mut traffic) = (primary.client(), Traffic::new(71));
            while !stop.load(Ordering::Relaxed) {
                send(&mut client, &mut traffic, 2);
            }
        });
        joiners.extend((0..3).map(|_| replica(&primary, &[])));
        stop.store(true, Ordering::Relaxed);
    });
    for joiner in &joiners {
        in_step(&primary, joiner);
        let (fetched, failed, source) = joined(joiner);
        assert_eq!((fetched, failed), (1, 0));
        assert_ne!(source, name(&primary));
        let mut client = joiner.client();
        assert_eq!(figure(&mut client, "outrigger_full_syncs"), 1);
        assert_eq!(client.info("master_replid"), primary.client().info("master_replid"));
    }
    assert_eq!(referred(&primary), [1, 3, 3, 0]);
    assert_eq!(figure(&mut primary.client(), "sync_full"), 1);
    assert_eq!(figure(&mut primary.client(), "connected_slaves"), 4);
    let given: i64 = [&giver, &joiners[0], &joiners[1]]
        .map(|node| figure(&mut node.client(), "outrigger_snapshots_given"))
        .iter()
        .sum();
    assert_eq!(given, 3);
    // Nobody follows the giver.
    let mut client = giver.client();
    assert_eq!([figure(&mut client, "connected_slaves"), figure(&mut client, "sync_full")], [0, 0]);
    // What was received is the base of the joiner's files.
    let mut last = joiners.pop().expect("three joiners");
    wait_for("its files", LIMIT, || {
        let mut client = last.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
    last.kill();
    primary.client().ok("SET after 1");
    last.restart();
    in_step(&primary, &last);
    assert_eq!(figure(&mut last.client(), "outrigger_full_syncs"), 0);
}

#[test]
fn a_joiner_counts_for_nothing_until_it_has_the_data() {
    let primary = primary(&["--repl-backlog-size", "64kb"]);
    fill(&primary);
    let giver = giver(&primary, &[]);
    let tap = Tap::to(giver.port(), 1_000_000);
    announce(&primary, &giver, tap.port());
    let joiner = super::primary(&[]);
    joiner.client().ok("SET old value");
    order(&joiner, &primary);
    wait_midway(&joiner);
    let mut client = primary.client();
    assert_eq!(figure(&mut client, "connected_slaves"), 1);
    assert_eq!(figure(&mut client, "outrigger_durable_replicas"), 1);
    assert_eq!(referred(&primary), [1, 1, 0, 1]);
    client.ok("SET meanwhile 1");
    assert_eq!(client.int("WAIT 2 100"), 1);
    let mut of_joiner = joiner.client();
    assert_eq!(of_joiner.text("GET old"), "value", "old data stays until the new is whole");
    assert_eq!(of_joiner.info("master_sync_in_progress").as_deref(), Some("1"));
    assert!(of_joiner.error("REPLICAOF NO ONE").starts_with("UNSYNCED"));
    // What is written meanwhile is kept, far beyond the backlog.
    let value = "w".repeat(100_000);
    (0..30).for_each(|n| client.ok(&format!("SET late:{n} {value}")));
    tap.open();
    wait_linked(&joiner);
    assert_eq!(equal_digests(&mut client, &mut of_joiner), figure(&mut client, "master_repl_offset") as u64);
    assert_eq!(client.int("WAIT 2 10000"), 2);
    assert_eq!(referred(&primary), [1, 1, 1, 0]);
    assert_eq!(joined(&joiner).0, 1);
    wait_for("the log to be given up", LIMIT, || {
        client.ok("SET some thing");
        figure(&mut client, "repl_backlog_histlen") < 300_000
    });
}

/// Has a replica announce another port to its primary.
pub(super) fn announce(primary: &Server, replica: &Server, port: u16) {
    replica.client().ok(&format!("CONFIG SET replica-announce-port {port}"));
    primary.client().int("CLIENT KILL TYPE replica");
    let mut client = primary.client();
    wait_for("the new port to be known", LIMIT, || {
        client.text("INFO replication").contains(&format!("port={port},state=online"))
    });
    wait_linked(replica);
    wait_known(primary, replica);
}

/// Waits until a joiner has a part of its snapshot.
pub(super) fn wait_midway(joiner: &Server) {
    let mut client = joiner.client();
    wait_for("a part of the snapshot", LIMIT, || {
        let info = client.text("INFO replication");
        info.lines()
            .any(|line| line.strip_prefix("master_sync_read_bytes:").is_some_and(|bytes| bytes.trim() != "0"))
    });
}

#[test]
fn stock_replicas_are_neither_named_nor_sent_elsewhere() {
    let primary = primary(&[]);
    let target = address(&primary);
    let Some(stock) = Server::redis(&["--replicaof", &target]) else { return };
    in_step(&primary, &stock);
    let ours = replica(&primary, &[]);
    in_step(&primary, &ours);
    assert_eq!(referred(&primary), [2, 0, 0, 0], "a stock replica gives no snapshot");
    assert_eq!(joined(&ours), (0, 0, name(&primary)));
    wait_known(&primary, &ours);
    let Some(late) = Server::redis(&["--replicaof", &target]) else { return };
    in_step(&primary, &late);
    assert_eq!(referred(&primary), [3, 0, 0, 0], "a stock replica is told of nobody");
    let also = replica(&primary, &[]);
    in_step(&primary, &also);
    assert_eq!(referred(&primary), [3, 1, 1, 0]);
    assert_eq!(joined(&also).2, name(&ours));
}

#[test]
fn each_side_can_have_the_primary_give_the_snapshot() {
    let primary = primary(&[]);
    let plain = ["--replica-sync-source", "primary"];
    // One that takes no part is not named.
    let first = giver(&primary, &plain);
    let joiner = replica(&primary, &[]);
    assert_eq!((referred(&primary), joined(&joiner).2), ([2, 0, 0, 0], name(&primary)));
    wait_known(&primary, &joiner);
    // Nor does it let itself be sent elsewhere.
    let second = giver(&primary, &plain);
    assert_eq!((referred(&primary), joined(&second).2), ([3, 0, 0, 0], name(&primary)));
    primary.client().ok("CONFIG SET replica-sync-source primary");
    let third = giver(&primary, &[]);
    assert_eq!((referred(&primary), joined(&third).2), ([4, 0, 0, 0], name(&primary)));
    primary.client().ok("CONFIG SET replica-sync-source replica");
    let fourth = giver(&primary, &[]);
    assert_eq!(referred(&primary), [4, 1, 1, 0]);
    for node in [&first, &second, &third, &fourth] {
        in_step(&primary, node);
    }
}

#[test]
fn a_replica_that_serves_replicas_sends_joiners_elsewhere_too() {
    let first = primary(&[]);
    fill(&first);
    let middle = replica(&first, &[]);
    let mut writer = first.client();
    writer.ok("SELECT 3");
    writer.ok("SET one 1");
    let third = giver(&middle, &[]);
    let joiner = replica(&middle, &[]);
    assert_eq!((referred(&middle), joined(&joiner).2), ([1, 1, 1, 0], name(&third)));
    // The stream selects a database once; who begins in the middle of it must know which.
    writer.ok("SET two 2");
    for node in [&middle, &third, &joiner] {
        in_step(&first, node);
        let mut client = node.client();
        client.ok("SELECT 3");
        assert_eq!(client.text("GET two"), "2");
    }
}

#[test]
fn the_giver_is_asked_with_the_password_of_replication() {
    let secret = ["--masterauth", "secret", "--requirepass", "secret"];
    let node = |more: &[&str]| {
        let server = Server::ours(&[&DEBUG, &secret[..], more].concat());
        let mut client = server.client();
        client.ok("AUTH secret");
        (server, client)
    };
    let (primary, mut client) = node(&[]);
    client.ok("SET key value");
    let target = address(&primary);
    let mut ends = Vec::new();
    for number in 1..=2 {
        ends.push(node(&["--replicaof", &target]));
        wait_for("it to be a replica", LIMIT, || {
            let info = client.text("INFO replication");
            info.lines().filter(|line| line.contains("state=online")).count() == number
        });
        equal_digests(&mut client, &mut ends[number - 1].1);
        wait_for("its acknowledgement", LIMIT, || client.int(&format!("WAIT {number} 100")) == number as i64);
    }
    assert_eq!(figure(&mut client, "outrigger_joins_referred_back"), 1);
    assert_eq!(figure(&mut ends[1].1, "outrigger_full_syncs_from_replicas"), 1);
    assert_eq!(figure(&mut ends[0].1, "outrigger_snapshots_given"), 1);
}

/// Who comes with the history of an epoch that has ended must not be judged by it once it has the new one.
#[test]
fn a_joiner_of_an_ended_epoch_comes_back_with_the_new_one() {
    let quick = ["--repl-backlog-size", "64kb"];
    let first = primary(&quick);
    let second = replica(&first, &quick);
    let mut third = replica(&first, &quick);
    first.client().ok("SET before 1");
    in_step(&first, &second);
    in_step(&first, &third);
    wait_for("its files", LIMIT, || {
        let mut client = third.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
    third.kill();
    second.client().ok("REPLICAOF NO ONE");
    order(&first, &second);
    wait_linked(&first);
    fill(&second);
    wait_known(&second, &first);
    let [before, ..] = referred(&second);
    let target = address(&second);
    third.set_args(&[&DEBUG[..], &quick, &["--replicaof", &target]].concat());
    third.restart();
    in_step(&second, &third);
    assert_eq!(joined(&third), (1, 0, name(&first)));
    let [snapshots, sent, back, _] = referred(&second);
    assert_eq!((snapshots - before, sent, back), (0, 1, 1));
    let epochs = [&second, &third].map(|node| figure(&mut node.client(), "outrigger_epoch"));
    assert!(epochs[0] == epochs[1] && epochs[0] > 1, "{epochs:?}");
}

#[test]
fn what_is_kept_for_a_joiner_that_dies_is_given_up() {
    let primary = primary(&[]);
    fill(&primary);
    let giver = giver(&primary, &[]);
    let tap = Tap::to(giver.port(), 1_000_000);
    announce(&primary, &giver, tap.port());
    let target = address(&primary);
    let joiner = Server::ours(&[&DEBUG[..], &["--replicaof", &target]].concat());
    wait_midway(&joiner);
    assert_eq!(referred(&primary)[3], 1);
    joiner.signal(Signal::SIGKILL);
    wait_for("the reservation to end", LIMIT, || referred(&primary)[3] == 0);
    assert_eq!(referred(&primary), [1, 1, 0, 0]);
    // A joiner that hangs is waited for as long as any replica.
    primary.client().ok("CONFIG SET repl-timeout 2");
    let silent = Server::ours(&[&DEBUG[..], &["--replicaof", &target]].concat());
    wait_for("another joiner", LIMIT, || referred(&primary)[3] == 1);
    silent.signal(Signal::SIGSTOP);
    wait_for("the reservation to end", LIMIT, || referred(&primary)[3] == 0);
    assert!(primary.log().contains("it was silent for longer than repl-timeout"), "{}", primary.log());
    tap.open();
    silent.signal(Signal::SIGCONT);
    in_step(&primary, &silent);
}
