//! Commands that set a string whole, or set when it expires: SET and its kin.

use super::options::{ExpireArg, ExpireUnit, Grammar, Options};
use super::reply_string_at;
use crate::command::context::release;
use crate::command::{CommandResult, Context, DONE, EventClass, ExpiryMode};

fn tell_set(ctx: &mut Context<'_, '_>, key: &[u8], expires: bool) {
    ctx.tell(EventClass::String, "set", key);
    if expires {
        ctx.tell(EventClass::Generic, "expire", key);
    }
}

/// Sets a string that expires at a time, and logs it with that time.
fn set_until(ctx: &mut Context<'_, '_>, key: &[u8], value: &[u8], at_ms: i64) {
    // A time that has passed already is stored all the same: the next look removes the key.
    ctx.set_string(key, value, Some(at_ms));
    tell_set(ctx, key, true);
    ctx.log(&[b"SET", key, value, b"PXAT", itoa::Buffer::new().format(at_ms).as_bytes()]);
}

pub(super) fn set(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    if let [_, key, value] = args {
        ctx.set_string(key, value, None);
        tell_set(ctx, key, false);
        ctx.reply.ok();
        return DONE;
    }
    set_with_options(ctx, args)
}

fn set_with_options(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, value) = (args[1], args[2]);
    let options = Options::parse(&args[3..], Grammar::Set)?;
    let expire_at_ms = match options.expire {
        ExpireArg::At(unit, amount) => Some(unit.at_ms(amount, ctx.now_ms, "set")?),
        _ => None,
    };
    if options.get {
        reply_string_at(ctx, key)?;
    }
    if options.nx || options.xx || options.expire == ExpireArg::Keep {
        let existing = ctx.lookup(key).map(|entry| entry.expire_at_ms());
        if (options.nx && existing.is_some()) || (options.xx && existing.is_none()) {
            if !options.get {
                ctx.reply.null();
            }
            return DONE;
        }
        if options.expire == ExpireArg::Keep {
            ctx.set_string(key, value, existing.flatten());
            tell_set(ctx, key, false);
            ctx.log(&[b"SET", key, value, b"KEEPTTL"]);
        }
    }
    match (expire_at_ms, options.expire) {
        (_, ExpireArg::Keep) => {}
        // Already what is logged: it goes into the log as the client wrote it, as from a stock server.
        (Some(at_ms), ExpireArg::At(ExpireUnit::UnixMs, amount)) => {
            ctx.set_string(key, value, Some(at_ms));
            tell_set(ctx, key, true);
            ctx.log(&[args[0], key, value, options.expire_word, amount]);
        }
        (Some(at_ms), _) => set_until(ctx, key, value, at_ms),
        (None, _) => {
            ctx.set_string(key, value, None);
            tell_set(ctx, key, false);
            ctx.log(&[b"SET", key, value]);
        }
    }
    if !options.get {
        ctx.reply.ok();
    }
    DONE
}

pub(super) fn setnx(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let is_free = ctx.lookup(args[1]).is_none();
    if is_free {
        ctx.set_string(args[1], args[2], None);
        tell_set(ctx, args[1], false);
    }
    ctx.reply.int(i64::from(is_free));
    DONE
}

pub(super) fn setex(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    set_for(ctx, args, ExpireUnit::Seconds, "setex")
}

pub(super) fn psetex(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    set_for(ctx, args, ExpireUnit::Ms, "psetex")
}

fn set_for(ctx: &mut Context<'_, '_>, args: &[&[u8]], unit: ExpireUnit, name: &str) -> CommandResult {
    let at_ms = unit.at_ms(args[2], ctx.now_ms, name)?;
    set_until(ctx, args[1], args[3], at_ms);
    ctx.reply.ok();
    DONE
}

pub(super) fn getset(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    reply_string_at(ctx, args[1])?;
    ctx.set_string(args[1], args[2], None);
    tell_set(ctx, args[1], false);
    ctx.log(&[b"SET", args[1], args[2]]);
    DONE
}

pub(super) fn getdel(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    if reply_string_at(ctx, args[1])? {
        if let Some(old) = ctx.remove(args[1]) {
            release(old);
            ctx.tell(EventClass::Generic, "del", args[1]);
        }
        ctx.log(&[b"DEL", args[1]]);
    }
    DONE
}

pub(super) fn getex(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let options = Options::parse(&args[2..], Grammar::GetEx)?;
    if !reply_string_at(ctx, key)? {
        return DONE;
    }
    match options.expire {
        ExpireArg::None | ExpireArg::Keep => {}
        ExpireArg::Persist => {
            if ctx.lookup(key).is_some_and(|entry| entry.expire_at_ms().is_some()) {
                ctx.set_expiry(key, None);
                ctx.modified(key);
                ctx.tell(EventClass::Generic, "persist", key);
                ctx.log(&[b"PERSIST", key]);
            }
        }
        ExpireArg::At(unit, amount) => {
            let at_ms = unit.at_ms(amount, ctx.now_ms, "getex")?;
            if ctx.expiry == ExpiryMode::Delete && at_ms <= ctx.now_ms {
                ctx.remove_as_expired(key);
            } else {
                ctx.expire_at(key, at_ms);
            }
        }
    }
    DONE
}
