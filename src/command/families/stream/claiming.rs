//! XPENDING, XCLAIM and XAUTOCLAIM: what was delivered and not acknowledged, and who is to deal with it.

use super::groups::{CONSUMER_CREATED, naming_two};
use super::ids;
use super::propagation::{Claim, log_consumer, log_group_id};
use super::ranges::{count, write_entry};
use super::reading::stream_of;
use crate::base::num::parse_i64;
use crate::command::args::int;
use crate::command::error::quoting;
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::resp::reply::Reply;
use crate::value::stream::{ConsumerId, Entries, Group, Pending, StreamId};

/// How many pending entries XAUTOCLAIM looks at for each that it may claim.
const LOOKS_A_CLAIM: usize = 10;
/// Entries that XAUTOCLAIM claims unless told otherwise.
const AUTOCLAIM_COUNT: usize = 100;

fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    naming_two(["NOGROUP No such key '", "' or consumer group '", "'"], key, group)
}

/// The long form of XPENDING.
struct PendingRange<'a> {
    min_idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> PendingRange<'a> {
    fn parse(args: &[&'a [u8]]) -> Result<Option<Self>, CommandError> {
        if args.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&args.len()) {
            return Err(CommandError::Syntax);
        }
        let (mut min_idle_ms, mut at) = (0, 3);
        if args[3].eq_ignore_ascii_case(b"idle") {
            min_idle_ms = int(args[4])?;
            if args.len() < 8 {
                return Err(CommandError::Syntax);
            }
            at = 5;
        }
        let count = count(args[at + 2])?;
        let (start, end) = (ids::range_start(args[at])?, ids::range_end(args[at + 1])?);
        Ok(Some(PendingRange { min_idle_ms, start, end, count, consumer: args.get(at + 3).copied() }))
    }
}

pub(super) fn xpending(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let range = PendingRange::parse(args)?;
    let now_ms = ctx.now_ms;
    let (stream, reply) = ctx.read_stream_with_reply(args[1])?;
    let group = stream.and_then(|stream| stream.group(args[2]));
    let Some(group) = group else { return Err(no_group(args[1], args[2])) };
    match range {
        None => write_summary(reply, group),
        Some(range) => write_pending(reply, group, &range, now_ms),
    }
    DONE
}

