//! MIGRATE between our servers and stock ones, and with targets that the test plays.

use crate::support::{Client, Server, free_port, wait_for};
use outrigger::resp::{Decoded, ReplyDecoder, RespValue, write_command};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const DEBUG: &[&str] = &["--enable-debug-command", "yes"];

/// A key of each type, some with an expiry.
const KEYS: &[&str] = &[
    "SET string text",
    "SET number 12345 PX 100000000",
    "RPUSH list a b 3",
    "SADD set a b c",
    "SADD ints 1 2 3",
    "ZADD zset 1.5 a 2 b",
    "HSET hash f v g w",
    "XADD stream 1-1 f v",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group consumer STREAMS stream >",
    "PFADD hll a b c",
    "EXPIRE list 1000",
];

fn fill(client: &mut Client) {
    for line in KEYS {
        let reply = client.cmd(line);
        assert!(reply.as_error().is_none(), "{line}: {reply:?}");
    }
}

fn all_names(client: &mut Client) -> String {
    let keys = client.cmd("KEYS *");
    let names = keys.as_slice().expect("names").iter().filter_map(RespValue::as_bytes);
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>().join(" ")
}

/// Pairs of servers, from which and to which keys are sent.
fn each_way(test: impl Fn(&Server, &Server)) {
    let stock = || Server::redis(&[]);
    test(&Server::ours(DEBUG), &Server::ours(DEBUG));
    if let Some(stock) = stock() {
        test(&Server::ours(DEBUG), &stock);
    }
    if let Some(stock) = stock() {
        test(&stock, &Server::ours(DEBUG));
    }
    if let (Some(one), Some(other)) = (stock(), stock()) {
        test(&one, &other);
    }
}

#[test]
fn every_type_goes_with_its_expiry() {
    each_way(|from, to| {
        let (mut source, mut target) = (from.client(), to.client());
        fill(&mut source);
        let digests = |client: &mut Client| {
            let mut found = client.cmd("DEBUG DIGEST-VALUE string number list set ints zset hash stream hll");
            if let RespValue::Array(items) = &mut found {
                items.push(RespValue::Bool(
                    client.int("PTTL number") > 90_000_000 && client.int("TTL list") > 900,
                ));
            }
            found
        };
        let before = digests(&mut source);
        let names = all_names(&mut source);
        let port = to.port();
        source.ok(&format!("MIGRATE 127.0.0.1 {port} string 0 5000"));
        assert_eq!(target.text("GET string"), "text");
        assert_eq!(source.int("EXISTS string"), 0);
        assert_eq!(source.int("DBSIZE"), 8);
        let rest = names.replace("string", "none");
        let mut args: Vec<&str> = vec!["MIGRATE", "localhost"];
        let port = port.to_string();
        args.extend([port.as_str(), "", "0", "5000", "KEYS"]);
        args.extend(rest.split(' '));
        assert_eq!(source.command(&args), RespValue::Simple(b"OK".to_vec()));
        assert_eq!(source.int("DBSIZE"), 0);
        assert_eq!(digests(&mut target), before);
        assert_eq!(
            source.cmd(&format!("MIGRATE 127.0.0.1 {port} string 0 5000")),
            RespValue::Simple(b"NOKEY".into())
        );
    });
}

