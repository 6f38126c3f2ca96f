//! Streams in RDB bytes.
//!
//! Nodes (number, then of each its id as a string of 16 bytes and its listpack as a string), length, last id, first id,
//! greatest deleted id, entries ever added, groups (number, then each). Ids are two lengths, but for those of pending
//! entries, which are 16 bytes. A group is its name, last id, entries read, pending entries (number, then of each id, time
//! of delivery, deliveries) and consumers (number, then of each its name, when it was seen, and the ids it has not
//! acknowledged). Times are ms of unix time, eight bytes, little endian.
//!
//! Type 15 (before 7.0) lacks first id, greatest deleted id, entries added and entries read; type 21 (7.2) has of each
//! consumer another time, when it last got entries, or -1. Where that is lacking, the time when it was seen has to do.

use std::io::BufRead;

use super::error::RdbError;
use super::fields::Fields;
use super::input::Input;
use super::value_reader::listpack;
use super::value_type;
use super::value_writer::Output;
use crate::value::Stream;
use crate::value::stream::{Group, StreamError, StreamId};

/// Reads a stream written as type `kind`.
pub(super) fn read<R: BufRead>(
    input: &mut Input<R>,
    kind: u8,
    name: &mut Vec<u8>,
) -> Result<Stream, RdbError> {
    let mut stream = Stream::new();
    read_entries(input, kind, &mut stream, name)?;
    for _ in 0..input.length()? {
        input.text_into(name)?;
        let last_id = read_id(input)?;
        let entries_read = match kind {
            // Stock servers write "not known" as -1.
            value_type::STREAM => stream.entries().added_up_to(last_id),
            _ => Some(input.length()?).filter(|read| i64::try_from(*read).is_ok()),
        };
        let group_name: Box<[u8]> = name.as_slice().into();
        let group = read_group(input, kind, Group::new(last_id, entries_read), name)?;
        if !stream.create_group(&group_name, group) {
            return Err(input.error(StreamError::GroupTwice));
        }
    }
    Ok(stream)
}

fn read_entries<R: BufRead>(
    input: &mut Input<R>,
    kind: u8,
    stream: &mut Stream,
    bytes: &mut Vec<u8>,
) -> Result<(), RdbError> {
    let entries = stream.entries_mut();
    for _ in 0..input.length()? {
        input.text_into(bytes)?;
        let id = <[u8; 16]>::try_from(bytes.as_slice()).map_err(|_| input.error(StreamError::NodeId))?;
        let pack = listpack(input)?;
        match entries.load_node(StreamId::from_bytes(id), pack) {
            Ok(true) => {}
            Ok(false) => return Err(input.error(StreamError::NodeTwice)),
            Err(error) => return Err(input.error(StreamError::Node(error))),
        }
    }
    if input.length()? != entries.len() {
        return Err(input.error(StreamError::Length));
    }
    entries.last_id = read_id(input)?;
    if kind == value_type::STREAM {
        entries.added = entries.len();
        entries.load_first_id();
    } else {
        entries.first_id = read_id(input)?;
        entries.max_deleted_id = read_id(input)?;
        entries.added = input.length()?;
    }
    Ok(())
}

fn read_group<R: BufRead>(
    input: &mut Input<R>,
    kind: u8,
    mut group: Group,
    name: &mut Vec<u8>,
) -> Result<Group, RdbError> {
    for _ in 0..input.length()? {
        let id = StreamId::from_bytes(input.array()?);
        let delivered_ms = i64::from_le_bytes(input.array()?);
        if !group.load_pending(id, delivered_ms, input.length()?) {
            return Err(input.error(StreamError::PendingTwice));
        }
    }
    for _ in 0..input.length()? {
        input.text_into(name)?;
        let seen_ms = i64::from_le_bytes(input.array()?);
        let active_ms = match kind {
            value_type::STREAM_3 => i64::from_le_bytes(input.array()?),
            _ => seen_ms,
        };
        let (consumer, is_new) = group.consumer_or_new(name, seen_ms);
        group.active(consumer, (active_ms != -1).then_some(active_ms));
        if !is_new {
            return Err(input.error(StreamError::ConsumerTwice));
        }
        for _ in 0..input.length()? {
            if !group.load_owner(StreamId::from_bytes(input.array()?), consumer) {
                return Err(input.error(StreamError::NotPending));
            }
        }
    }
    if group.is_loaded() { Ok(group) } else { Err(input.error(StreamError::NoConsumer)) }
}

fn read_id<R: BufRead>(input: &mut Input<R>) -> Result<StreamId, RdbError> {
    Ok(StreamId::new(input.length()?, input.length()?))
}

/// Writes a stream as type 19, which Redis 7.0 and everything after it loads. It has no room for when consumers last got
/// entries.
pub(super) fn write<E, S: FnMut(&[u8]) -> Result<(), E>>(
    out: &mut Output<S>,
    stream: &Stream,
) -> Result<(), E> {
    let mut at = Some(StreamAt::Start);
    while let Some(here) = at {
        at = write_piece(out, stream, here)?;
    }
    Ok(())
}

