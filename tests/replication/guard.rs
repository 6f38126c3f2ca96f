//! A replica does not let a lesser or a strange history take the place of its own.

use super::{DEBUG, primary, replica};
use crate::support::nodes::{address, figure, in_step, order, wait_linked};
use crate::support::{Server, wait_for};
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn wait_refused(replica: &Server) -> String {
    wait_for("the refusal", LIMIT, || figure(&mut replica.client(), "outrigger_refused_syncs") > 0);
    replica.client().info("outrigger_refused_sync_reason").expect("a reason")
}

fn wait_durable(replica: &Server) {
    wait_for("its files", LIMIT, || {
        let mut client = replica.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
}

/// Names of the kept generations in a data folder.
fn kept(dir: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("appendonlydir.previous-")).collect();
    names.sort();
    names
}

/// A primary with one key, its replica with files, and the replica's digest.
fn pair() -> (Server, Server, String) {
    let primary = primary(&[]);
    let replica = replica(&primary, &[]);
    primary.client().ok("SET key value");
    in_step(&primary, &replica);
    wait_durable(&replica);
    let digest = replica.client().digest();
    (primary, replica, digest)
}

#[test]
fn a_primary_that_comes_back_empty_is_refused_until_an_operator_orders_it() {
    let (mut primary, mut replica, digest) = pair();
    primary.kill();
    primary.restart();
    assert_eq!(primary.client().int("DBSIZE"), 0);
    let reason = wait_refused(&replica);
    assert!(reason.starts_with("full sync refused: it is another history than this replica's"), "{reason}");
    assert_eq!(replica.client().digest(), digest);
    assert!(replica.log().contains("full sync refused"), "{}", replica.log());
    // Neither does a restart make it forget.
    replica.kill();
    replica.restart();
    wait_refused(&replica);
    assert_eq!(replica.client().digest(), digest);
    assert_eq!(replica.client().text("GET key"), "value");
    let before = kept(replica.dir());
    // The same order given again after a refusal is an order.
    let reply = replica.client().text(&format!("REPLICAOF {}", address(&primary)));
    assert_eq!(reply, "OK Already connected to specified master");
    in_step(&primary, &replica);
    wait_durable(&replica);
    assert_eq!(replica.client().int("DBSIZE"), 0);
    assert_eq!(replica.client().info("outrigger_refused_sync_reason"), None);
    let after: Vec<_> = kept(replica.dir()).into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(after.len(), 1, "the old generation is kept: {before:?}");
    // What was kept is whole: a server that gets it has the data.
    let home = tempfile::TempDir::with_prefix("outrigger-test-").unwrap();
    copy(&replica.dir().join(&after[0]), &home.path().join("appendonlydir"));
    let restored = Server::ours_in(home.path(), &[&DEBUG[..], &["--appendonly", "yes"]].concat());
    assert_eq!(restored.client().digest(), digest);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_stranger_at_the_primarys_address_is_refused() {
    let (primary, replica, digest) = pair();
    let port = primary.port();
    drop(primary);
    let stranger = Server::ours_on(port, &DEBUG);
    let commands: Vec<_> =
        (0..1_000).map(|i| vec!["SET".to_string(), format!("k:{i}"), "v".into()]).collect();
    // More data and a higher offset do not make it ours.
    stranger.client().pipeline(&commands);
    let reason = wait_refused(&replica);
    assert!(reason.contains("another history"), "{reason}");
    assert_eq!(replica.client().digest(), digest);
    drop(stranger);
    if let Some(stock) = Server::redis_on(port, &[]) {
        let refused = figure(&mut replica.client(), "outrigger_refused_syncs");
        stock.client().ok("SET key stock");
        wait_for("the refusal", LIMIT, || figure(&mut replica.client(), "outrigger_refused_syncs") > refused);
        assert_eq!(replica.client().digest(), digest);
    }
}

#[test]
fn an_operator_may_order_another_primary_and_the_old_generation_stays() {
    let (_first, replica, _) = pair();
    let other = primary(&[]);
    other.client().ok("SET other 1");
    assert_eq!(kept(replica.dir()), Vec::<String>::new());
    order(&replica, &other);
    in_step(&other, &replica);
    wait_durable(&replica);
    assert_eq!(kept(replica.dir()).len(), 1);
    assert_eq!(figure(&mut replica.client(), "outrigger_refused_syncs"), 0);
    assert_eq!(replica.client().text("GET other"), "1");
    // From now on the new history is the one that is protected.
    let mut other = other;
    let digest = replica.client().digest();
    other.kill();
    other.restart();
    wait_refused(&replica);
    assert_eq!(replica.client().digest(), digest);
}

/// FLUSHALL is a write like another: the history is longer after it.
#[test]
fn an_empty_data_set_is_no_reason_to_refuse() {
    let (primary, mut replica, _) = pair();
    replica.kill();
    let mut client = primary.client();
    client.ok("CONFIG SET repl-backlog-size 16kb");
    let commands: Vec<_> =
        (0..4_000).map(|i| vec!["SET".to_string(), format!("k:{i}"), "v".repeat(50)]).collect();
    client.pipeline(&commands);
    client.ok("FLUSHALL");
    replica.restart();
    in_step(&primary, &replica);
    assert_eq!(figure(&mut replica.client(), "outrigger_full_syncs"), 1);
    assert_eq!(replica.client().int("DBSIZE"), 0);
}

/// A primary with files of its own comes back under a new lineage that names the old one; its replicas go on.
#[test]
fn a_primary_that_comes_back_from_its_files_is_followed() {
    let mut primary = primary(&["--appendonly", "yes", "--appendfsync", "always"]);
    let replica = replica(&primary, &[]);
    for round in 1..4 {
        let mut client = primary.client();
        client.ok(&format!("SET key {round}"));
        let reply = client.cmd("WAITAOF 1 0 0");
        assert!(reply.as_error().is_none(), "{reply:?}");
        in_step(&primary, &replica);
        primary.kill();
        primary.restart();
        wait_linked(&replica);
        in_step(&primary, &replica);
        assert_eq!(primary.client().text("GET key"), round.to_string());
        let mut client = replica.client();
        assert_eq!(figure(&mut client, "outrigger_full_syncs"), 1);
        assert_eq!(figure(&mut client, "outrigger_partial_syncs"), round);
        assert_eq!(client.info("master_replid"), primary.client().info("master_replid"));
    }
}
