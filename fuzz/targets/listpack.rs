//! A listpack.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::value::{Element, Listpack, ListpackRef};

fuzz_target!(|bytes: &[u8]| {
    let Ok(view) = ListpackRef::new(bytes) else {
        assert!(Listpack::from_bytes(bytes).is_err());
        return;
    };
    let forward: Vec<Element<'_>> = view.iter().collect();
    let mut backward: Vec<Element<'_>> = view.iter().rev().collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(view.len(), forward.len());
    for (index, element) in forward.iter().enumerate() {
        assert_eq!(view.get_index(index), Some(*element));
    }
    let rebuilt = Listpack::from_elements(forward.iter().copied());
    let again = Listpack::from_bytes(rebuilt.as_bytes()).expect("what was built is valid");
    assert!(again.iter().eq(forward.iter().copied()));
    let mut changed = Listpack::from_bytes(bytes).expect("valid a moment ago");
    changed.push_back(Element::Int(7));
    changed.push_front(Element::Bytes(b"front"));
    changed.remove_range(forward.len() / 2, 1);
    assert!(Listpack::from_bytes(changed.as_bytes()).is_ok());
});
