//! Backups of a replica at work: under writes, while it rewrites its files, and while it is killed.

use super::{Pair, Place, moto, scaled};
use outrigger::base::random::Rng;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn under_full_write_load_and_during_rewrites_each_restores_with_its_digest() {
    let Some(bucket) = moto::bucket() else { return };
    let pair = Pair::start(10);
    let place = Place::new(&bucket, "load");
    let over = AtomicBool::new(false);
    let taken: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut client, mut rng) = (pair.primary.client(), Rng::from_os());
            while !over.load(Ordering::Relaxed) {
                let words = |number: u64| format!("SET load:{} {number}", number % 5_000);
                let commands: Vec<Vec<String>> =
                    (0..200).map(|_| words(rng.next_u64()).split(' ').map(str::to_owned).collect()).collect();
                client.pipeline(&commands);
            }
        });
        scope.spawn(|| {
            let mut replica = pair.replica.client();
            while !over.load(Ordering::Relaxed) {
                replica.cmd("BGREWRITEAOF");
                std::thread::sleep(std::time::Duration::from_millis(300));
            }
        });
        let taken = (0..scaled(4)).map(|_| place.take(pair.dir(), &[])["backup"].clone()).collect();
        over.store(true, Ordering::Relaxed);
        taken
    });
    let offsets: Vec<_> = taken.iter().filter_map(|backup| backup["place"]["offset"].as_u64()).collect();
    assert!(offsets.is_sorted() && offsets.len() == taken.len(), "{offsets:?}");
    assert!(offsets.first() < offsets.last(), "nothing was written meanwhile: {offsets:?}");
    taken.iter().for_each(|backup| place.restores(backup));
    assert_eq!(place.list().len(), taken.len());
    // At rest: what the primary has.
    pair.add(1);
    assert_eq!(place.take(pair.dir(), &[])["backup"]["digest"], pair.primary.client().digest());
}

#[test]
fn a_server_that_is_killed_meanwhile_leaves_good_backups() {
    let Some(bucket) = moto::bucket() else { return };
    let mut pair = Pair::start(20);
    let place = Place::new(&bucket, "killed");
    let over = AtomicBool::new(false);
    let taken: Vec<_> = std::thread::scope(|scope| {
        let (over, place, dir) = (&over, &place, pair.replica.dir().to_owned());
        let backups = scope.spawn(move || {
            let mut taken = Vec::new();
            while taken.len() < 2 || !over.load(Ordering::Relaxed) {
                taken.push(place.take(&dir, &[])["backup"].clone());
            }
            taken
        });
        for _ in 0..scaled(4) {
            pair.add(2);
            pair.replica.client().cmd("BGREWRITEAOF");
            pair.replica.restart();
        }
        over.store(true, Ordering::Relaxed);
        backups.join().expect("backups")
    });
    taken.iter().for_each(|backup| place.restores(backup));
    assert_eq!(place.list().len(), taken.len());
}
