//! Reading values, in every encoding servers have ever written, into today's.

use std::io::BufRead;

use super::error::{RdbError, RdbErrorKind};
use super::fields::Fields;
use super::input::{Input, Text};
use super::legacy::{ziplist_elements, zipmap_pairs};
use super::{node_container, stream, value_type};
use crate::base::num::parse_f64;
use crate::value::hash::{FIELD_TIME_MAX_MS, RecentShapes};
use crate::value::listpack::MAX_BYTES;
use crate::value::zset::ZSetBuilder;
use crate::value::{Direction, Element, Hash, Intset, Limits, List, Listpack, Set, Str, Value, ZSet};

/// Bytes that an element takes at least, for room to be made for it beforehand: a length, and a few of its own.
const ELEMENT_BYTES: usize = 4;

/// Buffers that are reused from value to value.
#[derive(Default)]
pub(super) struct Scratch {
    first: Vec<u8>,
    digits: Vec<u8>,
    shapes: RecentShapes,
}

/// Reads a value of type `kind`; `None` if it is a collection without elements.
pub(super) fn read_value<R: BufRead>(
    input: &mut Input<R>,
    kind: u8,
    limits: &Limits,
    scratch: &mut Scratch,
) -> Result<Option<Value>, RdbError> {
    let value = match kind {
        value_type::STRING => Some(Value::Str(match input.text()? {
            Text::Bytes(bytes) => Str::from_slice(bytes),
            Text::Int(int) => Str::Int(int),
        })),
        value_type::LIST => some_list(list(input, limits, scratch)?),
        value_type::LIST_ZIPLIST => some_list(list_of_ziplists(input, 1, limits)?),
        value_type::LIST_QUICKLIST => {
            let count = input.length()?;
            some_list(list_of_ziplists(input, count, limits)?)
        }
        value_type::LIST_QUICKLIST_2 => some_list(quicklist(input, limits)?),
        value_type::SET => some_set(set(input, limits, scratch)?),
        value_type::SET_INTSET => {
            let intset = Intset::from_bytes(input.blob()?);
            Some(Value::Set(Set::from_intset(intset.map_err(|error| input.error(error))?, limits)))
        }
        value_type::SET_LISTPACK => {
            let listpack = listpack(input)?;
            some_set(Set::from_listpack(listpack, limits).map_err(|error| input.error(error))?)
        }
        value_type::HASH
        | value_type::HASH_ZIPMAP
        | value_type::HASH_ZIPLIST
        | value_type::HASH_LISTPACK
        | value_type::HASH_TIMES_PRE_GA..=value_type::HASH_TIMED_LISTPACK => {
            some_hash(any_hash(input, kind, limits, scratch)?)
        }
        value_type::ZSET => some_zset(zset(input, limits, scratch, text_score)?),
        value_type::ZSET_2 => some_zset(zset(input, limits, scratch, binary_score)?),
        value_type::ZSET_ZIPLIST => {
            let zset = zset_of_ziplist(input.blob()?, limits);
            some_zset(zset.map_err(|kind| input.error(kind))?)
        }
        value_type::ZSET_LISTPACK => {
            let listpack = listpack(input)?;
            some_zset(ZSet::from_listpack(listpack, limits).map_err(|error| input.error(error))?)
        }
        value_type::STREAM | value_type::STREAM_2 | value_type::STREAM_3 => {
            Some(Value::Stream(stream::read(input, kind, &mut scratch.first)?))
        }
        value_type::MODULE_PRE_GA | value_type::MODULE_2 => {
            return Err(input.error(RdbErrorKind::Unsupported("a module's value")));
        }
        other => return Err(input.error(RdbErrorKind::UnknownType(other))),
    };
    Ok(value)
}

fn some_list(list: List) -> Option<Value> {
    (!list.is_empty()).then_some(Value::List(list))
}

fn some_set(set: Set) -> Option<Value> {
    (!set.is_empty()).then_some(Value::Set(set))
}

fn some_hash(hash: Hash) -> Option<Value> {
    (!hash.is_empty()).then_some(Value::Hash(hash))
}

fn some_zset(zset: ZSet) -> Option<Value> {
    (!zset.is_empty()).then_some(Value::ZSet(zset))
}

