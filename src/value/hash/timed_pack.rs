//! A small hash whose fields may carry times: a listpack of field, value and time in turn.
//!
//! The time is unix ms, 0 for none. The soonest field comes first, those without a time last, so what is due is a
//! prefix. Redis 7.4 keeps and stores such hashes in just this form (`listpackex`).

use super::NEVER;
use crate::base::Rng;
use crate::value::listpack::{ListpackError, ListpackErrorKind, Position};
use crate::value::{Element, Listpack, Needle};

/// Elements of a field: name, value, time.
const PARTS: usize = 3;

/// A field, its value, and when it is due.
type Triple<'a> = (Element<'a>, Element<'a>, i64);

#[derive(Clone)]
pub(super) struct TimedPack {
    listpack: Listpack,
}

impl TimedPack {
    /// A pack of these pairs, none of which carries a time.
    pub(super) fn from_pairs<'a>(pairs: impl Iterator<Item = (Element<'a>, Element<'a>)>) -> Self {
        let triples = pairs.flat_map(|(field, value)| [field, value, Element::Int(0)]);
        Self { listpack: Listpack::from_elements(triples) }
    }

    /// A pack from a listpack of untrusted content, brought into order if it is in none.
    pub(super) fn from_listpack(listpack: Listpack) -> Result<Self, ListpackError> {
        let fail = |offset| Err(ListpackError { offset, kind: ListpackErrorKind::Content });
        if !listpack.len().is_multiple_of(PARTS) {
            return fail(listpack.byte_len());
        }
        if let Some(at) = listpack.view().find_duplicate(PARTS - 1) {
            return fail(at.offset());
        }
        let mut elements = listpack.iter();
        let mut triples: Vec<Triple<'_>> = Vec::new();
        while let (Some(field), Some(value)) = (elements.next(), elements.next()) {
            let at = elements.position().offset();
            match elements.next() {
                Some(Element::Int(0)) => triples.push((field, value, NEVER)),
                Some(Element::Int(due_ms)) if (1..=super::FIELD_TIME_MAX_MS).contains(&due_ms) => {
                    triples.push((field, value, due_ms));
                }
                _ => return fail(at),
            }
        }
        if !triples.is_sorted_by_key(|triple| triple.2) {
            triples.sort_by_key(|triple| triple.2);
            let elements =
                triples.iter().flat_map(|(field, value, due_ms)| [*field, *value, stored(*due_ms)]);
            return Ok(Self { listpack: Listpack::from_elements(elements) });
        }
        Ok(Self { listpack })
    }

    pub(super) fn listpack(&self) -> &Listpack {
        &self.listpack
    }

    pub(super) fn len(&self) -> usize {
        self.listpack.len() / PARTS
    }

    fn find(&self, field: &Needle<'_>) -> Option<Position> {
        let view = self.listpack.view();
        view.find(view.first()?, field, PARTS - 1)
    }

    fn triple_at(&self, at: Position) -> Option<Triple<'_>> {
        let mut elements = self.listpack.view().iter_from(at);
        triple(&mut elements)
    }

    /// A field's value, and when it is due.
    pub(super) fn get(&self, field: &[u8]) -> Option<(Element<'_>, i64)> {
        let (_, value, due_ms) = self.triple_at(self.find(&Needle::new(field))?)?;
        Some((value, due_ms))
    }

    /// Sets a field's value; its time stays only with `keep`. True if the field is new.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], keep: bool) -> bool {
        let needle = Needle::new(field);
        let value = Element::parse(value);
        let found = self.find(&needle);
        if let Some(at) = found {
            let due_ms = self.triple_at(at).map_or(NEVER, |triple| triple.2);
            if keep || due_ms == NEVER {
                let view = self.listpack.view();
                let value_at = view.next(at).unwrap_or(view.end());
                self.listpack.replace(value_at, value);
                return false;
            }
            self.listpack.remove_from(at, PARTS);
        }
        let end = self.listpack.view().end();
        self.listpack.insert_all(end, &[needle.element(), value, Element::Int(0)]);
        found.is_none()
    }

    /// Sets a field's time; false if there is no such field.
    pub(super) fn set_due(&mut self, field: &[u8], due_ms: i64) -> bool {
        let needle = Needle::new(field);
        let Some(at) = self.find(&needle) else { return false };
        let Some((_, value, was_ms)) = self.triple_at(at) else { return false };
        if was_ms == due_ms {
            return true;
        }
        let value = value.to_vec();
        self.listpack.remove_from(at, PARTS);
        let place = self.place_of(due_ms);
        self.listpack.insert_all(place, &[needle.element(), Element::parse(&value), stored(due_ms)]);
        true
    }

    /// Before which field one that is due then belongs: the first that is due no sooner.
    fn place_of(&self, due_ms: i64) -> Position {
        let view = self.listpack.view();
        let mut elements = view.iter();
        if due_ms != NEVER {
            loop {
                let at = elements.position();
                match triple(&mut elements) {
                    Some((_, _, other_ms)) if other_ms >= due_ms => return at,
                    Some(_) => {}
                    None => break,
                }
            }
        }
        view.end()
    }

    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        match self.find(&Needle::new(field)) {
            Some(at) => self.listpack.remove_from(at, PARTS) == PARTS,
            None => false,
        }
    }

    /// When the first field is due.
    pub(super) fn soonest_ms(&self) -> i64 {
        self.iter().next().map_or(NEVER, |triple| triple.2)
    }

    pub(super) fn count_due(&self, now_ms: i64) -> usize {
        self.iter().take_while(|triple| triple.2 < now_ms).count()
    }

    /// Removes up to `limit` fields that are due, and shows each.
    pub(super) fn take_due(&mut self, now_ms: i64, limit: usize, mut gone: impl FnMut(&[u8])) -> usize {
        let due = self.iter().take_while(|triple| triple.2 < now_ms).take(limit);
        let count = due.map(|(field, _, _)| gone(field.as_bytes(&mut itoa::Buffer::new()))).count();
        self.listpack.remove_range(0, count * PARTS);
        count
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Triple<'_>> {
        let mut elements = self.listpack.iter();
        std::iter::from_fn(move || triple(&mut elements))
    }

    pub(super) fn random(&self, rng: &mut Rng) -> Option<Triple<'_>> {
        let index = PARTS * rng.below(self.len() as u64) as usize;
        self.triple_at(self.listpack.view().seek(index)?)
    }
}

fn triple<'a>(elements: &mut impl Iterator<Item = Element<'a>>) -> Option<Triple<'a>> {
    let (field, value, time) = (elements.next()?, elements.next()?, elements.next()?);
    Some((field, value, time.as_int().filter(|ms| *ms != 0).unwrap_or(NEVER)))
}

fn stored(due_ms: i64) -> Element<'static> {
    Element::Int(if due_ms == NEVER { 0 } else { due_ms })
}
