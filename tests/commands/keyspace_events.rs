//! Keyspace events: who is told what of which change.

use super::blocking::waiting;
use super::on_each_server;
use crate::support::nodes::{order, wait_linked};
use crate::support::{Client, Server, wait_for};
use outrigger::resp::RespValue;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who hears of all events, and of what marks the end of a question.
struct Listener {
    hears: Client,
    marks: Client,
}

impl Listener {
    fn new(server: &Server) -> Listener {
        let mut hears = server.client();
        hears.send(&["PSUBSCRIBE", "__key*", "marker"]).expect("send");
        (0..2).for_each(|_| drop(hears.read().expect("a confirmation")));
        Listener { hears, marks: server.client() }
    }

    fn message(&mut self) -> (String, String) {
        let message = self.hears.read().expect("a message");
        let text = |part: &RespValue| String::from_utf8_lossy(part.as_bytes().expect("text")).into_owned();
        let parts: Vec<String> = message.as_slice().expect("parts").iter().map(text).collect();
        (parts[2].clone(), parts[3].clone())
    }

    /// The channels and payloads of all messages until now.
    fn messages(&mut self) -> Vec<(String, String)> {
        self.marks.cmd("PUBLISH marker m");
        let mut heard = Vec::new();
        loop {
            match self.message() {
                (channel, _) if channel == "marker" => return heard,
                message => heard.push(message),
            }
        }
    }

    /// The events until now as `event key`, behind `DB:` in another database than 0. Each was told both ways.
    fn events(&mut self) -> Vec<String> {
        let messages = self.messages();
        let (pairs, rest) = messages.as_chunks::<2>();
        assert!(rest.is_empty(), "{messages:?}");
        pairs.iter().map(event).collect()
    }

    fn expect(&mut self, client: &mut Client, words: &str, events: &str) {
        let reply = client.cmd(words);
        assert!(reply.as_error().is_none(), "{words}: {reply:?}");
        assert_eq!(self.events().join(", "), events, "{words}");
    }

    /// Waits for this event.
    fn wait(&mut self, event_and_key: &str) {
        wait_for(event_and_key, PATIENCE, || self.events().iter().any(|told| told == event_and_key));
    }
}

/// What two messages tell, which must be the same.
fn event([by_key, by_event]: &[(String, String); 2]) -> String {
    let of = |channel: &str, kind: &str| -> (String, String) {
        let rest = channel.strip_prefix(kind).unwrap_or_else(|| panic!("{channel} is no {kind}"));
        let (db, name) = rest.split_once("__:").expect("a database and a name");
        (db.into(), name.into())
    };
    let (db, key) = of(&by_key.0, "__keyspace@");
    let other = of(&by_event.0, "__keyevent@");
    assert_eq!((&db, &by_key.1, &key), (&other.0, &other.1, &by_event.1));
    let place = if db == "0" { String::new() } else { format!("{db}:") };
    format!("{place}{} {key}", by_key.1)
}

fn set_events(client: &mut Client, letters: &str) {
    client.ok(&format!("CONFIG SET notify-keyspace-events {letters}"));
}

#[test]
fn the_directive() {
    on_each_server(|server| {
        let mut client = server.client();
        let told = |client: &mut Client| {
            let reply = client.cmd("CONFIG GET notify-keyspace-events");
            let values = reply.as_slice().expect("a name and a value").to_vec();
            String::from_utf8_lossy(values[1].as_bytes().expect("text")).into_owned()
        };
        assert_eq!(told(&mut client), "");
        for (letters, text) in
            [("KEA", "AKE"), ("xg", "gx"), ("Kmn", "nKm"), ("KEAmn", "AKEm"), ("tdezhsl$xgE", "AE")]
        {
            set_events(&mut client, letters);
            assert_eq!(told(&mut client), text, "{letters}");
        }
        assert_eq!(
            client.error("CONFIG SET notify-keyspace-events KEAq"),
            "ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - \
             Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
        );
        assert_eq!(told(&mut client), "AE");
        let nothing: [&[u8]; 4] = [b"CONFIG", b"SET", b"notify-keyspace-events", b""];
        assert_eq!(client.command(&nothing), RespValue::Simple(b"OK".to_vec()));
        assert_eq!(told(&mut client), "");
    });
    let server = Server::ours(&["--notify-keyspace-events", "Kg$"]);
    let mut listener = Listener::new(&server);
    server.client().ok("SET k v");
    assert_eq!(listener.messages(), [("__keyspace@0__:k".to_string(), "set".to_string())]);
}

