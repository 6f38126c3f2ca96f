//! Runs effects that come from a log: the replica's stream, the append-only file, an offline tool.
//!
//! The same handlers as for clients, but expired keys count as present (the log says itself when a key
//! goes), nothing may block, replies are dropped and no further effects arise.

use super::context::{Context, Counts, ExpiryMode, ReadyKey, Settings};
use super::effect::Effects;
use super::events::{Event, WantedEvents};
use super::locking::{NO_HASH, lock_for, lock_for_all};
use super::registry;
use super::table::{Command, Outcome, Run, flags};
use crate::base::num::parse_i64;
use crate::base::random::Rng;
use crate::keyspace::{Keyspace, Locked};
use crate::resp::reply::Reply;
use thiserror::Error;

/// Why an effect could not be applied: the log is not one that this program can follow.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ApplyError {
    /// No such command here.
    #[error("unknown command '{0}' in the log")]
    Unknown(String),
    /// The command is there but not one that changes data.
    #[error("command '{0}' does not belong in a log")]
    NotAnEffect(String),
    /// The handler refused it.
    #[error("command '{command}' failed: {text}")]
    Refused {
        /// The command's name.
        command: String,
        /// The error reply.
        text: String,
    },
    /// Wrong number of arguments.
    #[error("command '{0}' has the wrong number of arguments")]
    Arity(String),
    /// SELECT of a database that this server does not have.
    #[error("SELECT of database {0}, which this server does not have (see 'databases')")]
    Database(String),
    /// EXEC without MULTI, or MULTI within MULTI.
    #[error("'{0}' where it cannot be")]
    Misplaced(&'static str),
    /// The caller did not want it any more when its turn had come.
    #[error("the log is not followed any more")]
    Stopped,
}

/// What a command of a log is to whoever applies it.
#[derive(Clone, Copy)]
pub enum Step {
    /// SELECT of this database.
    Select(u32),
    /// The beginning of a transaction.
    Multi,
    /// Its end.
    Exec,
    /// Something between nodes or a message to subscribers, which changes nothing.
    Nothing,
    /// A change of the data.
    Effect(&'static Command),
}

impl Step {
    /// What these arguments are where there are so many databases.
    ///
    /// # Errors
    /// They do not belong in a log.
    pub fn of(args: &[&[u8]], databases: u32) -> Result<Step, ApplyError> {
        Step::of_head(args, args.len(), databases)
    }

    /// As [`Step::of`], where only the first arguments of so many are at hand; two are enough.
    ///
    /// # Errors
    /// They do not belong in a log.
    pub fn of_head(args: &[&[u8]], count: usize, databases: u32) -> Result<Step, ApplyError> {
        let name = *args.first().unwrap_or(&&b""[..]);
        let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
        if is(b"select") {
            let text = args.get(1).copied().unwrap_or_default();
            let db = parse_i64(text).and_then(|db| u32::try_from(db).ok()).filter(|db| *db < databases);
            let refused = || ApplyError::Database(String::from_utf8_lossy(text).into_owned());
            db.map(Step::Select).ok_or_else(refused)
        } else if is(b"multi") {
            Ok(Step::Multi)
        } else if is(b"exec") {
            Ok(Step::Exec)
        } else if is(b"ping") || is(b"replconf") {
            Ok(Step::Nothing)
        } else if is(b"publish") || is(b"spublish") {
            // A message concerns those who listen while it is sent, and no data.
            let shown = || String::from_utf8_lossy(name).into_owned();
            if count == 3 { Ok(Step::Nothing) } else { Err(ApplyError::Arity(shown())) }
        } else {
            check(args, count).map(Step::Effect)
        }
    }
}

/// An owned command: its table entry and arguments.
pub type OwnedCommand = (&'static Command, Vec<Box<[u8]>>);

/// What [`Applier::apply`] did with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is applied, and `then` was called.
    Done,
    /// It is held back until its transaction's EXEC; `then` was not called.
    Queued,
}

/// Applies the commands of one log in order.
pub struct Applier {
    db: u32,
    settings: Settings,
    rng: Rng,
    counts: Counts,
    effects: Effects,
    reply: Vec<u8>,
    transaction: Option<Vec<(u32, OwnedCommand)>>,
    ready: Vec<ReadyKey>,
}

impl Applier {
    /// An applier that starts in database `db` and collects no events.
    pub fn new(mut settings: Settings, db: u32) -> Applier {
        settings.events = WantedEvents::default();
        Applier {
            db,
            settings,
            rng: Rng::from_os(),
            counts: Counts::default(),
            effects: Effects::default(),
            reply: Vec::new(),
            transaction: None,
            ready: Vec::new(),
        }
    }

