//! Applying a log on several threads.
//!
//! One thread deals the commands out in order. Each of the others, a *lane*, owns some of the shards and applies what touches
//! those alone, in the order of the log; so every key sees its commands in order. A command that touches shards of several
//! lanes, or any, waits until all lanes are done, and is applied by the dealer. Nobody looks at the data meanwhile, so that a
//! transaction need not be seen whole: its commands are dealt at its EXEC like others.
//!
//! A fault is told as one thread would tell it: what stands before it in the log is applied in any case, and of several faults
//! the first in the order of the log counts.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, Scope};

use parking_lot::Mutex;

use crate::command::Settings;
use crate::command::apply::{Applied, Applier, ApplyError, Step};
use crate::command::locking::{NO_HASH, hashes_of};
use crate::command::table::Command;
use crate::keyspace::{Keyspace, shard_of};

/// Below this a log is applied by the calling thread alone, in bytes.
const WORTH_BYTES: usize = 1 << 20;
/// Most lanes; one thread cannot deal for more.
const MOST_LANES: usize = 8;
/// A lane is given so many commands at once, or so many arguments.
const BATCH_COMMANDS: usize = 256;
const BATCH_ARGS: usize = 2_048;
/// Changes whose keys' places are fetched from memory together.
const FETCHED_AT_ONCE: usize = 32;
/// Batches that wait for a lane at most.
const BATCHES_WAITING: usize = 8;
/// After a command that had to wait for all lanes the dealer applies so many that would not have to by itself: where such
/// commands are frequent, waiting for others costs more than they do.
const RUN_BY_DEALER: usize = 64;

/// Lanes that a log of so many bytes is worth on this machine; less than two are none.
pub(super) fn lanes_for(bytes: usize) -> usize {
    if bytes < WORTH_BYTES {
        return 0;
    }
    thread::available_parallelism().map_or(1, NonZero::get).min(MOST_LANES)
}

/// What is applied to what.
#[derive(Clone, Copy)]
pub(super) struct Ground<'k> {
    /// The data.
    pub(super) keyspace: &'k Keyspace,
    /// The server's settings.
    pub(super) settings: &'k Settings,
    /// Unix time in ms.
    pub(super) now_ms: i64,
}

/// A fault was met, here or earlier in the log: there is no use in going on. [`apply_log`] tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Faulty;

/// The command that could not be applied, by the place where that shows, in bytes of the file.
pub(super) type Fault = (usize, ApplyError);

/// The first fault that was met.
struct FirstFault {
    /// Where the command begins that has it; `usize::MAX` while there is none.
    command_at: AtomicUsize,
    told: Mutex<Option<Fault>>,
}

impl FirstFault {
    fn none() -> FirstFault {
        FirstFault { command_at: AtomicUsize::new(usize::MAX), told: Mutex::new(None) }
    }

    fn is_before(&self, command_at: usize) -> bool {
        self.command_at.load(Ordering::Acquire) < command_at
    }

    fn note(&self, command_at: usize, fault: Fault) {
        let mut told = self.told.lock();
        if !self.is_before(command_at) {
            *told = Some(fault);
            self.command_at.store(command_at, Ordering::Release);
        }
    }
}

/// A change in a batch.
struct Change {
    command: &'static Command,
    db: u32,
    /// The hash of the first key.
    hash: u64,
    /// Where the command begins.
    at: usize,
    /// Where a fault of it is told: at the EXEC of its transaction.
    told_at: usize,
    /// Its arguments end here among those of the batch, and begin where those before it end.
    args_end: usize,
}

/// Changes in the order of the log.
#[derive(Default)]
struct Batch<'b> {
    changes: Vec<Change>,
    args: Vec<&'b [u8]>,
}

