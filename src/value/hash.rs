//! The hash value: a listpack of fields and values in turn, or a table of pairs; either also with a time to each field.
//! Where many hashes have the same fields, a listpack of the values alone stands for one of both.

mod shape;
mod shaped;
mod timed_pack;
mod timed_table;
mod view;

use super::blob::{Pair, clone_table, scan_table, table_bytes};
use super::listpack::{ListpackError, ListpackErrorKind, Position};
use super::table::Table;
use super::{Element, Limits, Listpack, Needle, hash_bytes};
use crate::base::Rng;
use shape::ShapeId;
pub use shape::shared_name_bytes;
pub use shaped::RecentShapes;
use shaped::{Deletion, Shaped};
use std::borrow::Cow;
use timed_pack::TimedPack;
use timed_table::TimedTable;
pub use view::HashView;

/// The last moment at which a field's time may be, unix ms: what 48 bits hold.
pub const FIELD_TIME_MAX_MS: i64 = (1 << 48) - 1;

/// Longest value of those that a hash begins with all at once.
const MAX_BEGUN_BYTES: usize = 4096;

/// When a field without a time is due.
const NEVER: i64 = i64::MAX;

/// A hash. Few short pairs are a listpack, the rest a table; a hash never goes back to a listpack, nor to a form without
/// times once a field was given one. That the names of a listpack may lie apart from it shows nowhere but in
/// [`Hash::memory_bytes`].
pub struct Hash {
    form: Form,
}

enum Form {
    Listpack(Listpack),
    /// As a listpack, but the field names, of which there are some, are a shape's. A struct of its own would have
    /// no room for the tag.
    Shaped {
        shape: ShapeId,
        values: Listpack,
    },
    Table(Box<Table<Pair>>),
    TimedPack(TimedPack),
    TimedTable(Box<TimedTable>),
}

const _: () = assert!(size_of::<Hash>() <= 16);

/// The time of a field that is due then.
fn time(due_ms: i64) -> Option<i64> {
    (due_ms != NEVER).then_some(due_ms)
}

impl Hash {
    /// An empty hash.
    pub fn new() -> Self {
        Self { form: Form::Listpack(Listpack::new()) }
    }

    /// A hash that was stored as a listpack of fields and values in turn.
    ///
    /// # Errors
    /// If the last field has no value, or a field occurs twice.
    pub fn from_listpack(listpack: Listpack, limits: &Limits) -> Result<Self, ListpackError> {
        let fail = |offset| Err(ListpackError { offset, kind: ListpackErrorKind::Content });
        let entries = listpack.len();
        if !entries.is_multiple_of(2) {
            return fail(listpack.byte_len());
        }
        if let Some(at) = listpack.view().find_duplicate(1) {
            return fail(at.offset());
        }
        let small = entries / 2 <= limits.hash_max_listpack_entries;
        if let Some((shape, values)) = small.then(|| shaped::from_listpack(&listpack)).flatten() {
            return Ok(Self { form: Form::Shaped { shape, values } });
        }
        let mut hash = Self { form: Form::Listpack(listpack) };
        if !small {
            hash.convert_to_table();
        }
        Ok(hash)
    }

    /// As [`Hash::from_listpack`] of untrusted bytes, and quicker where they have the fields of one that came lately.
    ///
    /// # Errors
    /// As [`Listpack::from_bytes`] and [`Hash::from_listpack`].
    pub fn from_packed(
        bytes: &[u8],
        limits: &Limits,
        recent: &mut RecentShapes,
    ) -> Result<Self, ListpackError> {
        if let Some((shape, values)) = recent.recognize(bytes, limits.hash_max_listpack_entries) {
            return Ok(Self { form: Form::Shaped { shape, values } });
        }
        let hash = Self::from_listpack(Listpack::from_bytes(bytes)?, limits)?;
        if let Form::Shaped { shape, .. } = hash.form {
            recent.note(bytes, shape);
        }
        Ok(hash)
    }

