//! Backups of a running replica: under load, while it rewrites its files, and with either process killed.

use super::nodes::{Nodes, wait_jobs};
use super::traffic::Traffic;
use crate::support::rng::Seeded;
use crate::support::scaled;
use outrigger::backup::shelf::{Retention, list, retain, verify};
use outrigger::backup::take::{Order, Taken, take};
use outrigger::backup::{BackupError, Form, source};
use outrigger::persistence::offline::RestoreTo;
use outrigger::persistence::toolbox::restore;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Tell the child process of [`a_backup_that_is_killed_is_never_published`] what to do.
const CHILD_FROM: &str = "OUTRIGGER_TEST_BACKUP_FROM";
const CHILD_TO: &str = "OUTRIGGER_TEST_BACKUP_TO";

fn order(from: &Path, to: &Path, name: &str, form: Form) -> Order {
    let time_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis() as u64;
    let (from, to, name) = (from.to_owned(), to.to_owned(), name.to_owned());
    Order { from, to, name, form, may_link: true, databases: 16, time_ms }
}

fn back_up(from: &Path, to: &Path, name: &str, form: Form) -> Result<Taken, BackupError> {
    take(&order(from, to, name, form), &|_, _, _| ())
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Restores a backup, and holds what comes of it against its record.
fn restores(taken: &Taken) {
    let home = TempDir::new().expect("make a temporary folder");
    let into = home.path().join("new");
    let opened = source::open(&taken.path, &into, &|_, _, _| ()).expect("opened");
    let done = restore(opened.path(), &into, &RestoreTo::End.into(), 16, &|_, _| ()).expect("restored");
    assert_eq!(done.fingerprint.digest.to_string(), hex(&taken.record.digest), "{}", taken.record.name);
    assert_eq!(Some(done.point.history()), taken.record.place, "{}", taken.record.name);
}

fn all_verify(to: &Path) -> usize {
    let all = list(to).expect("a list");
    for listed in &all {
        let verified = verify(to, &listed.name, &|_, _, _| ());
        assert!(verified.is_ok(), "{}: {:?}", listed.name, verified.err());
    }
    all.len()
}

/// The replica's folder restored to the place of the backup: the same data, by another way.
fn as_the_history_says(dir: &Path, taken: &Taken) -> bool {
    let home = TempDir::new().expect("make a temporary folder");
    let place = taken.record.place.expect("a place");
    let to = RestoreTo::Offset(place.offset);
    // An earlier generation may hold it, or none any more.
    let folders = std::fs::read_dir(dir).expect("read the folder").flatten().map(|entry| entry.path());
    let folders = folders.filter(|path| path.to_string_lossy().contains("appendonlydir"));
    for (turn, folder) in folders.enumerate() {
        let into = home.path().join(turn.to_string());
        if let Ok(done) = restore(&folder, &into, &to.into(), 16, &|_, _| ())
            && done.point.offset == place.offset
        {
            assert_eq!(done.fingerprint.digest.to_string(), hex(&taken.record.digest));
            return true;
        }
    }
    false
}

#[test]
fn backups_under_load_and_during_rewrites_restore_with_their_digest() {
    let seeded = Seeded::new(7_300);
    // A PING between the last look at the primary and the last backup would be in the one and not in the other.
    let nodes = Nodes::start_silent(&["--appendfsync", "everysec", "--keep-generations", "50"]);
    let mut traffic = Traffic::new(seeded.seed);
    traffic.brief = false;
    traffic.only_what_is_known_to(&mut nodes.primary.client());
    let shelf = TempDir::new().expect("make a temporary folder");
    let dir = nodes.replica.dir().to_owned();
    // Before its first generation is whole there is nothing to back up.
    nodes.settle();
    let over = AtomicBool::new(false);
    let taken: Vec<Taken> = std::thread::scope(|scope| {
        let (nodes, over) = (&nodes, &over);
        scope.spawn(move || {
            let mut client = nodes.primary.client();
            while !over.load(Ordering::Relaxed) {
                traffic.send(&mut client, 20);
            }
        });
        scope.spawn(move || {
            let mut replica = nodes.replica.client();
            while !over.load(Ordering::Relaxed) {
                replica.cmd("BGREWRITEAOF");
                wait_jobs(&mut replica);
            }
        });
        let forms = [Form::Folder, Form::Archive];
        let names = (0..scaled(8)).map(|turn| (format!("b{turn:03}"), forms[turn % 2]));
        let taken = names.map(|(name, form)| back_up(&dir, shelf.path(), &name, form)).collect::<Vec<_>>();
        over.store(true, Ordering::Relaxed);
        taken.into_iter().map(|taken| taken.expect("a backup")).collect()
    });
    wait_jobs(&mut nodes.replica.client());
    assert_eq!(all_verify(shelf.path()), taken.len());
    let mut compared = 0;
    for one in &taken {
        restores(one);
        compared += usize::from(as_the_history_says(&dir, one));
    }
    assert!(compared > 0, "no backup's place is in the history that is still there");
    let offsets: Vec<u64> = taken.iter().filter_map(|one| Some(one.record.place?.offset)).collect();
    assert!(offsets.is_sorted() && offsets.first() < offsets.last(), "{offsets:?}");
    // At rest: what the primary has.
    let (digest, offset) = nodes.settle();
    let last = back_up(&dir, shelf.path(), "last", Form::Archive).expect("a backup");
    assert_eq!((hex(&last.record.digest), last.record.place.map(|p| p.offset)), (digest, Some(offset)));
    let rules = Retention { last: 2, daily: 0, weekly: 0 };
    let removed = retain(shelf.path(), rules).expect("some are removed");
    assert_eq!((removed.len(), all_verify(shelf.path())), (taken.len() - 1, 2));
}

#[test]
fn a_server_that_is_killed_meanwhile_leaves_good_backups() {
    let seeded = Seeded::new(7_301);
    let mut nodes = Nodes::start(&["--appendfsync", "always", "--keep-generations", "2"]);
    let mut traffic = Traffic::new(seeded.seed);
    traffic.brief = false;
    traffic.only_what_is_known_to(&mut nodes.primary.client());
    let shelf = TempDir::new().expect("make a temporary folder");
    let dir = nodes.replica.dir().to_owned();
    // Before its first generation is whole there is nothing to back up.
    nodes.settle();
    let over = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        let (over, to, from) = (&over, shelf.path(), &dir);
        let backups = scope.spawn(move || {
            let mut taken = Vec::new();
            for turn in 0.. {
                let form = [Form::Folder, Form::Archive][turn % 2];
                taken.push(back_up(from, to, &format!("k{turn:03}"), form).expect("a backup"));
                if over.load(Ordering::Relaxed) && taken.len() > 1 {
                    break;
                }
            }
            taken
        });
        for _ in 0..scaled(4) {
            let mut client = nodes.primary.client();
            traffic.send(&mut client, scaled(60));
            nodes.replica.client().cmd("BGREWRITEAOF");
            traffic.send(&mut client, scaled(20));
            nodes.replica.kill();
            nodes.replica.restart();
        }
        over.store(true, Ordering::Relaxed);
        backups.join().expect("no backup failed")
    });
    assert_eq!(all_verify(shelf.path()), taken.len());
    taken.iter().for_each(restores);
}

