//! What whoever was woken gets wrong, and what the machine lacks: a sentence each.

use super::moto::Moto;
use super::{BACKUP, Pair, Place, RESTORE, moto, shown};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use tempfile::TempDir;

#[test]
fn wrong_addresses_and_endpoints_are_told() {
    let Some(bucket) = moto::bucket() else { return };
    let place = Place::new(&bucket, "p");
    for (to, said) in [
        ("s3://no-such-bucket/p", "has no bucket no-such-bucket"),
        ("s3://", "the name of a bucket"),
        ("s3://b//c", "cannot name objects"),
    ] {
        let text = place.ends_with(2, BACKUP, &["--to", to, "--list"]);
        assert!(text.contains(said), "{to}: {text}");
    }
    let listed = |endpoint: &str| {
        place.ends_with(2, BACKUP, &["--to", &place.to, "--list", "--endpoint", endpoint, "--patience", "1"])
    };
    for (endpoint, said) in [
        ("http://127.0.0.1:1", "cannot be reached: Connection refused"),
        ("http://nowhere.invalid", "cannot be reached"),
        ("127.0.0.1:80", "is no URL"),
        ("ftp://127.0.0.1", "is no URL"),
        ("http://user:never-to-be-seen@127.0.0.1", "no user and no password"),
    ] {
        let text = listed(endpoint);
        assert!(text.contains(said), "{endpoint}: {text}");
    }
    let mut plain = place.command(BACKUP, &["--to", &place.to, "--list"]);
    let output = plain.env_remove("AWS_ALLOW_HTTP").output().expect("run it");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && text.contains("AWS_ALLOW_HTTP=true"), "{text}");
    // A server that speaks another language.
    let other = super::servers::Server::ours(&[]);
    let text = listed(&format!("http://127.0.0.1:{}", other.port));
    assert!(text.contains("cannot be reached") && text.contains("Is the endpoint right"), "{text}");
}

#[test]
fn wrong_credentials_are_told_and_never_shown() {
    let Some(asking) = Moto::start(Some(1)) else { return };
    let bucket = moto::Bucket { name: "asking".to_owned(), port: asking.port };
    assert_eq!(bucket.request("PUT", "", b"").0, 200);
    let place = Place::new(&bucket, "p");
    let pair = Pair::start(1);
    for args in [&["--to", &*place.to, "--list"][..], &[shown(pair.dir()), "--to", &place.to]] {
        let text = place.ends_with(2, BACKUP, args);
        assert!(text.contains("refuses the credentials") && text.contains("AWS_SECRET_ACCESS_KEY"), "{text}");
        assert!(text.contains("does not exist in our records") && !text.contains("tester"), "{text}");
    }
    assert!(!place.is_working(), "no work was begun");
    let without = |names: &[&str]| {
        let mut command = place.command(BACKUP, &["--to", &place.to, "--list", "--patience", "1"]);
        for name in names {
            command.env_remove(name);
        }
        // Whoever would be asked on EC2 is not there.
        let output = command.env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1").output().expect("run it");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = without(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    assert!(text.contains("there are no credentials"), "{text}");
    let text = without(&["AWS_SECRET_ACCESS_KEY"]);
    assert!(text.contains("AWS_SECRET_ACCESS_KEY is not"), "{text}");
}

#[test]
fn wrong_calls_are_told_in_a_sentence() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(1);
    let (place, home) = (Place::new(&bucket, "p"), TempDir::new().unwrap());
    let (dir, to) = (shown(pair.dir()), &*place.to);
    let text = place.ends_with(2, BACKUP, &[dir, "--to", to, "--form", "folder"]);
    assert!(text.contains("archives only"), "{text}");
    let text = place.ends_with(2, BACKUP, &[shown(home.path()), "--to", to]);
    assert!(text.contains("no append-only files") && text.contains("replica"), "{text}");
    let into = home.path().join("new");
    let restore =
        |from: &str, into: &str| place.ends_with(2, RESTORE, &[from, "--into", into, "--patience", "1"]);
    let text = restore(to, shown(&into));
    assert!(text.contains("names no archive") && text.contains("--list"), "{text}");
    let text = restore(&format!("{to}/none.oar"), shown(&into));
    assert!(text.contains("no published backup") && text.contains("--list"), "{text}");
    let text = restore(&format!("{to}/none.oar"), "redis://127.0.0.1:1");
    assert!(text.contains("no connection") || text.contains("no published backup"), "{text}");
    for name in ["none", "a/b", "", ".."] {
        place.ends_with(2, BACKUP, &["--to", to, "--verify", name]);
    }
    assert!(bucket.keys().is_empty() && bucket.uploads().is_empty() && !into.exists());
}

#[test]
fn a_folder_to_work_in_is_of_this_user_alone() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(1);
    let (place, home) = (Place::new(&bucket, "p"), TempDir::new().unwrap());
    let work = home.path().join("made/for/it");
    place.take(pair.dir(), &["--work", shown(&work)]);
    assert_eq!(fs::read_dir(place.work.path()).unwrap().count(), 0, "it works where it was told to");
    let folder = fs::read_dir(&work).unwrap().flatten().next().expect("a folder").path();
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    // Somebody else could look into this one, and that one leads elsewhere.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let take = || place.ends_with(2, BACKUP, &[shown(pair.dir()), "--to", &place.to, "--work", shown(&work)]);
    assert!(take().contains("not a folder of this user's alone"));
    fs::remove_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(home.path(), &folder).unwrap();
    assert!(take().contains("--work"));
    fs::remove_file(&folder).unwrap();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let args = [shown(pair.dir()), "--to", &place.to, "--work", shown(&file)];
    assert!(place.ends_with(2, BACKUP, &args).contains("cannot create"));
}

/// A small file system of its own; gone at the end.
struct Small(TempDir);

impl Small {
    /// `None` where this user may not make one.
    fn mount(megabytes: usize) -> Option<Small> {
        let home = TempDir::with_prefix("outrigger-s3-").unwrap();
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(home.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Small(home));
        }
        eprintln!("SKIPPED: no small file system can be mounted here");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

#[test]
fn too_little_room_is_told_and_leaves_nothing() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(100);
    let place = Place::new(&bucket, "p");
    let backup = place.take(pair.dir(), &[])["backup"].clone();
    // For nothing, and for the archive and not for what is in it.
    for megabytes in [1, 6] {
        let Some(small) = Small::mount(megabytes) else { return };
        let work = shown(small.0.path());
        let url = backup["path"].as_str().unwrap();
        let into = small.0.path().join("new");
        let name = backup["name"].as_str().unwrap();
        let said = [
            place.ends_with(2, RESTORE, &[url, "--into", shown(&into)]),
            place.ends_with(2, BACKUP, &[shown(pair.dir()), "--to", &place.to, "--work", work]),
            place.ends_with(2, BACKUP, &["--to", &place.to, "--verify", name, "--work", work]),
        ];
        assert!(!into.exists());
        for text in said {
            let text = text.to_lowercase();
            assert!(text.contains("no space left") || text.contains("bytes free"), "{megabytes}: {text}");
            assert!(text.contains("make room"), "{megabytes}: {text}");
        }
        assert_eq!((place.list().len(), bucket.uploads().len()), (1, 0));
    }
}
