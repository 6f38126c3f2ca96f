//! Epochs: a history that a promoted node has taken over is no longer served by the old primary.

use super::{DEBUG, primary, replica};
use crate::support::nodes::{LIMIT, address, figure, in_step, is_linked, order, wait_linked};
use crate::support::server::free_port;
use crate::support::{Client, Server, wait_for};
use nix::sys::signal::Signal;
use outrigger::persistence::toolbox::check_log;
use std::path::PathBuf;

fn epoch(node: &Server) -> i64 {
    figure(&mut node.client(), "outrigger_epoch")
}

fn wait_fenced(node: &Server) -> String {
    wait_for("the fence", LIMIT, || figure(&mut node.client(), "outrigger_fenced") == 1);
    node.client().info("outrigger_fence_reason").expect("a reason")
}

fn wait_refused(node: &Server) -> String {
    let reason = |node: &Server| node.client().info("outrigger_refused_sync_reason");
    wait_for("the refusal", LIMIT, || reason(node).is_some());
    reason(node).expect("a reason")
}

fn wait_durable(node: &Server) {
    wait_for("its files", LIMIT, || {
        let mut client = node.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "master_repl_offset")
    });
}

/// Files of divergent tails in a node's folder.
fn tails(node: &Server) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(node.dir())
        .expect("list the data folder")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("divergent-")))
        .collect();
    found.sort();
    found
}

/// A primary that hangs, and its replica, which has lost it and lacks what `late` wrote to it last.
fn hung(args: &[&str], late: impl FnOnce(&mut Client)) -> (Server, Server) {
    let quiet = ["--repl-ping-replica-period", "1", "--repl-timeout", "2"];
    let first = primary(&[&quiet[..], args].concat());
    let second = replica(&first, &quiet);
    let mut client = first.client();
    client.ok("SELECT 3");
    client.ok("SET before 1");
    in_step(&first, &second);
    second.signal(Signal::SIGSTOP);
    client.int("CLIENT KILL TYPE replica");
    late(&mut client);
    first.signal(Signal::SIGSTOP);
    second.signal(Signal::SIGCONT);
    wait_for("the link to be down", LIMIT, || !is_linked(&second));
    (first, second)
}

#[test]
fn an_old_primary_that_comes_back_fences_itself_and_then_follows() {
    let (first, second) = hung(&[], |client| {
        client.ok("SET late 1");
        client.ok("SELECT 5");
        client.int("RPUSH list a b");
    });
    let lineage = second.client().info("master_replid").expect("a lineage");
    second.client().ok("REPLICAOF NO ONE");
    second.client().ok("SET after 1");
    assert_eq!(epoch(&second), 2);
    first.signal(Signal::SIGCONT);
    let reason = wait_fenced(&first);
    let by = format!("127.0.0.1:{} was promoted to epoch 2 of this history", second.port());
    assert!(reason.starts_with(&by), "{reason}");
    let run = format!("run REPLICAOF 127.0.0.1 {} to follow it", second.port());
    for words in ["GET before", "SET key value", "PSYNC ? -1", "REPLICAOF NO ONE"] {
        let error = first.client().error(words);
        assert!(error.starts_with(&format!("FENCED {by}")) && error.contains(&run), "{words}: {error}");
    }
    assert!(first.log().contains("fenced: "), "{}", first.log());
    assert_eq!(first.client().text("PING"), "PONG");
    let (fork, end) = {
        let mut client = second.client();
        let fork = figure(&mut client, "second_repl_offset") - 1;
        (fork, figure(&mut first.client(), "master_repl_offset"))
    };
    assert!(end > fork, "{end} and {fork}: it wrote nothing of its own");

    assert_eq!(tails(&first), Vec::<PathBuf>::new());
    order(&first, &second);
    in_step(&second, &first);
    assert_eq!(epoch(&first), 2);
    assert_eq!(figure(&mut first.client(), "outrigger_fenced"), 0);
    assert_eq!(first.client().text("GET after"), "1");
    // What it had written beside is in a file that the checker reads.
    let [tail] = &tails(&first)[..] else { panic!("{:?}", tails(&first)) };
    let name = format!("divergent-{lineage}-{fork}-{end}.aof");
    assert_eq!(tail.file_name().and_then(|name| name.to_str()), Some(&name[..]));
    let report = check_log(tail).expect("a report");
    assert!(report.is_sound(), "{report:?}");
    let ends = report.end.expect("an end");
    assert_eq!((ends.lineage.as_str(), ends.offset as i64), (&lineage[..], end));
    let bytes = std::fs::read(tail).expect("read the tail");
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("SET\r\n$4\r\nlate\r\n") && text.contains("RPUSH"), "{text}");
    assert!(text.contains(" select=3 epoch=1 since=0 "), "{text}");
    if let Some(stock) = crate::support::peer::on_path("redis-check-aof") {
        let checked = std::process::Command::new(stock).arg(tail).output().expect("run redis-check-aof");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    }
}

