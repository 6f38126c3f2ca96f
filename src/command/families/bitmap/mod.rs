//! Commands on the bits of strings: their part of the table, single bits, counting and searching.

mod field;
mod operation;

use crate::base::num::parse_i64;
use crate::command::args::int;
use crate::command::table::{Command, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::keyspace::ValueRef;
use crate::value::bits;
use std::ops::Range;

const READ_KEY: &[KeySpec] = &[KeySpec::one(key::RO | key::ACCESS, 1)];

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("setbit", 4, WRITE | DENYOOM, setbit)
        .keys(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .acl(acl::BITMAP)
        .doc(
            "bitmap",
            "2.2.0",
            "O(1)",
            "Sets or clears a bit of a string, padding it with zero bytes up to there.",
            "key offset value",
        ),
    Command::new("getbit", 3, READONLY | FAST, getbit).keys(READ_KEY).acl(acl::BITMAP).doc(
        "bitmap",
        "2.2.0",
        "O(1)",
        "Returns a bit of a string.",
        "key offset",
    ),
    Command::new("bitcount", -2, READONLY, bitcount).keys(READ_KEY).acl(acl::BITMAP).doc(
        "bitmap",
        "2.6.0",
        "O(N) with N bytes",
        "Counts the bits that are set in a string or in a part of it.",
        "key [start end [BYTE | BIT]]",
    ),
    Command::new("bitpos", -3, READONLY, bitpos).keys(READ_KEY).acl(acl::BITMAP).doc(
        "bitmap",
        "2.8.7",
        "O(N) with N bytes",
        "Finds the first bit that is set, or clear, in a string or in a part of it.",
        "key bit [start [end [BYTE | BIT]]]",
    ),
    Command::new("bitop", -4, WRITE | DENYOOM, operation::bitop)
        .keys(&[KeySpec::one(key::OW | key::UPDATE, 2), KeySpec::range(key::RO | key::ACCESS, 3, -1, 1)])
        .acl(acl::BITMAP)
        .doc(
            "bitmap",
            "2.6.0",
            "O(N) with N bytes in all",
            "Combines strings bit by bit and stores the result.",
            "AND | OR | XOR | NOT destkey key [key ...]",
        ),
    Command::new("bitfield", -2, WRITE | DENYOOM, field::bitfield)
        .keys(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE | key::VARIABLE_FLAGS, 1)])
        .acl(acl::BITMAP)
        .doc(
            "bitmap",
            "3.2.0",
            "O(1) a field",
            "Reads and changes integers of any width at any bit of a string.",
            "key [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] SET encoding offset value | \
             INCRBY encoding offset increment] ...",
        ),
    Command::new("bitfield_ro", -2, READONLY | FAST, field::bitfield_ro).keys(READ_KEY).acl(acl::BITMAP).doc(
        "bitmap",
        "6.0.0",
        "O(1) a field",
        "Reads integers of any width at any bit of a string.",
        "key [GET encoding offset [GET encoding offset ...]]",
    ),
];

/// The bytes of a string, or `None` where there is none; refuses other types.
fn text<'a>(
    value: Option<ValueRef<'a>>,
    buffer: &'a mut itoa::Buffer,
) -> Result<Option<&'a [u8]>, CommandError> {
    match value {
        None => Ok(None),
        Some(ValueRef::Int(n)) => Ok(Some(buffer.format(n).as_bytes())),
        Some(ValueRef::Bytes(bytes)) => Ok(Some(bytes)),
        Some(ValueRef::Object(_)) => Err(CommandError::WrongType),
    }
}

/// Reads the offset of a bit. With a `width`, `#n` counts fields of so many bits.
fn bit_offset(ctx: &Context<'_, '_>, arg: &[u8], width: Option<u32>) -> Result<u64, CommandError> {
    const REFUSED: CommandError = CommandError::text("ERR bit offset is not an integer or out of range");
    let (digits, unit) = match (arg.split_first(), width) {
        (Some((b'#', digits)), Some(width)) => (digits, i64::from(width)),
        _ => (arg, 1),
    };
    // A product that overflows wraps, as in Redis.
    let offset = parse_i64(digits).ok_or(REFUSED)?.wrapping_mul(unit);
    let offset = u64::try_from(offset).map_err(|_| REFUSED)?;
    if offset >> 3 < ctx.max_string_bytes() as u64 { Ok(offset) } else { Err(REFUSED) }
}

