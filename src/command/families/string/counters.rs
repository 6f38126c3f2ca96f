//! Numbers in strings: INCR and its kin.

use crate::base::long_double::LongDouble;
use crate::base::num::parse_i64;
use crate::command::args::int;
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::keyspace::ValueRef;
use crate::value::{Str, Value};

pub(super) fn incr(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    add(ctx, args[1], 1)
}

pub(super) fn decr(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    add(ctx, args[1], -1)
}

pub(super) fn incrby(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    add(ctx, args[1], int(args[2])?)
}

pub(super) fn decrby(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let decrement = int(args[2])?;
    let increment = decrement.checked_neg().ok_or(CommandError::text("ERR decrement would overflow"))?;
    add(ctx, args[1], increment)
}

fn add(ctx: &mut Context<'_, '_>, key: &[u8], increment: i64) -> CommandResult {
    let Some(entry) = ctx.lookup_mut(key) else {
        ctx.set_value(key, Value::Str(Str::Int(increment)), None);
        ctx.tell(EventClass::String, "incrby", key);
        ctx.reply.int(increment);
        return DONE;
    };
    let old = match entry.value() {
        ValueRef::Int(n) => n,
        ValueRef::Bytes(bytes) => parse_i64(bytes).ok_or(CommandError::NotInteger)?,
        ValueRef::Object(_) => return Err(CommandError::WrongType),
    };
    let new = old.checked_add(increment).ok_or(CommandError::Overflow)?;
    if !entry.set_int(new) {
        let expire_at_ms = entry.expire_at_ms();
        entry.set_value(Value::Str(Str::Int(new)), expire_at_ms);
    }
    ctx.modified(key);
    ctx.tell(EventClass::String, "incrby", key);
    ctx.reply.int(new);
    DONE
}

pub(super) fn incrbyfloat(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let entry = ctx.lookup(key);
    let expire_at_ms = entry.as_ref().and_then(|entry| entry.expire_at_ms());
    let old = match entry.as_ref().map(|entry| entry.value()) {
        None => Some(LongDouble::ZERO),
        Some(ValueRef::Int(n)) => LongDouble::parse(itoa::Buffer::new().format(n).as_bytes()),
        Some(ValueRef::Bytes(bytes)) => LongDouble::parse(bytes),
        Some(ValueRef::Object(_)) => return Err(CommandError::WrongType),
    };
    let old = old.ok_or(CommandError::NotFloat)?;
    let increment = LongDouble::parse(args[2]).ok_or(CommandError::NotFloat)?;
    let sum = old.checked_add(increment).filter(LongDouble::is_finite);
    let sum = sum.ok_or(CommandError::text("ERR increment would produce NaN or Infinity"))?;
    let mut text = Vec::new();
    sum.format(&mut text);
    // Bytes even if they are an integer's, as in Redis: OBJECT ENCODING tells.
    ctx.set_value(key, Value::Str(Str::Bytes(text.clone())), expire_at_ms);
    ctx.tell(EventClass::String, "incrbyfloat", key);
    // The sum is logged, not the increment: rounding must not differ between nodes.
    ctx.log(&[b"SET", key, &text, b"KEEPTTL"]);
    ctx.reply.bulk(&text);
    DONE
}
