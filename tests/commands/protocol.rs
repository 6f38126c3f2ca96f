//! What a connection may send, and what it must not: bad ones end, the others go on.

use super::on_each_server;
use crate::support::{Client, Server};
use outrigger::resp::RespValue;
use std::time::Duration;

/// Sends `bytes` on a connection of its own; the server must answer one error that begins so, and close.
fn refused_and_closed(server: &Server, bytes: &[u8], error: &str) {
    let mut client = server.client();
    client.set_read_timeout(Duration::from_secs(10));
    // The server may close while much is still being sent.
    let _ = client.send_raw(bytes);
    match client.read() {
        Ok(RespValue::Error(text)) => {
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(text.starts_with(error), "expected {error:?}, got {text:?}");
        }
        // The error can be lost when the socket is reset because of what was never read.
        Err(e) if bytes.len() > 64 << 10 && e.kind() != std::io::ErrorKind::WouldBlock => {}
        other => panic!("expected {error:?}, got {other:?}"),
    }
    assert!(client.is_closed_by_server(), "the connection must be closed after {error:?}");
}

fn in_use(server: &Server) -> Client {
    let mut client = server.client();
    client.ok("SET witness here");
    client
}

#[test]
fn abuse_ends_the_connection_and_no_other() {
    let server = Server::ours(&[]);
    let mut witness = in_use(&server);
    let endless_line = vec![b'a'; 1 << 20];
    let stars = vec![b'*'; 1 << 20];
    let abuses: [(&[u8], &str); 10] = [
        (b"*1\r\n$9223372036854775808\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*1\r\n$9223372036854775807\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*1\r\n$-1\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*2147483648\r\n", "ERR Protocol error: invalid multibulk length"),
        (b"*99999999999999999999\r\n", "ERR Protocol error: invalid multibulk length"),
        (b"*1\r\nGET\r\n", "ERR Protocol error: expected '$', got 'G'"),
        (b"GET \"unbalanced\r\n", "ERR Protocol error: unbalanced quotes in request"),
        (b"*1\r\n:5\r\n", "ERR Protocol error: expected '$', got ':'"),
        (&endless_line, "ERR Protocol error: too big inline request"),
        (&stars, "ERR Protocol error"),
    ];
    for (bytes, error) in abuses {
        refused_and_closed(&server, bytes, error);
        assert_eq!(witness.text("GET witness"), "here");
    }
}

#[test]
fn who_speaks_http_is_hung_up_on() {
    on_each_server(|server| {
        let mut witness = in_use(server);
        let request = b"POST / HTTP/1.1\r\nHost: here\r\n\r\nSET witness gone\r\n";
        for bytes in [&request[..], b"host: here\r\nSET witness gone\r\n", b"*1\r\n$4\r\nPost\r\n"] {
            let mut client = server.client();
            client.send_raw(bytes).expect("send");
            assert!(client.is_closed_by_server(), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(witness.error("HOST here").starts_with("ERR unknown command"));
        assert_eq!(witness.text("GET witness"), "here");
    });
}

#[test]
fn strangers_lengths_are_refused_before_a_password_is_given() {
    let server = Server::ours(&["--requirepass", "secret"]);
    refused_and_closed(&server, b"*11\r\n", "ERR Protocol error: unauthenticated multibulk length");
    refused_and_closed(&server, b"*1\r\n$16385\r\n", "ERR Protocol error: unauthenticated bulk length");
    let mut client = server.client();
    assert!(client.error("GET a").starts_with("NOAUTH"));
    client.ok("AUTH secret");
    assert!(client.cmd("GET a").is_null());
}

#[test]
fn random_bytes_never_stop_the_server() {
    use crate::support::rng::Seeded;
    let server = Server::ours(&[]);
    let mut witness = in_use(&server);
    let mut seeded = Seeded::new(11);
    for _ in 0..crate::support::scaled(200) {
        let mut client = server.client();
        let len = 1 + seeded.rng.below(2_000) as usize;
        let alphabet: &[u8] = match seeded.rng.below(3) {
            0 => b"*$\r\n0123456789-",
            1 => b"*1\r\n$3\r\nGETSET \"'\\x",
            _ => &[0, 1, b'*', b'$', b'\r', b'\n', 127, 200, 255],
        };
        let bytes: Vec<u8> =
            (0..len).map(|_| alphabet[seeded.rng.below(alphabet.len() as u64) as usize]).collect();
        let _ = client.send_raw(&bytes);
        client.finish_sending();
        assert!(client.is_closed_by_server(), "the end of the input ends the connection");
        assert_eq!(witness.text("GET witness"), "here");
    }
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    let count = 10_000;
    let mut commands = Vec::new();
    for i in 0..count {
        commands.push(vec!["SET".to_string(), format!("k{}", i % 100), i.to_string()]);
        commands.push(vec!["GET".to_string(), format!("k{}", i % 100)]);
    }
    let replies = client.pipeline(&commands);
    for (i, pair) in replies.chunks(2).enumerate() {
        assert_eq!(pair[0], RespValue::Simple(b"OK".to_vec()));
        assert_eq!(pair[1], RespValue::Bulk(i.to_string().into_bytes()));
    }
}

#[test]
fn a_command_may_come_byte_by_byte() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    for byte in b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nva\r\nl\r\nGET key\r\n\r\n\n" {
        client.send_raw(&[*byte]).expect("send a byte");
    }
    assert_eq!(client.read().expect("reply"), RespValue::Simple(b"OK".to_vec()));
    assert_eq!(client.read().expect("reply"), RespValue::Bulk(b"va\r\nl".to_vec()));
    assert_eq!(client.text("PING still-there"), "still-there");
}

#[test]
fn inline_commands_with_quotes() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    client.send_raw(b"SET \"a key\" 'it''s' \r\n").expect("send");
    let first = client.read().expect("reply");
    assert_eq!(
        first.as_error().map(|e| e.starts_with(b"ERR Protocol error: unbalanced")),
        Some(true),
        "{first:?}"
    );
    let mut client = server.client();
    client.send_raw(b"SET \"a\\x41\\n\\\"key\" 'it\\'s'\r\nGET \"a\\x41\\n\\\"key\"\n").expect("send");
    assert_eq!(client.read().expect("reply"), RespValue::Simple(b"OK".to_vec()));
    assert_eq!(client.read().expect("reply"), RespValue::Bulk(b"it's".to_vec()));
}

#[test]
fn values_of_many_megabytes() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    let big: Vec<u8> = (0..20 << 20).map(|i: u32| (i % 251) as u8).collect();
    assert_eq!(client.command(&[b"SET".as_slice(), b"big", &big]), RespValue::Simple(b"OK".to_vec()));
    assert_eq!(client.cmd("GET big"), RespValue::Bulk(big));
}
