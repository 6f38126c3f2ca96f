//! The elements to be sorted, with their weights and what GET asks for, copied out of the keyspace.

use super::NOT_A_NUMBER;
use super::options::Options;
use super::pattern::Pattern;
use crate::base::num::parse_c_double;
use crate::command::{CommandError, Context};
use crate::keyspace::{Entry, ValueRef};
use crate::resp::reply::Reply;
use crate::value::{Direction, Element, List, Value, ZSet};
use std::cmp::Ordering;
use std::ops::Range;

/// Texts in one allocation.
#[derive(Default)]
pub(super) struct Pieces {
    bytes: Vec<u8>,
}

/// One of the [`Pieces`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    start: usize,
    len: usize,
}

impl Pieces {
    /// Adds a text.
    pub fn push(&mut self, element: Element<'_>) -> Piece {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(element.as_bytes(&mut itoa::Buffer::new()));
        Piece { start, len: self.bytes.len() - start }
    }

    /// The text of a piece.
    pub fn get(&self, piece: Piece) -> &[u8] {
        &self.bytes[piece.start..piece.start + piece.len]
    }

    /// The piece up to its first NUL.
    fn up_to_nul(&self, piece: Piece) -> Piece {
        let len = memchr::memchr(0, self.get(piece)).unwrap_or(piece.len);
        Piece { len, ..piece }
    }
}

/// What an element is sorted by.
#[derive(Debug, Clone, Copy)]
enum Weight {
    Number(f64),
    Text(Option<Piece>),
}

/// An element.
pub(super) struct Item {
    element: Piece,
    weight: Weight,
    /// Where its outputs begin among those that were fetched.
    fetched: usize,
}

/// Everything that the reply, or the list to be stored, is made of.
#[derive(Default)]
pub(super) struct Gathered {
    pieces: Pieces,
    /// The elements; after [`Gathered::select`] the wanted ones alone.
    pub items: Vec<Item>,
    /// What GET asked for, [`Gathered::gets`] for each item.
    fetched: Vec<Option<Piece>>,
    gets: usize,
    /// Which of the items are wanted, once they are in order.
    range: Range<usize>,
    unsorted: bool,
    descending: bool,
}

impl Gathered {
    /// Copies the elements of the list, set or sorted set at `key`.
    pub fn load(
        ctx: &mut Context<'_, '_>,
        key: &[u8],
        options: &Options<'_>,
    ) -> Result<Gathered, CommandError> {
        let mut gathered = Gathered {
            gets: options.gets.len(),
            descending: options.descending,
            unsorted: options.unsorted,
            ..Gathered::default()
        };
        match ctx.read(key).map(Entry::value) {
            None => {}
            Some(ValueRef::Object(Value::List(list))) => gathered.load_list(list, options),
            Some(ValueRef::Object(Value::ZSet(zset))) => gathered.load_zset(zset, options),
            Some(ValueRef::Object(Value::Set(set))) => {
                gathered.range = options.range(set.len());
                // The order of a set is an accident, which nothing that is stored may depend on.
                gathered.unsorted &= options.store.is_none();
                gathered.load_all(set.len(), set.iter());
            }
            Some(_) => return Err(CommandError::WrongType),
        }
        Ok(gathered)
    }

    fn load_list(&mut self, list: &List, options: &Options<'_>) {
        let len = list.len();
        self.range = options.range(len);
        if !self.unsorted {
            return self.load_all(len, list.iter());
        }
        let wanted = std::mem::take(&mut self.range);
        self.range = 0..wanted.len();
        if wanted.is_empty() {
            return;
        }
        let (from, direction) = match options.descending {
            true => (len - 1 - wanted.start, Direction::Backward),
            false => (wanted.start, Direction::Forward),
        };
        self.load_all(wanted.len(), list.iter_from(from, direction).take(wanted.len()));
    }

    fn load_zset(&mut self, zset: &ZSet, options: &Options<'_>) {
        self.range = options.range(zset.len());
        if !self.unsorted {
            return self.load_all(zset.len(), zset.iter().map(|(member, _)| member));
        }
        let wanted = std::mem::take(&mut self.range);
        self.range = 0..wanted.len();
        let from = match options.descending {
            true => zset.len().saturating_sub(1 + wanted.start),
            false => wanted.start,
        };
        let members = zset.iter_range(from, wanted.len(), options.descending);
        self.load_all(wanted.len(), members.map(|(member, _)| member));
    }

