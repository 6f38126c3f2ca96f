//! Hash commands.

use super::hash_expiry::log_times;
use crate::base::long_double::LongDouble;
use crate::base::random::Rng;
use crate::command::args::{RandomCount, ScanOptions, cursor, empty_scan, int};
use crate::command::elements::{Selection, bulk_element, check_reply_len, pair_header, pairs_header};
use crate::command::table::{Command, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass, Settings};
use crate::resp::reply::Reply;
use crate::value::{Element, HashView};
use std::collections::HashSet;

const READ: &[KeySpec] = &[KeySpec::one(key::RO | key::ACCESS, 1)];
const READ_META: &[KeySpec] = &[KeySpec::one(key::RO, 1)];
const UPDATE: &[KeySpec] = &[KeySpec::one(key::RW | key::UPDATE, 1)];
const INSERT: &[KeySpec] = &[KeySpec::one(key::RW | key::INSERT, 1)];
const INCREMENT: &[KeySpec] = &[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)];
const DELETE: &[KeySpec] = &[KeySpec::one(key::RW | key::DELETE, 1)];

const fn writer(name: &'static str, arity: i32, run: crate::command::table::Handler) -> Command {
    Command::new(name, arity, WRITE | DENYOOM | FAST, run).acl(acl::HASH)
}

const fn reader(name: &'static str, arity: i32, run: crate::command::table::Handler) -> Command {
    Command::new(name, arity, READONLY | FAST, run).acl(acl::HASH).keys(READ)
}

const fn walker(name: &'static str, arity: i32, run: crate::command::table::Handler) -> Command {
    Command::new(name, arity, READONLY, run).acl(acl::HASH).keys(READ)
}

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    writer("hset", -4, hset).keys(UPDATE).doc(
        "hash",
        "2.0.0",
        "O(N) with N pairs",
        "Sets fields of a hash; says how many are new.",
        "key field value [field value ...]",
    ),
    writer("hmset", -4, hmset).keys(UPDATE).doc(
        "hash",
        "2.0.0",
        "O(N) with N pairs",
        "Sets fields of a hash (older form of HSET).",
        "key field value [field value ...]",
    ),
    writer("hsetnx", 4, hsetnx).keys(INSERT).doc(
        "hash",
        "2.0.0",
        "O(1)",
        "Sets a field only where it is absent.",
        "key field value",
    ),
    writer("hincrby", 4, hincrby).keys(INCREMENT).doc(
        "hash",
        "2.0.0",
        "O(1)",
        "Adds an integer to the integer in a field.",
        "key field increment",
    ),
    writer("hincrbyfloat", 4, hincrbyfloat).keys(INCREMENT).doc(
        "hash",
        "2.6.0",
        "O(1)",
        "Adds a float to the number in a field.",
        "key field increment",
    ),
    Command::new("hdel", -3, WRITE | FAST, hdel).acl(acl::HASH).keys(DELETE).doc(
        "hash",
        "2.0.0",
        "O(N) with N fields named",
        "Deletes fields; the key goes with the last of them.",
        "key field [field ...]",
    ),
    reader("hget", 3, hget).doc("hash", "2.0.0", "O(1)", "Returns the value of a field.", "key field"),
    reader("hmget", -3, hmget).doc(
        "hash",
        "2.0.0",
        "O(N) with N fields named",
        "Returns the values of several fields.",
        "key field [field ...]",
    ),
    reader("hlen", 2, hlen).keys(READ_META).doc("hash", "2.0.0", "O(1)", "Counts the fields.", "key"),
    reader("hexists", 3, hexists).keys(READ_META).doc(
        "hash",
        "2.0.0",
        "O(1)",
        "Says whether a field exists.",
        "key field",
    ),
    reader("hstrlen", 3, hstrlen).keys(READ_META).doc(
        "hash",
        "3.2.0",
        "O(1)",
        "Says how many bytes a field's value has.",
        "key field",
    ),
    walker("hgetall", 2, hgetall)
        .doc("hash", "2.0.0", "O(N) with N fields", "Returns all fields with their values.", "key")
        .tips(&["nondeterministic_output_order"]),
    walker("hkeys", 2, hkeys)
        .doc("hash", "2.0.0", "O(N) with N fields", "Returns all fields.", "key")
        .tips(&["nondeterministic_output_order"]),
    walker("hvals", 2, hvals)
        .doc("hash", "2.0.0", "O(N) with N fields", "Returns all values.", "key")
        .tips(&["nondeterministic_output_order"]),
    walker("hrandfield", -2, hrandfield)
        .doc(
            "hash",
            "6.2.0",
            "O(N) with N fields returned",
            "Returns fields chosen at random.",
            "key [count [WITHVALUES]]",
        )
        .tips(&["nondeterministic_output"]),
    walker("hscan", -3, hscan)
        .doc(
            "hash",
            "2.8.0",
            "O(1) a call, O(N) for a whole pass",
            "Steps through the fields.",
            "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
        )
        .tips(&["nondeterministic_output"]),
];

