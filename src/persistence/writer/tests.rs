use std::path::Path;

use super::*;
use crate::base::time::ManualClock;
use crate::persistence::testing::{NEW_ID, TestLog, command, lineage, names, point, put_base, read_chain};
use crate::sys::Disk;
use crate::sys::fault::{CrashTail, FaultDisk};

/// A writer on a disk in memory with a log of its own.
struct Bench {
    disk: FaultDisk,
    log: TestLog,
    writer: AofWriter,
    events: mpsc::Receiver<WriterEvent>,
}

const WAIT: Duration = Duration::from_secs(5);

fn quick(policy: FsyncPolicy) -> WriterConfig {
    let tick = Duration::from_millis(5);
    WriterConfig {
        policy,
        fsync_interval: tick,
        batch_pause: Duration::from_millis(1),
        probe_interval: tick,
        delayed_after: Duration::from_secs(600),
    }
}

impl Bench {
    /// Nothing on disk but an empty folder; the log begins at offset 100.
    fn bare(policy: FsyncPolicy) -> Bench {
        Bench::bare_with(quick(policy))
    }

    fn bare_with(config: WriterConfig) -> Bench {
        let disk = FaultDisk::new(1);
        disk.create_dir_all(names().dir()).unwrap();
        let generation = Generation::open(Arc::new(disk.clone()), names(), 1).unwrap();
        let (tell, events) = mpsc::channel();
        let on_event = Arc::new(move |event| drop(tell.send(event)));
        let clock = Arc::new(ManualClock::at_ms(5));
        let writer = AofWriter::start(generation, None, config, clock, on_event).unwrap();
        Bench { disk, log: TestLog::new(100), writer, events }
    }

    /// With a first generation at offset 100.
    fn new(policy: FsyncPolicy) -> Bench {
        Bench::with(quick(policy))
    }

    fn with(config: WriterConfig) -> Bench {
        let bench = Bench::bare_with(config);
        let base = put_base(&bench.disk, &names(), 100);
        bench.writer.install(base, point(100), bench.log.source(100)).wait().unwrap();
        assert_eq!(bench.event(), WriterEvent::Durable { offset: 100 });
        assert_eq!(bench.event(), WriterEvent::Whole { durable_offset: 100 });
        bench
    }

    fn append(&self, text: &str) -> u64 {
        let end = self.log.append(text);
        self.writer.waker().wake();
        end
    }

    fn event(&self) -> WriterEvent {
        self.events.recv_timeout(WAIT).expect("an event")
    }

    fn await_event(&self, wanted: impl Fn(&WriterEvent) -> bool) -> WriterEvent {
        loop {
            let event = self.event();
            if wanted(&event) {
                return event;
            }
        }
    }

    fn await_durable(&self, offset: u64) {
        if self.writer.durable_offset() < offset {
            self.await_event(|event| matches!(event, WriterEvent::Durable { offset: o } if *o >= offset));
        }
    }

    fn await_written(&self, offset: u64) {
        let until = Instant::now() + WAIT;
        while self.writer.written_offset() < offset {
            assert!(Instant::now() < until, "{offset} is not written");
            std::thread::yield_now();
        }
    }

    /// From now on an fsync of a log file begins by saying so, and ends once it is told to.
    fn hold_syncs(&self) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
        let ((begins, begun), (end, ends)) = (mpsc::channel(), mpsc::channel());
        let ends = Mutex::new(ends);
        let hook = move |path: &Path, _: u64| {
            if path.to_string_lossy().contains(".incr.") && begins.send(()).is_ok() {
                let _ = ends.lock().recv();
            }
        };
        self.disk.plan(|plan| plan.sync_hook = Some(Arc::new(hook)));
        (begun, end)
    }

    fn commands(&self) -> Vec<String> {
        read_chain(&self.disk, &names()).unwrap().commands
    }

    /// A whole rewrite at the log's end.
    fn rewrite(&self) -> Result<Finished, WriterError> {
        let rotation = self.writer.rotate_at(point(self.log.end())).wait()?;
        let base = put_base(&self.disk, &names(), rotation.point.offset);
        self.writer.finish(base, rotation).wait()
    }
}

