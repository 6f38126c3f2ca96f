//! A snapshot of a keyspace that goes on serving: no child, no copy, no file.
//!
//! [`LiveSnapshot::begin`] holds all shards for a moment, in which every database is told of the snapshot
//! ([`crate::keyspace::capture`]). After that each [`LiveSnapshot::step`] writes a little under one shard's lock. What a
//! command is about to change before the walk has come there is written at once, by the command's own thread, into a
//! buffer of records; the walk hands that on. So the snapshot is that of the first moment, in an order of its own.
//!
//! A heavy value is written in pieces, and nobody else may change it meanwhile: a command that is about to would have to
//! write all that is left of it. Those who can wait look first ([`Db::is_held`]), which also asks for the value, and come back
//! when it is in the snapshot. Values asked for come first.
//!
//! What waits in buffers is bounded. Beyond the bound the snapshot is given up; then, and whenever it is not wanted any more,
//! [`LiveSnapshot::sweep`] must be called until the keyspace has no trace of it left.

use super::Point;
use super::snapshot::{self, SnapshotOptions, UsageKind};
use crate::base::time::Clock;
use crate::format::rdb::pieces::Pieces;
use crate::format::rdb::writer::GatheringWriter;
use crate::keyspace::capture::{Keeper, Taken, Walked, is_heavy};
use crate::keyspace::freeing::free_later;
use crate::keyspace::{Db, Entry, Keyspace, SHARD_COUNT, ValueRef, shard_of};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes that are written under one hold of a lock.
const SLICE_BYTES: usize = 64 * 1024;
/// Bytes of records written ahead that are handed on together.
const BLOCK_BYTES: usize = 256 * 1024;
/// Segments that are rid of a snapshot's marks under one hold of a lock.
const SWEPT_SEGMENTS: usize = 4;

/// Tells whoever takes the steps that there is something to do: a value was asked for, or the snapshot is over.
pub type Wake = Box<dyn Fn() + Send + Sync>;

/// A heavy value that is being written, and how far it is.
struct Heavy {
    db: u32,
    hash: u64,
    key: Box<[u8]>,
    pieces: Pieces,
    /// What a command that had to change it has written of it: the rest.
    rest: Option<Vec<u8>>,
}

impl Heavy {
    /// Writes the next piece; true when it was the last.
    fn write(&mut self, rdb: &mut GatheringWriter, entry: &Entry) -> bool {
        let Ok(done) = match entry.value() {
            ValueRef::Int(_) => Ok(true),
            ValueRef::Bytes(bytes) => rdb.string_piece(&mut self.pieces, bytes),
            ValueRef::Object(value) => rdb.piece(&mut self.pieces, value),
        };
        done
    }
}

/// Records that commands have written, each whole, in blocks that each begin with their database.
struct Ahead {
    rdb: GatheringWriter,
    /// The database of the last record in the writer.
    db: Option<u32>,
    /// Blocks that are full.
    blocks: VecDeque<Vec<u8>>,
    /// Bytes in all of it.
    bytes: usize,
}

impl Ahead {
    fn write(&mut self, db: u32, entry: &Entry) {
        let before = self.rdb.gathered_bytes();
        if self.db != Some(db) {
            let Ok(()) = self.rdb.continue_db(db);
            self.db = Some(db);
        }
        write_entry(&mut self.rdb, entry);
        self.bytes += self.rdb.gathered_bytes() - before;
        if self.rdb.gathered_bytes() >= BLOCK_BYTES {
            self.blocks.push_back(self.rdb.take());
            self.db = None;
        }
    }

    fn take_block(&mut self) -> Vec<u8> {
        let block = self.blocks.pop_front().unwrap_or_else(|| {
            self.db = None;
            self.rdb.take()
        });
        self.bytes -= block.len();
        block
    }
}

type Asked = (u32, u64, Box<[u8]>);

/// What commands and the walk share.
struct Shared {
    ahead: Mutex<Ahead>,
    ahead_bytes: AtomicUsize,
    /// Bytes that the walk has written and not handed on.
    written_bytes: AtomicUsize,
    /// Bytes that were taken and wait to be sent.
    queued_bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
    limit_bytes: usize,
    /// Taken out by the walk while that holds the shard of its key: nobody else could use it then.
    heavy: Mutex<Option<Heavy>>,
    /// Heavy values that are to come first: database, hash and key.
    asked: Mutex<VecDeque<Asked>>,
    over: AtomicBool,
    wake: Wake,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Gives the snapshot up.
    fn give_up(&self) {
        self.over.store(true, Ordering::Release);
        (self.wake)();
    }

