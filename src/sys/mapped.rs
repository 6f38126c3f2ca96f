//! Sealed files as byte slices.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};

use memmap2::{Advice, Mmap, UncheckedAdvice};

/// Pages are dropped in strides of this many bytes, a multiple of every page size in use.
const RELEASE_STRIDE_BYTES: usize = 64 << 10;

/// Bytes of a piece of [`MappedFile::windows`], and what a [`Behind`] lets pile up. A multiple of the stride of releasing.
pub const WINDOW_BYTES: usize = 4 << 20;

/// The bytes of a *sealed* file: one that nobody will write to, shrink or replace in place again.
///
/// The bytes are a memory map, so opening costs nothing and only what is read is loaded. The price: if a
/// process shrinks the file, touching a page past the new end raises SIGBUS and ends this process. Hence
/// sealed files only, and never a log that still grows. Replacing the file by a rename is harmless, as the
/// map keeps the old file alive. A read error of the device also arrives as SIGBUS.
#[derive(Debug)]
pub struct MappedFile(Bytes);

#[derive(Debug)]
enum Bytes {
    Map(Mmap),
    Heap(Vec<u8>),
}

impl MappedFile {
    /// Maps an open file for one pass from its start to its end.
    pub(super) fn map(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
        }
        if meta.len() == 0 {
            return Ok(MappedFile(Bytes::Heap(Vec::new())));
        }
        // SAFETY: the caller of `Disk::read_sealed` vouches that the file is sealed, so that the mapped bytes
        // neither change nor vanish while the map lives.
        let map = unsafe { Mmap::map(file)? };
        // Read-ahead is a hint; a kernel that declines it still serves the bytes.
        let _ = map.advise(Advice::Sequential);
        Ok(MappedFile(Bytes::Map(map)))
    }

    /// Stands in for a map where there is no file, as on a disk in memory.
    pub(super) fn from_vec(bytes: Vec<u8>) -> Self {
        MappedFile(Bytes::Heap(bytes))
    }

    /// Lets go of the pages wholly before `offset`, so that a load of a large file does not double the resident
    /// size. They are read from the file again if touched again.
    pub fn release_before(&self, offset: usize) {
        self.release(0..offset);
    }

    /// Lets go of the pages of `range`; at its end a few are kept, and before its beginning a few go, too, so that ranges
    /// that follow each other leave nothing between them. Mapped pages that were touched count as resident memory of
    /// this process until then. They are read from the file again if touched again, so this is safe while others still
    /// read there, only slow.
    pub fn release(&self, range: Range<usize>) {
        if let Bytes::Map(map) = &self.0 {
            let start = range.start / RELEASE_STRIDE_BYTES * RELEASE_STRIDE_BYTES;
            let end = range.end.min(map.len()) / RELEASE_STRIDE_BYTES * RELEASE_STRIDE_BYTES;
            if end > start {
                // SAFETY: the map is shared, read-only and file-backed: a dropped page is read back from the same
                // sealed file, so no reference can see other bytes. The range lies within the map.
                let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, end - start) };
            }
        }
    }

    /// A reading from `start` on that gives back what lies behind it: see [`Behind`].
    pub fn behind(&self, start: usize) -> Behind<'_> {
        Behind { file: self, released: start }
    }

    /// The bytes of `range`, cut to the file, in pieces of [`WINDOW_BYTES`] or less, for whoever needs each byte once
    /// (a checksum, a copy). With each piece the one before is given back, so a range of any length costs the memory of
    /// a piece or two.
    pub fn windows(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let end = range.end.min(self.len());
        let mut behind = self.behind(range.start);
        let starts = (range.start..end).step_by(WINDOW_BYTES).map(Some).chain([None]);
        starts.filter_map(move |start| {
            behind.at(start.unwrap_or(end));
            start.and_then(|start| self.get(start..end.min(start + WINDOW_BYTES)))
        })
    }
}

/// Gives the pages of a sealed file back as a reading goes on: for a reader that walks the file's bytes by itself and
/// says, every now and then, how far it has come.
#[derive(Debug)]
pub struct Behind<'f> {
    file: &'f MappedFile,
    /// What lies before this is given back.
    released: usize,
}

impl Behind<'_> {
    /// The reader is done with everything before `offset`. Cheap enough to be told after every record.
    pub fn at(&mut self, offset: usize) {
        if offset >= self.released.saturating_add(WINDOW_BYTES) {
            self.file.release(self.released..offset);
            self.released = offset;
        }
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Map(map) => map,
            Bytes::Heap(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
