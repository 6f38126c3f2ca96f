//! One member of a collection as it is stored: an integer or bytes.

use std::fmt;

/// The longest decimal text of an `i64`, sign included.
pub const MAX_INT_TEXT: usize = 20;

/// Reads `text` as an `i64` if it is exactly what printing that number would give: no sign but `-`, no leading
/// zeros, no spaces. Only such text may be stored as a number, because only it comes back unchanged.
pub fn parse_canonical_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'0'] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // 19 digits cannot overflow a u64.
    if digits.len() > MAX_INT_TEXT - 1 || !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    let mut magnitude = 0u64;
    for &c in digits {
        let digit = c.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative {
        (magnitude <= 1 << 63).then(|| (magnitude as i64).wrapping_neg())
    } else {
        i64::try_from(magnitude).ok()
    }
}

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
        match parse_canonical_i64(bytes) {
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
            Element::Int(int) => parse_canonical_i64(other) == Some(int),
            Element::Bytes(bytes) => bytes == other,
        }
    }

    /// The value as an `i64`, if it is a canonical one, however it is stored.
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Element::Int(int) => Some(int),
            Element::Bytes(bytes) => parse_canonical_i64(bytes),
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
        Self { bytes, int: parse_canonical_i64(bytes) }
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
    fn only_canonical_text_is_a_number() {
        for text in ["0", "-1", "7", "9223372036854775807", "-9223372036854775808"] {
            let int = parse_canonical_i64(text.as_bytes()).unwrap();
            assert_eq!(int.to_string(), text);
        }
        for text in
            ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "1a", "9223372036854775808", "-9223372036854775809"]
        {
            assert_eq!(parse_canonical_i64(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_canonical_i64(b"99999999999999999999"), None);
    }

    proptest! {
        #[test]
        fn length_is_that_of_the_text(int: i64, shift in 0u32..64) {
            let int = int >> shift;
            prop_assert_eq!(Element::Int(int).len(), int.to_string().len());
        }

        #[test]
        fn agrees_with_the_standard_parser(text in "-?[0-9]{0,20}") {
            let expected = text.parse::<i64>().ok().filter(|int| int.to_string() == text);
            prop_assert_eq!(parse_canonical_i64(text.as_bytes()), expected);
        }
    }
}
