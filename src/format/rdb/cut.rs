//! Cutting a snapshot into parts of whole records without decoding their values, so that several threads can decode at once.
//!
//! The cutter follows the lengths alone. It judges nothing: each part is decoded by the one decoder
//! ([`super::RdbReader::of_part`]), and where the cutter meets what it cannot follow, that decoder says what is wrong.

use super::cursor::{Cursor, Doubt, Passed, Stored, doubt};
use super::error::{RdbError, RdbErrorKind};
use super::fields::Fields;
use super::input::Input;
use super::reader::{FIRST_WITH_CHECKSUM, ReadOptions, read_version};
use super::{HEADER_BYTES, dump, opcode, value_type};
use crate::value::Element;
use std::ops::Range;

/// Some whole records that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where they lie in the snapshot.
    pub bytes: Range<usize>,
    /// The database in force at their start.
    pub db: u32,
    /// The version of the snapshot.
    pub version: u16,
}

/// How a snapshot ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The length of the snapshot in bytes.
    pub bytes: u64,
    /// The checksum that stands at the end, not yet held against the bytes; `None` if the snapshot has none or says that it
    /// was not taken.
    pub checksum: Option<u64>,
}

/// A key and its value as they are stored.
#[derive(Debug, Clone)]
pub struct RawEntry<'b> {
    /// The database.
    pub db: u32,
    /// When it expires, in milliseconds of Unix time.
    pub expire_at_ms: Option<i64>,
    /// Where the record lies in the snapshot.
    pub bytes: Range<usize>,
    kind: u8,
    key: Stored<'b>,
    value: &'b [u8],
    expanded_bytes: u64,
    max_string_bytes: u64,
}

impl RawEntry<'_> {
    /// The key, expanded into `room` if need be.
    ///
    /// # Errors
    /// It cannot be expanded.
    pub fn key<'r>(&'r self, room: &'r mut Vec<u8>) -> Result<Element<'r>, RdbError> {
        self.key.element(room).map_err(|doubt| RdbError::new(self.bytes.start as u64, *doubt))
    }

    /// The value, expanded into `room` if need be; `None` if it is no string.
    ///
    /// # Errors
    /// It cannot be expanded.
    pub fn string<'r>(&'r self, room: &'r mut Vec<u8>) -> Result<Option<Element<'r>>, RdbError> {
        if self.kind != value_type::STRING {
            return Ok(None);
        }
        let stored = Cursor::new(self.value, 0, self.max_string_bytes).stored();
        let element = stored.and_then(|stored| stored.element(room));
        element.map(Some).map_err(|doubt| RdbError::new(self.bytes.start as u64, *doubt))
    }

    /// Bytes of the value as it is stored, and of what compressed strings in it come to.
    pub fn value_bytes(&self) -> u64 {
        self.value.len() as u64 + self.expanded_bytes
    }

    /// Whether it is a hash whose fields have times.
    pub fn has_field_times(&self) -> bool {
        (value_type::HASH_TIMES_PRE_GA..=value_type::HASH_TIMED_LISTPACK).contains(&self.kind)
    }

    /// Writes what DUMP says of the value to `out`, in place of what that held; `false` if 7.0, or whoever is as old, may not know
    /// values that are stored like this.
    pub fn payload(&self, out: &mut Vec<u8>) -> bool {
        let is_known = matches!(
            self.kind,
            value_type::LIST
                | value_type::SET
                | value_type::HASH
                | value_type::ZSET_2
                | value_type::LIST_ZIPLIST
                | value_type::SET_INTSET
                | value_type::ZSET_ZIPLIST
                | value_type::HASH_ZIPLIST
                | value_type::LIST_QUICKLIST..=value_type::STREAM_2
        );
        if is_known {
            dump::frame(self.kind, self.value, out);
        }
        is_known
    }
}

/// What was passed.
enum Skipped<'b> {
    Entry(RawEntry<'b>),
    Other,
    End,
}

/// Cuts a snapshot that lies in one piece.
pub struct Cutter<'b> {
    input: Cursor<'b>,
    version: u16,
    db: u32,
    end: Option<End>,
}

