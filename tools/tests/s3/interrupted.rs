//! A backup that is killed (SIGKILL), at any moment.

use super::proxy::{Asked, Fate, Proxy};
use super::{BACKUP, Pair, Place, moto, scaled, shown, wait_for};
use outrigger::base::random::Rng;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes a millisecond that go through. With these the upload takes about as long as all the rest.
const SLOW: usize = 8_000;

#[test]
fn one_that_is_killed_is_never_published_and_the_next_one_works() {
    let Some(bucket) = moto::bucket() else { return };
    let seed = Rng::from_os().next_u64();
    eprintln!("seed {seed}");
    let mut rng = Rng::from_seed(seed);
    let pair = Pair::start(500);
    let proxy = Proxy::start(bucket.port, |_| Fate::Slow(SLOW));
    let place = Place::new(&bucket, "p").through(proxy.port);
    // One that is let be: how long it takes.
    let began = Instant::now();
    let first = place.take(pair.dir(), &[])["backup"].clone();
    let usual = began.elapsed();
    assert!(proxy.count(Asked::is_part) > 2, "several parts");
    let (mut killed, mut while_sending, mut published) = (0, 0, 1);
    for _ in 0..scaled(8) {
        let parts = proxy.count(Asked::is_part);
        let mut command = place.command(BACKUP, &[shown(pair.dir()), "--to", &place.to]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start a backup");
        std::thread::sleep(Duration::from_millis(rng.below(usual.as_millis() as u64)));
        let ended = child.try_wait().expect("ask for it");
        child.kill().expect("kill it");
        child.wait().expect("its end");
        match ended {
            Some(status) => assert!(status.success(), "it ended by itself, with {status}"),
            None => killed += 1,
        }
        while_sending += usize::from(ended.is_none() && proxy.count(Asked::is_part) > parts);
        // What the proxy still holds comes through, too: a part, or at the very end the record.
        std::thread::sleep(Duration::from_millis(50));
        let listed = place.list();
        let whole = listed.iter().all(|backup| backup["damage"].is_null() && backup["keys"] == first["keys"]);
        assert!(whole, "{listed:?}");
        published = listed.len();
    }
    assert!(killed > 0 && while_sending > 0, "{killed} kills, {while_sending} of them while it was sending");
    // The last of what was on its way. The next one works, and clears away what all of them left.
    std::thread::sleep(Duration::from_millis(500));
    let next = place.take(pair.dir(), &[]);
    // Killed before it was told what its upload is called, it leaves one, but sent no part of it.
    assert_eq!((bucket.unpublished(), bucket.parts()), (Vec::new(), 0), "{next}");
    assert!(next["notes"].as_array().is_some_and(Vec::is_empty) && !place.is_working(), "{next}");
    let listed = place.list();
    assert_eq!(listed.len(), published + 1);
    listed.iter().for_each(|backup| place.restores(backup));
}

/// Killed at a chosen moment; the next one takes away what was left.
fn killed_when(moment: fn(&Asked) -> bool, has_parts: bool) {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(250);
    let is_slow = Arc::new(AtomicBool::new(true));
    let slow = is_slow.clone();
    // What it is about to do at that moment does not come to an end.
    let proxy = Proxy::start(bucket.port, move |asked| match moment(asked) && slow.load(Ordering::Relaxed) {
        true => Fate::Held,
        false => Fate::Pass,
    });
    let place = Place::new(&bucket, "p").through(proxy.port);
    let mut command = place.command(BACKUP, &[shown(pair.dir()), "--to", &place.to]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start a backup");
    wait_for("the moment", || proxy.count(moment) > 0);
    child.kill().expect("kill it");
    child.wait().expect("its end");
    is_slow.store(false, Ordering::Relaxed);
    assert!(place.list().is_empty(), "nothing is published");
    assert_eq!(bucket.uploads().len() + bucket.unpublished().len(), 1, "something is left");
    assert_eq!(bucket.parts() > 0, has_parts);
    assert!(place.is_working());
    let next = place.take(pair.dir(), &[]);
    assert_eq!(next["cleared"], 1, "{next}");
    assert_eq!((bucket.unpublished(), bucket.uploads()), (Vec::new(), Vec::new()), "{next}");
    assert!(place.list().len() == 1 && !place.is_working());
}

#[test]
fn killed_with_parts_sent_it_leaves_nothing_for_long() {
    killed_when(Asked::is_part, false);
}

#[test]
fn killed_before_the_parts_were_made_one_it_leaves_nothing_for_long() {
    killed_when(Asked::is_complete, true);
}

#[test]
fn killed_before_the_archive_was_read_back_it_leaves_nothing_for_long() {
    killed_when(|asked| asked.method == "GET" && asked.target.contains(".oar"), false);
}

#[test]
fn killed_before_its_record_was_written_it_leaves_nothing_for_long() {
    killed_when(Asked::is_record, false);
}

#[test]
fn two_runs_of_one_machine_exclude_each_other_and_other_places_do_not() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(2);
    let is_held = Arc::new(AtomicBool::new(true));
    let held = is_held.clone();
    let proxy =
        Proxy::start(bucket.port, move |asked| match asked.is_part() && held.load(Ordering::Relaxed) {
            true => Fate::Held,
            false => Fate::Pass,
        });
    let place = Place::new(&bucket, "p").through(proxy.port);
    let mut command = place.command(BACKUP, &[shown(pair.dir()), "--to", &place.to]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start a backup");
    wait_for("the first", || proxy.count(Asked::is_part) > 0);
    is_held.store(false, Ordering::Relaxed);
    let said = place.ends_with(2, BACKUP, &[shown(pair.dir()), "--to", &place.to]);
    assert!(said.contains("in use by process") && said.contains("at work"), "{said}");
    // Elsewhere, and from another machine (which has another folder to work in).
    let (elsewhere, machine) = (format!("{}/deeper", place.to), place.through(proxy.port));
    place.ends_with(0, BACKUP, &[shown(pair.dir()), "--to", &elsewhere]);
    let other = machine.take(pair.dir(), &[]);
    assert_eq!((&other["cleared"], bucket.uploads().len()), (&0.into(), 1), "what is under way stays");
    child.kill().expect("kill it");
    child.wait().expect("its end");
    assert_eq!(place.take(pair.dir(), &[])["cleared"], 1);
    assert_eq!((place.list().len(), bucket.uploads().len()), (2, 0));
}
