//! Unions, intersections and differences of sorted sets and sets.

use super::sorted_set::Members;
use super::sorted_set_range::{store, unstorable};
use crate::base::num::parse_f64;
use crate::command::args::{int, non_negative};
use crate::command::reading::Reading;
use crate::command::table::{Command, Handler, KeySpec, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE};
use crate::keyspace::{Entry, ValueRef};
use crate::value::zset::ZSetBuilder;
use crate::value::{Element, Set, Value, ZSet};
use std::cmp::Ordering;
use std::collections::HashMap;

const SOURCES: &[KeySpec] = &[KeySpec::counted(key::RO | key::ACCESS, 1)];
const STORE: &[KeySpec] =
    &[KeySpec::one(key::OW | key::UPDATE, 1), KeySpec::counted(key::RO | key::ACCESS, 2)];

const UNION_COST: &str = "O(N) + O(M*log(M)) with N members in all and M in the result";
const INTER_COST: &str = "O(N*K) + O(M*log(M)) with N members in the smallest of K sets and M in the result";
const DIFF_COST: &str = "O(N*K) + O(M*log(M)) with N members in the first of K sets and M in the result";

const fn reader(name: &'static str, run: Handler) -> Command {
    Command::new(name, -3, READONLY | MOVABLEKEYS, run).acl(acl::SORTEDSET).keys(SOURCES)
}

const fn storer(name: &'static str, run: Handler) -> Command {
    Command::new(name, -4, WRITE | DENYOOM | MOVABLEKEYS, run).acl(acl::SORTEDSET).keys(STORE)
}

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    reader("zunion", zunion).doc(
        "sorted-set",
        "6.2.0",
        UNION_COST,
        "Returns the members of any of some sorted sets.",
        "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]",
    ),
    reader("zinter", zinter).doc(
        "sorted-set",
        "6.2.0",
        INTER_COST,
        "Returns the members that some sorted sets have in common.",
        "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]",
    ),
    reader("zdiff", zdiff).doc(
        "sorted-set",
        "6.2.0",
        DIFF_COST,
        "Returns the members of the first sorted set that are in none of the others.",
        "numkeys key [key ...] [WITHSCORES]",
    ),
    reader("zintercard", zintercard).doc(
        "sorted-set",
        "7.0.0",
        "O(N*K) with N members in the smallest of K sets",
        "Counts the members that some sorted sets have in common.",
        "numkeys key [key ...] [LIMIT limit]",
    ),
    storer("zunionstore", zunionstore).doc(
        "sorted-set",
        "2.0.0",
        UNION_COST,
        "Stores the members of any of some sorted sets in a key.",
        "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]",
    ),
    storer("zinterstore", zinterstore).doc(
        "sorted-set",
        "2.0.0",
        INTER_COST,
        "Stores the members that some sorted sets have in common in a key.",
        "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]",
    ),
    storer("zdiffstore", zdiffstore).doc(
        "sorted-set",
        "6.2.0",
        DIFF_COST,
        "Stores the members of the first sorted set that are in none of the others in a key.",
        "destination numkeys key [key ...]",
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// How the scores of one member in several sources become one.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        let known = [(&b"sum"[..], Aggregate::Sum), (b"min", Aggregate::Min), (b"max", Aggregate::Max)];
        let found = known.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        found.map(|(_, aggregate)| aggregate).ok_or(CommandError::Syntax)
    }

    /// Infinities that cancel out give 0; a NaN is never less or greater.
    fn apply(self, score: f64, other: f64) -> f64 {
        match self {
            Aggregate::Sum => number(score + other),
            Aggregate::Min => {
                if other < score {
                    other
                } else {
                    score
                }
            }
            Aggregate::Max => {
                if other > score {
                    other
                } else {
                    score
                }
            }
        }
    }
}

/// 0 for NaN (an infinite score with weight 0).
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// The options behind the keys.
struct Options {
    weights: Vec<f64>,
    aggregate: Aggregate,
    scores: bool,
}

