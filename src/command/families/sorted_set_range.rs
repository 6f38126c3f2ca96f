//! Sorted set commands over ranges: by rank, by score, by member.

use super::sorted_set::{Members, removed_some};
use crate::base::num::{format_score, parse_score_bound};
use crate::command::args::int;
use crate::command::table::{Command, Handler, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::value::zset::{LexBound, ScoreBound, ZSetBuilder};
use crate::value::{Value, ZSet};
use std::ops::Range;

const READ: &[KeySpec] = &[KeySpec::one(key::RO | key::ACCESS, 1)];
const DELETE: &[KeySpec] = &[KeySpec::one(key::RW | key::DELETE, 1)];
const STORE: &[KeySpec] = &[KeySpec::one(key::OW | key::UPDATE, 1), KeySpec::one(key::RO | key::ACCESS, 2)];

/// Words of one logged command, so that no single effect grows without bound; even, for pairs.
const LOGGED_WORDS: usize = 2048;

const RANGE_COST: &str = "O(log(N)+M) with M of N members returned";
const REMOVE_COST: &str = "O(log(N)+M) with M of N members removed";

const fn range(name: &'static str, run: Handler) -> Command {
    Command::new(name, -4, READONLY, run).acl(acl::SORTEDSET).keys(READ)
}

const fn count(name: &'static str, run: Handler) -> Command {
    Command::new(name, 4, READONLY | FAST, run).acl(acl::SORTEDSET).keys(READ)
}

const fn remover(name: &'static str, run: Handler) -> Command {
    Command::new(name, 4, WRITE, run).acl(acl::SORTEDSET).keys(DELETE)
}

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    range("zrange", zrange).doc(
        "sorted-set",
        "1.2.0",
        RANGE_COST,
        "Returns the members of a range of ranks, scores or names.",
        "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
    ),
    Command::new("zrangestore", -5, WRITE | DENYOOM, zrangestore).acl(acl::SORTEDSET).keys(STORE).doc(
        "sorted-set",
        "6.2.0",
        "O(log(N)+M) with M of N members stored",
        "Stores the members of a range in another key.",
        "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
    ),
    range("zrevrange", zrevrange).doc(
        "sorted-set",
        "1.2.0",
        RANGE_COST,
        "Returns the members of a range of ranks, highest first.",
        "key start stop [WITHSCORES]",
    ),
    range("zrangebyscore", zrangebyscore).doc(
        "sorted-set",
        "1.0.5",
        RANGE_COST,
        "Returns the members of a range of scores.",
        "key min max [WITHSCORES] [LIMIT offset count]",
    ),
    range("zrevrangebyscore", zrevrangebyscore).doc(
        "sorted-set",
        "2.2.0",
        RANGE_COST,
        "Returns the members of a range of scores, highest first.",
        "key max min [WITHSCORES] [LIMIT offset count]",
    ),
    range("zrangebylex", zrangebylex).doc(
        "sorted-set",
        "2.8.9",
        RANGE_COST,
        "Returns the members of a range of names.",
        "key min max [LIMIT offset count]",
    ),
    range("zrevrangebylex", zrevrangebylex).doc(
        "sorted-set",
        "2.8.9",
        RANGE_COST,
        "Returns the members of a range of names, last first.",
        "key max min [LIMIT offset count]",
    ),
    count("zcount", zcount).doc(
        "sorted-set",
        "2.0.0",
        "O(log(N)) with N members",
        "Counts the members of a range of scores.",
        "key min max",
    ),
    count("zlexcount", zlexcount).doc(
        "sorted-set",
        "2.8.9",
        "O(log(N)) with N members",
        "Counts the members of a range of names.",
        "key min max",
    ),
    remover("zremrangebyrank", zremrangebyrank).doc(
        "sorted-set",
        "2.0.0",
        REMOVE_COST,
        "Removes the members of a range of ranks.",
        "key start stop",
    ),
    remover("zremrangebyscore", zremrangebyscore).doc(
        "sorted-set",
        "1.2.0",
        REMOVE_COST,
        "Removes the members of a range of scores.",
        "key min max",
    ),
    remover("zremrangebylex", zremrangebylex).doc(
        "sorted-set",
        "2.8.9",
        REMOVE_COST,
        "Removes the members of a range of names.",
        "key min max",
    ),
];

