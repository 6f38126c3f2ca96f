//! Set commands on one set, and SMOVE. Those that combine sets are in [`super::set_algebra`].

use crate::base::random::Rng;
use crate::command::args::{RandomCount, ScanOptions, cursor, empty_scan, pop_count};
use crate::command::context::release;
use crate::command::elements::{bulk_element, check_reply_len};
use crate::command::table::{Command, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass, Settings};
use crate::keyspace::Entry;
use crate::resp::reply::Reply;
use crate::value::set::SetForm;
use crate::value::{Set, Value};

const READ: &[KeySpec] = &[KeySpec::one(key::RO | key::ACCESS, 1)];

/// Members that one logged SREM names at most.
const REMOVALS_A_COMMAND: usize = 1024;

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("sadd", -3, WRITE | DENYOOM | FAST, sadd)
        .keys(&[KeySpec::one(key::RW | key::INSERT, 1)])
        .acl(acl::SET)
        .doc(
            "set",
            "1.0.0",
            "O(1) a member",
            "Adds members to a set, making it if need be.",
            "key member [member ...]",
        ),
    Command::new("srem", -3, WRITE | FAST, srem)
        .keys(&[KeySpec::one(key::RW | key::DELETE, 1)])
        .acl(acl::SET)
        .doc("set", "1.0.0", "O(N) with N members named", "Removes members.", "key member [member ...]"),
    Command::new("sismember", 3, READONLY | FAST, sismember)
        .keys(&[KeySpec::one(key::RO, 1)])
        .acl(acl::SET)
        .doc("set", "1.0.0", "O(1)", "Tells whether something is a member.", "key member"),
    Command::new("smismember", -3, READONLY | FAST, smismember).keys(READ).acl(acl::SET).doc(
        "set",
        "6.2.0",
        "O(N) with N members asked for",
        "Tells of each of several whether it is a member.",
        "key member [member ...]",
    ),
    Command::new("scard", 2, READONLY | FAST, scard).keys(&[KeySpec::one(key::RO, 1)]).acl(acl::SET).doc(
        "set",
        "1.0.0",
        "O(1)",
        "Returns the number of members.",
        "key",
    ),
    Command::new("smembers", 2, READONLY, smembers)
        .keys(READ)
        .acl(acl::SET)
        .doc("set", "1.0.0", "O(N) with N members", "Returns all members.", "key")
        .tips(&["nondeterministic_output_order"]),
    Command::new("spop", -2, WRITE | FAST, spop)
        .keys(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1)])
        .acl(acl::SET)
        .doc(
            "set",
            "1.0.0",
            "O(N) with N members popped",
            "Removes members chosen at random and returns them.",
            "key [count]",
        )
        .tips(&["nondeterministic_output"]),
    Command::new("srandmember", -2, READONLY, srandmember)
        .keys(READ)
        .acl(acl::SET)
        .doc(
            "set",
            "1.0.0",
            "O(N) with N members returned",
            "Returns members chosen at random.",
            "key [count]",
        )
        .tips(&["nondeterministic_output"]),
    Command::new("smove", 4, WRITE | FAST, smove)
        .keys(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1), KeySpec::one(key::RW | key::INSERT, 2)])
        .acl(acl::SET)
        .doc("set", "1.0.0", "O(1)", "Moves a member from one set to another.", "source destination member"),
    Command::new("sscan", -3, READONLY, sscan)
        .keys(READ)
        .acl(acl::SET)
        .doc(
            "set",
            "2.8.0",
            "O(1) a call, O(N) for a whole iteration over N members",
            "Iterates over the members, some at a time.",
            "key cursor [MATCH pattern] [COUNT count]",
        )
        .tips(&["nondeterministic_output"]),
];

