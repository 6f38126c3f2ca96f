//! The string value.

use super::Element;

/// Longest string that Redis embeds in its object, in bytes: OBJECT ENCODING says `embstr` up to here.
pub const EMBSTR_MAX_BYTES: usize = 44;

/// A string: a number while its text is a canonical `i64`, else bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Str {
    /// The decimal text of this number.
    Int(i64),
    /// Any bytes.
    Bytes(Vec<u8>),
}

impl Str {
    /// The string of these bytes; a number if they are a canonical `i64`.
    pub fn from_slice(bytes: &[u8]) -> Self {
        match Element::parse(bytes) {
            Element::Int(int) => Str::Int(int),
            Element::Bytes(bytes) => Str::Bytes(bytes.to_vec()),
        }
    }

    /// As [`Str::from_slice`], without a copy; slack of the buffer is given back.
    pub fn from_vec(mut bytes: Vec<u8>) -> Self {
        match Element::parse(&bytes) {
            Element::Int(int) => Str::Int(int),
            Element::Bytes(_) => {
                bytes.shrink_to_fit();
                Str::Bytes(bytes)
            }
        }
    }

    /// The content, borrowed.
    pub fn element(&self) -> Element<'_> {
        match self {
            Str::Int(int) => Element::Int(*int),
            Str::Bytes(bytes) => Element::Bytes(bytes),
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.element().len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.element().is_empty()
    }

    /// The content as bytes to change in place (APPEND, SETRANGE, SETBIT); a number becomes its text first.
    pub fn make_bytes(&mut self) -> &mut Vec<u8> {
        if let Str::Int(int) = self {
            *self = Str::Bytes(int.to_string().into_bytes());
        }
        match self {
            Str::Bytes(bytes) => bytes,
            Str::Int(_) => unreachable!("just made into bytes"),
        }
    }

    /// Bytes the string takes on the heap.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Str::Int(_) => 0,
            Str::Bytes(bytes) => bytes.capacity(),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self {
            Str::Int(_) => "int",
            Str::Bytes(bytes) if bytes.len() <= EMBSTR_MAX_BYTES => "embstr",
            Str::Bytes(_) => "raw",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        for (text, encoding) in
            [("", "embstr"), ("12", "int"), ("012", "embstr"), ("-9223372036854775808", "int")]
        {
            let string = Str::from_slice(text.as_bytes());
            assert_eq!((string.encoding(), string.len()), (encoding, text.len()));
            assert_eq!(string, Str::from_vec(text.as_bytes().to_vec()));
            assert!(string.element().eq_bytes(text.as_bytes()));
        }
        assert_eq!(Str::from_slice(&[b'x'; 44]).encoding(), "embstr");
        assert_eq!(Str::from_slice(&[b'x'; 45]).encoding(), "raw");
    }

    #[test]
    fn numbers_become_text_to_be_changed() {
        let mut string = Str::Int(-7);
        string.make_bytes().push(b'0');
        assert_eq!(string, Str::Bytes(b"-70".to_vec()));
    }
}
