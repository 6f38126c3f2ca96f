//! Values of hash fields together with their times: HGETEX, HSETEX, HGETDEL.

use super::hash::reply_value;
use super::hash_expiry::{BAD_COUNT, Timing, field_time, fields, log_deleted, log_persisted, log_times};
use crate::base::num::parse_i64;
use crate::command::error::quoting;
use crate::command::table::{Command, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::value::Hash;
use std::collections::BTreeMap;

const COST: &str = "O(N) with N fields named";
const SINCE: &str = "8.0.0";

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("hgetdel", -5, WRITE | FAST, hgetdel)
        .acl(acl::HASH)
        .keys(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1)])
        .doc(
            "hash",
            SINCE,
            COST,
            "Returns the values of fields and deletes them.",
            "key FIELDS numfields field [field ...]",
        ),
    Command::new("hgetex", -5, WRITE | FAST, hgetex)
        .acl(acl::HASH)
        .keys(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .doc(
            "hash",
            SINCE,
            COST,
            "Returns the values of fields, and may say when they expire.",
            "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] \
             FIELDS numfields field [field ...]",
        ),
    Command::new("hsetex", -6, WRITE | DENYOOM | FAST, hsetex)
        .acl(acl::HASH)
        .keys(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .doc(
            "hash",
            SINCE,
            COST,
            "Sets fields, and may say when they expire.",
            "key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
             PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value [field value ...]",
        ),
];

fn hgetdel(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, now_ms) = (args[1], ctx.fields_now_ms());
    let parsed = fields(args, 2, BAD_COUNT);
    let named = *parsed.as_ref().unwrap_or(&&[][..]);
    let (mut hash, reply) = ctx.hash_mut_with_reply(key, named.iter().copied())?;
    let fields = parsed?;
    let mut deleted: Vec<&[u8]> = Vec::new();
    reply.array(fields.len());
    for field in fields {
        let value = hash.as_ref().and_then(|hash| hash.at(now_ms).get(field));
        let found = value.is_some();
        reply_value(reply, value);
        if found && hash.as_mut().is_some_and(|hash| hash.delete(field)) {
            deleted.push(field);
        }
    }
    let timed = hash.is_some_and(|hash| hash.is_timed());
    if !deleted.is_empty() {
        ctx.hash_changed(key, deleted.len(), timed);
        ctx.tell(EventClass::Hash, "hdel", key);
        ctx.remove_if_empty(key);
        log_deleted(ctx, key, &deleted);
    }
    DONE
}

/// What becomes of the times of fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    /// Nothing was said: HGETEX leaves them, HSETEX takes them away.
    Unsaid,
    /// They are this, unix ms.
    At(i64),
    /// HGETEX: they are taken away.
    Persist,
    /// HSETEX: they stay.
    Keep,
}

/// What EX, PX, EXAT or PXAT make of their number: the unit, and whether it counts from now.
fn unit_of_word(word: &[u8]) -> Option<(i64, bool)> {
    let units: [(&[u8], i64, bool); 4] =
        [(b"ex", 1000, true), (b"px", 1, true), (b"exat", 1000, false), (b"pxat", 1, false)];
    let found = units.iter().find(|(name, _, _)| word.eq_ignore_ascii_case(name));
    found.map(|(_, unit_ms, relative)| (*unit_ms, *relative))
}

fn hgetex_args<'s, 'a>(args: &'s [&'a [u8]], now_ms: i64) -> Result<(Times, &'s [&'a [u8]]), CommandError> {
    let (times, at) = match unit_of_word(args[2]) {
        Some((unit_ms, relative)) => {
            let at_ms = field_time(args[3], unit_ms, if relative { now_ms } else { 0 }, "hgetex")?;
            (Times::At(at_ms), 4)
        }
        None if args[2].eq_ignore_ascii_case(b"persist") => (Times::Persist, 3),
        None => (Times::Unsaid, 2),
    };
    Ok((times, fields(args, at, BAD_COUNT)?))
}

