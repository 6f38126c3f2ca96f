//! How one listpack entry is written and read.
//!
//! An entry is an encoding byte (which may hold a small number or a length), data, and a back length: the size of
//! the two, written so that it can be read from its last byte towards its first. Format: Redis's listpack.

use crate::value::Element;

/// Bytes before the first entry: total bytes as u32 LE, number of entries as u16 LE.
pub(super) const HEADER: usize = 6;
/// The byte that ends a listpack.
pub(super) const END: u8 = 0xFF;
/// The count that says "more than fits: walk to know".
pub(super) const COUNT_UNKNOWN: u16 = u16::MAX;

const STR6: u8 = 0x80;
const INT13: u8 = 0xC0;
const STR12: u8 = 0xE0;
const STR32: u8 = 0xF0;
const INT16: u8 = 0xF1;
const INT24: u8 = 0xF2;
const INT32: u8 = 0xF3;
const INT64: u8 = 0xF4;

/// One entry ready to be copied: head, data and back length lie apart so that long data is copied once only.
pub(super) struct Encoded<'a> {
    head: [u8; 9],
    head_len: u8,
    data: &'a [u8],
    back: [u8; 5],
    back_len: u8,
}

impl<'a> Encoded<'a> {
    pub(super) fn new(element: Element<'a>) -> Self {
        let mut head = [0; 9];
        let (head_len, data): (usize, &[u8]) = match element {
            Element::Int(int) => (int_head(int, &mut head), &[]),
            Element::Bytes(bytes) => (str_head(bytes.len(), &mut head), bytes),
        };
        let mut back = [0; 5];
        let back_len = write_back_len(head_len + data.len(), &mut back) as u8;
        Self { head, head_len: head_len as u8, data, back, back_len }
    }

    pub(super) fn parts(&self) -> [&[u8]; 3] {
        [&self.head[..usize::from(self.head_len)], self.data, &self.back[..usize::from(self.back_len)]]
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.head_len) + self.data.len() + usize::from(self.back_len)
    }
}

fn int_head(int: i64, head: &mut [u8; 9]) -> usize {
    let wide = int.to_le_bytes();
    let (code, width) = match int {
        0..=127 => {
            head[0] = int as u8;
            return 1;
        }
        -4096..=4095 => {
            let bits = (int & 0x1FFF) as u16;
            head[0] = INT13 | (bits >> 8) as u8;
            head[1] = bits as u8;
            return 2;
        }
        -0x8000..=0x7FFF => (INT16, 2),
        -0x80_0000..=0x7F_FFFF => (INT24, 3),
        -0x8000_0000..=0x7FFF_FFFF => (INT32, 4),
        _ => (INT64, 8),
    };
    head[0] = code;
    head[1..=width].copy_from_slice(&wide[..width]);
    1 + width
}

fn str_head(len: usize, head: &mut [u8; 9]) -> usize {
    match len {
        0..=0x3F => {
            head[0] = STR6 | len as u8;
            1
        }
        0x40..=0xFFF => {
            head[0] = STR12 | (len >> 8) as u8;
            head[1] = len as u8;
            2
        }
        _ => {
            head[0] = STR32;
            head[1..5].copy_from_slice(&(len as u32).to_le_bytes());
            5
        }
    }
}

/// Bytes the back length of an entry of `len` bytes takes. The limits are one below the round powers of two, as the
/// format has them.
pub(super) fn back_len_size(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

/// Writes seven bits a byte, most significant first; every byte but the first has its high bit set.
fn write_back_len(len: usize, out: &mut [u8; 5]) -> usize {
    let size = back_len_size(len);
    let mut rest = len;
    for (i, byte) in out[..size].iter_mut().enumerate().rev() {
        *byte = (rest & 0x7F) as u8 | if i > 0 { 0x80 } else { 0 };
        rest >>= 7;
    }
    size
}

/// Reads the back length whose last byte is just before `end`. `None` if it does not end within five bytes.
pub(super) fn read_back_len(bytes: &[u8], end: usize) -> Option<usize> {
    let mut len = 0usize;
    for i in 0..5 {
        let byte = *bytes.get(end.checked_sub(1 + i)?)?;
        len |= usize::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            return Some(len);
        }
    }
    None
}

