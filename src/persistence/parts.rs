//! Decoding a snapshot that lies in one piece on several threads: one cuts it into parts of whole records, the others decode
//! them with the decoder that everybody uses.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::base::crc::{crc64, crc64_joined};
use crate::format::rdb::cut::{Cutter, End, Part};
use crate::format::rdb::{CHECKSUM_BYTES, HEADER_BYTES, ReadOptions};

/// Bytes of a part.
const PART_BYTES: usize = 1 << 20;
/// Below this a snapshot is decoded by the calling thread alone.
const WORTH_BYTES: usize = 4 << 20;
/// Most threads that decode; more wait for each other and for memory.
const MOST_THREADS: usize = 8;

/// How a snapshot is decoded in parts.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Threads that decode.
    pub threads: usize,
    /// Bytes of a part, about.
    pub part_bytes: usize,
}

impl Plan {
    /// For a snapshot of so many bytes on this machine; `None` if it is not worth it.
    pub fn of(bytes: usize) -> Option<Plan> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        (bytes >= WORTH_BYTES && threads > 1).then_some(Plan { threads, part_bytes: PART_BYTES })
    }
}

/// A snapshot could not be decoded in parts. Which of its faults comes first is not known: whoever must know reads it through
/// from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsound;

/// Cuts a snapshot, lets several threads decode the parts, each with a worker of its own that `make` makes, and gives what
/// comes of them to `take`, in the order of the parts, with where they lie. The checksum is verified if `options` say so.
///
/// `passed` is told ranges that were read, as soon as they were, in no order, also of long records that are not yet decoded:
/// whoever gives memory back for them only costs reading again what is needed once more.
///
/// # Errors
/// Something is wrong with one of the parts, or with how they follow each other.
pub fn decode_in_parts<T: Send, E: Send, W: FnMut(&Part) -> Result<T, E>>(
    bytes: &[u8],
    options: ReadOptions,
    plan: Plan,
    passed: PassedRange<'_>,
    make: impl Fn() -> W + Sync,
    mut take: impl FnMut(T, &Part, u64),
) -> Result<End, Unsound> {
    let read_to = Follower::new(passed, 0);
    let tell = |at| read_to.at(at);
    let mut cutter = Cutter::new(bytes, &options).map_err(|_| Unsound)?.telling(&tell);
    let has_failed = AtomicBool::new(false);
    let mut order = InOrder::new(bytes);
    let end = thread::scope(|scope| {
        let (parts, to_decode) = sync_channel::<(usize, Part)>(plan.threads * 2);
        let (done, results) = channel();
        let to_decode = Arc::new(Mutex::new(to_decode));
        for _ in 0..plan.threads {
            let (done, to_decode) = (done.clone(), Arc::clone(&to_decode));
            let (make, has_failed) = (&make, &has_failed);
            scope.spawn(move || {
                let mut work = make();
                while let Some((index, part)) = next_of(&to_decode) {
                    let result = work(&part);
                    has_failed.fetch_or(result.is_err(), Ordering::Relaxed);
                    let crc = if options.verify_checksum { sum(bytes, &part.bytes, passed) } else { 0 };
                    if done.send(Done { index, part, crc, result }).is_err() {
                        return;
                    }
                }
            });
        }
        // With the last thread that decodes, what it waits for is gone, and the other way round.
        drop((done, to_decode));
        let mut index = 0;
        while !has_failed.load(Ordering::Relaxed)
            && let Some(part) = cutter.next_part(plan.part_bytes).map_err(|_| Unsound)?
        {
            if parts.send((index, part)).is_err() {
                break;
            }
            index += 1;
            while let Ok(done) = results.try_recv() {
                order.take(done, &mut take)?;
            }
        }
        drop(parts);
        for done in results {
            order.take(done, &mut take)?;
        }
        cutter.end().ok_or(Unsound)
    })?;
    if options.verify_checksum && end.checksum.is_some_and(|written| written != order.crc_at(&end)) {
        return Err(Unsound);
    }
    Ok(end)
}

/// Told of ranges of bytes that were read.
pub type PassedRange<'p> = &'p (dyn Fn(Range<usize>) + Sync);

/// Tells of what one reader passes.
pub struct Follower<'p> {
    passed: PassedRange<'p>,
    last: AtomicUsize,
}

impl<'p> Follower<'p> {
    /// A reader that begins at `at`.
    pub fn new(passed: PassedRange<'p>, at: usize) -> Follower<'p> {
        Follower { passed, last: AtomicUsize::new(at) }
    }

    /// The reader has come to `at`.
    pub fn at(&self, at: usize) {
        let from = self.last.swap(at, Ordering::Relaxed);
        if from < at {
            (self.passed)(from..at);
        }
    }
}

/// Bytes of a part that are summed up before they are told of.
const SUMMED_AT_ONCE_BYTES: usize = 4 << 20;

/// The checksum of a range by itself.
pub fn sum(bytes: &[u8], range: &Range<usize>, passed: PassedRange<'_>) -> u64 {
    let mut crc = 0;
    for start in range.clone().step_by(SUMMED_AT_ONCE_BYTES) {
        let piece = start..range.end.min(start + SUMMED_AT_ONCE_BYTES);
        crc = crc64(crc, bytes.get(piece.clone()).unwrap_or_default());
        passed(piece);
    }
    crc
}

fn next_of(parts: &Mutex<Receiver<(usize, Part)>>) -> Option<(usize, Part)> {
    parts.lock().ok()?.recv().ok()
}

/// What a thread has done.
struct Done<T, E> {
    index: usize,
    part: Part,
    /// The part's checksum by itself.
    crc: u64,
    result: Result<T, E>,
}

/// Results that may come in any order.
struct InOrder<'b, T> {
    bytes: &'b [u8],
    next: usize,
    early: BTreeMap<usize, (Part, u64, T)>,
    /// Of the bytes up to the end of the last part in order.
    crc: u64,
    end: usize,
}

