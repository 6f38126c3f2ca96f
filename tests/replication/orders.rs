//! OUTRIGGER: what an operator asks and orders.

use super::{DEBUG, primary, replica};
use crate::support::nodes::{LIMIT, address, figure, in_step, wait_linked};
use crate::support::server::free_port;
use crate::support::{Client, Server, wait_for};
use nix::sys::signal::Signal;
use outrigger::resp::RespValue;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn text(value: &RespValue) -> String {
    match value {
        RespValue::Int(number) => number.to_string(),
        other => String::from_utf8_lossy(other.as_bytes().unwrap_or_default()).into_owned(),
    }
}

/// The status as a RESP3 client gets it.
fn status(node: &Server) -> HashMap<String, RespValue> {
    let RespValue::Map(fields) = node.client3().cmd("OUTRIGGER STATUS") else { panic!("a map") };
    fields.into_iter().map(|(name, value)| (text(&name), value)).collect()
}

fn field(node: &Server, name: &str) -> String {
    text(&status(node)[name])
}

#[test]
fn status_tells_of_both_ends() {
    let first = primary(&[]);
    assert!(field(&first, "next").starts_with("attach a replica"), "{:?}", status(&first));
    let second = replica(&first, &[]);
    first.client().ok("SET key value");
    let offset = in_step(&first, &second).to_string();
    wait_for("its files", LIMIT, || field(&second, "durable-offset") == offset);
    assert_eq!(field(&second, "role"), "replica");
    assert_eq!(field(&second, "primary"), format!("127.0.0.1:{}", first.port()));
    assert_eq!(
        (field(&second, "link"), field(&second, "writes")),
        ("connected".into(), "append-only file".into())
    );
    wait_for("the acknowledgement", LIMIT, || {
        let RespValue::Array(replicas) = &status(&first)["replicas"] else { panic!("an array") };
        let RespValue::Map(one) = &replicas[0] else { panic!("a map") };
        let one: HashMap<_, _> = one.iter().map(|(name, value)| (text(name), text(value))).collect();
        assert_eq!(one["address"], format!("127.0.0.1:{}", second.port()));
        one["state"] == "online" && one["offset"] == offset && one["durable-offset"] == offset
    });
    for (name, wanted) in [
        ("role", "primary"),
        ("epoch", "1"),
        ("offset", &offset),
        ("durable-offset", "-1"),
        ("writes", "nothing"),
        ("fenced", "no"),
        ("next", "nothing"),
    ] {
        assert_eq!(field(&first, name), wanted, "{name}");
    }
    assert_eq!(field(&first, "lineage"), first.client().info("master_replid").unwrap());
    // RESP2: names and values in turn.
    let RespValue::Array(flat) = first.client().cmd("OUTRIGGER STATUS") else { panic!("an array") };
    assert_eq!(text(&flat[0]), "role");
    assert_eq!(flat.len() % 2, 0);
    assert!(matches!(first.client().cmd("OUTRIGGER HELP"), RespValue::Array(lines) if lines.len() > 10));
    assert!(first.client().error("OUTRIGGER NOSUCH").starts_with("ERR unknown subcommand 'NOSUCH'"));
    assert!(first.client().error("OUTRIGGER STATUS x").starts_with("ERR wrong number"));
}