/// Where the log no longer reaches back to the fork, all of the data goes into the file.
#[test]
fn a_tail_that_the_log_has_given_up_is_kept_as_a_snapshot() {
    let (first, second) = hung(&["--repl-backlog-size", "16kb"], |client| {
        let value = "v".repeat(1_000);
        (0..300).for_each(|n| client.ok(&format!("SET late:{n} {value}")));
    });
    second.client().ok("REPLICAOF NO ONE");
    first.signal(Signal::SIGCONT);
    wait_fenced(&first);
    order(&first, &second);
    in_step(&second, &first);
    let [tail] = &tails(&first)[..] else { panic!("{:?}", tails(&first)) };
    assert!(tail.extension().is_some_and(|extension| extension == "rdb"), "{}", tail.display());
    let report =
        outrigger::persistence::toolbox::check_snapshot(tail, None, &mut |_, _| ()).expect("a report");
    assert!(report.judged.fault.is_none() && report.judged.tally.keys == 301, "{report:?}");
}

/// It is right to have both where the primary is alive: a copy is no takeover.
#[test]
fn a_replica_that_is_detached_from_a_living_primary_leaves_it_alone() {
    let first = primary(&[]);
    let second = replica(&first, &[]);
    second.client().ok("REPLICAOF NO ONE");
    second.client().ok("SET mine 1");
    std::thread::sleep(std::time::Duration::from_secs(2));
    first.client().ok("SET mine 2");
    assert_eq!(figure(&mut first.client(), "outrigger_fenced"), 0);
}

/// A primary with files takes another name at its start, and is known all the same.
#[test]
fn an_old_primary_that_restarts_from_its_files_fences_itself() {
    let port = free_port();
    let mut first = Server::ours_on(port, &[&DEBUG[..], &["--appendonly", "yes"]].concat());
    let second = replica(&first, &[]);
    first.client().ok("SET before 1");
    in_step(&first, &second);
    first.client().ok("SET before 2");
    wait_durable(&first);
    first.kill();
    wait_for("the link to be down", LIMIT, || !is_linked(&second));
    second.client().ok("REPLICAOF NO ONE");
    second.client().ok("SET after 1");
    first.restart();
    let reason = wait_fenced(&first);
    assert!(reason.contains("was promoted to epoch 2"), "{reason}");
    assert_eq!(epoch(&first), 1);
    order(&first, &second);
    in_step(&second, &first);
    wait_durable_as_replica(&first);
    // The epoch is in its files, and so is it after a restart.
    assert_eq!(epoch(&first), 2);
    second.signal(Signal::SIGSTOP);
    first.kill();
    first.restart();
    assert_eq!(epoch(&first), 2);
    second.signal(Signal::SIGCONT);
}

/// Of a node that takes snapshots only, they tell it.
#[test]
fn a_snapshot_keeps_the_epoch() {
    let first = primary(&[]);
    let mut second = replica(&first, &["--appendonly", "no", "--save", "3600 100"]);
    first.client().ok("SET before 1");
    in_step(&first, &second);
    drop(first);
    second.client().ok("REPLICAOF NO ONE");
    let since = figure(&mut second.client(), "outrigger_epoch_since");
    second.client().ok("SAVE");
    second.kill();
    second.set_args(&[&DEBUG[..], &["--appendonly", "no", "--save", "3600 100"]].concat());
    second.restart();
    assert_eq!(second.client().text("GET before"), "1");
    assert_eq!((epoch(&second), figure(&mut second.client(), "outrigger_epoch_since")), (2, since));
}

