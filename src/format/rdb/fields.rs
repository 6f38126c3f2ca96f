//! The fields that records are made of: lengths, and strings that stand for numbers. One decoder for bytes that lie in one
//! piece and for a source that has some of them at hand.

use super::error::RdbErrorKind;

const STRING_INT8: u64 = 0;
const STRING_INT16: u64 = 1;
const STRING_INT32: u64 = 2;
/// A string that is compressed.
pub(super) const STRING_LZF: u64 = 3;

/// A length field: a plain number, or the announcement of an encoded string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Plain(u64),
    Encoded(u64),
}

/// What fields can be read from.
pub(super) trait Fields {
    /// How a refusal is told.
    type Error;

    /// The next bytes.
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Self::Error>;

    /// A refusal at the present position.
    fn refusal(&self, kind: RdbErrorKind) -> Self::Error;

    /// The longest string that is taken.
    fn max_string_bytes(&self) -> u64;

    #[inline]
    fn u8(&mut self) -> Result<u8, Self::Error> {
        Ok(self.array::<1>()?[0])
    }

    /// The two highest bits tell the form: 6 or 14 bits of length, a length of 32 or 64 bits (big-endian, as the 14), or a
    /// string's encoding.
    #[inline]
    fn length_or_encoding(&mut self) -> Result<Length, Self::Error> {
        let first = self.u8()?;
        let low = u64::from(first & 0x3f);
        Ok(match (first >> 6, first) {
            (0, _) => Length::Plain(low),
            (1, _) => Length::Plain(low << 8 | u64::from(self.u8()?)),
            (3, _) => Length::Encoded(low),
            (_, 0x80) => Length::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            (_, 0x81) => Length::Plain(u64::from_be_bytes(self.array()?)),
            (_, other) => return Err(self.refusal(RdbErrorKind::LengthForm(other))),
        })
    }

    #[inline]
    fn length(&mut self) -> Result<u64, Self::Error> {
        match self.length_or_encoding()? {
            Length::Plain(len) => Ok(len),
            Length::Encoded(_) => Err(self.refusal(RdbErrorKind::NotALength)),
        }
    }

    /// That length of a string, if there may be such strings.
    #[inline]
    fn bounded(&self, len: u64) -> Result<usize, Self::Error> {
        let fits = usize::try_from(len).ok().filter(|_| len <= self.max_string_bytes());
        fits.ok_or_else(|| self.refusal(RdbErrorKind::TooLong(len)))
    }

    /// A length of a string.
    #[inline]
    fn string_length(&mut self) -> Result<usize, Self::Error> {
        let len = self.length()?;
        self.bounded(len)
    }

    /// The number that stands for a string of this encoding.
    #[inline]
    fn string_number(&mut self, encoding: u64) -> Result<i64, Self::Error> {
        Ok(match encoding {
            STRING_INT8 => i8::from_le_bytes(self.array()?).into(),
            STRING_INT16 => i16::from_le_bytes(self.array()?).into(),
            STRING_INT32 => i32::from_le_bytes(self.array()?).into(),
            other => return Err(self.refusal(RdbErrorKind::StringEncoding(other))),
        })
    }
}
