//! What takes the memory: the keys of a snapshot, by the same measure as MEMORY USAGE with SAMPLES 0.

use super::ToolError;
use super::values::{Stopped, open_snapshot, walk};
use crate::command::families::memory_usage::entry_bytes;
use crate::format::rdb::{Entry, Record};
use crate::keyspace::Entry as Stored;
use crate::persistence::load::LoadError;
use crate::value::Value;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::path::Path;

/// Prefixes that are told apart; what comes beyond is counted together.
const MOST_PREFIXES: usize = 100_000;
/// Bytes of a prefix that are kept.
const MOST_PREFIX_BYTES: usize = 256;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How a snapshot is analysed.
#[derive(Debug, Clone)]
pub struct AnalysisOptions {
    /// How many of the biggest keys are named.
    pub top: usize,
    /// What a prefix ends with.
    pub separator: Vec<u8>,
    /// Unix time in ms, for how long keys have left.
    pub now_ms: i64,
}

/// Keys, and the memory that they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Keys.
    pub keys: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Sum {
    fn add(&mut self, more: Sum) {
        self.keys += more.keys;
        self.bytes += more.bytes;
    }
}

/// A big key. The order is by what it takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BigKey {
    /// Bytes.
    pub bytes: u64,
    /// Its database.
    pub db: u32,
    /// The key.
    pub key: Vec<u8>,
    /// Its type.
    pub kind: &'static str,
    /// How a server keeps it.
    pub encoding: &'static str,
    /// Elements; bytes of a string.
    pub elements: u64,
    /// When it expires, in ms of Unix time.
    pub expire_at_ms: Option<i64>,
}

/// How long keys have left, in classes, from the shortest on.
pub const TTL_CLASSES: [&str; 7] = [
    "expired",
    "under an hour",
    "under a day",
    "under a week",
    "under 30 days",
    "30 days and more",
    "no expiry",
];

/// What takes the memory.
#[derive(Debug, Default)]
pub struct Analysis {
    /// All keys.
    pub all: Sum,
    /// The biggest, the biggest first.
    pub top: Vec<BigKey>,
    /// By type and encoding.
    pub types: BTreeMap<(&'static str, &'static str), Sum>,
    /// By what the keys begin with, the most memory first; keys without a separator are under `None`.
    pub prefixes: Vec<(Option<Vec<u8>>, Sum)>,
    /// Keys of further prefixes, which are not told apart.
    pub other_prefixes: Sum,
    /// By what they have left, as [`TTL_CLASSES`].
    pub ttls: [Sum; TTL_CLASSES.len()],
    /// Why it stopped before the snapshot's end.
    pub fault: Option<LoadError>,
}

#[derive(Default)]
struct Counted {
    all: Sum,
    top: BinaryHeap<Reverse<BigKey>>,
    types: BTreeMap<(&'static str, &'static str), Sum>,
    prefixes: HashMap<Option<Vec<u8>>, Sum>,
    other_prefixes: Sum,
    ttls: [Sum; TTL_CLASSES.len()],
}

/// Adds up what the keys of a snapshot file would take in this server's memory.
///
/// # Errors
/// There is no such file, or it is something else than a snapshot.
pub fn analyze_snapshot(
    path: &Path,
    options: &AnalysisOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Analysis, ToolError> {
    let file = open_snapshot(path)?;
    let mut all = Counted::default();
    let see = |counted: &mut Counted, record: Record<'_>| {
        if let Record::Entry(entry) = record {
            counted.entry(entry, options);
        }
    };
    let walked = walk(&file, see, |counted: Counted, at| {
        all.absorb(counted, options);
        progress(at, file.len() as u64);
    });
    let mut prefixes: Vec<_> = all.prefixes.into_iter().collect();
    prefixes.sort_by(|(a, a_sum), (b, b_sum)| b_sum.bytes.cmp(&a_sum.bytes).then_with(|| a.cmp(b)));
    let mut top: Vec<BigKey> = all.top.into_iter().map(|Reverse(key)| key).collect();
    top.sort_by(|a, b| b.cmp(a));
    Ok(Analysis {
        all: all.all,
        top,
        types: all.types,
        prefixes,
        other_prefixes: all.other_prefixes,
        ttls: all.ttls,
        fault: walked.err().map(|Stopped(error)| error),
    })
}

