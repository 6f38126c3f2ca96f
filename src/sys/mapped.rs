//! Sealed files as byte slices.

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::{Advice, Mmap, UncheckedAdvice};

/// Pages are dropped in strides of this many bytes, a multiple of every page size in use.
const RELEASE_STRIDE_BYTES: usize = 1 << 20;

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
        if let Bytes::Map(map) = &self.0 {
            let end = offset.min(map.len()) / RELEASE_STRIDE_BYTES * RELEASE_STRIDE_BYTES;
            if end > 0 {
                // SAFETY: the map is shared, read-only and file-backed: a dropped page is read back from the same
                // sealed file, so no reference can see other bytes. `end` lies within the map.
                let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, 0, end) };
            }
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
