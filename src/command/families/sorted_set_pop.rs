//! Sorted set commands that pop members, at once or when there are some.

use super::sorted_set::removed_some;
use crate::command::args::{at_least, pop_count, timeout_ms};
use crate::command::elements::{pair_header, pairs_header};
use crate::command::table::{Command, Handler, KeySpec, TimeoutReply, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE};
use crate::resp::reply::Reply;
use crate::value::Value;

const TAKEN: u32 = key::RW | key::ACCESS | key::DELETE;
const ONE: &[KeySpec] = &[KeySpec::one(TAKEN, 1)];
const ALL_BUT_TIMEOUT: &[KeySpec] = &[KeySpec::range(TAKEN, 1, -2, 1)];
const COUNTED: &[KeySpec] = &[KeySpec::counted(TAKEN, 1)];
const COUNTED_AFTER_TIMEOUT: &[KeySpec] = &[KeySpec::counted(TAKEN, 2)];

const POP_COST: &str = "O(M*log(N)) with M of N members popped";
const MULTI_COST: &str = "O(K) + O(M*log(N)) with K keys named and M of N members popped";

const fn pop(name: &'static str, run: Handler) -> Command {
    Command::new(name, -2, WRITE | FAST, run).acl(acl::SORTEDSET).keys(ONE)
}

const fn blocking_pop(name: &'static str, run: Handler) -> Command {
    Command::new(name, -3, WRITE | NOSCRIPT | BLOCKING | FAST, run).acl(acl::SORTEDSET).keys(ALL_BUT_TIMEOUT)
}

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    pop("zpopmin", zpopmin).doc(
        "sorted-set",
        "5.0.0",
        POP_COST,
        "Takes out and returns the members with the lowest scores.",
        "key [count]",
    ),
    pop("zpopmax", zpopmax).doc(
        "sorted-set",
        "5.0.0",
        POP_COST,
        "Takes out and returns the members with the highest scores.",
        "key [count]",
    ),
    blocking_pop("bzpopmin", bzpopmin).doc(
        "sorted-set",
        "5.0.0",
        "O(log(N)) with N members",
        "As ZPOPMIN on the first key that has members; waits for one.",
        "key [key ...] timeout",
    ),
    blocking_pop("bzpopmax", bzpopmax).doc(
        "sorted-set",
        "5.0.0",
        "O(log(N)) with N members",
        "As ZPOPMAX on the first key that has members; waits for one.",
        "key [key ...] timeout",
    ),
    Command::new("zmpop", -4, WRITE | MOVABLEKEYS, zmpop).acl(acl::SORTEDSET).keys(COUNTED).doc(
        "sorted-set",
        "7.0.0",
        MULTI_COST,
        "Takes members out of the first key that has any, and returns them.",
        "numkeys key [key ...] MIN | MAX [COUNT count]",
    ),
    Command::new("bzmpop", -5, WRITE | BLOCKING | MOVABLEKEYS, bzmpop)
        .acl(acl::SORTEDSET)
        .keys(COUNTED_AFTER_TIMEOUT)
        .doc(
            "sorted-set",
            "7.0.0",
            MULTI_COST,
            "As ZMPOP; waits for a key that has members.",
            "timeout numkeys key [key ...] MIN | MAX [COUNT count]",
        ),
];

/// Which end members are taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

/// How popped members are laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `[member, score]`.
    Single,
    /// Pairs, nested in RESP3 only.
    Pairs,
    /// `[key, member, score]`.
    Named,
    /// `[key, [[member, score], ...]]`.
    NamedPairs,
}

impl Shape {
    fn header(self, reply: &mut Reply<'_>, key: &[u8], n: usize) {
        match self {
            Shape::Single => reply.array(2),
            Shape::Pairs => pairs_header(reply, n),
            Shape::Named => {
                reply.array(3);
                reply.bulk(key);
            }
            Shape::NamedPairs => {
                reply.array(2);
                reply.bulk(key);
                reply.array(n);
            }
        }
    }

    fn member(self, reply: &mut Reply<'_>, member: &[u8], score: f64) {
        match self {
            Shape::Single | Shape::Named => {}
            Shape::Pairs => pair_header(reply),
            Shape::NamedPairs => reply.array(2),
        }
        reply.bulk(member);
        reply.double(score);
    }
}