impl<'b> Batch<'b> {
    fn push(&mut self, change: Change, args: &[&'b [u8]]) {
        self.args.extend_from_slice(args);
        self.changes.push(Change { args_end: self.args.len(), ..change });
    }

    fn is_full(&self) -> bool {
        self.changes.len() >= BATCH_COMMANDS || self.args.len() >= BATCH_ARGS
    }

    fn clear(&mut self) {
        self.changes.clear();
        self.args.clear();
    }

    /// Shows each change with its number and its arguments, until `see` has had enough.
    fn try_each<E>(
        &self,
        mut see: impl FnMut(usize, &Change, &[&'b [u8]]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut begins = 0;
        self.changes.iter().enumerate().try_for_each(|(number, change)| {
            let args = self.args.get(begins..change.args_end).unwrap_or_default();
            begins = change.args_end;
            see(number, change, args)
        })
    }
}

/// One lane, as the dealer sees it.
struct Lane<'b> {
    /// What is not sent yet.
    open: Batch<'b>,
    sender: SyncSender<Batch<'b>>,
}

/// Deals the commands of one log to lanes.
struct Dealer<'b, 'k> {
    ground: Ground<'k>,
    first_fault: &'k FirstFault,
    lanes: Vec<Lane<'b>>,
    /// Batches come back empty when they are applied.
    done: Receiver<Batch<'b>>,
    spare: Vec<Batch<'b>>,
    /// Batches that have not come back.
    underway: usize,
    /// Applies what the dealer applies itself.
    own: Applier,
    /// Commands in a row that one lane could have applied.
    run: usize,
    db: u32,
    transaction: Option<Batch<'b>>,
}

/// What applies the commands of a log, whose bytes live for `'b`.
pub(super) trait Hands<'b> {
    /// Takes the next command, which begins at byte `at`.
    fn take(&mut self, args: &[&'b [u8]], at: usize) -> Result<Applied, Faulty>;

    /// Forgets a transaction that was begun and not ended.
    fn abandon_transaction(&mut self);
}

/// Calls `walk` with hands that apply what they are given, by so many lanes or (less than two) in turn. Returns what `walk`
/// returned once all of that is applied, and the database that is selected at the end or the first fault.
pub(super) fn apply_log<'b, R>(
    lanes: usize,
    ground: Ground<'_>,
    walk: impl FnOnce(&mut dyn Hands<'b>) -> R,
) -> (R, Result<u32, Fault>) {
    if lanes < 2 {
        let applier = Applier::new(ground.settings.clone(), 0);
        let mut in_turn = InTurn { applier, ground, fault: None };
        let result = walk(&mut in_turn);
        return (result, in_turn.fault.map_or(Ok(in_turn.applier.db()), Err));
    }
    let first_fault = FirstFault::none();
    let (result, db) = thread::scope(|scope| {
        let (to_done, done) = channel();
        let start = |_| {
            let (sender, batches) = sync_channel(BATCHES_WAITING);
            start_lane(scope, ground, &first_fault, batches, to_done.clone());
            Lane { open: Batch::default(), sender }
        };
        let mut dealer = Dealer {
            ground,
            first_fault: &first_fault,
            lanes: (0..lanes).map(start).collect(),
            done,
            spare: Vec::new(),
            underway: 0,
            own: Applier::new(ground.settings.clone(), 0),
            run: RUN_BY_DEALER,
            db: 0,
            transaction: None,
        };
        let result = walk(&mut dealer);
        // A fault that shows now is read below.
        let _ = dealer.wait_for_lanes();
        (result, dealer.db)
    });
    let fault = first_fault.told.into_inner();
    (result, fault.map_or(Ok(db), Err))
}

/// Applies commands as they come.
struct InTurn<'k> {
    applier: Applier,
    ground: Ground<'k>,
    fault: Option<Fault>,
}

impl<'b> Hands<'b> for InTurn<'_> {
    fn take(&mut self, args: &[&'b [u8]], at: usize) -> Result<Applied, Faulty> {
        self.applier.apply(self.ground.keyspace, args, self.ground.now_ms, |_, _| ()).map_err(|error| {
            self.fault = Some((at, error));
            Faulty
        })
    }

    fn abandon_transaction(&mut self) {
        self.applier.abandon_transaction();
    }
}

fn start_lane<'s, 'b: 's>(
    scope: &'s Scope<'s, '_>,
    ground: Ground<'s>,
    first_fault: &'s FirstFault,
    batches: Receiver<Batch<'b>>,
    done: Sender<Batch<'b>>,
) {
    scope.spawn(move || {
        let mut applier = Applier::new(ground.settings.clone(), 0);
        for mut batch in batches {
            let mut fetched = 0;
            let applied = batch.try_each(|number, change, args| {
                if number == fetched {
                    let next = batch.changes.iter().skip(fetched).take(FETCHED_AT_ONCE);
                    next.for_each(|change| fetch(ground.keyspace, change));
                    fetched += FETCHED_AT_ONCE;
                }
                apply(&mut applier, ground, change, args)
            });
            if let Err((at, fault)) = applied {
                first_fault.note(at, fault);
            }
            batch.clear();
            if done.send(batch).is_err() {
                return;
            }
        }
    });
}

/// Has the processor fetch where the change's first key is or will be.
fn fetch(keyspace: &Keyspace, change: &Change) {
    keyspace.lock_shard(shard_of(change.hash)).db(change.db).fetch(change.hash);
}

/// Applies one change; an error comes with where its command begins.
fn apply(
    applier: &mut Applier,
    ground: Ground<'_>,
    change: &Change,
    args: &[&[u8]],
) -> Result<(), (usize, Fault)> {
    applier
        .effect(ground.keyspace, change.db, change.command, args, ground.now_ms)
        .map_err(|error| (change.at, (change.told_at, error)))
}

impl<'b> Hands<'b> for Dealer<'b, '_> {
    fn take(&mut self, args: &[&'b [u8]], at: usize) -> Result<Applied, Faulty> {
        let step = Step::of(args, self.ground.keyspace.databases());
        match step.map_err(|error| self.fault(at, error))? {
            Step::Select(db) => self.db = db,
            Step::Multi if self.transaction.is_some() => {
                return Err(self.fault(at, ApplyError::Misplaced("MULTI")));
            }
            Step::Multi => self.transaction = Some(self.spare.pop().unwrap_or_default()),
            Step::Exec => {
                let Some(mut queued) = self.transaction.take() else {
                    return Err(self.fault(at, ApplyError::Misplaced("EXEC")));
                };
                queued.try_each(|_, change, args| self.change(Change { told_at: at, ..*change }, args))?;
                queued.clear();
                self.spare.push(queued);
            }
            Step::Nothing => {}
            Step::Effect(command) => {
                let change = Change { command, db: self.db, hash: 0, at, told_at: at, args_end: 0 };
                match &mut self.transaction {
                    Some(queue) => queue.push(change, args),
                    None => self.change(change, args)?,
                }
            }
        }
        Ok(if self.transaction.is_some() { Applied::Queued } else { Applied::Done })
    }

    fn abandon_transaction(&mut self) {
        self.transaction = None;
    }
}

impl<'b> Dealer<'b, '_> {
    fn fault(&self, at: usize, error: ApplyError) -> Faulty {
        self.first_fault.note(at, (at, error));
        Faulty
    }

