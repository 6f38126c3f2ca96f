//! DUMP and RESTORE: a value as bytes, in the encoding of snapshots. The bytes come from strangers: the decoder that
//! loads files reads them, too, and trusts nothing.

use crate::base::num::parse_i64;
use crate::command::args::int;
use crate::command::table::{Begin, Command, Find, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass, ExpiryMode};
use crate::format::rdb::ReadOptions;
use crate::format::rdb::dump::{self as payload, DumpError};
use crate::keyspace::{Entry, ValueRef};
use crate::value::{Str, Value};

const WRITTEN_KEY: &[KeySpec] = &[KeySpec::one(key::OW | key::UPDATE, 1)];
const USAGE: &str = "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]";

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("dump", 2, READONLY, dump)
        .keys(&[KeySpec::one(key::RO | key::ACCESS, 1)])
        .acl(acl::KEYSPACE)
        .doc(
            "generic",
            "2.6.0",
            "O(N) with N bytes or members",
            "Returns the value at a key as bytes.",
            "key",
        )
        .tips(&["nondeterministic_output"]),
    Command::server("migrate", -6, WRITE | MOVABLEKEYS)
        .keys(&[
            KeySpec::one(key::RW | key::ACCESS | key::DELETE, 3),
            KeySpec {
                flags: key::RW | key::ACCESS | key::DELETE | key::INCOMPLETE,
                begin: Begin::Keyword("KEYS", -2),
                find: Find::Range(-1, 1, 0),
            },
        ])
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .doc(
            "generic",
            "2.6.0",
            "O(N) with N bytes or members, here and on the target",
            "Moves keys to another server.",
            "host port <key | \"\"> destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password] \
             [KEYS key [key ...]]",
        )
        .tips(&["nondeterministic_output"]),
    Command::new("restore", -4, WRITE | DENYOOM, restore)
        .keys(WRITTEN_KEY)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .doc(
            "generic",
            "2.6.0",
            "O(N) with N bytes or members",
            "Makes a key from what DUMP returned.",
            USAGE,
        ),
    Command::new("restore-asking", -4, WRITE | DENYOOM | ASKING, restore)
        .keys(WRITTEN_KEY)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .doc(
            "server",
            "3.0.0",
            "O(N) with N bytes or members",
            "RESTORE, as nodes of a cluster send it.",
            USAGE,
        ),
];

fn dump(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (value, reply) = ctx.read_with_reply(args[1]);
    match value {
        None => reply.null(),
        Some(value) => reply.bulk(payload_of(value)),
    }
    DONE
}

/// What DUMP returns of a value.
pub fn payload_of(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Object(value) => payload::encode(value),
        ValueRef::Int(n) => payload::encode(&Value::Str(Str::Int(n))),
        ValueRef::Bytes(bytes) => payload::encode(&Value::Str(Str::Bytes(bytes.to_vec()))),
    }
}

/// The words that may follow the payload.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<i64>,
    freq: Option<u8>,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            if word.eq_ignore_ascii_case(b"replace") {
                options.replace = true;
            } else if word.eq_ignore_ascii_case(b"absttl") {
                options.absolute = true;
            } else if word.eq_ignore_ascii_case(b"idletime") && options.freq.is_none() {
                let seconds = int(rest.next().ok_or(CommandError::Syntax)?)?;
                if seconds < 0 {
                    return Err(CommandError::text("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle_s = Some(seconds);
            } else if word.eq_ignore_ascii_case(b"freq") && options.idle_s.is_none() {
                let freq = int(rest.next().ok_or(CommandError::Syntax)?)?;
                let refusal = CommandError::text("ERR Invalid FREQ value, must be >= 0 and <= 255");
                options.freq = Some(u8::try_from(freq).map_err(|_| refusal)?);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

fn decode(ctx: &Context<'_, '_>, bytes: &[u8]) -> Result<Value, CommandError> {
    let options = ReadOptions {
        limits: ctx.settings.limits,
        max_string_bytes: ctx.settings.max_bulk_bytes as u64,
        verify_checksum: ctx.settings.verify_checksums,
    };
    payload::decode(bytes, &options).map_err(|error| match error {
        DumpError::Footer => CommandError::text("ERR DUMP payload version or checksum are wrong"),
        DumpError::Content(_) => CommandError::text("ERR Bad data format"),
    })
}

fn restore(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let options = Options::parse(&args[4..])?;
    if !options.replace && ctx.lookup(key).is_some() {
        return Err(CommandError::text("BUSYKEY Target key name already exists."));
    }
    let ttl_ms = parse_i64(args[2]).ok_or(CommandError::NotInteger)?;
    if ttl_ms < 0 {
        return Err(CommandError::text("ERR Invalid TTL value, must be >= 0"));
    }
    let value = decode(ctx, args[3])?;
    let expire_at_ms = match ttl_ms {
        0 => None,
        at if options.absolute => Some(at),
        ttl => Some(ctx.now_ms.saturating_add(ttl)),
    };
    // What the log says is done as it stands: there the time has been looked at already.
    let is_past = ctx.expiry == ExpiryMode::Delete && expire_at_ms.is_some_and(|at| at < ctx.now_ms);
    if is_past {
        if ctx.remove_stored(key) {
            ctx.log_removal(key);
        }
        ctx.reply.ok();
        return DONE;
    }
    let mut entry = Entry::new(key, value, expire_at_ms);
    entry.set_access(access(ctx, &options));
    ctx.install(ctx.db, entry);
    ctx.tell(EventClass::Generic, "restore", key);
    log(ctx, args, expire_at_ms.filter(|_| !options.absolute));
    ctx.reply.ok();
    DONE
}

/// The access field that IDLETIME or FREQ ask for, where the policy keeps such a figure.
fn access(ctx: &Context<'_, '_>, options: &Options) -> u32 {
    use crate::command::access::{lfu_with_count, lru_now};
    match (options.idle_s, options.freq) {
        (_, Some(freq)) if ctx.settings.lfu => lfu_with_count(ctx.now_ms, freq),
        (Some(idle_s), _) if !ctx.settings.lfu => {
            lru_now(ctx.now_ms.saturating_sub(idle_s.saturating_mul(1000)).max(0))
        }
        _ => ctx.fresh_access(),
    }
}

/// Logs the command, a relative time to live as the moment it means.
fn log(ctx: &mut Context<'_, '_>, args: &[&[u8]], expire_at_ms: Option<i64>) {
    let Some(at) = expire_at_ms else { return };
    let mut digits = itoa::Buffer::new();
    let mut logged = args.to_vec();
    logged[2] = digits.format(at).as_bytes();
    logged.push(b"ABSTTL");
    ctx.log(&logged);
}

#[cfg(test)]
#[path = "dump_tests.rs"]
mod tests;
