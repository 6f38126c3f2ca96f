//! One block: some megabytes of a file as an LZ4 frame that stands by itself.

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::{ArchiveError, BLOCK_BYTES, Block, MAX_STORED_BYTES};
use crate::base::crc::crc64;

/// Makes a block of at most [`BLOCK_BYTES`].
///
/// # Errors
/// More bytes than go into a block.
pub fn compress(raw: &[u8]) -> io::Result<(Block, Vec<u8>)> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "more bytes than go into a block");
    if raw.len() > BLOCK_BYTES {
        return Err(too_long());
    }
    let info = FrameInfo::new()
        .block_size(BlockSize::Max4MB)
        .block_mode(BlockMode::Independent)
        .content_size(Some(raw.len() as u64))
        .content_checksum(true);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::with_capacity(raw.len() / 2));
    encoder.write_all(raw)?;
    let stored = encoder.finish()?;
    if stored.len() > MAX_STORED_BYTES {
        return Err(too_long());
    }
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| too_long());
    Ok((Block { stored_bytes: length(&stored)?, raw_bytes: length(raw)?, crc: crc64(0, &stored) }, stored))
}

/// The bytes of a block that begins at byte `at` of its archive.
pub fn expand(block: &Block, stored: &[u8], at: u64) -> Result<Vec<u8>, ArchiveError> {
    let bad = |what: String| ArchiveError::Block { at, what };
    let wanted = block.raw_bytes as usize;
    if stored.len() != block.stored_bytes as usize || wanted > BLOCK_BYTES {
        return Err(bad(format!("{} bytes are there", stored.len())));
    }
    let found = crc64(0, stored);
    if found != block.crc {
        return Err(bad(format!("its checksum is {found:016x}, and the index says {:016x}", block.crc)));
    }
    let mut raw = Vec::with_capacity(wanted);
    // One byte more than there should be, to see one that is too much.
    let mut decoder = FrameDecoder::new(stored).take(wanted as u64 + 1);
    decoder.read_to_end(&mut raw).map_err(|error| bad(error.to_string()))?;
    if raw.len() != wanted {
        return Err(bad(format!("it does not hold the {wanted} bytes that the index says")));
    }
    Ok(raw)
}
