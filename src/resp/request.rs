//! The incremental parser of client requests: multibulk and inline commands, zero copy.

use crate::base::limits;
use crate::base::num::{is_c_space, parse_i64};
use crate::resp::args::ArgSpans;

/// Most digits the quick header reader takes; longer ones go the careful way.
const QUICK_DIGITS: usize = 10;

/// What one step of parsing came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A whole command; its arguments are in the spans and `consumed` bytes of the buffer belong to it.
    Complete {
        /// Bytes from the start of the buffer to the next command.
        consumed: usize,
    },
    /// An empty line, or an array of no (or a negative number of) elements: nothing to run or to answer.
    Empty {
        /// Bytes from the start of the buffer to the next command.
        consumed: usize,
    },
    /// The command is not whole yet; call again with the same bytes and more behind them.
    Incomplete {
        /// At least this many bytes are missing. A hint for how much to read, claimed by the client: not a size to
        /// allocate unseen.
        needed: usize,
    },
}

/// What a client did wrong. The connection is answered and closed: the stream cannot be trusted after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A quote in an inline command is not closed, or text follows a closing quote.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    /// No end of line within 64 KiB.
    #[error("Protocol error: too big inline request")]
    InlineTooBig,
    /// No end of the `*` header within 64 KiB.
    #[error("Protocol error: too big mbulk count string")]
    MultibulkHeaderTooBig,
    /// The argument count is not a canonical integer or too big.
    #[error("Protocol error: invalid multibulk length")]
    InvalidMultibulkLength,
    /// Something else stands where an argument should begin.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    /// An argument's length is not a canonical integer, negative, or over `proto-max-bulk-len`.
    #[error("Protocol error: invalid bulk length")]
    InvalidBulkLength,
    /// No end of the `$` header within 64 KiB.
    #[error("Protocol error: too big bulk count string")]
    BulkHeaderTooBig,
    /// Too many arguments before authentication.
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedMultibulk,
    /// Too long an argument before authentication.
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedBulk,
}

impl ProtocolError {
    /// The text for an error reply, code included; the offending byte stands in it as it came.
    pub fn reply_text(&self) -> Vec<u8> {
        match self {
            Self::ExpectedBulk(byte) => {
                let mut text = b"ERR Protocol error: expected '$', got '".to_vec();
                text.extend_from_slice(&[*byte, b'\'']);
                text
            }
            other => format!("ERR {other}").into_bytes(),
        }
    }
}

/// Limits that depend on the connection and the configuration. May be changed between calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// `proto-max-bulk-len`: longest argument, in bytes. A link to the primary has `i64::MAX`.
    pub max_bulk_bytes: i64,
    /// Until a client that must authenticate has done so, far tighter limits hold.
    pub authenticated: bool,
}

impl Default for RequestLimits {
    /// 512 MiB an argument, no authentication required.
    fn default() -> Self {
        Self { max_bulk_bytes: limits::BULK_MAX_BYTES, authenticated: true }
    }
}

/// Parses one command after another from a growing buffer.
///
/// Feed it a slice that begins at a command; after [`Parsed::Incomplete`] feed the same bytes again with more behind
/// them (and the same spans): what was parsed is remembered by position, not scanned again. After `Complete` or
/// `Empty` the next slice must begin `consumed` bytes further on.
#[derive(Debug, Default)]
pub struct RequestParser {
    /// The limits in force.
    pub limits: RequestLimits,
    /// Next unparsed byte.
    pos: usize,
    /// Up to here the current header or line is known to hold no terminator.
    scanned: usize,
    /// Arguments still to come; 0 before the header.
    remaining: i64,
    /// Length of the argument whose header was read, in bytes.
    bulk_len: Option<usize>,
}

/// A header line that could not be read in one glance.
enum Header {
    Value { number: i64, next: usize },
    Malformed,
    Partial,
    TooLong,
}

