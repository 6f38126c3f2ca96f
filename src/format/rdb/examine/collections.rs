//! Lists, sets, hashes and sorted sets.

use super::sieve::{all_differ, hash_of};
use super::{Held, Room};
use crate::base::num::parse_f64;
use crate::format::rdb::cursor::{Cursor, Doubt, doubt};
use crate::format::rdb::error::RdbErrorKind;
use crate::format::rdb::fields::Fields;
use crate::format::rdb::legacy::{ziplist_each, zipmap_each};
use crate::format::rdb::{node_container, value_type};
use crate::value::hash::FIELD_TIME_MAX_MS;
use crate::value::listpack::{ListpackError, ListpackErrorKind, MAX_BYTES, validate_each};
use crate::value::zset::{Rejected, RejectedKind, validate_pairs};
use crate::value::{Element, ListpackRef, intset};
use std::collections::{HashMap, HashSet};

/// Members that are looked at again when the hashes of two are equal.
const MOST_SUSPECTS: usize = 1_000;

/// Judges a collection; what it holds.
pub(super) fn examine(input: &mut Cursor<'_>, kind: u8, room: &mut Room) -> Result<Held, Doubt> {
    let plain = |elements: usize| Held { elements: elements as u64, timed: 0 };
    match kind {
        value_type::LIST => {
            let count = input.length()?;
            for _ in 0..count {
                input.stored()?.verify()?;
            }
            Ok(Held { elements: count, timed: 0 })
        }
        value_type::LIST_ZIPLIST => ziplists(input, 1, room),
        value_type::LIST_QUICKLIST => {
            let count = input.length()?;
            ziplists(input, count, room)
        }
        value_type::LIST_QUICKLIST_2 => quicklist(input, room),
        value_type::SET_INTSET => {
            let blob = input.stored()?.blob(&mut room.unpacked)?;
            intset::validate(blob).map_err(doubt)?;
            let count =
                blob.get(4..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b));
            Ok(Held { elements: count.into(), timed: 0 })
        }
        value_type::SET_LISTPACK => listpack_of(input, room, 1).map(plain),
        value_type::HASH_LISTPACK => listpack_of(input, room, 2).map(plain),
        value_type::HASH_TIMED_LISTPACK | value_type::HASH_TIMED_LISTPACK_PRE_GA => {
            if kind == value_type::HASH_TIMED_LISTPACK {
                input.take(8)?;
            }
            timed_listpack(input, room)
        }
        value_type::ZSET_LISTPACK => zset_listpack(input, room).map(plain),
        value_type::HASH_ZIPMAP => zipmap(input, room).map(plain),
        value_type::HASH_ZIPLIST => ziplist_pairs(input, room, false).map(plain),
        value_type::ZSET_ZIPLIST => ziplist_pairs(input, room, true).map(plain),
        value_type::SET
        | value_type::HASH
        | value_type::ZSET
        | value_type::ZSET_2
        | value_type::HASH_TIMES
        | value_type::HASH_TIMES_PRE_GA => table(input, kind, room),
        value_type::MODULE_PRE_GA | value_type::MODULE_2 => {
            Err(doubt(RdbErrorKind::Unsupported("a module's value")))
        }
        other => Err(doubt(RdbErrorKind::UnknownType(other))),
    }
}

/// A listpack as a loader takes it.
pub(super) fn validated<'a>(blob: &'a [u8], see: impl FnMut(Element<'a>)) -> Result<usize, Doubt> {
    if blob.len() > MAX_BYTES {
        return Err(doubt(ListpackError { offset: MAX_BYTES, kind: ListpackErrorKind::TooLong }));
    }
    validate_each(blob, see).map_err(doubt)
}

fn content(offset: usize) -> Doubt {
    doubt(ListpackError { offset, kind: ListpackErrorKind::Content })
}

fn quicklist(input: &mut Cursor<'_>, room: &mut Room) -> Result<Held, Doubt> {
    let mut elements = 0;
    for _ in 0..input.length()? {
        match input.length()? {
            node_container::PLAIN => {
                input.stored()?.verify()?;
                elements += 1;
            }
            node_container::PACKED => {
                elements += validated(input.stored()?.blob(&mut room.unpacked)?, |_| ())? as u64;
            }
            other => return Err(doubt(RdbErrorKind::NodeContainer(other))),
        }
    }
    Ok(Held { elements, timed: 0 })
}