/// Pops up to `count` members and writes them; returns how many, 0 (and nothing is written) if there is no such key.
fn pop_from(
    ctx: &mut Context<'_, '_>,
    key: &[u8],
    end: End,
    count: usize,
    shape: Shape,
) -> Result<usize, CommandError> {
    let (entry, reply, _) = ctx.lookup_with(key);
    let Some(entry) = entry else { return Ok(0) };
    let Some(Value::ZSet(zset)) = entry.object_mut() else { return Err(CommandError::WrongType) };
    let count = count.min(zset.len());
    if count == 0 {
        return Ok(0);
    }
    shape.header(reply, key, count);
    let (first, ranks) = match end {
        End::Min => (0, 0..count),
        End::Max => (zset.len() - 1, zset.len() - count..zset.len()),
    };
    let mut buffer = itoa::Buffer::new();
    if count == 1 {
        zset.remove_at(first, |member, score| shape.member(reply, member.as_bytes(&mut buffer), score));
    } else {
        for (member, score) in zset.iter_range(first, count, end == End::Max) {
            shape.member(reply, member.as_bytes(&mut buffer), score);
        }
        zset.remove_range(ranks, |_, _| {});
    }
    removed_some(ctx, key, if end == End::Min { "zpopmin" } else { "zpopmax" }, count);
    Ok(count)
}

fn pop_one_key(ctx: &mut Context<'_, '_>, args: &[&[u8]], end: End) -> CommandResult {
    let (count, shape) = match &args[2..] {
        [] => (1, Shape::Single),
        [count] => (pop_count(count)?, Shape::Pairs),
        _ => return Err(CommandError::Syntax),
    };
    if pop_from(ctx, args[1], end, count, shape)? == 0 {
        ctx.reply.array(0);
    }
    DONE
}

fn zpopmin(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    pop_one_key(ctx, args, End::Min)
}

fn zpopmax(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    pop_one_key(ctx, args, End::Max)
}

/// Pops from the first of `keys` that has members, and logs it as a pop of that key; false if none has.
fn pop_first(
    ctx: &mut Context<'_, '_>,
    keys: &[&[u8]],
    end: End,
    count: Option<usize>,
    shape: Shape,
) -> Result<bool, CommandError> {
    let name: &[u8] = if end == End::Min { b"ZPOPMIN" } else { b"ZPOPMAX" };
    for key in keys {
        let popped = pop_from(ctx, key, end, count.unwrap_or(1), shape)?;
        if popped == 0 {
            continue;
        }
        match count {
            None => ctx.log(&[name, key]),
            Some(_) => ctx.log(&[name, key, itoa::Buffer::new().format(popped).as_bytes()]),
        }
        return Ok(true);
    }
    Ok(false)
}

fn pop_or_wait(ctx: &mut Context<'_, '_>, args: &[&[u8]], end: End) -> CommandResult {
    let [_, keys @ .., timeout] = args else { return Err(CommandError::Syntax) };
    let timeout_ms = timeout_ms(timeout)?;
    if pop_first(ctx, keys, end, None, Shape::Named)? {
        return DONE;
    }
    ctx.block(keys, timeout_ms, TimeoutReply::NullArray)
}

fn bzpopmin(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    pop_or_wait(ctx, args, End::Min)
}

fn bzpopmax(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    pop_or_wait(ctx, args, End::Max)
}

/// The arguments of ZMPOP from `numkeys` on.
struct MultiPop<'a, 'b> {
    keys: &'b [&'a [u8]],
    end: End,
    count: usize,
}

impl<'a, 'b> MultiPop<'a, 'b> {
    fn parse(args: &'b [&'a [u8]]) -> Result<Self, CommandError> {
        let [number, rest @ ..] = args else { return Err(CommandError::Syntax) };
        let number = at_least(number, 1, "ERR numkeys should be greater than 0")?;
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let Some((keys, [end, options @ ..])) = rest.split_at_checked(number) else {
            return Err(CommandError::Syntax);
        };
        let end = if end.eq_ignore_ascii_case(b"min") {
            End::Min
        } else if end.eq_ignore_ascii_case(b"max") {
            End::Max
        } else {
            return Err(CommandError::Syntax);
        };
        let (word, count, rest) = match options {
            [] => return Ok(MultiPop { keys, end, count: 1 }),
            [word, count, rest @ ..] => (word, count, rest),
            _ => return Err(CommandError::Syntax),
        };
        if !word.eq_ignore_ascii_case(b"count") {
            return Err(CommandError::Syntax);
        }
        let count = at_least(count, 1, "ERR count should be greater than 0")?;
        if !rest.is_empty() {
            return Err(CommandError::Syntax);
        }
        Ok(MultiPop { keys, end, count: usize::try_from(count).unwrap_or(usize::MAX) })
    }

    fn run(&self, ctx: &mut Context<'_, '_>) -> Result<bool, CommandError> {
        pop_first(ctx, self.keys, self.end, Some(self.count), Shape::NamedPairs)
    }
}

fn zmpop(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    if !MultiPop::parse(&args[1..])?.run(ctx)? {
        ctx.reply.null_array();
    }
    DONE
}

fn bzmpop(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let pop = MultiPop::parse(&args[2..])?;
    let timeout_ms = timeout_ms(args[1])?;
    if pop.run(ctx)? {
        return DONE;
    }
    ctx.block(pop.keys, timeout_ms, TimeoutReply::NullArray)
}

#[cfg(test)]
#[path = "sorted_set_pop_tests.rs"]
mod tests;
