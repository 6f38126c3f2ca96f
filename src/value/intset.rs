//! A sorted set of integers in one allocation, byte for byte as Redis lays it out and writes it to RDB files.
//!
//! Layout: width of an integer in bytes (u32 LE: 2, 4 or 8), number of integers (u32 LE), the integers in ascending
//! order, little endian, all of that width. The width only ever grows.

use super::thin::{SelfSized, Thin};
use crate::base::Rng;
use std::fmt;

const HEADER: usize = 8;

/// An intset never holds more, whatever the configuration says: its size stays far from 32 bits.
pub const MAX_ENTRIES: usize = 1 << 27;

/// Why bytes are not an intset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntsetError {
    /// Fewer bytes than the header, or no integer at all.
    #[error("intset: too short")]
    TooShort,
    /// More than [`MAX_ENTRIES`] integers.
    #[error("intset: too many entries")]
    TooLong,
    /// The width is not 2, 4 or 8.
    #[error("intset: width of {0} bytes")]
    Width(u32),
    /// The header's count and width differ from the number of bytes.
    #[error("intset: length differs from the header's")]
    Length,
    /// The integer at this index is not greater than the one before it.
    #[error("intset: not in ascending order at index {0}")]
    Order(usize),
}

struct Header;

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}

// SAFETY: the length is computed from the first eight bytes, which every intset has.
unsafe impl SelfSized for Header {
    unsafe fn total_len(ptr: *const u8) -> usize {
        // SAFETY: the caller passes an initialised intset, which starts with eight bytes of header.
        let header = unsafe { std::slice::from_raw_parts(ptr, HEADER) };
        HEADER + word(header, 0) as usize * word(header, 4) as usize
    }
}

/// An owned intset behind a thin pointer, allocated exactly.
#[derive(Clone)]
pub struct Intset {
    raw: Thin<Header>,
}

fn header(width: usize, len: usize) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..4].copy_from_slice(&(width as u32).to_le_bytes());
    bytes[4..].copy_from_slice(&(len as u32).to_le_bytes());
    bytes
}

fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

fn read(bytes: &[u8]) -> i64 {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xFF } else { 0 }; 8];
    for (to, from) in wide.iter_mut().zip(bytes) {
        *to = *from;
    }
    i64::from_le_bytes(wide)
}

/// Checks that `bytes` are one whole intset with at least one integer, ascending.
///
/// # Errors
/// What is wrong.
pub fn validate(bytes: &[u8]) -> Result<(), IntsetError> {
    if bytes.len() < HEADER {
        return Err(IntsetError::TooShort);
    }
    let (width, len) = (word(bytes, 0), word(bytes, 4) as usize);
    if !matches!(width, 2 | 4 | 8) {
        return Err(IntsetError::Width(width));
    }
    if len == 0 {
        return Err(IntsetError::TooShort);
    }
    if len > MAX_ENTRIES {
        return Err(IntsetError::TooLong);
    }
    if bytes.len() != HEADER + len * width as usize {
        return Err(IntsetError::Length);
    }
    let mut previous = None;
    for (index, chunk) in bytes[HEADER..].chunks_exact(width as usize).enumerate() {
        let value = Some(read(chunk));
        if previous >= value {
            return Err(IntsetError::Order(index));
        }
        previous = value;
    }
    Ok(())
}

impl Intset {
    /// An empty intset.
    pub fn new() -> Self {
        Self { raw: Thin::concat(&[&header(2, 0)]) }
    }

