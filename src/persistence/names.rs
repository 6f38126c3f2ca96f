//! What the files of the append-only history are called, as stock servers call them.
//!
//! ```text
//! <dir>/<appenddirname>/<appendfilename>.manifest
//! <dir>/<appenddirname>/<appendfilename>.<n>.base.rdb
//! <dir>/<appenddirname>/<appendfilename>.<n>.incr.aof
//! <dir>/<appenddirname>/<appendfilename>.<n>.incr.aof.torn    put aside by a recovery that cut a tail
//! <dir>/<appenddirname>.previous-<n>/                          an earlier generation, whole, with its own manifest
//! ```
//!
//! Stock servers delete the files that a manifest calls history when they load it, so an earlier generation lies in a
//! folder of its own, beside.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::format::aof::manifest::FileKind;
use crate::sys::disk::TEMPORARY_PREFIX;

/// What a file that a recovery put aside ends in.
pub const TORN_SUFFIX: &str = ".torn";

/// A folder or file name that is empty or not a plain name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a plain file name")]
pub struct BadName(pub String);

/// The names of one append-only history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    dir: PathBuf,
    folder: String,
    prefix: String,
}

impl Names {
    /// The names under the data folder `dir`, by `appenddirname` and `appendfilename`.
    pub fn new(dir: impl Into<PathBuf>, folder: &str, prefix: &str) -> Result<Names, BadName> {
        for name in [folder, prefix] {
            if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0', '\n']) {
                return Err(BadName(name.to_owned()));
            }
        }
        Ok(Names { dir: dir.into(), folder: folder.to_owned(), prefix: prefix.to_owned() })
    }

    /// The data folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of the files.
    pub fn folder(&self) -> PathBuf {
        self.dir.join(&self.folder)
    }

    /// What all names begin with (`appendfilename`).
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The manifest's name.
    pub fn manifest_name(&self) -> String {
        format!("{}.manifest", self.prefix)
    }

    /// The manifest.
    pub fn manifest(&self) -> PathBuf {
        self.folder().join(self.manifest_name())
    }

    /// The name of base file number `seq`.
    pub fn base_name(&self, seq: i64) -> String {
        format!("{}.{seq}.base.rdb", self.prefix)
    }

    /// The name of incremental file number `seq`.
    pub fn incr_name(&self, seq: i64) -> String {
        format!("{}.{seq}.incr.aof", self.prefix)
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &[u8]) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        self.folder().join(std::ffi::OsStr::from_bytes(name))
    }

    /// Where a base file is written before it has its name: swept as a temporary file if nobody finishes it.
    pub fn temporary_base(&self, tag: &str) -> PathBuf {
        self.folder().join(format!("{TEMPORARY_PREFIX}base-{tag}.rdb"))
    }

    /// The folder of an earlier generation.
    pub fn previous_folder(&self, number: i64) -> PathBuf {
        self.dir.join(format!("{}.previous-{number}", self.folder))
    }

    /// The number of an earlier generation's folder name.
    pub fn parse_previous(&self, name: &[u8]) -> Option<i64> {
        let digits = name.strip_prefix(self.folder.as_bytes())?.strip_prefix(b".previous-")?;
        parse_number(digits)
    }

    /// Kind and number of a base or incremental file name, whatever server wrote it.
    pub fn parse(&self, name: &[u8]) -> Option<(FileKind, i64)> {
        let rest = name.strip_prefix(self.prefix.as_bytes())?.strip_prefix(b".")?;
        let dot = memchr::memchr(b'.', rest)?;
        let seq = parse_number(rest.get(..dot)?)?;
        match rest.get(dot..)? {
            b".base.rdb" | b".base.aof" => Some((FileKind::Base, seq)),
            b".incr.aof" => Some((FileKind::Incr, seq)),
            _ => None,
        }
    }

    /// The number of a file that a recovery put aside.
    pub fn parse_torn(&self, name: &[u8]) -> Option<i64> {
        self.parse(name.strip_suffix(TORN_SUFFIX.as_bytes())?).map(|(_, seq)| seq)
    }
}

fn parse_number(digits: &[u8]) -> Option<i64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_stock_servers_and_read_back() {
        let names = Names::new("/data", "appendonlydir", "appendonly.aof").unwrap();
        assert_eq!(names.manifest(), Path::new("/data/appendonlydir/appendonly.aof.manifest"));
        assert_eq!(names.base_name(1), "appendonly.aof.1.base.rdb");
        assert_eq!(names.incr_name(12), "appendonly.aof.12.incr.aof");
        assert_eq!(names.parse(b"appendonly.aof.1.base.rdb"), Some((FileKind::Base, 1)));
        assert_eq!(names.parse(b"appendonly.aof.1.base.aof"), Some((FileKind::Base, 1)));
        assert_eq!(names.parse(b"appendonly.aof.12.incr.aof"), Some((FileKind::Incr, 12)));
        assert_eq!(names.parse_torn(b"appendonly.aof.12.incr.aof.torn"), Some(12));
        for other in ["appendonly.aof.manifest", "appendonly.aof.-1.incr.aof", "x.1.incr.aof"] {
            assert_eq!(names.parse(other.as_bytes()), None, "{other}");
        }
        assert_eq!(names.previous_folder(3), Path::new("/data/appendonlydir.previous-3"));
        assert_eq!(names.parse_previous(b"appendonlydir.previous-3"), Some(3));
        assert_eq!(names.parse_previous(b"appendonlydir"), None);
        for bad in ["", "..", "a/b"] {
            assert!(Names::new("/data", bad, "x").is_err() && Names::new("/data", "x", bad).is_err());
        }
    }
}
