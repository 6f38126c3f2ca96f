//! The manifest: which files, in which order, make up the append-only history.
//!
//! One line a file: `file <name> seq <n> type <b|i|h>`, words parted by blanks, a word with odd bytes in double quotes.
//! `b` is the base (at most one), `i` an incremental file, `h` one that is history and may be deleted. Further pairs of
//! words are allowed and stock servers skip them, as they skip lines that begin with `#`.
//!
//! Pairs of ours begin with `outrigger-`. A manifest that has any ends in the line
//! `#OUTRIGGER-MANIFEST v1 crc=<16 hex>\n`, whose CRC64 covers every byte before its digits. One byte changed is
//! therefore noticed, or does not change what the manifest says.

use std::collections::HashSet;

use thiserror::Error;

use super::seal::{Lineage, parse_crc, push_crc};
use crate::base::crc::crc64;

/// The longest line stock servers read, newline included, in bytes.
pub const MAX_LINE_BYTES: usize = 1023;
/// What a comment line of ours begins with.
const MARK: &[u8] = b"#OUTRIGGER-";
const CHECK_LINE: &[u8] = b"#OUTRIGGER-MANIFEST v1 crc=";
/// What the key of a pair of ours begins with.
const OUR_KEYS: &str = "outrigger-";
const KEY_LINEAGE: &str = "outrigger-lineage";
const KEY_START_OFFSET: &str = "outrigger-start-offset";

/// What a file is to the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// The snapshot that the incremental files follow.
    Base,
    /// Superseded; kept until it is deleted.
    History,
    /// Commands.
    Incr,
}

impl FileKind {
    fn letter(self) -> u8 {
        match self {
            FileKind::Base => b'b',
            FileKind::History => b'h',
            FileKind::Incr => b'i',
        }
    }
}

/// One line of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// The file's name in the folder of the manifest.
    pub name: Vec<u8>,
    /// Its number among files of its kind.
    pub seq: i64,
    /// What it is.
    pub kind: FileKind,
    /// The lineage of its first byte, where the manifest says so.
    pub lineage: Option<Lineage>,
    /// The replication offset before its first command (of a base: the offset it is a snapshot at), where the manifest
    /// says so.
    pub start_offset: Option<u64>,
    /// Pairs we have no use for, in their order.
    pub unknown: Vec<(Vec<u8>, Vec<u8>)>,
}

impl FileEntry {
    /// An entry as stock servers write them.
    pub fn new(name: impl Into<Vec<u8>>, seq: i64, kind: FileKind) -> Self {
        FileEntry { name: name.into(), seq, kind, lineage: None, start_offset: None, unknown: Vec::new() }
    }

    /// The same entry with its place in the history.
    pub fn at(mut self, lineage: Lineage, start_offset: u64) -> Self {
        self.lineage = Some(lineage);
        self.start_offset = Some(start_offset);
        self
    }

    fn has_ours(&self) -> bool {
        let ours = |key: &[u8]| is_our_key(key);
        self.lineage.is_some() || self.start_offset.is_some() || self.unknown.iter().any(|(key, _)| ours(key))
    }
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// The base file, if there is one.
    pub base: Option<FileEntry>,
    /// Files that are history, in the order of the manifest.
    pub history: Vec<FileEntry>,
    /// Incremental files, in ascending order of their numbers.
    pub incr: Vec<FileEntry>,
}

