//! Times of hash fields: HEXPIRE and its kin. `hash_expiry_values` has the commands that also read or set values.

use crate::base::num::parse_i64;
use crate::command::args::int;
use crate::command::table::{Command, Handler, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass, ExpiryMode};
use crate::value::Hash;

const READ: &[KeySpec] = &[KeySpec::one(key::RO | key::ACCESS, 1)];
const UPDATE: &[KeySpec] = &[KeySpec::one(key::RW | key::UPDATE, 1)];

const COST: &str = "O(N) with N fields named";
const SINCE: &str = "7.4.0";

/// The last moment that a command may set as a field's time, unix ms: two bits fewer than fit, as in Redis.
const TIME_MAX_MS: i64 = (1 << 46) - 1;

const fn setter(name: &'static str, run: Handler) -> Command {
    Command::new(name, -6, WRITE | DENYOOM | FAST, run).acl(acl::HASH).keys(UPDATE)
}

const fn teller(name: &'static str, run: Handler) -> Command {
    Command::new(name, -5, READONLY | FAST, run).acl(acl::HASH).keys(READ)
}

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    setter("hexpire", hexpire).doc(
        "hash",
        SINCE,
        COST,
        "Lets fields expire in so many seconds.",
        "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
    ),
    setter("hpexpire", hpexpire).doc(
        "hash",
        SINCE,
        COST,
        "Lets fields expire in so many milliseconds.",
        "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
    ),
    setter("hexpireat", hexpireat).doc(
        "hash",
        SINCE,
        COST,
        "Lets fields expire at a moment, in seconds of Unix time.",
        "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
    ),
    setter("hpexpireat", hpexpireat).doc(
        "hash",
        SINCE,
        COST,
        "Lets fields expire at a moment, in milliseconds of Unix time.",
        "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]",
    ),
    teller("httl", httl)
        .doc(
            "hash",
            SINCE,
            COST,
            "Says in how many seconds fields expire.",
            "key FIELDS numfields field [field ...]",
        )
        .tips(&["nondeterministic_output"]),
    teller("hpttl", hpttl)
        .doc(
            "hash",
            SINCE,
            COST,
            "Says in how many milliseconds fields expire.",
            "key FIELDS numfields field [field ...]",
        )
        .tips(&["nondeterministic_output"]),
    teller("hexpiretime", hexpiretime).doc(
        "hash",
        SINCE,
        COST,
        "Says when fields expire, in seconds of Unix time.",
        "key FIELDS numfields field [field ...]",
    ),
    teller("hpexpiretime", hpexpiretime).doc(
        "hash",
        SINCE,
        COST,
        "Says when fields expire, in milliseconds of Unix time.",
        "key FIELDS numfields field [field ...]",
    ),
    Command::new("hpersist", -5, WRITE | FAST, hpersist).acl(acl::HASH).keys(UPDATE).doc(
        "hash",
        SINCE,
        COST,
        "Has fields expire no more.",
        "key FIELDS numfields field [field ...]",
    ),
];

/// What the reply says of a field that is not there.
const NO_FIELD: i64 = -2;
/// What it says of one that carries no time.
const NO_TIME: i64 = -1;

