//! Arguments that many families take: bounded integers, timeouts, scan cursors and options, random counts.

use super::CommandError;
use super::context::Context;
use super::table::{CommandResult, DONE};
use crate::base::glob::glob_match;
use crate::base::long_double::LongDouble;
use crate::base::num::{parse_i64, parse_u64};

/// A 64-bit integer.
pub fn int(arg: &[u8]) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(CommandError::NotInteger)
}

/// A count of 0 or more; anything else is refused with `text`.
pub fn non_negative(arg: &[u8], text: &'static str) -> Result<i64, CommandError> {
    at_least(arg, 0, text)
}

/// A count of 0 or more, as POP counts are refused.
pub fn pop_count(arg: &[u8]) -> Result<usize, CommandError> {
    let count = parse_i64(arg).filter(|count| *count >= 0).ok_or(CommandError::MustBePositive)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// An integer that is at least `min`; anything else is refused with `text`, code first.
pub fn at_least(arg: &[u8], min: i64, text: &'static str) -> Result<i64, CommandError> {
    parse_i64(arg).filter(|value| *value >= min).ok_or(CommandError::text(text))
}

/// An integer whose negation is one, too.
pub fn negatable(arg: &[u8]) -> Result<i64, CommandError> {
    match int(arg)? {
        i64::MIN => Err(CommandError::text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        )),
        value => Ok(value),
    }
}

/// How long a blocking command waits, in ms; the argument is in seconds with a fraction, 0 for ever.
pub fn timeout_ms(arg: &[u8]) -> Result<u64, CommandError> {
    const OUT_OF_RANGE: CommandError = CommandError::text("ERR timeout is out of range");
    let Some(seconds) = LongDouble::parse(arg) else {
        return Err(CommandError::text("ERR timeout is not a float or out of range"));
    };
    match seconds.thousandfold_rounded_up() {
        ..0 => Err(CommandError::text("ERR timeout is negative")),
        i64::MAX => Err(OUT_OF_RANGE),
        ms => Ok(ms.unsigned_abs()),
    }
}

/// A scan cursor: an unsigned number, with the signs that C's `strtoul` lets pass; empty text is 0.
pub fn cursor(arg: &[u8]) -> Result<u64, CommandError> {
    if arg.is_empty() {
        return Ok(0);
    }
    let (negative, digits) = match arg.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, arg),
    };
    let value = parse_u64(digits).ok_or(CommandError::text("ERR invalid cursor"))?;
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// The options of SCAN (but TYPE), HSCAN, SSCAN and ZSCAN.
pub struct ScanOptions<'a> {
    /// About how many members a call visits.
    pub count: usize,
    /// Only names that match this glob.
    pub pattern: Option<&'a [u8]>,
    /// Names only (HSCAN).
    pub no_values: bool,
}

impl Default for ScanOptions<'_> {
    fn default() -> Self {
        ScanOptions { count: 10, pattern: None, no_values: false }
    }
}

impl<'a> ScanOptions<'a> {
    /// Reads what follows the cursor; `values` says that NOVALUES makes sense.
    pub fn parse(args: &[&'a [u8]], values: bool) -> Result<Self, CommandError> {
        let mut options = ScanOptions::default();
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            if values && word.eq_ignore_ascii_case(b"novalues") {
                options.no_values = true;
                continue;
            }
            let value = rest.next().ok_or(CommandError::Syntax)?;
            if !options.take(word, value)? {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Takes COUNT or MATCH with its value; false if `word` is neither.
    pub fn take(&mut self, word: &[u8], value: &'a [u8]) -> Result<bool, CommandError> {
        if word.eq_ignore_ascii_case(b"count") {
            self.count = usize::try_from(int(value)?).ok().filter(|n| *n > 0).ok_or(CommandError::Syntax)?;
        } else if word.eq_ignore_ascii_case(b"match") {
            self.pattern = (value != b"*").then_some(value);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether a name passes the pattern.
    pub fn admits(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob_match(pattern, name))
    }
}

/// The reply to a scan of a key that is not there.
pub fn empty_scan(ctx: &mut Context<'_, '_>) -> CommandResult {
    ctx.reply.array(2);
    ctx.reply.bulk(b"0");
    ctx.reply.array(0);
    DONE
}

/// How many random members a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RandomCount {
    /// So many different ones, or all there are.
    Distinct(usize),
    /// Exactly so many, each drawn anew.
    Repeating(usize),
}

impl RandomCount {
    /// Reads the count of SRANDMEMBER, HRANDFIELD or ZRANDMEMBER: negative for [`RandomCount::Repeating`].
    pub fn parse(arg: &[u8]) -> Result<Self, CommandError> {
        let count = negatable(arg)?;
        let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(if count < 0 { RandomCount::Repeating(size) } else { RandomCount::Distinct(size) })
    }

    /// The number itself.
    pub fn size(self) -> usize {
        match self {
            RandomCount::Distinct(size) | RandomCount::Repeating(size) => size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<T>(result: Result<T, CommandError>) -> String {
        result.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn timeouts() {
        let ms = |text: &str| timeout_ms(text.as_bytes()).ok();
        assert_eq!(ms("0"), Some(0));
        assert_eq!(ms("0.0001"), Some(1));
        assert_eq!(ms("1.5"), Some(1500));
        assert_eq!(ms("1e-400"), Some(1));
        for text in ["-0.0001", "-0.001", "-1e-400", "-0"] {
            assert_eq!(ms(text), Some(0), "{text} is rounded up to nothing, as in Redis");
        }
        for text in ["-1", "-0.0011", "-0.002", "-1e400", "-inf"] {
            assert_eq!(refusal(timeout_ms(text.as_bytes())), "ERR timeout is negative", "{text}");
        }
        for text in ["inf", "1e400", "9223372036854775807"] {
            assert_eq!(refusal(timeout_ms(text.as_bytes())), "ERR timeout is out of range", "{text}");
        }
        for text in ["", "x", "nan", " 1"] {
            let wanted = "ERR timeout is not a float or out of range";
            assert_eq!(refusal(timeout_ms(text.as_bytes())), wanted, "{text}");
        }
    }

    #[test]
    fn cursors_pass_as_strtoul_reads_them() {
        assert_eq!(cursor(b"18446744073709551615").ok(), Some(u64::MAX));
        assert_eq!((cursor(b"+1").ok(), cursor(b"-1").ok()), (Some(1), Some(u64::MAX)));
        assert_eq!(cursor(b"").ok(), Some(0));
        for text in [&b"-"[..], b"1x", b" 1", b"18446744073709551616"] {
            assert_eq!(refusal(cursor(text)), "ERR invalid cursor");
        }
    }

    #[test]
    fn scan_options() {
        let options = ScanOptions::parse(&[b"MATCH", b"a*", b"COUNT", b"7"], false);
        assert!(options.is_ok_and(|o| o.count == 7 && o.admits(b"ab") && !o.admits(b"ba")));
        assert!(ScanOptions::parse(&[b"novalues"], true).is_ok_and(|o| o.no_values && o.admits(b"")));
        let refused = |args: &[&[u8]]| refusal(ScanOptions::parse(args, false));
        assert_eq!(refused(&[b"novalues"]), "ERR syntax error");
        assert_eq!(refused(&[b"count", b"0"]), "ERR syntax error");
        assert_eq!(refused(&[b"count", b"x"]), "ERR value is not an integer or out of range");
        assert_eq!(refused(&[b"match"]), "ERR syntax error");
    }
}
