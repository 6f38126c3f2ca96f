//! A promoted node writes until a replica of its own does; then it hands the duty over.

use super::{DEBUG, primary, replica};
use crate::support::nodes::{LIMIT, address, figure, in_step, order, wait_linked};
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

/// A replica that was promoted, with one key, and its port.
fn promoted() -> (u16, Server) {
    let first = primary(&[]);
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
    wait_for("the mark to go", LIMIT, || !node.dir().join("outrigger.handed-over").exists());
    drop(heir);
    node.kill();
    node.set_args(&DEBUG);
    node.restart();
    assert_eq!(node.client().text("GET other"), "1");
}