    /// Bytes that wait to be taken or sent.
    fn waiting_bytes(&self) -> usize {
        let counters = [&self.ahead_bytes, &self.written_bytes, &self.queued_bytes];
        counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum()
    }

    /// Gives it up if more waits than may.
    fn check_limit(&self) {
        let waiting = self.waiting_bytes();
        self.peak_bytes.fetch_max(waiting, Ordering::Relaxed);
        if waiting > self.limit_bytes && !self.is_over() {
            self.give_up();
        }
    }

    /// If this is the heavy value that is being written, writes all the rest of it.
    fn finish_heavy(&self, db: u32, hash: u64, entry: &Entry) -> bool {
        let mut heavy = self.heavy.lock();
        let is_this = |heavy: &&mut Heavy| heavy.db == db && heavy.hash == hash && *heavy.key == *entry.key();
        let Some(heavy) = heavy.as_mut().filter(is_this) else { return false };
        let mut rdb = GatheringWriter::gathering(false);
        while !heavy.write(&mut rdb, entry) {}
        heavy.rest = Some(rdb.take());
        true
    }
}

impl Keeper for Shared {
    fn keep(&self, db: u32, hash: u64, entry: &Entry) {
        if self.is_over() || self.finish_heavy(db, hash, entry) {
            return;
        }
        let mut ahead = self.ahead.lock();
        ahead.write(db, entry);
        self.ahead_bytes.store(ahead.bytes, Ordering::Relaxed);
        drop(ahead);
        self.check_limit();
    }

    fn hurry(&self, db: u32, hash: u64, key: &[u8]) {
        let mut asked = self.asked.lock();
        if !asked.iter().any(|(other, _, known)| *other == db && **known == *key) {
            asked.push_back((db, hash, key.into()));
        }
        drop(asked);
        (self.wake)();
    }

    fn is_over(&self) -> bool {
        Shared::is_over(self)
    }
}

fn write_entry(rdb: &mut GatheringWriter, entry: &Entry) {
    let Ok(()) = snapshot::write_entry(rdb, entry, UsageKind::None, 0);
}

/// Tells how much of a snapshot waits in memory, as long as there is one.
pub struct Waiting(Arc<Shared>);

impl Waiting {
    /// Bytes that are written and not yet sent.
    pub fn bytes(&self) -> usize {
        self.0.waiting_bytes()
    }
}

/// How far a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is more to do.
    Going,
    /// The last bytes are written.
    Ended,
    /// It was given up, because more waited to be handed on than may.
    Over,
}

/// A snapshot on its way.
pub struct LiveSnapshot {
    shared: Arc<Shared>,
    rdb: GatheringWriter,
    /// The database of the last record.
    db: Option<u32>,
    /// The shard where the walk is.
    shard: usize,
    /// Heavy values that have come into the snapshot.
    heavy_done: u64,
    point: Option<Point>,
}

impl LiveSnapshot {
    /// Marks the moment. `at` is called with all shards held, and says which place in the history this is; `limit_bytes`
    /// bounds what may wait to be taken.
    ///
    /// Only one may be on its way in a keyspace.
    pub fn begin(
        keyspace: &Keyspace,
        at: impl FnOnce() -> Option<Point>,
        clock: &dyn Clock,
        options: &SnapshotOptions,
        limit_bytes: usize,
        wake: Wake,
    ) -> LiveSnapshot {
        let mut moment = snapshot::moment(None, clock);
        let rdb = GatheringWriter::gathering(false);
        let ahead = Ahead { rdb, db: None, blocks: VecDeque::new(), bytes: 0 };
        let shared = Arc::new(Shared {
            ahead: Mutex::new(ahead),
            ahead_bytes: AtomicUsize::new(0),
            written_bytes: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
            limit_bytes,
            heavy: Mutex::new(None),
            asked: Mutex::default(),
            over: AtomicBool::new(false),
            wake,
        });
        let keeper: Arc<dyn Keeper> = shared.clone();
        let databases = keyspace.databases();
        let mut rdb = GatheringWriter::gathering(options.format.checksum);
        let mut locked = keyspace.lock_all();
        moment.point = at();
        let Ok(()) = snapshot::write_header(&mut rdb, &locked, databases, &moment, options);
        for db in 0..databases {
            let (keys, expiring) = snapshot::count(&locked, db);
            if keys > 0 {
                let Ok(()) = rdb.select_db(db, keys, expiring);
            }
        }
        shared.ahead.lock().rdb = rdb.for_records();
        for (index, shard) in locked.iter_mut() {
            shard.begin_capture(index, databases, &keeper);
        }
        drop(locked);
        LiveSnapshot { shared, rdb, db: None, shard: 0, heavy_done: 0, point: moment.point }
    }