/// The fields behind `FIELDS numfields`, which must be at `at` and end the arguments. A number that is none is refused
/// with `refusal`.
pub(super) fn fields<'s, 'a>(
    args: &'s [&'a [u8]],
    at: usize,
    refusal: &'static str,
) -> Result<&'s [&'a [u8]], CommandError> {
    if !args.get(at).is_some_and(|word| word.eq_ignore_ascii_case(b"fields")) {
        return Err(CommandError::text(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count = args.get(at + 1).and_then(|count| parse_i64(count)).filter(|count| *count >= 1);
    let count = count.ok_or(CommandError::text(refusal))?;
    let fields = args.get(at + 2..).unwrap_or_default();
    if usize::try_from(count).ok() != Some(fields.len()) {
        return Err(CommandError::text("ERR The `numfields` parameter must match the number of arguments"));
    }
    Ok(fields)
}

/// What most commands say to a number of fields that is none.
pub(super) const BAD_COUNT: &str = "ERR Number of fields must be a positive integer";

/// A time for fields, as unix ms. `unit_ms` and `base_ms` turn the argument into it; `name` is the command's.
pub(super) fn field_time(arg: &[u8], unit_ms: i64, base_ms: i64, name: &str) -> Result<i64, CommandError> {
    let amount = int(arg)?;
    if amount < 0 {
        return Err(CommandError::text("ERR invalid expire time, must be >= 0"));
    }
    let at_ms = amount.checked_mul(unit_ms).and_then(|ms| ms.checked_add(base_ms));
    let at_ms = at_ms.filter(|at_ms| *at_ms <= TIME_MAX_MS);
    at_ms.ok_or_else(|| CommandError::InvalidExpire(name.to_string()))
}

/// Under which condition a field gets its time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    /// It carries none.
    Nx,
    /// It carries one.
    Xx,
    /// It carries an earlier one.
    Gt,
    /// It carries a later one, or none.
    Lt,
}

impl Condition {
    fn of_word(word: &[u8]) -> Condition {
        let words =
            [(b"nx", Condition::Nx), (b"xx", Condition::Xx), (b"gt", Condition::Gt), (b"lt", Condition::Lt)];
        let found = words.iter().find(|(name, _)| word.eq_ignore_ascii_case(&name[..]));
        found.map_or(Condition::Always, |(_, condition)| *condition)
    }

    fn allows(self, current_ms: Option<i64>, new_ms: i64) -> bool {
        match self {
            Condition::Always => true,
            Condition::Nx => current_ms.is_none(),
            Condition::Xx => current_ms.is_some(),
            Condition::Gt => current_ms.is_some_and(|current| new_ms > current),
            Condition::Lt => current_ms.is_none_or(|current| new_ms < current),
        }
    }
}

/// Fields that are given a time, which may be so late already that they go.
pub(super) struct Timing<'a> {
    /// The time, unix ms.
    pub at_ms: i64,
    /// Whether it has come, and this node decides that.
    pub is_past: bool,
    now_ms: i64,
    set: Vec<&'a [u8]>,
    deleted: Vec<&'a [u8]>,
}

/// What became of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Timed {
    NoField = -2,
    Refused = 0,
    Set = 1,
    Deleted = 2,
}

impl<'a> Timing<'a> {
    pub(super) fn new(ctx: &Context<'_, '_>, at_ms: i64) -> Timing<'a> {
        let is_past = ctx.expiry == ExpiryMode::Delete && at_ms <= ctx.now_ms;
        Timing { at_ms, is_past, now_ms: ctx.fields_now_ms(), set: Vec::new(), deleted: Vec::new() }
    }

    fn apply(&mut self, hash: &mut Hash, field: &'a [u8], condition: Condition) -> Timed {
        let Some((_, current_ms)) = hash.at(self.now_ms).get_timed(field) else { return Timed::NoField };
        if !condition.allows(current_ms, self.at_ms) {
            return Timed::Refused;
        }
        if self.is_past {
            hash.delete(field);
            self.deleted.push(field);
            return Timed::Deleted;
        }
        // A replica's own client may set a time that has come long since; 0 would be none.
        hash.set_time(field, Some(self.at_ms.max(1)));
        self.set.push(field);
        Timed::Set
    }

    /// Gives a field that exists its time.
    pub(super) fn apply_always(&mut self, hash: &mut Hash, field: &'a [u8]) {
        self.apply(hash, field, Condition::Always);
    }

    /// Counts, logs and notes what was done to the hash at `key`.
    pub(super) fn finish(self, ctx: &mut Context<'_, '_>, key: &[u8]) {
        let changes = self.set.len() + self.deleted.len();
        if changes == 0 {
            return;
        }
        ctx.hash_changed(key, changes, true);
        let event = if self.deleted.is_empty() { "hexpire" } else { "hdel" };
        ctx.tell(EventClass::Hash, event, key);
        if !self.deleted.is_empty() {
            ctx.counts.expired_fields += self.deleted.len() as u64;
            log_deleted(ctx, key, &self.deleted);
            ctx.remove_if_empty(key);
        }
        if !self.set.is_empty() {
            log_times(ctx, key, self.at_ms, &self.set);
        }
    }
}

/// Logs that fields were deleted.
pub(super) fn log_deleted(ctx: &mut Context<'_, '_>, key: &[u8], fields: &[&[u8]]) {
    let mut effect: Vec<&[u8]> = vec![b"HDEL", key];
    effect.extend_from_slice(fields);
    ctx.log(&effect);
}

