//! Commands that look through the whole keyspace, a shard's lock at a time: KEYS, SCAN, RANDOMKEY.
//!
//! Expired keys are skipped. SCAN and RANDOMKEY have those that they come upon removed (see `Context::met_expired`), as
//! Redis does.

use super::keys::type_name;
use crate::base::glob::{glob_match, is_literal};
use crate::command::args::{ScanOptions, cursor};
use crate::command::table::Walk;
use crate::command::{CommandError, CommandResult, Context, DONE, ExpiryMode, Outcome};
use crate::keyspace::db::{locate, shard_start};
use crate::keyspace::{Entry, SHARD_COUNT, shard_of};
use crate::resp::command_bytes::write_bulk;

/// Cursors are positions without their low bits, which are always clear: they stay below 2^48, which is exact even
/// where a client keeps them in a double.
const CURSOR_SHIFT: u32 = 16;
/// Keys that one step of a walk looks at, at least, before it lets others in.
const STEP_KEYS: usize = 2_000;
/// A SCAN whose COUNT is larger is done as a walk.
const SCAN_AT_ONCE: usize = 1_000;
/// Size of the pieces in which KEYS collects and copies its reply, bytes.
const CHUNK_BYTES: usize = 128 * 1024;
/// RANDOMKEY gives up drawing after so many expired keys, and looks for any live one.
const RANDOM_DRAWS: usize = 100;

/// Tells live entries from expired ones without a context.
#[derive(Clone, Copy)]
struct Liveness {
    /// Whatever expires before this unix time in ms is gone.
    deadline_ms: i64,
}

impl Liveness {
    fn of(ctx: &Context<'_, '_>) -> Liveness {
        Liveness { deadline_ms: if ctx.expiry == ExpiryMode::Ignore { i64::MIN } else { ctx.now_ms } }
    }

    fn is_live(self, entry: &Entry) -> bool {
        entry.expire_at_ms().is_none_or(|at| at >= self.deadline_ms)
    }
}

pub(super) fn keys(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let pattern = args[1];
    if is_literal(pattern) {
        return literal_key(ctx, pattern);
    }
    Ok(Outcome::Walk(Box::new(KeysWalk {
        pattern: (pattern != b"*").then(|| pattern.into()),
        position: Some(0),
        chunks: Chunks::default(),
        found: 0,
        copying: None,
    })))
}

/// A pattern that only one key can match.
fn literal_key(ctx: &mut Context<'_, '_>, key: &[u8]) -> CommandResult {
    let liveness = Liveness::of(ctx);
    let db = ctx.db;
    let (index, hash) = locate(key);
    let is_there = ctx
        .with_shard(index, |shard| shard.db(db).get(hash, key).is_some_and(|entry| liveness.is_live(entry)));
    ctx.reply.array(usize::from(is_there));
    if is_there {
        ctx.reply.bulk(key);
    }
    DONE
}

/// Encoded elements in pieces, so that no step has to move all of them.
#[derive(Default)]
struct Chunks {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
    bytes: usize,
}

impl Chunks {
    fn push_bulk(&mut self, bytes: &[u8]) {
        let before = self.last.len();
        write_bulk(&mut self.last, bytes);
        self.bytes += self.last.len() - before;
        if self.last.len() >= CHUNK_BYTES {
            self.full.push(std::mem::replace(&mut self.last, Vec::with_capacity(CHUNK_BYTES + 1024)));
        }
    }
}

/// KEYS: first collects, then copies into the reply, both in slices.
struct KeysWalk {
    pattern: Option<Box<[u8]>>,
    /// Where to go on; `None` when all is collected.
    position: Option<u64>,
    chunks: Chunks,
    found: usize,
    copying: Option<std::vec::IntoIter<Vec<u8>>>,
}

impl KeysWalk {
    fn collect(&mut self, ctx: &mut Context<'_, '_>) {
        let liveness = Liveness::of(ctx);
        let db = ctx.db;
        let mut visited = 0;
        while let Some(position) = self.position.filter(|_| visited < STEP_KEYS) {
            let index = shard_of(position);
            let next = ctx.with_shard(index, |shard| {
                shard.db(db).walk_segment(position, |entry| {
                    visited += 1;
                    let wanted = self.pattern.as_ref().is_none_or(|pattern| glob_match(pattern, entry.key()));
                    if wanted && liveness.is_live(entry) {
                        self.chunks.push_bulk(entry.key());
                        self.found += 1;
                    }
                })
            });
            self.position = next.or_else(|| (index + 1 < SHARD_COUNT).then(|| shard_start(index + 1)));
        }
    }
}

impl Walk for KeysWalk {
    fn step(&mut self, ctx: &mut Context<'_, '_>) -> bool {
        if self.position.is_some() {
            self.collect(ctx);
            return false;
        }
        let Some(copying) = &mut self.copying else {
            let mut chunks = std::mem::take(&mut self.chunks.full);
            chunks.push(std::mem::take(&mut self.chunks.last));
            ctx.reply.reserve(self.chunks.bytes + 32);
            ctx.reply.array(self.found);
            self.copying = Some(chunks.into_iter());
            return false;
        };
        let Some(chunk) = copying.next() else { return true };
        ctx.reply.raw(&chunk);
        copying.len() == 0
    }

    fn finish(self: Box<Self>, _: &mut Context<'_, '_>) {}
}