#[test]
fn what_is_asked_for_is_told() {
    on_each_server(|server| {
        let (mut client, mut listener) = (server.client(), Listener::new(server));
        let mut told = |client: &mut Client, letters: &str| {
            set_events(client, letters);
            client.cmd("DEL k l");
            listener.messages();
            client.ok("SET k v EX 1000");
            client.cmd("RPUSH l a");
            client.cmd("GET none");
            let show = |(channel, payload): (String, String)| format!("{channel}={payload}");
            listener.messages().into_iter().map(show).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told(&mut client, "Anm"), "", "neither by key nor by event");
        assert_eq!(told(&mut client, "K$"), "__keyspace@0__:k=set");
        assert_eq!(told(&mut client, "E$"), "__keyevent@0__:set=k");
        assert_eq!(told(&mut client, "KEg"), "__keyspace@0__:k=expire __keyevent@0__:expire=k");
        assert_eq!(told(&mut client, "El"), "__keyevent@0__:rpush=l");
        assert_eq!(told(&mut client, "Km"), "__keyspace@0__:none=keymiss");
        assert_eq!(told(&mut client, "En"), "__keyevent@0__:new=k __keyevent@0__:new=l");
        assert_eq!(
            told(&mut client, "KA"),
            "__keyspace@0__:k=set __keyspace@0__:k=expire __keyspace@0__:l=rpush"
        );
        // What a client sends together with the change of the directive is subject to it.
        client.send_raw(b"CONFIG SET notify-keyspace-events KEA\r\nSET k w\r\n").expect("send");
        (0..2).for_each(|_| drop(client.read().expect("a reply")));
        assert_eq!(listener.events(), ["set k"]);
    });
}

