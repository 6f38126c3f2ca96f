//! XRANGE and XREVRANGE, and how entries are written.

use super::ids;
use crate::command::args::int;
use crate::command::elements::bulk_element;
use crate::command::{CommandError, CommandResult, Context, DONE};
use crate::resp::reply::Reply;
use crate::value::stream::Entry;

/// Writes an entry: its id, and fields and values in turn.
pub(super) fn write_entry(reply: &mut Reply<'_>, entry: &Entry<'_>) {
    reply.array(2);
    reply.bulk(entry.id.text());
    reply.array(2 * entry.len());
    for (field, value) in entry.fields() {
        bulk_element(reply, field);
        bulk_element(reply, value);
    }
}

/// Writes entries, at most `count` (0: all).
pub(super) fn write_entries<'a>(
    reply: &mut Reply<'_>,
    entries: impl Iterator<Item = Entry<'a>>,
    count: usize,
) {
    let deferred = reply.deferred_array();
    let mut written = 0;
    for entry in entries.take(if count == 0 { usize::MAX } else { count }) {
        write_entry(reply, &entry);
        written += 1;
    }
    reply.finish_array(deferred, written);
}

/// A COUNT: what is below 0 is 0.
pub(super) fn count(arg: &[u8]) -> Result<usize, CommandError> {
    Ok(usize::try_from(int(arg)?.max(0)).unwrap_or(usize::MAX))
}

pub(super) fn xrange(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    range(ctx, args, args[2], args[3], false)
}

pub(super) fn xrevrange(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    range(ctx, args, args[3], args[2], true)
}

fn range(
    ctx: &mut Context<'_, '_>,
    args: &[&[u8]],
    start: &[u8],
    end: &[u8],
    reverse: bool,
) -> CommandResult {
    let (start, end) = (ids::range_start(start)?, ids::range_end(end)?);
    let mut wanted = None;
    for option in args[4..].chunks(2) {
        match option {
            [word, value] if word.eq_ignore_ascii_case(b"count") => wanted = Some(count(value)?),
            _ => return Err(CommandError::Syntax),
        }
    }
    let (stream, reply) = ctx.read_stream_with_reply(args[1])?;
    let Some(stream) = stream else {
        reply.array(0);
        return DONE;
    };
    let entries = stream.entries();
    match (wanted, reverse) {
        (Some(0), _) => reply.null_array(),
        (count, false) => write_entries(reply, entries.range(start, end), count.unwrap_or(0)),
        (count, true) => write_entries(reply, entries.range_down(start, end), count.unwrap_or(0)),
    }
    DONE
}
