use super::*;
use crate::base::random::Rng;

fn sample() -> Record {
    let lineage = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
    let block = |raw_bytes, stored_bytes, crc| Block { stored_bytes, raw_bytes, crc };
    Record {
        name: "backup-20261127T010203.004Z".to_owned(),
        time_ms: 1_795_741_323_004,
        place: Some(HistoryPoint { lineage, offset: 77 }),
        epoch: Epoch { number: 3, since: 12 },
        databases: 16,
        keys: 5,
        digest: std::array::from_fn(|at| at as u8 * 13),
        expiry_sum: -9,
        files: vec![
            StoredFile {
                role: Role::Manifest,
                name: b"a b.manifest".to_vec(),
                bytes: 9,
                crc: 1,
                blocks: vec![block(9, 30, 4)],
            },
            StoredFile {
                role: Role::Data,
                name: b"\xff.aof".to_vec(),
                bytes: BLOCK_BYTES as u64 + 1,
                crc: u64::MAX,
                blocks: vec![block(BLOCK_BYTES as u32, 8, 5), block(1, 6, 0)],
            },
            StoredFile { role: Role::Data, name: b"empty".to_vec(), bytes: 0, crc: 0, blocks: Vec::new() },
        ],
    }
}

#[test]
fn a_record_reads_back() {
    let record = sample();
    assert_eq!(Record::parse(&record.print()), Ok(record.clone()));
    let stock = Record { place: None, epoch: Epoch::UNKNOWN, files: Vec::new(), ..record };
    assert_eq!(Record::parse(&stock.print()), Ok(stock));
}

#[test]
fn no_changed_or_missing_byte_goes_unseen() {
    let text = sample().print();
    for at in 0..text.len() {
        for flip in [1, 0x20, 0x80] {
            let mut bad = text.clone();
            bad[at] ^= flip;
            assert!(Record::parse(&bad).is_err(), "byte {at}");
        }
        assert!(Record::parse(&text[..at]).is_err(), "cut at {at}");
    }
}

/// Text with a right checksum.
fn signed(body: &str) -> Vec<u8> {
    format!("{body}crc {:016x}\n", crc64(0, body.as_bytes())).into_bytes()
}

#[test]
fn a_right_checksum_does_not_make_a_record() {
    let text = String::from_utf8_lossy(&Record { files: Vec::new(), ..sample() }.print()).into_owned();
    let body = &text[..text.len() - 21];
    assert!(Record::parse(&signed(body)).is_ok(), "the helper signs as the format does");
    for (from, to) in [
        ("name backup", "name ../backup"),
        ("time 1795741323004", "time 01795741323004"),
        ("keys 5", "keys +5"),
        ("place 0123", "place 0123 "),
        ("databases 16", "databases 99999999999"),
    ] {
        assert!(body.contains(from), "{from}");
        assert!(Record::parse(&signed(&body.replace(from, to))).is_err(), "{to}");
    }
    for line in [
        "file data 3 0000000000000000 ../x\n",
        "file data 3 0000000000000000 a/b\n",
        "file data 3 0000000000000000 \n",
        "file dir 3 0000000000000000 x\n",
        "file data 3 0000000000000000 x\nblock 9 2 0000000000000000\n",
        "file data 0 0000000000000000 x\nblock 9 0 0000000000000000\n",
        "file data 9999999 0000000000000000 x\nblock 9 9999999 0000000000000000\n",
        "block 9 2 0000000000000000\n",
        "more\n",
    ] {
        assert!(Record::parse(&signed(&format!("{body}{line}"))).is_err(), "{line}");
    }
}

#[test]
fn blocks_read_back_and_damage_is_seen() {
    let mut rng = Rng::from_seed(11);
    for len in [0usize, 1, 100, 70_000, BLOCK_BYTES] {
        let noise: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
        for raw in [vec![b'a'; len], noise] {
            let (block, stored) = compress(&raw).unwrap();
            assert!(expand(&block, &stored, 20).unwrap() == raw, "{len} bytes");
            let mut bad = stored.clone();
            let at = rng.below(bad.len() as u64) as usize;
            bad[at] ^= 4;
            assert!(expand(&block, &bad, 20).is_err(), "byte {at} of {len}");
            // With a checksum that was made to fit, the frame's own must still say so, or the length.
            let forged = Block { crc: crc64(0, &bad), ..block };
            if let Ok(other) = expand(&forged, &bad, 20) {
                assert!(other.len() == raw.len());
            }
            let longer = Block { raw_bytes: block.raw_bytes + 1, ..block };
            assert!(expand(&longer, &stored, 20).is_err());
        }
    }
    assert!(compress(&vec![0; BLOCK_BYTES + 1]).is_err());
}

