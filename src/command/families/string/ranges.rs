//! Parts of strings: APPEND, STRLEN, GETRANGE, SETRANGE.

use crate::command::args::int;
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::keyspace::ValueRef;

/// The length of the string at a key for a writing command; `None` where there is none.
fn len_for_write(ctx: &mut Context<'_, '_>, key: &[u8]) -> Result<Option<usize>, CommandError> {
    match ctx.lookup(key).map(|entry| entry.value()) {
        None => Ok(None),
        Some(ValueRef::Object(_)) => Err(CommandError::WrongType),
        Some(value) => Ok(Some(string_len(value))),
    }
}

fn string_len(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Int(n) => itoa::Buffer::new().format(n).len(),
        ValueRef::Bytes(bytes) => bytes.len(),
        ValueRef::Object(_) => 0,
    }
}

pub(super) fn append(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, tail) = (args[1], args[2]);
    let len = match len_for_write(ctx, key)? {
        None => {
            ctx.set_string(key, tail, None);
            tail.len()
        }
        Some(len) => {
            let total = ctx.check_string_len(len, tail.len())?;
            ctx.edit_string(key, |bytes| bytes.extend_from_slice(tail))?;
            ctx.modified(key);
            total
        }
    };
    ctx.tell(EventClass::String, "append", key);
    ctx.reply.int(len as i64);
    DONE
}

pub(super) fn strlen(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let len = ctx.read_string(args[1])?.map_or(0, string_len);
    ctx.reply.int(len as i64);
    DONE
}

/// The bytes that GETRANGE's offsets (negative: from the end) mean in a string of `len` bytes.
fn range_of(len: usize, start: i64, end: i64) -> std::ops::Range<usize> {
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let signed_len = len as i64;
    // An end before the beginning still means the first byte, as in Redis.
    let from_front = |at: i64| if at < 0 { at.saturating_add(signed_len).max(0) } else { at };
    let start = from_front(start) as usize;
    let end = (from_front(end) as usize).saturating_add(1).min(len);
    start.min(end)..end
}

pub(super) fn getrange(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (start, end) = (int(args[2])?, int(args[3])?);
    let (value, reply) = ctx.read_with_reply(args[1]);
    let mut text = itoa::Buffer::new();
    let bytes = match value {
        None => b"",
        Some(ValueRef::Object(_)) => return Err(CommandError::WrongType),
        Some(ValueRef::Int(n)) => text.format(n).as_bytes(),
        Some(ValueRef::Bytes(bytes)) => bytes,
    };
    reply.bulk(bytes.get(range_of(bytes.len(), start, end)).unwrap_or_default());
    DONE
}

pub(super) fn setrange(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, patch) = (args[1], args[3]);
    let offset = int(args[2])?;
    let offset = usize::try_from(offset).map_err(|_| CommandError::text("ERR offset is out of range"))?;
    let len = len_for_write(ctx, key)?.unwrap_or(0);
    if patch.is_empty() {
        ctx.reply.int(len as i64);
        return DONE;
    }
    let end = ctx.check_string_len(offset, patch.len())?;
    let (new_len, _) = ctx.edit_bytes(key, end, |bytes| {
        if let Some(place) = bytes.get_mut(offset..end) {
            place.copy_from_slice(patch);
        }
        bytes.len()
    })?;
    ctx.modified(key);
    ctx.tell(EventClass::String, "setrange", key);
    ctx.reply.int(new_len as i64);
    DONE
}

#[cfg(test)]
mod tests {
    use super::range_of;

    #[test]
    fn ranges() {
        let cases = [
            ((0, -1), 0..5),
            ((-3, -2), 2..4),
            ((3, 100), 3..5),
            ((-100, 100), 0..5),
            ((0, -100), 0..1),
            ((-1, -2), 0..0),
            ((i64::MIN, i64::MAX), 0..5),
        ];
        for ((start, end), range) in cases {
            assert_eq!(range_of(5, start, end), range, "{start} {end}");
        }
        for (start, end) in [(5, 9), (4, 3), (i64::MAX, i64::MAX), (i64::MAX, 2)] {
            assert!(range_of(5, start, end).is_empty(), "{start} {end}");
            assert!(range_of(0, start, end).is_empty());
        }
        assert!(range_of(0, 0, -1).is_empty());
    }
}
