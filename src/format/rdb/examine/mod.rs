//! Judging the records of a snapshot without building their values.
//!
//! Every byte is looked at with the same eyes as by the loader ([`super::RdbReader`]): listpacks, intsets, ziplists, zipmaps and
//! nodes of streams by the validators that it uses, in place. What is found sound here, it loads. What is doubted here is
//! shown to it: it has the last word, and the better words.

mod collections;
mod sieve;
mod stream;

use super::cursor::{Cursor, Doubt, Passed, Stored, doubt};
use super::cut::Part;
use super::error::{RdbError, RdbErrorKind};
use super::fields::Fields;
use super::reader::{FIRST_WITH_CHECKSUM, ReadOptions};
use super::{opcode, value_type};
use crate::value::Element;
use sieve::Sieve;

/// What is kept of a buffer that was needed for something long, in bytes.
const IDLE_BUFFER_BYTES: usize = 1 << 20;

/// How a key's value lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The type, as its byte says.
    pub kind: u8,
    /// Of a string: whether a number stands for it.
    pub is_int: bool,
    /// Of a string: whether it is compressed.
    pub is_packed: bool,
}

/// What a value holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Elements, members, fields or entries; of a string none.
    pub elements: u64,
    /// Fields that carry a time.
    pub timed: u64,
}

/// One record that is sound. Its key and its text are the examiner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A named fact about the snapshot: [`Examiner::key`] and [`Examiner::text`].
    Aux,
    /// The database of what follows.
    SelectDb(u32),
    /// A hint of how many entries come.
    ResizeDb,
    /// [`Examiner::key`] and its value.
    Entry {
        /// Of this database.
        db: u32,
        /// How the value lies in the file.
        form: Form,
        /// What it holds.
        held: Held,
        /// When it expires, in milliseconds of Unix time.
        expire_at_ms: Option<i64>,
    },
    /// A collection without elements, which a loader leaves out.
    Empty,
    /// The source of a function library.
    Function,
    /// Something that is passed over.
    Skipped,
    /// The end, and the checksum that is written there, if one is.
    End(Option<u64>),
}

/// Buffers that are used again and again.
#[derive(Default)]
struct Room {
    unpacked: Vec<u8>,
    hashes: Vec<u64>,
    sieve: Sieve,
    stream: stream::Room,
}

/// What an examiner keeps from one part to the next: its buffers, without what was in them.
#[derive(Default)]
pub struct Buffers {
    key: Vec<u8>,
    text: Vec<u8>,
    room: Room,
}

/// Walks the records of a snapshot, or of a part of it, that lies in one piece.
pub struct Examiner<'b> {
    input: Cursor<'b>,
    end: Option<usize>,
    version: u16,
    db: u32,
    has_ended: bool,
    key: Vec<u8>,
    text: Vec<u8>,
    room: Room,
}

