//! Commands that wait: who is served first, what wakes them, and how a wait ends.

use super::on_each_server;
use crate::support::{Client, Server, scaled, wait_for};
use outrigger::resp::RespValue;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn bulk(text: &str) -> RespValue {
    RespValue::Bulk(text.as_bytes().to_vec())
}

fn list(texts: &[&str]) -> RespValue {
    RespValue::Array(texts.iter().map(|text| bulk(text)).collect())
}

/// Sends a command that must wait, on a connection of its own, and returns once the server has it waiting.
pub fn waiting(server: &Server, words: &str) -> Client {
    let mut watcher = server.client();
    let blocked =
        |watcher: &mut Client| watcher.info("blocked_clients").map(|n| n.parse::<u32>().expect("a number"));
    let before = blocked(&mut watcher).expect("INFO tells blocked_clients");
    let mut client = server.client();
    client.send(&words.split(' ').collect::<Vec<_>>()).expect("send");
    wait_for("the client to be blocked", Duration::from_secs(10), || {
        blocked(&mut watcher) == Some(before + 1)
    });
    client
}

#[test]
fn first_come_first_served() {
    on_each_server(|server| {
        let mut clients: Vec<Client> = (0..4).map(|_| waiting(server, "BLPOP q 0")).collect();
        let mut pusher = server.client();
        assert_eq!(pusher.int("RPUSH q a b c d e"), 5);
        for (client, value) in clients.iter_mut().zip(["a", "b", "c", "d"]) {
            assert_eq!(client.read().expect("a reply"), list(&["q", value]));
        }
        assert_eq!(pusher.cmd("LRANGE q 0 -1"), list(&["e"]));
    });
}

#[test]
fn what_wakes_a_waiting_client() {
    let cases: &[(&str, &[&str], RespValue)] = &[
        ("BLPOP k1 k2 0", &["RPUSH k2 x"], list(&["k2", "x"])),
        ("BRPOP k1 0", &["RPUSH k1 x y"], list(&["k1", "y"])),
        ("BLPOP k1 0", &["RPUSH other x", "RENAME other k1"], list(&["k1", "x"])),
        ("BLPOP k1 0", &["RPUSH other x", "COPY other k1"], list(&["k1", "x"])),
        ("BLPOP k1 0", &["RPUSH other x", "LMOVE other k1 LEFT LEFT"], list(&["k1", "x"])),
        ("BLPOP k1 0", &["RPUSH other x", "RPOPLPUSH other k1"], list(&["k1", "x"])),
        ("BLPOP k1 0", &["SET k1 x", "DEL k1", "RPUSH k1 z"], list(&["k1", "z"])),
        ("BLPOP k1 0", &["ZADD k1 1 x", "DEL k1", "RPUSH k1 z"], list(&["k1", "z"])),
        ("BLPOP k1 0", &["SELECT 1", "RPUSH k1 x", "SWAPDB 0 1"], list(&["k1", "x"])),
        ("BLPOP k1 0", &["SELECT 1", "RPUSH k1 x", "MOVE k1 0"], list(&["k1", "x"])),
        ("BLMOVE k1 k2 LEFT RIGHT 0", &["RPUSH k1 x"], bulk("x")),
        ("BRPOPLPUSH k1 k2 0", &["RPUSH k1 x"], bulk("x")),
        (
            "BLMPOP 0 2 k1 k2 LEFT COUNT 2",
            &["RPUSH k2 x y z"],
            RespValue::Array(vec![bulk("k2"), list(&["x", "y"])]),
        ),
        ("BZPOPMIN k1 0", &["ZADD k1 2 b 1 a"], list(&["k1", "a", "1"])),
        ("BZPOPMAX k1 0", &["ZADD k1 2 b 1 a"], list(&["k1", "b", "2"])),
        ("BZPOPMIN k1 0", &["ZADD o 1 a", "ZUNIONSTORE k1 1 o"], list(&["k1", "a", "1"])),
        ("BZPOPMIN k1 0", &["ZADD o 1 a", "ZRANGESTORE k1 o 0 -1"], list(&["k1", "a", "1"])),
        ("BZPOPMIN k1 0", &["ZINCRBY k1 3 a"], list(&["k1", "a", "3"])),
        (
            "BZMPOP 0 1 k1 MAX COUNT 5",
            &["ZADD k1 2 b 1 a"],
            RespValue::Array(vec![bulk("k1"), RespValue::Array(vec![list(&["b", "2"]), list(&["a", "1"])])]),
        ),
    ];
    on_each_server(|server| {
        for (wait, pushes, expected) in cases {
            let mut pusher = server.client();
            pusher.ok("FLUSHALL");
            let mut client = waiting(server, wait);
            for push in *pushes {
                let reply = pusher.cmd(push);
                assert!(reply.as_error().is_none(), "{push}: {reply:?}");
            }
            client.set_read_timeout(Duration::from_secs(10));
            let reply = client.read().unwrap_or_else(|error| panic!("{wait} after {pushes:?}: {error}"));
            assert_eq!(reply, *expected, "{wait} after {pushes:?}");
        }
    });
}

