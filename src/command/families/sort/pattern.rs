//! The patterns of BY and GET: names of keys, or of fields of hashes, with an element's text in place of the `*`.

use super::gather::{Piece, Pieces};
use crate::command::Context;
use crate::keyspace::{Entry, ValueRef};
use crate::value::{Element, Value};

/// What stands for something that is looked up for each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// There is no `*`: nothing is looked up.
    Nothing,
    /// A string, or a field of a hash.
    Key {
        /// What goes before the element's text.
        before: &'a [u8],
        /// What goes after it.
        after: &'a [u8],
        /// The field, where the pattern has `->` and something behind it.
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    /// Reads a pattern. Marks count up to the first NUL, as Redis looks for them in a C string.
    pub fn parse(text: &'a [u8]) -> Pattern<'a> {
        let marks = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
        if marks == b"#" {
            return Pattern::Element;
        }
        let Some(star) = memchr::memchr(b'*', marks) else { return Pattern::Nothing };
        let (before, after) = (&text[..star], &text[star + 1..]);
        let arrow = memchr::memmem::find(&marks[star + 1..], b"->");
        // An arrow at the end is a part of the name.
        match arrow.filter(|at| star + 1 + at + 2 < marks.len()) {
            Some(at) => Pattern::Key { before, after: &after[..at], field: Some(&after[at + 2..]) },
            None => Pattern::Key { before, after, field: None },
        }
    }

    /// Looks up what the pattern stands for and adds it to `pieces`; `None` where there is nothing of the kind. `name` is
    /// room for the key's name.
    pub fn fetch(
        &self,
        ctx: &mut Context<'_, '_>,
        pieces: &mut Pieces,
        element: Piece,
        name: &mut Vec<u8>,
    ) -> Option<Piece> {
        let (before, after, field) = match *self {
            Pattern::Element => return Some(element),
            Pattern::Nothing => return None,
            Pattern::Key { before, after, field } => (before, after, field),
        };
        name.clear();
        name.extend_from_slice(before);
        name.extend_from_slice(pieces.get(element));
        name.extend_from_slice(after);
        let now_ms = ctx.fields_now_ms();
        match (ctx.read(name).map(Entry::value)?, field) {
            (ValueRef::Object(Value::Hash(hash)), Some(field)) => {
                Some(pieces.push(hash.at(now_ms).get(field)?))
            }
            (ValueRef::Int(int), None) => Some(pieces.push(Element::Int(int))),
            (ValueRef::Bytes(bytes), None) => Some(pieces.push(Element::Bytes(bytes))),
            _ => None,
        }
    }
}
