//! The record as text, a line a fact.

use std::fmt::Write as _;

use super::{ArchiveError, BLOCK_BYTES, Block, MAX_RECORD_BYTES, MAX_STORED_BYTES, Record, Role, StoredFile};
use crate::base::crc::crc64;
use crate::format::aof::seal::{Epoch, Lineage};
use crate::format::aof::verify::HistoryPoint;

/// The first line.
const FIRST: &str = "#OUTRIGGER-BACKUP v1\n";
/// The last line is this, 16 hexadecimal digits, and a line end.
const LAST: &str = "crc ";
/// The length of the last line.
const LAST_BYTES: usize = LAST.len() + 16 + 1;
/// Longest name of a backup or a file.
const MAX_NAME_BYTES: usize = 255;

pub(super) fn print(record: &Record) -> Vec<u8> {
    let mut text = String::from(FIRST);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "name {}\ntime {}", record.name, record.time_ms);
    if let Some(place) = &record.place {
        let _ = writeln!(text, "place {} {}", place.lineage, place.offset);
    }
    if record.epoch.is_known() {
        let _ = writeln!(text, "epoch {} {}", record.epoch.number, record.epoch.since);
    }
    let _ = write!(text, "databases {}\nkeys {}\ndigest ", record.databases, record.keys);
    for byte in &record.digest {
        let _ = write!(text, "{byte:02x}");
    }
    let _ = writeln!(text, "\nexpiries {}", record.expiry_sum);
    let mut out = text.into_bytes();
    for file in &record.files {
        let role = if file.role == Role::Manifest { "manifest" } else { "data" };
        out.extend(format!("file {role} {} {:016x} ", file.bytes, file.crc).bytes());
        out.extend(&file.name);
        out.push(b'\n');
        for block in &file.blocks {
            out.extend(
                format!("block {} {} {:016x}\n", block.stored_bytes, block.raw_bytes, block.crc).bytes(),
            );
        }
    }
    let crc = crc64(0, &out);
    out.extend(format!("{LAST}{crc:016x}\n").bytes());
    out
}

pub(super) fn parse(text: &[u8]) -> Result<Record, ArchiveError> {
    if text.len() > MAX_RECORD_BYTES {
        return Err(ArchiveError::TooLong);
    }
    let body = text.len().saturating_sub(LAST_BYTES);
    let (body, last) = text.split_at(body);
    if last != format!("{LAST}{:016x}\n", crc64(0, body)).as_bytes() {
        return Err(ArchiveError::Record { at: body.len(), what: "the checksum of what stands before" });
    }
    let mut lines = Lines { text: body, at: 0 };
    let record = lines.record()?;
    // There is one way to write each record.
    if print(&record) != text {
        return Err(ArchiveError::Record { at: 0, what: "the facts in their one order and spelling" });
    }
    Ok(record)
}

