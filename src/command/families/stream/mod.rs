//! Stream commands: their part of the table.

mod adding;
mod claiming;
mod groups;
mod ids;
mod info;
mod propagation;
mod ranges;
mod reading;

use crate::command::help::reply_help;
use crate::command::table::{Begin, Command, Find, KeySpec, Locks, acl, flags::*, key};
use crate::command::{CommandResult, Context, DONE};

const READ_KEY: &[KeySpec] = &[KeySpec::one(key::RO | key::ACCESS, 1)];
const UPDATED: &[KeySpec] = &[KeySpec::one(key::RW | key::UPDATE, 1)];
const SHORTENED: &[KeySpec] = &[KeySpec::one(key::RW | key::DELETE, 1)];
const NONDETERMINISTIC: &[&str] = &["nondeterministic_output"];

/// The first half of what follows STREAMS.
const fn streams(from: i32) -> KeySpec {
    KeySpec {
        flags: key::RO | key::ACCESS,
        begin: Begin::Keyword("STREAMS", from),
        find: Find::Range(-1, 1, 2),
    }
}

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("xadd", -5, WRITE | DENYOOM | FAST, adding::xadd)
        .keys(UPDATED)
        .acl(acl::STREAM)
        .doc(
            "stream",
            "5.0.0",
            "O(1); trimming N entries O(N)",
            "Adds an entry to a stream.",
            "key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value [field value ...]",
        )
        .tips(NONDETERMINISTIC),
    Command::new("xlen", 2, READONLY | FAST, adding::xlen)
        .keys(&[KeySpec::one(key::RO, 1)])
        .acl(acl::STREAM)
        .doc("stream", "5.0.0", "O(1)", "Counts the entries of a stream.", "key"),
    Command::new("xrange", -4, READONLY, ranges::xrange).keys(READ_KEY).acl(acl::STREAM).doc(
        "stream",
        "5.0.0",
        "O(log(N)+M) with M of N entries returned",
        "Returns the entries within a range of ids.",
        "key start end [COUNT count]",
    ),
    Command::new("xrevrange", -4, READONLY, ranges::xrevrange).keys(READ_KEY).acl(acl::STREAM).doc(
        "stream",
        "5.0.0",
        "O(log(N)+M) with M of N entries returned",
        "Returns the entries within a range of ids, the last first.",
        "key end start [COUNT count]",
    ),
    Command::new("xread", -4, READONLY | BLOCKING | MOVABLEKEYS, reading::xread)
        .keys(&[streams(1)])
        .locks(Locks::Streams)
        .acl(acl::STREAM)
        .doc(
            "stream",
            "5.0.0",
            "O(M) a stream with M entries returned",
            "Returns entries of streams behind given ids, waiting for some if need be.",
            "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
        ),
    Command::new("xdel", -3, WRITE | FAST, adding::xdel).keys(SHORTENED).acl(acl::STREAM).doc(
        "stream",
        "5.0.0",
        "O(log(N)) an id with N entries",
        "Deletes entries of a stream.",
        "key id [id ...]",
    ),
    Command::new("xtrim", -4, WRITE, adding::xtrim)
        .keys(SHORTENED)
        .acl(acl::STREAM)
        .doc(
            "stream",
            "5.0.0",
            "O(N) with N entries removed",
            "Removes the oldest entries of a stream.",
            "key MAXLEN | MINID [= | ~] threshold [LIMIT count]",
        )
        .tips(NONDETERMINISTIC),
    Command::new("xsetid", -3, WRITE | DENYOOM | FAST, adding::xsetid).keys(UPDATED).acl(acl::STREAM).doc(
        "stream",
        "5.0.0",
        "O(1)",
        "Sets the last id of a stream.",
        "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
    ),
    Command::new("xreadgroup", -7, WRITE | BLOCKING | MOVABLEKEYS, reading::xreadgroup)
        .keys(&[streams(4)])
        .locks(Locks::Streams)
        .acl(acl::STREAM)
        .doc(
            "stream",
            "5.0.0",
            "O(M) a stream with M entries returned",
            "Returns entries of streams that a consumer group has not read, or that a consumer has not \
             acknowledged, waiting for some if need be.",
            "GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]",
        ),
    Command::new("xack", -4, WRITE | FAST, groups::xack).keys(UPDATED).acl(acl::STREAM).doc(
        "stream",
        "5.0.0",
        "O(log(N)) an id with N pending entries",
        "Acknowledges entries that were delivered to consumers of a group.",
        "key group id [id ...]",
    ),
    Command::new("xpending", -3, READONLY, claiming::xpending)
        .keys(READ_KEY)
        .acl(acl::STREAM)
        .doc(
            "stream",
            "5.0.0",
            "O(N) with N pending entries returned, or N consumers",
            "Tells what a group's consumers have not acknowledged.",
            "key group [[IDLE min-idle-time] start end count [consumer]]",
        )
        .tips(NONDETERMINISTIC),
    Command::new("xclaim", -6, WRITE | FAST, claiming::xclaim)
        .keys(UPDATED)
        .acl(acl::STREAM)
        .doc(
            "stream",
            "5.0.0",
            "O(log(N)) an id with N pending entries",
            "Gives pending entries to another consumer.",
            "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] \
             [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID last-id]",
        )
        .tips(NONDETERMINISTIC),
    Command::new("xautoclaim", -6, WRITE | FAST, claiming::xautoclaim)
        .keys(SHORTENED)
        .acl(acl::STREAM)
        .doc(
            "stream",
            "6.2.0",
            "O(1) with a small COUNT",
            "Gives entries that have been pending for long to another consumer.",
            "key group consumer min-idle-time start [COUNT count] [JUSTID]",
        )
        .tips(NONDETERMINISTIC),
    Command::container("xgroup", 0, XGROUP).doc(
        "stream",
        "5.0.0",
        "Depends on subcommand.",
        "A container for commands about consumer groups.",
        "",
    ),
    Command::container("xinfo", 0, XINFO).doc(
        "stream",
        "5.0.0",
        "Depends on subcommand.",
        "A container for commands that tell about streams.",
        "",
    ),
];

