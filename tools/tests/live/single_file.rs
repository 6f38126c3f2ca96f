//! `restore` and `aof-rewrite` of one file: a snapshot, or the append-only file of a server before 7.0.

use super::servers::{Server, Source, keys_of};
use super::sources::everywhere;
use super::{DIFF, RESTORE, REWRITE, ends_with, fill, json, shown};
use std::path::PathBuf;
use tempfile::TempDir;

/// Commands as a log holds them, one a line.
fn log(lines: &str) -> Vec<u8> {
    let command = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let args: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        format!("*{}\r\n{args}", words.len())
    };
    let line = |line: &str| if line.starts_with('#') { format!("{line}\r\n") } else { command(line) };
    lines.lines().map(str::trim).map(line).collect::<String>().into_bytes()
}

const LINES: &str = "SELECT 0
    SET a:1 one
    RPUSH list x y z
    SELECT 1
    SADD b:1 m n
    PEXPIREAT b:1 4000000000000
    SET b:2 2
    FLUSHALL
    SET after 1";

/// A file of these bytes.
fn file(home: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = home.path().join(name);
    std::fs::write(&path, bytes).expect("write the file");
    path
}

/// A snapshot of some keys of all types, and its digest.
fn snapshot() -> (Vec<u8>, String) {
    let server = Server::ours(&[]);
    let mut client = server.client();
    fill(&mut client, 200);
    client.ok("SAVE");
    (std::fs::read(server.dir().join("dump.rdb")).expect("read it"), client.digest())
}

#[test]
fn a_log_goes_into_folders_and_servers() {
    let home = TempDir::new().unwrap();
    let (snapshot, digest) = snapshot();
    let plain = file(&home, "plain.aof", &log(LINES));
    let with_snapshot = file(&home, "appendonly.aof", &[snapshot.as_slice(), &log(LINES)].concat());
    for (path, keys, more) in [(&plain, 4, 0), (&with_snapshot, 204, 200)] {
        assert_eq!(everywhere(path, &[])["keys"], 1, "{}", path.display());
        let before = everywhere(path, &["--before", "FLUSHALL"]);
        assert_eq!((&before["keys"], &before["base_keys"]), (&keys.into(), &more.into()), "{before}");
        let some = everywhere(path, &["--before", "FLUSHALL", "--keys", "b:*"]);
        assert_eq!(some["keys"], 2, "{some}");
        let one = everywhere(path, &["--before", "FLUSHALL", "--db", "1"]);
        assert_eq!(one["keys"], 2 + more / 2, "{one}");
        let into = home.path().join(format!("rewritten-{more}"));
        let rewritten = json(0, REWRITE, &[shown(path), "--into", shown(&into)]);
        assert_eq!((&rewritten["keys"], &rewritten["commands"]), (&1.into(), &9.into()), "{rewritten}");
        let server = Server::ours(&["--dir", shown(&into), "--appendonly", "yes"]);
        let mut client = server.client();
        client.ok("SELECT 1");
        assert_eq!(client.text("GET after"), "1");
        ends_with(0, DIFF, &[shown(path), &server.url()]);
        // A history that names no offsets, and no times.
        let args = [shown(path), "--into", &server.url(), "--to-offset", "1"];
        assert!(ends_with(2, RESTORE, &args).contains("tell no offsets"));
        let args = [shown(path), "--into", &server.url(), "--to-time", "4000000000"];
        assert!(ends_with(2, RESTORE, &args).contains("no time that the log files tell"));
    }
    let whole = everywhere(&file(&home, "dump.rdb", &snapshot), &[]);
    assert_eq!((&whole["digest"], &whole["new_history"]), (&digest.into(), &false.into()), "{whole}");
}

#[test]
fn times_in_a_log_are_gone_to() {
    let home = TempDir::new().unwrap();
    let (snapshot, _) = snapshot();
    let lines = log("SELECT 0\n#TS:1700000000\nSET a 1\n#TS:1700000100\nSET b 2\n#TS:1700000200\nFLUSHALL");
    let path = file(&home, "appendonly.aof", &lines);
    for (time, keys) in [("1700000000", 1), ("1700000150", 2), ("1700000200", 0)] {
        assert_eq!(everywhere(&path, &["--to-time", time])["keys"], keys, "{time}");
    }
    // The snapshot is of a later time than those.
    let path = file(&home, "both.aof", &[snapshot, lines].concat());
    let into = home.path().join("new");
    let text = ends_with(2, RESTORE, &[shown(&path), "--into", shown(&into), "--to-time", "1700000150"]);
    assert!(text.contains("begins at"), "{text}");
}

