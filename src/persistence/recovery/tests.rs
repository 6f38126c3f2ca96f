use super::*;
use crate::base::time::ManualClock;
use crate::format::aof::manifest::{FileEntry, FileKind, Manifest};
use crate::persistence::load::{Inserting, Staging, swap_in};
use crate::persistence::offline::{
    Before, Fingerprint, Occurrence, Offline, OfflineError, Origin, Part, RestoreTo, Restored, Wanted,
};
use crate::persistence::snapshot::{SnapshotOptions, save};
use crate::persistence::testing::{
    Contents, NEW_ID, NOW_MS, command, contents, keyspace_after, lineage, names, point,
};
use crate::sys::fault::FaultDisk;

const BASE: [&str; 3] = ["SET a 1", "SET b two", "SET e x PXAT 1900000000000"];
/// The log after the base, batch by batch; `|` parts files.
const BATCHES: [&[&str]; 6] = [
    &["SET a 2", "SET c 3"],
    &["SELECT 5", "SET a five"],
    &["|"],
    &["SET d 4", "MULTI", "SET d 5", "SET f 6", "EXEC"],
    &["SELECT 0", "SET g 7"],
    &["SET h 8"],
];
const BASE_OFFSET: u64 = 1_000;

struct Folder {
    disk: FaultDisk,
    /// Offset and contents after each batch, the base first.
    states: Vec<(u64, Contents)>,
    /// Offset and contents after each command that is not inside a transaction.
    boundaries: Vec<(u64, Contents)>,
    /// When each batch was sealed, and its offset.
    sealed: Vec<(u64, u64)>,
}

fn options() -> RecoverOptions {
    RecoverOptions { from: LoadFrom::Either, may_cut: true, settings: Settings::default(), now_ms: NOW_MS }
}

fn clock() -> ManualClock {
    ManualClock::at_ms(NOW_MS as u64)
}

/// A folder as the writer leaves it.
fn folder() -> Folder {
    let disk = FaultDisk::new(1);
    disk.create_dir_all(names().dir()).unwrap();
    let mut generation = Generation::open(Arc::new(disk.clone()), names(), 1).unwrap();
    let start = point(BASE_OFFSET);
    let mut applied = BASE.to_vec();
    let temporary = names().temporary_base("t");
    let base = SnapshotOptions { aof_base: true, ..SnapshotOptions::default() };
    save(&keyspace_after(applied.clone()), || Some(start), &disk, &temporary, &clock(), &base).unwrap();
    let mut incr = generation.create_incr(&start, NOW_MS as u64).unwrap();
    generation.finish(&temporary, &start.history(), incr.seq).unwrap();
    let now = |applied: &[&'static str]| contents(&keyspace_after(applied.to_vec()));
    let mut states = vec![(BASE_OFFSET, now(&applied))];
    let mut boundaries = states.clone();
    let mut sealed = Vec::new();
    let (mut db, mut open) = (0, false);
    for (index, batch) in BATCHES.iter().enumerate() {
        if batch[0] == "|" {
            incr.file.sync_data().unwrap();
            let here = Point { db, ..point(incr.sealer.offset()) };
            incr = generation.create_incr(&here, NOW_MS as u64 + index as u64 * 1000).unwrap();
            generation.name_incrs().unwrap();
            continue;
        }
        let mut bytes = Vec::new();
        for text in *batch {
            let one = command(text);
            incr.sealer.feed(&one);
            bytes.extend_from_slice(&one);
            applied.push(text);
            open = (open || *text == "MULTI") && *text != "EXEC";
            db = text.strip_prefix("SELECT ").map_or(db, |n| n.parse().unwrap());
            if !open {
                boundaries.push((incr.sealer.offset(), now(&applied)));
            }
        }
        let time_ms = NOW_MS as u64 + index as u64 * 1000;
        incr.sealer.seal(time_ms, &mut bytes);
        incr.file.write_all(&bytes).unwrap();
        states.push((incr.sealer.offset(), now(&applied)));
        sealed.push((time_ms, incr.sealer.offset()));
    }
    incr.file.sync_data().unwrap();
    Folder { disk, states, boundaries, sealed }
}

fn load(disk: &FaultDisk) -> Result<(Recovered, Contents), RecoveryError> {
    load_with(disk, &options())
}

fn load_with(disk: &FaultDisk, options: &RecoverOptions) -> Result<(Recovered, Contents), RecoveryError> {
    let keyspace = Keyspace::new(16);
    let snapshot = names().dir().join("dump.rdb");
    let recovered = recover(disk, &names(), &snapshot, &keyspace, options, &mut |_, _| ());
    if recovered.is_err() {
        assert!(keyspace.is_empty(), "nothing may be left of a load that failed");
    }
    recovered.map(|recovered| (recovered, contents(&keyspace)))
}

fn file(name: &str) -> PathBuf {
    names().folder().join(name)
}

const LAST: &str = "appendonly.aof.2.incr.aof";

#[test]
fn a_whole_folder_comes_back_with_its_place_in_history() {
    let folder = folder();
    let (recovered, found) = load(&folder.disk).unwrap();
    let (offset, wanted) = folder.states.last().unwrap();
    assert_eq!(&found, wanted);
    assert_eq!(recovered.point, Some(point(*offset)));
    assert_eq!((recovered.snapshot_keys, recovered.cut), (3, None));
    assert_eq!(recovered.source, LoadedFrom::Folder(names().manifest()));
    let report = verify_directory(&folder.disk, &names()).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.end.unwrap().offset, *offset);
    assert_eq!(report.files.len(), 3);
}

