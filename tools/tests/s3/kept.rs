//! What is kept in a bucket: taken, listed, verified, restored, removed, and found out when it is damaged.

use super::proxy::{Fate, Proxy};
use super::servers::Server;
use super::{BACKUP, Pair, Place, RESTORE, moto, scaled, shown};
use std::fs;
use std::process::Stdio;
use tempfile::TempDir;

#[test]
fn backups_are_taken_listed_verified_restored_and_removed() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(20);
    for prefix in ["", "a/b"] {
        let place = Place::new(&bucket, prefix);
        assert!(place.list().is_empty());
        let mut taken = Vec::new();
        for _ in 0..3 {
            pair.add(1);
            let view = place.take(pair.dir(), &[]);
            assert_eq!(view["cleared"], 0, "{view}");
            assert_eq!(view["backup"]["digest"], pair.primary.client().digest(), "{view}");
            taken.push(view["backup"].clone());
        }
        assert!(!place.is_working(), "the folder to work in is empty again");
        let listed = place.list();
        let names = |backups: &[serde_json::Value]| {
            backups.iter().map(|backup| backup["name"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&listed), names(&taken));
        for (backup, listed) in taken.iter().zip(&listed) {
            assert_eq!((&backup["digest"], &backup["files"]), (&listed["digest"], &listed["files"]));
            let name = backup["name"].as_str().unwrap();
            let verified = place.json(0, BACKUP, &["--to", &place.to, "--verify", name]);
            assert_eq!(
                (&verified["verified"], &verified["backups"][0]["path"]),
                (&true.into(), &backup["path"])
            );
            place.restores(backup);
        }
        let last = place.take(pair.dir(), &["--retain", "2"]);
        assert_eq!(last["removed"], serde_json::Value::from(names(&taken[..2])), "{last}");
        assert_eq!(place.list().len(), 2);
    }
    // Nothing else is left: archives and records in pairs, and no upload.
    assert_eq!((bucket.keys().len(), bucket.unpublished().len(), bucket.uploads().len()), (8, 0, 0));
}

#[test]
fn a_backup_in_a_bucket_goes_into_a_server_though_killed_meanwhile() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(scaled(300));
    let place = Place::new(&bucket, "p");
    let backup = place.take(pair.dir(), &[])["backup"].clone();
    let from = backup["path"].as_str().unwrap();
    let (target, here) = (Server::ours(&["--enable-debug-command", "yes"]), TempDir::new().unwrap());
    let url = format!("redis://127.0.0.1:{}", target.port);
    let restore = |more: &[&str]| {
        let mut command = place.command(RESTORE, &[&[from, "--into", &url], more].concat());
        command.current_dir(here.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let notes = || {
        let names = fs::read_dir(here.path()).unwrap().flatten().map(|entry| entry.file_name());
        names
            .map(|name| name.into_string().unwrap())
            .filter(|name| !name.starts_with('.'))
            .collect::<Vec<_>>()
    };
    // Killed as soon as it sends.
    let mut first = restore(&[]).spawn().unwrap();
    while notes().is_empty() && first.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let name = backup["name"].as_str().unwrap();
    assert!(
        notes().iter().all(|note| note.starts_with(&format!("{name}.oar.restoring-into-"))),
        "{:?}",
        notes()
    );
    // The note is where it was called from, and the next call goes by it.
    assert!(restore(&[]).status().unwrap().success());
    assert_eq!(target.client().digest(), pair.primary.client().digest());
    assert!(notes().is_empty(), "{:?}", notes());
    // What the first had fetched and unpacked there is gone, too.
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0);
}

