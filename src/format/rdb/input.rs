//! Reading through a source that has some bytes at hand and may have more later.

use std::io::BufRead;

use super::error::{RdbError, RdbErrorKind};
use super::fields::{Fields, Length, STRING_LZF};
use crate::base::crc::crc64;
use crate::base::num::format_i64;
use crate::format::lzf;

/// The checksum is brought up to date each time this many bytes have been read, while they are still in the cache.
const CRC_STRIDE_BYTES: usize = 128 * 1024;

/// A string as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text<'a> {
    Bytes(&'a [u8]),
    Int(i64),
}

impl<'a> Text<'a> {
    /// The string's bytes; a number is printed into `digits`.
    pub(super) fn bytes<'b>(self, digits: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Text::Bytes(bytes) => bytes,
            Text::Int(int) => {
                digits.clear();
                format_i64(digits, int);
                digits
            }
        }
    }
}

/// A source with a position, a running checksum, and room for what does not lie in one piece.
///
/// Its memory grows with the bytes that have arrived, never with a length that was merely announced.
pub(super) struct Input<R> {
    source: Chunks<R>,
    gathered: Vec<u8>,
    unpacked: lzf::Room,
    max_string_bytes: u64,
}

/// The source itself. Bytes that were handed out stay unconsumed for a while, so that their checksum can be taken over
/// long runs instead of field by field.
struct Chunks<R> {
    source: R,
    /// Bytes of the chunk at hand that were handed out.
    used: usize,
    /// Of these, bytes that are in the checksum.
    summed: usize,
    /// Bytes consumed before the chunk at hand.
    consumed: u64,
    crc: u64,
    is_summed: bool,
}

impl<R: BufRead> Chunks<R> {
    fn offset(&self) -> u64 {
        self.consumed + self.used as u64
    }

    /// Brings the checksum up to date.
    fn sum(&mut self) -> Result<u64, RdbError> {
        if self.is_summed && self.used > self.summed {
            let offset = self.offset();
            let chunk = self.source.fill_buf().map_err(|error| RdbError::new(offset, error))?;
            self.crc = crc64(self.crc, chunk.get(self.summed..self.used).unwrap_or_default());
            self.summed = self.used;
        }
        Ok(self.crc)
    }

    /// Makes sure that there is at least one byte that was not handed out; false at the end of the input.
    fn refill(&mut self) -> Result<bool, RdbError> {
        let offset = self.offset();
        let fail = |error| RdbError::new(offset, RdbErrorKind::Read(error));
        if self.source.fill_buf().map_err(fail)?.len() > self.used {
            return Ok(true);
        }
        self.sum()?;
        self.source.consume(self.used);
        self.consumed += self.used as u64;
        self.used = 0;
        self.summed = 0;
        Ok(!self.source.fill_buf().map_err(fail)?.is_empty())
    }

    /// Whether the next `len` bytes lie in one piece, and are to be had just so.
    #[inline]
    fn has(&mut self, len: usize) -> bool {
        let is_due = self.is_summed && self.used - self.summed > CRC_STRIDE_BYTES;
        !is_due && self.source.fill_buf().is_ok_and(|chunk| chunk.len().saturating_sub(self.used) >= len)
    }

    /// The next `len` bytes: in place if they lie in one piece, else gathered as they arrive. What follows them in that
    /// piece comes along.
    #[inline]
    fn take<'a>(&'a mut self, len: usize, gathered: &'a mut Vec<u8>) -> Result<Taken<'a>, RdbError> {
        if !self.has(len) {
            return self.gather(len, gathered);
        }
        let from = self.used;
        self.used += len;
        let chunk = self.source.fill_buf().unwrap_or_default();
        Ok(Taken { bytes: chunk.get(from..).unwrap_or_default(), len })
    }

    /// As [`Chunks::take`] of what is not to be had just so.
    #[cold]
    fn gather<'a>(&'a mut self, len: usize, gathered: &'a mut Vec<u8>) -> Result<Taken<'a>, RdbError> {
        if self.is_summed && self.used - self.summed > CRC_STRIDE_BYTES {
            self.sum()?;
        }
        if self.has(len) {
            return self.take(len, gathered);
        }
        let offset = self.offset();
        let fail = |error| RdbError::new(offset, RdbErrorKind::Read(error));
        gathered.clear();
        while gathered.len() < len {
            let missing = len - gathered.len();
            if !self.refill()? {
                return Err(RdbError::new(
                    self.offset(),
                    RdbErrorKind::Truncated { missing: missing as u64 },
                ));
            }
            let chunk = self.source.fill_buf().map_err(fail)?;
            let part = chunk.get(self.used..).unwrap_or_default();
            let part = part.get(..missing).unwrap_or(part);
            gathered.extend_from_slice(part);
            self.used += part.len();
        }
        Ok(Taken { bytes: gathered, len })
    }
}