impl Counted {
    fn entry(&mut self, entry: Entry<'_>, options: &AnalysisOptions) {
        let Entry { db, key, value, expire_at_ms, .. } = entry;
        let (kind, encoding, elements) = (value.type_name(), value.encoding(), elements_of(&value));
        // What MEMORY USAGE would say.
        let bytes = entry_bytes(&Stored::new(key, value, expire_at_ms), 0) as u64;
        let sum = Sum { keys: 1, bytes };
        self.all.add(sum);
        self.types.entry((kind, encoding)).or_default().add(sum);
        self.prefix(prefix_of(key, &options.separator), sum);
        if let Some(class) = self.ttls.get_mut(class_of(expire_at_ms, options.now_ms)) {
            class.add(sum);
        }
        if self.top.len() < options.top || self.top.peek().is_some_and(|least| bytes >= least.0.bytes) {
            let key = key.to_vec();
            self.big(BigKey { bytes, db, key, kind, encoding, elements, expire_at_ms }, options);
        }
    }

    fn big(&mut self, key: BigKey, options: &AnalysisOptions) {
        self.top.push(Reverse(key));
        if self.top.len() > options.top {
            self.top.pop();
        }
    }

    fn prefix(&mut self, prefix: Option<&[u8]>, sum: Sum) {
        let prefix = prefix.map(<[u8]>::to_vec);
        let is_full = self.prefixes.len() >= MOST_PREFIXES;
        match self.prefixes.get_mut(&prefix) {
            Some(there) => there.add(sum),
            None if is_full => self.other_prefixes.add(sum),
            None => drop(self.prefixes.insert(prefix, sum)),
        }
    }

    fn absorb(&mut self, later: Counted, options: &AnalysisOptions) {
        self.all.add(later.all);
        self.other_prefixes.add(later.other_prefixes);
        later.types.into_iter().for_each(|(kind, sum)| self.types.entry(kind).or_default().add(sum));
        later.prefixes.into_iter().for_each(|(prefix, sum)| self.prefix(prefix.as_deref(), sum));
        self.ttls.iter_mut().zip(later.ttls).for_each(|(all, more)| all.add(more));
        later.top.into_iter().for_each(|Reverse(key)| self.big(key, options));
    }
}

fn elements_of(value: &Value) -> u64 {
    match value {
        Value::Str(string) => string.len() as u64,
        Value::List(list) => list.len() as u64,
        Value::Set(set) => set.len() as u64,
        Value::Hash(hash) => hash.len() as u64,
        Value::ZSet(zset) => zset.len() as u64,
        Value::Stream(stream) => stream.entries().len(),
    }
}

/// What a key begins with, the separator not in it.
fn prefix_of<'k>(key: &'k [u8], separator: &[u8]) -> Option<&'k [u8]> {
    if separator.is_empty() {
        return None;
    }
    let at = key.windows(separator.len()).position(|window| window == separator)?;
    key.get(..at.min(MOST_PREFIX_BYTES))
}

fn class_of(expire_at_ms: Option<i64>, now_ms: i64) -> usize {
    match expire_at_ms.map(|at_ms| at_ms.saturating_sub(now_ms)) {
        None => 6,
        Some(..=0) => 0,
        Some(..HOUR_MS) => 1,
        Some(..DAY_MS) => 2,
        Some(left_ms) if left_ms < 7 * DAY_MS => 3,
        Some(left_ms) if left_ms < 30 * DAY_MS => 4,
        Some(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_classed_by_prefix_and_time() {
        assert_eq!(prefix_of(b"user:1:name", b":"), Some(&b"user"[..]));
        assert_eq!(prefix_of(b"user", b":"), None);
        assert_eq!(prefix_of(b":x", b":"), Some(&b""[..]));
        assert_eq!(prefix_of(b"a::b", b"::"), Some(&b"a"[..]));
        let classes = [
            None,
            Some(5),
            Some(7),
            Some(6 + HOUR_MS),
            Some(6 + DAY_MS),
            Some(6 + 7 * DAY_MS),
            Some(6 + 30 * DAY_MS),
        ];
        assert_eq!(classes.map(|at_ms| class_of(at_ms, 6)), [6, 0, 1, 2, 3, 4, 5]);
    }
}
