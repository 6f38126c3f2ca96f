//! List commands that never wait. Those that do are in [`super::list_blocking`].

use crate::command::args::{at_least, int, negatable, non_negative, pop_count};
use crate::command::context::release;
use crate::command::elements::bulk_element;
use crate::command::table::{Command, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::keyspace::{Entry, ValueRef};
use crate::resp::reply::Reply;
use crate::value::list::resolve_range;
use crate::value::{Direction, List, Value};

const PUSHED: &[KeySpec] = &[KeySpec::one(key::RW | key::INSERT, 1)];
const POPPED: &[KeySpec] = &[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1)];
const READ: &[KeySpec] = &[KeySpec::one(key::RO | key::ACCESS, 1)];
const REMOVED: &[KeySpec] = &[KeySpec::one(key::RW | key::DELETE, 1)];
/// The keys of what pops here and pushes there.
pub(super) const MOVED: &[KeySpec] =
    &[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1), KeySpec::one(key::RW | key::INSERT, 2)];

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("lpush", -3, WRITE | DENYOOM | FAST, |ctx, args| push(ctx, args, Direction::Forward, true))
        .keys(PUSHED)
        .acl(acl::LIST)
        .doc(
            "list",
            "1.0.0",
            "O(1) an element",
            "Adds elements at the head of a list, making it if need be.",
            "key element [element ...]",
        ),
    Command::new("rpush", -3, WRITE | DENYOOM | FAST, |ctx, args| push(ctx, args, Direction::Backward, true))
        .keys(PUSHED)
        .acl(acl::LIST)
        .doc(
            "list",
            "1.0.0",
            "O(1) an element",
            "Adds elements at the tail of a list, making it if need be.",
            "key element [element ...]",
        ),
    Command::new("lpushx", -3, WRITE | DENYOOM | FAST, |ctx, args| {
        push(ctx, args, Direction::Forward, false)
    })
    .keys(PUSHED)
    .acl(acl::LIST)
    .doc(
        "list",
        "2.2.0",
        "O(1) an element",
        "Adds elements at the head of a list that is there already.",
        "key element [element ...]",
    ),
    Command::new("rpushx", -3, WRITE | DENYOOM | FAST, |ctx, args| {
        push(ctx, args, Direction::Backward, false)
    })
    .keys(PUSHED)
    .acl(acl::LIST)
    .doc(
        "list",
        "2.2.0",
        "O(1) an element",
        "Adds elements at the tail of a list that is there already.",
        "key element [element ...]",
    ),
    Command::new("lpop", -2, WRITE | FAST, |ctx, args| pop(ctx, args, Direction::Forward))
        .keys(POPPED)
        .acl(acl::LIST)
        .doc(
            "list",
            "1.0.0",
            "O(N) with N elements popped",
            "Removes and returns elements from the head of a list.",
            "key [count]",
        ),
    Command::new("rpop", -2, WRITE | FAST, |ctx, args| pop(ctx, args, Direction::Backward))
        .keys(POPPED)
        .acl(acl::LIST)
        .doc(
            "list",
            "1.0.0",
            "O(N) with N elements popped",
            "Removes and returns elements from the tail of a list.",
            "key [count]",
        ),
    Command::new("llen", 2, READONLY | FAST, llen).keys(&[KeySpec::one(key::RO, 1)]).acl(acl::LIST).doc(
        "list",
        "1.0.0",
        "O(1)",
        "Returns the number of elements of a list.",
        "key",
    ),
    Command::new("lrange", 4, READONLY, lrange).keys(READ).acl(acl::LIST).doc(
        "list",
        "1.0.0",
        "O(S+N) with N elements returned, S of them or their nodes passed over from the nearer end",
        "Returns the elements between two indexes.",
        "key start stop",
    ),
    Command::new("lindex", 3, READONLY, lindex).keys(READ).acl(acl::LIST).doc(
        "list",
        "1.0.0",
        "O(N) with N elements or nodes passed over; O(1) at the ends",
        "Returns the element at an index.",
        "key index",
    ),
    Command::new("linsert", 5, WRITE | DENYOOM, linsert).keys(PUSHED).acl(acl::LIST).doc(
        "list",
        "2.2.0",
        "O(N) with N elements looked at before the pivot is met",
        "Inserts an element next to the first one that equals a pivot.",
        "key BEFORE | AFTER pivot element",
    ),
    Command::new("lset", 4, WRITE | DENYOOM, lset)
        .keys(&[KeySpec::one(key::RW | key::UPDATE, 1)])
        .acl(acl::LIST)
        .doc(
            "list",
            "1.0.0",
            "O(N) with N elements or nodes passed over; O(1) at the ends",
            "Replaces the element at an index.",
            "key index element",
        ),
    Command::new("lrem", 4, WRITE, lrem).keys(REMOVED).acl(acl::LIST).doc(
        "list",
        "1.0.0",
        "O(N) with the list's length N",
        "Removes elements that equal a given one, counting from the head or the tail.",
        "key count element",
    ),
    Command::new("ltrim", 4, WRITE, ltrim).keys(REMOVED).acl(acl::LIST).doc(
        "list",
        "1.0.0",
        "O(N) with N elements removed",
        "Removes all elements but those between two indexes.",
        "key start stop",
    ),
    Command::new("lpos", -3, READONLY, lpos).keys(READ).acl(acl::LIST).doc(
        "list",
        "6.0.6",
        "O(N) with N elements compared",
        "Returns where in a list an element is found.",
        "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
    ),
    Command::new("rpoplpush", 3, WRITE | DENYOOM, rpoplpush).keys(MOVED).acl(acl::LIST).doc(
        "list",
        "1.2.0",
        "O(1)",
        "Moves the last element of one list to the head of another and returns it.",
        "source destination",
    ),
    Command::new("lmove", 5, WRITE | DENYOOM, lmove).keys(MOVED).acl(acl::LIST).doc(
        "list",
        "6.2.0",
        "O(1)",
        "Moves an element from either end of one list to either end of another and returns it.",
        "source destination LEFT | RIGHT LEFT | RIGHT",
    ),
    Command::new("lmpop", -4, WRITE | MOVABLEKEYS, lmpop)
        .keys(&[KeySpec::counted(key::RW | key::ACCESS | key::DELETE, 1)])
        .acl(acl::LIST)
        .doc(
            "list",
            "7.0.0",
            "O(N+M) with N keys and M elements popped",
            "Removes and returns elements from the first of several lists that has any.",
            "numkeys key [key ...] LEFT | RIGHT [COUNT count]",
        ),
];

