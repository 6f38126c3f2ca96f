//! A replica's replica.

use super::{primary, replica};
use crate::support::nodes::{figure, in_step, send, wait_linked};
use crate::support::traffic::Traffic;
use crate::support::{Server, wait_for};
use std::time::Duration;

fn reads(server: &Server, db: u32, key: &str) -> Option<String> {
    let mut client = server.client();
    client.ok(&format!("SELECT {db}"));
    client.cmd(&format!("GET {key}")).as_bytes().map(|value| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn the_whole_chain_has_the_same_data_and_history() {
    let first = primary(&[]);
    let mut traffic = Traffic::new(61);
    send(&mut first.client(), &mut traffic, 40);
    let mut second = replica(&first, &[]);
    let third = replica(&second, &[]);
    let stock = Server::redis(&["--replicaof", &crate::support::nodes::address(&second)]);
    send(&mut first.client(), &mut traffic, 40);
    let ends: Vec<&Server> = [Some(&third), stock.as_ref()].into_iter().flatten().collect();
    in_step(&first, &second);
    for end in &ends {
        in_step(&first, end);
    }
    // The middle goes away and comes back from its files: whoever follows it goes on.
    wait_for("its files", Duration::from_secs(60), || {
        let mut client = second.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
    second.kill();
    send(&mut first.client(), &mut traffic, 20);
    second.restart();
    in_step(&first, &second);
    for end in &ends {
        in_step(&first, end);
    }
    assert_eq!(figure(&mut third.client(), "outrigger_full_syncs"), 1);
    assert_eq!(figure(&mut second.client(), "sync_full"), 0);
    for node in ends {
        assert_eq!(node.client().info("master_replid"), first.client().info("master_replid"));
    }
}

/// The stream selects a database once; who begins in the middle of it must know which.
#[test]
fn a_snapshot_from_the_middle_of_a_stream_does_not_lose_its_database() {
    let first = primary(&[]);
    let second = replica(&first, &[]);
    let mut writer = first.client();
    writer.ok("SELECT 3");
    writer.ok("SET one 1");
    in_step(&first, &second);
    // Two of them: the second snapshot must not find what the first left behind.
    let ends = [replica(&second, &[]), replica(&second, &[])];
    writer.ok("SET two 2");
    for end in &ends {
        in_step(&first, end);
        assert_eq!(reads(end, 3, "two").as_deref(), Some("2"));
    }
    // Nothing selects a database behind this snapshot, either, nor behind the link's new beginning.
    let last = replica(&second, &[]);
    assert_eq!(writer.int("CLIENT KILL TYPE replica"), 1);
    wait_linked(&second);
    writer.ok("SET three 3");
    for node in [&second, &ends[0], &ends[1], &last] {
        in_step(&first, node);
        assert_eq!(reads(node, 3, "three").as_deref(), Some("3"));
        assert_eq!(reads(node, 0, "three"), None);
    }
}

/// A rewrite of the middle's files begins in the database that the stream is in, too.
#[test]
fn files_of_a_node_that_fed_a_replica_load_into_the_right_database() {
    let first = primary(&[]);
    let mut second = replica(&first, &[]);
    let mut writer = first.client();
    writer.ok("SELECT 3");
    writer.ok("SET one 1");
    in_step(&first, &second);
    let _third = replica(&second, &[]);
    let rewrites = figure(&mut second.client(), "aof_rewrites");
    second.client().cmd("BGREWRITEAOF");
    wait_for("the rewrite", Duration::from_secs(60), || {
        figure(&mut second.client(), "aof_rewrites") == rewrites + 1
    });
    writer.ok("SET two 2");
    in_step(&first, &second);
    wait_for("its files", Duration::from_secs(60), || {
        let mut client = second.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
    second.kill();
    second.restart();
    assert_eq!(reads(&second, 3, "two").as_deref(), Some("2"));
    in_step(&first, &second);
}

/// When the middle is promoted its history takes another name; who follows it must learn that, and go on.
#[test]
fn who_follows_a_promoted_node_goes_on_under_the_new_lineage() {
    let first = primary(&[]);
    let second = replica(&first, &[]);
    let third = replica(&second, &[]);
    let stock = Server::redis(&["--replicaof", &crate::support::nodes::address(&second)]);
    first.client().ok("SET before 1");
    in_step(&first, &third);
    if let Some(stock) = &stock {
        in_step(&first, stock);
    }
    let old = first.client().info("master_replid").unwrap();
    second.client().ok("REPLICAOF NO ONE");
    second.client().ok("SET after 1");
    let lineage = second.client().info("master_replid").unwrap();
    assert_ne!(lineage, old);
    assert_eq!(second.client().info("master_replid2").as_ref(), Some(&old));
    for end in [Some(&third), stock.as_ref()].into_iter().flatten() {
        wait_for("the new lineage", Duration::from_secs(60), || {
            end.client().info("master_replid").as_ref() == Some(&lineage)
        });
        in_step(&second, end);
        assert_eq!(reads(end, 0, "after").as_deref(), Some("1"));
    }
    let mut client = third.client();
    assert_eq!(figure(&mut client, "outrigger_full_syncs"), 1);
    assert_eq!(figure(&mut client, "outrigger_refused_syncs"), 0);
    let fulls = 1 + i64::from(stock.is_some());
    assert_eq!(figure(&mut second.client(), "sync_full"), fulls);
}