fn wait_durable_as_replica(node: &Server) {
    wait_for("its files", LIMIT, || {
        let mut client = node.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
}

#[test]
fn a_replica_refuses_a_primary_of_a_lower_epoch_and_tells_it() {
    let first = primary(&[]);
    let (mut second, third) = (replica(&first, &[]), replica(&first, &[]));
    first.client().ok("SET before 1");
    in_step(&first, &second);
    in_step(&first, &third);
    second.client().ok("REPLICAOF NO ONE");
    second.client().ok("SET after 1");
    order(&third, &second);
    in_step(&second, &third);
    assert_eq!((epoch(&first), epoch(&second), epoch(&third)), (1, 2, 2));
    assert_eq!(figure(&mut first.client(), "outrigger_fenced"), 0);
    // By mistake it is sent back.
    let digest = third.client().digest();
    order(&third, &first);
    let reason = wait_refused(&third);
    assert!(reason.starts_with("the primary is refused: its epoch 1 is lower than 2"), "{reason}");
    assert!(third.log().contains("the primary is refused"), "{}", third.log());
    assert_eq!(third.client().digest(), digest);
    let fenced = wait_fenced(&first);
    assert!(fenced.starts_with("another node was promoted to epoch 2"), "{fenced}");
    // Neither side's order is the last word: an operator may have the old one serve all the same, above all epochs.
    let refused = first.client().error("OUTRIGGER UNFENCE");
    assert!(refused.contains("OUTRIGGER UNFENCE FORCE to go on here"), "{refused}");
    first.client().ok("OUTRIGGER UNFENCE FORCE");
    assert_eq!(epoch(&first), 3);
    first.client().ok("SET again 1");
    in_step(&first, &third);
    assert_eq!(epoch(&third), 3);
    // The one that was promoted meanwhile hears of that, too, as soon as somebody tells it.
    wait_durable_as_replica(&third);
    order(&third, &second);
    wait_refused(&third);
    wait_fenced(&second);
    second.kill();
}

/// The node that was promoted may be sent back by an operator; the old primary then stands above it.
#[test]
fn a_promoted_node_that_is_ordered_back_gives_its_epoch_up() {
    let first = primary(&[]);
    let (second, third) = (replica(&first, &[]), replica(&first, &[]));
    in_step(&first, &second);
    second.client().ok("REPLICAOF NO ONE");
    second.client().ok("SET mistake 1");
    first.client().ok("SET right 1");
    order(&second, &first);
    in_step(&first, &second);
    in_step(&first, &third);
    assert_eq!(second.client().cmd("EXISTS mistake").as_int(), Some(0));
    assert_eq!((epoch(&first), epoch(&second), epoch(&third)), (3, 3, 3));
    assert_eq!(figure(&mut third.client(), "outrigger_full_syncs"), 1);
    assert_eq!(tails(&second).len(), 1, "what it wrote is kept");
}

/// Who follows at two removes learns of a takeover through the stream, also through a stock node.
#[test]
fn chained_replicas_learn_the_epoch() {
    let first = primary(&[]);
    let second = replica(&first, &[]);
    let third = replica(&second, &[]);
    let stock = Server::redis(&["--replicaof", &address(&second), "--repl-diskless-sync-delay", "0"]);
    let behind_stock = stock.as_ref().map(|stock| {
        wait_linked(stock);
        replica(stock, &[])
    });
    second.client().ok("REPLICAOF NO ONE");
    second.client().ok("SET key 1");
    for end in [Some(&third), behind_stock.as_ref()].into_iter().flatten() {
        wait_for("the epoch", LIMIT, || epoch(end) == 2);
        let (since, of_first) = (
            figure(&mut end.client(), "outrigger_epoch_since"),
            figure(&mut second.client(), "outrigger_epoch_since"),
        );
        assert_eq!(since, of_first);
    }
    in_step(&second, &third);
    if let Some(stock) = &stock {
        in_step(&second, stock);
        assert_eq!(stock.client().text("GET key"), "1");
    }
}

/// A primary that takes its history back from a peer takes it over: one that hung meanwhile is no longer the primary.
#[test]
fn a_recovery_begins_an_epoch_under_the_same_name() {
    let (primary_port, peer_port) = (free_port(), free_port());
    let peers = format!("127.0.0.1:{peer_port}");
    let target = format!("127.0.0.1 {primary_port}");
    let mut first = Server::ours_on(primary_port, &[&DEBUG[..], &["--recover-from-peers", &peers]].concat());
    let peer = Server::ours_on(peer_port, &[&DEBUG[..], &["--replicaof", &target]].concat());
    wait_linked(&peer);
    first.client().ok("SET key value");
    in_step(&first, &peer);
    let lineage = first.client().info("master_replid");
    for round in 2..5 {
        first.kill();
        first.restart();
        wait_for("the fence to fall", LIMIT, || figure(&mut first.client(), "outrigger_fenced") == 0);
        in_step(&first, &peer);
        assert_eq!((epoch(&first), epoch(&peer)), (round, round));
    }
    assert_eq!(first.client().info("master_replid"), lineage);
    assert_eq!(figure(&mut peer.client(), "outrigger_full_syncs"), 1);
}

/// A full sync that was asked for before a takeover and begins after it: the word of the new epoch stands in front of what the
/// replica would get, who would hold the right history under the epoch of before, and lose it to whoever lags behind.
#[test]
fn a_full_sync_does_not_pass_over_an_epoch_that_the_replica_was_not_told() {
    let primary = primary(&[]);
    let node = replica(&primary, &[]);
    primary.client().ok("SET k v");
    in_step(&primary, &node);
    let before = epoch(&node);
    let ask = |told_before: bool| {
        let mut joiner = node.client();
        if told_before {
            joiner.info("outrigger_epoch");
            node.client().ok("REPLICAOF NO ONE");
            wait_for("the takeover", LIMIT, || epoch(&node) > before);
        }
        joiner.ok("REPLCONF capa eof capa psync2");
        if !told_before {
            joiner.info("outrigger_epoch");
        }
        joiner.send(&["PSYNC", "?", "-1"]).expect("a request");
        joiner
    };
    assert!(ask(true).is_closed_by_server(), "it is to ask for the history again");
    let answer = ask(false).read_bytes_until(b"\r\n");
    assert!(answer.starts_with(b"+FULLRESYNC "), "{}", String::from_utf8_lossy(&answer));
}