#[test]
fn words_and_refusals() {
    each_way(|from, to| {
        let (mut source, mut target) = (from.client(), to.client());
        let head = format!("MIGRATE 127.0.0.1 {} k", to.port());
        source.ok("SET k 1");
        source.ok(&format!("{head} 2 5000 COPY"));
        assert_eq!(source.text("GET k"), "1");
        let busy = "ERR Target instance replied with error: BUSYKEY Target key name already exists.";
        assert_eq!(source.error(&format!("{head} 2 5000")), busy);
        source.ok("SET k 2");
        source.ok(&format!("{head} 2 5000 replace"));
        assert_eq!(source.int("EXISTS k"), 0);
        target.ok("SELECT 2");
        assert_eq!(target.text("GET k"), "2");
        source.ok("SET k 3");
        let range = "ERR Target instance replied with error: ERR DB index is out of range";
        assert_eq!(source.error(&format!("{head} 99 5000")), range);
        assert_eq!(source.text("GET k"), "3");
        for (rest, text) in [
            ("x 1", "ERR value is not an integer or out of range"),
            ("0 x", "ERR value is not an integer or out of range"),
            ("0 1 NOSUCH", "ERR syntax error"),
            ("0 1 AUTH", "ERR syntax error"),
            ("0 1 AUTH2 a", "ERR syntax error"),
            (
                "0 1 KEYS k",
                "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
            ),
        ] {
            assert_eq!(source.error(&format!("{head} {rest}")), text, "{rest}");
        }
        assert_eq!(source.error("MIGRATE a 1 k 0"), "ERR wrong number of arguments for 'migrate' command");
        let nowhere = format!("MIGRATE 127.0.0.1 {} k 0 500", free_port());
        assert_eq!(source.error(&nowhere), "IOERR error or timeout writing to target instance");
        let nobody = "MIGRATE no.such.host.invalid 1 k 0 500";
        assert_eq!(source.error(nobody), "IOERR error or timeout connecting to the client");
        assert_eq!(source.text("GET k"), "3");
    });
}

#[test]
fn passwords() {
    let start_ours = || Some(Server::ours(&["--requirepass", "secret"]));
    let start_stock = || Server::redis(&["--requirepass", "secret"]);
    for target in [start_ours(), start_stock()].into_iter().flatten() {
        for source in [Some(Server::ours(DEBUG)), Server::redis(&[])].into_iter().flatten() {
            let mut client = source.client();
            let head = format!("MIGRATE 127.0.0.1 {} k 0 5000", target.port());
            client.ok("SET k v");
            let wrong = "ERR Target instance replied with error: ";
            let error = client.error(&head);
            assert_eq!(error, format!("{wrong}NOAUTH Authentication required."));
            let error = client.error(&format!("{head} AUTH wrong"));
            assert!(error.starts_with(&format!("{wrong}WRONGPASS")), "{error}");
            client.ok(&format!("{head} COPY REPLACE AUTH secret"));
            client.ok(&format!("{head} REPLACE AUTH2 default secret"));
            assert_eq!(client.int("EXISTS k"), 0);
        }
    }
}

/// A connection is kept for the next MIGRATE to the same target with the same password, and no other.
#[test]
fn connections_are_kept_for_a_while() {
    let (source, target) = (Server::ours(DEBUG), Server::ours(DEBUG));
    let mut client = source.client();
    let kept = |client: &mut Client| client.info("migrate_cached_sockets").expect("a figure");
    let accepted =
        || target.client().info("total_connections_received").expect("a figure").parse::<i64>().unwrap();
    let migrate = |client: &mut Client, words: &str| {
        client.ok("SET k v");
        client.ok(&format!("MIGRATE 127.0.0.1 {} k {words}", target.port()));
        assert_eq!(client.int("EXISTS k"), 0);
    };
    assert_eq!(kept(&mut client), "0");
    migrate(&mut client, "0 5000 REPLACE");
    let before = accepted();
    for db in ["1", "0", "1"] {
        migrate(&mut client, &format!("{db} 5000 REPLACE"));
    }
    assert_eq!(
        (kept(&mut client), accepted() - before),
        ("1".to_string(), 1),
        "but for that of the question"
    );
    assert_eq!(target.client().int("DBSIZE"), 1);
    target.client().ok("CONFIG SET requirepass secret");
    migrate(&mut client, "0 5000 REPLACE AUTH secret");
    assert_eq!(kept(&mut client), "2");
    // The password is asked for each time.
    let mut owner = target.client();
    owner.ok("AUTH secret");
    owner.ok("CONFIG SET requirepass other");
    client.ok("SET k v");
    let refused = client.error(&format!("MIGRATE 127.0.0.1 {} k 0 5000 AUTH secret", target.port()));
    assert!(refused.contains("WRONGPASS"), "{refused}");
    assert_eq!(kept(&mut client), "1");
    // One that the target has closed meanwhile does no harm.
    owner.command(&["CONFIG", "SET", "requirepass", ""]);
    owner.cmd("CLIENT KILL TYPE normal SKIPME yes");
    migrate(&mut client, "0 5000 REPLACE");
    wait_for("the connections to be given up", Duration::from_secs(60), || kept(&mut client) == "0");
    migrate(&mut client, "0 5000 REPLACE");
}

