//! Reading snapshots, record by record.

use std::io::BufRead;

use super::cut::Part;
use super::error::{RdbError, RdbErrorKind};
use super::fields::Fields;
use super::input::Input;
use super::value_reader::{Scratch, read_value};
use super::{NEWEST_READ_VERSION, opcode};
use crate::base::limits::ARG_MOST_BYTES;
use crate::value::{Limits, Value};

/// Since this version eight bytes of checksum stand behind the end.
pub(super) const FIRST_WITH_CHECKSUM: u16 = 5;

/// What a [`FeedReader`] keeps of its buffer after a long record, in bytes.
const IDLE_BUFFER_BYTES: usize = 1 << 20;

/// How a snapshot is read.
#[derive(Debug, Clone, Copy)]
pub struct ReadOptions {
    /// Which encodings the values get.
    pub limits: Limits,
    /// The longest string that is believed, in bytes. Memory is only ever taken for bytes that have arrived.
    pub max_string_bytes: u64,
    /// Whether the checksum at the end is held against the bytes. A file may still say, by a checksum of 0, that it has
    /// none.
    pub verify_checksum: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { limits: Limits::default(), max_string_bytes: ARG_MOST_BYTES, verify_checksum: true }
    }
}

/// One record of a snapshot. What it borrows is good until the next one is read.
#[derive(Debug)]
pub enum Record<'r> {
    /// A named fact about the snapshot.
    Aux {
        /// Its name.
        key: &'r [u8],
        /// Its value.
        value: &'r [u8],
    },
    /// The database that the entries which follow belong to.
    SelectDb(u32),
    /// How many entries to expect in it. A hint: nothing vouches for it.
    ResizeDb {
        /// Keys.
        keys: u64,
        /// Keys among them that expire.
        expires: u64,
    },
    /// A key and its value.
    Entry(Entry<'r>),
    /// The source of a function library.
    FunctionCode(&'r [u8]),
    /// The end. Nothing follows.
    End {
        /// The checksum at the end of the file; `None` if the file has none or says it was not taken.
        checksum: Option<u64>,
    },
}

/// A key and its value.
#[derive(Debug)]
pub struct Entry<'r> {
    /// The database it belongs to.
    pub db: u32,
    /// The key.
    pub key: &'r [u8],
    /// The value, never an empty collection.
    pub value: Value,
    /// When it expires, in milliseconds of Unix time. It may have expired long since.
    pub expire_at_ms: Option<i64>,
    /// How long it had not been used when the snapshot was taken, in seconds.
    pub idle_s: Option<u64>,
    /// Its logarithmic use counter.
    pub lfu: Option<u8>,
}

/// The state between records, without the bytes.
struct Decoder {
    options: ReadOptions,
    /// 0 until the header has been read.
    version: u16,
    db: u32,
    ended: bool,
    skipped_empty: u64,
    key: Vec<u8>,
    value: Vec<u8>,
    scratch: Scratch,
}

/// What was read, without the borrowed parts: those are in the decoder's `key` and `value`.
enum Found {
    Aux,
    SelectDb(u32),
    ResizeDb {
        keys: u64,
        expires: u64,
    },
    Entry {
        value: Value,
        attributes: Attributes,
    },
    FunctionCode,
    End(Option<u64>),
    /// Something that makes no record was read.
    Skipped,
    /// The end was read before.
    Nothing,
}

/// What stands before a key.
#[derive(Default)]
struct Attributes {
    expire_at_ms: Option<i64>,
    idle_s: Option<u64>,
    lfu: Option<u8>,
}

impl Attributes {
    fn any(&self) -> bool {
        self.expire_at_ms.is_some() || self.idle_s.is_some() || self.lfu.is_some()
    }
}

