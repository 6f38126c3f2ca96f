//! What `restore` takes: moments and parts of a folder, and backups, into a folder and into servers.

use super::client::Client;
use super::interrupted::{has_noted, kill_at};
use super::servers::{Kind, Server, Source, keys_of};
use super::{BACKUP, RESTORE, ends_with, fill, json, scaled, shown};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Restores into a new folder, and into a server of each kind: all must come to the same. What the folder came to.
pub fn everywhere(source: &Path, args: &[&str]) -> Value {
    let home = TempDir::with_prefix("outrigger-live-").expect("make a folder");
    let into = home.path().join("new");
    let folder = json(0, RESTORE, &[&[shown(source), "--into", shown(&into)][..], args].concat());
    for kind in [Kind::Ours, Kind::Stock] {
        let Some(server) = Server::start(kind, &["--enable-debug-command", "yes"]) else { continue };
        let done = json(0, RESTORE, &[&[shown(source), "--into", &server.url()][..], args].concat());
        for figure in ["keys", "digest", "left_out", "matches"] {
            assert_eq!(done[figure], folder[figure], "{figure}, {args:?}: {done}");
        }
        // An archive's files lie elsewhere each time.
        for figure in ["command", "byte", "offset", "time"] {
            assert_eq!(done["before"][figure], folder["before"][figure], "{figure}, {args:?}: {done}");
        }
        assert_eq!(done["verified"], "digest", "{args:?}: {done}");
        let mut client = server.client();
        assert_eq!(client.digest(), folder["digest"].as_str().expect("a digest"), "{kind:?}, {args:?}");
        assert_eq!(keys_of(&mut client), folder["keys"].as_i64().expect("a number"));
    }
    folder
}

/// Waits until all is in the files, and for a time that nothing of it was written at.
fn settle(client: &mut Client) -> u64 {
    client.cmd("WAITAOF 1 0 0");
    std::thread::sleep(Duration::from_millis(20));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis() as u64;
    std::thread::sleep(Duration::from_millis(20));
    now
}

/// A folder with a FLUSHALL at its end; what was there before it, and where in the history and when a moment before that was.
struct Flushed {
    source: Source,
    digest: String,
    moment: (String, u64, String),
}

impl Flushed {
    fn new(count: usize) -> Flushed {
        let (mut digest, mut moment) = (String::new(), (String::new(), 0, String::new()));
        let source = Source::filled(|client| {
            fill(client, count);
            let time_ms = settle(client);
            moment = (client.info("master_repl_offset").expect("an offset"), time_ms, client.digest());
            client.ok("SET late 1");
            digest = client.digest();
            client.ok("FLUSHALL");
            client.ok("SET after 1");
        });
        Flushed { source, digest, moment }
    }
}

#[test]
fn moments_and_parts_are_the_same_in_a_folder_and_in_a_server() {
    let flushed = Flushed::new(300);
    let dir = flushed.source.dir();
    let (offset, time_ms, digest) = &flushed.moment;
    let before = everywhere(&dir, &["--before", "FLUSHALL"]);
    assert_eq!(before["digest"], flushed.digest, "{before}");
    assert_eq!((&before["before"]["command"], &before["matches"]), (&"FLUSHALL".into(), &1.into()));
    assert_eq!(&everywhere(&dir, &["--to-offset", offset])["digest"], digest);
    assert_eq!(&everywhere(&dir, &["--to-time", &time_ms.to_string()])["digest"], digest);
    let some = everywhere(&dir, &["--before", "FLUSHALL", "--keys", "key:1*"]);
    assert_eq!((&some["keys"], &some["left_out"]), (&111.into(), &190.into()), "{some}");
    let one = everywhere(&dir, &["--to-offset", offset, "--db", "1"]);
    assert_eq!((&one["keys"], &one["left_out"]), (&150.into(), &150.into()), "{one}");
    let both = everywhere(&dir, &["--before", "SET late *", "--db", "0", "--keys", "key:2?"]);
    assert_eq!((&both["keys"], &both["left_out"]), (&5.into(), &295.into()), "{both}");
    // One database of several, into another.
    let server = Server::ours(&[]);
    let args = ["--into", &format!("{}/3", server.url()), "--to-offset", offset, "--db", "1"];
    let moved = json(0, RESTORE, &[&[shown(&dir)][..], &args].concat());
    assert_eq!((&moved["made"], &moved["verified"]), (&150.into(), &"read-back".into()), "{moved}");
    let mut client = server.client();
    client.ok("SELECT 3");
    assert_eq!(client.int("DBSIZE"), 150);
    let text = ends_with(0, RESTORE, &[shown(&dir), "--into", &server.url(), "--before", "FLUSHALL"]);
    assert!(text.contains("stopped before FLUSHALL"), "{text}");
}

#[test]
fn moments_that_are_not_there_leave_a_server_as_it_is() {
    let flushed = Flushed::new(30);
    let dir = flushed.source.dir();
    let server = Server::ours(&[]);
    for (args, told) in [
        (["--before", "FLUSHDB"], "FLUSHALL (1"),
        (["--to-offset", "99999999"], "ends at offset"),
        (["--to-time", "1000"], "begins at"),
        (["--keys", "nobody:*"], "other keys: 1 in database 0"),
        (["--db", "7"], "other keys: 1 in database 0"),
    ] {
        let text = ends_with(2, RESTORE, &[&[shown(&dir), "--into", &server.url()][..], &args].concat());
        assert!(text.contains(told), "{args:?}: {text}");
        assert_eq!(keys_of(&mut server.client()), 0);
    }
    assert!(flushed.source.resume_files().is_empty());
}

