//! Backups on a disk that fails at every step.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::shelf::{Retention, list_on, retain_on, verify_on};
use super::take::{Order, Taken, take_on};
use super::{BackupError, Form};
use crate::base::time::ManualClock;
use crate::persistence::generation::Generation;
use crate::persistence::names::Names;
use crate::persistence::rewrite::begin;
use crate::persistence::snapshot::SnapshotOptions;
use crate::persistence::testing::{NOW_MS, command, keyspace_after, names, point};
use crate::sys::Disk;
use crate::sys::fault::{CrashTail, FaultDisk, FaultPlan};

const SHELF: &str = "/backups";
/// Where the base of [`node`] stands.
const BASE_OFFSET: u64 = 100;
/// What its log holds, sealed.
const SEALED: [&str; 2] = ["SET c 3", "RPUSH list x y"];

/// A node's folder: a base, two sealed batches, and a command that no seal vouches for yet.
fn node(disk: &FaultDisk) -> Names {
    let names = names();
    let mut generation = Generation::open(Arc::new(disk.clone()), names.clone(), 0).unwrap();
    let keyspace = keyspace_after(["SET a 1", "HSET h f v", "SET b 2"]);
    let clock = ManualClock::at_ms(NOW_MS as u64);
    let options = SnapshotOptions::default();
    let mut incr = begin(&keyspace, &mut generation, &point(BASE_OFFSET), &clock, &options).unwrap();
    let mut bytes = Vec::new();
    for text in SEALED {
        let command = command(text);
        incr.sealer.feed(&command);
        bytes.extend(command);
        incr.sealer.seal(NOW_MS as u64, &mut bytes);
    }
    bytes.extend(command("SET unsealed 1"));
    incr.file.write_all(&bytes).unwrap();
    incr.file.sync_data().unwrap();
    disk.create_dir_all(Path::new(SHELF)).unwrap();
    names
}

fn take_named(disk: &FaultDisk, names: &Names, name: &str, form: Form) -> Result<Taken, BackupError> {
    let order = Order {
        from: names.folder(),
        to: PathBuf::from(SHELF),
        name: name.to_owned(),
        form,
        may_link: true,
        databases: 16,
        time_ms: NOW_MS as u64,
    };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    take_on(&disk, names, &order, &|_, _, _| ())
}

/// All that is there must be good; how many there are.
fn all_are_good(disk: &FaultDisk, why: &str) -> usize {
    let listed = list_on(disk, Path::new(SHELF)).unwrap();
    for backup in &listed {
        let verified = verify_on(disk, Path::new(SHELF), &backup.name, &|_, _, _| ());
        assert!(verified.is_ok(), "{why}: {}: {:?}", backup.name, verified.err());
    }
    listed.len()
}

fn leftovers(disk: &FaultDisk) -> usize {
    let entries = disk.list_dir(Path::new(SHELF)).unwrap();
    entries.iter().filter(|entry| entry.name.to_string_lossy().starts_with('.')).count()
}

fn sealed_end() -> u64 {
    BASE_OFFSET + SEALED.iter().map(|text| command(text).len() as u64).sum::<u64>()
}

#[test]
fn a_backup_ends_at_the_last_seal_and_is_found_again() {
    let disk = FaultDisk::new(1);
    let names = node(&disk);
    let taken = take_named(&disk, &names, "one", Form::Archive).unwrap();
    assert_eq!(taken.record.place.map(|place| place.offset), Some(sealed_end()));
    assert_eq!((taken.record.keys, taken.record.files.len()), (5, 3), "what is not sealed is left out");
    assert_eq!((all_are_good(&disk, "one"), leftovers(&disk)), (1, 0));
    let again = take_named(&disk, &names, "one", Form::Archive);
    assert!(matches!(again, Err(BackupError::Exists(_))), "{again:?}");
    for name in ["", ".hidden", "a/b", "a\nb"] {
        assert!(
            matches!(take_named(&disk, &names, name, Form::Archive), Err(BackupError::Name(_))),
            "{name:?}"
        );
    }
}

#[test]
fn a_crash_at_any_step_publishes_nothing_that_is_not_good() {
    let tails = [CrashTail::Lost, CrashTail::Torn, CrashTail::Zeroed];
    let whole = FaultDisk::new(2);
    let names = node(&whole);
    let before = whole.steps();
    take_named(&whole, &names, "one", Form::Archive).unwrap();
    let steps = before + 1..=whole.steps();
    assert!(steps.clone().count() > 20, "there are steps to crash at: {steps:?}");
    let mut left = 0;
    for step in steps {
        let tail = tails[step as usize % tails.len()];
        let plan = FaultPlan {
            crash_at_step: Some(step),
            crash_tail: tail,
            unsynced_names_may_survive: step % 2 == 0,
            ..FaultPlan::default()
        };
        let disk = FaultDisk::new(step);
        let names = node(&disk);
        disk.plan(|now| *now = plan);
        let made = take_named(&disk, &names, "one", Form::Archive);
        assert!(disk.is_crashed(), "step {step}");
        disk.restart();
        disk.heal();
        left += leftovers(&disk);
        let why = format!("{tail:?}, crash at step {step}, {:?}", made.err());
        let found = all_are_good(&disk, &why);
        let next = take_named(&disk, &names, "two", Form::Archive);
        assert!(next.is_ok(), "{why}: the next: {:?}", next.err());
        assert_eq!(list_on(&disk, Path::new(SHELF)).unwrap().len(), found + 1, "{why}");
        assert_eq!(leftovers(&disk), 0, "{why}");
    }
    assert!(left > 0, "no crash left anything to clear");
}