#[test]
fn every_truncation_of_the_last_file_gives_the_last_seal_and_goes_on() {
    let whole = folder();
    let bytes = whole.disk.read_sealed(&file(LAST)).unwrap().to_vec();
    let in_last = &whole.states[2..];
    for cut in 0..bytes.len() {
        let disk = folder().disk;
        disk.put(&file(LAST), &bytes[..cut]);
        let (recovered, found) = load(&disk).unwrap();
        let place = recovered.point.unwrap();
        let state = in_last.iter().find(|(offset, _)| *offset == place.offset);
        assert_eq!(Some(&found), state.map(|(_, wanted)| wanted), "cut at {cut}: {place:?}");
        let lost = recovered.cut.as_ref().map_or(0, |tail| tail.bytes);
        assert!(recovered.cut.is_some() == (lost > 0 || cut == 0), "cut at {cut}");
        let (generation, incr) = recovered.go_on(Arc::new(disk.clone()), names(), 1, &place, 9).unwrap();
        let mut incr = incr.unwrap();
        let mut more = command("SET more 1");
        incr.sealer.feed(&more);
        incr.sealer.seal(10, &mut more);
        incr.file.write_all(&more).unwrap();
        drop((generation, incr));
        let (again, after) = load(&disk).unwrap();
        assert_eq!(again.point.unwrap().offset, place.offset + command("SET more 1").len() as u64);
        assert_eq!(again.cut, None);
        let mut wanted = found;
        wanted.push((place.db, "more".into(), "1".into(), None));
        wanted.sort();
        assert_eq!(after, wanted, "cut at {cut}");
    }
}

#[test]
fn every_flipped_bit_is_refused_or_changes_nothing_and_the_checker_agrees() {
    let whole = folder();
    let (_, wanted) = whole.states.last().unwrap();
    let files = ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof", LAST, "appendonly.aof.manifest"];
    for name in files {
        let len = whole.disk.read_sealed(&file(name)).unwrap().len();
        for at in 0..len {
            let bit = 1 << (at % 8);
            whole.disk.corrupt(&file(name), at, bit);
            let checked = verify_directory(&whole.disk, &names());
            let sound = checked.is_ok_and(|report| report.is_sound());
            match load(&whole.disk) {
                Ok((recovered, found)) => {
                    assert!(recovered.cut.is_none(), "{name} byte {at}: taken for a torn end");
                    assert_eq!((&found, sound), (wanted, true), "{name} byte {at}");
                    assert_eq!(name, "appendonly.aof.manifest", "byte {at}");
                }
                Err(error) => {
                    assert!(!sound, "{name} byte {at}: {error}");
                    assert!(error.to_string().contains("appendonly"), "{error}");
                }
            }
            whole.disk.corrupt(&file(name), at, bit);
        }
    }
    load(&whole.disk).unwrap();
}

