//! The tools for files: what they find, and what they make.

use super::support::{
    CHECK, FIRST_SEAL_MS, RDB_CHECK, RESTORE, REWRITE, command, ends_with, json, run, shown, stock_folder,
};
use outrigger::base::crc::crc64;
use outrigger::format::aof::verify::LogVerifier;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A data folder as a stock server writes it: one log with two timestamps.
fn two_times(home: &Path) -> PathBuf {
    let log = [
        "#TS:1700000000\r\n".to_owned(),
        command(&["SELECT", "0"]),
        command(&["SET", "early", "1"]),
        "#TS:1700000100\r\n".to_owned(),
        command(&["SET", "late", "2"]),
        command(&["RPUSH", "list", "a", "b"]),
    ];
    stock_folder(&home.join("old"), &log.concat());
    home.join("old")
}

#[test]
fn a_folder_is_checked_rewritten_and_checked_again() {
    let home = TempDir::new().unwrap();
    let old = two_times(home.path());
    for path in [old.clone(), old.join("appendonlydir"), old.join("appendonlydir/appendonly.aof.manifest")] {
        let view = json(0, CHECK, &[shown(&path)]);
        assert_eq!((&view["sound"], &view["files"][0]["records"]), (&true.into(), &4.into()), "{view}");
    }
    assert!(ends_with(0, CHECK, &[shown(&old)]).contains("SOUND in structure"));
    let new = home.path().join("new");
    let done = json(0, REWRITE, &[shown(&old), "--into", shown(&new)]);
    assert_eq!(
        (&done["keys"], &done["commands"], &done["new_history"]),
        (&3.into(), &4.into(), &true.into())
    );
    let view = json(0, CHECK, &[shown(&new)]);
    assert_eq!(view["ends"], done["place"], "{view}");
    assert_eq!(view["files"].as_array().map(Vec::len), Some(2));
    assert!(ends_with(0, CHECK, &[shown(&new)]).contains("SOUND: every byte"));
    let base = new.join("appendonlydir/appendonly.aof.1.base.rdb");
    let snapshot = json(0, RDB_CHECK, &[shown(&base)]);
    assert_eq!((&snapshot["keys"], &snapshot["place"]), (&3.into(), &done["place"]), "{snapshot}");
    let again = ends_with(2, REWRITE, &[shown(&old), "--into", shown(&new)]);
    assert!(again.contains("is there already"), "{again}");
}

#[test]
fn damage_is_told_with_its_place_and_what_to_do() {
    let home = TempDir::new().unwrap();
    let old = two_times(home.path());
    let new = home.path().join("new");
    ends_with(0, REWRITE, &[shown(&old), "--into", shown(&new)]);
    let base = new.join("appendonlydir/appendonly.aof.1.base.rdb");
    let good = fs::read(&base).unwrap();
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&base, &bad).unwrap();
        let view = json(1, RDB_CHECK, &[shown(&base)]);
        assert!(view["damage"]["byte"].is_u64() && view["damage"]["advice"].is_string(), "byte {at}: {view}");
        json(1, CHECK, &[shown(&new)]);
        let refused = ends_with(1, REWRITE, &[shown(&new), "--into", shown(&home.path().join("x"))]);
        assert!(refused.contains("base.rdb"), "{refused}");
    }
    fs::write(&base, &good[..good.len() - 3]).unwrap();
    assert!(ends_with(1, RDB_CHECK, &[shown(&base)]).contains("DAMAGED"));
    fs::remove_file(&base).unwrap();
    let missing = ends_with(1, CHECK, &[shown(&new)]);
    assert!(missing.contains("is missing"), "{missing}");
}

