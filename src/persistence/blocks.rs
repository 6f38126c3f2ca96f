//! Encoding a snapshot on several threads: each encodes the shards whose turn it is, into blocks of whole records, and one
//! writes the blocks as they come. The order of records within a database means nothing.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use super::snapshot::{SnapshotOptions, UsageKind, write_entry};
use crate::format::rdb::RdbWriter;
use crate::format::rdb::writer::{BlockWriter, TooLong};
use crate::keyspace::{Entry, Locked, Shard};

/// Bytes of a block, about.
const BLOCK_BYTES: usize = 512 << 10;
/// A record that would make a block longer is left to the thread that writes, which needs no room for it.
const BLOCK_MOST_BYTES: usize = 8 << 20;
/// A database of fewer keys is encoded by the thread that writes.
const WORTH_KEYS: u64 = 10_000;
/// Most threads that encode; more wait for the one that writes.
const MOST_THREADS: usize = 8;

/// How a database is encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Threads that encode.
    pub(super) threads: usize,
    /// Bytes of a block, about.
    pub(super) block_bytes: usize,
    /// Most bytes of a block.
    pub(super) most_bytes: usize,
}

impl Plan {
    /// For a database of so many keys on this machine; `None` if it is not worth it.
    pub(super) fn of(keys: u64) -> Option<Plan> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        let plan = Plan { threads, block_bytes: BLOCK_BYTES, most_bytes: BLOCK_MOST_BYTES };
        (keys >= WORTH_KEYS && threads > 1).then_some(plan)
    }
}

/// Whole records, and how many.
struct Block {
    bytes: Vec<u8>,
    keys: u64,
}

/// Writes all entries of a database, which was begun before and is locked whole; returns their number.
pub(super) fn write_db<E, S: FnMut(&[u8]) -> Result<(), E>>(
    rdb: &mut RdbWriter<S>,
    locked: &Locked<'_>,
    db: u32,
    plan: Plan,
    options: &SnapshotOptions,
    now_ms: i64,
) -> Result<u64, E> {
    let shards: Vec<&Shard> = locked.iter().map(|(_, shard)| shard).collect();
    let (next, left_over) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let mut keys = 0;
    thread::scope(|scope| {
        let (to_write, blocks) = sync_channel(plan.threads * 2);
        for _ in 0..plan.threads {
            let encoder = Encoder {
                writer: rdb.block_writer(options.format, plan.most_bytes),
                plan,
                usage: options.usage,
                now_ms,
                to_write: to_write.clone(),
                left_over: &left_over,
                keys: 0,
            };
            let (shards, next) = (&shards, &next);
            scope.spawn(move || encoder.run(db, shards, next));
        }
        drop(to_write);
        // When writing fails, the others find nobody who takes their blocks, and end.
        for Block { bytes, keys: more } in blocks {
            rdb.records(&bytes)?;
            keys += more;
        }
        Ok(())
    })?;
    let left_over = left_over.into_inner().unwrap_or_default();
    for entry in &left_over {
        write_entry(rdb, entry, options.usage, now_ms)?;
    }
    Ok(keys + left_over.len() as u64)
}

/// One of the threads.
struct Encoder<'s, 'e> {
    writer: BlockWriter,
    plan: Plan,
    usage: UsageKind,
    now_ms: i64,
    to_write: SyncSender<Block>,
    left_over: &'s Mutex<Vec<&'e Entry>>,
    /// Records in the writer.
    keys: u64,
}

/// Nobody wants blocks any more.
struct Unwanted;

impl<'e> Encoder<'_, 'e> {
    fn run(mut self, db: u32, shards: &[&'e Shard], next: &AtomicUsize) {
        // An error means that writing has failed, and there it is told.
        let _ = self.encode(db, shards, next);
    }

    fn encode(&mut self, db: u32, shards: &[&'e Shard], next: &AtomicUsize) -> Result<(), Unwanted> {
        while let Some(shard) = shards.get(next.fetch_add(1, Ordering::Relaxed)) {
            for entry in shard.db(db).iter() {
                self.entry(entry)?;
            }
        }
        self.send()
    }

    fn entry(&mut self, entry: &'e Entry) -> Result<(), Unwanted> {
        let before = self.writer.gathered_bytes();
        match write_entry(&mut self.writer, entry, self.usage, self.now_ms) {
            Ok(()) => self.keys += 1,
            Err(TooLong) => {
                self.writer.cut_to(before);
                if let Ok(mut left_over) = self.left_over.lock() {
                    left_over.push(entry);
                }
            }
        }
        if self.writer.gathered_bytes() >= self.plan.block_bytes { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), Unwanted> {
        let block = Block { bytes: self.writer.take_block(), keys: std::mem::take(&mut self.keys) };
        self.to_write.send(block).map_err(|_| Unwanted)
    }
}
