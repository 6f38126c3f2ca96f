//! Registers as runs of equal ones, in register order.
//!
//! ```text
//! 00nnnnnn            n + 1 registers that are 0
//! 01nnnnnn nnnnnnnn   n + 1 registers that are 0
//! 1vvvvvnn            n + 1 registers that are v + 1
//! ```
//!
//! The bytes are those that Redis would have after the same additions, so runs are split and merged by its rules and not as well
//! as they could be.

use super::{HEADER_BYTES, Invalid, REGISTERS};
use smallvec::SmallVec;

/// Highest register value that a run can have.
const VALUE_MAX: u8 = 32;
/// Longest run of registers that are not 0.
const VALUE_RUN_MAX: usize = 4;
/// Longest run of zeros in one byte.
const SHORT_ZEROS_MAX: usize = 64;
/// How many runs, from the one before a change on, are looked at for neighbours to merge.
const MERGE_RUNS: usize = 5;

/// Registers next to each other that are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// What they are.
    pub value: u8,
    /// How many.
    pub len: usize,
    /// Bytes the run takes.
    pub bytes: usize,
}

/// The run at the beginning of `bytes`; `None` at the end, or in the middle of a run.
fn decode(bytes: &[u8]) -> Option<Run> {
    let first = *bytes.first()?;
    Some(match first >> 6 {
        0 => Run { value: 0, len: usize::from(first & 63) + 1, bytes: 1 },
        1 => {
            let len = usize::from(u16::from_be_bytes([first & 63, *bytes.get(1)?])) + 1;
            Run { value: 0, len, bytes: 2 }
        }
        _ => Run { value: (first >> 2 & 31) + 1, len: usize::from(first & 3) + 1, bytes: 1 },
    })
}

/// A run of registers that are not 0: `value` 1 to 32, `len` 1 to 4.
fn encode_value(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len - 1) as u8
}

/// Writes a run of `len` zeros, at most [`REGISTERS`] of them.
pub(super) fn push_zeros(len: usize, mut push: impl FnMut(u8)) {
    if len > SHORT_ZEROS_MAX {
        let [high, low] = ((len - 1) as u16).to_be_bytes();
        push(0x40 | high);
        push(low);
    } else if len > 0 {
        push((len - 1) as u8);
    }
}

/// The runs, as far as they can be read.
pub(super) fn runs(mut bytes: &[u8]) -> impl Iterator<Item = Run> {
    std::iter::from_fn(move || {
        let run = decode(bytes)?;
        bytes = &bytes[run.bytes..];
        Some(run)
    })
}

/// Calls `each` with every run and its first register.
///
/// # Errors
/// If the runs do not cover all registers exactly; `each` was called with those that could be read and lie within.
pub(super) fn for_each(bytes: &[u8], mut each: impl FnMut(usize, Run)) -> Result<(), Invalid> {
    let (mut at, mut first) = (0, 0);
    while at < bytes.len() {
        let run = decode(&bytes[at..]).ok_or(Invalid::Corrupted)?;
        if first + run.len > REGISTERS {
            return Err(Invalid::Corrupted);
        }
        each(first, run);
        at += run.bytes;
        first += run.len;
    }
    if first == REGISTERS { Ok(()) } else { Err(Invalid::Corrupted) }
}

/// What came of raising a register.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// It is now as high as asked for.
    Yes,
    /// It was as high already.
    No,
    /// The encoding cannot say it, or not in so many bytes; nothing has changed.
    MustBeDense,
}

/// Where a register lies.
struct Found {
    run: Run,
    /// Offset of the run, and of the one before it (or of itself, if it is the first).
    at: usize,
    before: usize,
    /// Registers of the run before and behind the one.
    left: usize,
    right: usize,
}

fn find(hll: &[u8], index: usize) -> Result<Found, Invalid> {
    let (mut at, mut before, mut first) = (HEADER_BYTES, HEADER_BYTES, 0);
    loop {
        let run = hll.get(at..).and_then(decode).ok_or(Invalid::Corrupted)?;
        if index < first + run.len {
            return Ok(Found { run, at, before, left: index - first, right: first + run.len - 1 - index });
        }
        before = at;
        at += run.bytes;
        first += run.len;
    }
}

/// Raises a register of a whole sparse HyperLogLog to at least `rank`, which is not 0.
///
/// # Errors
/// If the runs end before the register; then nothing has changed.
pub(super) fn raise(hll: &mut Vec<u8>, index: usize, rank: u8, max_bytes: usize) -> Result<Raised, Invalid> {
    if rank > VALUE_MAX {
        return Ok(Raised::MustBeDense);
    }
    let Found { run, at, before, left, right } = find(hll, index)?;
    if run.value >= rank {
        return Ok(Raised::No);
    }
    let mut new: SmallVec<[u8; 5]> = SmallVec::new();
    let push_old = |new: &mut SmallVec<[u8; 5]>, len: usize| match run.value {
        0 => push_zeros(len, |byte| new.push(byte)),
        value if len > 0 => new.push(encode_value(value, len)),
        _ => {}
    };
    push_old(&mut new, left);
    new.push(encode_value(rank, 1));
    push_old(&mut new, right);
    if new.len() > run.bytes && hll.len() + new.len() - run.bytes > max_bytes {
        return Ok(Raised::MustBeDense);
    }
    hll.splice(at..at + run.bytes, new);
    merge_from(hll, before);
    Ok(Raised::Yes)
}

/// Merges neighbours that are equal and not 0, among a few runs from `at` on.
fn merge_from(hll: &mut Vec<u8>, mut at: usize) {
    for _ in 0..MERGE_RUNS {
        let Some(run) = hll.get(at..).and_then(decode) else { return };
        if run.value > 0
            && let Some(next) = hll.get(at + 1..).and_then(decode)
            && next.value == run.value
            && run.len + next.len <= VALUE_RUN_MAX
        {
            hll[at] = encode_value(run.value, run.len + next.len);
            hll.remove(at + 1);
        } else {
            at += run.bytes;
        }
    }
}