/// What of a stream is to be written next. Groups and consumers go by name, in that order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StreamAt {
    Start,
    /// The first node that is not before this.
    Node(StreamId),
    /// What follows the nodes.
    Facts,
    /// The group behind the one of this name, or the first.
    Group(Option<Name>),
    /// Pending entries of a group from this one on.
    Pending(Name, StreamId),
    Consumers(Name),
    /// The consumer behind the one of this name, or the first.
    Consumer(Name, Option<Name>),
    /// What is pending for a consumer from this id on.
    Owned(Name, Name, StreamId),
}

type Name = Box<[u8]>;

/// Ids that are written as one piece.
const IDS_A_PIECE: usize = 512;

/// Writes a piece, and says where the next begins; `None` after the last.
pub(super) fn write_piece<E, S: FnMut(&[u8]) -> Result<(), E>>(
    out: &mut Output<S>,
    stream: &Stream,
    at: StreamAt,
) -> Result<Option<StreamAt>, E> {
    let entries = stream.entries();
    Ok(Some(match at {
        StreamAt::Start => {
            out.length(entries.node_count() as u64)?;
            StreamAt::Node(StreamId::MIN)
        }
        StreamAt::Node(from) => {
            let mut nodes = entries.nodes_from(from);
            let Some((id, pack)) = nodes.next() else { return Ok(Some(StreamAt::Facts)) };
            out.blob(&id.to_bytes())?;
            out.blob(pack.as_bytes())?;
            nodes.next().map_or(StreamAt::Facts, |(next, _)| StreamAt::Node(next))
        }
        StreamAt::Facts => {
            out.length(entries.len())?;
            for id in [entries.last_id, entries.first_id, entries.max_deleted_id] {
                write_id(out, id)?;
            }
            out.length(entries.added)?;
            out.length(stream.groups().len() as u64)?;
            StreamAt::Group(None)
        }
        StreamAt::Group(behind) => {
            let Some((name, group)) = stream.group_behind(behind.as_deref()) else { return Ok(None) };
            out.string(name)?;
            write_id(out, group.last_id)?;
            out.length(group.entries_read.unwrap_or(u64::MAX))?;
            out.length(group.pending().len() as u64)?;
            StreamAt::Pending(name.into(), StreamId::MIN)
        }
        at => match stream.group(at.group()) {
            Some(group) => write_group_piece(out, group, at)?,
            None => return Ok(None),
        },
    }))
}

impl StreamAt {
    fn group(&self) -> &[u8] {
        match self {
            StreamAt::Pending(name, _)
            | StreamAt::Consumers(name)
            | StreamAt::Consumer(name, _)
            | StreamAt::Owned(name, _, _) => name,
            StreamAt::Start | StreamAt::Node(_) | StreamAt::Facts | StreamAt::Group(_) => &[],
        }
    }
}

/// As [`write_piece`], of a group whose head is written.
fn write_group_piece<E, S: FnMut(&[u8]) -> Result<(), E>>(
    out: &mut Output<S>,
    group: &Group,
    at: StreamAt,
) -> Result<StreamAt, E> {
    Ok(match at {
        StreamAt::Pending(name, from) => {
            let mut pending = group.pending().range(from..);
            for (id, pending) in pending.by_ref().take(IDS_A_PIECE) {
                out.put(&id.to_bytes())?;
                out.put(&pending.delivered_ms.to_le_bytes())?;
                out.length(pending.deliveries)?;
            }
            match pending.next() {
                Some((next, _)) => StreamAt::Pending(name, *next),
                None => StreamAt::Consumers(name),
            }
        }
        StreamAt::Consumers(name) => {
            out.length(group.consumers().len() as u64)?;
            StreamAt::Consumer(name, None)
        }
        StreamAt::Consumer(name, behind) => match group.consumer_behind(behind.as_deref()) {
            None => StreamAt::Group(Some(name)),
            Some(consumer) => {
                out.string(consumer.name())?;
                out.put(&consumer.seen_ms.to_le_bytes())?;
                out.length(consumer.pending().len() as u64)?;
                StreamAt::Owned(name, consumer.name().into(), StreamId::MIN)
            }
        },
        StreamAt::Owned(name, owner, from) => {
            let Some(id) = group.find_consumer(&owner) else { return Ok(StreamAt::Group(Some(name))) };
            let mut owned = group.consumer(id).pending().range(from..);
            owned.by_ref().take(IDS_A_PIECE).try_for_each(|id| out.put(&id.to_bytes()))?;
            match owned.next() {
                Some(next) => StreamAt::Owned(name, owner, *next),
                None => StreamAt::Consumer(name, Some(owner)),
            }
        }
        at => at,
    })
}

fn write_id<E, S: FnMut(&[u8]) -> Result<(), E>>(out: &mut Output<S>, id: StreamId) -> Result<(), E> {
    out.length(id.ms)?;
    out.length(id.seq)
}

#[cfg(test)]
#[path = "stream_tests.rs"]
pub(super) mod tests;
