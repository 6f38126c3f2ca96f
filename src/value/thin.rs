//! One heap allocation whose length is written in its own first bytes.
//!
//! Small collections and set members are the bulk of a store's memory, so each is one pointer wide where it is
//! held and exactly as long as its content where it lives. All `unsafe` of the packed types is in this file; what
//! is built on it reads and writes through checked slices.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// How an allocation tells its own length.
///
/// # Safety
/// `total_len` must read only bytes that the length it returns covers, must return at least 1, and must depend on
/// nothing but those bytes.
pub(super) unsafe trait SelfSized {
    /// Length in bytes of the allocation that starts at `ptr`.
    ///
    /// # Safety
    /// `ptr` starts an initialised allocation whose first bytes are a header of this kind.
    unsafe fn total_len(ptr: *const u8) -> usize;
}

/// An owned, exactly sized byte allocation behind a thin pointer.
pub(super) struct Thin<H: SelfSized> {
    ptr: NonNull<u8>,
    kind: PhantomData<H>,
}

// SAFETY: a `Thin` owns its allocation and hands out access only through `&self` and `&mut self`.
unsafe impl<H: SelfSized> Send for Thin<H> {}
// SAFETY: as above; there is no interior mutability.
unsafe impl<H: SelfSized> Sync for Thin<H> {}

fn layout(len: usize) -> Layout {
    // A length over isize::MAX cannot come from slices that exist, so this is unreachable in practice.
    Layout::from_size_align(len, 1).unwrap_or_else(|_| std::process::abort())
}

fn sum(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

impl<H: SelfSized> Thin<H> {
    /// Allocates the concatenation of `parts`, which must begin with a header that states the total length.
    pub(super) fn concat(parts: &[&[u8]]) -> Self {
        let len = sum(parts);
        assert!(len > 0, "a self-sized allocation has a header");
        // SAFETY: the size is not zero.
        let raw = unsafe { alloc(layout(len)) };
        let Some(ptr) = NonNull::new(raw) else { handle_alloc_error(layout(len)) };
        // SAFETY: the fresh allocation holds `len` bytes, the sum of the parts.
        unsafe { copy_parts(ptr.as_ptr(), parts) };
        let this = Self { ptr, kind: PhantomData };
        this.check(len);
        this
    }

    /// The whole allocation, header included.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the allocation is initialised and `total_len` is its exact length, as `check` made sure.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len()) }
    }

    /// Length of the allocation in bytes.
    pub(super) fn len(&self) -> usize {
        // SAFETY: the allocation starts with a header of kind `H`.
        unsafe { H::total_len(self.ptr.as_ptr()) }
    }

    /// Replaces `remove` bytes at `at` by `parts`, overwrites the first bytes with `header` (which states the new
    /// total length) and resizes the allocation to fit.
    ///
    /// `at` must lie behind the header and the removed bytes inside the allocation.
    pub(super) fn splice(&mut self, header: &[u8], at: usize, remove: usize, parts: &[&[u8]]) {
        let old_len = self.len();
        let insert = sum(parts);
        let tail = at.checked_add(remove).and_then(|end| old_len.checked_sub(end));
        let Some(tail) = tail.filter(|_| at >= header.len()) else {
            panic!("splice outside of the allocation");
        };
        let new_len = at + insert + tail;
        if new_len > old_len {
            self.resize(old_len, new_len);
        }
        let base = self.ptr.as_ptr();
        // SAFETY: the allocation now holds max(old_len, new_len) bytes; the tail moves from at + remove to
        // at + insert, both of which leave room for its `tail` bytes; the parts fill the gap between; the header
        // fits before `at`. The parts cannot alias the allocation, which is borrowed mutably.
        unsafe {
            if insert != remove {
                std::ptr::copy(base.add(at + remove), base.add(at + insert), tail);
            }
            copy_parts(base.add(at), parts);
            std::ptr::copy_nonoverlapping(header.as_ptr(), base, header.len());
        }
        if new_len < old_len {
            self.resize(old_len, new_len);
        }
        self.check(new_len);
    }

    fn resize(&mut self, old_len: usize, new_len: usize) {
        // SAFETY: the allocation was made with this layout; the new size is at least the header's and not zero.
        let raw = unsafe { realloc(self.ptr.as_ptr(), layout(old_len), new_len) };
        let Some(ptr) = NonNull::new(raw) else { handle_alloc_error(layout(new_len)) };
        self.ptr = ptr;
    }

    /// A header that lies about the length would make every later access unsound: end the process instead.
    fn check(&self, len: usize) {
        if self.len() != len {
            std::process::abort();
        }
    }
}

/// # Safety
/// `target` must be valid for writing all the parts, and none of them may overlap it.
unsafe fn copy_parts(mut target: *mut u8, parts: &[&[u8]]) {
    for part in parts {
        // SAFETY: the caller grants room for the sum of the parts.
        unsafe {
            std::ptr::copy_nonoverlapping(part.as_ptr(), target, part.len());
            target = target.add(part.len());
        }
    }
}

impl<H: SelfSized> Drop for Thin<H> {
    fn drop(&mut self) {
        let len = self.len();
        // SAFETY: allocated with exactly this layout, and dropped once.
        unsafe { dealloc(self.ptr.as_ptr(), layout(len)) }
    }
}

impl<H: SelfSized> Clone for Thin<H> {
    fn clone(&self) -> Self {
        Self::concat(&[self.bytes()])
    }
}