#[test]
fn ends_that_are_torn_are_left_out_and_damage_is_told_with_its_place() {
    let home = TempDir::new().unwrap();
    let (snapshot, _) = snapshot();
    let whole = [snapshot.as_slice(), &log("SELECT 0\nSET a:1 one\nSET a:2 two")].concat();
    let torn = file(&home, "torn.aof", &whole[..whole.len() - 3]);
    let left = everywhere(&torn, &["--keys", "a:*"]);
    assert_eq!((&left["keys"], &left["torn"]["file"]), (&1.into(), &shown(&torn).into()), "{left}");
    let good = snapshot.len() + log("SELECT 0\nSET a:1 one").len();
    assert_eq!(left["torn"]["byte"], good, "{left}");
    let server = Server::ours(&[]);
    let mut bytes = whole.clone();
    bytes[good] = b'!';
    let damaged = file(&home, "damaged.aof", &bytes);
    let text = ends_with(1, RESTORE, &[shown(&damaged), "--into", &server.url()]);
    assert!(text.contains(&format!("damaged.aof, byte {good}")), "{text}");
    let mut bytes = whole;
    bytes[snapshot.len() / 2] ^= 0xff;
    let damaged = file(&home, "snapshot.aof", &bytes);
    let text = ends_with(1, RESTORE, &[shown(&damaged), "--into", &server.url()]);
    assert!(text.contains("snapshot.aof, byte"), "{text}");
    assert_eq!(server.client().int("DBSIZE"), 0);
}

#[test]
fn files_that_are_no_state_are_refused() {
    let home = TempDir::new().unwrap();
    let (snapshot, _) = snapshot();
    let source = Source::filled(|client| fill(client, 20));
    let server = Server::ours(&[]);
    let url = server.url();
    let part = source.dir().join("appendonlydir/appendonly.aof.1.incr.aof");
    let renamed = file(&home, "renamed.aof", &std::fs::read(&part).expect("a log"));
    let stock = file(&home, "appendonly.aof.7.incr.aof", &log(LINES));
    let dump = file(&home, "dump.rdb", &snapshot);
    for (path, more, told) in [
        (&part, vec![], "name the folder"),
        (&renamed, vec![], "name the folder"),
        (&stock, vec![], "name the folder"),
        (&dump, vec!["--before", "FLUSHALL"], "of one moment"),
        (&dump, vec!["--to-time", "4000000000"], "of one moment"),
    ] {
        for into in [url.as_str(), shown(&home.path().join("new"))] {
            let text = ends_with(2, RESTORE, &[&[shown(path), "--into", into][..], &more].concat());
            assert!(text.contains(told) && text.contains(shown(path)), "{path:?} {more:?}: {text}");
        }
    }
    assert!(!home.path().join("new").exists());
}

/// A server starts from a log without a byte, and so do the tools; from such a snapshot neither does.
#[test]
fn what_holds_nothing_is_to_the_tools_what_it_is_to_a_server() {
    let home = TempDir::new().unwrap();
    let server = Server::ours(&[]);
    for (name, args, is_state) in
        [("appendonly.aof", &["--appendonly", "yes"][..], true), ("dump.rdb", &[][..], false)]
    {
        let data = home.path().join(name).join("data");
        std::fs::create_dir_all(&data).unwrap();
        let path = data.join(name);
        std::fs::write(&path, "").unwrap();
        let new = home.path().join(name).join("new");
        let code = if is_state { 0 } else { 1 };
        for into in [shown(&new), server.url().as_str()] {
            ends_with(code, RESTORE, &[shown(&path), "--into", into]);
        }
        assert_eq!(keys_of(&mut server.client()), 0);
        let started = Server::over(&data, args);
        assert_eq!(started.as_ref().map(|server| keys_of(&mut server.client())).ok(), is_state.then_some(0));
    }
}