/// Commands, and the events of each.
const FAMILIES: &[(&str, &str)] = &[
    // Strings.
    ("SET s v", "new s, set s"),
    ("SET s w XX GET", "set s"),
    ("SET s w NX GET", ""),
    ("SET s w EX 100", "set s, expire s"),
    ("SETEX s 100 v", "set s, expire s"),
    ("GETSET s v", "set s"),
    ("GETEX s EX 100", "expire s"),
    ("GETEX s PERSIST", "persist s"),
    ("GETEX s PERSIST", ""),
    ("GETEX s PXAT 1", "del s"),
    ("SETNX s v", "new s, set s"),
    ("APPEND s v", "append s"),
    ("SETRANGE s 1 x", "setrange s"),
    ("GETDEL s", "del s"),
    ("MSET s 1 t 2", "new s, set s, new t, set t"),
    ("MSETNX s 1 u 2", ""),
    ("INCR s", "incrby s"),
    ("DECRBY u 3", "new u, incrby u"),
    ("INCRBYFLOAT u 1.5", "incrbyfloat u"),
    ("SETBIT b 7 1", "new b, setbit b"),
    ("SETBIT b 7 1", ""),
    ("BITFIELD b SET u8 0 9", "setbit b"),
    ("BITOP NOT c b", "new c, set c"),
    ("BITOP AND c none", "keymiss none, del c"),
    ("PFADD p a", "new p, pfadd p"),
    ("PFADD p a", ""),
    ("PFMERGE q p", "keymiss q, new q, pfadd q"),
    ("GET none", "keymiss none"),
    // Keys of any type.
    ("DEL p q none", "del p, del q"),
    ("UNLINK b", "del b"),
    ("RENAME s t", "new t, rename_from s, rename_to t"),
    ("COPY t s", "new s, copy_to s"),
    ("COPY t s DB 1", "1:new s, 1:copy_to s"),
    ("COPY t s", ""),
    ("MOVE t 1", "1:new t, move_from t, 1:move_to t"),
    ("EXPIRE s 100", "expire s"),
    ("PERSIST s", "persist s"),
    ("EXPIREAT s 1", "del s"),
    ("OBJECT ENCODING none", ""),
    ("EXISTS none u", "keymiss none"),
    // Lists.
    ("LPUSH l a b", "new l, lpush l"),
    ("RPUSH l c d e", "rpush l"),
    ("LPUSHX none a", ""),
    ("LINSERT l BEFORE a x", "linsert l"),
    ("LSET l 0 y", "lset l"),
    ("LREM l 0 x", "lrem l"),
    ("LREM l 0 x", ""),
    ("LTRIM l 0 -1", "ltrim l"),
    ("LPOP l", "lpop l"),
    ("LMOVE l m LEFT RIGHT", "new m, rpush m, lpop l"),
    ("RPOPLPUSH m m", "lpush m, rpop m"),
    ("BLMOVE m l LEFT LEFT 0", "lpush l, lpop m, del m"),
    ("BRPOP l 0", "rpop l"),
    ("LMPOP 1 l LEFT COUNT 2", "lpop l"),
    ("RPOP l 9", "rpop l, del l"),
    ("RPUSH l 3 1 2", "new l, rpush l"),
    ("SORT l STORE sorted", "new sorted, sortstore sorted"),
    ("SORT none STORE sorted", "keymiss none, del sorted"),
    ("LTRIM l 5 6", "ltrim l, del l"),
    // Sets.
    ("SADD e a b c", "new e, sadd e"),
    ("SADD e a", ""),
    ("SREM e c d", "srem e"),
    ("SMOVE e f a", "srem e, new f, sadd f"),
    ("SUNIONSTORE g e f", "new g, sunionstore g"),
    ("SINTERSTORE g e f", "del g"),
    ("SDIFFSTORE g e f", "new g, sdiffstore g"),
    ("SINTERSTORE g e g", "sinterstore g"),
    ("SMOVE e f b", "srem e, del e, sadd f"),
    ("SPOP f", "spop f"),
    ("SPOP f 9", "spop f, del f"),
    ("SREM g b", "srem g, del g"),
    // Hashes.
    ("HSET h f v", "new h, hset h"),
    ("HSETNX h f v", ""),
    ("HSETNX h g 1", "hset h"),
    ("HINCRBY h g 1", "hincrby h"),
    ("HINCRBYFLOAT h g 1.5", "hincrbyfloat h"),
    ("HDEL h g none", "hdel h"),
    ("HDEL h f", "hdel h, del h"),
    // Sorted sets.
    ("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", "new z, zadd z"),
    ("ZADD z 1 a", ""),
    ("ZADD z INCR 1 a", "zincr z"),
    ("ZINCRBY z 1 a", "zincr z"),
    ("ZREM z a", "zrem z"),
    ("ZRANGESTORE y z 0 1", "new y, zrangestore y"),
    ("ZUNIONSTORE y 1 z", "zunionstore y"),
    ("ZINTERSTORE y 1 z", "zinterstore y"),
    ("ZDIFFSTORE y 2 z z", "del y"),
    ("ZDIFFSTORE y 1 z", "new y, zdiffstore y"),
    ("ZREMRANGEBYRANK z 0 0", "zremrangebyrank z"),
    ("ZREMRANGEBYSCORE z 3 3", "zremrangebyscore z"),
    ("ZPOPMIN z", "zpopmin z"),
    ("BZPOPMAX z 0", "zpopmax z"),
    ("ZMPOP 1 z MAX COUNT 9", "zpopmax z, del z"),
    ("ZREMRANGEBYLEX y - +", "zremrangebylex y, del y"),
    ("GEOADD geo 13.361389 38.115556 a", "new geo, zadd geo"),
    ("GEOSEARCHSTORE near geo FROMMEMBER a BYRADIUS 1 km", "new near, geosearchstore near"),
    ("GEORADIUSBYMEMBER geo a 1 km STORE near", "georadiusstore near"),
    ("GEOSEARCHSTORE near geo FROMLONLAT 0 0 BYRADIUS 1 km", "del near"),
    // Streams.
    ("XADD x 1-1 f v", "new x, xadd x"),
    ("XADD x MAXLEN 1 2-1 f v", "xadd x, xtrim x"),
    ("XGROUP CREATE x g 0", "xgroup-create x"),
    ("XGROUP CREATECONSUMER x g one", "xgroup-createconsumer x"),
    ("XGROUP CREATECONSUMER x g one", ""),
    ("XREADGROUP GROUP g two STREAMS x >", "xgroup-createconsumer x"),
    ("XGROUP DELCONSUMER x g one", "xgroup-delconsumer x"),
    ("XCLAIM x g three 0 2-1", "xgroup-createconsumer x"),
    ("XACK x g 2-1", ""),
    ("XGROUP SETID x g 0", "xgroup-setid x"),
    ("XGROUP DESTROY x g", "xgroup-destroy x"),
    ("XSETID x 9-1", "xsetid x"),
    ("XDEL x 2-1 3-1", "xdel x"),
    ("XADD x 10-1 f v", "xadd x"),
    ("XTRIM x MAXLEN 0", "xtrim x"),
    ("XTRIM x MAXLEN 0", ""),
    ("XGROUP CREATE stream g $ MKSTREAM", "new stream, xgroup-create stream"),
    // Whole databases.
    ("SWAPDB 0 1", ""),
    ("FLUSHALL", ""),
];