/// The set at `key` for adding members, the first being `first`, which decides how a new one is encoded at first (how
/// many there are shows when those that occur twice are known).
fn set_to_fill<'c>(
    ctx: &'c mut Context<'_, '_>,
    key: &[u8],
    first: &[u8],
) -> Result<&'c mut Set, CommandError> {
    let limits = &ctx.settings.limits;
    let set = ctx.set_or_new(key)?;
    if set.is_empty() {
        *set = Set::for_members(first, 1, limits);
    }
    Ok(set)
}

fn sadd(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, members) = (args[1], &args[2..]);
    let limits = &ctx.settings.limits;
    let set = set_to_fill(ctx, key, members[0])?;
    let added = members.iter().filter(|member| set.add(member, limits)).count();
    if added > 0 {
        ctx.modified_times(key, added);
        ctx.tell(EventClass::Set, "sadd", key);
    }
    ctx.reply.int(added as i64);
    DONE
}

fn srem(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let Some(set) = ctx.set_mut(key)? else {
        ctx.reply.int(0);
        return DONE;
    };
    let removed = args[2..].iter().filter(|member| set.remove(member)).count();
    let is_empty = set.is_empty();
    if removed > 0 {
        ctx.modified_times(key, removed);
        ctx.tell(EventClass::Set, "srem", key);
    }
    if is_empty {
        ctx.remove_if_empty(key);
    }
    ctx.reply.int(removed as i64);
    DONE
}

fn sismember(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let is_member = ctx.read_set(args[1])?.is_some_and(|set| set.contains(args[2]));
    ctx.reply.int(i64::from(is_member));
    DONE
}

fn smismember(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let members = &args[2..];
    let (set, reply) = ctx.read_set_with_reply(args[1])?;
    reply.array(members.len());
    for member in members {
        reply.int(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    DONE
}

fn scard(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let len = ctx.read_set(args[1])?.map_or(0, Set::len);
    ctx.reply.int(len as i64);
    DONE
}

fn smembers(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (set, reply) = ctx.read_set_with_reply(args[1])?;
    reply.set(set.map_or(0, Set::len));
    set.into_iter().flat_map(Set::iter).for_each(|member| bulk_element(reply, member));
    DONE
}

fn spop(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    match *args {
        [_, key] => pop_one(ctx, key),
        [_, key, count] => pop_many(ctx, key, pop_count(count)?),
        _ => Err(CommandError::Syntax),
    }
}

fn pop_one(ctx: &mut Context<'_, '_>, key: &[u8]) -> CommandResult {
    let (entry, _, rng) = ctx.lookup_with(key);
    let Some(set) = as_set(entry)? else {
        ctx.reply.null();
        return DONE;
    };
    let member = set.pop_random(rng).unwrap_or_default();
    let is_empty = set.is_empty();
    ctx.reply.bulk(&member);
    ctx.modified(key);
    ctx.tell(EventClass::Set, "spop", key);
    ctx.log(&[b"SREM", key, &member]);
    if is_empty {
        ctx.remove_if_empty(key);
    }
    DONE
}

fn pop_many(ctx: &mut Context<'_, '_>, key: &[u8], count: usize) -> CommandResult {
    let (entry, reply, rng) = ctx.lookup_with(key);
    let Some(set) = as_set(entry)? else {
        reply.set(0);
        return DONE;
    };
    let len = set.len();
    reply.set(count.min(len));
    if count >= len {
        set.iter().for_each(|member| bulk_element(reply, member));
        if let Some(entry) = ctx.remove(key) {
            release(entry);
        }
        ctx.dirty += (len as u64).saturating_sub(1);
        ctx.tell(EventClass::Set, "spop", key);
        ctx.tell(EventClass::Generic, "del", key);
        ctx.log_removal(key);
        return DONE;
    }
    if count == 0 {
        return DONE;
    }
    let mut popped = Vec::with_capacity(count);
    for _ in 0..count {
        let member = set.pop_random(rng).unwrap_or_default();
        reply.bulk(&member);
        popped.push(member);
    }
    ctx.modified_times(key, count);
    ctx.tell(EventClass::Set, "spop", key);
    for batch in popped.chunks(REMOVALS_A_COMMAND) {
        let mut removal: Vec<&[u8]> = vec![b"SREM", key];
        removal.extend(batch.iter().map(Vec::as_slice));
        ctx.log(&removal);
    }
    DONE
}

fn as_set(entry: Option<&mut Entry>) -> Result<Option<&mut Set>, CommandError> {
    match entry.map(Entry::object_mut) {
        None => Ok(None),
        Some(Some(Value::Set(set))) => Ok(Some(set)),
        Some(_) => Err(CommandError::WrongType),
    }
}

fn srandmember(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, count) = match *args {
        [_, key] => (key, None),
        [_, key, count] => (key, Some(RandomCount::parse(count)?)),
        _ => return Err(CommandError::Syntax),
    };
    let settings = ctx.settings;
    ctx.read(key);
    let (reading, reply, rng) = ctx.reading();
    match (reading.set(key)?, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(set), None) => set.random(rng).map_or((), |member| bulk_element(reply, member)),
        (Some(set), Some(RandomCount::Distinct(count))) => {
            reply.array(count.min(set.len()));
            set.sample(count, rng, |member| bulk_element(reply, member));
        }
        (Some(set), Some(RandomCount::Repeating(count))) => {
            random_repeating(set, count, reply, rng, settings)?;
        }
    }
    DONE
}

