use std::time::{Duration, Instant};

use super::*;
use crate::base::time::ManualClock;
use crate::command::Settings;
use crate::persistence::load::{Inserting, load_rdb};
use crate::persistence::testing::{Contents, NOW_MS, contents, keyspace_after, point};
use crate::sys::RealDisk;

fn loaded(bytes: &[u8]) -> (Option<Point>, Contents) {
    let keyspace = Keyspace::new(16);
    let how = Inserting::new(&Settings::default(), NOW_MS);
    let facts = load_rdb(bytes, &keyspace, &how, |_| ()).unwrap();
    (facts.point, contents(&keyspace))
}

fn finish(mut job: SnapshotJob) -> Result<ForkProgress, String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match job.check() {
            SnapshotStatus::Running(_) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            SnapshotStatus::Running(_) => panic!("the child takes too long"),
            SnapshotStatus::Done { progress, .. } => return Ok(progress),
            SnapshotStatus::Failed(why) => return Err(why),
        }
    }
}

fn start(keyspace: &Keyspace, target: Target) -> SnapshotJob {
    start_with(keyspace, target, &SnapshotOptions::default())
}

fn start_with(keyspace: &Keyspace, target: Target, options: &SnapshotOptions) -> SnapshotJob {
    let clock = ManualClock::at_ms(NOW_MS as u64);
    let at = || Some(point(55));
    SnapshotJob::start("t-save", keyspace, at, target, &clock, options, ForkOptions::default()).unwrap()
}

fn some_keys() -> Keyspace {
    let commands: Vec<String> = (0..2_000).map(|i| format!("SET key:{i} value-{i}")).collect();
    keyspace_after(commands.iter().map(String::as_str).chain(["SELECT 3", "SET n 7 PXAT 1900000000000"]))
}

#[test]
fn a_child_writes_the_moment_of_the_fork_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let keyspace = some_keys();
    let before = contents(&keyspace);
    let path = folder.path().join("dump.rdb");
    let target = Target {
        disk: Arc::new(RealDisk),
        temporary: folder.path().join("temp.rdb"),
        rename_to: Some(path.clone()),
    };
    let job = start(&keyspace, target);
    assert_eq!(job.point(), Some(point(55)));
    // The parent goes on, and the child does not see it.
    drop(crate::persistence::load::swap_in(Keyspace::new(16), &keyspace));
    let progress = finish(job).unwrap();
    assert_eq!(progress.keys_done, 2_001);
    assert_eq!(loaded(&std::fs::read(&path).unwrap()), (Some(point(55)), before));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn nothing_is_left_of_a_child_that_fails_or_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let keyspace = some_keys();
    let temporary = folder.path().join("temp.rdb");
    let file = |rename_to| Target { disk: Arc::new(RealDisk), temporary: temporary.clone(), rename_to };
    let nowhere = folder.path().join("missing/dump.rdb");
    let why = finish(start(&keyspace, file(Some(nowhere)))).unwrap_err();
    assert!(why.contains("rename"), "{why}");
    assert!(!temporary.exists());
    let options = SnapshotOptions { key_delay_us: 50_000, ..SnapshotOptions::default() };
    let mut job = start_with(&keyspace, file(None), &options);
    job.cancel();
    assert_eq!(finish(job).unwrap_err(), "cancelled");
    assert!(!temporary.exists());
}

#[test]
fn use_of_keys_is_written_as_the_policy_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let keyspace = keyspace_after(["SET a 1"]);
    let (shard, hash) = crate::keyspace::db::locate(b"a");
    let later = ManualClock::at_ms(NOW_MS as u64 + 30_000);
    for (usage, lfu) in [(UsageKind::Lru, false), (UsageKind::Lfu, true)] {
        let field = if lfu { access::lfu_fresh(NOW_MS) + 9 } else { access::lru_now(NOW_MS) };
        keyspace.lock_shard(shard).db_mut(0).get_mut(hash, b"a").unwrap().set_access(field);
        let path = folder.path().join(format!("{usage:?}"));
        let options = SnapshotOptions { usage, ..SnapshotOptions::default() };
        save(&keyspace, || None, &RealDisk, &path, &later, &options).unwrap();
        let settings = Settings { lfu, ..Settings::default() };
        let back = Keyspace::new(16);
        let how = Inserting::new(&settings, NOW_MS + 30_000);
        load_rdb(&std::fs::read(&path).unwrap(), &back, &how, |_| ()).unwrap();
        let found = back.lock_shard(shard).db(0).get(hash, b"a").unwrap().access();
        if lfu {
            assert_eq!(found & 0xff, field & 0xff);
        } else {
            assert_eq!(access::lru_idle_s(found, NOW_MS + 30_000), 30);
        }
    }
}