    fn load_all<'e>(&mut self, len: usize, elements: impl Iterator<Item = Element<'e>>) {
        self.items.reserve_exact(len);
        for element in elements {
            let element = self.pieces.push(element);
            self.items.push(Item { element, weight: Weight::Text(None), fetched: 0 });
        }
    }

    /// Finds out what each element is sorted by.
    pub fn weigh(&mut self, ctx: &mut Context<'_, '_>, options: &Options<'_>) -> Result<(), CommandError> {
        if self.unsorted {
            return Ok(());
        }
        // A set that is to be stored in no order at all is stored in that of the texts.
        let forced = options.unsorted;
        let pattern = if forced { Pattern::Element } else { options.by.unwrap_or(Pattern::Element) };
        let as_text = options.alpha || forced;
        // Where nothing is stored Redis compares by the rules of the locale: texts that end at a NUL.
        let ends_at_nul = options.store.is_none();
        let mut name = Vec::new();
        let mut are_numbers = true;
        for item in &mut self.items {
            let end = self.pieces.bytes.len();
            let found = pattern.fetch(ctx, &mut self.pieces, item.element, &mut name);
            item.weight = if as_text {
                Weight::Text(found.map(|it| if ends_at_nul { self.pieces.up_to_nul(it) } else { it }))
            } else {
                let number = found.map_or(Some(0.0), |piece| parse_c_double(self.pieces.get(piece)));
                self.pieces.bytes.truncate(end);
                are_numbers &= number.is_some();
                Weight::Number(number.unwrap_or_default())
            };
        }
        if are_numbers { Ok(()) } else { Err(NOT_A_NUMBER) }
    }

    /// The order of two items. Those that nothing tells apart stay as they were.
    pub fn order(&self, a: &Item, b: &Item) -> Ordering {
        let order = match (a.weight, b.weight) {
            (Weight::Number(x), Weight::Number(y)) => {
                let by_text = || self.pieces.get(a.element).cmp(self.pieces.get(b.element));
                x.partial_cmp(&y).unwrap_or(Ordering::Equal).then_with(by_text)
            }
            (Weight::Text(x), Weight::Text(y)) => {
                x.map(|piece| self.pieces.get(piece)).cmp(&y.map(|piece| self.pieces.get(piece)))
            }
            _ => Ordering::Equal,
        };
        let order = if self.descending { order.reverse() } else { order };
        // A text without bytes begins where the next one does.
        let place = |item: &Item| (item.element.start, item.element.len);
        order.then_with(|| place(a).cmp(&place(b)))
    }

    /// Keeps the items that are wanted, in any order unless all of them were in one.
    pub fn select(&mut self) {
        let Range { start, end } = self.range.clone();
        let mut items = std::mem::take(&mut self.items);
        if !self.unsorted && start < end {
            if end < items.len() {
                items.select_nth_unstable_by(end, |a, b| self.order(a, b));
            }
            items.truncate(end);
            if start > 0 {
                items.select_nth_unstable_by(start, |a, b| self.order(a, b));
            }
        }
        items.truncate(end);
        items.drain(..start.min(items.len()));
        self.items = items;
    }

    /// Looks up what GET asks for.
    pub fn fetch(&mut self, ctx: &mut Context<'_, '_>, options: &Options<'_>) {
        let mut name = Vec::new();
        self.fetched.reserve_exact(self.items.len() * self.gets);
        for item in &mut self.items {
            item.fetched = self.fetched.len();
            for pattern in &options.gets {
                self.fetched.push(pattern.fetch(ctx, &mut self.pieces, item.element, &mut name));
            }
        }
    }

    /// Puts the items into their order.
    pub fn sort(&mut self) {
        let len = self.items.len();
        self.sort_part(0..len);
    }

    /// Puts some of the items into their order.
    pub fn sort_part(&mut self, part: Range<usize>) {
        if self.unsorted {
            return;
        }
        let mut items = std::mem::take(&mut self.items);
        items[part].sort_unstable_by(|a, b| self.order(a, b));
        self.items = items;
    }

    /// Number of values that the items come to.
    pub fn output_len(&self) -> usize {
        self.items.len() * self.gets.max(1)
    }

    /// Number of bytes of these values in a reply, at most.
    pub fn output_bytes(&self) -> usize {
        const FRAME_BYTES: usize = 32;
        self.outputs().map(|value| value.map_or(0, <[u8]>::len) + FRAME_BYTES).sum()
    }

    /// What an item comes to.
    fn outputs_of(&self, item: &Item) -> impl Iterator<Item = Option<&[u8]>> {
        let own = (self.gets == 0).then_some(Some(item.element));
        let fetched = self.fetched[item.fetched..item.fetched + self.gets].iter().copied();
        own.into_iter().chain(fetched).map(|piece| piece.map(|piece| self.pieces.get(piece)))
    }

    /// What the items come to, in their order.
    pub fn outputs(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.items.iter().flat_map(|item| self.outputs_of(item))
    }

    /// Writes what an item comes to.
    pub fn reply_item(&self, reply: &mut Reply<'_>, item: &Item) {
        for value in self.outputs_of(item) {
            match value {
                Some(bytes) => reply.bulk(bytes),
                None => reply.null(),
            }
        }
    }
}