/// The end that LEFT or RIGHT names.
pub(super) fn end_word(word: &[u8]) -> Result<Direction, CommandError> {
    if word.eq_ignore_ascii_case(b"left") {
        Ok(Direction::Forward)
    } else if word.eq_ignore_ascii_case(b"right") {
        Ok(Direction::Backward)
    } else {
        Err(CommandError::Syntax)
    }
}

fn as_list(entry: Option<&mut Entry>) -> Result<Option<&mut List>, CommandError> {
    match entry.map(Entry::object_mut) {
        None => Ok(None),
        Some(Some(Value::List(list))) => Ok(Some(list)),
        Some(_) => Err(CommandError::WrongType),
    }
}

fn push(ctx: &mut Context<'_, '_>, args: &[&[u8]], end: Direction, may_create: bool) -> CommandResult {
    let (key, elements) = (args[1], &args[2..]);
    let limits = &ctx.settings.limits;
    let list = match ctx.list_mut(key)? {
        Some(list) => list,
        None if may_create => ctx.list_or_new(key)?,
        None => {
            ctx.reply.int(0);
            return DONE;
        }
    };
    match elements {
        [element] => list.push(end, element, limits),
        _ => list.push_all(end, elements.iter().copied(), limits),
    }
    let len = list.len();
    ctx.modified_times(key, elements.len());
    ctx.tell(EventClass::List, pushed(end), key);
    ctx.reply.int(len as i64);
    DONE
}

/// The event of a push at this end.
fn pushed(end: Direction) -> &'static str {
    if end == Direction::Forward { "lpush" } else { "rpush" }
}

/// The event of a pop from this end.
fn popped(end: Direction) -> &'static str {
    if end == Direction::Forward { "lpop" } else { "rpop" }
}

fn end_index(end: Direction) -> i64 {
    if end == Direction::Forward { 0 } else { -1 }
}