/// Sets all pairs of an HSET; returns how many fields are new.
fn set_pairs(ctx: &mut Context<'_, '_>, args: &[&[u8]], name: &str) -> Result<usize, CommandError> {
    let (key, pairs) = (args[1], &args[2..]);
    if !pairs.len().is_multiple_of(2) {
        return Err(CommandError::Arity(name.into()));
    }
    let limits = &ctx.settings.limits;
    let hash = ctx.hash_or_new(key, pairs.iter().step_by(2).copied())?;
    if pairs.len() > 2 {
        let longest = pairs.iter().map(|part| part.len()).max().unwrap_or(0);
        // Lengths decide at once, as in Redis 7.0; how many there are shows when fields that occur twice are known.
        hash.prepare(0, longest, limits);
    }
    let added = hash.set_all(pairs, limits);
    let timed = hash.is_timed();
    ctx.hash_changed(key, pairs.len() / 2, timed);
    ctx.tell(EventClass::Hash, "hset", key);
    Ok(added)
}

fn hset(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let added = set_pairs(ctx, args, "hset")?;
    ctx.reply.int(added as i64);
    DONE
}

fn hmset(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    set_pairs(ctx, args, "hmset")?;
    ctx.reply.ok();
    DONE
}

fn hsetnx(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (limits, now_ms) = (&ctx.settings.limits, ctx.fields_now_ms());
    let hash = ctx.hash_or_new(args[1], args[2..3].iter().copied())?;
    let absent = !hash.at(now_ms).contains(args[2]);
    if absent {
        hash.set(args[2], args[3], limits);
        let timed = hash.is_timed();
        ctx.hash_changed(args[1], 1, timed);
        ctx.tell(EventClass::Hash, "hset", args[1]);
    }
    ctx.reply.int(i64::from(absent));
    DONE
}

fn hincrby(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let increment = int(args[3])?;
    let (limits, now_ms) = (&ctx.settings.limits, ctx.fields_now_ms());
    let hash = ctx.hash_or_new(args[1], args[2..3].iter().copied())?;
    let old = match hash.at(now_ms).get(args[2]) {
        None => 0,
        Some(value) => value.as_int().ok_or(CommandError::text("ERR hash value is not an integer"))?,
    };
    let sum = old.checked_add(increment).ok_or(CommandError::Overflow)?;
    hash.set_keeping_time(args[2], itoa::Buffer::new().format(sum).as_bytes(), limits);
    ctx.modified(args[1]);
    ctx.tell(EventClass::Hash, "hincrby", args[1]);
    ctx.reply.int(sum);
    DONE
}

