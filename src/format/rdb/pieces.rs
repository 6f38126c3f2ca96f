//! An entry of a large value, written a piece at a time.
//!
//! The value must not change from the first piece to the last: what is written first tells how much comes.

use super::stream::{StreamAt, write_piece};
use super::value_writer::Output;
use crate::value::{Element, Hash, List, Set, Value, ZSet};

/// Bytes of a string that are one piece; of other values a piece ends with the element that makes it as long.
const PIECE_BYTES: usize = 64 * 1024;
/// Members of a sorted set that are one piece.
const MEMBERS_A_PIECE: usize = 256;

/// A place in a table that is walked part by part: the part, and so many of its items.
#[derive(Debug, Clone, Copy)]
struct Place {
    part: usize,
    item: usize,
}

const FIRST: Place = Place { part: 0, item: 0 };

/// How far an entry is written.
#[derive(Debug)]
pub struct Pieces(At);

#[derive(Debug)]
enum At {
    Start,
    /// Of a string: so many bytes are written.
    Byte(usize),
    /// Of a list: the next node.
    Node(usize),
    /// Of a set or hash: the next part.
    Part(Place),
    /// Of a hash with times: the next part, and the soonest time.
    Timed(Place, i64),
    /// Of a hash with times, before anything is written: the next part to be looked at for the soonest time, and that of
    /// those before it.
    Looking(usize, i64),
    /// Of a sorted set: so many members, from the greatest on, are written.
    Member(usize),
    Stream(StreamAt),
    End,
}

impl Default for Pieces {
    fn default() -> Self {
        Pieces(At::Start)
    }
}

impl Pieces {
    /// Writes the next piece of a value whose key and type are written; true when it was the last.
    pub(super) fn write<E, S: FnMut(&[u8]) -> Result<(), E>>(
        &mut self,
        out: &mut Output<S>,
        value: &Value,
    ) -> Result<bool, E> {
        let at = std::mem::replace(&mut self.0, At::End);
        self.0 = match value {
            Value::Str(string) => match string.element() {
                Element::Bytes(bytes) => string_piece(out, bytes, at)?,
                Element::Int(int) => out.int(int).map(|()| At::End)?,
            },
            Value::List(list) => list_piece(out, list, at)?,
            Value::Set(set) => set_piece(out, set, at)?,
            Value::Hash(hash) if hash.has_times() => timed_hash_piece(out, hash, at)?,
            Value::Hash(hash) => hash_piece(out, hash, at)?,
            Value::ZSet(zset) => zset_piece(out, zset, at)?,
            Value::Stream(stream) => {
                let here = match at {
                    At::Stream(here) => here,
                    _ => StreamAt::Start,
                };
                write_piece(out, stream, here)?.map_or(At::End, At::Stream)
            }
        };
        Ok(matches!(self.0, At::End))
    }

    /// As [`Pieces::write`], for the bytes of a string.
    pub(super) fn write_bytes<E, S: FnMut(&[u8]) -> Result<(), E>>(
        &mut self,
        out: &mut Output<S>,
        bytes: &[u8],
    ) -> Result<bool, E> {
        self.0 = string_piece(out, bytes, std::mem::replace(&mut self.0, At::End))?;
        Ok(matches!(self.0, At::End))
    }
}

fn string_piece<E, S: FnMut(&[u8]) -> Result<(), E>>(
    out: &mut Output<S>,
    bytes: &[u8],
    at: At,
) -> Result<At, E> {
    if bytes.len() <= PIECE_BYTES {
        return out.string(bytes).map(|()| At::End);
    }
    let from = match at {
        At::Byte(from) => from,
        _ => {
            out.length(bytes.len() as u64)?;
            0
        }
    };
    let end = bytes.len().min(from + PIECE_BYTES);
    out.put(bytes.get(from..end).unwrap_or_default())?;
    Ok(if end == bytes.len() { At::End } else { At::Byte(end) })
}

fn list_piece<E, S: FnMut(&[u8]) -> Result<(), E>>(
    out: &mut Output<S>,
    list: &List,
    at: At,
) -> Result<At, E> {
    let next = match at {
        At::Node(next) => next,
        _ => {
            if let Some(whole) = list.merged() {
                out.merged_list(&whole)?;
                return Ok(At::End);
            }
            out.length(list.node_count() as u64)?;
            0
        }
    };
    let mut nodes = list.nodes().skip(next);
    let Some(node) = nodes.next() else { return Ok(At::End) };
    out.list_node(node)?;
    Ok(if nodes.next().is_some() { At::Node(next + 1) } else { At::End })
}

