//! `outrigger-backup` from the outside, and what restores from its backups.

use super::support::{
    BACKUP, CHECK, FIRST_SEAL_MS, RESTORE, REWRITE, command, ends_with, json, shown, stock_folder,
};
use outrigger::format::aof::verify::LogVerifier;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// A data folder of ours with sealed batches behind an empty base, and the offset behind each.
struct Node {
    dir: PathBuf,
    offsets: Vec<u64>,
}

impl Node {
    fn make(home: &Path, batches: u64) -> Node {
        let (stock, dir) = (home.join("empty"), home.join("node"));
        stock_folder(&stock, "");
        ends_with(0, REWRITE, &[shown(&stock), "--into", shown(&dir)]);
        let mut node = Node { dir, offsets: Vec::new() };
        (0..batches).for_each(|_| node.append());
        node
    }

    fn log(&self) -> PathBuf {
        self.dir.join("appendonlydir/appendonly.aof.1.incr.aof")
    }

    /// One more batch, written in two parts, as a server might be seen to.
    fn append(&mut self) {
        let turn = self.offsets.len() as u64;
        let log = fs::read(self.log()).expect("read the log");
        let mut sealer = LogVerifier::new().check(&log).extent().sealer().expect("a log of ours");
        let one = command(&["SET", &format!("key:{turn}"), &"value".repeat(50)]).into_bytes();
        sealer.feed(&one);
        let mut seal = Vec::new();
        sealer.seal(FIRST_SEAL_MS + turn * 1000, &mut seal);
        let mut file = fs::OpenOptions::new().append(true).open(self.log()).expect("open the log");
        file.write_all(&one).expect("append");
        file.write_all(&seal).expect("append");
        self.offsets.push(sealer.offset());
    }
}

fn is_left(shelf: &Path) -> bool {
    let entries = fs::read_dir(shelf).expect("read the shelf").flatten();
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(".outrigger-tmp-"))
}

#[test]
fn both_forms_are_taken_listed_verified_and_restored() {
    let home = TempDir::new().unwrap();
    let node = Node::make(home.path(), 4);
    let shelf = home.path().join("shelf");
    for form in ["archive", "folder"] {
        let view = json(0, BACKUP, &[shown(&node.dir), "--to", shown(&shelf), "--form", form]);
        let (backup, end) = (&view["backup"], node.offsets[3]);
        assert_eq!((&backup["form"], &backup["keys"]), (&form.into(), &4.into()), "{view}");
        assert_eq!(backup["place"]["offset"], end, "{view}");
        let name = backup["name"].as_str().expect("a name");
        let verified = json(0, BACKUP, &["--to", shown(&shelf), "--verify", name]);
        assert_eq!(
            (&verified["verified"], &verified["backups"][0]["digest"]),
            (&true.into(), &backup["digest"])
        );
        let path = backup["path"].as_str().expect("a path");
        for (turn, offset) in node.offsets.iter().enumerate() {
            let into = home.path().join(format!("{form}-{turn}"));
            let to = ["--to-offset", &offset.to_string()];
            let done = json(0, RESTORE, &[&[path, "--into", shown(&into)][..], &to].concat());
            assert_eq!((&done["keys"], &done["place"]["offset"]), (&(turn + 1).into(), &(*offset).into()));
            let time = (FIRST_SEAL_MS + turn as u64 * 1000 + 999).to_string();
            let into = home.path().join(format!("{form}-time-{turn}"));
            let done = json(0, RESTORE, &[path, "--into", shown(&into), "--to-time", &time]);
            assert_eq!(done["keys"], turn + 1, "{done}");
        }
        let into = home.path().join(format!("{form}-end"));
        let done = json(0, RESTORE, &[path, "--into", shown(&into)]);
        assert_eq!((&done["digest"], &done["place"]), (&backup["digest"], &backup["place"]), "{done}");
        json(0, CHECK, &[shown(&into)]);
    }
    let list = json(0, BACKUP, &["--to", shown(&shelf), "--list"]);
    assert_eq!(list["backups"].as_array().map(Vec::len), Some(2), "{list}");
    assert!(list["backups"][0]["files"][0]["crc64"].is_string() && !is_left(&shelf));
    let unpacked = fs::read_dir(home.path()).unwrap().flatten();
    assert!(!unpacked.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(".outrigger")));
    assert!(ends_with(0, BACKUP, &["--to", shown(&shelf), "--list"]).contains("lineage"));
}