/// Writes the elements from an end on, at most `count`, as an array.
fn reply_from_end(reply: &mut Reply<'_>, list: &List, end: Direction, count: usize) {
    let start = if end == Direction::Forward { 0 } else { list.len().saturating_sub(1) };
    reply.array(count.min(list.len()));
    list.iter_from(start, end).take(count).for_each(|element| bulk_element(reply, element));
}

/// Ends a removal of `count` elements: counts the changes, tells of it by this `event`, and removes the key with its last
/// element.
fn removed(ctx: &mut Context<'_, '_>, key: &[u8], event: &'static str, count: usize, is_empty: bool) {
    ctx.modified_times(key, count);
    ctx.tell(EventClass::List, event, key);
    if is_empty {
        ctx.remove_if_empty(key);
    }
}

/// Pops one element into the reply; false if there is no list.
pub(super) fn pop_one(ctx: &mut Context<'_, '_>, key: &[u8], end: Direction) -> Result<bool, CommandError> {
    let limits = &ctx.settings.limits;
    let (entry, reply, _) = ctx.lookup_with(key);
    let Some(list) = as_list(entry)? else { return Ok(false) };
    match list.get(end_index(end)) {
        Some(element) => bulk_element(reply, element),
        None => reply.null(),
    }
    list.remove_end(end, 1, limits);
    let is_empty = list.is_empty();
    removed(ctx, key, popped(end), 1, is_empty);
    Ok(true)
}

/// Pops up to `count` elements into the reply, as an array; returns how many, `None` if there is no list.
pub(super) fn pop_many(
    ctx: &mut Context<'_, '_>,
    key: &[u8],
    end: Direction,
    count: usize,
) -> Result<Option<usize>, CommandError> {
    let limits = &ctx.settings.limits;
    let (entry, reply, _) = ctx.lookup_with(key);
    let Some(list) = as_list(entry)? else { return Ok(None) };
    let count = count.min(list.len());
    reply_from_end(reply, list, end, count);
    if count == list.len() {
        remove_whole(ctx, key, popped(end), count);
    } else if count > 0 {
        list.remove_end(end, count, limits);
        removed(ctx, key, popped(end), count, false);
    }
    Ok(Some(count))
}

/// Removes a list of `len` elements with its key, freeing a long one elsewhere; `event` tells of how.
fn remove_whole(ctx: &mut Context<'_, '_>, key: &[u8], event: &'static str, len: usize) {
    if let Some(entry) = ctx.remove(key) {
        ctx.dirty += (len as u64).saturating_sub(1);
        release(entry);
        ctx.tell(EventClass::List, event, key);
        ctx.tell(EventClass::Generic, "del", key);
    }
}

fn pop(ctx: &mut Context<'_, '_>, args: &[&[u8]], end: Direction) -> CommandResult {
    match *args {
        [_, key] => {
            if !pop_one(ctx, key, end)? {
                ctx.reply.null();
            }
        }
        [_, key, count] => {
            if pop_many(ctx, key, end, pop_count(count)?)?.is_none() {
                ctx.reply.null_array();
            }
        }
        _ => {
            let name = if end == Direction::Forward { "lpop" } else { "rpop" };
            return Err(CommandError::Arity(name.to_string()));
        }
    }
    DONE
}

fn llen(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let len = ctx.read_list(args[1])?.map_or(0, List::len);
    ctx.reply.int(len as i64);
    DONE
}

fn lrange(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (start, stop) = (int(args[2])?, int(args[3])?);
    let (value, reply) = ctx.read_with_reply(args[1]);
    match value {
        None => reply.array(0),
        Some(ValueRef::Object(Value::List(list))) => {
            let range = resolve_range(start, stop, list.len());
            reply.array(range.len());
            let elements = list.iter_from(range.start, Direction::Forward);
            elements.take(range.len()).for_each(|element| bulk_element(reply, element));
        }
        Some(_) => return Err(CommandError::WrongType),
    }
    DONE
}

fn lindex(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (value, reply) = ctx.read_with_reply(args[1]);
    match value {
        None => reply.null(),
        Some(ValueRef::Object(Value::List(list))) => match list.get(int(args[2])?) {
            Some(element) => bulk_element(reply, element),
            None => reply.null(),
        },
        Some(_) => return Err(CommandError::WrongType),
    }
    DONE
}

