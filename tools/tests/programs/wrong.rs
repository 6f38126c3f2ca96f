//! Calls that name what is not meant: other files, other folders, names that look like servers.

use super::support::{
    BACKUP, CHECK, DIFF, RDB_CHECK, RESTORE, REWRITE, command, ends_with, json, run, shown, stock_folder,
    text_of,
};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A snapshot of nothing, without a checksum.
const SNAPSHOT: &[u8] = b"REDIS0009\xff\0\0\0\0\0\0\0\0";

fn folder(home: &Path) -> PathBuf {
    let dir = home.join("node");
    stock_folder(&dir, &[command(&["SELECT", "0"]), command(&["SET", "key", "value"])].concat());
    dir
}

/// What each program that reads a state is called with, but for the state.
fn readers<'a>(path: &'a str, new: &'a str, other: &'a str) -> Vec<(&'static str, Vec<&'a str>)> {
    vec![
        (CHECK, vec![path]),
        (RDB_CHECK, vec![path]),
        (RDB_CHECK, vec![path, "--analyze"]),
        (RESTORE, vec![path, "--into", new]),
        (REWRITE, vec![path, "--into", new]),
        (DIFF, vec![path, other]),
    ]
}

/// The call ends with 2, and says these words; in JSON, too.
fn is_refused(program: &str, args: &[&str], words: &[&str]) {
    let text = ends_with(2, program, args);
    let found = json(2, program, args);
    let said = ["error", "next"].map(|name| found[name].as_str().unwrap_or_default()).concat();
    for word in words {
        assert!(text.contains(word), "{program} {args:?}: no {word:?} in {text}");
        assert!(said.contains(word.trim_start_matches("next: ")), "{program} {args:?}: {found}");
    }
}

#[test]
fn what_is_no_plain_file_is_named_and_nobody_waits_for_it() {
    let home = TempDir::new().expect("make a temporary folder");
    let dir = folder(home.path());
    let [pipe, socket, device, new] = ["pipe", "socket", "device", "new"].map(|name| home.path().join(name));
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("run mkfifo").success());
    let _listener = UnixListener::bind(&socket).expect("make a socket");
    symlink("/dev/null", &device).expect("make a link");
    for (path, what) in [(&pipe, "a named pipe"), (&socket, "a socket"), (&device, "a device")] {
        for (program, args) in readers(shown(path), shown(&new), shown(&dir)) {
            is_refused(program, &args, &[what, shown(path), "next: name a plain file"]);
            assert!(!new.exists(), "{program}");
        }
    }
}

#[test]
fn a_file_that_holds_no_state_is_named_and_is_no_damage() {
    let home = TempDir::new().expect("make a temporary folder");
    let dir = folder(home.path());
    let new = home.path().join("new");
    let files: [(&str, &[u8], &str); 5] = [
        ("text", b"bind 127.0.0.1\nport 6379\n", "is a text"),
        ("program", b"\x7fELF\x02\x01\x01\0\0\0\0\0", "/program is n"),
        ("packed", b"\x1f\x8b\x08\0\0\0\0\0\0", "next: decompress it"),
        ("valkey", b"VALKEY080\xff", "Valkey's own format"),
        ("list", b"file a.base.rdb seq 1 type b\n", "is the manifest"),
    ];
    for (name, bytes, what) in files {
        let path = home.path().join(name);
        fs::write(&path, bytes).expect("write a file");
        for (program, args) in readers(shown(&path), shown(&new), shown(&dir)) {
            is_refused(program, &args, &[what, shown(&path), "next: "]);
            assert!(!new.exists(), "{program}");
        }
    }
    // A snapshot that is damaged in its first letters is damaged, and no other file.
    let path = home.path().join("dump.rdb");
    fs::write(&path, [b"REDIZ", &SNAPSHOT[5..]].concat()).expect("write a file");
    ends_with(1, RDB_CHECK, &[shown(&path)]);
    ends_with(1, RESTORE, &[shown(&path), "--into", shown(&new)]);
    assert!(!new.exists());
}

#[test]
fn a_folder_beside_the_right_one_says_what_lies_in_it() {
    let home = TempDir::new().expect("make a temporary folder");
    let dir = folder(home.path());
    let [old, dump, new] = ["old", "dump", "new"].map(|name| home.path().join(name));
    for (folder, name, bytes) in [
        (&old, "appendonly.aof", command(&["SET", "key", "value"]).into_bytes()),
        (&dump, "dump.rdb", SNAPSHOT.to_owned()),
    ] {
        fs::create_dir(folder).expect("make a folder");
        fs::write(folder.join(name), bytes).expect("write a file");
    }
    for (path, meant) in
        [(home.path(), dir.clone()), (&old, old.join("appendonly.aof")), (&dump, dump.join("dump.rdb"))]
    {
        for (program, args) in [
            (CHECK, vec![shown(path)]),
            (RESTORE, vec![shown(path), "--into", shown(&new)]),
            (BACKUP, vec![shown(path), "--to", shown(&new)]),
            (DIFF, vec![shown(path), shown(&dir)]),
        ] {
            let but = format!("but there is {}", shown(&meant));
            is_refused(program, &args, &[&but, "next: name that"]);
            assert!(!new.exists(), "{program}");
        }
        ends_with(0, CHECK, &[shown(&meant)]);
    }
}