/// A file that grows while it is copied: what is published ends at a seal.
#[test]
fn a_log_that_grows_is_copied_up_to_a_seal() {
    let home = TempDir::new().unwrap();
    let mut node = Node::make(home.path(), 1);
    let shelf = home.path().join("shelf");
    let (dir, over) = (node.dir.clone(), AtomicBool::new(false));
    let taken: Vec<Value> = std::thread::scope(|scope| {
        let backups = scope.spawn(|| {
            let take = |turn: usize| {
                let form = ["archive", "folder"][turn % 2];
                json(0, BACKUP, &[shown(&dir), "--to", shown(&shelf), "--form", form])["backup"].clone()
            };
            let taken = (0..6).map(take).collect();
            over.store(true, Ordering::Relaxed);
            taken
        });
        while !over.load(Ordering::Relaxed) {
            node.append();
        }
        backups.join().expect("backups")
    });
    for (turn, backup) in taken.iter().enumerate() {
        let offset = backup["place"]["offset"].as_u64().expect("an offset");
        let batches = node.offsets.iter().position(|end| *end == offset).expect("it ends at a seal") + 1;
        assert_eq!(backup["keys"], batches, "{backup}");
        let into = home.path().join(format!("new-{turn}"));
        let done = json(0, RESTORE, &[backup["path"].as_str().unwrap(), "--into", shown(&into)]);
        assert_eq!(done["digest"], backup["digest"]);
    }
}

#[test]
fn damage_in_a_backup_is_found_and_nothing_is_restored_from_it() {
    let home = TempDir::new().unwrap();
    let node = Node::make(home.path(), 3);
    let shelf = home.path().join("shelf");
    let take =
        |form| json(0, BACKUP, &[shown(&node.dir), "--to", shown(&shelf), "--form", form])["backup"].clone();
    let archive = take("archive");
    let path = PathBuf::from(archive["path"].as_str().unwrap());
    let name = archive["name"].as_str().unwrap();
    let good = fs::read(&path).unwrap();
    let into = home.path().join("new");
    for at in (0..good.len()).step_by(good.len() / 12) {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        fs::write(&path, &bad).unwrap();
        let view = json(1, BACKUP, &["--to", shown(&shelf), "--verify", name]);
        assert_eq!(view["damaged"], true, "byte {at}: {view}");
        if at >= 20 {
            let refused = json(1, RESTORE, &[shown(&path), "--into", shown(&into)]);
            assert!(refused["damaged"] == true && !into.exists(), "byte {at}: {refused}");
        }
    }
    for cut in [0, 10, good.len() / 2, good.len() - 1] {
        fs::write(&path, &good[..cut]).unwrap();
        ends_with(1, BACKUP, &["--to", shown(&shelf), "--verify", name]);
        assert!(ends_with(1, BACKUP, &["--to", shown(&shelf), "--list"]).contains("DAMAGED"), "cut at {cut}");
        ends_with(1, RESTORE, &[shown(&path), "--into", shown(&into)]);
    }
    fs::remove_file(&path).unwrap();
    let folder = take("folder");
    let name = folder["name"].as_str().unwrap();
    let base =
        PathBuf::from(folder["path"].as_str().unwrap()).join("appendonlydir/appendonly.aof.1.incr.aof");
    let good = fs::read(&base).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(&base, &bad).unwrap();
    assert!(ends_with(1, BACKUP, &["--to", shown(&shelf), "--verify", name]).contains("checksum"));
    fs::write(&base, &good[1..]).unwrap();
    assert!(ends_with(1, BACKUP, &["--to", shown(&shelf), "--list"]).contains("DAMAGED"));
}

