//! HyperLogLog commands: how many different elements were seen, about.

use crate::command::context::ExpiryMode;
use crate::command::error::quoting;
use crate::command::table::{Command, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::keyspace::ValueRef;
use crate::value::hyperloglog::{self as hll, HyperLogLogRef, Invalid, Registers, Run};
use std::fmt::Write;

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("pfadd", -2, WRITE | DENYOOM | FAST, pfadd)
        .keys(&[KeySpec::one(key::RW | key::INSERT, 1)])
        .acl(acl::HYPERLOGLOG)
        .doc(
            "hyperloglog",
            "2.8.9",
            "O(1) an element",
            "Adds elements to a HyperLogLog, making it if it is not there.",
            "key [element [element ...]]",
        ),
    Command::new("pfcount", -2, READONLY | LOGGED | MAY_REPLICATE, pfcount)
        .keys(&[KeySpec::range(key::RW | key::ACCESS, 1, -1, 1)])
        .acl(acl::HYPERLOGLOG)
        .doc(
            "hyperloglog",
            "2.8.9",
            "O(1) for one key, O(N) for N keys",
            "Returns about how many different elements were added to any of some HyperLogLogs.",
            "key [key ...]",
        ),
    Command::new("pfmerge", -2, WRITE | DENYOOM, pfmerge)
        .keys(&[
            KeySpec::one(key::RW | key::ACCESS | key::INSERT, 1),
            KeySpec::range(key::RO | key::ACCESS, 2, -1, 1),
        ])
        .acl(acl::HYPERLOGLOG)
        .doc(
            "hyperloglog",
            "2.8.9",
            "O(N) with N keys",
            "Adds what was added to some HyperLogLogs to another.",
            "destkey [sourcekey [sourcekey ...]]",
        ),
    Command::new("pfdebug", 3, WRITE | DENYOOM | ADMIN, pfdebug)
        .keys(&[KeySpec::one(key::RW | key::ACCESS, 2)])
        .acl(acl::HYPERLOGLOG)
        .doc(
            "hyperloglog",
            "2.8.9",
            "O(1)",
            "Shows how a HyperLogLog is kept.",
            "DECODE | ENCODING | GETREG | TODENSE key",
        ),
    Command::new("pfselftest", 1, ADMIN, pfselftest).acl(acl::HYPERLOGLOG).doc(
        "hyperloglog",
        "2.8.9",
        "O(1), but it takes a good part of a second",
        "Tests the HyperLogLog implementation.",
        "",
    ),
];

impl From<Invalid> for CommandError {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            Invalid::Foreign => CommandError::text("WRONGTYPE Key is not a valid HyperLogLog string value."),
            Invalid::Corrupted => CommandError::text("INVALIDOBJ Corrupted HLL object detected"),
        }
    }
}

/// The HyperLogLog that a value is; refuses what is none.
fn checked(value: ValueRef<'_>) -> Result<HyperLogLogRef<'_>, CommandError> {
    match value {
        ValueRef::Bytes(bytes) => Ok(HyperLogLogRef::new(bytes)?),
        ValueRef::Int(_) => Err(Invalid::Foreign.into()),
        ValueRef::Object(_) => Err(CommandError::WrongType),
    }
}

/// The HyperLogLog at a key for a reading command.
fn read<'c>(ctx: &'c mut Context<'_, '_>, key: &[u8]) -> Result<Option<HyperLogLogRef<'c>>, CommandError> {
    ctx.read(key).map(|entry| checked(entry.value())).transpose()
}

/// Adds elements to the whole HyperLogLog in `bytes`; returns how many changed it. Where it turns out to be corrupted,
/// nothing has changed.
fn add_all(bytes: &mut Vec<u8>, elements: &[&[u8]], max_bytes: usize) -> Result<usize, Invalid> {
    let is_dense = HyperLogLogRef::new(bytes)?.is_dense();
    // The first element either succeeds or changes nothing.
    let backup = (elements.len() > 1 && !is_dense).then(|| bytes.clone());
    let mut changes = 0;
    for element in elements {
        match hll::add(bytes, element, max_bytes) {
            Ok(changed) => changes += usize::from(changed),
            Err(invalid) => {
                if let Some(backup) = backup {
                    *bytes = backup;
                }
                return Err(invalid);
            }
        }
    }
    Ok(changes)
}

fn pfadd(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, elements) = (args[1], &args[2..]);
    let max_bytes = ctx.settings.limits.hll_sparse_max_bytes;
    let is_new = match ctx.lookup(key) {
        Some(entry) => checked(entry.value()).map(|_| false)?,
        None => true,
    };
    let added = ctx.edit_string(key, |bytes| {
        if is_new {
            *bytes = hll::empty();
            hll::invalidate_cache(bytes);
        }
        add_all(bytes, elements, max_bytes)
    })??;
    let changes = added + usize::from(is_new);
    if changes > 0 {
        ctx.modified_times(key, changes);
        ctx.tell(EventClass::String, "pfadd", key);
    }
    ctx.reply.int(i64::from(changes > 0));
    DONE
}

