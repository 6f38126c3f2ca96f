//! BITFIELD: integers of any width at any bit.

use super::{bit_offset, bytes_for, text};
use crate::base::num::parse_i64;
use crate::command::args::int;
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::value::bits;

/// What happens to a number that does not fit its field.
#[derive(Clone, Copy, Default)]
enum Overflow {
    /// Its lowest bits are taken.
    #[default]
    Wrap,
    /// The nearest number that fits is.
    Saturate,
    /// Nothing is written, and the reply is null.
    Fail,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

/// One step of the command.
#[derive(Clone, Copy)]
struct Step {
    action: Action,
    signed: bool,
    /// Bits: 1 to 64, 63 if unsigned.
    width: u32,
    offset: u64,
    overflow: Overflow,
}

impl Step {
    fn last_bit(&self) -> u64 {
        self.offset + u64::from(self.width) - 1
    }

    fn read(&self, bytes: &[u8]) -> i64 {
        let field = bits::field(bytes, self.offset, self.width);
        // An unsigned field has at most 63 bits.
        if self.signed { bits::sign_extended(field, self.width) } else { field as i64 }
    }

    /// A number given for a signed field. How far it lies below the maximum is an `i64` in Redis, which so takes one far
    /// below zero for one above; its lowest bits stay what they are.
    fn as_redis_sees(&self, given: i64) -> i128 {
        let max = (1 << (self.width - 1)) - 1;
        let given = i128::from(given);
        let is_far_below = self.width < 64 && max - given > i128::from(i64::MAX);
        if is_far_below { given + (1 << 64) } else { given }
    }

    /// What is to be written for a number, if anything.
    fn fitted(&self, number: i128) -> Option<i64> {
        let (min, max) = match self.signed {
            true => (-(1 << (self.width - 1)), (1 << (self.width - 1)) - 1),
            false => (0, (1 << self.width) - 1),
        };
        let fitting = number.clamp(min, max);
        match self.overflow {
            _ if fitting == number => Some(number as i64),
            Overflow::Saturate => Some(fitting as i64),
            Overflow::Fail => None,
            Overflow::Wrap => {
                let low = number as u64 & (u64::MAX >> (64 - self.width));
                Some(if self.signed { bits::sign_extended(low, self.width) } else { low as i64 })
            }
        }
    }

    /// Runs the step; the reply, and whether the field changed. Only [`Action::Get`] may reach behind the end.
    fn run(&self, bytes: &mut [u8]) -> (Option<i64>, bool) {
        let old = self.read(bytes);
        let new = match self.action {
            Action::Get => return (Some(old), false),
            // What is given for an unsigned field counts as unsigned, so that a negative number is too large.
            Action::Set(given) if !self.signed => self.fitted(i128::from(given as u64)),
            Action::Set(given) => self.fitted(self.as_redis_sees(given)),
            Action::Increment(by) => self.fitted(i128::from(old) + i128::from(by)),
        };
        let Some(new) = new else { return (None, false) };
        bits::set_field(bytes, self.offset, self.width, new as u64);
        let reply = if matches!(self.action, Action::Set(_)) { old } else { new };
        (Some(reply), old != new)
    }
}

/// Reads a field's type: `i` or `u` and its width.
fn encoding(arg: &[u8]) -> Result<(bool, u32), CommandError> {
    const REFUSED: CommandError = CommandError::text(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    );
    let (signed, max, digits) = match arg.split_first() {
        Some((b'i', digits)) => (true, 64, digits),
        Some((b'u', digits)) => (false, 63, digits),
        _ => return Err(REFUSED),
    };
    let width = parse_i64(digits).filter(|width| (1..=max).contains(width)).ok_or(REFUSED)?;
    Ok((signed, width as u32))
}

fn overflow(word: &[u8]) -> Result<Overflow, CommandError> {
    let known = [(&b"wrap"[..], Overflow::Wrap), (b"sat", Overflow::Saturate), (b"fail", Overflow::Fail)];
    let found = known.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
    found.map(|(_, overflow)| overflow).ok_or(CommandError::text("ERR Invalid OVERFLOW type specified"))
}

fn parse(ctx: &Context<'_, '_>, args: &[&[u8]]) -> Result<Vec<Step>, CommandError> {
    let (mut steps, mut rest, mut at_overflow) = (Vec::new(), args, Overflow::default());
    while let [word, tail @ ..] = rest {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("overflow") && !tail.is_empty() {
            at_overflow = overflow(tail[0])?;
            rest = &tail[1..];
            continue;
        }
        let takes = if is("get") { 2 } else { 3 };
        if !(is("get") || is("set") || is("incrby")) || tail.len() < takes {
            return Err(CommandError::Syntax);
        }
        let (signed, width) = encoding(tail[0])?;
        let offset = bit_offset(ctx, tail[1], Some(width))?;
        let action = match (is("get"), is("set")) {
            (true, _) => Action::Get,
            (_, true) => Action::Set(int(tail[2])?),
            _ => Action::Increment(int(tail[2])?),
        };
        steps.push(Step { action, signed, width, offset, overflow: at_overflow });
        rest = &tail[takes..];
    }
    Ok(steps)
}

pub(super) fn bitfield(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let steps = parse(ctx, &args[2..])?;
    let writes = steps.iter().filter(|step| !matches!(step.action, Action::Get));
    let Some(last_bit) = writes.map(Step::last_bit).max() else { return read(ctx, args[1], &steps) };
    let run = |bytes: &mut [u8]| steps.iter().map(|step| step.run(bytes)).collect::<Vec<_>>();
    let (done, grew) = ctx.edit_bytes(args[1], bytes_for(last_bit), run)?;
    // A string that was made longer by steps that failed is a change, too: replicas must have it as long.
    let written = done.iter().zip(&steps).filter(|((reply, changed), step)| {
        *changed || grew && reply.is_some() && !matches!(step.action, Action::Get)
    });
    let written = written.count();
    let changes = written.max(usize::from(grew));
    if changes > 0 {
        ctx.modified_times(args[1], changes);
    }
    if written > 0 {
        ctx.tell(EventClass::String, "setbit", args[1]);
    }
    ctx.reply.array(done.len());
    for (reply, _) in &done {
        match reply {
            Some(number) => ctx.reply.int(*number),
            None => ctx.reply.null(),
        }
    }
    DONE
}

pub(super) fn bitfield_ro(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let steps = parse(ctx, &args[2..])?;
    if steps.iter().any(|step| !matches!(step.action, Action::Get)) {
        return Err(CommandError::text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(ctx, args[1], &steps)
}

/// Answers steps that only read.
fn read(ctx: &mut Context<'_, '_>, key: &[u8], steps: &[Step]) -> CommandResult {
    let (value, reply) = ctx.read_with_reply(key);
    let mut buffer = itoa::Buffer::new();
    let bytes = text(value, &mut buffer)?.unwrap_or_default();
    reply.array(steps.len());
    steps.iter().for_each(|step| reply.int(step.read(bytes)));
    DONE
}
