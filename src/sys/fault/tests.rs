use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::{CrashTail, FaultDisk, FaultPlan};
use crate::sys::disk::{Disk, DiskOp, sweep_temporaries};

fn path(name: &str) -> &Path {
    Path::new(name)
}

fn bytes(disk: &FaultDisk, name: &str) -> Vec<u8> {
    disk.read_sealed(path(name)).unwrap().to_vec()
}

#[test]
fn crash_keeps_the_synced_prefix_only() {
    let disk = FaultDisk::new(1);
    let mut log = disk.create_new(path("/log")).unwrap();
    log.write_all(b"synced").unwrap();
    assert_eq!(log.sync_data().unwrap(), 6);
    log.write_all(b" and not").unwrap();
    assert_eq!((log.len(), log.durable_len()), (14, 6));
    disk.crash();
    assert!(disk.is_crashed() && disk.read_sealed(path("/log")).is_err());
    disk.restart();
    assert_eq!(bytes(&disk, "/log"), b"synced");
    assert!(log.write_all(b"x").is_err(), "a handle from before the crash must stay dead");
    assert_eq!(bytes(&disk, "/log"), b"synced");
}

#[test]
fn torn_and_zeroed_tails_follow_the_seed() {
    let run = |seed, tail| {
        let disk = FaultDisk::with_plan(seed, FaultPlan { crash_tail: tail, ..FaultPlan::default() });
        let mut log = disk.create_new(path("/log")).unwrap();
        log.write_all(b"AAAA").unwrap();
        log.sync_data().unwrap();
        log.write_all(&[b'B'; 100]).unwrap();
        disk.restart();
        bytes(&disk, "/log")
    };
    let torn: Vec<_> = (0..20).map(|seed| run(seed, CrashTail::Torn)).collect();
    assert_eq!(torn, (0..20).map(|seed| run(seed, CrashTail::Torn)).collect::<Vec<_>>());
    assert!(torn.iter().all(|t| t.starts_with(b"AAAA") && t[4..].iter().all(|b| *b == b'B')));
    assert!(torn.iter().any(|t| t.len() != torn[0].len()));
    let zeroed: Vec<_> = (0..20).map(|seed| run(seed, CrashTail::Zeroed)).collect();
    assert!(zeroed.iter().all(|t| t.starts_with(b"AAAA")));
    assert!(zeroed.iter().any(|t| t.contains(&0)));
}

#[test]
fn a_failed_fsync_poisons_the_file_and_loses_its_bytes_for_good() {
    let disk = FaultDisk::new(1);
    let mut log = disk.create_new(path("/log")).unwrap();
    log.write_all(b"lost").unwrap();
    let next = disk.syncs() + 1;
    disk.plan(|plan| plan.failing_syncs = vec![next]);
    let handle = log.sync_handle();
    let failure = log.sync_data().unwrap_err();
    assert_eq!((failure.op, failure.source.raw_os_error()), (DiskOp::Sync, Some(nix::libc::EIO)));
    assert!(log.sync_data().unwrap_err().is_poisoned());
    assert!(log.write_all(b"x").unwrap_err().is_poisoned());
    assert!(handle.sync_data().unwrap_err().is_poisoned());
    assert_eq!(handle.durable_len(), 0);
    // Whoever opens the file again and trusts the fsync that now succeeds has been warned: the bytes are gone.
    let mut again = disk.open_append(path("/log")).unwrap();
    again.write_all(b"kept").unwrap();
    again.sync_data().unwrap();
    disk.restart();
    assert_eq!(bytes(&disk, "/log"), b"\0\0\0\0kept");
}

