//! Intersections, unions and differences of sets.

use crate::command::args::{at_least, non_negative};
use crate::command::elements::bulk_element;
use crate::command::table::{Command, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass};
use crate::value::{Element, Limits, Set, Value};
use smallvec::SmallVec;

const READ: &[KeySpec] = &[KeySpec::range(key::RO | key::ACCESS, 1, -1, 1)];
const SOURCES: KeySpec = KeySpec::range(key::RO | key::ACCESS, 2, -1, 1);

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("sinter", -2, READONLY, |ctx, args| reply_with(ctx, &args[1..], Operation::Intersection))
        .keys(READ)
        .acl(acl::SET)
        .doc(
            "set",
            "1.0.0",
            "O(N*M) at worst, with N members in the smallest of M sets",
            "Returns the members that all sets have.",
            "key [key ...]",
        )
        .tips(&["nondeterministic_output_order"]),
    Command::new("sintercard", -3, READONLY | MOVABLEKEYS, sintercard)
        .keys(&[KeySpec::counted(key::RO | key::ACCESS, 1)])
        .acl(acl::SET)
        .doc(
            "set",
            "7.0.0",
            "O(N*M) at worst, with N members in the smallest of M sets",
            "Counts the members that all sets have.",
            "numkeys key [key ...] [LIMIT limit]",
        ),
    Command::new("sinterstore", -3, WRITE | DENYOOM, |ctx, args| store(ctx, args, Operation::Intersection))
        .keys(&[KeySpec::one(key::RW | key::UPDATE, 1), SOURCES])
        .acl(acl::SET)
        .doc(
            "set",
            "1.0.0",
            "O(N*M) at worst, with N members in the smallest of M sets",
            "Stores the members that all sets have.",
            "destination key [key ...]",
        ),
    Command::new("sunion", -2, READONLY, |ctx, args| reply_with(ctx, &args[1..], Operation::Union))
        .keys(READ)
        .acl(acl::SET)
        .doc(
            "set",
            "1.0.0",
            "O(N) with N members in all sets",
            "Returns the members that any set has.",
            "key [key ...]",
        )
        .tips(&["nondeterministic_output_order"]),
    Command::new("sunionstore", -3, WRITE | DENYOOM, |ctx, args| store(ctx, args, Operation::Union))
        .keys(&[KeySpec::one(key::OW | key::UPDATE, 1), SOURCES])
        .acl(acl::SET)
        .doc(
            "set",
            "1.0.0",
            "O(N) with N members in all sets",
            "Stores the members that any set has.",
            "destination key [key ...]",
        ),
    Command::new("sdiff", -2, READONLY, |ctx, args| reply_with(ctx, &args[1..], Operation::Difference))
        .keys(READ)
        .acl(acl::SET)
        .doc(
            "set",
            "1.0.0",
            "O(N) with N members in all sets",
            "Returns the members of the first set that no other has.",
            "key [key ...]",
        )
        .tips(&["nondeterministic_output_order"]),
    Command::new("sdiffstore", -3, WRITE | DENYOOM, |ctx, args| store(ctx, args, Operation::Difference))
        .keys(&[KeySpec::one(key::OW | key::UPDATE, 1), SOURCES])
        .acl(acl::SET)
        .doc(
            "set",
            "1.0.0",
            "O(N) with N members in all sets",
            "Stores the members of the first set that no other has.",
            "destination key [key ...]",
        ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

/// The sets of a command in the order of its keys; `None` for a key that is absent.
type Sets<'c> = SmallVec<[Option<&'c Set>; 8]>;

/// A union of up to so many sets asks each for a member of the next, which takes no memory; of more, it is gathered in
/// a set of its own.
const UNION_BY_ASKING: usize = 8;

impl Operation {
    /// The event of its result being stored.
    fn stored(self) -> &'static str {
        match self {
            Operation::Intersection => "sinterstore",
            Operation::Union => "sunionstore",
            Operation::Difference => "sdiffstore",
        }
    }

    /// Visits each member of the result once; `visit` answers whether to go on.
    fn run(self, sets: &Sets<'_>, limits: &Limits, mut visit: impl FnMut(Element<'_>) -> bool) {
        match self {
            Operation::Intersection => intersect(sets, visit),
            Operation::Union => unite(sets, limits, visit),
            Operation::Difference if subtracts_faster(sets) => {
                let left = subtract(sets);
                left.iter().all(&mut visit);
            }
            Operation::Difference => filter_out(sets, visit),
        }
    }
}

fn intersect(sets: &Sets<'_>, mut visit: impl FnMut(Element<'_>) -> bool) {
    let Some(mut sets) = sets.iter().copied().collect::<Option<SmallVec<[&Set; 8]>>>() else { return };
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return };
    // The same key named twice needs no asking.
    let others: SmallVec<[&Set; 8]> =
        others.iter().copied().filter(|set| !std::ptr::eq(*set, *smallest)).collect();
    let mut common = smallest.iter().filter(|member| others.iter().all(|set| set.contains_element(*member)));
    common.all(&mut visit);
}