#[test]
fn a_torn_file_before_the_last_or_a_missing_one_is_refused() {
    let whole = folder();
    let first = file("appendonly.aof.1.incr.aof");
    let bytes = whole.disk.read_sealed(&first).unwrap().to_vec();
    whole.disk.put(&first, &bytes[..bytes.len() - 1]);
    assert!(matches!(*load(&whole.disk).unwrap_err().kind, RecoveryErrorKind::Torn(_)));
    // Cut at a seal it is sound by itself, and still there is a gap.
    let sealed = LogVerifier::new().check(&bytes[..bytes.len() - 1]).extent().len;
    whole.disk.put(&first, &bytes[..sealed]);
    assert!(matches!(*load(&whole.disk).unwrap_err().kind, RecoveryErrorKind::Gap { .. }));
    whole.disk.remove_file(&first).unwrap();
    let error = load(&whole.disk).unwrap_err();
    assert!(matches!(*error.kind, RecoveryErrorKind::MissingFile));
    assert!(error.to_string().contains("aof-check"), "{error}");
}

#[test]
fn a_torn_end_is_kept_where_cutting_is_not_allowed() {
    let whole = folder();
    let bytes = whole.disk.read_sealed(&file(LAST)).unwrap().to_vec();
    whole.disk.put(&file(LAST), &bytes[..bytes.len() - 2]);
    let strict = RecoverOptions { may_cut: false, ..options() };
    let error = load_with(&whole.disk, &strict).unwrap_err();
    assert!(matches!(*error.kind, RecoveryErrorKind::Torn(_)) && error.offset.is_some(), "{error}");
}

#[test]
fn another_base_than_the_manifest_names_is_refused() {
    let whole = folder();
    let other = names().dir().join("other");
    let keyspace = keyspace_after(["SET z 1"]);
    let base = SnapshotOptions::default();
    save(&keyspace, || Some(point(77)), &whole.disk, &other, &clock(), &base).unwrap();
    let bytes = whole.disk.read_sealed(&other).unwrap().to_vec();
    whole.disk.put(&file("appendonly.aof.1.base.rdb"), &bytes);
    assert!(matches!(*load(&whole.disk).unwrap_err().kind, RecoveryErrorKind::OtherSnapshot));
}

/// A folder as a stock server writes it: no seals, no offsets.
fn stock(log: &[u8]) -> FaultDisk {
    let disk = FaultDisk::new(1);
    let entry = FileEntry::new("appendonly.aof.1.incr.aof", 1, FileKind::Incr);
    let manifest = Manifest { incr: vec![entry], ..Manifest::default() };
    disk.put(&file("appendonly.aof.manifest"), &manifest.print().unwrap());
    disk.put(&file("appendonly.aof.1.incr.aof"), log);
    disk
}

#[test]
fn stock_folders_load_and_are_gone_on_with() {
    let log = [command("SELECT 0"), command("SET a 1"), command("SET b 2")].concat();
    let torn_at = log.len() - command("SET b 2").len();
    for cut in [log.len(), log.len() - 3] {
        let disk = stock(&log[..cut]);
        let (recovered, found) = load(&disk).unwrap();
        assert_eq!(recovered.point, None);
        assert_eq!(found.len(), if cut == log.len() { 2 } else { 1 });
        assert_eq!(recovered.cut.as_ref().map(|tail| tail.at), (cut < log.len()).then_some(torn_at as u64));
        let strict = RecoverOptions { may_cut: false, ..options() };
        assert_eq!(load_with(&disk, &strict).is_err(), cut < log.len());
        let here = point(0);
        let (_, incr) = recovered.go_on(Arc::new(disk.clone()), names(), 1, &here, 1).unwrap();
        let mut incr = incr.unwrap();
        let mut more = command("SET more 1");
        incr.sealer.feed(&more);
        incr.sealer.seal(10, &mut more);
        incr.file.write_all(&more).unwrap();
        let (again, after) = load(&disk).unwrap();
        assert_eq!(after.len(), found.len() + 1);
        assert_eq!(again.point.unwrap(), point(command("SET more 1").len() as u64));
    }
}

#[test]
fn a_command_that_does_not_work_stops_the_start() {
    let disk = stock(&[command("SET a 1"), command("NOSUCH b")].concat());
    let error = load(&disk).unwrap_err();
    assert!(matches!(*error.kind, RecoveryErrorKind::Command(ApplyError::Unknown(_))));
    assert_eq!(error.offset, Some(command("SET a 1").len() as u64));
}

