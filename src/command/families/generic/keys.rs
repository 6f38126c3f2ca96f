//! Commands that take keys of any type: DEL, EXISTS, RENAME, COPY, MOVE and the like.

use crate::base::num::parse_i64;
use crate::command::context::release;
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::keyspace::{Entry, ValueRef};

/// DEL and UNLINK: big values are freed on another thread either way.
pub(super) fn del(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let mut removed = 0;
    for key in &args[1..] {
        if let Some(entry) = ctx.remove(key) {
            release(entry);
            ctx.tell(EventClass::Generic, "del", key);
            removed += 1;
        }
    }
    ctx.reply.int(removed);
    DONE
}

pub(super) fn exists(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let found = args[1..].iter().filter(|key| ctx.read_untouched(key).is_some()).count();
    ctx.reply.int(found as i64);
    DONE
}

pub(super) fn touch(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let found = args[1..].iter().filter(|key| ctx.read(key).is_some()).count();
    ctx.reply.int(found as i64);
    DONE
}

/// What TYPE says of an entry.
pub(super) fn type_name(entry: &Entry) -> &'static str {
    match entry.value() {
        ValueRef::Object(value) => value.type_name(),
        ValueRef::Int(_) | ValueRef::Bytes(_) => "string",
    }
}

pub(super) fn type_of(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let name = ctx.read_untouched(args[1]).map_or("none", type_name);
    ctx.reply.simple(name);
    DONE
}

pub(super) fn rename(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    rename_to(ctx, args[1], args[2], true)?;
    ctx.reply.ok();
    DONE
}

pub(super) fn renamenx(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let renamed = rename_to(ctx, args[1], args[2], false)?;
    ctx.reply.int(i64::from(renamed));
    DONE
}

/// True when the key has a new name now.
fn rename_to(
    ctx: &mut Context<'_, '_>,
    key: &[u8],
    new_key: &[u8],
    replace: bool,
) -> Result<bool, CommandError> {
    if ctx.lookup(key).is_none() {
        return Err(CommandError::NoSuchKey);
    }
    if key == new_key {
        return Ok(false);
    }
    // An expired key in the way goes with a removal of its own in the log.
    ctx.expire_if_due(new_key);
    if !replace && ctx.peek(new_key).is_some() {
        return Ok(false);
    }
    let Some(entry) = ctx.take(key) else { return Err(CommandError::NoSuchKey) };
    ctx.install(ctx.db, entry.with_key(new_key));
    ctx.tell(EventClass::Generic, "rename_from", key);
    ctx.tell(EventClass::Generic, "rename_to", new_key);
    Ok(true)
}

/// A number that may be a database's index. `refusal` is the error for anything that is no 32-bit integer, where it
/// is not the usual one.
pub(super) fn database_number(arg: &[u8], refusal: Option<&'static str>) -> Result<i32, CommandError> {
    let error = |usual| CommandError::text(refusal.unwrap_or(usual));
    let number = parse_i64(arg).ok_or(error("ERR value is not an integer or out of range"))?;
    let range = "ERR value is out of range, value must between -2147483648 and 2147483647";
    i32::try_from(number).map_err(|_| error(range))
}

/// The database of this number.
pub(super) fn database(ctx: &Context<'_, '_>, number: i32) -> Result<u32, CommandError> {
    u32::try_from(number).ok().filter(|db| *db < ctx.keyspace.databases()).ok_or(CommandError::DbIndex)
}

const SAME_OBJECT: CommandError = CommandError::text("ERR source and destination objects are the same");

pub(super) fn copy(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, new_key) = (args[1], args[2]);
    let mut db = ctx.db;
    let mut replace = false;
    let mut rest = args[3..].iter();
    while let Some(word) = rest.next() {
        if word.eq_ignore_ascii_case(b"replace") {
            replace = true;
        } else if word.eq_ignore_ascii_case(b"db") {
            let number = database_number(rest.next().ok_or(CommandError::Syntax)?, None)?;
            db = database(ctx, number)?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if db == ctx.db && key == new_key {
        return Err(SAME_OBJECT);
    }
    if ctx.read(key).is_none() {
        ctx.reply.int(0);
        return DONE;
    }
    ctx.expire_if_due_in(db, new_key);
    let is_taken = ctx.peek_in(db, new_key).is_some();
    if is_taken && !replace {
        ctx.reply.int(0);
        return DONE;
    }
    if let Some(mut copy) = ctx.peek(key).map(|entry| entry.copy_to(new_key)) {
        copy.set_access(ctx.fresh_access());
        ctx.install(db, copy);
        ctx.tell_in(db, EventClass::Generic, "copy_to", new_key);
    }
    ctx.reply.int(1);
    DONE
}

pub(super) fn move_to(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let db = database(ctx, database_number(args[2], None)?)?;
    if db == ctx.db {
        return Err(SAME_OBJECT);
    }
    let is_there = ctx.lookup(key).is_some();
    ctx.expire_if_due_in(db, key);
    if !is_there || ctx.peek_in(db, key).is_some() {
        ctx.reply.int(0);
        return DONE;
    }
    if let Some(entry) = ctx.take(key) {
        ctx.install(db, entry);
        ctx.tell(EventClass::Generic, "move_from", key);
        ctx.tell_in(db, EventClass::Generic, "move_to", key);
    }
    ctx.reply.int(1);
    DONE
}
