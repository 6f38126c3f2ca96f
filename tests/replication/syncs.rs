//! Full and partial syncs, under random traffic of every type, between our nodes and stock ones.

use super::{primary, replica};
use crate::support::nodes::{figure, in_step, is_linked, order, send, wait_linked};
use crate::support::traffic::Traffic;
use crate::support::{Client, Server, scaled, wait_for};
use std::time::Duration;

/// Batches of random commands between two looks.
const BATCHES: usize = 60;

/// Cuts the replicas of a node off; they come back by themselves.
fn cut(primary: &Server) {
    assert!(primary.client().int("CLIENT KILL TYPE slave") >= 1);
}

/// Syncs, cuts the link while writing, and expects a partial sync, `rounds` times.
fn sync_and_cut(primary: &Server, replica: &Server, mut traffic: Traffic, rounds: usize) {
    let mut client = primary.client();
    send(&mut client, &mut traffic, BATCHES);
    order(replica, primary);
    send(&mut client, &mut traffic, BATCHES);
    in_step(primary, replica);
    assert_eq!(figure(&mut client, "sync_full"), 1);
    for round in 1..=rounds as i64 {
        send(&mut client, &mut traffic, BATCHES / 2);
        cut(primary);
        send(&mut client, &mut traffic, BATCHES / 2);
        wait_for("a partial sync", Duration::from_secs(60), || {
            figure(&mut client, "sync_partial_ok") == round
        });
        send(&mut client, &mut traffic, BATCHES / 2);
        in_step(primary, replica);
        assert_eq!(figure(&mut client, "sync_full"), 1, "round {round}");
    }
}

#[test]
fn our_replica_goes_on_where_it_was_cut_off() {
    let (primary, replica) = (primary(&[]), primary(&[]));
    sync_and_cut(&primary, &replica, Traffic::new(51), scaled(3));
    let mut client = replica.client();
    assert_eq!(figure(&mut client, "outrigger_full_syncs"), 1);
    assert_eq!(figure(&mut client, "outrigger_partial_syncs"), scaled(3) as i64);
}

#[test]
fn a_stock_replica_follows_ours() {
    let primary = primary(&[]);
    let Some(replica) = Server::redis(&[]) else { return };
    sync_and_cut(&primary, &replica, Traffic::new(52), scaled(2));
}

#[test]
fn ours_follows_a_stock_primary() {
    for diskless in ["yes", "no"] {
        let args = ["--repl-diskless-sync", diskless, "--repl-diskless-sync-delay", "0"];
        let Some(stock) = Server::redis(&args) else { return };
        let replica = primary(&[]);
        sync_and_cut(&stock, &replica, Traffic::for_stock(53), scaled(2));
        let mut client = replica.client();
        assert_eq!(figure(&mut client, "outrigger_full_syncs"), 1);
        assert_eq!(client.info("master_replid"), stock.client().info("master_replid"));
    }
}

#[test]
fn ours_that_was_killed_goes_on_from_its_files_with_a_stock_primary() {
    let Some(stock) = Server::redis(&["--repl-diskless-sync-delay", "0"]) else { return };
    let mut replica = replica(&stock, &[]);
    let mut traffic = Traffic::for_stock(54);
    send(&mut stock.client(), &mut traffic, BATCHES);
    in_step(&stock, &replica);
    wait_for("its files", Duration::from_secs(60), || {
        figure(&mut replica.client(), "outrigger_durable_offset") > 0
    });
    replica.kill();
    send(&mut stock.client(), &mut traffic, BATCHES);
    replica.restart();
    in_step(&stock, &replica);
    let mut client = replica.client();
    assert_eq!(figure(&mut client, "outrigger_full_syncs"), 0);
    assert_eq!(figure(&mut client, "outrigger_partial_syncs"), 1);
}

