//! Archives: files into blocks, and blocks into files, on all cores and in bounded memory.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::pins::{Pinned, need};
use super::{BackupError, Progress};
use crate::base::crc::crc64;
use crate::format::archive::{
    ArchiveError, BLOCK_BYTES, Block, HEAD, Record, Role, StoredFile, TAIL_BYTES, Tail, check_head, compress,
    expand,
};
use crate::sys::{Disk, DiskError, DiskFile, DiskOp, DiskRead};

/// Most threads that work on blocks: each has two of them in memory.
const MAX_HANDS: usize = 16;
/// The archive is fsynced each time about this much was written.
const SYNC_EVERY_BYTES: u64 = 64 << 20;

fn hands() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_HANDS)
}

/// Does the same to each item, each on a thread of its own.
fn each<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 {
        return items.into_iter().map(work).collect();
    }
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = items.into_iter().map(|item| scope.spawn(move || work(item))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, R>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    })
}

/// Writes the head and all blocks of an archive; what an index is to say of them.
pub(super) fn pack(
    out: &mut dyn DiskFile,
    manifest: &Pinned,
    files: &[Pinned],
    progress: &Progress<'_>,
) -> Result<Vec<StoredFile>, BackupError> {
    let total = manifest.len + files.iter().map(|file| file.len).sum::<u64>();
    let mut packer = Packer { out, unsynced: 0, done: 0, total, progress };
    packer.write(&HEAD)?;
    let mut stored = vec![packer.file(Role::Manifest, manifest)?];
    for file in files {
        stored.push(packer.file(Role::Data, file)?);
    }
    packer.out.sync_data()?;
    Ok(stored)
}

struct Packer<'a> {
    out: &'a mut dyn DiskFile,
    unsynced: u64,
    done: u64,
    total: u64,
    progress: &'a Progress<'a>,
}

impl Packer<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.out.write_all(bytes)?;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.out.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    fn file(&mut self, role: Role, file: &Pinned) -> Result<StoredFile, BackupError> {
        let (mut at, mut crc, mut blocks) = (0, 0, Vec::new());
        while at < file.len {
            let mut batch = Vec::new();
            while batch.len() < hands() && at < file.len {
                let raw = read_part(&*file.reader, at, file.len.min(at + BLOCK_BYTES as u64), &file.path)?;
                at += raw.len() as u64;
                crc = crc64(crc, &raw);
                batch.push(raw);
            }
            for made in each(batch, |raw| compress(&raw)) {
                let (block, stored) =
                    made.map_err(|error| DiskError::new(DiskOp::Write, self.out.path(), error))?;
                self.write(&stored)?;
                blocks.push(block);
                self.done += u64::from(block.raw_bytes);
            }
            (self.progress)("copying", self.done, self.total);
        }
        Ok(StoredFile { role, name: file.name.clone(), bytes: file.len, crc, blocks })
    }
}

/// The bytes from `from` to `to`, all of them.
fn read_part(reader: &dyn DiskRead, from: u64, to: u64, path: &Path) -> Result<Vec<u8>, BackupError> {
    let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0).min(BLOCK_BYTES)];
    let read = reader.read_at(from, &mut bytes)?;
    if read < bytes.len() {
        let what = format!("it ends at byte {}, and {to} are needed", from + read as u64);
        return Err(BackupError::File { path: path.to_owned(), what });
    }
    Ok(bytes)
}

/// Puts the files of an archive into `folder`, and holds each against its checksum.
pub(super) fn unpack(
    disk: &dyn Disk,
    archive: &Path,
    files: &[StoredFile],
    folder: &Path,
    progress: &Progress<'_>,
) -> Result<(), BackupError> {
    let total = files.iter().map(|file| file.bytes).sum();
    disk.create_dir_all(folder)?;
    need(disk, folder, total)?;
    let reader = disk.open_read(archive)?;
    let bad = |error| BackupError::Archive { path: archive.to_owned(), error };
    let (mut at, mut done) = (HEAD.len() as u64, 0);
    for file in files {
        let mut failed = None;
        let mut crc = 0;
        let path = folder.join(std::ffi::OsStr::from_bytes(&file.name));
        let written = disk.write_whole(&path, &mut |out| {
            for batch in file.blocks.chunks(hands()) {
                let raw = read_blocks(&*reader, archive, batch, &mut at).map_err(|error| {
                    failed = Some(error);
                    std::io::Error::other("the archive is damaged")
                })?;
                for raw in raw {
                    crc = crc64(crc, &raw);
                    out.write_all(&raw)?;
                    done += raw.len() as u64;
                }
                progress("checking", done, total);
            }
            Ok(())
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if written? != file.bytes || crc != file.crc {
            let name = String::from_utf8_lossy(&file.name).into_owned();
            return Err(bad(ArchiveError::File { name, recorded: file.crc, found: crc }));
        }
    }
    Ok(())
}

fn read_blocks(
    reader: &dyn DiskRead,
    archive: &Path,
    blocks: &[Block],
    at: &mut u64,
) -> Result<Vec<Vec<u8>>, BackupError> {
    let mut batch = Vec::new();
    for block in blocks {
        let mut stored = vec![0; block.stored_bytes as usize];
        let read = reader.read_at(*at, &mut stored)?;
        stored.truncate(read);
        batch.push((*block, stored, *at));
        *at += u64::from(block.stored_bytes);
    }
    let expanded = each(batch, |(block, stored, at)| expand(&block, &stored, at));
    let bad = |error| BackupError::Archive { path: archive.to_owned(), error };
    expanded.into_iter().collect::<Result<_, _>>().map_err(bad)
}

/// Reads what an archive says of itself, from its end.
pub(super) fn read_index(disk: &dyn Disk, path: &Path) -> Result<Record, BackupError> {
    let bad = |error| BackupError::Archive { path: path.to_owned(), error };
    let reader = disk.open_read(path)?;
    let mut head = [0; HEAD.len()];
    let read = reader.read_at(0, &mut head)?;
    check_head(head.get(..read).unwrap_or_default()).map_err(bad)?;
    let len = reader.len()?;
    let mut tail = [0; TAIL_BYTES];
    let read = reader.read_at(len.saturating_sub(TAIL_BYTES as u64), &mut tail)?;
    if read < TAIL_BYTES {
        return Err(bad(ArchiveError::NoEnd));
    }
    let tail = Tail::parse(&tail, len).map_err(bad)?;
    // Bounded by what a tail may name.
    let mut index = vec![0; usize::try_from(tail.bytes).unwrap_or(0)];
    let read = reader.read_at(tail.at, &mut index)?;
    tail.record(index.get(..read).unwrap_or_default()).map_err(bad)
}
