//! What is told and written out of a snapshot: commands that rebuild it, lines of JSON, and where the memory goes.

use crate::peer::files::encodings::{OURS, STOCK, every_encoding};
use crate::persistence::traffic::{Traffic, Words, words};
use crate::support::{Client, Server, peer, scaled, show, wait_for};
use outrigger::persistence::toolbox::{
    AnalysisOptions, ExportFormat, analyze_snapshot, check_snapshot, export_snapshot,
};
use outrigger::resp::RespValue;
use std::time::Duration;

const ARGS: [&str; 6] = ["--enable-debug-command", "yes", "--appendonly", "no", "--save", "3600 1000000"];

/// A saved server that holds something of everything.
fn saved(server: &Server, with_times: bool) -> String {
    let mut client = server.client();
    every_encoding(&mut client, if with_times { &OURS } else { &STOCK });
    let mut traffic = Traffic::new(11);
    traffic.brief = false;
    traffic.send(&mut client, scaled(3_000));
    client.ok("SELECT 3");
    for command in
        ["XGROUP CREATE bare g 0 MKSTREAM", "XADD gone 5-1 a b", "XDEL gone 5-1", "XADD read 7-1 a 1"]
    {
        client.cmd(command);
    }
    for command in
        ["XADD read 8-1 a 2", "XGROUP CREATE read g 0 ENTRIESREAD 0", "XREADGROUP GROUP g me STREAMS read >"]
    {
        client.cmd(command);
    }
    client.cmd("PEXPIREAT read 4000000000000");
    if with_times {
        client.cmd("HSET timed a 1 b 2 c 3");
        client.cmd("HPEXPIREAT timed 4000000000000 FIELDS 2 a c");
    }
    client.ok("SAVE");
    client.digest()
}

/// The commands in these bytes.
fn commands(bytes: &[u8]) -> Vec<Words> {
    let mut rest = bytes;
    let mut number = |lead: u8| {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line");
        let (line, behind) = rest.split_at(end);
        assert_eq!(line[0], lead);
        rest = &behind[2..];
        let count: usize = std::str::from_utf8(&line[1..]).expect("digits").parse().expect("a number");
        if lead == b'*' {
            return (count, Vec::new(), rest.is_empty());
        }
        let text = rest[..count].to_vec();
        rest = &rest[count + 2..];
        (count, text, rest.is_empty())
    };
    let mut all = Vec::new();
    loop {
        let (count, ..) = number(b'*');
        let mut is_last = false;
        let command = (0..count).map(|_| {
            let (_, text, ended) = number(b'$');
            is_last = ended;
            text
        });
        all.push(command.collect());
        if is_last {
            return all;
        }
    }
}

/// Writes the snapshot of a server out and pipes it into another; the digest there.
fn piped(from: &Server, into: &Server) -> String {
    let mut bytes = Vec::new();
    let path = from.dir().join("dump.rdb");
    let report = export_snapshot(&path, ExportFormat::Resp, &mut bytes, &mut |_, _| ()).expect("an export");
    assert!(report.fault.is_none() && report.failed.is_none(), "{report:?}");
    assert_eq!(report.bytes, bytes.len() as u64);
    let mut client = into.client();
    for batch in commands(&bytes).chunks(200) {
        for (command, reply) in batch.iter().zip(client.pipeline(batch)) {
            let shown: Vec<String> = command.iter().map(|word| show(word)).collect();
            assert!(reply.as_error().is_none(), "{shown:?}: {reply:?}");
        }
    }
    client.digest()
}

/// What the groups of a stream hold.
fn groups(server: &Server, key: &str) -> Vec<RespValue> {
    let mut client = server.client();
    client.ok("SELECT 3");
    let mut ask = |text: String| client.cmd(&text);
    let mut told = vec![ask(format!("XINFO GROUPS {key}")), ask(format!("XLEN {key}"))];
    // Without how long it is since.
    let RespValue::Array(pending) = ask(format!("XPENDING {key} g - + 10")) else { panic!("pending") };
    for entry in pending {
        let RespValue::Array(mut figures) = entry else { panic!("{entry:?}") };
        figures.remove(2);
        told.extend(figures);
    }
    told
}

#[test]
fn commands_rebuild_the_data_in_ours() {
    let (from, into) = (Server::ours(&ARGS), Server::ours(&ARGS));
    let digest = saved(&from, true);
    assert_eq!(piped(&from, &into), digest);
    for key in ["bare", "read"] {
        assert_eq!(groups(&from, key), groups(&into, key), "{key}");
    }
    let times = |server: &Server| {
        let mut client = server.client();
        client.ok("SELECT 3");
        [
            client.cmd("HPEXPIRETIME timed FIELDS 3 a b c"),
            client.cmd("PEXPIRETIME read"),
            client.cmd("XINFO STREAM gone"),
        ]
    };
    assert_eq!(times(&from), times(&into));
}

#[test]
fn commands_rebuild_the_data_in_stock_servers() {
    if peer::redis_server().is_none() {
        return;
    }
    let (from, into) = (Server::redis(&[]).expect("stock"), Server::redis(&[]).expect("stock"));
    let digest = saved(&from, false);
    assert_eq!(piped(&from, &into), digest);
    assert_eq!(groups(&from, "read"), groups(&into, "read"));
    assert_eq!(piped(&from, &Server::ours(&ARGS)), digest);
}

