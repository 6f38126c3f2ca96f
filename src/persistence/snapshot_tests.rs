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

/// Keys of every type, short and long ones, in two databases.
fn keys_of_all_types() -> Keyspace {
    let mut commands = vec!["SET text 1".to_owned(), format!("SET long {}", "x".repeat(9_000))];
    for i in 0..400 {
        commands.push(format!("SET key:{i} {}", "ab".repeat(i % 40)));
        commands.push(format!("RPUSH list:{} {i} {}", i % 7, "element".repeat(i % 9)));
        commands.push(format!("SADD set:{} member:{i}", i % 3));
        commands.push(format!("HSET hash:{} field:{i} {i} other {i}", i % 5));
        commands.push(format!("ZADD board:{} {i}.5 member:{i}", i % 2));
        commands.push(format!("XADD stream:{} {}-1 field {i}", i % 4, i + 1));
        if i == 200 {
            commands.push("SELECT 3".to_owned());
        }
    }
    commands.push("HPEXPIREAT hash:1 1900000000000 FIELDS 1 other".to_owned());
    commands.push("PEXPIREAT text 1900000000000".to_owned());
    keyspace_after(commands.iter().map(String::as_str))
}

#[test]
fn several_threads_write_what_one_writes() {
    let keyspace = keys_of_all_types();
    let before = contents(&keyspace);
    let clock = ManualClock::at_ms(NOW_MS as u64);
    // The last leaves records of a few hundred bytes to the thread that writes.
    let plans = [None, Some((1, 4_000, 1 << 20)), Some((4, 100, 1 << 20)), Some((3, 100, 300))];
    for plan in plans {
        let plan = plan.map(|(threads, block_bytes, most_bytes)| Plan { threads, block_bytes, most_bytes });
        let options = SnapshotOptions { usage: UsageKind::Lru, ..SnapshotOptions::default() };
        let (mut bytes, done) = (Vec::new(), Cell::new(0));
        let sink = |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok::<(), ()>(())
        };
        let moment = moment(Some(point(7)), &clock);
        let written = write_all(&keyspace.lock_all(), 16, &moment, &options, |_| plan, &done, sink).unwrap();
        assert_eq!((written.bytes, written.keys), (bytes.len() as u64, before.len() as u64), "{plan:?}");
        assert_eq!(done.get(), written.keys);
        // The checksum is verified, and no key may be there twice.
        assert_eq!(loaded(&bytes), (Some(point(7)), before.clone()), "{plan:?}");
    }
}

#[test]
fn a_sink_that_fails_ends_all_threads() {
    let keyspace = keys_of_all_types();
    let clock = ManualClock::at_ms(NOW_MS as u64);
    let plan = Plan { threads: 3, block_bytes: 100, most_bytes: 1 << 20 };
    let moment = moment(None, &clock);
    let options = SnapshotOptions::default();
    let locked = keyspace.lock_all();
    let written = write_all(&locked, 16, &moment, &options, |_| Some(plan), &Cell::new(0), |_| Err("full"));
    assert_eq!(written, Err("full"));
}