fn unite(sets: &Sets<'_>, limits: &Limits, mut visit: impl FnMut(Element<'_>) -> bool) {
    let mut sets: SmallVec<[&Set; 8]> = sets.iter().flatten().copied().collect();
    // The largest goes first, for its members need no asking.
    sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
    if sets.len() > UNION_BY_ASKING {
        let mut all = Set::new();
        for member in sets.iter().flat_map(|set| set.iter()) {
            all.add_element(member, limits);
        }
        all.iter().all(visit);
        return;
    }
    for (at, set) in sets.iter().enumerate() {
        let earlier = &sets[..at];
        if earlier.iter().any(|other| std::ptr::eq(*other, *set)) {
            continue;
        }
        let mut fresh =
            set.iter().filter(|member| !earlier.iter().any(|other| other.contains_element(*member)));
        if !fresh.all(&mut visit) {
            return;
        }
    }
}

/// Whether removing the members of the other sets from a copy of the first is less work than asking all sets for each
/// of its members (half of those questions, it is reckoned, need not be put).
fn subtracts_faster(sets: &Sets<'_>) -> bool {
    let first = sets.first().copied().flatten().map_or(0, Set::len);
    let total: usize = sets.iter().flatten().map(|set| set.len()).sum();
    first.saturating_mul(sets.iter().flatten().count()) / 2 > total
}

fn subtract(sets: &Sets<'_>) -> Set {
    let Some((Some(first), others)) = sets.split_first() else { return Set::new() };
    let mut left = (*first).clone();
    let mut text = itoa::Buffer::new();
    for member in others.iter().flatten().flat_map(|set| set.iter()) {
        if left.is_empty() {
            break;
        }
        left.remove(member.as_bytes(&mut text));
    }
    left
}

fn filter_out(sets: &Sets<'_>, visit: impl FnMut(Element<'_>) -> bool) {
    let Some((Some(first), others)) = sets.split_first() else { return };
    // A large set is the likeliest to have a member.
    let mut others: SmallVec<[&Set; 8]> = others.iter().flatten().copied().collect();
    others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    if others.iter().any(|other| std::ptr::eq(*other, *first)) {
        return;
    }
    first.iter().filter(|member| !others.iter().any(|set| set.contains_element(*member))).all(visit);
}

/// Looks each key up as a reading command does: touches and counts it, and refuses what is no set.
fn touch(ctx: &mut Context<'_, '_>, keys: &[&[u8]]) -> Result<(), CommandError> {
    keys.iter().try_for_each(|key| ctx.read_set(key).map(drop))
}

fn reply_with(ctx: &mut Context<'_, '_>, keys: &[&[u8]], operation: Operation) -> CommandResult {
    touch(ctx, keys)?;
    let limits = &ctx.settings.limits;
    let (reading, reply, _) = ctx.reading();
    let sets: Sets<'_> = keys.iter().map(|key| reading.set(key)).collect::<Result<_, _>>()?;
    let header = reply.deferred_set();
    let mut count = 0;
    operation.run(&sets, limits, |member| {
        bulk_element(reply, member);
        count += 1;
        true
    });
    reply.finish_set(header, count);
    DONE
}

fn sintercard(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let number = at_least(args[1], 1, "ERR numkeys should be greater than 0")?;
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    let Some((keys, options)) = args[2..].split_at_checked(number) else {
        return Err(CommandError::text("ERR Number of keys can't be greater than number of args"));
    };
    let mut limit = 0;
    for option in options.chunks(2) {
        match option {
            [word, value] if word.eq_ignore_ascii_case(b"limit") => {
                limit = non_negative(value, "ERR LIMIT can't be negative")?;
            }
            _ => return Err(CommandError::Syntax),
        }
    }
    touch(ctx, keys)?;
    let limits = &ctx.settings.limits;
    let (reading, reply, _) = ctx.reading();
    let sets: Sets<'_> = keys.iter().map(|key| reading.set(key)).collect::<Result<_, _>>()?;
    let mut count = 0;
    Operation::Intersection.run(&sets, limits, |_| {
        count += 1;
        count != limit
    });
    reply.int(count);
    DONE
}

fn store(ctx: &mut Context<'_, '_>, args: &[&[u8]], operation: Operation) -> CommandResult {
    let (destination, keys) = (args[1], &args[2..]);
    touch(ctx, keys)?;
    let limits = &ctx.settings.limits;
    let (reading, _, _) = ctx.reading();
    let sets: Sets<'_> = keys.iter().map(|key| reading.set(key)).collect::<Result<_, _>>()?;
    let mut result = Set::new();
    operation.run(&sets, limits, |member| {
        result.add_element(member, limits);
        true
    });
    drop(sets);
    let len = result.len();
    if len > 0 {
        ctx.set_value(destination, Value::Set(result), None);
        ctx.tell(EventClass::Set, operation.stored(), destination);
    } else {
        ctx.remove_stored(destination);
    }
    ctx.reply.int(len as i64);
    DONE
}

#[cfg(test)]
#[path = "set_algebra_tests.rs"]
mod tests;