#[test]
fn each_key_is_a_line_of_json() {
    let from = Server::ours(&ARGS);
    saved(&from, true);
    let path = from.dir().join("dump.rdb");
    let (mut bytes, keys) =
        (Vec::new(), check_snapshot(&path, None, &mut |_, _| ()).expect("a report").judged.tally.keys);
    let report = export_snapshot(&path, ExportFormat::Jsonl, &mut bytes, &mut |_, _| ()).expect("an export");
    assert_eq!((report.keys, report.fault.is_none()), (keys, true));
    let text = String::from_utf8(bytes).expect("text");
    assert_eq!(text.lines().count() as u64, keys);
    // That each line parses is seen where the tools are tested.
    for part in [
        "\"key\":\"timed\",\"type\":\"hash\",\"value\":[",
        "[\"a\",\"1\",4000000000000]",
        "[\"b\",\"2\"]",
        "\"key\":\"read\",\"type\":\"stream\",\"expire_at_ms\":4000000000000,",
        "\"pending\":[[\"7-1\",\"me\",",
        "\"key\":{\"base64\":\"",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn a_reader_of_a_damaged_snapshot_gets_what_stands_before_the_damage() {
    let from = Server::ours(&ARGS);
    let mut client = from.client();
    (0..50).for_each(|n| client.ok(&format!("SET key:{n} value")));
    client.ok("SAVE");
    let path = from.dir().join("dump.rdb");
    let sound = std::fs::read(&path).expect("read");
    std::fs::write(&path, &sound[..sound.len() - 200]).expect("write");
    let mut bytes = Vec::new();
    let report = export_snapshot(&path, ExportFormat::Resp, &mut bytes, &mut |_, _| ()).expect("an export");
    assert!(report.fault.is_some() && report.keys > 20 && report.keys < 50, "{report:?}");
    assert_eq!(commands(&bytes).len() as u64, report.keys + 1);
    // Cut between two records, where nothing tells that more was to come.
    std::fs::write(&path, &sound[..sound.len() - 9]).expect("write");
    let report =
        export_snapshot(&path, ExportFormat::Resp, &mut Vec::new(), &mut |_, _| ()).expect("an export");
    assert!(report.fault.is_some() && report.keys == 50, "{report:?}");
}

/// What the names of a small hash's fields may take here, in bytes.
const NAMES_BYTES: u64 = 24;

fn usage(client: &mut Client, db: u32, key: &[u8]) -> u64 {
    client.ok(&format!("SELECT {db}"));
    let reply = client.command(&[&b"MEMORY"[..], b"USAGE", key, b"SAMPLES", b"0"]);
    reply.as_int().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_else(|| panic!("{reply:?}"))
}

#[test]
fn the_memory_told_is_what_a_loaded_server_tells() {
    let mut from = Server::ours(&ARGS);
    saved(&from, true);
    let mut client = from.client();
    client.ok("SELECT 1");
    for n in 0..scaled(3_000) {
        client.command(&words(&format!("SET session:{n} {}", "x".repeat(n % 300))));
        client.command(&words(&format!("HSET user:{n} name n{n} city Lisbon")));
    }
    client.ok("SAVE");
    let path = from.dir().join("dump.rdb");
    let all = AnalysisOptions { top: usize::MAX, separator: b":".to_vec(), now_ms: 1_795_000_000_000 };
    let analysis = analyze_snapshot(&path, &all, &mut |_, _| ()).expect("an analysis");
    assert!(analysis.fault.is_none() && analysis.top.is_sorted_by(|a, b| a.bytes >= b.bytes));
    assert_eq!(analysis.top.len() as u64, analysis.all.keys);
    let sum = |sums: &mut dyn Iterator<Item = u64>| sums.sum::<u64>();
    for bytes in [
        sum(&mut analysis.top.iter().map(|key| key.bytes)),
        sum(&mut analysis.types.values().map(|sum| sum.bytes)),
        sum(&mut analysis.prefixes.iter().map(|(_, sum)| sum.bytes)),
        sum(&mut analysis.ttls.iter().map(|sum| sum.bytes)),
    ] {
        assert_eq!(bytes, analysis.all.bytes);
    }
    // A server that has loaded the very file.
    drop(client);
    from.kill();
    from.spawn_again();
    wait_for("the data", Duration::from_secs(30), || {
        Client::connect(from.port()).is_ok_and(|mut client| {
            client.try_info().is_some_and(|info| info.get("loading").is_some_and(|loading| loading == "0"))
        })
    });
    let mut client = from.client();
    let (mut told, mut theirs) = (0, Vec::new());
    for key in &analysis.top {
        let bytes = usage(&mut client, key.db, &key.key);
        // Whether a small hash keeps the names of its fields for itself depends on which hashes were met before it, and
        // several threads load.
        let off = key.bytes.abs_diff(bytes).saturating_sub(NAMES_BYTES) as f64 / bytes as f64;
        assert!(off <= 0.1, "{}: {} and {bytes}", show(&key.key), key.bytes);
        told += bytes;
        theirs.push(bytes);
    }
    assert!(
        analysis.all.bytes.abs_diff(told) as f64 <= 0.02 * told as f64,
        "{} and {told}",
        analysis.all.bytes
    );
    // The same keys are the biggest.
    let least_of_ten = analysis.top[9].bytes as f64;
    assert!(theirs[10..].iter().all(|bytes| *bytes as f64 <= least_of_ten * 1.1));
    let ten = AnalysisOptions { top: 10, ..all };
    let short = analyze_snapshot(&path, &ten, &mut |_, _| ()).expect("an analysis");
    assert_eq!(short.top, analysis.top[..10]);
}
