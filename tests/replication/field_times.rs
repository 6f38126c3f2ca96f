//! Times of hash fields, on the way to replicas and into files.

use super::{DEBUG, primary, replica};
use crate::support::nodes::{figure, in_step, send};
use crate::support::traffic::{DATABASES, Traffic};
use crate::support::{Client, Server, wait_for};
use outrigger::resp::RespValue;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer than the times that the traffic gives to what is to expire during a test.
const SHORT_TIMES: Duration = Duration::from_millis(300);
const LIMIT: Duration = Duration::from_secs(60);

/// A database and a key.
type Place = (u32, Vec<u8>);

/// Every field that carries a time, with the time. DEBUG DIGEST tells only that there is one.
fn times(client: &mut Client) -> BTreeMap<Place, BTreeMap<Vec<u8>, i64>> {
    let mut all = BTreeMap::new();
    for db in 0..DATABASES {
        client.ok(&format!("SELECT {db}"));
        let keys = client.cmd("SCAN 0 COUNT 1000 TYPE hash");
        let keys = keys.as_slice().and_then(|parts| parts[1].as_slice()).expect("keys").to_vec();
        for key in keys.iter().filter_map(RespValue::as_bytes) {
            let fields = client.command(&[b"HKEYS", key]);
            let mut found = BTreeMap::new();
            for field in fields.as_slice().expect("fields").iter().filter_map(RespValue::as_bytes) {
                let time = client.command(&[b"HPEXPIRETIME", key, b"FIELDS", b"1", field]);
                match time.as_slice() {
                    Some([RespValue::Int(time)]) if *time >= 0 => drop(found.insert(field.to_vec(), *time)),
                    Some([RespValue::Int(_)]) => {}
                    other => panic!("a time: {other:?}"),
                }
            }
            all.insert((db, key.to_vec()), found);
        }
    }
    client.ok("SELECT 0");
    all
}

/// Waits until what the traffic lets expire soon is gone.
fn settle(primary: &Server, replica: &Server) {
    std::thread::sleep(SHORT_TIMES);
    in_step(primary, replica);
}

/// Some hashes that carry times for certain, small and large, by each command that gives them.
fn give_times(client: &mut Client, seed: u32) {
    let fields: String = (0..600).map(|n| format!(" f{n} {n}")).collect();
    client.cmd(&format!("HSET large{seed}{fields}"));
    for line in [
        "HPEXPIREAT large 2000000000123 FIELDS 3 f1 f2 f599",
        "HSETEX large EX 5000 FIELDS 2 f7 x new y",
        "HINCRBYFLOAT large f1 1.5",
        "HSET small a 1 b 2 c 3 d 4",
        "HEXPIRE small 1000 FIELDS 2 a b",
        "HGETEX small PX 2000000 FIELDS 2 c none",
        "HSETEX small KEEPTTL FIELDS 2 a 5 d 5",
        "HGETEX small PERSIST FIELDS 1 b",
        "HGETDEL small FIELDS 1 b",
    ] {
        let line =
            line.replacen("large", &format!("large{seed}"), 1).replacen("small", &format!("small{seed}"), 1);
        assert!(client.cmd(&line).as_error().is_none(), "{line}");
    }
}

fn number_of_times(client: &mut Client) -> usize {
    times(client).values().map(BTreeMap::len).sum()
}