    /// The place in the history of which this is a snapshot.
    pub fn point(&self) -> Option<Point> {
        self.point
    }

    /// Whether a heavy value was asked for that is not yet written.
    pub fn is_asked(&self) -> bool {
        !self.shared.asked.lock().is_empty()
    }

    /// Tells how much of it waits in memory.
    pub fn waiting(&self) -> Waiting {
        Waiting(self.shared.clone())
    }

    /// Heavy values that have come into the snapshot so far.
    pub fn heavy_done(&self) -> u64 {
        self.heavy_done
    }

    /// The most bytes that have waited to be taken.
    pub fn peak_bytes(&self) -> usize {
        self.shared.peak_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that [`LiveSnapshot::take`] would give.
    pub fn gathered_bytes(&self) -> usize {
        self.rdb.gathered_bytes()
    }

    /// Takes what was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        let bytes = self.rdb.take();
        self.shared.written_bytes.store(0, Ordering::Relaxed);
        bytes
    }

    /// Tells how many bytes that were taken wait to be sent: they count as those that were not.
    pub fn note_queued(&self, bytes: usize) {
        self.shared.queued_bytes.store(bytes, Ordering::Relaxed);
        self.shared.check_limit();
    }

    /// Gives the snapshot up.
    pub fn give_up(&self) {
        self.shared.give_up();
    }

    /// Writes a little more, holding at most one shard, and that briefly.
    pub fn step(&mut self, keyspace: &Keyspace) -> Step {
        let step = self.step_asked(keyspace);
        if step != Step::Ended {
            return step;
        }
        if self.take_ahead() || self.walk(keyspace) || self.take_ahead() {
            self.wrote();
            return Step::Going;
        }
        let end = self.rdb.end();
        let Ok(()) = self.rdb.records(&end);
        Step::Ended
    }

    /// As [`LiveSnapshot::step`], but [`Step::Ended`] as soon as no heavy value is begun or asked for.
    pub fn step_asked(&mut self, keyspace: &Keyspace) -> Step {
        if self.shared.is_over() {
            return Step::Over;
        }
        if !(self.write_heavy(keyspace) || self.begin_asked(keyspace)) {
            return Step::Ended;
        }
        self.wrote();
        Step::Going
    }

    fn wrote(&self) {
        self.shared.written_bytes.store(self.rdb.gathered_bytes(), Ordering::Relaxed);
        self.shared.check_limit();
    }

    fn select(&mut self, db: u32) {
        if self.db != Some(db) {
            let Ok(()) = self.rdb.continue_db(db);
            self.db = Some(db);
        }
    }

    /// Hands on some of what commands have written; false if that is nothing.
    fn take_ahead(&mut self) -> bool {
        let mut ahead = self.shared.ahead.lock();
        let records = ahead.take_block();
        self.shared.ahead_bytes.store(ahead.bytes, Ordering::Relaxed);
        drop(ahead);
        if records.is_empty() {
            return false;
        }
        let Ok(()) = self.rdb.records(&records);
        self.db = None;
        true
    }

