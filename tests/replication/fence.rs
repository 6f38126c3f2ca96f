//! A primary without files is fenced until it has a history.

use super::{DEBUG, primary};
use crate::support::nodes::{address, figure, in_step, wait_linked};
use crate::support::server::free_port;
use crate::support::{Client, Server, wait_for};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A primary that takes its history from these ports.
fn recovering(peers: &[u16], more: &[&str]) -> Server {
    let peers: Vec<String> = peers.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let peers = peers.join(" ");
    Server::ours(&[&DEBUG[..], &["--recover-from-peers", &peers], more].concat())
}

fn wait_open(server: &Server) {
    wait_for("the fence to fall", LIMIT, || figure(&mut server.client(), "outrigger_fenced") == 0);
}

fn wait_reason(server: &Server, part: &str) {
    wait_for(part, LIMIT, || {
        server.client().info("outrigger_fence_reason").is_some_and(|reason| reason.contains(part))
    });
}

#[test]
fn a_fenced_primary_serves_nothing_and_says_why() {
    let port = free_port();
    let fenced = recovering(&[port], &[]);
    wait_reason(&fenced, &format!("waiting for the history of 127.0.0.1:{port}"));
    let mut client = fenced.client();
    let wanted = format!(
        "FENCED waiting for the history of 127.0.0.1:{port}; wait, or run OUTRIGGER RECOVER FROM <host:port>, OUTRIGGER \
         RECOVER NEW or REPLICAOF"
    );
    for words in ["GET key", "SET key value", "FLUSHALL", "DBSIZE", "KEYS *", "PSYNC ? -1", "SYNC"] {
        assert_eq!(fenced.client().error(words), wanted, "{words}");
    }
    assert_eq!(client.text("PING"), "PONG");
    assert_eq!(figure(&mut client, "outrigger_fenced"), 1);
    assert_eq!(client.info("outrigger_history").as_deref(), Some("no"));
    client.ok("MULTI");
    assert_eq!(client.error("SET key value"), wanted);
    assert!(client.error("EXEC").starts_with("EXECABORT"));

    // A peer appears that has nothing, either.
    let target = address(&fenced);
    let peer = Server::ours_on(port, &[&DEBUG[..], &["--replicaof", &target]].concat());
    wait_open(&fenced);
    assert_eq!(client.info("outrigger_fence_reason"), None);
    client.ok("SET key value");
    in_step(&fenced, &peer);
}

