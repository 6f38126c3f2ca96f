//! Stock servers start from what a replica has written, and stock checkers pass it.

use super::encodings::{OURS, every_encoding};
use super::{digest_of, stock_check};
use crate::persistence::nodes::{Nodes, copy_folder, wait_jobs};
use crate::persistence::traffic::{Traffic, wait_for_the_brief};
use crate::support::rng::Seeded;
use crate::support::{Server, peer, scaled};
use std::path::Path;
use tempfile::TempDir;

/// Starts a stock server from a copy of the replica's files; the data must be the same.
fn stock_holds(nodes: &Nodes, digest: &str, home: &Path, turn: &str) {
    let from = nodes.replica.dir();
    let (log, dump) = (home.join(format!("log-{turn}")), home.join(format!("dump-{turn}")));
    copy_folder(&from.join("appendonlydir"), &log.join("appendonlydir"));
    stock_check("redis-check-aof", &log.join("appendonlydir/appendonly.aof.manifest"));
    let stock = Server::redis_in(&log, &["--appendonly", "yes"]).expect("stock redis-server");
    assert_eq!(digest_of(&stock), digest, "{turn}: stock from appendonlydir");
    nodes.replica.client().cmd("BGSAVE");
    wait_jobs(&mut nodes.replica.client());
    std::fs::create_dir_all(&dump).expect("make a folder");
    std::fs::copy(from.join("dump.rdb"), dump.join("dump.rdb")).expect("copy the snapshot");
    stock_check("redis-check-rdb", &dump.join("dump.rdb"));
    let stock = Server::redis_in(&dump, &[]).expect("stock redis-server");
    assert_eq!(digest_of(&stock), digest, "{turn}: stock from dump.rdb");
}

#[test]
fn stock_starts_from_a_replicas_files() {
    if peer::redis_server().is_none() {
        return;
    }
    let home = TempDir::new().expect("make a temporary folder");
    let seeded = Seeded::new(7_001);
    // Small limits: each type comes in its small and its large encoding.
    let limits = ["--list-max-listpack-size", "8", "--hash-max-listpack-entries", "16"];
    let nodes = Nodes::start(&limits);
    let mut traffic = Traffic::new(seeded.seed);
    let mut client = nodes.primary.client();
    traffic.only_what_is_known_to(&mut client);
    let settle = |client: &mut _, traffic: &_| {
        wait_for_the_brief(client, traffic);
        nodes.settle().0
    };

    traffic.send(&mut client, scaled(6_000));
    let digest = settle(&mut client, &traffic);
    stock_holds(&nodes, &digest, home.path(), "first");

    // A rewrite while the writes go on: what it makes is a new base and the log from there.
    let rewrites = nodes.replica.client().info("aof_rewrites");
    nodes.replica.client().cmd("BGREWRITEAOF");
    for _ in 0..20 {
        traffic.send(&mut client, scaled(200));
    }
    wait_jobs(&mut nodes.replica.client());
    assert_ne!(nodes.replica.client().info("aof_rewrites"), rewrites);
    traffic.value_bytes = 5_000;
    traffic.send(&mut client, scaled(1_000));
    let digest = settle(&mut client, &traffic);
    stock_holds(&nodes, &digest, home.path(), "rewritten");
}

#[test]
fn what_stock_wrote_on_goes_on_with_us() {
    if peer::redis_server().is_none() {
        return;
    }
    let home = TempDir::new().expect("make a temporary folder");
    let seeded = Seeded::new(7_002);
    let nodes = Nodes::start(&[]);
    let mut traffic = Traffic::new(seeded.seed);
    let mut client = nodes.primary.client();
    traffic.only_what_is_known_to(&mut client);
    traffic.send(&mut client, scaled(1_000));
    wait_for_the_brief(&mut client, &traffic);
    let (digest, _) = nodes.settle();
    copy_folder(&nodes.replica.dir().join("appendonlydir"), &home.path().join("appendonlydir"));
    let args = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut stock = Server::redis_in(home.path(), &args).expect("stock redis-server");
    assert_eq!(digest_of(&stock), digest);
    let mut client = stock.client();
    traffic.send(&mut client, scaled(1_000));
    // Everything rewritten by the stock server, and written on by it.
    client.cmd("BGREWRITEAOF");
    wait_jobs(&mut client);
    traffic.send(&mut client, scaled(1_000));
    wait_for_the_brief(&mut client, &traffic);
    let digest = client.digest();
    stock.stop();
    let ours = Server::ours_in(home.path(), &["--appendonly", "yes"]);
    assert_eq!(digest_of(&ours), digest, "ours from what stock made of it");
}

/// Each encoding by itself, in a snapshot and in an append-only file with a base of ours, and back from stock's own files.
#[test]
fn every_encoding_goes_to_stock_and_comes_back() {
    if peer::redis_server().is_none() {
        return;
    }
    let home = TempDir::new().expect("make a temporary folder");
    for args in
        [&["--appendonly", "yes"][..], &["--save", "3600 1"], &["--save", "3600 1", "--rdbcompression", "no"]]
    {
        let dir = home.path().join(args.join("-").replace(' ', "-"));
        std::fs::create_dir_all(&dir).expect("make a folder");
        let mut ours = Server::ours_in(&dir, args);
        let mut client = ours.client();
        every_encoding(&mut client, &OURS);
        if args.contains(&"--appendonly") {
            client.cmd("BGREWRITEAOF");
            wait_jobs(&mut client);
            client.ok("SET after rewrite");
        }
        let digest = client.digest();
        assert!(ours.stop().success());
        let args: Vec<&str> = args.iter().copied().filter(|arg| *arg != "3600 1").collect();
        let args = if args[0] == "--save" { &args[1..] } else { &args[..] };
        let mut stock = Server::redis_in(&dir, args).expect("stock redis-server");
        assert_eq!(digest_of(&stock), digest, "{args:?}: stock from ours");
        stock.client().cmd(if args.contains(&"--appendonly") { "BGREWRITEAOF" } else { "SAVE" });
        wait_jobs(&mut stock.client());
        stock.stop();
        ours.restart();
        assert_eq!(digest_of(&ours), digest, "{args:?}: ours from stock");
    }
}
