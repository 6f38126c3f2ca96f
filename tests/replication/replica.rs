//! What a replica serves, and what it refuses.

use super::{primary, replica};
use crate::support::nodes::{figure, in_step};
use crate::support::wait_for;
use outrigger::resp::RespValue;
use std::time::Duration;

#[test]
fn clients_may_read_a_replica_and_not_write_it() {
    let primary = primary(&[]);
    let replica = replica(&primary, &[]);
    primary.client().ok("SET key value");
    in_step(&primary, &replica);
    let mut client = replica.client();
    assert_eq!(client.text("GET key"), "value");
    for words in ["SET key other", "DEL key", "FLUSHALL", "SPOP nothing", "EXPIRE key 1"] {
        assert_eq!(client.error(words), "READONLY You can't write against a read only replica.", "{words}");
    }
    client.ok("MULTI");
    assert_eq!(client.error("SET key other"), "READONLY You can't write against a read only replica.");
    assert!(client.error("EXEC").starts_with("EXECABORT"));
    assert_eq!(client.text("GET key"), "value");
    // A replica that may be written keeps that to itself.
    client.ok("CONFIG SET replica-read-only no");
    client.ok("SET local 1");
    primary.client().ok("SET key third");
    wait_for("the write", Duration::from_secs(60), || client.text("GET key") == "third");
    assert_eq!(client.text("GET local"), "1");
    assert_eq!(primary.client().cmd("GET local").as_bytes(), None);
    // What its own clients gave a time nobody else would remove.
    client.ok("SET passing 1 PX 30");
    client.ok("MULTI");
    client.cmd("SET late 1");
    client.cmd("PEXPIRE late 40");
    client.cmd("EXEC");
    wait_for("their own keys to go", Duration::from_secs(60), || client.int("DBSIZE") == 2);
    assert_eq!(figure(&mut client, "expired_keys"), 2);
    assert_eq!(figure(&mut client, "slave_repl_offset"), figure(&mut primary.client(), "master_repl_offset"));
}

#[test]
fn a_key_expires_on_a_replica_by_the_primarys_word() {
    let primary = primary(&[]);
    let replica = replica(&primary, &[]);
    let (mut writer, mut reader) = (primary.client(), replica.client());
    writer.ok("DEBUG SET-ACTIVE-EXPIRE 0");
    writer.ok("SET key value PX 30");
    writer.ok("SET other value");
    in_step(&primary, &replica);
    // It is no longer served, but it is there until the primary says so.
    wait_for("the key's time", Duration::from_secs(60), || reader.cmd("GET key").as_bytes().is_none());
    assert_eq!(reader.int("DBSIZE"), 2);
    assert_eq!((reader.int("EXISTS key"), reader.int("TTL key")), (0, -2));
    let offset = figure(&mut reader, "slave_repl_offset");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((reader.int("DBSIZE"), figure(&mut reader, "slave_repl_offset")), (2, offset));
    assert_eq!(writer.cmd("GET key").as_bytes(), None);
    wait_for("the primary's word", Duration::from_secs(60), || reader.int("DBSIZE") == 1);
    in_step(&primary, &replica);
    // A promoted replica decides for itself.
    writer.ok("SET key value PX 30");
    in_step(&primary, &replica);
    reader.ok("REPLICAOF NO ONE");
    wait_for("the key to go", Duration::from_secs(60), || reader.int("DBSIZE") == 1);
}

#[test]
fn without_its_primary_a_replica_serves_what_its_policy_allows() {
    let mut primary = primary(&[]);
    let replica = replica(&primary, &[]);
    primary.client().ok("SET key value");
    in_step(&primary, &replica);
    primary.kill();
    let mut client = replica.client();
    wait_for("the link to be down", Duration::from_secs(60), || {
        client.info("master_link_status").as_deref() == Some("down")
    });
    assert_eq!(client.text("GET key"), "value");
    client.ok("CONFIG SET replica-serve-stale-data no");
    let refused = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    wait_for("the policy to hold", Duration::from_secs(60), || {
        client.cmd("GET key") == RespValue::Error(refused.into())
    });
    assert_eq!(client.error("PING"), refused);
    assert_eq!(client.info("master_link_status").as_deref(), Some("down"));
}

#[test]
fn role_and_info_tell_both_sides_of_a_link() {
    let primary = primary(&[]);
    let replica =
        replica(&primary, &["--replica-announce-ip", "replica.example", "--replica-announce-port", "7777"]);
    primary.client().ok("SET key value");
    let offset = in_step(&primary, &replica);
    let mut client = primary.client();
    wait_for("an acknowledgement", Duration::from_secs(60), || {
        client.info("slave0").is_some_and(|line| line.contains(&format!("offset={offset},")))
    });
    let line = client.info("slave0").unwrap();
    assert!(line.starts_with("ip=replica.example,port=7777,state=online,"), "{line}");
    let RespValue::Array(role) = client.cmd("ROLE") else { panic!("no array") };
    assert_eq!((role[0].as_bytes(), role[1].as_int()), (Some(&b"master"[..]), Some(offset as i64)));
    let RespValue::Array(role) = replica.client().cmd("ROLE") else { panic!("no array") };
    let texts: Vec<_> = role.iter().map(|item| item.as_bytes().map(<[u8]>::to_vec)).collect();
    assert_eq!(texts[0].as_deref(), Some(&b"slave"[..]));
    assert_eq!(
        (role[2].as_int(), texts[3].as_deref()),
        (Some(primary.port().into()), Some(&b"connected"[..]))
    );
    assert_eq!(role[4].as_int(), Some(offset as i64));
}
