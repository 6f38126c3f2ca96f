//! Loading: bytes of a snapshot into a keyspace.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::Point;
use super::judge::first_fault;
use super::parts::{Plan, Unsound, decode_in_parts};
use super::snapshot::{AUX_EPOCH, AUX_EPOCH_SINCE, PacedFile, UsageKind};
use crate::command::{Settings, access};
use crate::format::aof::seal::{Epoch, Lineage};
use crate::format::rdb::cut::Part;
use crate::format::rdb::writer::AUX_PREFIX;
use crate::format::rdb::{Entry, FeedReader, RdbError, RdbReader, ReadOptions, Record};
use crate::keyspace::{Db, Entry as Stored, Keyspace, SHARD_COUNT, db};
use crate::sys::{Disk, DiskError};

/// Mapped pages are let go of each time this many bytes have been read.
const RELEASE_EVERY_BYTES: u64 = 16 << 20;

/// Entries whose places are fetched from memory together.
const FETCHED_AT_ONCE: usize = 64;

/// Room is made for no more keys than a snapshot has so many bytes for each, whatever it says. A key that takes less finds
/// its place, too.
const BYTES_OF_A_KEY: u64 = 16;

/// Why a snapshot could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// Its bytes are not those of a snapshot.
    #[error(transparent)]
    Rdb(#[from] RdbError),
    /// The same key twice in a database.
    #[error("the key \"{}\" of database {db} occurs twice, at byte {offset}", key.escape_ascii())]
    DuplicateKey {
        /// The database.
        db: u32,
        /// The key.
        key: Vec<u8>,
        /// Where its second entry ends, in bytes.
        offset: u64,
    },
    /// A database that this server does not have.
    #[error("keys of database {db}, and there are {databases} (see 'databases')")]
    Database {
        /// The database.
        db: u32,
        /// How many there are.
        databases: u32,
        /// Where the first entry of it ends, in bytes.
        offset: u64,
    },
    /// Bytes behind the end of the snapshot.
    #[error("{bytes} bytes behind the end of the snapshot, which is at byte {offset}")]
    Trailing {
        /// Where the snapshot ends.
        offset: u64,
        /// Bytes behind it.
        bytes: u64,
    },
    /// The bytes ended before the snapshot did.
    #[error("the snapshot is not whole: it breaks off at byte {offset}")]
    Unfinished {
        /// Bytes of it that could be read.
        offset: u64,
    },
}

impl LoadError {
    /// Where it shows, in bytes.
    pub fn offset(&self) -> u64 {
        match self {
            LoadError::Rdb(error) => error.offset,
            LoadError::DuplicateKey { offset, .. }
            | LoadError::Database { offset, .. }
            | LoadError::Trailing { offset, .. }
            | LoadError::Unfinished { offset } => *offset,
        }
    }
}

/// What a snapshot says about itself, and what it held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Keys loaded.
    pub keys: u64,
    /// Length of the snapshot in bytes.
    pub bytes: u64,
    /// Its place in a history of writes, if it names one.
    pub point: Option<Point>,
    /// When it was taken, in seconds of Unix time.
    pub ctime_s: Option<u64>,
    /// Whether it is the base of an append-only file.
    pub aof_base: bool,
    /// The history's epoch, if the snapshot tells it.
    pub epoch: Epoch,
    /// Sources of function libraries.
    pub functions: Vec<Vec<u8>>,
    /// The checksum at its end, if it has one; it has been verified.
    pub checksum: Option<u64>,
    /// Keys left out because their collection was empty.
    pub skipped_empty: u64,
}

/// Facts as they come in.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) facts: Facts,
    lineage: Option<Lineage>,
    offset: Option<u64>,
    stream_db: Option<u32>,
}

