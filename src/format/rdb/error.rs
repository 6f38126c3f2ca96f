//! Why an RDB file, or a part of it, was refused.

use std::{fmt, io};

use thiserror::Error;

use super::legacy::{ZiplistError, ZipmapError};
use crate::format::lzf::LzfError;
use crate::value::intset::IntsetError;
use crate::value::listpack::ListpackError;
use crate::value::stream::StreamError;
use crate::value::zset::Rejected;

/// A fault in RDB bytes: where, in which key, and what.
#[derive(Debug, Error)]
pub struct RdbError {
    /// Byte position in the input. For a packed blob, the position where the blob ends.
    pub offset: u64,
    /// The key whose entry is at fault, once it has been read.
    pub key: Option<Box<[u8]>>,
    /// What is wrong.
    #[source]
    pub kind: RdbErrorKind,
}

impl fmt::Display for RdbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// A key may be long and may be secret-ish; its beginning is enough to find it.
        const SHOWN_BYTES: usize = 128;
        write!(f, "{}, at byte {}", self.kind, self.offset)?;
        match &self.key {
            Some(key) if key.len() > SHOWN_BYTES => {
                write!(f, ", in the key that begins with \"{}\"", key[..SHOWN_BYTES].escape_ascii())
            }
            Some(key) => write!(f, ", in the key \"{}\"", key.escape_ascii()),
            None => Ok(()),
        }
    }
}

impl RdbError {
    pub(super) fn new(offset: u64, kind: impl Into<RdbErrorKind>) -> Self {
        RdbError { offset, key: None, kind: kind.into() }
    }

    /// Whether the input merely ended too early.
    pub fn is_truncation(&self) -> bool {
        matches!(self.kind, RdbErrorKind::Truncated { .. })
    }
}

/// What is wrong with RDB bytes.
#[derive(Debug, Error)]
pub enum RdbErrorKind {
    /// The input ends inside a record.
    #[error("the input ends inside a record, at least {missing} bytes too early")]
    Truncated {
        /// Bytes that were certainly still needed.
        missing: u64,
    },
    /// The input could not be read.
    #[error("reading failed: {0}")]
    Read(#[from] io::Error),
    /// The input does not begin with `REDIS` and four digits.
    #[error("not an RDB file")]
    NotRdb,
    /// A version outside of what is read.
    #[error("RDB version {0} is not one of the versions 1 to 12 that are read")]
    Version(u32),
    /// Something that exists in the format and is not read.
    #[error("{0} cannot be read")]
    Unsupported(&'static str),
    /// A value type or opcode that does not exist.
    #[error("unknown value type or opcode {0}")]
    UnknownType(u8),
    /// An encoded string where a number must stand.
    #[error("an encoded string where a length must stand")]
    NotALength,
    /// A length form that does not exist.
    #[error("unknown length form 0x{0:02x}")]
    LengthForm(u8),
    /// A string encoding that does not exist.
    #[error("unknown string encoding {0}")]
    StringEncoding(u64),
    /// A length above the limit.
    #[error("a length of {0} is over the limit")]
    TooLong(u64),
    /// A compressed string that does not expand.
    #[error("compressed string: {0}")]
    Lzf(#[from] LzfError),
    /// A malformed listpack, or one with content its type does not allow.
    #[error("{0}")]
    Listpack(#[from] ListpackError),
    /// A malformed intset.
    #[error("{0}")]
    Intset(#[from] IntsetError),
    /// Pairs that make no sorted set.
    #[error("sorted set: {0}")]
    ZSet(#[from] Rejected),
    /// A malformed stream.
    #[error("stream: {0}")]
    Stream(#[from] StreamError),
    /// A malformed ziplist.
    #[error("{0}")]
    Ziplist(#[from] ZiplistError),
    /// A malformed zipmap.
    #[error("{0}")]
    Zipmap(#[from] ZipmapError),
    /// A member or field that occurs twice.
    #[error("the same member or field twice")]
    Duplicate,
    /// A field without value or a member without score.
    #[error("the last of the pairs has only one half")]
    OddPairs,
    /// A score that is no number.
    #[error("a score that is not a number")]
    BadScore,
    /// A field's time that is out of range.
    #[error("a field's time that cannot be")]
    BadFieldTime,
    /// A list node that is neither plain nor packed.
    #[error("unknown list node container {0}")]
    NodeContainer(u64),
    /// A collection without elements, where the caller cannot skip it.
    #[error("a collection without elements")]
    Empty,
    /// Expiry, idle time or frequency, and then something other than a key.
    #[error("an expiry, idle time or frequency that belongs to no key")]
    DanglingAttribute,
    /// The CRC64 at the end disagrees with the bytes before it.
    #[error("the checksum of the bytes is {found:016x} and the file says {written:016x}")]
    Checksum {
        /// What is written at the end.
        written: u64,
        /// What the bytes have.
        found: u64,
    },
    /// Bytes behind the end of a payload.
    #[error("{0} bytes behind the value")]
    TrailingBytes(u64),
}
