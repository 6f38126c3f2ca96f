//! `pair.json` in the pair's folder: which processes are at work, for scripts.

use crate::sys::{Disk, DiskError, RealDisk};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The record's name in the pair's folder.
pub const RECORD_FILE: &str = "pair.json";

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its process id while it runs.
    pub pid: Option<u32>,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// How often it was started by this supervisor.
    pub starts: u32,
}

/// The file. It is there while a supervisor runs (or was killed), and gone after an orderly end.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
}

impl Record {
    /// The record of the pair in `dir`.
    pub fn new(dir: &Path) -> Record {
        Record { path: dir.join(RECORD_FILE) }
    }

    /// Whether a supervisor left its record behind, which it does only when it is killed.
    pub fn is_left_behind(dir: &Path) -> bool {
        matches!(RealDisk.file_len(&dir.join(RECORD_FILE)), Ok(Some(_)))
    }

    /// Writes who is at work.
    pub fn write(&self, primary: Entry, replica: Entry) -> Result<(), DiskError> {
        let text = text_of(std::process::id(), primary, replica);
        RealDisk.write_whole(&self.path, &mut |out| out.write_all(text.as_bytes())).map(drop)
    }

    /// Removes the record.
    pub fn remove(&self) -> Result<(), DiskError> {
        RealDisk.remove_file(&self.path)
    }
}

pub(super) fn text_of(supervisor: u32, primary: Entry, replica: Entry) -> String {
    let mut text = format!("{{\"supervisor\":{{\"pid\":{supervisor}}}");
    for (name, entry) in [("primary", primary), ("replica", replica)] {
        let pid = entry.pid.map_or_else(|| "null".to_owned(), |pid| pid.to_string());
        // Writing to a String cannot fail.
        let _ =
            write!(text, ",\"{name}\":{{\"pid\":{pid},\"port\":{},\"starts\":{}}}", entry.port, entry.starts);
    }
    text.push_str("}\n");
    text
}
