//! Walking the bytes of a snapshot that lie in one piece, without copying what is passed.

use super::error::RdbErrorKind;
use super::fields::{Fields, Length, STRING_LZF};
use crate::format::lzf;
use crate::value::Element;

/// Why the bytes cannot be followed. Small, because every field that is read may have one.
pub(super) type Doubt = Box<RdbErrorKind>;

/// A doubt of this kind.
#[cold]
pub(super) fn doubt(kind: impl Into<RdbErrorKind>) -> Doubt {
    Box::new(kind.into())
}

/// A string as it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stored<'b> {
    Bytes(&'b [u8]),
    Int(i64),
    /// Compressed, and how long it is said to be.
    Packed(&'b [u8], usize),
}

impl<'b> Stored<'b> {
    /// The string, expanded into `room` if it is compressed.
    pub(super) fn element<'r>(self, room: &'r mut Vec<u8>) -> Result<Element<'r>, Doubt>
    where
        'b: 'r,
    {
        match self {
            Stored::Bytes(bytes) => Ok(Element::Bytes(bytes)),
            Stored::Int(int) => Ok(Element::Int(int)),
            Stored::Packed(packed, len) => {
                room.clear();
                lzf::decompress(packed, len, room).map_err(doubt)?;
                Ok(Element::Bytes(room))
            }
        }
    }

    /// As [`Stored::element`] of what must be a blob: a packed structure is never stored as a number.
    pub(super) fn blob<'r>(self, room: &'r mut Vec<u8>) -> Result<&'r [u8], Doubt>
    where
        'b: 'r,
    {
        match self.element(room)? {
            Element::Bytes(bytes) => Ok(bytes),
            Element::Int(_) => Ok(&[]),
        }
    }

    /// Checks that it can be expanded, without doing so.
    pub(super) fn verify(self) -> Result<(), Doubt> {
        match self {
            Stored::Packed(packed, len) => lzf::verify(packed, len).map_err(doubt),
            Stored::Bytes(_) | Stored::Int(_) => Ok(()),
        }
    }
}

/// Called with the place every now and then, for whoever gives memory back behind it.
pub type Passed<'p> = &'p (dyn Fn(usize) + Sync);

/// Bytes between two calls of a [`Passed`].
const PASSED_EVERY_BYTES: usize = 4 << 20;

/// A place in bytes.
#[derive(Clone)]
pub(super) struct Cursor<'b> {
    pub(super) bytes: &'b [u8],
    pub(super) at: usize,
    max_string_bytes: u64,
    passed: Option<Passed<'b>>,
    tell_at: usize,
    /// What the compressed strings that were passed come to, in bytes.
    pub(super) expanded_bytes: u64,
}

impl<'b> Cursor<'b> {
    /// At `at` of these bytes.
    pub(super) fn new(bytes: &'b [u8], at: usize, max_string_bytes: u64) -> Cursor<'b> {
        Cursor { bytes, at, max_string_bytes, passed: None, tell_at: usize::MAX, expanded_bytes: 0 }
    }

    /// Tells `passed` how far it has come.
    pub(super) fn telling(self, passed: Passed<'b>) -> Cursor<'b> {
        Cursor { passed: Some(passed), tell_at: self.at.saturating_add(PASSED_EVERY_BYTES), ..self }
    }

    #[cold]
    fn tell(&mut self) {
        if let Some(passed) = self.passed {
            passed(self.at);
        }
        self.tell_at = self.at.saturating_add(PASSED_EVERY_BYTES);
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&'b [u8], Doubt> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(taken) = rest.get(..len) else {
            let missing = (len - rest.len()) as u64;
            self.at = self.bytes.len();
            return Err(doubt(RdbErrorKind::Truncated { missing }));
        };
        self.at += len;
        if self.at >= self.tell_at {
            self.tell();
        }
        Ok(taken)
    }

    /// A string, as it is stored. Whether it can be expanded is not looked at.
    #[inline]
    pub(super) fn stored(&mut self) -> Result<Stored<'b>, Doubt> {
        match self.length_or_encoding()? {
            Length::Plain(len) => {
                let len = self.bounded(len)?;
                Ok(Stored::Bytes(self.take(len)?))
            }
            Length::Encoded(STRING_LZF) => {
                let (packed_len, len) = (self.string_length()?, self.string_length()?);
                self.expanded_bytes = self.expanded_bytes.saturating_add(len as u64);
                Ok(Stored::Packed(self.take(packed_len)?, len))
            }
            Length::Encoded(encoding) => self.string_number(encoding).map(Stored::Int),
        }
    }
}

impl Fields for Cursor<'_> {
    type Error = Doubt;

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Doubt> {
        let mut array = [0; N];
        if let Some(found) = self.take(N)?.first_chunk::<N>() {
            array = *found;
        }
        Ok(array)
    }

    fn refusal(&self, kind: RdbErrorKind) -> Doubt {
        doubt(kind)
    }

    #[inline]
    fn max_string_bytes(&self) -> u64 {
        self.max_string_bytes
    }
}