    /// A hash that was stored as a listpack of fields, values and times (0 for none) in turn.
    ///
    /// # Errors
    /// If the last field lacks a value or a time, a time is none, or a field occurs twice.
    pub fn from_timed_listpack(listpack: Listpack, limits: &Limits) -> Result<Self, ListpackError> {
        let mut hash = Self { form: Form::TimedPack(TimedPack::from_listpack(listpack)?) };
        if hash.len() > limits.hash_max_listpack_entries {
            hash.convert_to_table();
        }
        Ok(hash)
    }

    /// The listpack of fields and values in turn, if the hash is stored as one, or as good as; for what writes it to a
    /// file.
    pub fn as_listpack(&self) -> Option<Cow<'_, Listpack>> {
        match &self.form {
            Form::Listpack(listpack) => Some(Cow::Borrowed(listpack)),
            Form::Shaped { shape, values } => Some(Cow::Owned(Shaped::new(*shape, values).to_listpack())),
            _ => None,
        }
    }

    /// The listpack, if the hash is stored as one of fields, values and times (0 for none), the soonest first.
    pub fn as_timed_listpack(&self) -> Option<&Listpack> {
        match &self.form {
            Form::TimedPack(pack) => Some(pack.listpack()),
            _ => None,
        }
    }

    /// Whether the fields lie in a listpack.
    pub fn is_packed(&self) -> bool {
        matches!(self.form, Form::Listpack(_) | Form::Shaped { .. } | Form::TimedPack(_))
    }

    /// Whether the hash is in a form that can carry times, though perhaps no field does.
    pub fn is_timed(&self) -> bool {
        matches!(self.form, Form::TimedPack(_) | Form::TimedTable(_))
    }

    /// Whether a field carries a time.
    pub fn has_times(&self) -> bool {
        match &self.form {
            Form::Listpack(_) | Form::Shaped { .. } | Form::Table(_) => false,
            Form::TimedPack(pack) => pack.soonest_ms() != NEVER,
            Form::TimedTable(table) => table.has_times(),
        }
    }

    /// Number of fields that carry a time.
    pub fn count_times(&self) -> usize {
        if self.has_times() { self.triples().filter(|triple| triple.2 != NEVER).count() } else { 0 }
    }

    /// No field's time comes before this (unix ms); the greatest number if none carries one.
    #[inline]
    pub fn soonest_ms(&self) -> i64 {
        match &self.form {
            Form::Listpack(_) | Form::Shaped { .. } | Form::Table(_) => NEVER,
            Form::TimedPack(pack) => pack.soonest_ms(),
            Form::TimedTable(table) => table.soonest_ms(),
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match &self.form {
            Form::Listpack(_) | Form::Shaped { .. } => "listpack",
            Form::TimedPack(_) => "listpackex",
            Form::Table(_) | Form::TimedTable(_) => "hashtable",
        }
    }

    /// Number of fields, those that are due included.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Listpack(listpack) => listpack.len() / 2,
            Form::Shaped { values, .. } => values.len(),
            Form::Table(table) => table.len(),
            Form::TimedPack(pack) => pack.len(),
            Form::TimedTable(table) => table.len(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hash as it is at a moment (unix ms); the least number shows all fields, whatever their time.
    #[inline]
    pub fn at(&self, now_ms: i64) -> HashView<'_> {
        HashView::new(self, now_ms)
    }

    fn count_due(&self, now_ms: i64) -> usize {
        match &self.form {
            Form::Listpack(_) | Form::Shaped { .. } | Form::Table(_) => 0,
            Form::TimedPack(pack) => pack.count_due(now_ms),
            Form::TimedTable(table) => table.count_due(now_ms),
        }
    }

    /// Goes over to a table at once if `coming` pairs are about to be set, the longest field or value being
    /// `longest` bytes, and a listpack does not take them.
    pub fn prepare(&mut self, coming: usize, longest: usize, limits: &Limits) {
        let too_large = coming > limits.hash_max_listpack_entries || longest > limits.hash_max_listpack_value;
        if too_large && self.is_packed() {
            self.convert_to_table();
        }
    }

    /// Makes room for about so many fields in a table that is still empty; see [`Table::make_room`].
    pub fn make_room(&mut self, fields: usize) {
        if let Form::Table(table) = &mut self.form {
            table.make_room(fields);
        }
    }

    /// A listpack goes over to the form that can carry times.
    pub fn prepare_times(&mut self) {
        if let Form::Listpack(_) | Form::Shaped { .. } = &self.form {
            self.form = Form::TimedPack(TimedPack::from_pairs(self.iter()));
        }
    }

    /// The value of a field and when it is due.
    fn find(&self, field: &[u8]) -> Option<(Element<'_>, i64)> {
        match &self.form {
            Form::Listpack(listpack) => {
                let view = listpack.view();
                Some((view.get(view.next(find(listpack, &Needle::new(field))?)?)?, NEVER))
            }
            Form::Shaped { shape, values } => Some((Shaped::new(*shape, values).get(field)?, NEVER)),
            Form::Table(table) => {
                let pair = table.find(hash_bytes(field), |pair| pair.field() == field)?;
                Some((Element::Bytes(pair.value()), NEVER))
            }
            Form::TimedPack(pack) => pack.get(field),
            Form::TimedTable(table) => table.get(field),
        }
    }

    /// The value of a field, whether or not it is due.
    pub fn get(&self, field: &[u8]) -> Option<Element<'_>> {
        self.find(field).map(|(value, _)| value)
    }

    /// A field's time, if there is the field and it carries one (unix ms).
    pub fn time(&self, field: &[u8]) -> Option<i64> {
        self.find(field).and_then(|(_, due_ms)| time(due_ms))
    }

    /// Whether the field exists, due or not.
    pub fn contains(&self, field: &[u8]) -> bool {
        self.find(field).is_some()
    }

    /// Sets a field's value, and takes its time from it; true if the field is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        self.set_value(field, value, false, limits)
    }

    /// Sets a field's value, leaving it its time; true if the field is new.
    pub fn set_keeping_time(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        self.set_value(field, value, true, limits)
    }

    /// Sets fields to values, given in turn, as [`Hash::set`] one after the other would; returns how many are new.
    pub fn set_all(&mut self, parts: &[&[u8]], limits: &Limits) -> usize {
        let pairs = parts.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        let begun = if parts.len() > 2 { self.begin(pairs.clone(), limits) } else { 0 };
        begun + pairs.skip(begun).filter(|(field, value)| self.set(field, value, limits)).count()
    }

    /// An empty hash takes as many of the first pairs as have a shape, with one allocation for all; returns how many.
    fn begin<'a>(&mut self, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>, limits: &Limits) -> usize {
        let most = limits.hash_max_listpack_entries.min(shape::MAX_FIELDS);
        let longest = limits.hash_max_listpack_value.min(MAX_BEGUN_BYTES);
        if !matches!(&self.form, Form::Listpack(listpack) if listpack.is_empty()) {
            return 0;
        }
        let fits = |pair: &(&[u8], &[u8])| pair.0.len().max(pair.1.len()) <= longest;
        let first: smallvec::SmallVec<[_; 16]> = pairs.take(most).take_while(fits).collect();
        let Some((shape, values)) = shaped::of_first(&first) else { return 0 };
        let begun = values.len();
        self.form = Form::Shaped { shape, values };
        begun
    }

    fn set_value(&mut self, field: &[u8], value: &[u8], keep: bool, limits: &Limits) -> bool {
        self.prepare(1, field.len().max(value.len()), limits);
        if !self.has_room_for(field.len() + value.len()) {
            self.convert_to_table();
        }
        let is_new = match &mut self.form {
            Form::Listpack(listpack) if listpack.is_empty() => {
                match shaped::of_one(field, value) {
                    Some((shape, values)) => self.form = Form::Shaped { shape, values },
                    None => listpack.push_pair_back(Element::parse(field), Element::parse(value)),
                }
                true
            }
            Form::Listpack(listpack) => set_in_listpack(listpack, field, value),
            Form::Shaped { shape, values } => match shaped::set(shape, values, field, value) {
                Some(is_new) => is_new,
                None => {
                    let mut listpack = Shaped::new(*shape, values).to_listpack();
                    listpack.push_pair_back(Element::parse(field), Element::parse(value));
                    self.form = Form::Listpack(listpack);
                    true
                }
            },
            Form::Table(table) => set_in_table(table, field, value),
            Form::TimedPack(pack) => pack.set(field, value, keep),
            Form::TimedTable(table) => table.set(field, value, keep),
        };
        if is_new && self.is_packed() && self.len() > limits.hash_max_listpack_entries {
            self.convert_to_table();
        }
        is_new
    }

    /// Whether a listpack can take so many bytes more, if the hash is stored as one.
    fn has_room_for(&self, bytes: usize) -> bool {
        match &self.form {
            Form::Listpack(listpack) => listpack.has_room_for(bytes),
            Form::Shaped { shape, values } => {
                let plain_bytes = Shaped::new(*shape, values).plain_bytes();
                values.has_room_for(plain_bytes - values.byte_len() + bytes)
            }
            Form::TimedPack(pack) => pack.listpack().has_room_for(bytes),
            Form::Table(_) | Form::TimedTable(_) => true,
        }
    }

    /// Sets a field's time (unix ms, from 1 to [`FIELD_TIME_MAX_MS`]), or takes it from it; false if there is no such
    /// field.
    pub fn set_time(&mut self, field: &[u8], time_ms: Option<i64>) -> bool {
        assert!(time_ms.is_none_or(|at| (1..=FIELD_TIME_MAX_MS).contains(&at)));
        if let Form::Listpack(_) | Form::Shaped { .. } | Form::Table(_) = &self.form {
            if time_ms.is_none() || !self.contains(field) {
                return self.contains(field);
            }
            match &self.form {
                Form::Table(_) => {
                    self.form = Form::TimedTable(Box::new(TimedTable::from_triples(self.triples())));
                }
                _ => self.prepare_times(),
            }
        }
        let due_ms = time_ms.unwrap_or(NEVER);
        match &mut self.form {
            Form::TimedPack(pack) => pack.set_due(field, due_ms),
            Form::TimedTable(table) => table.set_due(field, due_ms),
            Form::Listpack(_) | Form::Shaped { .. } | Form::Table(_) => {
                unreachable!("has gone over to a form with times")
            }
        }
    }

    fn convert_to_table(&mut self) {
        self.form = match &self.form {
            Form::Listpack(_) | Form::Shaped { .. } => {
                let mut table = Box::<Table<Pair>>::default();
                table.make_room(self.len());
                let (mut field_buf, mut value_buf) = (itoa::Buffer::new(), itoa::Buffer::new());
                for (field, value) in self.iter() {
                    set_in_table(&mut table, field.as_bytes(&mut field_buf), value.as_bytes(&mut value_buf));
                }
                Form::Table(table)
            }
            Form::TimedPack(pack) => Form::TimedTable(Box::new(TimedTable::from_triples(pack.iter()))),
            Form::Table(_) | Form::TimedTable(_) => return,
        };
    }

    /// Deletes a field; false if it was not there.
    pub fn delete(&mut self, field: &[u8]) -> bool {
        match &mut self.form {
            Form::Listpack(listpack) => remove_from_listpack(listpack, field),
            Form::Shaped { shape, values } => {
                match shaped::delete(shape, values, field) {
                    Deletion::Absent => return false,
                    Deletion::Shapeless => {
                        let mut listpack = Shaped::new(*shape, values).to_listpack();
                        remove_from_listpack(&mut listpack, field);
                        self.form = Form::Listpack(listpack);
                    }
                    Deletion::Done if values.is_empty() => self.form = Form::Listpack(Listpack::new()),
                    Deletion::Done => {}
                }
                true
            }
            Form::Table(table) => table.remove(hash_bytes(field), |pair| pair.field() == field).is_some(),
            Form::TimedPack(pack) => pack.remove(field),
            Form::TimedTable(table) => table.remove(field),
        }
    }

    /// Deletes fields whose time lies before `now_ms`, at most `limit`, and shows each. Fewer may go at a time:
    /// [`Hash::soonest_ms`] says whether there may be more.
    pub fn take_due(&mut self, now_ms: i64, limit: usize, gone: impl FnMut(&[u8])) -> usize {
        match &mut self.form {
            Form::Listpack(_) | Form::Shaped { .. } | Form::Table(_) => 0,
            Form::TimedPack(pack) => pack.take_due(now_ms, limit, gone),
            Form::TimedTable(table) => table.take_due(now_ms, limit, gone),
        }
    }

    /// All fields with their values and when they are due.
    fn triples(&self) -> impl Iterator<Item = (Element<'_>, Element<'_>, i64)> {
        let (mut listpack, mut shaped) = (None, None);
        let (mut table, mut timed_pack, mut timed_table) = (None, None, None);
        match &self.form {
            Form::Listpack(it) => listpack = Some(it.iter()),
            Form::Shaped { shape, values } => shaped = Some(Shaped::new(*shape, values).iter()),
            Form::Table(it) => table = Some(it.iter()),
            Form::TimedPack(it) => timed_pack = Some(it.iter()),
            Form::TimedTable(it) => timed_table = Some(it.iter()),
        }
        let mut entries = listpack.into_iter().flatten();
        let packed = std::iter::from_fn(move || Some((entries.next()?, entries.next()?, NEVER)));
        let shaped = shaped.into_iter().flatten().map(|(field, value)| (field, value, NEVER));
        let pairs = table.into_iter().flatten();
        let pairs = pairs.map(|pair| (Element::Bytes(pair.field()), Element::Bytes(pair.value()), NEVER));
        let timed = timed_pack.into_iter().flatten().chain(timed_table.into_iter().flatten());
        packed.chain(shaped).chain(pairs).chain(timed)
    }

    /// All fields with their values, those that are due included, in the order of their coming while the hash is a
    /// listpack; if its fields carry times, in the order of these.
    pub fn iter(&self) -> impl Iterator<Item = (Element<'_>, Element<'_>)> {
        self.triples().map(|(field, value, _)| (field, value))
    }

    /// As [`Hash::iter`], with each field's time (unix ms) if it carries one.
    pub fn iter_timed(&self) -> impl Iterator<Item = (Element<'_>, Element<'_>, Option<i64>)> {
        self.triples().map(|(field, value, due_ms)| (field, value, time(due_ms)))
    }

    /// Number of parts that a table is walked in, one at a time ([`Hash::part`]); `None` for the small encodings.
    pub fn parts(&self) -> Option<usize> {
        match &self.form {
            Form::Table(table) => Some(table.segment_count()),
            Form::TimedTable(table) => Some(table.segment_count()),
            _ => None,
        }
    }

    /// The fields of one part, as from [`Hash::iter_timed`]. While the hash is not changed its parts are the same.
    pub fn part(&self, index: usize) -> impl Iterator<Item = (Element<'_>, Element<'_>, Option<i64>)> {
        let (table, timed) = match &self.form {
            Form::Table(table) => (Some(table), None),
            Form::TimedTable(timed) => (None, Some(timed)),
            _ => (None, None),
        };
        let pairs = table.into_iter().flat_map(move |table| table.segment_items(index));
        let pairs = pairs.map(|pair| (Element::Bytes(pair.field()), Element::Bytes(pair.value()), None));
        let timed = timed.into_iter().flat_map(move |timed| timed.segment(index));
        pairs.chain(timed.map(|(field, value, due_ms)| (field, value, time(due_ms))))
    }

    fn random_triple(&self, rng: &mut Rng) -> Option<(Element<'_>, Element<'_>, i64)> {
        match &self.form {
            Form::Listpack(listpack) => {
                let view = listpack.view();
                let at = view.seek(2 * rng.below(listpack.len() as u64 / 2) as usize)?;
                Some((view.get(at)?, view.get(view.next(at)?)?, NEVER))
            }
            Form::Shaped { shape, values } => {
                let (field, value) = Shaped::new(*shape, values).random(rng)?;
                Some((field, value, NEVER))
            }
            Form::Table(table) => {
                let pair = table.random(|| rng.next_u64())?;
                Some((Element::Bytes(pair.field()), Element::Bytes(pair.value()), NEVER))
            }
            Form::TimedPack(pack) => pack.random(rng),
            Form::TimedTable(table) => table.random(rng),
        }
    }

    /// Visits fields from `cursor` on and returns the next cursor, 0 at the end. A table gives about `count` at a
    /// time; a listpack gives everything at once. A field present from the first call to the last is visited at
    /// least once.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'_>, Element<'_>)) -> u64 {
        self.scan_triples(cursor, count, |field, value, _| visit(field, value))
    }

    fn scan_triples(
        &self,
        cursor: u64,
        count: usize,
        mut visit: impl FnMut(Element<'_>, Element<'_>, i64),
    ) -> u64 {
        match &self.form {
            Form::Table(table) => scan_table(table, cursor, count, |pair| {
                visit(Element::Bytes(pair.field()), Element::Bytes(pair.value()), NEVER);
            }),
            Form::TimedTable(table) => table.scan(cursor, count, visit),
            Form::Listpack(_) | Form::Shaped { .. } | Form::TimedPack(_) => {
                self.triples().for_each(|(field, value, due_ms)| visit(field, value, due_ms));
                0
            }
        }
    }

    /// About how many bytes the hash takes on the heap, the pairs of a table judged by the first `samples` (0: all).
    /// Field names that it shares with others are not counted.
    pub fn memory_bytes(&self, samples: usize) -> usize {
        match &self.form {
            Form::Listpack(listpack) => listpack.byte_len(),
            Form::Shaped { values, .. } => values.byte_len(),
            Form::Table(table) => table_bytes(table, samples, Pair::byte_len),
            Form::TimedPack(pack) => pack.listpack().byte_len(),
            Form::TimedTable(table) => table.memory_bytes(samples),
        }
    }

    /// About how many allocations freeing this takes.
    pub fn estimated_free_effort(&self) -> usize {
        if self.is_packed() { 1 } else { self.len() + 1 }
    }
}