    /// Copies `bytes` after validating them, so that untrusted bytes may be given.
    ///
    /// # Errors
    /// As [`validate`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IntsetError> {
        validate(bytes)?;
        Ok(Self { raw: Thin::concat(&[bytes]) })
    }

    /// The intset of integers that are strictly ascending.
    fn from_ascending(values: impl ExactSizeIterator<Item = i64>, width: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + values.len() * width);
        bytes.extend_from_slice(&header(width, values.len()));
        values.for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()[..width]));
        Self { raw: Thin::concat(&[&bytes]) }
    }

    /// The intset of these integers, which may repeat and come in any order.
    pub fn from_ints(mut values: Vec<i64>) -> Self {
        values.sort_unstable();
        values.dedup();
        let width = values.first().map_or(2, |&v| width_of(v)).max(values.last().map_or(2, |&v| width_of(v)));
        Self::from_ascending(values.into_iter(), width)
    }

    /// The whole intset as it goes into an RDB file.
    pub fn as_bytes(&self) -> &[u8] {
        self.raw.bytes()
    }

    /// Size of the intset, and of its allocation, in bytes.
    pub fn byte_len(&self) -> usize {
        self.raw.len()
    }

    /// Number of integers.
    pub fn len(&self) -> usize {
        word(self.as_bytes(), 4) as usize
    }

    /// Whether there is no integer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn width(&self) -> usize {
        word(self.as_bytes(), 0) as usize
    }

    /// The integer at `index` in ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        let width = self.width();
        let at = HEADER + index.checked_mul(width)?;
        self.as_bytes().get(at..at.checked_add(width)?).map(read)
    }

    /// The least integer.
    pub fn min(&self) -> Option<i64> {
        self.get(0)
    }

    /// The greatest integer.
    pub fn max(&self) -> Option<i64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Index of `value`, or where it would be inserted.
    fn search(&self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            match self.get(middle).cmp(&Some(value)) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Whether `value` is a member.
    pub fn contains(&self, value: i64) -> bool {
        width_of(value) <= self.width() && self.search(value).is_ok()
    }

    /// Adds `value`; false if it was there. Callers keep the set under [`MAX_ENTRIES`].
    pub fn add(&mut self, value: i64) -> bool {
        assert!(self.len() < MAX_ENTRIES + 1, "intset over its size limit");
        let width = width_of(value);
        if width > self.width() {
            self.add_wider(value, width);
            return true;
        }
        let width = self.width();
        let Err(index) = self.search(value) else { return false };
        let header = header(width, self.len() + 1);
        self.raw.splice(&header, HEADER + index * width, 0, &[&value.to_le_bytes()[..width]]);
        true
    }

    /// A value that needs more width is less or greater than all there are.
    fn add_wider(&mut self, value: i64, width: usize) {
        let mut values = Vec::with_capacity(self.len() + 1);
        values.extend((value < 0).then_some(value));
        values.extend(self.iter());
        values.extend((value >= 0).then_some(value));
        *self = Self::from_ascending(values.into_iter(), width);
    }

    /// Removes `value`; false if it was not there.
    pub fn remove(&mut self, value: i64) -> bool {
        if width_of(value) > self.width() {
            return false;
        }
        let Ok(index) = self.search(value) else { return false };
        let width = self.width();
        let header = header(width, self.len() - 1);
        self.raw.splice(&header, HEADER + index * width, width, &[]);
        true
    }

    /// The integers in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i64> + DoubleEndedIterator + Clone + '_ {
        self.as_bytes()[HEADER..].chunks_exact(self.width()).map(read)
    }

    /// A member chosen at random.
    pub fn random(&self, rng: &mut Rng) -> Option<i64> {
        self.get(rng.below(self.len() as u64) as usize)
    }
}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Intset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rng;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn bytes_are_those_of_the_format() {
        let mut set = Intset::new();
        assert_eq!(set.as_bytes(), [2, 0, 0, 0, 0, 0, 0, 0]);
        assert!(set.add(5) && set.add(-1) && !set.add(5));
        assert_eq!(set.as_bytes(), [2, 0, 0, 0, 2, 0, 0, 0, 0xFF, 0xFF, 5, 0]);
        assert!(set.add(40_000));
        let wide = [4, 0, 0, 0, 3, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 5, 0, 0, 0, 0x40, 0x9C, 0, 0];
        assert_eq!(set.as_bytes(), wide);
        // The width stays when what needed it goes.
        assert!(set.remove(40_000));
        assert_eq!(set.as_bytes(), [4, 0, 0, 0, 2, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 5, 0, 0, 0]);
        assert_eq!((set.min(), set.max(), set.get(2)), (Some(-1), Some(5), None));
    }

    #[test]
    fn damage_is_refused() {
        let good = [2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2, 0];
        assert_eq!(validate(&good), Ok(()));
        let broken = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            validate(&bytes).unwrap_err()
        };
        assert_eq!(broken(0, 3), IntsetError::Width(3));
        assert_eq!(broken(0, 4), IntsetError::Length);
        assert_eq!(broken(4, 0), IntsetError::TooShort);
        assert_eq!(broken(7, 0xFF), IntsetError::TooLong);
        assert_eq!(broken(8, 2), IntsetError::Order(1));
        assert_eq!(validate(&good[..7]), Err(IntsetError::TooShort));
        assert_eq!(validate(&good[..11]), Err(IntsetError::Length));
    }

    fn value() -> impl Strategy<Value = i64> {
        prop_oneof![-20i64..20, any::<(i64, u8)>().prop_map(|(int, shift)| int >> (shift % 64))]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 2 } else { 128 }, failure_persistence: None, ..Default::default()
        })]

        #[test]
        fn agrees_with_a_btree_set(ops in prop::collection::vec((any::<bool>(), value()), 1..200)) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (add, value) in ops {
                prop_assert_eq!(set.contains(value), model.contains(&value));
                if add {
                    prop_assert_eq!(set.add(value), model.insert(value));
                } else {
                    prop_assert_eq!(set.remove(value), model.remove(&value));
                }
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert_eq!((set.min(), set.max()), (model.first().copied(), model.last().copied()));
                if !model.is_empty() {
                    prop_assert_eq!(validate(set.as_bytes()), Ok(()));
                    prop_assert!(set.random(&mut Rng::from_seed(value as u64)).is_some_and(|v| model.contains(&v)));
                }
            }
            let rebuilt = Intset::from_ints(model.iter().rev().chain(&model).copied().collect());
            prop_assert!(rebuilt.iter().eq(set.iter()));
        }

        #[test]
        fn mutated_bytes_never_panic(
            values in prop::collection::vec(value(), 1..20),
            at in any::<prop::sample::Index>(),
            byte: u8,
        ) {
            let mut bytes = Intset::from_ints(values).as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(set) = Intset::from_bytes(&bytes) {
                prop_assert_eq!(set.iter().len(), set.len());
                prop_assert!(set.iter().all(|value| set.contains(value)));
            }
        }
    }
}
