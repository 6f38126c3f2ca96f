//! Reading through a source that has some bytes at hand and may have more later.

use std::io::BufRead;

use super::error::{RdbError, RdbErrorKind};
use crate::base::crc::crc64;
use crate::base::num::format_i64;
use crate::format::lzf;

/// The checksum is brought up to date each time this many bytes have been read, while they are still in the cache.
const CRC_STRIDE_BYTES: usize = 128 * 1024;

const STRING_INT8: u64 = 0;
const STRING_INT16: u64 = 1;
const STRING_INT32: u64 = 2;
pub(super) const STRING_LZF: u64 = 3;

/// How many bytes of number follow, if a number stands for the string.
pub(super) fn number_bytes(encoding: u64) -> Option<u64> {
    match encoding {
        STRING_INT8 => Some(1),
        STRING_INT16 => Some(2),
        STRING_INT32 => Some(4),
        _ => None,
    }
}

/// A length field: a plain number, or the announcement of an encoded string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Plain(u64),
    Encoded(u64),
}

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
    unpacked: Vec<u8>,
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

    /// The next `len` bytes: in place if they lie in one piece, else gathered as they arrive.
    fn take<'a>(&'a mut self, len: usize, gathered: &'a mut Vec<u8>) -> Result<&'a [u8], RdbError> {
        if self.is_summed && self.used - self.summed > CRC_STRIDE_BYTES {
            self.sum()?;
        }
        let offset = self.offset();
        let fail = |error| RdbError::new(offset, RdbErrorKind::Read(error));
        let whole = self.source.fill_buf().map_err(fail)?.len().saturating_sub(self.used) >= len;
        if whole {
            let from = self.used;
            self.used += len;
            let chunk = self.source.fill_buf().map_err(fail)?;
            return Ok(chunk.get(from..from + len).unwrap_or_default());
        }
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
        Ok(gathered)
    }
}

impl<R: BufRead> Input<R> {
    /// An input whose first byte stands at `offset`, after bytes with the checksum `crc`.
    pub(super) fn new(source: R, offset: u64, crc: u64, max_string_bytes: u64) -> Self {
        Input {
            source: Chunks { source, used: 0, summed: 0, consumed: offset, crc, is_summed: true },
            gathered: Vec::new(),
            unpacked: Vec::new(),
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

    pub(super) fn take(&mut self, len: usize) -> Result<&[u8], RdbError> {
        self.source.take(len, &mut self.gathered)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let mut array = [0; N];
        let bytes = self.take(N)?;
        if let Some(found) = bytes.first_chunk::<N>() {
            array = *found;
        }
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, RdbError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn length_or_encoding(&mut self) -> Result<Length, RdbError> {
        let first = self.u8()?;
        let low = u64::from(first & 0x3f);
        Ok(match (first >> 6, first) {
            (0, _) => Length::Plain(low),
            (1, _) => Length::Plain(low << 8 | u64::from(self.u8()?)),
            (3, _) => Length::Encoded(low),
            (_, 0x80) => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            (_, 0x81) => Length::Plain(u64::from_be_bytes(self.array()?)),
            (_, other) => return Err(self.error(RdbErrorKind::LengthForm(other))),
        })
    }

    pub(super) fn length(&mut self) -> Result<u64, RdbError> {
        match self.length_or_encoding()? {
            Length::Plain(len) => Ok(len),
            Length::Encoded(_) => Err(self.error(RdbErrorKind::NotALength)),
        }
    }

    pub(super) fn string_length(&self, len: u64) -> Result<usize, RdbError> {
        let fits = usize::try_from(len).ok().filter(|_| len <= self.max_string_bytes);
        fits.ok_or_else(|| self.error(RdbErrorKind::TooLong(len)))
    }

    /// A string in whatever form it is stored.
    pub(super) fn text(&mut self) -> Result<Text<'_>, RdbError> {
        let encoding = match self.length_or_encoding()? {
            Length::Plain(len) => {
                let len = self.string_length(len)?;
                return Ok(Text::Bytes(self.take(len)?));
            }
            Length::Encoded(encoding) => encoding,
        };
        match encoding {
            STRING_INT8 => Ok(Text::Int(i8::from_le_bytes(self.array()?).into())),
            STRING_INT16 => Ok(Text::Int(i16::from_le_bytes(self.array()?).into())),
            STRING_INT32 => Ok(Text::Int(i32::from_le_bytes(self.array()?).into())),
            STRING_LZF => self.compressed(),
            other => Err(self.error(RdbErrorKind::StringEncoding(other))),
        }
    }

    fn compressed(&mut self) -> Result<Text<'_>, RdbError> {
        let packed_len = self.length()?;
        let packed_len = self.string_length(packed_len)?;
        let len = self.length()?;
        let len = self.string_length(len)?;
        let packed = self.source.take(packed_len, &mut self.gathered)?;
        self.unpacked.clear();
        match lzf::decompress(packed, len, &mut self.unpacked) {
            Ok(()) => Ok(Text::Bytes(&self.unpacked)),
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