fn random_repeating(
    set: &Set,
    count: usize,
    reply: &mut Reply<'_>,
    rng: &mut Rng,
    settings: &Settings,
) -> Result<(), CommandError> {
    let start = reply.mark();
    reply.array(count);
    // Drawing from a listpack walks it, so many draws go over a list of its members.
    let members: Vec<_> = match set.form() {
        SetForm::Listpack(listpack) if count > 2 => listpack.iter().collect(),
        _ => Vec::new(),
    };
    for _ in 0..count {
        let member = match members.get(rng.below(members.len() as u64) as usize) {
            Some(member) => Some(*member),
            None => set.random(rng),
        };
        let Some(member) = member else { break };
        bulk_element(reply, member);
        check_reply_len(reply, start, settings)?;
    }
    Ok(())
}

fn smove(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (source, destination, member) = (args[1], args[2], args[3]);
    let limits = &ctx.settings.limits;
    if ctx.set_mut(source)?.is_none() {
        ctx.reply.int(0);
        return DONE;
    }
    // Nothing may change before both types are known to be right.
    ctx.set_mut(destination)?;
    let Some(set) = ctx.set_mut(source)? else { return Err(CommandError::NoSuchKey) };
    let is_member = if source == destination { set.contains(member) } else { set.remove(member) };
    if is_member && source != destination {
        let is_empty = set.is_empty();
        ctx.modified(source);
        ctx.tell(EventClass::Set, "srem", source);
        if is_empty {
            ctx.remove_if_empty(source);
        }
        if set_to_fill(ctx, destination, member)?.add(member, limits) {
            ctx.modified(destination);
            ctx.tell(EventClass::Set, "sadd", destination);
        }
    }
    ctx.reply.int(i64::from(is_member));
    DONE
}

fn sscan(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let cursor = cursor(args[2])?;
    let (set, reply) = ctx.read_set_with_reply(args[1])?;
    let Some(set) = set else { return empty_scan(ctx) };
    let options = ScanOptions::parse(&args[3..], false)?;
    let mut written = Vec::new();
    let mut members = Reply::new(&mut written, reply.is_resp3());
    let (mut found, mut text) = (0, itoa::Buffer::new());
    let next = set.scan(cursor, options.count, |member| {
        if options.admits(member.as_bytes(&mut text)) {
            bulk_element(&mut members, member);
            found += 1;
        }
    });
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next));
    reply.array(found);
    reply.raw(&written);
    DONE
}

#[cfg(test)]
#[path = "set_tests.rs"]
mod tests;
