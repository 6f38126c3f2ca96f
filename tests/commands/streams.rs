//! Streams: readers that wait, and what replicas and other servers make of streams with groups.

use super::blocking::waiting;
use super::on_each_server;
use crate::persistence::nodes::Nodes;
use crate::support::rng::{Pick, Seeded};
use crate::support::{Client, Server, scaled, wait_for, without_pairs};
use outrigger::resp::RespValue;
use std::time::Duration;

fn bulk(text: &str) -> RespValue {
    RespValue::Bulk(text.as_bytes().to_vec())
}

fn array(items: Vec<RespValue>) -> RespValue {
    RespValue::Array(items)
}

/// What XREAD answers with one stream.
fn read(key: &str, entries: &[(&str, &str)]) -> RespValue {
    let entry = |(id, value): &(&str, &str)| array(vec![bulk(id), array(vec![bulk("f"), bulk(value)])]);
    array(vec![array(vec![bulk(key), array(entries.iter().map(entry).collect())])])
}

fn error(text: &str) -> RespValue {
    RespValue::Error(text.as_bytes().to_vec())
}

/// Runs commands; none of them may fail.
fn run(client: &mut Client, lines: &[&str]) {
    for line in lines {
        let reply = client.cmd(line);
        assert!(reply.as_error().is_none(), "{line}: {reply:?}");
    }
}

#[test]
fn what_wakes_readers() {
    let x = || read("s", &[("7-0", "x")]);
    let cases: &[(&str, &[&str], RespValue)] = &[
        ("XREAD BLOCK 0 STREAMS s $", &["XADD s 7 f x"], x()),
        ("XREAD BLOCK 0 STREAMS other s 0 6-9", &["XADD s 7 f x"], x()),
        ("XREAD BLOCK 0 STREAMS s 6", &["XADD s 5 f w", "XADD s 7 f x"], x()),
        ("XREAD BLOCK 0 COUNT 1 STREAMS s 0", &["MULTI", "XADD s 7 f x", "XADD s 8 f y", "EXEC"], x()),
        ("XREAD BLOCK 0 STREAMS s 0", &["XADD t 7 f x", "RENAME t s"], x()),
        ("XREAD BLOCK 0 STREAMS s 0", &["SET s v", "DEL s", "XADD s 7 f x"], x()),
        ("XREAD BLOCK 0 STREAMS s $", &["RPUSH s v", "DEL s", "XADD s 7 f x"], x()),
        ("XREAD BLOCK 0 STREAMS s 0", &["SELECT 1", "XADD s 7 f x", "SWAPDB 0 1"], x()),
    ];
    on_each_server(|server| {
        for (words, writes, expected) in cases {
            let mut writer = server.client();
            run(&mut writer, &["FLUSHALL"]);
            let mut client = waiting(server, words);
            run(&mut writer, writes);
            assert_eq!(&client.read().expect("a reply"), expected, "{words} {writes:?}");
        }
    });
}

