//! One of two data sets: in memory, as files held it, or in a running server.

use std::collections::BTreeMap;
use std::path::Path;

use super::DiffOptions;
use crate::keyspace::db::locate;
use crate::keyspace::{Keyspace, SHARD_COUNT};
use crate::persistence::offline::RestoreTo;
use crate::persistence::state::load_state;
use crate::remote::client::{Connection, Patience};
use crate::remote::error::RemoteError;
use crate::remote::facts::Facts;
use crate::remote::fetch::{fetch, scan};
use crate::remote::state::KeyState;
use crate::remote::url::Target;

/// A data set.
pub enum Side {
    /// Of files.
    Held {
        /// The data.
        keyspace: Box<Keyspace>,
    },
    /// Of a running server.
    Live {
        /// The server.
        target: Target,
        /// How long to wait.
        patience: Patience,
        /// What it said of itself.
        facts: Facts,
    },
}

impl Side {
    /// Loads what a folder of append-only files or a snapshot file holds.
    pub fn of_files(
        path: &Path,
        options: &DiffOptions,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Side, RemoteError> {
        let state = load_state(path, &RestoreTo::End.into(), options.databases, progress)?;
        Ok(Side::Held { keyspace: Box::new(state.keyspace) })
    }

    /// Looks at a running server.
    pub fn of_server(target: &Target, options: &DiffOptions) -> Result<Side, RemoteError> {
        let mut connection = Connection::open(target, options.patience)?;
        let facts = Facts::of(&mut connection)?;
        if !facts.takes_values() {
            return Err(
                connection.unfit(format!("{} is too old to be read; 7.0 or later is needed", facts.name))
            );
        }
        if let Some(db) = target.db {
            connection.select(db)?;
        }
        Ok(Side::Live { target: target.clone(), patience: options.patience, facts })
    }

    /// Whether it may change while it is looked at.
    pub fn is_live(&self) -> bool {
        matches!(self, Side::Live { .. })
    }

    pub(super) fn only_db(&self) -> Option<u32> {
        match self {
            Side::Held { .. } => None,
            Side::Live { target, .. } => target.db,
        }
    }

    fn key_counts(&self) -> BTreeMap<u32, u64> {
        match self {
            Side::Live { facts, .. } => facts.keys.clone(),
            Side::Held { keyspace } => {
                let count = |db| (db, keyspace.len(db) as u64);
                (0..keyspace.databases()).map(count).filter(|(_, keys)| *keys > 0).collect()
            }
        }
    }

    pub(super) fn databases(&self) -> Vec<u32> {
        self.key_counts().into_keys().collect()
    }

    /// About how many keys it has.
    pub fn expected_keys(&self) -> u64 {
        let only = self.only_db();
        self.key_counts()
            .into_iter()
            .filter(|(db, _)| only.is_none_or(|only| only == *db))
            .map(|(_, n)| n)
            .sum()
    }

    /// Shows the wanted keys of a database that have not expired by then.
    pub(super) fn walk(
        &self,
        db: u32,
        now_ms: i64,
        wanted: &dyn Fn(&[u8]) -> bool,
        take: &mut dyn FnMut(&[u8], KeyState),
    ) -> Result<(), RemoteError> {
        match self {
            Side::Held { keyspace } if db >= keyspace.databases() => {}
            Side::Held { keyspace } => {
                for index in 0..SHARD_COUNT {
                    let shard = keyspace.lock_shard(index);
                    for entry in shard.db(db).iter().filter(|entry| wanted(entry.key())) {
                        if let Some(state) = KeyState::of(entry.value(), entry.expire_at_ms(), now_ms) {
                            take(entry.key(), state);
                        }
                    }
                }
            }
            Side::Live { target, patience, .. } => {
                let mut connection = Connection::open(target, *patience)?;
                connection.select(db)?;
                scan(&mut connection, &mut |connection, mut keys| {
                    keys.retain(|key| wanted(key));
                    fetch(connection, db, &keys, &mut |index, fetched| {
                        if let Some(state) = fetched.and_then(|fetched| fetched.state(now_ms)) {
                            take(&keys[index], state);
                        }
                    })
                })?;
            }
        }
        Ok(())
    }

    /// Something that reads single keys of a database.
    pub(super) fn reader(&self, db: u32) -> Result<Reader<'_>, RemoteError> {
        match self {
            Side::Held { keyspace } => Ok(Reader::Held { keyspace, db }),
            Side::Live { target, patience, .. } => {
                let mut connection = Connection::open(target, *patience)?;
                connection.select(db)?;
                Ok(Reader::Live { connection: Box::new(connection), db })
            }
        }
    }
}

/// Reads single keys.
pub(super) enum Reader<'s> {
    Held { keyspace: &'s Keyspace, db: u32 },
    Live { connection: Box<Connection>, db: u32 },
}

impl Reader<'_> {
    /// What the keys are at this time.
    pub(super) fn states(
        &mut self,
        keys: &[Vec<u8>],
        now_ms: i64,
    ) -> Result<Vec<Option<KeyState>>, RemoteError> {
        let mut states = vec![None; keys.len()];
        match self {
            Reader::Held { keyspace, db } if *db >= keyspace.databases() => {}
            Reader::Held { keyspace, db } => {
                for (state, key) in states.iter_mut().zip(keys) {
                    let (shard, hash) = locate(key);
                    let shard = keyspace.lock_shard(shard);
                    let entry = shard.db(*db).get(hash, key);
                    *state =
                        entry.and_then(|entry| KeyState::of(entry.value(), entry.expire_at_ms(), now_ms));
                }
            }
            Reader::Live { connection, db } => fetch(connection, *db, keys, &mut |index, fetched| {
                states[index] = fetched.and_then(|fetched| fetched.state(now_ms));
            })?,
        }
        Ok(states)
    }
}
