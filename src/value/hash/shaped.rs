//! A small hash whose field names are a shape's: it holds its values alone, in the order of the names.

use super::shape::{Shape, ShapeId, shapes};
use crate::base::Rng;
use crate::value::listpack::{EMPTY_BYTES, entry_bytes};
use crate::value::{Element, Listpack, ListpackRef, hash_bytes};

/// A shape and the values of a hash that has it, for reading.
#[derive(Clone, Copy)]
pub(super) struct Shaped<'a> {
    shape: &'static Shape,
    values: ListpackRef<'a>,
}

impl<'a> Shaped<'a> {
    pub(super) fn new(shape: ShapeId, values: &'a Listpack) -> Self {
        Self { shape: shapes().get(shape), values: values.view() }
    }

    /// The value of a field.
    pub(super) fn get(&self, field: &[u8]) -> Option<Element<'a>> {
        self.values.get_index(self.shape.find(field, hash_bytes(field))?)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Element<'a>, Element<'a>)> + use<'a> {
        self.shape.names().zip(self.values.iter())
    }

    pub(super) fn random(&self, rng: &mut Rng) -> Option<(Element<'a>, Element<'a>)> {
        let index = rng.below(self.shape.len() as u64) as usize;
        Some((self.shape.name(index)?, self.values.get_index(index)?))
    }

    /// The listpack of fields and values in turn.
    pub(super) fn to_listpack(self) -> Listpack {
        let listpack = Listpack::from_elements(self.iter().flat_map(|(field, value)| [field, value]));
        debug_assert_eq!(listpack.byte_len(), self.plain_bytes());
        listpack
    }

    /// Bytes of that listpack.
    pub(super) fn plain_bytes(&self) -> usize {
        self.values.as_bytes().len() + self.shape.packed_bytes()
    }
}

/// The shape and the values of a hash of one field, if there is such a shape.
pub(super) fn of_one(field: &[u8], value: &[u8]) -> Option<(ShapeId, Listpack)> {
    let shape = shapes().next(ShapeId::EMPTY, field, hash_bytes(field))?;
    Some((shape, Listpack::of_one(Element::parse(value))))
}

/// The shape and the values of a hash of the first of these pairs, as far as shapes lead and no field comes twice.
/// Whether there is one for the next pair is to be asked again, for it is not counted.
pub(super) fn of_first<'a>(pairs: &[(&'a [u8], &'a [u8])]) -> Option<(ShapeId, Listpack)> {
    let (shapes, mut shape) = (shapes(), ShapeId::EMPTY);
    for (field, _) in pairs {
        let hash = hash_bytes(field);
        let next = shapes.known_next(shape, field, hash);
        match next.filter(|_| shapes.get(shape).find(field, hash).is_none()) {
            Some(next) => shape = next,
            None => break,
        }
    }
    let values = pairs.iter().take(shapes.get(shape).len()).map(|(_, value)| Element::parse(value));
    (shape != ShapeId::EMPTY).then(|| (shape, Listpack::from_elements(values)))
}

/// The shape and the values of a listpack of fields and values in turn, in which no field comes twice.
///
/// `None` if there is no such shape, or if an element is not written as it would be written today: then other bytes
/// would come out than went in.
pub(super) fn from_listpack(listpack: &Listpack) -> Option<(ShapeId, Listpack)> {
    let fields = listpack.iter().step_by(2);
    let is_plain = |field: &Element<'_>| !matches!(field, Element::Bytes(_)) || field.as_int().is_none();
    if listpack.len() > 2 * super::shape::MAX_FIELDS || !fields.clone().all(|field| is_plain(&field)) {
        return None;
    }
    let shortest: usize = listpack.iter().map(entry_bytes).sum();
    if shortest + EMPTY_BYTES != listpack.byte_len() {
        return None;
    }
    let shape = shapes().of_names(fields)?;
    (shape != ShapeId::EMPTY).then(|| (shape, Listpack::from_elements(listpack.iter().skip(1).step_by(2))))
}

/// Shapes that hashes from elsewhere were found to have lately: many in a row have the same fields.
#[derive(Clone, Default)]
pub struct RecentShapes([ShapeId; RECENT]);

/// How many kinds of hashes are told apart.
const RECENT: usize = 16;

impl RecentShapes {
    /// Hashes of the same fields have the same place: by the number of entries, and the first two bytes of the first, which
    /// no entry is shorter than.
    fn place(&mut self, bytes: &[u8]) -> Option<&mut ShapeId> {
        let told: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
        let mixed = u32::from_le_bytes(told).wrapping_mul(0x9E37_79B9);
        self.0.get_mut((mixed >> (32 - RECENT.ilog2())) as usize)
    }

    /// As [`from_listpack`] would have it of these bytes, if they are a sound listpack without a field that comes twice,
    /// and of a shape that was noted. `None` tells nothing.
    pub(super) fn recognize(&mut self, bytes: &[u8], most_fields: usize) -> Option<(ShapeId, Listpack)> {
        let id = *self.place(bytes)?;
        let shape = shapes().get(id);
        // The shape without names has no hash, and a shape has no name twice.
        if shape.len() == 0 || shape.len() > most_fields {
            return None;
        }
        Some((id, Listpack::of_values(bytes, shape.entries())?))
    }

    /// Notes the shape of a hash whose listpack this was.
    pub(super) fn note(&mut self, bytes: &[u8], shape: ShapeId) {
        if let Some(place) = self.place(bytes) {
            *place = shape;
        }
    }
}

/// Sets a field's value; true if the field is new. `None` if it is, and no shape has it too: nothing is changed then.
pub(super) fn set(shape: &mut ShapeId, values: &mut Listpack, field: &[u8], value: &[u8]) -> Option<bool> {
    let hash = hash_bytes(field);
    let index = shapes().get(*shape).find(field, hash);
    match index.and_then(|index| values.view().seek(index)) {
        Some(at) => {
            values.replace(at, Element::parse(value));
            Some(false)
        }
        None => {
            *shape = shapes().next(*shape, field, hash)?;
            values.push_back(Element::parse(value));
            Some(true)
        }
    }
}

/// What became of a deletion.
pub(super) enum Deletion {
    /// There is no such field.
    Absent,
    /// Done.
    Done,
    /// No shape is without it: nothing is changed.
    Shapeless,
}

/// Deletes a field.
pub(super) fn delete(shape: &mut ShapeId, values: &mut Listpack, field: &[u8]) -> Deletion {
    let this = shapes().get(*shape);
    let Some(index) = this.find(field, hash_bytes(field)) else { return Deletion::Absent };
    let left = if index + 1 == this.len() {
        Some(this.parent())
    } else {
        let others = this.names().enumerate().filter(|(at, _)| *at != index);
        shapes().of_names(others.map(|(_, name)| name))
    };
    let Some(left) = left else { return Deletion::Shapeless };
    *shape = left;
    values.remove_range(index, 1);
    Deletion::Done
}
