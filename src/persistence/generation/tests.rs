use std::sync::Arc;

use super::*;
use crate::format::aof::verify::{LogVerifier, Verdict};
use crate::persistence::testing::{ID, command, lineage, names, point, put_base, read_chain, read_files};
use crate::sys::fault::{CrashTail, FaultDisk, FaultPlan};

fn open(disk: &FaultDisk, keep: usize) -> Result<Generation, GenerationError> {
    Generation::open(Arc::new(disk.clone()), names(), keep)
}

/// Appends one command, seals and fsyncs. Returns the offset that is durable then.
fn write(incr: &mut IncrFile, text: &str) -> Result<u64, GenerationError> {
    let mut bytes = command(text);
    incr.sealer.feed(&bytes);
    incr.sealer.seal(7, &mut bytes);
    incr.file.write_all(&bytes)?;
    incr.file.sync_data()?;
    Ok(incr.sealer.offset())
}

fn try_base(disk: &FaultDisk, offset: u64) -> Result<PathBuf, GenerationError> {
    let path = names().temporary_base(&offset.to_string());
    disk.write_whole(&path, &mut |out| out.write_all(format!("base at {offset}").as_bytes()))?;
    Ok(path)
}

fn here(incr: &IncrFile) -> Point {
    point(incr.sealer.offset())
}

fn live(disk: &FaultDisk, durable: &mut Option<u64>) -> Result<(), GenerationError> {
    live_on(disk, durable, false)
}

/// A life: the first generation, writes, a rotation, writes, a rewrite, writes. `durable` is what was reported.
fn live_on(disk: &FaultDisk, durable: &mut Option<u64>, may_fail: bool) -> Result<(), GenerationError> {
    disk.create_dir_all(names().dir())?;
    let mut generation = open(disk, 1)?;
    let mut incr = generation.create_incr(&point(100), 1)?;
    let base = try_base(disk, 100)?;
    generation.finish(&base, &point(100).history(), incr.seq)?;
    *durable = Some(100);
    for round in 0..2 {
        *durable = Some(write(&mut incr, &format!("SET before {round}"))?);
        let split = here(&incr);
        incr = generation.create_incr(&split, 2)?;
        generation.name_incrs()?;
        *durable = Some(write(&mut incr, &format!("SET during {round}"))?);
        let base = try_base(disk, split.offset)?;
        let kept = generation.finish(&base, &split.history(), incr.seq)?;
        assert!(may_fail || matches!(kept, Kept::In(_)), "{kept:?}");
        *durable = Some(write(&mut incr, &format!("SET after {round}"))?);
    }
    Ok(())
}

#[test]
fn a_life_leaves_its_generation_and_the_one_before() {
    let disk = FaultDisk::new(1);
    let mut durable = None;
    live(&disk, &mut durable).unwrap();
    let chain = read_chain(&disk, &names()).unwrap();
    assert_eq!(chain.commands, ["SET during 1", "SET after 1"]);
    assert_eq!(Some(chain.end.offset), durable);
    let listed = |path: PathBuf| -> Vec<String> {
        disk.list_dir(&path).unwrap().iter().map(|f| f.name.to_string_lossy().into_owned()).collect()
    };
    assert_eq!(
        listed(names().folder()),
        ["appendonly.aof.3.base.rdb", "appendonly.aof.3.incr.aof", "appendonly.aof.manifest"]
    );
    assert_eq!(listed(PathBuf::from("/data")), ["appendonlydir", "appendonlydir.previous-2"]);
    // The one before is whole, up to where the new one begins.
    let folder = names().previous_folder(2);
    let manifest = disk.read_sealed(&folder.join("appendonly.aof.manifest")).unwrap();
    let earlier = read_files(&disk, &folder, &Manifest::parse(&manifest).unwrap());
    assert_eq!(earlier.commands, ["SET during 0", "SET after 0", "SET before 1"]);
    assert_eq!(earlier.end.offset, chain.base_offset);
}

