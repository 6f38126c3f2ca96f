//! Snapshots of old servers, made byte by byte: ours must find in them what a stock server finds.
//!
//! Each format version brought something: 1 plain types and expiry in seconds (Redis 2.2), 2 zipmaps, ziplists and intsets
//! (2.4), 3 expiry in ms and 4 hashes as ziplists (2.6), 5 a checksum, 7 lists of ziplists and facts (3.2), 8 binary scores
//! and long lengths (4.0), 9 streams and access figures (5.0). Version 10 (7.0) is what stock servers here write.

use super::{digest_of, stock_check};
use crate::support::{Client, Server, show, without_pairs};
use outrigger::base::crc::crc64;
use outrigger::resp::RespValue;
use tempfile::TempDir;

/// When the keys that expire do so: in 2036, unix seconds, which old servers kept in 31 bits.
const AT_S: u32 = 2_100_000_000;

/// A length, or a number of things.
fn len(n: usize) -> Vec<u8> {
    match n {
        0..=63 => vec![n as u8],
        64..=16_383 => vec![0x40 | (n >> 8) as u8, n as u8],
        _ => [&[0x80][..], &(n as u32).to_be_bytes()].concat(),
    }
}

/// A string as it is.
fn text(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    [&len(bytes.as_ref().len())[..], bytes.as_ref()].concat()
}

/// A hundred times `a`, compressed: one byte as it is, and a reference to it that is 99 long.
fn compressed() -> Vec<u8> {
    [&[0xc3, 5][..], &len(100), &[0, b'a', 0xe0, 90, 0]].concat()
}

fn record(kind: u8, key: &str, content: &[u8]) -> Vec<u8> {
    [&[kind][..], &text(key), content].concat()
}

/// A ziplist: what each entry is follows from its text.
fn ziplist(entries: &[&str]) -> Vec<u8> {
    let (mut body, mut before, mut tail) = (Vec::new(), 0usize, 10);
    for entry in entries {
        tail = 10 + body.len();
        let mut own = match before {
            0..=253 => vec![before as u8],
            _ => [&[0xfe][..], &(before as u32).to_le_bytes()].concat(),
        };
        match entry
            .parse::<i64>()
            .map_err(drop)
            .and_then(|n| (n.to_string() == *entry).then_some(n).ok_or(()))
        {
            Ok(n @ 0..=12) => own.push(0xf1 + n as u8),
            Ok(n) if i8::try_from(n).is_ok() => own.extend([0xfe, n as u8]),
            Ok(n) if i16::try_from(n).is_ok() => {
                own.extend([&[0xc0][..], &(n as i16).to_le_bytes()].concat())
            }
            Ok(n) if (-(1 << 23)..1 << 23).contains(&n) => {
                own.extend([&[0xf0][..], &n.to_le_bytes()[..3]].concat())
            }
            Ok(n) if i32::try_from(n).is_ok() => {
                own.extend([&[0xd0][..], &(n as i32).to_le_bytes()].concat())
            }
            Ok(n) => own.extend([&[0xe0][..], &n.to_le_bytes()].concat()),
            Err(_) => {
                match entry.len() {
                    n @ 0..=63 => own.push(n as u8),
                    n @ 64..=16_383 => own.extend([0x40 | (n >> 8) as u8, n as u8]),
                    n => own.extend([&[0x80][..], &(n as u32).to_be_bytes()].concat()),
                }
                own.extend_from_slice(entry.as_bytes());
            }
        }
        before = own.len();
        body.extend(own);
    }
    let total = 10 + body.len() + 1;
    let head = [(total as u32).to_le_bytes(), (tail as u32).to_le_bytes()].concat();
    [&head[..], &(entries.len() as u16).to_le_bytes(), &body, &[0xff]].concat()
}

fn zipmap(pairs: &[(&str, &str)]) -> Vec<u8> {
    let short = |text: &str| match text.len() {
        n @ 0..=253 => vec![n as u8],
        n => [&[0xfe][..], &(n as u32).to_le_bytes()].concat(),
    };
    let mut bytes = vec![pairs.len() as u8];
    for (at, (key, value)) in pairs.iter().enumerate() {
        // Some room is left behind values that became shorter.
        let free = at % 3;
        bytes.extend(
            [&short(key)[..], key.as_bytes(), &short(value), &[free as u8], value.as_bytes()].concat(),
        );
        bytes.extend(vec![b'?'; free]);
    }
    bytes.push(0xff);
    bytes
}

/// Numbers, in ascending order, each as wide as the widest needs.
fn intset(width: u32, numbers: &[i64]) -> Vec<u8> {
    let mut bytes = [width.to_le_bytes(), (numbers.len() as u32).to_le_bytes()].concat();
    numbers.iter().for_each(|n| bytes.extend_from_slice(&n.to_le_bytes()[..width as usize]));
    bytes
}