impl Decoder {
    fn new(options: ReadOptions) -> Self {
        Decoder {
            options,
            version: 0,
            db: 0,
            ended: false,
            skipped_empty: 0,
            key: Vec::new(),
            value: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Reads a record. Changes nothing that matters when it fails, so that it can be asked again with more bytes.
    fn find<R: BufRead>(&mut self, input: &mut Input<R>) -> Result<Found, RdbError> {
        if self.ended {
            return Ok(Found::Nothing);
        }
        if self.version == 0 {
            self.version = read_version(input)?;
            return Ok(Found::Skipped);
        }
        let mut attributes = Attributes::default();
        loop {
            let kind = input.u8()?;
            match kind {
                opcode::EXPIRE_S => {
                    attributes.expire_at_ms = Some(i64::from(i32::from_le_bytes(input.array()?)) * 1000);
                }
                opcode::EXPIRE_MS => attributes.expire_at_ms = Some(i64::from_le_bytes(input.array()?)),
                opcode::IDLE => attributes.idle_s = Some(input.length()?),
                opcode::FREQ => attributes.lfu = Some(input.u8()?),
                opcode::SLOT_INFO..=opcode::EOF if attributes.any() => {
                    return Err(input.error(RdbErrorKind::DanglingAttribute));
                }
                opcode::SLOT_INFO..=opcode::EOF => return self.other(input, kind),
                _ => {
                    return Ok(match self.entry(input, kind)? {
                        Some(value) => Found::Entry { value, attributes },
                        None => Found::Skipped,
                    });
                }
            }
        }
    }

    /// The key and value behind a value type; `None` for an empty collection, as faulty old servers left some.
    fn entry<R: BufRead>(&mut self, input: &mut Input<R>, kind: u8) -> Result<Option<Value>, RdbError> {
        input.text_into(&mut self.key)?;
        let read = read_value(input, kind, &self.options.limits, &mut self.scratch);
        match read {
            Ok(Some(value)) => Ok(Some(value)),
            Ok(None) => {
                self.skipped_empty += 1;
                Ok(None)
            }
            Err(error) => Err(RdbError { key: Some(self.key.as_slice().into()), ..error }),
        }
    }

    fn other<R: BufRead>(&mut self, input: &mut Input<R>, kind: u8) -> Result<Found, RdbError> {
        match kind {
            opcode::AUX => {
                input.text_into(&mut self.key)?;
                input.text_into(&mut self.value)?;
                Ok(Found::Aux)
            }
            opcode::SELECT_DB => {
                let db = input.length()?;
                let db = u32::try_from(db).map_err(|_| input.error(RdbErrorKind::TooLong(db)))?;
                self.db = db;
                Ok(Found::SelectDb(db))
            }
            opcode::RESIZE_DB => Ok(Found::ResizeDb { keys: input.length()?, expires: input.length()? }),
            opcode::SLOT_INFO => {
                // A slot's number, keys and expires, for the sizing of its table: not needed here.
                for _ in 0..3 {
                    input.length()?;
                }
                Ok(Found::Skipped)
            }
            opcode::FUNCTION2 => {
                input.text_into(&mut self.value)?;
                Ok(Found::FunctionCode)
            }
            opcode::EOF => self.end(input),
            opcode::MODULE_AUX => Err(input.error(RdbErrorKind::Unsupported("a module's data"))),
            opcode::FUNCTION_PRE_GA => {
                Err(input.error(RdbErrorKind::Unsupported("a function of a 7.0 release candidate")))
            }
            other => Err(input.error(RdbErrorKind::UnknownType(other))),
        }
    }

    fn end<R: BufRead>(&mut self, input: &mut Input<R>) -> Result<Found, RdbError> {
        let checksum = input.take_checksum(self.version, self.options.verify_checksum)?;
        self.ended = true;
        Ok(Found::End(checksum))
    }

    fn record(&self, found: Found) -> Option<Record<'_>> {
        Some(match found {
            Found::Aux => Record::Aux { key: &self.key, value: &self.value },
            Found::SelectDb(db) => Record::SelectDb(db),
            Found::ResizeDb { keys, expires } => Record::ResizeDb { keys, expires },
            Found::Entry { value, attributes } => Record::Entry(Entry {
                db: self.db,
                key: &self.key,
                value,
                expire_at_ms: attributes.expire_at_ms,
                idle_s: attributes.idle_s,
                lfu: attributes.lfu,
            }),
            Found::FunctionCode => Record::FunctionCode(&self.value),
            Found::End(checksum) => Record::End { checksum },
            Found::Skipped | Found::Nothing => return None,
        })
    }
}

impl<R: BufRead> Input<R> {
    /// Reads what stands behind the mark of the end, and holds the checksum against the bytes read so far if it is to be
    /// verified. `None` if the snapshot has none or says that it was not taken.
    pub(super) fn take_checksum(&mut self, version: u16, verify: bool) -> Result<Option<u64>, RdbError> {
        if version < FIRST_WITH_CHECKSUM {
            return Ok(None);
        }
        let found = self.crc()?;
        let written = u64::from_le_bytes(self.array()?);
        if written != 0 && written != found && verify {
            return Err(self.error(RdbErrorKind::Checksum { written, found }));
        }
        Ok((written != 0).then_some(written))
    }
}

pub(super) fn read_version<R: BufRead>(input: &mut Input<R>) -> Result<u16, RdbError> {
    let magic: [u8; 9] = input.array()?;
    let digits = magic.strip_prefix(super::MAGIC).filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let Some(digits) = digits else { return Err(RdbError::new(0, RdbErrorKind::NotRdb)) };
    let version = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    if (1..=NEWEST_READ_VERSION).contains(&version) {
        Ok(version)
    } else {
        Err(RdbError::new(0, RdbErrorKind::Version(version.into())))
    }
}

/// Reads a snapshot from a source that waits for its bytes: a mapped file (`&[u8]`), a buffered file, a pipe.
///
/// After [`Record::End`], or when the source belongs to something longer, [`RdbReader::offset`] says where the snapshot
/// ends and [`RdbReader::into_source`] gives the rest back.
pub struct RdbReader<R> {
    input: Input<R>,
    decoder: Decoder,
    /// Where the records end, if that is not told by one of them.
    part_end: Option<u64>,
}

impl<R: BufRead> RdbReader<R> {
    /// A reader at the first byte of a snapshot.
    pub fn new(source: R, options: ReadOptions) -> Self {
        RdbReader {
            input: Input::new(source, 0, 0, options.max_string_bytes),
            decoder: Decoder::new(options),
            part_end: None,
        }
    }