/// What the two ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// A range as its two ends, the lower one first.
enum Ends<'a> {
    Rank(i64, i64),
    Score(ScoreBound, ScoreBound),
    Lex(LexBound<'a>, LexBound<'a>),
}

impl<'a> Ends<'a> {
    fn parse(by: By, min: &'a [u8], max: &'a [u8]) -> Result<Self, CommandError> {
        match by {
            By::Rank => Ok(Ends::Rank(int(min)?, int(max)?)),
            By::Score => match (score_bound(min), score_bound(max)) {
                (Some(min), Some(max)) => Ok(Ends::Score(min, max)),
                _ => Err(CommandError::text("ERR min or max is not a float")),
            },
            By::Lex => match (lex_bound(min), lex_bound(max)) {
                (Some(min), Some(max)) => Ok(Ends::Lex(min, max)),
                _ => Err(CommandError::text("ERR min or max not valid string range item")),
            },
        }
    }

    /// Whether other nodes might find other members: a range of names means something only where all scores
    /// are equal; elsewhere what it finds hangs on how the set is stored, so effects name the members.
    fn are_ambiguous_in(&self, zset: &ZSet) -> bool {
        let score = |rank| zset.get(rank).map(|(_, score)| score);
        matches!(self, Ends::Lex(..)) && score(0) != score(zset.len().saturating_sub(1))
    }

    /// The ranks in the range, ascending. Ranks given are counted from the end that `reverse` makes the first.
    fn ranks(&self, zset: &ZSet, reverse: bool) -> Range<usize> {
        match *self {
            Ends::Score(min, max) => zset.score_range(min, max),
            Ends::Lex(min, max) => zset.lex_range(min, max),
            Ends::Rank(start, stop) => {
                let len = zset.len();
                let from_end = |at: i64| if at < 0 { at.saturating_add(len as i64) } else { at };
                let (start, stop) = (from_end(start).max(0), from_end(stop).min(len as i64 - 1));
                if start > stop {
                    return 0..0;
                }
                let (start, end) = (start as usize, stop as usize + 1);
                if reverse { len - end..len - start } else { start..end }
            }
        }
    }
}

/// Reads one end of a range of scores: a float, `(` before it to leave it out.
fn score_bound(arg: &[u8]) -> Option<ScoreBound> {
    match arg.split_first() {
        Some((b'(', rest)) => parse_score_bound(rest).map(ScoreBound::exclusive),
        _ => parse_score_bound(arg).map(ScoreBound::inclusive),
    }
}

/// Reads one end of a range of names: `-`, `+`, `[name` or `(name`.
fn lex_bound(arg: &[u8]) -> Option<LexBound<'_>> {
    match arg.split_first()? {
        (b'-', []) => Some(LexBound::Min),
        (b'+', []) => Some(LexBound::Max),
        (b'[', name) => Some(LexBound::Inclusive(name)),
        (b'(', name) => Some(LexBound::Exclusive(name)),
        _ => None,
    }
}

/// What a range command asks for.
struct Query<'a> {
    ends: Ends<'a>,
    reverse: bool,
    offset: i64,
    /// Negative for all.
    limit: i64,
    scores: bool,
}

