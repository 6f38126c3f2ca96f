//! The file that says how far a restore into a running server got. Lines are appended and fsynced; each ends in a
//! checksum, so that what an interrupted write leaves is not believed.
//!
//! It holds for one source, one server process and one way of treating keys that are there already. The data is divided by
//! hashes of keys, the same in every process, into *units*; a unit is noted once the server has acknowledged all of it.
//! Units that were under way are sent again, which changes nothing (see [`super::push`]).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::error::RemoteError;
use crate::base::crc::crc64;
use crate::sys::{Disk, DiskFile, RealDisk};

/// The first word of the file, and the version of its form.
const MAGIC: &str = "outrigger-restore 2";
/// What it begins with in every version.
const MAGIC_WORD: &str = "outrigger-restore ";
/// Longest file that is believed, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// What was done, and what must be the same for that to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Names the state that is loaded: keys, files, what was wanted of them.
    pub source: String,
    /// Into which database, and what is done about keys that are there.
    pub mode: String,
    /// The server's run id: after its restart, nothing is known of what it has.
    pub run_id: String,
    /// How many units there are.
    pub units: usize,
}

/// What has been acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// By unit.
    pub units: Vec<bool>,
    /// Keys of those units that were left as the server had them.
    pub skipped: u64,
}

/// The file, open for appending.
pub struct Journal {
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

/// What a file told.
enum Told {
    Nothing,
    Other(&'static str),
    Terms(Terms, Done),
}

impl Journal {
    /// Opens the file, or makes it. Returns what has been done under the same terms; nothing if the server was restarted
    /// meanwhile, which the flag tells.
    pub fn open(path: &Path, terms: &Terms) -> Result<(Journal, Done, bool), RemoteError> {
        let wrong = |reason: &str| RemoteError::Resume {
            file: path.display().to_string(),
            reason: reason.to_owned(),
        };
        let nothing = Done { units: vec![false; terms.units], ..Done::default() };
        if RealDisk.file_len(path)?.is_none() {
            let file = RealDisk.create_new(path).map_err(|error| {
                wrong(&format!("cannot be made: {}; name another place with --resume-file", error.source))
            })?;
            let mut journal = Journal { path: path.to_owned(), file };
            journal.begin(terms)?;
            return Ok((journal, nothing, false));
        }
        let told = read(&contents(path).map_err(|error| match error {
            Unread::TooLong => wrong("is too long to be one; name another with --resume-file"),
            Unread::Disk(error) => error.into(),
        })?);
        let file = RealDisk.open_append(path)?;
        let mut journal = Journal { path: path.to_owned(), file };
        // What an interrupted write left behind ends here.
        let (done, restarted) = match told {
            Told::Nothing => (nothing, false),
            Told::Other(reason) => return Err(wrong(reason)),
            Told::Terms(before, done) if before == *terms => {
                journal.append("\n")?;
                return Ok((journal, done, false));
            }
            Told::Terms(before, _) if Terms { run_id: terms.run_id.clone(), ..before.clone() } == *terms => {
                (nothing, true)
            }
            Told::Terms(before, _) if before.source != terms.source => {
                return Err(wrong(
                    "belongs to another state of the source, or to another source; to begin anew, remove it (and \
                     decide about the keys that were loaded already: --replace overwrites them)",
                ));
            }
            Told::Terms(..) => {
                return Err(wrong(
                    "is of a call with other options for the same source; call with those again, or remove it to \
                     begin anew",
                ));
            }
        };
        journal.append("\n")?;
        journal.begin(terms)?;
        Ok((journal, done, restarted))
    }

    /// The terms of the file, if it is one that tells any; nothing of it is judged.
    pub fn terms(path: &Path) -> Option<Terms> {
        match read(&contents(path).ok()?) {
            Told::Terms(terms, _) => Some(terms),
            Told::Nothing => None,
            // Not ours, as it is, and for whoever opens it to say so.
            Told::Other(_) => {
                Some(Terms { source: String::new(), mode: String::new(), run_id: String::new(), units: 0 })
            }
        }
    }

