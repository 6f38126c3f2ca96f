//! Replies decoded, for whoever is the client: tests, links to a primary, tools.

use crate::base::limits::{INLINE_MAX_BYTES, REPLY_MAX_DEPTH};
use crate::base::num::{parse_f64_or_nan, parse_i64};
use std::fmt;

/// A reply of either protocol.
#[derive(Clone, PartialEq)]
pub enum RespValue {
    /// `+…`
    Simple(Vec<u8>),
    /// `-…` and RESP3's `!…`: code and text, without the dash.
    Error(Vec<u8>),
    /// `:…`
    Int(i64),
    /// `$…`
    Bulk(Vec<u8>),
    /// RESP2 `$-1`, RESP3 `_`.
    Null,
    /// RESP2 `*-1`.
    NullArray,
    /// `*…`
    Array(Vec<RespValue>),
    /// `,…`
    Double(f64),
    /// `#t`, `#f`
    Bool(bool),
    /// `(…`: decimal digits, possibly signed.
    BigNumber(Vec<u8>),
    /// `=…`
    Verbatim {
        /// Three letters: `txt`, `mkd`.
        format: [u8; 3],
        /// The text behind the format and its colon.
        text: Vec<u8>,
    },
    /// `%…`, pairs in the order sent.
    Map(Vec<(RespValue, RespValue)>),
    /// `~…`, in the order sent.
    Set(Vec<RespValue>),
    /// `>…`: an out-of-band message.
    Push(Vec<RespValue>),
}

/// Strings as text with escapes, so that replies in messages can be read.
impl fmt::Debug for RespValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => write!(f, "+{}", text.escape_ascii()),
            Self::Error(text) => write!(f, "-{}", text.escape_ascii()),
            Self::Int(value) => write!(f, ":{value}"),
            Self::Bulk(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::Null => f.write_str("null"),
            Self::NullArray => f.write_str("null array"),
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Double(value) => write!(f, ",{value:?}"),
            Self::Bool(value) => write!(f, "#{value}"),
            Self::BigNumber(digits) => write!(f, "({}", digits.escape_ascii()),
            Self::Verbatim { format, text } => {
                write!(f, "={}:{}", format.escape_ascii(), text.escape_ascii())
            }
            Self::Map(pairs) => f.debug_map().entries(pairs.iter().map(|(k, v)| (k, v))).finish(),
            Self::Set(items) => f.debug_set().entries(items).finish(),
            Self::Push(items) => f.debug_tuple("push").field(items).finish(),
        }
    }
}

impl RespValue {
    /// The bytes of a simple, bulk or verbatim string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Simple(bytes) | Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The number, if it is an integer.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The elements of an array, set or push.
    pub fn as_slice(&self) -> Option<&[RespValue]> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Some(items),
            _ => None,
        }
    }

    /// The error's code and text.
    pub fn as_error(&self) -> Option<&[u8]> {
        match self {
            Self::Error(text) => Some(text),
            _ => None,
        }
    }

    /// Is it a missing value or array?
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::NullArray)
    }
}

/// Why bytes are not a reply. The stream cannot be trusted after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No element begins with this byte.
    #[error("unknown reply type byte {:?}", char::from(*.0))]
    UnknownType(u8),
    /// A line that should hold a length, number or boolean does not.
    #[error("malformed number in a reply of type {:?}", char::from(*.0))]
    BadNumber(u8),
    /// No end of line within 64 KiB.
    #[error("reply line longer than {INLINE_MAX_BYTES} bytes")]
    LineTooLong,
    /// A bulk longer than the decoder was told to accept.
    #[error("reply string of {len} bytes exceeds the limit of {max}")]
    BulkTooLong {
        /// Announced length, in bytes.
        len: i64,
        /// The limit, in bytes.
        max: i64,
    },
    /// No CR LF behind a bulk string or a line.
    #[error("reply element lacks its CR LF")]
    MissingTerminator,
    /// A verbatim string without a format.
    #[error("verbatim string without format")]
    BadVerbatim,
    /// Aggregates nested beyond 128.
    #[error("reply nested deeper than {REPLY_MAX_DEPTH}")]
    TooDeep,
}