fn find(listpack: &Listpack, field: &Needle<'_>) -> Option<Position> {
    let view = listpack.view();
    view.find(view.first()?, field, 1)
}

fn remove_from_listpack(listpack: &mut Listpack, field: &[u8]) -> bool {
    match find(listpack, &Needle::new(field)) {
        Some(at) => listpack.remove_from(at, 2) > 0,
        None => false,
    }
}

fn set_in_listpack(listpack: &mut Listpack, field: &[u8], value: &[u8]) -> bool {
    let needle = Needle::new(field);
    let value_at = find(listpack, &needle).and_then(|at| listpack.view().next(at));
    match value_at {
        Some(at) => {
            listpack.replace(at, Element::parse(value));
            false
        }
        None => {
            listpack.push_pair_back(needle.element(), Element::parse(value));
            true
        }
    }
}

fn set_in_table(table: &mut Table<Pair>, field: &[u8], value: &[u8]) -> bool {
    let hash = hash_bytes(field);
    match table.find_mut(hash, |pair| pair.field() == field) {
        Some(pair) => {
            pair.set_value(value);
            false
        }
        None => {
            table.insert(hash, Pair::new(field, value));
            true
        }
    }
}

impl Clone for Hash {
    fn clone(&self) -> Self {
        let form = match &self.form {
            Form::Listpack(listpack) => Form::Listpack(listpack.clone()),
            Form::Shaped { shape, values } => Form::Shaped { shape: *shape, values: values.clone() },
            Form::Table(table) => Form::Table(Box::new(clone_table(table))),
            Form::TimedPack(pack) => Form::TimedPack(pack.clone()),
            Form::TimedTable(table) => Form::TimedTable(table.clone()),
        };
        Self { form }
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod shaped_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timed_tests;
