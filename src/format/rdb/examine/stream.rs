//! Streams. See [`crate::format::rdb::stream`] for what is where.

use super::collections::validated;
use super::sieve::{all_differ, hash_of};
use crate::format::rdb::cursor::{Cursor, Doubt, doubt};
use crate::format::rdb::fields::Fields;
use crate::format::rdb::value_type;
use crate::value::stream::{StreamError, validate_node};
use crate::value::{Element, ListpackRef};

/// Ids that must differ, or be those of others.
#[derive(Default)]
pub(super) struct Room {
    pending: Vec<[u8; 16]>,
    owned: Vec<[u8; 16]>,
}

/// Judges a stream; the number of its entries.
///
/// Names of groups and consumers that have equal hashes are doubted here; the loader can tell them apart.
pub(super) fn examine(input: &mut Cursor<'_>, kind: u8, room: &mut super::Room) -> Result<u64, Doubt> {
    let elements = entries(input, room)?;
    for _ in 0..if kind == value_type::STREAM { 2 } else { 7 } {
        input.length()?;
    }
    let mut groups = Vec::new();
    for _ in 0..input.length()? {
        groups.push(hash_of(input.stored()?.element(&mut room.unpacked)?));
        for _ in 0..if kind == value_type::STREAM { 2 } else { 3 } {
            input.length()?;
        }
        group(input, kind, room)?;
    }
    if all_differ(&mut groups) { Ok(elements) } else { Err(doubt(StreamError::GroupTwice)) }
}

fn entries(input: &mut Cursor<'_>, room: &mut super::Room) -> Result<u64, Doubt> {
    let ids = &mut room.stream.pending;
    ids.clear();
    let mut elements = 0u64;
    for _ in 0..input.length()? {
        let id = match input.stored()?.element(&mut room.unpacked)? {
            Element::Bytes(bytes) => <[u8; 16]>::try_from(bytes).ok(),
            int @ Element::Int(_) => <[u8; 16]>::try_from(int.as_bytes(&mut itoa::Buffer::new())).ok(),
        };
        ids.push(id.ok_or_else(|| doubt(StreamError::NodeId))?);
        let blob = input.stored()?.blob(&mut room.unpacked)?;
        validated(blob, |_| ())?;
        let live =
            validate_node(ListpackRef::trusted(blob)).map_err(|error| doubt(StreamError::Node(error)))?;
        elements = elements.saturating_add(live);
    }
    if !differ(ids) {
        return Err(doubt(StreamError::NodeTwice));
    }
    if input.length()? == elements { Ok(elements) } else { Err(doubt(StreamError::Length)) }
}

fn group(input: &mut Cursor<'_>, kind: u8, room: &mut super::Room) -> Result<(), Doubt> {
    let Room { pending, owned } = &mut room.stream;
    pending.clear();
    owned.clear();
    for _ in 0..input.length()? {
        pending.push(input.array()?);
        input.take(8)?;
        input.length()?;
    }
    let mut names = Vec::new();
    for _ in 0..input.length()? {
        names.push(hash_of(input.stored()?.element(&mut room.unpacked)?));
        input.take(if kind == value_type::STREAM_3 { 16 } else { 8 })?;
        for _ in 0..input.length()? {
            owned.push(input.array()?);
        }
    }
    if !differ(pending) {
        return Err(doubt(StreamError::PendingTwice));
    }
    if !all_differ(&mut names) {
        return Err(doubt(StreamError::ConsumerTwice));
    }
    // Each pending entry has one consumer, and each consumer only what is pending.
    owned.sort_unstable();
    if pending != owned {
        return Err(doubt(if owned.len() < pending.len() {
            StreamError::NoConsumer
        } else {
            StreamError::NotPending
        }));
    }
    Ok(())
}

/// Whether all of these differ. Leaves them sorted.
fn differ(ids: &mut [[u8; 16]]) -> bool {
    if ids.is_sorted_by(|a, b| a < b) {
        return true;
    }
    ids.sort_unstable();
    ids.windows(2).all(|pair| pair[0] != pair[1])
}
