//! Arguments that several families read alike: counts, time-outs, and the options of the SCAN family.

use super::error::CommandError;
use crate::base::num::{is_c_space, parse_f64, parse_i64, parse_u64};

/// An integer argument.
#[inline]
pub fn integer(arg: &[u8]) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(CommandError::NotInteger)
}

/// An integer argument that is no less than `min`; `text` is the error for anything else, code first.
pub fn at_least(arg: &[u8], min: i64, text: &'static str) -> Result<i64, CommandError> {
    parse_i64(arg).filter(|n| *n >= min).ok_or(CommandError::text(text))
}

/// An integer argument whose negation can be represented as well.
pub fn negatable(arg: &[u8]) -> Result<i64, CommandError> {
    let n = integer(arg)?;
    if n == i64::MIN {
        let text =
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
        return Err(CommandError::text(text));
    }
    Ok(n)
}

/// An optional count of elements to pop: not negative.
pub fn pop_count(arg: &[u8]) -> Result<usize, CommandError> {
    let count = parse_i64(arg).and_then(|n| usize::try_from(n).ok());
    count.ok_or(CommandError::MustBePositive)
}

/// The time-out of a blocking command: seconds, with a fraction; comes back in ms, 0 for ever.
pub fn timeout_ms(arg: &[u8], now_ms: i64) -> Result<u64, CommandError> {
    const OUT_OF_RANGE: CommandError = CommandError::text("ERR timeout is out of range");
    let seconds = parse_f64(arg).ok_or(CommandError::text("ERR timeout is not a float or out of range"))?;
    let ms = (seconds * 1000.0).ceil();
    if ms < 0.0 {
        return Err(CommandError::text("ERR timeout is negative"));
    }
    if ms >= i64::MAX as f64 || (ms as i64).checked_add(now_ms).is_none() {
        return Err(OUT_OF_RANGE);
    }
    Ok(ms as u64)
}

/// A cursor of SCAN and its kin, as C's `strtoul` reads it: no leading space, a sign passes, empty text is 0.
pub fn scan_cursor(arg: &[u8]) -> Result<u64, CommandError> {
    let invalid = CommandError::text("ERR invalid cursor");
    if arg.is_empty() {
        return Ok(0);
    }
    if arg.first().is_some_and(|byte| is_c_space(*byte)) {
        return Err(invalid);
    }
    let digits = arg.strip_prefix(b"+").or_else(|| arg.strip_prefix(b"-")).unwrap_or(arg);
    let cursor = parse_u64(digits).ok_or(invalid)?;
    Ok(if arg.starts_with(b"-") { cursor.wrapping_neg() } else { cursor })
}

/// MATCH and COUNT of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanOptions<'a> {
    /// Only what matches this pattern; `None` means all.
    pub pattern: Option<&'a [u8]>,
    /// About how many to visit.
    pub count: usize,
}

impl Default for ScanOptions<'_> {
    fn default() -> Self {
        ScanOptions { pattern: None, count: 10 }
    }
}

impl<'a> ScanOptions<'a> {
    /// Reads the arguments behind the cursor.
    pub fn parse(args: &[&'a [u8]]) -> Result<Self, CommandError> {
        let mut options = ScanOptions::default();
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            if !options.take(word, &mut rest)? {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Reads one option if `word` begins one; false if not.
    pub fn take(
        &mut self,
        word: &[u8],
        rest: &mut std::slice::Iter<'_, &'a [u8]>,
    ) -> Result<bool, CommandError> {
        if word.eq_ignore_ascii_case(b"count") {
            let count = integer(rest.next().ok_or(CommandError::Syntax)?)?;
            self.count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or(CommandError::Syntax)?;
        } else if word.eq_ignore_ascii_case(b"match") {
            let pattern = *rest.next().ok_or(CommandError::Syntax)?;
            self.pattern = (pattern != b"*").then_some(pattern);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether `text` is wanted.
    #[inline]
    pub fn wants(&self, text: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| crate::base::glob::glob_match(pattern, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(result: Result<T, CommandError>) -> String {
        result.expect_err("should be refused").to_string()
    }

    #[test]
    fn timeouts() {
        let now_ms = 1_700_000_000_000;
        let parse = |text: &str| timeout_ms(text.as_bytes(), now_ms);
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("0.0001"), Ok(1));
        assert_eq!(parse("-0.0001"), Ok(0));
        assert_eq!(parse("1.5"), Ok(1500));
        assert_eq!(parse("9000000000000000"), Ok(9_000_000_000_000_000_000));
        assert_eq!(refused(parse("-1")), "ERR timeout is negative");
        assert_eq!(refused(parse("-inf")), "ERR timeout is negative");
        for beyond in ["inf", "1e30", "9223372036854775"] {
            assert_eq!(refused(parse(beyond)), "ERR timeout is out of range");
        }
        for odd in ["", "x", "1 ", "nan"] {
            assert_eq!(refused(parse(odd)), "ERR timeout is not a float or out of range");
        }
    }

    #[test]
    fn cursors() {
        for (text, cursor) in
            [("", 0), ("007", 7), ("+5", 5), ("-1", u64::MAX), ("18446744073709551615", u64::MAX)]
        {
            assert_eq!(scan_cursor(text.as_bytes()), Ok(cursor), "{text}");
        }
        for text in [" 1", "1 ", "x", "18446744073709551616"] {
            assert_eq!(refused(scan_cursor(text.as_bytes())), "ERR invalid cursor", "{text}");
        }
    }

    #[test]
    fn scan_options() {
        let parse = |words: &[&'static str]| {
            let args: Vec<&'static [u8]> = words.iter().map(|word| word.as_bytes()).collect();
            ScanOptions::parse(&args)
        };
        let options = parse(&["COUNT", "3", "match", "a*"]).expect("good options");
        assert_eq!(options, ScanOptions { pattern: Some(b"a*"), count: 3 });
        assert!(options.wants(b"abc") && !options.wants(b"bc"));
        assert!(parse(&["MATCH", "*"]).is_ok_and(|options| options == ScanOptions::default()));
        assert_eq!(refused(parse(&["COUNT", "0"])), "ERR syntax error");
        assert_eq!(refused(parse(&["COUNT", "x"])), "ERR value is not an integer or out of range");
        for words in [&["COUNT"][..], &["MATCH"], &["TYPE", "set"]] {
            assert_eq!(refused(parse(words)), "ERR syntax error");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(negatable(b"-9223372036854775807"), Ok(-i64::MAX));
        assert!(refused(negatable(b"-9223372036854775808")).contains("must between"));
        assert_eq!(pop_count(b"0"), Ok(0));
        assert_eq!(pop_count(b"-1"), Err(CommandError::MustBePositive));
        assert_eq!(pop_count(b"x"), Err(CommandError::MustBePositive));
        assert_eq!(at_least(b"1", 1, "ERR no"), Ok(1));
        assert_eq!(refused(at_least(b"0", 1, "ERR no")), "ERR no");
    }
}
