//! Backups: the record that tells what is in one, and the archive that holds one in a single file.
//!
//! An archive is a sequence of LZ4 frames as the LZ4 frame format describes them, so that the stock `lz4` program, too,
//! gets the bytes back. `docs/formats/archive.md` describes the bytes.

mod block;
mod record;
#[cfg(test)]
mod tests;
mod walk;

use thiserror::Error;

use super::aof::seal::Epoch;
use super::aof::verify::HistoryPoint;
use crate::base::crc::crc64;

pub use block::{compress, expand};
pub use walk::Walk;

/// Most bytes of a file that go into one block.
pub const BLOCK_BYTES: usize = 4 << 20;
/// Most bytes that a block takes in the archive: LZ4 adds little to what it cannot make smaller.
pub const MAX_STORED_BYTES: usize = BLOCK_BYTES + (64 << 10);
/// The archive's first bytes.
pub const HEAD: [u8; 20] = *b"\x5e\x2a\x4d\x18\x0c\0\0\0OUTRIGAR\x01\0\0\0";
/// The length of an archive's end.
pub const TAIL_BYTES: usize = 40;
/// What an index begins with: the number of a skippable frame.
const INDEX_MAGIC: u32 = 0x184D_2A5F;
/// What goes before the record in an index: that number and the length.
const INDEX_HEAD_BYTES: usize = 8;
/// What the end begins with: another one, and its length.
const TAIL_HEAD: [u8; 8] = *b"\x5d\x2a\x4d\x18\x20\0\0\0";
/// The archive's last bytes.
const TAIL_END: [u8; 8] = *b"OUTRIGND";
/// Longest record that is read. It holds about 40 bytes for each 4 MiB.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// What is wrong with a record or an archive.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArchiveError {
    /// It does not begin as an archive.
    #[error("it is not an archive of ours: the first bytes are other ones")]
    NotAnArchive,
    /// It is of a version that is not known here.
    #[error("it is of version {0}, and this program knows version 1")]
    Version(u32),
    /// It does not end as an archive.
    #[error("its end is missing: it was cut off, or is not whole yet")]
    NoEnd,
    /// The end names places that are not in the file.
    #[error("its end does not fit to its length")]
    BadEnd,
    /// The record is damaged.
    #[error("its index is damaged at byte {at}: {what}")]
    Record {
        /// Where in the record.
        at: usize,
        /// What should be there.
        what: &'static str,
    },
    /// The record is longer than any.
    #[error("its index is longer than {MAX_RECORD_BYTES} bytes")]
    TooLong,
    /// A block is not what it was.
    #[error("the block at byte {at} is damaged: {what}")]
    Block {
        /// Where it begins in the archive.
        at: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A file is not what it was.
    #[error("the file {name} has checksum {found:016x}, and the record says {recorded:016x}")]
    File {
        /// Its name.
        name: String,
        /// What the record says.
        recorded: u64,
        /// What it has.
        found: u64,
    },
}

/// What a file of a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The manifest.
    Manifest,
    /// A base or log file that the manifest names.
    Data,
}

/// A part of a file, as it lies in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Bytes that it takes in the archive.
    pub stored_bytes: u32,
    /// Bytes of the file.
    pub raw_bytes: u32,
    /// CRC64 of the bytes in the archive.
    pub crc: u64,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// What it is.
    pub role: Role,
    /// Its name, without a folder.
    pub name: Vec<u8>,
    /// Its length in bytes.
    pub bytes: u64,
    /// CRC64 of its bytes.
    pub crc: u64,
    /// Its parts in the archive, in order; none where it lies in a folder.
    pub blocks: Vec<Block>,
}

/// All that is known of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// When it was taken, in milliseconds of Unix time.
    pub time_ms: u64,
    /// The place in the history that it ends at; `None` for files that name none (a stock server's).
    pub place: Option<HistoryPoint>,
    /// The history's epoch there.
    pub epoch: Epoch,
    /// How many databases there may be.
    pub databases: u32,
    /// Keys of all databases.
    pub keys: u64,
    /// The digest of the data, 20 bytes.
    pub digest: [u8; 20],
    /// Sum of all expiry times in ms, which the digest leaves out.
    pub expiry_sum: i64,
    /// The files.
    pub files: Vec<StoredFile>,
}