    fn begin(&mut self, terms: &Terms) -> Result<(), RemoteError> {
        let Terms { source, mode, run_id, units } = terms;
        self.append(&sealed(&format!("{MAGIC}\t{source}\t{mode}\t{run_id}\t{units}")))
    }

    /// Notes units that have been acknowledged, and how many of their keys were left as they were. Durable when it returns.
    pub fn note(&mut self, units: &[usize], skipped: u64) -> Result<(), RemoteError> {
        let mut line = format!("done\t{skipped}\t");
        for (index, unit) in units.iter().enumerate() {
            let _ = write!(line, "{}{unit}", if index > 0 { " " } else { "" });
        }
        self.append(&sealed(&line))
    }

    fn append(&mut self, text: &str) -> Result<(), RemoteError> {
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()?;
        Ok(())
    }

    /// All is done: the file goes.
    pub fn remove(self) -> Result<(), RemoteError> {
        drop(self.file);
        Ok(RealDisk.remove_file(&self.path)?)
    }
}

enum Unread {
    TooLong,
    Disk(crate::sys::DiskError),
}

fn contents(path: &Path) -> Result<Vec<u8>, Unread> {
    let file = RealDisk.open_read(path).map_err(Unread::Disk)?;
    let len = file.len().map_err(Unread::Disk)?;
    if len > MAX_BYTES {
        return Err(Unread::TooLong);
    }
    let mut bytes = vec![0; len as usize];
    let got = file.read_at(0, &mut bytes).map_err(Unread::Disk)?;
    bytes.truncate(got);
    Ok(bytes)
}

fn sealed(line: &str) -> String {
    format!("{line}\t{:016x}\n", crc64(0, line.as_bytes()))
}

/// The line without its checksum, if that holds.
fn opened(line: &str) -> Option<&str> {
    let (line, sum) = line.rsplit_once('\t')?;
    (u64::from_str_radix(sum, 16).ok()? == crc64(0, line.as_bytes())).then_some(line)
}

/// The last terms in the file and what was done under them. Lines that do not hold are passed over: what they would have
/// told of is sent again.
fn read(bytes: &[u8]) -> Told {
    let text = String::from_utf8_lossy(bytes);
    let mut found: Option<(Terms, Done)> = None;
    for line in text.lines().filter_map(opened) {
        let words: Vec<&str> = line.split('\t').collect();
        match (words.as_slice(), &mut found) {
            ([MAGIC, source, mode, run_id, units], _) => {
                let Ok(units) = units.parse::<usize>() else { return Told::Other("is damaged; remove it") };
                // A unit takes at least two bytes of the file; the number is not believed before that.
                let units = units.min(1 << 24);
                let terms = Terms {
                    source: (*source).to_owned(),
                    mode: (*mode).to_owned(),
                    run_id: (*run_id).to_owned(),
                    units,
                };
                found = Some((terms, Done { units: vec![false; units], ..Done::default() }));
            }
            (["done", skipped, units], Some((_, done))) => {
                done.skipped += skipped.parse::<u64>().unwrap_or(0);
                for unit in units.split(' ').filter_map(|unit| unit.parse::<usize>().ok()) {
                    if let Some(unit) = done.units.get_mut(unit) {
                        *unit = true;
                    }
                }
            }
            ([magic, ..], None) if magic.starts_with(MAGIC_WORD) => {
                return Told::Other(
                    "is of another release of this program: end that restore with the same release, or remove the \
                     file to begin anew",
                );
            }
            _ => return Told::Other("is something else; name another file with --resume-file"),
        }
    }
    match found {
        Some((terms, done)) => Told::Terms(terms, done),
        // An interrupted first write leaves a part of a line.
        None if MAGIC.as_bytes().starts_with(bytes) || bytes.starts_with(MAGIC.as_bytes()) => Told::Nothing,
        None => Told::Other("is something else; name another file with --resume-file"),
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