#[test]
fn a_crash_at_any_step_loses_nothing_that_was_durable() {
    let dry = FaultDisk::new(1);
    live(&dry, &mut None).unwrap();
    for crash_tail in [CrashTail::Lost, CrashTail::Torn, CrashTail::Zeroed] {
        for step in 1..=dry.steps() {
            let plan = FaultPlan {
                crash_at_step: Some(step),
                crash_tail,
                unsynced_names_may_survive: step % 2 == 0,
                ..FaultPlan::default()
            };
            let disk = FaultDisk::with_plan(step, plan);
            let mut durable = None;
            assert!(live(&disk, &mut durable).is_err(), "step {step}");
            disk.restart();
            let chain = disk.list_dir(names().dir()).ok().and_then(|_| read_chain(&disk, &names()));
            let end = chain.as_ref().map(|chain| chain.end.offset);
            assert!(end >= durable, "step {step} {crash_tail:?}: {durable:?} was durable, found {chain:?}");
            // And life goes on from there, with numbers that were never used.
            let Some(end) = end else { continue };
            let mut generation = open(&disk, 1).unwrap();
            let mut incr = generation.create_incr(&point(end), 3).unwrap();
            let base = put_base(&disk, &names(), end);
            generation.finish(&base, &point(end).history(), incr.seq).unwrap();
            write(&mut incr, "SET new 1").unwrap();
            assert_eq!(read_chain(&disk, &names()).unwrap().commands, ["SET new 1"]);
        }
    }
}

#[test]
fn a_failing_fsync_at_any_step_loses_nothing_that_was_durable() {
    let dry = FaultDisk::new(1);
    live(&dry, &mut None).unwrap();
    for sync in 1..=dry.syncs() {
        let disk = FaultDisk::new(sync);
        disk.plan(|plan| plan.failing_syncs = vec![sync]);
        let mut durable = None;
        let _ = live_on(&disk, &mut durable, true);
        disk.restart();
        let chain = disk.list_dir(names().dir()).ok().and_then(|_| read_chain(&disk, &names()));
        assert!(chain.as_ref().map(|chain| chain.end.offset) >= durable, "fsync {sync}: {chain:?}");
    }
}

/// A folder whose last file is torn.
fn torn_folder() -> (FaultDisk, u64) {
    let disk = FaultDisk::new(1);
    let mut durable = None;
    live(&disk, &mut durable).unwrap();
    let path = names().folder().join("appendonly.aof.3.incr.aof");
    let mut bytes = disk.read_sealed(&path).unwrap().to_vec();
    bytes.extend_from_slice(b"*3\r\n$3\r\nSE");
    disk.put(&path, &bytes);
    (disk, durable.unwrap())
}

fn repair(disk: &FaultDisk) -> Result<IncrFile, GenerationError> {
    let mut generation = open(disk, 1)?;
    let last = generation.manifest().unwrap().incr.last().unwrap().clone();
    let bytes = disk.read_sealed(&names().path(&last.name))?;
    let extent = match LogVerifier::new().check(&bytes) {
        Verdict::TornTail { sealed, .. } => sealed,
        Verdict::Sound(extent) => return generation.reopen_last(extent.sealer().unwrap()),
        other => panic!("{other:?}"),
    };
    let end = Point { lineage: lineage(ID), offset: extent.history.unwrap().offset, db: 0 };
    generation.continue_after_cut(&Cut { good: &bytes[..extent.len] }, &end, 9)
}

