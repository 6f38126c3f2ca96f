//! XINFO.

use super::groups::{bad_subcommand, no_such_group};
use super::ranges::{write_entries, write_entry};
use crate::command::args::int;
use crate::command::{CommandError, CommandResult, Context, DONE};
use crate::resp::reply::Reply;
use crate::value::Stream;
use crate::value::stream::{Consumer, Entries, Group, Pending, StreamId};

/// Entries, and pending entries of each group and consumer, that the full form shows unless told otherwise.
const FULL_COUNT: usize = 10;

fn write_id(reply: &mut Reply<'_>, name: &str, id: StreamId) {
    reply.bulk(name);
    reply.bulk(id.text());
}

fn write_int(reply: &mut Reply<'_>, name: &str, value: i64) {
    reply.bulk(name);
    reply.int(value);
}

fn write_int_or_null(reply: &mut Reply<'_>, name: &str, value: Option<i64>) {
    reply.bulk(name);
    match value {
        Some(value) => reply.int(value),
        None => reply.null(),
    }
}

/// The number behind FULL COUNT; `None` without FULL. 0 shows everything.
fn full_count(args: &[&[u8]]) -> Result<Option<usize>, CommandError> {
    let count = match args.get(3..).unwrap_or_default() {
        [] => return Ok(None),
        [word] if word.eq_ignore_ascii_case(b"full") => return Ok(Some(FULL_COUNT)),
        [word, count, value]
            if word.eq_ignore_ascii_case(b"full") && count.eq_ignore_ascii_case(b"count") =>
        {
            int(value)?
        }
        _ => return Err(bad_subcommand(args)),
    };
    Ok(Some(usize::try_from(count).unwrap_or(FULL_COUNT)))
}

pub(super) fn stream(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (stream, reply) = ctx.read_stream_with_reply(args[2])?;
    let Some(stream) = stream else { return Err(CommandError::NoSuchKey) };
    let full = full_count(args)?;
    reply.map(if full.is_some() { 9 } else { 10 });
    write_figures(reply, stream.entries());
    match full {
        None => write_edges(reply, stream),
        Some(count) => write_full(reply, stream, count),
    }
    DONE
}

fn write_figures(reply: &mut Reply<'_>, entries: &Entries) {
    write_int(reply, "length", entries.len() as i64);
    write_int(reply, "radix-tree-keys", entries.node_count() as i64);
    write_int(reply, "radix-tree-nodes", entries.radix_node_count() as i64);
    write_id(reply, "last-generated-id", entries.last_id);
    write_id(reply, "max-deleted-entry-id", entries.max_deleted_id);
    write_int(reply, "entries-added", entries.added as i64);
    write_id(reply, "recorded-first-entry-id", entries.first_id);
}

fn write_edges(reply: &mut Reply<'_>, stream: &Stream) {
    let entries = stream.entries();
    write_int(reply, "groups", stream.groups().len() as i64);
    let first = entries.range(StreamId::MIN, StreamId::MAX).next();
    let last = entries.range_down(StreamId::MIN, StreamId::MAX).next();
    for (name, entry) in [("first-entry", first), ("last-entry", last)] {
        reply.bulk(name);
        match entry {
            Some(entry) => write_entry(reply, &entry),
            None => reply.null(),
        }
    }
}

fn write_full(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    reply.bulk("entries");
    write_entries(reply, stream.entries().range(StreamId::MIN, StreamId::MAX), count);
    reply.bulk("groups");
    reply.array(stream.groups().len());
    let most = if count == 0 { usize::MAX } else { count };
    for (name, group) in stream.groups() {
        reply.map(7);
        reply.bulk("name");
        reply.bulk(name);
        write_progress(reply, stream, group);
        write_int(reply, "pel-count", group.pending().len() as i64);
        reply.bulk("pending");
        reply.array(group.pending().len().min(most));
        for (id, pending) in group.pending().iter().take(most) {
            reply.array(4);
            reply.bulk(id.text());
            reply.bulk(group.consumer(pending.consumer).name());
            write_delivery(reply, pending);
        }
        reply.bulk("consumers");
        reply.array(group.consumers().len());
        group.consumers().for_each(|consumer| write_consumer(reply, group, consumer, most));
    }
}

/// How far a group is.
fn write_progress(reply: &mut Reply<'_>, stream: &Stream, group: &Group) {
    write_id(reply, "last-delivered-id", group.last_id);
    write_int_or_null(reply, "entries-read", group.entries_read.map(|read| read as i64));
    write_int_or_null(reply, "lag", stream.lag(group));
}

fn write_delivery(reply: &mut Reply<'_>, pending: &Pending) {
    reply.int(pending.delivered_ms);
    reply.int(pending.deliveries as i64);
}

fn write_consumer(reply: &mut Reply<'_>, group: &Group, consumer: &Consumer, most: usize) {
    reply.map(5);
    reply.bulk("name");
    reply.bulk(consumer.name());
    write_int(reply, "seen-time", consumer.seen_ms);
    write_int(reply, "active-time", consumer.active_ms.unwrap_or(-1));
    write_int(reply, "pel-count", consumer.pending().len() as i64);
    reply.bulk("pending");
    reply.array(consumer.pending().len().min(most));
    let pending = consumer.pending().iter().take(most);
    for (id, pending) in pending.filter_map(|id| Some((id, group.pending_entry(*id)?))) {
        reply.array(3);
        reply.bulk(id.text());
        write_delivery(reply, pending);
    }
}

pub(super) fn groups(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (stream, reply) = ctx.read_stream_with_reply(args[2])?;
    let Some(stream) = stream else { return Err(CommandError::NoSuchKey) };
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk("name");
        reply.bulk(name);
        write_int(reply, "consumers", group.consumers().len() as i64);
        write_int(reply, "pending", group.pending().len() as i64);
        write_progress(reply, stream, group);
    }
    DONE
}

pub(super) fn consumers(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let now_ms = ctx.now_ms;
    let (stream, reply) = ctx.read_stream_with_reply(args[2])?;
    let Some(stream) = stream else { return Err(CommandError::NoSuchKey) };
    let group = stream.group(args[3]).ok_or_else(|| no_such_group(args[2], args[3]))?;
    reply.array(group.consumers().len());
    for consumer in group.consumers() {
        let since = |ms: i64| now_ms.wrapping_sub(ms).max(0);
        reply.map(4);
        reply.bulk("name");
        reply.bulk(consumer.name());
        write_int(reply, "pending", consumer.pending().len() as i64);
        write_int(reply, "idle", since(consumer.seen_ms));
        write_int(reply, "inactive", consumer.active_ms.map_or(-1, since));
    }
    DONE
}