#[test]
fn damage_in_the_bucket_is_found() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(5);
    let place = Place::new(&bucket, "p");
    let backup = place.take(pair.dir(), &[])["backup"].clone();
    let name = backup["name"].as_str().unwrap().to_owned();
    let url = backup["path"].as_str().unwrap().to_owned();
    let (archive, record) = (format!("p/{name}.oar"), format!("p/{name}.record"));
    let (good, text) = (bucket.get(&archive), bucket.get(&record));
    let home = TempDir::new().unwrap();
    let into = home.path().join("new");
    let refused = |why: &str| {
        let verified = place.ends_with(1, BACKUP, &["--to", &place.to, "--verify", &name]);
        let restored = place.ends_with(1, RESTORE, &[&url, "--into", shown(&into)]);
        for said in [verified, restored] {
            assert!(said.contains(why) && said.contains("s3://"), "{said}");
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "nothing is left of a restore");
        assert!(!place.is_working());
    };
    let list = |code| place.ends_with(code, BACKUP, &["--to", &place.to, "--list"]);
    for at in [3, good.len() / 3, good.len() - 60, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 4;
        bucket.put(&archive, &bad);
        // Of as many bytes: seen by reading alone.
        assert!(!list(0).contains("DAMAGED"));
        refused(if at == good.len() / 3 { "the block at byte" } else { "it" });
    }
    bucket.put(&archive, &good[..good.len() - 1]);
    assert!(list(1).contains("DAMAGED"));
    refused("bytes instead of");
    bucket.remove(&archive);
    assert!(list(1).contains("it is not there"));
    refused("it is not there");
    bucket.put(&archive, &good);
    let mut bad = text.clone();
    bad[30] ^= 1;
    bucket.put(&record, &bad);
    assert!(list(1).contains("DAMAGED"));
    refused("index is damaged");
    // One that was put under another name.
    bucket.put(&record, &text);
    bucket.put("p/other.record", &text);
    bucket.put("p/other.oar", &good);
    assert!(list(1).contains("other (archive) DAMAGED"));
    // Damaged ones neither count nor go.
    let kept = place.take(pair.dir(), &["--retain", "1"]);
    assert_eq!(kept["removed"], serde_json::Value::from(vec![name.clone()]), "{kept}");
    assert!(bucket.keys().contains(&"p/other.oar".to_owned()));
}

#[test]
fn an_archive_without_a_record_is_none() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(2);
    let place = Place::new(&bucket, "p");
    let backup = place.take(pair.dir(), &[])["backup"].clone();
    let name = backup["name"].as_str().unwrap();
    let record = bucket.get(&format!("p/{name}.record"));
    bucket.remove(&format!("p/{name}.record"));
    assert!(place.list().is_empty());
    let into = TempDir::new().unwrap();
    let url = backup["path"].as_str().unwrap();
    let said = place.ends_with(2, RESTORE, &[url, "--into", shown(&into.path().join("new"))]);
    assert!(said.contains("no published backup"), "{said}");
    place.ends_with(2, BACKUP, &["--to", &place.to, "--verify", name]);
    // Another machine may be at work on it: it stays for a day.
    assert_eq!(place.take(pair.dir(), &[])["cleared"], 0);
    assert_eq!(bucket.unpublished(), [format!("p/{name}.oar")]);
    bucket.put(&format!("p/{name}.record"), &record);
    assert_eq!(place.list().len(), 2);
    place.restores(&backup);
}

#[test]
fn a_schedule_takes_one_after_the_other() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(2);
    let place = Place::new(&bucket, "p");
    let args = ["--to", &place.to, "--schedule", "1s", "--times", "3", "--retain", "2"];
    let said = place.ends_with(0, BACKUP, &[&[shown(pair.dir())], &args[..]].concat());
    assert_eq!(said.matches("VERIFIED").count(), 3, "{said}");
    assert_eq!((place.list().len(), bucket.keys().len()), (2, 4));
}

/// What is older than a day belongs to nobody who is still at work. The proxy's storage says that all is.
#[test]
fn what_was_abandoned_goes_after_a_day() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(2);
    let place = Place::new(&bucket, "p");
    let backup = place.take(pair.dir(), &[])["backup"].clone();
    let name = backup["name"].as_str().unwrap();
    bucket.put("p/backup-of-another.oar", b"part");
    bucket.put("p/notes.txt", b"mine");
    let proxy = Proxy::start(bucket.port, |asked| match asked.target.contains("list-type") {
        true => Fate::Aged,
        false => Fate::Pass,
    });
    let view = place.through(proxy.port).take(pair.dir(), &[]);
    assert_eq!(view["cleared"], 1, "{view}");
    assert!(bucket.unpublished().is_empty() && bucket.keys().contains(&"p/notes.txt".to_owned()));
    assert!(bucket.keys().contains(&format!("p/{name}.oar")), "what is published stays");
}
