//! From a command and its arguments to the shards it needs: a fold over the command table.

use super::families::sort::reads_unnamed_keys;
use super::table::{Command, Locks, streams_option};
use crate::keyspace::{Keyspace, Locked};
use crate::value::hash_bytes;
use smallvec::SmallVec;

/// Address, length and hash of the first key, for [`super::Context::first_hash`].
pub type FirstHash = (usize, usize, u64);

/// No key was hashed.
pub const NO_HASH: FirstHash = (0, 0, 0);

/// Locks what the command needs.
#[inline]
pub fn lock_for<'k>(keyspace: &'k Keyspace, command: &Command, args: &[&[u8]]) -> (Locked<'k>, FirstHash) {
    match command.locks {
        Locks::All => (keyspace.lock_all(), NO_HASH),
        Locks::None => (Locked::none(), NO_HASH),
        Locks::Streams => {
            let keys = args.get(streams_option(args)).unwrap_or_default();
            (keyspace.lock(keys.iter().map(|key| hash_bytes(key))), NO_HASH)
        }
        Locks::Sort if reads_unnamed_keys(args) => (keyspace.lock_all(), NO_HASH),
        Locks::Keys | Locks::Sort => {
            if let Some(key) = command.single_key().and_then(|at| args.get(at)) {
                let hash = hash_bytes(key);
                return (keyspace.lock_one(hash), (key.as_ptr().addr(), key.len(), hash));
            }
            let mut hashes: SmallVec<[u64; 16]> = SmallVec::new();
            command.for_each_key(args, |at, _| hashes.push(hash_bytes(args[at])));
            (keyspace.lock(hashes.into_iter()), NO_HASH)
        }
    }
}

/// The hashes of the keys that a command names; `None`: it may look at any, or change any. `first` is what
/// [`lock_for`] found for the same arguments.
pub fn hashes_of(command: &Command, args: &[&[u8]], first: FirstHash) -> Option<SmallVec<[u64; 4]>> {
    let mut hashes = SmallVec::new();
    match command.locks {
        Locks::All | Locks::None => return None,
        Locks::Sort if reads_unnamed_keys(args) => return None,
        Locks::Streams => {
            let keys = args.get(streams_option(args)).unwrap_or_default();
            hashes.extend(keys.iter().map(|key| hash_bytes(key)));
        }
        Locks::Keys | Locks::Sort if first != NO_HASH => hashes.push(first.2),
        Locks::Keys | Locks::Sort => {
            command.for_each_key(args, |at, _| hashes.push(hash_bytes(args[at])));
        }
    }
    Some(hashes)
}

/// Shows each key that a command names.
pub fn each_key(command: &Command, args: &[&[u8]], mut visit: impl FnMut(&[u8])) {
    if command.locks == Locks::Streams {
        let keys = args.get(streams_option(args)).unwrap_or_default();
        return keys.iter().for_each(|key| visit(key));
    }
    command.for_each_key(args, |at, _| visit(args[at]));
}

/// What a whole transaction needs: the union over its commands, or everything as soon as one of them walks
/// the keyspace, holds all of it, or is run by the server.
pub fn lock_for_all<'k, 'c>(
    keyspace: &'k Keyspace,
    commands: impl Iterator<Item = (&'c Command, &'c [Box<[u8]>])>,
) -> Locked<'k> {
    let mut hashes = Vec::new();
    for (command, args) in commands {
        match command.locks {
            Locks::Keys | Locks::Sort => {
                let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
                if command.locks == Locks::Sort && reads_unnamed_keys(&args) {
                    return keyspace.lock_all();
                }
                command.for_each_key(&args, |at, _| hashes.push(hash_bytes(args[at])));
            }
            Locks::Streams => {
                let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
                hashes.extend(
                    args.get(streams_option(&args)).unwrap_or_default().iter().map(|key| hash_bytes(key)),
                );
            }
            Locks::None | Locks::All => return keyspace.lock_all(),
        }
    }
    keyspace.lock(hashes.into_iter())
}