#[test]
fn what_is_durable_survives_a_crash() {
    for policy in [FsyncPolicy::Always, FsyncPolicy::EverySec] {
        let bench = Bench::new(policy);
        let end = (0..20).map(|i| bench.append(&format!("SET k {i}"))).max().unwrap();
        bench.await_durable(end);
        assert_eq!(bench.writer.written_offset(), end);
        bench.disk.plan(|plan| plan.crash_tail = CrashTail::Torn);
        bench.disk.crash();
        bench.disk.restart();
        assert_eq!(bench.commands().len(), 20);
        let figures = bench.writer.figures();
        assert!(figures.fsyncs > 0 && figures.batches > 0 && figures.current_bytes > figures.base_bytes);
    }
}

#[test]
fn without_fsync_only_a_flush_makes_durable() {
    let bench = Bench::new(FsyncPolicy::No);
    let end = bench.append("SET k 1");
    while bench.writer.written_offset() < end {
        std::thread::yield_now();
    }
    assert_eq!(bench.writer.durable_offset(), 100);
    assert_eq!(bench.writer.flush_and_sync().wait().unwrap(), end);
    assert_eq!(bench.writer.durable_offset(), end);
    bench.append("SET k 2");
    bench.writer.set_policy(FsyncPolicy::Always);
    bench.await_durable(bench.log.end());
}

#[test]
fn somebody_who_waits_has_each_batch_fsynced_for_a_time() {
    let bench = Bench::new(FsyncPolicy::No);
    bench.append("SET k 1");
    bench.writer.hurry(Duration::from_secs(3_600));
    bench.await_durable(bench.log.end());
    let hurried = bench.append("SET k 2");
    bench.await_durable(hurried);
    bench.writer.hurry(Duration::ZERO);
    let end = bench.append("SET k 3");
    while bench.writer.written_offset() < end {
        std::thread::yield_now();
    }
    assert_eq!(bench.writer.durable_offset(), hurried);
}

#[test]
fn under_everysec_writing_goes_on_while_the_file_is_fsynced() {
    let bench = Bench::new(FsyncPolicy::EverySec);
    let (begun, end) = bench.hold_syncs();
    let first = bench.append("SET k 1");
    begun.recv_timeout(WAIT).unwrap();
    let second = bench.append("SET k 2");
    bench.await_written(second);
    assert_eq!(bench.writer.durable_offset(), 100);
    assert!(bench.writer.figures().fsyncing);
    end.send(()).unwrap();
    // The fsync vouches for what was there when it began, and for no more.
    assert_eq!(bench.await_event(|_| true), WriterEvent::Durable { offset: first });
    begun.recv_timeout(WAIT).unwrap();
    end.send(()).unwrap();
    assert_eq!(bench.event(), WriterEvent::Durable { offset: second });
    assert!(!bench.writer.figures().fsyncing);
    // Whoever asks for all to be durable waits for an fsync that is on its way, and for one more.
    let before = bench.writer.figures().fsyncs;
    bench.append("SET k 3");
    begun.recv_timeout(WAIT).unwrap();
    bench.append("SET k 4");
    let flushed = bench.writer.flush_and_sync();
    end.send(()).unwrap();
    end.send(()).unwrap();
    assert_eq!(flushed.wait().unwrap(), bench.log.end());
    assert_eq!(bench.writer.figures().fsyncs, before + 2);
}

#[test]
fn an_fsync_that_takes_too_long_holds_up_what_is_written_next() {
    let delayed_after = Duration::from_millis(30);
    let bench = Bench::with(WriterConfig { delayed_after, ..quick(FsyncPolicy::EverySec) });
    let (begun, end) = bench.hold_syncs();
    let first = bench.append("SET k 1");
    begun.recv_timeout(WAIT).unwrap();
    std::thread::sleep(delayed_after);
    let second = bench.append("SET k 2");
    std::thread::sleep(delayed_after);
    assert_eq!(bench.writer.written_offset(), first);
    drop(end);
    bench.await_durable(second);
    assert!(bench.writer.figures().delayed_fsyncs >= 1);
}

#[test]
fn an_fsync_that_fails_beside_the_writer_breaks_the_file() {
    for asked in [false, true] {
        let bench = Bench::new(FsyncPolicy::EverySec);
        let (begun, end) = bench.hold_syncs();
        bench.append("SET a 1");
        begun.recv_timeout(WAIT).unwrap();
        bench.await_written(bench.append("SET b 1"));
        bench.disk.plan(|plan| plan.all_syncs_fail = true);
        let flushed = asked.then(|| bench.writer.flush_and_sync());
        drop(end);
        assert!(flushed.is_none_or(|flushed| flushed.wait().is_err()));
        let broken = bench.await_event(|event| !matches!(event, WriterEvent::Written));
        assert!(matches!(broken, WriterEvent::Broken { durable_offset: 100, .. }), "{broken:?}");
        bench.disk.heal();
        bench.await_event(|event| *event == WriterEvent::NeedsGeneration);
        assert_eq!(bench.writer.durable_offset(), 100);
        let healed = bench.rewrite().unwrap();
        assert_eq!(healed.durable_offset, bench.log.end());
    }
}