/// A listpack of small numbers and short texts.
fn listpack(entries: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    for entry in entries {
        let own = match entry.parse::<u8>() {
            Ok(n @ 0..=127) => vec![n],
            _ => [&[0x80 | entry.len() as u8][..], entry.as_bytes()].concat(),
        };
        body.extend_from_slice(&own);
        body.push(own.len() as u8);
    }
    let head = ((6 + body.len() + 1) as u32).to_le_bytes();
    [&head[..], &(entries.len() as u16).to_le_bytes(), &body, &[0xff]].concat()
}

fn stream_id(ms: u64, seq: u64) -> Vec<u8> {
    [ms.to_be_bytes(), seq.to_be_bytes()].concat()
}

/// A stream of Redis 5 and 6: two nodes, a deleted entry, a group with two consumers and two pending entries, a group
/// without any.
fn stream() -> Vec<u8> {
    // Entries, deleted ones, the fields that most have, a mark; of each entry flags, id relative to the node's, values,
    // number of elements.
    let first =
        ["2", "1", "2", "name", "age", "0", "2", "0", "0", "bob", "30", "5", "3", "0", "1", "eve", "x", "5"];
    let first = [&first[..], &["2", "2", "0", "ann", "7", "5"]].concat();
    let second = ["1", "0", "1", "f", "0", "0", "0", "0", "1", "g", "5", "6"];
    let nodes = [(5, first), (9, second.to_vec())];
    let mut bytes = len(nodes.len());
    for (ms, entries) in nodes {
        bytes.extend([text(stream_id(ms, 1)), text(listpack(&entries))].concat());
    }
    // Three entries; the last id is that of one that is gone.
    bytes.extend([3, 12, 4]);
    bytes.extend(len(2));
    let time = 1_600_000_000_000i64.to_le_bytes();
    bytes.extend([text("readers"), vec![9, 1], len(2)].concat());
    for (id, deliveries) in [(stream_id(5, 1), 1), (stream_id(9, 1), 70)] {
        bytes.extend([&id[..], &time, &len(deliveries)].concat());
    }
    bytes.extend(len(2));
    bytes.extend([text("alice"), time.to_vec(), len(1), stream_id(5, 1)].concat());
    bytes.extend([text("bob"), time.to_vec(), len(1), stream_id(9, 1)].concat());
    bytes.extend([text("late"), vec![12, 4], len(0), len(0)].concat());
    bytes
}

/// What every version can hold.
fn since_1() -> Vec<Vec<u8>> {
    let many =
        [text("b"), text(""), vec![0xc0, 0x80], vec![0xc1, 0xe8, 0x03], vec![0xc2, 0x90, 0xee, 0xfe, 0xff]]
            .concat();
    let mut scores = len(5);
    for (member, score) in
        [("a", &b"\x011"[..]), ("b", b"\x04-2.5"), ("c", b"\xfe"), ("d", b"\xff"), ("e", b"\x031e3")]
    {
        scores.extend([&text(member)[..], score].concat());
    }
    let expiring = [&[0xfd][..], &AT_S.to_le_bytes(), &record(0, "seconds", &text("v"))].concat();
    let large: Vec<u8> = (0..700).flat_map(|n| text(format!("member {n}"))).collect();
    vec![
        record(0, "text", &text("hello")),
        record(0, "empty", &text("")),
        record(0, "long", &text("x".repeat(20_000))),
        record(0, "int:8", &[0xc0, 0xfb]),
        record(0, "int:16", &[0xc1, 0x39, 0x30]),
        record(0, "int:32", &[0xc2, 0x15, 0xcd, 0x5b, 0x07]),
        record(0, "compressed", &compressed()),
        record(1, "list", &[len(5), many.clone()].concat()),
        record(2, "set", &[len(5), many].concat()),
        record(2, "set:large", &[len(700), large].concat()),
        record(3, "zset", &scores),
        record(4, "hash", &[len(2), text("f"), text("v"), text("n"), vec![0xc0, 12]].concat()),
        expiring,
    ]
}

