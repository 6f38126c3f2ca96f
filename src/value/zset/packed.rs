//! The encoding for few members: member and score in turn in one listpack, in order, as Redis stores them.
//!
//! Everything here walks; the limits of the configuration keep the walks short.

use std::ops::Range;

use super::super::listpack::{self, Position};
use super::super::{Element, Listpack, ListpackRef, Needle};
use super::bounds::{LexBound, ScoreBound};
use super::entry::Entry;
use super::{Rejected, RejectedKind};
use crate::base::num::parse_f64;

/// Whole numbers up to this magnitude are exact in a double.
const EXACT_INT: f64 = 9_007_199_254_740_992.0;
/// More than a score and the framing of two entries take in a listpack.
pub(super) const PAIR_OVERHEAD_BYTES: usize = 64;

/// Pairs of member and score, from both ends.
#[derive(Clone)]
pub(super) struct Pairs<'a>(listpack::Iter<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (Element<'a>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        let member = self.0.next()?;
        Some((member, read_score(self.0.next()?)))
    }
}

impl DoubleEndedIterator for Pairs<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let score = read_score(self.0.next_back()?);
        Some((self.0.next_back()?, score))
    }
}

pub(super) fn pairs(pack: &Listpack) -> Pairs<'_> {
    Pairs(pack.iter())
}

/// Pairs from rank `start` on, in the given direction.
pub(super) fn pairs_from(pack: &Listpack, start: usize, reverse: bool) -> Pairs<'_> {
    let view = pack.view();
    if reverse {
        let behind = view.seek(start.saturating_add(1).saturating_mul(2)).unwrap_or_else(|| view.end());
        Pairs(view.iter_until(behind))
    } else {
        let first = view.seek(start.saturating_mul(2)).unwrap_or_else(|| view.end());
        Pairs(view.iter_from(first))
    }
}

/// The score in an element. Whatever was let in reads as a number, see [`validate`].
fn read_score(element: Element<'_>) -> f64 {
    match element {
        Element::Int(int) => int as f64,
        Element::Bytes(text) => parse_f64(text).unwrap_or_default(),
    }
}

/// A score as it is stored: an integer if it is one, else the shortest text that reads back the same.
pub(super) fn score_element(score: f64, buffer: &mut zmij::Buffer) -> Element<'_> {
    // As in Redis, -0 loses its sign here.
    if score.fract() == 0.0 && score.abs() <= EXACT_INT {
        Element::Int(score as i64)
    } else {
        Element::Bytes(buffer.format(score).as_bytes())
    }
}

/// Compares the text of a member with bytes.
fn cmp_member(element: Element<'_>, member: &[u8]) -> std::cmp::Ordering {
    element.as_bytes(&mut itoa::Buffer::new()).cmp(member)
}

fn find(view: ListpackRef<'_>, member: &[u8]) -> Option<(Position, f64)> {
    let at = view.find(view.first()?, &Needle::new(member), 1)?;
    Some((at, read_score(view.get(view.next(at)?)?)))
}

pub(super) fn score(pack: &Listpack, member: &[u8]) -> Option<f64> {
    find(pack.view(), member).map(|(_, score)| score)
}

pub(super) fn rank(pack: &Listpack, member: &[u8]) -> Option<(usize, f64)> {
    let needle = Needle::new(member);
    let mut pairs = pairs(pack).enumerate();
    pairs.find_map(|(rank, (element, score))| needle.matches(element).then_some((rank, score)))
}

pub(super) fn has_room_for(pack: &Listpack, member: &[u8]) -> bool {
    pack.has_room_for(member.len().saturating_add(PAIR_OVERHEAD_BYTES))
}

/// Adds a member that is not there.
pub(super) fn insert(pack: &mut Listpack, member: &[u8], score: f64) {
    let at = place(pack.view(), member, score);
    pack.insert_pair(at, Element::parse(member), score_element(score, &mut zmij::Buffer::new()));
}

