//! Keys on their way to another server (MIGRATE).
//!
//! While they are sent no lock is held, so that nobody waits for the target. Each key is watched instead: one that was
//! written to meanwhile is sent again, and a key is removed here only if what the target has confirmed is what it holds.

use super::blocked::serve_ready;
use super::dispatch::{Ran, append_effects, run_unlogged, with_context};
use super::events;
use super::node::Node;
use super::replication::acks;
use super::session::Session;
use crate::command::Context;
use crate::command::families::dump::payload_of;
use crate::command::locking::NO_HASH;
use crate::command::registry;
use crate::keyspace::Locked;
use crate::resp::command_bytes::write_command;
use crate::value::hash_bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What proves to the target who is connected.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user, where one is named.
    pub user: Option<Vec<u8>>,
    /// The password.
    pub password: Vec<u8>,
}

/// Where keys are to go, and how.
pub struct Order {
    /// Name or address of the target.
    pub host: String,
    /// Its port; 0 for what is none.
    pub port: u16,
    /// The target's database.
    pub db: i64,
    /// How long the target may be silent.
    pub patience: Duration,
    /// The keys stay here, too.
    pub copy: bool,
    /// Keys of the same names are replaced there.
    pub replace: bool,
    /// What to authenticate with.
    pub credentials: Option<Credentials>,
}

/// Why keys did not go.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connecting,
    /// The connection broke, or the target was silent for too long, while something was sent …
    Writing,
    /// … or while a reply was awaited.
    Reading,
    /// The target's error.
    Target(Vec<u8>),
    /// This server's own error, code first.
    Own(Vec<u8>),
}

impl Failure {
    /// The error reply.
    pub fn reply(&self) -> Vec<u8> {
        match self {
            Failure::Connecting => b"IOERR error or timeout connecting to the client".to_vec(),
            Failure::Writing => b"IOERR error or timeout writing to target instance".to_vec(),
            Failure::Reading => b"IOERR error or timeout reading to target instance".to_vec(),
            Failure::Target(text) => [b"ERR Target instance replied with error: ", &text[..]].concat(),
            Failure::Own(text) => text.clone(),
        }
    }
}

/// One key as it is sent.
pub struct Parcel {
    key: Box<[u8]>,
    /// The command that makes the key on the target.
    pub command: Vec<u8>,
    /// Raised when the key changes here.
    changed: Arc<AtomicBool>,
}

/// A MIGRATE under way. Dropping it ends the watching of its keys.
pub struct Migration {
    node: Arc<Node>,
    session: Session,
    order: Order,
    parcels: Vec<Parcel>,
    watched: Vec<(Box<[u8]>, Arc<AtomicBool>)>,
}

impl Migration {
    /// Copies the keys that are there; `None` if there are none.
    pub fn begin(node: &Arc<Node>, session: &mut Session, order: Order, keys: &[&[u8]]) -> Option<Migration> {
        let own = session.for_walk();
        let mut migration =
            Migration { node: node.clone(), session: own, order, parcels: Vec::new(), watched: Vec::new() };
        let node = node.clone();
        let mut locked = node.keyspace.lock(keys.iter().map(|key| hash_bytes(key)));
        for key in keys {
            let changed = Arc::default();
            let Some(command) = migration.command_for(&node, &mut locked, key, false) else { continue };
            let hash = hash_bytes(key);
            locked.shard_mut(hash).watch(session.db, key, &changed, &Arc::default());
            migration.watched.push((Box::from(*key), changed.clone()));
            migration.parcels.push(Parcel { key: Box::from(*key), command, changed });
        }
        drop(locked);
        let found = migration.parcels.len() as u64;
        session.counts.hits += found;
        session.counts.misses += keys.len() as u64 - found;
        (found > 0).then_some(migration)
    }

    /// The node whose keys they are.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where the keys go.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// What is sent before any key: each command is to be answered well before the next.
    pub fn opening(&self) -> Vec<Vec<u8>> {
        let mut commands = Vec::new();
        if let Some(Credentials { user, password }) = &self.order.credentials {
            let mut args: Vec<&[u8]> = vec![b"AUTH"];
            args.extend(user.as_deref());
            args.push(password);
            commands.push(encoded(&args));
        }
        commands.push(encoded(&[b"SELECT", self.order.db.to_string().as_bytes()]));
        commands
    }