#[test]
fn a_torn_end_is_told_and_left_out() {
    let home = TempDir::new().unwrap();
    let old = two_times(home.path());
    let log = old.join("appendonlydir/appendonly.aof.1.incr.aof");
    let whole = fs::read(&log).unwrap();
    let last = command(&["RPUSH", "list", "a", "b"]).len();
    fs::write(&log, &whole[..whole.len() - 4]).unwrap();
    for path in [&old, &log] {
        let view = json(1, CHECK, &[shown(path)]);
        assert_eq!(view["torn"]["byte"], (whole.len() - last) as u64, "{view}");
    }
    assert!(ends_with(1, CHECK, &[shown(&old)]).contains("restore DIR --into NEW"));
    let done = json(0, RESTORE, &[shown(&old), "--into", shown(&home.path().join("new"))]);
    assert_eq!((&done["keys"], &done["torn"]["bytes"]), (&2.into(), &(last as u64 - 4).into()), "{done}");
    assert_eq!(fs::read(&log).unwrap().len(), whole.len() - 4, "the source is as it was");
}

#[test]
fn restore_goes_to_a_time() {
    let home = TempDir::new().unwrap();
    let old = two_times(home.path());
    let restore = |code: i32, time: &str, name: &str| {
        let into = home.path().join(name);
        json(code, RESTORE, &[shown(&old), "--into", shown(&into), "--to-time", time])
    };
    assert_eq!(restore(0, "1700000050", "a")["keys"], 1);
    assert_eq!(restore(0, "1700000099999", "b")["keys"], 1);
    assert_eq!(restore(0, "2023-11-14T22:15:01Z", "c")["keys"], 3);
    let offset =
        ends_with(2, RESTORE, &[shown(&old), "--into", shown(&home.path().join("d")), "--to-offset", "1"]);
    assert!(offset.contains("no offsets"), "{offset}");
}

/// A data folder of ours with three sealed batches behind an empty base, and the offset behind each.
fn sealed_folder(home: &Path) -> (PathBuf, Vec<u64>) {
    let (stock, dir) = (home.join("empty"), home.join("sealed"));
    fs::create_dir_all(stock.join("appendonlydir")).expect("make a folder");
    let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n";
    fs::write(stock.join("appendonlydir/appendonly.aof.manifest"), manifest).expect("write the manifest");
    fs::write(stock.join("appendonlydir/appendonly.aof.1.incr.aof"), "").expect("write the log");
    ends_with(0, REWRITE, &[shown(&stock), "--into", shown(&dir)]);
    let path = dir.join("appendonlydir/appendonly.aof.1.incr.aof");
    let mut log = fs::read(&path).expect("read the log");
    let mut sealer = LogVerifier::new().check(&log).extent().sealer().expect("a log of ours");
    let batch = |turn: u64| {
        let one = command(&["SET", &format!("key:{turn}"), "value"]).into_bytes();
        sealer.feed(&one);
        log.extend(one);
        sealer.seal(FIRST_SEAL_MS + turn * 1000, &mut log);
        sealer.offset()
    };
    let offsets = (0..3).map(batch).collect();
    fs::write(&path, &log).expect("write the log");
    (dir, offsets)
}

