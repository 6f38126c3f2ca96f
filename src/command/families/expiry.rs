//! When keys expire: EXPIRE and its kin, TTL and its kin, PERSIST.

use crate::command::args::int;
use crate::command::error::quoting;
use crate::command::table::{Command, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass, ExpiryMode};

const CHANGED_KEY: &[KeySpec] = &[KeySpec::one(key::RW | key::UPDATE, 1)];
const READ_KEY: &[KeySpec] = &[KeySpec::one(key::RO | key::ACCESS, 1)];

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("expire", -3, WRITE | FAST, expire).keys(CHANGED_KEY).acl(acl::KEYSPACE).doc(
        "generic",
        "1.0.0",
        "O(1)",
        "Makes a key expire after some seconds.",
        "key seconds [NX | XX | GT | LT]",
    ),
    Command::new("pexpire", -3, WRITE | FAST, pexpire).keys(CHANGED_KEY).acl(acl::KEYSPACE).doc(
        "generic",
        "2.6.0",
        "O(1)",
        "Makes a key expire after some milliseconds.",
        "key milliseconds [NX | XX | GT | LT]",
    ),
    Command::new("expireat", -3, WRITE | FAST, expireat).keys(CHANGED_KEY).acl(acl::KEYSPACE).doc(
        "generic",
        "1.2.0",
        "O(1)",
        "Makes a key expire at a unix time in seconds.",
        "key unix-time-seconds [NX | XX | GT | LT]",
    ),
    Command::new("pexpireat", -3, WRITE | FAST, pexpireat).keys(CHANGED_KEY).acl(acl::KEYSPACE).doc(
        "generic",
        "2.6.0",
        "O(1)",
        "Makes a key expire at a unix time in milliseconds.",
        "key unix-time-milliseconds [NX | XX | GT | LT]",
    ),
    Command::new("ttl", 2, READONLY | FAST, ttl)
        .keys(READ_KEY)
        .acl(acl::KEYSPACE)
        .doc("generic", "1.0.0", "O(1)", "Returns how many seconds a key has left.", "key")
        .tips(&["nondeterministic_output"]),
    Command::new("pttl", 2, READONLY | FAST, pttl)
        .keys(READ_KEY)
        .acl(acl::KEYSPACE)
        .doc("generic", "2.6.0", "O(1)", "Returns how many milliseconds a key has left.", "key")
        .tips(&["nondeterministic_output"]),
    Command::new("expiretime", 2, READONLY | FAST, expiretime).keys(READ_KEY).acl(acl::KEYSPACE).doc(
        "generic",
        "7.0.0",
        "O(1)",
        "Returns the unix time in seconds at which a key expires.",
        "key",
    ),
    Command::new("pexpiretime", 2, READONLY | FAST, pexpiretime).keys(READ_KEY).acl(acl::KEYSPACE).doc(
        "generic",
        "7.0.0",
        "O(1)",
        "Returns the unix time in milliseconds at which a key expires.",
        "key",
    ),
    Command::new("persist", 2, WRITE | FAST, persist).keys(CHANGED_KEY).acl(acl::KEYSPACE).doc(
        "generic",
        "2.2.0",
        "O(1)",
        "Makes a key stay until it is removed.",
        "key",
    ),
];

/// When an expiry may be set.
#[derive(Debug, Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn parse(args: &[&[u8]]) -> Result<Conditions, CommandError> {
        let mut conditions = Conditions::default();
        for word in args {
            let flag = match word.to_ascii_lowercase().as_slice() {
                b"nx" => &mut conditions.nx,
                b"xx" => &mut conditions.xx,
                b"gt" => &mut conditions.gt,
                b"lt" => &mut conditions.lt,
                _ => return Err(CommandError::Quoting(quoting("ERR Unsupported option ", word, ""))),
            };
            *flag = true;
        }
        if conditions.nx && (conditions.xx || conditions.gt || conditions.lt) {
            return Err(CommandError::text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if conditions.gt && conditions.lt {
            return Err(CommandError::text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// No expiry counts as one that lies infinitely far ahead.
    fn allow(&self, current_ms: Option<i64>, new_ms: i64) -> bool {
        !(self.nx && current_ms.is_some()
            || self.xx && current_ms.is_none()
            || self.gt && current_ms.is_none_or(|current| new_ms <= current)
            || self.lt && current_ms.is_some_and(|current| new_ms >= current))
    }
}

fn expire(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    set_expiry(ctx, args, 1000, ctx.now_ms, "expire")
}

fn pexpire(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    set_expiry(ctx, args, 1, ctx.now_ms, "pexpire")
}

fn expireat(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    set_expiry(ctx, args, 1000, 0, "expireat")
}

fn pexpireat(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    set_expiry(ctx, args, 1, 0, "pexpireat")
}

/// `unit_ms` and `base_ms` turn the argument into unix time.
fn set_expiry(
    ctx: &mut Context<'_, '_>,
    args: &[&[u8]],
    unit_ms: i64,
    base_ms: i64,
    name: &str,
) -> CommandResult {
    let key = args[1];
    let conditions = Conditions::parse(&args[3..])?;
    let at_ms = int(args[2])?.checked_mul(unit_ms).and_then(|ms| ms.checked_add(base_ms));
    let at_ms = at_ms.ok_or_else(|| CommandError::InvalidExpire(name.to_string()))?;
    let Some(current_ms) = ctx.lookup(key).map(|entry| entry.expire_at_ms()) else {
        ctx.reply.int(0);
        return DONE;
    };
    let allowed = conditions.allow(current_ms, at_ms);
    if !allowed {
        // Nothing changes.
    } else if ctx.expiry == ExpiryMode::Delete && at_ms <= ctx.now_ms {
        ctx.remove_as_expired(key);
    } else {
        ctx.expire_at(key, at_ms);
    }
    ctx.reply.int(i64::from(allowed));
    DONE
}

fn ttl(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    reply_expiry(ctx, args[1], |at_ms, now_ms| seconds(at_ms.saturating_sub(now_ms).max(0)))
}

fn pttl(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    reply_expiry(ctx, args[1], |at_ms, now_ms| at_ms.saturating_sub(now_ms).max(0))
}

fn expiretime(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    reply_expiry(ctx, args[1], |at_ms, _| seconds(at_ms.max(0)))
}

fn pexpiretime(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    reply_expiry(ctx, args[1], |at_ms, _| at_ms.max(0))
}

/// Rounded to the nearest second.
fn seconds(ms: i64) -> i64 {
    ms.saturating_add(500) / 1000
}

fn reply_expiry(ctx: &mut Context<'_, '_>, key: &[u8], show: impl Fn(i64, i64) -> i64) -> CommandResult {
    const NO_KEY: i64 = -2;
    const NO_EXPIRY: i64 = -1;
    let expiry = ctx.read_untouched(key).map(|entry| entry.expire_at_ms());
    ctx.reply.int(match expiry {
        None => NO_KEY,
        Some(None) => NO_EXPIRY,
        Some(Some(at_ms)) => show(at_ms, ctx.now_ms),
    });
    DONE
}

fn persist(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let had_expiry = ctx.lookup(key).is_some_and(|entry| entry.expire_at_ms().is_some());
    if had_expiry {
        ctx.set_expiry(key, None);
        ctx.modified(key);
        ctx.tell(EventClass::Generic, "persist", key);
    }
    ctx.reply.int(i64::from(had_expiry));
    DONE
}

#[cfg(test)]
#[path = "expiry_tests.rs"]
mod tests;