impl<'b> Examiner<'b> {
    /// For the records of a part of the snapshot `bytes`. The part may reach to the end of the bytes: then it ends with the
    /// snapshot's end.
    pub fn new(bytes: &'b [u8], part: &Part, options: &ReadOptions, buffers: Buffers) -> Examiner<'b> {
        let reach = bytes.get(..part.bytes.end).unwrap_or(bytes);
        let Buffers { key, text, room } = buffers;
        Examiner {
            input: Cursor::new(reach, part.bytes.start, options.max_string_bytes),
            end: (part.bytes.end < bytes.len()).then_some(part.bytes.end),
            version: part.version,
            db: part.db,
            has_ended: false,
            key,
            text,
            room,
        }
    }

    /// Its buffers, for another part.
    pub fn into_buffers(self) -> Buffers {
        Buffers { key: self.key, text: self.text, room: self.room }
    }

    /// Tells `passed` how far it has come, every now and then, also within a long record.
    #[must_use]
    pub fn telling(self, passed: Passed<'b>) -> Examiner<'b> {
        Examiner { input: self.input.telling(passed), ..self }
    }

    /// The byte it stands at.
    pub fn offset(&self) -> usize {
        self.input.at
    }

    /// The database in force.
    pub fn db(&self) -> u32 {
        self.db
    }

    /// The key of the last entry, or of the entry that an error is about; the name of the last fact.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The value of the last fact, or the last function's source.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The next record; `None` behind the end, or at the end of a part.
    ///
    /// # Errors
    /// What is wrong, in its own words: whoever wants the loader's shows it the record. The examiner is of no more use then.
    pub fn next_record(&mut self) -> Result<Option<Seen>, RdbError> {
        if self.has_ended || self.end == Some(self.input.at) {
            return Ok(None);
        }
        let mut has_key = false;
        self.find(&mut has_key).map(Some).map_err(|doubt| {
            let key = has_key.then(|| self.key.as_slice().into());
            RdbError { key, ..RdbError::new(self.input.at as u64, *doubt) }
        })
    }

    fn find(&mut self, has_key: &mut bool) -> Result<Seen, Doubt> {
        let (mut has_attributes, mut expire_at_ms) = (false, None);
        loop {
            let kind = self.input.u8()?;
            match kind {
                opcode::EXPIRE_S => {
                    expire_at_ms = Some(i64::from(i32::from_le_bytes(self.input.array()?)) * 1000);
                }
                opcode::EXPIRE_MS => expire_at_ms = Some(i64::from_le_bytes(self.input.array()?)),
                opcode::IDLE => drop(self.input.length()?),
                opcode::FREQ => drop(self.input.u8()?),
                opcode::SLOT_INFO..=opcode::EOF if has_attributes => {
                    return Err(doubt(RdbErrorKind::DanglingAttribute));
                }
                opcode::SLOT_INFO..=opcode::EOF => return self.other(kind),
                _ => {
                    let stored = self.input.stored()?;
                    text_into(stored, &mut self.key, &mut self.room.unpacked)?;
                    *has_key = true;
                    return self.entry(kind, expire_at_ms);
                }
            }
            has_attributes = true;
        }
    }

    fn entry(&mut self, kind: u8, expire_at_ms: Option<i64>) -> Result<Seen, Doubt> {
        let mut form = Form { kind, is_int: false, is_packed: false };
        let held = match kind {
            value_type::STRING => {
                let stored = self.input.stored()?;
                stored.verify()?;
                form.is_int = matches!(stored, Stored::Int(_));
                form.is_packed = matches!(stored, Stored::Packed(..));
                Some(Held::default())
            }
            value_type::STREAM | value_type::STREAM_2 | value_type::STREAM_3 => {
                let elements = stream::examine(&mut self.input, kind, &mut self.room)?;
                Some(Held { elements, timed: 0 })
            }
            _ => {
                let held = collections::examine(&mut self.input, kind, &mut self.room)?;
                (held.elements > 0).then_some(held)
            }
        };
        if self.room.unpacked.capacity() > IDLE_BUFFER_BYTES {
            self.room.unpacked = Vec::new();
        }
        Ok(match held {
            Some(held) => Seen::Entry { db: self.db, form, held, expire_at_ms },
            None => Seen::Empty,
        })
    }

    fn other(&mut self, kind: u8) -> Result<Seen, Doubt> {
        let input = &mut self.input;
        match kind {
            opcode::AUX => {
                text_into(input.stored()?, &mut self.key, &mut self.room.unpacked)?;
                text_into(input.stored()?, &mut self.text, &mut self.room.unpacked)?;
                Ok(Seen::Aux)
            }
            opcode::SELECT_DB => {
                let db = input.length()?;
                self.db = u32::try_from(db).map_err(|_| doubt(RdbErrorKind::TooLong(db)))?;
                Ok(Seen::SelectDb(self.db))
            }
            opcode::RESIZE_DB => {
                input.length()?;
                input.length()?;
                Ok(Seen::ResizeDb)
            }
            opcode::SLOT_INFO => {
                (0..3).try_for_each(|_| input.length().map(|_| ()))?;
                Ok(Seen::Skipped)
            }
            opcode::FUNCTION2 => {
                text_into(input.stored()?, &mut self.text, &mut self.room.unpacked)?;
                Ok(Seen::Function)
            }
            opcode::EOF => {
                let written = match self.version >= FIRST_WITH_CHECKSUM {
                    true => u64::from_le_bytes(input.array()?),
                    false => 0,
                };
                self.has_ended = true;
                Ok(Seen::End((written != 0).then_some(written)))
            }
            opcode::MODULE_AUX => Err(doubt(RdbErrorKind::Unsupported("a module's data"))),
            opcode::FUNCTION_PRE_GA => {
                Err(doubt(RdbErrorKind::Unsupported("a function of a 7.0 release candidate")))
            }
            other => Err(doubt(RdbErrorKind::UnknownType(other))),
        }
    }
}

/// Puts a string in place of what was in `out`.
fn text_into(stored: Stored<'_>, out: &mut Vec<u8>, room: &mut Vec<u8>) -> Result<(), Doubt> {
    out.clear();
    match stored.element(room)? {
        Element::Bytes(bytes) => out.extend_from_slice(bytes),
        int @ Element::Int(_) => out.extend_from_slice(int.as_bytes(&mut itoa::Buffer::new())),
    }
    Ok(())
}
