//! What a wait counts for, and what time does to what is waited for or watched.

use super::on_each_server;
use crate::support::{Client, Server, wait_for};
use outrigger::resp::RespValue;
use std::time::{Duration, Instant};

fn wait_blocked(client: &mut Client, count: &str) {
    wait_for("clients to wait", Duration::from_secs(10), || {
        client.info("blocked_clients").as_deref() == Some(count)
    });
}

/// A figure of INFO commandstats.
fn calls(client: &mut Client, command: &str) -> Option<String> {
    let text = client.text("INFO commandstats");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")))?;
    Some(line.split(',').filter(|part| !part.starts_with("usec")).collect::<Vec<_>>().join(","))
}

/// Ours alone: Redis counts a call when it begins to wait (7.0) or when it ends (7.2).
#[test]
fn a_blocking_command_counts_when_it_ends() {
    let server = Server::ours(&[]);
    let (mut client, mut waiting) = (server.client(), server.client());
    client.ok("CONFIG SET slowlog-log-slower-than 0");
    client.ok("CONFIG RESETSTAT");
    client.ok("SLOWLOG RESET");
    let slow = |client: &mut Client| format!("{:?}", client.cmd("SLOWLOG GET -1")).contains("BLPOP");
    waiting.send(&["BLPOP", "q", "0"]).expect("send");
    wait_blocked(&mut client, "1");
    assert_eq!(calls(&mut client, "blpop"), None);
    assert!(!slow(&mut client), "it is not logged before it ends");
    client.int("RPUSH q x");
    waiting.read().expect("what was pushed");
    assert!(slow(&mut client));
    assert_eq!(calls(&mut client, "blpop").as_deref(), Some("calls=1,rejected_calls=0,failed_calls=0"));
    let id = waiting.int("CLIENT ID");
    waiting.send(&["BLPOP", "q", "0"]).expect("send");
    wait_blocked(&mut client, "1");
    assert_eq!(client.int(&format!("CLIENT UNBLOCK {id} ERROR")), 1);
    waiting.read().expect("an error");
    assert_eq!(calls(&mut client, "blpop").as_deref(), Some("calls=2,rejected_calls=0,failed_calls=1"));
    assert!(client.text("INFO errorstats").contains("errorstat_UNBLOCKED:count=1"));
}

#[test]
fn what_expired_during_a_transaction_wakes_nobody() {
    on_each_server(|server| {
        let (mut client, mut waiting) = (server.client(), server.client());
        client.ok("DEBUG SET-ACTIVE-EXPIRE 0");
        let begun = Instant::now();
        waiting.send(&["BLPOP", "q", "1"]).expect("send");
        wait_blocked(&mut client, "1");
        client.ok("MULTI");
        for words in ["RPUSH q x", "PEXPIRE q 50", "DEBUG SLEEP 0.1"] {
            client.text(words);
        }
        client.cmd("EXEC");
        assert!(waiting.read().expect("a time-out").is_null());
        assert!(begun.elapsed() >= Duration::from_millis(990));
        client.ok("DEBUG SET-ACTIVE-EXPIRE 1");
    });
}

#[test]
fn clients_that_a_pause_holds_back_count_as_blocked() {
    on_each_server(|server| {
        let (mut client, mut held) = (server.client(), server.client());
        let id = held.int("CLIENT ID");
        client.ok("CLIENT PAUSE 60000 WRITE");
        held.send(&["SET", "a", "1"]).expect("send");
        wait_blocked(&mut client, "1");
        assert!(client.text(&format!("CLIENT LIST ID {id}")).contains(" flags=b "));
        // Redis 7.0 crashes at this.
        if client.info("outrigger_version").is_some() {
            assert_eq!(client.int(&format!("CLIENT UNBLOCK {id}")), 0);
        }
        client.ok("CLIENT UNPAUSE");
        assert_eq!(held.read().expect("the reply"), RespValue::Simple(b"OK".to_vec()));
        wait_blocked(&mut client, "0");
    });
}

#[test]
fn a_pause_holds_the_right_one_of_many_commands() {
    on_each_server(|server| {
        let (mut client, mut held) = (server.client(), server.client());
        client.ok("CLIENT PAUSE 60000 WRITE");
        held.send_raw(b"PING\r\nGET none\r\nSET a 1\r\nPING\r\n").expect("send");
        assert_eq!(held.read_bytes_until(b"$-1\r\n"), b"+PONG\r\n$-1\r\n");
        assert!(client.cmd("GET a").is_null());
        assert!(client.error("SET a").contains("wrong number of arguments"), "at once");
        client.ok("CLIENT UNPAUSE");
        assert_eq!(held.read_bytes_until(b"PONG\r\n"), b"+OK\r\n+PONG\r\n");
    });
}

/// What is done in database 1, where the watched key `w` has already expired, and whether a transaction must fail.
const STALE: &[(&str, bool)] =
    &[("PING", false), ("EXISTS w", false), ("FLUSHDB", false), ("SWAPDB 0 1", false), ("SET w 2", true)];

#[test]
fn an_expired_key_may_go_while_it_is_watched() {
    on_each_server(|server| {
        for (done, fails) in STALE {
            let mut client = server.client();
            client.ok("FLUSHALL");
            client.ok("SELECT 1");
            client.ok("DEBUG SET-ACTIVE-EXPIRE 0");
            client.ok("SET w 1 PX 1");
            std::thread::sleep(Duration::from_millis(5));
            client.ok("WATCH w");
            client.cmd(done);
            client.ok("MULTI");
            client.text("PING");
            assert_eq!(client.cmd("EXEC").is_null(), *fails, "after {done}");
            client.ok("DEBUG SET-ACTIVE-EXPIRE 1");
        }
    });
}

#[test]
fn nothing_is_replaced_by_something_expired() {
    on_each_server(|server| {
        let mut client = server.client();
        client.ok("DEBUG SET-ACTIVE-EXPIRE 0");
        client.ok("SET w 1 PX 1");
        std::thread::sleep(Duration::from_millis(5));
        client.ok("SELECT 1");
        client.ok("WATCH w");
        client.ok("SWAPDB 0 1");
        client.ok("MULTI");
        client.text("PING");
        assert!(!client.cmd("EXEC").is_null());
        client.ok("DEBUG SET-ACTIVE-EXPIRE 1");
    });
}

#[test]
fn awaited_keys_are_counted() {
    let server = Server::ours(&[]);
    let (mut client, mut one, mut two) = (server.client(), server.client(), server.client());
    client.ok("XGROUP CREATE s g 0 MKSTREAM");
    one.send(&["BLPOP", "a", "b", "0"]).expect("send");
    two.send(&["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"]).expect("send");
    wait_blocked(&mut client, "2");
    assert_eq!(client.info("total_blocking_keys").as_deref(), Some("3"));
    assert_eq!(client.info("total_blocking_keys_on_nokey").as_deref(), Some("1"));
}

#[test]
fn the_end_of_a_stream_is_told_behind_those_who_wait_for_a_list() {
    on_each_server(|server| {
        let (mut client, mut for_list, mut reader) = (server.client(), server.client(), server.client());
        for_list.send(&["BLPOP", "k", "0"]).expect("send");
        wait_blocked(&mut client, "1");
        client.ok("XGROUP CREATE k g 0 MKSTREAM");
        reader.send(&["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "k", ">"]).expect("send");
        wait_blocked(&mut client, "2");
        client.int("DEL k");
        assert!(reader.read().expect("an error").as_error().is_some());
        client.int("RPUSH k x");
        assert!(for_list.read().expect("the element").as_slice().is_some());
    });
}
