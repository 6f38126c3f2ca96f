//! Two data sets held against each other: files, folders and running servers, in any pairing.
//!
//! First each side is walked once and divided into slots by hashes of keys; a slot's sum over its keys is the same if, and for all
//! practical purposes only if, its keys are. Only keys of slots that differ are then walked again and compared one by one, some slots
//! at a time, so that memory is bounded whatever a server holds. Sums add up rather than xor, because SCAN may show a key twice: then
//! the slot differs, is looked at closely, and turns out to be the same.
//!
//! A running server is no snapshot. Keys that differ are therefore read once more, from both sides at about the same time, and
//! what has become the same is not reported.

mod side;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use super::client::Patience;
use super::error::RemoteError;
use super::fetch::ServerClock;
use super::state::{KeyState, key_hash, mix};
pub use side::Side;

/// Slots of a database.
const SLOTS: usize = 16_384;
/// Keys of slots that differ which are held at once.
const KEYS_AT_ONCE: u64 = 500_000;
/// Differences that are held, to be looked at once more and listed. Others are counted.
const DIFFERENCES_HELD: usize = 200_000;

/// How to compare.
#[derive(Debug, Clone, Copy)]
pub struct DiffOptions {
    /// How long to wait for servers.
    pub patience: Patience,
    /// Times of keys that are so many ms apart count as the same. More than 0: times of a hash's fields are not compared.
    pub ttl_tolerance_ms: u64,
    /// How many databases files may have.
    pub databases: u32,
}

/// In what a key differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The first side does not have it.
    MissingInA,
    /// The second side does not have it.
    MissingInB,
    /// It is of another type.
    Type,
    /// Its value is another.
    Value,
    /// When it expires, or a field of it, is another time.
    Ttl,
}

/// All of them, in the order of reports.
pub const ALL: [What; 5] = [What::MissingInA, What::MissingInB, What::Type, What::Value, What::Ttl];

/// A key that differs.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The database of the first side.
    pub db: u32,
    /// The key.
    pub key: Vec<u8>,
    /// In what.
    pub what: What,
    /// What the first side has.
    pub a: Option<KeyState>,
    /// What the second side has.
    pub b: Option<KeyState>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct DiffReport {
    /// Keys of each side, as they were walked.
    pub keys: [u64; 2],
    /// Slots that were looked at closely.
    pub slots: u64,
    /// How many keys differ in what.
    pub counts: BTreeMap<What, u64>,
    /// Keys that differ, by database and name; not all if there are very many.
    pub differences: Vec<Difference>,
    /// Keys that differed at first and not when they were read once more.
    pub settled: u64,
}

impl DiffReport {
    /// Whether there is no difference.
    pub fn is_same(&self) -> bool {
        self.counts.values().all(|count| *count == 0)
    }
}

/// The sum of a slot's keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    halves: [u64; 2],
    keys: u64,
}

impl Sum {
    fn add(&mut self, hash: u64, state: &KeyState) {
        let time = state.expire_at_ms.map_or(0, |at| mix(at as u64 ^ 0x9e37_79b9_7f4a_7c15));
        let about = mix(hash.wrapping_add(mix(state.beside.wrapping_add(time))));
        let bytes = state.digest.as_bytes();
        for (half, digest) in self.halves.iter_mut().zip(bytes.chunks_exact(8)) {
            let digest = digest.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
            *half = half.wrapping_add(mix(digest ^ about));
        }
        self.keys += 1;
    }
}

fn slot_of(hash: u64) -> usize {
    (hash >> 32) as usize % SLOTS
}

/// In what two states of a key differ, if they do.
fn judge(a: Option<&KeyState>, b: Option<&KeyState>, tolerance_ms: u64) -> Option<What> {
    let (a, b) = match (a, b) {
        (None, None) => return None,
        (None, Some(_)) => return Some(What::MissingInA),
        (Some(_), None) => return Some(What::MissingInB),
        (Some(a), Some(b)) => (a, b),
    };
    let times_differ = match (a.expire_at_ms, b.expire_at_ms) {
        (Some(a), Some(b)) => a.abs_diff(b) > tolerance_ms,
        (a, b) => a != b,
    };
    let of_fields = a.kind == "hash" && a.beside != b.beside && tolerance_ms == 0;
    if a.kind != b.kind {
        Some(What::Type)
    } else if a.digest != b.digest || (a.kind == "stream" && a.beside != b.beside) {
        Some(What::Value)
    } else if times_differ || of_fields {
        Some(What::Ttl)
    } else {
        None
    }
}