#[test]
fn what_ends_the_waiting_of_a_groups_readers() {
    let no_group = || error("NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option");
    let wrong_type = || error("WRONGTYPE Operation against a key holding the wrong kind of value");
    let cases: &[(&[&str], RespValue)] = &[
        (&["XADD s 7 f x"], read("s", &[("7-0", "x")])),
        (&["XGROUP DESTROY s g"], no_group()),
        (&["DEL s"], no_group()),
        (&["SET s v"], wrong_type()),
        (&["RENAME s t"], no_group()),
        (&["MULTI", "DEL s", "SADD s e", "EXEC"], wrong_type()),
        (&["MULTI", "DEL s", "XADD s 7 f x", "EXEC"], no_group()),
        (&["PEXPIRE s 20"], no_group()),
        (&["EXPIREAT s 1"], no_group()),
        (&["FLUSHDB"], no_group()),
        (&["FLUSHALL"], no_group()),
        (&["SWAPDB 0 1"], no_group()),
        (&["SELECT 1", "RPUSH s e", "SWAPDB 0 1"], wrong_type()),
        (&["MOVE s 1"], no_group()),
    ];
    on_each_server(|server| {
        // Stock 7.0 has other words for what has become of the stream.
        let is_ours = server.client().info("outrigger_version").is_some();
        for (writes, expected) in cases {
            let mut writer = server.client();
            run(&mut writer, &["FLUSHALL", "XGROUP CREATE s g $ MKSTREAM"]);
            let mut client = waiting(server, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
            run(&mut writer, writes);
            let reply = client.read().expect("a reply");
            if is_ours {
                assert_eq!(&reply, expected, "{writes:?}");
            } else {
                assert_eq!(reply.as_error().is_some(), expected.as_error().is_some(), "{writes:?}");
            }
        }
    });
}

/// As in 7.2: 7.0 looks at the one key that became ready, and gives a thousand entries at most.
#[test]
fn a_woken_readers_whole_command_is_run_again() {
    let server = Server::ours(&[]);
    let mut writer = server.client();
    run(&mut writer, &["XADD a 1 f x"]);
    let mut client = waiting(&server, "XREAD BLOCK 0 STREAMS a b $ $");
    run(&mut writer, &["SET a text", "SET b text", "DEL a b", "SADD a e", "XADD b 7 f x"]);
    let wrong_type = client.read().expect("a reply");
    assert!(wrong_type.as_error().is_some_and(|text| text.starts_with(b"WRONGTYPE")), "{wrong_type:?}");
    run(&mut writer, &["DEL a b"]);
    let mut client = waiting(&server, "XREAD BLOCK 0 STREAMS a b 0 0");
    run(&mut writer, &["MULTI"]);
    (1..=1_200).for_each(|id| drop(writer.cmd(&format!("XADD a {id} f x"))));
    run(&mut writer, &["XADD b 7 f x", "EXEC"]);
    let reply = client.read().expect("a reply");
    let entries = |at: usize| {
        let stream = reply.as_slice().and_then(|streams| streams.get(at)).and_then(RespValue::as_slice);
        stream.and_then(|stream| stream[1].as_slice()).map(<[_]>::len)
    };
    assert_eq!((entries(0), entries(1)), (Some(1_200), Some(1)));
}

#[test]
fn a_waiting_reader_is_a_consumer_on_the_replica_too() {
    let nodes = Nodes::start(&[]);
    let mut primary = nodes.primary.client();
    run(&mut primary, &["XGROUP CREATE s g $ MKSTREAM"]);
    let _client = waiting(&nodes.primary, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    nodes.settle();
    assert_eq!(primary.int("XGROUP CREATECONSUMER s g c"), 0);
    assert_eq!(told_of(&mut nodes.replica.client(), "s"), told_of(&mut primary, "s"));
}

#[test]
fn an_id_below_one_that_was_deleted_is_refused() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    run(&mut client, &["XADD s 1 f x", "XADD s 5 f x", "XDEL s 5"]);
    let refusal = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    assert_eq!(client.error("XSETID s 4"), refusal);
    client.ok("XSETID s 5");
}

#[test]
fn every_reader_gets_an_entry_and_one_of_a_group_does() {
    on_each_server(|server| {
        let mut writer = server.client();
        run(&mut writer, &["XADD s 1 f a", "XGROUP CREATE s g $"]);
        let mut far = waiting(server, "XREAD BLOCK 0 STREAMS s 8");
        let mut readers: Vec<Client> = (0..3).map(|_| waiting(server, "XREAD BLOCK 0 STREAMS s $")).collect();
        let mut first = waiting(server, "XREADGROUP GROUP g c1 BLOCK 0 STREAMS s >");
        let mut second = waiting(server, "XREADGROUP GROUP g c2 BLOCK 0 NOACK STREAMS s >");
        run(&mut writer, &["XADD s 7 f x"]);
        for reader in readers.iter_mut().chain([&mut first]) {
            assert_eq!(reader.read().expect("a reply"), read("s", &[("7-0", "x")]));
        }
        run(&mut writer, &["XADD s 9 f y"]);
        for reader in [&mut far, &mut second] {
            assert_eq!(reader.read().expect("a reply"), read("s", &[("9-0", "y")]));
        }
        let expected = array(vec![
            RespValue::Int(1),
            bulk("7-0"),
            bulk("7-0"),
            array(vec![array(vec![bulk("c1"), bulk("1")])]),
        ]);
        assert_eq!(writer.cmd("XPENDING s g"), expected);
    });
}

#[test]
fn waits_time_out() {
    on_each_server(|server| {
        let mut client = server.client();
        assert_eq!(client.cmd("XREAD BLOCK 20 STREAMS s $"), RespValue::NullArray);
        run(&mut client, &["XGROUP CREATE s g $ MKSTREAM"]);
        assert_eq!(client.cmd("XREADGROUP GROUP g c BLOCK 20 STREAMS s >"), RespValue::NullArray);
        run(&mut client, &["XADD s 1-0 f x"]);
        assert_eq!(client.cmd("XREAD BLOCK 20 STREAMS s 0"), read("s", &[("1-0", "x")]));
    });
}

#[test]
fn a_reader_on_a_replica_is_woken_by_the_primarys_entries() {
    let nodes = Nodes::start(&[]);
    let mut client = waiting(&nodes.replica, "XREAD BLOCK 0 STREAMS s $");
    run(&mut nodes.primary.client(), &["XADD s 7 f x"]);
    assert_eq!(client.read().expect("a reply"), read("s", &[("7-0", "x")]));
}

/// A random command that changes one of three streams or their groups.
fn change(rng: &mut outrigger::base::random::Rng) -> String {
    let stream = format!("s{}", rng.below(3));
    let (group, consumer) = (format!("g{}", rng.below(2)), format!("c{}", rng.below(3)));
    let id = rng.below(4_000_000_000_000);
    match rng.below(14) {
        0..=3 => format!("XADD {stream} * name {} age {}", rng.below(1_000), rng.next_u64()),
        4 => format!("XADD {stream} MAXLEN ~ {} * other {}", 40 + rng.below(200), rng.below(9)),
        5 => format!("XGROUP CREATE {stream} {group} 0"),
        6 | 7 => format!("XREADGROUP GROUP {group} {consumer} COUNT 5 STREAMS {stream} >"),
        8 => format!("XREADGROUP GROUP {group} {consumer} NOACK COUNT 2 STREAMS {stream} >"),
        9 => format!("XREADGROUP GROUP {group} {consumer} COUNT 3 STREAMS {stream} 0"),
        10 => format!("XAUTOCLAIM {stream} {group} {consumer} 0 {id} COUNT 3"),
        11 => format!("XTRIM {stream} MAXLEN {}", 60 + rng.below(100)),
        12 if rng.percent(10) => format!("XGROUP DELCONSUMER {stream} {group} {consumer}"),
        12 => format!("XCLAIM {stream} {group} {consumer} 0 {id} LASTID {id}"),
        _ => format!("XTRIM {stream} MINID ~ {id}"),
    }
}

/// Acknowledges or deletes the first pending entry of a group.
fn settle_one(client: &mut Client, word: &str) {
    let pending = client.cmd("XPENDING s0 g0 - + 1");
    let entry = pending.as_slice().and_then(<[_]>::first).and_then(RespValue::as_slice);
    if let Some(id) = entry.and_then(<[_]>::first).and_then(RespValue::as_bytes) {
        let id = String::from_utf8_lossy(id);
        let line = if word == "XACK" { format!("XACK s0 g0 {id}") } else { format!("XDEL s0 {id}") };
        client.int(&line);
    }
}

/// All that XINFO tells of the streams, but for when consumers were seen and active.
fn told(client: &mut Client) -> Vec<String> {
    ["s0", "s1", "s2"].map(|key| told_of(client, key)).into()
}

/// All that XINFO tells of a stream, but for when consumers were seen and active, of which stock 7.0 knows one time.
fn told_of(client: &mut Client, key: &str) -> String {
    let told = client.cmd(&format!("XINFO STREAM {key} FULL COUNT 0"));
    format!("{:?}", without_pairs(&told, &["seen-time", "active-time"]))
}

fn send_changes(client: &mut Client, rng: &mut outrigger::base::random::Rng, count: usize) {
    for n in 0..count {
        let line = change(rng);
        client.cmd(&line);
        match n % 17 {
            0 => settle_one(client, "XACK"),
            9 => settle_one(client, "XDEL"),
            _ => {}
        }
    }
}

#[test]
fn a_replica_knows_of_groups_what_its_primary_knows() {
    let mut seeded = Seeded::new(8_101);
    let nodes = Nodes::start(&[]);
    let mut primary = nodes.primary.client();
    send_changes(&mut primary, &mut seeded.rng, scaled(3_000));
    nodes.settle();
    let known = told(&mut primary);
    assert_eq!(told(&mut nodes.replica.client()), known);
    // And what it has in its files is the same again.
    let Nodes { mut replica, .. } = nodes;
    replica.stop();
    replica.set_args(&["--appendonly", "yes"]);
    replica.restart();
    crate::persistence::nodes::wait_loaded(&mut replica.client());
    assert_eq!(told(&mut replica.client()), known);
}

#[test]
fn stock_follows_us_and_we_follow_stock() {
    let Some(stock) = Server::redis(&[]) else { return };
    let mut seeded = Seeded::new(8_102);
    let ours = Server::ours(&["--enable-debug-command", "yes"]);
    let (mut a, mut b) = (ours.client(), stock.client());
    send_changes(&mut a, &mut seeded.rng, scaled(1_500));
    let follow = |leader: &Server, follower: &mut Client| {
        follower.ok(&format!("REPLICAOF 127.0.0.1 {}", leader.port()));
        let up = || follower.info("master_link_status").as_deref() == Some("up");
        wait_for("a sync", Duration::from_secs(60), up);
    };
    let equal = |a: &mut Client, b: &mut Client| {
        wait_for("the same data", Duration::from_secs(30), || a.digest() == b.digest());
        a.digest()
    };
    // First the snapshot, then the stream of effects.
    follow(&ours, &mut b);
    equal(&mut a, &mut b);
    assert_eq!(told(&mut a), told(&mut b), "stock, from our snapshot");
    send_changes(&mut a, &mut seeded.rng, scaled(1_500));
    equal(&mut a, &mut b);
    assert_eq!(told(&mut a), told(&mut b), "stock, from our effects");
    b.ok("REPLICAOF NO ONE");
    b.ok("DEBUG RELOAD");
    let digest = a.digest();
    assert_eq!(b.digest(), digest);
    a.ok("DEBUG RELOAD");
    assert_eq!((a.digest(), told(&mut a)), (digest, told(&mut b)), "after our own reload");
    // The other way round. How often an entry was read again stock does not tell its replicas.
    follow(&stock, &mut a);
    equal(&mut b, &mut a);
    assert_eq!(told(&mut a), told(&mut b), "ours, from the stock snapshot");
    send_changes(&mut b, &mut seeded.rng, scaled(1_500));
    equal(&mut b, &mut a);
}
