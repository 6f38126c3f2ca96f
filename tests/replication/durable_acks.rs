//! Durable acks: replies wait for the fsyncs of replicas, tell when they waited in vain, and what they promised holds.

use super::{primary, replica};
use crate::support::nodes::{LIMIT, address, figure, in_step, order, wait_linked};
use crate::support::{Client, Server, scaled, wait_for};
use nix::sys::signal::Signal;
use outrigger::resp::RespValue;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a reply must stay away to count as held.
const HELD_FOR: Duration = Duration::from_millis(200);

fn ok() -> RespValue {
    RespValue::Simple(b"OK".to_vec())
}

fn bulk(text: &str) -> RespValue {
    RespValue::Bulk(text.as_bytes().to_vec())
}

/// Sends a command and does not wait.
fn send(client: &mut Client, words: &str) {
    client.send(&words.split(' ').collect::<Vec<_>>()).expect("send");
}

/// Stops a server, and waits until each of its threads stands still: until then it may go on to acknowledge.
fn freeze(server: &Server) {
    server.signal(Signal::SIGSTOP);
    let stands = |stat: &str| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'));
    wait_for("the server to stand still", LIMIT, || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("its threads");
        tasks
            .flatten()
            .all(|task| std::fs::read_to_string(task.path().join("stat")).is_ok_and(|stat| stands(&stat)))
    });
}

