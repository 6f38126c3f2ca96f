//! One key and its value in one allocation.
//!
//! Layout, all offsets from the start of the block, the block aligned to 8 and its size rounded up to 16
//! (so that a small string can be overwritten in place by one of about its size):
//!
//! ```text
//! 0   u32  meta: bits 0..24 access field (LRU or LFU), 24..26 kind, 26 has-expiry, 27 edited, 28 timed, 29 kept
//! 4   u32  key length in bytes
//! 8   i64  expiry, unix ms                      (only with has-expiry)
//! ..  payload: Int i64 | Inline u32 length | Object `Value`
//! ..  key bytes
//! ..  Inline value bytes
//! ```

use crate::base::num::parse_i64;
use crate::value::string::EMBSTR_MAX_BYTES;
use crate::value::table::Hashed;
use crate::value::{Hash, Str, Value, hash_bytes};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::{self, NonNull};

/// Longest string value, in bytes, that is kept inside the entry's own allocation.
pub const INLINE_MAX_BYTES: usize = 1024;

const ACCESS_MASK: u32 = 0x00ff_ffff;
const KIND_SHIFT: u32 = 24;
const HAS_EXPIRY: u32 = 1 << 26;
/// An Inline string that was changed in place: stays bytes even if they are a number's text, and is `raw` to clients.
const EDITED: u32 = 1 << 27;
/// A hash whose fields carry times, as the database was told.
const TIMED: u32 = 1 << 28;
/// The snapshot that is being taken has it already, or is not to have it; see [`super::capture`].
const KEPT: u32 = 1 << 29;
const HEADER_BYTES: usize = 8;
const ALIGN: usize = 8;

const KIND_INT: u32 = 0;
const KIND_INLINE: u32 = 1;
const KIND_OBJECT: u32 = 2;

/// A key with its value, expiry and access field; 8 bytes in the table, one allocation behind it.
pub struct Entry(NonNull<u8>);

// SAFETY: an Entry owns its block alone, and all that is in it (`Value`) is itself Send.
unsafe impl Send for Entry {}
// SAFETY: `&Entry` gives only shared access to the block, and `Value` is Sync.
unsafe impl Sync for Entry {}

const _: fn() = || {
    fn assert_send_sync<T: Send + Sync>() {}
    assert_send_sync::<Value>();
};

