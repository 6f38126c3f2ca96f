//! Packed structures of old servers: ziplist (up to 6.x) and zipmap (up to 2.4).
//!
//! **Ziplist:** total bytes (u32 LE), position of the last entry (u32 LE), number of entries (u16 LE, 65535 if it does
//! not fit), entries, `0xFF`. An entry is: bytes of the entry before it (one byte, or `0xFE` and u32 LE), its encoding,
//! its data. Encodings:
//!
//! | first byte | data |
//! | --- | --- |
//! | `00xxxxxx` | string of that many bytes |
//! | `01xxxxxx` + 1 byte | string; 14 bits, big endian |
//! | `0x80` + 4 bytes | string; length u32 BE |
//! | `0xC0` `0xD0` `0xE0` `0xF0` `0xFE` | integer of 2, 4, 8, 3, 1 bytes, LE, signed |
//! | `0xF1` to `0xFD` | the integer 0 to 12, in the low half |
//!
//! **Zipmap:** number of pairs (u8; 254 or more: not known), pairs, `0xFF`. A pair is: length, key, length, number of
//! free bytes (u8), value, free bytes. A length is one byte below 254, or `0xFE` and u32 LE.

use thiserror::Error;

use crate::value::Element;

const ZIPLIST_HEADER: usize = 10;
const ZIPLIST_END: u8 = 0xff;
const ZIPLIST_LONG_PREV: u8 = 0xfe;
const ZIPMAP_END: u8 = 0xff;
const ZIPMAP_LONG: u8 = 0xfe;

/// Why bytes are not a ziplist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("ziplist: {kind} at byte {at} of it")]
pub struct ZiplistError {
    /// Byte position in the ziplist.
    pub at: usize,
    /// What is wrong there.
    pub kind: ZiplistErrorKind,
}

/// What is wrong with a ziplist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ZiplistErrorKind {
    /// Fewer bytes than a header and an end, or another number of bytes than the header says.
    #[error("wrong total length")]
    TotalBytes,
    /// An entry reaches past the end.
    #[error("entry longer than what is left")]
    Overflow,
    /// An encoding byte that does not exist.
    #[error("unknown encoding")]
    Encoding,
    /// The length of the entry before is not that entry's length.
    #[error("wrong length of the entry before")]
    PreviousLength,
    /// The header's position of the last entry is not its position.
    #[error("wrong position of the last entry")]
    Tail,
    /// The header's count is not the number of entries.
    #[error("wrong number of entries")]
    Count,
}

/// Checks that `bytes` are one whole ziplist and returns its elements.
pub fn ziplist_elements(bytes: &[u8]) -> Result<Vec<Element<'_>>, ZiplistError> {
    let mut elements = Vec::new();
    ziplist_each(bytes, |element| elements.push(element))?;
    Ok(elements)
}

/// Checks that `bytes` are one whole ziplist, and shows each element to `see`, in order, before it is known whether all is
/// well. Returns how many there are.
pub fn ziplist_each<'a>(bytes: &'a [u8], mut see: impl FnMut(Element<'a>)) -> Result<usize, ZiplistError> {
    let fail = |at, kind| Err(ZiplistError { at, kind });
    let header = bytes.first_chunk::<ZIPLIST_HEADER>();
    let (Some(&[a, b, c, d, e, f, g, h, i, j]), true) = (header, bytes.len() > ZIPLIST_HEADER) else {
        return fail(0, ZiplistErrorKind::TotalBytes);
    };
    let total = u32::from_le_bytes([a, b, c, d]) as usize;
    let tail = u32::from_le_bytes([e, f, g, h]) as usize;
    let count = u16::from_le_bytes([i, j]);
    if total != bytes.len() {
        return fail(0, ZiplistErrorKind::TotalBytes);
    }
    let mut found = 0;
    let (mut at, mut last, mut previous_len) = (ZIPLIST_HEADER, ZIPLIST_HEADER, 0);
    loop {
        match bytes.get(at) {
            None => return fail(at, ZiplistErrorKind::Overflow),
            Some(&ZIPLIST_END) => break,
            Some(_) => {}
        }
        let (element, previous, len) =
            ziplist_entry(&bytes[at..]).map_err(|kind| ZiplistError { at, kind })?;
        if previous != previous_len {
            return fail(at, ZiplistErrorKind::PreviousLength);
        }
        see(element);
        found += 1;
        last = at;
        previous_len = len;
        at += len;
    }
    if at + 1 != total {
        return fail(at, ZiplistErrorKind::TotalBytes);
    }
    if tail != last {
        return fail(4, ZiplistErrorKind::Tail);
    }
    if count != u16::MAX && usize::from(count) != found {
        return fail(8, ZiplistErrorKind::Count);
    }
    Ok(found)
}

