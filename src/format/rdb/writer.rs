//! Writing snapshots.

use super::pieces::Pieces;
use super::value_writer::{Output, type_of};
use super::{FIELD_TIMES_VERSION, MAGIC, WRITTEN_VERSION, opcode, value_type};
use crate::format::aof::seal::Lineage;
use crate::value::{Element, Value};
use std::convert::Infallible;

/// How a snapshot is written.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// `rdbcompression`: strings and packed blobs over 20 bytes are compressed where that saves anything.
    pub compress: bool,
    /// `rdbchecksum`: the file ends in the CRC64 of its bytes, else in a checksum of 0.
    pub checksum: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions { compress: true, checksum: true }
    }
}

/// The place of a snapshot in a history of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicationPoint {
    /// Which history.
    pub lineage: Lineage,
    /// Bytes of it that the snapshot holds the effect of.
    pub offset: u64,
    /// The database that the command which follows in the stream applies to; -1 if it begins with a SELECT.
    pub stream_db: i64,
}

/// What a snapshot says about itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Header<'a> {
    /// The version of Redis that the server presents itself as.
    pub redis_version: &'a str,
    /// When it is taken, in seconds of Unix time.
    pub ctime_s: u64,
    /// Bytes of memory in use.
    pub used_memory_bytes: u64,
    /// Whether it is the base of an append-only file.
    pub aof_base: bool,
    /// Whether fields of hashes in it carry times: it is of a version then that Redis before 7.4 refuses.
    pub field_times: bool,
    /// Its place in the history, where there is one.
    pub replication: Option<ReplicationPoint>,
    /// Further facts: each is written under its name with `outrigger-` before it.
    pub ours: &'a [(&'a str, &'a str)],
}

/// What the name of a fact of ours begins with.
pub const AUX_PREFIX: &str = "outrigger-";

/// The use of a key, as the eviction policy keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Usage {
    /// The policy keeps none.
    #[default]
    None,
    /// Not used for so many seconds.
    IdleS(u64),
    /// The logarithmic counter.
    Lfu(u8),
}

/// Writes a snapshot in chunks of some 64 KiB to a sink.
///
/// Call [`RdbWriter::header`] first, then for each database [`RdbWriter::select_db`] and its entries, at last
/// [`RdbWriter::finish`]. An error of the sink ends it: the writer is of no more use then.
pub struct RdbWriter<S> {
    out: Output<S>,
    checksum: bool,
    /// What the header said.
    field_times: bool,
}

impl<E, S: FnMut(&[u8]) -> Result<(), E>> RdbWriter<S> {
    /// A writer that has written nothing.
    pub fn new(options: WriteOptions, sink: S) -> Self {
        let out = Output::new(sink, options.compress, options.checksum);
        RdbWriter { out, checksum: options.checksum, field_times: false }
    }

    /// Writes magic, version and the facts.
    pub fn header(&mut self, header: &Header<'_>) -> Result<(), E> {
        self.out.put(MAGIC)?;
        self.field_times = header.field_times;
        let version = if header.field_times { FIELD_TIMES_VERSION } else { WRITTEN_VERSION };
        self.out.put(format!("{version:04}").as_bytes())?;
        self.aux("redis-ver", header.redis_version.as_bytes())?;
        self.aux_number("redis-bits", usize::BITS.into())?;
        self.aux_number("ctime", header.ctime_s as i64)?;
        self.aux_number("used-mem", header.used_memory_bytes as i64)?;
        if let Some(point) = &header.replication {
            self.aux_number("repl-stream-db", point.stream_db)?;
            self.aux("repl-id", point.lineage.as_bytes())?;
            self.aux_number("repl-offset", point.offset as i64)?;
        }
        self.aux_number("aof-base", header.aof_base.into())?;
        for (name, value) in header.ours {
            self.aux(&format!("{AUX_PREFIX}{name}"), value.as_bytes())?;
        }
        Ok(())
    }

    /// Writes one fact. Readers skip what they do not know.
    pub fn aux(&mut self, name: &str, value: &[u8]) -> Result<(), E> {
        self.out.put(&[opcode::AUX])?;
        self.out.string(name.as_bytes())?;
        self.out.string(value)
    }

    fn aux_number(&mut self, name: &str, value: i64) -> Result<(), E> {
        self.out.put(&[opcode::AUX])?;
        self.out.string(name.as_bytes())?;
        self.out.int(value)
    }

    /// Writes the source of a function library.
    pub fn function(&mut self, code: &[u8]) -> Result<(), E> {
        self.out.put(&[opcode::FUNCTION2])?;
        self.out.string(code)
    }

    /// Begins a database, with how many keys it has and how many of them expire.
    pub fn select_db(&mut self, db: u32, keys: u64, expires: u64) -> Result<(), E> {
        self.out.put(&[opcode::SELECT_DB])?;
        self.out.length(db.into())?;
        self.out.put(&[opcode::RESIZE_DB])?;
        self.out.length(keys)?;
        self.out.length(expires)
    }

    /// Says that the entries which follow are of this database, which was begun before.
    pub fn continue_db(&mut self, db: u32) -> Result<(), E> {
        self.out.put(&[opcode::SELECT_DB])?;
        self.out.length(db.into())
    }

    /// Writes a key and its value, which must not be an empty collection: readers leave those out.
    pub fn entry(
        &mut self,
        key: &[u8],
        value: &Value,
        expire_at_ms: Option<i64>,
        usage: Usage,
    ) -> Result<(), E> {
        self.check_times(value);
        self.attributes(expire_at_ms, usage)?;
        self.out.put(&[type_of(value)])?;
        self.out.string(key)?;
        self.out.value(value)
    }