fn hgetex(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, now_ms) = (args[1], ctx.fields_now_ms());
    // A key of another type is refused first.
    let parsed = hgetex_args(args, ctx.now_ms);
    let named = parsed.as_ref().map_or(&[][..], |(_, fields)| *fields);
    let mut timing = match parsed {
        Ok((Times::At(at_ms), _)) => Some(Timing::new(ctx, at_ms)),
        _ => None,
    };
    let (hash, reply) = ctx.hash_mut_with_reply(key, named.iter().copied())?;
    let (times, fields) = parsed?;
    reply.array(fields.len());
    let Some(hash) = hash else {
        fields.iter().for_each(|_| reply.null());
        return DONE;
    };
    if times != Times::Unsaid {
        hash.prepare_times();
    }
    let mut persisted: Vec<&[u8]> = Vec::new();
    for field in fields {
        let found = hash.at(now_ms).get_timed(field);
        reply_value(reply, found.map(|(value, _)| value));
        let has_time = found.is_some_and(|(_, time)| time.is_some());
        if let Some(timing) = &mut timing {
            timing.apply_always(hash, field);
        } else if times == Times::Persist && has_time {
            hash.set_time(field, None);
            persisted.push(field);
        }
    }
    if let Some(timing) = timing {
        timing.finish(ctx, key);
    }
    if !persisted.is_empty() {
        ctx.hash_changed(key, persisted.len(), true);
        ctx.tell(EventClass::Hash, "hpersist", key);
        log_persisted(ctx, key, &persisted);
    }
    DONE
}

/// Which fields HSETEX must find for it to set any.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Any,
    None,
    All,
}

/// The arguments of HSETEX behind the key.
struct SetArgs<'s, 'a> {
    found: Found,
    times: Times,
    pairs: &'s [&'a [u8]],
}

impl<'s, 'a> SetArgs<'s, 'a> {
    fn parse(args: &'s [&'a [u8]], now_ms: i64) -> Result<SetArgs<'s, 'a>, CommandError> {
        let mut parsed = SetArgs { found: Found::Any, times: Times::Unsaid, pairs: &[] };
        let mut at = 2;
        while let Some(word) = args.get(at) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if is("fields") {
                parsed.pairs = pairs(args, at)?;
                return Ok(parsed);
            } else if is("keepttl") {
                parsed.say_times(Times::Keep)?;
            } else if is("fnx") || is("fxx") {
                if parsed.found != Found::Any {
                    return Err(CommandError::text("ERR Only one of FXX or FNX arguments can be specified"));
                }
                parsed.found = if is("fnx") { Found::None } else { Found::All };
            } else if let Some((unit_ms, relative)) = unit_of_word(word) {
                parsed.say_times(Times::At(0))?;
                at += 1;
                let amount = args.get(at).ok_or(CommandError::text("ERR missing expire time"))?;
                let base_ms = if relative { now_ms } else { 0 };
                parsed.times = Times::At(field_time(amount, unit_ms, base_ms, "hsetex")?);
            } else {
                return Err(CommandError::Quoting(quoting("ERR unknown argument: ", word, "")));
            }
            at += 1;
        }
        Err(CommandError::Arity("hsetex".into()))
    }

    fn say_times(&mut self, times: Times) -> Result<(), CommandError> {
        if self.times != Times::Unsaid {
            return Err(CommandError::text(
                "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
            ));
        }
        self.times = times;
        Ok(())
    }

    fn fields(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'s, 'a> {
        self.pairs.iter().step_by(2).copied()
    }

    fn allows(&self, hash: Option<&Hash>, now_ms: i64) -> bool {
        let exists = |field: &[u8]| hash.is_some_and(|hash| hash.at(now_ms).contains(field));
        match self.found {
            Found::Any => true,
            Found::None => !self.fields().any(exists),
            Found::All => self.fields().all(exists),
        }
    }
}

/// The fields and values behind `FIELDS numfields` at `at`.
fn pairs<'s, 'a>(args: &'s [&'a [u8]], at: usize) -> Result<&'s [&'a [u8]], CommandError> {
    let arity = || CommandError::Arity("hsetex".into());
    let pairs = args.get(at + 2..).filter(|pairs| pairs.len() >= 2).ok_or_else(arity)?;
    let count = parse_i64(args[at + 1]).and_then(|count| usize::try_from(count).ok());
    let count = count.filter(|count| (1..=i32::MAX as usize).contains(count));
    let count = count.ok_or(CommandError::text("ERR invalid number of fields"))?;
    if pairs.len() != count * 2 { Err(arity()) } else { Ok(pairs) }
}

