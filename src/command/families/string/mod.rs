//! String commands: their part of the table, and those that read and write whole strings.

mod counters;
mod lcs;
mod options;
mod ranges;
mod setting;

pub use options::ExpireArg;

use crate::command::table::{Command, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::keyspace::ValueRef;
use crate::resp::reply::Reply;

const READ_KEY: &[KeySpec] = &[KeySpec::one(key::RO | key::ACCESS, 1)];
const CHANGED_KEY: &[KeySpec] = &[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)];
const SET_KEY: &[KeySpec] = &[KeySpec::one(key::OW | key::UPDATE, 1)];

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("get", 2, READONLY | FAST, get).keys(READ_KEY).acl(acl::STRING).doc(
        "string",
        "1.0.0",
        "O(1)",
        "Returns the string at a key.",
        "key",
    ),
    Command::new("set", -3, WRITE | DENYOOM, setting::set)
        .keys(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS, 1)])
        .acl(acl::STRING)
        .doc(
            "string",
            "1.0.0",
            "O(1)",
            "Sets the string at a key, whatever was there, with an optional expiry and condition.",
            "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
             PXAT unix-time-milliseconds | KEEPTTL]",
        ),
    Command::new("setnx", 3, WRITE | DENYOOM | FAST, setting::setnx)
        .keys(&[KeySpec::one(key::OW | key::INSERT, 1)])
        .acl(acl::STRING)
        .doc("string", "1.0.0", "O(1)", "Sets a string unless the key is there already.", "key value"),
    Command::new("setex", 4, WRITE | DENYOOM, setting::setex).keys(SET_KEY).acl(acl::STRING).doc(
        "string",
        "2.0.0",
        "O(1)",
        "Sets a string that expires after some seconds.",
        "key seconds value",
    ),
    Command::new("psetex", 4, WRITE | DENYOOM, setting::psetex).keys(SET_KEY).acl(acl::STRING).doc(
        "string",
        "2.6.0",
        "O(1)",
        "Sets a string that expires after some milliseconds.",
        "key milliseconds value",
    ),
    Command::new("getset", 3, WRITE | DENYOOM | FAST, setting::getset)
        .keys(CHANGED_KEY)
        .acl(acl::STRING)
        .doc("string", "1.0.0", "O(1)", "Sets a string and returns the one it replaces.", "key value"),
    Command::new("getdel", 2, WRITE | FAST, setting::getdel)
        .keys(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1)])
        .acl(acl::STRING)
        .doc("string", "6.2.0", "O(1)", "Returns a string and removes its key.", "key"),
    Command::new("getex", -2, WRITE | FAST, setting::getex).keys(CHANGED_KEY).acl(acl::STRING).doc(
        "string",
        "6.2.0",
        "O(1)",
        "Returns a string and sets or clears when its key expires.",
        "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
    ),
    Command::new("mget", -2, READONLY | FAST, mget)
        .keys(&[KeySpec::range(key::RO | key::ACCESS, 1, -1, 1)])
        .acl(acl::STRING)
        .doc("string", "1.0.0", "O(N) with N keys", "Returns the strings at several keys.", "key [key ...]")
        .tips(&["request_policy:multi_shard"]),
    Command::new("mset", -3, WRITE | DENYOOM, mset)
        .keys(&[KeySpec::range(key::OW | key::UPDATE, 1, -1, 2)])
        .acl(acl::STRING)
        .doc(
            "string",
            "1.0.1",
            "O(N) with N keys",
            "Sets several strings as one step.",
            "key value [key value ...]",
        )
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"]),
    Command::new("msetnx", -3, WRITE | DENYOOM, msetnx)
        .keys(&[KeySpec::range(key::OW | key::INSERT, 1, -1, 2)])
        .acl(acl::STRING)
        .doc(
            "string",
            "1.0.1",
            "O(N) with N keys",
            "Sets several strings as one step, or none if one of the keys is there already.",
            "key value [key value ...]",
        )
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"]),
    Command::new("append", 3, WRITE | DENYOOM | FAST, ranges::append)
        .keys(&[KeySpec::one(key::RW | key::INSERT, 1)])
        .acl(acl::STRING)
        .doc("string", "2.0.0", "O(1) amortized", "Adds to the end of a string.", "key value"),
    Command::new("strlen", 2, READONLY | FAST, ranges::strlen)
        .keys(&[KeySpec::one(key::RO, 1)])
        .acl(acl::STRING)
        .doc("string", "2.2.0", "O(1)", "Returns the length of a string in bytes.", "key"),
    Command::new("substr", 4, READONLY, ranges::getrange).keys(READ_KEY).acl(acl::STRING).doc(
        "string",
        "1.0.0",
        "O(N) with N bytes returned",
        "Returns a part of a string; the old name of GETRANGE.",
        "key start end",
    ),
    Command::new("getrange", 4, READONLY, ranges::getrange).keys(READ_KEY).acl(acl::STRING).doc(
        "string",
        "2.4.0",
        "O(N) with N bytes returned",
        "Returns a part of a string, by the offsets of its first and last byte.",
        "key start end",
    ),
    Command::new("setrange", 4, WRITE | DENYOOM, ranges::setrange)
        .keys(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .acl(acl::STRING)
        .doc(
            "string",
            "2.2.0",
            "O(N) with N bytes written",
            "Overwrites a string from an offset on, padding it with zero bytes up to there.",
            "key offset value",
        ),
    Command::new("incr", 2, WRITE | DENYOOM | FAST, counters::incr).keys(CHANGED_KEY).acl(acl::STRING).doc(
        "string",
        "1.0.0",
        "O(1)",
        "Adds one to the integer at a key.",
        "key",
    ),
    Command::new("decr", 2, WRITE | DENYOOM | FAST, counters::decr).keys(CHANGED_KEY).acl(acl::STRING).doc(
        "string",
        "1.0.0",
        "O(1)",
        "Subtracts one from the integer at a key.",
        "key",
    ),
    Command::new("incrby", 3, WRITE | DENYOOM | FAST, counters::incrby)
        .keys(CHANGED_KEY)
        .acl(acl::STRING)
        .doc("string", "1.0.0", "O(1)", "Adds to the integer at a key.", "key increment"),
    Command::new("decrby", 3, WRITE | DENYOOM | FAST, counters::decrby)
        .keys(CHANGED_KEY)
        .acl(acl::STRING)
        .doc("string", "1.0.0", "O(1)", "Subtracts from the integer at a key.", "key decrement"),
    Command::new("incrbyfloat", 3, WRITE | DENYOOM | FAST, counters::incrbyfloat)
        .keys(CHANGED_KEY)
        .acl(acl::STRING)
        .doc("string", "2.6.0", "O(1)", "Adds to the floating-point number at a key.", "key increment"),
    Command::new("lcs", -3, READONLY, lcs::lcs)
        .keys(&[KeySpec::range(key::RO | key::ACCESS, 1, 1, 1)])
        .acl(acl::STRING)
        .doc(
            "string",
            "7.0.0",
            "O(N*M) with strings of N and M bytes",
            "Finds the longest common subsequence of two strings.",
            "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
        ),
];