pub(super) fn scan(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let cursor = cursor(args[1])?;
    let mut options = ScanOptions::default();
    let mut type_wanted = None;
    let mut rest = args[2..].iter();
    while let Some(word) = rest.next() {
        let value = *rest.next().ok_or(CommandError::Syntax)?;
        if word.eq_ignore_ascii_case(b"type") {
            type_wanted = Some(value.into());
        } else if !options.take(word, value)? {
            return Err(CommandError::Syntax);
        }
    }
    let mut walk = Box::new(ScanWalk {
        // A cursor that no answer ever held lies beyond the end.
        position: (cursor >> (64 - CURSOR_SHIFT) == 0).then_some(cursor << CURSOR_SHIFT),
        left: options.count,
        rounds_left: options.count.saturating_add(SHARD_COUNT),
        pattern: options.pattern.map(Box::from),
        type_wanted,
        found: 0,
        encoded: Vec::new(),
    });
    if options.count > SCAN_AT_ONCE {
        return Ok(Outcome::Walk(walk));
    }
    while !walk.step(ctx) {}
    walk.finish(ctx);
    DONE
}

/// One call of SCAN.
struct ScanWalk {
    /// Where to go on; `None` at the end.
    position: Option<u64>,
    /// Keys still to visit.
    left: usize,
    /// Looks into a shard still to take, so that empty ones do not make a call endless.
    rounds_left: usize,
    pattern: Option<Box<[u8]>>,
    type_wanted: Option<Box<[u8]>>,
    found: usize,
    encoded: Vec<u8>,
}

impl ScanWalk {
    fn is_named(&self, entry: &Entry) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| glob_match(pattern, entry.key()))
    }

    fn is_of_type(&self, entry: &Entry) -> bool {
        self.type_wanted
            .as_deref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(type_name(entry).as_bytes()))
    }
}

impl Walk for ScanWalk {
    fn step(&mut self, ctx: &mut Context<'_, '_>) -> bool {
        let Some(position) = self.position else { return true };
        let liveness = Liveness::of(ctx);
        let db = ctx.db;
        let index = shard_of(position);
        let (mut visited, mut expired) = (0, Vec::new());
        let next = ctx.with_shard(index, |shard| {
            shard.db(db).scan(position, self.left.min(SCAN_AT_ONCE), |entry| {
                visited += 1;
                match liveness.is_live(entry) {
                    true if self.is_named(entry) && self.is_of_type(entry) => {
                        write_bulk(&mut self.encoded, entry.key());
                        self.found += 1;
                    }
                    true => {}
                    // Whatever its type, as in Redis.
                    false if self.is_named(entry) => expired.push(Box::from(entry.key())),
                    false => {}
                }
            })
        });
        expired.into_iter().for_each(|key| ctx.met_expired(key));
        self.position = next.or_else(|| (index + 1 < SHARD_COUNT).then(|| shard_start(index + 1)));
        self.left = self.left.saturating_sub(visited);
        self.rounds_left -= 1;
        self.left == 0 || self.rounds_left == 0 || self.position.is_none()
    }

    fn finish(self: Box<Self>, ctx: &mut Context<'_, '_>) {
        let cursor = self.position.map_or(0, |position| position >> CURSOR_SHIFT);
        ctx.reply.array(2);
        ctx.reply.bulk(itoa::Buffer::new().format(cursor));
        ctx.reply.array(self.found);
        ctx.reply.raw(&self.encoded);
    }
}

pub(super) fn randomkey(ctx: &mut Context<'_, '_>, _args: &[&[u8]]) -> CommandResult {
    let db = ctx.db;
    let counts: [usize; SHARD_COUNT] =
        std::array::from_fn(|index| ctx.with_shard(index, |shard| shard.db(db).len()));
    let total: usize = counts.iter().sum();
    let draws = if total == 0 { 0 } else { RANDOM_DRAWS };
    for _ in 0..draws {
        let mut place = ctx.rng.below(total as u64) as usize;
        let index = counts.iter().position(|count| match place.checked_sub(*count) {
            Some(rest) => {
                place = rest;
                false
            }
            None => true,
        });
        let Some(index) = index else { continue };
        if let Some(key) = random_in(ctx, index) {
            ctx.reply.bulk(key);
            return DONE;
        }
    }
    match (total > 0).then(|| any_live_key(ctx)).flatten() {
        Some(key) => ctx.reply.bulk(key),
        None => ctx.reply.null(),
    }
    DONE
}

/// A live key drawn from a shard; `None` if it drew an expired one.
fn random_in(ctx: &mut Context<'_, '_>, index: usize) -> Option<Box<[u8]>> {
    let liveness = Liveness::of(ctx);
    let db = ctx.db;
    let mut rng = ctx.rng.clone();
    let found = ctx.with_shard(index, |shard| {
        let entry = shard.db(db).random(|| rng.next_u64())?;
        Some((liveness.is_live(entry), Box::from(entry.key())))
    });
    *ctx.rng = rng;
    match found? {
        (true, key) => Some(key),
        (false, key) => {
            ctx.met_expired(key);
            None
        }
    }
}

/// The first live key from some shard on: for a database in which nearly all has expired.
fn any_live_key(ctx: &mut Context<'_, '_>) -> Option<Box<[u8]>> {
    let liveness = Liveness::of(ctx);
    let db = ctx.db;
    let first = ctx.rng.below(SHARD_COUNT as u64) as usize;
    for index in (0..SHARD_COUNT).map(|i| (first + i) % SHARD_COUNT) {
        let mut position = Some(shard_start(index));
        while let Some(from) = position {
            let mut found: Option<Box<[u8]>> = None;
            position = ctx.with_shard(index, |shard| {
                shard.db(db).walk_segment(from, |entry| {
                    if found.is_none() && liveness.is_live(entry) {
                        found = Some(entry.key().into());
                    }
                })
            });
            if found.is_some() {
                return found;
            }
        }
    }
    None
}
