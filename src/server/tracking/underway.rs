//! What pushes on their way to clients take.
//!
//! A key that is evicted is told to all who have read it. Were that held against `maxmemory`, the more keys went, the more
//! would have to go.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the bytes of pushes that have been made and are not in their connections' buffers yet.
#[derive(Default)]
pub(super) struct Underway(Arc<AtomicU64>);

/// A push, which is shared by all who are told and counts once, until the last of them has taken it.
struct Counted {
    bytes: Vec<u8>,
    count: Arc<AtomicU64>,
}

impl Underway {
    /// Counts these bytes for as long as anybody holds them.
    pub(super) fn count(&self, bytes: Vec<u8>) -> Bytes {
        self.0.fetch_add(bytes.capacity() as u64, Ordering::Relaxed);
        Bytes::from_owner(Counted { bytes, count: Arc::clone(&self.0) })
    }

    /// How many there are.
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count.fetch_sub(self.bytes.capacity() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_bytes_count_once_and_until_the_last_has_them() {
        let underway = Underway::default();
        let push = underway.count(vec![b'x'; 1_000]);
        let (one, other) = (push.clone(), push.slice(..10));
        drop((push, one));
        assert_eq!((underway.bytes(), &other[..]), (1_000, &b"xxxxxxxxxx"[..]));
        drop(other);
        assert_eq!(underway.bytes(), 0);
    }
}