#[test]
fn a_full_disk_cuts_the_write_and_heals() {
    let disk = FaultDisk::new(1);
    let mut log = disk.create_new(path("/log")).unwrap();
    disk.plan(|plan| plan.full_after_bytes = Some(5));
    let failure = log.write_all(b"12345678").unwrap_err();
    assert!(failure.is_full() && !failure.is_poisoned(), "{failure}");
    assert_eq!((log.len(), disk.file_len(path("/log")).unwrap()), (0, Some(5)));
    assert!(disk.create_new(path("/more")).err().unwrap().is_full());
    assert_eq!(disk.available_bytes(path("/")).unwrap(), 0);
    disk.heal();
    assert!(log.write_all(b"1").unwrap_err().is_poisoned(), "healing must not revive a torn file");
    disk.create_new(path("/more")).unwrap().write_all(b"12345678").unwrap();
}

#[test]
fn short_and_interrupted_writes_lose_nothing() {
    let disk = FaultDisk::with_plan(9, FaultPlan { short_writes: true, ..FaultPlan::default() });
    let text: Vec<u8> = (0..=255).cycle().take(2000).collect();
    disk.create_new(path("/log")).unwrap().write_all(&text).unwrap();
    assert!(disk.steps() > 200);
    assert_eq!(bytes(&disk, "/log"), text);
    disk.write_whole(path("/whole"), &mut |out| out.write_all(&text)).unwrap();
    assert_eq!(bytes(&disk, "/whole"), text);
}

#[test]
fn names_are_lost_until_their_folder_is_synced() {
    let disk = FaultDisk::new(1);
    disk.put(path("/a/old"), b"old");
    disk.remove_file(path("/a/old")).unwrap();
    disk.restart();
    assert_eq!(bytes(&disk, "/a/old"), b"old", "an unsynced removal is undone");
    disk.remove_file(path("/a/old")).unwrap();
    disk.sync_dir(path("/a")).unwrap();
    disk.restart();
    assert!(disk.read_sealed(path("/a/old")).unwrap_err().is_not_found());
    disk.put(path("/a/x"), b"x");
    disk.create_dir_all(path("/b/c")).unwrap();
    disk.rename_durable(path("/a/x"), path("/b/c/y")).unwrap();
    disk.hard_link(path("/b/c/y"), path("/b/z")).unwrap();
    disk.remove_file(path("/b/c/y")).unwrap();
    disk.sync_dir(path("/b/c")).unwrap();
    disk.restart();
    assert_eq!(bytes(&disk, "/b/z"), b"x");
    assert!(disk.list_dir(path("/b/c")).unwrap().is_empty());
    disk.remove_dir(path("/b/c")).unwrap();
    assert!(disk.remove_dir(path("/b")).is_err(), "the folder is not empty");
}

/// One run of write_whole over an old file with a crash at `step`; the file's content after the restart.
fn replace_with_crash(seed: u64, step: Option<u64>, survive: bool) -> (Vec<u8>, bool, u64) {
    let plan = FaultPlan {
        crash_at_step: step,
        unsynced_names_may_survive: survive,
        crash_tail: CrashTail::Torn,
        ..FaultPlan::default()
    };
    let disk = FaultDisk::with_plan(seed, plan);
    disk.put(path("/d/manifest"), b"the old one");
    let done = disk
        .write_whole(path("/d/manifest"), &mut |out| {
            out.write_all(b"the new")?;
            out.write_all(b" one")
        })
        .is_ok();
    let steps = disk.steps();
    disk.restart();
    let swept = sweep_temporaries(&disk, path("/d")).unwrap();
    assert!(swept <= 1 && disk.list_dir(path("/d")).unwrap().len() == 1);
    (bytes(&disk, "/d/manifest"), done, steps)
}

#[test]
fn write_whole_is_atomic_at_every_crash() {
    let (now, done, steps) = replace_with_crash(1, None, false);
    assert!(done && now == b"the new one" && steps >= 6, "{steps}");
    let mut olds = 0;
    let mut news = 0;
    for seed in 0..40 {
        for step in 1..=steps {
            let (now, done, _) = replace_with_crash(seed, Some(step), seed % 2 == 0);
            assert!(!done, "the crash at step {step} went unnoticed");
            match &now[..] {
                b"the old one" => olds += 1,
                b"the new one" => news += 1,
                torn => panic!("torn: {torn:?}"),
            }
        }
    }
    assert!(olds > 0 && news > 0, "{olds} {news}");
}

