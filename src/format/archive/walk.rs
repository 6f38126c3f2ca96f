//! An archive that passes by, a piece at a time, held against its record.

use super::{ArchiveError, Block, HEAD, Record, check_head};
use crate::base::crc::crc64;

/// Takes the bytes of an archive in order, in pieces of any length, and finds the first that is not what the record says. It
/// keeps none of them.
#[derive(Debug)]
pub struct Walk {
    /// The blocks, and which of them is passing.
    blocks: Vec<Block>,
    block: usize,
    /// How much of it has passed, and the checksum of that.
    passed: usize,
    crc: u64,
    /// Bytes that have passed.
    at: u64,
    head: Vec<u8>,
    /// Index and end, as they must be, and how much of them has passed.
    end: Vec<u8>,
    ended: usize,
}

impl Record {
    /// The length of the archive that this is the record of.
    pub fn archive_bytes(&self) -> u64 {
        let blocks_end = HEAD.len() as u64 + self.stored_bytes();
        blocks_end + self.finish_archive(blocks_end).len() as u64
    }
}

impl Walk {
    /// Begins at the first byte.
    pub fn new(record: &Record) -> Walk {
        let blocks: Vec<Block> = record.files.iter().flat_map(|file| &file.blocks).copied().collect();
        let end = record.finish_archive(HEAD.len() as u64 + record.stored_bytes());
        Walk { blocks, block: 0, passed: 0, crc: 0, at: 0, head: Vec::new(), end, ended: 0 }
    }

    /// The next bytes.
    ///
    /// # Errors
    /// They are not what the record says. A block is judged once it is whole.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        while !bytes.is_empty() {
            let taken = match (self.head.len() < HEAD.len(), self.blocks.get(self.block).copied()) {
                (true, _) => self.feed_head(bytes)?,
                (false, Some(block)) => self.feed_block(&block, bytes)?,
                (false, None) => self.feed_end(bytes)?,
            };
            self.at += taken as u64;
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    fn feed_head(&mut self, bytes: &[u8]) -> Result<usize, ArchiveError> {
        let taken = bytes.len().min(HEAD.len() - self.head.len());
        self.head.extend(&bytes[..taken]);
        if self.head.len() == HEAD.len() {
            check_head(&self.head)?;
        }
        Ok(taken)
    }

    fn feed_block(&mut self, block: &Block, bytes: &[u8]) -> Result<usize, ArchiveError> {
        let length = block.stored_bytes as usize;
        let taken = bytes.len().min(length - self.passed);
        self.crc = crc64(self.crc, &bytes[..taken]);
        self.passed += taken;
        if self.passed == length {
            if self.crc != block.crc {
                let what =
                    format!("its checksum is {:016x}, and the index says {:016x}", self.crc, block.crc);
                return Err(ArchiveError::Block { at: self.at + taken as u64 - length as u64, what });
            }
            (self.block, self.passed, self.crc) = (self.block + 1, 0, 0);
        }
        Ok(taken)
    }

    fn feed_end(&mut self, bytes: &[u8]) -> Result<usize, ArchiveError> {
        let wanted = self.end.get(self.ended..).unwrap_or_default();
        if !wanted.starts_with(bytes) {
            return Err(ArchiveError::BadEnd);
        }
        self.ended += bytes.len();
        Ok(bytes.len())
    }

    /// All bytes have passed.
    ///
    /// # Errors
    /// There should have been more.
    pub fn finish(self) -> Result<(), ArchiveError> {
        match self.ended == self.end.len() && self.head.len() == HEAD.len() {
            true => Ok(()),
            false => Err(ArchiveError::NoEnd),
        }
    }
}