/// Logs that fields now carry a time.
pub(super) fn log_times(ctx: &mut Context<'_, '_>, key: &[u8], at_ms: i64, fields: &[&[u8]]) {
    let (mut time, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (time, count) = (time.format(at_ms).as_bytes(), count.format(fields.len()).as_bytes());
    let mut effect: Vec<&[u8]> = vec![b"HPEXPIREAT", key, time, b"FIELDS", count];
    effect.extend_from_slice(fields);
    ctx.log(&effect);
}

/// Logs that fields carry no time any more.
pub(super) fn log_persisted(ctx: &mut Context<'_, '_>, key: &[u8], fields: &[&[u8]]) {
    let mut count = itoa::Buffer::new();
    let mut effect: Vec<&[u8]> = vec![b"HPERSIST", key, b"FIELDS", count.format(fields.len()).as_bytes()];
    effect.extend_from_slice(fields);
    ctx.log(&effect);
}

fn hexpire(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    set_times(ctx, args, 1000, ctx.now_ms, "hexpire")
}

fn hpexpire(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    set_times(ctx, args, 1, ctx.now_ms, "hpexpire")
}

fn hexpireat(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    set_times(ctx, args, 1000, 0, "hexpireat")
}

fn hpexpireat(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    set_times(ctx, args, 1, 0, "hpexpireat")
}

/// The arguments of HEXPIRE and its kin: the time, the condition, the fields.
fn parse<'s, 'a>(
    args: &'s [&'a [u8]],
    unit_ms: i64,
    base_ms: i64,
    name: &str,
) -> Result<(i64, Condition, &'s [&'a [u8]]), CommandError> {
    let at_ms = field_time(args[2], unit_ms, base_ms, name)?;
    let condition = Condition::of_word(args[3]);
    let at = if condition == Condition::Always { 3 } else { 4 };
    let fields = fields(args, at, "ERR Parameter `numFields` should be greater than 0")?;
    Ok((at_ms, condition, fields))
}

fn set_times(
    ctx: &mut Context<'_, '_>,
    args: &[&[u8]],
    unit_ms: i64,
    base_ms: i64,
    name: &str,
) -> CommandResult {
    let key = args[1];
    // A key of another type is refused first.
    let parsed = parse(args, unit_ms, base_ms, name);
    let named = parsed.as_ref().map_or(&[][..], |(_, _, fields)| *fields);
    let mut timing = Timing::new(ctx, parsed.as_ref().map_or(0, |(at_ms, _, _)| *at_ms));
    let (hash, reply) = ctx.hash_mut_with_reply(key, named.iter().copied())?;
    let (_, condition, fields) = parsed?;
    reply.array(fields.len());
    let Some(hash) = hash else {
        fields.iter().for_each(|_| reply.int(NO_FIELD));
        return DONE;
    };
    hash.prepare_times();
    for field in fields {
        reply.int(timing.apply(hash, field, condition) as i64);
    }
    timing.finish(ctx, key);
    DONE
}

fn httl(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let now_ms = ctx.now_ms;
    tell_times(ctx, args, |at_ms| seconds(at_ms.saturating_sub(now_ms)))
}

fn hpttl(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let now_ms = ctx.now_ms;
    tell_times(ctx, args, |at_ms| at_ms.saturating_sub(now_ms))
}

fn hexpiretime(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    tell_times(ctx, args, seconds)
}

fn hpexpiretime(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    tell_times(ctx, args, |at_ms| at_ms)
}

/// Rounded up to a second.
fn seconds(ms: i64) -> i64 {
    ms.saturating_add(999) / 1000
}

fn tell_times(ctx: &mut Context<'_, '_>, args: &[&[u8]], show: impl Fn(i64) -> i64) -> CommandResult {
    let (hash, reply) = ctx.read_hash_with_reply(args[1])?;
    let fields = fields(args, 2, BAD_COUNT)?;
    reply.array(fields.len());
    for field in fields {
        reply.int(match hash.and_then(|hash| hash.get_timed(field)) {
            None => NO_FIELD,
            Some((_, None)) => NO_TIME,
            Some((_, Some(at_ms))) => show(at_ms),
        });
    }
    DONE
}

fn hpersist(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, now_ms) = (args[1], ctx.fields_now_ms());
    let parsed = fields(args, 2, BAD_COUNT);
    let named = *parsed.as_ref().unwrap_or(&&[][..]);
    let (mut hash, reply) = ctx.hash_mut_with_reply(key, named.iter().copied())?;
    let fields = parsed?;
    let mut persisted: Vec<&[u8]> = Vec::new();
    reply.array(fields.len());
    for field in fields {
        let found = hash.as_ref().and_then(|hash| hash.at(now_ms).get_timed(field));
        let time = found.map(|(_, time)| time);
        reply.int(match (time, &mut hash) {
            (Some(Some(_)), Some(hash)) => {
                hash.set_time(field, None);
                persisted.push(field);
                1
            }
            (Some(_), _) => NO_TIME,
            (None, _) => NO_FIELD,
        });
    }
    if !persisted.is_empty() {
        ctx.hash_changed(key, 1, true);
        ctx.tell(EventClass::Hash, "hpersist", key);
        log_persisted(ctx, key, &persisted);
    }
    DONE
}

#[cfg(test)]
#[path = "hash_expiry_tests.rs"]
mod tests;