#[test]
fn each_family_tells() {
    on_each_server(|server| {
        let (mut client, mut listener) = (server.client(), Listener::new(server));
        set_events(&mut client, "KEAnm");
        for (words, events) in FAMILIES {
            listener.expect(&mut client, words, events);
        }
        client.ok("SET s v");
        let dump = client.cmd("DUMP s");
        let payload = dump.as_bytes().expect("a payload");
        let restore = |key: &'static [u8], ttl: &'static [u8]| {
            [b"RESTORE", key, ttl, payload, b"REPLACE", b"ABSTTL"].map(<[u8]>::to_vec)
        };
        listener.events();
        client.command(&restore(b"t", b"0"));
        assert_eq!(listener.events(), ["new t", "restore t"]);
        client.command(&restore(b"t", b"1"));
        assert_eq!(listener.events(), ["del t"]);
    });
}

/// Errors change nothing, and tell nothing.
#[test]
fn what_is_refused_is_not_told() {
    on_each_server(|server| {
        let (mut client, mut listener) = (server.client(), Listener::new(server));
        client.ok("SET s text");
        set_events(&mut client, "KEAn");
        for words in
            ["LPUSH s a", "INCR s", "SET k v EX 0", "ZADD z nan a", "XADD x 0-0 f v", "HINCRBY h f x"]
        {
            assert!(client.cmd(words).as_error().is_some(), "{words}");
        }
        assert_eq!(listener.events(), [""; 0]);
    });
}

#[test]
fn fields_of_hashes_that_expire() {
    let server = Server::ours(&["--notify-keyspace-events", "KEA"]);
    let (mut client, mut listener) = (server.client(), Listener::new(&server));
    for (words, events) in [
        ("HSET h a 1 b 2 c 3 d 4", "hset h"),
        ("HEXPIRE h 100 FIELDS 2 a b", "hexpire h"),
        ("HEXPIRE h 100 NX FIELDS 1 a", ""),
        ("HPERSIST h FIELDS 1 a", "hpersist h"),
        ("HPERSIST h FIELDS 1 a", ""),
        ("HPEXPIREAT h 1 FIELDS 1 b", "hdel h"),
        ("HGETEX h EX 100 FIELDS 1 c", "hexpire h"),
        ("HGETEX h PERSIST FIELDS 1 c", "hpersist h"),
        ("HSETEX h EX 100 FIELDS 1 e 5", "hset h, hexpire h"),
        ("HGETDEL h FIELDS 1 e", "hdel h"),
        ("HGETDEL h FIELDS 3 a c d", "hdel h, del h"),
        ("HSET h a 1 b 2", "hset h"),
        ("HPEXPIREAT h 1 FIELDS 2 a b", "hdel h, del h"),
        ("HSET h a 1 b 2", "hset h"),
        ("HPEXPIRE h 1 FIELDS 2 a b", "hexpire h"),
    ] {
        listener.expect(&mut client, words, events);
    }
    let mut told = Vec::new();
    wait_for("both fields to be told of", PATIENCE, || {
        told.extend(listener.events());
        told.last().is_some_and(|last| last == "del h")
    });
    assert!(told.iter().rev().skip(1).all(|event| event == "hexpired h") && told.len() > 1, "{told:?}");
    assert_eq!(client.int("EXISTS h"), 0);
}

