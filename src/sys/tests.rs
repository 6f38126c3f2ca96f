use std::io;
use std::path::Path;

use super::*;

#[test]
fn append_sync_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut log = RealDisk.create_new(&path).unwrap();
    assert!(log.is_empty() && log.path() == path);
    log.write_all(b"hello ").unwrap();
    assert_eq!((log.len(), log.durable_len()), (6, 0));
    assert_eq!(log.sync_handle().sync_data().unwrap(), 6);
    drop(log);
    assert!(RealDisk.create_new(&path).err().unwrap().is_already_there());
    let mut log = RealDisk.open_append(&path).unwrap();
    assert_eq!((log.len(), log.durable_len()), (6, 6));
    log.write_all(b"world").unwrap();
    assert_eq!(log.sync_data().unwrap(), 11);
    assert_eq!(&RealDisk.read_sealed(&path).unwrap()[..], b"hello world");
    let file = RealDisk.open_read(&path).unwrap();
    let mut buf = [0; 20];
    assert_eq!((file.read_at(6, &mut buf).unwrap(), &buf[..5]), (5, &b"world"[..]));
    assert_eq!((file.read_at(12, &mut buf).unwrap(), file.is_empty().unwrap()), (0, false));
    assert!(RealDisk.open_append(&dir.path().join("none")).err().unwrap().is_not_found());
}

#[test]
fn a_real_write_error_poisons() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let file = std::fs::OpenOptions::new().append(true).open(full).unwrap();
    let mut log = appender::Appender::new(file, full, 0);
    assert!(log.write_all(b"x").unwrap_err().is_full());
    let refused = log.sync_data().unwrap_err();
    assert!(refused.is_poisoned(), "{refused}");
    assert!(refused.to_string().contains("/dev/full"));
}

#[test]
fn write_whole_replaces_or_leaves_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dump.rdb");
    let block = vec![7_u8; 300_000];
    let written = RealDisk.write_whole(&path, &mut |out| (0..3).try_for_each(|_| out.write_all(&block)));
    assert_eq!(written.unwrap(), 900_000);
    assert_eq!(RealDisk.file_len(&path).unwrap(), Some(900_000));
    let old = RealDisk.read_sealed(&path).unwrap();
    let failed = RealDisk.write_whole(&path, &mut |out| {
        out.write_all(b"half")?;
        Err(io::Error::other("no more"))
    });
    let failed = failed.unwrap_err();
    assert_eq!((failed.op, failed.source.to_string().as_str()), (DiskOp::Write, "no more"));
    assert_eq!(RealDisk.list_dir(dir.path()).unwrap().len(), 1, "the temporary file must be gone");
    RealDisk.write_whole(&path, &mut |out| out.write_all(b"new")).unwrap();
    assert_eq!(&RealDisk.read_sealed(&path).unwrap()[..], b"new");
    // The map of the replaced file still holds the old bytes, whole.
    old.release_before(old.len());
    assert_eq!(&old[..], &vec![7_u8; 900_000][..]);
}

#[test]
fn folders_names_and_sweeping() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b/c");
    RealDisk.create_dir_all(&deep).unwrap();
    RealDisk.create_dir_all(&deep).unwrap();
    let (one, two, three) = (deep.join("one"), deep.join("two"), dir.path().join("three"));
    RealDisk.create_new(&one).unwrap().write_all(b"1").unwrap();
    RealDisk.hard_link(&one, &two).unwrap();
    assert!(RealDisk.hard_link(&one, &two).unwrap_err().is_already_there());
    RealDisk.rename_durable(&two, &three).unwrap();
    RealDisk.create_new(&deep.join(".outrigger-tmp-dead")).unwrap();
    assert_eq!(sweep_temporaries(&RealDisk, &deep).unwrap(), 1);
    let names = RealDisk.list_dir(&deep).unwrap();
    assert_eq!(names, [FileEntry { name: "one".into(), len: 1, kind: EntryKind::File }]);
    assert_eq!(RealDisk.list_dir(dir.path()).unwrap()[0].kind, EntryKind::Dir);
    RealDisk.remove_file(&one).unwrap();
    RealDisk.remove_dir(&deep).unwrap();
    assert_eq!(RealDisk.file_len(&one).unwrap(), None);
    assert!(RealDisk.available_bytes(dir.path()).unwrap() > 0);
    assert!(RealDisk.create_dir_all(&three.join("x")).is_err(), "a file is in the way");
}

#[test]
fn mapping_refuses_what_is_no_file_and_takes_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    assert!(RealDisk.read_sealed(dir.path()).is_err());
    assert!(RealDisk.read_sealed(Path::new("/proc/self")).is_err());
    let empty = dir.path().join("empty");
    RealDisk.create_new(&empty).unwrap();
    assert!(RealDisk.read_sealed(&empty).unwrap().is_empty());
}

/// How many bytes of the map that begins where `bytes` do are in memory.
fn resident_bytes(bytes: &[u8]) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let begins = format!("{:x}-", bytes.as_ptr() as usize);
    let mut lines = maps.lines().skip_while(|line| !line.starts_with(&begins));
    let line = lines.find_map(|line| line.strip_prefix("Rss:")).expect("the map is listed");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn what_lies_behind_a_reading_is_given_back() {
    const BYTES: usize = 10 * WINDOW_BYTES + 12_345;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big");
    let block: Vec<u8> = (0..BYTES).map(|n| (n / 1000) as u8).collect();
    RealDisk.write_whole(&path, &mut |out| out.write_all(&block)).unwrap();
    let file = RealDisk.read_sealed(&path).unwrap();
    assert!(file[..] == block[..]);
    assert!(resident_bytes(&file) >= 10 * WINDOW_BYTES as u64);
    file.release(0..BYTES);
    assert!(resident_bytes(&file) <= 4 << 20);

    let (mut most, mut at) = (0, 3_000);
    for piece in file.windows(3_000..BYTES) {
        assert!(!piece.is_empty() && piece == &block[at..at + piece.len()]);
        at += piece.len();
        most = resident_bytes(&file).max(most);
    }
    assert_eq!(at, BYTES);
    assert!(most <= 3 * WINDOW_BYTES as u64 && resident_bytes(&file) <= 4 << 20, "{most}");

    let (mut behind, mut most) = (file.behind(0), 0);
    for (n, piece) in file.chunks(100_000).enumerate() {
        assert!(piece == &block[n * 100_000..][..piece.len()]);
        behind.at(n * 100_000);
        most = resident_bytes(&file).max(most);
    }
    assert!(most <= 3 * WINDOW_BYTES as u64, "{most}");
    assert_eq!(file.windows(7..7).count() + file.windows(BYTES..BYTES + 9).count(), 0);
    assert_eq!(file.windows(BYTES - 3..BYTES + 9).map(<[u8]>::len).collect::<Vec<_>>(), [3]);
}
