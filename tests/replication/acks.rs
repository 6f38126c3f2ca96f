//! Acknowledgements: what a replica has received, what it has fsynced, and who waits for it.

use super::{DEBUG, primary, replica};
use crate::support::nodes::{address, figure, in_step};
use crate::support::{Client, Server, wait_for};
use outrigger::resp::RespValue;
use std::time::Duration;

fn pair(client: &mut Client, words: &str) -> (i64, i64) {
    let reply = client.cmd(words);
    let RespValue::Array(counts) = &reply else { panic!("{words}: {reply:?}") };
    let counts: Vec<i64> = counts.iter().filter_map(RespValue::as_int).collect();
    (counts[0], counts[1])
}

#[test]
fn wait_counts_who_has_received() {
    let primary = primary(&[]);
    let mut client = primary.client();
    client.ok("SET key 0");
    assert_eq!(client.int("WAIT 0 0"), 0);
    assert_eq!(client.int("WAIT 1 20"), 0);
    let mut replicas = vec![replica(&primary, &[]), replica(&primary, &[])];
    replicas.extend(Server::redis(&["--replicaof", &address(&primary)]));
    for replica in &replicas {
        in_step(&primary, replica);
    }
    let all = replicas.len() as i64;
    for i in 0..20 {
        client.ok(&format!("SET key {i}"));
        assert_eq!(client.int(&format!("WAIT {all} 0")), all);
        for replica in &replicas {
            assert_eq!(replica.client().text("GET key"), i.to_string());
        }
    }
    client.ok("SET key last");
    assert!(client.int("WAIT 1 0") >= 1);
    assert_eq!(client.int("WAIT 9 30"), all);
    // In a transaction nobody waits.
    client.ok("MULTI");
    client.text("SET key more");
    client.text("WAIT 9 0");
    assert!(matches!(client.cmd("EXEC"), RespValue::Array(replies) if replies.len() == 2));
}

#[test]
fn waitaof_counts_who_has_fsynced() {
    let primary = primary(&[]);
    let mut client = primary.client();
    client.ok("SET key 0");
    assert_eq!(pair(&mut client, "WAITAOF 0 0 0"), (0, 0));
    assert_eq!(pair(&mut client, "WAITAOF 0 1 20"), (0, 0));
    let durable = replica(&primary, &["--appendfsync", "always"]);
    // One that writes nothing receives, and fsyncs nothing.
    let forgetful = replica(&primary, &["--appendonly", "no", "--save", ""]);
    let stock = Server::redis(&["--replicaof", &address(&primary)]);
    wait_for("the files", Duration::from_secs(60), || pair(&mut client, "WAITAOF 0 1 100") == (0, 1));
    for i in 0..20 {
        client.ok(&format!("SET key {i}"));
        assert_eq!(pair(&mut client, "WAITAOF 0 1 0"), (0, 1));
        let offset = figure(&mut client, "master_repl_offset");
        assert!(figure(&mut durable.client(), "outrigger_durable_offset") <= offset);
    }
    client.ok("SET key last");
    let written = figure(&mut client, "master_repl_offset");
    assert_eq!(pair(&mut client, "WAITAOF 0 1 0"), (0, 1));
    assert!(figure(&mut durable.client(), "outrigger_durable_offset") >= written);
    client.ok("SET key more");
    assert_eq!(pair(&mut client, "WAITAOF 0 2 50"), (0, 1));
    let line = (0..2 + usize::from(stock.is_some())).filter_map(|i| client.info(&format!("slave{i}")));
    let tells_durable: Vec<bool> = line.map(|line| line.contains("durable_offset=")).collect();
    assert_eq!(tells_durable.iter().filter(|tells| **tells).count(), 1, "{tells_durable:?}");
    assert_eq!(figure(&mut forgetful.client(), "outrigger_durable_offset"), -1);
}

#[test]
fn a_primary_that_appends_counts_itself() {
    let primary = primary(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut client = primary.client();
    client.ok("SET key 0");
    assert_eq!(pair(&mut client, "WAITAOF 1 0 0"), (1, 0));
    assert_eq!(pair(&mut client, "WAITAOF 1 1 30"), (1, 0));
    let _replica = replica(&primary, &["--appendfsync", "always"]);
    client.ok("SET key 1");
    assert_eq!(pair(&mut client, "WAITAOF 1 1 0"), (1, 1));
}

#[test]
fn waits_refuse_what_they_cannot_do() {
    let primary = primary(&[]);
    let replica = replica(&primary, &[]);
    let mut client = primary.client();
    let no_appending = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.";
    for (words, wanted) in [
        ("WAIT x 0", "ERR value is not an integer or out of range"),
        ("WAIT 1 x", "ERR timeout is not an integer or out of range"),
        ("WAIT 1 -1", "ERR timeout is negative"),
        ("WAITAOF x 0 0", "ERR value is not an integer or out of range"),
        ("WAITAOF 2 x 0", "ERR value is out of range, value must between 0 and 1"),
        ("WAITAOF -1 0 0", "ERR value is out of range, value must between 0 and 1"),
        ("WAITAOF 0 x 0", "ERR value is not an integer or out of range"),
        ("WAITAOF 0 -1 0", "ERR value is out of range, must be positive"),
        ("WAITAOF 0 0 x", "ERR timeout is not an integer or out of range"),
        ("WAITAOF 0 0 -1", "ERR timeout is negative"),
        ("WAITAOF 1 0 0", no_appending),
    ] {
        assert_eq!(client.error(words), wanted, "{words}");
    }
    let mut client = replica.client();
    assert!(client.error("WAIT 0 0").starts_with("ERR WAIT cannot be used with replica instances."));
    assert!(client.error("WAITAOF 0 0 0").starts_with("ERR WAITAOF cannot be used with replica instances."));
}

/// The same words as a stock server's.
#[test]
fn errors_of_wait_are_those_of_redis() {
    let Some(stock) = Server::redis(&[]) else { return };
    let ours = Server::ours(&DEBUG);
    let mut both = [stock.client(), ours.client()];
    for words in
        ["WAIT x 0", "WAIT 1 x", "WAIT 1 -1", "WAIT -5 10", "WAIT 0 0", "WAIT 1 5", "WAIT 1", "WAIT 1 2 3"]
    {
        let [theirs, ours] = [0, 1].map(|i| both[i].cmd(words));
        assert_eq!(ours, theirs, "{words}");
    }
    for client in &mut both {
        client.ok("REPLICAOF 127.0.0.1 1");
    }
    let [theirs, ours] = [0, 1].map(|i| both[i].cmd("WAIT 0 0"));
    assert_eq!(ours, theirs, "WAIT on a replica");
}

/// A wait ends when the replica that would have to acknowledge comes back, and not before.
#[test]
fn a_wait_outlives_the_replicas_absence() {
    let primary = primary(&[]);
    let mut replica = replica(&primary, &["--appendfsync", "always"]);
    let mut client = primary.client();
    client.ok("SET key 0");
    assert_eq!(pair(&mut client, "WAITAOF 0 1 0"), (0, 1));
    replica.kill();
    client.ok("SET key 1");
    client.send(&["WAITAOF", "0", "1", "0"]).unwrap();
    replica.restart();
    let reply = client.read().unwrap();
    assert_eq!(reply, RespValue::Array(vec![RespValue::Int(0), RespValue::Int(1)]));
    assert_eq!(replica.client().text("GET key"), "1");
}