fn ziplists(input: &mut Cursor<'_>, count: u64, room: &mut Room) -> Result<Held, Doubt> {
    let mut elements = 0;
    for _ in 0..count {
        let blob = input.stored()?.blob(&mut room.unpacked)?;
        if blob.len() > MAX_BYTES / 2 {
            return Err(doubt(RdbErrorKind::TooLong(blob.len() as u64)));
        }
        elements += ziplist_each(blob, |_| ()).map_err(doubt)? as u64;
    }
    Ok(Held { elements, timed: 0 })
}

/// A listpack of groups of `parts` elements whose first must differ; the number of groups.
fn listpack_of(input: &mut Cursor<'_>, room: &mut Room, parts: usize) -> Result<usize, Doubt> {
    let Room { unpacked, hashes, .. } = room;
    let blob = input.stored()?.blob(unpacked)?;
    hashes.clear();
    let mut part = 0;
    let count = validated(blob, |element| {
        if part == 0 {
            hashes.push(hash_of(element));
        }
        part += 1;
        if part == parts {
            part = 0;
        }
    })?;
    if part != 0 || !all_differ(hashes) {
        return Err(content(blob.len()));
    }
    Ok(count / parts)
}

fn timed_listpack(input: &mut Cursor<'_>, room: &mut Room) -> Result<Held, Doubt> {
    let Room { unpacked, hashes, .. } = room;
    let blob = input.stored()?.blob(unpacked)?;
    hashes.clear();
    let (mut part, mut timed, mut is_time_wrong) = (0, 0, false);
    let count = validated(blob, |element| {
        match (part, element) {
            (0, field) => hashes.push(hash_of(field)),
            (1, _) | (_, Element::Int(0)) => {}
            (_, Element::Int(1..=FIELD_TIME_MAX_MS)) => timed += 1,
            _ => is_time_wrong = true,
        }
        part = (part + 1) % 3;
    })?;
    if part != 0 || is_time_wrong || !all_differ(hashes) {
        return Err(content(blob.len()));
    }
    Ok(Held { elements: count as u64 / 3, timed })
}

fn zset_listpack(input: &mut Cursor<'_>, room: &mut Room) -> Result<usize, Doubt> {
    let Room { unpacked, hashes, .. } = room;
    let blob = input.stored()?.blob(unpacked)?;
    hashes.clear();
    let mut is_member = true;
    let count = validated(blob, |element| {
        if is_member {
            hashes.push(hash_of(element));
        }
        is_member = !is_member;
    })?;
    validate_pairs(ListpackRef::trusted(blob)).map_err(doubt)?;
    if !all_differ(hashes) {
        return Err(doubt(Rejected { pair: count / 2, kind: RejectedKind::Duplicate }));
    }
    Ok(count / 2)
}

fn zipmap(input: &mut Cursor<'_>, room: &mut Room) -> Result<usize, Doubt> {
    let Room { unpacked, hashes, .. } = room;
    let blob = input.stored()?.blob(unpacked)?;
    hashes.clear();
    let count = zipmap_each(blob, |(field, _)| hashes.push(hash_of(Element::Bytes(field)))).map_err(doubt)?;
    if all_differ(hashes) { Ok(count) } else { Err(doubt(RdbErrorKind::Duplicate)) }
}

/// A ziplist of fields and values, or of members and scores.
fn ziplist_pairs(input: &mut Cursor<'_>, room: &mut Room, scored: bool) -> Result<usize, Doubt> {
    let Room { unpacked, hashes, .. } = room;
    let blob = input.stored()?.blob(unpacked)?;
    hashes.clear();
    let (mut is_first, mut is_score_wrong) = (true, false);
    let count = ziplist_each(blob, |element| {
        match (is_first, element) {
            (true, _) => hashes.push(hash_of(element)),
            (false, Element::Bytes(text)) if scored => is_score_wrong |= parse_f64(text).is_none(),
            (false, _) => {}
        }
        is_first = !is_first;
    })
    .map_err(doubt)?;
    if !is_first {
        return Err(doubt(RdbErrorKind::OddPairs));
    }
    if is_score_wrong {
        return Err(doubt(RdbErrorKind::BadScore));
    }
    if all_differ(hashes) { Ok(count / 2) } else { Err(doubt(RdbErrorKind::Duplicate)) }
}