#[test]
fn a_frame_that_swells_is_not_believed() {
    let (block, stored) = compress(&vec![0; BLOCK_BYTES]).unwrap();
    let small = Block { raw_bytes: 10, ..block };
    assert!(expand(&small, &stored, 20).is_err());
}

#[test]
fn an_index_is_found_from_the_end() {
    let record = sample();
    let at = HEAD.len() as u64 + record.stored_bytes();
    let end = record.finish_archive(at);
    let len = at + end.len() as u64;
    let tail_of = |end: &[u8], len| Tail::parse(end.last_chunk().unwrap(), len);
    let tail = tail_of(&end, len).unwrap();
    let index = &end[..tail.bytes as usize];
    assert_eq!(tail.at, at);
    assert_eq!(tail.record(index), Ok(record.clone()));
    assert_eq!(tail_of(&end, len + 1), Err(ArchiveError::BadEnd));
    assert_eq!(tail_of(&end[..end.len() - 1], len), Err(ArchiveError::NoEnd));
    for byte in 0..end.len() {
        let mut bad = end.clone();
        bad[byte] ^= 1;
        let read = tail_of(&bad, len).and_then(|tail| {
            let index =
                usize::try_from(tail.at - at).ok().and_then(|from| bad.get(from..from + tail.bytes as usize));
            tail.record(index.unwrap_or_default())
        });
        assert!(read.is_err(), "byte {byte}");
    }
    // An index of other blocks than those before it.
    let moved = record.finish_archive(at + 1);
    let tail = tail_of(&moved, len + 1).unwrap();
    assert_eq!(tail.record(&moved[..tail.bytes as usize]), Err(ArchiveError::BadEnd));
}

#[test]
fn heads_are_told_apart() {
    assert_eq!(check_head(&HEAD), Ok(()));
    assert_eq!(check_head(b"REDIS0011"), Err(ArchiveError::NotAnArchive));
    assert_eq!(check_head(&HEAD[..10]), Err(ArchiveError::NotAnArchive));
    let mut newer = HEAD;
    newer[16] = 2;
    assert_eq!(check_head(&newer), Err(ArchiveError::Version(2)));
}

/// An archive of two files, and its record.
fn archive() -> (Record, Vec<u8>) {
    let mut rng = Rng::from_seed(9);
    let (mut bytes, mut files) = (HEAD.to_vec(), Vec::new());
    for parts in [vec![300usize], vec![], vec![90, 0, 41]] {
        let mut blocks = Vec::new();
        for part in parts {
            let raw: Vec<u8> = (0..part).map(|_| rng.next_u64() as u8).collect();
            let (block, stored) = compress(&raw).unwrap();
            bytes.extend(stored);
            blocks.push(block);
        }
        let length = blocks.iter().map(|block| u64::from(block.raw_bytes)).sum();
        files.push(StoredFile { role: Role::Data, name: b"f".to_vec(), bytes: length, crc: 0, blocks });
    }
    let record = Record { files, ..sample() };
    bytes.extend(record.finish_archive(bytes.len() as u64));
    (record, bytes)
}

fn walk(record: &Record, bytes: &[u8], piece: usize) -> Result<(), ArchiveError> {
    let mut walk = Walk::new(record);
    bytes.chunks(piece).try_for_each(|piece| walk.feed(piece))?;
    walk.finish()
}

#[test]
fn an_archive_that_passes_by_is_judged_to_the_byte() {
    let (record, good) = archive();
    assert_eq!(record.archive_bytes(), good.len() as u64);
    for piece in [1, 7, 64, good.len()] {
        assert_eq!(walk(&record, &good, piece), Ok(()), "in pieces of {piece}");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(walk(&record, &bad, piece).is_err(), "byte {at} in pieces of {piece}");
            assert_eq!(walk(&record, &good[..at], piece), Err(ArchiveError::NoEnd), "cut at {at}");
        }
        assert_eq!(walk(&record, &[&good[..], b"x"].concat(), piece), Err(ArchiveError::BadEnd));
    }
    let mut bad = good.clone();
    bad[HEAD.len()] ^= 1;
    let found = walk(&record, &bad, 5);
    assert!(matches!(found, Err(ArchiveError::Block { at: 20, .. })), "{found:?}");
}
