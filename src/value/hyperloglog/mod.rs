//! HyperLogLog: how many different elements were seen, within about 0.8 %, in at most 12 KiB.
//!
//! It lives in a plain string, byte for byte as Redis keeps it, and so comes from clients, dumps and snapshots: nothing in it is
//! believed. Layout:
//!
//! ```text
//! 0   "HYLL"
//! 4   u8   encoding: 0 dense, 1 sparse
//! 5   3 bytes that mean nothing
//! 8   u64 LE  cached cardinality; stale while the highest bit is set
//! 16  the registers: 16,384 of 6 bits (dense), or runs of them (sparse)
//! ```
//!
//! A register keeps the highest rank of the elements that fall to it: an element's hash gives its register (14 bits) and its rank
//! (how many zero bits follow in the other 50, plus one).

mod dense;
mod estimate;
mod murmur;
mod selftest;
mod sparse;

pub use selftest::{SelfTestFailure, self_test};
pub use sparse::Run;

use thiserror::Error;

/// Number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of a hash that choose the register.
const INDEX_BITS: u32 = 14;
/// Bits of a hash that make the rank.
const RANK_BITS: u32 = 64 - INDEX_BITS;
/// Values that a register of six bits can have.
const RANKS: usize = 64;
/// Bytes before the registers.
pub const HEADER_BYTES: usize = 16;
/// Bytes of a dense one.
pub const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * 6 / 8;

const MAGIC: &[u8; 4] = b"HYLL";
const ENCODING_AT: usize = 4;
const CACHE_AT: usize = 8;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const STALE: u64 = 1 << 63;
const HASH_SEED: u64 = 0xadc8_3b19;

/// Why a string cannot be used as a HyperLogLog; the texts are Redis's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Invalid {
    /// It has no such header, or not the length that its encoding must have.
    #[error("Key is not a valid HyperLogLog string value.")]
    Foreign,
    /// The runs of its sparse encoding do not cover all registers exactly.
    #[error("Corrupted HLL object detected")]
    Corrupted,
}

/// How often each register value occurs.
type Histogram = [u32; RANKS];

/// All registers, a byte each: what several are merged into.
#[derive(Clone)]
pub struct Registers(Box<[u8; REGISTERS]>);

impl Default for Registers {
    fn default() -> Self {
        Registers(Box::new([0; REGISTERS]))
    }
}

impl Registers {
    /// Each register's value.
    pub fn iter(&self) -> impl Iterator<Item = u8> {
        self.0.iter().copied()
    }

    /// The estimate.
    pub fn count(&self) -> u64 {
        let mut histogram = [0; RANKS];
        self.0.iter().for_each(|value| histogram[usize::from(*value) % RANKS] += 1);
        estimate::cardinality(&histogram)
    }
}

/// A string that has the header of a HyperLogLog.
#[derive(Debug, Clone, Copy)]
pub struct HyperLogLogRef<'a> {
    bytes: &'a [u8],
}

impl<'a> HyperLogLogRef<'a> {
    /// Looks at header and length; sparse runs are checked as they are read.
    ///
    /// # Errors
    /// [`Invalid::Foreign`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, Invalid> {
        let header = bytes.get(..HEADER_BYTES).filter(|header| header.starts_with(MAGIC));
        match header.map(|header| header[ENCODING_AT]) {
            Some(DENSE) if bytes.len() == DENSE_BYTES => Ok(HyperLogLogRef { bytes }),
            Some(SPARSE) => Ok(HyperLogLogRef { bytes }),
            _ => Err(Invalid::Foreign),
        }
    }

    /// Dense or sparse?
    pub fn is_dense(&self) -> bool {
        self.bytes[ENCODING_AT] == DENSE
    }

    fn registers(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The cardinality that was worked out last, unless registers changed since.
    pub fn cached_count(&self) -> Option<u64> {
        let (cache, _) = self.bytes[CACHE_AT..].split_first_chunk()?;
        Some(u64::from_le_bytes(*cache)).filter(|count| count & STALE == 0)
    }

    /// The estimate, worked out.
    ///
    /// # Errors
    /// [`Invalid::Corrupted`].
    pub fn count(&self) -> Result<u64, Invalid> {
        let mut histogram = [0; RANKS];
        if self.is_dense() {
            dense::for_each(self.registers(), |value| histogram[usize::from(value) % RANKS] += 1);
        } else {
            sparse::for_each(self.registers(), |_, run| {
                histogram[usize::from(run.value) % RANKS] += run.len as u32;
            })?;
        }
        Ok(estimate::cardinality(&histogram))
    }

    /// Raises each register to this one's.
    ///
    /// # Errors
    /// [`Invalid::Corrupted`]; then some registers may have been raised.
    pub fn merge_into(&self, registers: &mut Registers) -> Result<(), Invalid> {
        let mut all = registers.0.iter_mut();
        if self.is_dense() {
            dense::for_each(self.registers(), |value| {
                if let Some(register) = all.next() {
                    *register = value.max(*register);
                }
            });
            return Ok(());
        }
        sparse::for_each(self.registers(), |first, run| {
            if run.value > 0 {
                let covered = registers.0.get_mut(first..first + run.len).unwrap_or_default();
                covered.iter_mut().for_each(|register| *register = run.value.max(*register));
            }
        })
    }

    /// The runs of a sparse one, as far as they can be read; those of a dense one mean nothing.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        sparse::runs(self.registers())
    }
}