/// An entry's element, the length it names for the entry before, and its own length.
fn ziplist_entry(bytes: &[u8]) -> Result<(Element<'_>, usize, usize), ZiplistErrorKind> {
    let overflow = ZiplistErrorKind::Overflow;
    let first = *bytes.first().ok_or(overflow)?;
    let (previous, prev_len) = if first == ZIPLIST_LONG_PREV {
        (u32::from_le_bytes(array(bytes, 1).ok_or(overflow)?) as usize, 5)
    } else {
        (usize::from(first), 1)
    };
    let code = *bytes.get(prev_len).ok_or(overflow)?;
    let data = prev_len + 1;
    let string = |start: usize, len: usize| {
        let end = start.checked_add(len).ok_or(overflow)?;
        let text = bytes.get(start..end).ok_or(overflow)?;
        Ok((Element::Bytes(text), previous, end))
    };
    let int =
        |value: Option<i64>, width: usize| Ok((Element::Int(value.ok_or(overflow)?), previous, data + width));
    match code {
        0..=0x3f => string(data, code as usize),
        0x40..=0x7f => {
            let low = *bytes.get(data).ok_or(overflow)?;
            string(data + 1, (code as usize & 0x3f) << 8 | low as usize)
        }
        0x80 => string(data + 4, u32::from_be_bytes(array(bytes, data).ok_or(overflow)?) as usize),
        0xc0 => int(array(bytes, data).map(|b| i16::from_le_bytes(b).into()), 2),
        0xd0 => int(array(bytes, data).map(|b| i32::from_le_bytes(b).into()), 4),
        0xe0 => int(array(bytes, data).map(i64::from_le_bytes), 8),
        // Three bytes go to the upper end of an i32 and come back with their sign.
        0xf0 => int(array(bytes, data).map(|[a, b, c]| (i32::from_le_bytes([0, a, b, c]) >> 8).into()), 3),
        0xfe => int(array(bytes, data).map(|b| i8::from_le_bytes(b).into()), 1),
        0xf1..=0xfd => int(Some(i64::from(code & 0x0f) - 1), 0),
        _ => Err(ZiplistErrorKind::Encoding),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

/// Why bytes are not a zipmap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("zipmap: {kind} at byte {at} of it")]
pub struct ZipmapError {
    /// Byte position in the zipmap.
    pub at: usize,
    /// What is wrong there.
    pub kind: ZipmapErrorKind,
}

/// What is wrong with a zipmap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ZipmapErrorKind {
    /// A key, value or the end mark lies past the end.
    #[error("it ends too early")]
    Overflow,
    /// Bytes behind the end mark.
    #[error("bytes behind the end mark")]
    TrailingBytes,
    /// The count is not the number of pairs.
    #[error("wrong number of pairs")]
    Count,
    /// `0xFF` where a value's length must stand.
    #[error("a key without value")]
    MissingValue,
}

/// A key and its value.
pub type ZipmapPair<'a> = (&'a [u8], &'a [u8]);

/// Checks that `bytes` are one whole zipmap and returns its pairs.
pub fn zipmap_pairs(bytes: &[u8]) -> Result<Vec<ZipmapPair<'_>>, ZipmapError> {
    let mut pairs = Vec::new();
    zipmap_each(bytes, |pair| pairs.push(pair))?;
    Ok(pairs)
}

/// Checks that `bytes` are one whole zipmap, and shows each pair to `see`, in order, before it is known whether all is
/// well. Returns how many there are.
pub fn zipmap_each<'a>(bytes: &'a [u8], mut see: impl FnMut(ZipmapPair<'a>)) -> Result<usize, ZipmapError> {
    let fail = |at, kind| ZipmapError { at, kind };
    let count = *bytes.first().ok_or(fail(0, ZipmapErrorKind::Overflow))?;
    let mut pairs = 0;
    let mut at = 1;
    loop {
        let overflow = fail(at, ZipmapErrorKind::Overflow);
        if *bytes.get(at).ok_or(overflow)? == ZIPMAP_END {
            break;
        }
        let (key_len, key_at) = zipmap_len(bytes, at).ok_or(overflow)?;
        let key_end = key_at.checked_add(key_len).ok_or(overflow)?;
        let key = bytes.get(key_at..key_end).ok_or(overflow)?;
        if bytes.get(key_end) == Some(&ZIPMAP_END) {
            return Err(fail(key_end, ZipmapErrorKind::MissingValue));
        }
        let (value_len, free_at) = zipmap_len(bytes, key_end).ok_or(overflow)?;
        let free = *bytes.get(free_at).ok_or(overflow)? as usize;
        let value_end = (free_at + 1).checked_add(value_len).ok_or(overflow)?;
        let value = bytes.get(free_at + 1..value_end).ok_or(overflow)?;
        see((key, value));
        pairs += 1;
        at = value_end.checked_add(free).ok_or(overflow)?;
    }
    if at + 1 != bytes.len() {
        return Err(fail(at + 1, ZipmapErrorKind::TrailingBytes));
    }
    if count < ZIPMAP_LONG && usize::from(count) != pairs {
        return Err(fail(0, ZipmapErrorKind::Count));
    }
    Ok(pairs)
}