/// A value as it lies in an entry.
#[derive(Clone, Copy)]
pub enum ValueRef<'a> {
    /// A string that was set to a canonical decimal integer.
    Int(i64),
    /// Any other string; one that was changed in place may be the text of a number, too.
    Bytes(&'a [u8]),
    /// A collection (never `Value::Str`).
    Object(&'a Value),
}

#[derive(Clone, Copy)]
struct Shape {
    kind: u32,
    has_expiry: bool,
    key_len: usize,
    /// Bytes of an Inline value, else 0.
    value_len: usize,
}

impl Shape {
    fn payload_at(&self) -> usize {
        HEADER_BYTES + if self.has_expiry { 8 } else { 0 }
    }
    fn key_at(&self) -> usize {
        self.payload_at()
            + match self.kind {
                KIND_INT => 8,
                KIND_INLINE => 4,
                _ => size_of::<Value>(),
            }
    }
    fn value_at(&self) -> usize {
        self.key_at() + self.key_len
    }
    fn layout(&self) -> Layout {
        let size = (self.value_at() + self.value_len).next_multiple_of(16);
        // Key and value are bounded far below isize::MAX by the protocol limits.
        Layout::from_size_align(size, ALIGN).expect("an entry's size is bounded")
    }
}

impl Entry {
    /// Makes an entry. `expire_at_ms` is absolute unix time.
    pub fn new(key: &[u8], value: Value, expire_at_ms: Option<i64>) -> Entry {
        match value {
            Value::Str(Str::Int(n)) => {
                let entry = Entry::allocate(KIND_INT, key, 0, expire_at_ms);
                // SAFETY: a block of kind Int has 8 bytes at payload_at().
                unsafe { entry.at(entry.shape().payload_at()).cast::<i64>().write(n) };
                entry
            }
            Value::Str(Str::Bytes(bytes)) if bytes.len() <= INLINE_MAX_BYTES => {
                Entry::new_inline(key, &bytes, expire_at_ms)
            }
            value => {
                let entry = Entry::allocate(KIND_OBJECT, key, 0, expire_at_ms);
                // SAFETY: a block of kind Object has room for a Value at payload_at(), a multiple of 8;
                // it is uninitialised, so nothing is overwritten.
                unsafe { entry.at(entry.shape().payload_at()).cast::<Value>().write(value) };
                entry
            }
        }
    }

    /// Makes a string entry straight from bytes, without an intermediate `Value` where it is small.
    pub fn new_string(key: &[u8], bytes: &[u8], expire_at_ms: Option<i64>) -> Entry {
        match parse_i64(bytes) {
            Some(n) => Entry::new(key, Value::Str(Str::Int(n)), expire_at_ms),
            None if bytes.len() <= INLINE_MAX_BYTES => Entry::new_inline(key, bytes, expire_at_ms),
            None => Entry::new(key, Value::Str(Str::Bytes(bytes.to_vec())), expire_at_ms),
        }
    }

    /// Makes an entry of a string that came of changing or computing: it stays bytes whatever they are.
    pub fn new_edited(key: &[u8], bytes: Vec<u8>) -> Entry {
        let mut entry = Entry::new(key, Value::Str(Str::Bytes(bytes)), None);
        entry.mark_edited();
        entry
    }

    fn new_inline(key: &[u8], bytes: &[u8], expire_at_ms: Option<i64>) -> Entry {
        let entry = Entry::allocate(KIND_INLINE, key, bytes.len(), expire_at_ms);
        let shape = Shape { value_len: bytes.len(), ..entry.shape_without_value() };
        // SAFETY: the block was allocated for this shape: a u32 at payload_at(), value_len bytes at
        // value_at(); `bytes` cannot overlap a fresh block.
        unsafe {
            entry.at(shape.payload_at()).cast::<u32>().write(bytes.len() as u32);
            ptr::copy_nonoverlapping(bytes.as_ptr(), entry.at(shape.value_at()), bytes.len());
        }
        entry
    }

    /// A block with header, expiry and key written; the payload is left to the caller.
    fn allocate(kind: u32, key: &[u8], value_len: usize, expire_at_ms: Option<i64>) -> Entry {
        let shape = Shape { kind, has_expiry: expire_at_ms.is_some(), key_len: key.len(), value_len };
        assert!(key.len() <= u32::MAX as usize && value_len <= u32::MAX as usize);
        let layout = shape.layout();
        // SAFETY: the layout's size is at least 16.
        let block = unsafe { alloc(layout) };
        let Some(block) = NonNull::new(block) else { handle_alloc_error(layout) };
        let entry = Entry(block);
        let meta = kind << KIND_SHIFT | if shape.has_expiry { HAS_EXPIRY } else { 0 };
        // SAFETY: the block is `layout.size()` bytes, which covers header, expiry and key of this shape.
        unsafe {
            entry.at(0).cast::<u32>().write(meta);
            entry.at(4).cast::<u32>().write(key.len() as u32);
            if let Some(at) = expire_at_ms {
                entry.at(HEADER_BYTES).cast::<i64>().write(at);
            }
            ptr::copy_nonoverlapping(key.as_ptr(), entry.at(shape.key_at()), key.len());
        }
        entry
    }

    #[inline]
    fn at(&self, offset: usize) -> *mut u8 {
        // SAFETY: callers pass offsets within the block's layout.
        unsafe { self.0.as_ptr().add(offset) }
    }

    #[inline]
    fn meta(&self) -> u32 {
        // SAFETY: the header is always initialised.
        unsafe { self.0.cast::<u32>().read() }
    }

    #[inline]
    fn set_meta(&mut self, meta: u32) {
        // SAFETY: the header is always there; we hold the entry exclusively.
        unsafe { self.0.cast::<u32>().write(meta) }
    }

    #[inline]
    fn kind(&self) -> u32 {
        self.meta() >> KIND_SHIFT & 3
    }

    #[inline]
    fn shape_without_value(&self) -> Shape {
        let meta = self.meta();
        // SAFETY: the header is always initialised.
        let key_len = unsafe { self.at(4).cast::<u32>().read() } as usize;
        Shape { kind: meta >> KIND_SHIFT & 3, has_expiry: meta & HAS_EXPIRY != 0, key_len, value_len: 0 }
    }

    #[inline]
    fn shape(&self) -> Shape {
        let mut shape = self.shape_without_value();
        if shape.kind == KIND_INLINE {
            // SAFETY: an Inline block has its u32 length at payload_at().
            shape.value_len = unsafe { self.at(shape.payload_at()).cast::<u32>().read_unaligned() } as usize;
        }
        shape
    }

    /// The key's bytes.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let shape = self.shape_without_value();
        // SAFETY: key_len initialised bytes lie at key_at() for as long as the entry is not changed.
        unsafe { std::slice::from_raw_parts(self.at(shape.key_at()), shape.key_len) }
    }

    /// When the key expires, as unix time in ms.
    #[inline]
    pub fn expire_at_ms(&self) -> Option<i64> {
        if self.meta() & HAS_EXPIRY == 0 {
            return None;
        }
        // SAFETY: with has-expiry an i64 lies after the header.
        Some(unsafe { self.at(HEADER_BYTES).cast::<i64>().read() })
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> ValueRef<'_> {
        let shape = self.shape();
        // SAFETY: each kind's payload lies at payload_at() (and value_at()), initialised, and lives as
        // long as the borrow of self.
        unsafe {
            match shape.kind {
                KIND_INT => ValueRef::Int(self.at(shape.payload_at()).cast::<i64>().read()),
                KIND_INLINE => {
                    ValueRef::Bytes(std::slice::from_raw_parts(self.at(shape.value_at()), shape.value_len))
                }
                _ => match &*self.at(shape.payload_at()).cast::<Value>() {
                    Value::Str(Str::Bytes(bytes)) => ValueRef::Bytes(bytes),
                    Value::Str(Str::Int(n)) => ValueRef::Int(*n),
                    object => ValueRef::Object(object),
                },
            }
        }
    }

    /// The value for changing in place: collections and long strings. `None` for strings that lie inside
    /// the entry, which are replaced by [`Entry::set_value`] or [`Entry::set_string`].
    pub fn object_mut(&mut self) -> Option<&mut Value> {
        let shape = self.shape_without_value();
        if shape.kind != KIND_OBJECT {
            return None;
        }
        // SAFETY: an Object block has an initialised Value at payload_at(); we hold the entry exclusively.
        Some(unsafe { &mut *self.at(shape.payload_at()).cast::<Value>() })
    }

    /// Puts another value in the old one's place; key and access field stay. Returns the old value when it
    /// was an object (so that the caller may free a big one elsewhere).
    pub fn set_value(&mut self, value: Value, expire_at_ms: Option<i64>) -> Option<Value> {
        let fresh = Entry::new(self.key(), value, expire_at_ms);
        self.replace(fresh)
    }

    /// As [`Entry::set_value`] for a string; overwrites in place when the block fits.
    pub fn set_string(&mut self, bytes: &[u8], expire_at_ms: Option<i64>) -> Option<Value> {
        let old = self.shape();
        if old.kind == KIND_INLINE && bytes.len() <= INLINE_MAX_BYTES && parse_i64(bytes).is_none() {
            let new = Shape { value_len: bytes.len(), ..old };
            if old.has_expiry == expire_at_ms.is_some() && old.layout() == new.layout() {
                // SAFETY: same layout, same key: only length, bytes and expiry change, all within the
                // block; `bytes` cannot alias a block that we hold exclusively.
                unsafe {
                    self.at(new.payload_at()).cast::<u32>().write_unaligned(bytes.len() as u32);
                    ptr::copy_nonoverlapping(bytes.as_ptr(), self.at(new.value_at()), bytes.len());
                    if let Some(at) = expire_at_ms {
                        self.at(HEADER_BYTES).cast::<i64>().write(at);
                    }
                }
                self.set_meta(self.meta() & !EDITED);
                return None;
            }
        }
        let fresh = Entry::new_string(self.key(), bytes, expire_at_ms);
        self.replace(fresh)
    }

    /// Puts a string that came of changing the old one in its place: it stays bytes whatever they are. Expiry and
    /// access field stay.
    pub fn set_edited(&mut self, bytes: Vec<u8>) {
        if let Some(place) = self.bytes_mut()
            && place.len() == bytes.len()
        {
            return place.copy_from_slice(&bytes);
        }
        // Never a big collection: only strings are changed in place.
        self.set_value(Value::Str(Str::Bytes(bytes)), self.expire_at_ms());
        self.mark_edited();
    }

    /// The bytes of a string, to be changed in place; `None` for an integer and for what is no string.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let shape = self.shape();
        match shape.kind {
            KIND_INLINE => {
                self.mark_edited();
                // SAFETY: value_len initialised bytes lie at value_at(); we hold the entry exclusively.
                Some(unsafe { std::slice::from_raw_parts_mut(self.at(shape.value_at()), shape.value_len) })
            }
            _ => match self.object_mut()? {
                Value::Str(string) => Some(string.make_bytes()),
                _ => None,
            },
        }
    }

    fn mark_edited(&mut self) {
        if self.kind() == KIND_INLINE {
            self.set_meta(self.meta() | EDITED);
        }
    }

    /// What OBJECT ENCODING says.
    pub fn encoding(&self) -> &'static str {
        match self.value() {
            ValueRef::Int(_) => "int",
            ValueRef::Bytes(bytes) if bytes.len() <= EMBSTR_MAX_BYTES && self.meta() & EDITED == 0 => {
                "embstr"
            }
            ValueRef::Bytes(_) => "raw",
            ValueRef::Object(value) => value.encoding(),
        }
    }

    /// Overwrites an integer value in place; false, and nothing changed, when the value is not an integer.
    #[inline]
    pub fn set_int(&mut self, n: i64) -> bool {
        let shape = self.shape_without_value();
        if shape.kind != KIND_INT {
            return false;
        }
        // SAFETY: a block of kind Int has its i64 at payload_at(), a multiple of 8; we hold the entry
        // exclusively.
        unsafe { self.at(shape.payload_at()).cast::<i64>().write(n) };
        true
    }

    /// The same value, expiry and access field under another key.
    pub fn with_key(self, key: &[u8]) -> Entry {
        let (expire_at_ms, kept) = (self.expire_at_ms(), self.meta() & (ACCESS_MASK | EDITED));
        let mut entry = Entry::new(key, self.into_value(), expire_at_ms);
        entry.set_meta(entry.meta() & !ACCESS_MASK | kept);
        entry
    }

    /// A copy of value and expiry under another key (for COPY); its access field is 0.
    pub fn copy_to(&self, key: &[u8]) -> Entry {
        let mut copy = Entry::new(key, self.clone_value(), self.expire_at_ms());
        copy.set_meta(copy.meta() | self.meta() & EDITED);
        copy
    }

    /// Sets, changes or (with `None`) clears the expiry.
    pub fn set_expiry(&mut self, expire_at_ms: Option<i64>) {
        let old = self.shape();
        if old.has_expiry == expire_at_ms.is_some() {
            if let Some(at) = expire_at_ms {
                // SAFETY: with has-expiry an i64 lies after the header.
                unsafe { self.at(HEADER_BYTES).cast::<i64>().write(at) };
            }
            return;
        }
        let new = Shape { has_expiry: expire_at_ms.is_some(), ..old };
        let tail = old.value_at() + old.value_len - old.payload_at();
        // SAFETY: the tail (payload, key, inline value) is moved within a block that is large enough for
        // both shapes at the time of the move: before a shrinking realloc, after a growing one. A Value is
        // moved bytewise, which is a plain Rust move. `realloc` gets the layout the block was made with.
        unsafe {
            if !new.has_expiry {
                ptr::copy(self.at(old.payload_at()), self.at(new.payload_at()), tail);
            }
            if old.layout() != new.layout() {
                let block = realloc(self.0.as_ptr(), old.layout(), new.layout().size());
                self.0 = NonNull::new(block).unwrap_or_else(|| handle_alloc_error(new.layout()));
            }
            if let Some(at) = expire_at_ms {
                ptr::copy(self.at(old.payload_at()), self.at(new.payload_at()), tail);
                self.at(HEADER_BYTES).cast::<i64>().write(at);
            }
        }
        let meta = self.meta() & !HAS_EXPIRY | if new.has_expiry { HAS_EXPIRY } else { 0 };
        self.set_meta(meta);
    }

    /// The 24-bit access field (LRU seconds or LFU counter; its meaning is the caller's).
    #[inline]
    pub fn access(&self) -> u32 {
        self.meta() & ACCESS_MASK
    }

    /// Sets the 24-bit access field.
    #[inline]
    pub fn set_access(&mut self, access: u32) {
        self.set_meta(self.meta() & !ACCESS_MASK | access & ACCESS_MASK);
    }

    /// Takes the value out and frees the entry.
    pub fn into_value(self) -> Value {
        let value = match self.value() {
            ValueRef::Int(n) => Value::Str(Str::Int(n)),
            ValueRef::Bytes(bytes) if self.kind() == KIND_INLINE => Value::Str(Str::Bytes(bytes.to_vec())),
            _ => {
                // SAFETY: kind Object; the value is read out once, and the block is then freed without
                // dropping it.
                let value = unsafe { self.at(self.shape().payload_at()).cast::<Value>().read() };
                self.free_block();
                return value;
            }
        };
        drop(self);
        value
    }

    /// A copy of the value.
    pub fn clone_value(&self) -> Value {
        match self.value() {
            ValueRef::Int(n) => Value::Str(Str::Int(n)),
            ValueRef::Bytes(bytes) => Value::Str(Str::Bytes(bytes.to_vec())),
            ValueRef::Object(value) => value.clone(),
        }
    }

    /// Whether the value is a stream.
    pub fn is_stream(&self) -> bool {
        matches!(self.value(), ValueRef::Object(Value::Stream(_)))
    }

    /// The value, if it is a hash.
    pub fn hash(&self) -> Option<&Hash> {
        match self.value() {
            ValueRef::Object(Value::Hash(hash)) => Some(hash),
            _ => None,
        }
    }

    /// Whether the database counts this as a hash whose fields carry times.
    #[inline]
    pub fn is_timed(&self) -> bool {
        self.meta() & TIMED != 0
    }

    /// Marks it as such, or takes the mark away.
    pub(super) fn set_timed(&mut self, timed: bool) {
        self.set_meta(self.meta() & !TIMED | if timed { TIMED } else { 0 });
    }

    /// Whether the snapshot that is being taken has this already, or is not to have it.
    #[inline]
    pub(super) fn is_kept(&self) -> bool {
        self.meta() & KEPT != 0
    }

    /// Marks it as such, or takes the mark away.
    pub(super) fn set_kept(&mut self, kept: bool) {
        self.set_meta(self.meta() & !KEPT | if kept { KEPT } else { 0 });
    }

    /// No field of the hash has its time before this (unix ms); the greatest number where none carries one.
    #[inline]
    pub fn soonest_field_ms(&self) -> i64 {
        if self.is_timed() { self.hash().map_or(i64::MAX, Hash::soonest_ms) } else { i64::MAX }
    }

    /// Bytes of this entry's own block.
    pub fn block_bytes(&self) -> usize {
        self.shape().layout().size()
    }

    /// Installs `fresh`'s block here, keeping the access field and a snapshot's mark; gives back the old object, if it was one.
    fn replace(&mut self, mut fresh: Entry) -> Option<Value> {
        fresh.set_meta(fresh.meta() & !(ACCESS_MASK | KEPT) | self.meta() & (ACCESS_MASK | KEPT));
        let old = std::mem::replace(self, fresh);
        (old.kind() == KIND_OBJECT).then(|| old.into_value())
    }

    fn free_block(self) {
        let layout = self.shape().layout();
        let block = self.0.as_ptr();
        std::mem::forget(self);
        // SAFETY: the block was allocated with exactly this layout, and self is gone.
        unsafe { dealloc(block, layout) }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let shape = self.shape();
        // SAFETY: the payload of an Object is dropped once, here; then the block is freed with the layout
        // it was made with.
        unsafe {
            if shape.kind == KIND_OBJECT {
                ptr::drop_in_place(self.at(shape.payload_at()).cast::<Value>());
            }
            dealloc(self.0.as_ptr(), shape.layout());
        }
    }
}

