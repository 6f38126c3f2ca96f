//! Clients that do not read what they are sent without having asked.

use crate::support::nodes::figure;
use crate::support::{Client, Server, wait_for};
use outrigger::resp::RespValue;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

fn subscriber(server: &Server) -> Client {
    let mut client = server.client();
    client.cmd("SUBSCRIBE c");
    client
}

fn publish(client: &mut Client, bytes: usize) -> i64 {
    client.command(&["PUBLISH", "c", &"x".repeat(bytes)]).as_int().expect("a number")
}

/// A number in the line that describes the only subscriber.
fn shown(client: &mut Client, field: &str) -> u64 {
    let list = client.text("CLIENT LIST TYPE pubsub");
    let value = list.split_whitespace().find_map(|pair| pair.strip_prefix(field)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("{field} in {list}")).parse().expect("a number")
}

#[test]
fn one_that_is_too_slow_is_closed_and_others_are_not() {
    for class in ["pubsub 4mb 0 0", "pubsub 0 1mb 1"] {
        let server = Server::ours(&["--client-output-buffer-limit", class, "--io-threads", "2"]);
        let (mut slow, mut good, mut publisher) = (subscriber(&server), subscriber(&server), server.client());
        let mut told = 2;
        wait_for("the slow one to be closed", LIMIT, || {
            if told == 2 || class.ends_with('0') {
                told = publish(&mut publisher, 100_000);
                let message = good.read().expect("a message");
                assert_eq!(message.as_slice().map(<[RespValue]>::len), Some(3));
            }
            publisher.text("CLIENT LIST TYPE pubsub").lines().count() == 1
        });
        assert_eq!(figure(&mut publisher, "client_output_buffer_limit_disconnections"), 1);
        wait_for("it to be forgotten", LIMIT, || publish(&mut publisher, 1) == 1);
        assert!(slow.is_closed_by_server());
    }
}

/// Nothing more is published: the soft limit's time ends all the same.
#[test]
fn the_soft_limit_counts_while_nothing_is_published() {
    let server = Server::ours(&["--client-output-buffer-limit", "pubsub 0 1mb 1"]);
    let (mut slow, mut publisher) = (subscriber(&server), server.client());
    // More than the sockets' buffers take.
    while shown(&mut publisher, "omem") < 4 << 20 {
        assert_eq!(publish(&mut publisher, 1 << 20), 1);
    }
    wait_for("it to be closed", LIMIT, || {
        publisher.int("PUBSUB NUMPAT") == 0 && { publisher.text("CLIENT LIST TYPE pubsub").is_empty() }
    });
    assert_eq!(figure(&mut publisher, "client_output_buffer_limit_disconnections"), 1);
    assert!(slow.is_closed_by_server());
}

#[test]
fn what_waits_is_shown_and_arrives_whole() {
    const MESSAGE_BYTES: usize = 100_000;
    let server = Server::ours(&["--client-output-buffer-limit", "pubsub 0 0 0"]);
    let (mut slow, mut publisher) = (subscriber(&server), server.client());
    let mut sent = 0;
    while shown(&mut publisher, "oll") < 50 {
        assert_eq!(publish(&mut publisher, MESSAGE_BYTES), 1);
        sent += 1;
    }
    let omem = shown(&mut publisher, "omem");
    assert!(omem >= 50 * MESSAGE_BYTES as u64, "{omem}");
    assert!(shown(&mut publisher, "tot-mem") >= omem);
    assert!(figure(&mut publisher, "mem_clients_normal") as u64 >= omem);
    for _ in 0..sent {
        let message = slow.read().expect("a message");
        assert_eq!(message.as_slice().and_then(|it| it[2].as_bytes()).map(<[u8]>::len), Some(MESSAGE_BYTES));
    }
    wait_for("nothing to wait", LIMIT, || shown(&mut publisher, "omem") == 0);
    assert_eq!(shown(&mut publisher, "oll"), 0);
}

/// Commands that show up at one that monitors and does not read are not kept without end.
#[test]
fn a_monitor_that_does_not_read_is_closed() {
    let server = Server::ours(&["--client-output-buffer-limit", "pubsub 2mb 0 0"]);
    let mut monitor = server.client();
    monitor.ok("MONITOR");
    let mut client = server.client();
    let value = "v".repeat(100_000);
    wait_for("it to be closed", LIMIT, || {
        client.command(&["SET", "k", &value]);
        figure(&mut client, "client_output_buffer_limit_disconnections") == 1
    });
    assert!(!client.text("CLIENT LIST").contains("flags=O"));
    assert!(monitor.is_closed_by_server());
    client.ok("PING".replace("PING", "SET k v").as_str());
}

#[test]
fn subscribers_and_monitors_are_not_idle() {
    let server = Server::ours(&["--timeout", "1"]);
    let (mut listener, mut monitor, mut idle) = (subscriber(&server), server.client(), server.client());
    monitor.ok("MONITOR");
    assert_eq!(idle.text("PING"), "PONG");
    assert!(idle.is_closed_by_server(), "an ordinary client is closed");
    let mut publisher = server.client();
    assert_eq!(publisher.int("PUBLISH c m"), 1);
    let parts = ["message", "c", "m"].map(|part| RespValue::Bulk(part.as_bytes().to_vec()));
    assert_eq!(listener.read().expect("the message"), RespValue::Array(parts.to_vec()));
    // The monitor is there to see it.
    loop {
        let RespValue::Simple(line) = monitor.read().expect("a line") else { panic!("no line") };
        if line.ends_with(b"\"PUBLISH\" \"c\" \"m\"") {
            break;
        }
    }
}

#[test]
fn what_waits_for_subscribers_counts_towards_maxmemory_clients() {
    let server =
        Server::ours(&["--maxmemory-clients", "20mb", "--client-output-buffer-limit", "pubsub 0 0 0"]);
    let (mut slow, mut publisher) = (subscriber(&server), server.client());
    wait_for("the slow one to be closed", LIMIT, || publish(&mut publisher, 1 << 20) == 0);
    assert_eq!(figure(&mut publisher, "evicted_clients"), 1);
    assert!(slow.is_closed_by_server());
}
