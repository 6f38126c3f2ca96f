//! The tools after a mistake: the timeline, the state before a command, parts of the data, wrong calls.

use super::support::{CHECK, RESTORE, command, ends_with, json, shown, stock_folder};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Minutes of traffic with a FLUSHALL at the end, as a stock server logs it with timestamps.
fn log() -> String {
    let minute = |n: u64, commands: &[&str]| {
        let commands: String =
            commands.iter().map(|text| command(&text.split(' ').collect::<Vec<_>>())).collect();
        format!("#TS:{}\r\n{commands}", 1_700_000_040 + n * 60)
    };
    let many = format!("DEL{}", " gone".repeat(150));
    [
        minute(0, &["SELECT 0", "SET session:1 a", "SET user:1 b", "SELECT 3", "SET session:2 c"]),
        minute(1, &["DEL session:9", "MULTI", "SET user:2 d", "FLUSHDB", "EXEC", "SET session:3 e"]),
        minute(2, &["SELECT 0", &many, "SET session:4 f"]),
        minute(5, &["FLUSHALL", "SET session:5 g"]),
    ]
    .concat()
}

fn folder(home: &Path) -> PathBuf {
    stock_folder(&home.join("old"), &log());
    home.join("old")
}

#[test]
fn the_timeline_has_minutes_and_what_destroyed() {
    let home = TempDir::new().unwrap();
    let dir = folder(home.path());
    let file = dir.join("appendonlydir/appendonly.aof.1.incr.aof");
    for path in [&dir, &file] {
        let view = json(0, CHECK, &[shown(path), "--timeline"]);
        let timeline = &view["timeline"];
        let rows = timeline["rows"].as_array().unwrap();
        let commands: Vec<_> = rows.iter().map(|row| row["commands"].as_u64().unwrap()).collect();
        assert_eq!(commands, [5, 6, 3, 2], "{timeline}");
        assert_eq!((&rows[1]["removed_singly"], &rows[2]["removed_together"]), (&1.into(), &150.into()));
        let events = timeline["destroying"].as_array().unwrap();
        let seen: Vec<_> =
            events.iter().map(|event| (event["command"].as_str().unwrap(), &event["db"])).collect();
        assert_eq!((seen[0], seen[2]), (("FLUSHDB", &3.into()), ("FLUSHALL", &0.into())), "{events:?}");
        assert!(seen[1].0.starts_with("DEL gone") && events[1]["keys"] == 150, "{events:?}");
        assert_eq!(events[2]["time"]["rfc3339"], "2023-11-14T22:19:00Z");
    }
    let text = ends_with(0, CHECK, &[shown(&dir), "--timeline"]);
    assert!(
        text.contains("2023-11-14T22:14:00Z ") && text.contains("1 FLUSHALL, the last 2023-11-14T22:19:00Z"),
        "{text}"
    );
    let span = ["--since", "2023-11-14T22:15:30Z", "--until", "1700000160"];
    let view = json(0, CHECK, &[&[shown(&dir), "--timeline"], &span[..]].concat());
    assert_eq!(view["timeline"]["rows"].as_array().map(Vec::len), Some(1), "{view}");
    assert!(json(0, CHECK, &[shown(&dir)])["timeline"].is_null());
    ends_with(2, CHECK, &[shown(&dir), "--since", "1"]);
}

#[test]
fn the_state_before_a_command_and_parts_of_it() {
    let home = TempDir::new().unwrap();
    let dir = folder(home.path());
    let mut turn = 0;
    let mut restore = |code: i32, args: &[&str]| {
        turn += 1;
        let into = home.path().join(format!("new-{turn}"));
        let done = json(code, RESTORE, &[&[shown(&dir), "--into", shown(&into)], args].concat());
        assert_eq!(into.exists(), code == 0, "{args:?} leaves something, or nothing: {done}");
        done
    };
    for (args, keys, left_out) in [
        (&["--before", "flushall"][..], 4, None),
        (&["--before", "FLUSH*", "--occurrence", "2"], 3, None),
        (&["--before", "FLUSH*", "--occurrence", "first"], 3, None),
        (&["--before", "FLUSHALL", "--keys", "session:*"], 3, Some(1)),
        (&["--before", "FLUSHALL", "--db", "3"], 1, Some(3)),
        (&["--before", "SET session:*", "--to-time", "1700000060"], 2, None),
        (&["--before", "FLUSHDB", "--keys", "session:*", "--db", "3"], 1, Some(2)),
    ] {
        let done = restore(0, args);
        assert_eq!((&done["keys"], done["left_out"].as_u64()), (&keys.into(), left_out), "{args:?}: {done}");
        assert_eq!(done["digest"].as_str().map(str::len), Some(40));
    }
    let done = restore(0, &["--before", "FLUSHDB"]);
    assert_eq!(
        (&done["before"]["in_transaction"], &done["before"]["db"]),
        (&true.into(), &3.into()),
        "{done}"
    );
    let done = restore(0, &["--before", "SET"]);
    assert_eq!(
        (&done["matches"], &done["before"]["command"]),
        (&7.into(), &"SET session:5 g".into()),
        "{done}"
    );
    let refused = restore(2, &["--before", "SWAPDB"]);
    let told = refused["error"].as_str().unwrap();
    assert!(told.contains("no command up to there matches SWAPDB"), "{told}");
    for seen in ["FLUSHALL (1, the last at 2023-11-14T22:19:00Z", "FLUSHDB (1", "DEL (2"] {
        assert!(told.contains(seen), "{seen}: {told}");
    }
    let refused = restore(2, &["--before", "FLUSHALL", "--occurrence", "2"]);
    assert!(refused["error"].as_str().is_some_and(|text| text.contains("only 1 commands")), "{refused}");
    let refused = restore(2, &["--keys", "nothing:*"]);
    assert!(refused["error"].as_str().is_some_and(|text| text.contains("1 in database 0")), "{refused}");
}