/// What one step of decoding came to. `consumed` bytes are done with and need not be fed again, in either case.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// A whole reply.
    Complete {
        /// Bytes from the start of the buffer to the next reply.
        consumed: usize,
        /// The reply.
        value: RespValue,
    },
    /// More bytes are needed behind those not consumed.
    Incomplete {
        /// Bytes from the start of the buffer to the first one still needed.
        consumed: usize,
        /// At least this many bytes are missing. A hint, not a size to allocate unseen.
        needed: usize,
    },
}

/// Decodes one reply after another. Half-received aggregates are kept inside, so no element is decoded twice; memory is bounded by the
/// bytes received, never by announced lengths.
#[derive(Debug)]
pub struct ReplyDecoder {
    stack: Vec<Frame>,
    max_bulk_bytes: i64,
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    /// Elements still to come; pairs count two.
    remaining: u64,
    items: Vec<RespValue>,
}

/// One element's beginning: a finished value, or an aggregate whose elements follow.
enum Element {
    Value(RespValue),
    Aggregate { kind: u8, elements: u64 },
}

/// An element and its length in bytes, or how many bytes are missing at least.
type Step = Result<(Element, usize), usize>;

impl Default for ReplyDecoder {
    /// Strings up to 512 MiB.
    fn default() -> Self {
        Self::new(crate::base::limits::BULK_MAX_BYTES)
    }
}

impl ReplyDecoder {
    /// A decoder that refuses strings longer than `max_bulk_bytes`.
    pub fn new(max_bulk_bytes: i64) -> Self {
        Self { stack: Vec::new(), max_bulk_bytes }
    }

    /// Is a reply half received?
    pub fn is_mid_reply(&self) -> bool {
        !self.stack.is_empty()
    }

    /// Decodes until a reply is whole or the bytes run out.
    pub fn decode(&mut self, buf: &[u8]) -> Result<Decoded, DecodeError> {
        let mut consumed = 0;
        loop {
            let rest = buf.get(consumed..).unwrap_or_default();
            let (element, len) = match read_element(rest, self.max_bulk_bytes)? {
                Ok(found) => found,
                Err(needed) => return Ok(Decoded::Incomplete { consumed, needed }),
            };
            consumed += len;
            let value = match element {
                Element::Value(value) => value,
                // Attributes say something about the value behind them; without elements they say nothing.
                Element::Aggregate { kind: b'|', elements: 0 } => continue,
                Element::Aggregate { kind, elements: 0 } => assemble(kind, Vec::new()),
                Element::Aggregate { kind, elements } => {
                    if self.stack.len() >= REPLY_MAX_DEPTH {
                        return Err(DecodeError::TooDeep);
                    }
                    self.stack.push(Frame { kind, remaining: elements, items: Vec::new() });
                    continue;
                }
            };
            if let Some(value) = self.add(value) {
                return Ok(Decoded::Complete { consumed, value });
            }
        }
    }

    /// Puts a value where it belongs; returns the outermost one when that makes it whole.
    fn add(&mut self, mut value: RespValue) -> Option<RespValue> {
        while let Some(mut frame) = self.stack.pop() {
            // Attributes are counted off but not kept.
            if frame.kind != b'|' {
                frame.items.push(value);
            }
            frame.remaining -= 1;
            if frame.remaining > 0 {
                self.stack.push(frame);
                return None;
            }
            if frame.kind == b'|' {
                return None; // the value it describes is still to come
            }
            value = assemble(frame.kind, frame.items);
        }
        Some(value)
    }
}

/// Decodes one reply from the start of `buf`: the reply and its length in bytes, or `None` when it is not whole. For
/// growing buffers [`ReplyDecoder`] spares starting over.
pub fn decode_reply(buf: &[u8]) -> Result<Option<(RespValue, usize)>, DecodeError> {
    match ReplyDecoder::default().decode(buf)? {
        Decoded::Complete { consumed, value } => Ok(Some((value, consumed))),
        Decoded::Incomplete { .. } => Ok(None),
    }
}

