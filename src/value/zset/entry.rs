//! One allocation a member: the score, the member's length and its bytes behind a thin pointer.
//!
//! Layout: score (8 bytes, `f64`), length (LEB128, one byte below 128), member bytes. A member of 21 bytes takes
//! 30 bytes and so fits a 32-byte size class; both the tree and the index refer to it by 8 bytes.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;

const SCORE_BYTES: usize = size_of::<f64>();
/// A `usize` in groups of seven bits.
const MAX_LEN_BYTES: usize = usize::BITS.div_ceil(7) as usize;

/// An owned member with its score.
pub(super) struct Entry(NonNull<u8>);

/// The address of an [`Entry`] owned elsewhere; what the index and the inner nodes of the tree keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EntryPtr(NonNull<u8>);

/// A borrowed [`Entry`].
#[derive(Clone, Copy)]
pub(super) struct EntryView<'a>(NonNull<u8>, PhantomData<&'a Entry>);

// SAFETY: an entry is plain bytes without thread affinity; writes need `&mut Entry`.
unsafe impl Send for Entry {}
// SAFETY: through `&Entry` the bytes are only read.
unsafe impl Sync for Entry {}
// SAFETY: a pointer by itself does nothing; whoever dereferences it vouches for the entry (see `EntryPtr::view`).
unsafe impl Send for EntryPtr {}
// SAFETY: as above.
unsafe impl Sync for EntryPtr {}

impl Entry {
    /// Allocates an entry; `score` must not be NaN.
    pub(super) fn new(score: f64, member: &[u8]) -> Self {
        debug_assert!(!score.is_nan(), "a sorted set never holds NaN");
        let mut len_bytes = [0; MAX_LEN_BYTES];
        let len_size = encode_len(member.len(), &mut len_bytes);
        let layout = layout(len_size, member.len());
        // SAFETY: the layout is never empty, as it holds a score.
        let Some(base) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: `base` points at 8 + len_size + member.len() fresh bytes aligned for f64; the three writes cover
        // them exactly and in order, from sources that cannot overlap a fresh allocation.
        unsafe {
            base.cast::<f64>().write(score);
            let len_at = base.add(SCORE_BYTES);
            len_at.copy_from_nonoverlapping(NonNull::from(&len_bytes).cast(), len_size);
            len_at.add(len_size).copy_from_nonoverlapping(NonNull::from(member).cast(), member.len());
        }
        Self(base)
    }

    /// Borrows the entry.
    pub(super) fn view(&self) -> EntryView<'_> {
        EntryView(self.0, PhantomData)
    }

    /// The address of this entry; it stays the same when the entry moves.
    pub(super) fn ptr(&self) -> EntryPtr {
        EntryPtr(self.0)
    }

    /// Replaces the score. The caller must keep the tree in order.
    pub(super) fn set_score(&mut self, score: f64) {
        debug_assert!(!score.is_nan(), "a sorted set never holds NaN");
        // SAFETY: the first 8 bytes hold the score and `&mut self` excludes every reader.
        unsafe { self.0.cast::<f64>().write(score) }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let (len_size, len) = self.view().len();
        // SAFETY: `new` allocated exactly this layout and the owner frees it once.
        unsafe { dealloc(self.0.as_ptr(), layout(len_size, len)) }
    }
}

impl EntryPtr {
    /// A pointer to nothing, for unused slots; must not be viewed.
    pub(super) const DANGLING: Self = Self(NonNull::dangling());

    /// Looks at the entry.
    ///
    /// # Safety
    /// The entry must be alive and not written to throughout `'a`.
    pub(super) unsafe fn view<'a>(self) -> EntryView<'a> {
        EntryView(self.0, PhantomData)
    }
}

impl<'a> EntryView<'a> {
    /// The score.
    pub(super) fn score(self) -> f64 {
        // SAFETY: a view stands for a live entry, whose first 8 bytes hold an aligned f64.
        unsafe { self.0.cast::<f64>().read() }
    }

    /// The member's bytes.
    pub(super) fn member(self) -> &'a [u8] {
        let (len_size, len) = self.len();
        // SAFETY: a live entry holds `len` bytes after its score and length; they are never written while `'a` lasts.
        unsafe { std::slice::from_raw_parts(self.0.add(SCORE_BYTES + len_size).as_ptr(), len) }
    }

    /// The address of the entry.
    pub(super) fn ptr(self) -> EntryPtr {
        EntryPtr(self.0)
    }

    /// How many bytes the entry asked of the allocator.
    pub(super) fn size_bytes(self) -> usize {
        let (len_size, len) = self.len();
        SCORE_BYTES + len_size + len
    }

    /// The bytes the length takes, and the length.
    fn len(self) -> (usize, usize) {
        let mut len = 0;
        let mut size = 0;
        loop {
            // SAFETY: `new` wrote a whole LEB128 number after the score; the loop ends at its last byte.
            let byte = unsafe { self.0.add(SCORE_BYTES + size).read() };
            len |= usize::from(byte & 0x7f) << (7 * size);
            size += 1;
            if byte < 0x80 {
                return (size, len);
            }
        }
    }
}

/// Writes `len` as LEB128 and returns how many bytes it took.
fn encode_len(mut len: usize, out: &mut [u8; MAX_LEN_BYTES]) -> usize {
    let mut size = 0;
    loop {
        let low = (len & 0x7f) as u8;
        len >>= 7;
        out[size] = if len == 0 { low } else { low | 0x80 };
        size += 1;
        if len == 0 {
            return size;
        }
    }
}

fn layout(len_size: usize, len: usize) -> Layout {
    // A slice is at most isize::MAX bytes long, so the sum cannot wrap; a layout beyond isize::MAX is refused.
    match Layout::from_size_align(SCORE_BYTES + len_size + len, align_of::<f64>()) {
        Ok(layout) => layout,
        Err(_) => handle_alloc_error(Layout::new::<f64>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_keeps_score_and_member_of_any_length() {
        for len in [0, 1, 21, 127, 128, 16_383, 16_384, 70_000] {
            let member: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let mut entry = Entry::new(-1.5, &member);
            assert_eq!(entry.view().member(), member);
            assert_eq!(entry.view().score(), -1.5);
            entry.set_score(f64::INFINITY);
            assert_eq!(entry.view().score(), f64::INFINITY);
            assert_eq!(entry.view().member(), member);
        }
        assert_eq!(Entry::new(0.0, &[b'x'; 21]).view().size_bytes(), 30);
    }
}
