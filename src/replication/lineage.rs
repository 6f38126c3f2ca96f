//! The name of a history of writes: 40 hex digits (`master_replid`).

use crate::base::random::Rng;
use std::fmt;

/// Bytes of a lineage in text.
pub const LINEAGE_BYTES: usize = 40;

/// A replication id. Two nodes with the same lineage share their bytes up to the smaller offset.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lineage([u8; LINEAGE_BYTES]);

impl Lineage {
    /// No lineage: forty zeros, as Redis shows an unset `master_replid2`.
    pub const NONE: Lineage = Lineage([b'0'; LINEAGE_BYTES]);

    /// A new random lineage.
    pub fn random(rng: &mut Rng) -> Lineage {
        Lineage::parse(rng.hex(LINEAGE_BYTES).as_bytes()).unwrap_or(Lineage::NONE)
    }

    /// Reads forty hex digits; `None` for anything else. Case is folded.
    pub fn parse(text: &[u8]) -> Option<Lineage> {
        let mut id: [u8; LINEAGE_BYTES] = text.try_into().ok()?;
        id.make_ascii_lowercase();
        id.iter().all(u8::is_ascii_hexdigit).then_some(Lineage(id))
    }

    /// The forty digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("")
    }

    /// False for [`Lineage::NONE`].
    pub fn is_some(&self) -> bool {
        *self != Lineage::NONE
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
