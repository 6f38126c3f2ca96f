//! What a file is that is not what a tool reads, as far as its first bytes tell.

use super::ToolError;
use crate::format::aof::seal::MARK;
use crate::format::rdb::MAGIC;
use crate::sys::{Disk, RealDisk};
use memchr::memmem;
use std::path::Path;

/// Bytes that are looked at.
const HEAD_BYTES: usize = 4096;

/// Refuses a file that nothing can be loaded from. Damaged ones pass, and empty ones: what is wrong with them, a load tells.
pub(super) fn state(path: &Path) -> Result<(), ToolError> {
    const WANTED: &str =
        "name a data folder, its `appendonlydir`, a snapshot (`dump.rdb`), or one append-only file";
    let mut head = vec![0; HEAD_BYTES];
    let read = RealDisk.open_read(path)?.read_at(0, &mut head)?;
    head.truncate(read);
    if head.is_empty() || is_like_a_snapshot(&head) {
        return Ok(());
    }
    let (what, next) = match Kind::of(&head) {
        Some(Kind::Log) => return Ok(()),
        Some(Kind::Manifest) => (Kind::Manifest.what(), "name the folder that it lies in"),
        Some(kind) => (kind.and_not("a snapshot or an append-only file"), kind.next(WANTED)),
        None => ("is neither a snapshot nor an append-only file".to_owned(), WANTED),
    };
    Err(ToolError::WrongFile { path: path.to_owned(), what, next })
}

/// Whether a file begins as a snapshot does, perhaps with some damage.
pub(super) fn is_like_a_snapshot(head: &[u8]) -> bool {
    head.iter().zip(MAGIC).filter(|(is, should)| is == should).count() * 2 > MAGIC.len()
}

/// What a file seems to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A log of commands.
    Log,
    /// The list of a folder's append-only files.
    Manifest,
    /// A snapshot of Valkey's own format, of this version.
    Valkey(String),
    /// A backup of ours.
    Archive,
    /// Something that is compressed as a whole.
    Compressed,
    /// Something to read.
    Text,
}

impl Kind {
    /// Of a file of these bytes; `None` if nothing can be told.
    pub(super) fn of(bytes: &[u8]) -> Option<Kind> {
        let head = bytes.get(..HEAD_BYTES).unwrap_or(bytes);
        let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
        Some(match head {
            [b'*', b'0'..=b'9', ..] | [b'#', b'T', b'S', ..] => Kind::Log,
            _ if head.starts_with(MARK) => Kind::Log,
            _ if head.starts_with(b"VALKEY") => {
                Kind::Valkey(head.iter().skip(6).take(3).map(|byte| char::from(*byte)).collect())
            }
            [b'f', b'i', b'l', b'e', b' ', ..] => Kind::Manifest,
            [_, b'*', b'M', 0x18, _, _, _, _, b'O', b'U', b'T', b'R', b'I', b'G', b'A', b'R', ..] => {
                Kind::Archive
            }
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x04, 0x22, 0x4d, 0x18, ..] => {
                Kind::Compressed
            }
            // Where a command can be made out, this is a log whose beginning is damaged.
            _ if memmem::find(head, b"\r\n$").is_some() => Kind::Log,
            _ if head.len() > 9 && head.iter().all(is_text) => Kind::Text,
            _ => return None,
        })
    }

    /// In words, behind the name of the file.
    pub(super) fn what(&self) -> String {
        match self {
            Kind::Log => "is an append-only file".to_owned(),
            Kind::Manifest => "is the manifest of a folder of append-only files".to_owned(),
            Kind::Valkey(version) => {
                format!("is a snapshot in Valkey's own format, version {version:?}, which is not read")
            }
            Kind::Archive => "is a backup of `outrigger backup`".to_owned(),
            Kind::Compressed => "is compressed as a whole (gzip, zstd or lz4)".to_owned(),
            Kind::Text => "is a text".to_owned(),
        }
    }

    /// As [`Kind::what`], and what it is not, unless it may hold just that.
    pub(super) fn and_not(&self, wanted: &str) -> String {
        match self {
            Kind::Valkey(_) | Kind::Compressed => self.what(),
            other => format!("{}, not {wanted}", other.what()),
        }
    }

    /// What to do with it; `wanted` says which file to name.
    pub(super) fn next(&self, wanted: &'static str) -> &'static str {
        match self {
            Kind::Log => "check it with `aof-check FILE`",
            Kind::Manifest => "check the folder with `aof-check DIR`",
            Kind::Valkey(_) => {
                "let the Valkey server hand its data over as a replica's primary, or by MIGRATE"
            }
            Kind::Archive => {
                "check it with `outrigger backup --to FOLDER --verify NAME`; `restore FILE --into NEW` unpacks it"
            }
            Kind::Compressed => "decompress it, and name what comes out",
            Kind::Text => wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        let of = Kind::of;
        assert_eq!(of(b"*1\r\n$4\r\nPING\r\n"), Some(Kind::Log));
        assert_eq!(of(b"+1\r\n$4\r\nPING\r\n"), Some(Kind::Log), "the first byte is damaged");
        assert_eq!(of(b"#TS:1700000000\r\n"), Some(Kind::Log));
        assert_eq!(of(b"VALKEY080"), Some(Kind::Valkey("080".to_owned())));
        assert_eq!(of(b"file a.base.rdb seq 1 type b\n"), Some(Kind::Manifest));
        assert_eq!(of(b"\x5e\x2a\x4d\x18\x0c\0\0\0OUTRIGAR\x01\0\0\0"), Some(Kind::Archive));
        assert_eq!(of(b"\x1f\x8b\x08"), Some(Kind::Compressed));
        assert_eq!(of(b"bind 127.0.0.1\nport 6379\n"), Some(Kind::Text));
        assert_eq!(of(b"\x7fELF\x02\x01\x01\0\0\0"), None);
        assert_eq!(of(b""), None);
    }
}