fn linsert(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, pivot, element) = (args[1], args[3], args[4]);
    let before = args[2].eq_ignore_ascii_case(b"before");
    if !before && !args[2].eq_ignore_ascii_case(b"after") {
        return Err(CommandError::Syntax);
    }
    let limits = &ctx.settings.limits;
    let Some(list) = ctx.list_mut(key)? else {
        ctx.reply.int(0);
        return DONE;
    };
    let inserted = if before {
        list.insert_before(pivot, element, limits)
    } else {
        list.insert_after(pivot, element, limits)
    };
    let len = list.len();
    if inserted {
        ctx.modified(key);
        ctx.tell(EventClass::List, "linsert", key);
    }
    ctx.reply.int(if inserted { len as i64 } else { -1 });
    DONE
}

fn lset(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let limits = &ctx.settings.limits;
    let list = ctx.list_mut(key)?.ok_or(CommandError::NoSuchKey)?;
    if !list.set(int(args[2])?, args[3], limits) {
        return Err(CommandError::IndexOutOfRange);
    }
    ctx.modified(key);
    ctx.tell(EventClass::List, "lset", key);
    ctx.reply.ok();
    DONE
}

fn lrem(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let count = int(args[2])?;
    let direction = if count < 0 { Direction::Backward } else { Direction::Forward };
    let limit = match count.unsigned_abs() {
        0 => usize::MAX,
        count => usize::try_from(count).unwrap_or(usize::MAX),
    };
    let limits = &ctx.settings.limits;
    let Some(list) = ctx.list_mut(key)? else {
        ctx.reply.int(0);
        return DONE;
    };
    let gone = list.remove_matching(args[3], limit, direction, limits);
    let is_empty = list.is_empty();
    if gone > 0 {
        removed(ctx, key, "lrem", gone, is_empty);
    }
    ctx.reply.int(gone as i64);
    DONE
}

fn ltrim(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    let (start, stop) = (int(args[2])?, int(args[3])?);
    let limits = &ctx.settings.limits;
    if let Some(list) = ctx.list_mut(key)? {
        let len = list.len();
        let keep = resolve_range(start, stop, len);
        let gone = len - keep.len();
        if keep.is_empty() {
            remove_whole(ctx, key, "ltrim", len);
        } else if gone > 0 {
            list.trim(keep, limits);
            removed(ctx, key, "ltrim", gone, false);
        } else {
            ctx.tell(EventClass::List, "ltrim", key);
        }
    }
    ctx.reply.ok();
    DONE
}

struct PosOptions {
    direction: Direction,
    /// Matches to pass over before the first that counts.
    skip: usize,
    count: Option<usize>,
    max_compared: usize,
}

fn pos_options(args: &[&[u8]]) -> Result<PosOptions, CommandError> {
    const RANK_ZERO: CommandError = CommandError::text(
        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to \
         start from the end of the list",
    );
    let mut options =
        PosOptions { direction: Direction::Forward, skip: 0, count: None, max_compared: usize::MAX };
    let mut rest = args.iter();
    while let Some(word) = rest.next() {
        let value = rest.next().ok_or(CommandError::Syntax)?;
        if word.eq_ignore_ascii_case(b"rank") {
            let rank = negatable(value)?;
            options.direction = if rank < 0 { Direction::Backward } else { Direction::Forward };
            options.skip = (rank.unsigned_abs() as usize).checked_sub(1).ok_or(RANK_ZERO)?;
        } else if word.eq_ignore_ascii_case(b"count") {
            options.count = Some(non_negative(value, "ERR COUNT can't be negative")? as usize);
        } else if word.eq_ignore_ascii_case(b"maxlen") {
            let max = non_negative(value, "ERR MAXLEN can't be negative")? as usize;
            options.max_compared = if max == 0 { usize::MAX } else { max };
        } else {
            return Err(CommandError::Syntax);
        }
    }
    Ok(options)
}

fn lpos(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let options = pos_options(&args[3..])?;
    // COUNT 0 asks for all matches, no COUNT for one.
    let count = match options.count {
        Some(0) => usize::MAX,
        count => count.unwrap_or(1),
    };
    let positions = ctx.read_list(args[1])?.map_or_else(Vec::new, |list| {
        list.positions(args[2], options.direction, options.skip, count, options.max_compared)
    });
    if options.count.is_some() {
        ctx.reply.array(positions.len());
        positions.iter().for_each(|at| ctx.reply.int(*at as i64));
    } else {
        match positions.first() {
            Some(at) => ctx.reply.int(*at as i64),
            None => ctx.reply.null(),
        }
    }
    DONE
}

