//! Publishing and subscribing.

use super::blocking::waiting;
use super::on_each_server;
use crate::support::{Client, Server, scaled, wait_for};
use outrigger::resp::RespValue;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn bulk(text: &str) -> RespValue {
    RespValue::Bulk(text.as_bytes().to_vec())
}

/// What a push of these words looks like to a client; a number is an integer, `-` is nothing.
fn parts(words: &str) -> Vec<RespValue> {
    let part = |word: &str| match word {
        "-" => RespValue::Null,
        word => word.parse().map_or_else(|_| bulk(word), RespValue::Int),
    };
    words.split(' ').map(part).collect()
}

fn push2(words: &str) -> RespValue {
    RespValue::Array(parts(words))
}

fn push3(words: &str) -> RespValue {
    RespValue::Push(parts(words))
}

/// Sends a command that is answered by these pushes, one a line.
fn expect(client: &mut Client, words: &str, push: fn(&str) -> RespValue, answers: &[&str]) {
    client.send(&words.split(' ').collect::<Vec<_>>()).expect("send");
    for answer in answers {
        assert_eq!(client.read().expect("an answer"), push(answer), "{words}");
    }
}

fn read_all(client: &mut Client, push: fn(&str) -> RespValue, messages: &[&str]) {
    for message in messages {
        assert_eq!(client.read().expect("a message"), push(message));
    }
}

#[test]
fn messages_reach_subscribers_in_either_protocol() {
    on_each_server(|server| {
        let (mut old, mut new, mut publisher) = (server.client(), server.client3(), server.client());
        for (client, push) in [(&mut old, push2 as fn(&str) -> RespValue), (&mut new, push3)] {
            expect(client, "SUBSCRIBE a b a", push, &["subscribe a 1", "subscribe b 2", "subscribe a 2"]);
            expect(client, "PSUBSCRIBE a* ?", push, &["psubscribe a* 3", "psubscribe ? 4"]);
            expect(client, "SSUBSCRIBE a", push, &["ssubscribe a 1"]);
        }
        assert_eq!(publisher.int("PUBLISH a one"), 6);
        assert_eq!(publisher.int("PUBLISH b two"), 4);
        assert_eq!(publisher.int("PUBLISH abc three"), 2);
        assert_eq!(publisher.int("PUBLISH xyz four"), 0);
        assert_eq!(publisher.int("SPUBLISH a five"), 2);
        assert_eq!(publisher.int("SPUBLISH b six"), 0);
        for (client, push) in [(&mut old, push2 as fn(&str) -> RespValue), (&mut new, push3)] {
            // Which of two patterns comes first is left open.
            assert_eq!(client.read().expect("a message"), push("message a one"));
            let mut two =
                [client.read().expect("one"), client.read().expect("other")].map(|it| format!("{it:?}"));
            two.sort();
            let mut both = [push("pmessage a* a one"), push("pmessage ? a one")].map(|it| format!("{it:?}"));
            both.sort();
            assert_eq!(two, both);
            read_all(
                client,
                push,
                &["message b two", "pmessage ? b two", "pmessage a* abc three", "smessage a five"],
            );
            expect(client, "UNSUBSCRIBE b nosuch", push, &["unsubscribe b 3", "unsubscribe nosuch 3"]);
            expect(client, "PUNSUBSCRIBE ?", push, &["punsubscribe ? 2"]);
            expect(client, "UNSUBSCRIBE", push, &["unsubscribe a 1"]);
            expect(client, "UNSUBSCRIBE", push, &["unsubscribe - 1"]);
            expect(client, "PUNSUBSCRIBE", push, &["punsubscribe a* 0"]);
            expect(client, "SUNSUBSCRIBE", push, &["sunsubscribe a 0"]);
            expect(client, "SUNSUBSCRIBE", push, &["sunsubscribe - 0"]);
            expect(client, "PUNSUBSCRIBE x", push, &["punsubscribe x 0"]);
            assert_eq!(client.cmd("GET none"), RespValue::Null, "an ordinary client again");
        }
        assert_eq!(publisher.int("PUBLISH a nobody"), 0);
    });
}