impl RequestParser {
    /// A parser with the given limits, at the start of a command.
    pub fn new(limits: RequestLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Is a command half received?
    pub fn is_mid_command(&self) -> bool {
        self.pos != 0 || self.scanned != 0
    }

    /// Parses the command at the start of `buf`.
    #[inline]
    pub fn parse(&mut self, buf: &[u8], args: &mut ArgSpans) -> Result<Parsed, ProtocolError> {
        if self.pos == 0 {
            args.clear();
            match buf.first() {
                Some(b'*') => {}
                Some(_) => return self.parse_inline(buf, args),
                None => return Ok(Parsed::Incomplete { needed: 1 }),
            }
            let (count, next) = match quick_number(buf, 1) {
                Some(found) => found,
                None => match self.careful_number(buf) {
                    Header::Value { number, next } => (number, next),
                    Header::Partial => return Ok(Parsed::Incomplete { needed: 1 }),
                    Header::Malformed => return Err(ProtocolError::InvalidMultibulkLength),
                    Header::TooLong => return Err(ProtocolError::MultibulkHeaderTooBig),
                },
            };
            if count <= 0 {
                self.reset();
                return Ok(Parsed::Empty { consumed: next });
            }
            self.check_count(count)?;
            self.remaining = count;
            self.pos = next;
        }
        self.parse_bulks(buf, args)
    }

    #[inline]
    fn check_count(&self, count: i64) -> Result<(), ProtocolError> {
        if count > limits::MULTIBULK_MAX_ARGS {
            return Err(ProtocolError::InvalidMultibulkLength);
        }
        if !self.limits.authenticated && count > limits::UNAUTHENTICATED_MAX_ARGS {
            return Err(ProtocolError::UnauthenticatedMultibulk);
        }
        Ok(())
    }

    #[inline]
    fn parse_bulks(&mut self, buf: &[u8], args: &mut ArgSpans) -> Result<Parsed, ProtocolError> {
        while self.remaining > 0 {
            let len = match self.bulk_len {
                Some(len) => len,
                None => match self.bulk_header(buf)? {
                    Some(len) => len,
                    None => return Ok(Parsed::Incomplete { needed: 1 }),
                },
            };
            // The two bytes behind an argument are skipped unread, as the stock server does.
            let end = self.pos.saturating_add(len).saturating_add(2);
            if end > buf.len() {
                self.bulk_len = Some(len);
                return Ok(Parsed::Incomplete { needed: end - buf.len() });
            }
            args.push_span(self.pos, len);
            self.pos = end;
            self.bulk_len = None;
            self.remaining -= 1;
        }
        let consumed = self.pos;
        self.reset();
        Ok(Parsed::Complete { consumed })
    }

    /// Reads a `$` header and moves behind it; `None` when it is not whole yet.
    #[inline]
    fn bulk_header(&mut self, buf: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let quick = if buf.get(self.pos) == Some(&b'$') { quick_number(buf, self.pos + 1) } else { None };
        let (len, next) = match quick {
            Some(found) => found,
            None => match self.careful_number(buf) {
                Header::Partial => return Ok(None),
                Header::TooLong => return Err(ProtocolError::BulkHeaderTooBig),
                found => match (buf.get(self.pos), found) {
                    (Some(b'$'), Header::Value { number, next }) => (number, next),
                    (Some(b'$') | None, _) => return Err(ProtocolError::InvalidBulkLength),
                    (Some(&other), _) => return Err(ProtocolError::ExpectedBulk(other)),
                },
            },
        };
        if len > self.limits.max_bulk_bytes {
            return Err(ProtocolError::InvalidBulkLength);
        }
        let bytes = usize::try_from(len).map_err(|_| ProtocolError::InvalidBulkLength)?;
        if !self.limits.authenticated && len > limits::UNAUTHENTICATED_MAX_BULK_BYTES {
            return Err(ProtocolError::UnauthenticatedBulk);
        }
        self.pos = next;
        self.scanned = next;
        Ok(Some(bytes))
    }

    /// Reads the header line at the current position: any length, partial, or malformed.
    #[cold]
    fn careful_number(&mut self, buf: &[u8]) -> Header {
        let start = self.pos;
        let window_end = buf.len().min(start + limits::INLINE_MAX_BYTES + 1);
        let from = self.scanned.max(start).min(window_end);
        let Some(found) = memchr::memchr(b'\r', &buf[from..window_end]) else {
            if buf.len() - start.min(buf.len()) > limits::INLINE_MAX_BYTES {
                return Header::TooLong;
            }
            self.scanned = window_end;
            return Header::Partial;
        };
        let end = from + found;
        if end + 1 >= buf.len() {
            self.scanned = end;
            return Header::Partial;
        }
        match buf.get(start + 1..end).and_then(parse_i64) {
            Some(number) => Header::Value { number, next: end + 2 },
            None => Header::Malformed,
        }
    }

    fn parse_inline(&mut self, buf: &[u8], args: &mut ArgSpans) -> Result<Parsed, ProtocolError> {
        let window_end = buf.len().min(limits::INLINE_MAX_BYTES + 1);
        let from = self.scanned.min(window_end);
        let Some(found) = memchr::memchr(b'\n', &buf[from..window_end]) else {
            if buf.len() > limits::INLINE_MAX_BYTES {
                return Err(ProtocolError::InlineTooBig);
            }
            self.scanned = window_end;
            return Ok(Parsed::Incomplete { needed: 1 });
        };
        let end = from + found;
        let line = buf[..end].strip_suffix(b"\r").unwrap_or(&buf[..end]);
        split_inline(line, args)?;
        self.reset();
        let consumed = end + 1;
        Ok(if args.is_empty() { Parsed::Empty { consumed } } else { Parsed::Complete { consumed } })
    }

    #[inline]
    fn reset(&mut self) {
        self.pos = 0;
        self.scanned = 0;
        self.remaining = 0;
        self.bulk_len = None;
    }
}

/// Reads a short canonical non-negative number with its CR LF at `at`: the number and the position behind it. `None`
/// leaves everything unusual, and everything cut short, to the careful reader.
#[inline(always)]
fn quick_number(buf: &[u8], at: usize) -> Option<(i64, usize)> {
    let rest = buf.get(at..)?;
    let mut number = i64::from(rest.first()?.wrapping_sub(b'0'));
    if number > 9 {
        return None;
    }
    let has_leading_zero = number == 0;
    let mut used = 1;
    loop {
        let byte = *rest.get(used)?;
        used += 1;
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            if has_leading_zero || used > QUICK_DIGITS {
                return None;
            }
            number = number * 10 + i64::from(digit);
        } else if byte == b'\r' && rest.len() > used {
            // The byte behind CR is skipped unread, as the stock server does.
            return Some((number, at + used + 1));
        } else {
            return None;
        }
    }
}