#[test]
fn a_snapshot_file_and_a_single_log_load_too() {
    let disk = FaultDisk::new(1);
    disk.create_dir_all(names().dir()).unwrap();
    let nothing = load(&disk).unwrap();
    assert_eq!((nothing.0.source, nothing.1.len()), (LoadedFrom::Nothing, 0));
    let keyspace = keyspace_after(BASE);
    let dump = names().dir().join("dump.rdb");
    let place = Point { db: 3, ..point(4_321) };
    assert_eq!(end_of_folder(&disk, &names(), true).unwrap(), None);
    let functions = vec![b"#!lua name=x".to_vec()];
    let base =
        SnapshotOptions { functions, epoch: Epoch { number: 5, since: 99 }, ..SnapshotOptions::default() };
    save(&keyspace, || Some(place), &disk, &dump, &clock(), &base).unwrap();
    let (recovered, found) = load(&disk).unwrap();
    assert_eq!((recovered.point, found), (Some(place), contents(&keyspace)));
    assert_eq!(recovered.functions, [b"#!lua name=x".to_vec()]);
    assert_eq!(recovered.epoch, base.epoch);
    assert_eq!(recovered.snapshot_ctime_s, Some(NOW_MS as u64 / 1000));
    // A log in one file, behind a snapshot, goes before the snapshot file.
    let bytes = disk.read_sealed(&dump).unwrap();
    let single = [&bytes[..], &command("SET z 1")[..], b"*3\r\n$3"].concat();
    disk.put(&names().dir().join("appendonly.aof"), &single);
    let (recovered, found) = load(&disk).unwrap();
    assert!(matches!(recovered.source, LoadedFrom::SingleFile(_)));
    assert_eq!((recovered.point, found.len()), (None, 4));
    assert_eq!(recovered.cut.unwrap().bytes, 6);
    let only = RecoverOptions { from: LoadFrom::Snapshot, ..options() };
    assert_eq!(load_with(&disk, &only).unwrap().1.len(), 3);
}

#[test]
fn a_received_snapshot_is_staged_kept_and_swapped_in() {
    let disk = FaultDisk::new(1);
    disk.create_dir_all(names().dir()).unwrap();
    let source = keyspace_after(BASE);
    let dump = names().dir().join("dump.rdb");
    save(&source, || Some(point(7)), &disk, &dump, &clock(), &SnapshotOptions::default()).unwrap();
    let bytes = disk.read_sealed(&dump).unwrap().to_vec();
    let how = Inserting::new(&Settings::default(), NOW_MS);
    let tee = names().dir().join("tee");
    for step in [1, 7, bytes.len()] {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut staging = Staging::new(16, how.clone(), Some((shared, &tee)));
        bytes.chunks(step).for_each(|piece| staging.feed(piece).unwrap());
        let staged = staging.finish().unwrap();
        assert_eq!(staged.facts.point, Some(point(7)));
        assert_eq!(staged.facts.bytes, bytes.len() as u64);
        assert_eq!(staged.base.unwrap().unwrap(), tee);
        assert_eq!(disk.read_sealed(&tee).unwrap()[..], bytes[..]);
        disk.remove_file(&tee).unwrap();
        let serving = keyspace_after(["SET old 1"]);
        drop(swap_in(staged.keyspace, &serving));
        assert_eq!(contents(&serving), contents(&source));
    }
    // Half a snapshot is none, and its file does not stay.
    let mut staging = Staging::new(16, how.clone(), Some((Arc::new(disk.clone()), &tee)));
    staging.feed(&bytes[..bytes.len() - 1]).unwrap();
    assert!(staging.finish().is_err());
    assert!(disk.file_len(&tee).unwrap().is_none());
    // A full disk costs the file, not the sync.
    let mut staging = Staging::new(16, how, Some((Arc::new(disk.clone()), &tee)));
    disk.plan(|plan| plan.full_after_bytes = Some(10));
    staging.feed(&bytes).unwrap();
    let staged = staging.finish().unwrap();
    assert!(staged.base.unwrap().unwrap_err().is_full());
    assert_eq!(contents(&staged.keyspace), contents(&source));
}

fn into() -> Names {
    Names::new("/data", "restored", "appendonly.aof").unwrap()
}

fn restore(disk: &FaultDisk, to: RestoreTo) -> Result<(Point, Contents), OfflineError> {
    restore_wanted(disk, &to.into()).map(|(restored, contents)| (restored.point, contents))
}