    /// As [`RdbWriter::entry`], for a string that is not at hand as a value.
    pub fn string_entry(
        &mut self,
        key: &[u8],
        value: Element<'_>,
        expire_at_ms: Option<i64>,
        usage: Usage,
    ) -> Result<(), E> {
        self.attributes(expire_at_ms, usage)?;
        self.out.put(&[value_type::STRING])?;
        self.out.string(key)?;
        self.out.element(value)
    }

    fn check_times(&self, value: &Value) {
        let has_times = matches!(value, Value::Hash(hash) if hash.has_times());
        debug_assert!(self.field_times || !has_times, "times that the header did not announce");
    }

    /// Writes what stands before a key.
    fn attributes(&mut self, expire_at_ms: Option<i64>, usage: Usage) -> Result<(), E> {
        if let Some(at) = expire_at_ms {
            self.out.put(&[opcode::EXPIRE_MS])?;
            self.out.put(&at.to_le_bytes())?;
        }
        match usage {
            Usage::None => {}
            Usage::IdleS(seconds) => {
                self.out.put(&[opcode::IDLE])?;
                self.out.length(seconds)?;
            }
            Usage::Lfu(counter) => self.out.put(&[opcode::FREQ, counter])?,
        }
        Ok(())
    }

    /// Writes the end and hands the last bytes to the sink. Returns the checksum (0 if none was taken) and the length
    /// of the snapshot in bytes.
    pub fn finish(mut self) -> Result<(u64, u64), E> {
        self.out.put(&[opcode::EOF])?;
        let crc = if self.checksum { self.out.crc()? } else { 0 };
        self.out.put(&crc.to_le_bytes())?;
        self.out.flush()?;
        Ok((crc, self.out.len()))
    }

    /// Begins an entry of a value that is then written by [`RdbWriter::piece`]; as [`RdbWriter::entry`].
    pub fn begin_entry(&mut self, key: &[u8], value: &Value, expire_at_ms: Option<i64>) -> Result<(), E> {
        self.check_times(value);
        self.attributes(expire_at_ms, Usage::None)?;
        self.out.put(&[type_of(value)])?;
        self.out.string(key)
    }

    /// Writes the next piece of such a value; true when it was the last.
    pub fn piece(&mut self, pieces: &mut Pieces, value: &Value) -> Result<bool, E> {
        pieces.write(&mut self.out, value)
    }

    /// As [`RdbWriter::begin_entry`], for a string that is not at hand as a value.
    pub fn begin_string(&mut self, key: &[u8], expire_at_ms: Option<i64>) -> Result<(), E> {
        self.attributes(expire_at_ms, Usage::None)?;
        self.out.put(&[value_type::STRING])?;
        self.out.string(key)
    }

    /// As [`RdbWriter::piece`], for such a string.
    pub fn string_piece(&mut self, pieces: &mut Pieces, bytes: &[u8]) -> Result<bool, E> {
        pieces.write_bytes(&mut self.out, bytes)
    }

    /// Writes whole records that another writer has encoded.
    pub fn records(&mut self, bytes: &[u8]) -> Result<(), E> {
        self.out.put(bytes)
    }

    /// Bytes written so far.
    pub fn bytes_written(&self) -> u64 {
        self.out.len()
    }
}

/// A record is longer than a block of records may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// The sink of a [`BlockWriter`], which is asked when a block would become too long.
pub type FullSink = fn(&[u8]) -> Result<(), TooLong>;

/// A writer of records that are taken in blocks, for [`RdbWriter::records`] of another.
pub type BlockWriter = RdbWriter<FullSink>;

impl<E, S: FnMut(&[u8]) -> Result<(), E>> RdbWriter<S> {
    /// A writer of records for this one, in blocks of `most_bytes` at most.
    pub fn block_writer(&self, options: WriteOptions, most_bytes: usize) -> BlockWriter {
        let full: FullSink = |_| Err(TooLong);
        let out = Output::bounded(full, options.compress, most_bytes);
        RdbWriter { out, checksum: false, field_times: self.field_times }
    }
}

impl RdbWriter<FullSink> {
    /// Bytes of the block so far.
    pub fn gathered_bytes(&self) -> usize {
        self.out.gathered()
    }

    /// Takes back what made the block longer than so many bytes: a record that was [`TooLong`].
    pub fn cut_to(&mut self, bytes: usize) {
        self.out.cut_to(bytes);
    }

    /// Takes the block.
    pub fn take_block(&mut self) -> Vec<u8> {
        self.out.take()
    }
}

/// The sink of a [`GatheringWriter`], which gets nothing.
pub type NoSink = fn(&[u8]) -> Result<(), Infallible>;

/// A writer whose bytes are taken from it. It compresses nothing: it is for those who cannot wait.
pub type GatheringWriter = RdbWriter<NoSink>;

impl RdbWriter<NoSink> {
    /// A writer that has written nothing; with `checksum` its end will hold that of all that was taken.
    pub fn gathering(checksum: bool) -> Self {
        RdbWriter { out: Output::gathering(|_| Ok(()), checksum), checksum, field_times: false }
    }

    /// A writer of records for the snapshot whose header this one has written.
    pub fn for_records(&self) -> Self {
        RdbWriter { field_times: self.field_times, ..RdbWriter::gathering(false) }
    }

    /// Takes what was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        self.out.take()
    }

    /// Bytes that [`RdbWriter::take`] would give.
    pub fn gathered_bytes(&self) -> usize {
        self.out.gathered()
    }

    /// Writes the end, and takes all that is left.
    pub fn end(&mut self) -> Vec<u8> {
        let Ok(()) = self.out.put(&[opcode::EOF]);
        let mut bytes = self.out.take();
        let crc = if self.checksum { self.out.taken_crc() } else { 0 };
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }
}
