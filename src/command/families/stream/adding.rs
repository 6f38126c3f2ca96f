//! Commands that add, trim and delete entries: XADD, XTRIM, XDEL, XSETID, XLEN.

use super::ids::{self, until_nul};
use crate::command::args::int;
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass, ExpiryMode};
use crate::value::stream::{AppendError, StreamId, Trim};

/// Without a limit of its own, trimming whole nodes stops after so many nodes' entries.
const TRIM_NODES: usize = 100;
/// … or after so many entries, where nodes have no greatest number of entries.
const TRIM_ENTRIES: u64 = 10_000;
/// … and never removes more.
const TRIM_ENTRIES_MAX: u64 = 1_000_000;

/// How XADD and XTRIM are to trim.
#[derive(Clone, Copy)]
struct Trimming {
    trim: Trim,
    /// `~`: only whole nodes.
    whole_nodes: bool,
    /// Where the threshold stands among the arguments.
    at: usize,
    limit: u64,
}

/// What stands before an entry's fields, or behind XTRIM's key.
struct Options {
    trimming: Option<Trimming>,
    no_mkstream: bool,
    /// The id, and whether its second half was given; `None` for `*`.
    id: Option<(StreamId, bool)>,
    /// Where the id stands among the arguments, or would.
    id_at: usize,
}

fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

