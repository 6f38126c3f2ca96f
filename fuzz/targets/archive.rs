//! The record of a backup (its checksum made right, as no chance would), the end of an archive, and a block.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::base::crc::crc64;
use outrigger::format::archive::{
    BLOCK_BYTES, Block, HEAD, Record, TAIL_BYTES, Tail, check_head, compress, expand,
};

fuzz_target!(|bytes: &[u8]| {
    let mut text = bytes.to_vec();
    text.extend(format!("crc {:016x}\n", crc64(0, bytes)).bytes());
    if let Ok(record) = Record::parse(&text) {
        assert_eq!(record.print(), text, "there is one way to write it");
        assert!(record.files.iter().all(|file| !file.name.contains(&b'/') && file.name != b".."));
        let at = HEAD.len() as u64 + record.stored_bytes();
        let end = record.finish_archive(at);
        let tail =
            Tail::parse(end.last_chunk().expect("an end"), at + end.len() as u64).expect("an end of ours");
        assert_eq!(tail.record(&end[..end.len() - TAIL_BYTES]).expect("a record"), record);
    }
    let _ = check_head(bytes);
    if let Some(tail) = bytes.last_chunk()
        && let Ok(tail) = Tail::parse(tail, bytes.len() as u64)
    {
        let (from, to) = (tail.at as usize, (tail.at + tail.bytes) as usize);
        let _ = tail.record(&bytes[from..to]);
    }
    if let Some((raw_bytes, stored)) = bytes.split_first_chunk() {
        let raw_bytes = u32::from_le_bytes(*raw_bytes) % (BLOCK_BYTES as u32 + 2);
        let block = Block { stored_bytes: stored.len() as u32, raw_bytes, crc: crc64(0, stored) };
        if let Ok(raw) = expand(&block, stored, 0) {
            assert_eq!(raw.len(), raw_bytes as usize);
        }
        let (block, packed) = compress(&bytes[..bytes.len().min(BLOCK_BYTES)]).expect("it fits");
        assert_eq!(expand(&block, &packed, 0).expect("what was packed"), bytes);
    }
});
