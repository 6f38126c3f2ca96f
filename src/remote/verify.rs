//! Whether a server holds what it was sent.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::client::{Connection, Patience};
use super::error::{NAMED_KEYS, RemoteError};
use super::facts::Facts;
use super::fetch::ServerClock;
use super::plan::Plan;
use super::push::{Found, compare};
use super::state::key_text;
use super::url::Target;
use crate::command::digest::Digest;

/// How it was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// By DEBUG DIGEST, over all that the server holds.
    Digest,
    /// Every key was read back and held against what it should be.
    ReadBack,
    /// It was not asked for.
    Nothing,
}

/// Asks the server for the digest of all it holds; `false` if that is not ours, or it does not tell.
pub fn by_digest(connection: &mut Connection, keys: u64, wanted: &Digest) -> Result<bool, RemoteError> {
    if Facts::of(connection)?.keys.values().sum::<u64>() != keys {
        return Ok(false);
    }
    match connection.call(&["DEBUG", "DIGEST"]) {
        Ok(reply) => Ok(reply.as_bytes() == Some(wanted.to_string().as_bytes())),
        Err(RemoteError::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What was read back.
#[derive(Debug, Default)]
pub struct ReadBack {
    /// Keys that are not there.
    pub missing: u64,
    /// Keys with other values.
    pub differing: u64,
    /// Some of both.
    pub keys: Vec<String>,
}

/// Reads every key back, over so many connections.
pub fn read_back(
    target: &Target,
    patience: Patience,
    plan: &Plan<'_>,
    clock: &ServerClock,
    connections: usize,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<ReadBack, RemoteError> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let found = Mutex::new((0u64, ReadBack::default()));
    let all = plan.items().len() as u64;
    let work = || -> Result<(), RemoteError> {
        let mut connection = Connection::open(target, patience)?;
        let mut selected = 0;
        while !stop.load(Ordering::Relaxed) {
            let unit = next.fetch_add(1, Ordering::Relaxed);
            if unit >= plan.units() {
                break;
            }
            let items = plan.unit(unit);
            let Some(first) = items.first() else { continue };
            if selected != first.db {
                connection.select(first.db)?;
                selected = first.db;
            }
            let compared = compare(&mut connection, first.db, items, clock)?;
            let mut found = found.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            found.0 += items.len() as u64;
            progress(found.0, all);
            for (item, what) in compared {
                match what {
                    Found::Same => continue,
                    Found::Missing => found.1.missing += 1,
                    Found::Differs => found.1.differing += 1,
                }
                if found.1.keys.len() < NAMED_KEYS {
                    found.1.keys.push(format!("\"{}\"", key_text(item.entry.key())));
                }
            }
        }
        Ok(())
    };
    let guarded = || {
        let worked = work();
        stop.fetch_or(worked.is_err(), Ordering::Relaxed);
        worked
    };
    let results: Vec<Result<(), RemoteError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections.max(1)).map(|_| scope.spawn(guarded)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });
    results.into_iter().collect::<Result<(), _>>()?;
    Ok(found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).1)
}