/// When the first batch of [`sealed_folder`] was sealed: long after its base was taken. In ms of Unix time.
#[test]
fn restore_goes_to_an_offset_and_says_why_if_not() {
    let home = TempDir::new().unwrap();
    let (dir, offsets) = sealed_folder(home.path());
    let view = json(0, CHECK, &[shown(&dir)]);
    assert_eq!((&view["sound"], &view["ends"]["offset"]), (&true.into(), &offsets[2].into()), "{view}");
    let restore = |code: i32, name: &str, to: [&str; 2]| {
        let into = home.path().join(name);
        json(code, RESTORE, &[&[shown(&dir), "--into", shown(&into)][..], &to].concat())
    };
    for (turn, offset) in offsets.iter().enumerate() {
        let time = (FIRST_SEAL_MS + turn as u64 * 1000 + 999).to_string();
        for (name, to) in [("offset", ["--to-offset", &offset.to_string()]), ("time", ["--to-time", &time])] {
            let done = restore(0, &format!("{name}-{turn}"), to);
            assert_eq!(
                (&done["keys"], &done["place"]["offset"]),
                (&(turn + 1).into(), &(*offset).into()),
                "{done}"
            );
            assert_eq!(done["place"]["lineage"], view["ends"]["lineage"]);
        }
    }
    // Between two batches: the one before.
    let between = (offsets[1] - 1).to_string();
    assert_eq!(restore(0, "between", ["--to-offset", &between])["place"]["offset"], offsets[0]);
    let late = restore(2, "late", ["--to-offset", "999999999"]);
    assert!(late["error"].as_str().is_some_and(|text| text.contains("ends at")), "{late}");
    let early = restore(2, "early", ["--to-time", "1000"]);
    assert!(early["error"].as_str().is_some_and(|text| text.contains("begins at")), "{early}");
    assert_eq!((&late["damaged"], &early["damaged"]), (&false.into(), &false.into()));
    // Damage in the second batch: the first can be restored to, the third cannot.
    let path = dir.join("appendonlydir/appendonly.aof.1.incr.aof");
    let mut log = fs::read(&path).unwrap();
    let at = log.windows(5).position(|window| window == b"key:1").expect("the second batch");
    log[at] ^= 1;
    fs::write(&path, &log).unwrap();
    let first = offsets[0].to_string();
    assert_eq!(restore(0, "before-damage", ["--to-offset", &first])["keys"], 1);
    let last = offsets[2].to_string();
    let refused = restore(1, "behind-damage", ["--to-offset", &last]);
    assert_eq!(refused["damaged"], true, "{refused}");
    assert!(refused["error"].as_str().is_some_and(|text| text.contains("incr.aof, byte ")), "{refused}");
    assert!(!home.path().join("behind-damage").exists());
}

#[test]
fn a_sealed_log_is_checked_by_itself() {
    let seed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/aof/sealed");
    let view = json(0, CHECK, &[shown(&seed)]);
    assert!(view["files"][0]["seals"].as_u64() > Some(0) && view["files"][0]["crc64"].is_string(), "{view}");
    let home = TempDir::new().unwrap();
    let copy = home.path().join("log");
    let mut bytes = fs::read(&seed).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&copy, &bytes).unwrap();
    let view = json(1, CHECK, &[shown(&copy)]);
    assert!(view["damage"][0]["byte"].is_u64() || view["torn"]["byte"].is_u64(), "{view}");
}

#[test]
fn wrong_calls_are_told_from_damage() {
    let home = TempDir::new().unwrap();
    let (empty, nowhere) = (shown(home.path()).to_owned(), home.path().join("nowhere"));
    assert!(ends_with(2, CHECK, &[&empty]).contains("holds no append-only files"));
    for program in [CHECK, RDB_CHECK] {
        ends_with(2, program, &[shown(&nowhere)]);
        ends_with(2, program, &[]);
        ends_with(2, program, &[&empty, "--nonsense"]);
        ends_with(0, program, &["--help"]);
    }
    for program in [REWRITE, RESTORE] {
        ends_with(2, program, &[&empty]);
        ends_with(2, program, &[&empty, "--into", shown(&nowhere)]);
    }
    ends_with(2, RESTORE, &[&empty, "--into", "x", "--to-time", "soon"]);
    ends_with(2, RESTORE, &[&empty, "--into", "x", "--to-time", "1", "--to-offset", "1"]);
    let failure = json(2, CHECK, &[shown(&nowhere)]);
    assert_eq!(failure["damaged"], false);
}

