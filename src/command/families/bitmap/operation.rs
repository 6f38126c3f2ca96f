//! BITOP.

use super::text;
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::keyspace::Entry;
use crate::value::bits::{BitOp, combine};

fn operation(word: &[u8]) -> Result<BitOp, CommandError> {
    let known = [(&b"and"[..], BitOp::And), (b"or", BitOp::Or), (b"xor", BitOp::Xor), (b"not", BitOp::Not)];
    let found = known.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    found.map(|(_, op)| op).ok_or(CommandError::Syntax)
}

pub(super) fn bitop(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (op, target, keys) = (operation(args[1])?, args[2], &args[3..]);
    if op == BitOp::Not && keys.len() != 1 {
        return Err(CommandError::text("ERR BITOP NOT must be called with a single source key."));
    }
    for key in keys {
        ctx.read_string(key)?;
    }
    let (reading, _, _) = ctx.reading();
    let mut buffers: Vec<itoa::Buffer> = keys.iter().map(|_| itoa::Buffer::new()).collect();
    let sources = keys
        .iter()
        .zip(&mut buffers)
        .map(|(key, buffer)| Ok(text(reading.entry(key).map(Entry::value), buffer)?.unwrap_or_default()))
        .collect::<Result<Vec<&[u8]>, CommandError>>()?;
    let result = combine(op, &sources);
    let len = result.len();
    if len > 0 {
        ctx.set_edited(target, result);
        ctx.tell(EventClass::String, "set", target);
    } else {
        ctx.remove_stored(target);
    }
    ctx.reply.int(len as i64);
    DONE
}