fn restore_wanted(disk: &FaultDisk, wanted: &Wanted) -> Result<(Restored, Contents), OfflineError> {
    let (options, snapshot, clock) = (options(), SnapshotOptions::default(), clock());
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let tool = Offline {
        disk: disk.clone(),
        clock: &clock,
        options: &options,
        snapshot: &snapshot,
        databases: 16,
        progress: &|_, _| (),
    };
    let restored = tool.restore(&Origin::Folder(names()), &into(), wanted)?;
    let keyspace = Keyspace::new(16);
    let nowhere = Path::new("/data/none");
    recover(&*disk, &into(), nowhere, &keyspace, &options, &mut |_, _| ()).unwrap();
    assert_eq!(Fingerprint::of(&keyspace), restored.fingerprint);
    for entry in disk.list_dir(&into().folder()).unwrap() {
        disk.remove_file(&into().folder().join(entry.name)).unwrap();
    }
    disk.remove_dir(&into().folder()).unwrap();
    Ok((restored, contents(&keyspace)))
}

#[test]
fn every_offset_can_be_restored_to() {
    let folder = folder();
    let before: Vec<_> = folder.disk.list_dir(&names().folder()).unwrap();
    let end = folder.states.last().unwrap().0;
    for wanted in BASE_OFFSET..=end {
        let (place, found) = restore(&folder.disk, RestoreTo::Offset(wanted)).unwrap();
        let (offset, state) = folder.boundaries.iter().rfind(|(offset, _)| *offset <= wanted).unwrap();
        assert_eq!((place.offset, &found), (*offset, state), "to {wanted}");
    }
    assert!(matches!(
        restore(&folder.disk, RestoreTo::Offset(BASE_OFFSET - 1)),
        Err(OfflineError::TooEarly { .. })
    ));
    assert!(matches!(restore(&folder.disk, RestoreTo::Offset(end + 1)), Err(OfflineError::TooLate { .. })));
    assert_eq!(folder.disk.list_dir(&names().folder()).unwrap(), before);
}

#[test]
fn damage_behind_the_target_does_not_matter() {
    let folder = folder();
    let (offset, state) = &folder.states[3];
    let len = folder.disk.read_sealed(&file(LAST)).unwrap().len();
    folder.disk.corrupt(&file(LAST), len - 200, 1);
    assert!(load(&folder.disk).is_err());
    let (place, found) = restore(&folder.disk, RestoreTo::Offset(*offset)).unwrap();
    assert_eq!((place.offset, &found), (*offset, state));
    // Behind the damage lies nothing that can be told from nothing at all.
    let end = folder.states.last().unwrap().0;
    let late = folder.sealed.last().unwrap().0;
    for to in [RestoreTo::Offset(end), RestoreTo::TimeMs(late), RestoreTo::TimeMs(u64::MAX), RestoreTo::End] {
        let refused = restore(&folder.disk, to);
        assert!(matches!(refused, Err(OfflineError::Source(_))), "{to:?}: {refused:?}");
    }
}

#[test]
fn times_are_restored_to_by_seals_and_timestamps() {
    let folder = folder();
    for (time_ms, offset) in &folder.sealed {
        for wanted in [*time_ms, time_ms + 999] {
            let (place, found) = restore(&folder.disk, RestoreTo::TimeMs(wanted)).unwrap();
            let state = folder.states.iter().find(|(o, _)| o == offset).unwrap();
            assert_eq!((place.offset, &found), (*offset, &state.1), "to {wanted}");
        }
    }
    let early = restore(&folder.disk, RestoreTo::TimeMs(NOW_MS as u64 - 60_000));
    assert!(matches!(early, Err(OfflineError::TooEarly { .. })));
    let log = [b"#TS:100\r\n".to_vec(), command("SET a 1"), b"#TS:200\r\n".to_vec(), command("SET b 2")];
    let disk = stock(&log.concat());
    assert_eq!(restore(&disk, RestoreTo::TimeMs(199_999)).unwrap().1.len(), 1);
    assert_eq!(restore(&disk, RestoreTo::TimeMs(200_000)).unwrap().1.len(), 2);
    assert_eq!(restore(&disk, RestoreTo::End).unwrap().1.len(), 2);
    assert!(matches!(restore(&disk, RestoreTo::Offset(5)), Err(OfflineError::NoOffsets)));
}

#[test]
fn a_torn_end_is_no_damage_to_a_restore() {
    let folder = folder();
    let bytes = folder.disk.read_sealed(&file(LAST)).unwrap().to_vec();
    folder.disk.put(&file(LAST), &bytes[..bytes.len() - 2]);
    let (offset, state) = &folder.states[folder.states.len() - 2];
    for to in [RestoreTo::End, RestoreTo::TimeMs(u64::MAX), RestoreTo::Offset(*offset)] {
        let (place, found) = restore(&folder.disk, to).unwrap();
        assert_eq!((place.offset, &found), (*offset, state), "{to:?}");
    }
    assert!(matches!(
        restore(&folder.disk, RestoreTo::Offset(offset + 1)),
        Err(OfflineError::TooLate { .. })
    ));
}