impl Gathered {
    pub(super) fn aux(&mut self, key: &[u8], value: &[u8]) {
        let number = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
        match key {
            b"repl-id" => self.lineage = Lineage::from_bytes(value).ok(),
            b"repl-offset" => self.offset = number(),
            b"repl-stream-db" => self.stream_db = number().and_then(|db| u32::try_from(db).ok()),
            b"ctime" => self.facts.ctime_s = number(),
            b"aof-base" => self.facts.aof_base = value == b"1",
            _ => match key.strip_prefix(AUX_PREFIX.as_bytes()).map(std::str::from_utf8) {
                Some(Ok(AUX_EPOCH)) => self.facts.epoch.number = number().unwrap_or(0),
                Some(Ok(AUX_EPOCH_SINCE)) => self.facts.epoch.since = number().unwrap_or(0),
                _ => {}
            },
        }
    }

    /// Takes what is not an entry; of those it counts the keys.
    fn take(&mut self, record: Record<'_>) {
        match record {
            Record::Aux { key, value } => self.aux(key, value),
            Record::Entry(_) => self.facts.keys += 1,
            Record::FunctionCode(code) => self.facts.functions.push(code.to_vec()),
            Record::End { checksum } => self.facts.checksum = checksum,
            Record::SelectDb(_) | Record::ResizeDb { .. } => {}
        }
    }

    /// Takes what a later part of the same snapshot tells.
    pub(super) fn absorb(&mut self, later: Gathered) {
        let (facts, more) = (&mut self.facts, later.facts);
        facts.keys += more.keys;
        facts.skipped_empty += more.skipped_empty;
        facts.ctime_s = more.ctime_s.or(facts.ctime_s);
        facts.aof_base |= more.aof_base;
        facts.epoch = if more.epoch.is_known() { more.epoch } else { facts.epoch };
        facts.functions.extend(more.functions);
        self.lineage = later.lineage.or(self.lineage);
        self.offset = later.offset.or(self.offset);
        self.stream_db = later.stream_db.or(self.stream_db);
    }

    pub(super) fn done(mut self, bytes: u64, skipped_empty: u64) -> Facts {
        self.facts.bytes = bytes;
        self.facts.skipped_empty = skipped_empty;
        if let (Some(lineage), Some(offset)) = (self.lineage, self.offset) {
            self.facts.point = Some(Point { lineage, offset, db: self.stream_db.unwrap_or(0) });
        }
        self.facts
    }
}

/// How entries go into a keyspace.
#[derive(Debug, Clone)]
pub struct Inserting {
    /// How snapshots are read.
    pub read: ReadOptions,
    /// What the access field of entries means.
    pub usage: UsageKind,
    /// Unix time in ms.
    pub now_ms: i64,
}

impl Inserting {
    /// By a server's settings.
    pub fn new(settings: &Settings, now_ms: i64) -> Inserting {
        let usage = if settings.lfu { UsageKind::Lfu } else { UsageKind::Lru };
        let (limits, verify_checksum) = (settings.limits, settings.verify_checksums);
        Inserting { read: ReadOptions { limits, verify_checksum, ..ReadOptions::default() }, usage, now_ms }
    }

    fn access(&self, entry: &Entry<'_>) -> u32 {
        match self.usage {
            UsageKind::Lfu => {
                let fresh = access::lfu_fresh(self.now_ms);
                entry.lfu.map_or(fresh, |count| fresh & !0xff | u32::from(count))
            }
            UsageKind::None | UsageKind::Lru => {
                let idle_ms =
                    entry.idle_s.and_then(|s| i64::try_from(s).ok()?.checked_mul(1000)).unwrap_or(0);
                access::lru_now(self.now_ms.saturating_sub(idle_ms))
            }
        }
    }

    /// The entry as it is stored, and its shard.
    fn stored(&self, entry: Entry<'_>) -> (usize, Pending) {
        let access = self.access(&entry);
        let (shard, hash) = db::locate(entry.key);
        let mut stored = Stored::new(entry.key, entry.value, entry.expire_at_ms);
        stored.set_access(access);
        (shard, Pending { db: entry.db, hash, entry: stored })
    }