#[test]
fn a_full_or_failing_disk_publishes_nothing() {
    let whole = FaultDisk::new(3);
    let names = node(&whole);
    let taken = take_named(&whole, &names, "one", Form::Archive).unwrap();
    let most = 4 * (taken.record.bytes() + taken.record.stored_bytes());
    let mut refused = 0;
    for room in (0..most).step_by(311) {
        let disk = FaultDisk::new(room);
        let names = node(&disk);
        disk.plan(|plan| plan.full_after_bytes = Some(room));
        match take_named(&disk, &names, "one", Form::Archive) {
            Ok(_) => {}
            Err(error) => {
                refused += 1;
                assert!(
                    !error.is_damage() && error.to_string().contains("Nothing was published"),
                    "{room}: {error}"
                );
                assert_eq!(all_are_good(&disk, "full"), 0, "{room}");
            }
        }
        disk.heal();
        assert!(take_named(&disk, &names, "two", Form::Archive).is_ok(), "{room}");
        assert_eq!(leftovers(&disk), 0);
    }
    assert!(refused > 3, "{refused} of them");
    let disk = FaultDisk::new(4);
    let names = node(&disk);
    disk.plan(|plan| plan.all_syncs_fail = true);
    assert!(take_named(&disk, &names, "one", Form::Archive).is_err());
    disk.heal();
    assert_eq!(all_are_good(&disk, "without fsync"), 0);
}

#[test]
fn a_damaged_source_is_told_by_its_own_name() {
    let disk = FaultDisk::new(5);
    let names = node(&disk);
    let log = names.path(b"appendonly.aof.1.incr.aof");
    let base = names.path(b"appendonly.aof.1.base.rdb");
    for (path, at) in [(&log, 150), (&base, 60)] {
        assert!(disk.corrupt(path, at, 1));
        let refused = take_named(&disk, &names, "one", Form::Archive).unwrap_err();
        assert!(refused.is_damage(), "{refused}");
        assert!(refused.to_string().contains(&path.display().to_string()), "{refused}");
        assert_eq!((all_are_good(&disk, "damage"), leftovers(&disk)), (0, 0));
        assert!(disk.corrupt(path, at, 1));
    }
    disk.remove_file(&base).unwrap();
    let refused = take_named(&disk, &names, "one", Form::Archive).unwrap_err();
    assert!(refused.is_damage() && refused.to_string().contains("missing"), "{refused}");
}

#[test]
fn damage_in_an_archive_is_found_wherever_it_is() {
    let disk = FaultDisk::new(6);
    let names = node(&disk);
    let taken = take_named(&disk, &names, "one", Form::Archive).unwrap();
    let len = disk.file_len(&taken.path).unwrap().unwrap();
    for at in (0..len as usize).step_by(3) {
        assert!(disk.corrupt(&taken.path, at, 0x11));
        let found = verify_on(&disk, Path::new(SHELF), "one", &|_, _, _| ());
        assert!(found.as_ref().is_err_and(BackupError::is_damage), "byte {at}: {found:?}");
        assert!(disk.corrupt(&taken.path, at, 0x11));
    }
    assert_eq!(all_are_good(&disk, "whole again"), 1);
}

#[test]
fn retention_never_takes_the_only_good_one() {
    let disk = FaultDisk::new(7);
    let names = node(&disk);
    for name in ["a", "b", "c"] {
        take_named(&disk, &names, name, Form::Archive).unwrap();
    }
    // The two latest are damaged: they are neither counted nor removed.
    for name in ["b", "c"] {
        let path = Path::new(SHELF).join(format!("{name}.oar"));
        let len = disk.file_len(&path).unwrap().unwrap();
        assert!(disk.corrupt(&path, len as usize - 60, 1));
    }
    let rules = Retention { last: 1, daily: 0, weekly: 0 };
    assert_eq!(retain_on(&disk, Path::new(SHELF), rules).unwrap(), Vec::<String>::new());
    assert!(verify_on(&disk, Path::new(SHELF), "a", &|_, _, _| ()).is_ok());
    take_named(&disk, &names, "d", Form::Archive).unwrap();
    assert_eq!(retain_on(&disk, Path::new(SHELF), rules).unwrap(), ["a"]);
    assert!(verify_on(&disk, Path::new(SHELF), "d", &|_, _, _| ()).is_ok());
    assert_eq!(list_on(&disk, Path::new(SHELF)).unwrap().len(), 3);
}