/// Writes items of the part at `place`, which `items` are, and says where the next piece begins.
fn part_piece<E, S: FnMut(&[u8]) -> Result<(), E>, T>(
    out: &mut Output<S>,
    place: Place,
    parts: usize,
    items: impl Iterator<Item = T>,
    mut put: impl FnMut(&mut Output<S>, T) -> Result<(), E>,
) -> Result<Option<Place>, E> {
    let enough = out.gathered() + PIECE_BYTES;
    for (done, item) in items.skip(place.item).enumerate() {
        put(out, item)?;
        if out.gathered() >= enough {
            return Ok(Some(Place { item: place.item + done + 1, ..place }));
        }
    }
    let part = place.part + 1;
    Ok((part < parts).then_some(Place { part, item: 0 }))
}

fn set_piece<E, S: FnMut(&[u8]) -> Result<(), E>>(out: &mut Output<S>, set: &Set, at: At) -> Result<At, E> {
    let Some(parts) = set.parts() else { return out.set(set).map(|()| At::End) };
    let place = match at {
        At::Part(place) => place,
        _ => {
            out.length(set.len() as u64)?;
            FIRST
        }
    };
    let next = part_piece(out, place, parts, set.part(place.part), |out, member| out.element(member))?;
    Ok(next.map_or(At::End, At::Part))
}

fn hash_piece<E, S: FnMut(&[u8]) -> Result<(), E>>(
    out: &mut Output<S>,
    hash: &Hash,
    at: At,
) -> Result<At, E> {
    let Some(parts) = hash.parts() else { return out.hash(hash).map(|()| At::End) };
    let place = match at {
        At::Part(place) => place,
        _ => {
            out.length(hash.len() as u64)?;
            FIRST
        }
    };
    let next = part_piece(out, place, parts, hash.part(place.part), |out, (field, value, _)| {
        out.element(field)?;
        out.element(value)
    })?;
    Ok(next.map_or(At::End, At::Part))
}

/// The times count from the soonest on, so all parts are looked through before the first is written.
fn timed_hash_piece<E, S: FnMut(&[u8]) -> Result<(), E>>(
    out: &mut Output<S>,
    hash: &Hash,
    at: At,
) -> Result<At, E> {
    let Some(parts) = hash.parts() else { return out.hash(hash).map(|()| At::End) };
    let (next, soonest_ms) = match at {
        At::Timed(place, soonest_ms) => {
            let put = |out: &mut Output<S>, field| out.timed_field(soonest_ms, field);
            let next = part_piece(out, place, parts, hash.part(place.part), put)?;
            return Ok(next.map_or(At::End, |place| At::Timed(place, soonest_ms)));
        }
        At::Looking(next, soonest_ms) => (next, soonest_ms),
        _ => (0, i64::MAX),
    };
    let here = hash.part(next).filter_map(|(_, _, time)| time).min();
    let soonest_ms = here.unwrap_or(i64::MAX).min(soonest_ms);
    if next + 1 < parts {
        return Ok(At::Looking(next + 1, soonest_ms));
    }
    let soonest_ms = if soonest_ms == i64::MAX { 0 } else { soonest_ms };
    out.put(&soonest_ms.to_le_bytes())?;
    out.length(hash.len() as u64)?;
    Ok(At::Timed(FIRST, soonest_ms))
}

fn zset_piece<E, S: FnMut(&[u8]) -> Result<(), E>>(
    out: &mut Output<S>,
    zset: &ZSet,
    at: At,
) -> Result<At, E> {
    if let Some(listpack) = zset.as_listpack() {
        return out.blob(listpack.as_bytes()).map(|()| At::End);
    }
    let written = match at {
        At::Member(written) => written,
        _ => {
            out.length(zset.len() as u64)?;
            0
        }
    };
    let Some(from) = zset.len().checked_sub(written + 1) else { return Ok(At::End) };
    let enough = out.gathered() + PIECE_BYTES;
    let mut written = written;
    for pair in zset.iter_range(from, MEMBERS_A_PIECE, true) {
        out.scored(pair)?;
        written += 1;
        if out.gathered() >= enough {
            break;
        }
    }
    Ok(if written < zset.len() { At::Member(written) } else { At::End })
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