/// The removal of keys that went reaches a replica.
#[test]
fn replicas_lose_what_went() {
    let (source, target) = (Server::ours(DEBUG), Server::ours(DEBUG));
    let port = source.port().to_string();
    let replica = Server::ours(&[DEBUG, &["--replicaof", "127.0.0.1", &port]].concat());
    let mut client = source.client();
    wait_for("the link", Duration::from_secs(20), || {
        replica.client().info("master_link_status").as_deref() == Some("up")
    });
    fill(&mut client);
    let line = ["MIGRATE", "127.0.0.1", &target.port().to_string(), "", "0", "5000", "KEYS", "set", "stream"]
        .map(str::to_string);
    assert_eq!(client.command(&line), RespValue::Simple(b"OK".to_vec()));
    let digest = client.digest();
    wait_for("the replica", Duration::from_secs(20), || replica.client().digest() == digest);
    assert_eq!(client.int("EXISTS set stream list"), 1);
    client.ok("MULTI");
    client.cmd("MIGRATE 127.0.0.1 1 list 0 100");
    let RespValue::Array(replies) = client.cmd("EXEC") else { panic!("replies") };
    assert_eq!(replies[0].as_error(), Some(&b"ERR MIGRATE is not allowed in transactions"[..]));
}

/// A target that the test plays: it reads commands and answers as it likes.
struct Played {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Played {
    fn accept(listener: &TcpListener) -> Played {
        let (stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        Played { stream, input: Vec::new() }
    }

    /// The next command, as words.
    fn read(&mut self) -> Vec<Vec<u8>> {
        loop {
            let step = ReplyDecoder::default().decode(&self.input).expect("a command");
            if let Decoded::Complete { value: RespValue::Array(words), consumed, .. } = step {
                self.input.drain(..consumed);
                return words.iter().map(|word| word.as_bytes().unwrap_or_default().to_vec()).collect();
            }
            let mut chunk = [0; 4096];
            let count = self.stream.read(&mut chunk).expect("more of a command");
            assert!(count > 0, "the source went away");
            self.input.extend_from_slice(&chunk[..count]);
        }
    }

    fn answer(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("answer");
    }
}

/// Asks for a key to be sent to the test, and reads the RESTORE that comes.
fn begin(server: &Server, words: &str) -> (Client, Played, Vec<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = listener.local_addr().expect("an address").port();
    let mut client = server.client();
    let line = format!("MIGRATE 127.0.0.1 {port} {words}");
    client.send(&line.split(' ').collect::<Vec<_>>()).expect("send");
    let mut target = Played::accept(&listener);
    assert_eq!(target.read(), [b"SELECT".to_vec(), b"0".to_vec()]);
    target.answer("+OK\r\n");
    let restore = target.read();
    assert_eq!(restore[0], b"RESTORE");
    (client, target, restore)
}

#[test]
fn nobody_waits_for_a_silent_target() {
    let server = Server::ours(DEBUG);
    let mut other = server.client();
    other.ok("SET k v");
    let (mut client, _target, _) = begin(&server, "k 0 700");
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(300) {
        let asked = Instant::now();
        assert_eq!(other.text("GET k"), "v");
        other.ok("SET other 1");
        assert!(asked.elapsed() < Duration::from_millis(200), "held up by MIGRATE");
    }
    let reply = client.read().expect("a reply");
    assert_eq!(reply.as_error(), Some(&b"IOERR error or timeout reading to target instance"[..]));
    assert_eq!(other.text("GET k"), "v");
}

#[test]
fn a_key_that_is_written_to_is_sent_again() {
    let server = Server::ours(DEBUG);
    let mut other = server.client();
    other.ok("SET k old");
    let (mut client, mut target, first) = begin(&server, "k 0 20000");
    assert_eq!(first.len(), 4);
    other.ok("SET k new");
    target.answer("+OK\r\n");
    let second = target.read();
    assert_eq!((&second[1][..], second.get(4).map(Vec::as_slice)), (&b"k"[..], Some(&b"REPLACE"[..])));
    assert_ne!(second[3], first[3]);
    assert_eq!(other.text("GET k"), "new");
    target.answer("+OK\r\n");
    assert_eq!(client.read().expect("a reply"), RespValue::Simple(b"OK".to_vec()));
    assert_eq!(other.int("EXISTS k"), 0);
    // With COPY there is nothing that could get lost.
    other.ok("SET k old");
    let (mut client, mut target, _) = begin(&server, "k 0 20000 COPY");
    other.ok("SET k new");
    target.answer("+OK\r\n");
    assert_eq!(client.read().expect("a reply"), RespValue::Simple(b"OK".to_vec()));
}

#[test]
fn a_key_that_is_removed_meanwhile_is_reported() {
    let server = Server::ours(DEBUG);
    let mut other = server.client();
    other.ok("SET k v");
    let (mut client, mut target, _) = begin(&server, "k 0 20000");
    assert_eq!(other.int("DEL k"), 1);
    target.answer("+OK\r\n");
    let reply = client.read().expect("a reply");
    let text = b"ERR a key was removed here while it was sent, and is on the target instance: k";
    assert_eq!(reply.as_error(), Some(&text[..]));
}

#[test]
fn what_the_target_refuses_stays() {
    let server = Server::ours(DEBUG);
    let mut other = server.client();
    for key in ["a", "b", "c"] {
        other.ok(&format!("SET {key} v"));
    }
    let (mut client, mut target, _) = begin(&server, " 0 20000 KEYS a b c");
    target.read();
    target.read();
    target.answer("+OK\r\n-ERR no b\r\n+OK\r\n");
    let reply = client.read().expect("a reply");
    assert_eq!(reply.as_error(), Some(&b"ERR Target instance replied with error: ERR no b"[..]));
    assert_eq!(all_names(&mut other), "b");
}

/// A client that goes away does not stop the removal of what the target has; a node that is no primary any more keeps it.
#[test]
fn ends_of_clients_and_of_roles() {
    let server = Server::ours(DEBUG);
    let mut other = server.client();
    other.ok("SET k v");
    let (client, mut target, _) = begin(&server, "k 0 20000");
    drop(client);
    std::thread::sleep(Duration::from_millis(50));
    target.answer("+OK\r\n");
    wait_for("the key to go", Duration::from_secs(20), || other.int("EXISTS k") == 0);
    other.ok("SET k v");
    let (mut client, mut target, _) = begin(&server, "k 0 20000");
    other.ok(&format!("REPLICAOF 127.0.0.1 {}", free_port()));
    target.answer("+OK\r\n");
    let reply = client.read().expect("a reply");
    assert_eq!(reply.as_error(), Some(&b"READONLY You can't write against a read only replica."[..]));
    assert_eq!(other.text("GET k"), "v");
}

/// Many keys, and large ones, in batches.
#[test]
fn many_keys_and_large_values() {
    let (from, to) = (Server::ours(DEBUG), Server::ours(DEBUG));
    let (mut source, mut target) = (from.client(), to.client());
    let mut line = vec!["MIGRATE".to_string(), "127.0.0.1".into(), to.port().to_string(), String::new()];
    line.extend(["0", "20000", "KEYS"].map(String::from));
    let mut commands = Vec::new();
    for n in 0..3_000 {
        let size = if n % 300 == 0 { 300_000 } else { 20 };
        let value: String =
            (0..size).map(|i| char::from(b'a' + ((n * 31 + i % 97 * i) % 26) as u8)).collect();
        commands.push(vec!["SET".to_string(), format!("key {n}"), value]);
        line.push(format!("key {n}"));
    }
    source.pipeline(&commands);
    let digest = source.digest();
    assert_eq!(source.command(&line), RespValue::Simple(b"OK".to_vec()));
    assert_eq!((source.int("DBSIZE"), target.digest()), (0, digest));
    let mut bytes = Vec::new();
    write_command(&mut bytes, &line);
    assert!(bytes.len() > 30_000);
}
