use super::*;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

/// A number, and when it is due.
struct Item(u64, i64);

fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Hashed for Item {
    fn table_hash(&self) -> u64 {
        mix(self.0)
    }
    fn due_ms(&self) -> i64 {
        self.1
    }
}

fn insert(table: &mut Table<Item>, n: u64) {
    table.insert(mix(n), Item(n, i64::MAX));
}

fn scan_all(table: &Table<Item>, count: usize, mut between: impl FnMut()) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut at = Some(0);
    while let Some(from) = at {
        at = table.scan(from, count, |it| seen.push(it.0));
        between();
    }
    seen
}

#[test]
fn grows_shrinks_and_finds() {
    let n = if cfg!(miri) { 2_000 } else { 100_000 };
    let mut table = Table::default();
    (0..n).for_each(|i| insert(&mut table, i));
    table.check();
    assert_eq!(table.len(), n as usize);
    assert!((0..n).all(|i| table.find(mix(i), |it| it.0 == i).is_some()));
    assert!(table.find(mix(n), |it| it.0 == n).is_none());
    let mut seen = scan_all(&table, 10, || ());
    seen.sort_unstable();
    assert_eq!(seen, (0..n).collect::<Vec<_>>());
    for i in 0..n - 10 {
        assert_eq!(table.remove(mix(i), |it| it.0 == i).map(|it| it.0), Some(i));
    }
    table.check();
    assert_eq!(table.len(), 10);
    assert!(table.directory.len() <= 16, "directory gave its memory back");
    assert_eq!(table.iter().count(), 10);
}

#[test]
fn room_made_beforehand_changes_nothing_but_the_growing() {
    let n = if cfg!(miri) { 2_000 } else { 100_000 };
    for told in [1, 300, n / 2, n, 3 * n] {
        let mut table = Table::default();
        table.make_room(told as usize);
        table.check();
        assert!(table.is_empty() && scan_all(&table, 10, || ()).is_empty() && table.random(|| 7).is_none());
        let segments = table.segment_count();
        (0..n).for_each(|i| insert(&mut table, i));
        table.check();
        assert_eq!(table.len(), n as usize);
        let mut seen = scan_all(&table, 1_000, || ());
        seen.sort_unstable();
        assert_eq!(seen, (0..n).collect::<Vec<_>>());
        // What was told truly needs no split, as hashes are uniform.
        assert_eq!(told >= n, table.segment_count() == segments, "{told}");
        table.make_room(10 * n as usize);
        assert!(table.len() == n as usize && table.find(mix(1), |it| it.0 == 1).is_some());
        (0..n).for_each(|i| assert!(table.remove(mix(i), |it| it.0 == i).is_some()));
        table.check();
    }
}

#[test]
fn scan_returns_what_stays_under_growth_and_shrinkage() {
    let mut table = Table::default();
    (0..2_000).for_each(|i| insert(&mut table, i));
    let mut seen = HashSet::new();
    let mut at = Some(0);
    let mut next = 10_000;
    let mut gone = 1_000;
    while let Some(from) = at {
        at = table.scan(from, 7, |it| {
            seen.insert(it.0);
        });
        (0..40).for_each(|i| insert(&mut table, next + i));
        next += 40;
        for _ in 0..5 {
            table.remove(mix(gone), |it| it.0 == gone);
            gone = if gone < 1_999 { gone + 1 } else { gone };
        }
        if next > 30_000 {
            // shrink hard so that segments merge under the cursor
            for i in 10_000..next {
                table.remove(mix(i), |it| it.0 == i);
            }
            next = 40_000;
        }
    }
    table.check();
    assert!((0..1_000).all(|i| seen.contains(&i)));
}

#[test]
fn random_reaches_every_item() {
    let mut table = Table::default();
    (0..600).for_each(|i| insert(&mut table, i));
    let mut state = 1;
    let mut seen = HashSet::new();
    for _ in 0..20_000 {
        let item = table.random(|| {
            state += 1;
            mix(state)
        });
        seen.insert(item.map(|it| it.0));
    }
    assert_eq!(seen.len(), 600);
}

#[test]
fn walk_and_extract_by_segment() {
    let mut table = Table::default();
    (0..5_000).for_each(|i| insert(&mut table, i));
    let mut seen = 0;
    let mut at = Some(0);
    while let Some(from) = at {
        at = table.walk_segment(from, |_| seen += 1);
    }
    assert_eq!(seen, 5_000);
    for i in 0..5_000 {
        table.find_mut(mix(i), |it| it.0 == i).unwrap().1 = i as i64;
        table.note_hint(mix(i), i as i64);
    }
    let segments = table.segment_count();
    let first = (0..segments).min_by_key(|&i| table.hint(i)).unwrap_or(0);
    assert_eq!((table.hint(first), table.soonest_hint(), table.count_due(10)), (0, 0, 10));
    let taken = table.extract_from_segment(first, 1, |it| it.0 == 0, drop);
    assert_eq!((taken, table.len()), (1, 4_999));
    assert!(table.hint(first) > 0);
    table.check();
}

#[test]
fn hints_stay_exact_where_changes_are_told() {
    let mut table = Table::default();
    let due = |i: u64| if i.is_multiple_of(3) { i64::MAX } else { (mix(i) % 1_000) as i64 };
    for i in 0..4_000 {
        table.insert(mix(i), Item(i, due(i)));
    }
    table.check_hints();
    for i in (0..4_000u64).filter(|i| i % 7 < 5) {
        if i.is_multiple_of(2) {
            let was = table.remove(mix(i), |it| it.0 == i).unwrap().1;
            table.renew_hint(mix(i), was);
        } else {
            let item = table.find_mut(mix(i), |it| it.0 == i).unwrap();
            let was = std::mem::replace(&mut item.1, due(i + 1));
            table.renew_hint(mix(i), was);
            table.note_hint(mix(i), due(i + 1));
        }
        if i.is_multiple_of(100) {
            table.check_hints();
        }
    }
    table.check_hints();
    let count = table.iter().filter(|it| it.1 < 300).count();
    assert_eq!(table.count_due(300), count);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 64 }, ..Default::default() })]
    #[test]
    fn agrees_with_a_map(ops in prop::collection::vec((any::<bool>(), 0u64..3_000), 1..4_000)) {
        let mut table: Table<Item> = Table::new(6);
        let mut model = HashMap::new();
        for (add, n) in ops {
            // one shard's hashes: the first six bits equal
            let hash = |n: u64| mix(n);
            let n = (n..).find(|&n| hash(n) >> 58 == 5).unwrap_or(0);
            if add && model.insert(n, ()).is_none() {
                table.insert(hash(n), Item(n, i64::MAX));
            } else if !add {
                let removed = table.remove(hash(n), |it| it.0 == n).is_some();
                prop_assert_eq!(removed, model.remove(&n).is_some());
            }
        }
        table.check();
        prop_assert_eq!(table.len(), model.len());
        let mut seen = Vec::new();
        let mut at = Some(5u64 << 58);
        while let Some(from) = at {
            at = table.scan(from, 3, |it| seen.push(it.0));
        }
        seen.sort_unstable();
        let mut want: Vec<u64> = model.into_keys().collect();
        want.sort_unstable();
        prop_assert_eq!(seen, want);
    }
}