    /// A reader of a part of a snapshot, whose bytes `source` gives. It ends where they do. The checksum of a part is not
    /// its business.
    pub fn of_part(source: R, part: &Part, options: ReadOptions) -> Self {
        let decoder = Decoder { version: part.version, db: part.db, ..Decoder::new(options) };
        let input = Input::unsummed(source, part.bytes.start as u64, options.max_string_bytes);
        RdbReader { input, decoder, part_end: Some(part.bytes.end as u64) }
    }

    /// The next record; `None` after [`Record::End`], or at the end of a part. After an error the reader is of no more use.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, RdbError> {
        loop {
            if self.part_end == Some(self.input.offset()) {
                return Ok(None);
            }
            match self.decoder.find(&mut self.input)? {
                Found::Skipped => {}
                found => return Ok(self.decoder.record(found)),
            }
        }
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// The version the snapshot names; 0 before the first record.
    pub fn version(&self) -> u16 {
        self.decoder.version
    }

    /// Keys left out because their collection was empty.
    pub fn skipped_empty(&self) -> u64 {
        self.decoder.skipped_empty
    }

    /// The source, positioned behind the last record.
    pub fn into_source(self) -> R {
        self.input.into_source()
    }
}

/// Reads a snapshot whose bytes are handed in as they arrive, without waiting for any.
///
/// It holds the bytes of the record that is not yet whole, and nothing else.
pub struct FeedReader {
    decoder: Decoder,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that belong to records already returned.
    done: usize,
    /// Position of the first byte of `buffer` in the snapshot.
    start: u64,
    crc: u64,
    /// Bytes behind `done` below which another try would be in vain.
    wanted: usize,
}

impl FeedReader {
    /// A reader at the first byte of a snapshot.
    pub fn new(options: ReadOptions) -> Self {
        FeedReader {
            decoder: Decoder::new(options),
            buffer: Vec::new(),
            done: 0,
            start: 0,
            crc: 0,
            wanted: 0,
        }
    }

    /// Hands in the bytes that follow those handed in before.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.done > 0 {
            self.buffer.drain(..self.done);
            if self.buffer.capacity() > IDLE_BUFFER_BYTES && self.buffer.len() < IDLE_BUFFER_BYTES / 2 {
                self.buffer.shrink_to(IDLE_BUFFER_BYTES);
            }
            self.start += self.done as u64;
            self.done = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next record; `None` when more bytes are needed, or after [`Record::End`].
    ///
    /// While a long record arrives it is tried again each time half as many bytes more have come, so that all tries
    /// together cost a few times the record. Set `all_arrived` once no more bytes will come: then a record that is not
    /// whole is an error.
    pub fn next_record(&mut self, all_arrived: bool) -> Result<Option<Record<'_>>, RdbError> {
        loop {
            match self.find(all_arrived)? {
                Some(Found::Skipped) => {}
                Some(found) => return Ok(self.decoder.record(found)),
                None => return Ok(None),
            }
        }
    }

    fn find(&mut self, all_arrived: bool) -> Result<Option<Found>, RdbError> {
        let rest = self.buffer.get(self.done..).unwrap_or_default();
        if !all_arrived && rest.len() < self.wanted {
            return Ok(None);
        }
        let offset = self.start + self.done as u64;
        let mut input = Input::new(rest, offset, self.crc, self.decoder.options.max_string_bytes);
        match self.decoder.find(&mut input) {
            Ok(found) => {
                self.crc = input.crc()?;
                self.done += (input.offset() - offset) as usize;
                self.wanted = 0;
                Ok(Some(found))
            }
            Err(RdbError { kind: RdbErrorKind::Truncated { missing }, .. }) if !all_arrived => {
                let missing = usize::try_from(missing).unwrap_or(usize::MAX);
                self.wanted = rest.len().saturating_add(missing.max(rest.len() / 2));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Bytes of the snapshot in records returned so far. After [`Record::End`]: the length of the snapshot.
    pub fn offset(&self) -> u64 {
        self.start + self.done as u64
    }

    /// Bytes handed in that no returned record covers. After [`Record::End`]: what follows the snapshot.
    pub fn rest(&self) -> &[u8] {
        self.buffer.get(self.done..).unwrap_or_default()
    }

    /// Keys left out because their collection was empty.
    pub fn skipped_empty(&self) -> u64 {
        self.decoder.skipped_empty
    }
}
