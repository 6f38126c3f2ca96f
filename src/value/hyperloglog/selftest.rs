//! PFSELFTEST: registers keep what they are given, both encodings agree, and the error is as small as it should be.

use super::{
    DENSE, DENSE_BYTES, ENCODING_AT, HEADER_BYTES, HyperLogLogRef, MAGIC, RANKS, REGISTERS, add, dense, empty,
};
use crate::base::random::Rng;
use thiserror::Error;

/// Elements that are added: the test's time is a good part of a second.
const ELEMENTS: u64 = 1_000_000;
/// Rounds of random registers.
const ROUNDS: usize = 50;
/// The standard error of one estimate: 1.04 / sqrt(registers).
const STANDARD_ERROR: f64 = 1.04 / 128.0;

/// What is wrong.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum SelfTestFailure {
    /// A register does not hold what was put there.
    #[error("Register {index} should be {wanted} but is {found}")]
    Register {
        /// Which.
        index: usize,
        /// What was put there.
        wanted: u8,
        /// What is there.
        found: u8,
    },
    /// Few elements, and yet the encoding for many.
    #[error("sparse encoding not used")]
    NotSparse,
    /// The same elements give different counts.
    #[error("dense/sparse disagree")]
    Disagree,
    /// The estimate is too far off.
    #[error("Too big error. card:{cardinality} abserr:{error}")]
    Error {
        /// How many there are.
        cardinality: u64,
        /// By how many the estimate is off.
        error: u64,
    },
    /// What was made by adding elements is not valid.
    #[error("{0}")]
    Invalid(#[from] super::Invalid),
}

fn registers(rng: &mut Rng) -> Result<(), SelfTestFailure> {
    let mut packed = vec![0; DENSE_BYTES - HEADER_BYTES];
    for _ in 0..ROUNDS {
        let values: Vec<u8> = (0..REGISTERS).map(|_| rng.below(RANKS as u64) as u8).collect();
        values.iter().enumerate().for_each(|(index, value)| dense::set(&mut packed, index, *value));
        for (index, wanted) in values.into_iter().enumerate() {
            let found = dense::get(&packed, index);
            if found != wanted {
                return Err(SelfTestFailure::Register { index, wanted, found });
            }
        }
    }
    Ok(())
}

/// Counts at every power of ten.
fn estimates(rng: &mut Rng, sparse_max_bytes: usize) -> Result<(), SelfTestFailure> {
    let mut dense = vec![0; DENSE_BYTES];
    dense[..MAGIC.len()].copy_from_slice(MAGIC);
    dense[ENCODING_AT] = DENSE;
    let mut other = empty();
    let seed = rng.next_u64();
    let mut checkpoint = 1;
    for n in 1..=ELEMENTS {
        let element = (n ^ seed).to_ne_bytes();
        add(&mut dense, &element, sparse_max_bytes)?;
        add(&mut other, &element, sparse_max_bytes)?;
        if n < checkpoint {
            continue;
        }
        let count = HyperLogLogRef::new(&dense)?.count()?;
        let other = HyperLogLogRef::new(&other)?;
        if n < sparse_max_bytes as u64 / 2 && other.is_dense() {
            return Err(SelfTestFailure::NotSparse);
        }
        if other.count()? != count {
            return Err(SelfTestFailure::Disagree);
        }
        let allowed = (STANDARD_ERROR * 6.0 * n as f64).ceil() as u64;
        if count.abs_diff(n) > allowed {
            return Err(SelfTestFailure::Error { cardinality: n, error: count.abs_diff(n) });
        }
        checkpoint *= 10;
    }
    Ok(())
}

/// Runs the test.
///
/// # Errors
/// What is wrong, if something is.
pub fn self_test(rng: &mut Rng, sparse_max_bytes: usize) -> Result<(), SelfTestFailure> {
    registers(rng)?;
    estimates(rng, sparse_max_bytes)
}
