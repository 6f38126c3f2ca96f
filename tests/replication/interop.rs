//! The matrix: our server and a stock one in every role, under random traffic of every type, cut links, restarts of either
//! side, chains and promotions. After each step the digests are equal.
//!
//! `OUTRIGGER_STOCK_SERVER` names another program that is to stand for the stock server, Valkey say.

use crate::support::nodes::{LIMIT, address, figure, in_step, is_linked, order, send, wait_linked};
use crate::support::traffic::Traffic;
use crate::support::{Server, scaled, wait_for};

/// Batches of random commands between two looks.
const BATCHES: usize = 25;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ours,
    Stock,
}

use Kind::{Ours, Stock};

/// A node of that kind, with files where it keeps any; `None` without a stock server.
fn start(kind: Kind, of: Option<&Server>) -> Option<Server> {
    let target = of.map(address);
    let mut args = vec!["--enable-debug-command", "yes", "--repl-ping-replica-period", "3600"];
    if let Some(target) = &target {
        args.extend(["--replicaof", target]);
    }
    match kind {
        Ours => Some(Server::ours(&args)),
        Stock => {
            args.extend(["--repl-diskless-sync-delay", "0"]);
            Server::redis(&args)
        }
    }
}

/// Random commands that this kind of primary passes on whole.
fn traffic(primary: Kind, seed: u64) -> Traffic {
    match primary {
        Ours => Traffic::new(seed),
        Stock => Traffic::for_stock(seed),
    }
}

fn cut(primary: &Server) {
    assert!(primary.client().int("CLIENT KILL TYPE replica") >= 1);
}

fn full_syncs(primary: &Server) -> i64 {
    figure(&mut primary.client(), "sync_full")
}

/// Ends a node as its operator would where it has files: ours by force, once it says that all is on the disk; a stock one
/// with a snapshot.
fn end(node: &mut Server, kind: Kind) {
    match kind {
        Ours => {
            wait_for("its files", LIMIT, || {
                let mut client = node.client();
                figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
            });
            node.kill();
        }
        Stock => {
            node.client().send(&["SHUTDOWN", "SAVE"]).expect("send SHUTDOWN");
            node.wait_end(LIMIT);
        }
    }
}

/// Full sync, cut links, and a restart of the replica, which goes on from its files.
fn syncs(primary_kind: Kind, replica_kind: Kind) -> Option<(Server, Server, Traffic)> {
    // A stock replica may come to be the primary.
    let mut traffic = traffic(if replica_kind == Stock { Stock } else { primary_kind }, 81);
    let primary = start(primary_kind, None)?;
    let mut client = primary.client();
    send(&mut client, &mut traffic, BATCHES);
    let mut replica = start(replica_kind, Some(&primary))?;
    send(&mut client, &mut traffic, BATCHES);
    in_step(&primary, &replica);
    for _ in 0..scaled(3) {
        cut(&primary);
        send(&mut client, &mut traffic, BATCHES);
        in_step(&primary, &replica);
    }
    end(&mut replica, replica_kind);
    send(&mut client, &mut traffic, BATCHES);
    replica.restart();
    in_step(&primary, &replica);
    assert_eq!(full_syncs(&primary), 1, "{primary_kind:?} {replica_kind:?}");
    Some((primary, replica, traffic))
}

#[test]
fn ours_follows_ours() {
    syncs(Ours, Ours);
}

#[test]
fn a_stock_node_follows_ours_and_inherits_from_it() {
    let Some((mut primary, replica, mut traffic)) = syncs(Ours, Stock) else { return };
    // Ours keeps no files as a primary: when it is lost, its stock replica takes over, and it comes back as a replica.
    primary.kill();
    replica.client().ok("REPLICAOF NO ONE");
    send(&mut replica.client(), &mut traffic, BATCHES);
    primary.restart();
    order(&primary, &replica);
    in_step(&replica, &primary);
}

#[test]
fn ours_follows_a_stock_node_that_restarts() {
    let Some((mut primary, replica, mut traffic)) = syncs(Stock, Ours) else { return };
    end(&mut primary, Stock);
    primary.restart();
    send(&mut primary.client(), &mut traffic, BATCHES);
    in_step(&primary, &replica);
    assert_eq!(full_syncs(&primary), 0, "it came back with its history");
    assert_eq!(figure(&mut replica.client(), "outrigger_refused_syncs"), 0);
}

