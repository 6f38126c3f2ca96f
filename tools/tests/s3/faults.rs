//! A network and a storage that fail in the middle.

use super::proxy::{Asked, Fate, Proxy};
use super::{BACKUP, Pair, Place, RESTORE, moto, shown};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

type Which = fn(&Asked) -> bool;

/// A proxy that lets what is asked meet `fate` for so many times, and then no more.
fn times(upstream: u16, which: Which, count: usize, fate: Fate) -> Proxy {
    let left = Arc::new(AtomicUsize::new(count));
    Proxy::start(upstream, move |asked| {
        let meets = which(asked)
            && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if meets { fate } else { Fate::Pass }
    })
}

fn any(_: &Asked) -> bool {
    true
}

/// Reads a part of an archive.
fn is_read(asked: &Asked) -> bool {
    asked.method == "GET" && asked.target.contains(".oar")
}

#[test]
fn what_fails_for_a_while_is_tried_again() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(40);
    let cases: [(&str, Which, usize, Fate); 10] = [
        ("the first requests fail", any, 3, Fate::Status(500)),
        ("it is told to slow down", Asked::is_part, 3, Fate::Status(503)),
        ("the upload cannot begin", Asked::is_begin, 2, Fate::Status(500)),
        ("a part breaks off", Asked::is_part, 2, Fate::Cut(500_000)),
        ("a part breaks off at once", Asked::is_part, 2, Fate::Cut(0)),
        ("the answer to a part is lost", Asked::is_part, 2, Fate::Deaf),
        ("the answer to the end is lost", Asked::is_complete, 1, Fate::Deaf),
        ("it cannot be read back", is_read, 2, Fate::Status(500)),
        ("the record is not written", Asked::is_record, 2, Fate::Status(500)),
        ("the answer to the record is lost", Asked::is_record, 1, Fate::Deaf),
    ];
    for (turn, (what, which, count, fate)) in cases.into_iter().enumerate() {
        let proxy = times(bucket.port, which, count, fate);
        let place = Place::new(&bucket, &turn.to_string()).through(proxy.port);
        let backup = place.take(pair.dir(), &[])["backup"].clone();
        assert!(proxy.count(which) > count, "{what}: it was not asked again");
        assert_eq!(place.list().len(), 1, "{what}");
        place.restores(&backup);
    }
    assert_eq!((bucket.unpublished(), bucket.uploads()), (Vec::new(), Vec::new()));
}

#[test]
fn what_goes_on_failing_is_told_and_nothing_is_published() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(40);
    let place = Place::new(&bucket, "p");
    let cases: [(Which, Fate, &str); 7] = [
        (Asked::is_begin, Fate::Status(500), "beginning to upload"),
        (Asked::is_part, Fate::Status(500), "HTTP status 500"),
        (Asked::is_part, Fate::Cut(500_000), "failed while uploading"),
        (Asked::is_complete, Fate::Status(503), "HTTP status 503"),
        (is_read, Fate::Status(500), "failed while reading"),
        (Asked::is_record, Fate::Status(500), "failed while writing"),
        (Asked::is_part, Fate::Status(403), "the right to list the bucket, and to get, put and delete"),
    ];
    for (which, fate, said) in cases {
        let proxy = times(bucket.port, which, usize::MAX, fate);
        let bad = place.through(proxy.port);
        let text = bad.ends_with(2, BACKUP, &[shown(pair.dir()), "--to", &bad.to, "--patience", "1"]);
        assert!(text.contains(said), "{fate:?}: {text}");
        assert!(!bad.is_working() && place.list().is_empty(), "{text}");
    }
    // Of a record nobody could know whether it had come through; all else was cleared away at once.
    assert_eq!((bucket.unpublished().len(), bucket.uploads().len()), (1, 0));
    place.take(pair.dir(), &[]);
    assert_eq!(place.list().len(), 1);
}

/// What the storage holds is not what was sent.
#[test]
fn what_was_changed_on_its_way_is_never_published() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(20);
    let proxy = times(bucket.port, Asked::is_part, usize::MAX, Fate::Flip);
    let place = Place::new(&bucket, "p").through(proxy.port);
    let text = place.ends_with(1, BACKUP, &[shown(pair.dir()), "--to", &place.to]);
    assert!(text.contains("the block at byte") && text.contains("s3://"), "{text}");
    assert!(place.list().is_empty() && bucket.keys().is_empty() && bucket.uploads().is_empty());
}

#[test]
fn a_download_survives_a_bad_network_or_leaves_nothing() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(40);
    let place = Place::new(&bucket, "p");
    let backup = place.take(pair.dir(), &[])["backup"].clone();
    for fate in [Fate::Status(500), Fate::Deaf] {
        let proxy = times(bucket.port, is_read, 2, fate);
        place.through(proxy.port).restores(&backup);
    }
    let proxy = times(bucket.port, is_read, usize::MAX, Fate::Status(500));
    let (bad, home) = (place.through(proxy.port), TempDir::new().unwrap());
    let into = home.path().join("new");
    let url = backup["path"].as_str().unwrap();
    let text = bad.ends_with(2, RESTORE, &[url, "--into", shown(&into), "--patience", "1"]);
    assert!(text.contains("failed while reading") && text.contains("call again"), "{text}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    let name = backup["name"].as_str().unwrap();
    let text = bad.ends_with(2, BACKUP, &["--to", &bad.to, "--verify", name, "--patience", "1"]);
    assert!(text.contains("failed while reading") && !bad.is_working(), "{text}");
}

/// A backup that is good goes through even if what an interrupted one left cannot be removed; retention that fails is told.
#[test]
fn what_cannot_be_removed_hinders_no_backup() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(2);
    let forbids = Arc::new(std::sync::Mutex::new("".to_owned()));
    let forbidden = forbids.clone();
    let proxy = Proxy::start(bucket.port, move |asked| match &**forbidden.lock().expect("a word") {
        "record" if asked.is_record() => Fate::Status(403),
        "remove" if asked.method == "DELETE" => Fate::Status(403),
        _ => Fate::Pass,
    });
    let place = Place::new(&bucket, "p").through(proxy.port);
    let set = |word: &str| *forbids.lock().expect("a word") = word.to_owned();
    set("record");
    place.ends_with(2, BACKUP, &[shown(pair.dir()), "--to", &place.to]);
    assert_eq!(bucket.unpublished().len(), 1);
    set("remove");
    let view = place.take(pair.dir(), &[]);
    assert!(view["notes"][0].as_str().is_some_and(|note| note.contains("could not be removed")), "{view}");
    let text = place.ends_with(2, BACKUP, &[shown(pair.dir()), "--to", &place.to, "--retain", "1"]);
    assert!(text.contains("is taken and good, but older ones could not be removed"), "{text}");
    set("");
    // It was not forgotten.
    assert_eq!(place.take(pair.dir(), &[])["cleared"], 1);
    assert!(bucket.unpublished().is_empty());
    assert_eq!(place.list().len(), 3);
}
