//! XGROUP and XACK.

use super::ids::{self, until_nul};
use crate::command::args::int;
use crate::command::error::{quoting, shown};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::value::stream::{Group, StreamId};

/// The refusal of a subcommand's arguments.
pub(super) fn bad_subcommand(args: &[&[u8]]) -> CommandError {
    const SHOWN_BYTES: usize = 128;
    let container = until_nul(args[0]).to_ascii_uppercase();
    let before = "ERR unknown subcommand or wrong number of arguments for '";
    let text = [before.as_bytes(), shown(args[1], SHOWN_BYTES), b"'. Try ", &container, b" HELP."].concat();
    CommandError::Quoting(text)
}

/// A refusal that names two arguments.
pub(super) fn naming_two(parts: [&str; 3], first: &[u8], second: &[u8]) -> CommandError {
    let [before, between, after] = parts;
    let text = quoting(before, first, between);
    CommandError::Quoting([text, quoting("", second, after)].concat())
}

/// The refusal where a key has no such group.
pub(super) fn no_such_group(key: &[u8], group: &[u8]) -> CommandError {
    naming_two(["NOGROUP No such consumer group '", "' for key name '", "'"], group, key)
}

const NO_KEY: CommandError = CommandError::text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the \
     MKSTREAM option to create an empty stream automatically.",
);

/// The event of a consumer that comes to be, whichever command is the cause.
pub(super) const CONSUMER_CREATED: &str = "xgroup-createconsumer";

/// MKSTREAM and ENTRIESREAD.
struct GroupOptions {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl GroupOptions {
    fn parse(args: &[&[u8]], creates: bool) -> Result<GroupOptions, CommandError> {
        let mut options = GroupOptions { make_stream: false, entries_read: None };
        let mut rest = args.get(5..).unwrap_or_default();
        loop {
            rest = match rest {
                [] => return Ok(options),
                [word, rest @ ..] if creates && word.eq_ignore_ascii_case(b"mkstream") => {
                    options.make_stream = true;
                    rest
                }
                [word, value, rest @ ..] if word.eq_ignore_ascii_case(b"entriesread") => {
                    let read = int(value)?;
                    if read < -1 {
                        return Err(CommandError::text("ERR value for ENTRIESREAD must be positive or -1"));
                    }
                    options.entries_read = u64::try_from(read).ok();
                    rest
                }
                _ => return Err(bad_subcommand(args)),
            };
        }
    }
}

pub(super) fn create(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let options = GroupOptions::parse(args, true)?;
    let (key, name) = (args[2], args[3]);
    let last_id = ctx.stream_mut(key)?.map(|stream| stream.entries().last_id);
    if last_id.is_none() && !options.make_stream {
        return Err(NO_KEY);
    }
    // Options may be repeated, but not at any length.
    if args.len() > 8 {
        return Err(bad_subcommand(args));
    }
    let id = match until_nul(args[4]) {
        b"$" => last_id.unwrap_or(StreamId::MIN),
        _ => ids::id(args[4])?,
    };
    let group = Group::new(id, options.entries_read);
    if !ctx.stream_or_new(key)?.create_group(name, group) {
        return Err(CommandError::text("BUSYGROUP Consumer Group name already exists"));
    }
    ctx.reply.ok();
    if last_id.is_none() {
        ctx.modified(key);
    } else {
        ctx.dirty += 1;
    }
    ctx.tell(EventClass::Stream, "xgroup-create", key);
    DONE
}

/// The group that a subcommand is about, which must exist.
fn group_mut<'c>(
    ctx: &'c mut Context<'_, '_>,
    key: &[u8],
    name: &[u8],
) -> Result<&'c mut Group, CommandError> {
    let stream = ctx.stream_mut(key)?.ok_or(NO_KEY)?;
    stream.group_mut(name).map(|(_, group)| group).ok_or_else(|| no_such_group(key, name))
}

pub(super) fn set_id(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let options = GroupOptions::parse(args, false)?;
    let (key, name) = (args[2], args[3]);
    group_mut(ctx, key, name)?;
    if args.len() != 5 && args.len() != 7 {
        return Err(bad_subcommand(args));
    }
    let last_id = ctx.stream_mut(key)?.map(|stream| stream.entries().last_id);
    let id = match until_nul(args[4]) {
        b"$" => last_id.unwrap_or(StreamId::MIN),
        _ => ids::id_or_edge(args[4], 0)?,
    };
    let group = group_mut(ctx, key, name)?;
    group.last_id = id;
    group.entries_read = options.entries_read;
    ctx.reply.ok();
    ctx.dirty += 1;
    ctx.tell(EventClass::Stream, "xgroup-setid", key);
    DONE
}

pub(super) fn destroy(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[2];
    let group = ctx.stream_mut(key)?.ok_or(NO_KEY)?.remove_group(args[3]);
    ctx.reply.int(i64::from(group.is_some()));
    if group.is_some() {
        ctx.dirty += 1;
        ctx.tell(EventClass::Stream, "xgroup-destroy", key);
        ctx.key_is_ready(key);
    }
    DONE
}

pub(super) fn create_consumer(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let now_ms = ctx.now_ms;
    let is_new = group_mut(ctx, args[2], args[3])?.create_consumer(args[4], now_ms);
    ctx.reply.int(i64::from(is_new));
    ctx.dirty += u64::from(is_new);
    if is_new {
        ctx.tell(EventClass::Stream, CONSUMER_CREATED, args[2]);
    }
    DONE
}

pub(super) fn delete_consumer(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let pending = group_mut(ctx, args[2], args[3])?.delete_consumer(args[4]);
    ctx.reply.int(pending.unwrap_or(0) as i64);
    ctx.dirty += u64::from(pending.is_some());
    if pending.is_some() {
        ctx.tell(EventClass::Stream, "xgroup-delconsumer", args[2]);
    }
    DONE
}

pub(super) fn xack(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, name) = (args[1], args[2]);
    if ctx.read_stream(key)?.and_then(|stream| stream.group(name)).is_none() {
        ctx.reply.int(0);
        return DONE;
    }
    let ids = args[3..].iter().map(|arg| ids::id(arg)).collect::<Result<Vec<_>, _>>()?;
    let group = group_mut(ctx, key, name)?;
    let done = ids.into_iter().filter(|id| group.acknowledge(*id)).count();
    ctx.reply.int(done as i64);
    ctx.dirty += done as u64;
    DONE
}
