//! Promotion, demotion, and what stands in between.

use super::{primary, replica};
use crate::support::nodes::{address, figure, in_step, is_linked, order, send, wait_linked};
use crate::support::traffic::Traffic;
use crate::support::{Client, wait_for};
use outrigger::resp::RespValue;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn the_old_primary_follows_the_promoted_replica_with_a_partial_sync() {
    // Neither may write anything by itself once the other was promoted.
    let quiet = ["--repl-ping-replica-period", "3600"];
    let (first, second) = (primary(&quiet), primary(&quiet));
    for node in [&first, &second] {
        node.client().ok("DEBUG SET-ACTIVE-EXPIRE 0");
    }
    let mut traffic = Traffic::new(71);
    send(&mut first.client(), &mut traffic, 40);
    order(&second, &first);
    in_step(&first, &second);
    let old = first.client().info("master_replid").unwrap();
    second.client().ok("REPLICAOF NO ONE");
    send(&mut second.client(), &mut traffic, 40);
    order(&first, &second);
    in_step(&second, &first);
    let mut client = first.client();
    assert_eq!(figure(&mut client, "outrigger_full_syncs"), 0);
    assert_eq!(figure(&mut client, "outrigger_partial_syncs"), 1);
    assert_eq!(client.info("master_replid2"), Some(old));
    assert_eq!(client.info("master_replid"), second.client().info("master_replid"));
    // And back again.
    client.ok("REPLICAOF NO ONE");
    send(&mut client, &mut traffic, 20);
    order(&second, &first);
    in_step(&first, &second);
    assert_eq!(figure(&mut second.client(), "outrigger_full_syncs"), 1);
    assert_eq!(figure(&mut second.client(), "outrigger_partial_syncs"), 1);
}

/// Coordinators give the order within a transaction.
#[test]
fn orders_may_stand_in_a_transaction() {
    let first = primary(&[]);
    let second = replica(&first, &[]);
    first.client().ok("SET key value");
    in_step(&first, &second);
    let mut client = second.client();
    client.ok("MULTI");
    let target = format!("REPLICAOF {}", address(&first));
    for words in ["SLAVEOF NO ONE", "SET mine 1", "CLIENT KILL TYPE normal", "ROLE"] {
        let queued = client.cmd(words);
        // The node is still a replica while commands are queued.
        let refused = queued.as_error().is_some_and(|error| error.starts_with(b"READONLY"));
        assert_eq!(refused, words.starts_with("SET"), "{words}: {queued:?}");
    }
    assert!(client.error("EXEC").starts_with("EXECABORT"));
    client.ok("MULTI");
    assert_eq!(client.text("SLAVEOF NO ONE"), "QUEUED");
    assert_eq!(client.text("ROLE"), "QUEUED");
    let RespValue::Array(replies) = client.cmd("EXEC") else { panic!("no array") };
    assert_eq!(replies[0], RespValue::Simple(b"OK".to_vec()));
    assert!(
        matches!(&replies[1], RespValue::Array(role) if role[0].as_bytes() == Some(b"master")),
        "{replies:?}"
    );
    client.ok("SET mine 1");
    client.ok("MULTI");
    assert_eq!(client.text(&target), "QUEUED");
    let RespValue::Array(replies) = client.cmd("EXEC") else { panic!("no array") };
    assert_eq!(replies, [RespValue::Simple(b"OK".to_vec())]);
    in_step(&first, &second);
    assert_eq!(client.cmd("GET mine").as_bytes(), None);
}

#[test]
fn whoever_waits_is_told_of_a_demotion() {
    let (first, second) = (primary(&[]), primary(&[]));
    let waiters: Vec<_> = ["BLPOP nothing 0", "WAIT 1 0", "WAITAOF 0 1 0"]
        .into_iter()
        .map(|words| {
            let mut client = second.client();
            client.ok("SET written 1");
            client.send(&words.split(' ').collect::<Vec<_>>()).unwrap();
            (words, client)
        })
        .collect();
    wait_for("all to wait", Duration::from_secs(60), || figure(&mut second.client(), "blocked_clients") == 3);
    order(&second, &first);
    for (words, mut client) in waiters {
        let reply = client.read().unwrap_or_else(|error| panic!("{words}: {error}"));
        let text = reply.as_error().map(String::from_utf8_lossy).unwrap_or_default();
        let wanted =
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";
        assert_eq!(text, wanted, "{words}: {reply:?}");
    }
}

/// Orders that come while the stream runs: the history must stay one that others can follow.
#[test]
fn promotions_in_the_middle_of_a_stream_tear_nothing() {
    let (first, mut second) = (primary(&[]), primary(&["--appendonly", "yes"]));
    let watcher = replica(&second, &[]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in [72, 73] {
            let (port, done) = (first.port(), &done);
            scope.spawn(move || {
                let (mut client, mut traffic) = (Client::connect(port).unwrap(), Traffic::new(seed));
                while !done.load(Ordering::Acquire) {
                    send(&mut client, &mut traffic, 1);
                }
            });
        }
        let mut traffic = Traffic::new(74);
        for _ in 0..crate::support::scaled(12) {
            order(&second, &first);
            wait_linked(&second);
            let mut client = second.client();
            client.ok("REPLICAOF NO ONE");
            send(&mut client, &mut traffic, 3);
        }
        done.store(true, Ordering::Release);
    });
    // Each order replaced the history that the watcher follows, which its guard does not take without an order of its own.
    let mut client = watcher.client();
    wait_for("the refusal", Duration::from_secs(60), || {
        figure(&mut client, "outrigger_refused_syncs") > 0 || is_linked(&watcher)
    });
    order(&watcher, &second);
    in_step(&second, &watcher);
    // The files are those of the last history, however quickly one followed the other.
    wait_for("its files", Duration::from_secs(60), || {
        let mut client = second.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "master_repl_offset")
    });
    assert!(!second.log().contains("appending failed"), "{}", second.log());
    let digest = second.client().digest();
    second.kill();
    second.restart();
    assert_eq!(second.client().digest(), digest);
}
