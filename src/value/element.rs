//! One member of a collection as it is stored: an integer or bytes.

use crate::base::num::parse_i64;
use std::fmt;

/// A member of a collection, borrowed from wherever it is stored.
///
/// The same member may be stored as an integer in one encoding and as text in another, so equality is by content
/// ([`Element::eq_bytes`], [`Needle`]), not by variant.
#[derive(Clone, Copy)]
pub enum Element<'a> {
    /// Stored as an integer; its bytes are its decimal text.
    Int(i64),
    /// Stored as bytes.
    Bytes(&'a [u8]),
}

impl<'a> Element<'a> {
    /// The element for these bytes: an integer if they are a canonical `i64`.
    pub fn parse(bytes: &'a [u8]) -> Self {
        match parse_i64(bytes) {
            Some(int) => Element::Int(int),
            None => Element::Bytes(bytes),
        }
    }

    /// The bytes a client sees; `buf` holds the text of an integer.
    pub fn as_bytes<'b>(&self, buf: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Element::Int(int) => buf.format(int).as_bytes(),
            Element::Bytes(bytes) => bytes,
        }
    }

    /// Whether a client would see exactly `other`.
    pub fn eq_bytes(&self, other: &[u8]) -> bool {
        match *self {
            Element::Int(int) => parse_i64(other) == Some(int),
            Element::Bytes(bytes) => bytes == other,
        }
    }

    /// The value as an `i64`, if it is a canonical one, however it is stored.
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Element::Int(int) => Some(int),
            Element::Bytes(bytes) => parse_i64(bytes),
        }
    }

    /// The bytes a client sees, owned.
    pub fn to_vec(&self) -> Vec<u8> {
        self.as_bytes(&mut itoa::Buffer::new()).to_vec()
    }

    /// Number of bytes a client sees.
    pub fn len(&self) -> usize {
        match *self {
            Element::Int(int) => {
                let digits = int.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
                digits + usize::from(int < 0)
            }
            Element::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether a client sees the empty string.
    pub fn is_empty(&self) -> bool {
        matches!(self, Element::Bytes([]))
    }
}

impl PartialEq for Element<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Element::Int(a), Element::Int(b)) => a == b,
            (a, Element::Bytes(b)) => a.eq_bytes(b),
            (Element::Bytes(a), b) => b.eq_bytes(a),
        }
    }
}

impl Eq for Element<'_> {}

impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Int(int) => write!(f, "{int}"),
            Element::Bytes(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
        }
    }
}

/// Bytes that are searched for, read as a number once instead of at every comparison.
#[derive(Clone, Copy, Debug)]
pub struct Needle<'a> {
    bytes: &'a [u8],
    int: Option<i64>,
}

impl<'a> Needle<'a> {
    /// Prepares `bytes` for comparing.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, int: parse_i64(bytes) }
    }

    /// Whether `element` is what is searched for.
    pub fn matches(&self, element: Element<'_>) -> bool {
        match element {
            Element::Int(int) => self.int == Some(int),
            Element::Bytes(bytes) => bytes == self.bytes,
        }
    }

    /// The bytes as they were given.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The number the bytes are, if they are a canonical one.
    pub fn int(&self) -> Option<i64> {
        self.int
    }

    /// The bytes as an element to store.
    pub fn element(&self) -> Element<'a> {
        match self.int {
            Some(int) => Element::Int(int),
            None => Element::Bytes(self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equality_is_by_content() {
        let parsed = Element::parse(b"-12");
        assert!(matches!(parsed, Element::Int(-12)));
        assert!(parsed == Element::Bytes(b"-12") && Element::Bytes(b"-12") == parsed);
        assert!(parsed.eq_bytes(b"-12") && !parsed.eq_bytes(b"-012"));
        assert!(matches!(Element::parse(b"012"), Element::Bytes(b"012")));
        assert_eq!((Element::Bytes(b"7").as_int(), Element::Bytes(b"7 ").as_int()), (Some(7), None));
        let (number, text) = (Needle::new(b"7"), Needle::new(b"07"));
        assert!(number.matches(Element::Int(7)) && number.matches(Element::Bytes(b"7")));
        assert!(!text.matches(Element::Int(7)) && text.matches(Element::Bytes(b"07")));
    }

    proptest! {
        #[test]
        fn length_is_that_of_the_text(int: i64, shift in 0u32..64) {
            let int = int >> shift;
            let text = int.to_string();
            prop_assert_eq!(Element::Int(int).len(), text.len());
            prop_assert_eq!(Element::Int(int).to_vec(), text.as_bytes());
            prop_assert_eq!(Element::parse(text.as_bytes()), Element::Int(int));
        }
    }
}