/// Fails if a reply comes.
fn assert_held(client: &mut Client, what: &str) {
    client.set_read_timeout(HELD_FOR);
    let reply = client.read();
    let silent =
        matches!(&reply, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    assert!(silent, "{what}: {reply:?}");
    client.set_read_timeout(Duration::from_secs(60));
}

fn next(client: &mut Client) -> RespValue {
    client.read().expect("a reply")
}

fn is_not_durable(reply: &RespValue) -> bool {
    reply.as_error().is_some_and(|text| {
        text.starts_with(b"NOTDURABLE ")
            && text.ends_with(b"the write behind this reply may still become durable")
    })
}

/// A primary with these settings and replicas that fsync as they do by default, all attached.
fn nodes(args: &[&str], replicas: usize) -> (Server, Vec<Server>) {
    let primary = primary(args);
    let replicas: Vec<Server> = (0..replicas).map(|_| replica(&primary, &[])).collect();
    wait_durable_replicas(&primary, replicas.len() as i64);
    (primary, replicas)
}

/// Waits until so many replicas are attached that tell what they fsync.
fn wait_durable_replicas(primary: &Server, count: i64) {
    let mut client = primary.client();
    wait_for("replicas that fsync", LIMIT, || figure(&mut client, "outrigger_durable_replicas") == count);
}

#[test]
fn a_reply_comes_after_the_fsync_and_soon_after() {
    let (primary, replicas) = nodes(&["--durable-acks", "1"], 1);
    let (mut client, mut watch) = (primary.client(), replicas[0].client());
    let begun = Instant::now();
    for n in 0..20 {
        client.ok(&format!("SET key {n}"));
        let end = figure(&mut client, "master_repl_offset");
        // The offset may hold a PING more than the write.
        assert!(figure(&mut watch, "outrigger_durable_offset") > end - 60);
    }
    // Its `appendfsync` is everysec: it fsyncs sooner because the primary asks it to.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(figure(&mut client, "outrigger_durable_acks_failed"), 0);
    assert!(figure(&mut client, "outrigger_durable_acks_held") >= 15);
    assert_eq!(client.info("outrigger_durable_acks_state").as_deref(), Some("ok"));
    assert!(client.info("slave0").is_some_and(|line| line.contains("durable_offset=")));
}

#[test]
fn who_reads_a_key_waits_for_its_last_write_and_nobody_else() {
    let (primary, replicas) = nodes(&["--durable-acks", "1"], 1);
    let mut writer = primary.client();
    writer.ok("SET key 1");
    writer.ok("SET clean 1");
    freeze(&replicas[0]);
    send(&mut writer, "SET key 2");
    assert_held(&mut writer, "the write");
    let mut reader = primary.client();
    assert_eq!(reader.text("GET clean"), "1");
    assert_eq!(reader.cmd("GET absent"), RespValue::Null);
    reader.ok("CLIENT DURABILITY ASYNC");
    assert_eq!(reader.text("GET key"), "2");
    reader.ok("CLIENT DURABILITY DEFAULT");
    send(&mut reader, "GET key");
    assert_held(&mut reader, "a read of the key");
    let mut counter = primary.client();
    send(&mut counter, "DBSIZE");
    assert_held(&mut counter, "a look at all keys");
    let mut transaction = primary.client();
    for (words, reply) in [("MULTI", "OK"), ("GET clean", "QUEUED"), ("STRLEN key", "QUEUED")] {
        assert_eq!(transaction.text(words), reply);
    }
    send(&mut transaction, "EXEC");
    assert_held(&mut transaction, "a transaction that reads the key");
    let mut watch = primary.client();
    assert_eq!(figure(&mut watch, "outrigger_durable_acks_waiting"), 4);
    assert_eq!(figure(&mut watch, "blocked_clients"), 0);
    // One that goes away waits no longer.
    drop(counter);
    wait_for("the wait to end", LIMIT, || figure(&mut watch, "outrigger_durable_acks_waiting") == 3);
    replicas[0].signal(Signal::SIGCONT);
    assert_eq!(next(&mut writer), ok());
    assert_eq!(next(&mut reader), bulk("2"));
    assert_eq!(next(&mut transaction), RespValue::Array(vec![bulk("1"), RespValue::Int(1)]));
    assert_eq!(figure(&mut watch, "outrigger_durable_acks_waiting"), 0);
}

#[test]
fn replies_keep_their_order() {
    let (primary, replicas) = nodes(&["--durable-acks", "1"], 1);
    let mut client = primary.client();
    client.ok("SET clean 1");
    freeze(&replicas[0]);
    for words in ["GET clean", "SET key 1", "GET clean", "PING", "INCR key", "CLIENT REPLY SKIP", "INCR key"]
    {
        send(&mut client, words);
    }
    assert_eq!(next(&mut client), bulk("1"));
    assert_held(&mut client, "what stands behind a write");
    send(&mut client, "GET key");
    let mut silent = primary.client();
    send(&mut silent, "CLIENT REPLY OFF");
    send(&mut silent, "SET silent 1");
    send(&mut silent, "CLIENT REPLY ON");
    assert_eq!(next(&mut silent), ok());
    // A reply that is longer than the output may be is held in pieces.
    let mut large = primary.client();
    let value = "x".repeat(100_000);
    for n in 0..20 {
        send(&mut large, &format!("SET large:{n} {value}"));
        send(&mut large, &format!("GET large:{n}"));
    }
    assert_held(&mut large, "much output");
    replicas[0].signal(Signal::SIGCONT);
    let replies: Vec<RespValue> = (0..5).map(|_| next(&mut client)).collect();
    let pong = RespValue::Simple(b"PONG".to_vec());
    assert_eq!(replies, [ok(), bulk("1"), pong, RespValue::Int(2), bulk("3")]);
    for _ in 0..20 {
        assert_eq!((next(&mut large), next(&mut large)), (ok(), bulk(&value)));
    }
}

#[test]
fn clients_that_wait_for_keys_are_told_of_what_is_durable() {
    let (primary, replicas) = nodes(&["--durable-acks", "1"], 1);
    let (mut waiter, mut pusher) = (primary.client(), primary.client());
    send(&mut waiter, "BLPOP list 0");
    wait_for("it to wait", LIMIT, || figure(&mut primary.client(), "blocked_clients") == 1);
    freeze(&replicas[0]);
    send(&mut pusher, "RPUSH list a");
    assert_held(&mut waiter, "an element");
    assert_held(&mut pusher, "its push");
    // That there is nothing is news as well, until the pop is durable.
    let mut late = primary.client();
    send(&mut late, "BLPOP list 0.01");
    assert_held(&mut late, "an empty list");
    let mut other = primary.client();
    assert_eq!(other.cmd("BLPOP other 0.01"), RespValue::NullArray);
    replicas[0].signal(Signal::SIGCONT);
    assert_eq!(next(&mut waiter), RespValue::Array(vec![bulk("list"), bulk("a")]));
    assert_eq!(next(&mut pusher), RespValue::Int(1));
    assert_eq!(next(&mut late), RespValue::NullArray);
    pusher.ok("SET key 1");
    assert_eq!(pusher.int("WAIT 1 0"), 1);
}

#[test]
fn a_reply_that_waited_in_vain_says_so() {
    let (primary, replicas) = nodes(&["--durable-acks", "1", "--durable-acks-timeout", "300"], 1);
    let mut client = primary.client();
    client.ok("SET clean 1");
    freeze(&replicas[0]);
    for words in ["SET key 1", "PING", "GET key", "MULTI", "INCR key", "INCR key", "EXEC", "GET clean"] {
        send(&mut client, words);
    }
    let replies: Vec<RespValue> = (0..8).map(|_| next(&mut client)).collect();
    let not_durable: Vec<bool> = replies.iter().map(is_not_durable).collect();
    assert_eq!(not_durable, [true, false, true, false, false, false, true, false], "{replies:?}");
    assert_eq!(replies[7], bulk("1"));
    let reply = client.error("INCR key");
    let wanted =
        "NOTDURABLE not fsynced by 1 replica in time; the write behind this reply may still become durable";
    assert_eq!(reply, wanted);
    assert_eq!(figure(&mut client, "outrigger_durable_acks_failed"), 4);
    assert_eq!(client.info("errorstat_NOTDURABLE").as_deref(), Some("count=4"));
    // It did become durable.
    replicas[0].signal(Signal::SIGCONT);
    client.ok("CONFIG SET durable-acks-timeout 0");
    assert_eq!(client.text("GET key"), "4");
    in_step(&primary, &replicas[0]);
}

#[test]
fn without_replicas_replies_wait_or_do_not_or_writes_are_refused() {
    let primary = primary(&["--durable-acks", "1", "--durable-acks-on-loss", "degrade"]);
    let mut client = primary.client();
    client.ok("SET key 1");
    assert_eq!(client.text("GET key"), "1");
    assert_eq!(client.info("outrigger_durable_acks_state").as_deref(), Some("degraded"));
    assert_eq!(figure(&mut client, "outrigger_durable_acks_degraded"), 2);
    client.ok("CONFIG SET durable-acks-on-loss error");
    let refused = "NOTDURABLE too few replicas that fsync are attached (0 of 1); nothing was written";
    assert_eq!(client.error("SET key 2"), refused);
    assert_eq!(client.error("BLPOP list 0"), refused);
    assert_eq!(client.cmd("GET absent"), RespValue::Null);
    assert!(is_not_durable(&client.cmd("GET key")));
    assert_eq!(client.info("outrigger_durable_acks_state").as_deref(), Some("refusing"));
    assert_eq!(figure(&mut client, "outrigger_durable_acks_refused"), 2);
    client.ok("CONFIG SET durable-acks-on-loss block");
    send(&mut client, "GET key");
    assert_held(&mut client, "a read of what nobody has");
    let mut replica = replica(&primary, &[]);
    assert_eq!(next(&mut client), bulk("1"));
    // Replies that wait when the last replica goes.
    for (policy, wanted) in [("degrade", "OK"), ("error", "NOTDURABLE")] {
        wait_durable_replicas(&primary, 1);
        client.ok(&format!("CONFIG SET durable-acks-on-loss {policy}"));
        client.ok("SET key 3");
        freeze(&replica);
        send(&mut client, "SET key 4");
        assert_held(&mut client, policy);
        replica.kill();
        let reply = next(&mut client);
        let text = reply.as_error().or(reply.as_bytes()).map(String::from_utf8_lossy);
        assert!(text.is_some_and(|text| text.starts_with(wanted)), "{policy}: {reply:?}");
        replica.restart();
    }
    wait_durable_replicas(&primary, 1);
    client.ok("SET key 5");
}

#[test]
fn a_connection_chooses_for_itself() {
    let (primary, replicas) = nodes(&[], 2);
    let (mut two, mut none) = (primary.client(), primary.client());
    none.ok("SET clean 1");
    two.ok("CLIENT DURABILITY 2");
    two.ok("SET key 1");
    freeze(&replicas[1]);
    none.ok("SET key 2");
    assert_eq!(none.text("GET key"), "2");
    let mut one = primary.client();
    one.ok("CLIENT DURABILITY 1");
    assert_eq!(one.text("GET key"), "2");
    one.ok("SET other 1");
    send(&mut two, "GET key");
    assert_held(&mut two, "two replicas");
    // Connections that have chosen nothing follow the setting, the others keep their choice.
    let mut config = primary.client();
    config.ok("CLIENT DURABILITY ASYNC");
    config.ok("CONFIG SET durable-acks 2 durable-acks-timeout 86400000");
    let fields =
        ["CONFIG GET durable-acks", "CONFIG GET durable-acks-timeout", "CONFIG GET durable-acks-on-loss"];
    for (words, value) in fields.iter().zip(["2", "86400000", "block"]) {
        let reply = config.cmd(words);
        assert_eq!(reply.as_slice().and_then(|pair| pair[1].as_bytes()), Some(value.as_bytes()), "{words}");
    }
    one.ok("SET other 2");
    send(&mut none, "SET key 3");
    assert_held(&mut none, "the setting");
    assert!(config.error("CONFIG SET durable-acks 17").contains("argument must be between 0 and 16"));
    assert!(config.error("CONFIG SET durable-acks-on-loss never").contains("block"));
    replicas[1].signal(Signal::SIGCONT);
    assert_eq!((next(&mut two), next(&mut none)), (bulk("2"), ok()));
    config.ok("CONFIG SET durable-acks 0");
    freeze(&replicas[1]);
    none.ok("SET key 4");
    assert_eq!(two.text("RESET"), "RESET");
    two.ok("SET key 5");
    replicas[1].signal(Signal::SIGCONT);
}

#[test]
fn a_node_that_is_demoted_promises_nothing() {
    let (primary, replicas) = nodes(&["--durable-acks", "1"], 1);
    let other = super::primary(&[]);
    let (mut writer, mut reader) = (primary.client(), primary.client());
    writer.ok("SET key 1");
    freeze(&replicas[0]);
    send(&mut writer, "SET key 2");
    send(&mut writer, "SET key 3");
    assert_held(&mut writer, "the write");
    send(&mut reader, "GET key");
    assert_held(&mut reader, "the read");
    let mut control = primary.client();
    // What is not on two disks when the role ends is nobody's promise, whatever comes to be of it.
    control.ok(&format!("REPLICAOF {}", address(&other)));
    for client in [&mut writer, &mut reader] {
        let reply = next(client);
        let text = reply.as_error().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        assert!(text.starts_with("NOTDURABLE the role of this node changed"), "{reply:?}");
    }
    assert!(next(&mut writer).as_error().is_some());
    wait_linked(&primary);
    // As a replica it answers at once; promoted, it has no replica and waits for nobody's fsync of what it wrote itself.
    assert_eq!(reader.cmd("GET key"), RespValue::Null);
    assert!(writer.error("SET key 4").starts_with("READONLY"));
    control.ok("REPLICAOF NO ONE");
    send(&mut writer, "SET key 5");
    assert_held(&mut writer, "a write after the promotion");
    let third = replica(&primary, &[]);
    assert_eq!(next(&mut writer), ok());
    in_step(&primary, &third);
}

/// Stock replicas acknowledge what they received; what asks ours to fsync does not disturb them.
#[test]
fn stock_replicas_go_on_and_do_not_count() {
    let primary = primary(&["--durable-acks", "1", "--durable-acks-timeout", "300"]);
    let Some(stock) = Server::redis(&["--replicaof", &address(&primary)]) else { return };
    wait_linked(&stock);
    let mut client = primary.client();
    assert!(is_not_durable(&client.cmd("SET key 1")));
    assert_eq!(figure(&mut client, "outrigger_durable_replicas"), 0);
    let _ours = replica(&primary, &[]);
    wait_durable_replicas(&primary, 1);
    client.ok("CONFIG SET durable-acks-timeout 0");
    for n in 0..50 {
        client.ok(&format!("SET key {n}"));
    }
    in_step(&primary, &stock);
    assert!(!stock.log().contains("CRITICAL"), "{}", stock.log());
}

/// Writers that count what they were told is done; the number of each that must be there.
struct Load {
    acknowledged: Vec<AtomicU64>,
    sent: Vec<AtomicU64>,
    ended: AtomicBool,
}

impl Load {
    fn new(writers: usize) -> Load {
        let zeros = || (0..writers).map(|_| AtomicU64::new(0)).collect();
        Load { acknowledged: zeros(), sent: zeros(), ended: AtomicBool::new(false) }
    }

    /// Appends 1, 2, 3, … to a list, 16 at a time, until the node is gone.
    fn write(&self, writer: usize, port: u16) {
        let Ok(mut client) = Client::connect(port) else { return };
        let key = format!("ledger:{writer}");
        let mut number = 0;
        while !self.ended.load(Ordering::Acquire) {
            for _ in 0..16 {
                number += 1;
                self.sent[writer].store(number, Ordering::Release);
                if client.send(&["RPUSH", &key, &number.to_string()]).is_err() {
                    return;
                }
            }
            for _ in 0..16 {
                match client.read() {
                    Ok(RespValue::Int(count)) => {
                        self.acknowledged[writer].store(count as u64, Ordering::Release)
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => return,
                }
            }
        }
    }

    /// Everything that was acknowledged is there, without a hole.
    fn check(&self, client: &mut Client) -> u64 {
        let mut all = 0;
        for (writer, acknowledged) in self.acknowledged.iter().enumerate() {
            let wanted = acknowledged.load(Ordering::Acquire);
            let reply = client.cmd(&format!("LRANGE ledger:{writer} 0 -1"));
            let there = reply.as_slice().expect("a list");
            assert!(
                there.len() as u64 >= wanted,
                "writer {writer}: {wanted} acknowledged, {} there",
                there.len()
            );
            assert!(there.len() as u64 <= self.sent[writer].load(Ordering::Acquire));
            for (index, entry) in there.iter().enumerate() {
                assert_eq!(entry.as_bytes(), Some((index + 1).to_string().as_bytes()), "writer {writer}");
            }
            all += wanted;
        }
        all
    }
}

/// What was acknowledged outlives the primary, and the replica's own process too.
#[test]
fn what_was_acknowledged_is_there_after_kills() {
    const WRITERS: usize = 8;
    for round in 0..scaled(4) {
        let (mut first, mut replicas) = nodes(&["--durable-acks", "1"], 1);
        let second = &mut replicas[0];
        let load = Load::new(WRITERS);
        std::thread::scope(|scope| {
            let port = first.port();
            for writer in 0..WRITERS {
                let load = &load;
                scope.spawn(move || load.write(writer, port));
            }
            std::thread::sleep(Duration::from_millis(400 + 150 * round as u64));
            if round % 2 == 1 {
                second.kill();
            }
            first.kill();
            load.ended.store(true, Ordering::Release);
        });
        if round % 2 == 1 {
            second.restart();
        }
        let mut client = second.client();
        client.ok("REPLICAOF NO ONE");
        let acknowledged = load.check(&mut client);
        assert!(acknowledged > 100, "round {round}: only {acknowledged} writes");
        // The old primary's place is taken by a node that follows; the promises go on.
        let third = super::primary(&[]);
        order(&third, second);
        wait_linked(&third);
        client.ok("CONFIG SET durable-acks 1");
        client.ok("SET more 1");
        in_step(second, &third);
    }
}

/// A message does not overtake a reply that is held: whoever is told of a change must not be told of the old value after it.
#[test]
fn messages_wait_behind_replies_that_are_held() {
    let first = primary(&[]);
    let mut client = first.client3();
    let subscribed = next_after(&mut client, "SUBSCRIBE c");
    assert_eq!(subscribed, RespValue::Push(vec![bulk("subscribe"), bulk("c"), RespValue::Int(1)]));
    client.ok("CLIENT DURABILITY 1");
    send(&mut client, "SET k v");
    assert_held(&mut client, "the write");
    assert_eq!(first.client().int("PUBLISH c m"), 1);
    assert_held(&mut client, "the message");
    let _second = replica(&first, &[]);
    assert_eq!(next(&mut client), ok());
    assert_eq!(next(&mut client), RespValue::Push(vec![bulk("message"), bulk("c"), bulk("m")]));
}

fn next_after(client: &mut Client, words: &str) -> RespValue {
    send(client, words);
    next(client)
}
