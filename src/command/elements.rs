//! Members of collections on their way to a client: writing them, and drawing some at random.

use super::CommandError;
use super::context::Settings;
use crate::base::random::Rng;
use crate::resp::reply::{Mark, Reply};
use crate::value::Element;

/// Writes a member as a bulk string.
#[inline]
pub fn bulk_element(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Bytes(bytes) => reply.bulk(bytes),
        Element::Int(int) => reply.bulk_int(int),
    }
}

/// Writes the header of `n` pairs that RESP3 nests and RESP2 lays flat.
#[inline]
pub fn pairs_header(reply: &mut Reply<'_>, n: usize) {
    reply.array(if reply.is_resp3() { n } else { 2 * n });
}

/// Writes what goes before each of the pairs under [`pairs_header`].
#[inline]
pub fn pair_header(reply: &mut Reply<'_>) {
    if reply.is_resp3() {
        reply.array(2);
    }
}

/// Chooses some of a known number of items in one walk over them, each choice equally likely.
pub struct Selection {
    wanted: u64,
    left: u64,
}

impl Selection {
    /// Chooses `wanted` of `total` items.
    pub fn new(wanted: usize, total: usize) -> Self {
        Selection { wanted: wanted as u64, left: total as u64 }
    }

    /// Whether the next item is chosen.
    pub fn takes_next(&mut self, rng: &mut Rng) -> bool {
        let takes = rng.below(self.left) < self.wanted;
        self.left = self.left.saturating_sub(1);
        self.wanted -= u64::from(takes);
        takes
    }
}

/// Refuses to go on with a reply that a client may ask to be of any length, once what was written since
/// `mark` is larger than a bulk string may be.
pub fn check_reply_len(reply: &Reply<'_>, mark: Mark, settings: &Settings) -> Result<(), CommandError> {
    if reply.since(mark).len() > settings.max_bulk_bytes {
        return Err(CommandError::text("ERR reply exceeds maximum allowed size (proto-max-bulk-len)"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_have_their_size_and_no_favourites() {
        let mut rng = Rng::from_seed(5);
        let mut counts = [0u32; 10];
        for _ in 0..10_000 {
            let mut selection = Selection::new(3, 10);
            let chosen: Vec<usize> = (0..10).filter(|_| selection.takes_next(&mut rng)).collect();
            assert_eq!(chosen.len(), 3);
            chosen.iter().for_each(|i| counts[*i] += 1);
        }
        assert!(counts.iter().all(|count| (2_750..3_250).contains(count)), "{counts:?}");
    }
}
