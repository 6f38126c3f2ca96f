//! CLIENT TRACKING: whoever keeps copies of keys is told when they change.

use super::on_each_server;
use crate::support::{Client, Server, scaled, wait_for};
use outrigger::resp::RespValue;
use std::time::Duration;

fn bulk(text: &str) -> RespValue {
    RespValue::Bulk(text.as_bytes().to_vec())
}

fn bulks(words: &str) -> RespValue {
    RespValue::Array(words.split_whitespace().map(bulk).collect())
}

/// The push that tells a RESP3 client of these keys.
fn invalidated(keys: &str) -> RespValue {
    RespValue::Push(vec![bulk("invalidate"), bulks(keys)])
}

/// The same for a RESP2 client that listens for another.
fn invalidated_elsewhere(keys: &str) -> RespValue {
    RespValue::Array(vec![bulk("message"), bulk("__redis__:invalidate"), bulks(keys)])
}

fn everything() -> RespValue {
    RespValue::Push(vec![bulk("invalidate"), RespValue::Null])
}

/// Nothing has been pushed: the next thing that comes is the answer to a PING.
fn expect_nothing(client: &mut Client) {
    assert_eq!(client.text("PING"), "PONG");
}

fn expect(client: &mut Client, push: &RespValue) {
    assert_eq!(&client.read().expect("a push"), push);
}

/// A RESP3 client that tracks so, and one that writes.
fn tracking(server: &Server, options: &str) -> (Client, Client) {
    let mut reader = server.client3();
    reader.ok(&format!("CLIENT TRACKING ON{options}"));
    (reader, server.client())
}

#[test]
fn readers_are_told_once_of_what_they_read() {
    on_each_server(|server| {
        let (mut reader, mut writer) = tracking(server, "");
        writer.ok("MSET a 1 b 2 c 3");
        reader.cmd("GET a");
        reader.cmd("MGET b c nosuch");
        writer.ok("SET a 2");
        expect(&mut reader, &invalidated("a"));
        writer.ok("SET a 3");
        writer.int("DEL b");
        expect(&mut reader, &invalidated("b"));
        writer.int("RPUSH nosuch x");
        expect(&mut reader, &invalidated("nosuch"));
        expect_nothing(&mut reader);
        // What it changes itself it is told of behind the answer.
        reader.ok("SET c 4");
        expect(&mut reader, &invalidated("c"));
        // A command that changes nothing changes no copy.
        reader.cmd("GET a");
        writer.int("DEL missing");
        writer.cmd("SET a 1 NX");
        writer.int("EXPIRE a 100");
        expect(&mut reader, &invalidated("a"));
        // Commands that only write leave nothing to be told.
        reader.int("INCR a");
        writer.ok("SET a 9");
        expect_nothing(&mut reader);
        reader.ok("CLIENT TRACKING OFF");
        reader.cmd("GET a");
        writer.ok("SET a 10");
        expect_nothing(&mut reader);
        reader.ok("CLIENT TRACKING OFF");
    });
}

#[test]
fn keys_that_go_by_themselves_are_told() {
    on_each_server(|server| {
        let (mut reader, mut writer) = tracking(server, "");
        writer.ok("SET a 1 PX 30");
        reader.cmd("GET a");
        expect(&mut reader, &invalidated("a"));
        writer.ok("SET a 1");
        writer.ok("SET b 1");
        reader.cmd("MGET a b");
        writer.ok("FLUSHDB");
        expect(&mut reader, &everything());
        writer.ok("SET a 1");
        expect_nothing(&mut reader);
        // Evicted.
        writer.ok("CONFIG SET maxmemory-policy allkeys-random");
        reader.cmd("GET a");
        writer.ok("CONFIG SET maxmemory 1");
        writer.error("SET b 1");
        expect(&mut reader, &invalidated("a"));
        writer.ok("CONFIG SET maxmemory 0");
        writer.ok("CONFIG SET maxmemory-policy noeviction");
        reader.ok("CLIENT TRACKING OFF");
    });
}

