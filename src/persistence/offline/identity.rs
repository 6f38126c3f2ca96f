//! What names a state without looking at its keys: what it was loaded from, and what was wanted of that.
//!
//! A restore into a running server that was interrupted goes on only under the same identity. It holds for each file its length
//! and its CRC64, and the words of the selection; so another source, or the same one after a write, goes by another. Where the files
//! lie does not count: an archive that is unpacked elsewhere is the same source.

use std::fmt::{self, Write as _};

use super::{StopAt, Wanted};
use crate::base::crc::crc64;
use crate::format::rdb::{CHECKSUM_BYTES, HEADER_BYTES, MAGIC};
use crate::persistence::recovery::{Base, Chain, Checked};

/// A state's name: one line without tabs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(String);

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Identity {
    /// Of what is loaded from these files up to `stop`. They must have been judged, and the base be loaded.
    pub(super) fn of(chain: &Chain, stop: Option<StopAt>, wanted: &Wanted) -> Identity {
        let mut text = String::new();
        // Writing to a String cannot fail.
        if let Some(base) = &chain.base {
            let _ = write!(text, "base {} {:016x}, ", base.len, checksum_of(base));
        }
        for (index, file) in chain.incr.iter().enumerate() {
            let stop = match stop {
                Some(stop) if stop.file < index => break,
                Some(stop) if stop.file == index => Some(stop.byte),
                _ => None,
            };
            let (bytes, crc) = part_of(file, stop);
            let _ = write!(text, "log {bytes} {crc:016x}, ");
        }
        // As it is written for programmers, no text has tabs or ends of lines.
        let _ = write!(text, "{wanted:?}");
        Identity(text)
    }
}

/// The checksum of a base. That at the end of a snapshot was held against its bytes when it was loaded.
fn checksum_of(base: &Base) -> u64 {
    let bytes = base.bytes.get(..base.len).unwrap_or_default();
    let written = match bytes.split_last_chunk::<CHECKSUM_BYTES>() {
        Some((before, sum)) if before.len() > HEADER_BYTES && before.starts_with(MAGIC) => {
            u64::from_le_bytes(*sum)
        }
        _ => 0,
    };
    // Those of versions before 5 end otherwise, and some servers write none.
    let has_checksum = written != 0 && bytes.get(MAGIC.len()..HEADER_BYTES) >= Some(b"0005");
    match has_checksum {
        true => written,
        false => base.bytes.windows(0..base.len).fold(0, crc64),
    }
}

/// Length and checksum of the part of a log that is good, or of that up to `stop`.
fn part_of(file: &Checked, stop: Option<usize>) -> (usize, u64) {
    let extent = file.verdict.extent();
    match stop {
        None if extent.history.is_some() => (extent.len, extent.crc),
        stop => {
            let end = stop.unwrap_or(extent.len);
            (end, file.bytes.windows(file.from..file.from + end).fold(0, crc64))
        }
    }
}