fn since_2() -> Vec<Vec<u8>> {
    let long = "y".repeat(300);
    let huge = "z".repeat(17_000);
    let list =
        ["a", "0", "12", "13", "-1", "-200", "40000", "-8000000", "2000000000", "-9223372036854775808"];
    let list = [&list[..], &[&long, "after", &huge, "", "007"]].concat();
    vec![
        record(
            9,
            "zipmap",
            &text(zipmap(&[("f", "v"), ("g", ""), ("number", "12"), ("long", &long), ("", "e")])),
        ),
        record(10, "list:ziplist", &text(ziplist(&list))),
        record(11, "intset:16", &text(intset(2, &[-32_768, -1, 0, 5]))),
        record(11, "intset:32", &text(intset(4, &[-70_000, 1, 2_000_000_000]))),
        record(11, "intset:64", &text(intset(8, &[i64::MIN, 3, i64::MAX]))),
        record(
            12,
            "zset:ziplist",
            &text(ziplist(&["low", "-3.5", "a", "1", "b", "1", "12", "2", "high", "17179869184.0625"])),
        ),
    ]
}

fn since_3() -> Vec<Vec<u8>> {
    let at_ms = u64::from(AT_S) * 1000 + 123;
    vec![[&[0xfc][..], &at_ms.to_le_bytes(), &record(0, "ms", &text("v"))].concat()]
}

fn since_4() -> Vec<Vec<u8>> {
    let long = "l".repeat(250);
    vec![record(13, "hash:ziplist", &text(ziplist(&["f", "v", "n", "-5", "7", "x", "long", &long])))]
}

fn since_7() -> Vec<Vec<u8>> {
    let nodes = [ziplist(&["a", "1", "-70000"]), ziplist(&["b"]), ziplist(&["c", "d", "3000000000"])];
    let nodes: Vec<u8> = nodes.iter().flat_map(text).collect();
    vec![record(14, "quicklist", &[len(3), nodes].concat())]
}

fn since_8() -> Vec<Vec<u8>> {
    let mut zset = len(3);
    for (member, score) in [("a", 0.1f64), ("b", f64::NEG_INFINITY), ("c", 1e300)] {
        zset.extend([&text(member)[..], &score.to_le_bytes()].concat());
    }
    let long_length = [&[0x81][..], &3u64.to_be_bytes(), b"abc"].concat();
    vec![record(5, "zset:binary", &zset), record(0, "length:64", &long_length)]
}

fn since_9() -> Vec<Vec<u8>> {
    vec![
        record(15, "stream", &stream()),
        [&[0xf8][..], &len(77), &record(0, "idle", &text("v"))].concat(),
        [&[0xf9, 200][..], &record(0, "frequent", &text("v"))].concat(),
    ]
}

/// The records that a version brought.
type Part = fn() -> Vec<Vec<u8>>;

/// A snapshot of this version with everything that it can hold, and one key more in another database.
fn snapshot(version: usize) -> Vec<u8> {
    let parts: [(usize, Part); 7] =
        [(1, since_1), (2, since_2), (3, since_3), (4, since_4), (7, since_7), (8, since_8), (9, since_9)];
    let mut bytes = format!("REDIS{version:04}").into_bytes();
    let records: Vec<u8> = parts
        .into_iter()
        .filter(|(since, _)| *since <= version)
        .flat_map(|(_, part)| part().concat())
        .collect();
    if version >= 7 {
        bytes.extend(
            [&[0xfa][..], &text("redis-ver"), &text("3.2.0"), &[0xfa], &text("unheard-of"), &text("fact")]
                .concat(),
        );
    }
    for (db, records) in [(0, records), (3, record(0, "elsewhere", &text("v")))] {
        bytes.extend([0xfe, db]);
        if version >= 7 {
            bytes.extend([0xfb, 50, 2]);
        }
        bytes.extend(records);
    }
    bytes.push(0xff);
    if version >= 5 {
        bytes.extend(crc64(0, &bytes).to_le_bytes());
    }
    bytes
}

