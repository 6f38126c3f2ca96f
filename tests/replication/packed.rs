//! Snapshots that travel packed, where both ends say so.

use super::joins::{fill, giver, joined};
use super::{primary, replica};
use crate::support::nodes::{LIMIT, address, figure, in_step};
use crate::support::tap::Tap;
use crate::support::{Server, wait_for};

const PACK: [&str; 2] = ["--replica-sync-lz4", "yes"];

/// Bytes of snapshots that a node sent packed, and what they became.
fn packed(node: &Server) -> (i64, i64) {
    let mut client = node.client();
    (
        figure(&mut client, "outrigger_sync_lz4_raw_bytes"),
        figure(&mut client, "outrigger_sync_lz4_sent_bytes"),
    )
}

#[test]
fn both_ends_say_so_and_the_files_are_as_ever() {
    let primary = primary(&PACK);
    fill(&primary);
    let mut client = primary.client();
    // What is packed in pieces, and what does not pack.
    client.ok(&format!("SET large {}", "x".repeat(3_000_000)));
    let noise = outrigger::base::random::Rng::from_seed(3).hex(500_000);
    client.ok(&format!("SET noise {noise}"));
    let first = giver(&primary, &PACK);
    let (raw, sent) = packed(&primary);
    assert!(raw > 3_500_000 && sent * 3 < raw, "{raw} became {sent}");
    assert_eq!(figure(&mut client, "sync_full"), 1);
    // From replica to replica, too.
    let mut second = replica(&primary, &PACK);
    in_step(&primary, &second);
    assert_eq!((packed(&primary), joined(&second).0), ((raw, sent), 1));
    assert!(packed(&first).1 * 3 < packed(&first).0);
    wait_for("its files", LIMIT, || {
        let mut client = second.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
    second.kill();
    second.restart();
    in_step(&primary, &second);
    assert_eq!(figure(&mut second.client(), "outrigger_full_syncs"), 0);
}

#[test]
fn one_end_alone_changes_nothing() {
    let willing = primary(&PACK);
    fill(&willing);
    let plain = replica(&willing, &[]);
    in_step(&willing, &plain);
    assert_eq!(packed(&willing), (0, 0));
    if let Some(stock) = Server::redis(&["--replicaof", &address(&willing)]) {
        in_step(&willing, &stock);
        assert_eq!(packed(&willing), (0, 0));
    }
    let unwilling = primary(&[]);
    fill(&unwilling);
    let joiner = replica(&unwilling, &PACK);
    in_step(&unwilling, &joiner);
    assert_eq!(packed(&unwilling), (0, 0));
    if let Some(stock) = Server::redis(&["--repl-diskless-sync-delay", "0"]) {
        stock.client().ok("SET key value");
        let joiner = replica(&stock, &PACK);
        in_step(&stock, &joiner);
    }
}

/// A packed snapshot that breaks off is none.
#[test]
fn one_that_is_cut_leaves_the_old_data() {
    let primary = primary(&PACK);
    // Hardly packs, so that there is something to cut.
    let mut rng = outrigger::base::random::Rng::from_seed(4);
    let mut client = primary.client();
    (0..40).for_each(|n| client.ok(&format!("SET key:{n} {}", rng.hex(100_000))));
    let tap = Tap::to(primary.port(), 1_000_000);
    let joiner = super::primary(&PACK);
    joiner.client().ok("SET old value");
    joiner.client().ok(&format!("REPLICAOF 127.0.0.1 {}", tap.port()));
    super::joins::wait_midway(&joiner);
    assert!(packed(&primary).0 > 0);
    client.int("CLIENT KILL TYPE replica");
    wait_for("the sync to be given up", LIMIT, || {
        figure(&mut joiner.client(), "outrigger_fruitless_syncs") > 0
    });
    assert_eq!(joiner.client().text("GET old"), "value");
    tap.open();
    in_step(&primary, &joiner);
    assert_eq!(joiner.client().int("EXISTS old"), 0);
}