/// Writes a string value, or null for an absent one.
pub fn reply_string(reply: &mut Reply<'_>, value: Option<ValueRef<'_>>) {
    match value {
        Some(ValueRef::Bytes(bytes)) => reply.bulk(bytes),
        Some(ValueRef::Int(n)) => reply.bulk_int(n),
        _ => reply.null(),
    }
}

/// Writes the string at a key, or null; refuses other types. Says whether the key is there.
pub(super) fn reply_string_at(ctx: &mut Context<'_, '_>, key: &[u8]) -> Result<bool, CommandError> {
    let (value, reply) = ctx.read_with_reply(key);
    if matches!(value, Some(ValueRef::Object(_))) {
        return Err(CommandError::WrongType);
    }
    reply_string(reply, value);
    Ok(value.is_some())
}

fn get(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    reply_string_at(ctx, args[1])?;
    DONE
}

fn mget(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    ctx.reply.array(args.len() - 1);
    for key in &args[1..] {
        let (value, reply) = ctx.read_with_reply(key);
        reply_string(reply, value);
    }
    DONE
}

/// Keys and values in turn, as MSET takes them; the table's arity cannot say that they must be even.
fn pairs<'a, 'b>(args: &'b [&'a [u8]], name: &str) -> Result<&'b [[&'a [u8]; 2]], CommandError> {
    match args[1..].as_chunks::<2>() {
        (pairs, []) => Ok(pairs),
        _ => Err(CommandError::Arity(name.to_string())),
    }
}

fn mset(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    for [key, value] in pairs(args, "mset")? {
        ctx.set_string(key, value, None);
        ctx.tell(EventClass::String, "set", key);
    }
    ctx.reply.ok();
    DONE
}

fn msetnx(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let pairs = pairs(args, "msetnx")?;
    for [key, _] in pairs {
        if ctx.lookup(key).is_some() {
            ctx.reply.int(0);
            return DONE;
        }
    }
    for [key, value] in pairs {
        ctx.set_string(key, value, None);
        ctx.tell(EventClass::String, "set", key);
    }
    ctx.reply.int(1);
    DONE
}

#[cfg(test)]
mod tests;
