//! Clients that ask for more than they read: served on for a while, and not for ever.

use super::on_each_server;
use crate::support::{Client, Server, wait_for};
use outrigger::resp::RespValue;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn whoever_does_not_read_is_not_served_for_ever() {
    on_each_server(|server| {
        let mut client = server.client();
        let value = "x".repeat(1_000_000);
        client.command(&["SET", "big", &value]);
        // At once.
        client.command(&["CONFIG", "SET", "client-output-buffer-limit", "normal 900000 0 0"]);
        let mut greedy = server.client();
        greedy.set_read_timeout(Duration::from_secs(20));
        assert!(greedy.try_command(&["GET", "big"]).is_err(), "no reply as large as that");
        // What a transaction was to do is done all the same.
        let mut greedy = server.client();
        greedy.set_read_timeout(Duration::from_secs(20));
        greedy.ok("MULTI");
        for words in ["SET a 1", "GET big", "SET a 2"] {
            greedy.text(words);
        }
        assert!(greedy.try_command(&["EXEC"]).is_err());
        assert_eq!(client.text("GET a"), "2");
        // For a while.
        client.command(&["CONFIG", "SET", "client-output-buffer-limit", "normal 0 1000 1"]);
        let mut slow = server.client();
        let id = slow.int("CLIENT ID");
        for _ in 0..40 {
            slow.send(&["GET", "big"]).expect("send");
        }
        wait_for("the slow reader to go", Duration::from_secs(20), || {
            client.text(&format!("CLIENT LIST ID {id}")).is_empty()
        });
    });
}

/// A client that reads nothing and has asked for so much that some of it waits in the server: pairs of a value and a number,
/// how many is told, and one value more.
fn with_output_waiting(server: &Server) -> (Client, u64) {
    let mut client = server.client();
    client.command(&["SET", "fifty", &"x".repeat(50_000)]);
    client.ok("SET rounds 0");
    let mut deaf = server.client();
    let id = deaf.int("CLIENT ID");
    for round in 1_u64.. {
        deaf.send(&["GET", "fifty"]).expect("send");
        deaf.send(&["INCR", "rounds"]).expect("send");
        wait_for("it to be served", Duration::from_secs(20), || {
            client.text("GET rounds") == round.to_string()
        });
        let seen = client.text(&format!("CLIENT LIST ID {id}"));
        if !(seen.contains(" obl=0 ") && seen.contains(" omem=0 ")) {
            // One more, so that it is not next to nothing.
            deaf.send(&["GET", "fifty"]).expect("send");
            return (deaf, round);
        }
    }
    unreachable!("sockets' buffers end")
}

#[test]
fn whoever_does_not_read_is_served_on_for_a_while() {
    on_each_server(|server| {
        let (mut deaf, rounds) = with_output_waiting(server);
        let mut client = server.client();
        client.ok("SET mark none");
        for number in 0..50 {
            deaf.send(&["SET", "mark", &number.to_string()]).expect("send");
            wait_for("its command", Duration::from_secs(20), || {
                client.text("GET mark") == number.to_string()
            });
        }
        // Nothing is lost and nothing out of order.
        let value = RespValue::Bulk(vec![b'x'; 50_000]);
        for round in 1..=rounds {
            assert_eq!(deaf.read().expect("a value"), value);
            assert_eq!(deaf.read().expect("a number"), RespValue::Int(round as i64));
        }
        assert_eq!(deaf.read().expect("a value"), value);
        for _ in 0..50 {
            assert_eq!(deaf.read().expect("a reply"), RespValue::Simple("OK".into()));
        }
        assert_eq!(deaf.text("PING"), "PONG");
    });
}

#[test]
fn a_wait_of_one_who_does_not_read_ends_in_time() {
    on_each_server(|server| {
        let (mut deaf, rounds) = with_output_waiting(server);
        let mut client = server.client();
        let blocked = |client: &mut Client| client.info("blocked_clients").expect("a number");
        deaf.send(&["BLPOP", "list", "0.2"]).expect("send");
        // Meanwhile nobody else waits.
        wait_for("it to wait", Duration::from_secs(20), || {
            blocked(&mut client) == "1" || client.text("INFO commandstats").contains("cmdstat_blpop:calls=1")
        });
        wait_for("its time to be over", Duration::from_secs(20), || blocked(&mut client) == "0");
        assert_eq!(client.int("RPUSH list x"), 1);
        assert_eq!(client.int("LLEN list"), 1, "nobody waits for it any more");
        (0..2 * rounds + 1).for_each(|_| drop(deaf.read().expect("a reply")));
        assert_eq!(deaf.read().expect("the end of the wait"), RespValue::NullArray);
    });
}

/// That it is served on does not begin its time anew.
#[test]
fn whoever_asks_on_and_does_not_read_is_not_served_for_ever() {
    on_each_server(|server| {
        let (mut deaf, _) = with_output_waiting(server);
        let mut client = server.client();
        client.command(&["CONFIG", "SET", "client-output-buffer-limit", "normal 0 1000 2"]);
        wait_for("the slow reader to go", Duration::from_secs(20), || {
            std::thread::sleep(Duration::from_millis(100));
            deaf.send(&["SET", "mark", "1"]).is_err()
        });
    });
}

#[test]
fn a_long_pipeline_may_be_sent_before_any_reply_is_read() {
    on_each_server(|server| {
        let (count, text) = (4_000, "x".repeat(16_000));
        let request = format!("*2\r\n$4\r\nECHO\r\n${}\r\n{text}\r\n", text.len());
        let reply = format!("${}\r\n{text}\r\n", text.len());
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("connect");
        // More than sockets' buffers hold in either direction.
        stream.set_write_timeout(Some(Duration::from_secs(60))).expect("a time-out");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
        for _ in 0..count {
            stream.write_all(request.as_bytes()).expect("send");
        }
        let mut got = vec![0; reply.len()];
        for _ in 0..count {
            stream.read_exact(&mut got).expect("a reply");
            assert!(got == reply.as_bytes());
        }
    });
}