fn hsetex(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let call = SetArgs::parse(args, ctx.now_ms)?;
    let now_ms = ctx.fields_now_ms();
    let hash = ctx.hash_mut(key, call.fields())?;
    if !call.allows(hash.as_deref(), now_ms) {
        ctx.reply.int(0);
        return DONE;
    }
    match call.times {
        Times::At(at_ms) => {
            let timing = Timing::new(ctx, at_ms);
            if timing.is_past {
                delete_set(ctx, key, &call, timing)?
            } else {
                set_timed(ctx, key, &call, timing)?
            }
        }
        Times::Keep => set_keeping(ctx, key, &call)?,
        Times::Unsaid | Times::Persist => {
            set_pairs(ctx, key, &call, false)?;
            log_pairs(ctx, key, &call);
        }
    }
    ctx.reply.int(1);
    DONE
}

/// Sets the fields, which lose their times unless they are to `keep` them. Nothing is logged.
fn set_pairs(
    ctx: &mut Context<'_, '_>,
    key: &[u8],
    call: &SetArgs<'_, '_>,
    keep: bool,
) -> Result<(), CommandError> {
    let limits = &ctx.settings.limits;
    let hash = ctx.hash_or_new(key, call.fields())?;
    let longest = call.pairs.iter().map(|part| part.len()).max().unwrap_or(0);
    hash.prepare(call.pairs.len() / 2, longest, limits);
    for pair in call.pairs.chunks_exact(2) {
        if keep {
            hash.set_keeping_time(pair[0], pair[1], limits);
        } else {
            hash.set(pair[0], pair[1], limits);
        }
    }
    let timed = hash.is_timed();
    ctx.hash_changed(key, call.pairs.len() / 2, timed);
    ctx.tell(EventClass::Hash, "hset", key);
    Ok(())
}

/// Logs that the fields were set, and so lost their times.
fn log_pairs(ctx: &mut Context<'_, '_>, key: &[u8], call: &SetArgs<'_, '_>) {
    let mut effect: Vec<&[u8]> = vec![b"HSET", key];
    effect.extend_from_slice(call.pairs);
    ctx.log(&effect);
}

fn set_timed<'a>(
    ctx: &mut Context<'_, '_>,
    key: &[u8],
    call: &SetArgs<'_, 'a>,
    mut timing: Timing<'a>,
) -> Result<(), CommandError> {
    set_pairs(ctx, key, call, true)?;
    log_pairs(ctx, key, call);
    let hash = ctx.hash_or_new(key, std::iter::empty())?;
    hash.prepare_times();
    call.fields().for_each(|field| timing.apply_always(hash, field));
    timing.finish(ctx, key);
    Ok(())
}

/// Sets fields whose time has come: what is there of them goes.
fn delete_set<'a>(
    ctx: &mut Context<'_, '_>,
    key: &[u8],
    call: &SetArgs<'_, 'a>,
    mut timing: Timing<'a>,
) -> Result<(), CommandError> {
    if let Some(hash) = ctx.hash_mut(key, call.fields())? {
        call.fields().for_each(|field| timing.apply_always(hash, field));
        timing.finish(ctx, key);
    }
    Ok(())
}

fn set_keeping(ctx: &mut Context<'_, '_>, key: &[u8], call: &SetArgs<'_, '_>) -> Result<(), CommandError> {
    set_pairs(ctx, key, call, true)?;
    let mut kept: BTreeMap<i64, Vec<&[u8]>> = BTreeMap::new();
    let hash = ctx.hash_or_new(key, std::iter::empty())?;
    for field in call.fields() {
        if let Some(at_ms) = hash.time(field) {
            kept.entry(at_ms).or_default().push(field);
        }
    }
    log_pairs(ctx, key, call);
    for (at_ms, fields) in kept {
        log_times(ctx, key, at_ms, &fields);
    }
    Ok(())
}

#[cfg(test)]
#[path = "hash_expiry_values_tests.rs"]
mod tests;
