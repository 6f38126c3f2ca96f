use super::*;
use proptest::prelude::*;

/// The model: a bit a bool.
fn bits_of(bytes: &[u8]) -> Vec<bool> {
    bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect()
}

fn bytes_of(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}

/// Mostly runs of one byte, so that searches go far.
fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    let run = (prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 0usize..90);
    prop::collection::vec(run, 0..4)
        .prop_map(|runs| runs.into_iter().flat_map(|(byte, len)| std::iter::repeat_n(byte, len)).collect())
}

proptest! {
    #[test]
    fn counts_and_finds_as_bit_by_bit(bytes in some_bytes(), a in 0u64..2200, b in 0u64..2200, wanted: bool) {
        let len = bytes.len() as u64 * 8;
        let range = a.min(len)..b.min(len);
        let bits = bits_of(&bytes);
        let within = || (range.start..range.end).map(|at| bits[at as usize]);
        prop_assert_eq!(count_ones(&bytes), bits.iter().filter(|bit| **bit).count() as u64);
        prop_assert_eq!(count_ones_in(&bytes, range.clone()), within().filter(|bit| *bit).count() as u64);
        let found = within().position(|bit| bit == wanted).map(|at| at as u64 + range.start);
        prop_assert_eq!(find(&bytes, wanted, range.clone()), found);
    }

    #[test]
    fn combines_as_bit_by_bit(sources in prop::collection::vec(some_bytes(), 1..5)) {
        let len = sources.iter().map(Vec::len).max().unwrap();
        let padded: Vec<Vec<bool>> = sources.iter().map(|source| {
            let mut bits = bits_of(source);
            bits.resize(len * 8, false);
            bits
        }).collect();
        let borrowed: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
        let model = |op: fn(bool, bool) -> bool| {
            let column = |at: usize| padded.iter().map(|bits| bits[at]).reduce(op).unwrap();
            bytes_of(&(0..len * 8).map(column).collect::<Vec<_>>())
        };
        prop_assert_eq!(combine(BitOp::And, &borrowed), model(|a, b| a & b));
        prop_assert_eq!(combine(BitOp::Or, &borrowed), model(|a, b| a | b));
        prop_assert_eq!(combine(BitOp::Xor, &borrowed), model(|a, b| a ^ b));
        let inverse: Vec<u8> = sources[0].iter().map(|byte| !byte).collect();
        prop_assert_eq!(combine(BitOp::Not, &borrowed[..1]), inverse);
    }

    #[test]
    fn fields_are_runs_of_bits(mut bytes in some_bytes(), at in 0u64..2200, width in 1u32..=64, value: u64) {
        let mut bits = bits_of(&bytes);
        let place = at as usize..at as usize + width as usize;
        let model = place.clone().fold(0u64, |sum, at| sum << 1 | u64::from(bits.get(at) == Some(&true)));
        prop_assert_eq!(field(&bytes, at, width), model);
        prop_assert_eq!(bit(&bytes, at), bits.get(at as usize) == Some(&true));
        for (index, at) in place.enumerate() {
            if let Some(bit) = bits.get_mut(at) {
                *bit = value >> (width as usize - 1 - index) & 1 == 1;
            }
        }
        set_field(&mut bytes, at, width, value);
        prop_assert_eq!(&bytes, &bytes_of(&bits));
        let known = bits.get(at as usize).copied();
        prop_assert_eq!(set_bit(&mut bytes, at, true), known.unwrap_or(false));
        prop_assert_eq!(bit(&bytes, at), known.is_some());
        set_bit(&mut bytes, at, known.unwrap_or(false));
        prop_assert_eq!(bytes, bytes_of(&bits));
    }
}

#[test]
fn signs() {
    assert_eq!((sign_extended(0xff, 8), sign_extended(0x7f, 8), sign_extended(1, 1)), (-1, 127, -1));
    assert_eq!(sign_extended(u64::MAX, 64), -1);
}