#[test]
fn what_a_subscriber_may_do() {
    on_each_server(|server| {
        let mut client = server.client();
        expect(&mut client, "SUBSCRIBE a", push2, &["subscribe a 1"]);
        let refused = |name: &str| {
            format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed \
                 in this context"
            )
        };
        for (words, name) in [
            ("GET k", "get"),
            ("SET k v", "set"),
            ("PUBLISH a b", "publish"),
            ("PUBSUB NUMPAT", "pubsub|numpat"),
            ("CLIENT ID", "client|id"),
            ("MULTI", "multi"),
            ("HELLO 3", "hello"),
            ("MONITOR", "monitor"),
        ] {
            assert_eq!(client.error(words), refused(name), "{words}");
        }
        let aborted = format!("EXECABORT Transaction discarded because of: {}", &refused("exec")[4..]);
        assert_eq!(client.error("EXEC"), aborted);
        assert!(client.error("NOSUCH").starts_with("ERR unknown command"));
        assert!(client.error("GET").starts_with("ERR wrong number"));
        assert!(client.error("PING a b").starts_with("ERR wrong number"));
        assert_eq!(client.command(&["PING"]), RespValue::Array(vec![bulk("pong"), bulk("")]));
        assert_eq!(client.cmd("PING hi"), RespValue::Array(vec![bulk("pong"), bulk("hi")]));
        expect(&mut client, "PSUBSCRIBE p", push2, &["psubscribe p 2"]);
        assert_eq!(client.text("RESET"), "RESET");
        assert_eq!(client.text("PING"), "PONG");
        assert_eq!(client.cmd("PUBSUB CHANNELS"), RespValue::Array(Vec::new()));
        assert_eq!(client.int("PUBSUB NUMPAT"), 0);
        // A shard channel alone makes a subscriber, too.
        expect(&mut client, "SSUBSCRIBE s", push2, &["ssubscribe s 1"]);
        assert_eq!(client.error("GET k"), refused("get"));
        expect(&mut client, "SUNSUBSCRIBE s", push2, &["sunsubscribe s 0"]);
        assert_eq!(client.cmd("GET k"), RespValue::Null);
        // With RESP3 nothing is refused, until the client goes back.
        client.hello3();
        expect(&mut client, "SUBSCRIBE a", push3, &["subscribe a 1"]);
        assert_eq!(client.cmd("GET k"), RespValue::Null);
        assert_eq!(client.text("PING"), "PONG");
        client.cmd("HELLO 2");
        assert_eq!(client.error("GET k"), refused("get"));
        assert_eq!(server.client().int("PUBLISH a m"), 1);
        read_all(&mut client, push2, &["message a m"]);
        assert_eq!(client.text("QUIT"), "OK");
        assert!(client.is_closed_by_server());
    });
}

#[test]
fn of_channels_of_shards_a_transaction_makes_no_subscriber() {
    on_each_server(|server| {
        let mut client = server.client();
        client.ok("MULTI");
        for words in ["SSUBSCRIBE s", "SUNSUBSCRIBE s"] {
            assert_eq!(client.cmd(words), RespValue::Simple(b"QUEUED".to_vec()));
        }
        let refused = RespValue::Error(b"ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client".to_vec());
        assert_eq!(client.cmd("EXEC"), RespValue::Array(vec![refused, push2("sunsubscribe s 0")]));
        assert_eq!(client.cmd("PUBSUB SHARDCHANNELS"), RespValue::Array(Vec::new()));
        assert_eq!(client.cmd("GET k"), RespValue::Null);
    });
}

#[test]
fn a_star_finds_no_channel_without_a_name() {
    on_each_server(|server| {
        let mut client = server.client3();
        expect(&mut client, "PSUBSCRIBE * **", push3, &["psubscribe * 1", "psubscribe ** 2"]);
        let mut other = server.client();
        assert_eq!(other.command(&["PUBLISH", "", "m"]), RespValue::Int(0));
        assert_eq!(other.command(&["PUBLISH", "c", "m"]), RespValue::Int(2));
    });
}

