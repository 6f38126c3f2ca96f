//! The set value: an intset, a listpack, or a table of members.

use super::blob::{Blob, clone_table, scan_table, table_bytes};
use super::listpack::{ListpackError, ListpackErrorKind};
use super::table::Table;
use super::{Element, Intset, Limits, Listpack, Needle, hash_bytes, intset};
use crate::base::Rng;
use std::collections::HashSet;

/// A set. Integers alone stay an intset, few short members a listpack, the rest a table; a set never goes back to
/// a smaller encoding by itself.
pub struct Set {
    form: Form,
}

enum Form {
    Intset(Intset),
    Listpack(Listpack),
    Table(Box<Table<Blob>>),
}

/// A set as it is stored, for what writes it to a file.
pub enum SetForm<'a> {
    /// Sorted integers.
    Intset(&'a Intset),
    /// Packed members.
    Listpack(&'a Listpack),
    /// A table: take the members from [`Set::iter`].
    Table,
}

fn max_intset(limits: &Limits) -> usize {
    limits.set_max_intset_entries.min(intset::MAX_ENTRIES)
}

impl Set {
    /// An empty set, in the encoding that fits a first member like `first` and `expected` members in all. See also
    /// [`Set::make_room`].
    pub fn for_members(first: &[u8], expected: usize, limits: &Limits) -> Self {
        let form = if expected <= max_intset(limits) && Needle::new(first).int().is_some() {
            Form::Intset(Intset::new())
        } else if expected <= limits.set_max_listpack_entries {
            Form::Listpack(Listpack::new())
        } else {
            Form::Table(Box::default())
        };
        Self { form }
    }

    /// Makes room for about so many members in a table that is still empty; see [`Table::make_room`].
    pub fn make_room(&mut self, members: usize) {
        if let Form::Table(table) = &mut self.form {
            table.make_room(members);
        }
    }

    /// An empty set that starts as an intset.
    pub fn new() -> Self {
        Self { form: Form::Intset(Intset::new()) }
    }

    /// A set that was stored as an intset.
    pub fn from_intset(intset: Intset, limits: &Limits) -> Self {
        let too_many = intset.len() > max_intset(limits);
        let mut set = Self { form: Form::Intset(intset) };
        if too_many {
            set.convert_to_table();
        }
        set
    }

    /// A set that was stored as a listpack.
    ///
    /// # Errors
    /// If a member occurs twice.
    pub fn from_listpack(listpack: Listpack, limits: &Limits) -> Result<Self, ListpackError> {
        if let Some(at) = listpack.view().find_duplicate(0) {
            return Err(ListpackError { offset: at.offset(), kind: ListpackErrorKind::Content });
        }
        let too_many = listpack.len() > limits.set_max_listpack_entries;
        let mut set = Self { form: Form::Listpack(listpack) };
        if too_many {
            set.convert_to_table();
        }
        Ok(set)
    }

    /// How the set is stored.
    pub fn form(&self) -> SetForm<'_> {
        match &self.form {
            Form::Intset(intset) => SetForm::Intset(intset),
            Form::Listpack(listpack) => SetForm::Listpack(listpack),
            Form::Table(_) => SetForm::Table,
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match &self.form {
            Form::Intset(_) => "intset",
            Form::Listpack(_) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Intset(intset) => intset.len(),
            Form::Listpack(listpack) => listpack.len(),
            Form::Table(table) => table.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a member; false if it was there.
    pub fn add(&mut self, member: &[u8], limits: &Limits) -> bool {
        self.add_needle(&Needle::new(member), limits)
    }

    /// As [`Set::add`], for a member of another collection.
    pub fn add_element(&mut self, member: Element<'_>, limits: &Limits) -> bool {
        match (member, &mut self.form) {
            (Element::Int(int), Form::Intset(intset)) => {
                let added = intset.add(int);
                self.limit_intset(limits);
                added
            }
            _ => self.add(member.as_bytes(&mut itoa::Buffer::new()), limits),
        }
    }

    fn add_needle(&mut self, member: &Needle<'_>, limits: &Limits) -> bool {
        match &mut self.form {
            Form::Table(table) => add_to_table(table, member.bytes()),
            Form::Listpack(listpack) => {
                if find(listpack, member).is_some() {
                    return false;
                }
                let len = member.bytes().len();
                let fits = listpack.len() < limits.set_max_listpack_entries
                    && len <= limits.set_max_listpack_value
                    && listpack.has_room_for(len);
                if fits {
                    listpack.push_back(member.element());
                    return true;
                }
                self.convert_to_table();
                self.add_needle(member, limits)
            }
            Form::Intset(intset) => match member.int() {
                Some(int) => {
                    let added = intset.add(int);
                    self.limit_intset(limits);
                    added
                }
                None => {
                    self.leave_intset(member, limits);
                    self.add_needle(member, limits)
                }
            },
        }
    }

    fn limit_intset(&mut self, limits: &Limits) {
        if matches!(&self.form, Form::Intset(intset) if intset.len() > max_intset(limits)) {
            self.convert_to_table();
        }
    }

    /// A member that is no integer comes: over to a listpack if all fits there, else to a table.
    fn leave_intset(&mut self, coming: &Needle<'_>, limits: &Limits) {
        let Form::Intset(intset) = &self.form else { return };
        let text_len = |int: Option<i64>| int.map_or(0, |int| Element::Int(int).len());
        let longest = text_len(intset.min()).max(text_len(intset.max())).max(coming.bytes().len());
        // An integer takes at most 10 bytes in a listpack.
        let estimate = intset.len().saturating_mul(10).saturating_add(coming.bytes().len());
        let fits = intset.len() < limits.set_max_listpack_entries
            && longest <= limits.set_max_listpack_value
            && estimate < super::listpack::MAX_BYTES / 2;
        if fits {
            self.form = Form::Listpack(Listpack::from_elements(intset.iter().map(Element::Int)));
        } else {
            self.convert_to_table();
        }
    }

    fn convert_to_table(&mut self) {
        let mut table = Box::<Table<Blob>>::default();
        table.make_room(self.len());
        let mut buf = itoa::Buffer::new();
        for member in self.iter() {
            add_to_table(&mut table, member.as_bytes(&mut buf));
        }
        self.form = Form::Table(table);
    }

    /// Goes back to an intset if all members are integers and few enough: what the commands that store the result
    /// of an operation on sets do. Returns whether the set is an intset now.
    pub fn shrink_to_intset(&mut self, limits: &Limits) -> bool {
        if matches!(self.form, Form::Intset(_)) {
            return true;
        }
        if self.len() > max_intset(limits) {
            return false;
        }
        let Some(ints) = self.iter().map(|member| member.as_int()).collect::<Option<Vec<i64>>>() else {
            return false;
        };
        self.form = Form::Intset(Intset::from_ints(ints));
        true
    }

    /// Whether `member` is one.
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.form {
            Form::Intset(intset) => Needle::new(member).int().is_some_and(|int| intset.contains(int)),
            Form::Listpack(listpack) => find(listpack, &Needle::new(member)).is_some(),
            Form::Table(table) => table.find(hash_bytes(member), |blob| blob.bytes() == member).is_some(),
        }
    }

    /// As [`Set::contains`], for a member of another collection.
    pub fn contains_element(&self, member: Element<'_>) -> bool {
        match (member, &self.form) {
            (Element::Int(int), Form::Intset(intset)) => intset.contains(int),
            _ => self.contains(member.as_bytes(&mut itoa::Buffer::new())),
        }
    }

    /// Removes a member; false if it was not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.form {
            Form::Intset(intset) => Needle::new(member).int().is_some_and(|int| intset.remove(int)),
            Form::Listpack(listpack) => match find(listpack, &Needle::new(member)) {
                Some(at) => listpack.remove(at),
                None => false,
            },
            Form::Table(table) => table.remove(hash_bytes(member), |blob| blob.bytes() == member).is_some(),
        }
    }

    /// All members, in no particular order (ascending in an intset).
    pub fn iter(&self) -> impl Iterator<Item = Element<'_>> {
        let (intset, listpack, table) = match &self.form {
            Form::Intset(intset) => (Some(intset.iter()), None, None),
            Form::Listpack(listpack) => (None, Some(listpack.iter()), None),
            Form::Table(table) => (None, None, Some(table.iter())),
        };
        let ints = intset.into_iter().flatten().map(Element::Int);
        let blobs = table.into_iter().flatten().map(|blob| Element::Bytes(blob.bytes()));
        ints.chain(listpack.into_iter().flatten()).chain(blobs)
    }

    /// Number of parts that a table is walked in, one at a time ([`Set::part`]); `None` for the small encodings.
    pub fn parts(&self) -> Option<usize> {
        match &self.form {
            Form::Table(table) => Some(table.segment_count()),
            _ => None,
        }
    }

    /// The members of one part. While the set is not changed its parts are the same.
    pub fn part(&self, index: usize) -> impl Iterator<Item = Element<'_>> {
        let table = match &self.form {
            Form::Table(table) => Some(table),
            _ => None,
        };
        let blobs = table.into_iter().flat_map(move |table| table.segment_items(index));
        blobs.map(|blob| Element::Bytes(blob.bytes()))
    }

    /// A member chosen at random; `None` if there is none.
    pub fn random(&self, rng: &mut Rng) -> Option<Element<'_>> {
        match &self.form {
            Form::Intset(intset) => intset.random(rng).map(Element::Int),
            Form::Listpack(listpack) => {
                let index = rng.below(listpack.len() as u64) as usize;
                listpack.view().get_index(index)
            }
            Form::Table(table) => table.random(|| rng.next_u64()).map(|blob| Element::Bytes(blob.bytes())),
        }
    }

    /// Visits `count` different members chosen at random (all, if there are no more).
    pub fn sample<'s>(&'s self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Element<'s>)) {
        match &self.form {
            // Few of many: drawing one twice is rare, so draw until there are enough different ones.
            Form::Table(table) if count < table.len() / 3 => {
                let mut seen = HashSet::with_capacity(count);
                while seen.len() < count {
                    let Some(blob) = table.random(|| rng.next_u64()) else { return };
                    if seen.insert(std::ptr::from_ref(blob)) {
                        visit(Element::Bytes(blob.bytes()));
                    }
                }
            }
            // One walk, taking each member with the chance that just leaves enough for those to come.
            _ => {
                let (mut wanted, mut left) = (count.min(self.len()), self.len());
                let mut members = self.iter();
                while wanted > 0 {
                    let Some(member) = members.next() else { return };
                    if rng.below(left as u64) < wanted as u64 {
                        visit(member);
                        wanted -= 1;
                    }
                    left -= 1;
                }
            }
        }
    }

    /// Removes a member chosen at random and returns it.
    pub fn pop_random(&mut self, rng: &mut Rng) -> Option<Vec<u8>> {
        let member = self.random(rng)?.to_vec();
        self.remove(&member);
        Some(member)
    }

    /// Visits members from `cursor` on and returns the next cursor, 0 at the end. A table gives about `count` at a
    /// time; the small encodings give everything at once. A member present from the first call to the last is
    /// visited at least once.
    pub fn scan(&self, cursor: u64, count: usize, mut visit: impl FnMut(Element<'_>)) -> u64 {
        match &self.form {
            Form::Table(table) => {
                scan_table(table, cursor, count, |blob| visit(Element::Bytes(blob.bytes())))
            }
            _ => {
                self.iter().for_each(visit);
                0
            }
        }
    }

    /// About how many bytes the set takes on the heap, the members of a table judged by the first `samples` (0: all).
    pub fn memory_bytes(&self, samples: usize) -> usize {
        match &self.form {
            Form::Intset(intset) => intset.byte_len(),
            Form::Listpack(listpack) => listpack.byte_len(),
            Form::Table(table) => table_bytes(table, samples, Blob::byte_len),
        }
    }

    /// About how many allocations freeing this takes.
    pub fn estimated_free_effort(&self) -> usize {
        match &self.form {
            Form::Table(table) => table.len() + 1,
            _ => 1,
        }
    }
}

fn find(listpack: &Listpack, member: &Needle<'_>) -> Option<super::listpack::Position> {
    let view = listpack.view();
    view.find(view.first()?, member, 0)
}

fn add_to_table(table: &mut Table<Blob>, member: &[u8]) -> bool {
    let hash = hash_bytes(member);
    if table.find(hash, |blob| blob.bytes() == member).is_some() {
        return false;
    }
    table.insert(hash, Blob::new(member));
    true
}

impl Clone for Set {
    fn clone(&self) -> Self {
        let form = match &self.form {
            Form::Intset(intset) => Form::Intset(intset.clone()),
            Form::Listpack(listpack) => Form::Listpack(listpack.clone()),
            Form::Table(table) => Form::Table(Box::new(clone_table(table))),
        };
        Self { form }
    }
}

impl Default for Set {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