fn assemble(kind: u8, items: Vec<RespValue>) -> RespValue {
    match kind {
        b'~' => RespValue::Set(items),
        b'>' => RespValue::Push(items),
        b'%' => {
            let mut pairs = Vec::with_capacity(items.len() / 2);
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            RespValue::Map(pairs)
        }
        _ => RespValue::Array(items),
    }
}

fn read_element(buf: &[u8], max_bulk_bytes: i64) -> Result<Step, DecodeError> {
    let Some((&kind, rest)) = buf.split_first() else { return Ok(Err(1)) };
    if !b"+-:$*_,#(=!%~>|".contains(&kind) {
        return Err(DecodeError::UnknownType(kind));
    }
    let Some(line) = read_line(rest)? else { return Ok(Err(1)) };
    let used = 1 + line.len() + 2;
    let bad = DecodeError::BadNumber(kind);
    let value = match kind {
        b'+' => RespValue::Simple(line.to_vec()),
        b'-' => RespValue::Error(line.to_vec()),
        b':' => RespValue::Int(parse_i64(line).ok_or(bad)?),
        b'_' if line.is_empty() => RespValue::Null,
        b',' => RespValue::Double(parse_f64_or_nan(line).ok_or(bad)?),
        b'#' if line == b"t" => RespValue::Bool(true),
        b'#' if line == b"f" => RespValue::Bool(false),
        b'(' if is_big_number(line) => RespValue::BigNumber(line.to_vec()),
        b'_' | b'#' | b'(' => return Err(bad),
        _ => match (parse_i64(line).ok_or(bad)?, kind) {
            (-1, b'$') => RespValue::Null,
            (-1, b'*') => RespValue::NullArray,
            (len, _) if len < 0 => return Err(bad),
            (len, b'$' | b'!' | b'=') => return read_blob(kind, buf, used, len, max_bulk_bytes),
            (len, _) => {
                let per_item = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
                let elements = len.unsigned_abs().saturating_mul(per_item);
                return Ok(Ok((Element::Aggregate { kind, elements }, used)));
            }
        },
    };
    Ok(Ok((Element::Value(value), used)))
}

/// The line up to its CR LF, or `None` when that has not come yet.
fn read_line(buf: &[u8]) -> Result<Option<&[u8]>, DecodeError> {
    let window = buf.get(..INLINE_MAX_BYTES).unwrap_or(buf);
    match memchr::memchr(b'\r', window) {
        None if buf.len() >= INLINE_MAX_BYTES => Err(DecodeError::LineTooLong),
        None => Ok(None),
        Some(end) => match buf.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some(&buf[..end])),
            Some(_) => Err(DecodeError::MissingTerminator),
        },
    }
}

/// A string of `len` bytes whose header took `header` bytes of `buf`; copied only once all of it is there.
fn read_blob(kind: u8, buf: &[u8], header: usize, len: i64, max: i64) -> Result<Step, DecodeError> {
    if len > max {
        return Err(DecodeError::BulkTooLong { len, max });
    }
    let len = usize::try_from(len).map_err(|_| DecodeError::BadNumber(kind))?;
    let end = header.saturating_add(len);
    let total = end.saturating_add(2);
    let Some(bytes) = buf.get(header..total) else { return Ok(Err(total - buf.len())) };
    let Some(bytes) = bytes.strip_suffix(b"\r\n") else { return Err(DecodeError::MissingTerminator) };
    let value = match (kind, bytes) {
        (b'!', _) => RespValue::Error(bytes.to_vec()),
        (b'=', [a, b, c, b':', text @ ..]) => {
            RespValue::Verbatim { format: [*a, *b, *c], text: text.to_vec() }
        }
        (b'=', _) => return Err(DecodeError::BadVerbatim),
        _ => RespValue::Bulk(bytes.to_vec()),
    };
    Ok(Ok((Element::Value(value), total)))
}

fn is_big_number(line: &[u8]) -> bool {
    let digits = line.strip_prefix(b"-").or_else(|| line.strip_prefix(b"+")).unwrap_or(line);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