#[test]
fn old_ones_go_when_a_new_one_is_good_and_leftovers_go_too() {
    let home = TempDir::new().unwrap();
    let node = Node::make(home.path(), 2);
    let shelf = home.path().join("shelf");
    fs::create_dir_all(shelf.join(".outrigger-tmp-backup-x/appendonlydir")).unwrap();
    fs::write(shelf.join(".outrigger-tmp-backup-x/appendonlydir/part"), "part").unwrap();
    fs::write(shelf.join(".outrigger-tmp-backup-y.oar"), "part").unwrap();
    fs::write(shelf.join("notes.txt"), "mine").unwrap();
    let args = [shown(&node.dir), "--to", shown(&shelf), "--retain", "2"];
    let first = json(0, BACKUP, &args);
    assert_eq!(first["cleared"], 2, "{first}");
    assert!(!is_left(&shelf));
    json(0, BACKUP, &[&args[..], &["--form", "folder"]].concat());
    let third = json(0, BACKUP, &args);
    assert_eq!(third["removed"], Value::from(vec![first["backup"]["name"].clone()]), "{third}");
    // All of today: the latest of the day is among the two.
    let fourth = json(0, BACKUP, &[&args[..], &["--daily", "7", "--weekly", "4"]].concat());
    assert_eq!(fourth["removed"].as_array().map(Vec::len), Some(1), "{fourth}");
    let list = json(0, BACKUP, &["--to", shown(&shelf), "--list"]);
    assert_eq!(list["backups"].as_array().map(Vec::len), Some(2), "{list}");
    assert!(shelf.join("notes.txt").exists(), "what is not a backup is left alone");
    // One that fails removes nothing.
    let log = fs::read(node.log()).unwrap();
    let mut bad = log.clone();
    bad[log.len() / 2] ^= 1;
    fs::write(node.log(), &bad).unwrap();
    let refused = ends_with(1, BACKUP, &[&args[..3], &["--retain", "1"]].concat());
    assert!(refused.contains("incr.aof") && refused.contains("aof-check"), "{refused}");
    let after = json(0, BACKUP, &["--to", shown(&shelf), "--list"]);
    assert_eq!(list, after);
    ends_with(2, BACKUP, &[&args[..3], &["--retain", "0"]].concat());
}

#[test]
fn a_schedule_takes_one_after_the_other() {
    let home = TempDir::new().unwrap();
    let node = Node::make(home.path(), 1);
    let shelf = home.path().join("shelf");
    let args = [shown(&node.dir), "--to", shown(&shelf), "--schedule", "1s", "--times", "3", "--retain", "2"];
    let text = ends_with(0, BACKUP, &args);
    assert_eq!(text.matches("VERIFIED").count(), 3, "{text}");
    assert_eq!(
        json(0, BACKUP, &["--to", shown(&shelf), "--list"])["backups"].as_array().map(Vec::len),
        Some(2)
    );
    ends_with(2, BACKUP, &[shown(&node.dir), "--to", shown(&shelf), "--schedule", "soon"]);
    ends_with(2, BACKUP, &[shown(&node.dir), "--to", shown(&shelf), "--times", "3"]);
}

#[test]
fn a_stock_servers_folder_works_and_what_is_not_vouched_for_is_said() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("stock");
    let log = [command(&["SELECT", "0"]), command(&["SET", "a", "1"]), command(&["SET", "b", "2"])].concat();
    // A server that is writing: the last command is not all there.
    stock_folder(&dir, &log[..log.len() - 3]);
    let shelf = home.path().join("shelf");
    for form in ["archive", "folder"] {
        let text = ends_with(0, BACKUP, &[shown(&dir), "--to", shown(&shelf), "--form", form]);
        assert!(text.contains("no seals") && text.contains("1 keys"), "{text}");
    }
    let list = json(0, BACKUP, &["--to", shown(&shelf), "--list"]);
    for backup in list["backups"].as_array().unwrap() {
        assert!(backup["place"].is_null(), "{backup}");
        ends_with(0, BACKUP, &["--to", shown(&shelf), "--verify", backup["name"].as_str().unwrap()]);
        let into = home.path().join(backup["form"].as_str().unwrap());
        let done = json(0, RESTORE, &[backup["path"].as_str().unwrap(), "--into", shown(&into)]);
        assert_eq!((&done["keys"], &done["digest"]), (&1.into(), &backup["digest"]), "{done}");
    }
}

#[test]
fn wrong_calls_are_told_in_a_sentence() {
    let home = TempDir::new().unwrap();
    let node = Node::make(home.path(), 1);
    let (dir, shelf) = (shown(&node.dir).to_owned(), home.path().join("shelf"));
    let empty = home.path().join("primary");
    fs::create_dir_all(&empty).unwrap();
    let text = ends_with(2, BACKUP, &[shown(&empty), "--to", shown(&shelf)]);
    assert!(text.contains("holds no append-only files") && text.contains("replica"), "{text}");
    assert!(!shelf.exists(), "nothing was made for it");
    ends_with(2, BACKUP, &[shown(&home.path().join("nowhere")), "--to", shown(&shelf)]);
    // A file where the folder should be: no permission would be told the same way.
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let text = ends_with(2, BACKUP, &[&dir, "--to", shown(&file.join("shelf"))]);
    assert!(text.contains("create folder") && text.contains("File exists"), "{text}");
    ends_with(2, BACKUP, &["--to", shown(&home.path().join("nowhere")), "--list"]);
    json(0, BACKUP, &[&dir, "--to", shown(&shelf)]);
    let text = ends_with(2, BACKUP, &["--to", shown(&shelf), "--verify", "backup-of-nothing"]);
    assert!(text.contains("holds no backup") && text.contains("--list"), "{text}");
    for args in [&["--list"][..], &["--to", "x"], &[&dir, "--to", "x", "--list"], &[&dir]] {
        ends_with(2, BACKUP, args);
    }
    let help = ends_with(0, BACKUP, &["--help"]);
    assert!(help.contains("Exit code") && help.contains("--retain"), "{help}");
}