    /// The selected database.
    pub fn db(&self) -> u32 {
        self.db
    }

    /// Selects a database without a command.
    pub fn select(&mut self, db: u32) {
        self.db = db;
    }

    /// True between MULTI and EXEC.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Forgets a transaction that was begun and not ended.
    pub fn abandon_transaction(&mut self) {
        self.transaction = None;
    }

    /// Keys that clients wait for and that became ready, for readers that wait on a replica.
    pub fn take_ready(&mut self) -> Vec<ReadyKey> {
        std::mem::take(&mut self.ready)
    }

    /// Says which events are collected from now on.
    pub fn want_events(&mut self, wanted: WantedEvents) {
        self.settings.events = wanted;
    }

    /// Changes made so far, and resets the count.
    pub fn take_changes(&mut self) -> u64 {
        std::mem::take(&mut self.counts).changes
    }

    /// Applies one command at time `now_ms`. `then` runs while the shards are still locked, so that what it appends to a log
    /// stands in serial order; it is given the database selected now and the events. For a transaction it runs once, at EXEC.
    pub fn apply(
        &mut self,
        keyspace: &Keyspace,
        args: &[&[u8]],
        now_ms: i64,
        then: impl FnOnce(u32, Vec<Event>),
    ) -> Result<Applied, ApplyError> {
        self.apply_if(keyspace, args, now_ms, || true, then)
    }

    /// As [`Applier::apply`], but asks `may` once the shards are locked, before anything is changed.
    pub fn apply_if(
        &mut self,
        keyspace: &Keyspace,
        args: &[&[u8]],
        now_ms: i64,
        may: impl FnOnce() -> bool,
        then: impl FnOnce(u32, Vec<Event>),
    ) -> Result<Applied, ApplyError> {
        match Step::of(args, keyspace.databases())? {
            Step::Select(db) => self.db = db,
            Step::Multi if self.transaction.replace(Vec::new()).is_some() => {
                return Err(ApplyError::Misplaced("MULTI"));
            }
            Step::Multi => return Ok(Applied::Queued),
            Step::Exec => {
                let queued = self.transaction.take().ok_or(ApplyError::Misplaced("EXEC"))?;
                return self.exec(keyspace, queued, now_ms, may, then);
            }
            Step::Nothing => {}
            Step::Effect(command) => {
                if let Some(queue) = &mut self.transaction {
                    let owned = args.iter().map(|arg| Box::from(*arg)).collect();
                    queue.push((self.db, (command, owned)));
                    return Ok(Applied::Queued);
                }
                let (mut locked, first_hash) = lock_for(keyspace, command, args);
                if !may() {
                    return Err(ApplyError::Stopped);
                }
                self.run(keyspace, &mut locked, command, args, now_ms, first_hash)?;
                then(self.db, self.effects.take_events());
                return Ok(Applied::Done);
            }
        }
        if self.transaction.is_some() {
            return Ok(Applied::Queued);
        }
        if !may() {
            return Err(ApplyError::Stopped);
        }
        then(self.db, self.effects.take_events());
        Ok(Applied::Done)
    }

    /// Applies one change to a database, whatever is selected and whether or not a transaction is open.
    pub fn effect(
        &mut self,
        keyspace: &Keyspace,
        db: u32,
        command: &Command,
        args: &[&[u8]],
        now_ms: i64,
    ) -> Result<(), ApplyError> {
        let (mut locked, first_hash) = lock_for(keyspace, command, args);
        let selected = std::mem::replace(&mut self.db, db);
        let done = self.run(keyspace, &mut locked, command, args, now_ms, first_hash);
        self.db = selected;
        done
    }

