//! String commands.

use crate::base::num::parse_i64;
use crate::command::table::{Command, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE};
use crate::keyspace::ValueRef;
use crate::resp::reply::Reply;

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("get", 2, READONLY | FAST, get)
        .keys(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .acl(acl::STRING)
        .doc("string", "1.0.0", "O(1)", "Returns the string at a key.", "key"),
    Command::new("set", -3, WRITE | DENYOOM, set)
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
];

/// Writes a string value, or null for an absent one.
pub fn reply_string(reply: &mut Reply<'_>, value: Option<ValueRef<'_>>) {
    match value {
        Some(ValueRef::Bytes(bytes)) => reply.bulk(bytes),
        Some(ValueRef::Int(n)) => reply.bulk_int(n),
        _ => reply.null(),
    }
}

fn get(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    // The entry borrows the context, so the reply is written through a pointer-free split: the value is
    // looked up in `keys`, the reply lies elsewhere in the context.
    let (value, reply) = ctx.read_with_reply(args[1]);
    match value {
        Some(ValueRef::Object(_)) => Err(CommandError::WrongType),
        value => {
            reply_string(reply, value);
            DONE
        }
    }
}

/// When a key is to expire, as SET, GETEX and their like take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpireArg {
    /// No word about it.
    None,
    /// At this unix time, ms.
    At(i64),
    /// Keep what there is.
    Keep,
    /// Drop what there is (GETEX PERSIST).
    Persist,
}

/// Reads `EX n`, `PX n`, `EXAT n` or `PXAT n` as an absolute time in ms. `command` names the caller in
/// the error.
pub fn expire_at(word: &[u8], amount: &[u8], now_ms: i64, command: &str) -> Result<i64, CommandError> {
    let amount = parse_i64(amount).ok_or(CommandError::NotInteger)?;
    let invalid = || CommandError::InvalidExpire(command.to_string());
    if amount <= 0 {
        return Err(invalid());
    }
    let in_seconds = word.len() == 2 && word[0].eq_ignore_ascii_case(&b'e')
        || word.len() == 4 && word[0].eq_ignore_ascii_case(&b'e');
    let relative = word.len() == 2;
    let ms = if in_seconds { amount.checked_mul(1000).ok_or_else(invalid)? } else { amount };
    if relative { ms.checked_add(now_ms).ok_or_else(invalid) } else { Ok(ms) }
}

/// True for the four words that [`expire_at`] reads.
pub fn is_expire_word(word: &[u8]) -> bool {
    [&b"ex"[..], b"px", b"exat", b"pxat"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

#[derive(Default)]
struct SetOptions {
    nx: bool,
    xx: bool,
    get: bool,
    keep_ttl: bool,
    expire_at_ms: Option<i64>,
}

fn set_options(args: &[&[u8]], now_ms: i64) -> Result<SetOptions, CommandError> {
    let mut options = SetOptions::default();
    let mut rest = args.iter();
    let mut expire = None;
    while let Some(word) = rest.next() {
        if word.eq_ignore_ascii_case(b"nx") && !options.xx {
            options.nx = true;
        } else if word.eq_ignore_ascii_case(b"xx") && !options.nx {
            options.xx = true;
        } else if word.eq_ignore_ascii_case(b"get") {
            options.get = true;
        } else if word.eq_ignore_ascii_case(b"keepttl") && expire.is_none() {
            options.keep_ttl = true;
        } else if is_expire_word(word) && expire.is_none() && !options.keep_ttl {
            expire = Some((*word, *rest.next().ok_or(CommandError::Syntax)?));
        } else {
            return Err(CommandError::Syntax);
        }
    }
    // The whole grammar is checked before a number is: a syntax error comes first, as in Redis.
    if let Some((word, amount)) = expire {
        options.expire_at_ms = Some(expire_at(word, amount, now_ms, "set")?);
    }
    Ok(options)
}

fn set(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, value) = (args[1], args[2]);
    if args.len() == 3 {
        ctx.set_string(key, value, None);
        ctx.reply.ok();
        return DONE;
    }
    let options = set_options(&args[3..], ctx.now_ms)?;
    if options.get {
        let (old, reply) = ctx.read_with_reply(key);
        if matches!(old, Some(ValueRef::Object(_))) {
            return Err(CommandError::WrongType);
        }
        reply_string(reply, old);
    }
    let existing = ctx.lookup(key).map(|entry| entry.expire_at_ms());
    if (options.nx && existing.is_some()) || (options.xx && existing.is_none()) {
        if !options.get {
            ctx.reply.null();
        }
        return DONE;
    }
    let kept = if options.keep_ttl { existing.flatten() } else { None };
    // A time that has passed already: the key goes at once, as it would on the next look.
    ctx.set_string(key, value, options.expire_at_ms.or(kept));
    if let Some(at) = options.expire_at_ms {
        let mut text = itoa::Buffer::new();
        ctx.log(&[b"SET", key, value, b"PXAT", text.format(at).as_bytes()]);
    } else if options.keep_ttl {
        ctx.log(&[b"SET", key, value, b"KEEPTTL"]);
    } else {
        ctx.log(&[b"SET", key, value]);
    }
    if !options.get {
        ctx.reply.ok();
    }
    DONE
}
