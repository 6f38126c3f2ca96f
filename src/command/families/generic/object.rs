//! OBJECT: how a value is kept.

use crate::command::access::{lfu_count, lru_idle_s};
use crate::command::table::{Command, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE};
use crate::keyspace::{Entry, ValueRef};

const KEY: &[KeySpec] = &[KeySpec::one(key::RO, 2)];
const TIPS: &[&str] = &["nondeterministic_output"];

/// Redis shares one object for each of these integers and reports this count for it.
const SHARED_INTEGERS: std::ops::Range<i64> = 0..10_000;
const SHARED_REFCOUNT: i64 = i32::MAX as i64;

pub(super) const COMMANDS: &[Command] = &[
    Command::new("encoding", 3, READONLY, encoding)
        .keys(KEY)
        .acl(acl::KEYSPACE)
        .doc("generic", "2.2.3", "O(1)", "Names the encoding of the value at a key.", "key")
        .tips(TIPS),
    Command::new("freq", 3, READONLY, freq)
        .keys(KEY)
        .acl(acl::KEYSPACE)
        .doc("generic", "4.0.0", "O(1)", "Returns the logarithmic access counter of a key.", "key")
        .tips(TIPS),
    Command::new("idletime", 3, READONLY, idletime)
        .keys(KEY)
        .acl(acl::KEYSPACE)
        .doc("generic", "2.2.3", "O(1)", "Returns how many seconds a key has not been used.", "key")
        .tips(TIPS),
    Command::new("refcount", 3, READONLY, refcount)
        .keys(KEY)
        .acl(acl::KEYSPACE)
        .doc("generic", "2.2.3", "O(1)", "Returns the number of references to the value at a key.", "key")
        .tips(TIPS),
    Command::new("help", 2, LOADING | STALE, help).acl(acl::KEYSPACE).doc(
        "generic",
        "6.2.0",
        "O(1)",
        "Lists the subcommands.",
        "",
    ),
];

fn encoding(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let name = ctx.inspect(args[2]).map(|entry| entry.encoding());
    match name {
        Some(name) => ctx.reply.bulk(name),
        None => ctx.reply.null(),
    }
    DONE
}

fn refcount(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let shared = ctx.settings.shared_integers;
    let count = ctx.inspect(args[2]).map(|entry| match entry.value() {
        ValueRef::Int(n) if shared && SHARED_INTEGERS.contains(&n) => SHARED_REFCOUNT,
        _ => 1,
    });
    match count {
        Some(count) => ctx.reply.int(count),
        None => ctx.reply.null(),
    }
    DONE
}

fn freq(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let Some(access) = ctx.inspect(args[2]).map(Entry::access) else {
        ctx.reply.null();
        return DONE;
    };
    if !ctx.settings.lfu {
        return Err(CommandError::text(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that \
             when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    ctx.reply.int(i64::from(lfu_count(access, ctx.now_ms, ctx.settings)));
    DONE
}

fn idletime(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let Some(access) = ctx.inspect(args[2]).map(Entry::access) else {
        ctx.reply.null();
        return DONE;
    };
    if ctx.settings.lfu {
        return Err(CommandError::text(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    ctx.reply.int(lru_idle_s(access, ctx.now_ms) as i64);
    DONE
}

fn help(ctx: &mut Context<'_, '_>, _args: &[&[u8]]) -> CommandResult {
    crate::command::help::reply_help(&mut ctx.reply, "OBJECT", COMMANDS);
    DONE
}