#[test]
fn the_append_only_folder_may_be_a_link_to_another_disk() {
    let home = TempDir::new().expect("make a temporary folder");
    let dir = folder(home.path());
    let [disk, new] = ["disk", "new"].map(|name| home.path().join(name));
    fs::rename(dir.join("appendonlydir"), &disk).expect("move the folder");
    symlink(&disk, dir.join("appendonlydir")).expect("make a link");
    ends_with(0, CHECK, &[shown(&dir)]);
    ends_with(0, RESTORE, &[shown(&dir), "--into", shown(&new)]);
    ends_with(0, DIFF, &[shown(&dir), shown(&new)]);
}

#[test]
fn a_name_that_is_no_text_is_a_name() {
    let home = TempDir::new().expect("make a temporary folder");
    let dir = folder(home.path());
    let odd = home.path().join(OsStr::from_bytes(b"od\xffd"));
    fs::rename(&dir, &odd).expect("give the folder another name");
    let calls: [(&str, Option<&str>, i32); 6] = [
        (CHECK, None, 0),
        (RESTORE, Some("--into"), 0),
        (REWRITE, Some("--into"), 0),
        (BACKUP, Some("--to"), 0),
        (DIFF, None, 0),
        (RDB_CHECK, None, 2),
    ];
    for (index, (program, option, code)) in calls.into_iter().enumerate() {
        let target = home.path().join(OsStr::from_bytes(format!("new-{index}-").as_bytes())).join("\u{e4}");
        let mut call = Command::new(program);
        call.arg(&odd).arg("--json");
        match option {
            Some(option) => call.arg(option).arg(&target),
            None if program == DIFF => call.arg(&odd),
            None => &mut call,
        };
        let output = call.output().expect("run a tool");
        let text = text_of(code, output, program);
        let found: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(program == BACKUP || found.to_string().contains("od\u{fffd}d"), "{program}: {text}");
    }
}

#[test]
fn a_target_is_looked_at_before_the_source_is_read() {
    let home = TempDir::new().expect("make a temporary folder");
    let dir = folder(home.path());
    let file = home.path().join("file");
    fs::write(&file, "x").expect("write a file");
    let within = dir.join("appendonlydir/new");
    for program in [RESTORE, REWRITE] {
        let into = |into: &Path| vec![shown(&dir).to_owned(), "--into".to_owned(), shown(into).to_owned()];
        let refused = |target: &Path, words: &[&str]| {
            let args = into(target);
            is_refused(program, &args.iter().map(String::as_str).collect::<Vec<_>>(), words);
        };
        refused(&file, &["next: that is a file"]);
        refused(&within, &["lies in the folder that is read"]);
        refused(&dir.join("appendonlydir"), &["lies in the folder that is read"]);
        assert!(!within.exists());
    }
    for target in [&dir, &dir.join("appendonlydir"), &within] {
        is_refused(BACKUP, &[shown(&dir), "--to", shown(target)], &["name another one for the backups"]);
        assert_eq!(fs::read_dir(&dir).expect("read the folder").count(), 1, "nothing was made");
    }
    // What was made for a call that came to nothing goes again, the folders above it, too.
    let deep = home.path().join("a/b/c");
    ends_with(2, RESTORE, &[shown(&dir), "--into", shown(&deep), "--before", "FLUSHALL"]);
    assert!(!home.path().join("a").exists());
    ends_with(0, RESTORE, &[shown(&dir), "--into", shown(&deep)]);
}

#[test]
fn a_server_is_no_folder() {
    let home = TempDir::new().expect("make a temporary folder");
    let dir = folder(home.path());
    for (program, option, target, words) in [
        (BACKUP, "--to", "redis://:secret@127.0.0.1:6379", "backups go to a folder"),
        (BACKUP, "--to", "unix:/run/redis.sock", "backups go to a folder"),
        (RESTORE, "--into", "127.0.0.1:6379", "looks like a server's address"),
        (RESTORE, "--into", "localhost:6379", "redis://HOST:PORT"),
    ] {
        let args = [shown(&dir), option, target];
        for more in [&[][..], &["--json"]] {
            let mut call = Command::new(program);
            let output = call.args(args).args(more).current_dir(home.path()).output().expect("run a tool");
            let text = text_of(2, output, target);
            assert!(text.contains(words) && !text.contains("secret"), "{text}");
            assert_eq!(more.is_empty(), serde_json::from_str::<Value>(&text).is_err(), "{text}");
        }
    }
    assert_eq!(fs::read_dir(home.path()).expect("read the folder").count(), 1, "nothing was made");
}

#[test]
fn no_databases_at_all_are_a_wrong_call() {
    let home = TempDir::new().expect("make a temporary folder");
    let dir = folder(home.path());
    for (program, args) in readers(shown(&dir), "new", shown(&dir)) {
        let text = ends_with(2, program, &[&args[..], &["--databases", "0"]].concat());
        assert!(text.contains("--databases"), "{text}");
    }
}