#[test]
fn under_always_one_fsync_serves_many_writers() {
    let bench = Bench::new(FsyncPolicy::Always);
    let hook = |_: &Path, _: u64| std::thread::sleep(Duration::from_millis(2));
    bench.disk.plan(|plan| plan.sync_hook = Some(Arc::new(hook)));
    let before = bench.writer.figures().fsyncs;
    let end = (0..200).map(|i| bench.append(&format!("SET k {i}"))).max().unwrap();
    bench.await_durable(end);
    assert!(bench.writer.figures().fsyncs - before < 100);
    assert_eq!(bench.commands().len(), 200);
}

#[test]
fn a_big_log_is_written_in_pieces() {
    let bench = Bench::new(FsyncPolicy::EverySec);
    let value = "v".repeat(3 << 20);
    bench.append(&format!("SET k {value}"));
    bench.append("SET l 1");
    bench.writer.flush_and_sync().wait().unwrap();
    assert_eq!(bench.commands()[1], "SET l 1");
}

#[test]
fn a_rewrite_splits_the_log_at_its_point() {
    let bench = Bench::new(FsyncPolicy::EverySec);
    bench.append("SET a 1");
    let rotation = bench.writer.rotate_at(point(bench.log.end()));
    bench.append("SET b 1");
    let flushed = bench.writer.flush_and_sync();
    let rotation = rotation.wait().unwrap();
    bench.append("SET c 1");
    flushed.wait().unwrap();
    assert_eq!(rotation.point.offset, 100 + command("SET a 1").len() as u64);
    bench.writer.flush_and_sync().wait().unwrap();
    assert_eq!(bench.commands(), ["SET a 1", "SET b 1", "SET c 1"]);
    let base = put_base(&bench.disk, &names(), rotation.point.offset);
    let finished = bench.writer.finish(base, rotation).wait().unwrap();
    assert!(matches!(finished.kept, Kept::In(_)));
    bench.append("SET d 1");
    bench.writer.flush_and_sync().wait().unwrap();
    assert_eq!(bench.commands(), ["SET b 1", "SET c 1", "SET d 1"]);
}

#[test]
fn a_selected_database_is_selected_in_the_next_file() {
    let bench = Bench::new(FsyncPolicy::Always);
    bench.append("SELECT 3");
    let at = Point { db: 3, ..point(bench.log.end()) };
    bench.writer.rotate_at(at).wait().unwrap();
    let end = bench.append("SET a 1");
    bench.await_durable(end);
    assert_eq!(bench.commands(), ["SELECT 3", "SELECT 3", "SET a 1"]);
    assert_eq!(read_chain(&bench.disk, &names()).unwrap().end.offset, end);
}

#[test]
fn changes_of_lineage_are_written_where_they_happened() {
    let bench = Bench::new(FsyncPolicy::Always);
    bench.log.append("SET a 1");
    bench.log.rename(NEW_ID);
    let end = bench.append("SET b 1");
    bench.await_durable(end);
    let end = read_chain(&bench.disk, &names()).unwrap().end;
    assert_eq!((end.lineage, end.offset), (lineage(NEW_ID), bench.log.end()));
    // Two at once.
    let [third, fourth] = ["3", "4"].map(|digit| digit.repeat(40));
    bench.log.rename(&third);
    bench.log.append("SET c 1");
    bench.log.rename(&fourth);
    bench.append("SET d 1");
    bench.writer.flush_and_sync().wait().unwrap();
    let chain = read_chain(&bench.disk, &names()).unwrap();
    assert_eq!(chain.end.lineage, lineage(&fourth));
    assert_eq!(chain.commands, ["SET a 1", "SET b 1", "SET c 1", "SET d 1"]);
    // A rewrite at a place that has the new name.
    let at = Point { lineage: lineage(&fourth), ..point(bench.log.end()) };
    let rotation = bench.writer.rotate_at(at).wait().unwrap();
    let base = put_base(&bench.disk, &names(), at.offset);
    bench.writer.finish(base, rotation).wait().unwrap();
    assert_eq!(read_chain(&bench.disk, &names()).unwrap().end.lineage, lineage(&fourth));
}