#[test]
fn a_rewrite_goes_to_a_new_place_only() {
    let folder = folder();
    folder.disk.create_dir_all(&into().folder()).unwrap();
    assert!(matches!(restore(&folder.disk, RestoreTo::End), Err(OfflineError::TargetExists(_))));
    folder.disk.remove_dir(&into().folder()).unwrap();
    let (place, found) = restore(&folder.disk, RestoreTo::End).unwrap();
    let (offset, state) = folder.states.last().unwrap();
    assert_eq!((place.offset, &found), (*offset, state));
}

#[test]
fn a_changed_lineage_is_where_the_history_ends() {
    let folder = folder();
    let (recovered, _) = load(&folder.disk).unwrap();
    let place = recovered.point.unwrap();
    let (_, incr) = recovered.go_on(Arc::new(folder.disk.clone()), names(), 1, &place, 1).unwrap();
    let (mut incr, mut line) = (incr.unwrap(), Vec::new());
    incr.sealer.change_lineage(lineage(NEW_ID), 2, &mut line);
    incr.file.write_all(&line).unwrap();
    let (recovered, _) = load(&folder.disk).unwrap();
    assert_eq!(recovered.point, Some(Point { lineage: lineage(NEW_ID), ..place }));
    assert_eq!(recovered.previous, Some(place.history()));
    let end = end_of_folder(&folder.disk, &names(), true).unwrap();
    assert_eq!(end, Some((recovered.point.unwrap().history(), Epoch::UNKNOWN)));
}

#[test]
fn the_epoch_is_read_back_and_goes_on_in_new_files() {
    let epoch = Epoch { number: 7, since: 3 };
    let folder = folder();
    let (recovered, _) = load(&folder.disk).unwrap();
    assert_eq!(recovered.epoch, Epoch::UNKNOWN);
    let place = recovered.point.unwrap();
    let (_, incr) = recovered.go_on(Arc::new(folder.disk.clone()), names(), 1, &place, 1).unwrap();
    let (mut incr, mut line) = (incr.unwrap(), Vec::new());
    incr.sealer.set_epoch(epoch);
    incr.sealer.seal(2, &mut line);
    // A torn end, so that it goes on in a new file.
    line.extend_from_slice(b"*1\r\n$4\r\nPI");
    incr.file.write_all(&line).unwrap();
    let (recovered, _) = load(&folder.disk).unwrap();
    assert_eq!(recovered.epoch, epoch);
    // Who only looks where the folder ends finds the same, if the torn end may be cut.
    assert_eq!(end_of_folder(&folder.disk, &names(), true).unwrap(), Some((place.history(), epoch)));
    assert!(end_of_folder(&folder.disk, &names(), false).is_err());
    let (_, incr) = recovered.go_on(Arc::new(folder.disk.clone()), names(), 1, &place, 3).unwrap();
    drop(incr);
    let (again, _) = load(&folder.disk).unwrap();
    assert_eq!((again.epoch, again.point), (epoch, Some(place)));
}

#[test]
fn a_new_lineage_after_a_cut_leaves_no_gap_and_temporaries_are_swept() {
    let whole = folder();
    let bytes = whole.disk.read_sealed(&file(LAST)).unwrap().to_vec();
    whole.disk.put(&file(LAST), &bytes[..bytes.len() - 2]);
    let stray = names().temporary_base("dead");
    whole.disk.put(&stray, b"half a base");
    let (recovered, found) = load(&whole.disk).unwrap();
    let place = recovered.point.unwrap();
    // As a primary does that starts again: the same history under a new name, nothing selected.
    let renamed = Point { lineage: lineage(NEW_ID), db: 0, ..place };
    let (_, incr) = recovered.go_on(Arc::new(whole.disk.clone()), names(), 1, &renamed, 1).unwrap();
    assert!(whole.disk.file_len(&stray).unwrap().is_none());
    let (mut incr, mut line) = (incr.unwrap(), Vec::new());
    incr.sealer.change_lineage(lineage(NEW_ID), 2, &mut line);
    incr.file.write_all(&line).unwrap();
    let (again, after) = load(&whole.disk).unwrap();
    assert_eq!((again.point.map(|point| point.history()), after), (Some(renamed.history()), found));
}