impl Options {
    fn parse(args: &[&[u8]], sources: usize, op: Operation, store: bool) -> Result<Self, CommandError> {
        let mut options = Options { weights: vec![1.0; sources], aggregate: Aggregate::Sum, scores: false };
        let mut rest = args;
        while let [word, tail @ ..] = rest {
            if op != Operation::Diff && word.eq_ignore_ascii_case(b"weights") && tail.len() >= sources {
                let (weights, tail) = tail.split_at(sources);
                for (weight, text) in options.weights.iter_mut().zip(weights) {
                    *weight = parse_f64(text).ok_or(CommandError::text("ERR weight value is not a float"))?;
                }
                rest = tail;
            } else if op != Operation::Diff && word.eq_ignore_ascii_case(b"aggregate") && !tail.is_empty() {
                options.aggregate = Aggregate::parse(tail[0])?;
                rest = &tail[1..];
            } else if !store && word.eq_ignore_ascii_case(b"withscores") {
                options.scores = true;
                rest = tail;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

/// One input.
#[derive(Clone, Copy)]
enum Source<'a> {
    Absent,
    Set(&'a Set),
    ZSet(&'a ZSet),
}

impl<'a> Source<'a> {
    fn of(entry: Option<&'a Entry>) -> Result<Self, CommandError> {
        match entry.map(Entry::value) {
            None => Ok(Source::Absent),
            Some(ValueRef::Object(Value::ZSet(zset))) => Ok(Source::ZSet(zset)),
            Some(ValueRef::Object(Value::Set(set))) => Ok(Source::Set(set)),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    fn len(self) -> usize {
        match self {
            Source::Absent => 0,
            Source::Set(set) => set.len(),
            Source::ZSet(zset) => zset.len(),
        }
    }

    /// The score of a member; 1 in a set.
    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Absent => None,
            Source::Set(set) => set.contains(member).then_some(1.0),
            Source::ZSet(zset) => zset.score(member),
        }
    }

    fn iter(self) -> impl Iterator<Item = (Element<'a>, f64)> {
        let (set, zset) = match self {
            Source::Absent => (None, None),
            Source::Set(set) => (Some(set.iter()), None),
            Source::ZSet(zset) => (None, Some(zset.iter())),
        };
        let members = set.into_iter().flatten().map(|member| (member, 1.0));
        members.chain(zset.into_iter().flatten())
    }
}

/// A member by content: an integer wherever its bytes are one, however it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Name<'a> {
    Int(i64),
    Bytes(&'a [u8]),
}

impl<'a> Name<'a> {
    fn new(element: Element<'a>) -> Self {
        let canonical = match element {
            Element::Bytes(bytes) => Element::parse(bytes),
            int => int,
        };
        match canonical {
            Element::Int(int) => Name::Int(int),
            Element::Bytes(bytes) => Name::Bytes(bytes),
        }
    }

    fn element(self) -> Element<'a> {
        match self {
            Name::Int(int) => Element::Int(int),
            Name::Bytes(bytes) => Element::Bytes(bytes),
        }
    }
}

type Scored<'a> = Vec<(Name<'a>, f64)>;

/// The order of sorted sets.
fn order(a: &(Name<'_>, f64), b: &(Name<'_>, f64)) -> Ordering {
    a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal).then_with(|| {
        let (mut left, mut right) = (itoa::Buffer::new(), itoa::Buffer::new());
        a.0.element().as_bytes(&mut left).cmp(b.0.element().as_bytes(&mut right))
    })
}

/// The sources with their weights, as the operation goes over them.
struct Inputs<'a>(Vec<(Source<'a>, f64)>);

impl<'a> Inputs<'a> {
    fn new(sources: Vec<Source<'a>>, weights: &[f64], op: Operation) -> Self {
        let mut all: Vec<_> = sources.into_iter().zip(weights.iter().copied()).collect();
        if op != Operation::Diff {
            // Small ones first; sums of floats come out as in Redis, which sorts alike.
            all.sort_by_key(|(source, _)| source.len());
        }
        Inputs(all)
    }

    fn union(&self, aggregate: Aggregate) -> Scored<'a> {
        let largest = self.0.last().map_or(0, |(source, _)| source.len());
        let mut scores: HashMap<Name<'a>, f64, ahash::RandomState> =
            HashMap::with_capacity_and_hasher(largest, ahash::RandomState::new());
        for (source, weight) in &self.0 {
            for (member, score) in source.iter() {
                let score = number(weight * score);
                scores
                    .entry(Name::new(member))
                    .and_modify(|known| *known = aggregate.apply(*known, score))
                    .or_insert(score);
            }
        }
        scores.into_iter().collect()
    }

    /// The members in common and their scores, until `take` says that it has enough.
    fn inter(&self, aggregate: Aggregate, mut take: impl FnMut(Element<'a>, f64) -> bool) {
        let Some(((first, weight), others)) = self.0.split_first() else { return };
        let mut buffer = itoa::Buffer::new();
        for (member, score) in first.iter() {
            let bytes = member.as_bytes(&mut buffer);
            let score = others.iter().try_fold(number(weight * score), |score, (source, weight)| {
                Some(aggregate.apply(score, weight * source.score(bytes)?))
            });
            if let Some(score) = score
                && !take(member, score)
            {
                return;
            }
        }
    }

    fn diff(&self) -> Scored<'a> {
        let Some(((first, _), others)) = self.0.split_first() else { return Vec::new() };
        let mut buffer = itoa::Buffer::new();
        let absent_elsewhere = |(member, _): &(Element<'a>, f64)| {
            let bytes = member.as_bytes(&mut buffer);
            others.iter().all(|(source, _)| source.score(bytes).is_none())
        };
        first.iter().filter(absent_elsewhere).map(|(member, score)| (Name::new(member), score)).collect()
    }

    fn combine(&self, op: Operation, aggregate: Aggregate) -> Scored<'a> {
        match op {
            Operation::Union => self.union(aggregate),
            Operation::Diff => self.diff(),
            Operation::Inter => {
                let mut found = Vec::new();
                self.inter(aggregate, |member, score| {
                    found.push((Name::new(member), score));
                    true
                });
                found
            }
        }
    }
}

