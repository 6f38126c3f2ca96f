//! The writer of replies, in RESP2 or RESP3, straight into a connection's output buffer.

use crate::base::num::{format_i64, format_score};
use crate::resp::command_bytes::{write_bulk, write_header};

const OK: &[u8] = b"+OK\r\n";
const NULL_BULK: &[u8] = b"$-1\r\n";
const NULL_ARRAY: &[u8] = b"*-1\r\n";
const NULL: &[u8] = b"_\r\n";
const CRLF: &[u8] = b"\r\n";
/// Stands where a deferred header will be; big enough for lengths below ten.
const DEFERRED_HEADER: &[u8] = b"*0\r\n";

/// Appends replies to a buffer. Every method writes one whole element, or the header of an aggregate whose elements the
/// caller writes next.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    resp3: bool,
}

/// A position in the output, to look at or undo what was written behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(usize);

/// An aggregate header whose length is not known yet; hand it back to the `finish_…` of its kind.
#[derive(Debug)]
#[must_use = "the header is not written until it is finished"]
pub struct Deferred(usize);

impl<'a> Reply<'a> {
    /// A writer that appends to `out`; `resp3` is what the client asked for with HELLO.
    pub fn new(out: &'a mut Vec<u8>, resp3: bool) -> Self {
        Self { out, resp3 }
    }

    /// Does the client speak RESP3?
    #[inline]
    pub fn is_resp3(&self) -> bool {
        self.resp3
    }

