//! XREAD and XREADGROUP.
//!
//! A client that waits has its whole command run again when one of its keys becomes ready; `$` was resolved when it began
//! to wait. A consumer comes to be when it first asks, whether or not it gets something.

use super::groups::{CONSUMER_CREATED, naming_two};
use super::ids::{self, until_nul};
use super::propagation::{Claim, GroupChange, log_consumer};
use super::ranges::{count, write_entry};
use crate::base::num::parse_i64;
use crate::command::table::TimeoutReply;
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::keyspace::Entry as KeyEntry;
use crate::resp::reply::Reply;
use crate::value::stream::{ConsumerId, Entries, Group, Pending, StreamId};
use crate::value::{Stream, Value};

pub(super) fn xread(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let options = Options::parse(args, false)?;
    read(ctx, args, &options)
}

pub(super) fn xreadgroup(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let options = Options::parse(args, true)?;
    read(ctx, args, &options)
}

/// A group, and the consumer that reads.
#[derive(Clone, Copy)]
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
}

struct Options<'a, 'b> {
    block_ms: Option<u64>,
    /// 0: any number.
    count: usize,
    no_ack: bool,
    reader: Option<Reader<'a>>,
    keys: &'b [&'a [u8]],
    ids: &'b [&'a [u8]],
}