/// Bytes that were taken, and perhaps some that follow them.
struct Taken<'a> {
    bytes: &'a [u8],
    len: usize,
}

impl<R: BufRead> Input<R> {
    /// An input whose first byte stands at `offset`, after bytes with the checksum `crc`.
    pub(super) fn new(source: R, offset: u64, crc: u64, max_string_bytes: u64) -> Self {
        Input {
            source: Chunks { source, used: 0, summed: 0, consumed: offset, crc, is_summed: true },
            gathered: Vec::new(),
            unpacked: lzf::Room::default(),
            max_string_bytes,
        }
    }

    /// As [`Input::new`], without a checksum.
    pub(super) fn unsummed(source: R, offset: u64, max_string_bytes: u64) -> Self {
        let mut input = Input::new(source, offset, 0, max_string_bytes);
        input.source.is_summed = false;
        input
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.source.offset()
    }

    /// The checksum of the bytes read so far.
    pub(super) fn crc(&mut self) -> Result<u64, RdbError> {
        self.source.sum()
    }

    /// The source, with everything consumed that was read.
    pub(super) fn into_source(mut self) -> R {
        self.source.source.consume(self.source.used);
        self.source.source
    }

    /// An error at the present position.
    pub(super) fn error(&self, kind: impl Into<RdbErrorKind>) -> RdbError {
        RdbError::new(self.offset(), kind)
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&[u8], RdbError> {
        let taken = self.source.take(len, &mut self.gathered)?;
        Ok(taken.bytes.get(..taken.len).unwrap_or_default())
    }

    /// Bytes that are at hand, without waiting for more.
    pub(super) fn at_hand_bytes(&mut self) -> usize {
        self.source.source.fill_buf().map_or(0, |chunk| chunk.len().saturating_sub(self.source.used))
    }

    /// A string in whatever form it is stored.
    #[inline]
    pub(super) fn text(&mut self) -> Result<Text<'_>, RdbError> {
        match self.length_or_encoding()? {
            Length::Plain(len) => {
                let len = self.bounded(len)?;
                Ok(Text::Bytes(self.take(len)?))
            }
            Length::Encoded(STRING_LZF) => self.compressed(),
            Length::Encoded(encoding) => self.string_number(encoding).map(Text::Int),
        }
    }

    fn compressed(&mut self) -> Result<Text<'_>, RdbError> {
        let (packed_len, len) = (self.string_length()?, self.string_length()?);
        let packed = self.source.take(packed_len, &mut self.gathered)?;
        match self.unpacked.expand(packed.bytes, packed.len, len) {
            Ok(()) => Ok(Text::Bytes(self.unpacked.bytes())),
            Err(error) => Err(self.error(error)),
        }
    }

    /// A string that must be a blob: a packed structure is never stored as a number.
    pub(super) fn blob(&mut self) -> Result<&[u8], RdbError> {
        match self.text()? {
            Text::Bytes(bytes) => Ok(bytes),
            Text::Int(_) => Ok(&[]),
        }
    }

    /// A string, copied into `out` in place of what was there.
    pub(super) fn text_into(&mut self, out: &mut Vec<u8>) -> Result<(), RdbError> {
        out.clear();
        match self.text()? {
            Text::Bytes(bytes) => out.extend_from_slice(bytes),
            Text::Int(int) => format_i64(out, int),
        }
        Ok(())
    }
}

impl<R: BufRead> Fields for Input<R> {
    type Error = RdbError;

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let mut array = [0; N];
        if let Some(found) = self.take(N)?.first_chunk::<N>() {
            array = *found;
        }
        Ok(array)
    }

    fn refusal(&self, kind: RdbErrorKind) -> RdbError {
        self.error(kind)
    }

    #[inline]
    fn max_string_bytes(&self) -> u64 {
        self.max_string_bytes
    }
}