fn saturating(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// For how many elements of `count` room is made: as many as the bytes at hand have so many for.
fn room_for<R: BufRead>(input: &mut Input<R>, count: u64, bytes_each: usize) -> usize {
    saturating(count).min(input.at_hand_bytes() / bytes_each)
}

pub(super) fn listpack<R: BufRead>(input: &mut Input<R>) -> Result<Listpack, RdbError> {
    let listpack = Listpack::from_bytes(input.blob()?);
    listpack.map_err(|error| input.error(error))
}

fn list<R: BufRead>(input: &mut Input<R>, limits: &Limits, scratch: &mut Scratch) -> Result<List, RdbError> {
    let mut list = List::new();
    for _ in 0..input.length()? {
        list.push(Direction::Backward, input.text()?.bytes(&mut scratch.digits), limits);
    }
    Ok(list)
}

fn list_of_ziplists<R: BufRead>(input: &mut Input<R>, count: u64, limits: &Limits) -> Result<List, RdbError> {
    let mut list = List::new();
    for _ in 0..count {
        let node = listpack_of_ziplist(input.blob()?);
        list.push_packed_node(node.map_err(|kind| input.error(kind))?);
    }
    list.finish_load(limits);
    Ok(list)
}

/// The same elements as a listpack, where they take about as many bytes.
fn listpack_of_ziplist(bytes: &[u8]) -> Result<Listpack, RdbErrorKind> {
    if bytes.len() > MAX_BYTES / 2 {
        return Err(RdbErrorKind::TooLong(bytes.len() as u64));
    }
    let elements = ziplist_elements(bytes)?;
    Ok(Listpack::from_elements(elements.into_iter().map(|element| match element {
        Element::Bytes(bytes) => Element::parse(bytes),
        int => int,
    })))
}

fn quicklist<R: BufRead>(input: &mut Input<R>, limits: &Limits) -> Result<List, RdbError> {
    let mut list = List::new();
    for _ in 0..input.length()? {
        match input.length()? {
            node_container::PLAIN => {
                let mut digits = Vec::new();
                list.push_plain_node(input.text()?.bytes(&mut digits));
            }
            node_container::PACKED => list.push_packed_node(listpack(input)?),
            other => return Err(input.error(RdbErrorKind::NodeContainer(other))),
        }
    }
    list.finish_load(limits);
    Ok(list)
}

fn set<R: BufRead>(input: &mut Input<R>, limits: &Limits, scratch: &mut Scratch) -> Result<Set, RdbError> {
    let count = input.length()?;
    let room = room_for(input, count, ELEMENT_BYTES);
    let mut set = Set::new();
    for index in 0..count {
        let member = input.text()?.bytes(&mut scratch.digits);
        if index == 0 {
            set = Set::for_members(member, saturating(count), limits);
            set.make_room(room);
        }
        if !set.add(member, limits) {
            return Err(input.error(RdbErrorKind::Duplicate));
        }
    }
    Ok(set)
}

/// A hash, in whichever form `kind` is.
fn any_hash<R: BufRead>(
    input: &mut Input<R>,
    kind: u8,
    limits: &Limits,
    scratch: &mut Scratch,
) -> Result<Hash, RdbError> {
    match kind {
        value_type::HASH_ZIPMAP => {
            let hash = hash_of_zipmap(input.blob()?, limits);
            hash.map_err(|kind| input.error(kind))
        }
        value_type::HASH_ZIPLIST => {
            let hash = hash_of_ziplist(input.blob()?, limits);
            hash.map_err(|kind| input.error(kind))
        }
        value_type::HASH_LISTPACK => {
            let hash = Hash::from_packed(input.blob()?, limits, &mut scratch.shapes);
            hash.map_err(|error| input.error(error))
        }
        value_type::HASH_TIMES | value_type::HASH_TIMES_PRE_GA => timed_hash(input, kind, limits, scratch),
        value_type::HASH_TIMED_LISTPACK | value_type::HASH_TIMED_LISTPACK_PRE_GA => {
            if kind == value_type::HASH_TIMED_LISTPACK {
                // The soonest time, for readers that want to know it first.
                let _: [u8; 8] = input.array()?;
            }
            let listpack = listpack(input)?;
            Hash::from_timed_listpack(listpack, limits).map_err(|error| input.error(error))
        }
        _ => hash(input, limits, scratch),
    }
}

fn hash<R: BufRead>(input: &mut Input<R>, limits: &Limits, scratch: &mut Scratch) -> Result<Hash, RdbError> {
    let count = input.length()?;
    let mut hash = Hash::new();
    hash.prepare(saturating(count), 0, limits);
    hash.make_room(room_for(input, count, 2 * ELEMENT_BYTES));
    for _ in 0..count {
        input.text_into(&mut scratch.first)?;
        let value = input.text()?.bytes(&mut scratch.digits);
        if !hash.set(&scratch.first, value, limits) {
            return Err(input.error(RdbErrorKind::Duplicate));
        }
    }
    Ok(hash)
}

/// Fields, each behind its time: 0 is none, 1 is the soonest, which stands before them. The release candidates of 7.4
/// wrote times as they are.
fn timed_hash<R: BufRead>(
    input: &mut Input<R>,
    kind: u8,
    limits: &Limits,
    scratch: &mut Scratch,
) -> Result<Hash, RdbError> {
    let base_ms = match kind {
        value_type::HASH_TIMES => {
            let soonest_ms = u64::from_le_bytes(input.array()?);
            let base_ms = soonest_ms.checked_sub(1).filter(|ms| *ms < FIELD_TIME_MAX_MS as u64);
            base_ms.ok_or_else(|| input.error(RdbErrorKind::BadFieldTime))?
        }
        _ => 0,
    };
    let count = input.length()?;
    let mut hash = Hash::new();
    hash.prepare(saturating(count), 0, limits);
    hash.prepare_times();
    for _ in 0..count {
        let time = input.length()?;
        input.text_into(&mut scratch.first)?;
        let value = input.text()?.bytes(&mut scratch.digits);
        if !hash.set(&scratch.first, value, limits) {
            return Err(input.error(RdbErrorKind::Duplicate));
        }
        if time > 0 {
            let at_ms = time.checked_add(base_ms).and_then(|at_ms| i64::try_from(at_ms).ok());
            let at_ms = at_ms.filter(|at_ms| *at_ms <= FIELD_TIME_MAX_MS);
            let at_ms = at_ms.ok_or_else(|| input.error(RdbErrorKind::BadFieldTime))?;
            hash.set_time(&scratch.first, Some(at_ms));
        }
    }
    Ok(hash)
}

fn hash_of_zipmap(bytes: &[u8], limits: &Limits) -> Result<Hash, RdbErrorKind> {
    let pairs = zipmap_pairs(bytes)?;
    let mut hash = Hash::new();
    hash.prepare(pairs.len(), 0, limits);
    for (field, value) in pairs {
        if !hash.set(field, value, limits) {
            return Err(RdbErrorKind::Duplicate);
        }
    }
    Ok(hash)
}

fn hash_of_ziplist(bytes: &[u8], limits: &Limits) -> Result<Hash, RdbErrorKind> {
    let elements = ziplist_elements(bytes)?;
    let (mut field_digits, mut value_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
    let mut hash = Hash::new();
    hash.prepare(elements.len() / 2, 0, limits);
    for pair in elements.chunks(2) {
        let [field, value] = pair else { return Err(RdbErrorKind::OddPairs) };
        if !hash.set(field.as_bytes(&mut field_digits), value.as_bytes(&mut value_digits), limits) {
            return Err(RdbErrorKind::Duplicate);
        }
    }
    Ok(hash)
}

fn zset<R: BufRead>(
    input: &mut Input<R>,
    limits: &Limits,
    scratch: &mut Scratch,
    score: fn(&mut Input<R>) -> Result<f64, RdbError>,
) -> Result<ZSet, RdbError> {
    let count = input.length()?;
    let mut builder = ZSetBuilder::with_room_for(room_for(input, count, 2 * ELEMENT_BYTES));
    for _ in 0..count {
        input.text_into(&mut scratch.first)?;
        let score = score(input)?;
        builder.push(&scratch.first, score).map_err(|error| input.error(error))?;
    }
    builder.finish(limits).map_err(|error| input.error(error))
}

/// Eight bytes, little endian.
fn binary_score<R: BufRead>(input: &mut Input<R>) -> Result<f64, RdbError> {
    Ok(f64::from_le_bytes(input.array()?))
}

/// A length byte and so many bytes of decimal text; three lengths stand for what has no digits.
fn text_score<R: BufRead>(input: &mut Input<R>) -> Result<f64, RdbError> {
    match input.u8()? {
        255 => Ok(f64::NEG_INFINITY),
        254 => Ok(f64::INFINITY),
        253 => Err(input.error(RdbErrorKind::BadScore)),
        len => {
            let score = parse_f64(input.take(len.into())?);
            score.ok_or_else(|| input.error(RdbErrorKind::BadScore))
        }
    }
}

fn zset_of_ziplist(bytes: &[u8], limits: &Limits) -> Result<ZSet, RdbErrorKind> {
    let elements = ziplist_elements(bytes)?;
    let mut digits = itoa::Buffer::new();
    let mut builder = ZSetBuilder::new();
    for pair in elements.chunks(2) {
        let [member, score] = pair else { return Err(RdbErrorKind::OddPairs) };
        let score = match score {
            Element::Int(int) => Some(*int as f64),
            Element::Bytes(text) => parse_f64(text),
        };
        builder.push(member.as_bytes(&mut digits), score.ok_or(RdbErrorKind::BadScore)?)?;
    }
    Ok(builder.finish(limits)?)
}