impl<'a, 'b> Options<'a, 'b> {
    fn parse(args: &'b [&'a [u8]], grouped: bool) -> Result<Self, CommandError> {
        let mut options =
            Options { block_ms: None, count: 0, no_ack: false, reader: None, keys: &[], ids: &[] };
        let mut at = 1;
        let mut found = false;
        while let Some(arg) = args.get(at) {
            let rest = &args[at + 1..];
            let is = |word: &str| arg.eq_ignore_ascii_case(word.as_bytes());
            match rest {
                [value, ..] if is("block") => {
                    options.block_ms = Some(block_ms(value)?);
                    at += 2;
                }
                [value, ..] if is("count") => {
                    options.count = count(value)?;
                    at += 2;
                }
                [_, ..] if is("streams") => {
                    (options.keys, options.ids) = rest.split_at(rest.len() / 2);
                    found = true;
                    break;
                }
                [group, consumer, ..] if is("group") => {
                    only_grouped("GROUP", grouped)?;
                    options.reader = Some(Reader { group, consumer });
                    at += 3;
                }
                _ if is("noack") => {
                    only_grouped("NOACK", grouped)?;
                    options.no_ack = true;
                    at += 1;
                }
                _ => return Err(CommandError::Syntax),
            }
        }
        if options.keys.len() != options.ids.len() {
            return Err(CommandError::text(match grouped {
                false => {
                    "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified."
                }
                true => {
                    "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
                }
            }));
        }
        if !found {
            return Err(CommandError::Syntax);
        }
        if grouped && options.reader.is_none() {
            return Err(CommandError::text("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(options)
    }
}

fn only_grouped(option: &str, grouped: bool) -> Result<(), CommandError> {
    match grouped {
        true => Ok(()),
        false => Err(CommandError::owned(format!(
            "ERR The {option} option is only supported by XREADGROUP. You called XREAD instead."
        ))),
    }
}

fn block_ms(arg: &[u8]) -> Result<u64, CommandError> {
    let ms = parse_i64(arg).ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    match ms {
        // In ms, a time that far is as good as none, but it would leave the range of the clock.
        _ if ms > i64::MAX / 2 => Err(CommandError::text("ERR timeout is out of range")),
        _ => u64::try_from(ms).map_err(|_| CommandError::text("ERR timeout is negative")),
    }
}

fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    let parts = ["NOGROUP No such key '", "' or consumer group '", "' in XREADGROUP with GROUP option"];
    naming_two(parts, key, group)
}

fn read(ctx: &mut Context<'_, '_>, args: &[&[u8]], options: &Options<'_, '_>) -> CommandResult {
    let mut starts = Vec::new();
    for (key, id) in options.keys.iter().zip(options.ids) {
        starts.push(resolve(ctx, options, key, id)?);
    }
    let mark = ctx.reply.mark();
    let deferred = if ctx.reply.is_resp3() { ctx.reply.deferred_map() } else { ctx.reply.deferred_array() };
    let mut served = 0;
    for (key, start) in options.keys.iter().zip(&starts) {
        served += usize::from(read_one(ctx, options, key, *start)?);
    }
    if served == 0 {
        ctx.reply.truncate_to(mark);
    }
    if ctx.reply.is_resp3() {
        ctx.reply.finish_map(deferred, served);
    } else {
        ctx.reply.finish_array(deferred, served);
    }
    if served > 0 {
        // What changed was logged piece by piece.
        ctx.log_nothing();
        return DONE;
    }
    match options.block_ms {
        None => {
            ctx.reply.null_array();
            DONE
        }
        Some(timeout_ms) => {
            let resolved = args_with_ids(args, options, &starts);
            ctx.block_as(resolved, options.keys, timeout_ms, TimeoutReply::NullArray)
        }
    }
}

/// The command with each `$` replaced by the id that it means now.
fn args_with_ids(args: &[&[u8]], options: &Options<'_, '_>, starts: &[StreamId]) -> Vec<Box<[u8]>> {
    let mut args: Vec<Box<[u8]>> = args.iter().map(|arg| Box::from(*arg)).collect();
    let from = args.len() - options.ids.len();
    for (arg, start) in args[from..].iter_mut().zip(starts) {
        if until_nul(arg) == b"$" {
            *arg = Box::from(start.text().as_ref());
        }
    }
    args
}

/// The id behind which the reading of a key starts; the greatest stands for `>`.
fn resolve(
    ctx: &mut Context<'_, '_>,
    options: &Options<'_, '_>,
    key: &[u8],
    id: &[u8],
) -> Result<StreamId, CommandError> {
    let stream = ctx.read_stream(key)?;
    if let Some(Reader { group, .. }) = options.reader
        && stream.and_then(|stream| stream.group(group)).is_none()
    {
        return Err(no_group(key, group));
    }
    match (until_nul(id), options.reader) {
        (b"$", Some(_)) => Err(CommandError::text(
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this \
             consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just \
             return an empty result set.",
        )),
        (b"$", None) => Ok(stream.map_or(StreamId::MIN, |stream| stream.entries().last_id)),
        (b">", Some(_)) => Ok(StreamId::MAX),
        (b">", None) => Err(CommandError::text(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
             option.",
        )),
        _ => ids::id(id),
    }
}

/// Reads one key, and writes its name and entries; false (and nothing is written) if there is nothing to read.
fn read_one(
    ctx: &mut Context<'_, '_>,
    options: &Options<'_, '_>,
    key: &[u8],
    after: StreamId,
) -> Result<bool, CommandError> {
    let Some(stream) = ctx.read_stream(key)? else { return Ok(false) };
    let has_more = |than: StreamId| stream.entries().last_live_id().is_some_and(|last| last > than);
    match options.reader {
        None if !has_more(after) => Ok(false),
        None => {
            write_after(ctx, key, after, options.count)?;
            Ok(true)
        }
        Some(reader) => {
            let Some(group) = stream.group(reader.group) else { return Ok(false) };
            let wanted = match after {
                StreamId::MAX if has_more(group.last_id) => Wanted::New,
                StreamId::MAX => {
                    note_asking(ctx, key, reader)?;
                    return Ok(false);
                }
                after => Wanted::After(after),
            };
            deliver(ctx, key, reader, wanted, options.count, options.no_ack)?;
            Ok(true)
        }
    }
}

/// Notes that a consumer asked for entries where there are none for it, and makes it known if it is new.
fn note_asking(ctx: &mut Context<'_, '_>, key: &[u8], reader: Reader<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms;
    let (entry, ..) = ctx.lookup_with(key);
    let stream = stream_of(entry)?.ok_or_else(|| no_group(key, reader.group))?;
    let (_, group) = stream.group_mut(reader.group).ok_or_else(|| no_group(key, reader.group))?;
    let (_, is_new) = group.consumer_or_new(reader.consumer, now_ms);
    if is_new {
        ctx.dirty += 1;
        ctx.tell(EventClass::Stream, CONSUMER_CREATED, key);
        log_consumer(ctx, key, reader.group, reader.consumer);
    }
    Ok(())
}

fn write_key(reply: &mut Reply<'_>, key: &[u8]) {
    if !reply.is_resp3() {
        reply.array(2);
    }
    reply.bulk(key);
}

fn write_after(
    ctx: &mut Context<'_, '_>,
    key: &[u8],
    after: StreamId,
    count: usize,
) -> Result<(), CommandError> {
    let (stream, reply) = ctx.read_stream_with_reply(key)?;
    write_key(reply, key);
    match (stream, after.next()) {
        (Some(stream), Some(start)) => {
            super::ranges::write_entries(reply, stream.entries().range(start, StreamId::MAX), count);
        }
        _ => reply.array(0),
    }
    Ok(())
}

/// What a consumer wants.
#[derive(Clone, Copy)]
enum Wanted {
    /// What nobody of the group got.
    New,
    /// What it got itself and has not acknowledged, behind this id.
    After(StreamId),
}

/// Writes the entries a consumer is given, and notes and logs that they were given to it.
fn deliver(
    ctx: &mut Context<'_, '_>,
    key: &[u8],
    reader: Reader<'_>,
    wanted: Wanted,
    count: usize,
    no_ack: bool,
) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms;
    let (entry, reply, _) = ctx.lookup_with(key);
    let stream = stream_of(entry)?.ok_or_else(|| no_group(key, reader.group))?;
    let (entries, group) = stream.group_mut(reader.group).ok_or_else(|| no_group(key, reader.group))?;
    let (consumer, is_new) = group.consumer_or_new(reader.consumer, now_ms);
    write_key(reply, key);
    let was_at = group.last_id;
    let limit = if count == 0 { usize::MAX } else { count };
    let owner = |no_ack: bool| (!no_ack).then_some(consumer);
    let claims = match wanted {
        Wanted::New => give_new(reply, entries, group, owner(no_ack), limit, now_ms),
        Wanted::After(after) => give_again(reply, entries, group, consumer, after, limit, now_ms),
    };
    let change = GroupChange {
        new_consumer: (is_new && claims.is_empty()).then_some(reader.consumer),
        read_to: (group.last_id != was_at).then_some((group.last_id, group.entries_read)),
        claims,
    };
    // A new consumer counts as a change of its own.
    ctx.dirty += 1 + u64::from(is_new);
    if is_new {
        ctx.tell(EventClass::Stream, CONSUMER_CREATED, key);
    }
    change.log(ctx, key, reader.group, reader.consumer);
    Ok(())
}