impl<'b> Cutter<'b> {
    /// Begins at the first byte of a snapshot.
    ///
    /// # Errors
    /// The bytes do not begin like a snapshot that can be read.
    pub fn new(bytes: &'b [u8], options: &ReadOptions) -> Result<Cutter<'b>, RdbError> {
        let version = read_version(&mut Input::new(bytes, 0, 0, options.max_string_bytes))?;
        let input = Cursor::new(bytes, HEADER_BYTES, options.max_string_bytes);
        Ok(Cutter { input, version, db: 0, end: None })
    }

    /// Begins in the middle of a snapshot, at the first byte of a part that may be longer than any part.
    pub fn at(bytes: &'b [u8], part: &Part, options: &ReadOptions) -> Cutter<'b> {
        let input = Cursor::new(bytes, part.bytes.start, options.max_string_bytes);
        Cutter { input, version: part.version, db: part.db, end: None }
    }

    /// Tells `passed` how far it has come, every now and then.
    #[must_use]
    pub fn telling(self, passed: Passed<'b>) -> Cutter<'b> {
        Cutter { input: self.input.telling(passed), ..self }
    }

    /// The version of the snapshot.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// The database in force.
    pub fn db(&self) -> u32 {
        self.db
    }

    /// Where it stands.
    pub fn offset(&self) -> usize {
        self.input.at
    }

    /// The key of the next record that has one, expanded into `room` if need be; `None` at the end.
    ///
    /// # Errors
    /// As [`Cutter::next_part`].
    pub fn next_key<'r>(&mut self, room: &'r mut Vec<u8>) -> Result<Option<Element<'r>>, RdbError>
    where
        'b: 'r,
    {
        while self.end.is_none() {
            if let Skipped::Entry(entry) = self.skip_record().map_err(|doubt| self.error(doubt))? {
                return entry.key.element(room).map(Some).map_err(|doubt| self.error(doubt));
            }
        }
        Ok(None)
    }

    /// The next key with its value; `None` at the end.
    ///
    /// # Errors
    /// As [`Cutter::next_part`].
    pub fn next_raw(&mut self) -> Result<Option<RawEntry<'b>>, RdbError> {
        while self.end.is_none() {
            if let Skipped::Entry(entry) = self.skip_record().map_err(|doubt| self.error(doubt))? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Passes one record, whatever it is.
    ///
    /// # Errors
    /// As [`Cutter::next_part`].
    pub fn pass_record(&mut self) -> Result<(), RdbError> {
        self.skip_record().map(|_| ()).map_err(|doubt| self.error(doubt))
    }

    #[expect(clippy::boxed_local, reason = "a doubt comes in its box")]
    fn error(&self, doubt: Doubt) -> RdbError {
        RdbError::new(self.input.at as u64, *doubt)
    }

    /// The next part, of a record at least, and of `about_bytes` or little more; `None` at the end.
    ///
    /// # Errors
    /// A length that leads beyond the end, or a type that is not known. The cutter is of no more
    /// use then.
    pub fn next_part(&mut self, about_bytes: usize) -> Result<Option<Part>, RdbError> {
        let (db, begins) = (self.db, self.input.at);
        while self.end.is_none() {
            let here = self.input.at;
            if here - begins >= about_bytes.max(1) {
                break;
            }
            if let Skipped::End = self.skip_record().map_err(|doubt| self.error(doubt))? {
                // The part ends before the mark of the end.
                return Ok(self.part(begins..here, db));
            }
        }
        Ok(self.part(begins..self.input.at, db).filter(|_| self.end.is_none()))
    }

    fn part(&self, bytes: Range<usize>, db: u32) -> Option<Part> {
        (!bytes.is_empty()).then_some(Part { bytes, db, version: self.version })
    }

    /// How the snapshot ends, once the last part has been cut.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Passes a record, with what stands before its key.
    fn skip_record(&mut self) -> Result<Skipped<'b>, Doubt> {
        let (mut has_attributes, mut expire_at_ms) = (false, None);
        let begins = self.input.at;
        loop {
            let kind = self.input.u8()?;
            match kind {
                opcode::EXPIRE_S => {
                    expire_at_ms = Some(i64::from(i32::from_le_bytes(self.input.array()?)) * 1000);
                }
                opcode::EXPIRE_MS => expire_at_ms = Some(i64::from_le_bytes(self.input.array()?)),
                opcode::FREQ => self.skip(1)?,
                opcode::IDLE => self.lengths(1)?,
                opcode::SLOT_INFO..=opcode::EOF if has_attributes => {
                    return Err(doubt(RdbErrorKind::DanglingAttribute));
                }
                opcode::EOF => {
                    self.take_end()?;
                    return Ok(Skipped::End);
                }
                opcode::SLOT_INFO..opcode::EOF => {
                    self.skip_other(kind)?;
                    return Ok(Skipped::Other);
                }
                _ => {
                    let key = self.input.stored()?;
                    let (from, expanded) = (self.input.at, self.input.expanded_bytes);
                    self.skip_value(kind)?;
                    let bytes = begins..self.input.at;
                    let value = self.input.bytes.get(from..bytes.end).unwrap_or_default();
                    let (db, max_string_bytes) = (self.db, self.input.max_string_bytes());
                    return Ok(Skipped::Entry(RawEntry {
                        db,
                        expire_at_ms,
                        bytes,
                        kind,
                        key,
                        value,
                        expanded_bytes: self.input.expanded_bytes - expanded,
                        max_string_bytes,
                    }));
                }
            }
            has_attributes = true;
        }
    }

    fn skip_other(&mut self, kind: u8) -> Result<(), Doubt> {
        match kind {
            opcode::AUX => self.texts(2),
            opcode::RESIZE_DB => self.lengths(2),
            opcode::SLOT_INFO => self.lengths(3),
            opcode::FUNCTION2 => self.texts(1),
            opcode::SELECT_DB => {
                let db = self.input.length()?;
                self.db = u32::try_from(db).map_err(|_| doubt(RdbErrorKind::TooLong(db)))?;
                Ok(())
            }
            other => Err(doubt(RdbErrorKind::UnknownType(other))),
        }
    }

    fn take_end(&mut self) -> Result<(), Doubt> {
        let written = match self.version >= FIRST_WITH_CHECKSUM {
            true => u64::from_le_bytes(self.input.array()?),
            false => 0,
        };
        self.end = Some(End { bytes: self.input.at as u64, checksum: (written != 0).then_some(written) });
        Ok(())
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Doubt> {
        self.input.take(bytes).map(|_| ())
    }

    fn lengths(&mut self, count: usize) -> Result<(), Doubt> {
        (0..count).try_for_each(|_| self.input.length().map(|_| ()))
    }

    fn texts(&mut self, count: u64) -> Result<(), Doubt> {
        (0..count).try_for_each(|_| self.input.stored().map(|_| ()))
    }

    /// So many elements of `texts` strings and `more` bytes each.
    fn elements(&mut self, texts: u64, more: usize) -> Result<(), Doubt> {
        for _ in 0..self.input.length()? {
            self.texts(texts)?;
            self.skip(more)?;
        }
        Ok(())
    }

    fn skip_value(&mut self, kind: u8) -> Result<(), Doubt> {
        match kind {
            value_type::STRING
            | value_type::HASH_ZIPMAP
            | value_type::LIST_ZIPLIST
            | value_type::SET_INTSET
            | value_type::ZSET_ZIPLIST
            | value_type::HASH_ZIPLIST
            | value_type::HASH_LISTPACK
            | value_type::ZSET_LISTPACK
            | value_type::SET_LISTPACK
            | value_type::HASH_TIMED_LISTPACK_PRE_GA => self.texts(1),
            value_type::HASH_TIMED_LISTPACK => {
                self.skip(8)?;
                self.texts(1)
            }
            value_type::LIST | value_type::SET | value_type::LIST_QUICKLIST => self.elements(1, 0),
            value_type::HASH => self.elements(2, 0),
            value_type::ZSET_2 => self.elements(1, 8),
            value_type::ZSET => self.text_scores(),
            value_type::LIST_QUICKLIST_2 => self.measured(1),
            value_type::HASH_TIMES_PRE_GA => self.measured(2),
            value_type::HASH_TIMES => {
                self.skip(8)?;
                self.measured(2)
            }
            value_type::STREAM | value_type::STREAM_2 | value_type::STREAM_3 => self.stream(kind),
            other => Err(doubt(RdbErrorKind::UnknownType(other))),
        }
    }

    /// So many elements of a number and `texts` strings each.
    fn measured(&mut self, texts: u64) -> Result<(), Doubt> {
        for _ in 0..self.input.length()? {
            self.lengths(1)?;
            self.texts(texts)?;
        }
        Ok(())
    }

    fn text_scores(&mut self) -> Result<(), Doubt> {
        for _ in 0..self.input.length()? {
            self.texts(1)?;
            match self.input.u8()? {
                253..=255 => {}
                digits => self.skip(digits.into())?,
            }
        }
        Ok(())
    }

    /// See [`super::stream`] for what is where.
    fn stream(&mut self, kind: u8) -> Result<(), Doubt> {
        self.elements(2, 0)?;
        // Length and last id; then first id, greatest deleted id and entries added.
        self.lengths(if kind == value_type::STREAM { 3 } else { 8 })?;
        for _ in 0..self.input.length()? {
            self.texts(1)?;
            self.lengths(if kind == value_type::STREAM { 2 } else { 3 })?;
            for _ in 0..self.input.length()? {
                self.skip(16 + 8)?;
                self.lengths(1)?;
            }
            for _ in 0..self.input.length()? {
                self.texts(1)?;
                self.skip(if kind == value_type::STREAM_3 { 16 } else { 8 })?;
                for _ in 0..self.input.length()? {
                    self.skip(16)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{samples, write};
    use super::super::{RdbReader, Record, WriteOptions};
    use super::*;
    use crate::base::random::Rng;
    use crate::value::{Str, Value};

    /// A snapshot with a value of every kind, of none longer than this.
    fn snapshot(most_bytes: usize) -> Vec<u8> {
        let mut entries = samples();
        entries.retain(|(_, value)| dump::encode(value).len() <= most_bytes);
        assert!(entries.len() > 10);
        write(WriteOptions::default(), &entries)
    }

    #[test]
    fn parts_hold_what_the_whole_holds() {
        let bytes = snapshot(usize::MAX);
        for about in [0, 1, 1_000, 1 << 20] {
            let parts = in_parts(&bytes, about).expect("a sound snapshot");
            assert_eq!(parts.0, whole(&bytes).expect("a sound snapshot"), "parts of {about}");
            assert_eq!(parts.1.map(|end| end.bytes), Some(bytes.len() as u64));
        }
    }

    #[test]
    fn what_is_damaged_ends_it_and_never_passes() {
        let sound = snapshot(200);
        let mut rng = Rng::from_seed(2);
        for _ in 0..1_000 {
            let mut bytes = sound.clone();
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << rng.below(8);
            bytes.truncate(bytes.len() - rng.below(3) as usize);
            // What is cut to its end, and decoded without a complaint, is what the reader finds sound, too.
            match (in_parts(&bytes, 100), whole(&bytes)) {
                (Ok((parts, Some(_))), Ok(told)) => assert_eq!(parts, told, "byte {at}"),
                (Ok((_, end)), Err(error)) => assert!(end.is_none(), "byte {at}: {error}"),
                (_, Ok(_)) => panic!("byte {at}: only the reader is content"),
                (Err(_), Err(_)) => {}
            }
        }
    }

    #[test]
    fn raw_entries_are_what_the_reader_reads() {
        let bytes = snapshot(usize::MAX);
        let mut cutter = Cutter::new(&bytes, &ReadOptions::default()).expect("a snapshot");
        let mut reader = RdbReader::new(bytes.as_slice(), ReadOptions::default());
        let (mut room, mut text, mut payload) = (Vec::new(), Vec::new(), Vec::new());
        let (mut strings, mut passed, mut others) = (0, 0, 0);
        while let Some(record) = reader.next_record().expect("a sound snapshot") {
            let Record::Entry(entry) = record else { continue };
            let raw = cutter.next_raw().expect("a sound snapshot").expect("an entry");
            assert_eq!((raw.db, raw.expire_at_ms), (entry.db, entry.expire_at_ms));
            assert_eq!(raw.key(&mut room).expect("a key").as_bytes(&mut itoa::Buffer::new()), entry.key);
            let wanted = dump::encode(&entry.value);
            if let Some(element) = raw.string(&mut text).expect("a string") {
                strings += 1;
                let element = element.as_bytes(&mut itoa::Buffer::new()).to_vec();
                assert_eq!(dump::encode(&Value::Str(Str::from_slice(&element))), wanted);
            } else if raw.payload(&mut payload) {
                passed += 1;
                let read = dump::decode(&payload, &ReadOptions::default()).expect("a payload");
                assert_eq!(dump::encode(&read), wanted);
            } else {
                others += 1;
            }
            assert_eq!(raw.has_field_times(), matches!(&entry.value, Value::Hash(hash) if hash.has_times()));
        }
        assert!(cutter.next_raw().expect("a sound snapshot").is_none());
        assert!(strings > 0 && passed > strings, "{strings} strings, {passed} passed on, {others} others");
    }

    /// What a reader makes of a whole snapshot, but for its end, as text.
    pub(in super::super) fn whole(bytes: &[u8]) -> Result<Vec<String>, RdbError> {
        let mut reader = RdbReader::new(bytes, ReadOptions::default());
        let mut told = Vec::new();
        while let Some(record) = reader.next_record()? {
            if !matches!(record, Record::End { .. }) {
                told.push(format!("{record:?}"));
            }
        }
        Ok(told)
    }

    /// The same of the parts of a snapshot, and its end.
    pub(in super::super) fn in_parts(
        bytes: &[u8],
        about: usize,
    ) -> Result<(Vec<String>, Option<End>), RdbError> {
        let options = ReadOptions::default();
        let mut cutter = Cutter::new(bytes, &options)?;
        let (mut told, mut at) = (Vec::new(), 9);
        while let Some(part) = cutter.next_part(about)? {
            assert_eq!(part.bytes.start, at, "parts follow each other");
            at = part.bytes.end;
            let mut reader = RdbReader::of_part(&bytes[part.bytes.clone()], &part, options);
            while let Some(record) = reader.next_record()? {
                told.push(format!("{record:?}"));
            }
            assert_eq!(reader.offset() as usize, at);
        }
        // Whoever decodes parts sums them up, too.
        let fits = |end: &End| {
            let summed = crate::base::crc::crc64(0, &bytes[..end.bytes as usize - 8]);
            end.checksum.is_none_or(|written| written == summed)
        };
        Ok((told, cutter.end().filter(fits)))
    }
}
