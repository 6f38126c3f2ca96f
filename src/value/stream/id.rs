//! The id of a stream's entry.

use std::fmt;

/// Longest text of an id: two numbers of 20 digits and the dash.
const TEXT_MAX_BYTES: usize = 41;

/// When an entry was added (ms of unix time, as a rule) and which of that ms it is. Ids order as the pairs do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// The first part, a time in ms.
    pub ms: u64,
    /// The second part, which tells entries of one ms apart.
    pub seq: u64,
}

impl StreamId {
    /// `0-0`, which no entry has.
    pub const MIN: StreamId = StreamId::new(0, 0);
    /// The last id there is.
    pub const MAX: StreamId = StreamId::new(u64::MAX, u64::MAX);

    /// An id of its two parts.
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// The id right after this one; `None` after the last.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId::new(self.ms.checked_add(1)?, 0)),
        }
    }

    /// The id right before this one; `None` before the first.
    pub fn prev(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId::new(self.ms.checked_sub(1)?, u64::MAX)),
        }
    }

    /// Whether this is `0-0`.
    pub fn is_zero(self) -> bool {
        self == StreamId::MIN
    }

    /// The 16 bytes that stand for it in RDB files: both parts big endian, so that bytes order as ids do.
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.ms) << 64) | u128::from(self.seq)).to_be_bytes()
    }

    /// The id that 16 bytes stand for.
    pub fn from_bytes(bytes: [u8; 16]) -> StreamId {
        let both = u128::from_be_bytes(bytes);
        StreamId::new((both >> 64) as u64, both as u64)
    }

    /// The id as clients see it: `ms-seq`.
    pub fn text(self) -> IdText {
        let mut text = IdText { bytes: [0; TEXT_MAX_BYTES], len: 0 };
        text.push(itoa::Buffer::new().format(self.ms));
        text.push("-");
        text.push(itoa::Buffer::new().format(self.seq));
        text
    }

    /// This id with the differences that an entry carries to its node's id; they wrap, as they do in Redis.
    pub(super) fn plus(self, ms: i64, seq: i64) -> StreamId {
        StreamId::new(self.ms.wrapping_add(ms as u64), self.seq.wrapping_add(seq as u64))
    }

    /// The differences to a node's id that bring [`StreamId::plus`] here.
    pub(super) fn minus(self, node: StreamId) -> (i64, i64) {
        (self.ms.wrapping_sub(node.ms) as i64, self.seq.wrapping_sub(node.seq) as i64)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// The text of an id, without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct IdText {
    bytes: [u8; TEXT_MAX_BYTES],
    len: u8,
}

impl IdText {
    fn push(&mut self, text: &str) {
        let from = usize::from(self.len);
        self.bytes[from..from + text.len()].copy_from_slice(text.as_bytes());
        self.len += text.len() as u8;
    }
}

impl AsRef<[u8]> for IdText {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_at_the_edges() {
        assert_eq!(StreamId::MIN.prev(), None);
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::new(4, u64::MAX).next(), Some(StreamId::new(5, 0)));
        assert_eq!(StreamId::new(5, 0).prev(), Some(StreamId::new(4, u64::MAX)));
        assert_eq!(StreamId::MAX.text().as_ref(), b"18446744073709551615-18446744073709551615");
        assert_eq!(StreamId::MIN.text().as_ref(), b"0-0");
    }

    proptest! {
        #[test]
        fn bytes_order_as_ids(ams: u64, aseq: u64, bms: u64, bseq: u64, shift in 0u32..64) {
            let (a, b) = (StreamId::new(ams >> shift, aseq), StreamId::new(bms >> shift, bseq));
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
            prop_assert_eq!(StreamId::from_bytes(a.to_bytes()), a);
            let (ms, seq) = a.minus(b);
            prop_assert_eq!(b.plus(ms, seq), a);
            let (text, printed) = (a.text(), a.to_string());
            prop_assert_eq!(text.as_ref(), printed.as_bytes());
            if let Some(next) = a.next() {
                prop_assert!(next > a && next.prev() == Some(a));
            }
        }
    }
}