#[test]
fn a_value_of_the_wrong_type_does_not_wake() {
    on_each_server(|server| {
        let mut client = waiting(server, "BLPOP k 0");
        let mut pusher = server.client();
        pusher.ok("SET k x");
        pusher.int("DEL k");
        pusher.int("ZADD k 1 x");
        pusher.int("DEL k");
        pusher.int("RPUSH k late");
        assert_eq!(client.read().expect("a reply"), list(&["k", "late"]));
    });
}

#[test]
fn a_push_and_a_delete_in_one_transaction_wake_nobody() {
    on_each_server(|server| {
        let mut client = waiting(server, "BLPOP k 0");
        let mut pusher = server.client();
        let words = ["MULTI", "RPUSH k gone", "DEL k", "EXEC", "RPUSH k kept"];
        let commands: Vec<Vec<&str>> = words.iter().map(|words| words.split(' ').collect()).collect();
        pusher.pipeline(&commands);
        assert_eq!(client.read().expect("a reply"), list(&["k", "kept"]));
    });
}

#[test]
fn moves_chain_through_waiting_clients() {
    on_each_server(|server| {
        let mut last = waiting(server, "BLPOP c 0");
        let mut second = waiting(server, "BLMOVE b c LEFT LEFT 0");
        let mut first = waiting(server, "BLMOVE a b LEFT LEFT 0");
        server.client().int("RPUSH a x");
        assert_eq!(first.read().expect("a reply"), bulk("x"));
        assert_eq!(second.read().expect("a reply"), bulk("x"));
        assert_eq!(last.read().expect("a reply"), list(&["c", "x"]));
    });
}

#[test]
fn a_wait_times_out() {
    on_each_server(|server| {
        for words in
            ["BLPOP k 0.1", "BRPOP k 0.1", "BLMPOP 0.1 1 k LEFT", "BZPOPMIN k 0.1", "BZMPOP 0.1 1 k MIN"]
        {
            let mut client = server.client();
            let start = Instant::now();
            assert_eq!(client.cmd(words), RespValue::NullArray, "{words}");
            assert!(start.elapsed() >= Duration::from_millis(99), "{words} waited {:?}", start.elapsed());
        }
        let mut client = server.client3();
        client.send(&["BLPOP", "k", "0.05"]).expect("send");
        assert_eq!(client.read_raw_reply().expect("reply").raw, b"_\r\n");
    });
}

#[test]
fn a_client_that_went_away_gets_nothing() {
    on_each_server(|server| {
        let gone = waiting(server, "BLPOP q 0");
        let mut stays = waiting(server, "BLPOP q 0");
        drop(gone);
        let mut pusher = server.client();
        wait_for("the server to notice", Duration::from_secs(10), || {
            pusher.info("blocked_clients").as_deref() == Some("1")
        });
        pusher.int("RPUSH q kept");
        assert_eq!(stays.read().expect("a reply"), list(&["q", "kept"]));
    });
}