impl Hashed for Entry {
    #[inline]
    fn table_hash(&self) -> u64 {
        hash_bytes(self.key())
    }
    #[inline]
    fn due_ms(&self) -> i64 {
        self.expire_at_ms().unwrap_or(i64::MAX).min(self.soonest_field_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(entry: &Entry) -> Vec<u8> {
        match entry.value() {
            ValueRef::Bytes(b) => b.to_vec(),
            ValueRef::Int(n) => n.to_string().into_bytes(),
            ValueRef::Object(_) => panic!("a string was expected"),
        }
    }

    #[test]
    fn strings_of_every_size_and_expiry() {
        for key_len in [0usize, 1, 7, 8, 40, 300] {
            let key = vec![b'k'; key_len];
            for len in [0usize, 1, 3, 8, 64, INLINE_MAX_BYTES, INLINE_MAX_BYTES + 1, 5_000] {
                let text = vec![b'v'; len];
                let mut entry = Entry::new_string(&key, &text, None);
                entry.set_access(0xabcdef);
                for expiry in [Some(5), Some(6), None, None, Some(i64::MAX)] {
                    entry.set_expiry(expiry);
                    assert_eq!(entry.expire_at_ms(), expiry);
                    assert_eq!((entry.key(), bytes_of(&entry)), (&key[..], text.clone()));
                    assert_eq!(entry.access(), 0xabcdef);
                }
                for other in [0usize, 5, 66, 2_000] {
                    entry.set_string(&vec![b'w'; other], Some(9));
                    assert_eq!(bytes_of(&entry), vec![b'w'; other]);
                    assert_eq!((entry.key(), entry.expire_at_ms()), (&key[..], Some(9)));
                }
                entry.set_string(b"-12", None);
                assert!(matches!(entry.value(), ValueRef::Int(-12)));
                assert_eq!((entry.key(), entry.access()), (&key[..], 0xabcdef));
            }
        }
    }

    #[test]
    fn integers_change_in_place_and_keys_move() {
        let mut entry = Entry::new_string(b"counter", b"41", Some(7));
        entry.set_access(9);
        assert!(entry.set_int(-42));
        let entry = entry.with_key(b"a much longer name");
        assert_eq!((entry.key(), bytes_of(&entry)), (&b"a much longer name"[..], b"-42".to_vec()));
        assert_eq!((entry.expire_at_ms(), entry.access()), (Some(7), 9));
        let mut text = Entry::new_string(b"k", b"word", None);
        assert!(!text.set_int(1));
        assert_eq!(bytes_of(&text), b"word");
    }

    #[test]
    fn edited_strings_stay_bytes() {
        let mut entry = Entry::new_string(b"k", b"12", Some(7));
        assert_eq!((entry.encoding(), entry.bytes_mut().is_none()), ("int", true));
        entry.set_edited(b"123".to_vec());
        assert_eq!((entry.encoding(), bytes_of(&entry)), ("raw", b"123".to_vec()));
        assert!(matches!(entry.value(), ValueRef::Bytes(b"123")));
        entry.set_edited(b"124".to_vec());
        entry.set_expiry(None);
        let copy = entry.copy_to(b"copy");
        let moved = entry.with_key(b"a longer key");
        for (entry, key) in [(copy, &b"copy"[..]), (moved, b"a longer key")] {
            assert_eq!((entry.encoding(), bytes_of(&entry), entry.key()), ("raw", b"124".to_vec(), key));
        }
        let mut entry = Entry::new_string(b"k", b"word", None);
        assert_eq!(entry.encoding(), "embstr");
        entry.bytes_mut().expect("a string")[0] = b'W';
        assert_eq!((entry.encoding(), bytes_of(&entry)), ("raw", b"Word".to_vec()));
        entry.set_string(b"other", None);
        assert_eq!(entry.encoding(), "embstr");
        entry.set_edited(vec![b'x'; INLINE_MAX_BYTES + 1]);
        entry.bytes_mut().expect("a string")[0] = b'y';
        assert_eq!((entry.encoding(), bytes_of(&entry)[..2].to_vec()), ("raw", b"yx".to_vec()));
        entry.set_edited(b"short".to_vec());
        assert_eq!((entry.encoding(), bytes_of(&entry)), ("raw", b"short".to_vec()));
    }

    #[test]
    fn objects_move_with_expiry_and_out() {
        let long = vec![7u8; 3_000];
        let mut entry = Entry::new(b"key", Value::Str(Str::Bytes(long.clone())), Some(1));
        entry.set_expiry(None);
        entry.set_expiry(Some(3));
        assert!(matches!(entry.object_mut(), Some(Value::Str(Str::Bytes(b))) if *b == long));
        let old = entry.set_value(Value::Str(Str::Int(4)), entry.expire_at_ms());
        assert!(matches!(old, Some(Value::Str(Str::Bytes(b))) if b == long));
        assert!(entry.object_mut().is_none());
        assert_eq!(entry.expire_at_ms(), Some(3));
        let entry = Entry::new(b"key", Value::Str(Str::Bytes(long.clone())), None);
        assert!(matches!(entry.into_value(), Value::Str(Str::Bytes(b)) if b == long));
    }
}
