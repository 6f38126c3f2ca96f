//! MULTI, EXEC, DISCARD, WATCH.

use super::on_each_server;
use crate::support::Server;
use outrigger::resp::RespValue;
use std::sync::atomic::{AtomicBool, Ordering};

fn bulk(text: &str) -> RespValue {
    RespValue::Bulk(text.as_bytes().to_vec())
}

fn ok() -> RespValue {
    RespValue::Simple(b"OK".to_vec())
}

fn error(text: &str) -> RespValue {
    RespValue::Error(text.as_bytes().to_vec())
}

#[test]
fn queued_commands_run_in_order() {
    on_each_server(|server| {
        let mut client = server.client();
        client.ok("MULTI");
        for words in ["SET a 1", "INCR a", "GET a", "LPUSH a x", "STRLEN a"] {
            assert_eq!(client.text(words), "QUEUED");
        }
        let wrong = error("WRONGTYPE Operation against a key holding the wrong kind of value");
        let all = vec![ok(), RespValue::Int(2), bulk("2"), wrong, RespValue::Int(1)];
        assert_eq!(client.cmd("EXEC"), RespValue::Array(all), "an error of one does not stop the rest");
        assert_eq!(client.error("EXEC"), "ERR EXEC without MULTI");
    });
}

#[test]
fn a_command_refused_while_queueing_aborts_all() {
    on_each_server(|server| {
        let mut client = server.client();
        for bad in ["GET", "NOSUCHCOMMAND", "WATCH a", "MULTI"] {
            client.ok("MULTI");
            assert_eq!(client.text("SET aborted 1"), "QUEUED");
            client.error(bad);
            let reply = client.cmd("EXEC");
            if matches!(bad, "WATCH a" | "MULTI") {
                // These are refused without breaking the transaction.
                assert_eq!(reply, RespValue::Array(vec![ok()]), "{bad}");
            } else {
                let text = "EXECABORT Transaction discarded because of previous errors.";
                assert_eq!(reply, error(text), "{bad}");
            }
            assert_eq!(client.int("DEL aborted"), i64::from(matches!(bad, "WATCH a" | "MULTI")), "{bad}");
        }
    });
}

#[test]
fn discard_drops_the_queue_and_the_watches() {
    on_each_server(|server| {
        let (mut client, mut other) = (server.client(), server.client());
        client.ok("WATCH a");
        other.ok("SET a 1");
        client.ok("MULTI");
        client.text("SET a 2");
        client.ok("DISCARD");
        assert_eq!(client.error("DISCARD"), "ERR DISCARD without MULTI");
        client.ok("MULTI");
        client.text("SET a 3");
        assert_eq!(client.cmd("EXEC"), RespValue::Array(vec![ok()]));
        assert_eq!(other.text("GET a"), "3");
    });
}

/// What another client does to the watched key `w` (a string "1"), and whether EXEC must then fail.
const TOUCHES: &[(&str, bool)] = &[
    ("SET w 1", true),
    ("APPEND w x", true),
    ("DEL w", true),
    ("EXPIRE w 100", true),
    ("RENAME w v", true),
    ("SET u 5", false),
    ("GET w", false),
    ("TOUCH w", false),
    ("SETNX w 5", false),
    ("PERSIST w", false),
    ("COPY u w REPLACE", true),
    ("FLUSHALL", true),
    ("FLUSHDB", true),
    ("SWAPDB 0 1", true),
    ("SWAPDB 1 2", false),
    ("MOVE w 1", true),
    ("SUNIONSTORE w nosuch", true),
];

#[test]
fn watch_sees_every_kind_of_change() {
    on_each_server(|server| {
        for (touch, fails) in TOUCHES {
            let (mut client, mut other) = (server.client(), server.client());
            other.ok("FLUSHALL");
            other.ok("MSET w 1 u 2");
            client.ok("WATCH w missing");
            other.cmd(touch);
            client.ok("MULTI");
            client.text("PING");
            let reply = client.cmd("EXEC");
            assert_eq!(reply.is_null(), *fails, "after {touch}: {reply:?}");
        }
    });
}