/// Arguments as handlers get them.
type Args<'a, 'b> = &'b [&'a [u8]];

/// Splits `numkeys key [key ...] rest` (`name` is the command, for the error).
fn split_keys<'a, 'b>(args: Args<'a, 'b>, name: &str) -> Result<(Args<'a, 'b>, Args<'a, 'b>), CommandError> {
    let [number, rest @ ..] = args else { return Err(CommandError::Syntax) };
    let number = int(number)?;
    if number < 1 {
        let text = format!("ERR at least 1 input key is needed for '{name}' command");
        return Err(CommandError::owned(text));
    }
    rest.split_at_checked(usize::try_from(number).unwrap_or(usize::MAX)).ok_or(CommandError::Syntax)
}

/// Looks each key up as a reading command does: counts and touches it, lets it go if it has expired, and refuses what is
/// no set of either kind.
fn touch(ctx: &mut Context<'_, '_>, keys: &[&[u8]]) -> Result<(), CommandError> {
    keys.iter().try_for_each(|key| Source::of(ctx.read(key)).map(drop))
}

fn sources<'c>(reading: &Reading<'c, '_>, keys: &[&[u8]]) -> Result<Vec<Source<'c>>, CommandError> {
    keys.iter().map(|key| Source::of(reading.entry(key))).collect()
}

fn answer(ctx: &mut Context<'_, '_>, args: &[&[u8]], op: Operation, name: &str) -> CommandResult {
    let (keys, rest) = split_keys(&args[1..], name)?;
    touch(ctx, keys)?;
    let (reading, reply, _) = ctx.reading();
    let sources = sources(&reading, keys)?;
    let options = Options::parse(rest, keys.len(), op, false)?;
    let mut found = Inputs::new(sources, &options.weights, op).combine(op, options.aggregate);
    found.sort_unstable_by(order);
    let mut out = Members { reply, scores: options.scores };
    out.header(found.len());
    found.iter().for_each(|(name, score)| out.write((name.element(), *score)));
    DONE
}

fn store_result(
    ctx: &mut Context<'_, '_>,
    args: &[&[u8]],
    op: Operation,
    name: &'static str,
) -> CommandResult {
    let (keys, rest) = split_keys(&args[2..], name)?;
    touch(ctx, keys)?;
    let (reading, _, _) = ctx.reading();
    let sources = sources(&reading, keys)?;
    let options = Options::parse(rest, keys.len(), op, true)?;
    let found = Inputs::new(sources, &options.weights, op).combine(op, options.aggregate);
    let mut pairs = ZSetBuilder::new();
    let mut buffer = itoa::Buffer::new();
    for (name, score) in &found {
        pairs.push(name.element().as_bytes(&mut buffer), *score).map_err(unstorable)?;
    }
    store(ctx, args[1], pairs, name)
}

fn zunion(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    answer(ctx, args, Operation::Union, "zunion")
}

fn zinter(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    answer(ctx, args, Operation::Inter, "zinter")
}

fn zdiff(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    answer(ctx, args, Operation::Diff, "zdiff")
}

fn zunionstore(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    store_result(ctx, args, Operation::Union, "zunionstore")
}

fn zinterstore(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    store_result(ctx, args, Operation::Inter, "zinterstore")
}

fn zdiffstore(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    store_result(ctx, args, Operation::Diff, "zdiffstore")
}

fn zintercard(ctx: &mut Context<'_, '_>, args: &[&[u8]]) -> CommandResult {
    let (keys, rest) = split_keys(&args[1..], "zintercard")?;
    touch(ctx, keys)?;
    let (reading, reply, _) = ctx.reading();
    let sources = sources(&reading, keys)?;
    let mut limit = 0;
    let mut rest = rest;
    while let [word, tail @ ..] = rest {
        let ([value, tail @ ..], true) = (tail, word.eq_ignore_ascii_case(b"limit")) else {
            return Err(CommandError::Syntax);
        };
        limit = non_negative(value, "ERR LIMIT can't be negative")?;
        rest = tail;
    }
    let mut count = 0;
    let weights = vec![1.0; keys.len()];
    Inputs::new(sources, &weights, Operation::Inter).inter(Aggregate::Sum, |_, _| {
        count += 1;
        limit == 0 || count < limit
    });
    reply.int(count);
    DONE
}

#[cfg(test)]
#[path = "sorted_set_algebra_tests.rs"]
mod tests;