#[test]
fn keys_that_expire_or_are_evicted() {
    on_each_server(|server| {
        let (mut client, mut listener) = (server.client(), Listener::new(server));
        set_events(&mut client, "KEAn");
        client.ok("SET by-itself v PX 1");
        listener.wait("expired by-itself");
        client.ok("CONFIG SET maxmemory-policy allkeys-random");
        client.ok("SET victim v");
        client.ok("CONFIG SET maxmemory 1");
        listener.wait("evicted victim");
        client.ok("CONFIG SET maxmemory 0");
    });
    // Where nothing expires by itself: a command comes upon it.
    let server = Server::ours(&["--enable-debug-command", "yes"]);
    let (mut client, mut listener) = (server.client(), Listener::new(&server));
    client.ok("DEBUG SET-ACTIVE-EXPIRE 0");
    set_events(&mut client, "KEAnm");
    for (words, events) in [
        ("GET k", "expired k, keymiss k"),
        ("SET k v", "expired k, new k, set k"),
        ("APPEND k v", "expired k, new k, append k"),
        ("SINTERSTORE k none", "keymiss none, del k"),
        ("SCAN 0", "expired k"),
        ("RENAME other k", "expired k, new k, rename_from other, rename_to k"),
        ("MULTI", ""),
    ] {
        client.ok("SET other v");
        client.ok("SET k v PX 1");
        std::thread::sleep(Duration::from_millis(5));
        listener.events();
        listener.expect(&mut client, words, events);
    }
    assert_eq!(client.text("GET k"), "QUEUED");
    client.cmd("EXEC");
    assert_eq!(listener.events(), ["expired k", "keymiss k"]);
}

#[test]
fn who_waited_is_served_and_that_is_told() {
    on_each_server(|server| {
        let (mut client, mut listener) = (server.client(), Listener::new(server));
        set_events(&mut client, "KEA");
        for (wait, words, events) in [
            ("BLPOP l 0", "RPUSH l a b", "rpush l, lpop l"),
            ("BLMOVE m n LEFT RIGHT 0", "RPUSH m a", "rpush m, rpush n, lpop m, del m"),
            ("BZPOPMIN z 0", "ZADD z 1 a", "zadd z, zpopmin z, del z"),
        ] {
            let mut waiter = waiting(server, wait);
            listener.expect(&mut client, words, events);
            waiter.read().expect("the reply");
        }
        let mut waiters = [waiting(server, "BLPOP l2 0"), waiting(server, "BRPOP l2 0")];
        listener.expect(&mut client, "RPUSH l2 a b", "rpush l2, lpop l2, rpop l2, del l2");
        waiters.iter_mut().for_each(|waiter| drop(waiter.read().expect("the reply")));
    });
}

#[test]
fn transactions_tell_in_order() {
    on_each_server(|server| {
        let (mut client, mut listener) = (server.client(), Listener::new(server));
        set_events(&mut client, "KA");
        let mut run = |client: &mut Client, commands: &[&str]| {
            client.ok("MULTI");
            commands.iter().for_each(|words| assert_eq!(client.text(words), "QUEUED"));
            client.cmd("EXEC");
            listener.messages().into_iter().map(|(_, payload)| payload).collect::<Vec<_>>().join(" ")
        };
        let told = run(
            &mut client,
            &["SET a v", "PUBLISH __key:own between", "RPUSH l x", "LPOP l", "INCR a", "DEL a"],
        );
        assert_eq!(told, "set between rpush lpop del del");
        // A directive that is changed within holds for what follows.
        let told = run(&mut client, &["SET a v", "CONFIG SET notify-keyspace-events Kg", "SET b v", "DEL a"]);
        assert_eq!(told, "set del");
    });
}

#[test]
fn a_migrated_key_is_told_as_deleted() {
    let (from, to) = (Server::ours(&["--notify-keyspace-events", "KEA"]), Server::ours(&[]));
    let (mut client, mut listener) = (from.client(), Listener::new(&from));
    client.ok("SET k v");
    listener.expect(&mut client, &format!("MIGRATE 127.0.0.1 {} k 0 5000", to.port()), "set k, del k");
}

