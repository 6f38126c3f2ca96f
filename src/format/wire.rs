//! A snapshot on its way from one of our nodes to another, packed with LZ4.
//!
//! It is a sequence of pieces: four bytes (little-endian) that tell how long what follows is, and so many bytes, an LZ4 frame
//! with a checksum of its content. Pieces stand by themselves, so that one that was packed once can be sent to many.

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use std::io::{self, Read, Write};
use thiserror::Error;

/// Bytes of a snapshot in one piece, at most.
pub const RAW_MAX_BYTES: usize = 256 << 10;
/// The longest that so many bytes can become, and some more.
const PACKED_MAX_BYTES: usize = RAW_MAX_BYTES + (RAW_MAX_BYTES >> 4);
/// Bytes that tell a piece's length.
const LENGTH_BYTES: usize = 4;

/// Why what arrives cannot be unpacked.
#[derive(Debug, Error)]
pub enum WireError {
    /// A piece has an impossible length.
    #[error("a packed piece of {0} bytes, and {PACKED_MAX_BYTES} is the most")]
    Length(usize),
    /// It is no sound LZ4 frame.
    #[error("a packed piece that is not sound: {0}")]
    Frame(io::Error),
    /// It holds more than it may.
    #[error("a packed piece of more than {RAW_MAX_BYTES} bytes")]
    TooMuch,
    /// The end came in the middle of one.
    #[error("the end in the middle of a packed piece, {0} bytes of which are there")]
    Cut(usize),
}

/// Packs some of a snapshot.
///
/// # Errors
/// Never on sound memory: the encoder writes to a vector.
pub fn pack(raw: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(raw.len() / 2 + 64);
    for part in raw.chunks(RAW_MAX_BYTES) {
        let begin = out.len();
        out.extend_from_slice(&[0; LENGTH_BYTES]);
        let info = FrameInfo::new()
            .block_size(BlockSize::Max256KB)
            .block_mode(BlockMode::Independent)
            .content_checksum(true);
        let mut encoder = FrameEncoder::with_frame_info(info, out);
        encoder.write_all(part)?;
        out = encoder.finish()?;
        let length = u32::try_from(out.len() - begin - LENGTH_BYTES).map_err(io::Error::other)?;
        out[begin..begin + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    }
    Ok(out)
}

/// Unpacks pieces that come cut anywhere.
#[derive(Debug, Default)]
pub struct Unpacker {
    /// A piece that is not whole yet.
    begun: Vec<u8>,
    raw: Vec<u8>,
}

impl Unpacker {
    /// Takes what has arrived, and hands out what that completes.
    pub fn feed<E: From<WireError>>(
        &mut self,
        mut bytes: &[u8],
        mut content: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let wanted = match self.begun.get(..LENGTH_BYTES).and_then(|length| length.try_into().ok()) {
                None => LENGTH_BYTES,
                Some(length) => LENGTH_BYTES + packed_bytes(u32::from_le_bytes(length))?,
            };
            let (now, rest) = bytes.split_at(bytes.len().min(wanted.saturating_sub(self.begun.len())));
            self.begun.extend_from_slice(now);
            bytes = rest;
            if wanted > LENGTH_BYTES && self.begun.len() == wanted {
                self.raw.clear();
                unpack(&self.begun[LENGTH_BYTES..], &mut self.raw)?;
                self.begun.clear();
                content(&self.raw)?;
            }
        }
        Ok(())
    }

    /// Nothing more comes.
    pub fn finish(&self) -> Result<(), WireError> {
        if self.begun.is_empty() { Ok(()) } else { Err(WireError::Cut(self.begun.len())) }
    }
}

/// The length of a piece, if it is possible.
fn packed_bytes(length: u32) -> Result<usize, WireError> {
    let length = length as usize;
    if (1..=PACKED_MAX_BYTES).contains(&length) { Ok(length) } else { Err(WireError::Length(length)) }
}

fn unpack(packed: &[u8], raw: &mut Vec<u8>) -> Result<(), WireError> {
    // One byte more than there may be, to see one that is too much.
    let mut decoder = FrameDecoder::new(packed).take(RAW_MAX_BYTES as u64 + 1);
    decoder.read_to_end(raw).map_err(WireError::Frame)?;
    if raw.len() > RAW_MAX_BYTES { Err(WireError::TooMuch) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Rng;

    fn unpacked(packed: &[u8], step: usize) -> Result<Vec<u8>, WireError> {
        let (mut unpacker, mut raw) = (Unpacker::default(), Vec::new());
        for piece in packed.chunks(step) {
            unpacker.feed(piece, |bytes| {
                raw.extend_from_slice(bytes);
                Ok::<(), WireError>(())
            })?;
        }
        unpacker.finish().map(|()| raw)
    }

    /// Text that packs well and noise that does not, longer than one piece.
    fn samples() -> [Vec<u8>; 4] {
        let mut rng = Rng::from_seed(5);
        let noise: Vec<u8> = (0..RAW_MAX_BYTES * 2 + 77).map(|_| rng.below(256) as u8).collect();
        let text = b"key:000123 and its value ".repeat(30_000);
        [noise, text, b"x".to_vec(), Vec::new()]
    }

    #[test]
    fn what_was_packed_comes_out_however_it_is_cut() {
        for raw in samples() {
            let packed = pack(&raw).unwrap();
            for step in [1_000_003, 64 << 10, 7] {
                assert_eq!(unpacked(&packed, step).unwrap(), raw);
            }
            // Pieces of several packings follow each other.
            let twice = [pack(&raw).unwrap(), pack(&raw).unwrap()].concat();
            assert_eq!(unpacked(&twice, 4_096).unwrap(), raw.repeat(2));
        }
        let text = &samples()[1];
        assert!(pack(text).unwrap().len() * 4 < text.len());
    }

    #[test]
    fn what_is_damaged_or_cut_is_an_error_and_reserves_nothing() {
        let packed = pack(&b"some words of a snapshot, some words of it ".repeat(200)).unwrap();
        for at in 0..packed.len() {
            assert!(at == 0 || unpacked(&packed[..at], 11).is_err(), "cut at {at}");
            for bit in [1, 0x80] {
                let mut bad = packed.clone();
                bad[at] ^= bit;
                let sound = unpacked(&packed, 64).unwrap();
                assert!(unpacked(&bad, 64).map_or(true, |raw| raw == sound), "bit of byte {at}");
            }
        }
        let huge = [u32::MAX.to_le_bytes(), [0; 4]].concat();
        assert!(matches!(unpacked(&huge, 8), Err(WireError::Length(_))));
        assert!(matches!(unpacked(&[0; 4], 4), Err(WireError::Cut(4))));
        let mut unpacker = Unpacker::default();
        let fed = unpacker.feed(&[0, 0, 0, 0, 1], |_| Ok::<(), WireError>(()));
        assert!(matches!(fed, Err(WireError::Length(0))), "an empty piece");
        // More inside than a piece may hold.
        let mut encoder = FrameEncoder::new(Vec::new());
        encoder.write_all(&vec![b'z'; RAW_MAX_BYTES + 1]).unwrap();
        let frame = encoder.finish().unwrap();
        let bomb = [&(frame.len() as u32).to_le_bytes()[..], &frame].concat();
        assert!(matches!(unpacked(&bomb, 4_096), Err(WireError::TooMuch)));
    }
}