fn hincrbyfloat(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let increment = LongDouble::parse(args[3]).ok_or(CommandError::NotFloat)?;
    if !increment.is_finite() {
        return Err(CommandError::text("ERR value is NaN or Infinity"));
    }
    let (limits, now_ms) = (&ctx.settings.limits, ctx.fields_now_ms());
    let hash = ctx.hash_or_new(args[1], args[2..3].iter().copied())?;
    let old = match hash.at(now_ms).get(args[2]) {
        None => LongDouble::ZERO,
        Some(value) => LongDouble::parse(value.as_bytes(&mut itoa::Buffer::new()))
            .ok_or(CommandError::text("ERR hash value is not a float"))?,
    };
    let sum = old
        .checked_add(increment)
        .filter(LongDouble::is_finite)
        .ok_or(CommandError::text("ERR increment would produce NaN or Infinity"))?;
    let mut text = Vec::new();
    sum.format(&mut text);
    hash.set_keeping_time(args[2], &text, limits);
    let time_ms = hash.time(args[2]);
    ctx.modified(args[1]);
    ctx.tell(EventClass::Hash, "hincrbyfloat", args[1]);
    ctx.log(&[b"HSET", args[1], args[2], &text]);
    if let Some(at_ms) = time_ms {
        // HSET takes the field's time away.
        log_times(ctx, args[1], at_ms, &[args[2]]);
    }
    ctx.reply.bulk(&text);
    DONE
}

fn hdel(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let (mut deleted, mut timed) = (0, false);
    if let Some(hash) = ctx.hash_mut(key, args[2..].iter().copied())? {
        deleted = args[2..].iter().filter(|field| hash.delete(field)).count();
        timed = hash.is_timed();
    }
    if deleted > 0 {
        ctx.hash_changed(key, deleted, timed);
        ctx.tell(EventClass::Hash, "hdel", key);
        ctx.remove_if_empty(key);
    }
    ctx.reply.int(deleted as i64);
    DONE
}

pub(super) fn reply_value(reply: &mut Reply<'_>, value: Option<Element<'_>>) {
    match value {
        Some(value) => bulk_element(reply, value),
        None => reply.null(),
    }
}

fn hget(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (hash, reply) = ctx.read_hash_with_reply(args[1])?;
    reply_value(reply, hash.and_then(|hash| hash.get(args[2])));
    DONE
}

fn hmget(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (hash, reply) = ctx.read_hash_with_reply(args[1])?;
    reply.array(args.len() - 2);
    for field in &args[2..] {
        reply_value(reply, hash.and_then(|hash| hash.get(field)));
    }
    DONE
}

fn hlen(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let len = ctx.read_hash(args[1])?.map_or(0, |hash| hash.len());
    ctx.reply.int(len as i64);
    DONE
}

fn hexists(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let found = ctx.read_hash(args[1])?.is_some_and(|hash| hash.contains(args[2]));
    ctx.reply.int(i64::from(found));
    DONE
}

fn hstrlen(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let hash = ctx.read_hash(args[1])?;
    let len = hash.and_then(|hash| hash.get(args[2])).map_or(0, |value| value.len());
    ctx.reply.int(len as i64);
    DONE
}

fn hgetall(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (hash, reply) = ctx.read_hash_with_reply(args[1])?;
    reply.map(hash.map_or(0, |hash| hash.len()));
    for (field, value) in hash.into_iter().flat_map(|hash| hash.iter()) {
        bulk_element(reply, field);
        bulk_element(reply, value);
    }
    DONE
}

fn hkeys(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (hash, reply) = ctx.read_hash_with_reply(args[1])?;
    reply.array(hash.map_or(0, |hash| hash.len()));
    for (field, _) in hash.into_iter().flat_map(|hash| hash.iter()) {
        bulk_element(reply, field);
    }
    DONE
}

fn hvals(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (hash, reply) = ctx.read_hash_with_reply(args[1])?;
    reply.array(hash.map_or(0, |hash| hash.len()));
    for (_, value) in hash.into_iter().flat_map(|hash| hash.iter()) {
        bulk_element(reply, value);
    }
    DONE
}

