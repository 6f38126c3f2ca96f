//! Pure codecs for RDB, AOF, manifest and listpack payloads: bytes in, records out.
//!
//! Nothing here opens a file, owns a socket or knows the keyspace. No length read from the input is believed before it
//! is held against the bytes that are there, and every error says at which byte it arose. The server, the replica, the
//! checkers, the restore tools and the fuzz targets all come through here, so none of them can disagree.

pub mod aof;
pub mod archive;
pub mod export;
pub mod lzf;
pub mod rdb;
pub mod wire;

pub use aof::seal::Lineage;