/// Where a pair belongs.
fn place(view: ListpackRef<'_>, member: &[u8], score: f64) -> Position {
    // Most sets grow at their end.
    if let Some((last, last_score)) = Pairs(view.iter()).next_back()
        && (last_score < score || (last_score == score && cmp_member(last, member).is_lt()))
    {
        return view.end();
    }
    let mut at = view.first();
    while let Some(here) = at {
        let Some(score_at) = view.next(here) else { break };
        let (Some(element), Some(there)) = (view.get(here), view.get(score_at).map(read_score)) else {
            break;
        };
        if there > score || (there == score && cmp_member(element, member).is_gt()) {
            return here;
        }
        at = view.next(score_at);
    }
    view.end()
}

/// Takes a member out; returns its score.
pub(super) fn remove(pack: &mut Listpack, member: &[u8]) -> Option<f64> {
    let (at, score) = find(pack.view(), member)?;
    pack.remove_from(at, 2);
    Some(score)
}

pub(super) fn remove_range(pack: &mut Listpack, ranks: Range<usize>) {
    pack.remove_range(ranks.start * 2, ranks.len() * 2);
}

/// How many members lie before a range from `min`, and in or before one to `max`.
pub(super) fn score_ranks(pack: &Listpack, min: ScoreBound, max: ScoreBound) -> (usize, usize) {
    let prefix = |before: &dyn Fn(f64) -> bool| pairs(pack).take_while(|&(_, score)| before(score)).count();
    (prefix(&|score| min.is_after(score)), prefix(&|score| max.reaches(score)))
}

/// As [`score_ranks`], by member; the scores are taken to be equal.
pub(super) fn lex_ranks(pack: &Listpack, min: LexBound<'_>, max: LexBound<'_>) -> (usize, usize) {
    let prefix = |before: &dyn Fn(&[u8]) -> bool| {
        pairs(pack).take_while(|(member, _)| before(member.as_bytes(&mut itoa::Buffer::new()))).count()
    };
    (prefix(&|member| min.is_after(member)), prefix(&|member| max.reaches(member)))
}

/// The pairs as entries, in their order.
pub(super) fn entries(pack: &Listpack) -> impl Iterator<Item = Entry> {
    pairs(pack).map(|(member, score)| Entry::new(score, member.as_bytes(&mut itoa::Buffer::new())))
}

/// The listpack of entries in ascending order.
pub(super) fn from_entries(entries: &[Entry]) -> Listpack {
    let mut pack = Listpack::new();
    for entry in entries {
        let view = entry.view();
        let mut buffer = zmij::Buffer::new();
        pack.push_pair_back(Element::parse(view.member()), score_element(view.score(), &mut buffer));
    }
    pack
}

/// Checks that a listpack from elsewhere holds pairs with numbers for scores, in order. Whether the members differ
/// is left to [`find_duplicate`]. Returns the length of the longest member in bytes.
pub fn validate(pack: ListpackRef<'_>) -> Result<usize, Rejected> {
    let mut elements = pack.iter();
    let mut before: Option<(f64, Element<'_>)> = None;
    let mut longest = 0;
    let mut pair = 0;
    while let Some(member) = elements.next() {
        let fail = |kind| Err(Rejected { pair, kind });
        let score = match elements.next() {
            None => return fail(RejectedKind::NoScore),
            Some(Element::Int(int)) => int as f64,
            Some(Element::Bytes(text)) => match parse_f64(text) {
                Some(score) => score,
                None => return fail(RejectedKind::Score),
            },
        };
        if let Some((before, element)) = before {
            let in_order = before < score
                || (before == score && {
                    let mut buffer = itoa::Buffer::new();
                    cmp_member(element, member.as_bytes(&mut buffer)).is_le()
                });
            if !in_order {
                return fail(RejectedKind::Order);
            }
        }
        longest = longest.max(member.len());
        before = Some((score, member));
        pair += 1;
    }
    Ok(longest)
}

/// The number of a pair whose member came before, if any.
pub(super) fn find_duplicate(pack: &Listpack) -> Option<usize> {
    let view = pack.view();
    Some(view.iter_until(view.find_duplicate(1)?).count() / 2)
}
