//! A hash as it is seen at a moment: without the fields whose time has come.

use super::Hash;
use crate::base::Rng;
use crate::value::Element;

/// Draws in vain after which a random field is looked for by a walk.
const MAX_DRAWS: usize = 64;

/// A hash at a moment. Fields whose time has come are not there, whether or not they were removed yet.
#[derive(Clone, Copy)]
pub struct HashView<'a> {
    hash: &'a Hash,
    /// Fields that are due before this are hidden; the least number where none is.
    now_ms: i64,
}

impl<'a> HashView<'a> {
    pub(super) fn new(hash: &'a Hash, now_ms: i64) -> Self {
        let some_due = hash.soonest_ms() < now_ms;
        Self { hash, now_ms: if some_due { now_ms } else { i64::MIN } }
    }

    fn hides_some(&self) -> bool {
        self.now_ms != i64::MIN
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<Element<'a>> {
        self.get_timed(field).map(|(value, _)| value)
    }

    /// The value of a field, and its time if it carries one (unix ms).
    pub fn get_timed(&self, field: &[u8]) -> Option<(Element<'a>, Option<i64>)> {
        let (value, due_ms) = self.hash.find(field)?;
        (due_ms >= self.now_ms).then_some((value, super::time(due_ms)))
    }

    /// Whether the field exists.
    pub fn contains(&self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.hash.len() - if self.hides_some() { self.hash.count_due(self.now_ms) } else { 0 }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the fields lie in a listpack, so that a walk over them is cheap and a draw is a walk.
    pub fn is_packed(&self) -> bool {
        self.hash.is_packed()
    }

    /// All fields with their values, in the order of their coming, or of their times, while the hash is packed.
    pub fn iter(&self) -> impl Iterator<Item = (Element<'a>, Element<'a>)> + use<'a> {
        let now_ms = self.now_ms;
        self.hash.triples().filter(move |triple| triple.2 >= now_ms).map(|(field, value, _)| (field, value))
    }

    /// A field chosen at random, with its value; `None` if there is none.
    pub fn random(&self, rng: &mut Rng) -> Option<(Element<'a>, Element<'a>)> {
        for _ in 0..MAX_DRAWS {
            let (field, value, due_ms) = self.hash.random_triple(rng)?;
            if due_ms >= self.now_ms {
                return Some((field, value));
            }
        }
        let live = self.len() as u64;
        if live == 0 { None } else { self.iter().nth(rng.below(live) as usize) }
    }

    /// As [`Hash::scan`].
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'_>, Element<'_>)) -> u64 {
        self.hash.scan_triples(cursor, count, |field, value, due_ms| {
            if due_ms >= self.now_ms {
                visit(field, value);
            }
        })
    }
}
