//! Files larger than the memory that a check may take. They are mostly holes: they take no room on the disk.

use super::scale::scaled;
use super::support::{CHECK, RDB_CHECK, json, shown};
use nix::sys::resource::{UsageWho, getrusage};
use outrigger::base::crc::crc64;
use outrigger::format::aof::seal::{Lineage, Sealer};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use tempfile::TempDir;

/// What a check may take, in bytes. The files are longer, and so is one of their values.
const MOST_BYTES: u64 = 256_000_000;
/// One value, in bytes.
const LONG_BYTES: usize = 320 << 20;
const LONGEST_BYTES: usize = 3 << 30;
/// Many values; together a file of 10 GiB with `OUTRIGGER_TEST_SCALE=32`.
const SHORT_VALUES: usize = 320;
const SHORT_BYTES: usize = 1 << 20;

/// The most that a program which this process has run and waited for has held, in bytes.
fn most_held() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("ask what programs used");
    u64::try_from(usage.max_rss()).expect("a size") * 1024
}

/// A file with holes, and the CRC64 of what is in it.
struct Sparse {
    file: File,
    crc: u64,
}

impl Sparse {
    fn create(path: &Path) -> Sparse {
        Sparse { file: File::create(path).expect("make a file"), crc: 0 }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).expect("write a file");
        self.crc = crc64(self.crc, bytes);
    }

    /// Leaves a hole, which reads as zeros.
    fn hole(&mut self, len: usize) {
        self.file.seek(SeekFrom::Current(i64::try_from(len).expect("a length"))).expect("leave a hole");
        let zeros = vec![0; SHORT_BYTES];
        for at in (0..len).step_by(SHORT_BYTES) {
            self.crc = crc64(self.crc, &zeros[..(len - at).min(SHORT_BYTES)]);
        }
    }
}

/// The lengths of the values: many short ones, and a long one.
fn lengths() -> impl Iterator<Item = usize> {
    std::iter::repeat_n(SHORT_BYTES, scaled(SHORT_VALUES)).chain([scaled(LONG_BYTES).min(LONGEST_BYTES)])
}

/// A snapshot of strings of zeros, of version 9, database 0.
fn snapshot(path: &Path) {
    let mut file = Sparse::create(path);
    file.write(b"REDIS0009\xfe\x00");
    for (n, len) in lengths().enumerate() {
        let key = format!("key:{n:08}");
        file.write(&[0, u8::try_from(key.len()).expect("a short key")]);
        file.write(key.as_bytes());
        file.write(&[0x80]);
        file.write(&u32::try_from(len).expect("a length").to_be_bytes());
        file.hole(len);
    }
    file.write(&[0xff]);
    let crc = file.crc.to_le_bytes();
    file.write(&crc);
}

/// A log that sets such strings, with a seal behind each.
fn log(path: &Path) {
    let mut file = Sparse::create(path);
    let mut line = Vec::new();
    let mut sealer = Sealer::start(Lineage::NONE, 0, 1_000, &mut line);
    file.write(&line);
    for (n, len) in lengths().enumerate() {
        let head = format!("*3\r\n$3\r\nSET\r\n$12\r\nkey:{n:08}\r\n${len}\r\n");
        file.write(head.as_bytes());
        file.hole(len);
        file.write(b"\r\n");
        let (bytes, lineage) = ((head.len() + len + 2) as u64, sealer.lineage());
        sealer = Sealer::resume(sealer.file_len() + bytes, file.crc, lineage, sealer.offset() + bytes);
        line.clear();
        sealer.seal(1_000, &mut line);
        file.write(&line);
    }
}

#[test]
fn checks_take_less_memory_than_a_file_or_a_value_of_it() {
    let home = TempDir::new().expect("make a temporary folder");
    let (dump, appended) = (home.path().join("dump.rdb"), home.path().join("appendonly.aof"));
    snapshot(&dump);
    log(&appended);
    let keys = lengths().count();
    let report = json(0, RDB_CHECK, &[shown(&dump)]);
    assert_eq!(report["keys"], keys, "{report}");
    assert!(report["crc64"].is_string(), "{report}");
    let report = json(0, CHECK, &[shown(&appended)]);
    assert_eq!(report["files"][0]["records"], keys, "{report}");
    assert_eq!(report["files"][0]["seals"], keys + 1, "{report}");
    let held = most_held();
    eprintln!("{} MiB held at most", held >> 20);
    assert!(held > 1 << 20 && held < MOST_BYTES, "{held} bytes of memory");
}