const XGROUP: &[Command] = &[
    Command::new("create", -5, WRITE | DENYOOM, groups::create)
        .keys(&[KeySpec::one(key::RW | key::INSERT, 2)])
        .acl(acl::STREAM)
        .doc(
            "stream",
            "5.0.0",
            "O(1)",
            "Creates a consumer group that reads from an id on ($: from now on).",
            "key group id | $ [MKSTREAM] [ENTRIESREAD entries-read]",
        ),
    Command::new("setid", -5, WRITE, groups::set_id)
        .keys(&[KeySpec::one(key::RW | key::UPDATE, 2)])
        .acl(acl::STREAM)
        .doc(
            "stream",
            "5.0.0",
            "O(1)",
            "Sets the id behind which a group reads.",
            "key group id | $ [ENTRIESREAD entries-read]",
        ),
    Command::new("destroy", 4, WRITE, groups::destroy)
        .keys(&[KeySpec::one(key::RW | key::DELETE, 2)])
        .acl(acl::STREAM)
        .doc("stream", "5.0.0", "O(N) with N pending entries", "Removes a consumer group.", "key group"),
    Command::new("createconsumer", 5, WRITE | DENYOOM, groups::create_consumer)
        .keys(&[KeySpec::one(key::RW | key::INSERT, 2)])
        .acl(acl::STREAM)
        .doc("stream", "6.2.0", "O(1)", "Creates a consumer in a group.", "key group consumer"),
    Command::new("delconsumer", 5, WRITE, groups::delete_consumer)
        .keys(&[KeySpec::one(key::RW | key::DELETE, 2)])
        .acl(acl::STREAM)
        .doc(
            "stream",
            "5.0.0",
            "O(N) with N entries pending for it",
            "Removes a consumer, with what is pending for it.",
            "key group consumer",
        ),
    Command::new("help", 2, LOADING | STALE, |ctx, _| help(ctx, "XGROUP", XGROUP)).acl(acl::STREAM).doc(
        "stream",
        "5.0.0",
        "O(1)",
        "Lists the subcommands.",
        "",
    ),
];

const XINFO: &[Command] = &[
    Command::new("stream", -3, READONLY, info::stream)
        .keys(&[KeySpec::one(key::RO | key::ACCESS, 2)])
        .acl(acl::STREAM)
        .doc(
            "stream",
            "5.0.0",
            "O(N) with N nodes, and what is shown in full",
            "Tells about a stream, in full with its entries, groups and consumers.",
            "key [FULL [COUNT count]]",
        ),
    Command::new("groups", 3, READONLY, info::groups)
        .keys(&[KeySpec::one(key::RO | key::ACCESS, 2)])
        .acl(acl::STREAM)
        .doc("stream", "5.0.0", "O(N) with N groups", "Tells about the groups of a stream.", "key"),
    Command::new("consumers", 4, READONLY, info::consumers)
        .keys(&[KeySpec::one(key::RO | key::ACCESS, 2)])
        .acl(acl::STREAM)
        .doc("stream", "5.0.0", "O(N) with N consumers", "Tells about the consumers of a group.", "key group")
        .tips(NONDETERMINISTIC),
    Command::new("help", 2, LOADING | STALE, |ctx, _| help(ctx, "XINFO", XINFO)).acl(acl::STREAM).doc(
        "stream",
        "5.0.0",
        "O(1)",
        "Lists the subcommands.",
        "",
    ),
];

fn help(ctx: &mut Context<'_, '_>, container: &str, subcommands: &[Command]) -> CommandResult {
    reply_help(&mut ctx.reply, container, subcommands);
    DONE
}

#[cfg(test)]
mod tests;