#[test]
fn a_backlog_that_does_not_reach_back_means_a_full_sync_of_the_same_history() {
    let primary = primary(&["--repl-backlog-size", "64kb"]);
    let mut replica = replica(&primary, &[]);
    let mut client = primary.client();
    client.ok("SET early 1");
    in_step(&primary, &replica);
    wait_for("its files", Duration::from_secs(60), || {
        figure(&mut replica.client(), "outrigger_durable_offset") > 0
    });
    replica.kill();
    let value = "v".repeat(1_000);
    let commands: Vec<_> = (0..2_000).map(|i| vec!["SET".into(), format!("k:{i}"), value.clone()]).collect();
    client.pipeline(&commands);
    replica.restart();
    in_step(&primary, &replica);
    let mut replica = replica.client();
    assert_eq!(figure(&mut replica, "outrigger_full_syncs"), 1);
    assert_eq!(figure(&mut replica, "outrigger_refused_syncs"), 0);
    assert_eq!(figure(&mut client, "sync_partial_err"), 1);
}

/// Before the first replica nobody can come back, and long after the last one nobody is expected to.
#[test]
fn a_backlog_that_nobody_can_want_is_not_kept() {
    let primary = primary(&["--repl-backlog-ttl", "1"]);
    let mut client = primary.client();
    let backlog = |client: &mut Client| {
        ["repl_backlog_active", "repl_backlog_histlen"].map(|field| figure(client, field) > 0)
    };
    client.ok("SET key before");
    assert_eq!(backlog(&mut client), [false, false]);
    assert!(figure(&mut client, "master_repl_offset") > 0);
    let mut replica = replica(&primary, &[]);
    client.ok("SET key during");
    in_step(&primary, &replica);
    assert_eq!(backlog(&mut client), [true, true]);
    replica.kill();
    wait_for("the backlog to be given up", Duration::from_secs(60), || {
        backlog(&mut client) == [false, false]
    });
    client.ok("SET key after");
    let histories = [figure(&mut client, "repl_backlog_histlen"), figure(&mut client, "sync_full")];
    assert_eq!(histories, [0, 1]);
    replica.restart();
    in_step(&primary, &replica);
    assert_eq!(replica.client().text("GET key"), "after");
    assert_eq!(figure(&mut replica.client(), "outrigger_refused_syncs"), 0);
}

#[test]
fn a_replica_that_speaks_the_oldest_dialect_is_served() {
    let primary = primary(&[]);
    let mut client = primary.client();
    client.ok("SET key value");
    let mut old = primary.client();
    old.send_raw(b"SYNC\r\n").unwrap();
    // The snapshot comes as one bulk string without a line end behind it, then the stream.
    let mut first = old.read_bytes_until(b"\r\n");
    while first == b"\r\n" || first == b"\n" {
        first = old.read_bytes_until(b"\r\n");
    }
    let text = String::from_utf8_lossy(&first).trim().to_string();
    let len: usize =
        text.strip_prefix('$').and_then(|len| len.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    let snapshot = old.read_exactly(len);
    assert!(snapshot.starts_with(b"REDIS0"));
    client.ok("SET key other");
    let stream = old.read_bytes_until(b"other\r\n");
    assert!(stream.starts_with(b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"), "{}", stream.escape_ascii());
}

#[test]
fn a_silent_primary_is_given_up_after_the_timeout() {
    use nix::sys::signal::Signal;
    let primary = primary(&["--repl-ping-replica-period", "1"]);
    let replica = replica(&primary, &["--repl-timeout", "2"]);
    primary.client().ok("SET key value");
    in_step(&primary, &replica);
    primary.signal(Signal::SIGSTOP);
    wait_for("the link to be given up", Duration::from_secs(60), || !is_linked(&replica));
    primary.signal(Signal::SIGCONT);
    wait_linked(&replica);
    in_step(&primary, &replica);
    assert_eq!(figure(&mut replica.client(), "outrigger_full_syncs"), 1);
}
