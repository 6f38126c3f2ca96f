//! The log, cut anywhere: the load ends at the last seal that is whole, and says what it cut.

use super::{Memory, Written, sample};
use crate::support::rng::{Pick, Seeded};
use outrigger::base::random::Rng;
use std::collections::BTreeSet;

/// The end of the log in which every byte is a place to cut at.
const CUT_BYTES: usize = 64 << 10;

/// Cuts for which one disk of memory serves.
const CUTS_A_DISK: usize = 64;

/// Cuts the log to `len` bytes and judges what comes of it; true if something had to be left out.
fn cut(written: &Written, memory: &Memory, log: &[u8], len: usize) -> bool {
    memory.put(&written.log, &log[..len]);
    let sealed = written.sealed_before(len);
    let (good, digest) = sealed.map_or((0, &written.base_digest), |sealed| (sealed.len, &sealed.digest));
    let offset = sealed.map_or(written.seals[0].offset, |sealed| sealed.offset);
    let loaded = memory.load(true).unwrap_or_else(|error| panic!("cut at {len}: {error}"));
    assert_eq!(&loaded.digest, digest, "cut at {len}: something else than stands before byte {good}");
    assert_eq!(loaded.recovered.point.map(|point| point.offset), Some(offset), "cut at {len}");
    let report = memory.check().unwrap_or_else(|error| panic!("cut at {len}: {error}"));
    assert!(report.problems.is_empty(), "cut at {len}: {:?}", report.problems);
    assert_eq!(report.cut, loaded.recovered.cut, "cut at {len}: checker and loader differ");
    assert_eq!(report.end.map(|end| end.offset), Some(offset), "cut at {len}");
    // Bytes of a torn first line leave even an empty file torn.
    let torn = len > good || good == 0;
    assert_eq!(report.is_sound(), !torn, "cut at {len}");
    assert_eq!(
        report.cut.as_ref().map(|cut| (cut.at, cut.bytes)),
        torn.then_some((good as u64, (len - good) as u64))
    );
    match memory.load(false) {
        Ok(strict) => assert!(!torn && strict.digest == loaded.digest, "cut at {len} passed without a cut"),
        Err(error) => {
            assert!(torn, "cut at {len}: {error}");
            assert_eq!(error.offset, Some(good as u64), "cut at {len}: {error}");
        }
    }
    torn
}

/// Places to cut at: all of them, or as many as the scale says, with those around every seal first.
fn places(written: &Written, len: usize, count: usize, rng: &mut Rng) -> Vec<usize> {
    let first = len.saturating_sub(CUT_BYTES);
    if count > CUT_BYTES {
        return (first..=len).collect();
    }
    let mut places: BTreeSet<usize> = BTreeSet::new();
    // The end, the whole first line, and the bytes around every eighth seal's end.
    let seals = &written.seals;
    places.extend(len.saturating_sub(600)..=len);
    places.extend(0..=seals[0].len + 1);
    for sealed in seals.iter().filter(|sealed| sealed.len > first).step_by(8) {
        places.extend(sealed.len - 2..=(sealed.len + 1).min(len));
    }
    while places.len() < count {
        places.insert(first + rng.index(len - first));
    }
    places.into_iter().collect()
}

#[test]
fn a_log_cut_at_any_byte_ends_at_its_last_whole_seal() {
    let mut seeded = Seeded::new(7_100);
    let written = Written::new(seeded.seed);
    let log = written.bytes(&written.log);
    // All 65,537 places from `OUTRIGGER_TEST_SCALE=40` on.
    let places = places(&written, log.len(), sample(1_700, CUT_BYTES + 1), &mut seeded.rng);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    // The disk of memory keeps what was replaced, so each has a few cuts only.
    let some = |few: &[usize]| {
        let memory = written.in_memory();
        few.iter().filter(|len| cut(&written, &memory, &log, **len)).count()
    };
    let part = places.len().div_ceil(threads);
    let torn: usize = std::thread::scope(|scope| {
        let work = |part: &[usize]| part.chunks(CUTS_A_DISK).map(some).sum::<usize>();
        let running: Vec<_> = places.chunks(part).map(|part| scope.spawn(move || work(part))).collect();
        running.into_iter().map(|thread| thread.join().expect("a part that holds")).sum()
    });
    assert!(torn > 0 && torn < places.len(), "{torn} of {}", places.len());
    println!(
        "{} places in a log of {} bytes and {} seals: {torn} torn, all loaded to the last seal",
        places.len(),
        log.len(),
        written.seals.len()
    );
}