    /// Adds an entry that must be new.
    fn insert(&self, keyspace: &Keyspace, entry: Entry<'_>, offset: u64) -> Result<(), LoadError> {
        let databases = keyspace.databases();
        if entry.db >= databases {
            return Err(LoadError::Database { db: entry.db, databases, offset });
        }
        let (shard, Pending { db, hash, entry }) = self.stored(entry);
        keyspace
            .lock_shard(shard)
            .db_mut(db)
            .insert_if_new(hash, entry)
            .map_err(|entry| LoadError::DuplicateKey { db, key: entry.key().to_vec(), offset })
    }
}

/// An entry on its way into a keyspace.
struct Pending {
    db: u32,
    hash: u64,
    entry: Stored,
}

/// Entries on their way into a keyspace, by shard. What room they took is kept for those that come next.
struct Batch(Vec<Vec<Pending>>);

impl Batch {
    fn new() -> Batch {
        Batch((0..SHARD_COUNT).map(|_| Vec::new()).collect())
    }

    fn add(&mut self, shard: usize, pending: Pending) {
        self.0[shard].push(pending);
    }

    /// Adds the entries, which must all be new and of databases that there are, shard by shard: so a lock is taken for
    /// many, and what their places in the tables are is fetched from memory for several at a time.
    fn insert_into(&mut self, keyspace: &Keyspace) -> Result<(), NotNew> {
        for (index, entries) in self.0.iter_mut().enumerate().filter(|(_, entries)| !entries.is_empty()) {
            let mut shard = keyspace.lock_shard(index);
            while !entries.is_empty() {
                let from = entries.len().saturating_sub(FETCHED_AT_ONCE);
                entries.iter().skip(from).for_each(|pending| shard.db(pending.db).fetch(pending.hash));
                for Pending { db, hash, entry } in entries.drain(from..) {
                    shard.db_mut(db).insert_if_new(hash, entry).map_err(|_| NotNew)?;
                }
            }
        }
        Ok(())
    }
}

/// Makes room in a database that is still empty for the keys that a snapshot of so many bytes says it has.
fn make_room(keyspace: &Keyspace, db: u32, keys: u64, bytes: usize) {
    if db < keyspace.databases() {
        keyspace.make_room(db, keys.min(bytes as u64 / BYTES_OF_A_KEY) as usize);
    }
}

/// A key of them was there before.
struct NotNew;

/// Loads a snapshot that lies in one piece and begins at the first byte, a big one with several threads. What follows it is
/// not looked at.
///
/// `released` is told how far the bytes are done with. On an error the keyspace holds a part.
pub fn load_rdb(
    bytes: &[u8],
    keyspace: &Keyspace,
    how: &Inserting,
    released: impl FnMut(usize),
) -> Result<Facts, LoadError> {
    match Plan::of(bytes.len()) {
        Some(plan) => read_in_parts(bytes, keyspace, how, plan, released),
        None => read_in_turn(bytes, keyspace, how, released),
    }
}

/// Loads a snapshot on this thread.
pub(super) fn read_in_turn(
    bytes: &[u8],
    keyspace: &Keyspace,
    how: &Inserting,
    released: impl FnMut(usize),
) -> Result<Facts, LoadError> {
    let loaded = read_into(bytes, keyspace, how, released);
    loaded.map_err(|error| match error {
        LoadError::DuplicateKey { .. } | LoadError::Database { .. } => {
            first_fault(bytes, how.read, keyspace.databases())
        }
        other => other,
    })
}