#[test]
fn transactions_are_told_as_a_whole() {
    on_each_server(|server| {
        let (mut reader, mut writer) = tracking(server, "");
        writer.ok("MSET a 1 b 1");
        reader.ok("MULTI");
        for words in ["GET a", "GET b", "INCR b"] {
            assert_eq!(reader.text(words), "QUEUED");
        }
        assert_eq!(reader.cmd("EXEC"), RespValue::Array(vec![bulk("1"), bulk("1"), RespValue::Int(2)]));
        expect(&mut reader, &invalidated("b"));
        writer.ok("MULTI");
        writer.text("INCR a");
        writer.text("INCR a");
        writer.cmd("EXEC");
        expect(&mut reader, &invalidated("a"));
        expect_nothing(&mut reader);
        reader.ok("CLIENT TRACKING OFF");
    });
}

#[test]
fn another_connection_may_be_told_instead() {
    on_each_server(|server| {
        let (mut listener, mut reader, mut writer) = (server.client(), server.client3(), server.client());
        let id = listener.int("CLIENT ID");
        listener.cmd("SUBSCRIBE __redis__:invalidate");
        assert_eq!(reader.int("CLIENT GETREDIR"), -1);
        reader.ok(&format!("CLIENT TRACKING ON REDIRECT {id}"));
        assert_eq!(reader.int("CLIENT GETREDIR"), id);
        let line = reader.text("CLIENT INFO");
        assert!(line.contains(" flags=t ") && line.contains(&format!(" redir={id} ")), "{line}");
        writer.ok("MSET a 1 b 1");
        reader.cmd("MGET a b");
        writer.ok("SET a 2");
        expect(&mut listener, &invalidated_elsewhere("a"));
        writer.ok("FLUSHALL");
        let nothing = RespValue::Array(vec![bulk("message"), bulk("__redis__:invalidate"), RespValue::Null]);
        expect(&mut listener, &nothing);
        // It goes: the one that tracks learns at the next change.
        drop(listener);
        writer.ok("SET a 1");
        wait_for("the listener's end", Duration::from_secs(10), || {
            !writer.text("CLIENT LIST").contains(&format!("id={id} "))
        });
        reader.cmd("GET a");
        writer.ok("SET a 2");
        let broken = RespValue::Push(vec![bulk("tracking-redir-broken"), RespValue::Int(id)]);
        expect(&mut reader, &broken);
        assert!(reader.text("CLIENT INFO").contains(" flags=tR "));
        assert_eq!(flags_of(&mut reader), "broken_redirect on");
        // Another takes its place; this one speaks RESP3 and needs no subscription.
        let mut other = server.client3();
        let id = other.int("CLIENT ID");
        reader.ok(&format!("CLIENT TRACKING ON REDIRECT {id}"));
        reader.cmd("GET a");
        writer.ok("SET a 3");
        expect(&mut other, &invalidated("a"));
        expect_nothing(&mut reader);
        reader.ok("CLIENT TRACKING OFF");
    });
}

/// The flags of CLIENT TRACKINGINFO, sorted.
fn flags_of(client: &mut Client) -> String {
    let RespValue::Map(fields) = client.cmd("CLIENT TRACKINGINFO") else { panic!("a map") };
    let (_, flags) = fields.iter().find(|(name, _)| *name == bulk("flags")).expect("flags");
    let (RespValue::Set(flags) | RespValue::Array(flags)) = flags else { panic!("{flags:?}") };
    let mut flags: Vec<_> = flags
        .iter()
        .map(|it| if let RespValue::Bulk(it) = it { String::from_utf8_lossy(it) } else { "?".into() })
        .collect();
    flags.sort();
    flags.join(" ")
}