/// Does the entry end in the back length of `body` bytes, written in the one way it is written? A reader that walks
/// backwards may be led out of the entry by another way, even if it comes to the right number.
#[inline]
pub(super) fn ends_in_back_len(entry: &[u8], body: usize) -> bool {
    if body < 0x80 {
        // Most are short, and take the one byte.
        return entry.last() == Some(&(body as u8));
    }
    let mut back = [0; 5];
    let size = write_back_len(body, &mut back);
    entry.ends_with(&back[..size])
}

/// Size of head and data of the entry at `at`, whether or not the data is all there. `None` at the end marker, for an
/// unknown encoding, or if the head is cut short.
#[inline]
pub(super) fn body_len(bytes: &[u8], at: usize) -> Option<usize> {
    let first = *bytes.get(at)?;
    Some(match first {
        0x00..STR6 => 1,
        STR6..INT13 => 1 + usize::from(first & 0x3F),
        INT13..STR12 => 2,
        STR12..STR32 => 2 + (usize::from(first & 0x0F) << 8 | usize::from(*bytes.get(at + 1)?)),
        STR32 => 5 + u32::from_le_bytes(*bytes.get(at + 1..)?.first_chunk()?) as usize,
        INT16 => 3,
        INT24 => 4,
        INT32 => 5,
        INT64 => 9,
        _ => return None,
    })
}

/// The size of the entry that these bytes begin with, if it is sound, and none that holds the same is shorter.
#[inline]
pub(super) fn shortest_len(bytes: &[u8]) -> Option<usize> {
    let body = body_len(bytes, 0)?;
    let entry = bytes.get(..body + back_len_size(body))?;
    let is_shortest = match (entry.first()?, decode(entry, 0)?.0) {
        (..INT13, _) => true,
        (INT13..STR12, Element::Int(int)) => !matches!(int, 0..=0x7F),
        (&INT16, Element::Int(int)) => !matches!(int, -0x1000..=0xFFF),
        (&INT24, Element::Int(int)) => !matches!(int, -0x8000..=0x7FFF),
        (&INT32, Element::Int(int)) => !matches!(int, -0x80_0000..=0x7F_FFFF),
        (_, Element::Int(int)) => i32::try_from(int).is_err(),
        (&STR32, Element::Bytes(bytes)) => bytes.len() > 0xFFF,
        (_, Element::Bytes(bytes)) => bytes.len() > 0x3F,
    };
    (is_shortest && ends_in_back_len(entry, body)).then_some(entry.len())
}

/// Reads the entry at `at`: its element and its whole size, back length included.
#[inline]
pub(super) fn decode(bytes: &[u8], at: usize) -> Option<(Element<'_>, usize)> {
    let body_len = body_len(bytes, at)?;
    let body = bytes.get(at..at.checked_add(body_len)?)?;
    let (&first, data) = body.split_first()?;
    let element = match first {
        0x00..STR6 => Element::Int(i64::from(first)),
        STR6..INT13 => Element::Bytes(data),
        INT13..STR12 => {
            let bits = i64::from(first & 0x1F) << 8 | i64::from(*data.first()?);
            Element::Int(if bits >= 1 << 12 { bits - (1 << 13) } else { bits })
        }
        STR12..STR32 => Element::Bytes(data.get(1..)?),
        STR32 => Element::Bytes(data.get(4..)?),
        _ => Element::Int(sign_extended(data)),
    };
    Some((element, body_len + back_len_size(body_len)))
}

fn sign_extended(data: &[u8]) -> i64 {
    let negative = data.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xFF } else { 0 }; 8];
    for (to, from) in wide.iter_mut().zip(data) {
        *to = *from;
    }
    i64::from_le_bytes(wide)
}
