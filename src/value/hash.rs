//! The hash value: a listpack of fields and values in turn, or a table of pairs.

use super::blob::{Pair, clone_table, scan_table, table_bytes};
use super::listpack::{ListpackError, ListpackErrorKind, Position};
use super::table::Table;
use super::{Element, Limits, Listpack, Needle, hash_bytes};
use crate::base::Rng;

/// A hash. Few short pairs are a listpack, the rest a table; a hash never goes back to a listpack.
pub struct Hash {
    form: Form,
}

enum Form {
    Listpack(Listpack),
    Table(Box<Table<Pair>>),
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
        let mut hash = Self { form: Form::Listpack(listpack) };
        if entries / 2 > limits.hash_max_listpack_entries {
            hash.convert_to_table();
        }
        Ok(hash)
    }

    /// The listpack, if the hash is stored as one; for what writes it to a file.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.form {
            Form::Listpack(listpack) => Some(listpack),
            Form::Table(_) => None,
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match &self.form {
            Form::Listpack(_) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Listpack(listpack) => listpack.len() / 2,
            Form::Table(table) => table.len(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes over to a table at once if `coming` pairs are about to be set, the longest field or value being
    /// `longest` bytes, and a listpack does not take them.
    pub fn prepare(&mut self, coming: usize, longest: usize, limits: &Limits) {
        let too_large = coming > limits.hash_max_listpack_entries || longest > limits.hash_max_listpack_value;
        if too_large && matches!(self.form, Form::Listpack(_)) {
            self.convert_to_table();
        }
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<Element<'_>> {
        match &self.form {
            Form::Listpack(listpack) => {
                let view = listpack.view();
                view.get(view.next(find(listpack, &Needle::new(field))?)?)
            }
            Form::Table(table) => {
                let pair = table.find(hash_bytes(field), |pair| pair.field() == field)?;
                Some(Element::Bytes(pair.value()))
            }
        }
    }

    /// Whether the field exists.
    pub fn contains(&self, field: &[u8]) -> bool {
        match &self.form {
            Form::Listpack(listpack) => find(listpack, &Needle::new(field)).is_some(),
            Form::Table(table) => table.find(hash_bytes(field), |pair| pair.field() == field).is_some(),
        }
    }

    /// Sets a field's value; true if the field is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &Limits) -> bool {
        self.prepare(1, field.len().max(value.len()), limits);
        match &mut self.form {
            Form::Listpack(listpack) if !listpack.has_room_for(field.len() + value.len()) => {
                self.convert_to_table();
                self.set(field, value, limits)
            }
            Form::Listpack(listpack) => {
                let needle = Needle::new(field);
                let value_at = find(listpack, &needle).and_then(|at| listpack.view().next(at));
                if let Some(at) = value_at {
                    listpack.replace(at, Element::parse(value));
                    return false;
                }
                listpack.push_pair_back(needle.element(), Element::parse(value));
                if self.len() > limits.hash_max_listpack_entries {
                    self.convert_to_table();
                }
                true
            }
            Form::Table(table) => set_in_table(table, field, value),
        }
    }

    fn convert_to_table(&mut self) {
        let mut table = Box::<Table<Pair>>::default();
        let (mut field_buf, mut value_buf) = (itoa::Buffer::new(), itoa::Buffer::new());
        for (field, value) in self.iter() {
            set_in_table(&mut table, field.as_bytes(&mut field_buf), value.as_bytes(&mut value_buf));
        }
        self.form = Form::Table(table);
    }

    /// Deletes a field; false if it was not there.
    pub fn delete(&mut self, field: &[u8]) -> bool {
        match &mut self.form {
            Form::Listpack(listpack) => match find(listpack, &Needle::new(field)) {
                Some(at) => listpack.remove_from(at, 2) > 0,
                None => false,
            },
            Form::Table(table) => table.remove(hash_bytes(field), |pair| pair.field() == field).is_some(),
        }
    }

    /// All fields with their values, in the order of their coming while the hash is a listpack.
    pub fn iter(&self) -> impl Iterator<Item = (Element<'_>, Element<'_>)> {
        let (listpack, table) = match &self.form {
            Form::Listpack(listpack) => (Some(listpack.iter()), None),
            Form::Table(table) => (None, Some(table.iter())),
        };
        let mut entries = listpack.into_iter().flatten();
        let packed = std::iter::from_fn(move || Some((entries.next()?, entries.next()?)));
        let pairs = table.into_iter().flatten();
        packed.chain(pairs.map(|pair| (Element::Bytes(pair.field()), Element::Bytes(pair.value()))))
    }

    /// A field chosen at random, with its value; `None` if there is none.
    pub fn random(&self, rng: &mut Rng) -> Option<(Element<'_>, Element<'_>)> {
        match &self.form {
            Form::Listpack(listpack) => {
                let view = listpack.view();
                let at = view.seek(2 * rng.below(listpack.len() as u64 / 2) as usize)?;
                Some((view.get(at)?, view.get(view.next(at)?)?))
            }
            Form::Table(table) => {
                let pair = table.random(|| rng.next_u64())?;
                Some((Element::Bytes(pair.field()), Element::Bytes(pair.value())))
            }
        }
    }

    /// Visits fields from `cursor` on and returns the next cursor, 0 at the end. A table gives about `count` at a
    /// time; a listpack gives everything at once. A field present from the first call to the last is visited at
    /// least once.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'_>, Element<'_>)) -> u64 {
        match &self.form {
            Form::Table(table) => scan_table(table, cursor, count, |pair| {
                visit(Element::Bytes(pair.field()), Element::Bytes(pair.value()));
            }),
            Form::Listpack(_) => {
                self.iter().for_each(|(field, value)| visit(field, value));
                0
            }
        }
    }

    /// About how many bytes the hash takes on the heap, the pairs of a table judged by the first `samples` (0: all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        match &self.form {
            Form::Listpack(listpack) => listpack.byte_len(),
            Form::Table(table) => table_bytes(table, samples, Pair::byte_len),
        }
    }

    /// About how many allocations freeing this takes.
    pub fn estimated_free_effort(&self) -> usize {
        match &self.form {
            Form::Table(table) => table.len() + 1,
            Form::Listpack(_) => 1,
        }
    }
}

fn find(listpack: &Listpack, field: &Needle<'_>) -> Option<Position> {
    let view = listpack.view();
    view.find(view.first()?, field, 1)
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
            Form::Table(table) => Form::Table(Box::new(clone_table(table))),
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
mod tests;