#[test]
fn prefixes_are_told_to_whoever_asked_for_them() {
    on_each_server(|server| {
        let (mut reader, mut writer) = tracking(server, " BCAST PREFIX user: PREFIX job:");
        writer.ok("SET user:1 x");
        expect(&mut reader, &invalidated("user:1"));
        writer.ok("SET other x");
        writer.ok("SET job: x");
        expect(&mut reader, &invalidated("job:"));
        writer.ok("SET user x");
        reader.cmd("GET other");
        writer.ok("SET other y");
        expect_nothing(&mut reader);
        assert_eq!(
            reader.error("CLIENT TRACKING ON BCAST PREFIX user:7"),
            "ERR Prefix 'user:7' overlaps with an existing prefix 'user:'. Prefixes for a single client must not overlap."
        );
        reader.ok("CLIENT TRACKING ON BCAST PREFIX list");
        writer.ok("SET list7 x");
        expect(&mut reader, &invalidated("list7"));
        writer.ok("SET user:2 x");
        expect(&mut reader, &invalidated("user:2"));
        assert_eq!(writer.info("tracking_total_prefixes").as_deref(), Some("3"));
        assert_eq!(writer.info("tracking_clients").as_deref(), Some("1"));
        assert!(reader.text("CLIENT INFO").contains(" flags=tB "));
        reader.ok("CLIENT TRACKING OFF");
        assert_eq!(writer.info("tracking_total_prefixes").as_deref(), Some("0"));
        // Without one it is all keys.
        reader.ok("CLIENT TRACKING ON BCAST");
        writer.ok("SET anything x");
        expect(&mut reader, &invalidated("anything"));
        reader.ok("CLIENT TRACKING OFF");
    });
}

#[test]
fn own_changes_need_not_be_told() {
    on_each_server(|server| {
        for mode in [" NOLOOP", " NOLOOP BCAST"] {
            let (mut reader, mut writer) = tracking(server, mode);
            writer.ok("MSET a 1 b 1");
            if mode.ends_with("BCAST") {
                expect(&mut reader, &invalidated("a b"));
            }
            reader.cmd("MGET a b");
            reader.ok("SET a 2");
            expect_nothing(&mut reader);
            writer.ok("SET b 2");
            expect(&mut reader, &invalidated("b"));
            reader.ok("CLIENT TRACKING OFF");
        }
    });
}

#[test]
fn caching_may_be_opted_in_and_out() {
    on_each_server(|server| {
        let (mut reader, mut writer) = tracking(server, " OPTIN");
        writer.ok("MSET a 1 b 1 c 1");
        assert_eq!(flags_of(&mut reader), "on optin");
        reader.cmd("GET a");
        reader.ok("CLIENT CACHING YES");
        assert_eq!(flags_of(&mut reader), "caching-yes on optin");
        reader.cmd("GET b");
        assert_eq!(flags_of(&mut reader), "on optin");
        reader.cmd("GET c");
        writer.ok("MSET a 2 b 2 c 2");
        expect(&mut reader, &invalidated("b"));
        // A transaction counts as one command.
        reader.ok("CLIENT CACHING YES");
        reader.ok("MULTI");
        reader.text("GET a");
        reader.text("GET b");
        reader.cmd("EXEC");
        reader.cmd("GET c");
        writer.ok("SET a 3");
        expect(&mut reader, &invalidated("a"));
        writer.ok("SET b 3");
        expect(&mut reader, &invalidated("b"));
        writer.ok("SET c 3");
        expect_nothing(&mut reader);
        let refused = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
        assert_eq!(reader.error("CLIENT CACHING NO"), refused);
        reader.ok("CLIENT TRACKING OFF");

        reader.ok("CLIENT TRACKING ON OPTOUT");
        reader.ok("CLIENT CACHING NO");
        assert_eq!(flags_of(&mut reader), "caching-no on optout");
        reader.cmd("GET a");
        reader.cmd("GET b");
        writer.ok("MSET a 4 b 4");
        expect(&mut reader, &invalidated("b"));
        expect_nothing(&mut reader);
        reader.ok("CLIENT TRACKING OFF");
    });
}