/// An empty one, sparse.
pub fn empty() -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING_AT] = SPARSE;
    sparse::push_zeros(REGISTERS, |byte| bytes.push(byte));
    bytes
}

/// Register and rank of an element.
fn place_of(element: &[u8]) -> (usize, u8) {
    let hash = murmur::hash64a(element, HASH_SEED);
    let index = hash as usize & (REGISTERS - 1);
    // The bit behind the last ends the search for a set one.
    let rest = hash >> INDEX_BITS | 1 << RANK_BITS;
    (index, rest.trailing_zeros() as u8 + 1)
}

/// Adds an element; true if a register changed (then the cached count is stale). A sparse one that would become longer than
/// `sparse_max_bytes` becomes dense.
///
/// # Errors
/// [`Invalid`]; then nothing has changed.
pub fn add(bytes: &mut Vec<u8>, element: &[u8], sparse_max_bytes: usize) -> Result<bool, Invalid> {
    let (index, rank) = place_of(element);
    raise(bytes, index, rank, sparse_max_bytes)
}

/// Raises a register (of [`REGISTERS`]) to at least `rank` (1 to 63); as [`add`].
///
/// # Errors
/// [`Invalid`]; then nothing has changed.
pub fn raise(bytes: &mut Vec<u8>, index: usize, rank: u8, sparse_max_bytes: usize) -> Result<bool, Invalid> {
    if !HyperLogLogRef::new(bytes)?.is_dense() {
        match sparse::raise(bytes, index, rank, sparse_max_bytes)? {
            sparse::Raised::Yes => {
                invalidate_cache(bytes);
                return Ok(true);
            }
            sparse::Raised::No => return Ok(false),
            sparse::Raised::MustBeDense => make_dense(bytes)?,
        }
    }
    let raised = dense::raise(&mut bytes[HEADER_BYTES..], index, rank);
    if raised {
        invalidate_cache(bytes);
    }
    Ok(raised)
}

/// Makes a sparse one dense; true if it was not. The cached count stays.
///
/// # Errors
/// [`Invalid`]; then nothing has changed.
pub fn to_dense(bytes: &mut Vec<u8>) -> Result<bool, Invalid> {
    if HyperLogLogRef::new(bytes)?.is_dense() {
        return Ok(false);
    }
    make_dense(bytes)?;
    Ok(true)
}

fn make_dense(bytes: &mut Vec<u8>) -> Result<(), Invalid> {
    let (header, registers) = bytes.split_at(HEADER_BYTES);
    let mut made = vec![0; DENSE_BYTES];
    made[..HEADER_BYTES].copy_from_slice(header);
    made[ENCODING_AT] = DENSE;
    let dense = &mut made[HEADER_BYTES..];
    sparse::for_each(registers, |first, run| {
        if run.value > 0 && first + run.len <= REGISTERS {
            (first..first + run.len).for_each(|index| dense::set(dense, index, run.value));
        }
    })?;
    *bytes = made;
    Ok(())
}

/// Says that the cached count is stale. Bytes without a header stay as they are.
pub fn invalidate_cache(bytes: &mut [u8]) {
    if let Some(highest) = bytes.get_mut(HEADER_BYTES - 1) {
        *highest |= (STALE >> 56) as u8;
    }
}

/// Keeps a count that was worked out. Bytes without a header stay as they are.
pub fn cache_count(bytes: &mut [u8], count: u64) {
    if let Some(cache) = bytes.get_mut(CACHE_AT..HEADER_BYTES) {
        cache.copy_from_slice(&count.to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