    fn exec(
        &mut self,
        keyspace: &Keyspace,
        queued: Vec<(u32, OwnedCommand)>,
        now_ms: i64,
        may: impl FnOnce() -> bool,
        then: impl FnOnce(u32, Vec<Event>),
    ) -> Result<Applied, ApplyError> {
        let mut locked =
            lock_for_all(keyspace, queued.iter().map(|(_, (command, args))| (*command, &args[..])));
        if !may() {
            return Err(ApplyError::Stopped);
        }
        let after = self.db;
        for (db, (command, args)) in &queued {
            let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
            self.db = *db;
            self.run(keyspace, &mut locked, command, &args, now_ms, NO_HASH)?;
        }
        self.db = after;
        then(self.db, self.effects.take_events());
        Ok(Applied::Done)
    }

    fn run<'k>(
        &mut self,
        keyspace: &'k Keyspace,
        locked: &mut Locked<'k>,
        command: &Command,
        args: &[&[u8]],
        now_ms: i64,
        first_hash: (usize, usize, u64),
    ) -> Result<(), ApplyError> {
        let Run::Keyspace(handler) = command.run else {
            return Err(ApplyError::NotAnEffect(command.name.into()));
        };
        self.reply.clear();
        self.effects.clear();
        let mut context = Context {
            db: self.db,
            now_ms,
            keyspace,
            keys: locked,
            reply: Reply::new(&mut self.reply, false),
            effects: &mut self.effects,
            settings: &self.settings,
            rng: &mut self.rng,
            counts: &mut self.counts,
            no_touch: false,
            ready: &mut self.ready,
            past_due: &mut Vec::new(),
            expiry: ExpiryMode::Ignore,
            may_block: false,
            first_hash,
            dirty: 0,
            logged: false,
        };
        let outcome = handler(&mut context, args);
        let dirty = context.dirty;
        self.counts.changes += dirty;
        match outcome {
            Ok(Outcome::Done) => Ok(()),
            Ok(_) => Err(ApplyError::NotAnEffect(command.name.into())),
            Err(error) => Err(ApplyError::Refused { command: command.name.into(), text: error.to_string() }),
        }
    }
}

/// Finds the command and checks that it can be an effect.
fn check(args: &[&[u8]], count: usize) -> Result<&'static Command, ApplyError> {
    let shown = || String::from_utf8_lossy(args.first().copied().unwrap_or_default()).into_owned();
    let Some((command, sub)) = registry::resolve(args) else { return Err(ApplyError::Unknown(shown())) };
    let command = sub.unwrap_or(command);
    if !command.arity_fits(count) {
        return Err(ApplyError::Arity(shown()));
    }
    if !command.has(flags::WRITE) && !command.has(flags::LOGGED) {
        return Err(ApplyError::NotAnEffect(shown()));
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_collected_where_they_are_asked_for() {
        let keyspace = Keyspace::new(16);
        let all = WantedEvents::parse(b"KEA").expect("letters");
        let mut applier = Applier::new(Settings { events: all, ..Settings::default() }, 0);
        let apply = |applier: &mut Applier, line: &str| {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let mut told = Vec::new();
            applier.apply(&keyspace, &args, 1, |_, events| told = events).expect("an effect");
            told.iter().map(|event| format!("{}:{}", event.db, event.name)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(apply(&mut applier, "SET k v"), "", "a file that is loaded tells nothing");
        applier.want_events(all);
        assert_eq!(apply(&mut applier, "RPUSH l a"), "0:rpush");
        for line in ["MULTI", "LPOP l", "SELECT 2", "SET k v PXAT 1"] {
            assert_eq!(apply(&mut applier, line), "", "{line}");
        }
        // What has expired is there as long as the log does not say that it went.
        assert_eq!(apply(&mut applier, "EXEC"), "0:lpop 0:del 2:set 2:expire");
        assert_eq!(apply(&mut applier, "APPEND k w"), "2:append");
    }

    #[test]
    fn messages_are_steps_that_change_nothing() {
        let step = |line: &str| {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            Step::of(&args, 16)
        };
        for line in ["PUBLISH c m", "spublish c m", "PING", "REPLCONF GETACK *"] {
            assert!(matches!(step(line), Ok(Step::Nothing)), "{line}");
        }
        let arity = |name: &str| ApplyError::Arity(name.into());
        assert_eq!(step("PUBLISH c").err(), Some(arity("PUBLISH")));
        assert_eq!(step("spublish c m m").err(), Some(arity("spublish")));
        assert_eq!(step("SUBSCRIBE c").err(), Some(ApplyError::NotAnEffect("SUBSCRIBE".into())));
    }
}
