//! A length of two bytes, then a compressed stream; and the same bytes as something to compress.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::format::lzf::{Compressor, decompress};

fuzz_target!(|data: &[u8]| {
    let Some((len, stream)) = data.split_first_chunk::<2>() else { return };
    let len = usize::from(u16::from_le_bytes(*len));
    let mut out = Vec::new();
    match decompress(stream, len, &mut out) {
        Ok(()) => assert_eq!(out.len(), len),
        Err(_) => assert!(out.is_empty()),
    }
    let mut packed = Vec::new();
    let bound = data.len() + data.len() / 16 + 16;
    if let Some(packed_len) = Compressor::new().compress(data, bound, &mut packed) {
        assert_eq!(packed_len, packed.len());
        out.clear();
        decompress(&packed, data.len(), &mut out).expect("what was compressed expands");
        assert_eq!(out, data);
    } else {
        assert!(data.len() < 4);
    }
});
