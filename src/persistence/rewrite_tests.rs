use std::time::{Duration, Instant};

use super::*;
use crate::base::time::SystemClock;
use crate::command::Settings;
use crate::persistence::generation::Generation;
use crate::persistence::recovery::{LoadFrom, RecoverOptions, recover, verify_directory};
use crate::persistence::testing::{NOW_MS, TestLog, contents, keyspace_after, point};
use crate::persistence::writer::{Phase, WriterConfig};
use crate::sys::RealDisk;

/// A writer that is off, on a real disk.
fn bench(folder: &tempfile::TempDir, log: &TestLog) -> (Names, AofWriter) {
    let names = Names::new(folder.path(), "appendonlydir", "appendonly.aof").unwrap();
    let generation = Generation::open(Arc::new(RealDisk), names.clone(), 1).unwrap();
    let clock = Arc::new(SystemClock::new());
    let writer =
        AofWriter::start(generation, None, WriterConfig::default(), clock, Arc::new(|_| ())).unwrap();
    writer.attach_source(log.source(100));
    (names, writer)
}

fn start(keyspace: &Keyspace, writer: &AofWriter, log: &TestLog, names: &Names) -> Rewrite {
    let clock = SystemClock::new();
    let options = SnapshotOptions { redis_version: "7.2.0".into(), ..SnapshotOptions::default() };
    let tools = RewriteTools {
        disk: Arc::new(RealDisk),
        names,
        tag: "1",
        clock: &clock,
        options: &options,
        fork: ForkOptions::default(),
    };
    Rewrite::start(keyspace, writer, || point(log.end()), tools).unwrap()
}

fn run(rewrite: &mut Rewrite, writer: &AofWriter) -> Result<Finished, String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        match rewrite.check(writer) {
            RewriteStatus::Done(finished) => return Ok(finished),
            RewriteStatus::Failed(why) => return Err(why),
            RewriteStatus::Over => panic!("over before it was done"),
            RewriteStatus::Writing(_) | RewriteStatus::Finishing => {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
    panic!("the rewrite takes too long")
}

#[test]
fn a_rewrite_makes_a_generation_that_loads() {
    let folder = tempfile::tempdir().unwrap();
    let log = TestLog::new(100);
    let (names, writer) = bench(&folder, &log);
    let keyspace = keyspace_after(["SET a 1", "SET b 2"]);
    for round in 0..3 {
        let mut rewrite = start(&keyspace, &writer, &log, &names);
        log.append(&format!("SET after:{round} 1"));
        run(&mut rewrite, &writer).unwrap();
        assert!(matches!(rewrite.check(&writer), RewriteStatus::Over));
    }
    assert_eq!(writer.flush_and_sync().wait().unwrap(), log.end());
    let back = Keyspace::new(16);
    let options = RecoverOptions {
        from: LoadFrom::AppendOnly,
        may_cut: false,
        settings: Settings::default(),
        now_ms: NOW_MS,
    };
    let recovered = recover(&RealDisk, &names, folder.path(), &back, &options, &mut |_, _| ()).unwrap();
    assert_eq!(recovered.point, Some(point(log.end())));
    let wanted = contents(&keyspace_after(["SET a 1", "SET b 2", "SET after:2 1"]));
    assert_eq!(contents(&back), wanted);
    // The generation before is whole as well.
    let earlier = Names::new(folder.path(), "appendonlydir.previous-2", "appendonly.aof").unwrap();
    assert!(verify_directory(&RealDisk, &earlier).unwrap().is_sound());
}

#[test]
fn a_cancelled_rewrite_leaves_things_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let log = TestLog::new(100);
    let (names, writer) = bench(&folder, &log);
    let keyspace = keyspace_after(["SET a 1"]);
    run(&mut start(&keyspace, &writer, &log, &names), &writer).unwrap();
    let mut rewrite = start(&keyspace, &writer, &log, &names);
    rewrite.cancel();
    // The child may have been quicker, which is fine too.
    let outcome = run(&mut rewrite, &writer);
    log.append("SET c 1");
    assert_eq!(writer.flush_and_sync().wait().unwrap(), log.end(), "{outcome:?}");
    assert_eq!(writer.phase(), Phase::Writing);
    assert!(verify_directory(&RealDisk, &names).unwrap().is_sound());
}

#[test]
fn a_base_of_another_place_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base");
    let (clock, options) = (SystemClock::new(), SnapshotOptions::default());
    let keyspace = keyspace_after(["SET a 1"]);
    crate::persistence::snapshot::save(&keyspace, || Some(point(5)), &RealDisk, &path, &clock, &options)
        .unwrap();
    check_base(&RealDisk, &path, point(5).history()).unwrap();
    assert!(check_base(&RealDisk, &path, point(6).history()).is_err());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.push(0);
    std::fs::write(&path, &bytes).unwrap();
    assert!(check_base(&RealDisk, &path, point(5).history()).is_err());
}
