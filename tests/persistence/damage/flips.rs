//! Bytes changed anywhere: the start stops with the place, or (behind the last seal but one) ends at a seal.

use super::{Memory, Written, sample};
use crate::support::rng::{Pick, Seeded};
use std::path::Path;

/// Changes a byte, has it judged, and puts it back; whether the end was taken for torn.
fn flip(written: &Written, memory: &Memory, file: &Path, bytes: &[u8], at: usize, xor: u8) -> bool {
    let what = format!("{} byte {at} ^ {xor:02x}", file.file_name().expect("a name").to_string_lossy());
    assert!(memory.disk.corrupt(&memory.path(file), at, xor));
    let (loaded, report) = (memory.load(true), memory.check());
    assert!(memory.disk.corrupt(&memory.path(file), at, xor));
    let problem = match &report {
        Ok(report) => report.problems.first(),
        Err(error) => Some(error),
    };
    match (loaded, problem) {
        (Err(error), Some(problem)) => {
            assert_eq!(error.to_string(), problem.to_string(), "{what}: checker and loader differ");
            assert_eq!(error.file, memory.path(file), "{what}: {error}");
            assert!(error.offset.is_some_and(|offset| offset <= bytes.len() as u64), "{what}: {error}");
            false
        }
        (Ok(loaded), None) => {
            // Only what no later seal vouches for may be left out, and then it is said.
            let last = &written.seals[written.seals.len() - 2];
            assert_eq!(file, written.log, "{what} went unnoticed");
            assert!(at >= last.len, "{what} is vouched for and went unnoticed");
            let cut = loaded.recovered.cut.unwrap_or_else(|| panic!("{what} went unnoticed"));
            assert_eq!(Some(&cut), report.as_ref().ok().and_then(|report| report.cut.as_ref()), "{what}");
            assert_eq!(cut.at, last.len as u64, "{what}");
            assert_eq!(loaded.digest, last.digest, "{what}: a wrong value is served");
            true
        }
        (Ok(_), Some(problem)) => panic!("{what}: loaded, and the checker says: {problem}"),
        (Err(error), None) => panic!("{what}: the checker is content, and the loader says: {error}"),
    }
}

#[test]
fn a_changed_byte_is_never_served() {
    let mut seeded = Seeded::new(7_101);
    let written = Written::new(seeded.seed);
    let memory = written.in_memory();
    let files = [&written.log, &written.base, &written.manifest];
    let bytes = files.map(|file| written.bytes(file));
    let count = sample(2_000, usize::MAX);
    let mut torn = [0; 3];
    for turn in 0..count {
        // Half in the log, a third in the base, and the manifest many times over.
        let which = [0, 0, 0, 1, 1, 2][turn % 6];
        let at = match turn % 12 {
            // In the last batch, which one in a thousand would meet otherwise.
            0 => {
                let from = written.seals[written.seals.len() - 2].len;
                from + seeded.rng.index(bytes[0].len() - from)
            }
            _ => seeded.rng.index(bytes[which].len()),
        };
        let xor = 1 + seeded.rng.below(255) as u8;
        torn[which] += usize::from(flip(&written, &memory, files[which], &bytes[which], at, xor));
    }
    println!(
        "{count} changed bytes: {torn:?} (log, base, manifest) taken for a torn end, all others told with their place"
    );
    assert!(torn[0] < count / 12, "{torn:?}: more than what fell into the last batch");
    assert_eq!(torn[1..], [0, 0]);
}

#[test]
fn every_bit_of_the_manifest_counts() {
    let seeded = Seeded::new(7_102);
    let written = Written::new(seeded.seed);
    let memory = written.in_memory();
    let bytes = written.bytes(&written.manifest);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            flip(&written, &memory, &written.manifest, &bytes, at, 1 << bit);
        }
    }
    // Cut, it names nothing, not even less.
    for len in 0..bytes.len() {
        memory.put(&written.manifest, &bytes[..len]);
        let loaded = memory.load(true);
        let error = loaded.err().unwrap_or_else(|| panic!("a manifest of {len} bytes was loaded"));
        let checked = memory.check().expect_err("the checker takes it");
        assert_eq!(error.to_string(), checked.to_string(), "{len} bytes");
        assert!(error.offset.is_some(), "{error}");
    }
}