#[test]
fn a_crash_at_any_step_of_a_repair_leaves_what_was_good() {
    let (dry, durable) = torn_folder();
    let before = dry.steps();
    let mut incr = repair(&dry).unwrap();
    write(&mut incr, "SET more 1").unwrap();
    let chain = read_chain(&dry, &names()).unwrap();
    assert_eq!(chain.commands, ["SET during 1", "SET after 1", "SET more 1"]);
    assert!(!chain.torn);
    assert!(dry.file_len(Path::new("/data/appendonlydir/appendonly.aof.3.incr.aof.torn")).unwrap().is_some());
    for step in before + 1..=dry.steps() {
        let (disk, _) = torn_folder();
        disk.plan(|plan| plan.crash_at_step = Some(step));
        let crashed = repair(&disk).and_then(|mut incr| write(&mut incr, "SET more 1"));
        assert!(crashed.is_err(), "step {step}");
        disk.restart();
        let chain = read_chain(&disk, &names()).unwrap();
        assert!(chain.end.offset >= durable, "step {step}: {chain:?}");
        let mut incr = repair(&disk).unwrap();
        write(&mut incr, "SET again 1").unwrap();
        let commands = read_chain(&disk, &names()).unwrap().commands;
        assert_eq!(commands.last().unwrap(), "SET again 1", "step {step}");
        assert!(commands.starts_with(&["SET during 1".into(), "SET after 1".into()]));
    }
}

#[test]
fn a_file_cut_to_nothing_is_left_out() {
    let disk = FaultDisk::new(1);
    live(&disk, &mut None).unwrap();
    let mut generation = open(&disk, 1).unwrap();
    let mut incr = generation.reopen_last(sealer_of_last(&disk)).unwrap();
    let end = write(&mut incr, "SET x 1").unwrap();
    let empty = generation.create_incr(&point(end), 1).unwrap();
    generation.name_incrs().unwrap();
    disk.put(empty.file.path(), b"#OUTRIGGER-LOG v1 t=");
    let mut incr = open(&disk, 1).unwrap().continue_after_cut(&Cut { good: b"" }, &point(end), 9).unwrap();
    write(&mut incr, "SET y 1").unwrap();
    let chain = read_chain(&disk, &names()).unwrap();
    assert_eq!(chain.commands, ["SET during 1", "SET after 1", "SET x 1", "SET y 1"]);
}

fn sealer_of_last(disk: &FaultDisk) -> Sealer {
    let last = open(disk, 1).unwrap().manifest().unwrap().incr.last().unwrap().clone();
    let bytes = disk.read_sealed(&names().path(&last.name)).unwrap();
    LogVerifier::new().check(&bytes).extent().sealer().unwrap()
}

#[test]
fn a_file_of_another_length_is_not_gone_on_with() {
    let disk = FaultDisk::new(1);
    live(&disk, &mut None).unwrap();
    let sealer = sealer_of_last(&disk);
    let path = names().folder().join("appendonly.aof.3.incr.aof");
    let longer = [&disk.read_sealed(&path).unwrap()[..], b"x"].concat();
    disk.put(&path, &longer);
    let refused = open(&disk, 1).unwrap().reopen_last(sealer);
    assert!(matches!(refused.map(|_| ()), Err(GenerationError::Length { .. })));
}

#[test]
fn a_base_that_no_file_follows_is_refused() {
    let disk = FaultDisk::new(1);
    live(&disk, &mut None).unwrap();
    let before = read_chain(&disk, &names());
    let mut generation = open(&disk, 1).unwrap();
    let incr = generation.create_incr(&point(5_000), 1).unwrap();
    let base = put_base(&disk, &names(), 4_999);
    let refused = generation.finish(&base, &point(4_999).history(), incr.seq);
    assert!(matches!(refused, Err(GenerationError::NoFollower(_))));
    assert_eq!(read_chain(&disk, &names()), before);
}

#[test]
fn the_policy_says_how_many_are_kept() {
    for keep in 0..3 {
        let disk = FaultDisk::new(1);
        disk.create_dir_all(names().dir()).unwrap();
        let mut generation = open(&disk, keep).unwrap();
        for offset in [100, 200, 300, 400, 500] {
            let incr = generation.create_incr(&point(offset), 1).unwrap();
            let base = put_base(&disk, &names(), offset);
            generation.finish(&base, &point(offset).history(), incr.seq).unwrap();
        }
        let folders = disk.list_dir(names().dir()).unwrap().len() - 1;
        assert_eq!(folders, keep);
        assert_eq!(disk.list_dir(&names().folder()).unwrap().len(), 3);
    }
}