/// As [`read_in_turn`], on several threads.
pub(super) fn read_in_parts(
    bytes: &[u8],
    keyspace: &Keyspace,
    how: &Inserting,
    plan: Plan,
    mut released: impl FnMut(usize),
) -> Result<Facts, LoadError> {
    let databases = keyspace.databases();
    let decode = |batch: &mut Batch, part: &Part| -> Result<Gathered, Unsound> {
        let slice = bytes.get(part.bytes.clone()).unwrap_or_default();
        let mut reader = RdbReader::of_part(slice, part, how.read);
        let (mut gathered, mut db) = (Gathered::default(), part.db);
        while let Some(record) = reader.next_record().map_err(|_| Unsound)? {
            match record {
                Record::Entry(entry) if entry.db >= databases => return Err(Unsound),
                Record::Entry(entry) => {
                    gathered.facts.keys += 1;
                    let (shard, pending) = how.stored(entry);
                    batch.add(shard, pending);
                }
                Record::SelectDb(selected) => db = selected,
                // At once: nothing that follows in this part, or in the next, is decoded before that.
                Record::ResizeDb { keys, .. } => make_room(keyspace, db, keys, bytes.len()),
                other => gathered.take(other),
            }
        }
        gathered.facts.skipped_empty = reader.skipped_empty();
        batch.insert_into(keyspace).map_err(|NotNew| Unsound)?;
        Ok(gathered)
    };
    let (mut all, mut release_at) = (Gathered::default(), RELEASE_EVERY_BYTES);
    let end = decode_in_parts(
        bytes,
        how.read,
        plan,
        &|_| (),
        || {
            let mut batch = Batch::new();
            move |part: &Part| decode(&mut batch, part)
        },
        |gathered, part, _| {
            all.absorb(gathered);
            if part.bytes.end as u64 >= release_at {
                released(part.bytes.end);
                release_at = part.bytes.end as u64 + RELEASE_EVERY_BYTES;
            }
        },
    );
    let Ok(end) = end else { return Err(first_fault(bytes, how.read, databases)) };
    all.facts.checksum = end.checksum;
    let skipped_empty = all.facts.skipped_empty;
    Ok(all.done(end.bytes, skipped_empty))
}

fn read_into(
    bytes: &[u8],
    keyspace: &Keyspace,
    how: &Inserting,
    mut released: impl FnMut(usize),
) -> Result<Facts, LoadError> {
    let mut reader = RdbReader::new(bytes, how.read);
    let (mut gathered, mut db) = (Gathered::default(), 0);
    let mut release_at = RELEASE_EVERY_BYTES;
    loop {
        // The record borrows the reader, and its end is not known before; close is good enough for an error.
        let offset = reader.offset();
        if offset >= release_at {
            released(usize::try_from(offset).unwrap_or(0));
            release_at = offset + RELEASE_EVERY_BYTES;
        }
        match reader.next_record()? {
            Some(Record::SelectDb(selected)) => db = selected,
            Some(Record::ResizeDb { keys, .. }) => make_room(keyspace, db, keys, bytes.len()),
            Some(record) => take(record, keyspace, how, &mut gathered, offset)?,
            None => break,
        }
    }
    Ok(gathered.done(reader.offset(), reader.skipped_empty()))
}

/// Reads a snapshot through without keeping anything. Counts the keys. Keys that occur twice are not found: see
/// [`judge`](super::judge::judge).
pub fn check_rdb(bytes: &[u8], read: ReadOptions) -> Result<Facts, LoadError> {
    let mut reader = RdbReader::new(bytes, read);
    let mut gathered = Gathered::default();
    while let Some(record) = reader.next_record()? {
        gathered.take(record);
    }
    Ok(gathered.done(reader.offset(), reader.skipped_empty()))
}

fn take(
    record: Record<'_>,
    keyspace: &Keyspace,
    how: &Inserting,
    gathered: &mut Gathered,
    offset: u64,
) -> Result<(), LoadError> {
    match record {
        Record::Entry(entry) => {
            how.insert(keyspace, entry, offset)?;
            gathered.facts.keys += 1;
        }
        other => gathered.take(other),
    }
    Ok(())
}

/// A snapshot that arrives piece by piece, say from a primary: it goes into a keyspace of its own, and its bytes into
/// a file that can become the base of a generation. Nothing that serves is touched.
pub struct Staging {
    keyspace: Keyspace,
    how: Inserting,
    reader: FeedReader,
    gathered: Gathered,
    ended: bool,
    tee: Option<Tee>,
}

struct Tee {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The file, or why there will be none.
    file: Result<PacedFile, DiskError>,
}

