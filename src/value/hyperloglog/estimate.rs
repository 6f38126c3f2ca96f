//! From the registers to the cardinality: the improved raw estimator of Otmar Ertl, "New cardinality estimation algorithms for
//! HyperLogLog sketches" (arXiv:1702.01284), in the order of operations that gives the very numbers Redis gives.

use super::{Histogram, RANK_BITS, REGISTERS};

/// 1 / (2 ln 2): the constant for infinitely many registers.
const ALPHA_INFINITY: f64 = 0.721_347_520_444_481_7;

/// Sum of x^(2^k) * 2^(k-1) over k, and x.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

/// A third of 1 - x - the sum of (1 - x^(2^-k))^2 * 2^-k over k.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

/// What Redis makes of an estimate that does not fit an `i64`, as no elements give it but made-up registers do.
const TOO_LARGE: u64 = 1 << 63;

/// The estimate for registers whose values occur so often.
pub(super) fn cardinality(histogram: &Histogram) -> u64 {
    let registers = REGISTERS as f64;
    let full = f64::from(histogram[RANK_BITS as usize + 1]);
    let mut sum = registers * tau((registers - full) / registers);
    for count in histogram[1..=RANK_BITS as usize].iter().rev() {
        sum += f64::from(*count);
        sum *= 0.5;
    }
    sum += registers * sigma(f64::from(histogram[0]) / registers);
    let estimate = (ALPHA_INFINITY * registers * registers / sum).round();
    if estimate < TOO_LARGE as f64 { estimate as u64 } else { TOO_LARGE }
}
