//! Where a server listens, and whom it serves there.

use super::on_each_server;
use crate::support::Server;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Sends inline commands and returns what came by the time that so many lines were there.
fn talk(mut stream: impl Read + Write, commands: &str, lines: usize) -> String {
    stream.write_all(commands.as_bytes()).expect("send");
    let (mut got, mut chunk) = (Vec::new(), [0; 4096]);
    while got.iter().filter(|byte| **byte == b'\n').count() < lines {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => got.extend_from_slice(&chunk[..count]),
        }
    }
    String::from_utf8_lossy(&got).into_owned()
}

#[test]
fn a_unix_socket_and_a_pid_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, pid) = (folder.path().join("o.sock"), folder.path().join("o.pid"));
    let text = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    let (socket_text, pid_text) = (text(&socket), text(&pid));
    let args = ["--unixsocket", &socket_text, "--unixsocketperm", "700", "--pidfile", &pid_text];
    let mut server = Server::ours(&args);
    assert_eq!(std::fs::metadata(&socket).expect("the socket").permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::read_to_string(&pid).expect("the pid file").trim(), server.pid().to_string());
    let connect = || UnixStream::connect(&socket).expect("connect to the socket");
    assert_eq!(talk(connect(), "SET a 1\r\nGET a\r\n", 3), "+OK\r\n$1\r\n1\r\n");
    assert_eq!(server.client().text("GET a"), "1");
    let mut on_socket = connect();
    let line = talk(&mut on_socket, "CLIENT INFO\r\n", 2);
    assert!(line.contains(&format!(" addr={socket_text}:0 laddr={socket_text}:0 ")), "{line}");
    assert!(server.client().text("CLIENT LIST").contains(&socket_text));
    // Debugging is for local clients, of which this is one.
    assert_eq!(talk(&mut on_socket, "DEBUG SLEEP 0\r\n", 1), "+OK\r\n");
    server.stop();
    assert!(!socket.exists() && !pid.exists());
    // What a server that was killed left behind is no hindrance.
    server.restart();
    server.kill();
    assert!(socket.exists());
    server.restart();
    assert_eq!(talk(connect(), "PING\r\n", 1), "+PONG\r\n");
}

/// An address of this machine that is not a loopback one, where it has any.
fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: this only asks for a route.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn protected_mode_serves_loopback_alone() {
    let Some(outer) = outer_address() else { return };
    on_each_server(|stock_or_ours| {
        let program = stock_or_ours.client().info("outrigger_version");
        let args = ["--bind", "*"];
        let server = match program {
            Some(_) => Server::ours(&args),
            None => Server::redis(&args).expect("a stock server"),
        };
        let ask = |commands: &str, lines| {
            let stream = TcpStream::connect((outer, server.port())).expect("connect from elsewhere");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
            talk(stream, commands, lines)
        };
        assert!(ask("PING\r\n", 1).starts_with("-DENIED Redis is running in protected mode"));
        let mut local = server.client();
        local.ok("CONFIG SET requirepass secret");
        assert_eq!(ask("AUTH secret\r\nPING\r\n", 2), "+OK\r\n+PONG\r\n");
        local.command(&["CONFIG", "SET", "requirepass", ""]);
        assert!(ask("PING\r\n", 1).starts_with("-DENIED"));
        local.ok("CONFIG SET protected-mode no");
        assert_eq!(ask("PING\r\n", 1), "+PONG\r\n");
    });
}
