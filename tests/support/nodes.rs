//! Nodes that follow each other, ours and stock ones.

use super::traffic::Traffic;
use super::{Client, Server, show, wait_for};
use outrigger::resp::RespValue;
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest that nodes may take to come to where they should be.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A number in INFO.
pub fn figure(client: &mut Client, field: &str) -> i64 {
    let text = client.info(field).unwrap_or_else(|| panic!("INFO has no {field}"));
    text.parse().unwrap_or_else(|_| panic!("{field}:{text}"))
}

/// The argument of `--replicaof` that names this node.
pub fn address(node: &Server) -> String {
    format!("127.0.0.1 {}", node.port())
}

/// Orders `node` to follow `primary`.
pub fn order(node: &Server, primary: &Server) {
    let reply = node.client().cmd(&format!("REPLICAOF {}", address(primary)));
    assert!(reply.as_error().is_none(), "{reply:?}");
}

/// Is the link to its primary up?
pub fn is_linked(node: &Server) -> bool {
    node.client().info("master_link_status").as_deref() == Some("up")
}

/// Waits until the link to its primary is up.
pub fn wait_linked(node: &Server) {
    wait_for("the link to the primary to be up", LIMIT, || is_linked(node));
}

/// Sends so many batches of random commands; what is answered does not matter.
pub fn send(client: &mut Client, traffic: &mut Traffic, batches: usize) {
    for _ in 0..batches {
        let mut commands = vec![traffic.select()];
        commands.extend(traffic.batch(40));
        client.pipeline(&commands);
    }
}

/// Waits until both stand at one offset with nothing moving, and compares their data; the offset.
pub fn equal_digests(primary: &mut Client, replica: &mut Client) -> u64 {
    let mut outcome = None;
    // Keys that expire, and PINGs, may move the offset between the two looks.
    wait_for("both at one offset", LIMIT, || {
        let offset = figure(primary, "master_repl_offset");
        let ours = primary.digest();
        if figure(replica, "slave_repl_offset") != offset {
            return false;
        }
        let theirs = replica.digest();
        if figure(replica, "slave_repl_offset") != offset || figure(primary, "master_repl_offset") != offset {
            return false;
        }
        outcome = Some((offset as u64, ours, theirs));
        true
    });
    let (offset, ours, theirs) = outcome.expect("waited for it");
    assert_eq!(ours, theirs, "at offset {offset}: {:#?}", differences(primary, replica));
    offset
}

/// The keys in which two nodes differ, with what each has.
fn differences(primary: &mut Client, replica: &mut Client) -> Vec<String> {
    let mut found = Vec::new();
    for db in 0..16 {
        let mut keys = BTreeSet::new();
        for client in [&mut *primary, &mut *replica] {
            client.ok(&format!("SELECT {db}"));
            if let RespValue::Array(all) = client.cmd("KEYS *") {
                keys.extend(all.iter().filter_map(|key| Some(key.as_bytes()?.to_vec())));
            }
        }
        for key in keys {
            let look = |client: &mut Client| {
                let ask = |client: &mut Client, words: [&[u8]; 2]| show_reply(&client.command(&words));
                let digest = show_reply(&client.command(&[&b"DEBUG"[..], b"DIGEST-VALUE", &key]));
                (
                    digest,
                    ask(client, [b"PEXPIRETIME", &key]),
                    ask(client, [b"TYPE", &key]),
                    ask(client, [b"DUMP", &key]),
                )
            };
            let (one, other) = (look(primary), look(replica));
            if (&one.0, &one.1) != (&other.0, &other.1) {
                found.push(format!("db {db}, {}: {one:?} and {other:?}", key.escape_ascii()));
            }
        }
    }
    found
}

fn show_reply(reply: &RespValue) -> String {
    match reply {
        RespValue::Array(items) => items.iter().map(show_reply).collect::<Vec<_>>().join(" "),
        other => other.as_bytes().map_or_else(|| format!("{other:?}"), show),
    }
}

/// As [`equal_digests`], of two servers.
pub fn in_step(primary: &Server, replica: &Server) -> u64 {
    wait_linked(replica);
    equal_digests(&mut primary.client(), &mut replica.client())
}
