//! Finding a key that occurs twice in a database, in bounded memory.
//!
//! Of each key a hash of 64 bits is kept. There is room for [`MOST_HASHES`]; when there are more keys, those whose hashes are
//! above a bound are left to later walks over the keys alone. Where two hashes are equal, the keys themselves are compared.

use super::{Examiner, Fault, Judging, Part};
use crate::format::rdb::HEADER_BYTES;
use crate::format::rdb::cut::Cutter;
use crate::format::rdb::examine::{Buffers, Seen};
use crate::persistence::load::LoadError;
use crate::persistence::parts::Follower;
use crate::value::hash_bytes;
use std::collections::{HashMap, HashSet};
use std::num::NonZero;
use std::thread;

/// Hashes held at once; they take up to 10 bytes each.
pub(super) const MOST_HASHES: usize = 6 << 20;
/// Buckets, by the upper bits of the hash.
const BUCKETS: usize = 256;
/// Hashes that came twice and are looked into.
const MOST_SUSPECTS: usize = 1 << 20;

/// The hash of a key of a database.
pub(super) fn hash_of(db: u32, key: &[u8]) -> u64 {
    hash_bytes(key) ^ u64::from(db).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Hashes of keys within a range.
pub(super) struct KeyHashes {
    buckets: Vec<Vec<u64>>,
    held: usize,
    most: usize,
    from: u64,
    to: u64,
}

impl KeyHashes {
    pub(super) fn new() -> KeyHashes {
        KeyHashes::within(0, MOST_HASHES)
    }

    fn within(from: u64, most: usize) -> KeyHashes {
        KeyHashes { buckets: vec![Vec::new(); BUCKETS], held: 0, most, from, to: u64::MAX }
    }

    pub(super) fn push(&mut self, hash: u64) {
        if hash < self.from || hash > self.to {
            return;
        }
        let Some(bucket) = self.buckets.get_mut((hash >> 56) as usize) else { return };
        if bucket.len() == bucket.capacity() {
            // A quarter, not as much again: there are many of them.
            bucket.reserve_exact((bucket.len() / 4).max(64));
        }
        bucket.push(hash);
        self.held += 1;
        if self.held >= self.most {
            self.narrow();
        }
    }

    #[cold]
    fn narrow(&mut self) {
        while self.held > self.most / 2 && self.from < self.to {
            self.to = self.from + (self.to - self.from) / 2;
            let to = self.to;
            for bucket in &mut self.buckets {
                bucket.retain(|hash| *hash <= to);
                bucket.shrink_to_fit();
            }
            self.held = self.buckets.iter().map(Vec::len).sum();
        }
    }

    /// Those that came more than once.
    fn twice(mut self, into: &mut HashSet<u64>) {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let share = BUCKETS.div_ceil(threads);
        thread::scope(|scope| {
            let sorting: Vec<_> =
                self.buckets.chunks_mut(share).map(|buckets| scope.spawn(|| twice_in(buckets))).collect();
            for twice in sorting.into_iter().filter_map(|sorting| sorting.join().ok()).flatten() {
                if into.len() < MOST_SUSPECTS {
                    into.insert(twice);
                }
            }
        });
    }
}

fn twice_in(buckets: &mut [Vec<u64>]) -> Vec<u64> {
    let mut twice = Vec::new();
    for bucket in buckets {
        bucket.sort_unstable();
        twice.extend(bucket.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]));
    }
    twice.truncate(MOST_SUSPECTS);
    twice
}

/// The first key that was there before, in a snapshot all of whose records are sound.
pub(super) fn first_twice(
    bytes: &[u8],
    version: u16,
    hashes: KeyHashes,
    judging: &mut Judging<'_>,
) -> Option<Fault> {
    let mut suspects = HashSet::new();
    let (mut to, most) = (hashes.to, hashes.most);
    hashes.twice(&mut suspects);
    while to < u64::MAX {
        let mut next = KeyHashes::within(to + 1, most);
        let follower = Follower::new(judging.passed, HEADER_BYTES);
        let tell = |at| follower.at(at);
        let start = Part { bytes: HEADER_BYTES..bytes.len(), db: 0, version };
        let mut cutter = Cutter::at(bytes, &start, &judging.read).telling(&tell);
        let mut room = Vec::new();
        // Whatever is unsound would have been found before.
        while let Ok(Some(key)) = cutter.next_key(&mut room) {
            let hash = |key: &[u8]| hash_of(cutter.db(), key);
            next.push(hash(key.as_bytes(&mut itoa::Buffer::new())));
        }
        to = next.to;
        next.twice(&mut suspects);
    }
    if suspects.is_empty() { None } else { first_of(bytes, version, &suspects, judging) }
}

/// The first key that was there before, among those with these hashes.
fn first_of(bytes: &[u8], version: u16, suspects: &HashSet<u64>, judging: &Judging<'_>) -> Option<Fault> {
    let follower = Follower::new(judging.passed, HEADER_BYTES);
    let tell = |at| follower.at(at);
    let all = Part { bytes: HEADER_BYTES..bytes.len(), db: 0, version };
    let mut examiner = Examiner::new(bytes, &all, &judging.read, Buffers::default()).telling(&tell);
    let mut keys: HashMap<u64, HashSet<(u32, Vec<u8>)>> = HashMap::new();
    // The loader says that the first record begins with the snapshot.
    let (mut begins, mut at) = (0, HEADER_BYTES);
    while let Ok(Some(seen)) = examiner.next_record() {
        if let Seen::Entry { db, .. } = seen {
            let (key, hash) = (examiner.key(), hash_of(db, examiner.key()));
            if suspects.contains(&hash) && !keys.entry(hash).or_default().insert((db, key.to_vec())) {
                let error = LoadError::DuplicateKey { db, key: key.to_vec(), offset: begins as u64 };
                let (key, record_at) = (Some(key.to_vec()), Some(at as u64));
                return Some(Fault { error, record_at, key, db, after: None });
            }
        }
        at = examiner.offset();
        if !matches!(seen, Seen::Empty | Seen::Skipped) {
            begins = at;
        }
    }
    None
}