    /// Writes some pieces of the heavy value that is begun; false if none is.
    fn write_heavy(&mut self, keyspace: &Keyspace) -> bool {
        let Some(hash) = self.shared.heavy.lock().as_ref().map(|heavy| heavy.hash) else { return false };
        let mut shard = keyspace.lock_shard(shard_of(hash));
        let Some(mut heavy) = self.shared.heavy.lock().take() else { return false };
        if let Some(rest) = heavy.rest {
            let Ok(()) = self.rdb.records(&rest);
            self.heavy_done += 1;
            return true;
        }
        let slice = shard.captured_as(heavy.db);
        let found = slice.and_then(|slice| slice.wanted(hash, &heavy.key).is_some().then_some(slice));
        let Some(slice) = found else {
            // Whoever changes it writes the rest first; without that the snapshot cannot go on.
            debug_assert!(false, "a heavy value went that was being written");
            self.shared.give_up();
            return true;
        };
        let enough = self.rdb.gathered_bytes() + SLICE_BYTES;
        let mut done = false;
        while !done && self.rdb.gathered_bytes() < enough {
            let Some(entry) = slice.wanted(hash, &heavy.key) else { break };
            done = heavy.write(&mut self.rdb, entry);
        }
        if done {
            slice.set_kept(hash, &heavy.key);
            self.heavy_done += 1;
        } else {
            *self.shared.heavy.lock() = Some(heavy);
        }
        true
    }

    /// Begins a value that was asked for; false if none was.
    fn begin_asked(&mut self, keyspace: &Keyspace) -> bool {
        let Some((db, hash, key)) = self.shared.asked.lock().pop_front() else { return false };
        let mut shard = keyspace.lock_shard(shard_of(hash));
        let Some(slice) = shard.captured_as(db) else { return true };
        if let Some(entry) = slice.wanted(hash, &key).filter(|entry| is_heavy(entry)) {
            self.select(db);
            begin_heavy(&mut self.rdb, &self.shared, db, entry);
        }
        true
    }

    /// Writes a slice of the next segment; false at the end.
    fn walk(&mut self, keyspace: &Keyspace) -> bool {
        while self.shard < SHARD_COUNT {
            let mut shard = keyspace.lock_shard(self.shard);
            let Some(slice) = shard.captured() else {
                let aside = shard.drain_set_aside(false);
                drop(shard);
                free(aside);
                self.shard += 1;
                continue;
            };
            let db = slice.captured_db().unwrap_or_default();
            self.select(db);
            let (rdb, shared) = (&mut self.rdb, &self.shared);
            let enough = rdb.gathered_bytes() + SLICE_BYTES;
            slice.walk_captured(|entry| {
                if is_heavy(entry) {
                    begin_heavy(rdb, shared, db, entry);
                    return Taken::Begun;
                }
                write_entry(rdb, entry);
                if rdb.gathered_bytes() < enough { Taken::Whole } else { Taken::WholeAndEnough }
            });
            return true;
        }
        false
    }

    /// Rids the keyspace of a little of what a snapshot that was given up has left in it; true when nothing is left.
    pub fn sweep(&mut self, keyspace: &Keyspace) -> bool {
        if !self.shared.is_over() {
            self.shared.give_up();
        }
        let mut ahead = self.shared.ahead.lock();
        let blocks = std::mem::take(&mut ahead.blocks);
        drop(ahead.rdb.take());
        (ahead.db, ahead.bytes) = (None, 0);
        drop(ahead);
        if !blocks.is_empty() {
            free_later(blocks);
        }
        drop(self.rdb.take());
        self.shared.asked.lock().clear();
        while self.shard < SHARD_COUNT {
            let mut shard = keyspace.lock_shard(self.shard);
            let aside = shard.drain_set_aside(true);
            let mut segments = 0;
            while segments < SWEPT_SEGMENTS
                && let Some(slice) = shard.captured()
            {
                segments += usize::from(slice.walk_captured(|_| Taken::Whole) == Walked::Part);
            }
            let is_clean = shard.captured().is_none();
            drop(shard);
            free(aside);
            if !is_clean {
                return false;
            }
            self.shard += 1;
        }
        true
    }
}

/// Writes what stands before a heavy value.
fn begin_heavy(rdb: &mut GatheringWriter, shared: &Shared, db: u32, entry: &Entry) {
    let (key, expiry) = (entry.key(), entry.expire_at_ms());
    let Ok(()) = match entry.value() {
        ValueRef::Object(value) => rdb.begin_entry(key, value, expiry),
        ValueRef::Int(_) | ValueRef::Bytes(_) => rdb.begin_string(key, expiry),
    };
    let hash = crate::value::hash_bytes(key);
    *shared.heavy.lock() = Some(Heavy { db, hash, key: key.into(), pieces: Pieces::default(), rest: None });
}

fn free(slices: Vec<Db>) {
    if !slices.is_empty() {
        free_later(slices);
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
