//! MONITOR: what is shown, in which form, and to whom.

use super::on_each_server;
use crate::support::{Client, Server, wait_for};
use outrigger::resp::RespValue;
use std::time::Duration;

fn ok() -> RespValue {
    RespValue::Simple(b"OK".to_vec())
}

fn monitor(server: &Server) -> Client {
    let mut monitor = server.client();
    monitor.ok("MONITOR");
    monitor
}

/// The next command that is shown, without the time and the address.
fn shown(monitor: &mut Client) -> String {
    let RespValue::Simple(line) = monitor.read().expect("a line") else { panic!("no line") };
    let line = String::from_utf8(line).expect("text");
    let (time, rest) = line.split_once(" [").unwrap_or_else(|| panic!("{line}"));
    let (seconds, micros) = time.split_once('.').unwrap_or_else(|| panic!("{line}"));
    assert!(seconds.parse::<u64>().is_ok() && micros.len() == 6 && micros.parse::<u32>().is_ok(), "{line}");
    let (place, command) = rest.split_once("] ").unwrap_or_else(|| panic!("{line}"));
    let (db, addr) = place.split_once(' ').unwrap_or_else(|| panic!("{line}"));
    assert!(addr.starts_with("127.0.0.1:"), "{line}");
    format!("{db} {command}")
}

#[test]
fn commands_are_shown_as_they_run() {
    on_each_server(|server| {
        let mut watched = server.client();
        watched.cmd("PING");
        let mut monitor = monitor(server);
        assert_eq!(watched.command(&[&b"set"[..], b"k", b"a b\x00\"\\\r\n\t\xff"]), ok());
        watched.cmd("SELECT 3");
        watched.cmd("AUTH secret");
        watched.cmd("HELLO 2 AUTH default secret");
        watched.cmd("MULTI");
        watched.cmd("RPUSH list a");
        watched.cmd("GET list");
        watched.cmd("EXEC");
        // Not shown: what is none, has the wrong form, is refused, or is for administrators.
        for words in ["NOSUCH a", "GET", "CONFIG GET maxmemory", "CLIENT LIST", "SLOWLOG LEN"] {
            watched.cmd(words);
        }
        watched.cmd("BLPOP list 0");
        watched.cmd("BLPOP list 0.01");
        watched.cmd("SCAN 0");
        watched.cmd("OBJECT ENCODING none");
        watched.cmd("GETRANGE list 0 1");
        let expected = [
            r#"0 "set" "k" "a b\x00\"\\\r\n\t\xff""#,
            r#"3 "SELECT" "3""#,
            r#"3 "AUTH" "(redacted)""#,
            r#"3 "HELLO" "2" "AUTH" "(redacted)" "(redacted)""#,
            r#"3 "MULTI""#,
            r#"3 "RPUSH" "list" "a""#,
            r#"3 "GET" "list""#,
            r#"3 "EXEC""#,
            r#"3 "BLPOP" "list" "0""#,
            r#"3 "BLPOP" "list" "0.01""#,
            r#"3 "SCAN" "0""#,
            r#"3 "OBJECT" "ENCODING" "none""#,
            r#"3 "GETRANGE" "list" "0" "1""#,
        ];
        for expected in expected {
            assert_eq!(shown(&mut monitor), expected);
        }
    });
}

#[test]
fn who_monitors_may_do_little_else_until_it_is_reset() {
    on_each_server(|server| {
        let mut monitor = monitor(server);
        monitor.send(&["MONITOR"]).expect("send");
        assert_eq!(
            monitor.cmd("PING"),
            RespValue::Simple(b"PONG".to_vec()),
            "no reply to the second MONITOR"
        );
        assert_eq!(shown(&mut monitor), r#"0 "PING""#);
        for words in ["GET k", "SET k v", "PUBLISH c m", "KEYS *"] {
            assert_eq!(monitor.error(words), "ERR Replica can't interact with the keyspace", "{words}");
        }
        // In between: its own commands, each right behind its reply.
        let pings = vec![vec!["PING"]; 2];
        let mut replies = monitor.pipeline(&pings);
        replies.extend((0..2).map(|_| monitor.read().expect("a line")));
        let is_line =
            |reply: &RespValue| matches!(reply, RespValue::Simple(text) if text.ends_with(b"\"PING\""));
        assert_eq!(replies.iter().map(is_line).collect::<Vec<_>>(), [false, true, false, true]);
        let mut watcher = server.client();
        let list = watcher.text("CLIENT LIST");
        assert!(list.contains(" flags=O ") && list.contains("cmd=ping"), "{list}");
        let normal = watcher.text("CLIENT LIST TYPE normal");
        assert!(
            normal.contains(" flags=O ") && watcher.text("CLIENT LIST TYPE pubsub").is_empty(),
            "{normal}"
        );
        assert_eq!(monitor.text("RESET"), "RESET");
        assert_eq!(monitor.cmd("GET k"), RespValue::Null);
        server.client().cmd("PING");
        assert_eq!(monitor.cmd("GET k"), RespValue::Null, "nothing is shown any more");
        monitor.ok("MULTI");
        monitor.cmd("MONITOR");
        let replies = monitor.cmd("EXEC");
        let refused = b"ERR MONITOR isn't allowed for DENY BLOCKING client".to_vec();
        assert_eq!(replies, RespValue::Array(vec![RespValue::Error(refused)]));
    });
}

/// What is shown has the order in which commands ran: each value that was replaced is the one shown before it.
#[test]
fn the_order_is_that_in_which_commands_ran() {
    const EACH: usize = 500;
    let server = Server::ours(&["--io-threads", "3"]);
    let mut monitor = monitor(&server);
    let replaced = std::thread::scope(|scope| {
        let writer = |writer: usize| {
            let mut client = server.client();
            move || {
                let names = (0..EACH).map(|n| format!("{writer}:{n}"));
                names.map(|name| (client.cmd(&format!("GETSET k {name}")), name)).collect::<Vec<_>>()
            }
        };
        let writers: Vec<_> = (0..4).map(|n| scope.spawn(writer(n))).collect();
        writers.into_iter().flat_map(|it| it.join().expect("a writer")).collect::<Vec<_>>()
    });
    let mut before = RespValue::Null;
    for _ in 0..4 * EACH {
        let line = shown(&mut monitor);
        let name = line.strip_prefix(r#"0 "GETSET" "k" ""#).and_then(|rest| rest.strip_suffix('"'));
        let name = name.unwrap_or_else(|| panic!("{line}"));
        let (value, _) = replaced.iter().find(|(_, other)| other == name).expect("a writer's");
        assert_eq!(*value, before, "{line}");
        before = RespValue::Bulk(name.as_bytes().to_vec());
    }
}

#[test]
fn one_that_has_gone_is_forgotten() {
    let server = Server::ours(&[]);
    let mut watcher = server.client();
    drop(monitor(&server));
    wait_for("the monitor to be gone", Duration::from_secs(10), || {
        !watcher.text("CLIENT LIST").contains("flags=O")
    });
    let mut second = monitor(&server);
    watcher.cmd("PING");
    assert_eq!(shown(&mut second), r#"0 "PING""#);
}