/// Words that are not understood: in JSON for whoever asks for that, on the standard output and nowhere else.
#[test]
fn a_call_that_is_not_understood_is_told_in_json_too() {
    let calls: [(&str, &[&str], &str); 8] = [
        (CHECK, &[], "<DIR|MANIFEST|FILE>"),
        (CHECK, &["dir", "--until", "5"], "--timeline"),
        (RDB_CHECK, &["file", "--databases", "0"], "--databases"),
        (RESTORE, &["dir"], "--into <NEW|URL>"),
        (RESTORE, &["dir", "--into", "new", "--nonsense"], "unexpected argument '--nonsense'"),
        (REWRITE, &["dir", "--into", "new", "--history", "burn"], "'burn'"),
        (BACKUP, &["dir", "--to", "shelf", "--schedule", "often"], "often"),
        (DIFF, &["a"], "<B>"),
    ];
    for (program, args, words) in calls {
        let plain = run(program, args);
        let stderr = String::from_utf8(plain.stderr).expect("text");
        assert_eq!((plain.status.code(), plain.stdout.len()), (Some(2), 0), "{program} {args:?}");
        assert!(stderr.starts_with("error: ") && stderr.contains(words), "{stderr}");
        // Wherever it stands.
        for args in [[args, &["--json"]].concat(), [&["--json"], args].concat()] {
            let output = run(program, &args);
            assert_eq!((output.status.code(), output.stderr.len()), (Some(2), 0), "{program} {args:?}");
            let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let (error, next) = (found["error"].as_str().unwrap(), found["next"].as_str().unwrap());
            assert!(error.contains(words) && !error.contains('\n') && !error.contains("Usage"), "{found}");
            let name = Path::new(program).file_name().expect("a name").to_str().expect("a text");
            assert_eq!(next, format!("see `{name} --help`"));
        }
        // Help is no error, and behind `--` stands no option.
        let help = run(program, &["--json", "--help"]);
        assert!(help.status.success() && help.stderr.is_empty(), "{program}");
        assert!(serde_json::from_slice::<Value>(&help.stdout).is_err());
        let name = run(program, &["--nonsense", "--", "--json"]);
        assert!(name.stdout.is_empty() && name.stderr.starts_with(b"error: "), "{program}");
    }
}

/// A log without a byte is one that a server starts from; a snapshot without a byte is none.
#[test]
fn an_empty_file_is_told_as_a_server_takes_it() {
    let home = TempDir::new().expect("make a temporary folder");
    let [log, dump, new] = ["appendonly.aof", "dump.rdb", "new"].map(|name| home.path().join(name));
    for path in [&log, &dump] {
        fs::write(path, "").expect("write a file");
    }
    let told = "A server starts from it with no keys";
    let text = ends_with(0, CHECK, &[shown(&log)]);
    assert!(text.contains(told) && text.contains("SOUND"), "{text}");
    let found = json(0, CHECK, &[shown(&log)]);
    assert_eq!((&found["sound"], &found["empty"]), (&true.into(), &true.into()), "{found}");
    for program in [RESTORE, REWRITE] {
        let text = ends_with(0, program, &[shown(&log), "--into", shown(&new)]);
        assert!(text.contains(told) && text.contains("0 keys"), "{text}");
        assert_eq!(json(0, CHECK, &[shown(&new)])["empty"], false, "its base tells a place in history");
        fs::remove_dir_all(&new).expect("remove it");
    }
    for (program, code, words) in
        [(CHECK, 2, "a server does not start from an empty snapshot"), (RDB_CHECK, 1, ""), (RESTORE, 1, "")]
    {
        let args = [shown(&dump), "--into", shown(&new)];
        let text = ends_with(code, program, if program == RESTORE { &args[..] } else { &args[..1] });
        assert!(text.contains(words) && text.contains(shown(&dump)), "{text}");
        assert!(!new.exists());
    }
    let dir = home.path().join("stock");
    stock_folder(&dir, "");
    assert_eq!(json(0, CHECK, &[shown(&dir)])["empty"], true);
}

#[test]
fn where_no_word_can_be_written_the_exit_code_still_tells() {
    let home = TempDir::new().expect("make a temporary folder");
    let nowhere = home.path().join("nowhere");
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("open the device that is full");
    for (program, args) in readers(shown(&nowhere), shown(&nowhere), shown(&nowhere)) {
        let output = Command::new(program).args(&args).stdout(full()).stderr(full()).status();
        assert_eq!(output.expect("run a tool").code(), Some(2), "{program}");
    }
    // A man page for a reader that went away is no error.
    let mut shell = Command::new("bash");
    shell.args(["-c", "\"$1\" --generate man | true; exit \"${PIPESTATUS[0]}\"", "bash", RESTORE]);
    text_of(0, shell.output().expect("run a shell"), "a closed pipe");
    for program in [CHECK, RDB_CHECK, RESTORE, REWRITE, BACKUP, DIFF] {
        let output = run(program, &["--version"]);
        let text = text_of(0, output, program);
        let name = Path::new(program).file_name().expect("a name").to_string_lossy();
        assert!(text.starts_with(&*name), "{text}");
    }
}
