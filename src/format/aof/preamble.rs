//! Single-file append-only logs of old servers, which may begin with a whole snapshot.

use crate::format::rdb::{MAGIC, RdbError, RdbReader, ReadOptions};

/// Whether a log begins with a snapshot.
pub fn has_snapshot(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Splits a log into the snapshot it begins with (empty if it does not) and the commands behind it.
///
/// The snapshot has no length field, so it is read whole to find its end, and its checksum is verified. A loader that
/// wants its records anyway reads them with an [`RdbReader`] and goes on at [`RdbReader::offset`].
///
/// # Errors
/// If the snapshot cannot be read to its end.
pub fn split<'a>(bytes: &'a [u8], options: &ReadOptions) -> Result<(&'a [u8], &'a [u8]), RdbError> {
    if !has_snapshot(bytes) {
        return Ok((&[], bytes));
    }
    let mut reader = RdbReader::new(bytes, *options);
    while reader.next_record()?.is_some() {}
    let behind = reader.into_source();
    Ok((&bytes[..bytes.len() - behind.len()], behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A snapshot of version 4, which has no checksum, with one key.
    const SNAPSHOT: &[u8] = b"REDIS0004\x00\x01k\x01v\xff";
    const COMMAND: &[u8] = b"*1\r\n$4\r\nPING\r\n";

    #[test]
    fn finds_where_the_commands_begin() {
        let options = ReadOptions::default();
        assert_eq!(split(COMMAND, &options).unwrap(), (&b""[..], COMMAND));
        let both = [SNAPSHOT, COMMAND].concat();
        assert!(has_snapshot(&both));
        assert_eq!(split(&both, &options).unwrap(), (SNAPSHOT, COMMAND));
        assert_eq!(split(SNAPSHOT, &options).unwrap(), (SNAPSHOT, &b""[..]));
        assert!(split(&SNAPSHOT[..SNAPSHOT.len() - 1], &options).unwrap_err().is_truncation());
    }
}