    fn change(&mut self, change: Change, args: &[&'b [u8]]) -> Result<(), Faulty> {
        match self.lane_of(change.command, args) {
            Some((lane, hash)) if self.run >= RUN_BY_DEALER => {
                self.lanes[lane].open.push(Change { hash, ..change }, args);
                if self.lanes[lane].open.is_full() { self.send(lane) } else { Ok(()) }
            }
            Some(_) => {
                self.run += 1;
                self.apply_here(&change, args)
            }
            None => {
                self.wait_for_lanes()?;
                self.run = 0;
                self.apply_here(&change, args)
            }
        }
    }

    /// The lane that owns all shards of a command's keys, if one does, and the hash of the first.
    fn lane_of(&self, command: &Command, args: &[&[u8]]) -> Option<(usize, u64)> {
        let hashes = hashes_of(command, args, NO_HASH)?;
        let mut lanes = hashes.iter().map(|hash| shard_of(*hash) % self.lanes.len());
        let lane = lanes.next()?;
        lanes.all(|other| other == lane).then_some((lane, *hashes.first()?))
    }

    /// Applies a change while all lanes are idle.
    fn apply_here(&mut self, change: &Change, args: &[&'b [u8]]) -> Result<(), Faulty> {
        apply(&mut self.own, self.ground, change, args).map_err(|(at, fault)| {
            self.first_fault.note(at, fault);
            Faulty
        })
    }

    fn send(&mut self, lane: usize) -> Result<(), Faulty> {
        while let Ok(batch) = self.done.try_recv() {
            self.underway -= 1;
            self.spare.push(batch);
        }
        let lane = &mut self.lanes[lane];
        let full = std::mem::replace(&mut lane.open, self.spare.pop().unwrap_or_default());
        self.underway += 1;
        lane.sender.send(full).map_err(|_| Faulty)?;
        self.unless_faulty()
    }

    /// Has the lanes apply all that was dealt.
    fn wait_for_lanes(&mut self) -> Result<(), Faulty> {
        for lane in &mut self.lanes {
            if !lane.open.changes.is_empty() {
                let open = std::mem::replace(&mut lane.open, self.spare.pop().unwrap_or_default());
                self.underway += 1;
                lane.sender.send(open).map_err(|_| Faulty)?;
            }
        }
        while self.underway > 0 {
            self.spare.push(self.done.recv().map_err(|_| Faulty)?);
            self.underway -= 1;
        }
        self.unless_faulty()
    }

    fn unless_faulty(&self) -> Result<(), Faulty> {
        if self.first_fault.is_before(usize::MAX) { Err(Faulty) } else { Ok(()) }
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
