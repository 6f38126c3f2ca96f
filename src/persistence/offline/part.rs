//! A part of the data: what is asked for, and taking the rest away.

use crate::base::glob::glob_admits;
use crate::keyspace::db::locate;
use crate::keyspace::{Keyspace, SHARD_COUNT};

/// Which keys are wanted. By default all are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Only keys that match this glob.
    pub keys: Option<String>,
    /// Only keys of this database.
    pub db: Option<u32>,
}

impl Part {
    /// Whether it is all of the data.
    pub fn is_all(&self) -> bool {
        *self == Part::default()
    }

    fn holds(&self, db: u32, key: &[u8]) -> bool {
        self.db.is_none_or(|wanted| wanted == db)
            && self.keys.as_ref().is_none_or(|pattern| glob_admits(pattern.as_bytes(), key))
    }

    /// For a person: `keys session:* of database 3`.
    pub fn text(&self) -> String {
        match (&self.keys, self.db) {
            (Some(keys), Some(db)) => format!("keys {keys} of database {db}"),
            (Some(keys), None) => format!("keys {keys}"),
            (None, Some(db)) => format!("keys of database {db}"),
            (None, None) => "all keys".to_owned(),
        }
    }
}

/// Removes what is not wanted. Returns how many keys that were.
pub(super) fn keep_only(keyspace: &Keyspace, part: &Part) -> u64 {
    let mut left_out = 0;
    for index in 0..SHARD_COUNT {
        let mut shard = keyspace.lock_shard(index);
        for db in 0..keyspace.databases() {
            let unwanted = |key: &&[u8]| !part.holds(db, key);
            let keys: Vec<Vec<u8>> =
                shard.db(db).iter().map(|entry| entry.key()).filter(unwanted).map(<[u8]>::to_vec).collect();
            for key in &keys {
                let (_, hash) = locate(key);
                left_out += u64::from(shard.db_mut(db).remove(hash, key).is_some());
            }
        }
    }
    left_out
}

/// The databases that hold keys, and how many.
pub(super) fn keys_by_database(keyspace: &Keyspace) -> Vec<(u32, usize)> {
    (0..keyspace.databases()).map(|db| (db, keyspace.len(db))).filter(|(_, keys)| *keys > 0).collect()
}
