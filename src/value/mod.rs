//! The data types and their encodings.

mod blob;
pub mod element;
pub mod hash;
mod hashing;
pub mod intset;
mod limits;
pub mod list;
pub mod listpack;
pub mod set;
pub mod string;
pub mod table;
mod thin;
pub mod zset;

pub use element::{Element, Needle};
pub use hash::Hash;
pub use hashing::hash_bytes;
pub use intset::Intset;
pub use limits::Limits;
pub use list::List;
pub use listpack::{Listpack, ListpackRef};
pub use set::Set;
pub use string::Str;
pub use zset::ZSet;

/// Which end of a sequence, and which way from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first to the last.
    Forward,
    /// From the last to the first.
    Backward,
}

/// What a key holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    Str(Str),
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A sorted set.
    ZSet(ZSet),
}

const _: () = assert!(size_of::<Value>() <= 24);

impl Value {
    /// What TYPE says.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Str(_) => "string",
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::Hash(_) => "hash",
            Value::ZSet(_) => "zset",
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self {
            Value::Str(string) => string.encoding(),
            Value::List(list) => list.encoding(),
            Value::Set(set) => set.encoding(),
            Value::Hash(hash) => hash.encoding(),
            Value::ZSet(zset) => zset.encoding(),
        }
    }

    /// About how many allocations freeing the value takes, to decide whether to do it on another thread.
    pub fn estimated_free_effort(&self) -> usize {
        match self {
            Value::Str(_) => 1,
            Value::List(list) => list.estimated_free_effort(),
            Value::Set(set) => set.estimated_free_effort(),
            Value::Hash(hash) => hash.estimated_free_effort(),
            Value::ZSet(zset) => zset.estimated_free_effort(),
        }
    }
}