#[test]
fn what_it_did_is_told_in_words() {
    let home = TempDir::new().unwrap();
    let dir = folder(home.path());
    let into = home.path().join("new");
    let text = ends_with(
        0,
        RESTORE,
        &[shown(&dir), "--into", shown(&into), "--before", "FLUSH*", "--keys", "session:*"],
    );
    for line in [
        "stopped before FLUSHALL (database 0, 2023-11-14T22:19:00Z, byte ",
        "2 commands match; the last of them, by --occurrence:",
        "   2  FLUSHDB (database 3",
        "left out 1 keys that were not asked for",
        ": 3 keys, digest ",
        ", new lineage ",
        "VERIFIED: the new folder was loaded again and holds the same data",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    for wrong in [
        &["--before", " "][..],
        &["--occurrence", "2"],
        &["--before", "X", "--occurrence", "0"],
        &["--db", "x"],
    ] {
        ends_with(2, RESTORE, &[&[shown(&dir), "--into", shown(&home.path().join("x"))], wrong].concat());
    }
}

#[test]
fn logs_of_one_file_are_checked_with_and_without_a_snapshot() {
    let home = TempDir::new().unwrap();
    let dir = folder(home.path());
    let into = home.path().join("new");
    ends_with(0, RESTORE, &[shown(&dir), "--into", shown(&into)]);
    let snapshot = fs::read(into.join("appendonlydir/appendonly.aof.1.base.rdb")).unwrap();
    let single = home.path().join("appendonly.aof");
    for (begin, files) in [(&[][..], 1), (&snapshot[..], 2)] {
        let whole = [begin, log().as_bytes()].concat();
        fs::write(&single, &whole).unwrap();
        let view = json(0, CHECK, &[shown(&single), "--timeline"]);
        assert_eq!(view["files"].as_array().map(Vec::len), Some(files), "{view}");
        assert_eq!(view["timeline"]["destroying"].as_array().map(Vec::len), Some(3), "{view}");
        // A command that no server has.
        let at = whole.windows(8).position(|bytes| bytes == b"FLUSHALL").unwrap();
        let mut bad = whole.clone();
        bad[at] = b'X';
        fs::write(&single, &bad).unwrap();
        let view = json(1, CHECK, &[shown(&single)]);
        let item = at - "*1\r\n$8\r\n".len();
        assert_eq!(view["damage"][0]["byte"], item as u64, "{view}");
        assert!(view["damage"][0]["what"].as_str().is_some_and(|what| what.contains("XLUSHALL")), "{view}");
        fs::write(&single, &whole[..whole.len() - 3]).unwrap();
        assert!(json(1, CHECK, &[shown(&single)])["torn"]["byte"].is_u64());
    }
}

#[test]
fn a_select_beyond_the_databases_is_told() {
    let home = TempDir::new().unwrap();
    let dir = folder(home.path());
    let text = ends_with(1, CHECK, &[shown(&dir), "--databases", "2"]);
    assert!(text.contains("SELECT of database 3, which this server does not have"), "{text}");
}

#[test]
fn wrong_paths_are_told_with_what_to_do() {
    let home = TempDir::new().unwrap();
    let nowhere = home.path().join("nowhere");
    for (program, more) in [(CHECK, &[][..]), (RESTORE, &["--into", "x"])] {
        let text = ends_with(2, program, &[&[shown(&nowhere)], more].concat());
        assert!(
            text.contains("nowhere: No such file") && text.contains("next: see whether the path is right"),
            "{text}"
        );
        let text = ends_with(2, program, &[&[shown(home.path())], more].concat());
        assert!(text.contains("holds no append-only files") && text.contains("`CONFIG GET dir`"), "{text}");
    }
    // A disk that takes nothing.
    let dir = folder(home.path());
    let text = ends_with(2, RESTORE, &[shown(&dir), "--into", "/proc/outrigger-new"]);
    assert!(text.contains("/proc/outrigger-new") && !text.contains("panicked"), "{text}");
    // A folder that its reader may not enter; whoever is root may.
    fs::set_permissions(dir.join("appendonlydir"), std::os::unix::fs::PermissionsExt::from_mode(0o000))
        .unwrap();
    let Output { status, stderr, .. } = Command::new(CHECK).arg(&dir).output().expect("run a tool");
    let text = String::from_utf8(stderr).unwrap();
    assert!(
        status.success() || text.contains("next: run this as the user that the server runs as"),
        "{text}"
    );
    fs::set_permissions(dir.join("appendonlydir"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
}