/// Splits an inline command into arguments: white space between, `"…"` with `\n \r \t \b \a \xHH` and any other escaped
/// byte, `'…'` with `\'`. A quote may open inside a word but must be followed by space when it closes.
pub fn split_inline(line: &[u8], args: &mut ArgSpans) -> Result<(), ProtocolError> {
    args.clear();
    args.begin_copied();
    let mut i = 0;
    loop {
        while line.get(i).copied().is_some_and(is_c_space) {
            i += 1;
        }
        if i >= line.len() {
            return Ok(());
        }
        let start = args.scratch().len();
        i = take_word(line, i, args.scratch())?;
        args.end_copied(start);
    }
}

/// Appends one unquoted word that starts at `i`; returns where it ended.
fn take_word(line: &[u8], mut i: usize, out: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    while let Some(&byte) = line.get(i) {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => break,
            b'"' | b'\'' => {
                i = take_quoted(line, i + 1, byte, out)?;
                // Only white space or the end may follow.
                return match line.get(i) {
                    Some(&next) if !is_c_space(next) => Err(ProtocolError::UnbalancedQuotes),
                    _ => Ok(i),
                };
            }
            _ => out.push(byte),
        }
        i += 1;
    }
    Ok(i)
}

/// Appends the inside of a quotation that starts at `i`; returns the position behind its closing quote.
fn take_quoted(line: &[u8], mut i: usize, quote: u8, out: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    loop {
        let rest = line.get(i..).unwrap_or_default();
        let (byte, used) = match rest {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b, ..] if *b == quote => return Ok(i + 1),
            [b'\\', b'x', high, low, ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                ((hex_value(*high) << 4) | hex_value(*low), 4)
            }
            [b'\\', escaped, ..] if quote == b'"' => (unescape(*escaped), 2),
            [b'\\', b'\'', ..] => (b'\'', 2),
            [b, ..] => (*b, 1),
        };
        out.push(byte);
        i += used;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_value(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or(0) as u8
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
