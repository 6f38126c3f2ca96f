//! A snapshot that is packed for the wire, cut into pieces of a length that the first byte tells; and the same as something to pack.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::format::wire::{RAW_MAX_BYTES, Unpacker, WireError, pack};

/// What comes out, or why nothing does.
fn unpack(packed: &[u8], step: usize) -> Result<Vec<u8>, WireError> {
    let (mut unpacker, mut raw) = (Unpacker::default(), Vec::new());
    for piece in packed.chunks(step) {
        unpacker.feed(piece, |bytes| {
            assert!(bytes.len() <= RAW_MAX_BYTES);
            raw.extend_from_slice(bytes);
            Ok::<(), WireError>(())
        })?;
    }
    unpacker.finish().map(|()| raw)
}

fuzz_target!(|data: &[u8]| {
    let Some((step, stream)) = data.split_first() else { return };
    let step = usize::from(*step) + 1;
    let (cut, whole) = (unpack(stream, step), unpack(stream, usize::MAX));
    assert_eq!(cut.ok(), whole.ok(), "however it is cut");
    assert_eq!(unpack(&pack(stream).expect("it packs"), step).expect("what was packed"), stream);
});
