//! Commands for whole databases: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB.

use super::keys::{database, database_number};
use crate::command::{CommandError, CommandResult, Context, DONE, ExpiryMode};
use crate::keyspace::freeing::free_later;
use crate::keyspace::{Db, Entry, Presence, SHARD_COUNT, Shard};
use crate::value::hash_bytes;

pub(super) fn dbsize(ctx: &mut Context<'_, '_>, _args: &[&[u8]]) -> CommandResult {
    let db = ctx.db;
    let count: usize = (0..SHARD_COUNT).map(|index| ctx.with_shard(index, |shard| shard.db(db).len())).sum();
    ctx.reply.int(count as i64);
    DONE
}

pub(super) fn flushdb(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    check_flush_word(args)?;
    flush(ctx, ctx.db..ctx.db + 1, args)
}

pub(super) fn flushall(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    check_flush_word(args)?;
    ctx.counts.flushed = true;
    flush(ctx, 0..ctx.keyspace.databases(), args)
}

/// ASYNC and SYNC are accepted and mean the same here: what is dropped is always freed on another thread.
fn check_flush_word(args: &[&[u8]]) -> Result<(), CommandError> {
    match args[1..] {
        [] => Ok(()),
        [word] if word.eq_ignore_ascii_case(b"async") || word.eq_ignore_ascii_case(b"sync") => Ok(()),
        _ => Err(CommandError::Syntax),
    }
}

/// The time by which keys have expired, unless the log says itself when one goes.
fn expiry_clock(ctx: &Context<'_, '_>) -> Option<i64> {
    (ctx.expiry != ExpiryMode::Ignore).then_some(ctx.now_ms)
}

fn flush(ctx: &mut Context<'_, '_>, dbs: std::ops::Range<u32>, args: &[&[u8]]) -> CommandResult {
    let (mut dropped, mut ready): (Vec<Db>, Vec<_>) = Default::default();
    let now_ms = expiry_clock(ctx);
    for (_, shard) in ctx.keys.iter_mut() {
        for db in dbs.clone() {
            let streams = shard
                .awaited_keys(db)
                .filter(|key| shard.db(db).get(hash_bytes(key), key).is_some_and(Entry::is_stream));
            ready.extend(streams.map(|key| (db, Box::from(key))));
            shard.replaced(db, |shard, key| (shard.presence(db, key, now_ms), Presence::Absent));
            if !shard.db(db).is_empty() {
                dropped.push(shard.take_db(db));
            }
        }
    }
    ctx.dirty += dropped.iter().map(|db| db.len() as u64).sum::<u64>();
    ctx.ready.append(&mut ready);
    ctx.keys.everything_changed();
    if !dropped.is_empty() {
        free_later(dropped);
    }
    // Also when everything was empty already: a replica may still hold something.
    ctx.log(args);
    ctx.reply.ok();
    DONE
}

pub(super) fn swapdb(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let a = database_number(args[1], Some("ERR invalid first DB index"))?;
    let b = database_number(args[2], Some("ERR invalid second DB index"))?;
    let (a, b) = (database(ctx, a)?, database(ctx, b)?);
    if a != b {
        swap(ctx, a, b);
    }
    ctx.dirty += 1;
    ctx.reply.ok();
    DONE
}

/// Exchanges two databases, and tells whoever watches or waits for keys of either.
fn swap(ctx: &mut Context<'_, '_>, a: u32, b: u32) {
    let now_ms = expiry_clock(ctx);
    let is_live = |shard: &Shard, db: u32, key: &[u8]| shard.presence(db, key, now_ms) == Presence::Live;
    let mut ready = Vec::new();
    for (_, shard) in ctx.keys.iter_mut() {
        for (from, to) in [(a, b), (b, a)] {
            let presence = |shard: &Shard, key: &[u8]| {
                (shard.presence(from, key, now_ms), shard.presence(to, key, now_ms))
            };
            shard.replaced(from, presence);
        }
        shard.swap_dbs(a, b);
        for db in [a, b] {
            // Where there was something before, readers of a stream's group may have to be told that it went.
            let changed =
                shard.awaited_keys(db).filter(|key| is_live(shard, a, key) || is_live(shard, b, key));
            ready.extend(changed.map(|key| (db, Box::from(key))));
        }
    }
    ctx.ready.append(&mut ready);
    ctx.keys.everything_changed();
}
