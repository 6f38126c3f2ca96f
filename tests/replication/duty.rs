//! A promoted node writes until a replica of its own does; then it hands the duty over.

use super::{DEBUG, primary, replica};
use crate::support::nodes::{LIMIT, address, figure, in_step, is_linked, order, wait_linked};
use crate::support::server::free_port;
use crate::support::{Server, wait_for};

fn writes(node: &Server) -> bool {
    figure(&mut node.client(), "aof_enabled") == 1
}

fn wait_durable(node: &Server) {
    wait_for("its files", LIMIT, || {
        let mut client = node.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "master_repl_offset")
    });
}

/// The mark that files are of the past.
const MARK: &str = "outrigger.handed-over";

fn wait_open(node: &Server) {
    wait_for("the fence to fall", LIMIT, || figure(&mut node.client(), "outrigger_fenced") == 0);
}

/// As [`promoted`], and another replica of the old primary, whose link is down.
fn promoted_beside_a_peer() -> (u16, Server, Server) {
    let first = primary(&[]);
    let peer = replica(&first, &[]);
    let (port, node) = promoted_from(first);
    wait_for("the link to be down", LIMIT, || !is_linked(&peer));
    (port, node, peer)
}

/// From its next start on the node is a primary that takes its history from this peer.
fn recover_from(node: &mut Server, peer: &Server) {
    let peers = address(peer).replace(' ', ":");
    node.set_args(&[&DEBUG[..], &["--recover-from-peers", &peers]].concat());
}

/// A replica that was promoted, with one key, and its port.
fn promoted() -> (u16, Server) {
    promoted_from(primary(&[]))
}