#[test]
fn seals_and_new_files_tell_the_epoch() {
    let bench = Bench::new(FsyncPolicy::Always);
    let text = |seq| {
        let bytes = bench.disk.read_sealed(&names().path(names().incr_name(seq).as_bytes())).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let end = bench.append("SET a 1");
    bench.await_durable(end);
    assert!(!text(1).contains("epoch="), "none is known");
    bench.log.set_epoch(Epoch { number: 3, since: end });
    let end = bench.append("SET b 1");
    bench.await_durable(end);
    let told = "epoch=3 since=";
    assert_eq!(text(1).matches(told).count(), 1);
    bench.rewrite().unwrap();
    assert_eq!(text(2).lines().next().map(|line| line.contains(told)), Some(true));
}

#[test]
fn a_full_disk_stops_the_durable_offset_and_a_rewrite_heals() {
    let bench = Bench::new(FsyncPolicy::Always);
    let good = bench.append("SET a 1");
    bench.await_durable(good);
    bench.disk.plan(|plan| plan.full_after_bytes = Some(30));
    bench.append("SET b 1");
    let broken = bench.await_event(|event| matches!(event, WriterEvent::Broken { .. }));
    assert!(matches!(broken, WriterEvent::Broken { durable_offset, .. } if durable_offset == good));
    assert_eq!(bench.writer.phase(), Phase::Broken);
    // While the disk is full nobody is asked for a rewrite, and what arrives is passed over.
    bench.append("SET c 1");
    std::thread::sleep(Duration::from_millis(40));
    assert!(bench.events.try_recv().is_err());
    assert!(bench.writer.figures().last_error.is_some());
    assert!(bench.writer.flush_and_sync().wait().is_err());
    assert_eq!(bench.commands(), ["SET a 1"]);
    bench.disk.heal();
    bench.await_event(|event| *event == WriterEvent::NeedsGeneration);
    let rotation = bench.writer.rotate_at(point(bench.log.end())).wait().unwrap();
    let end = bench.append("SET d 1");
    while bench.writer.written_offset() < end {
        std::thread::yield_now();
    }
    assert_eq!((bench.writer.durable_offset(), bench.writer.phase()), (good, Phase::Building));
    let base = put_base(&bench.disk, &names(), rotation.point.offset);
    bench.writer.finish(base, rotation).wait().unwrap();
    bench.await_durable(end);
    assert_eq!(bench.commands(), ["SET d 1"]);
    let figures = bench.writer.figures();
    assert_eq!((figures.phase, figures.last_error), (Phase::Writing, None));
}

#[test]
fn a_failed_fsync_is_never_called_good_later() {
    for policy in [FsyncPolicy::Always, FsyncPolicy::EverySec] {
        let bench = Bench::new(policy);
        let good = bench.append("SET a 1");
        bench.await_durable(good);
        bench.disk.plan(|plan| plan.all_syncs_fail = true);
        bench.append("SET b 1");
        bench.await_event(|event| matches!(event, WriterEvent::Broken { .. }));
        bench.disk.heal();
        let end = bench.append("SET c 1");
        bench.await_event(|event| *event == WriterEvent::NeedsGeneration);
        assert_eq!(bench.writer.durable_offset(), good);
        bench.rewrite().unwrap();
        bench.await_durable(end);
        bench.disk.crash();
        bench.disk.restart();
        assert_eq!(read_chain(&bench.disk, &names()).unwrap().end.offset, end);
    }
}

#[test]
fn a_rewrite_over_a_gap_is_refused() {
    let bench = Bench::new(FsyncPolicy::Always);
    let rotation = bench.writer.rotate_at(point(100)).wait().unwrap();
    bench.disk.plan(|plan| plan.all_syncs_fail = true);
    bench.append("SET b 1");
    bench.await_event(|event| matches!(event, WriterEvent::Broken { .. }));
    bench.disk.heal();
    let base = put_base(&bench.disk, &names(), 100);
    assert!(matches!(bench.writer.finish(base, rotation).wait(), Err(WriterError::Interrupted)));
    // The next run does not make the old rotation any better.
    bench.writer.rotate_at(point(bench.log.end())).wait().unwrap();
    let base = put_base(&bench.disk, &names(), 100);
    assert!(matches!(bench.writer.finish(base, rotation).wait(), Err(WriterError::Interrupted)));
    // A rewrite that is given up makes the writer ask again, and the third one is good.
    bench.writer.abandon("the child died");
    bench.await_event(|event| matches!(event, WriterEvent::Broken { .. }));
    bench.await_event(|event| *event == WriterEvent::NeedsGeneration);
    bench.rewrite().unwrap();
    let end = bench.append("SET c 1");
    bench.await_durable(end);
    assert_eq!(bench.commands(), ["SET c 1"]);
}

#[test]
fn falling_behind_is_a_failure_like_another() {
    let bench = Bench::new(FsyncPolicy::Always);
    bench.log.append("SET a 1");
    let end = bench.log.append("SET b 1");
    bench.log.trim(end);
    bench.append("SET c 1");
    let broken = bench.await_event(|event| matches!(event, WriterEvent::Broken { .. }));
    assert!(matches!(broken, WriterEvent::Broken { durable_offset: 100, .. }));
    bench.await_event(|event| *event == WriterEvent::NeedsGeneration);
    bench.rewrite().unwrap();
    assert_eq!(bench.writer.durable_offset(), bench.log.end());
}

#[test]
fn a_full_disk_at_a_rotation_leaves_the_old_file_good() {
    let bench = Bench::new(FsyncPolicy::Always);
    let end = bench.append("SET a 1");
    bench.await_durable(end);
    bench.disk.plan(|plan| plan.full_after_bytes = Some(0));
    assert!(matches!(bench.writer.rotate_at(point(end)).wait(), Err(WriterError::Disk { full: true, .. })));
    bench.disk.heal();
    let end = bench.append("SET b 1");
    bench.await_durable(end);
    assert_eq!(bench.commands(), ["SET a 1", "SET b 1"]);
}

#[test]
fn another_history_is_installed_and_the_old_one_kept() {
    let bench = Bench::new(FsyncPolicy::Always);
    bench.append("SET a 1");
    let end = bench.log.end();
    assert_eq!(bench.writer.detach().wait().unwrap(), end);
    assert_eq!(bench.writer.phase(), Phase::Off);
    bench.log.restart();
    let other = TestLog::new(7_000);
    other.append("SET z 1");
    let base = put_base(&bench.disk, &names(), 7_000);
    let finished = bench.writer.install(base, point(7_000), other.source(7_000)).wait().unwrap();
    let Kept::In(folder) = finished.kept else { panic!("{finished:?}") };
    assert_eq!(folder, names().previous_folder(1));
    bench.writer.flush_and_sync().wait().unwrap();
    assert_eq!(bench.writer.durable_offset(), other.end());
    assert_eq!(bench.commands(), ["SET z 1"]);
    // Without a detachment the restart shows, and an installation still works.
    other.restart();
    bench.writer.waker().wake();
    bench.await_event(|event| matches!(event, WriterEvent::Broken { .. }));
    let third = TestLog::new(9_000);
    let base = put_base(&bench.disk, &names(), 9_000);
    bench.writer.install(base, point(9_000), third.source(9_000)).wait().unwrap();
    assert_eq!(bench.writer.durable_offset(), 9_000);
}

#[test]
fn a_writer_that_was_off_can_be_turned_on() {
    let bench = Bench::bare(FsyncPolicy::Always);
    assert!(matches!(bench.writer.rotate_at(point(100)).wait(), Err(WriterError::NoSource)));
    bench.writer.attach_source(bench.log.source(100));
    bench.append("SET early 1");
    let finished = bench.rewrite().unwrap();
    assert!(matches!(finished.kept, Kept::Nothing));
    let end = bench.append("SET late 1");
    bench.await_durable(end);
    assert_eq!(bench.commands(), ["SET late 1"]);
}

/// An installation may still be on its way when somebody who sees no file being written offers a source.
#[test]
fn a_source_that_comes_late_leaves_no_gap() {
    let bench = Bench::bare(FsyncPolicy::Always);
    let base = put_base(&bench.disk, &names(), 100);
    let installed = bench.writer.install(base, point(100), bench.log.source(100));
    let later = bench.log.append("SET a 1");
    bench.writer.attach_source(bench.log.source(later));
    let rotation = bench.writer.rotate_at(point(later));
    let end = bench.append("SET b 1");
    installed.wait().unwrap();
    rotation.wait().unwrap();
    bench.await_durable(end);
    assert_eq!(bench.commands(), ["SET a 1", "SET b 1"]);
}

#[test]
fn dropping_the_handle_writes_what_the_log_has() {
    let bench = Bench::new(FsyncPolicy::EverySec);
    let end = bench.log.append("SET a 1");
    let Bench { disk, writer, .. } = bench;
    drop(writer);
    disk.crash();
    disk.restart();
    assert_eq!(read_chain(&disk, &names()).unwrap().end.offset, end);
}

#[test]
fn random_faults_never_make_a_reported_offset_untrue() {
    for seed in 0..30u64 {
        let bench = Bench::new(if seed % 2 == 0 { FsyncPolicy::Always } else { FsyncPolicy::EverySec });
        bench.disk.plan(|plan| {
            plan.short_writes = true;
            plan.crash_tail = if seed % 3 == 0 { CrashTail::Zeroed } else { CrashTail::Torn };
        });
        let steps = bench.disk.steps();
        bench.disk.plan(|plan| plan.crash_at_step = Some(steps + 3 + seed * 2));
        for i in 0..200 {
            bench.append(&format!("SET k {i}"));
            if i % 20 == 19 {
                let rotation = bench.writer.rotate_at(point(bench.log.end()));
                let Ok(rotation) = rotation.wait() else { break };
                let path = names().temporary_base("t");
                let text = format!("base at {}", rotation.point.offset);
                if bench.disk.write_whole(&path, &mut |out| out.write_all(text.as_bytes())).is_err() {
                    break;
                }
                let _ = bench.writer.finish(path, rotation).wait();
            }
            if bench.disk.is_crashed() {
                break;
            }
        }
        bench.disk.crash();
        let durable = bench.writer.durable_offset();
        bench.disk.restart();
        let chain = read_chain(&bench.disk, &names()).unwrap();
        assert!(chain.end.offset >= durable, "seed {seed}: {durable} was reported, found {chain:?}");
    }
}

#[test]
fn work_that_takes_long_is_told_of_where_somebody_asks() {
    let told = |policy, at_least| {
        let bench = Bench::new(policy);
        bench.writer.tell_of_work(at_least);
        let end = bench.append("SET k 1");
        bench.await_durable(end);
        bench.rewrite().unwrap();
        let is_work = |event| match event {
            WriterEvent::Worked { work, .. } => Some(work),
            _ => None,
        };
        // The fsync's own comes behind that of what is durable, but before the rewrite's.
        bench.events.try_iter().filter_map(is_work).collect::<Vec<_>>()
    };
    let always = told(FsyncPolicy::Always, Some(Duration::ZERO));
    assert!(always.contains(&Work::FsyncAlways) && always.contains(&Work::Rename), "{always:?}");
    assert!(!told(FsyncPolicy::EverySec, Some(Duration::ZERO)).contains(&Work::FsyncAlways));
    assert_eq!(told(FsyncPolicy::Always, Some(Duration::from_secs(60))), []);
    assert_eq!(told(FsyncPolicy::Always, None), []);
    let bench = Bench::new(FsyncPolicy::Always);
    bench.writer.tell_of_work(Some(Duration::ZERO));
    bench.append("SET k 1");
    let event = bench.event();
    assert!(matches!(event, WriterEvent::Worked { work: Work::Write, .. }), "{event:?}");
}

#[test]
fn work_beside_and_behind_an_fsync_is_told_of_as_such() {
    let is_pending =
        |event: &WriterEvent| matches!(event, WriterEvent::Worked { work: Work::WritePendingFsync, .. });
    let bench = Bench::new(FsyncPolicy::EverySec);
    let (begun, end) = bench.hold_syncs();
    bench.writer.tell_of_work(Some(Duration::ZERO));
    bench.append("SET k 1");
    begun.recv_timeout(WAIT).unwrap();
    bench.await_written(bench.append("SET k 2"));
    let told: Vec<WriterEvent> = bench.events.try_iter().collect();
    assert!(matches!(told[0], WriterEvent::Worked { work: Work::Write, .. }), "{told:?}");
    assert_eq!(told.iter().filter(|event| is_pending(event)).count(), 1, "{told:?}");
    drop(end);
    let delayed_after = Duration::from_millis(30);
    let bench = Bench::with(WriterConfig { delayed_after, ..quick(FsyncPolicy::EverySec) });
    let (begun, end) = bench.hold_syncs();
    bench.append("SET k 1");
    begun.recv_timeout(WAIT).unwrap();
    bench.writer.tell_of_work(Some(Duration::from_millis(1)));
    std::thread::sleep(delayed_after);
    bench.append("SET k 2");
    std::thread::sleep(Duration::from_millis(300));
    drop(end);
    bench.await_event(is_pending);
}
