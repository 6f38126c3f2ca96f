use super::*;
use crate::base::random::Rng;
use proptest::prelude::*;

const SPARSE_MAX: usize = 3000;

fn count(bytes: &[u8]) -> u64 {
    HyperLogLogRef::new(bytes).unwrap().count().unwrap()
}

fn registers(bytes: &[u8]) -> Vec<u8> {
    let mut registers = Registers::default();
    HyperLogLogRef::new(bytes).unwrap().merge_into(&mut registers).unwrap();
    registers.iter().collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn bytes_and_counts_are_those_of_redis() {
    let mut few = empty();
    invalidate_cache(&mut few);
    for element in ["a", "b", "c", "d", "e", "f", "g"] {
        assert_eq!(add(&mut few, element.as_bytes(), SPARSE_MAX), Ok(true));
        assert_eq!(add(&mut few, element.as_bytes(), SPARSE_MAX), Ok(false));
    }
    assert_eq!(HyperLogLogRef::new(&few).unwrap().cached_count(), None);
    let estimate = count(&few);
    cache_count(&mut few, estimate);
    assert_eq!(HyperLogLogRef::new(&few).unwrap().cached_count(), Some(7));
    assert_eq!(hex(&few), "48594c4c010000000700000000000000466d80560c80443c84388050b184498c80426d80425a");

    let mut some = empty();
    (0..1000).for_each(|n| _ = add(&mut some, format!("e{n}").as_bytes(), SPARSE_MAX).unwrap());
    assert_eq!((some.len(), count(&some)), (1906, 1008));
    let mut many = empty();
    (0..20_000).for_each(|n| _ = add(&mut many, n.to_string().as_bytes(), SPARSE_MAX).unwrap());
    assert_eq!((many.len(), count(&many)), (DENSE_BYTES, 19_891));
}

#[test]
fn an_empty_one_counts_nothing() {
    assert_eq!(hex(&empty()), "48594c4c0100000000000000000000007fff");
    assert_eq!((count(&empty()), HyperLogLogRef::new(&empty()).unwrap().cached_count()), (0, Some(0)));
    assert_eq!(Registers::default().count(), 0);
    let mut dense = empty();
    assert_eq!((to_dense(&mut dense), to_dense(&mut dense)), (Ok(true), Ok(false)));
    assert_eq!((dense.len(), count(&dense)), (DENSE_BYTES, 0));
}

#[test]
fn what_is_none_is_refused() {
    let refused = |bytes: &[u8]| HyperLogLogRef::new(bytes).err();
    assert_eq!(refused(b""), Some(Invalid::Foreign));
    assert_eq!(refused(&empty()[..15]), Some(Invalid::Foreign));
    assert_eq!(refused(&[&empty()[..4], &[2], &empty()[5..]].concat()), Some(Invalid::Foreign));
    assert_eq!(refused(&[&empty()[..4], &[0], &empty()[5..]].concat()), Some(Invalid::Foreign));
    assert_eq!(refused(&[b"HYLX", &empty()[4..]].concat()), Some(Invalid::Foreign));
}

#[test]
fn runs_must_cover_all_registers() {
    let with_runs = |runs: &[u8]| [&empty()[..HEADER_BYTES], runs].concat();
    let wrong: [&[u8]; 6] =
        [&[], &[0x7f], &[0x7f, 0xfe], &[0x7f, 0xff, 0], &[0x80, 0x7f, 0xff], &[0x7f, 0xfd, 0x83]];
    for runs in wrong {
        let mut bytes = with_runs(runs);
        let found = HyperLogLogRef::new(&bytes).unwrap();
        assert_eq!(found.count(), Err(Invalid::Corrupted), "{runs:x?}");
        assert_eq!(found.merge_into(&mut Registers::default()), Err(Invalid::Corrupted), "{runs:x?}");
        assert_eq!(to_dense(&mut bytes), Err(Invalid::Corrupted));
        // Too high a rank for a sparse one.
        assert_eq!(raise(&mut bytes, 0, 40, SPARSE_MAX), Err(Invalid::Corrupted));
        assert_eq!(bytes, with_runs(runs), "nothing has changed");
    }
    assert_eq!(raise(&mut with_runs(&[0x10]), 200, 1, SPARSE_MAX), Err(Invalid::Corrupted));
    assert_eq!(count(&with_runs(&[0x7f, 0xfb, 0x83])), 4);
}

#[test]
fn registers_that_no_element_makes_do_not_hang_the_estimator() {
    for value in 0..64 {
        let mut dense = empty();
        to_dense(&mut dense).unwrap();
        (0..REGISTERS).for_each(|index| dense::set(&mut dense[HEADER_BYTES..], index, value));
        count(&dense);
        dense::set(&mut dense[HEADER_BYTES..], 7, 0);
        count(&dense);
    }
}

#[test]
fn the_self_test_passes() {
    assert_eq!(self_test(&mut Rng::from_seed(3), SPARSE_MAX), Ok(()));
}

/// Few registers, so that runs meet, and now and then any.
fn places() -> impl Strategy<Value = Vec<(usize, u8)>> {
    let index = prop_oneof![0usize..40, 60usize..70, Just(REGISTERS - 1), 0..REGISTERS];
    let rank = prop_oneof![20 => 1u8..6, 2 => 1u8..=32, 1 => 33u8..64];
    prop::collection::vec((index, rank), 0..200)
}

proptest! {
    #[test]
    fn registers_are_raised_as_in_a_plain_array(
        places in places(),
        max_bytes in prop_oneof![Just(3000usize), 0usize..120],
        dense_first: bool,
    ) {
        let (mut bytes, mut model) = (empty(), vec![0; REGISTERS]);
        if dense_first {
            to_dense(&mut bytes).unwrap();
        }
        for (index, rank) in places {
            let raises = rank > model[index];
            prop_assert_eq!(raise(&mut bytes, index, rank, max_bytes), Ok(raises));
            model[index] = rank.max(model[index]);
            let is_dense = HyperLogLogRef::new(&bytes).unwrap().is_dense();
            prop_assert!(is_dense || bytes.len() <= max_bytes.max(HEADER_BYTES + 2));
        }
        prop_assert_eq!(registers(&bytes), model.clone());
        let mut merged = Registers::default();
        HyperLogLogRef::new(&bytes).unwrap().merge_into(&mut merged).unwrap();
        prop_assert_eq!(merged.count(), count(&bytes));
        to_dense(&mut bytes).unwrap();
        prop_assert_eq!(registers(&bytes), model);
        prop_assert_eq!(merged.count(), count(&bytes));
    }

    #[test]
    fn any_registers_are_read_or_refused(
        tail in prop::collection::vec(prop_oneof![any::<u8>(), 0x40u8..0x80], 0..60),
        index in 0..REGISTERS,
        rank in 1u8..64,
    ) {
        let mut bytes = [&empty()[..HEADER_BYTES], &tail].concat();
        let before = bytes.clone();
        let found = HyperLogLogRef::new(&before).unwrap();
        let covered: usize = found.runs().map(|run| run.len).sum();
        let whole = found.runs().map(|run| run.bytes).sum::<usize>() == tail.len() && covered == REGISTERS;
        prop_assert_eq!(found.count().is_ok(), whole);
        prop_assert_eq!(found.merge_into(&mut Registers::default()).is_ok(), whole);
        match raise(&mut bytes, index, rank, SPARSE_MAX) {
            Err(_) => {
                prop_assert!(!whole);
                prop_assert_eq!(bytes, before);
            }
            Ok(_) if whole => prop_assert!(registers(&bytes)[index] >= rank),
            Ok(_) => {}
        }
    }
}