/// Why a manifest was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind}, at byte {offset} of the manifest")]
pub struct ManifestError {
    /// First byte of the offending line (or the end of the manifest).
    pub offset: usize,
    /// What is wrong.
    pub kind: ManifestErrorKind,
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestErrorKind {
    /// No file is named.
    #[error("the manifest names no file")]
    Empty,
    /// A line is longer than [`MAX_LINE_BYTES`].
    #[error("a line longer than {MAX_LINE_BYTES} bytes")]
    LineTooLong,
    /// The last line has no newline.
    #[error("the last line has no end")]
    NoLineEnd,
    /// A line that is neither a comment nor pairs of words, or whose quotes do not close.
    #[error("a line that is not made of pairs of words")]
    BadLine,
    /// `file`, `seq` or `type` is missing.
    #[error("a line without file, seq or type")]
    MissingField,
    /// `file`, `seq`, `type` or a pair of ours occurs twice on a line.
    #[error("the word {0} twice on a line")]
    DoubleField(&'static str),
    /// A name that is empty, leads out of the folder or holds a NUL.
    #[error("{0:?} is not a plain file name")]
    BadName(String),
    /// A number that is not one.
    #[error("{0:?} is not a sequence number")]
    BadSeq(String),
    /// A type other than b, i and h.
    #[error("{0:?} is not a file type")]
    BadType(String),
    /// A pair of ours with a value that cannot be.
    #[error("the value of {0} is malformed")]
    BadValue(&'static str),
    /// A second base file.
    #[error("more than one base file")]
    SecondBase,
    /// Incremental files out of order.
    #[error("incremental file number {found} after number {before}")]
    SeqOrder {
        /// The number before.
        before: i64,
        /// The number that is not above it.
        found: i64,
    },
    /// Two lines name the same file.
    #[error("the file {0:?} is named twice")]
    SameName(String),
    /// The manifest has pairs or comments of ours and no check line, or bytes behind its check line.
    #[error("a manifest with outrigger's own words must end in its check line")]
    NoCheckLine,
    /// The check line disagrees with the bytes before it.
    #[error("the CRC64 of the manifest is {found:016x} and its check line says {written:016x}")]
    Crc {
        /// What the check line says.
        written: u64,
        /// What the bytes before it have.
        found: u64,
    },
}

impl Manifest {
    /// All entries in the order they are written: base, history, incremental.
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> {
        self.base.iter().chain(&self.history).chain(&self.incr)
    }

    /// Prints the manifest. When any entry has a pair of ours, the check line follows.
    ///
    /// Fails where reading it back would.
    pub fn print(&self) -> Result<Vec<u8>, ManifestError> {
        let mut out = Vec::new();
        for entry in self.files() {
            print_entry(entry, &mut out);
        }
        if self.files().any(FileEntry::has_ours) {
            out.extend_from_slice(CHECK_LINE);
            push_crc(crc64(0, &out), &mut out);
            out.push(b'\n');
        }
        Manifest::parse(&out)?;
        Ok(out)
    }

    /// Reads a manifest and holds it to the rules that stock servers keep, and to its check line if it has or needs one.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let mut manifest = Manifest::default();
        let mut names = HashSet::new();
        // Where a word of ours was first met, and whether the check line has been.
        let mut ours_at = None;
        let mut checked = false;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let fail = |kind| ManifestError { offset: at, kind };
            let Some(end) = memchr::memchr(b'\n', rest) else {
                let long = rest.len() >= MAX_LINE_BYTES;
                return Err(fail(if long {
                    ManifestErrorKind::LineTooLong
                } else {
                    ManifestErrorKind::NoLineEnd
                }));
            };
            if end + 1 > MAX_LINE_BYTES {
                return Err(fail(ManifestErrorKind::LineTooLong));
            }
            if checked {
                return Err(fail(ManifestErrorKind::NoCheckLine));
            }
            let line = &rest[..end];
            if let Some(digits) = line.strip_prefix(CHECK_LINE) {
                let written = parse_crc(digits).ok_or(fail(ManifestErrorKind::NoCheckLine))?;
                let found = crc64(0, &bytes[..at + CHECK_LINE.len()]);
                if written != found {
                    return Err(fail(ManifestErrorKind::Crc { written, found }));
                }
                checked = true;
            } else if line.starts_with(b"#") {
                if mentions_us(line) {
                    ours_at.get_or_insert(at);
                }
            } else {
                let entry = parse_entry(line).map_err(fail)?;
                if entry.has_ours() {
                    ours_at.get_or_insert(at);
                }
                if !names.insert(entry.name.clone()) {
                    return Err(fail(ManifestErrorKind::SameName(shown(&entry.name))));
                }
                manifest.add(entry).map_err(fail)?;
            }
            at += end + 1;
        }
        if let (Some(offset), false) = (ours_at, checked) {
            return Err(ManifestError { offset, kind: ManifestErrorKind::NoCheckLine });
        }
        if names.is_empty() {
            return Err(ManifestError { offset: bytes.len(), kind: ManifestErrorKind::Empty });
        }
        Ok(manifest)
    }

    fn add(&mut self, entry: FileEntry) -> Result<(), ManifestErrorKind> {
        match entry.kind {
            FileKind::Base if self.base.is_some() => return Err(ManifestErrorKind::SecondBase),
            FileKind::Base => self.base = Some(entry),
            FileKind::History => self.history.push(entry),
            FileKind::Incr => {
                if let Some(last) = self.incr.last()
                    && last.seq >= entry.seq
                {
                    return Err(ManifestErrorKind::SeqOrder { before: last.seq, found: entry.seq });
                }
                self.incr.push(entry);
            }
        }
        Ok(())
    }
}

fn shown(word: &[u8]) -> String {
    word.escape_ascii().to_string()
}

fn is_our_key(key: &[u8]) -> bool {
    key.get(..OUR_KEYS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OUR_KEYS.as_bytes()))
}

/// Whether a comment is one of ours, or one of ours with a byte changed.
fn mentions_us(line: &[u8]) -> bool {
    let near = line.len() >= MARK.len() && line.iter().zip(MARK).filter(|(a, b)| a != b).count() <= 1;
    near || memchr::memmem::find(line, b" crc=").is_some()
}