/// A collection whose members lie in the file one by one.
#[derive(Clone, Copy)]
struct Table {
    kind: u8,
    count: u64,
    /// What the times of fields count from.
    base_ms: u64,
}

/// Members may be more than memory should hold the hashes of, so they are walked as often as it takes.
fn table(input: &mut Cursor<'_>, kind: u8, room: &mut Room) -> Result<Held, Doubt> {
    let base_ms = match kind {
        value_type::HASH_TIMES => {
            let soonest_ms = u64::from_le_bytes(input.array()?);
            let base_ms = soonest_ms.checked_sub(1).filter(|ms| *ms < FIELD_TIME_MAX_MS as u64);
            base_ms.ok_or_else(|| doubt(RdbErrorKind::BadFieldTime))?
        }
        _ => 0,
    };
    let table = Table { kind, count: input.length()?, base_ms };
    let Room { unpacked, sieve, .. } = room;
    let begin = input.clone();
    sieve.begin();
    let timed = walk(input, table, unpacked, &mut |element| sieve.push(hash_of(element)))?;
    loop {
        let twice = sieve.twice();
        if !twice.is_empty() && is_a_member_twice(begin.clone(), table, unpacked, twice)? {
            return Err(doubt(RdbErrorKind::Duplicate));
        }
        if !sieve.next_walk() {
            return Ok(Held { elements: table.count, timed });
        }
        walk(&mut begin.clone(), table, unpacked, &mut |element| sieve.push(hash_of(element)))?;
    }
}

/// Whether those whose hashes came twice are really the same.
fn is_a_member_twice(
    mut begin: Cursor<'_>,
    table: Table,
    unpacked: &mut Vec<u8>,
    mut suspects: Vec<u64>,
) -> Result<bool, Doubt> {
    suspects.truncate(MOST_SUSPECTS);
    let mut members: HashMap<u64, HashSet<Vec<u8>>> =
        suspects.into_iter().map(|hash| (hash, HashSet::new())).collect();
    let mut is_twice = false;
    walk(&mut begin, table, unpacked, &mut |element| {
        if !is_twice && let Some(seen) = members.get_mut(&hash_of(element)) {
            is_twice = !seen.insert(element.to_vec());
        }
    })?;
    Ok(is_twice)
}

/// Passes the members, and shows them to `see`; how many carry a time.
fn walk(
    input: &mut Cursor<'_>,
    table: Table,
    unpacked: &mut Vec<u8>,
    see: &mut impl FnMut(Element<'_>),
) -> Result<u64, Doubt> {
    let mut timed = 0;
    for _ in 0..table.count {
        let time = match table.kind {
            value_type::HASH_TIMES | value_type::HASH_TIMES_PRE_GA => input.length()?,
            _ => 0,
        };
        see(input.stored()?.element(unpacked)?);
        match table.kind {
            value_type::SET => {}
            value_type::ZSET => text_score(input)?,
            value_type::ZSET_2 => {
                if f64::from_le_bytes(input.array()?).is_nan() {
                    return Err(doubt(Rejected { pair: 0, kind: RejectedKind::Score }));
                }
            }
            _ => input.stored()?.verify()?,
        }
        if time > 0 {
            let at_ms = time.checked_add(table.base_ms).and_then(|at_ms| i64::try_from(at_ms).ok());
            if at_ms.is_none_or(|at_ms| at_ms > FIELD_TIME_MAX_MS) {
                return Err(doubt(RdbErrorKind::BadFieldTime));
            }
            timed += 1;
        }
    }
    Ok(timed)
}

fn text_score(input: &mut Cursor<'_>) -> Result<(), Doubt> {
    let is_number = match input.u8()? {
        254 | 255 => true,
        253 => false,
        // What reads as not a number is none.
        len => parse_f64(input.take(len.into())?).is_some_and(|score| !score.is_nan()),
    };
    if is_number { Ok(()) } else { Err(doubt(RdbErrorKind::BadScore)) }
}