#[test]
fn what_does_not_fit_together_is_refused() {
    on_each_server(|server| {
        let mut client = server.client3();
        let switched =
            "before disabling tracking for this client, and then re-enabling it with a different mode.";
        for (words, text) in [
            ("ON PREFIX a", "ERR PREFIX option requires BCAST mode to be enabled"),
            ("ON BCAST OPTIN", "ERR OPTIN and OPTOUT are not compatible with BCAST"),
            ("ON OPTIN OPTOUT", "ERR You can't specify both OPTIN mode and OPTOUT mode"),
            ("ON REDIRECT 999999999", "ERR The client ID you want redirect to does not exist"),
            ("ON REDIRECT x", "ERR value is not an integer or out of range"),
            ("ON REDIRECT", "ERR syntax error"),
            ("ON NOSUCH", "ERR syntax error"),
            ("MAYBE", "ERR syntax error"),
            (
                "ON BCAST PREFIX ab PREFIX a",
                "ERR Prefix 'ab' overlaps with another provided prefix 'a'. Prefixes for a single client must not overlap.",
            ),
        ] {
            assert_eq!(client.error(&format!("CLIENT TRACKING {words}")), text, "{words}");
        }
        let id = client.int("CLIENT ID");
        assert_eq!(
            client.error(&format!("CLIENT TRACKING ON REDIRECT {id} REDIRECT {id}")),
            "ERR A client can only redirect to a single other client"
        );
        let caching = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled";
        assert_eq!(client.error("CLIENT CACHING YES"), caching);
        assert_eq!(flags_of(&mut client), "off");
        client.ok("CLIENT TRACKING ON OPTIN");
        assert_eq!(client.error("CLIENT CACHING MAYBE"), "ERR syntax error");
        assert_eq!(
            client.error("CLIENT TRACKING ON BCAST"),
            format!("ERR You can't switch BCAST mode on/off {switched}")
        );
        assert_eq!(
            client.error("CLIENT TRACKING ON OPTOUT"),
            format!("ERR You can't switch OPTIN/OPTOUT mode {switched}")
        );
        client.ok("CLIENT TRACKING ON");
        client.text("RESET");
        assert_eq!(client.int("CLIENT GETREDIR"), -1);
        assert_eq!(client.info("tracking_clients").as_deref(), Some("0"));
    });
}

#[test]
fn the_table_has_a_limit() {
    on_each_server(|server| {
        let (mut reader, mut writer) = tracking(server, "");
        writer.ok("CONFIG SET tracking-table-max-keys 10");
        for key in 0..30 {
            writer.ok(&format!("SET key:{key} x"));
            reader.send(&["GET", &format!("key:{key}")]).expect("send");
        }
        // Twenty pushes among thirty answers.
        let mut pushed = 0;
        for _ in 0..50 {
            match reader.read().expect("an answer or a push") {
                RespValue::Push(_) => pushed += 1,
                other => assert_eq!(other, bulk("x")),
            }
        }
        assert_eq!(pushed, 20);
        assert_eq!(writer.info("tracking_total_keys").as_deref(), Some("10"));
        assert_eq!(writer.info("tracking_total_items").as_deref(), Some("10"));
        drop(reader);
        wait_for("the end of tracking", Duration::from_secs(10), || {
            writer.info("tracking_clients").as_deref() == Some("0")
        });
        writer.ok("CONFIG SET tracking-table-max-keys 1000000");
    });
}

#[test]
fn a_replica_tells_of_what_its_primary_changes() {
    let primary = Server::ours(&["--save", ""]);
    let of = format!("127.0.0.1 {}", primary.port());
    let replica = Server::ours(&["--replicaof", &of, "--save", ""]);
    crate::support::nodes::wait_linked(&replica);
    let mut writer = primary.client();
    let mut reader = replica.client3();
    writer.ok("SET a 1");
    assert_eq!(writer.int("WAIT 1 5000"), 1);
    reader.ok("CLIENT TRACKING ON");
    assert_eq!(reader.cmd("GET a"), bulk("1"));
    writer.ok("SET a 2");
    expect(&mut reader, &invalidated("a"));
    assert_eq!(reader.cmd("GET a"), bulk("2"));
    writer.ok("FLUSHALL");
    expect(&mut reader, &everything());
    // So is a whole data set that takes the old one's place.
    let other = Server::ours(&["--save", ""]);
    reader.cmd("GET a");
    reader.ok(&format!("REPLICAOF 127.0.0.1 {}", other.port()));
    expect(&mut reader, &everything());
}

