//! Restores that are killed outright: what they leave is never taken for a restored folder, and the next one clears it away.

use super::scale::scaled;
use super::support::{BACKUP, CHECK, RESTORE, command, ends_with, json, shown, stock_folder};
use outrigger::base::random::Rng;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const KEYS: usize = 4_000;

/// A folder to restore from, and an archive of it.
struct Sources {
    home: TempDir,
    dir: PathBuf,
    archive: PathBuf,
    digest: String,
}

impl Sources {
    fn make() -> Sources {
        let home = TempDir::new().expect("make a temporary folder");
        let dir = home.path().join("node");
        let value = |n: usize| format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).repeat(12);
        let log: String = (0..KEYS).map(|n| command(&["SET", &format!("key:{n}"), &value(n)])).collect();
        stock_folder(&dir, &[command(&["SELECT", "0"]), log].concat());
        let taken = json(0, BACKUP, &[shown(&dir), "--to", shown(&home.path().join("shelf"))]);
        let text = |name: &str| taken["backup"][name].as_str().expect("a text").to_owned();
        Sources { dir, archive: text("path").into(), digest: text("digest"), home }
    }

    /// Is this a data folder with all of it?
    fn is_whole(&self, new: &Path) -> bool {
        if !new.join("appendonlydir").exists() {
            return false;
        }
        ends_with(0, CHECK, &[shown(new)]);
        let again = self.home.path().join("again");
        let found = json(0, RESTORE, &[shown(new), "--into", shown(&again)]);
        fs::remove_dir_all(again).expect("remove it");
        assert_eq!((&found["digest"], &found["keys"]), (&self.digest.clone().into(), &KEYS.into()));
        true
    }
}

fn start(from: &Path, into: &Path, more: &[&str]) -> Child {
    let mut call = Command::new(RESTORE);
    call.arg(from).arg("--into").arg(into).args(more).stdout(Stdio::null()).stderr(Stdio::null());
    call.spawn().expect("start a restore")
}

/// The hidden folders in a folder: what runs work in.
fn hidden(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.starts_with('.')).collect()
}

/// Kills restores into `new` at random moments until enough were met at work. After each, the new folder is as it was, or whole.
fn kill_many(sources: &Sources, from: &Path, new: &Path, rng: &mut Rng) {
    let is_new = !new.exists();
    let near = if is_new { new.parent().expect("a folder above") } else { new };
    let began = Instant::now();
    ends_with(0, RESTORE, &[shown(from), "--into", shown(&sources.home.path().join("measured"))]);
    let takes_us = began.elapsed().as_micros() as u64;
    fs::remove_dir_all(sources.home.path().join("measured")).expect("remove it");
    let (mut met, mut tries) = (0, 0);
    while met < scaled(4) {
        tries += 1;
        assert!(tries < scaled(200), "{met} kills met a restore at work");
        let mut child = start(from, new, &[]);
        std::thread::sleep(Duration::from_micros(rng.below(takes_us + takes_us / 4)));
        child.kill().expect("kill it");
        child.wait().expect("its end");
        let left = hidden(near);
        // At most one of each kind: the one before was swept.
        assert!(left.len() <= 2, "{left:?}");
        if sources.is_whole(new) {
            fs::remove_dir_all(new.join("appendonlydir")).expect("remove it");
            if is_new {
                fs::remove_dir_all(new).expect("remove it");
            }
            continue;
        }
        assert_eq!(new.exists(), !is_new, "a folder without data, {left:?}");
        met += usize::from(!left.is_empty());
    }
    // It begins anew, and nothing is left.
    ends_with(0, RESTORE, &[shown(from), "--into", shown(new)]);
    assert!(sources.is_whole(new));
    assert_eq!(hidden(near), Vec::<String>::new());
}

#[test]
fn a_killed_restore_leaves_nothing_that_looks_whole() {
    let sources = Sources::make();
    let seed = Rng::from_os().next_u64();
    eprintln!("seed {seed}");
    let mut rng = Rng::from_seed(seed);
    for (name, from) in [("folder", &sources.dir), ("archive", &sources.archive)] {
        let beside = sources.home.path().join(name);
        fs::create_dir(&beside).expect("make a folder");
        kill_many(&sources, from, &beside.join("new"), &mut rng);
        let there = beside.join("there");
        fs::create_dir(&there).expect("make a folder");
        fs::write(there.join("outrigger.conf"), "appendonly yes\n").expect("write a file");
        kill_many(&sources, from, &there, &mut rng);
        assert!(there.join("outrigger.conf").exists());
    }
}

fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(done.expect("run kill").success());
}

/// Starts a restore and stops it as soon as it is at work; what it works in.
fn stopped_at_work(sources: &Sources, beside: &Path, name: &str) -> (Child, Vec<String>) {
    for _ in 0..200 {
        let mut child = start(&sources.archive, &beside.join(name), &["--work", shown(&beside.join(name))]);
        while hidden(beside).len() < 2 && child.try_wait().expect("ask for it").is_none() {
            std::thread::yield_now();
        }
        signal(&child, "-STOP");
        let found = hidden(beside);
        if found.len() == 2 && child.try_wait().expect("ask for it").is_none() {
            return (child, found);
        }
        child.kill().expect("kill it");
        child.wait().expect("its end");
        let _ = fs::remove_dir_all(beside.join(name));
    }
    panic!("each restore was too quick to be stopped at work");
}

#[test]
fn what_a_living_restore_works_in_is_not_swept() {
    let sources = Sources::make();
    let beside = sources.home.path().join("beside");
    fs::create_dir(&beside).expect("make a folder");
    let (mut child, found) = stopped_at_work(&sources, &beside, "first");
    // Another one beside it, of another source.
    ends_with(0, RESTORE, &[shown(&sources.dir), "--into", shown(&beside.join("second"))]);
    assert_eq!(hidden(&beside), found);
    // The same new folder, and the same archive, are somebody's.
    let pid = format!("in use by process {}", child.id());
    for (from, new) in [(&sources.dir, "first"), (&sources.archive, "third")] {
        let text = ends_with(2, RESTORE, &[shown(from), "--into", shown(&beside.join(new))]);
        assert!(text.contains("another call") && text.contains(&pid), "{text}");
        assert!(!beside.join(new).exists());
    }
    assert_eq!(hidden(&beside), found);
    signal(&child, "-CONT");
    assert!(child.wait().expect("its end").success());
    assert!(sources.is_whole(&beside.join("first")));
    assert_eq!(hidden(&beside), Vec::<String>::new());
}

#[test]
fn what_was_left_is_nobodys_data() {
    let sources = Sources::make();
    let new = sources.home.path().join("new");
    fs::create_dir(&new).expect("make a folder");
    // An archive that was unpacked whole, by a call that was killed while it read that.
    let left = new.join(".outrigger-unpacked-0123456789abcdef");
    fs::create_dir(&left).expect("make a folder");
    let copied = Command::new("cp").arg("-r").arg(sources.dir.join("appendonlydir")).arg(&left).status();
    assert!(copied.expect("run cp").success());
    let text = ends_with(2, CHECK, &[shown(&new)]);
    assert!(!text.contains("but there is"), "{text}");
    ends_with(0, RESTORE, &[shown(&sources.archive), "--into", shown(&new)]);
    assert_eq!(hidden(&new), Vec::<String>::new());
    assert!(sources.is_whole(&new));
}
