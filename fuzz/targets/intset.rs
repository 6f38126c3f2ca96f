//! An intset.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::value::Intset;
use std::collections::BTreeSet;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut set) = Intset::from_bytes(bytes) else { return };
    let mut model: BTreeSet<i64> = set.iter().collect();
    assert_eq!(model.len(), set.len());
    assert!(set.iter().eq(model.iter().copied()));
    assert!(set.iter().all(|n| set.contains(n)));
    assert_eq!((set.min(), set.max()), (model.first().copied(), model.last().copied()));
    assert_eq!(Intset::from_bytes(set.as_bytes()).expect("its own bytes are valid").as_bytes(), bytes);
    // Numbers of every width, also those that are there.
    let near = model.first().map_or(0, |n| n.wrapping_add(1));
    for n in [near, 7, -300, 70_000, i64::MIN, i64::MAX] {
        assert_eq!(set.add(n), model.insert(n));
    }
    for n in model.iter().copied().step_by(2).collect::<Vec<_>>() {
        assert!(set.remove(n) && model.remove(&n) && !set.contains(n));
    }
    assert!(set.iter().eq(model.iter().copied()));
    Intset::from_bytes(set.as_bytes()).expect("what was changed is valid");
});