impl Options {
    fn parse(ctx: &Context<'_, '_>, args: &[&[u8]], adds: bool) -> Result<Options, CommandError> {
        let mut options = Options { trimming: None, no_mkstream: false, id: None, id_at: args.len() };
        let mut limit = None;
        let mut at = 2;
        while let Some(arg) = args.get(at) {
            let has_more = at + 1 < args.len();
            if adds && until_nul(arg) == b"*" {
                options.id_at = at;
                break;
            } else if has_more && (is_word(arg, "maxlen") || is_word(arg, "minid")) {
                at = options.parse_trimming(args, at)?;
            } else if has_more && is_word(arg, "limit") {
                let value = int(args[at + 1])?;
                let none = CommandError::text("ERR The LIMIT argument must be >= 0.");
                limit = Some(u64::try_from(value).map_err(|_| none)?);
                at += 2;
            } else if adds && is_word(arg, "nomkstream") {
                options.no_mkstream = true;
                at += 1;
            } else if adds {
                options.id = Some(ids::new_id(arg)?);
                options.id_at = at;
                break;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        options.apply_limit(ctx, limit, adds)?;
        Ok(options)
    }

    /// Reads MAXLEN or MINID at `at`; returns where it ends.
    fn parse_trimming(&mut self, args: &[&[u8]], at: usize) -> Result<usize, CommandError> {
        if self.trimming.is_some() {
            return Err(CommandError::text(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let sign = until_nul(args[at + 1]);
        let signed = at + 2 < args.len() && matches!(sign, b"~" | b"=");
        let whole_nodes = signed && sign == b"~";
        let value_at = at + 1 + usize::from(signed);
        let trim = if is_word(args[at], "maxlen") {
            let len = int(args[value_at])?;
            let negative = CommandError::text("ERR The MAXLEN argument must be >= 0.");
            Trim::MaxLen(u64::try_from(len).map_err(|_| negative)?)
        } else {
            Trim::MinId(ids::id(args[value_at])?)
        };
        self.trimming = Some(Trimming { trim, whole_nodes, at: value_at, limit: 0 });
        Ok(value_at + 1)
    }

    fn apply_limit(
        &mut self,
        ctx: &Context<'_, '_>,
        limit: Option<u64>,
        adds: bool,
    ) -> Result<(), CommandError> {
        const NOT_WHOLE: CommandError =
            CommandError::text("ERR syntax error, LIMIT cannot be used without the special ~ option");
        let is_logged = ctx.expiry == ExpiryMode::Ignore;
        let Some(trimming) = &mut self.trimming else {
            return match limit {
                Some(1..) => Err(CommandError::text(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                )),
                _ if !adds => {
                    Err(CommandError::text("ERR syntax error, XTRIM must be called with a trimming strategy"))
                }
                Some(0) if !is_logged => Err(NOT_WHOLE),
                _ => Ok(()),
            };
        };
        // What a log says was made exact by whoever wrote it, and is not limited again.
        if is_logged {
            return Ok(());
        }
        trimming.limit = match limit {
            Some(_) if !trimming.whole_nodes => return Err(NOT_WHOLE),
            Some(limit) => limit,
            None if !trimming.whole_nodes => 0,
            None => match ctx.settings.limits.stream_node_max_entries.saturating_mul(TRIM_NODES) as u64 {
                0 => TRIM_ENTRIES,
                entries => entries.min(TRIM_ENTRIES_MAX),
            },
        };
        Ok(())
    }
}

/// The arguments as they go into the log: with the entry's id, and with a threshold that leaves what was left here
/// however the other side's nodes are cut.
fn log_as(
    ctx: &mut Context<'_, '_>,
    args: &[&[u8]],
    id: Option<(usize, StreamId)>,
    exact: Option<(usize, Trim)>,
) {
    let mut args = args.to_vec();
    let id = id.map(|(at, id)| (at, id.text()));
    if let Some((at, text)) = &id {
        args[*at] = text.as_ref();
    }
    let mut digits = itoa::Buffer::new();
    let min_id;
    if let Some((at, trim)) = exact {
        args[at - 1] = b"=";
        args[at] = match trim {
            Trim::MaxLen(len) => digits.format(len).as_bytes(),
            Trim::MinId(id) => {
                min_id = id.text();
                min_id.as_ref()
            }
        };
    }
    ctx.log(&args);
}

pub(super) fn xadd(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let options = Options::parse(ctx, args, true)?;
    let pairs = args.get(options.id_at + 1..).unwrap_or_default();
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(CommandError::Arity("xadd".into()));
    }
    if options.id == Some((StreamId::MIN, true)) {
        return Err(CommandError::text("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let key = args[1];
    let is_new = ctx.stream_mut(key)?.is_none();
    if is_new && options.no_mkstream {
        ctx.reply.null();
        return DONE;
    }
    let (now_ms, settings) = (ctx.now_ms, ctx.settings);
    let entries = ctx.stream_or_new(key)?.entries_mut();
    let added = choose_id(entries.last_id, options.id, now_ms)
        .and_then(|id| entries.append(id, pairs, &settings.limits).map(|()| id).map_err(refusal));
    let id = match added {
        Ok(id) => id,
        Err(error) => {
            if is_new {
                drop(ctx.take(key));
                ctx.effects.untell(ctx.db, "new", key);
            }
            return Err(error);
        }
    };
    let mut gone = 0;
    let exact = options.trimming.map(|trimming| {
        gone = entries.trim(trimming.trim, trimming.whole_nodes, trimming.limit);
        let left = match trimming.trim {
            Trim::MaxLen(_) => Trim::MaxLen(entries.len()),
            Trim::MinId(_) => Trim::MinId(entries.first_kept_id()),
        };
        (trimming.whole_nodes, (trimming.at, left))
    });
    ctx.reply.bulk(id.text());
    ctx.modified(key);
    ctx.tell(EventClass::Stream, "xadd", key);
    if gone > 0 {
        ctx.tell(EventClass::Stream, "xtrim", key);
    }
    ctx.key_is_ready(key);
    let exact = exact.and_then(|(whole_nodes, left)| whole_nodes.then_some(left));
    let chosen = options.id.is_none_or(|(_, seq_given)| !seq_given).then_some((options.id_at, id));
    if chosen.is_some() || exact.is_some() {
        log_as(ctx, args, chosen, exact);
    }
    DONE
}

/// The id of an entry to be added.
fn choose_id(last: StreamId, given: Option<(StreamId, bool)>, now_ms: i64) -> Result<StreamId, CommandError> {
    if last == StreamId::MAX {
        return Err(CommandError::text(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let chosen = match given {
        Some((id, true)) => Some(id),
        Some((id, false)) if id.ms == last.ms => last.next().filter(|next| next.ms == last.ms),
        Some((id, false)) => Some(id),
        None => {
            let now_ms = u64::try_from(now_ms).unwrap_or(0);
            if now_ms > last.ms { Some(StreamId::new(now_ms, 0)) } else { last.next() }
        }
    };
    chosen.ok_or_else(|| refusal(AppendError::NotAbove))
}

fn refusal(error: AppendError) -> CommandError {
    CommandError::text(match error {
        AppendError::NotAbove => {
            "ERR The ID specified in XADD is equal or smaller than the target stream top item"
        }
        AppendError::TooLarge => "ERR Elements are too large to be stored",
    })
}

pub(super) fn xtrim(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let options = Options::parse(ctx, args, false)?;
    let Some(Trimming { trim, whole_nodes, at, limit }) = options.trimming else {
        return Err(CommandError::Syntax);
    };
    let key = args[1];
    let Some(stream) = ctx.stream_mut(key)? else {
        ctx.reply.int(0);
        return DONE;
    };
    let entries = stream.entries_mut();
    let gone = entries.trim(trim, whole_nodes, limit);
    let left = match trim {
        Trim::MaxLen(_) => Trim::MaxLen(entries.len()),
        Trim::MinId(_) => Trim::MinId(entries.first_kept_id()),
    };
    ctx.reply.int(gone as i64);
    if gone > 0 {
        ctx.modified_times(key, gone as usize);
        ctx.tell(EventClass::Stream, "xtrim", key);
        if whole_nodes {
            log_as(ctx, args, None, Some((at, left)));
        }
    }
    DONE
}

pub(super) fn xdel(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let key = args[1];
    if ctx.stream_mut(key)?.is_none() {
        ctx.reply.int(0);
        return DONE;
    }
    let ids = args[2..].iter().map(|arg| ids::id(arg)).collect::<Result<Vec<_>, _>>()?;
    let Some(stream) = ctx.stream_mut(key)? else { return DONE };
    let gone = ids.into_iter().filter(|id| stream.entries_mut().delete(*id)).count();
    ctx.reply.int(gone as i64);
    if gone > 0 {
        ctx.modified_times(key, gone);
        ctx.tell(EventClass::Stream, "xdel", key);
    }
    DONE
}

pub(super) fn xlen(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let len = ctx.read_stream(args[1])?.map_or(0, |stream| stream.entries().len());
    ctx.reply.int(len as i64);
    DONE
}

pub(super) fn xsetid(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let id = ids::id(args[2])?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    for option in args[3..].chunks(2) {
        let [word, value] = option else { return Err(CommandError::Syntax) };
        if is_word(word, "entriesadded") {
            let negative = CommandError::text("ERR entries_added must be positive");
            added = Some(u64::try_from(int(value)?).map_err(|_| negative)?);
        } else if is_word(word, "maxdeletedid") {
            max_deleted = ids::id(value)?;
            if id < max_deleted {
                return Err(CommandError::text(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(CommandError::Syntax);
        }
    }
    // A log may come from a server that let this pass, as 7.0 does.
    let is_logged = ctx.expiry == ExpiryMode::Ignore;
    let entries = ctx.stream_mut(args[1])?.ok_or(CommandError::NoSuchKey)?.entries_mut();
    if id < entries.max_deleted_id && !is_logged {
        return Err(CommandError::text(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if entries.last_live_id().is_some_and(|last| id < last) {
        return Err(CommandError::text(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if added.is_some_and(|added| added < entries.len()) {
        return Err(CommandError::text(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    entries.last_id = id;
    entries.added = added.unwrap_or(entries.added);
    if !max_deleted.is_zero() {
        entries.max_deleted_id = max_deleted;
    }
    ctx.reply.ok();
    ctx.dirty += 1;
    ctx.tell(EventClass::Stream, "xsetid", args[1]);
    DONE
}