#[test]
fn a_fence_by_hand_refuses_everything_until_it_is_lifted() {
    let first = primary(&[]);
    let second = replica(&first, &[]);
    let mut client = first.client();
    client.ok("SET key value");
    in_step(&first, &second);
    let mut waiting = first.client();
    waiting.send(&["BLPOP", "nothing", "0"]).unwrap();
    wait_for("it to wait", LIMIT, || figure(&mut first.client(), "blocked_clients") == 1);
    assert_eq!(client.error("OUTRIGGER UNFENCE"), "ERR this node is not fenced");
    client.ok("OUTRIGGER FENCE moving house");
    let wanted = "FENCED by hand: moving house; run OUTRIGGER UNFENCE";
    for words in ["GET key", "SET key other", "PSYNC ? -1", "DBSIZE"] {
        assert_eq!(first.client().error(words), wanted, "{words}");
    }
    let ended = waiting.read().expect("an answer");
    assert!(ended.as_error().is_some_and(|text| text.starts_with(b"UNBLOCKED")), "{ended:?}");
    client.ok("MULTI");
    assert_eq!(client.error("SET key other"), wanted);
    assert!(client.error("EXEC").starts_with("EXECABORT"));
    assert_eq!(client.info("outrigger_fence_reason").as_deref(), Some("by hand: moving house"));
    assert_eq!(
        (field(&first, "fenced"), field(&first, "next")),
        ("yes".into(), "run OUTRIGGER UNFENCE".into())
    );
    // Who is attached stays, and has everything.
    in_step_but_fenced(&first, &second);
    let long = "x".repeat(300);
    assert!(client.error(&format!("OUTRIGGER FENCE {long}")).starts_with("ERR a reason has at most"));
    assert!(client.error("OUTRIGGER UNFENCE now").starts_with("ERR syntax error"));
    client.ok("OUTRIGGER UNFENCE");
    client.ok("SET key other");
    in_step(&first, &second);
    // A replica may be fenced, too: its reads are refused, and it goes on following.
    second.client().ok("OUTRIGGER FENCE");
    assert!(second.client().error("GET key").starts_with("FENCED by hand: no reason was given"));
    client.ok("SET key third");
    second.client().ok("OUTRIGGER UNFENCE");
    in_step(&first, &second);
    assert_eq!(second.client().text("GET key"), "third");
}

fn in_step_but_fenced(first: &Server, second: &Server) {
    wait_linked(second);
    wait_for("both at one offset", LIMIT, || {
        figure(&mut first.client(), "master_repl_offset") == figure(&mut second.client(), "slave_repl_offset")
    });
}

/// Clients that are in the middle of writing when a fence goes up: what was answered is there, and nothing after it.
#[test]
fn no_write_gets_past_a_fence() {
    let node = primary(&["--io-threads", "2"]);
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let port = node.port();
            std::thread::spawn(move || {
                let mut client = Client::connect(port).expect("connect");
                let mut answered = 0;
                loop {
                    let reply = client.cmd(&format!("INCR counter:{n}"));
                    match reply.as_error() {
                        None => answered += 1,
                        Some(error) if error.starts_with(b"FENCED by hand") => return answered,
                        Some(_) => panic!("{reply:?}"),
                    }
                }
            })
        })
        .collect();
    std::thread::sleep(std::time::Duration::from_millis(200));
    node.client().ok("OUTRIGGER FENCE");
    let offset = figure(&mut node.client(), "master_repl_offset");
    let answered: Vec<i64> = writers.into_iter().map(|writer| writer.join().expect("a writer")).collect();
    assert_eq!(figure(&mut node.client(), "master_repl_offset"), offset);
    node.client().ok("OUTRIGGER UNFENCE");
    for (n, answered) in answered.into_iter().enumerate() {
        assert_eq!(node.client().text(&format!("GET counter:{n}")), answered.to_string());
    }
}

#[test]
fn an_unsynced_replica_is_not_promoted() {
    let silent = free_port();
    let lost = Server::ours(&[&DEBUG[..], &["--replicaof", &format!("127.0.0.1 {silent}")]].concat());
    let mut client = lost.client();
    let refused = "UNSYNCED this replica has never finished a sync and has nothing to serve; OUTRIGGER PROMOTE FORCE makes \
                   it the primary all the same";
    for words in ["REPLICAOF NO ONE", "SLAVEOF NO ONE", "OUTRIGGER PROMOTE"] {
        assert_eq!(client.error(words), refused, "{words}");
    }
    assert_eq!(client.info("role").as_deref(), Some("slave"));
    client.ok("OUTRIGGER PROMOTE FORCE");
    assert_eq!(client.info("role").as_deref(), Some("master"));
    client.ok("SET key value");
    assert_eq!(client.error("OUTRIGGER PROMOTE"), "ERR this node is not a replica");
}