/// What is left of the text.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn record(&mut self) -> Result<Record, ArchiveError> {
        let first = self.line("the first line of a record")?;
        if first != FIRST.trim_end().as_bytes() {
            return self.bad("the first line of a record");
        }
        let name = self.must("name ", "a name", name_of)?;
        let time_ms = self.must("time ", "a time", |text| text.parse().ok())?;
        let place = self.may("place ", "a place in a history", |text| {
            let (lineage, offset) = text.split_once(' ')?;
            Some(HistoryPoint { lineage: lineage.parse().ok()?, offset: offset.parse().ok()? })
        })?;
        let epoch = self.may("epoch ", "an epoch", |text| {
            let (number, since) = text.split_once(' ')?;
            Some(Epoch { number: number.parse().ok()?, since: since.parse().ok()? })
        })?;
        let databases = self.must("databases ", "a number of databases", |text| text.parse().ok())?;
        let keys = self.must("keys ", "a number of keys", |text| text.parse().ok())?;
        let digest = self.must("digest ", "a digest", digest_of)?;
        let expiry_sum = self.must("expiries ", "a sum of times", |text| text.parse().ok())?;
        let mut files = Vec::new();
        while self.at < self.text.len() {
            files.push(self.file()?);
        }
        let epoch = epoch.unwrap_or(Epoch::UNKNOWN);
        Ok(Record { name, time_ms, place, epoch, databases, keys, digest, expiry_sum, files })
    }

    fn file(&mut self) -> Result<StoredFile, ArchiveError> {
        const WHAT: &str = "a file";
        let line = self.line(WHAT)?;
        let read = || {
            let mut words = line.splitn(5, |byte| *byte == b' ');
            let mut word = || std::str::from_utf8(words.next()?).ok();
            let (file, role, bytes, crc) = (word()?, word()?, word()?, word()?);
            let role = match role {
                "manifest" => Role::Manifest,
                "data" => Role::Data,
                _ => return None,
            };
            let name = words.next().filter(|name| is_plain(name))?.to_vec();
            let (bytes, crc) = (bytes.parse().ok()?, u64::from_str_radix(crc, 16).ok()?);
            (file == "file").then_some(StoredFile { role, name, bytes, crc, blocks: Vec::new() })
        };
        let Some(mut file) = read() else { return self.bad(WHAT) };
        while let Some(block) = self.may("block ", "a block", block_of)? {
            file.blocks.push(block);
        }
        let sum: u64 = file.blocks.iter().map(|block| u64::from(block.raw_bytes)).sum();
        if !file.blocks.is_empty() && sum != file.bytes {
            return self.bad("blocks that make up their file");
        }
        Ok(file)
    }

    fn bad<T>(&self, what: &'static str) -> Result<T, ArchiveError> {
        Err(ArchiveError::Record { at: self.at, what })
    }

    fn line(&mut self, what: &'static str) -> Result<&'a [u8], ArchiveError> {
        let rest = &self.text[self.at..];
        let Some(end) = memchr::memchr(b'\n', rest) else { return self.bad(what) };
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn must<T>(
        &mut self,
        word: &str,
        what: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ArchiveError> {
        match self.may(word, what, read)? {
            Some(value) => Ok(value),
            None => self.bad(what),
        }
    }

    /// The next line, if it begins with this word.
    fn may<T>(
        &mut self,
        word: &str,
        what: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ArchiveError> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Ok(None);
        }
        let at = self.at;
        let line = self.line(what)?;
        match std::str::from_utf8(&line[word.len()..]).ok().and_then(read) {
            Some(value) => Ok(Some(value)),
            None => Err(ArchiveError::Record { at, what }),
        }
    }
}

/// A name that leads nowhere and is of one line.
fn is_plain(name: &[u8]) -> bool {
    let odd = |byte: &u8| matches!(byte, b'/' | b'\\' | 0 | b'\n' | b'\r');
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name != b"." && name != b".." && !name.iter().any(odd)
}

fn name_of(text: &str) -> Option<String> {
    is_plain(text.as_bytes()).then(|| text.to_owned())
}

fn digest_of(text: &str) -> Option<[u8; 20]> {
    // A digest is written as a lineage is: 40 lower-case hexadecimal digits.
    let _: Lineage = text.parse().ok()?;
    let mut digest = [0; 20];
    for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(digest)
}

fn block_of(text: &str) -> Option<Block> {
    let mut words = text.split(' ');
    let (stored, raw, crc) = (words.next()?, words.next()?, words.next()?);
    let block = Block {
        stored_bytes: stored.parse().ok()?,
        raw_bytes: raw.parse().ok()?,
        crc: u64::from_str_radix(crc, 16).ok()?,
    };
    let fits = block.stored_bytes as usize <= MAX_STORED_BYTES
        && block.raw_bytes > 0
        && block.raw_bytes as usize <= BLOCK_BYTES;
    (words.next().is_none() && fits).then_some(block)
}
