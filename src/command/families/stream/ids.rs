//! Ids of entries among a command's arguments.

use crate::base::num::{is_c_space, parse_i64, parse_u64};
use crate::command::CommandError;
use crate::command::error::shown;
use crate::value::stream::StreamId;

/// Longest text that is looked at, in bytes.
const TEXT_MAX_BYTES: usize = 127;

const INVALID: CommandError =
    CommandError::text("ERR Invalid stream ID specified as stream command argument");

/// An argument as C compares it: up to its first NUL.
pub(super) fn until_nul(arg: &[u8]) -> &[u8] {
    shown(arg, usize::MAX)
}

/// One half of an id, as C's `strtoull` reads it once it is no plain number: white space and a sign pass.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(plain) = parse_i64(text) {
        return u64::try_from(plain).ok();
    }
    let start = text.iter().position(|byte| !is_c_space(*byte))?;
    let (negative, digits) = match &text[start..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let value = parse_u64(digits)?;
    Some(if negative { value.wrapping_neg() } else { value })
}

/// An id, and whether its second half was given; `ms-*` only passes if `star`.
fn scan(arg: &[u8], missing_seq: u64, star: bool) -> Option<(StreamId, bool)> {
    let text = until_nul(arg);
    if arg.len() > TEXT_MAX_BYTES || matches!(text, b"-" | b"+") {
        return None;
    }
    let Some(dash) = text.iter().position(|byte| *byte == b'-') else {
        return Some((StreamId::new(number(text)?, missing_seq), true));
    };
    let ms = number(&text[..dash])?;
    match &text[dash + 1..] {
        b"*" if star => Some((StreamId::new(ms, 0), false)),
        seq => Some((StreamId::new(ms, number(seq)?), true)),
    }
}

/// An id; where its second half is missing that is 0.
pub(super) fn id(arg: &[u8]) -> Result<StreamId, CommandError> {
    try_id(arg).ok_or(INVALID)
}

/// As [`id`], where something else may stand.
pub(super) fn try_id(arg: &[u8]) -> Option<StreamId> {
    scan(arg, 0, false).map(|(id, _)| id)
}

/// The id of an entry to be added, and whether its second half was given: `ms-*` leaves it to the server.
pub(super) fn new_id(arg: &[u8]) -> Result<(StreamId, bool), CommandError> {
    scan(arg, 0, true).ok_or(INVALID)
}

/// An id where `-` and `+` stand for the lowest and the greatest.
pub(super) fn id_or_edge(arg: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    match until_nul(arg) {
        _ if arg.len() > TEXT_MAX_BYTES => Err(INVALID),
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => scan(arg, missing_seq, false).map(|(id, _)| id).ok_or(INVALID),
    }
}

/// The start of a range; `(` excludes the id.
pub(super) fn range_start(arg: &[u8]) -> Result<StreamId, CommandError> {
    match arg {
        [b'(', rest @ ..] if !rest.is_empty() => {
            id(rest)?.next().ok_or(CommandError::text("ERR invalid start ID for the interval"))
        }
        _ => id_or_edge(arg, 0),
    }
}

/// The end of a range; `(` excludes the id.
pub(super) fn range_end(arg: &[u8]) -> Result<StreamId, CommandError> {
    match arg {
        [b'(', rest @ ..] if !rest.is_empty() => {
            let (id, _) = scan(rest, u64::MAX, false).ok_or(INVALID)?;
            id.prev().ok_or(CommandError::text("ERR invalid end ID for the interval"))
        }
        _ => id_or_edge(arg, u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_c_reads_them() {
        let read = |text: &str| id(text.as_bytes()).ok().map(|id| (id.ms, id.seq));
        assert_eq!(read("5"), Some((5, 0)));
        assert_eq!(read("5-7"), Some((5, 7)));
        assert_eq!(read("18446744073709551615-18446744073709551615"), Some((u64::MAX, u64::MAX)));
        assert_eq!(read(" +007- 08"), Some((7, 8)));
        assert_eq!(read("1--01"), Some((1, u64::MAX)));
        assert_eq!(read("5\0rest"), Some((5, 0)));
        for text in ["", "-", "+", "-5", "5-", "5-*", "5-x", "1--1", "18446744073709551616", " ", "(5", "5 "]
        {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(id(&[b'0'; 127]), Ok(StreamId::MIN));
        assert_eq!(id(&[b'0'; 128]), Err(INVALID));
        assert_eq!(new_id(b"5-*"), Ok((StreamId::new(5, 0), false)));
        assert_eq!(new_id(b"5"), Ok((StreamId::new(5, 0), true)));
    }

    #[test]
    fn ranges_include_and_exclude() {
        let both = |start: &str, end: &str| (range_start(start.as_bytes()), range_end(end.as_bytes()));
        let id = StreamId::new;
        assert_eq!(both("5", "5"), (Ok(id(5, 0)), Ok(id(5, u64::MAX))));
        assert_eq!(both("(5", "(5"), (Ok(id(5, 1)), Ok(id(5, u64::MAX - 1))));
        assert_eq!(both("(5-1", "(5-1"), (Ok(id(5, 2)), Ok(id(5, 0))));
        assert_eq!(both("-", "+"), (Ok(StreamId::MIN), Ok(StreamId::MAX)));
        assert_eq!(both("+", "-"), (Ok(StreamId::MAX), Ok(StreamId::MIN)));
        let text = |result: Result<StreamId, CommandError>| result.unwrap_err().to_string();
        let max = format!("({}", StreamId::MAX);
        assert_eq!(text(range_start(max.as_bytes())), "ERR invalid start ID for the interval");
        assert_eq!(text(range_end(b"(0-0")), "ERR invalid end ID for the interval");
        assert_eq!((range_start(b"("), range_end(b"(+")), (Err(INVALID), Err(INVALID)));
    }
}