/// Takes a backup in this form; where it is.
fn backup(source: &Source, form: &str) -> PathBuf {
    let shelf = source.home.path().join("shelf");
    let view = json(0, BACKUP, &[shown(&source.dir()), "--to", shown(&shelf), "--form", form]);
    PathBuf::from(view["backup"]["path"].as_str().expect("a path"))
}

/// What archives were unpacked into and not removed.
fn unpacked(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("read the folder").flatten().map(|entry| entry.path());
    entries.filter(|path| path.to_string_lossy().contains(".outrigger-unpacked-")).collect()
}

#[test]
fn backups_of_both_forms_go_into_folders_and_servers() {
    let flushed = Flushed::new(300);
    let shelf = flushed.source.home.path().join("shelf");
    let work = TempDir::new().expect("make a folder");
    for form in ["archive", "folder"] {
        let path = backup(&flushed.source, form);
        let before = everywhere(&path, &["--before", "FLUSHALL"]);
        assert_eq!(before["digest"], flushed.digest, "{form}: {before}");
        let end = everywhere(&path, &["--work", shown(work.path())]);
        assert_eq!(end["keys"], 1, "{form}: {end}");
        assert_eq!((unpacked(&shelf), unpacked(work.path())), (Vec::new(), Vec::new()), "{form}");
    }
}

#[test]
fn an_archive_goes_on_from_another_place_and_what_was_left_there_is_swept() {
    let source = Source::filled(|client| fill(client, scaled(10_000)));
    let archive = backup(&source, "archive");
    let shelf = archive.parent().expect("a folder").to_owned();
    let server = Server::ours(&[]);
    let resume_file = || {
        let entries = std::fs::read_dir(&shelf).expect("read the folder").flatten().map(|entry| entry.path());
        entries.into_iter().find(|path| path.to_string_lossy().contains(".oar.restoring-into-"))
    };
    let mut tries = 0;
    while !kill_at(&archive, &server, source.keys * 9 / 10)
        || !resume_file().is_some_and(|file| has_noted(&file))
    {
        server.client().ok("FLUSHALL");
        resume_file().into_iter().for_each(|file| std::fs::remove_file(file).expect("remove it"));
        tries += 1;
        assert!(tries < 100, "each load was too quick to be killed behind a note");
    }
    assert_eq!(unpacked(&shelf).len(), 1, "the killed call cannot have removed it");
    // Another selection is another state, and the note is of this one.
    let other = ends_with(2, RESTORE, &[shown(&archive), "--into", &server.url(), "--keys", "key:*"]);
    assert!(other.contains("belongs to another state of the source"), "{other}");
    assert_eq!(unpacked(&shelf), Vec::<PathBuf>::new(), "swept by the call that found it");
    let work = TempDir::new().expect("make a folder");
    let args = [shown(&archive), "--into", &server.url(), "--work", shown(work.path())];
    let done = json(0, RESTORE, &args);
    assert!(done["resumed"].as_u64() > Some(0), "{done}");
    assert_eq!((server.client().digest(), &done["verified"]), (source.digest.clone(), &"digest".into()));
    assert_eq!((unpacked(&shelf), unpacked(work.path()), resume_file()), (Vec::new(), Vec::new(), None));
}

#[test]
fn an_archive_that_cannot_be_unpacked_says_where_and_what_to_do() {
    let source = Source::filled(|client| fill(client, 50));
    let archive = backup(&source, "archive");
    let server = Server::ours(&[]);
    let args = [shown(&archive), "--into", &server.url(), "--work", "/proc/self"];
    let text = ends_with(2, RESTORE, &args);
    assert!(text.contains("/proc") && text.contains("--work"), "{text}");
    // Where nobody answers, nothing is unpacked.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("redis://127.0.0.1:{free}");
    let text = ends_with(2, RESTORE, &[shown(&archive), "--into", &nobody, "--work", "/proc/self"]);
    assert!(text.contains("does it run"), "{text}");
    let mut bytes = std::fs::read(&archive).expect("read it");
    bytes[20] ^= 1;
    std::fs::write(&archive, &bytes).expect("damage it");
    let text = ends_with(1, RESTORE, &[shown(&archive), "--into", &server.url()]);
    assert!(text.contains(shown(&archive)), "{text}");
    assert_eq!(unpacked(archive.parent().unwrap()), Vec::<PathBuf>::new());
    assert_eq!(keys_of(&mut server.client()), 0);
}

/// A folder that was there before it was to be restored into: a server over it does not begin with nothing while the restore is
/// at work, nor after that was killed.
#[test]
fn a_server_does_not_start_where_a_restore_has_not_ended() {
    let source = Source::filled(|client| fill(client, 300));
    let new = TempDir::new().expect("make a folder");
    let args = ["--appendonly", "yes"];
    let unfinished = || {
        let entries = std::fs::read_dir(new.path()).expect("read the folder").flatten();
        entries
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().contains(".outrigger-restoring-"))
    };
    let mut tries = 0;
    while unfinished().is_none() {
        tries += 1;
        assert!(tries < 200, "each restore was too quick to be killed");
        let _ = std::fs::remove_dir_all(new.path().join("appendonlydir"));
        let mut child = std::process::Command::new(RESTORE)
            .args([shown(&source.dir()), "--into", shown(new.path())])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("start a restore");
        while unfinished().is_none() && child.try_wait().expect("ask for it").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("kill it");
        child.wait().expect("its end");
    }
    let left = unfinished().expect("what is left");
    let said = Server::over(new.path(), &args).err().expect("it does not start");
    assert!(said.contains("call `restore` again") && said.contains(shown(&left)), "{said}");
    ends_with(0, RESTORE, &[shown(&source.dir()), "--into", shown(new.path())]);
    let server = Server::over(new.path(), &args).expect("a server over what is restored");
    assert_eq!(server.client().digest(), source.digest);
}