fn hrandfield(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let settings = ctx.settings;
    let mut rng = Rng::from_seed(ctx.rng.next_u64());
    let Some(count) = args.get(2) else {
        let (hash, reply) = ctx.read_hash_with_reply(args[1])?;
        reply_value(reply, hash.and_then(|hash| hash.random(&mut rng)).map(|(field, _)| field));
        return DONE;
    };
    let count = RandomCount::parse(count)?;
    let values = match &args[3..] {
        [] => false,
        [word] if word.eq_ignore_ascii_case(b"withvalues") => true,
        _ => return Err(CommandError::Syntax),
    };
    if values && count.size() > i64::MAX as usize / 2 {
        return Err(CommandError::text("ERR value is out of range"));
    }
    let (hash, reply) = ctx.read_hash_with_reply(args[1])?;
    let mut out = Fields { reply, values };
    match (hash, count) {
        (None, _) => out.header(0),
        (Some(hash), RandomCount::Distinct(size)) => random_distinct(hash, size, &mut out, &mut rng),
        (Some(hash), RandomCount::Repeating(size)) => {
            random_repeating(hash, size, &mut out, &mut rng, settings)?;
        }
    }
    DONE
}

/// Writes fields, with their values if wanted.
struct Fields<'r, 'a> {
    reply: &'r mut Reply<'a>,
    values: bool,
}

impl Fields<'_, '_> {
    fn header(&mut self, n: usize) {
        if self.values { pairs_header(self.reply, n) } else { self.reply.array(n) }
    }

    fn write(&mut self, (field, value): (Element<'_>, Element<'_>)) {
        if self.values {
            pair_header(self.reply);
        }
        bulk_element(self.reply, field);
        if self.values {
            bulk_element(self.reply, value);
        }
    }
}

fn random_distinct(hash: HashView<'_>, wanted: usize, out: &mut Fields<'_, '_>, rng: &mut Rng) {
    let len = hash.len();
    let wanted = wanted.min(len);
    out.header(wanted);
    // Few of many are drawn one by one; else one walk decides about each. A listpack is walked in any case.
    if hash.is_packed() || wanted.saturating_mul(4) > len {
        let mut selection = Selection::new(wanted, len);
        hash.iter().filter(|_| selection.takes_next(rng)).for_each(|pair| out.write(pair));
        return;
    }
    let mut drawn: HashSet<&[u8]> = HashSet::with_capacity(wanted);
    while drawn.len() < wanted {
        let Some((Element::Bytes(field), value)) = hash.random(rng) else { break };
        if drawn.insert(field) {
            out.write((Element::Bytes(field), value));
        }
    }
}

fn random_repeating(
    hash: HashView<'_>,
    wanted: usize,
    out: &mut Fields<'_, '_>,
    rng: &mut Rng,
    settings: &Settings,
) -> Result<(), CommandError> {
    out.header(wanted);
    let mark = out.reply.mark();
    // Drawing from a listpack walks it, so many draws go over a list of its pairs.
    let pairs: Vec<_> = if hash.is_packed() && wanted > 2 { hash.iter().collect() } else { Vec::new() };
    for _ in 0..wanted {
        let drawn = match pairs.get(rng.below(pairs.len() as u64) as usize) {
            Some(pair) => Some(*pair),
            None => hash.random(rng),
        };
        let Some(pair) = drawn else { break };
        out.write(pair);
        check_reply_len(out.reply, mark, settings)?;
    }
    Ok(())
}

fn hscan(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let from = cursor(args[2])?;
    let resp3 = ctx.reply.is_resp3();
    let (hash, reply) = ctx.read_hash_with_reply(args[1])?;
    let Some(hash) = hash else { return empty_scan(ctx) };
    let options = ScanOptions::parse(&args[3..], true)?;
    let mut written = Vec::new();
    let mut members = Reply::new(&mut written, resp3);
    let (mut n, mut buffer) = (0, itoa::Buffer::new());
    let next = hash.scan(from, options.count, |field, value| {
        if options.admits(field.as_bytes(&mut buffer)) {
            bulk_element(&mut members, field);
            n += 1;
            if !options.no_values {
                bulk_element(&mut members, value);
                n += 1;
            }
        }
    });
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next));
    reply.array(n);
    reply.raw(&written);
    DONE
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
