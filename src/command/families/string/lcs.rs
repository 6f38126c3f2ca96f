//! LCS: the longest common subsequence of two strings, by the usual table of lengths.

use crate::command::args::int;
use crate::command::{CommandError, CommandResult, Context, DONE};
use crate::keyspace::{Entry, ValueRef};
use std::borrow::Cow;

#[derive(Debug, Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: usize,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            if is(b"idx") {
                options.idx = true;
            } else if is(b"len") {
                options.len = true;
            } else if is(b"withmatchlen") {
                options.with_match_len = true;
            } else if is(b"minmatchlen") {
                let least = int(rest.next().ok_or(CommandError::Syntax)?)?;
                options.min_match_len = usize::try_from(least).unwrap_or(0);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        if options.idx && options.len {
            return Err(CommandError::text(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

fn text_of(value: Option<ValueRef<'_>>) -> Result<Cow<'_, [u8]>, CommandError> {
    match value {
        None => Ok(Cow::Borrowed(b"")),
        Some(ValueRef::Bytes(bytes)) => Ok(Cow::Borrowed(bytes)),
        Some(ValueRef::Int(n)) => Ok(Cow::Owned(n.to_string().into_bytes())),
        Some(ValueRef::Object(_)) => {
            Err(CommandError::text("ERR The specified keys must contain string values"))
        }
    }
}

pub(super) fn lcs(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    // Touched and counted first; both are then looked at together.
    ctx.read(args[1]);
    ctx.read(args[2]);
    let a = text_of(ctx.peek(args[1]).map(Entry::value))?;
    let b = text_of(ctx.peek(args[2]).map(Entry::value))?;
    let options = Options::parse(&args[3..])?;
    let max_bytes = ctx.settings.max_bulk_bytes;
    let cells = (a.len() + 1).checked_mul(b.len() + 1);
    let fits = cells.and_then(|cells| cells.checked_mul(size_of::<u32>())).is_some_and(|n| n <= max_bytes);
    if !fits || a.len().max(b.len()) >= u32::MAX as usize - 1 {
        let text = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        return Err(CommandError::text(text));
    }
    if options.len {
        let len = common_len(&a, &b);
        ctx.reply.int(i64::from(len));
        return DONE;
    }
    let common = Common::of(&a, &b);
    let len = common.len;
    if !options.idx {
        let text: Vec<u8> = common.matches.iter().rev().flat_map(|m| &a[m.a..m.a + m.len]).copied().collect();
        ctx.reply.bulk(text);
        return DONE;
    }
    reply_matches(ctx, &common.matches, len, &options);
    DONE
}

fn reply_matches(ctx: &mut Context<'_, '_>, matches: &[Match], len: u32, options: &Options) {
    let shown = || matches.iter().filter(|m| m.len >= options.min_match_len);
    let reply = &mut ctx.reply;
    reply.map(2);
    reply.bulk("matches");
    reply.array(shown().count());
    for m in shown() {
        reply.array(if options.with_match_len { 3 } else { 2 });
        for start in [m.a, m.b] {
            reply.array(2);
            reply.int(start as i64);
            reply.int((start + m.len - 1) as i64);
        }
        if options.with_match_len {
            reply.int(m.len as i64);
        }
    }
    reply.bulk("len");
    reply.int(i64::from(len));
}

/// A run of bytes that both strings have in common.
#[derive(Debug, PartialEq, Eq)]
struct Match {
    /// Its start in the first string.
    a: usize,
    /// Its start in the second.
    b: usize,
    len: usize,
}

/// A longest common subsequence: its runs, the last first, and its length.
struct Common {
    matches: Vec<Match>,
    len: u32,
}

/// The length alone, which takes only a row of the table.
fn common_len(a: &[u8], b: &[u8]) -> u32 {
    let mut row = vec![0u32; b.len() + 1];
    for byte in a {
        let mut diagonal = 0;
        let mut left = 0;
        for (cell, other) in row.iter_mut().skip(1).zip(b) {
            let above = *cell;
            *cell = if byte == other { diagonal + 1 } else { above.max(left) };
            diagonal = above;
            left = *cell;
        }
    }
    row.last().copied().unwrap_or(0)
}

impl Common {
    fn of(a: &[u8], b: &[u8]) -> Common {
        let width = b.len() + 1;
        let mut table = vec![0u32; (a.len() + 1) * width];
        for (i, byte) in a.iter().enumerate() {
            let (above, below) = table.split_at_mut((i + 1) * width);
            let above = &above[i * width..];
            for (j, other) in b.iter().enumerate() {
                below[j + 1] = if byte == other { above[j] + 1 } else { above[j + 1].max(below[j]) };
            }
        }
        let mut matches: Vec<Match> = Vec::new();
        let (mut i, mut j) = (a.len(), b.len());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                match matches.last_mut().filter(|m| (m.a, m.b) == (i + 1, j + 1)) {
                    Some(run) => *run = Match { a: i, b: j, len: run.len + 1 },
                    None => matches.push(Match { a: i, b: j, len: 1 }),
                }
            } else if table[(i - 1) * width + j] > table[i * width + j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        Common { matches, len: table.last().copied().unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_subsequence(part: &[u8], of: &[u8]) -> bool {
        let mut rest = of.iter();
        part.iter().all(|byte| rest.any(|other| other == byte))
    }

    proptest! {
        #[test]
        fn runs_spell_a_common_subsequence_of_the_stated_length(
            a in proptest::collection::vec(b'a'..b'd', 0..30),
            b in proptest::collection::vec(b'a'..b'd', 0..30),
        ) {
            let common = Common::of(&a, &b);
            let text: Vec<u8> =
                common.matches.iter().rev().flat_map(|m| a[m.a..m.a + m.len].to_vec()).collect();
            prop_assert_eq!(text.len(), common.len as usize);
            prop_assert_eq!(common.len, common_len(&a, &b));
            prop_assert!(is_subsequence(&text, &a) && is_subsequence(&text, &b));
            for m in &common.matches {
                prop_assert_eq!(&a[m.a..m.a + m.len], &b[m.b..m.b + m.len]);
            }
        }
    }

    #[test]
    fn known_example() {
        let common = Common::of(b"ohmytext", b"mynewtext");
        assert_eq!(common.len, 6);
        assert_eq!(common.matches, [Match { a: 4, b: 5, len: 4 }, Match { a: 2, b: 0, len: 2 }]);
    }
}