#[test]
fn commands_behind_a_waiting_one_are_answered_after_it() {
    on_each_server(|server| {
        let mut client = waiting(server, "BLPOP q 0");
        client.send(&["PING"]).expect("send");
        client.send(&["ECHO", "later"]).expect("send");
        server.client().int("RPUSH q x");
        assert_eq!(client.read().expect("a reply"), list(&["q", "x"]));
        assert_eq!(client.read().expect("a reply"), RespValue::Simple(b"PONG".to_vec()));
        assert_eq!(client.read().expect("a reply"), bulk("later"));
    });
}

#[test]
fn in_a_transaction_nobody_waits() {
    on_each_server(|server| {
        let mut client = server.client();
        client.ok("MULTI");
        for words in ["BLPOP k 0", "BLMOVE a b LEFT LEFT 0", "BZPOPMIN z 0"] {
            assert_eq!(client.text(words), "QUEUED");
        }
        let expected = vec![RespValue::NullArray, RespValue::Null, RespValue::NullArray];
        assert_eq!(client.cmd("EXEC"), RespValue::Array(expected));
    });
}

#[test]
fn unblocking_by_another_client() {
    on_each_server(|server| {
        for (how, expected) in [
            ("TIMEOUT", RespValue::NullArray),
            ("ERROR", RespValue::Error(b"UNBLOCKED client unblocked via CLIENT UNBLOCK".to_vec())),
        ] {
            let mut other = server.client();
            let before = other.int("CLIENT ID");
            let mut client = waiting(server, "BLPOP q 0");
            // Ids rise; the waiting connection is among the next few.
            let woken =
                (before + 1..before + 10).find(|id| other.int(&format!("CLIENT UNBLOCK {id} {how}")) == 1);
            assert!(woken.is_some(), "nobody was unblocked");
            assert_eq!(client.read().expect("a reply"), expected);
        }
    });
}

/// Pops until `done` and the queues are empty, with waits of at most `timeout`.
fn pop_all(server: &Server, timeout: &str, done: &AtomicBool) -> Vec<String> {
    let mut client = server.client();
    let mut got = Vec::new();
    loop {
        // Looked at before the wait: what was pushed until then is there to be popped.
        let last = done.load(Ordering::Acquire);
        match client.cmd(&format!("BLPOP q1 q2 {timeout}")) {
            RespValue::Array(pair) => {
                got.push(String::from_utf8_lossy(pair[1].as_bytes().expect("a value")).into_owned());
            }
            _ if last => return got,
            _ => {}
        }
    }
}

/// Four clients pop what two push, each waiting at most `timeout`; the pushers pause that long now and then.
fn nothing_is_lost_or_doubled(server: &Server, timeout: &str, pause: Duration, each: usize) {
    let done = AtomicBool::new(false);
    let mut got: Vec<String> = std::thread::scope(|scope| {
        let poppers: Vec<_> = (0..4).map(|_| scope.spawn(|| pop_all(server, timeout, &done))).collect();
        let pushers: Vec<_> = (0..2)
            .map(|pusher| {
                scope.spawn(move || {
                    let mut client = server.client();
                    for i in 0..each {
                        client.int(&format!("RPUSH q{} {pusher}-{i}", 1 + i % 2));
                        std::thread::sleep(pause);
                    }
                })
            })
            .collect();
        pushers.into_iter().for_each(|thread| thread.join().expect("a pusher"));
        done.store(true, Ordering::Release);
        poppers.into_iter().flat_map(|thread| thread.join().expect("a popper")).collect()
    });
    assert_eq!(got.len(), 2 * each, "popped, of pushed");
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 2 * each, "different ones");
    assert_eq!(server.client().int("EXISTS q1 q2"), 0);
}

#[test]
fn many_waiters_and_pushers_lose_and_double_nothing() {
    on_each_server(|server| nothing_is_lost_or_doubled(server, "1", Duration::ZERO, 300));
}

#[test]
fn waits_that_end_while_they_are_served_lose_nothing() {
    on_each_server(|server| {
        nothing_is_lost_or_doubled(server, "0.001", Duration::from_micros(1100), scaled(1000));
    });
}