/// Answers a replica as a stock primary does that has more than it of this lineage, and breaks off in the snapshot.
fn begin_a_sync(listener: TcpListener, lineage: &str) -> TcpStream {
    let (mut stream, _) = listener.accept().expect("a replica");
    loop {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).expect("a command");
        // It waits for the answer to each command.
        let command = String::from_utf8_lossy(&bytes[..count]).to_ascii_uppercase();
        let info = format!("role:master\r\nmaster_replid:{lineage}\r\nmaster_repl_offset:9999\r\n");
        let answer = match () {
            () if command.contains("$5\r\nPSYNC") => {
                format!("+FULLRESYNC {lineage} 9999\r\n$1000\r\nREDIS0010")
            }
            () if command.contains("INFO") => format!("${}\r\n{info}\r\n", info.len()),
            () => "+OK\r\n".to_owned(),
        };
        stream.write_all(answer.as_bytes()).expect("answer");
        if command.contains("$5\r\nPSYNC") {
            return stream;
        }
    }
}

/// A replica in the middle of a full sync has data, but of the past.
#[test]
fn a_replica_in_the_middle_of_a_full_sync_is_not_promoted() {
    let first = primary(&[]);
    let port = first.port();
    let mut second = replica(&first, &[]);
    first.client().ok("SET key old");
    in_step(&first, &second);
    wait_for("its files", LIMIT, || {
        let mut client = second.client();
        figure(&mut client, "outrigger_durable_offset") == figure(&mut client, "slave_repl_offset")
    });
    let lineage = first.client().info("master_replid").expect("a lineage");
    second.kill();
    drop(first);
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("take the primary's port");
    second.spawn_again();
    let syncing = begin_a_sync(listener, &lineage);
    wait_for("the sync to begin", LIMIT, || {
        Client::connect(second.port())
            .is_ok_and(|mut client| client.info("master_sync_in_progress").as_deref() == Some("1"))
    });
    let refused = "UNSYNCED this replica began a full sync that is not finished";
    assert!(second.client().error("REPLICAOF NO ONE").starts_with(refused));
    // Nor when that can no longer be finished.
    drop(syncing);
    wait_for("the sync to end", LIMIT, || figure(&mut second.client(), "master_sync_in_progress") == 0);
    assert!(second.client().error("OUTRIGGER PROMOTE").starts_with(refused));
    second.client().ok("OUTRIGGER PROMOTE FORCE");
    assert_eq!(second.client().text("GET key"), "old");
}

#[test]
fn recover_gives_an_empty_primary_what_it_is_told_to() {
    let gone = primary(&[]);
    let (one, two) = (replica(&gone, &[]), replica(&gone, &[]));
    gone.client().ok("SET key 1");
    in_step(&gone, &one);
    in_step(&gone, &two);
    two.signal(Signal::SIGSTOP);
    drop(gone);
    wait_for("the link to be down", LIMIT, || {
        one.client().info("master_link_status").as_deref() == Some("down")
    });
    let silent = free_port();
    let start = |peers: &str| Server::ours(&[&DEBUG[..], &["--recover-from-peers", peers]].concat());
    let fenced = start(&format!("127.0.0.1:{silent}"));
    let mut client = fenced.client();
    let error = client.error("OUTRIGGER RECOVER");
    assert!(error.starts_with("ERR not recovered: waiting for the history of"), "{error}");
    let error = client.error("OUTRIGGER RECOVER FROM nonsense");
    assert_eq!(error, "ERR a peer is named as host:port");
    client.ok(&format!("OUTRIGGER RECOVER FROM 127.0.0.1:{}", one.port()));
    assert_eq!((client.text("GET key"), figure(&mut client, "outrigger_epoch")), ("1".into(), 2));
    let error = client.error("OUTRIGGER RECOVER NEW");
    assert!(error.starts_with("ERR this node is not a primary without history"), "{error}");
    // What it was given is gone on with under another name, so that whoever is silent is not contradicted.
    two.signal(Signal::SIGCONT);
    crate::support::nodes::order(&two, &fenced);
    in_step(&fenced, &two);

    let new = start(&format!("127.0.0.1:{silent}"));
    assert!(new.client().error("SET key 1").starts_with("FENCED "));
    new.client().ok("OUTRIGGER RECOVER NEW");
    new.client().ok("SET key 1");
    let forced = start(&format!("127.0.0.1:{silent}"));
    forced.client().ok("OUTRIGGER UNFENCE FORCE");
    forced.client().ok("SET key 1");
    let follower = Server::ours(&[&DEBUG[..], &["--replicaof", &address(&new)]].concat());
    in_step(&new, &follower);
}