#[test]
fn who_was_answered_late_keeps_no_copy() {
    // A change may come in front of the answer, so that what the answer tells is older.
    let server = Server::ours(&[]);
    let (mut reader, mut writer) = tracking(&server, "");
    reader.send(&["XREAD", "BLOCK", "0", "STREAMS", "s", "0"]).expect("send");
    wait_for("the reader to be blocked", Duration::from_secs(10), || {
        writer.info("blocked_clients").as_deref() == Some("1")
    });
    writer.text("XADD s 1-1 f v");
    // The push of the entry that was added comes in front of the answer or behind it; the last is one of the answer's own.
    reader.send(&["PING"]).expect("send");
    let mut pushed = [0, 0];
    let mut answers = 0;
    while answers < 2 {
        match reader.read().expect("an answer or a push") {
            push @ RespValue::Push(_) => {
                assert_eq!(push, invalidated("s"));
                pushed[answers] += 1;
            }
            _ => answers += 1,
        }
    }
    assert!(pushed[1] > 0 && pushed[0] + pushed[1] == 2, "{pushed:?} in front of the answer and behind it");
    // A sort in steps.
    let mut numbers = vec!["RPUSH".to_owned(), "l".into()];
    numbers.extend((0..20_000).map(|number: u32| number.to_string()));
    writer.command(&numbers);
    reader.send(&["SORT_RO", "l"]).expect("send");
    assert!(matches!(reader.read().expect("an answer"), RespValue::Array(items) if items.len() == 20_000));
    expect(&mut reader, &invalidated("l"));
    expect_nothing(&mut reader);
}

/// Keeps copies as a library would.
struct Cache {
    client: Client,
    copies: Vec<Option<RespValue>>,
}

impl Cache {
    /// Sends a command and returns its answer, forgetting what is said to have changed before it.
    fn ask(&mut self, words: &str) -> RespValue {
        self.client.send(&words.split(' ').collect::<Vec<_>>()).expect("send");
        loop {
            match self.client.read().expect("an answer or a push") {
                RespValue::Push(parts) => self.forget(&parts),
                answer => return answer,
            }
        }
    }

    fn forget(&mut self, push: &[RespValue]) {
        let Some(RespValue::Array(names)) = push.get(1) else { panic!("{push:?}") };
        for name in names {
            let RespValue::Bulk(name) = name else { panic!("{name:?}") };
            let number = String::from_utf8_lossy(name)["key:".len()..].parse::<usize>().expect("a number");
            self.copies[number] = None;
        }
    }

    fn read(&mut self, key: usize) {
        let value = self.ask(&format!("GET key:{key}"));
        self.copies[key] = Some(value);
    }
}

#[test]
fn a_copy_that_nobody_was_told_of_is_what_the_server_has() {
    const KEYS: usize = 8;
    let server = Server::ours(&["--io-threads", "3"]);
    let mut cache = Cache { client: server.client3(), copies: vec![None; KEYS] };
    cache.client.ok("CLIENT TRACKING ON");
    let (mut writers, mut other) = ([server.client(), server.client()], server.client());
    let mut kept = 0;
    for round in 0..scaled(200) {
        // Writers and the reader at once; then, when the writers have had their answers, all must fit.
        std::thread::scope(|scope| {
            for (number, writer) in writers.iter_mut().enumerate() {
                scope.spawn(move || {
                    for turn in 0..10 {
                        writer.int(&format!("INCR key:{}", (round + number * 3 + turn * 5) % KEYS));
                    }
                });
            }
            (0..20).for_each(|turn| cache.read((round + turn) % KEYS));
        });
        cache.ask("PING");
        for (key, copy) in cache.copies.iter().enumerate() {
            let Some(copy) = copy else { continue };
            assert_eq!(*copy, other.cmd(&format!("GET key:{key}")), "round {round}, key:{key}");
            kept += 1;
        }
    }
    assert!(kept > 0, "no copy outlived the writing: nothing was compared");
}