#[test]
fn watching_a_missing_key() {
    on_each_server(|server| {
        for (touch, fails) in
            [("SET m 1", true), ("DEL m", false), ("FLUSHALL", false), ("RENAME full m", true)]
        {
            let (mut client, mut other) = (server.client(), server.client());
            other.ok("FLUSHALL");
            other.ok("SET full 1");
            client.ok("WATCH m");
            other.cmd(touch);
            client.ok("MULTI");
            client.text("PING");
            assert_eq!(client.cmd("EXEC").is_null(), fails, "after {touch}");
        }
    });
}

#[test]
fn own_changes_count_and_unwatch_forgets() {
    on_each_server(|server| {
        let mut client = server.client();
        client.ok("WATCH a");
        client.ok("SET a 1");
        client.ok("MULTI");
        client.text("PING");
        assert!(client.cmd("EXEC").is_null(), "a change of one's own counts");
        client.ok("WATCH a");
        client.ok("SET a 2");
        client.ok("UNWATCH");
        client.ok("MULTI");
        client.text("PING");
        assert!(!client.cmd("EXEC").is_null());
        client.ok("MULTI");
        client.text("SET a 3");
        assert!(!client.cmd("EXEC").is_null(), "EXEC itself forgot the watches");
    });
}

#[test]
fn a_watched_key_that_expires_counts_only_if_it_lived() {
    on_each_server(|server| {
        let mut client = server.client();
        client.ok("SET a 1 PX 20");
        client.ok("WATCH a");
        std::thread::sleep(std::time::Duration::from_millis(60));
        client.ok("MULTI");
        client.text("PING");
        assert!(client.cmd("EXEC").is_null(), "it expired while being watched");
    });
}

#[test]
fn null_of_a_failed_exec_in_resp3() {
    on_each_server(|server| {
        let mut client = server.client3();
        client.ok("WATCH a");
        client.ok("SET a 1");
        client.ok("MULTI");
        client.send(&["EXEC"]).expect("send");
        assert_eq!(client.read_raw_reply().expect("reply").raw, b"_\r\n");
    });
}

#[test]
fn transactions_are_seen_whole() {
    let transfers = crate::support::scaled(3_000);
    on_each_server(|server| {
        let mut setup = server.client();
        setup.ok("MSET one 1000 two 1000 three 1000");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for (from, to) in [("one", "two"), ("two", "three"), ("three", "one")] {
                let done = &done;
                scope.spawn(move || {
                    let mut client = server.client();
                    for _ in 0..transfers {
                        let commands = [vec!["MULTI"], vec!["DECR", from], vec!["INCR", to], vec!["EXEC"]];
                        client.pipeline(&commands);
                    }
                    done.store(true, Ordering::Release);
                });
            }
            let mut reader = server.client();
            while !done.load(Ordering::Acquire) {
                let reply = reader.cmd("MGET one two three");
                let values = reply.as_slice().expect("three values");
                let number =
                    |v: &RespValue| String::from_utf8_lossy(v.as_bytes().unwrap_or(b"0")).parse::<i64>();
                let sum: i64 = values.iter().map(|v| number(v).expect("a number")).sum();
                assert_eq!(sum, 3_000, "a transaction was seen half done");
            }
        });
    });
}

#[test]
fn optimistic_locking_loses_no_increment() {
    on_each_server(|server| {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| increment(server, 150));
            }
        });
        assert_eq!(server.client().text("GET counter"), "450");
    });
}

fn increment(server: &Server, times: usize) {
    let mut client = server.client();
    let mut done = 0;
    while done < times {
        client.ok("WATCH counter");
        let now: i64 = match client.cmd("GET counter").as_bytes() {
            Some(text) => String::from_utf8_lossy(text).parse().expect("a number"),
            None => 0,
        };
        client.ok("MULTI");
        client.text(&format!("SET counter {}", now + 1));
        done += usize::from(!client.cmd("EXEC").is_null());
    }
}