/// Bytes that a string needs for this bit to lie within it.
fn bytes_for(last_bit: u64) -> usize {
    usize::try_from(last_bit >> 3).unwrap_or(usize::MAX).saturating_add(1)
}

fn setbit(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let offset = bit_offset(ctx, args[2], None)?;
    let value = match parse_i64(args[3]) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(CommandError::text("ERR bit is not an integer or out of range")),
    };
    let set = |bytes: &mut [u8]| bits::set_bit(bytes, offset, value);
    let (old, grew) = ctx.edit_bytes(key, bytes_for(offset), set)?;
    if grew || old != value {
        ctx.modified(key);
        ctx.tell(EventClass::String, "setbit", key);
    }
    ctx.reply.int(i64::from(old));
    DONE
}

fn getbit(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let offset = bit_offset(ctx, args[2], None)?;
    let mut buffer = itoa::Buffer::new();
    let bytes = text(ctx.read_string(args[1])?, &mut buffer)?.unwrap_or_default();
    let bit = bits::bit(bytes, offset);
    ctx.reply.int(i64::from(bit));
    DONE
}

/// Whether the word says that a range counts bits, not bytes.
fn counts_bits(word: &[u8]) -> Result<bool, CommandError> {
    if word.eq_ignore_ascii_case(b"bit") {
        Ok(true)
    } else if word.eq_ignore_ascii_case(b"byte") {
        Ok(false)
    } else {
        Err(CommandError::Syntax)
    }
}

/// The bits that inclusive ends (negative: from the end) mean in a string of `len` bytes.
fn range_of(len: usize, start: i64, end: i64, in_bits: bool) -> Range<u64> {
    let unit = if in_bits { 1 } else { 8 };
    let total = len as i64 * (8 / unit);
    let from_front = |at: i64| if at < 0 { at.saturating_add(total).max(0) } else { at };
    let (start, end) = (from_front(start), from_front(end).min(total - 1));
    if start > end {
        return 0..0;
    }
    (start * unit) as u64..((end + 1) * unit) as u64
}

fn bitcount(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let mut buffer = itoa::Buffer::new();
    // A key that is not there is 0 whatever the arguments are, as in Redis.
    let Some(bytes) = text(ctx.read_string(args[1])?, &mut buffer)? else {
        ctx.reply.int(0);
        return DONE;
    };
    let count = match &args[2..] {
        [] => bits::count_ones(bytes),
        [start, end, unit @ ..] if unit.len() < 2 => {
            let (start, end) = (int(start)?, int(end)?);
            if start < 0 && end < 0 && start > end {
                0
            } else {
                let in_bits = unit.first().map_or(Ok(false), |word| counts_bits(word))?;
                bits::count_ones_in(bytes, range_of(bytes.len(), start, end, in_bits))
            }
        }
        _ => return Err(CommandError::Syntax),
    };
    ctx.reply.int(count as i64);
    DONE
}

fn bitpos(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let wanted = match int(args[2])? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::text("ERR The bit argument must be 1 or 0.")),
    };
    let mut buffer = itoa::Buffer::new();
    let Some(bytes) = text(ctx.read_string(args[1])?, &mut buffer)? else {
        ctx.reply.int(if wanted { -1 } else { 0 });
        return DONE;
    };
    let len = bytes.len();
    let (range, has_end) = match &args[3..] {
        [] => (range_of(len, 0, -1, false), false),
        [start] => (range_of(len, int(start)?, -1, false), false),
        [start, end, unit @ ..] if unit.len() < 2 => {
            let start = int(start)?;
            let in_bits = unit.first().map_or(Ok(false), |word| counts_bits(word))?;
            (range_of(len, start, int(end)?, in_bits), true)
        }
        _ => return Err(CommandError::Syntax),
    };
    let position = match bits::find(bytes, wanted, range.clone()) {
        Some(at) => at as i64,
        // Without an end the string counts as followed by zero bits.
        None if !wanted && !has_end && !range.is_empty() => range.end as i64,
        None => -1,
    };
    ctx.reply.int(position);
    DONE
}

#[cfg(test)]
mod tests;