/// The child of the test below: takes one backup after the other until it is killed.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn child_that_backs_up() {
    let (Ok(from), Ok(to)) = (std::env::var(CHILD_FROM), std::env::var(CHILD_TO)) else { return };
    for turn in 0.. {
        let form = [Form::Folder, Form::Archive][turn % 2];
        let name = format!("c{:06}-{turn}", std::process::id());
        back_up(Path::new(&from), Path::new(&to), &name, form).expect("a backup");
    }
}

#[test]
fn a_backup_that_is_killed_is_never_published() {
    let mut seeded = Seeded::new(7_302);
    let nodes = Nodes::start(&["--appendfsync", "everysec"]);
    let mut client = nodes.primary.client();
    for key in 0..scaled(3_000) {
        let value: String = (0..40).map(|n| format!("{:x}", (key + n) * 2_654_435_761)).collect();
        client.command(&["SET", &format!("key:{key}"), &value]);
    }
    nodes.settle();
    let shelf = TempDir::new().expect("make a temporary folder");
    let dir = nodes.replica.dir().to_owned();
    let is_left = || {
        let entries = std::fs::read_dir(shelf.path()).expect("read the shelf").flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".outrigger-tmp-")).count() > 0
    };
    let (mut interrupted, start) = (0, Instant::now());
    while interrupted < scaled(5) && start.elapsed() < Duration::from_secs(120) {
        let exe = std::env::current_exe().expect("this program");
        let mut child = Command::new(exe)
            .args(["--exact", "persistence::backup::child_that_backs_up", "--ignored"])
            .env(CHILD_FROM, &dir)
            .env(CHILD_TO, shelf.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("start a backup");
        std::thread::sleep(Duration::from_millis(50 + seeded.rng.below(400)));
        child.kill().expect("kill the backup");
        child.wait().expect("its end");
        interrupted += usize::from(is_left());
        let before = list(shelf.path()).expect("a list");
        let wrong: Vec<_> = before.iter().filter(|listed| listed.record.is_err()).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    assert!(interrupted > 0, "no kill met a backup at work");
    // The next one clears what is left, and works.
    let next = back_up(&dir, shelf.path(), "next", Form::Archive).expect("the next");
    assert!(!is_left());
    restores(&next);
    assert!(all_verify(shelf.path()) >= 1);
}