#[test]
fn times_of_hash_fields_are_counted_and_kept() {
    let home = TempDir::new().unwrap();
    let old = two_times(home.path());
    let log = old.join("appendonlydir/appendonly.aof.1.incr.aof");
    let more = [
        fs::read_to_string(&log).unwrap(),
        command(&["HSET", "hash", "a", "1", "b", "2", "c", "3"]),
        command(&["HPEXPIREAT", "hash", "2000000000123", "FIELDS", "2", "a", "b"]),
    ];
    fs::write(&log, more.concat()).unwrap();
    assert_eq!(json(0, CHECK, &[shown(&old)])["files"][0]["records"], 6);
    let new = home.path().join("new");
    ends_with(0, REWRITE, &[shown(&old), "--into", shown(&new)]);
    let base = new.join("appendonlydir/appendonly.aof.1.base.rdb");
    let view = json(0, RDB_CHECK, &[shown(&base)]);
    assert_eq!(
        (&view["keys"], &view["expiring"], &view["expiring_fields"]),
        (&4.into(), &0.into(), &2.into())
    );
    assert!(ends_with(0, RDB_CHECK, &[shown(&base)]).contains("2 fields of hashes expire"));
    let again = home.path().join("again");
    ends_with(0, RESTORE, &[shown(&new), "--into", shown(&again)]);
    let base = again.join("appendonlydir/appendonly.aof.1.base.rdb");
    assert_eq!(json(0, RDB_CHECK, &[shown(&base)])["expiring_fields"], 2);
}

/// A snapshot of so many hashes, and where each begins.
fn snapshot(count: usize) -> (Vec<u8>, Vec<usize>) {
    let listpack = b"\x0c\0\0\0\x02\0\x81a\x02\x05\x01\xff";
    let mut bytes = b"REDIS0010\xfa\x09redis-ver\x057.2.4\xfe\x02".to_vec();
    let mut places = Vec::new();
    for n in 0..count {
        places.push(bytes.len());
        bytes.extend([16, 6]);
        bytes.extend(format!("key:{n:02}").as_bytes());
        bytes.push(12);
        bytes.extend(listpack);
    }
    bytes.push(0xff);
    bytes.extend(crc64(0, &bytes).to_le_bytes());
    (bytes, places)
}

