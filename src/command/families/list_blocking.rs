//! List commands that wait until there is something to pop.
//!
//! A waiting client's command is run again, just as it is, when one of its keys becomes ready; so each handler tries,
//! and asks to wait if it finds nothing. What is logged is the form that does not wait.

use super::list::{MOVED, ManyPop, end_word, move_element, pop_one};
use crate::command::args::timeout_ms;
use crate::command::table::{Command, KeySpec, TimeoutReply, acl, flags::*, key};
use crate::command::{CommandResult, Context, DONE};
use crate::value::Direction;

const POPPED: u32 = key::RW | key::ACCESS | key::DELETE;

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("blpop", -3, WRITE | NOSCRIPT | BLOCKING, |ctx, args| pop(ctx, args, Direction::Forward))
        .keys(&[KeySpec::range(POPPED, 1, -2, 1)])
        .acl(acl::LIST)
        .doc(
            "list",
            "2.0.0",
            "O(N) with N keys",
            "Pops from the head of the first of several lists that has elements, waiting for one if need be.",
            "key [key ...] timeout",
        ),
    Command::new("brpop", -3, WRITE | NOSCRIPT | BLOCKING, |ctx, args| pop(ctx, args, Direction::Backward))
        .keys(&[KeySpec::range(POPPED, 1, -2, 1)])
        .acl(acl::LIST)
        .doc(
            "list",
            "2.0.0",
            "O(N) with N keys",
            "Pops from the tail of the first of several lists that has elements, waiting for one if need be.",
            "key [key ...] timeout",
        ),
    Command::new("brpoplpush", 4, WRITE | DENYOOM | NOSCRIPT | BLOCKING, brpoplpush)
        .keys(MOVED)
        .acl(acl::LIST)
        .doc(
            "list",
            "2.2.0",
            "O(1)",
            "Moves the last element of one list to the head of another, waiting for one if need be.",
            "source destination timeout",
        ),
    Command::new("blmove", 6, WRITE | DENYOOM | NOSCRIPT | BLOCKING, blmove).keys(MOVED).acl(acl::LIST).doc(
        "list",
        "6.2.0",
        "O(1)",
        "Moves an element from an end of one list to an end of another, waiting for one if need be.",
        "source destination LEFT | RIGHT LEFT | RIGHT timeout",
    ),
    Command::new("blmpop", -5, WRITE | BLOCKING | MOVABLEKEYS, blmpop)
        .keys(&[KeySpec::counted(POPPED, 2)])
        .acl(acl::LIST)
        .doc(
            "list",
            "7.0.0",
            "O(N+M) with N keys and M elements popped",
            "Pops elements from the first of several lists that has any, waiting for some if need be.",
            "timeout numkeys key [key ...] LEFT | RIGHT [COUNT count]",
        ),
];

fn pop(ctx: &mut Context<'_, '_>, args: &[&[u8]], end: Direction) -> CommandResult {
    // The arity promises a name, a key and a time-out.
    let keys = &args[1..args.len() - 1];
    let timeout_ms = timeout_ms(args[args.len() - 1])?;
    for key in keys {
        if ctx.list_mut(key)?.is_none() {
            continue;
        }
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        pop_one(ctx, key, end)?;
        ctx.log(&[if end == Direction::Forward { b"LPOP" } else { b"RPOP" }, key]);
        return DONE;
    }
    ctx.block(keys, timeout_ms, TimeoutReply::NullArray)
}

/// Waits for the source of a move. A time-out is answered by a null array, but where the client cannot wait the
/// answer is a null string.
fn wait_for_source(ctx: &mut Context<'_, '_>, source: &[u8], timeout_ms: u64) -> CommandResult {
    if !ctx.may_block {
        ctx.reply.null();
        return DONE;
    }
    ctx.block(&[source], timeout_ms, TimeoutReply::NullArray)
}

fn brpoplpush(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (source, destination) = (args[1], args[2]);
    let timeout_ms = timeout_ms(args[3])?;
    if !move_element(ctx, (source, Direction::Backward), (destination, Direction::Forward))? {
        return wait_for_source(ctx, source, timeout_ms);
    }
    ctx.log(&[b"RPOPLPUSH", source, destination]);
    DONE
}

fn blmove(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (source, destination) = (args[1], args[2]);
    let (from, to) = (end_word(args[3])?, end_word(args[4])?);
    let timeout_ms = timeout_ms(args[5])?;
    if !move_element(ctx, (source, from), (destination, to))? {
        return wait_for_source(ctx, source, timeout_ms);
    }
    ctx.log(&[b"LMOVE", source, destination, args[3], args[4]]);
    DONE
}

fn blmpop(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let wanted = ManyPop::parse(&args[2..])?;
    let timeout_ms = timeout_ms(args[1])?;
    if wanted.run(ctx)? {
        return DONE;
    }
    ctx.block(wanted.keys, timeout_ms, TimeoutReply::NullArray)
}