fn promoted_from(first: Server) -> (u16, Server) {
    let port = free_port();
    let target = address(&first);
    let node = Server::ours_on(port, &[&DEBUG[..], &["--replicaof", &target]].concat());
    wait_linked(&node);
    first.client().ok("SET before 1");
    in_step(&first, &node);
    wait_for("its files", LIMIT, || {
        let mut client = node.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
    node.client().ok("REPLICAOF NO ONE");
    (port, node)
}

#[test]
fn a_promoted_node_writes_until_a_replica_has_fsynced_what_it_has() {
    let (port, mut node) = promoted();
    node.client().ok("SET after 1");
    wait_durable(&node);
    // A replica that writes nothing takes nothing over.
    let reader = replica(&node, &["--appendonly", "no"]);
    in_step(&node, &reader);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(writes(&node));
    let heir = replica(&node, &[]);
    node.client().ok("SET more 1");
    wait_for("the duty to be handed over", LIMIT, || !writes(&node));
    assert!(node.log().contains("it writes, and this node no longer does"), "{}", node.log());
    let durable = figure(&mut heir.client(), "outrigger_durable_offset");
    assert!(durable >= figure(&mut node.client(), "outrigger_epoch_since"), "{durable}");
    node.client().ok("SET later 1");
    in_step(&node, &heir);
    assert_eq!(figure(&mut node.client(), "outrigger_durable_offset"), -1);
    // Its files are of the past: a start as a primary does not take them for the history, but asks its heir.
    let lineage = node.client().info("master_replid");
    node.kill();
    node.set_args(&DEBUG);
    node.restart();
    wait_for("the fence to fall", LIMIT, || figure(&mut node.client(), "outrigger_fenced") == 0);
    assert_eq!(node.client().text("GET later"), "1");
    assert_eq!(node.client().info("master_replid"), lineage);
    in_step(&node, &heir);
    assert!(!writes(&node));
    assert_eq!(node.port(), port);
}

#[test]
fn a_duty_that_was_not_handed_over_is_gone_on_with_after_a_restart() {
    let (_, mut node) = promoted();
    node.client().ok("SET after 1");
    wait_durable(&node);
    node.kill();
    node.set_args(&DEBUG);
    node.restart();
    assert_eq!(node.client().text("GET after"), "1");
    assert!(writes(&node));
    node.client().ok("SET again 1");
    wait_durable(&node);
    node.kill();
    node.restart();
    assert_eq!(node.client().text("GET again"), "1");
    let heir = replica(&node, &[]);
    wait_for("the duty to be handed over", LIMIT, || !writes(&node));
    in_step(&node, &heir);
}

#[test]
fn a_node_that_is_told_to_write_goes_on() {
    let (_, node) = promoted();
    node.client().ok("CONFIG SET appendonly yes");
    let heir = replica(&node, &[]);
    node.client().ok("SET after 1");
    in_step(&node, &heir);
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert!(writes(&node));
}

/// A node that follows again writes again, and its files are the history's again.
#[test]
fn a_node_that_handed_over_and_follows_again_has_its_files_back() {
    let (_, mut node) = promoted();
    let heir = replica(&node, &[]);
    wait_for("the duty to be handed over", LIMIT, || !writes(&node));
    node.client().ok("SET after 1");
    in_step(&node, &heir);
    heir.client().ok("REPLICAOF NO ONE");
    heir.client().ok("SET other 1");
    order(&node, &heir);
    in_step(&heir, &node);
    wait_for("its files", LIMIT, || {
        let mut client = node.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
    wait_for("the mark to go", LIMIT, || !node.dir().join(MARK).exists());
    drop(heir);
    node.kill();
    node.set_args(&DEBUG);
    node.restart();
    assert_eq!(node.client().text("GET other"), "1");
}

/// With peers to recover from, too: they are behind what its own files alone may hold.
#[test]
fn a_duty_that_was_not_handed_over_outweighs_peers_that_are_behind() {
    let (_, mut node, peer) = promoted_beside_a_peer();
    node.client().ok("SET after 1");
    wait_durable(&node);
    let lineage = node.client().info("master_replid");
    node.kill();
    recover_from(&mut node, &peer);
    node.restart();
    wait_open(&node);
    assert_eq!(node.client().text("GET after"), "1");
    assert_eq!(node.client().info("master_replid"), lineage);
    assert_eq!(figure(&mut node.client(), "outrigger_epoch"), 3);
    assert!(writes(&node));
    // The peer's history is the past of this one, as the files still know.
    assert_eq!(node.client().info("master_replid2"), peer.client().info("master_replid"));
    order(&peer, &node);
    node.client().ok("SET again 1");
    in_step(&node, &peer);
    wait_for("the duty to be handed over", LIMIT, || !writes(&node));
}

/// A peer that has more is taken, and the files are of the past from then on, whatever happens to that peer.
#[test]
fn files_that_a_peer_is_ahead_of_are_left_behind() {
    let (_, mut node, peer) = promoted_beside_a_peer();
    order(&peer, &node);
    in_step(&node, &peer);
    // It goes on without this node, whose mark is lost.
    wait_for("the duty to be handed over", LIMIT, || !writes(&node));
    std::fs::remove_file(node.dir().join(MARK)).expect("remove the mark");
    node.client().ok("SET after 1");
    in_step(&node, &peer);
    node.kill();
    recover_from(&mut node, &peer);
    node.restart();
    wait_open(&node);
    assert_eq!(node.client().text("GET after"), "1");
    assert!(!writes(&node));
    assert!(node.dir().join(MARK).exists());
    assert!(node.log().contains("one of the histories to choose from"), "{}", node.log());
}

/// Files that are damaged may hold what nobody else has: the start stops, and says what to do.
#[test]
fn damaged_files_of_its_own_stop_a_start() {
    let (port, mut node, peer) = promoted_beside_a_peer();
    node.client().ok("SET after 1");
    wait_durable(&node);
    node.kill();
    let folder = node.dir().join("appendonlydir");
    let incr = std::fs::read_dir(&folder).expect("list").flatten().map(|entry| entry.path());
    let incr = incr.filter(|path| path.to_string_lossy().contains(".incr.")).max().expect("a log file");
    let mut bytes = std::fs::read(&incr).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&incr, bytes).expect("damage it");
    recover_from(&mut node, &peer);
    node.spawn_again();
    assert!(!node.wait_end(LIMIT).success());
    let log = node.log();
    assert!(log.contains("Run `aof-check DIR`") && log.contains("Moved away"), "{log}");
    std::fs::rename(&folder, node.dir().join("set-aside")).expect("move it away");
    node.restart();
    wait_open(&node);
    assert_eq!(node.client().text("GET before"), "1");
    assert_eq!(node.client().cmd("EXISTS after").as_int(), Some(0));
    assert_eq!(node.port(), port);
}