/// The length at `at` and the position behind it.
fn zipmap_len(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    match *bytes.get(at)? {
        ZIPMAP_LONG => Some((u32::from_le_bytes(array(bytes, at + 1)?) as usize, at + 5)),
        ZIPMAP_END => None,
        short => Some((short as usize, at + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// "hi", 5 (in the low half), -2 (one byte), 1000 (two), -70000 (three), 2^31 - 1 (four), i64::MIN (eight).
    fn ziplist() -> Vec<u8> {
        let entries: [&[u8]; 7] = [
            &[0, 0x02, b'h', b'i'],
            &[4, 0xf6],
            &[2, 0xfe, 0xfe],
            &[3, 0xc0, 0xe8, 0x03],
            &[4, 0xf0, 0x90, 0xee, 0xfe],
            &[5, 0xd0, 0xff, 0xff, 0xff, 0x7f],
            &[6, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80],
        ];
        assemble(&entries)
    }

    fn assemble(entries: &[&[u8]]) -> Vec<u8> {
        let body = entries.concat();
        let last = entries.last().map_or(0, |entry| entry.len());
        let mut bytes = ((11 + body.len()) as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(&((10 + body.len() - last) as u32).to_le_bytes());
        bytes.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes.push(0xff);
        bytes
    }

    #[test]
    fn reads_every_ziplist_encoding() {
        let bytes = ziplist();
        let expected = [
            Element::Bytes(b"hi"),
            Element::Int(5),
            Element::Int(-2),
            Element::Int(1000),
            Element::Int(-70_000),
            Element::Int(i32::MAX.into()),
            Element::Int(i64::MIN),
        ];
        assert_eq!(ziplist_elements(&bytes).unwrap(), expected);
        assert_eq!(ziplist_elements(&assemble(&[])).unwrap(), []);
        let medium = [[0, 0x41, 0x2c].as_slice(), &[b'm'; 300]].concat();
        let long = [[0xfe, 0x2f, 0x01, 0, 0, 0x80, 0, 0, 0x40, 0x01].as_slice(), &[b'l'; 16385]].concat();
        let bytes = assemble(&[&medium, &long]);
        let elements = ziplist_elements(&bytes).unwrap();
        assert_eq!(elements, [Element::Bytes(&[b'm'; 300]), Element::Bytes(&[b'l'; 16385])]);
    }

    #[test]
    fn refuses_ziplists_that_disagree_with_themselves() {
        let change = |at: usize, byte: u8| {
            let mut bytes = ziplist();
            bytes[at] = byte;
            ziplist_elements(&bytes).unwrap_err().kind
        };
        assert_eq!(change(0, 1), ZiplistErrorKind::TotalBytes);
        assert_eq!(change(4, 1), ZiplistErrorKind::Tail);
        assert_eq!(change(8, 6), ZiplistErrorKind::Count);
        assert_eq!(change(10, 1), ZiplistErrorKind::PreviousLength);
        assert_eq!(change(11, 0x3f), ZiplistErrorKind::Overflow);
        assert_eq!(change(11, 0xc1), ZiplistErrorKind::Encoding);
        assert_eq!(change(10, 0xff), ZiplistErrorKind::TotalBytes);
        assert!(ziplist_elements(&ziplist()[..10]).is_err());
    }

    /// Two pairs, the second with a long value length and three free bytes.
    fn zipmap() -> Vec<u8> {
        let mut bytes = vec![2, 1, b'k', 2, 0, b'v', b'1', 2, b'k', b'2', 0xfe, 1, 0, 0, 0, 3, b'w', 9, 9, 9];
        bytes.push(0xff);
        bytes
    }

    #[test]
    fn reads_zipmaps() {
        let bytes = zipmap();
        let expected: [ZipmapPair<'_>; 2] = [(b"k", b"v1"), (b"k2", b"w")];
        assert_eq!(zipmap_pairs(&bytes).unwrap(), expected);
        assert_eq!(zipmap_pairs(&[0, 0xff]).unwrap(), []);
    }

    #[test]
    fn refuses_malformed_zipmaps() {
        let kind = |bytes: &[u8]| zipmap_pairs(bytes).unwrap_err().kind;
        assert_eq!(kind(&[]), ZipmapErrorKind::Overflow);
        assert_eq!(kind(&[1, 1, b'k', 0xff]), ZipmapErrorKind::MissingValue);
        assert_eq!(kind(&[2, 1, b'k', 0, 0, 0xff]), ZipmapErrorKind::Count);
        assert_eq!(kind(&[0, 0xff, 0]), ZipmapErrorKind::TrailingBytes);
        for cut in 0..zipmap().len() {
            assert_eq!(kind(&zipmap()[..cut]), ZipmapErrorKind::Overflow, "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..64), at in 0usize..200, to in any::<u8>()) {
            let _ = zipmap_pairs(&bytes);
            if bytes.len() >= 11 {
                let total = (bytes.len() as u32).to_le_bytes();
                bytes[..4].copy_from_slice(&total);
                let _ = ziplist_elements(&bytes);
            }
            let mut nearly = ziplist();
            let at = at % nearly.len();
            nearly[at] = to;
            let _ = ziplist_elements(&nearly);
        }
    }
}