#[test]
fn questions_about_subscriptions() {
    on_each_server(|server| {
        let mut one = server.client3();
        let mut two = server.client();
        expect(&mut one, "SUBSCRIBE a b", push3, &["subscribe a 1", "subscribe b 2"]);
        expect(&mut one, "PSUBSCRIBE x* y*", push3, &["psubscribe x* 3", "psubscribe y* 4"]);
        expect(&mut two, "SUBSCRIBE a", push2, &["subscribe a 1"]);
        expect(&mut two, "PSUBSCRIBE x*", push2, &["psubscribe x* 2"]);
        expect(&mut two, "SSUBSCRIBE s", push2, &["ssubscribe s 1"]);
        let mut client = server.client();
        let sorted = |reply: RespValue| {
            let mut names: Vec<String> =
                reply.as_slice().expect("names").iter().map(|it| format!("{it:?}")).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(sorted(client.cmd("PUBSUB CHANNELS")), r#""a" "b""#);
        assert_eq!(sorted(client.cmd("PUBSUB CHANNELS [b-z]")), r#""b""#);
        assert_eq!(sorted(client.cmd("PUBSUB SHARDCHANNELS")), r#""s""#);
        assert_eq!(sorted(client.cmd("PUBSUB SHARDCHANNELS a")), "");
        assert_eq!(client.int("PUBSUB NUMPAT"), 2);
        assert_eq!(client.cmd("PUBSUB NUMSUB a b c"), push2("a 2 b 1 c 0"));
        assert_eq!(client.cmd("PUBSUB NUMSUB"), RespValue::Array(Vec::new()));
        assert_eq!(client.cmd("PUBSUB SHARDNUMSUB s a"), push2("s 1 a 0"));
        for (field, count) in
            [("pubsub_channels", "2"), ("pubsub_patterns", "2"), ("pubsubshard_channels", "1")]
        {
            assert_eq!(client.info(field).as_deref(), Some(count), "{field}");
        }
        let list = client.text("CLIENT LIST TYPE pubsub");
        assert_eq!(list.lines().count(), 2, "{list}");
        assert!(list.lines().all(|line| line.contains(" flags=P ")), "{list}");
        assert!(list.contains(" sub=2 psub=2 ssub=0 ") && list.contains(" sub=1 psub=1 ssub=1 "), "{list}");
        assert_eq!(client.text("CLIENT LIST TYPE normal").lines().count(), 1);
        for words in ["PUBSUB CHANNELS a b", "PUBSUB SHARDCHANNELS a b"] {
            let name = words.split(' ').nth(1).expect("a name");
            let text =
                format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try PUBSUB HELP.");
            assert_eq!(client.error(words), text);
        }
        assert_eq!(client.error("PUBSUB NOSUCH"), "ERR unknown subcommand 'NOSUCH'. Try PUBSUB HELP.");
        assert_eq!(client.int("CLIENT KILL TYPE pubsub"), 2);
        assert!(one.is_closed_by_server() && two.is_closed_by_server());
        wait_for("the subscriptions to go", Duration::from_secs(10), || client.int("PUBSUB NUMPAT") == 0);
        assert_eq!(client.cmd("PUBSUB CHANNELS"), RespValue::Array(Vec::new()));
    });
}

#[test]
fn subscribing_in_transactions_and_without_replies() {
    on_each_server(|server| {
        let mut client = server.client();
        client.ok("MULTI");
        for words in ["SUBSCRIBE a", "GET k", "PING"] {
            assert_eq!(client.text(words), "QUEUED");
        }
        let pong = RespValue::Array(vec![bulk("pong"), bulk("")]);
        let replies = RespValue::Array(vec![push2("subscribe a 1"), RespValue::Null, pong]);
        assert_eq!(client.cmd("EXEC"), replies);
        assert!(client.error("GET k").starts_with("ERR Can't execute 'get'"));
        assert_eq!(server.client().int("PUBLISH a m"), 1);
        read_all(&mut client, push2, &["message a m"]);
        client.cmd("RESET");
        client.ok("MULTI");
        client.cmd("SUBSCRIBE a");
        assert_eq!(client.text("RESET"), "RESET");
        assert_eq!(client.int("PUBLISH a nobody"), 0);
        // Pushes are not replies: who wants none of those gets them all the same.
        client.send(&["CLIENT", "REPLY", "OFF"]).expect("send");
        expect(&mut client, "SUBSCRIBE off", push2, &["subscribe off 1"]);
        assert_eq!(server.client().int("PUBLISH off m"), 1);
        read_all(&mut client, push2, &["message off m"]);
        let mut other = server.client3();
        other.send(&["CLIENT", "REPLY", "SKIP"]).expect("send");
        expect(&mut other, "SUBSCRIBE x", push3, &["subscribe x 1"]);
        assert_eq!(other.text("PING"), "PONG", "only one reply is skipped");
        other.send(&["CLIENT", "REPLY", "OFF"]).expect("send");
        other.send(&["GET", "k"]).expect("send");
        other.send(&["MULTI"]).expect("send");
        other.send(&["SUBSCRIBE", "y"]).expect("send");
        other.send(&["EXEC"]).expect("send");
        assert_eq!(other.read().expect("a push"), push3("subscribe y 2"));
        other.ok("CLIENT REPLY ON");
    });
}

/// As in 7.2; a stock 7.0 tells its own messages before and within replies.
#[test]
fn own_messages_come_behind_the_reply() {
    let server = Server::ours(&[]);
    let mut client = server.client3();
    expect(&mut client, "SUBSCRIBE a", push3, &["subscribe a 1"]);
    expect(&mut client, "PSUBSCRIBE a*", push3, &["psubscribe a* 2"]);
    let commands = [vec!["PUBLISH", "a", "m"], vec!["PING"]];
    let mut bytes = Vec::new();
    commands.iter().for_each(|args| outrigger::resp::write_command(&mut bytes, args));
    client.send_raw(&bytes).expect("send");
    assert_eq!(client.read().expect("the reply"), RespValue::Int(2));
    read_all(&mut client, push3, &["message a m", "pmessage a* a m"]);
    assert_eq!(client.read().expect("the reply"), RespValue::Simple(b"PONG".to_vec()));
    client.ok("MULTI");
    client.cmd("PUBLISH a in");
    client.cmd("PING");
    let pong = RespValue::Simple(b"PONG".to_vec());
    assert_eq!(client.cmd("EXEC"), RespValue::Array(vec![RespValue::Int(2), pong]));
    read_all(&mut client, push3, &["message a in", "pmessage a* a in"]);
    for mode in ["SKIP", "OFF"] {
        client.send(&["CLIENT", "REPLY", mode]).expect("send");
        client.send(&["PUBLISH", "a", mode]).expect("send");
        read_all(&mut client, push3, &[&format!("message a {mode}"), &format!("pmessage a* a {mode}")]);
    }
    client.ok("CLIENT REPLY ON");
}

/// A client that waits in a command, or is held back by a pause, is told at once.
#[test]
fn who_waits_is_told() {
    on_each_server(|server| {
        let mut waiter = server.client3();
        expect(&mut waiter, "SUBSCRIBE a", push3, &["subscribe a 1"]);
        waiter.send(&["BLPOP", "list", "0"]).expect("send");
        let mut client = server.client();
        wait_for("it to wait", Duration::from_secs(10), || {
            client.info("blocked_clients").as_deref() == Some("1")
        });
        for n in 0..3 {
            assert_eq!(client.int(&format!("PUBLISH a m{n}")), 1);
            read_all(&mut waiter, push3, &[&format!("message a m{n}")]);
        }
        assert_eq!(client.int("RPUSH list x"), 1);
        assert_eq!(waiter.read().expect("the reply"), RespValue::Array(vec![bulk("list"), bulk("x")]));
        client.ok("CLIENT PAUSE 100000 WRITE");
        waiter.send(&["SET", "k", "v"]).expect("send");
        let mut publisher = server.client();
        publisher.send(&["PUBLISH", "a", "late"]).expect("send");
        wait_for("both to wait", Duration::from_secs(10), || {
            client.info("blocked_clients").as_deref() == Some("2")
        });
        client.ok("CLIENT UNPAUSE");
        assert_eq!(publisher.read().expect("the reply"), RespValue::Int(1));
        let (one, other) = (waiter.read().expect("one"), waiter.read().expect("other"));
        assert!([&one, &other].contains(&&push3("message a late")), "{one:?} {other:?}");
    });
    let server = Server::ours(&[]);
    let mut both = waiting(&server, "BLPOP list 0");
    assert_eq!(server.client().int("RPUSH list x"), 1);
    assert_eq!(both.read().expect("the reply"), RespValue::Array(vec![bulk("list"), bulk("x")]));
}

/// What was published before a client sends a command comes before that command's reply, and after the confirmation that
/// nothing more will come nothing more comes.
#[test]
fn messages_keep_their_place_among_replies() {
    for threads in ["1", "3"] {
        let server = Server::ours(&["--io-threads", threads]);
        let (mut client, mut publisher) = (server.client3(), server.client());
        for round in 0..200 {
            expect(&mut client, "SUBSCRIBE a", push3, &["subscribe a 1"]);
            assert_eq!(publisher.int(&format!("PUBLISH a x{round}")), 1);
            client.send(&["PING"]).expect("send");
            read_all(&mut client, push3, &[&format!("message a x{round}")]);
            assert_eq!(client.read().expect("the reply"), RespValue::Simple(b"PONG".to_vec()));
            assert_eq!(publisher.int(&format!("PUBLISH a y{round}")), 1);
            client.send(&["UNSUBSCRIBE", "a"]).expect("send");
            read_all(&mut client, push3, &[&format!("message a y{round}"), "unsubscribe a 0"]);
            assert_eq!(publisher.int("PUBLISH a nobody"), 0);
        }
    }
}

#[test]
fn nothing_comes_after_the_end_of_a_subscription_while_messages_fly() {
    let server = Server::ours(&["--io-threads", "3"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for publisher in 0..2 {
            let (mut client, done) = (server.client(), &done);
            scope.spawn(move || {
                let batch: Vec<Vec<String>> = (0..50)
                    .map(|n| vec!["PUBLISH".into(), "a".into(), format!("m{publisher}:{n}")])
                    .collect();
                while !done.load(Ordering::Relaxed) {
                    client.pipeline(&batch);
                }
            });
        }
        let mut client = server.client3();
        let mut heard = 0;
        for _ in 0..scaled(300) {
            expect(&mut client, "SUBSCRIBE a", push3, &["subscribe a 1"]);
            while client.read().expect("a message") != push3("message a m0:7") {
                heard += 1;
            }
            client.send(&["UNSUBSCRIBE", "a"]).expect("send");
            while client.read().expect("a message") != push3("unsubscribe a 0") {
                heard += 1;
            }
            assert_eq!(client.text("PING"), "PONG", "and not a message");
        }
        done.store(true, Ordering::Relaxed);
        assert!(heard > 0);
    });
}

#[test]
fn a_thousand_subscribers_hear_everything_in_order() {
    const MESSAGES: usize = 50;
    let server = Server::ours(&["--io-threads", "3"]);
    let mut listeners: Vec<Client> = (0..1_000).map(|_| server.client()).collect();
    for (n, listener) in listeners.iter_mut().enumerate() {
        match n % 2 {
            0 => expect(listener, "SUBSCRIBE news", push2, &["subscribe news 1"]),
            _ => expect(listener, "PSUBSCRIBE n*", push2, &["psubscribe n* 1"]),
        }
    }
    let mut publisher = server.client();
    let batch: Vec<Vec<String>> =
        (0..MESSAGES).map(|n| vec!["PUBLISH".into(), "news".into(), format!("m{n}")]).collect();
    for reply in publisher.pipeline(&batch) {
        assert_eq!(reply, RespValue::Int(1_000));
    }
    for (n, listener) in listeners.iter_mut().enumerate() {
        let head = if n % 2 == 0 { "message news" } else { "pmessage n* news" };
        (0..MESSAGES).for_each(|m| read_all(listener, push2, &[&format!("{head} m{m}")]));
    }
    assert_eq!(publisher.info("pubsub_clients").as_deref(), Some("1000"));
    drop(listeners);
    wait_for("all to be forgotten", Duration::from_secs(20), || {
        publisher.info("pubsub_channels").as_deref() == Some("0")
            && publisher.info("pubsub_patterns").as_deref() == Some("0")
    });
    assert_eq!(publisher.int("PUBLISH news nobody"), 0);
}