fn write_summary(reply: &mut Reply<'_>, group: &Group) {
    let pending = group.pending();
    reply.array(4);
    reply.int(pending.len() as i64);
    let (Some((first, _)), Some((last, _))) = (pending.first_key_value(), pending.last_key_value()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    reply.bulk(first.text());
    reply.bulk(last.text());
    let deferred = reply.deferred_array();
    let mut written = 0;
    for consumer in group.consumers().filter(|consumer| !consumer.pending().is_empty()) {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_int(consumer.pending().len() as i64);
        written += 1;
    }
    reply.finish_array(deferred, written);
}

fn write_pending(reply: &mut Reply<'_>, group: &Group, range: &PendingRange<'_>, now_ms: i64) {
    let consumer = range.consumer.map(|name| group.find_consumer(name));
    if consumer == Some(None) {
        return reply.array(0);
    }
    let deferred = reply.deferred_array();
    let mut written = 0;
    let idle_ms = |pending: &Pending| now_ms.wrapping_sub(pending.delivered_ms);
    let found = group
        .pending_range(consumer.flatten(), range.start..=range.end)
        .filter(|(_, pending)| range.min_idle_ms == 0 || idle_ms(pending) >= range.min_idle_ms);
    for (id, pending) in found.take(range.count) {
        reply.array(4);
        reply.bulk(id.text());
        reply.bulk(group.consumer(pending.consumer).name());
        reply.int(idle_ms(pending).max(0));
        reply.int(pending.deliveries as i64);
        written += 1;
    }
    reply.finish_array(deferred, written);
}

/// How entries change hands.
struct Terms {
    consumer: ConsumerId,
    min_idle_ms: i64,
    delivered_ms: i64,
    /// Deliveries to set; else one is added, unless `just_ids`.
    deliveries: Option<u64>,
    force: bool,
    just_ids: bool,
}

/// What became of an entry that was to be claimed.
enum Claimed {
    /// It was not pending, or not for long enough.
    No,
    /// It was deleted from the stream, and is not pending any more: this is how it was.
    Gone(Pending),
    /// It is the consumer's now.
    Yes(Pending),
}

impl Terms {
    /// Claims an entry if it may be, and writes it.
    fn claim(
        &self,
        reply: &mut Reply<'_>,
        (entries, group): (&Entries, &mut Group),
        id: StreamId,
        now_ms: i64,
    ) -> Claimed {
        let before = group.pending_entry(id).copied();
        let Some(entry) = entries.get(id) else {
            return match before {
                Some(pending) => Claimed::Gone(pending),
                None => Claimed::No,
            };
        };
        let deliveries = match before {
            None if !self.force => return Claimed::No,
            // As in Redis, a forced entry counts as delivered once already.
            None => 1,
            Some(pending) => {
                let idle_ms = now_ms.wrapping_sub(pending.delivered_ms);
                if self.min_idle_ms > 0 && idle_ms < self.min_idle_ms {
                    return Claimed::No;
                }
                pending.deliveries
            }
        };
        let deliveries = match self.deliveries {
            Some(deliveries) => deliveries,
            None => deliveries.wrapping_add(u64::from(!self.just_ids)),
        };
        let pending = Pending { delivered_ms: self.delivered_ms, deliveries, consumer: self.consumer };
        group.assign(id, pending);
        group.active(self.consumer, Some(now_ms));
        if self.just_ids {
            reply.bulk(id.text());
        } else {
            write_entry(reply, &entry);
        }
        Claimed::Yes(pending)
    }
}

/// A claim that is to be logged, with the consumer's name where it is not the claimer's.
struct Logged {
    claim: Claim,
    other: Option<Vec<u8>>,
}

impl Logged {
    fn new(id: StreamId, pending: Pending, group: &Group) -> Logged {
        let Pending { delivered_ms, deliveries, .. } = pending;
        Logged { claim: Claim { id, delivered_ms, deliveries, last_id: group.last_id }, other: None }
    }

    fn log(&self, ctx: &mut Context<'_, '_>, key: &[u8], group: &[u8], claimer: &[u8]) {
        self.claim.log(ctx, key, group, self.other.as_deref().unwrap_or(claimer));
    }
}

/// Ends the being pending of an entry that the stream no longer has. What is logged is a claim of its consumer's, which
/// will find the same.
fn forget(group: &mut Group, id: StreamId, pending: Pending) -> Logged {
    let other = Some(group.consumer(pending.consumer).name().to_vec());
    let logged = Logged { other, ..Logged::new(id, pending, group) };
    group.acknowledge(id);
    logged
}

/// XCLAIM's arguments behind the ids.
struct ClaimOptions {
    delivered_ms: i64,
    deliveries: Option<u64>,
    force: bool,
    just_ids: bool,
    last_id: StreamId,
}

impl ClaimOptions {
    fn parse(mut rest: &[&[u8]], now_ms: i64) -> Result<ClaimOptions, CommandError> {
        let mut options = ClaimOptions {
            delivered_ms: now_ms,
            deliveries: None,
            force: false,
            just_ids: false,
            last_id: StreamId::MIN,
        };
        let number = |arg: &[u8], text| parse_i64(arg).ok_or(CommandError::text(text));
        let mut delivered_ms = -1;
        loop {
            rest = match rest {
                [] => break,
                [word, rest @ ..] if word.eq_ignore_ascii_case(b"force") => {
                    options.force = true;
                    rest
                }
                [word, rest @ ..] if word.eq_ignore_ascii_case(b"justid") => {
                    options.just_ids = true;
                    rest
                }
                [word, value, rest @ ..] if word.eq_ignore_ascii_case(b"idle") => {
                    let idle_ms = number(value, "ERR Invalid IDLE option argument for XCLAIM")?;
                    delivered_ms = now_ms.wrapping_sub(idle_ms);
                    rest
                }
                [word, value, rest @ ..] if word.eq_ignore_ascii_case(b"time") => {
                    delivered_ms = number(value, "ERR Invalid TIME option argument for XCLAIM")?;
                    rest
                }
                [word, value, rest @ ..] if word.eq_ignore_ascii_case(b"retrycount") => {
                    let count = number(value, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                    options.deliveries = u64::try_from(count).ok();
                    rest
                }
                [word, value, rest @ ..] if word.eq_ignore_ascii_case(b"lastid") => {
                    options.last_id = ids::id(value)?;
                    rest
                }
                [word, ..] => {
                    return Err(CommandError::Quoting(quoting(
                        "ERR Unrecognized XCLAIM option '",
                        word,
                        "'",
                    )));
                }
            };
        }
        // A clock that is a bit ahead is no reason to refuse.
        if (0..=now_ms).contains(&delivered_ms) {
            options.delivered_ms = delivered_ms;
        }
        Ok(options)
    }
}

pub(super) fn xclaim(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, name, consumer) = (args[1], args[2], args[3]);
    if ctx.read_stream(key)?.and_then(|stream| stream.group(name)).is_none() {
        return Err(no_group(key, name));
    }
    let min_idle = parse_i64(args[4]);
    let min_idle_ms =
        min_idle.ok_or(CommandError::text("ERR Invalid min-idle-time argument for XCLAIM"))?.max(0);
    let wanted: Vec<StreamId> = args[5..].iter().map_while(|arg| ids::try_id(arg)).collect();
    let now_ms = ctx.now_ms;
    let options = ClaimOptions::parse(&args[5 + wanted.len()..], now_ms)?;
    let ClaimOptions { delivered_ms, deliveries, force, just_ids, last_id } = options;
    let (entry, reply, _) = ctx.lookup_with(key);
    let Some((entries, group)) = stream_of(entry)?.and_then(|stream| stream.group_mut(name)) else {
        return Err(no_group(key, name));
    };
    let moved = last_id > group.last_id;
    group.last_id = group.last_id.max(last_id);
    let (claimer, is_new) = group.consumer_or_new(consumer, now_ms);
    let terms = Terms { consumer: claimer, min_idle_ms, delivered_ms, deliveries, force, just_ids };
    let (mut logged, mut claimed) = (Vec::new(), 0);
    let deferred = reply.deferred_array();
    for id in wanted {
        match terms.claim(reply, (entries, group), id, now_ms) {
            Claimed::No => {}
            Claimed::Gone(pending) => logged.push(forget(group, id, pending)),
            Claimed::Yes(pending) => {
                logged.push(Logged::new(id, pending, group));
                claimed += 1;
            }
        }
    }
    reply.finish_array(deferred, claimed);
    let read_to = (group.last_id, group.entries_read);
    log_claims(ctx, (key, name, consumer), &logged, is_new);
    if moved && logged.is_empty() {
        log_group_id(ctx, key, name, read_to.0, read_to.1);
        ctx.dirty += 1;
    }
    DONE
}

pub(super) fn xautoclaim(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (key, name, consumer) = (args[1], args[2], args[3]);
    ctx.read(key);
    let min_idle = parse_i64(args[4]);
    let min_idle_ms =
        min_idle.ok_or(CommandError::text("ERR Invalid min-idle-time argument for XAUTOCLAIM"))?.max(0);
    let start = ids::range_start(args[5])?;
    let (count, just_ids) = autoclaim_options(&args[6..])?;
    if ctx.peek_stream(key)?.and_then(|stream| stream.group(name)).is_none() {
        return Err(no_group(key, name));
    }
    let now_ms = ctx.now_ms;
    let (entry, reply, _) = ctx.lookup_with(key);
    let Some((entries, group)) = stream_of(entry)?.and_then(|stream| stream.group_mut(name)) else {
        return Err(no_group(key, name));
    };
    let (claimer, is_new) = group.consumer_or_new(consumer, now_ms);
    let (delivered_ms, deliveries, force) = (now_ms, None, false);
    let terms = Terms { consumer: claimer, min_idle_ms, delivered_ms, deliveries, force, just_ids };
    let (mut logged, mut gone) = (Vec::new(), Vec::new());
    let (mut claimed, mut left, mut next) = (0, count, Some(start));
    let mut looks = count.saturating_mul(LOOKS_A_CLAIM);
    let pending_from =
        |group: &Group, start: Option<StreamId>| group.pending().range(start?..).next().map(|(id, _)| *id);
    // The entries come before the cursor is known that stands in front of them.
    let mut body = Vec::new();
    let mut out = Reply::new(&mut body, reply.is_resp3());
    while looks > 0 && left > 0 {
        let Some(id) = pending_from(group, next) else { break };
        looks -= 1;
        next = id.next();
        match terms.claim(&mut out, (entries, group), id, now_ms) {
            Claimed::No => continue,
            Claimed::Gone(pending) => {
                logged.push(forget(group, id, pending));
                gone.push(id);
            }
            Claimed::Yes(pending) => {
                logged.push(Logged::new(id, pending, group));
                claimed += 1;
            }
        }
        left -= 1;
    }
    reply.array(3);
    reply.bulk(pending_from(group, next).unwrap_or_default().text());
    reply.array(claimed);
    reply.raw(&body);
    reply.array(gone.len());
    gone.iter().for_each(|id| reply.bulk(id.text()));
    log_claims(ctx, (key, name, consumer), &logged, is_new);
    DONE
}

/// Logs what a claim came to, and a claimer that is new, though it got nothing.
fn log_claims(
    ctx: &mut Context<'_, '_>,
    (key, group, claimer): (&[u8], &[u8], &[u8]),
    logged: &[Logged],
    is_new: bool,
) {
    ctx.log_nothing();
    ctx.dirty += logged.len() as u64 + u64::from(is_new);
    if is_new {
        ctx.tell(EventClass::Stream, CONSUMER_CREATED, key);
    }
    if is_new && logged.iter().all(|it| it.other.is_some()) {
        log_consumer(ctx, key, group, claimer);
    }
    logged.iter().for_each(|it| it.log(ctx, key, group, claimer));
}

fn autoclaim_options(mut rest: &[&[u8]]) -> Result<(usize, bool), CommandError> {
    /// So many ids fit the address space, and so many looks a 64-bit number.
    const COUNT_MAX: i64 = i64::MAX / 16;
    let (mut count, mut just_ids) = (AUTOCLAIM_COUNT, false);
    loop {
        rest = match rest {
            [] => return Ok((count, just_ids)),
            [word, value, rest @ ..] if word.eq_ignore_ascii_case(b"count") => {
                let wanted = parse_i64(value).filter(|count| (1..=COUNT_MAX).contains(count));
                let wanted = wanted.ok_or(CommandError::text("ERR COUNT must be > 0"))?;
                count = usize::try_from(wanted).unwrap_or(usize::MAX);
                rest
            }
            [word, rest @ ..] if word.eq_ignore_ascii_case(b"justid") => {
                just_ids = true;
                rest
            }
            _ => return Err(CommandError::Syntax),
        };
    }
}