/// A replica tells of what its primary has it do, in a transaction as a whole, and of nothing that it loads.
#[test]
fn replicas_tell_of_what_they_apply() {
    let run = |primary: &Server| {
        let mut client = primary.client();
        client.ok("SET before v");
        let replica = Server::ours(&["--notify-keyspace-events", "KEAn"]);
        let mut listener = Listener::new(&replica);
        order(&replica, primary);
        wait_linked(&replica);
        assert_eq!(listener.events(), [""; 0], "a full sync is no event");
        let mut told = |client: &mut Client, commands: &[&str], events: &str| {
            commands.iter().for_each(|words| drop(client.cmd(words)));
            let mut heard = Vec::new();
            client.cmd("SET end v");
            wait_for("the last command", PATIENCE, || {
                heard.extend(listener.events());
                heard.last().is_some_and(|last| last == "set end")
            });
            heard.retain(|event| !event.ends_with(" end"));
            assert_eq!(heard.join(", "), events, "{commands:?}");
        };
        told(&mut client, &["SET k v", "INCRBYFLOAT n 1.5"], "new k, set k, new n, set n");
        told(
            &mut client,
            &["SELECT 1", "LPUSH l a", "LPOP l", "SELECT 0"],
            "1:new l, 1:lpush l, 1:lpop l, 1:del l",
        );
        told(&mut client, &["MULTI", "SET k w", "DEL n", "EXEC"], "set k, del n");
        // Nothing goes by the replica's own clock, and the primary's word is a deletion.
        told(&mut client, &["PEXPIRE k 1000"], "expire k");
        wait_for("the key to go", PATIENCE, || client.int("EXISTS k") == 0);
        told(&mut client, &[], "del k");
        // A change of the directive holds for a link that is up.
        set_events(&mut replica.client(), "KEg");
        ["SET k v", "DEL k"].iter().for_each(|words| drop(client.cmd(words)));
        let mut heard = Vec::new();
        wait_for("the deletion", PATIENCE, || {
            heard.extend(listener.events());
            !heard.is_empty()
        });
        assert_eq!(heard, ["del k"]);
    };
    run(&Server::ours(&[]));
    if let Some(stock) = Server::redis(&[]) {
        run(&stock);
    }
}

/// The events of a key are told in the order of its changes, whoever makes them.
#[test]
fn events_of_a_key_keep_the_order_of_its_changes() {
    let server = Server::ours(&["--io-threads", "3", "--notify-keyspace-events", "KEg$n"]);
    let mut listeners = [Listener::new(&server), Listener::new(&server)];
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let mut client = server.client();
            scope.spawn(move || {
                for n in 0..300 {
                    client.cmd(if (n + thread) % 2 == 0 { "SET k v" } else { "DEL k" });
                }
            });
        }
    });
    let heard = listeners.each_mut().map(Listener::events);
    assert_eq!(heard[0], heard[1], "all hear the same");
    let mut is_there = false;
    let mut last = "";
    for (at, event) in heard[0].iter().enumerate() {
        match event.as_str() {
            "new k" => assert!(!is_there, "made twice at {at}"),
            "set k" => assert!(is_there || last == "new k", "set before it was made at {at}"),
            "del k" => assert!(is_there, "deleted twice at {at}"),
            other => panic!("{other} at {at}"),
        }
        is_there = event != "new k" && event != "del k";
        last = event;
    }
    assert!(heard[0].len() > 600);
}

/// A writable replica tells of its own clients' writes, and of their keys that expire.
#[test]
fn writable_replicas_tell_of_their_own_keys() {
    let primary = Server::ours(&[]);
    let replica = Server::ours(&["--notify-keyspace-events", "KEA", "--replica-read-only", "no"]);
    order(&replica, &primary);
    wait_linked(&replica);
    let (mut client, mut listener) = (replica.client(), Listener::new(&replica));
    listener.expect(&mut client, "RPUSH l a", "rpush l");
    listener.expect(&mut client, "LPOP l", "lpop l, del l");
    client.ok("SET own v PX 1");
    listener.wait("expired own");
}
