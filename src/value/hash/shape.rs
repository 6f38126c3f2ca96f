//! Field names that many hashes have in common, each list of them kept once.
//!
//! A *shape* is a list of field names in the order of their coming. Shapes form a tree: from one, a further name leads
//! to the next. They are made while the server runs, for names that come again and again ([`Registry::next`]), and are
//! never changed and never freed: so a shape is read without a lock, by a forked child too, whatever other threads
//! were at when it was forked. What all of them may take is bounded.

use crate::value::listpack::entry_of;
use crate::value::{Element, hash_bytes};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Most names of a shape.
pub(super) const MAX_FIELDS: usize = 32;
/// Longest name, in bytes: the default `hash-max-listpack-value`.
const MAX_NAME_BYTES: usize = 64;
/// Places in the index of shapes by predecessor and last name; twice the shapes, so that probing ends soon.
const INDEX_SLOTS_PER_SHAPE: usize = 2;
/// Counters of names that may become part of a shape.
const CANDIDATES: usize = 4096;
/// How often a name follows upon a shape before that makes a shape; more as room gets scarce ([`Registry::needed`]).
const ADMITTED_AT: usize = 16;

/// What a registry may hold.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Shapes, the one without names included; a power of two.
    pub(super) shapes: usize,
    /// Bytes of shapes and their names.
    pub(super) bytes: usize,
}

static SHAPES: OnceLock<Registry> = OnceLock::new();

/// The shapes of this process. A value that holds a [`ShapeId`] was made after the registry, so that a forked child,
/// which sees such values only, finds it made.
#[inline]
pub(super) fn shapes() -> &'static Registry {
    SHAPES.get_or_init(|| Registry::new(Bounds { shapes: 4096, bytes: 4 << 20 }))
}

/// About how many bytes the field names take that hashes share.
pub fn shared_name_bytes() -> usize {
    SHAPES.get().map_or(0, Registry::heap_bytes)
}

/// Which shape; by default the one without names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ShapeId(u32);

impl ShapeId {
    /// The shape without names.
    pub(super) const EMPTY: Self = Self(0);
}

#[derive(Clone)]
struct Name {
    text: Arc<[u8]>,
    /// The entry of a listpack that holds it.
    entry: Arc<[u8]>,
    /// The number that the text is, if it is one: a listpack holds it as such.
    int: Option<i64>,
}

impl Name {
    fn new(text: &[u8]) -> Self {
        let element = Element::parse(text);
        Self { text: text.into(), entry: entry_of(element).into(), int: element.as_int() }
    }

    fn element(&self) -> Element<'_> {
        self.int.map_or(Element::Bytes(&self.text), Element::Int)
    }
}

/// A list of field names, none of them twice.
pub(super) struct Shape {
    /// The shape of all names but the last.
    parent: ShapeId,
    /// The low bits of the names' hashes, so that a search looks at one name only.
    hashes: Box<[u32]>,
    names: Box<[Name]>,
    packed_bytes: usize,
}

impl Shape {
    /// Number of names.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Which of the names this is, `hash` being its hash.
    #[inline]
    pub(super) fn find(&self, field: &[u8], hash: u64) -> Option<usize> {
        let mut hashes = self.hashes.iter().zip(&self.names);
        hashes.position(|(name_hash, name)| *name_hash == hash as u32 && *name.text == *field)
    }

    /// The names as a listpack holds them.
    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = Element<'_>> {
        self.names.iter().map(Name::element)
    }

    /// The entries of a listpack that hold the names.
    pub(super) fn entries(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.names.iter().map(|name| &*name.entry)
    }

    /// The name at `index`.
    pub(super) fn name(&self, index: usize) -> Option<Element<'_>> {
        self.names.get(index).map(Name::element)
    }

    /// Bytes that the names would take as entries of a listpack.
    pub(super) fn packed_bytes(&self) -> usize {
        self.packed_bytes
    }

    /// The shape of all names but the last.
    pub(super) fn parent(&self) -> ShapeId {
        self.parent
    }

    fn is_child(&self, parent: ShapeId, field: &[u8]) -> bool {
        self.parent == parent && self.names.last().is_some_and(|name| *name.text == *field)
    }

    fn heap_bytes(&self) -> usize {
        let own_name =
            self.names.last().map_or(0, |name| name.text.len() + name.entry.len() + 4 * size_of::<usize>());
        size_of::<Self>() + self.len() * (size_of::<u32>() + size_of::<Name>()) + own_name
    }
}

/// Shapes by number, and the way from each to the next.
pub(super) struct Registry {
    bounds: Bounds,
    slots: Box<[OnceLock<Box<Shape>>]>,
    /// Open addressing by predecessor and last name: the high bits of the hash of both, and the number of the shape,
    /// which is not 0.
    index: Box<[AtomicU64]>,
    /// Direct-mapped: 24 bits of the hash of a shape and a name that may follow it, and how often it did, in 8 bits.
    /// Counts get lost when two meet in a place; that only puts a shape off.
    candidates: Box<[AtomicU32]>,
    len: AtomicUsize,
    bytes: AtomicUsize,
    full: AtomicBool,
    /// Held by who adds a shape.
    adding: Mutex<()>,
}

fn filled<T>(len: usize, make: impl Fn() -> T) -> Box<[T]> {
    std::iter::repeat_with(make).take(len).collect()
}

