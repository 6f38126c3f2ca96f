//! Our server starts from what stock servers have written.

use super::digest_of;
use super::encodings::{STOCK, every_encoding};
use crate::persistence::nodes::{copy_folder, wait_jobs};
use crate::persistence::traffic::{Traffic, wait_for_the_brief};
use crate::support::rng::Seeded;
use crate::support::{Server, peer, scaled};
use std::path::Path;
use tempfile::TempDir;

/// What a stock server with these arguments has after every encoding and much traffic: its digest, and its files in
/// `home/stock`.
fn stock_files(home: &Path, seed: u64, args: &[&str]) -> Option<String> {
    let mut stock = Server::redis_in(&home.join("stock"), args)?;
    let mut client = stock.client();
    let mut traffic = Traffic::new(seed);
    traffic.only_what_is_known_to(&mut Server::ours(&[]).client());
    traffic.send(&mut client, scaled(1_500));
    client.ok("SELECT 0");
    every_encoding(&mut client, &STOCK);
    if args.contains(&"--appendonly") {
        client.cmd("BGREWRITEAOF");
        wait_jobs(&mut client);
        traffic.send(&mut client, scaled(1_500));
    }
    wait_for_the_brief(&mut client, &traffic);
    client.ok("SAVE");
    let digest = client.digest();
    assert!(stock.stop().success());
    Some(digest)
}

/// Our server has this digest, and has it again after it has written and been started once more.
fn ours_holds(dir: &Path, args: &[&str], digest: &str, what: &str) {
    let mut ours = Server::ours_in(dir, args);
    assert_eq!(digest_of(&ours), digest, "{what}");
    let mut client = ours.client();
    client.ok("SET written-by ours");
    let after = client.digest();
    assert_ne!(after, digest);
    assert!(ours.stop().success());
    ours.restart();
    assert_eq!(digest_of(&ours), after, "{what}: started again");
}

#[test]
fn ours_starts_from_a_stock_folder() {
    for (turn, preamble) in ["yes", "no"].into_iter().enumerate() {
        let home = TempDir::new().expect("make a temporary folder");
        let seeded = Seeded::new(7_010 + turn as u64);
        let args = ["--appendonly", "yes", "--aof-use-rdb-preamble", preamble];
        let args = [&args[..], &["--aof-timestamp-enabled", preamble]].concat();
        let Some(digest) = stock_files(home.path(), seeded.seed, &args) else { return };
        let dir = home.path().join("copy");
        copy_folder(&home.path().join("stock/appendonlydir"), &dir.join("appendonlydir"));
        ours_holds(&dir, &["--appendonly", "yes"], &digest, &format!("preamble {preamble}"));
        // What ours made of it starts a stock server again.
        let ours = Server::ours_in(&dir, &["--appendonly", "yes"]);
        let after = digest_of(&ours);
        drop(ours);
        let stock = Server::redis_in(&dir, &["--appendonly", "yes"]).expect("stock redis-server");
        assert_eq!(digest_of(&stock), after, "back to stock, preamble {preamble}");
    }
}

#[test]
fn ours_starts_from_a_stock_snapshot() {
    let variants: [&[&str]; 3] = [
        &[],
        &["--rdbcompression", "no", "--rdbchecksum", "no", "--list-max-listpack-size", "-1"],
        &["--maxmemory-policy", "allkeys-lfu", "--maxmemory", "1gb", "--list-compress-depth", "1"],
    ];
    for (turn, args) in variants.into_iter().enumerate() {
        let home = TempDir::new().expect("make a temporary folder");
        let seeded = Seeded::new(7_020 + turn as u64);
        let Some(digest) = stock_files(home.path(), seeded.seed, args) else { return };
        let dir = home.path().join("copy");
        std::fs::create_dir_all(&dir).expect("make a folder");
        std::fs::copy(home.path().join("stock/dump.rdb"), dir.join("dump.rdb")).expect("copy the snapshot");
        ours_holds(&dir, &["--save", "3600 1"], &digest, &format!("{args:?}"));
    }
}

/// The single `appendonly.aof` of servers before 7.0: what their rewrite made (commands, or a snapshot with
/// `aof-use-rdb-preamble yes`), and what they wrote since.
#[test]
fn ours_starts_from_the_single_file_of_old_servers() {
    if peer::redis_server().is_none() {
        return;
    }
    for (turn, preamble) in ["yes", "no"].into_iter().enumerate() {
        let home = TempDir::new().expect("make a temporary folder");
        let seeded = Seeded::new(7_030 + turn as u64);
        let args = ["--appendonly", "yes", "--aof-use-rdb-preamble", preamble];
        let Some(digest) = stock_files(home.path(), seeded.seed, &args) else { return };
        let folder = home.path().join("stock/appendonlydir");
        let end = if preamble == "yes" { "rdb" } else { "aof" };
        let parts = [format!("appendonly.aof.2.base.{end}"), "appendonly.aof.2.incr.aof".to_owned()];
        let whole = parts.map(|name| std::fs::read(folder.join(name)).expect("read a part")).concat();
        for who in ["ours", "stock"] {
            let dir = home.path().join(format!("single-{who}"));
            std::fs::create_dir_all(&dir).expect("make a folder");
            std::fs::write(dir.join("appendonly.aof"), &whole).expect("write the single file");
            if who == "ours" {
                ours_holds(&dir, &["--appendonly", "yes"], &digest, &format!("single file, {preamble}"));
            } else {
                let stock = Server::redis_in(&dir, &["--appendonly", "yes"]).expect("stock");
                assert_eq!(digest_of(&stock), digest, "the test's own single file, {preamble}");
            }
        }
    }
}