/// Runs a cell of the matrix with each three kinds, in threads that bear their names.
fn at_once(cell: fn(Kind, Kind, Kind)) {
    let all = [
        (Ours, Ours, Stock),
        (Ours, Stock, Ours),
        (Ours, Stock, Stock),
        (Stock, Ours, Ours),
        (Stock, Ours, Stock),
        (Stock, Stock, Ours),
    ];
    std::thread::scope(|scope| {
        for (one, two, three) in all {
            let named = std::thread::Builder::new().name(format!("{one:?}, {two:?}, {three:?}"));
            named.spawn_scoped(scope, move || cell(one, two, three)).expect("start a thread");
        }
    });
}

/// Three in a row; both links are cut, and the middle restarts.
fn chain(first_kind: Kind, middle_kind: Kind, last_kind: Kind) {
    let mut traffic = traffic(first_kind, 82);
    let Some(first) = start(first_kind, None) else { return };
    send(&mut first.client(), &mut traffic, BATCHES);
    let Some(mut middle) = start(middle_kind, Some(&first)) else { return };
    wait_linked(&middle);
    let Some(last) = start(last_kind, Some(&middle)) else { return };
    send(&mut first.client(), &mut traffic, BATCHES);
    in_step(&first, &middle);
    in_step(&first, &last);
    for cut_off in [&first, &middle] {
        cut(cut_off);
        send(&mut first.client(), &mut traffic, BATCHES);
        in_step(&first, &middle);
        in_step(&first, &last);
    }
    end(&mut middle, middle_kind);
    send(&mut first.client(), &mut traffic, BATCHES);
    middle.restart();
    in_step(&first, &middle);
    in_step(&first, &last);
    assert_eq!(full_syncs(&first), 1, "{first_kind:?} {middle_kind:?} {last_kind:?}");
    let lineage = first.client().info("master_replid");
    assert_eq!(last.client().info("master_replid"), lineage);
}

#[test]
fn chains_of_ours_and_stock_nodes() {
    at_once(chain);
}

/// A replica is promoted, and its primary and another node follow it; then the old primary is promoted again.
fn promotion(first_kind: Kind, second_kind: Kind, third_kind: Kind) {
    let Some(first) = start(first_kind, None) else { return };
    let mut traffic = traffic(if second_kind == Stock { Stock } else { first_kind }, 83);
    send(&mut first.client(), &mut traffic, BATCHES);
    let Some(second) = start(second_kind, Some(&first)) else { return };
    let Some(third) = start(third_kind, Some(&first)) else { return };
    in_step(&first, &second);
    in_step(&first, &third);
    let kinds = [(first_kind, second_kind), (second_kind, first_kind)];
    for ((old, new), (old_kind, new_kind)) in [(&first, &second), (&second, &first)].into_iter().zip(kinds) {
        // Two stock nodes are no business of ours, nor are they always in step.
        let compare = |one: &Server, other: &Server, kinds| match kinds {
            (Stock, Stock) => wait_for("both stock nodes at one offset", LIMIT, || {
                let at = |node: &Server, field| figure(&mut node.client(), field);
                is_linked(other) && at(one, "master_repl_offset") == at(other, "slave_repl_offset")
            }),
            _ => drop(in_step(one, other)),
        };
        // What the old primary adds by itself after the promotion would be known to nobody else.
        old.client().ok("DEBUG SET-ACTIVE-EXPIRE 0");
        send(&mut old.client(), &mut traffic, BATCHES);
        compare(old, new, (old_kind, new_kind));
        compare(old, &third, (old_kind, third_kind));
        let lineage = old.client().info("master_replid");
        let before = full_syncs(new);
        new.client().ok("REPLICAOF NO ONE");
        new.client().ok("DEBUG SET-ACTIVE-EXPIRE 1");
        send(&mut new.client(), &mut traffic, BATCHES);
        order(old, new);
        order(&third, new);
        compare(new, old, (new_kind, old_kind));
        compare(new, &third, (new_kind, third_kind));
        assert_eq!(new.client().info("master_replid2"), lineage);
        assert_eq!(full_syncs(new), before, "{first_kind:?} {second_kind:?} {third_kind:?}");
    }
}

#[test]
fn promotions_among_ours_and_stock_nodes() {
    at_once(promotion);
}