fn parse_entry(line: &[u8]) -> Result<FileEntry, ManifestErrorKind> {
    let words = split_words(line).ok_or(ManifestErrorKind::BadLine)?;
    if words.is_empty() || words.len() % 2 != 0 {
        return Err(ManifestErrorKind::BadLine);
    }
    let (mut name, mut seq, mut kind) = (None, None, None);
    let (mut lineage, mut start_offset, mut unknown) = (None, None, Vec::new());
    let mut words = words.into_iter();
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        let is = |word: &str| key.eq_ignore_ascii_case(word.as_bytes());
        if is("file") {
            set(&mut name, "file", checked_name(value)?)?;
        } else if is("seq") {
            set(&mut seq, "seq", parse_seq(&value)?)?;
        } else if is("type") {
            set(&mut kind, "type", parse_kind(&value)?)?;
        } else if is(KEY_LINEAGE) {
            let read = Lineage::from_bytes(&value).map_err(|_| ManifestErrorKind::BadValue(KEY_LINEAGE))?;
            set(&mut lineage, KEY_LINEAGE, read)?;
        } else if is(KEY_START_OFFSET) {
            let read = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok());
            let read = read.ok_or(ManifestErrorKind::BadValue(KEY_START_OFFSET))?;
            set(&mut start_offset, KEY_START_OFFSET, read)?;
        } else {
            unknown.push((key, value));
        }
    }
    match (name, seq, kind) {
        (Some(name), Some(seq), Some(kind)) => {
            Ok(FileEntry { name, seq, kind, lineage, start_offset, unknown })
        }
        _ => Err(ManifestErrorKind::MissingField),
    }
}

fn set<T>(slot: &mut Option<T>, word: &'static str, value: T) -> Result<(), ManifestErrorKind> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ManifestErrorKind::DoubleField(word)),
    }
}

fn checked_name(name: Vec<u8>) -> Result<Vec<u8>, ManifestErrorKind> {
    let leads_out = name.iter().any(|b| matches!(b, b'/' | b'\\' | 0)) || name == b"." || name == b"..";
    if name.is_empty() || leads_out { Err(ManifestErrorKind::BadName(shown(&name))) } else { Ok(name) }
}

fn parse_seq(word: &[u8]) -> Result<i64, ManifestErrorKind> {
    let digits = word.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(word).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    number.ok_or_else(|| ManifestErrorKind::BadSeq(shown(word)))
}

fn parse_kind(word: &[u8]) -> Result<FileKind, ManifestErrorKind> {
    match word {
        b"b" => Ok(FileKind::Base),
        b"h" => Ok(FileKind::History),
        b"i" => Ok(FileKind::Incr),
        _ => Err(ManifestErrorKind::BadType(shown(word))),
    }
}

fn print_entry(entry: &FileEntry, out: &mut Vec<u8>) {
    out.extend_from_slice(b"file ");
    print_word(&entry.name, out);
    out.extend_from_slice(format!(" seq {} type ", entry.seq).as_bytes());
    out.push(entry.kind.letter());
    if let Some(lineage) = &entry.lineage {
        out.extend_from_slice(format!(" {KEY_LINEAGE} {lineage}").as_bytes());
    }
    if let Some(offset) = entry.start_offset {
        out.extend_from_slice(format!(" {KEY_START_OFFSET} {offset}").as_bytes());
    }
    for (key, value) in &entry.unknown {
        for word in [key, value] {
            out.push(b' ');
            print_word(word, out);
        }
    }
    out.push(b'\n');
}

/// Prints a word as it is, or in double quotes if it would not be read back as it is.
fn print_word(word: &[u8], out: &mut Vec<u8>) {
    let plain = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\');
    if !word.is_empty() && word.iter().all(plain) && !word.starts_with(b"#") {
        return out.extend_from_slice(word);
    }
    out.push(b'"');
    for &byte in word {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}

/// Splits a line into words as Redis splits command lines: double quotes with escapes, single quotes with `\'` alone.
fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii();
    while !rest.is_empty() {
        let mut word = Vec::new();
        while let Some((&byte, after)) = rest.split_first() {
            rest = match byte {
                b'"' => double_quoted(after, &mut word)?,
                b'\'' => single_quoted(after, &mut word)?,
                b' ' | b'\t' | b'\r' | b'\n' | 0 => break,
                _ => {
                    word.push(byte);
                    after
                }
            };
            // A closing quote ends the word: a blank or the end must follow.
            if matches!(byte, b'"' | b'\'') {
                if rest.first().is_some_and(|b| !b.is_ascii_whitespace()) {
                    return None;
                }
                break;
            }
        }
        words.push(word);
        rest = match rest.split_first() {
            Some((0, _)) => return None,
            _ => rest.trim_ascii_start(),
        };
    }
    Some(words)
}

fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digits = [*high, *low];
                word.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                after
            }
            [b'\\', escaped, after @ ..] => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 0x07,
                    b'b' => 0x08,
                    other => *other,
                });
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
            [] => return None,
        };
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [b'\'', after @ ..] => return Some(after),
            [b'\\', b'\'', after @ ..] => {
                word.push(b'\'');
                after
            }
            [byte, after @ ..] => {
                word.push(*byte);
                after
            }
            [] => return None,
        };
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