impl<'b, T> InOrder<'b, T> {
    fn new(bytes: &'b [u8]) -> InOrder<'b, T> {
        let crc = crc64(0, bytes.get(..HEADER_BYTES).unwrap_or_default());
        InOrder { bytes, next: 0, early: BTreeMap::new(), crc, end: HEADER_BYTES }
    }

    fn take<E>(&mut self, done: Done<T, E>, take: &mut impl FnMut(T, &Part, u64)) -> Result<(), Unsound> {
        self.early.insert(done.index, (done.part, done.crc, done.result.map_err(|_| Unsound)?));
        while let Some((part, crc, result)) = self.early.remove(&self.next) {
            self.next += 1;
            self.crc = crc64_joined(self.crc, crc, part.bytes.len() as u64);
            self.end = part.bytes.end;
            take(result, &part, self.crc);
        }
        Ok(())
    }

    /// The checksum that should stand at the end.
    fn crc_at(&self, end: &End) -> u64 {
        let to = (end.bytes as usize).saturating_sub(CHECKSUM_BYTES);
        crc64(self.crc, self.bytes.get(self.end..to).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Rng;
    use crate::command::Settings;
    use crate::format::rdb::Header;
    use crate::format::rdb::writer::{GatheringWriter, Usage};
    use crate::keyspace::Keyspace;
    use crate::persistence::load::{Facts, Inserting, LoadError, read_in_parts, read_in_turn};
    use crate::persistence::testing::{Contents, NOW_MS, contents};
    use crate::value::{Str, Value};

    const SMALL: Plan = Plan { threads: 4, part_bytes: 300 };

    /// A snapshot of strings under these keys, in two databases.
    fn snapshot(keys: &[String]) -> Vec<u8> {
        let mut writer = GatheringWriter::gathering(true);
        let Ok(()) = writer.header(&Header::default());
        for (db, keys) in keys.chunks(keys.len().div_ceil(2)).enumerate() {
            let Ok(()) = writer.select_db(db as u32 * 3, keys.len() as u64, 0);
            for (n, key) in keys.iter().enumerate() {
                let value = Value::Str(Str::from_slice(format!("value of {key}").as_bytes()));
                let expires = (n % 3 == 0).then_some(NOW_MS + 1_000_000);
                let Ok(()) = writer.entry(key.as_bytes(), &value, expires, Usage::None);
            }
        }
        writer.end()
    }

    type Loaded = Result<(Facts, Contents), String>;

    fn both(bytes: &[u8], databases: u32) -> (Loaded, Loaded) {
        let how = Inserting::new(&Settings::default(), NOW_MS);
        let told = |loaded: Result<Facts, LoadError>, keyspace: &Keyspace| {
            loaded.map(|facts| (facts, contents(keyspace))).map_err(|error| format!("{error:?}"))
        };
        let (one, several) = (Keyspace::new(databases), Keyspace::new(databases));
        let in_turn = read_in_turn(bytes, &one, &how, |_| ());
        let in_parts = read_in_parts(bytes, &several, &how, SMALL, |_| ());
        (told(in_turn, &one), told(in_parts, &several))
    }

    fn keys(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("key:{n}")).collect()
    }

    #[test]
    fn several_threads_load_what_one_loads() {
        for count in [1, 7, 900] {
            let (in_turn, in_parts) = both(&snapshot(&keys(count)), 16);
            let (facts, _) = in_turn.as_ref().expect("a sound snapshot");
            assert_eq!(facts.keys, count as u64);
            assert!(facts.checksum.is_some());
            assert_eq!(in_turn, in_parts);
        }
    }

    #[test]
    fn a_false_number_of_keys_is_not_believed() {
        for (db, told) in [(0, u64::MAX), (0, 1), (0, 100_000), (15, u64::MAX), (u32::MAX, u64::MAX)] {
            let mut writer = GatheringWriter::gathering(true);
            let Ok(()) = writer.header(&Header::default());
            let Ok(()) = writer.select_db(db, told, told);
            let Ok(()) = writer.select_db(1, told, told);
            for key in keys(900) {
                let Ok(()) = writer.entry(key.as_bytes(), &Value::Str(Str::Int(1)), None, Usage::None);
            }
            let (in_turn, in_parts) = both(&writer.end(), 16);
            assert_eq!(in_turn.as_ref().expect("a sound snapshot").0.keys, 900);
            assert_eq!(in_turn, in_parts);
        }
    }

    #[test]
    fn they_find_the_same_fault() {
        let mut twice = keys(300);
        twice[140] = twice[3].clone();
        let (in_turn, in_parts) = both(&snapshot(&twice), 16);
        assert!(in_turn.as_ref().is_err_and(|error| error.contains("DuplicateKey")), "{in_turn:?}");
        assert_eq!(in_turn, in_parts);
        let (in_turn, in_parts) = both(&snapshot(&keys(300)), 2);
        assert!(in_turn.as_ref().is_err_and(|error| error.contains("Database")), "{in_turn:?}");
        assert_eq!(in_turn, in_parts);
        let sound = snapshot(&keys(200));
        let mut rng = Rng::from_seed(3);
        for _ in 0..200 {
            let mut bytes = sound.clone();
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << rng.below(8);
            bytes.truncate(bytes.len() - rng.below(2) as usize);
            let (in_turn, in_parts) = both(&bytes, 16);
            assert_eq!(in_turn, in_parts, "byte {at}");
            assert!(in_parts.is_err());
        }
    }
}
