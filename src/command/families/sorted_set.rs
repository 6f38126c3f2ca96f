//! Sorted set commands: setting, removing and looking up members, random ones, scanning.

use crate::base::num::{format_score, parse_f64};
use crate::base::random::Rng;
use crate::command::args::{RandomCount, ScanOptions, cursor, empty_scan};
use crate::command::elements::{Selection, bulk_element, check_reply_len, pair_header, pairs_header};
use crate::command::table::{Command, Handler, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass, Settings};
use crate::resp::reply::Reply;
use crate::value::{Element, ZSet};
use std::collections::HashSet;

const READ: &[KeySpec] = &[KeySpec::one(key::RO | key::ACCESS, 1)];
const READ_META: &[KeySpec] = &[KeySpec::one(key::RO, 1)];
const UPDATE: &[KeySpec] = &[KeySpec::one(key::RW | key::UPDATE, 1)];
const INCREMENT: &[KeySpec] = &[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)];
const DELETE: &[KeySpec] = &[KeySpec::one(key::RW | key::DELETE, 1)];

const fn reader(name: &'static str, arity: i32, run: Handler) -> Command {
    Command::new(name, arity, READONLY | FAST, run).acl(acl::SORTEDSET).keys(READ)
}

const fn walker(name: &'static str, arity: i32, run: Handler) -> Command {
    Command::new(name, arity, READONLY, run).acl(acl::SORTEDSET).keys(READ).tips(&["nondeterministic_output"])
}

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("zadd", -4, WRITE | DENYOOM | FAST, zadd).acl(acl::SORTEDSET).keys(UPDATE).doc(
        "sorted-set",
        "1.2.0",
        "O(log(N)) a member, with N members",
        "Gives members their scores, adding those that are new.",
        "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
    ),
    Command::new("zincrby", 4, WRITE | DENYOOM | FAST, zincrby).acl(acl::SORTEDSET).keys(INCREMENT).doc(
        "sorted-set",
        "1.2.0",
        "O(log(N)) with N members",
        "Adds to the score of a member.",
        "key increment member",
    ),
    Command::new("zrem", -3, WRITE | FAST, zrem).acl(acl::SORTEDSET).keys(DELETE).doc(
        "sorted-set",
        "1.2.0",
        "O(M*log(N)) with M of N members named",
        "Removes members; the key goes with the last of them.",
        "key member [member ...]",
    ),
    reader("zcard", 2, zcard).keys(READ_META).doc(
        "sorted-set",
        "1.2.0",
        "O(1)",
        "Counts the members.",
        "key",
    ),
    reader("zscore", 3, zscore).doc("sorted-set", "1.2.0", "O(1)", "Returns a member's score.", "key member"),
    reader("zmscore", -3, zmscore).doc(
        "sorted-set",
        "6.2.0",
        "O(N) with N members named",
        "Returns the scores of several members.",
        "key member [member ...]",
    ),
    reader("zrank", -3, zrank).doc(
        "sorted-set",
        "2.0.0",
        "O(log(N)) with N members",
        "Returns a member's place, counted from the lowest score.",
        "key member [WITHSCORE]",
    ),
    reader("zrevrank", -3, zrevrank).doc(
        "sorted-set",
        "2.0.0",
        "O(log(N)) with N members",
        "Returns a member's place, counted from the highest score.",
        "key member [WITHSCORE]",
    ),
    walker("zrandmember", -2, zrandmember).doc(
        "sorted-set",
        "6.2.0",
        "O(N) with N members returned",
        "Returns members chosen at random.",
        "key [count [WITHSCORES]]",
    ),
    walker("zscan", -3, zscan).doc(
        "sorted-set",
        "2.8.0",
        "O(1) a call, O(N) for a whole pass",
        "Steps through the members.",
        "key cursor [MATCH pattern] [COUNT count]",
    ),
];

/// The words of ZADD.
#[derive(Default, Clone, Copy)]
struct AddOptions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
    changed: bool,
    increment: bool,
}

impl AddOptions {
    /// Reads the options; returns how many words they took.
    fn parse(&mut self, args: &[&[u8]]) -> usize {
        for (at, word) in args.iter().enumerate() {
            // A score is the usual word here, and begins like no option.
            match word.first().map(u8::to_ascii_lowercase) {
                Some(b'n') if word.eq_ignore_ascii_case(b"nx") => self.nx = true,
                Some(b'x') if word.eq_ignore_ascii_case(b"xx") => self.xx = true,
                Some(b'g') if word.eq_ignore_ascii_case(b"gt") => self.gt = true,
                Some(b'l') if word.eq_ignore_ascii_case(b"lt") => self.lt = true,
                Some(b'c') if word.eq_ignore_ascii_case(b"ch") => self.changed = true,
                Some(b'i') if word.eq_ignore_ascii_case(b"incr") => self.increment = true,
                _ => return at,
            }
        }
        args.len()
    }

