use super::*;
use crate::keyspace::{Entry, Keyspace, db::locate};
use crate::value::{Str, Value};

fn side(databases: u32, keys: impl IntoIterator<Item = (u32, String, String, Option<i64>)>) -> Side {
    let keyspace = Keyspace::new(databases);
    for (db, key, value, expire_at_ms) in keys {
        let (shard, hash) = locate(key.as_bytes());
        let value = Value::Str(Str::Bytes(value.into_bytes()));
        keyspace.lock_shard(shard).db_mut(db).insert(hash, Entry::new(key.as_bytes(), value, expire_at_ms));
    }
    Side::Held { keyspace: Box::new(keyspace) }
}

fn many(count: usize) -> Vec<(u32, String, String, Option<i64>)> {
    (0..count).map(|n| (n as u32 % 3, format!("key:{n}"), format!("v{n}"), None)).collect()
}

fn options(ttl_tolerance_ms: u64) -> DiffOptions {
    DiffOptions { patience: Patience::default(), ttl_tolerance_ms, databases: 16 }
}

fn report(a: &Side, b: &Side, tolerance_ms: u64) -> DiffReport {
    diff(a, b, &options(tolerance_ms), &|_, _| ()).expect("a report")
}

#[test]
fn the_same_in_another_order_is_the_same() {
    let mut keys = many(5000);
    let one = side(4, keys.clone());
    keys.reverse();
    let found = report(&one, &side(16, keys), 0);
    assert!(found.is_same() && found.slots == 0 && found.keys == [5000, 5000], "{found:?}");
    let empty = side(1, []);
    assert!(report(&empty, &empty, 0).is_same());
}

#[test]
fn every_kind_of_difference_is_found_and_nothing_else() {
    const FAR: i64 = 4_000_000_000_000;
    let (mut a, mut b) = (many(5000), many(5000));
    a[10].2 = "other".into();
    b.remove(20);
    b.push((1, "more".into(), "x".into(), None));
    a[30].3 = Some(FAR);
    // One place further on, since one is gone before it.
    (a[31].3, b[30].3) = (Some(FAR), Some(FAR + 5));
    // Expired long since, on one side.
    a.push((0, "old".into(), "x".into(), Some(5)));
    let (a, b) = (side(3, a), side(3, b));
    let found = report(&a, &b, 0);
    let listed: Vec<(String, What)> = found
        .differences
        .iter()
        .map(|difference| (String::from_utf8_lossy(&difference.key).into_owned(), difference.what))
        .collect();
    let named = |key: &str, what| (key.to_owned(), what);
    assert_eq!(
        listed,
        [
            named("key:30", What::Ttl),
            named("key:10", What::Value),
            named("key:31", What::Ttl),
            named("more", What::MissingInA),
            named("key:20", What::MissingInB),
        ]
    );
    assert!(found.slots <= 5 && !found.is_same());
    let tolerant = report(&a, &b, 5);
    assert_eq!(tolerant.counts[&What::Ttl], 1, "{tolerant:?}");
}

#[test]
fn groups_are_bounded_and_hold_every_slot() {
    let sums: Vec<Sum> =
        (0..SLOTS as u64).map(|slot| Sum { keys: slot * 37 % 90_000, ..Sum::default() }).collect();
    let slots: Vec<usize> = (0..SLOTS).step_by(3).collect();
    let groups = groups(&slots, &sums);
    assert_eq!(groups.concat(), slots);
    let keys = |group: &Vec<usize>| group.iter().map(|slot| sums[*slot].keys).sum::<u64>();
    assert!(groups.iter().all(|group| keys(group) <= KEYS_AT_ONCE) && groups.len() < slots.len());
}

#[test]
fn more_differences_than_are_held_are_counted() {
    let none = side(3, []);
    let count = DIFFERENCES_HELD + 100;
    let found = report(&none, &side(3, many(count)), 0);
    assert_eq!(found.counts[&What::MissingInA], count as u64);
    assert_eq!(found.differences.len(), DIFFERENCES_HELD);
}