/// Moves an element from an end of one list to an end of another (or the same) and replies with it; false, with
/// nothing written, if there is no source.
pub(super) fn move_element(
    ctx: &mut Context<'_, '_>,
    (source, from): (&[u8], Direction),
    (destination, to): (&[u8], Direction),
) -> Result<bool, CommandError> {
    let limits = &ctx.settings.limits;
    if ctx.list_mut(source)?.is_none() {
        return Ok(false);
    }
    // Nothing may change before both types are known to be right.
    ctx.list_mut(destination)?;
    let Some(list) = ctx.list_mut(source)? else { return Ok(false) };
    let element = list.pop(from, limits).unwrap_or_default();
    if source == destination {
        list.push(to, &element, limits);
        ctx.modified(source);
        ctx.tell(EventClass::List, pushed(to), source);
        ctx.tell(EventClass::List, popped(from), source);
    } else {
        let is_empty = list.is_empty();
        ctx.list_or_new(destination)?.push(to, &element, limits);
        ctx.modified(destination);
        ctx.tell(EventClass::List, pushed(to), destination);
        // One change, though two keys are touched.
        ctx.dirty -= 1;
        removed(ctx, source, popped(from), 1, is_empty);
    }
    ctx.reply.bulk(&element);
    Ok(true)
}

fn rpoplpush(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    if !move_element(ctx, (args[1], Direction::Backward), (args[2], Direction::Forward))? {
        ctx.reply.null();
    }
    DONE
}

fn lmove(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (from, to) = (end_word(args[3])?, end_word(args[4])?);
    if !move_element(ctx, (args[1], from), (args[2], to))? {
        ctx.reply.null();
    }
    DONE
}

/// `numkeys key [key ...] LEFT | RIGHT [COUNT count]`.
pub(super) struct ManyPop<'s, 'a> {
    /// The keys to try, in order.
    pub keys: &'s [&'a [u8]],
    /// Where to pop.
    pub end: Direction,
    /// How many at most.
    pub count: usize,
}

impl<'s, 'a> ManyPop<'s, 'a> {
    /// Reads the arguments from `numkeys` on.
    pub fn parse(args: &'s [&'a [u8]]) -> Result<Self, CommandError> {
        let (number, rest) = args.split_first().ok_or(CommandError::Syntax)?;
        let number = at_least(number, 1, "ERR numkeys should be greater than 0")?;
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let (keys, rest) = rest.split_at_checked(number).ok_or(CommandError::Syntax)?;
        let (end, options) = rest.split_first().ok_or(CommandError::Syntax)?;
        let end = end_word(end)?;
        let count = match options {
            [] => 1,
            [word, count, more @ ..] if word.eq_ignore_ascii_case(b"count") => {
                let count = at_least(count, 1, "ERR count should be greater than 0")?;
                if !more.is_empty() {
                    return Err(CommandError::Syntax);
                }
                usize::try_from(count).unwrap_or(usize::MAX)
            }
            _ => return Err(CommandError::Syntax),
        };
        Ok(ManyPop { keys, end, count })
    }

    /// Pops from the first key that has something and replies with key and elements; false, with nothing written, if
    /// none has.
    pub fn run(&self, ctx: &mut Context<'_, '_>) -> Result<bool, CommandError> {
        for key in self.keys {
            if ctx.list_mut(key)?.is_none() {
                continue;
            }
            ctx.reply.array(2);
            ctx.reply.bulk(key);
            let popped = pop_many(ctx, key, self.end, self.count)?.unwrap_or(0);
            let name: &[u8] = if self.end == Direction::Forward { b"LPOP" } else { b"RPOP" };
            ctx.log(&[name, key, itoa::Buffer::new().format(popped).as_bytes()]);
            return Ok(true);
        }
        Ok(false)
    }
}

fn lmpop(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    if !ManyPop::parse(&args[1..])?.run(ctx)? {
        ctx.reply.null_array();
    }
    DONE
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
