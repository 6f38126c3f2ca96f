//! What is to be loaded, divided into units that are the same in every process.

use std::ops::Deref;
use std::sync::Arc;

use super::error::{NAMED_KEYS, RemoteError};
use super::state::{key_hash, key_text};
use crate::keyspace::{Entry, Locked};
use crate::value::Value;

/// Units of a database.
pub const UNITS: usize = 4096;

/// One key to load.
#[derive(Clone)]
pub struct Item<'a> {
    /// The unit it belongs to.
    pub unit: u32,
    /// The database it goes to.
    pub db: u32,
    /// The key and its value.
    pub entry: Held<'a>,
}

/// A key and its value, of a keyspace or by itself.
#[derive(Clone)]
pub enum Held<'a> {
    /// Of a keyspace.
    There(&'a Entry),
    /// By itself.
    Alone(Arc<Entry>),
}

impl Deref for Held<'_> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        match self {
            Held::There(entry) => entry,
            Held::Alone(entry) => entry,
        }
    }
}

/// Hashes whose fields have times: how many, and some of them.
pub type Timed = (u64, Vec<String>);

/// All keys, by unit.
pub struct Plan<'a> {
    items: Vec<Item<'a>>,
    /// Where each unit begins in `items`; one more at the end.
    starts: Vec<usize>,
    /// Whether keys go to another database than they are from.
    pub is_moved: bool,
    /// Hashes whose fields have times.
    pub timed: Timed,
}

impl<'a> Plan<'a> {
    /// Of all keys in the locked shards. With `only`, keys of one database alone are allowed, and go there.
    pub fn new(locked: &'a Locked<'_>, databases: u32, only: Option<u32>) -> Result<Plan<'a>, RemoteError> {
        let holds = |db: &u32| locked.iter().any(|(_, shard)| !shard.db(*db).is_empty());
        let used: Vec<u32> = (0..databases).filter(holds).collect();
        fit_into_one(&used, only)?;
        let (mut items, mut timed) = (Vec::new(), (0, Vec::new()));
        for (index, db) in used.iter().enumerate() {
            let target = only.unwrap_or(*db);
            for entry in locked.iter().flat_map(|(_, shard)| shard.db(*db).iter()) {
                let bucket = (key_hash(entry.key()) >> 32) as usize % UNITS;
                let unit = (index * UNITS + bucket) as u32;
                items.push(Item { unit, db: target, entry: Held::There(entry) });
                if entry.hash().is_some_and(|hash| hash.has_times()) {
                    timed.0 += 1;
                    if timed.1.len() < NAMED_KEYS {
                        timed.1.push(format!("\"{}\"", key_text(entry.key())));
                    }
                }
            }
        }
        items.sort_unstable_by_key(|item| item.unit);
        let units = used.len() * UNITS;
        let starts = (0..=units).map(|unit| items.partition_point(|item| (item.unit as usize) < unit));
        let starts = starts.collect();
        let is_moved = only.is_some_and(|only| used.first().is_some_and(|db| *db != only));
        Ok(Plan { items, starts, is_moved, timed })
    }

    /// How many units there are.
    pub fn units(&self) -> usize {
        self.starts.len() - 1
    }

    /// The keys of a unit.
    pub fn unit(&self, unit: usize) -> &[Item<'a>] {
        &self.items[self.starts[unit]..self.starts[unit + 1]]
    }

    /// All keys.
    pub fn items(&self) -> &[Item<'a>] {
        &self.items
    }

    /// The largest database that keys go to.
    pub fn last_db(&self) -> Option<u32> {
        self.items.iter().map(|item| item.db).max()
    }
}

/// Keys of several databases do not go into the one that a URL names.
fn fit_into_one(used: &[u32], only: Option<u32>) -> Result<(), RemoteError> {
    let (Some(wanted), [_, _, ..]) = (only, used) else { return Ok(()) };
    let list: Vec<String> = used.iter().map(u32::to_string).collect();
    Err(RemoteError::Unfit {
        server: format!("database {wanted}"),
        reason: format!(
            "the URL names one database, and the source has keys in {}; leave the database out of the URL, and each \
             goes to its own",
            list.join(", ")
        ),
    })
}

impl Item<'_> {
    /// The unit it belongs to.
    pub fn unit(&self) -> usize {
        self.unit as usize
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self.entry.value() {
            crate::keyspace::ValueRef::Object(value) => Value::type_name(value),
            _ => "string",
        }
    }
}
