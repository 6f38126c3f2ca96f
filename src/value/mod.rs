//! The data types and their encodings.

pub mod bits;
mod blob;
pub mod element;
pub mod geo;
pub mod hash;
mod hashing;
pub mod hyperloglog;
pub mod intset;
mod limits;
pub mod list;
pub mod listpack;
pub mod set;
pub mod stream;
pub mod string;
pub mod table;
mod thin;
pub mod zset;

pub use element::{Element, Needle};
pub use hash::{Hash, HashView};
pub use hashing::hash_bytes;
pub use intset::Intset;
pub use limits::Limits;
pub use list::List;
pub use listpack::{Listpack, ListpackRef};
pub use set::Set;
pub use stream::Stream;
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
    /// A stream.
    Stream(Stream),
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
            Value::Stream(_) => "stream",
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
            Value::Stream(stream) => stream.encoding(),
        }
    }

    /// True for a collection without elements, which must not stay in the keyspace; false for strings and streams.
    pub fn is_empty_collection(&self) -> bool {
        match self {
            Value::Str(_) | Value::Stream(_) => false,
            Value::List(list) => list.is_empty(),
            Value::Set(set) => set.is_empty(),
            Value::Hash(hash) => hash.is_empty(),
            Value::ZSet(zset) => zset.is_empty(),
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
            Value::Stream(stream) => stream.estimated_free_effort(),
        }
    }

    /// About how many bytes the value takes on the heap, a large collection being judged by its first `samples`
    /// members (0: all). For MEMORY USAGE.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        match self {
            Value::Str(string) => string.memory_bytes(),
            Value::List(list) => list.memory_bytes(samples),
            Value::Set(set) => set.memory_bytes(samples),
            Value::Hash(hash) => hash.memory_bytes(samples),
            Value::ZSet(zset) => zset.memory_bytes(if samples == 0 { usize::MAX } else { samples }),
            Value::Stream(stream) => stream.memory_bytes(samples),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn large_values() -> [Value; 4] {
        let limits = Limits::default();
        let (mut list, mut set, mut hash) = (List::new(), Set::new(), Hash::new());
        for n in 0..2000 {
            let text = format!("member number {n:06}");
            list.push(Direction::Backward, text.as_bytes(), &limits);
            set.add(text.as_bytes(), &limits);
            hash.set(text.as_bytes(), text.as_bytes(), &limits);
        }
        [Value::Str(Str::from_slice(&[b'x'; 4000])), Value::List(list), Value::Set(set), Value::Hash(hash)]
    }

    #[test]
    fn what_commands_report() {
        let values = large_values();
        let names = values.each_ref().map(|value| (value.type_name(), value.encoding()));
        let expected =
            [("string", "raw"), ("list", "quicklist"), ("set", "hashtable"), ("hash", "hashtable")];
        assert_eq!(names, expected);
        assert_eq!(values.each_ref().map(Value::estimated_free_effort), [1, 6, 2001, 2001]);
        // Members of 20 bytes that cost 22 in a list, 21 in a set and 42 in a hash, and their slots.
        let bytes = values.each_ref().map(|value| value.memory_bytes(5));
        let ranges = [4000..4001, 44_000..50_000, 66_000..72_000, 108_000..114_000];
        for (bytes, range) in bytes.iter().zip(ranges) {
            assert!(range.contains(bytes), "{bytes} {range:?}");
        }
        assert_eq!(values[2].memory_bytes(0), values[2].memory_bytes(7), "all members are alike");
    }

    #[test]
    fn empty_collections_take_next_to_nothing() {
        for value in [Value::List(List::new()), Value::Set(Set::new()), Value::Hash(Hash::new())] {
            assert!(value.memory_bytes(5) <= 8 && value.memory_bytes(0) <= 8);
        }
    }
}