#[test]
fn write_whole_leaves_no_temporary_after_a_failure() {
    let disk = FaultDisk::new(1);
    disk.put(path("/d/f"), b"old");
    disk.plan(|plan| plan.full_after_bytes = Some(2));
    // The closure swallows its failure; the file must not be put in place all the same.
    let swallowed = disk.write_whole(path("/d/f"), &mut |out| {
        let _ = out.write_all(b"longer");
        Ok(())
    });
    assert!(swallowed.unwrap_err().is_full());
    assert_eq!(bytes(&disk, "/d/f"), b"old");
    assert_eq!(disk.list_dir(path("/d")).unwrap().len(), 1);
}

#[test]
fn sync_hook_runs_without_locks_and_appends_go_on_meanwhile() {
    let disk = FaultDisk::new(1);
    let mut log = disk.create_new(path("/log")).unwrap();
    log.write_all(b"first").unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let writer = parking_lot::Mutex::new(log);
    let handle = writer.lock().sync_handle();
    let shared = Arc::new(writer);
    let (inner, count) = (Arc::clone(&shared), Arc::clone(&seen));
    disk.plan(|plan| {
        plan.sync_hook = Some(Arc::new(move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            inner.lock().write_all(b"second").unwrap();
        }));
    });
    assert_eq!(handle.sync_data().unwrap(), 5, "bytes appended during the fsync are not promised");
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    disk.restart();
    assert_eq!(bytes(&disk, "/log"), b"first");
}

#[test]
fn corruption_and_read_errors() {
    let disk = FaultDisk::new(1);
    disk.put(path("/f"), b"abc");
    assert!(disk.corrupt(path("/f"), 1, 1) && !disk.corrupt(path("/f"), 3, 1));
    let file = disk.open_read(path("/f")).unwrap();
    let mut buf = [0; 8];
    assert_eq!((file.read_at(1, &mut buf).unwrap(), &buf[..2]), (2, &b"cc"[..]));
    assert_eq!((file.len().unwrap(), file.read_at(u64::MAX, &mut buf).unwrap()), (3, 0));
    disk.plan(|plan| plan.reads_fail = true);
    assert!(file.read_at(0, &mut buf).is_err() && disk.read_sealed(path("/f")).is_err());
}

proptest! {
    /// Whatever is appended and synced, and whenever the crash comes: at least the acknowledged length survives,
    /// and every byte that does is the one that was written there.
    #[test]
    fn acknowledged_bytes_survive_any_crash(
        seed: u64, crash in 1u64..60, short: bool,
        ops in prop::collection::vec(prop_oneof![(1usize..40).prop_map(Some), Just(None)], 1..40),
    ) {
        let plan = FaultPlan {
            short_writes: short,
            crash_at_step: Some(crash),
            crash_tail: CrashTail::Torn,
            ..FaultPlan::default()
        };
        let disk = FaultDisk::with_plan(seed, plan);
        let mut written = Vec::new();
        let mut durable = 0;
        if let Ok(mut log) = disk.create_new(path("/log")) {
            for op in ops {
                let ok = match op {
                    Some(n) => {
                        let chunk: Vec<u8> = (0..n).map(|i| (written.len() + i) as u8).collect();
                        written.extend_from_slice(&chunk);
                        log.write_all(&chunk).is_ok()
                    }
                    None => log.sync_data().is_ok(),
                };
                durable = log.durable_len();
                if !ok {
                    break;
                }
            }
            disk.restart();
            let after = bytes(&disk, "/log");
            prop_assert!(after.len() as u64 >= durable);
            prop_assert!(written.starts_with(&after));
        }
    }
}