#[test]
fn replicas_and_their_files_hold_the_same_times() {
    let primary = primary(&[]);
    let mut writer = primary.client();
    let mut traffic = Traffic::with_field_times(71);
    let mut early = replica(&primary, &["--appendfsync", "always"]);
    send(&mut writer, &mut traffic, 120);
    give_times(&mut writer, 1);
    settle(&primary, &early);
    assert!(number_of_times(&mut writer) >= 7, "there is something to compare");
    assert_eq!(times(&mut early.client()), times(&mut writer));
    // A full sync takes them along, and so does a load from files with what came since.
    let late = replica(&primary, &[]);
    send(&mut writer, &mut traffic, 60);
    give_times(&mut writer, 2);
    settle(&primary, &late);
    assert_eq!(times(&mut late.client()), times(&mut writer));
    wait_for("its files", LIMIT, || {
        let mut client = early.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
    early.kill();
    send(&mut writer, &mut traffic, 60);
    give_times(&mut writer, 3);
    early.restart();
    settle(&primary, &early);
    assert_eq!(figure(&mut early.client(), "outrigger_full_syncs"), 0);
    assert_eq!(times(&mut early.client()), times(&mut writer));
    let timed = |client: &mut Client| -> Vec<String> {
        let figure = |line: String| line.split("subexpiry=").nth(1).map(str::to_string);
        (0..DATABASES).filter_map(|db| client.info(&format!("db{db}")).and_then(figure)).collect()
    };
    assert_eq!(timed(&mut early.client()), timed(&mut writer));
}

#[test]
fn snapshots_and_rewritten_logs_hold_times() {
    let mut server = Server::ours(&[&DEBUG[..], &["--appendonly", "yes"]].concat());
    let mut client = server.client();
    send(&mut client, &mut Traffic::with_field_times(72), 150);
    give_times(&mut client, 1);
    std::thread::sleep(SHORT_TIMES);
    wait_for("what is due to go", LIMIT, || {
        let before = client.digest();
        std::thread::sleep(SHORT_TIMES);
        before == client.digest()
    });
    let (digest, expected) = (client.digest(), times(&mut client));
    assert!(expected.values().map(BTreeMap::len).sum::<usize>() >= 7);
    for how in ["DEBUG RELOAD", "DEBUG LOADAOF"] {
        client.ok(how);
        assert_eq!((client.digest(), times(&mut client)), (digest.clone(), expected.clone()), "{how}");
    }
    assert!(client.cmd("BGREWRITEAOF").as_error().is_none());
    wait_for("the rewrite", LIMIT, || client.info("aof_rewrite_in_progress").as_deref() == Some("0"));
    server.kill();
    server.restart();
    let mut client = server.client();
    wait_for("the load", LIMIT, || client.cmd("DBSIZE").as_int().is_some());
    assert_eq!((client.digest(), times(&mut client)), (digest, expected));
}

#[test]
fn a_field_expires_on_a_replica_by_the_primarys_word() {
    let primary = primary(&[]);
    let replica = replica(&primary, &[]);
    let (mut writer, mut reader) = (primary.client(), replica.client());
    writer.ok("DEBUG SET-ACTIVE-EXPIRE 0");
    writer.cmd("HSET hash a 1 b 2");
    writer.cmd("HPEXPIRE hash 30 FIELDS 1 a");
    writer.cmd("HSETEX brief PX 30 FIELDS 1 a 1");
    in_step(&primary, &replica);
    // It is no longer served, but it is there until the primary says so.
    for get in ["HGET hash a", "HGET brief a"] {
        wait_for("the field's time", LIMIT, || reader.cmd(get).as_bytes().is_none());
    }
    assert_eq!((reader.int("HLEN hash"), reader.int("HLEN brief"), reader.int("DBSIZE")), (1, 0, 2));
    let offset = figure(&mut reader, "slave_repl_offset");
    std::thread::sleep(SHORT_TIMES);
    assert_eq!((reader.int("DBSIZE"), figure(&mut reader, "slave_repl_offset")), (2, offset));
    assert!(reader.info("db0").is_some_and(|line| line.ends_with(",subexpiry=2")));
    assert_eq!(writer.cmd("HGET brief a").as_bytes(), None);
    assert_eq!(writer.int("HLEN hash"), 1);
    wait_for("the primary's word", LIMIT, || reader.int("DBSIZE") == 1);
    in_step(&primary, &replica);
    assert!(reader.info("db0").is_some_and(|line| line.ends_with(",subexpiry=0")));
    assert_eq!((figure(&mut writer, "expired_subkeys"), figure(&mut reader, "expired_subkeys")), (2, 0));
    // A promoted replica decides for itself.
    writer.cmd("HSETEX brief PX 30 FIELDS 1 a 1");
    in_step(&primary, &replica);
    reader.ok("REPLICAOF NO ONE");
    wait_for("the hash to go", LIMIT, || reader.int("DBSIZE") == 1);
}