/// A peer with files: the primary takes its history, keeps its lineage, and the peer goes on.
#[test]
fn a_peer_that_appears_gives_its_history() {
    let (primary_port, peer_port) = (free_port(), free_port());
    let peers = format!("127.0.0.1:{peer_port}");
    let target = format!("127.0.0.1 {primary_port}");
    let mut first = Server::ours_on(primary_port, &[&DEBUG[..], &["--recover-from-peers", &peers]].concat());
    let mut peer = Server::ours_on(peer_port, &[&DEBUG[..], &["--replicaof", &target]].concat());
    wait_linked(&peer);
    first.client().ok("SET key value");
    in_step(&first, &peer);
    wait_for("its files", LIMIT, || {
        let mut client = peer.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
    let lineage = first.client().info("master_replid");
    first.kill();
    peer.kill();
    first.restart();
    wait_reason(&first, "waiting for the history");
    assert!(first.client().error("GET key").starts_with("FENCED "));
    peer.restart();
    wait_open(&first);
    assert_eq!(first.client().text("GET key"), "value");
    in_step(&first, &peer);
    assert_eq!(first.client().info("master_replid"), lineage);
    assert_eq!(figure(&mut peer.client(), "outrigger_partial_syncs"), 1);
    assert_eq!(figure(&mut first.client(), "sync_full"), 0);
}

#[test]
fn an_operator_may_say_to_start_new() {
    let silent = free_port();
    let started = recovering(&[silent], &["--start-new-history", "yes"]);
    assert_eq!(figure(&mut started.client(), "outrigger_fenced"), 0);
    started.client().ok("SET key value");
    let fenced = recovering(&[silent], &[]);
    wait_reason(&fenced, "waiting");
    assert!(fenced.client().error("SET key value").starts_with("FENCED "));
    let other = primary(&[]);
    other.client().ok("SET from other");
    let reply = fenced.client().cmd(&format!("REPLICAOF {}", address(&other)));
    assert!(reply.as_error().is_none(), "{reply:?}");
    in_step(&other, &fenced);
    assert_eq!(fenced.client().text("GET from"), "other");
    fenced.client().ok("REPLICAOF NO ONE");
    fenced.client().ok("SET key value");
}

/// Nodes with one key each, under these lineages: replicas whose primary is gone.
fn orphan(commands: &[&str]) -> Server {
    let gone = primary(&[]);
    let node = super::replica(&gone, &[]);
    let mut client = gone.client();
    commands.iter().for_each(|words| drop(client.cmd(words)));
    in_step(&gone, &node);
    drop(gone);
    wait_for("the link to be down", LIMIT, || {
        node.client().info("master_link_status").as_deref() == Some("down")
    });
    node
}

#[test]
fn histories_that_contradict_each_other_are_for_an_operator() {
    let (one, two) = (orphan(&["SET key 1"]), orphan(&["SET key 2"]));
    let fenced = recovering(&[one.port(), two.port()], &[]);
    wait_reason(&fenced, "contradict each other");
    assert!(fenced.client().error("GET key").starts_with("FENCED "));
    let reply = fenced.client().cmd(&format!("REPLICAOF {}", address(&two)));
    assert!(reply.as_error().is_none(), "{reply:?}");
    wait_linked(&fenced);
    assert_eq!(fenced.client().text("GET key"), "2");
}

/// A silent peer might have more: what the primary writes then must not go by the same name.
#[test]
fn a_silent_peer_costs_the_lineage() {
    let one = orphan(&["SET key 1"]);
    let lineage = one.client().info("master_replid").unwrap();
    let opened = recovering(&[one.port(), free_port()], &[]);
    wait_open(&opened);
    assert_eq!(opened.client().text("GET key"), "1");
    assert_ne!(opened.client().info("master_replid").as_ref(), Some(&lineage));
    assert_eq!(opened.client().info("master_replid2").as_ref(), Some(&lineage));
    crate::support::nodes::order(&one, &opened);
    opened.client().ok("SET key 2");
    in_step(&opened, &one);
    assert_eq!(figure(&mut one.client(), "outrigger_full_syncs"), 1);
    assert_eq!(figure(&mut one.client(), "outrigger_partial_syncs"), 1);
}

/// A stock replica that is still loading its snapshot says nothing of the history in it, and answers all the same.
#[test]
fn a_stock_peer_that_is_still_loading_is_waited_for() {
    let nowhere = free_port().to_string();
    let slow = ["--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024"];
    let replica = ["--replicaof", "127.0.0.1", &nowhere, "--save", "3600 1"];
    let Some(mut peer) = Server::redis(&["--save", "3600 1"]) else { return };
    for key in 0..150 {
        peer.client().ok(&format!("SET key:{key} {}", "x".repeat(100)));
    }
    peer.client().ok("SAVE");
    peer.kill();
    peer.set_args(&[&replica[..], &slow].concat());
    peer.spawn_again();
    let opened = recovering(&[peer.port()], &[]);
    wait_for("the peer to load", LIMIT, || Client::connect(peer.port()).is_ok());
    // A stock replica without a primary hands its history on to nobody; the node goes on asking.
    wait_reason(&opened, "NOMASTERLINK");
    assert!(opened.client().error("DBSIZE").starts_with("FENCED "));
    peer.client().ok("REPLICAOF NO ONE");
    wait_reason(&opened, "serves this history as its primary");
    crate::support::nodes::order(&opened, &peer);
    wait_linked(&opened);
    assert_eq!(opened.client().int("DBSIZE"), 150);
}

/// A replica that serves nothing stale still gives the primary its history back.
#[test]
fn a_peer_that_refuses_stale_reads_gives_its_history() {
    let one = orphan(&["SET key 1"]);
    one.client().ok("CONFIG SET replica-serve-stale-data no");
    let opened = recovering(&[one.port()], &[]);
    wait_open(&opened);
    assert_eq!(opened.client().text("GET key"), "1");
}

/// A peer that was promoted serves the history: there must not be a second one.
#[test]
fn a_promoted_peer_is_followed_and_not_copied() {
    let promoted = primary(&[]);
    promoted.client().ok("SET key 1");
    let lineage = promoted.client().info("master_replid").unwrap();
    let fenced = recovering(&[promoted.port()], &[]);
    let reason = format!("127.0.0.1:{} serves this history as its primary", promoted.port());
    wait_reason(&fenced, &reason);
    assert!(fenced.client().error("GET key").starts_with(&format!("FENCED {reason}")));
    assert!(fenced.client().error("OUTRIGGER RECOVER").starts_with(&format!("ERR not recovered: {reason}")));
    crate::support::nodes::order(&fenced, &promoted);
    in_step(&promoted, &fenced);
    assert_eq!(fenced.client().text("GET key"), "1");
    // Unless an operator names it: then its history is taken over under another name.
    let taking = recovering(&[promoted.port()], &[]);
    wait_reason(&taking, &reason);
    taking.client().ok(&format!("OUTRIGGER RECOVER FROM 127.0.0.1:{}", promoted.port()));
    let mut client = taking.client();
    assert_eq!(client.text("GET key"), "1");
    assert_eq!(client.info("master_replid2").as_ref(), Some(&lineage));
    assert_eq!(figure(&mut client, "outrigger_epoch"), 2);
}

/// Peers that follow a primary which lives are not waiting for this one.
#[test]
fn peers_that_follow_another_primary_are_left_alone() {
    let living = primary(&[]);
    let peer = super::replica(&living, &[]);
    living.client().ok("SET key 1");
    in_step(&living, &peer);
    let fenced = recovering(&[peer.port()], &[]);
    wait_reason(&fenced, "still follow a primary");
    assert!(fenced.client().error("GET key").starts_with("FENCED "));
    // The more advanced end counts, whoever is asked first.
    let mut client = Client::connect(peer.port()).unwrap();
    drop(living);
    wait_for("the link to be down", LIMIT, || client.info("master_link_status").as_deref() == Some("down"));
    wait_open(&fenced);
    assert_eq!(fenced.client().text("GET key"), "1");
}