impl Record {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Bytes of all blocks.
    pub fn stored_bytes(&self) -> u64 {
        self.files.iter().flat_map(|file| &file.blocks).map(|block| u64::from(block.stored_bytes)).sum()
    }

    /// The record as text. It ends in a checksum of itself.
    pub fn print(&self) -> Vec<u8> {
        record::print(self)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// It is not exactly as [`Record::print`] writes it.
    pub fn parse(text: &[u8]) -> Result<Record, ArchiveError> {
        record::parse(text)
    }

    /// The index and the end of an archive whose blocks end at byte `at`.
    pub fn finish_archive(&self, at: u64) -> Vec<u8> {
        let text = self.print();
        let mut out = Vec::with_capacity(INDEX_HEAD_BYTES + text.len() + TAIL_BYTES);
        out.extend(INDEX_MAGIC.to_le_bytes());
        out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(&text);
        let index_bytes = out.len() as u64;
        let crc = crc64(0, &out);
        out.extend(TAIL_HEAD);
        [at, index_bytes, crc].iter().for_each(|number| out.extend(number.to_le_bytes()));
        out.extend(TAIL_END);
        out
    }
}

/// Judges the first bytes of an archive.
pub fn check_head(head: &[u8]) -> Result<(), ArchiveError> {
    match head.split_at_checked(HEAD.len() - 4) {
        Some((magic, version)) if HEAD.starts_with(magic) => match version.first_chunk() {
            Some(version) if HEAD.ends_with(version) => Ok(()),
            Some(version) => Err(ArchiveError::Version(u32::from_le_bytes(*version))),
            None => Err(ArchiveError::NotAnArchive),
        },
        _ => Err(ArchiveError::NotAnArchive),
    }
}

/// Where the index of an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Its first byte. All blocks end here.
    pub at: u64,
    /// Its length.
    pub bytes: u64,
    /// Its checksum.
    crc: u64,
}

impl Tail {
    /// Reads the last [`TAIL_BYTES`] of an archive that is `len` bytes long.
    pub fn parse(tail: &[u8; TAIL_BYTES], len: u64) -> Result<Tail, ArchiveError> {
        let (head, rest) = tail.split_at(TAIL_HEAD.len());
        let (numbers, end) = rest.split_at(24);
        if head != TAIL_HEAD || end != TAIL_END {
            return Err(ArchiveError::NoEnd);
        }
        let mut numbers = numbers.chunks_exact(8).map(|bytes| bytes.try_into().map_or(0, u64::from_le_bytes));
        let mut next = || numbers.next().unwrap_or_default();
        let tail = Tail { at: next(), bytes: next(), crc: next() };
        let end = tail.at.checked_add(tail.bytes).and_then(|end| end.checked_add(TAIL_BYTES as u64));
        if end != Some(len) || tail.at < HEAD.len() as u64 {
            return Err(ArchiveError::BadEnd);
        }
        if tail.bytes > (MAX_RECORD_BYTES + INDEX_HEAD_BYTES) as u64 {
            return Err(ArchiveError::TooLong);
        }
        Ok(tail)
    }

    /// Reads the index.
    pub fn record(&self, index: &[u8]) -> Result<Record, ArchiveError> {
        let bad = |what| ArchiveError::Record { at: 0, what };
        let text = index.get(INDEX_HEAD_BYTES..).unwrap_or_default();
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        if !index.starts_with(&INDEX_MAGIC.to_le_bytes())
            || index[4..].first_chunk() != Some(&length.to_le_bytes())
        {
            return Err(bad("the beginning of an index"));
        }
        if crc64(0, index) != self.crc {
            return Err(bad("the bytes that the end's checksum is of"));
        }
        let record = Record::parse(text)?;
        match (HEAD.len() as u64).checked_add(record.stored_bytes()) {
            Some(end) if end == self.at => Ok(record),
            _ => Err(ArchiveError::BadEnd),
        }
    }
}
