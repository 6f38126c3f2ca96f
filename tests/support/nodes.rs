//! Nodes that follow each other, ours and stock ones.

use super::traffic::Traffic;
use super::{Client, Server, peer, show, wait_for};
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
    if ours != theirs {
        let found = differences(primary, replica);
        // From 7.2 on the digest writes scores with a fraction another way.
        let excused = found.is_empty() && peer::stands_for_stock();
        assert!(excused, "at offset {offset}, {ours} and {theirs}: {found:#?}");
    }
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
                let dump =
                    client.command(&[&b"DUMP"[..], &key]).as_bytes().map(<[u8]>::to_vec).unwrap_or_default();
                let digest = show_reply(&client.command(&[&b"DEBUG"[..], b"DIGEST-VALUE", &key]));
                (digest, ask(client, [b"PEXPIRETIME", &key]), ask(client, [b"TYPE", &key]), dump)
            };
            let (one, other) = (look(primary), look(replica));
            let is_same = (&one.0, &one.1) == (&other.0, &other.1);
            // A key whose time has come is hidden on one of them a moment before it is on the other.
            let has_gone = one.0 == other.0 && [&one.1, &other.1].iter().any(|at| *at == ":-2");
            let is_excused = || has_gone || one.1 == other.1 && same_here(&one.3, &other.3);
            if !(is_same || peer::stands_for_stock() && is_excused()) {
                found.push(format!("db {db}, {}: {one:?} and {other:?}", key.escape_ascii()));
            }
        }
    }
    found
}

/// Are two dumped values the same in a node of ours?
fn same_here(one: &[u8], other: &[u8]) -> bool {
    let node = Server::ours(&["--enable-debug-command", "yes"]);
    let mut client = node.client();
    let mut digest = |dump: &[u8]| {
        client.command(&[&b"RESTORE"[..], b"key", b"0", dump, b"REPLACE"]);
        show_reply(&client.cmd("DEBUG DIGEST-VALUE key"))
    };
    digest(one) == digest(other)
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