/// A program that was built without the feature says how to build it with.
#[cfg(not(feature = "s3"))]
#[test]
fn a_bucket_needs_a_program_that_was_built_for_it() {
    let home = TempDir::new().unwrap();
    let node = Node::make(home.path(), 1);
    let into = home.path().join("new");
    for (program, args) in [
        (BACKUP, [shown(&node.dir), "--to", "s3://bucket/prefix"]),
        (BACKUP, ["--list", "--to", "s3://bucket/prefix"]),
        (RESTORE, ["s3://bucket/prefix/name.oar", "--into", shown(&into)]),
    ] {
        let text = ends_with(2, program, &args);
        assert!(text.contains("--features s3") && text.contains("s3://bucket"), "{text}");
    }
    assert!(!into.exists());
}

#[test]
fn a_second_one_over_the_same_folder_waits_for_nobody_and_refuses() {
    let home = TempDir::new().unwrap();
    let node = Node::make(home.path(), 1);
    let shelf = home.path().join("shelf");
    fs::create_dir_all(&shelf).unwrap();
    let held = outrigger::sys::lock::FolderLock::acquire(&shelf).unwrap();
    let text = ends_with(2, BACKUP, &[shown(&node.dir), "--to", shown(&shelf)]);
    assert!(text.contains("in use by process") && text.contains("at work"), "{text}");
    drop(held);
    ends_with(0, BACKUP, &[shown(&node.dir), "--to", shown(&shelf)]);
}

#[test]
fn an_offline_rewrite_carries_the_history_along() {
    let home = TempDir::new().unwrap();
    let node = Node::make(home.path(), 3);
    // An earlier generation, as a server keeps it: here the same files.
    let previous = node.dir.join("appendonlydir.previous-4");
    fs::create_dir(&previous).unwrap();
    for entry in fs::read_dir(node.dir.join("appendonlydir")).unwrap().flatten() {
        fs::copy(entry.path(), previous.join(entry.file_name())).unwrap();
    }
    fs::create_dir(node.dir.join("appendonlydir.previous-2")).unwrap();
    let rewrite = |code: i32, how: &str, name: &str| {
        let into = home.path().join(name);
        (json(code, REWRITE, &[shown(&node.dir), "--into", shown(&into), "--history", how]), into)
    };
    let (dropped, into) = rewrite(0, "drop", "drop");
    assert_eq!((&dropped["carried"], &dropped["keys"]), (&Value::from(Vec::<u8>::new()), &3.into()));
    assert_eq!(fs::read_dir(&into).unwrap().count(), 1);
    for (how, suffix) in [("keep", ""), ("archive", ".oar")] {
        let (view, into) = rewrite(0, how, how);
        let wanted: Vec<String> = [4, 5]
            .iter()
            .map(|number| shown(&into.join(format!("appendonlydir.previous-{number}{suffix}"))).to_owned())
            .collect();
        assert_eq!(view["carried"], Value::from(wanted.clone()), "{view}");
        // Every earlier moment can be restored from what was carried, and not from the new generation.
        for (turn, offset) in node.offsets.iter().enumerate() {
            let out = home.path().join(format!("{how}-{turn}"));
            let to = ["--to-offset", &offset.to_string()];
            for (number, from) in wanted.iter().enumerate() {
                let out = out.join(number.to_string());
                let done = json(0, RESTORE, &[&[from, "--into", shown(&out)][..], &to].concat());
                assert_eq!(done["keys"], turn + 1, "{done}");
            }
        }
        json(0, CHECK, &[shown(&into)]);
        assert!(!is_left(&into));
    }
    // An earlier generation that is damaged: the new one is good, and that is said.
    let log = previous.join("appendonly.aof.1.incr.aof");
    let mut bad = fs::read(&log).unwrap();
    let at = bad.len() / 2;
    bad[at] ^= 1;
    fs::write(&log, &bad).unwrap();
    let (view, into) = rewrite(1, "archive", "damaged");
    assert!(
        view["error"].as_str().is_some_and(|text| text.contains("previous-4") && text.contains("is written"))
    );
    json(0, CHECK, &[shown(&into)]);
}
