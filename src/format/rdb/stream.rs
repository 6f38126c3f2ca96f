//! Streams in RDB bytes.
//!
//! Nodes (number, then of each its id as a string of 16 bytes and its listpack as a string), length, last id, first id,
//! greatest deleted id, entries ever added, groups (number, then each). Ids are two lengths, but for those of pending
//! entries, which are 16 bytes. A group is its name, last id, entries read, pending entries (number, then of each id, time
//! of delivery, deliveries) and consumers (number, then of each its name, when it was seen, and the ids it has not
//! acknowledged). Times are ms of unix time, eight bytes, little endian.
//!
//! Type 15 (before 7.0) lacks first id, greatest deleted id, entries added and entries read; type 21 (7.2) has of each
//! consumer another time, that of its last success.

use std::io::BufRead;

use super::error::RdbError;
use super::input::Input;
use super::value_reader::listpack;
use super::value_type;
use super::value_writer::Output;
use crate::value::Stream;
use crate::value::stream::{Consumer, Group, StreamError, StreamId};

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
        if kind == value_type::STREAM_3 {
            input.array::<8>()?;
        }
        let (consumer, is_new) = group.consumer_or_new(name, seen_ms);
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

/// Writes a stream as type 19, which Redis 7.0 and everything after it loads.
pub(super) fn write<E, S: FnMut(&[u8]) -> Result<(), E>>(
    out: &mut Output<S>,
    stream: &Stream,
) -> Result<(), E> {
    let entries = stream.entries();
    out.length(entries.node_count() as u64)?;
    for (id, pack) in entries.nodes() {
        out.blob(&id.to_bytes())?;
        out.blob(pack.as_bytes())?;
    }
    out.length(entries.len())?;
    for id in [entries.last_id, entries.first_id, entries.max_deleted_id] {
        write_id(out, id)?;
    }
    out.length(entries.added)?;
    out.length(stream.groups().len() as u64)?;
    for (name, group) in stream.groups() {
        out.string(name)?;
        write_id(out, group.last_id)?;
        out.length(group.entries_read.unwrap_or(u64::MAX))?;
        out.length(group.pending().len() as u64)?;
        for (id, pending) in group.pending() {
            out.put(&id.to_bytes())?;
            out.put(&pending.delivered_ms.to_le_bytes())?;
            out.length(pending.deliveries)?;
        }
        out.length(group.consumers().len() as u64)?;
        group.consumers().try_for_each(|consumer| write_consumer(out, consumer))?;
    }
    Ok(())
}

fn write_consumer<E, S: FnMut(&[u8]) -> Result<(), E>>(
    out: &mut Output<S>,
    consumer: &Consumer,
) -> Result<(), E> {
    out.string(consumer.name())?;
    out.put(&consumer.seen_ms.to_le_bytes())?;
    out.length(consumer.pending().len() as u64)?;
    consumer.pending().iter().try_for_each(|id| out.put(&id.to_bytes()))
}

fn write_id<E, S: FnMut(&[u8]) -> Result<(), E>>(out: &mut Output<S>, id: StreamId) -> Result<(), E> {
    out.length(id.ms)?;
    out.length(id.seq)
}

#[cfg(test)]
#[path = "stream_tests.rs"]
pub(super) mod tests;