    /// Switches the protocol for what follows (HELLO answers in the new one).
    pub fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }

    /// The same buffer for a shorter time: to hand the writer down by value.
    pub fn reborrow(&mut self) -> Reply<'_> {
        Reply { out: self.out, resp3: self.resp3 }
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(OK);
    }

    /// A simple string such as `QUEUED`. Line breaks become spaces.
    pub fn simple(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'+', text.as_ref());
    }

    /// An error. The text begins with its code (`ERR …`, `WRONGTYPE …`) and has no dash; trailing line breaks are cut, others become
    /// spaces, so no text can break the protocol.
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'-', text.as_ref());
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, value: i64) {
        match value {
            0..=9 => self.out.extend_from_slice(&[b':', b'0' + value as u8, b'\r', b'\n']),
            _ => {
                self.out.push(b':');
                format_i64(self.out, value);
                self.out.extend_from_slice(CRLF);
            }
        }
    }

    /// A bulk string.
    #[inline]
    pub fn bulk(&mut self, bytes: impl AsRef<[u8]>) {
        write_bulk(self.out, bytes.as_ref());
    }

    /// An integer as a bulk string: GET of a counter.
    #[inline]
    pub fn bulk_int(&mut self, value: i64) {
        write_bulk(self.out, itoa::Buffer::new().format(value).as_bytes());
    }

    /// A missing value: RESP2 `$-1`, RESP3 `_`.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(if self.resp3 { NULL } else { NULL_BULK });
    }

    /// A missing array: RESP2 `*-1`, RESP3 `_`.
    #[inline]
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(if self.resp3 { NULL } else { NULL_ARRAY });
    }

    /// Header of `n` elements.
    #[inline]
    pub fn array(&mut self, n: usize) {
        write_header(self.out, b'*', n);
    }

    /// Header of `n` key and value pairs: RESP2 an array of `2n`.
    #[inline]
    pub fn map(&mut self, n: usize) {
        let (kind, len) = self.map_header(n);
        write_header(self.out, kind, len);
    }

    /// Header of `n` distinct elements: RESP2 an array.
    #[inline]
    pub fn set(&mut self, n: usize) {
        write_header(self.out, if self.resp3 { b'~' } else { b'*' }, n);
    }

    /// Header of an out-of-band message of `n` elements: RESP2 an array.
    #[inline]
    pub fn push(&mut self, n: usize) {
        write_header(self.out, if self.resp3 { b'>' } else { b'*' }, n);
    }

    /// Header of an attribute of `n` key and value pairs, which the reply it belongs to follows. RESP3 only.
    pub fn attribute(&mut self, n: usize) {
        debug_assert!(self.resp3);
        write_header(self.out, b'|', n);
    }

    /// A double, printed as scores are: RESP2 a bulk string.
    pub fn double(&mut self, value: f64) {
        let int = value as i64;
        // Most scores are small whole numbers; a digit more and %.17g might print an exponent.
        if int.unsigned_abs() < 10_000_000_000_000_000
            && int as f64 == value
            && (int != 0 || value.is_sign_positive())
        {
            return self.double_text(itoa::Buffer::new().format(int));
        }
        let mut text = Vec::with_capacity(32);
        format_score(&mut text, value);
        self.double_text(&text);
    }

    /// A double the caller has printed (coordinates, distances, long doubles): RESP2 a bulk string.
    pub fn double_text(&mut self, text: impl AsRef<[u8]>) {
        self.line_or_bulk(b',', text.as_ref());
    }

    /// A boolean: RESP2 the integer 0 or 1.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        match (self.resp3, value) {
            (true, true) => self.out.extend_from_slice(b"#t\r\n"),
            (true, false) => self.out.extend_from_slice(b"#f\r\n"),
            (false, _) => self.int(i64::from(value)),
        }
    }

    /// Text with a three-letter format (`txt`, `mkd`): RESP2 a bulk string.
    pub fn verbatim(&mut self, format: &[u8; 3], bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        if !self.resp3 {
            return write_bulk(self.out, bytes);
        }
        write_header(self.out, b'=', bytes.len() + 4);
        self.out.extend_from_slice(format);
        self.out.push(b':');
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(CRLF);
    }

    /// An integer of any size, in decimal: RESP2 a bulk string.
    pub fn big_number(&mut self, digits: impl AsRef<[u8]>) {
        self.line_or_bulk(b'(', digits.as_ref());
    }

    /// Bytes that already are whole replies.
    #[inline]
    pub fn raw(&mut self, encoded: &[u8]) {
        self.out.extend_from_slice(encoded);
    }

    /// Makes room for so many bytes at once, for a caller that knows how much will come.
    pub fn reserve(&mut self, bytes: usize) {
        self.out.reserve(bytes);
    }

    /// The current end of the output.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark(self.out.len())
    }

    /// Takes back everything written since `mark`.
    pub fn truncate_to(&mut self, mark: Mark) {
        self.out.truncate(mark.0);
    }

    /// What was written since `mark`; its first byte tells an error (`-`) from success.
    pub fn since(&self, mark: Mark) -> &[u8] {
        self.out.get(mark.0..).unwrap_or_default()
    }

    /// Begins an array whose length is known only at its end.
    pub fn deferred_array(&mut self) -> Deferred {
        self.defer()
    }

    /// Begins a map whose number of pairs is known only at its end.
    pub fn deferred_map(&mut self) -> Deferred {
        self.defer()
    }

    /// Begins a set whose size is known only at its end.
    pub fn deferred_set(&mut self) -> Deferred {
        self.defer()
    }

    /// Ends an array of `n` elements.
    pub fn finish_array(&mut self, deferred: Deferred, n: usize) {
        self.finish(deferred, b'*', n);
    }

    /// Ends a map of `n` pairs.
    pub fn finish_map(&mut self, deferred: Deferred, n: usize) {
        let (kind, len) = self.map_header(n);
        self.finish(deferred, kind, len);
    }

    /// Ends a set of `n` elements.
    pub fn finish_set(&mut self, deferred: Deferred, n: usize) {
        let kind = if self.resp3 { b'~' } else { b'*' };
        self.finish(deferred, kind, n);
    }

    fn defer(&mut self) -> Deferred {
        let at = self.out.len();
        self.out.extend_from_slice(DEFERRED_HEADER);
        Deferred(at)
    }

    /// Writes the header in its place. Lengths of ten and more move what follows by the extra digits, once per
    /// aggregate, so nesting costs its depth and not its width.
    fn finish(&mut self, deferred: Deferred, kind: u8, n: usize) {
        let at = deferred.0;
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(n).as_bytes();
        let extra = digits.len() - 1;
        let old_len = self.out.len();
        let body = at + DEFERRED_HEADER.len();
        if body > old_len {
            return; // what was deferred has been taken back with a mark
        }
        if extra > 0 {
            self.out.resize(old_len + extra, 0);
            self.out.copy_within(body..old_len, body + extra);
        }
        self.out[at] = kind;
        self.out[at + 1..=at + digits.len()].copy_from_slice(digits);
        self.out[at + 1 + digits.len()..body + extra].copy_from_slice(CRLF);
    }

    fn map_header(&self, n: usize) -> (u8, usize) {
        if self.resp3 { (b'%', n) } else { (b'*', 2 * n) }
    }

    fn line_or_bulk(&mut self, kind: u8, text: &[u8]) {
        if self.resp3 { self.line(kind, text) } else { write_bulk(self.out, text) }
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        let end = text.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |i| i + 1);
        self.out.reserve(end + 3);
        self.out.push(kind);
        let start = self.out.len();
        self.out.extend_from_slice(&text[..end]);
        if memchr::memchr2(b'\r', b'\n', &text[..end]).is_some() {
            for byte in &mut self.out[start..] {
                if matches!(byte, b'\r' | b'\n') {
                    *byte = b' ';
                }
            }
        }
        self.out.extend_from_slice(CRLF);
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