impl Registry {
    pub(super) fn new(bounds: Bounds) -> Self {
        assert!(bounds.shapes.is_power_of_two() && bounds.shapes <= 1 << 24);
        let slots = filled(bounds.shapes, OnceLock::new);
        let empty =
            Shape { parent: ShapeId::EMPTY, hashes: Box::default(), names: Box::default(), packed_bytes: 0 };
        slots[0].get_or_init(|| Box::new(empty));
        Self {
            bounds,
            slots,
            index: filled(bounds.shapes * INDEX_SLOTS_PER_SHAPE, AtomicU64::default),
            candidates: filled(CANDIDATES, AtomicU32::default),
            len: AtomicUsize::new(1),
            bytes: AtomicUsize::new(0),
            full: AtomicBool::new(bounds.shapes == 1),
            adding: Mutex::new(()),
        }
    }

    /// The shape of this number, which this registry gave out.
    #[inline]
    pub(super) fn get(&self, id: ShapeId) -> &Shape {
        self.slots[id.0 as usize].get().expect("a shape that was given out")
    }

    /// About how many bytes all of it takes.
    fn heap_bytes(&self) -> usize {
        let fixed = size_of_val(&*self.slots) + size_of_val(&*self.index) + size_of_val(&*self.candidates);
        fixed + self.bytes.load(Ordering::Relaxed)
    }

    /// The shape that follows upon `shape` with the name `field`, which it does not have yet; `hash` is the name's.
    ///
    /// If there is none, this counts, and makes one once the name has come often enough here: names that come once,
    /// like those of users, leave no shapes behind.
    #[inline]
    pub(super) fn next(&self, shape: ShapeId, field: &[u8], hash: u64) -> Option<ShapeId> {
        if field.len() > MAX_NAME_BYTES {
            return None;
        }
        let key = key(shape, hash);
        match self.find_next(shape, field, key) {
            Some(next) => Some(next),
            None if self.full.load(Ordering::Relaxed) || !self.is_admitted(key) => None,
            None => self.add(shape, field, hash),
        }
    }

    /// As [`Registry::next`], but without counting: for what is asked again if there is none.
    pub(super) fn known_next(&self, shape: ShapeId, field: &[u8], hash: u64) -> Option<ShapeId> {
        self.find_next(shape, field, key(shape, hash))
    }

    /// The shape of these names in this order, none of them twice, as far as [`Registry::next`] leads.
    pub(super) fn of_names<'a>(&self, names: impl Iterator<Item = Element<'a>>) -> Option<ShapeId> {
        let (mut shape, mut digits) = (ShapeId::EMPTY, itoa::Buffer::new());
        for name in names {
            let text = name.as_bytes(&mut digits);
            shape = self.next(shape, text, hash_bytes(text))?;
        }
        Some(shape)
    }

    fn find_next(&self, shape: ShapeId, field: &[u8], key: u64) -> Option<ShapeId> {
        let mask = self.index.len() - 1;
        // At least half the places are vacant, so this ends.
        for at in key as usize & mask.. {
            let found = self.index[at & mask].load(Ordering::Acquire);
            if found == 0 {
                break;
            }
            let id = ShapeId(found as u32);
            if found >> 32 == key >> 32 && self.get(id).is_child(shape, field) {
                return Some(id);
            }
        }
        None
    }

    /// How often a name has to come: the fewer shapes are left, the more often.
    fn needed(&self) -> usize {
        ADMITTED_AT << (4 * self.len.load(Ordering::Relaxed) / self.bounds.shapes).min(3)
    }

    /// Counts one more occurrence; true if it was the last that was needed.
    fn is_admitted(&self, key: u64) -> bool {
        let slot = &self.candidates[(key >> 20) as usize % CANDIDATES];
        let tag = (key >> 40) as u32;
        let seen = slot.load(Ordering::Relaxed);
        let count = if seen >> 8 == tag { (seen & 0xFF) + 1 } else { 1 };
        slot.store(tag << 8 | count.min(0xFF), Ordering::Relaxed);
        count as usize >= self.needed()
    }

    #[cold]
    fn add(&self, shape: ShapeId, field: &[u8], hash: u64) -> Option<ShapeId> {
        let parent = self.get(shape);
        if parent.len() >= MAX_FIELDS {
            return None;
        }
        let _adding = self.adding.lock();
        let key = key(shape, hash);
        if let Some(found) = self.find_next(shape, field, key) {
            return Some(found);
        }
        let (id, bytes) = (self.len.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let last = Name::new(field);
        let packed_bytes = parent.packed_bytes + last.entry.len();
        let names = parent.names.iter().cloned();
        let next = Shape {
            parent: shape,
            hashes: parent.hashes.iter().copied().chain([hash as u32]).collect(),
            names: names.chain([last]).collect(),
            packed_bytes,
        };
        let bytes = bytes + next.heap_bytes();
        if id >= self.bounds.shapes || bytes > self.bounds.bytes {
            self.full.store(true, Ordering::Relaxed);
            return None;
        }
        assert!(self.slots[id].set(Box::new(next)).is_ok(), "only who holds the lock adds shapes");
        let mask = self.index.len() - 1;
        let mut vacant =
            (key as usize & mask..).filter(|at| self.index[at & mask].load(Ordering::Relaxed) == 0);
        let at = vacant.next().expect("there are more places than shapes") & mask;
        self.index[at].store(key >> 32 << 32 | id as u64, Ordering::Release);
        self.len.store(id + 1, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.full.store(id + 1 == self.bounds.shapes, Ordering::Relaxed);
        Some(ShapeId(id as u32))
    }
}

/// The hash of a shape and a name together; `hash` is the name's.
fn key(shape: ShapeId, hash: u64) -> u64 {
    hash ^ u64::from(shape.0).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