    /// The keys to send first.
    pub fn take_parcels(&mut self) -> Vec<Parcel> {
        std::mem::take(&mut self.parcels)
    }

    /// The command that makes the key, as it is now, on the target.
    fn command_for<'k>(
        &mut self,
        node: &'k Node,
        locked: &mut Locked<'k>,
        key: &[u8],
        again: bool,
    ) -> Option<Vec<u8>> {
        let replace = self.order.replace || again;
        self.session.now_ms = node.now_ms();
        let found = |context: &mut Context<'_, 'k>| {
            let entry = context.peek(key)?;
            let left_ms = entry.expire_at_ms().map(|at| at.saturating_sub(context.now_ms).max(1));
            Some((left_ms.unwrap_or(0), payload_of(entry.value())))
        };
        let (left_ms, payload) = with_context(node, &mut self.session, locked, &mut Vec::new(), found)?;
        let left_ms = left_ms.to_string();
        let mut args: Vec<&[u8]> = vec![b"RESTORE", key, left_ms.as_bytes(), &payload];
        if replace {
            args.push(b"REPLACE");
        }
        Some(encoded(&args))
    }

    /// Removes the keys that the target has confirmed, unless they are to stay. Those that have changed since they were
    /// copied are given back as they are now, to be sent again.
    pub fn settle(&mut self, confirmed: Vec<Parcel>) -> Result<Vec<Parcel>, Failure> {
        if self.order.copy || confirmed.is_empty() {
            return Ok(Vec::new());
        }
        let node = self.node.clone();
        let mut locked = node.keyspace.lock(confirmed.iter().map(|parcel| hash_bytes(&parcel.key)));
        // The role may have changed since the command began.
        let command = registry::find(b"migrate").expect("a command of the table");
        if let Some(text) = node.gate.refuse(&self.session, command) {
            return Err(Failure::Own(text.as_bytes().to_vec()));
        }
        let (mut again, mut missing, mut delete) = (Vec::new(), None, Vec::new());
        for parcel in confirmed {
            if !parcel.changed.swap(false, Ordering::AcqRel) {
                delete.push(parcel.key);
                continue;
            }
            match self.command_for(&node, &mut locked, &parcel.key, true) {
                Some(command) => again.push(Parcel { command, ..parcel }),
                None => missing = Some(parcel.key),
            }
        }
        self.delete(&node, locked, &delete);
        match missing {
            None => Ok(again),
            Some(key) => {
                let text = b"ERR a key was removed here while it was sent, and is on the target instance: ";
                Err(Failure::Own([&text[..], &key].concat()))
            }
        }
    }

    /// Removes keys, whose shards are held, and logs that.
    fn delete<'k>(&mut self, node: &'k Arc<Node>, mut locked: Locked<'k>, keys: &[Box<[u8]>]) {
        if keys.is_empty() {
            return;
        }
        let command = registry::find(b"del").expect("a command of the table");
        let mut args: Vec<&[u8]> = vec![b"DEL"];
        args.extend(keys.iter().map(|key| &**key));
        let (session, mut ready) = (&mut self.session, Vec::new());
        let mut call = Ran { node, session, locked: &mut locked, ready: &mut ready, may_block: false };
        run_unlogged(&mut call, command, &args, &mut Vec::new(), NO_HASH);
        if append_effects(node, &mut self.session) {
            acks::note_written(node, command, &args, self.session.last_write);
        }
        drop(locked);
        events::deliver(node, &mut self.session);
        serve_ready(node, &mut self.session, ready);
        node.take_counts(&mut self.session);
        node.tell_of_changes();
    }
}

impl Drop for Migration {
    fn drop(&mut self) {
        for (key, changed) in self.watched.drain(..) {
            let hash = hash_bytes(&key);
            let mut locked = self.node.keyspace.lock_one(hash);
            locked.shard_mut(hash).unwatch(self.session.db, &key, &changed);
        }
    }
}

fn encoded(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_command(&mut bytes, args);
    bytes
}