#[test]
fn a_snapshot_is_reported_and_its_damage_located() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("dump.rdb");
    let (sound, places) = snapshot(30);
    fs::write(&path, &sound).unwrap();
    let view = json(0, RDB_CHECK, &[shown(&path)]);
    assert_eq!((&view["version"], &view["keys"], &view["elements"]), (&10.into(), &30.into(), &30.into()));
    assert_eq!(view["facts"][0]["value"], "7.2.4");
    assert_eq!((&view["databases"][0]["db"], &view["databases"][0]["keys"]), (&2.into(), &30.into()));
    assert_eq!((&view["encodings"][0]["type"], &view["encodings"][0]["keys"]), (&"hash".into(), &30.into()));
    json(1, RDB_CHECK, &[shown(&path), "--databases", "2"]);
    let mut bad = sound.clone();
    bad[places[10] + 9] ^= 1;
    fs::write(&path, &bad).unwrap();
    let around = &json(1, RDB_CHECK, &[shown(&path)])["around"];
    assert_eq!((&around["record_at"], &around["key"]), (&places[10].into(), &"key:10".into()), "{around}");
    assert_eq!((&around["keys_before"], &around["keys_after"]), (&10.into(), &19.into()), "{around}");
    let text = ends_with(1, RDB_CHECK, &[shown(&path)]);
    assert!(
        text.contains("DAMAGED") && text.contains("key \"key:10\"") && text.contains("up to the end"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_no_snapshot_is_named_with_what_to_do() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("file");
    let with_log = [&snapshot(2).0[..], command(&["SET", "a", "b"]).as_bytes()].concat();
    let cases: [(&[u8], &str); 7] = [
        (b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n", "aof-check FILE"),
        (b"#TS:1700000000\r\n", "aof-check FILE"),
        (b"file appendonly.aof.1.incr.aof seq 1 type i\n", "aof-check DIR"),
        (b"a text that somebody has written\n", "is a text"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "decompress"),
        (b"VALKEY080\xff\0\0\0\0\0\0\0\0", "Valkey"),
        (&with_log, "a log follows"),
    ];
    for (bytes, said) in cases {
        fs::write(&path, bytes).unwrap();
        let text = ends_with(2, RDB_CHECK, &[shown(&path)]);
        assert!(text.contains(said) && text.contains("next: "), "{text}");
    }
    // The same of one log.
    let cases: [(&[u8], &str); 5] = [
        (b"file appendonly.aof.1.incr.aof seq 1 type i\n", "aof-check DIR"),
        (b"a text that somebody has written\n", "is a text, not an append-only file"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "decompress"),
        (b"VALKEY080\xff\0\0\0\0\0\0\0\0", "Valkey"),
        (b"\x7fELF\x02\x01\x01\0\0", "no command can be made out"),
    ];
    for (bytes, said) in cases {
        fs::write(&path, bytes).unwrap();
        let text = ends_with(2, CHECK, &[shown(&path)]);
        assert!(text.contains(said) && text.contains("next: "), "{text}");
    }
    // But what looks like a log is one, if a damaged one.
    fs::write(&path, b"+2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n").unwrap();
    assert!(ends_with(1, CHECK, &[shown(&path)]).contains("DAMAGED"));
    fs::write(&path, b"").unwrap();
    assert!(ends_with(1, RDB_CHECK, &[shown(&path)]).contains("the file is empty"));
    assert!(ends_with(2, RDB_CHECK, &[shown(home.path())]).contains("is a folder"));
    assert!(ends_with(2, RDB_CHECK, &[shown(&home.path().join("none"))]).contains("none"));
}

#[test]
fn a_snapshot_is_analysed_and_written_out() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("dump.rdb");
    let (mut sound, _) = snapshot(30);
    sound.truncate(sound.len() - 9);
    sound.extend(b"\x00\x02\xff\"\x03a\nb\xff\0\0\0\0\0\0\0\0");
    fs::write(&path, &sound).unwrap();
    let view = json(0, RDB_CHECK, &[shown(&path), "--analyze", "--top", "3"]);
    assert_eq!((&view["keys"], view["top"].as_array().map(Vec::len)), (&31.into(), Some(3)));
    let by_prefix = &view["prefixes"][0];
    assert_eq!((&by_prefix["name"], &by_prefix["keys"]), (&"key".into(), &30.into()), "{view}");
    let text = ends_with(0, RDB_CHECK, &[shown(&path), "--analyze"]);
    assert!(text.contains("the biggest keys") && text.contains("no expiry"), "{text}");
    let csv = ends_with(0, RDB_CHECK, &[shown(&path), "--analyze", "--csv"]);
    assert!(csv.lines().all(|line| line.matches(',').count() == 8), "{csv}");
    assert!(csv.contains("prefix,,\"key\",,,30,,"), "{csv}");

    let output = run(RDB_CHECK, &[shown(&path), "--export", "jsonl"]);
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(lines.len(), 31);
    assert_eq!(
        lines[0],
        serde_json::json!({"db": 2, "key": "key:00", "type": "hash", "value": [["a", "5"]]})
    );
    assert_eq!(lines[30]["key"], serde_json::json!({"base64": "/yI="}));
    assert_eq!(lines[30]["value"], "a\nb");
    let output = run(RDB_CHECK, &[shown(&path), "--export", "resp"]);
    let start = [command(&["SELECT", "2"]), command(&["HSET", "key:00", "a", "5"])].concat();
    assert!(output.stdout.starts_with(start.as_bytes()) && output.status.success());

    sound[100] ^= 0xff;
    fs::write(&path, &sound).unwrap();
    for args in [&["--export", "resp"][..], &["--analyze"]] {
        let text = ends_with(1, RDB_CHECK, &[&[shown(&path)], args].concat());
        assert!(text.contains("DAMAGED"), "{text}");
    }
    ends_with(2, RDB_CHECK, &[shown(&path), "--analyze", "--export", "resp"]);
    fs::write(&path, b"a text that somebody has written\n").unwrap();
    for args in [&["--export", "resp"][..], &["--analyze"]] {
        assert!(ends_with(2, RDB_CHECK, &[&[shown(&path)], args].concat()).contains("is a text"));
    }
}
