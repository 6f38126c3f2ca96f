//! Our server starts from what stock servers have written.

use super::digest_of;
use crate::persistence::nodes::{copy_folder, wait_jobs};
use crate::persistence::traffic::{Traffic, raw, wait_for_the_brief, words};
use crate::support::rng::Seeded;
use crate::support::{Client, Server, peer, scaled};
use std::path::Path;
use tempfile::TempDir;

/// Elements of the large collections: above every limit on small encodings.
const MANY: usize = 700;

/// A key in each encoding that there is, and what OBJECT ENCODING must call it, so that none is missed.
fn every_encoding(client: &mut Client) {
    let many = |name: &str, key: &str, one: &dyn Fn(usize) -> Vec<String>| {
        let mut command = words(&format!("{name} {key}"));
        command.extend((0..MANY).flat_map(one).map(String::into_bytes));
        command
    };
    let long = vec![b'x'; 100_000];
    let mixed: Vec<u8> = (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let keys: Vec<(Vec<Vec<u8>>, &str)> = vec![
        (words("SET s:int 1234567"), "int"),
        (words("SET s:min -9223372036854775808"), "int"),
        (words("SET s:embstr text"), "embstr"),
        (raw(&[b"SET", b"s:empty", b""]), "embstr"),
        (raw(&[b"SET", b"s:raw", &long]), "raw"),
        (raw(&[b"SET", b"s:mixed", &mixed]), "raw"),
        (raw(&[b"SET", b"\x00\xff key \r\n", &mixed[..300]]), "raw"),
        (words("RPUSH l:small a 1 -70000 text 12345678901"), "quicklist"),
        (many("RPUSH", "l:large", &|n| vec![format!("element {n}")]), "quicklist"),
        (raw(&[b"RPUSH", b"l:long", b"a", &long, b"b", &mixed, b"c"]), "quicklist"),
        (words("SADD i:16 1 2 -3"), "intset"),
        (words("SADD i:32 1 2 -3000000"), "intset"),
        (words("SADD i:64 1 2 -3000000000000"), "intset"),
        (words("SADD set:small a b 3"), "hashtable"),
        (many("SADD", "set:large", &|n| vec![format!("m{n}")]), "hashtable"),
        (many("SADD", "set:numbers", &|n| vec![(n * 3).to_string()]), "hashtable"),
        (words("HSET h:small f v n 12 neg -1"), "listpack"),
        (many("HSET", "h:large", &|n| vec![format!("f{n}"), n.to_string()]), "hashtable"),
        (raw(&[b"HSET", b"h:long", b"f", &long]), "hashtable"),
        (words("ZADD z:small 1 a -2.5 b inf c -inf d 0.1 e 3 7"), "listpack"),
        (many("ZADD", "z:large", &|n| vec![format!("{}e-3", n * 7 % 101), format!("m{n}")]), "skiplist"),
        (raw(&[b"ZADD", b"z:long", b"17179869184.0625", &mixed[..100]]), "skiplist"),
    ];
    for (command, encoding) in keys {
        let reply = client.command(&command);
        assert!(reply.as_error().is_none(), "{reply:?}");
        let found = client.command(&[b"OBJECT", b"ENCODING".as_slice(), &command[1]]);
        assert_eq!(found.as_bytes(), Some(encoding.as_bytes()), "{}", String::from_utf8_lossy(&command[1]));
    }
    assert_eq!(client.int("EXPIRE l:large 100000"), 1);
    assert_eq!(client.int("PEXPIREAT h:small 4102444800123"), 1);
    client.ok("SELECT 9");
    client.ok("SET elsewhere 1 EX 100000");
    client.ok("SELECT 15");
    client.ok("SET last 1");
    client.ok("SELECT 0");
}

/// What a stock server with these arguments has after every encoding and much traffic: its digest, and its files in
/// `home/stock`.
fn stock_files(home: &Path, seed: u64, args: &[&str]) -> Option<String> {
    let mut stock = Server::redis_in(&home.join("stock"), args)?;
    let mut client = stock.client();
    let mut traffic = Traffic::new(seed);
    traffic.only_what_is_known_to(&mut Server::ours(&[]).client());
    traffic.send(&mut client, scaled(1_500));
    client.ok("SELECT 0");
    every_encoding(&mut client);
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