/// All that can be read, a line each.
fn contents(client: &mut Client) -> Vec<String> {
    let mut found = Vec::new();
    for db in [0, 3] {
        client.ok(&format!("SELECT {db}"));
        let keys = client.cmd("KEYS *");
        let mut keys: Vec<Vec<u8>> =
            keys.as_slice().expect("names").iter().filter_map(|key| Some(key.as_bytes()?.to_vec())).collect();
        keys.sort();
        for key in keys {
            let RespValue::Simple(kind) = client.command(&[&b"TYPE"[..], &key]) else { panic!("no type") };
            let read: &[&[u8]] = match &kind[..] {
                b"string" => &[b"GET", &key],
                b"list" => &[b"LRANGE", &key, b"0", b"-1"],
                b"set" => &[b"SORT", &key, b"ALPHA"],
                b"zset" => &[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"],
                b"hash" => &[b"HGETALL", &key],
                b"stream" => &[b"XINFO", b"STREAM", &key, b"FULL"],
                other => panic!("{}", show(other)),
            };
            let value = match &kind[..] {
                b"hash" => pairs(&client.command(read)),
                b"stream" => {
                    // Ours tells besides when consumers got something, of which stock 7.0 knows nothing.
                    let told = without_pairs(&client.command(read), &["active-time"]);
                    without_times(format!("{told:?}"))
                }
                _ => format!("{:?}", client.command(read)),
            };
            let expiry = client.command(&[&b"PEXPIRETIME"[..], &key]);
            found.push(format!("db {db} {} {expiry:?}: {value}", show(&key)));
        }
    }
    found
}

/// Fields with their values, in an order of their own.
fn pairs(reply: &RespValue) -> String {
    let mut pairs: Vec<String> =
        reply.as_slice().expect("pairs").chunks(2).map(|pair| format!("{pair:?}")).collect();
    pairs.sort();
    pairs.concat()
}

/// A stream's radix tree is Redis's own affair.
fn without_times(text: String) -> String {
    let from = text.find("radix-tree-keys").unwrap_or(text.len());
    let to = text.find("last-generated-id").unwrap_or(from);
    format!("{}{}", &text[..from], &text[to..])
}

#[test]
fn ours_reads_every_version_as_stock_does() {
    let home = TempDir::new().expect("make a temporary folder");
    for version in 1..=10 {
        let bytes = snapshot(version);
        let dirs = ["stock", "ours"].map(|who| home.path().join(format!("{who}-{version}")));
        for dir in &dirs {
            std::fs::create_dir_all(dir).expect("make a folder");
            std::fs::write(dir.join("dump.rdb"), &bytes).expect("write a snapshot");
        }
        let mut ours = Server::ours_in(&dirs[1], &["--save", "3600 1"]);
        let digest = digest_of(&ours);
        let found = contents(&mut ours.client());
        assert!(found.len() > 12, "version {version}: {found:#?}");
        let has = |key: &str| found.iter().any(|line| line.starts_with(&format!("db 0 {key} ")));
        assert_eq!(has("zipmap"), version >= 2);
        assert_eq!(has("stream"), version >= 9);
        if let Some(stock) = Server::redis_in(&dirs[0], &[]) {
            stock_check("redis-check-rdb", &dirs[0].join("dump.rdb"));
            assert_eq!(found, contents(&mut stock.client()), "version {version}");
            assert_eq!(digest, digest_of(&stock), "version {version}");
        }
        // What ours makes of it is the same again.
        ours.client().ok("SET written-by ours");
        let digest = ours.client().digest();
        assert!(ours.stop().success());
        ours.restart();
        assert_eq!(digest_of(&ours), digest, "version {version}: started again");
        if let Some(stock) = Server::redis_in(&dirs[1], &[]) {
            assert_eq!(digest_of(&stock), digest, "version {version}: stock from what ours made of it");
        }
    }
}

/// Something of each old encoding is what it was meant to be: the servers do not merely agree.
#[test]
fn what_is_in_them_is_known() {
    let home = TempDir::new().expect("make a temporary folder");
    std::fs::write(home.path().join("dump.rdb"), snapshot(9)).expect("write a snapshot");
    let server = Server::ours_in(home.path(), &["--save", "3600 1"]);
    let mut client = server.client();
    assert_eq!(client.text("GET compressed"), "a".repeat(100));
    assert_eq!(client.text("GET int:16"), "12345");
    assert_eq!(client.text("GET length:64"), "abc");
    assert_eq!(client.text("HGET zipmap number"), "12");
    assert_eq!(client.int("HLEN zipmap"), 5);
    assert_eq!(client.text("LINDEX list:ziplist 7"), "-8000000");
    assert_eq!(client.text("LINDEX list:ziplist -1"), "007");
    assert_eq!(client.int("SISMEMBER intset:64 -9223372036854775808"), 1);
    assert_eq!(client.text("ZSCORE zset:ziplist high"), "17179869184.0625");
    assert_eq!(client.text("HGET hash:ziplist n"), "-5");
    assert_eq!(client.text("LINDEX quicklist 6"), "3000000000");
    assert_eq!(client.text("ZSCORE zset b"), "-2.5");
    assert_eq!(client.text("ZSCORE zset:binary c"), "1.0000000000000001e+300");
    assert_eq!(client.int("XLEN stream"), 3);
    assert_eq!(client.int("PEXPIRETIME ms"), i64::from(AT_S) * 1000 + 123);
    assert_eq!(client.int("EXPIRETIME seconds"), i64::from(AT_S));
    assert!(client.int("OBJECT IDLETIME idle") >= 77);
    let pending = client.cmd("XPENDING stream readers");
    assert_eq!(pending.as_slice().and_then(|parts| parts[0].as_int()), Some(2));
}