fn pfcount(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let count = match &args[1..] {
        [key] => count_one(ctx, key)?,
        keys => merged(ctx, keys)?.0.count(),
    };
    ctx.reply.int(count as i64);
    DONE
}

/// The count of one key, worked out only if it changed since the last time.
fn count_one(ctx: &mut Context<'_, '_>, key: &[u8]) -> Result<u64, CommandError> {
    if read(ctx, key)?.is_none() {
        return Ok(0);
    }
    // A replica's data change by its primary's word alone.
    let may_change = ctx.expiry != ExpiryMode::Hide;
    if may_change {
        becomes_raw(ctx, key)?;
    }
    let Some(found) = ctx.peek(key).map(|entry| checked(entry.value())).transpose()? else { return Ok(0) };
    if let Some(count) = found.cached_count() {
        return Ok(count);
    }
    let count = found.count()?;
    if may_change {
        ctx.edit_bytes(key, 0, |bytes| hll::cache_count(bytes, count))?;
        ctx.modified(key);
        ctx.log(&[b"PFCOUNT", key]);
    }
    Ok(count)
}

/// Has OBJECT ENCODING say `raw` of what might be changed, as in Redis.
fn becomes_raw(ctx: &mut Context<'_, '_>, key: &[u8]) -> Result<(), CommandError> {
    ctx.edit_bytes(key, 0, |_| ()).map(|_| ())
}

/// The registers of several merged, and whether one of them was dense.
fn merged(ctx: &mut Context<'_, '_>, keys: &[&[u8]]) -> Result<(Registers, bool), CommandError> {
    let (mut registers, mut some_dense) = (Registers::default(), false);
    for key in keys {
        if let Some(found) = read(ctx, key)? {
            some_dense |= found.is_dense();
            found.merge_into(&mut registers)?;
        }
    }
    Ok((registers, some_dense))
}

fn pfmerge(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let max_bytes = ctx.settings.limits.hll_sparse_max_bytes;
    let (registers, some_dense) = merged(ctx, &args[1..])?;
    // What is there is valid: it was merged, too.
    let is_new = ctx.lookup(key).is_none();
    ctx.edit_string(key, |bytes| {
        if is_new {
            *bytes = hll::empty();
        }
        if some_dense {
            hll::to_dense(bytes)?;
        }
        for (index, value) in registers.iter().enumerate().filter(|(_, value)| *value > 0) {
            hll::raise(bytes, index, value, max_bytes)?;
        }
        hll::invalidate_cache(bytes);
        Ok::<(), Invalid>(())
    })??;
    ctx.modified(key);
    ctx.tell(EventClass::String, "pfadd", key);
    ctx.reply.ok();
    DONE
}

fn pfdebug(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (word, key) = (args[1], args[2]);
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let Some(entry) = ctx.lookup(key) else {
        return Err(CommandError::text("ERR The specified key does not exist"));
    };
    checked(entry.value())?;
    becomes_raw(ctx, key)?;
    let Some(found) = ctx.peek(key).map(|entry| checked(entry.value())).transpose()? else { return DONE };
    if is("encoding") {
        let name = if found.is_dense() { "dense" } else { "sparse" };
        ctx.reply.simple(name);
    } else if is("decode") {
        if found.is_dense() {
            return Err(CommandError::text("ERR HLL encoding is not sparse"));
        }
        let text = decoded(found.runs());
        ctx.reply.bulk(text);
    } else if is("todense") {
        let converted = make_dense(ctx, key)?;
        ctx.reply.int(i64::from(converted));
    } else if is("getreg") {
        make_dense(ctx, key)?;
        let (registers, _) = merged(ctx, &[key])?;
        ctx.reply.array(hll::REGISTERS);
        registers.iter().for_each(|value| ctx.reply.int(i64::from(value)));
    } else {
        return Err(CommandError::Quoting(quoting("ERR Unknown PFDEBUG subcommand '", word, "'")));
    }
    DONE
}

/// Makes the one at a key dense; true if it was not.
fn make_dense(ctx: &mut Context<'_, '_>, key: &[u8]) -> Result<bool, CommandError> {
    let converted = ctx.edit_string(key, hll::to_dense)??;
    if converted {
        ctx.modified(key);
    }
    Ok(converted)
}

/// Runs as text: `z:` and `Z:` zeros (in one byte and in two), `v:` value and length.
fn decoded(runs: impl Iterator<Item = Run>) -> String {
    let mut text = String::new();
    for run in runs {
        let separator = if text.is_empty() { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = match (run.value, run.bytes) {
            (0, 1) => write!(text, "{separator}z:{}", run.len),
            (0, _) => write!(text, "{separator}Z:{}", run.len),
            (value, _) => write!(text, "{separator}v:{value},{}", run.len),
        };
    }
    text
}

fn pfselftest(ctx: &mut Context<'_, '_>, _: &[&[u8]]) -> CommandResult {
    hll::self_test(ctx.rng, ctx.settings.limits.hll_sparse_max_bytes)
        .map_err(|failure| CommandError::owned(format!("ERR TESTFAILED {failure}")))?;
    ctx.reply.ok();
    DONE
}

#[cfg(test)]
#[path = "hyperloglog_tests.rs"]
mod tests;
