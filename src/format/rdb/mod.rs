//! RDB: the snapshot format, and the DUMP payload that shares its values. `docs/formats/rdb.md` describes the bytes.

mod cursor;
pub mod cut;
pub mod dump;
pub mod error;
pub mod examine;
mod fields;
mod input;
pub mod legacy;
pub mod pieces;
pub mod reader;
mod stream;
mod value_reader;
mod value_writer;
pub mod writer;

pub use cursor::Passed;
pub use error::{RdbError, RdbErrorKind};
pub use reader::{Entry, FeedReader, RdbReader, ReadOptions, Record};
pub use writer::{Header, RdbWriter, WriteOptions};

/// What a snapshot begins with, before four digits of version.
pub const MAGIC: &[u8] = b"REDIS";
/// Bytes of that and the version.
pub const HEADER_BYTES: usize = 9;
/// Bytes of the checksum at the end.
pub const CHECKSUM_BYTES: usize = 8;
/// The version that is written where nothing asks for a newer one: what Redis 7.0 and everything later load.
pub const WRITTEN_VERSION: u16 = 10;
/// The version that is written where fields of hashes carry times: what Redis 7.4 and everything later load.
pub const FIELD_TIMES_VERSION: u16 = 12;
/// The newest version that is read.
pub const NEWEST_READ_VERSION: u16 = 12;

/// What stands before a record. Anything below [`opcode::SLOT_INFO`] is a value type.
pub(crate) mod opcode {
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION2: u8 = 245;
    pub const FUNCTION_PRE_GA: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQ: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZE_DB: u8 = 251;
    pub const EXPIRE_MS: u8 = 252;
    pub const EXPIRE_S: u8 = 253;
    pub const SELECT_DB: u8 = 254;
    pub const EOF: u8 = 255;
}

/// The types of values.
pub(crate) mod value_type {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET_2: u8 = 5;
    pub const MODULE_PRE_GA: u8 = 6;
    pub const MODULE_2: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_3: u8 = 21;
    pub const HASH_TIMES_PRE_GA: u8 = 22;
    pub const HASH_TIMED_LISTPACK_PRE_GA: u8 = 23;
    pub const HASH_TIMES: u8 = 24;
    pub const HASH_TIMED_LISTPACK: u8 = 25;
}

/// How a node of a quicklist is stored.
pub(crate) mod node_container {
    pub const PLAIN: u64 = 1;
    pub const PACKED: u64 = 2;
}

#[cfg(test)]
mod tests;