/// The stream in a key's entry, to be changed.
pub(super) fn stream_of(entry: Option<&mut KeyEntry>) -> Result<Option<&mut Stream>, CommandError> {
    match entry.map(KeyEntry::object_mut) {
        None => Ok(None),
        Some(Some(Value::Stream(stream))) => Ok(Some(stream)),
        Some(_) => Err(CommandError::WrongType),
    }
}

/// Writes entries behind the group's last, moves it on, and makes them pending for `owner`.
fn give_new(
    reply: &mut Reply<'_>,
    entries: &Entries,
    group: &mut Group,
    owner: Option<ConsumerId>,
    limit: usize,
    now_ms: i64,
) -> Vec<Claim> {
    let deferred = reply.deferred_array();
    let (mut claims, mut written) = (Vec::new(), 0);
    let start = group.last_id.next().unwrap_or(StreamId::MIN);
    for entry in entries.range(start, StreamId::MAX).take(limit) {
        let id = entry.id;
        if id > group.last_id {
            group.entries_read = match group.entries_read {
                Some(read) if !entries.has_gap_from(id) => Some(read.saturating_add(1)),
                read if entries.added == 0 => read,
                _ => entries.added_up_to(id),
            };
            group.last_id = id;
        }
        write_entry(reply, &entry);
        written += 1;
        if let Some(consumer) = owner {
            group.assign(id, Pending { delivered_ms: now_ms, deliveries: 1, consumer });
            claims.push(Claim { id, delivered_ms: now_ms, deliveries: 1, last_id: group.last_id });
        }
    }
    reply.finish_array(deferred, written);
    if let Some(consumer) = owner.filter(|_| !claims.is_empty()) {
        group.active(consumer, Some(now_ms));
    }
    claims
}

/// Writes entries that are pending for a consumer; those that were deleted from the stream without their fields.
fn give_again(
    reply: &mut Reply<'_>,
    entries: &Entries,
    group: &mut Group,
    consumer: ConsumerId,
    after: StreamId,
    limit: usize,
    now_ms: i64,
) -> Vec<Claim> {
    let start = after.next().unwrap_or(StreamId::MIN);
    let pending = group.pending_range(Some(consumer), start..=StreamId::MAX).take(limit);
    let pending: Vec<(StreamId, Pending)> = pending.map(|(id, pending)| (id, *pending)).collect();
    reply.array(pending.len());
    let mut claims = Vec::new();
    for (id, pending) in pending {
        let Some(entry) = entries.get(id) else {
            reply.array(2);
            reply.bulk(id.text());
            reply.null_array();
            continue;
        };
        write_entry(reply, &entry);
        let again =
            Pending { delivered_ms: now_ms, deliveries: pending.deliveries.wrapping_add(1), consumer };
        group.assign(id, again);
        let Pending { delivered_ms, deliveries, .. } = again;
        claims.push(Claim { id, delivered_ms, deliveries, last_id: group.last_id });
    }
    claims
}