/// A snapshot of two entries of these keys in this database, with a checksum or (`0`) without.
fn snapshot_of(db: u8, keys: [&[u8; 1]; 2], checksum: bool) -> Vec<u8> {
    let mut bytes = b"REDIS0010\xfe".to_vec();
    bytes.push(db);
    keys.iter().for_each(|key| bytes.extend([0, 1, key[0], 1, b'v']));
    bytes.push(0xff);
    let crc = if checksum { crate::base::crc::crc64(0, &bytes) } else { 0 };
    bytes.extend(crc.to_le_bytes());
    bytes
}

#[test]
fn checker_and_loader_agree_on_what_only_one_of_them_meets() {
    let judge = |bytes: &[u8]| {
        let disk = FaultDisk::new(1);
        let manifest =
            Manifest { base: Some(FileEntry::new("base", 1, FileKind::Base)), ..Manifest::default() };
        disk.put(&names().folder().join("base"), bytes);
        disk.put(&names().manifest(), &manifest.print().unwrap());
        let report = verify_directory(&disk, &names()).unwrap();
        let checked = report.problems.first().map(ToString::to_string);
        (load(&disk).err().map(|error| error.to_string()), checked)
    };
    for checksum in [true, false] {
        let (loaded, checked) = judge(&snapshot_of(0, [b"a", b"b"], checksum));
        assert_eq!((loaded, checked), (None, None));
        // The writer's fault: both find the key.
        let (loaded, checked) = judge(&snapshot_of(0, [b"a", b"a"], checksum));
        assert!(loaded.as_ref().is_some_and(|text| text.contains("occurs twice")), "{loaded:?}");
        assert_eq!(loaded, checked);
    }
    // A changed byte that makes one key another, or a database one that there is not: both blame the checksum.
    for at in [9 + 1, 9 + 2 + 5 + 2] {
        let mut bytes = snapshot_of(0, [b"a", b"c"], true);
        bytes[at] = if at == 10 { 40 } else { b'a' };
        let (loaded, checked) = judge(&bytes);
        assert!(loaded.as_ref().is_some_and(|text| text.contains("checksum")), "{loaded:?}");
        assert_eq!(loaded, checked);
    }
}

fn before(pattern: &str, occurrence: Occurrence) -> Wanted {
    let before = Before { pattern: pattern.parse().expect("a pattern"), occurrence };
    Wanted { before: Some(before), ..RestoreTo::End.into() }
}

#[test]
fn the_state_before_a_command_is_that_of_the_boundary_before() {
    let folder = folder();
    let last = Occurrence::FromLast(1);
    // By the number of commands (transactions whole) that are applied then.
    for (pattern, occurrence, boundary) in [
        ("SET h", last, 8),
        ("set ?", last, 8),
        ("SET ? [35]", last, 5),
        ("SET f", last, 5),
        ("SET a", last, 3),
        ("SET a", Occurrence::First, 0),
        ("SET a", Occurrence::FromLast(2), 0),
        ("SET d 5", last, 5),
        ("SET d", Occurrence::FromLast(2), 4),
    ] {
        let (restored, found) = restore_wanted(&folder.disk, &before(pattern, occurrence)).unwrap();
        let (offset, wanted) = &folder.boundaries[boundary];
        assert_eq!((restored.point.offset, &found), (*offset, wanted), "{pattern} {occurrence:?}");
        assert!(!restored.is_new_lineage && restored.left_out.is_none());
        let told = restored.before.expect("the command it stopped before");
        assert_eq!(told.found.offset, Some(*offset), "{pattern}: {told:?}");
        assert_eq!(
            told.found.in_transaction,
            ["SET f", "SET ? [35]", "SET d 5"].contains(&pattern),
            "{told:?}"
        );
        assert!(told.found.time_ms >= Some(NOW_MS as u64), "{told:?}");
    }
    // Only what stands before an offset counts.
    let to = Wanted { to: RestoreTo::Offset(folder.boundaries[5].0), ..before("SET ?", last) };
    let (restored, _) = restore_wanted(&folder.disk, &to).unwrap();
    assert_eq!(restored.before.map(|told| told.found.command), Some("SET d 4".to_owned()));
    let to = Wanted { to: RestoreTo::TimeMs(folder.sealed[1].0), ..before("SET ?", last) };
    let (restored, _) = restore_wanted(&folder.disk, &to).unwrap();
    assert_eq!(
        restored.before.map(|told| (told.found.db, told.found.command)),
        Some((5, "SET a five".to_owned()))
    );
    // Only the database that is wanted counts.
    let part = Part { db: Some(5), keys: None };
    let (restored, _) = restore_wanted(&folder.disk, &Wanted { part, ..before("SET ?", last) }).unwrap();
    assert_eq!(restored.before.map(|told| told.found.command), Some("SET f 6".to_owned()));
}