impl Drop for Tee {
    fn drop(&mut self) {
        // Whoever wanted the file has taken its path out.
        if !self.path.as_os_str().is_empty() {
            let _ = self.disk.remove_file(&self.path);
        }
    }
}

/// A snapshot that has arrived.
pub struct Staged {
    /// Its keys.
    pub keyspace: Keyspace,
    /// What it says about itself.
    pub facts: Facts,
    /// The file of its bytes, fsynced; `None` if none was wanted, or why there is none. A disk that fails does not
    /// fail the snapshot. The file is the caller's to use or remove.
    pub base: Option<Result<PathBuf, DiskError>>,
}

impl Staging {
    /// An empty one of `databases` databases. With `tee` the bytes are also written to that new file.
    pub fn new(databases: u32, how: Inserting, tee: Option<(Arc<dyn Disk>, &Path)>) -> Staging {
        let tee = tee.map(|(disk, path)| {
            let file = PacedFile::create(&*disk, path);
            Tee { disk, path: path.to_owned(), file }
        });
        let reader = FeedReader::new(how.read);
        Staging {
            keyspace: Keyspace::new(databases),
            how,
            reader,
            gathered: Gathered::default(),
            ended: false,
            tee,
        }
    }

    /// Takes the bytes that follow those taken before. After an error it is of no more use.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        if let Some(tee) = &mut self.tee
            && let Ok(file) = &mut tee.file
            && let Err(error) = file.write(bytes)
        {
            tee.file = Err(error);
        }
        self.reader.feed(bytes);
        self.take_records(false)
    }

    fn take_records(&mut self, all_arrived: bool) -> Result<(), LoadError> {
        loop {
            let offset = self.reader.offset();
            match self.reader.next_record(all_arrived)? {
                Some(record) => {
                    self.ended |= matches!(record, Record::End { .. });
                    take(record, &self.keyspace, &self.how, &mut self.gathered, offset)?;
                }
                None => return Ok(()),
            }
        }
    }

    /// Keys and bytes so far.
    pub fn progress(&self) -> (u64, u64) {
        (self.gathered.facts.keys, self.reader.offset())
    }

    /// All bytes have come.
    pub fn finish(mut self) -> Result<Staged, LoadError> {
        self.take_records(true)?;
        let offset = self.reader.offset();
        if !self.ended {
            return Err(LoadError::Unfinished { offset });
        }
        let bytes = self.reader.rest().len() as u64;
        if bytes > 0 {
            return Err(LoadError::Trailing { offset, bytes });
        }
        let base = self.tee.take().map(Tee::finish);
        let facts = self.gathered.done(offset, self.reader.skipped_empty());
        Ok(Staged { keyspace: self.keyspace, facts, base })
    }
}

impl Tee {
    fn finish(mut self) -> Result<PathBuf, DiskError> {
        let path = self.path.clone();
        let poisoned = || DiskError::new(crate::sys::DiskOp::Write, &path, std::io::ErrorKind::Other.into());
        std::mem::replace(&mut self.file, Err(poisoned()))?.finish()?;
        Ok(std::mem::take(&mut self.path))
    }
}

/// Puts the keys of `staged` in place of those that `keyspace`, which must have as many databases, holds: all at once for
/// whoever looks, with watches raised. Gives the old ones back, to be freed elsewhere.
pub fn swap_in(staged: Keyspace, keyspace: &Keyspace) -> Vec<Db> {
    let mut fresh = staged.lock_all();
    let mut serving = keyspace.lock_all();
    let mut old = Vec::new();
    for ((_, from), (_, to)) in fresh.iter_mut().zip(serving.iter_mut()) {
        for db in 0..staged.databases().min(keyspace.databases()) {
            let slice = from.take_db(db);
            to.touched_all(db, |shard, key| {
                let (_, hash) = db::locate(key);
                shard.db(db).get(hash, key).is_some() || slice.get(hash, key).is_some()
            });
            old.push(to.put_db(db, slice));
        }
    }
    serving.everything_changed();
    old
}