impl<'a> Query<'a> {
    /// Reads `start stop [option ...]`. `by` and `reverse` are `None` where options may say them; `store`
    /// excludes WITHSCORES.
    fn parse(
        args: &[&'a [u8]],
        mut by: Option<By>,
        mut reverse: Option<bool>,
        store: bool,
    ) -> Result<Self, CommandError> {
        let [first, second, options @ ..] = args else { return Err(CommandError::Syntax) };
        let (mut offset, mut limit, mut scores) = (0, -1, false);
        let mut at = 0;
        while let Some(word) = options.get(at) {
            at += 1;
            if !store && word.eq_ignore_ascii_case(b"withscores") {
                scores = true;
            } else if let (true, Some([from, count])) =
                (word.eq_ignore_ascii_case(b"limit"), options.get(at..at + 2))
            {
                (offset, limit) = (int(from)?, int(count)?);
                at += 2;
            } else if reverse.is_none() && word.eq_ignore_ascii_case(b"rev") {
                reverse = Some(true);
            } else if by.is_none() && word.eq_ignore_ascii_case(b"bylex") {
                by = Some(By::Lex);
            } else if by.is_none() && word.eq_ignore_ascii_case(b"byscore") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if by == By::Rank && limit == -1 {
            // As in Redis, a limit of -1 is none at all, whatever its offset says.
            offset = 0;
        }
        if by == By::Rank && limit != -1 {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if by == By::Lex && scores {
            return Err(CommandError::text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let swapped = reverse && by != By::Rank;
        let (min, max) = if swapped { (second, first) } else { (first, second) };
        Ok(Query { ends: Ends::parse(by, min, max)?, reverse, offset, limit, scores })
    }

    /// The rank to start from and how many members to take, for [`ZSet::iter_range`].
    fn select(&self, zset: &ZSet) -> (usize, usize) {
        let ranks = self.ends.ranks(zset, self.reverse);
        // A negative offset is behind everything, as in Redis.
        let skip = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let left = ranks.len().saturating_sub(skip);
        let count = usize::try_from(self.limit).map_or(left, |limit| limit.min(left));
        if count == 0 {
            return (0, 0);
        }
        (if self.reverse { ranks.end - 1 - skip } else { ranks.start + skip }, count)
    }
}

fn reply_range(ctx: &mut Context<'_, '_>, key: &[u8], query: Query<'_>) -> CommandResult {
    let (zset, reply) = ctx.read_zset_with_reply(key)?;
    let mut out = Members { reply, scores: query.scores };
    let Some(zset) = zset else {
        out.header(0);
        return DONE;
    };
    let (start, count) = query.select(zset);
    out.header(count);
    zset.iter_range(start, count, query.reverse).for_each(|pair| out.write(pair));
    DONE
}

fn zrange(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    reply_range(ctx, args[1], Query::parse(&args[2..], None, None, false)?)
}

fn zrevrange(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    reply_range(ctx, args[1], Query::parse(&args[2..], Some(By::Rank), Some(true), false)?)
}

fn zrangebyscore(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    reply_range(ctx, args[1], Query::parse(&args[2..], Some(By::Score), Some(false), false)?)
}

fn zrevrangebyscore(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    reply_range(ctx, args[1], Query::parse(&args[2..], Some(By::Score), Some(true), false)?)
}

fn zrangebylex(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    reply_range(ctx, args[1], Query::parse(&args[2..], Some(By::Lex), Some(false), false)?)
}

fn zrevrangebylex(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    reply_range(ctx, args[1], Query::parse(&args[2..], Some(By::Lex), Some(true), false)?)
}

fn zrangestore(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let query = Query::parse(&args[3..], None, None, true)?;
    let mut pairs = ZSetBuilder::new();
    let mut buffer = itoa::Buffer::new();
    let mut ambiguous = false;
    let limits = ctx.settings.limits;
    if let Some(zset) = ctx.read_zset(args[2])? {
        ambiguous = query.ends.are_ambiguous_in(zset);
        let (start, count) = query.select(zset);
        let mut packed = true;
        for (index, (member, score)) in zset.iter_range(start, count, query.reverse).enumerate() {
            let member = member.as_bytes(&mut buffer);
            packed &=
                index < limits.zset_max_listpack_entries && member.len() <= limits.zset_max_listpack_value;
            // Redis fills a listpack for as long as it fits, and there -0 loses its sign.
            let score = if packed { score + 0.0 } else { score };
            pairs.push(member, score).map_err(unstorable)?;
        }
    }
    store(ctx, args[1], pairs, "zrangestore")?;
    if ambiguous && ctx.dirty > 0 {
        log_content(ctx, args[1])?;
    }
    DONE
}

/// Logs what a key holds now in place of how that was found: the sorted set, or nothing.
pub(super) fn log_content(ctx: &mut Context<'_, '_>, key: &[u8]) -> Result<(), CommandError> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    for (member, score) in ctx.peek_zset(key)?.into_iter().flat_map(ZSet::iter) {
        let mut text = Vec::new();
        format_score(&mut text, score);
        words.extend([text, member.to_vec()]);
    }
    ctx.log(&[b"DEL", key]);
    log_in_parts(ctx, b"ZADD", key, &words);
    Ok(())
}

/// Logs `name key word ...` as several commands, each of a bounded number of words.
fn log_in_parts(ctx: &mut Context<'_, '_>, name: &[u8], key: &[u8], words: &[Vec<u8>]) {
    for part in words.chunks(LOGGED_WORDS) {
        let mut args = vec![name, key];
        args.extend(part.iter().map(Vec::as_slice));
        ctx.log(&args);
    }
}

/// A sorted set whose pairs do not make one; cannot happen with pairs that come from sorted sets.
pub(super) fn unstorable(error: crate::value::zset::Rejected) -> CommandError {
    CommandError::owned(format!("ERR {error}"))
}

/// Puts a sorted set at a key, which `event` tells of, or removes the key if there are no pairs; replies how many there are.
pub(super) fn store(
    ctx: &mut Context<'_, '_>,
    key: &[u8],
    pairs: ZSetBuilder,
    event: &'static str,
) -> CommandResult {
    let len = pairs.len();
    let zset = pairs.finish(&ctx.settings.limits).map_err(unstorable)?;
    if len > 0 {
        ctx.set_value(key, Value::ZSet(zset), None);
        ctx.tell(EventClass::SortedSet, event, key);
    } else {
        ctx.remove_stored(key);
    }
    ctx.reply.int(len as i64);
    DONE
}

fn count_in(ctx: &mut Context<'_, '_>, args: &[&[u8]], by: By) -> CommandResult {
    let ends = Ends::parse(by, args[2], args[3])?;
    let count = ctx.read_zset(args[1])?.map_or(0, |zset| ends.ranks(zset, false).len());
    ctx.reply.int(count as i64);
    DONE
}

fn zcount(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    count_in(ctx, args, By::Score)
}

fn zlexcount(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    count_in(ctx, args, By::Lex)
}

fn remove_in(ctx: &mut Context<'_, '_>, args: &[&[u8]], by: By) -> CommandResult {
    let ends = Ends::parse(by, args[2], args[3])?;
    let mut removed = 0;
    let mut names: Vec<Vec<u8>> = Vec::new();
    if let Some(zset) = ctx.zset_mut(args[1])? {
        let ambiguous = ends.are_ambiguous_in(zset);
        removed = zset.remove_range(ends.ranks(zset, false), |member, _| {
            if ambiguous {
                names.push(member.to_vec());
            }
        });
    }
    let event = match by {
        By::Rank => "zremrangebyrank",
        By::Score => "zremrangebyscore",
        By::Lex => "zremrangebylex",
    };
    removed_some(ctx, args[1], event, removed);
    log_in_parts(ctx, b"ZREM", args[1], &names);
    ctx.reply.int(removed as i64);
    DONE
}

fn zremrangebyrank(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    remove_in(ctx, args, By::Rank)
}

fn zremrangebyscore(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    remove_in(ctx, args, By::Score)
}

fn zremrangebylex(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    remove_in(ctx, args, By::Lex)
}

#[cfg(test)]
#[path = "sorted_set_range_tests.rs"]
mod tests;