    fn check(&self, pairs: usize) -> Result<(), CommandError> {
        if self.nx && self.xx {
            return Err(CommandError::text("ERR XX and NX options at the same time are not compatible"));
        }
        if usize::from(self.gt) + usize::from(self.lt) + usize::from(self.nx) > 1 {
            let text = "ERR GT, LT, and/or NX options at the same time are not compatible";
            return Err(CommandError::text(text));
        }
        if self.increment && pairs > 1 {
            return Err(CommandError::text("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// The score to set for a member that has `old`, if it is to be touched at all; NaN if an increment makes it so.
    fn decide(&self, old: Option<f64>, given: f64) -> Option<f64> {
        let Some(old) = old else { return (!self.xx).then_some(given) };
        if self.nx {
            return None;
        }
        let new = if self.increment { old + given } else { given };
        let refused = (self.lt && new >= old) || (self.gt && new <= old);
        (!refused).then_some(new)
    }
}

pub(super) fn zadd(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    add(ctx, args, AddOptions::default())
}

fn zincrby(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    add(ctx, args, AddOptions { increment: true, ..AddOptions::default() })
}

fn add(ctx: &mut Context<'_, '_>, args: &[&[u8]], mut options: AddOptions) -> CommandResult {
    let (key, rest) = (args[1], &args[2..]);
    let pairs = &rest[options.parse(rest)..];
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    options.check(pairs.len() / 2)?;
    // All scores are read before anything changes.
    let scores: smallvec::SmallVec<[f64; 8]> = pairs
        .chunks_exact(2)
        .map(|pair| parse_f64(pair[0]).ok_or(CommandError::NotFloat))
        .collect::<Result<_, _>>()?;
    let limits = &ctx.settings.limits;
    let zset = if options.xx { ctx.zset_mut(key)? } else { Some(ctx.zset_or_new(key)?) };
    let (mut added, mut updated) = (0, 0);
    let mut last = None;
    if let Some(zset) = zset {
        for (pair, given) in pairs.chunks_exact(2).zip(&scores) {
            last = None;
            let mut is_nan = false;
            let old = zset.upsert(pair[1], limits, |old| {
                last = options.decide(old, *given);
                is_nan = last.is_some_and(f64::is_nan);
                last.filter(|_| !is_nan)
            });
            if is_nan {
                return Err(CommandError::text("ERR resulting score is not a number (NaN)"));
            }
            match (old, last) {
                (None, Some(_)) => added += 1,
                (Some(old), Some(new)) if old != new => updated += 1,
                _ => {}
            }
        }
    }
    if added + updated > 0 {
        ctx.modified_times(key, added + updated);
        ctx.tell(EventClass::SortedSet, if options.increment { "zincr" } else { "zadd" }, key);
    }
    match (options.increment, last) {
        (true, Some(score)) => ctx.reply.double(score),
        (true, None) => ctx.reply.null(),
        (false, _) => ctx.reply.int((added + if options.changed { updated } else { 0 }) as i64),
    }
    DONE
}

fn zrem(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let mut removed = 0;
    if let Some(zset) = ctx.zset_mut(key)? {
        removed = args[2..].iter().filter(|member| zset.remove(member).is_some()).count();
    }
    removed_some(ctx, key, "zrem", removed);
    ctx.reply.int(removed as i64);
    DONE
}

/// Notes that members were taken out of the sorted set at `key`, which goes if none is left; `event` tells of how.
pub(super) fn removed_some(ctx: &mut Context<'_, '_>, key: &[u8], event: &'static str, removed: usize) {
    if removed > 0 {
        ctx.modified_times(key, removed);
        ctx.tell(EventClass::SortedSet, event, key);
        ctx.remove_if_empty(key);
    }
}

fn zcard(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let len = ctx.read_zset(args[1])?.map_or(0, ZSet::len);
    ctx.reply.int(len as i64);
    DONE
}

fn reply_score(reply: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zscore(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let score = ctx.read_zset(args[1])?.and_then(|zset| zset.score(args[2]));
    reply_score(&mut ctx.reply, score);
    DONE
}

fn zmscore(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (zset, reply) = ctx.read_zset_with_reply(args[1])?;
    reply.array(args.len() - 2);
    for member in &args[2..] {
        reply_score(reply, zset.and_then(|zset| zset.score(member)));
    }
    DONE
}

fn zrank(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    rank(ctx, args, false)
}

fn zrevrank(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    rank(ctx, args, true)
}

fn rank(ctx: &mut Context<'_, '_>, args: &[&[u8]], reverse: bool) -> CommandResult {
    let with_score = match &args[3..] {
        [] => false,
        [word] if word.eq_ignore_ascii_case(b"withscore") => true,
        [_] => return Err(CommandError::Syntax),
        _ => return Err(CommandError::Arity(if reverse { "zrevrank" } else { "zrank" }.into())),
    };
    match (ctx.read_zset(args[1])?.and_then(|zset| zset.rank(args[2], reverse)), with_score) {
        (Some((rank, _)), false) => ctx.reply.int(rank as i64),
        (Some((rank, score)), true) => {
            ctx.reply.array(2);
            ctx.reply.int(rank as i64);
            ctx.reply.double(score);
        }
        (None, false) => ctx.reply.null(),
        (None, true) => ctx.reply.null_array(),
    }
    DONE
}

/// Writes members, with their scores if wanted.
pub(super) struct Members<'r, 'a> {
    /// Where they go.
    pub reply: &'r mut Reply<'a>,
    /// Whether scores go with them.
    pub scores: bool,
}

impl Members<'_, '_> {
    /// Writes the header of `n` members.
    pub fn header(&mut self, n: usize) {
        if self.scores { pairs_header(self.reply, n) } else { self.reply.array(n) }
    }

    /// Writes one of them.
    pub fn write(&mut self, (member, score): (Element<'_>, f64)) {
        if self.scores {
            pair_header(self.reply);
        }
        bulk_element(self.reply, member);
        if self.scores {
            self.reply.double(score);
        }
    }
}

fn zrandmember(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let settings = ctx.settings;
    let mut rng = Rng::from_seed(ctx.rng.next_u64());
    let Some(count) = args.get(2) else {
        let (zset, reply) = ctx.read_zset_with_reply(args[1])?;
        match zset.and_then(|zset| zset.random(&mut rng)) {
            Some((member, _)) => bulk_element(reply, member),
            None => reply.null(),
        }
        return DONE;
    };
    let count = RandomCount::parse(count)?;
    let scores = match &args[3..] {
        [] => false,
        [word] if word.eq_ignore_ascii_case(b"withscores") => true,
        _ => return Err(CommandError::Syntax),
    };
    if scores && count.size() > i64::MAX as usize / 2 {
        return Err(CommandError::text("ERR value is out of range"));
    }
    let (zset, reply) = ctx.read_zset_with_reply(args[1])?;
    let mut out = Members { reply, scores };
    match (zset, count) {
        (None, _) => out.header(0),
        (Some(zset), RandomCount::Distinct(size)) => random_distinct(zset, size, &mut out, &mut rng),
        (Some(zset), RandomCount::Repeating(size)) => {
            random_repeating(zset, size, &mut out, &mut rng, settings)?;
        }
    }
    DONE
}

fn random_distinct(zset: &ZSet, wanted: usize, out: &mut Members<'_, '_>, rng: &mut Rng) {
    let len = zset.len();
    let wanted = wanted.min(len);
    out.header(wanted);
    // Few of many are drawn one by one; else one walk decides about each. A listpack is walked in any case.
    if zset.as_listpack().is_some() || wanted.saturating_mul(8) > len {
        let mut selection = Selection::new(wanted, len);
        zset.iter().filter(|_| selection.takes_next(rng)).for_each(|pair| out.write(pair));
        return;
    }
    let mut drawn: HashSet<usize> = HashSet::with_capacity(wanted);
    while drawn.len() < wanted {
        let rank = rng.below(len as u64) as usize;
        if drawn.insert(rank)
            && let Some(pair) = zset.get(rank)
        {
            out.write(pair);
        }
    }
}

fn random_repeating(
    zset: &ZSet,
    wanted: usize,
    out: &mut Members<'_, '_>,
    rng: &mut Rng,
    settings: &Settings,
) -> Result<(), CommandError> {
    out.header(wanted);
    let mark = out.reply.mark();
    // Drawing from a listpack walks it, so many draws go over a list of its pairs.
    let pairs: Vec<_> = match zset.as_listpack() {
        Some(_) if wanted > 2 => zset.iter().collect(),
        _ => Vec::new(),
    };
    for _ in 0..wanted {
        let drawn = match pairs.get(rng.below(pairs.len() as u64) as usize) {
            Some(pair) => Some(*pair),
            None => zset.random(rng),
        };
        let Some(pair) = drawn else { break };
        out.write(pair);
        check_reply_len(out.reply, mark, settings)?;
    }
    Ok(())
}

fn zscan(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let from = cursor(args[2])?;
    let resp3 = ctx.reply.is_resp3();
    let (zset, reply) = ctx.read_zset_with_reply(args[1])?;
    let Some(zset) = zset else { return empty_scan(ctx) };
    let options = ScanOptions::parse(&args[3..], false)?;
    let mut written = Vec::new();
    let mut members = Reply::new(&mut written, resp3);
    let (mut n, mut buffer, mut text) = (0, itoa::Buffer::new(), Vec::new());
    let packed = zset.as_listpack().is_some();
    let next = zset.scan(from, options.count, |member, score| {
        if options.admits(member.as_bytes(&mut buffer)) {
            bulk_element(&mut members, member);
            // Text in RESP3 too; as Redis stores it in a listpack, where whole numbers have no exponent.
            if packed && score.fract() == 0.0 && score.abs() <= i64::MAX as f64 / 2.0 {
                members.bulk_int(score as i64);
            } else {
                text.clear();
                format_score(&mut text, score);
                members.bulk(&text);
            }
            n += 2;
        }
    });
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next));
    reply.array(n);
    reply.raw(&written);
    DONE
}

#[cfg(test)]
#[path = "sorted_set_tests.rs"]
mod tests;