/// Compares two sides. `progress` is told keys walked so far and, as far as is known, keys to walk in all.
pub fn diff(
    a: &Side,
    b: &Side,
    options: &DiffOptions,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<DiffReport, RemoteError> {
    let now_ms = ServerClock::own().now_ms();
    let total = a.expected_keys() + b.expected_keys();
    let walked = AtomicU64::new(0);
    let step = || {
        let done = walked.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(1000) {
            progress(done, total.max(done));
        }
    };
    let mut report = DiffReport::default();
    let mut found =
        Found { held: BTreeMap::new(), beyond: BTreeMap::new(), tolerance_ms: options.ttl_tolerance_ms };
    for (db_a, db_b) in pairs(a, b) {
        let pair = Pair { sides: [(a, db_a), (b, db_b)], now_ms, step: &step };
        let [sums_a, sums_b] = pair.sums()?;
        report.keys[0] += sums_a.iter().map(|sum| sum.keys).sum::<u64>();
        report.keys[1] += sums_b.iter().map(|sum| sum.keys).sum::<u64>();
        let differing: Vec<usize> = (0..SLOTS).filter(|slot| sums_a[*slot] != sums_b[*slot]).collect();
        report.slots += differing.len() as u64;
        for group in groups(&differing, &sums_a) {
            pair.compare(&group, &mut found)?;
        }
        if a.is_live() || b.is_live() {
            report.settled += pair.look_again(&mut found)?;
        }
    }
    for what in ALL {
        report.counts.insert(what, found.beyond.get(&what).copied().unwrap_or(0));
    }
    for difference in found.held.values() {
        *report.counts.entry(difference.what).or_default() += 1;
    }
    report.differences = found.held.into_values().collect();
    Ok(report)
}

/// The databases to compare: those that the URLs name, or all.
fn pairs(a: &Side, b: &Side) -> Vec<(u32, u32)> {
    match (a.only_db(), b.only_db()) {
        (None, None) => {
            let mut all = [a.databases(), b.databases()].concat();
            all.sort_unstable();
            all.dedup();
            all.into_iter().map(|db| (db, db)).collect()
        }
        (Some(a), Some(b)) => vec![(a, b)],
        (Some(db), None) | (None, Some(db)) => vec![(db, db)],
    }
}

/// Slots divided so that a group has a bounded number of keys, if no slot alone has more.
fn groups(slots: &[usize], sums: &[Sum]) -> Vec<Vec<usize>> {
    let (mut groups, mut keys) = (Vec::<Vec<usize>>::new(), 0);
    for slot in slots {
        keys += sums[*slot].keys;
        match groups.last_mut().filter(|_| keys <= KEYS_AT_ONCE) {
            Some(group) => group.push(*slot),
            None => {
                keys = sums[*slot].keys;
                groups.push(vec![*slot]);
            }
        }
    }
    groups
}

/// Differences so far.
struct Found {
    held: BTreeMap<(u32, Vec<u8>), Difference>,
    beyond: BTreeMap<What, u64>,
    tolerance_ms: u64,
}

impl Found {
    fn note(&mut self, db: u32, key: Vec<u8>, a: Option<KeyState>, b: Option<KeyState>) {
        let Some(what) = judge(a.as_ref(), b.as_ref(), self.tolerance_ms) else { return };
        let place = (db, key);
        if self.held.len() >= DIFFERENCES_HELD && !self.held.contains_key(&place) {
            *self.beyond.entry(what).or_default() += 1;
            return;
        }
        let key = place.1.clone();
        self.held.insert(place, Difference { db, key, what, a, b });
    }
}

/// A database of each side.
struct Pair<'p> {
    sides: [(&'p Side, u32); 2],
    now_ms: i64,
    step: &'p (dyn Fn() + Sync),
}

impl Pair<'_> {
    /// The sums of both sides, which are walked at the same time.
    fn sums(&self) -> Result<[Vec<Sum>; 2], RemoteError> {
        let of = |(side, db): (&Side, u32)| -> Result<Vec<Sum>, RemoteError> {
            let mut sums = vec![Sum::default(); SLOTS];
            side.walk(db, self.now_ms, &|_| true, &mut |key, state| {
                let hash = key_hash(key);
                sums[slot_of(hash)].add(hash, &state);
                (self.step)();
            })?;
            Ok(sums)
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(|| of(self.sides[1]));
            let own = of(self.sides[0]);
            let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok([own?, other?])
        })
    }

    /// Compares the keys of some slots one by one.
    fn compare(&self, slots: &[usize], found: &mut Found) -> Result<(), RemoteError> {
        let mut is_wanted = vec![false; SLOTS];
        slots.iter().for_each(|slot| is_wanted[*slot] = true);
        let wanted = |key: &[u8]| is_wanted[slot_of(key_hash(key))];
        let [(a, db_a), (b, db_b)] = self.sides;
        let mut held: HashMap<Box<[u8]>, (KeyState, bool)> = HashMap::new();
        a.walk(db_a, self.now_ms, &wanted, &mut |key, state| {
            held.insert(key.into(), (state, false));
        })?;
        b.walk(db_b, self.now_ms, &wanted, &mut |key, state| match held.get_mut(key) {
            Some((own, seen)) => {
                *seen = true;
                found.note(db_a, key.to_vec(), Some(*own), Some(state));
            }
            None => found.note(db_a, key.to_vec(), None, Some(state)),
        })?;
        for (key, (state, _)) in held.into_iter().filter(|(_, (_, seen))| !seen) {
            found.note(db_a, key.into_vec(), Some(state), None);
        }
        Ok(())
    }

    /// Reads the keys that differ once more, from both sides; returns how many are the same by now.
    fn look_again(&self, found: &mut Found) -> Result<u64, RemoteError> {
        let [(a, db_a), (b, db_b)] = self.sides;
        let keys: Vec<Vec<u8>> =
            found.held.keys().filter(|(db, _)| *db == db_a).map(|(_, key)| key.clone()).collect();
        let mut settled = 0;
        // Few at a time: so the two sides are read at about the same moment.
        let mut readers = (a.reader(db_a)?, b.reader(db_b)?);
        for group in keys.chunks(super::fetch::FETCHED_AT_ONCE) {
            let now_ms = ServerClock::own().now_ms();
            let (first, second) = (readers.0.states(group, now_ms)?, readers.1.states(group, now_ms)?);
            for (key, (a, b)) in group.iter().zip(first.into_iter().zip(second)) {
                let place = (db_a, key.clone());
                match judge(a.as_ref(), b.as_ref(), found.tolerance_ms) {
                    Some(what) => {
                        found.held.insert(place, Difference { db: db_a, key: key.clone(), what, a, b });
                    }
                    None => {
                        found.held.remove(&place);
                        settled += 1;
                    }
                }
            }
        }
        Ok(settled)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
