//! A HyperLogLog: the maximum of its sparse form, some registers to raise, then its bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::value::hyperloglog::{HyperLogLogRef, REGISTERS, Registers, raise, to_dense};

fn registers(bytes: &[u8]) -> Option<Registers> {
    let mut registers = Registers::default();
    HyperLogLogRef::new(bytes).ok()?.merge_into(&mut registers).ok()?;
    Some(registers)
}

fuzz_target!(|input: &[u8]| {
    let Some(([max_bytes, count], rest)) = input.split_first_chunk::<2>() else { return };
    let max_bytes = usize::from(*max_bytes) * 16;
    let Some((raises, bytes)) = rest.split_at_checked(usize::from(*count % 16) * 3) else { return };
    let mut bytes = bytes.to_vec();
    let Ok(found) = HyperLogLogRef::new(&bytes) else {
        assert!(to_dense(&mut bytes).is_err());
        return;
    };
    // All readers agree on whether it is valid, and on what it holds.
    let before = registers(&bytes);
    assert_eq!(found.count().ok(), before.as_ref().map(Registers::count));
    let _ = (found.cached_count(), found.runs().count());
    let mut dense = bytes.clone();
    assert_eq!(to_dense(&mut dense).is_ok(), before.is_some());
    let Some(before) = before else {
        // A change of what is corrupted goes well or changes nothing.
        for [low, high, rank] in raises.as_chunks::<3>().0 {
            let (index, unchanged) =
                (usize::from(u16::from_le_bytes([*low, *high])) % REGISTERS, bytes.clone());
            if raise(&mut bytes, index, rank % 63 + 1, max_bytes).is_err() {
                assert_eq!(bytes, unchanged);
            }
        }
        return;
    };
    let mut model: Vec<u8> = before.iter().collect();
    for [low, high, rank] in raises.as_chunks::<3>().0 {
        let (index, rank) = (usize::from(u16::from_le_bytes([*low, *high])) % REGISTERS, rank % 63 + 1);
        let raised = raise(&mut bytes, index, rank, max_bytes);
        assert_eq!(raised, Ok(rank > model[index]));
        assert_eq!(raise(&mut dense, index, rank, max_bytes), raised);
        model[index] = model[index].max(rank);
    }
    let after = registers(&bytes).expect("valid as it was");
    assert!(after.iter().eq(model.iter().copied()));
    assert!(registers(&dense).is_some_and(|dense| dense.iter().eq(model.iter().copied())));
});