#[test]
fn what_matches_nothing_is_told_with_what_there_is() {
    let folder = folder();
    let last = Occurrence::FromLast(1);
    let error = restore_wanted(&folder.disk, &before("FLUSHALL", last)).unwrap_err();
    assert!(error.to_string().contains("The log holds no command that destroys data"), "{error}");
    let error = restore_wanted(&folder.disk, &before("SET a", Occurrence::FromLast(3))).unwrap_err();
    assert!(matches!(error, OfflineError::NotSoMany { matches: 2, .. }), "{error}");
    let part = Part { db: Some(5), keys: Some("g*".to_owned()) };
    let error = restore_wanted(&folder.disk, &Wanted { part, ..RestoreTo::End.into() }).unwrap_err();
    assert!(error.to_string().ends_with("there are other keys: 6 in database 0, 3 in database 5"), "{error}");
    assert!(folder.disk.list_dir(&into().folder()).is_err(), "nothing may be written");
}

#[test]
fn a_part_is_a_history_of_its_own() {
    let folder = folder();
    let (_, all) = folder.states.last().unwrap();
    for (keys, db) in [(Some("a"), None), (Some("[a-d]"), None), (None, Some(5)), (Some("*"), Some(0))] {
        let part = Part { keys: keys.map(str::to_owned), db };
        let wanted = Wanted { part, ..RestoreTo::End.into() };
        let (restored, found) = restore_wanted(&folder.disk, &wanted).unwrap();
        let matches = |key: &[u8]| crate::base::glob::glob_admits(keys.unwrap_or("*").as_bytes(), key);
        let kept: Contents = all
            .iter()
            .filter(|entry| db.is_none_or(|db| db == entry.0) && matches(entry.1.as_bytes()))
            .cloned()
            .collect();
        assert!(!kept.is_empty() && kept.len() < all.len());
        assert_eq!(found, kept, "{keys:?} {db:?}");
        assert_eq!(restored.left_out, Some((all.len() - kept.len()) as u64));
        assert!(
            restored.is_new_lineage && restored.point.lineage != lineage(crate::persistence::testing::ID)
        );
        assert_eq!(restored.point.offset, 0);
    }
}

#[test]
fn behind_damage_the_last_command_is_not_known() {
    let folder = folder();
    let path = file(LAST);
    let len = folder.disk.read_sealed(&path).unwrap().len();
    let at =
        folder.disk.read_sealed(&path).unwrap()[..].windows(5).position(|w| w == b"\r\ng\r\n").unwrap() + 2;
    assert!(at < len && folder.disk.corrupt(&path, at, 1));
    let error = restore_wanted(&folder.disk, &before("SET d", Occurrence::FromLast(1))).unwrap_err();
    let OfflineError::Unsure { last: Some(last), .. } = &error else { panic!("{error}") };
    let offset = folder.boundaries[5].0;
    assert_eq!(last.offset, Some(offset));
    assert!(error.to_string().contains(&format!("`--to-offset {offset}`")), "{error}");
    // The first is known, and so is what is told to be looked for up to a place.
    assert!(restore_wanted(&folder.disk, &before("SET d", Occurrence::First)).is_ok());
    let upto =
        Wanted { to: RestoreTo::Offset(folder.boundaries[6].0), ..before("SET d", Occurrence::FromLast(1)) };
    assert_eq!(restore_wanted(&folder.disk, &upto).unwrap().0.point.offset, offset);
}

#[test]
fn a_full_disk_leaves_nothing_of_a_new_folder() {
    let folder = folder();
    for writes in 0..40 {
        let disk = folder.disk.clone();
        disk.plan(|plan| plan.full_after_bytes = Some(writes * 20));
        let outcome = restore_wanted(&disk, &RestoreTo::End.into());
        disk.heal();
        match outcome {
            Ok(_) => {
                assert!(writes > 5, "the disk was never full");
                return;
            }
            Err(error) => {
                assert!(matches!(error, OfflineError::Full(_)), "{error:?}");
                assert!(disk.list_dir(&into().folder()).is_err(), "something is left after {writes}");
            }
        }
    }
    panic!("there was room at last, and it was still said to be full");
}
