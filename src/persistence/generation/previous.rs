//! Earlier generations, each whole in a folder of its own.
//!
//! The folder is made of hard links, and its manifest is written last and removed first: a folder without a manifest
//! is unfinished and belongs to nobody.

use std::path::{Path, PathBuf};

use super::{GenerationError, write_manifest};
use crate::format::aof::manifest::{FileEntry, FileKind, Manifest};
use crate::persistence::names::Names;
use crate::sys::{Disk, DiskError, EntryKind};

/// Keeps the files of `manifest`, which must not be written to again. Returns the folder.
pub(super) fn keep(disk: &dyn Disk, names: &Names, manifest: &Manifest) -> Result<PathBuf, GenerationError> {
    let wanted = manifest.base.as_ref().or(manifest.incr.first()).map_or(0, |entry| entry.seq);
    let folder = free_folder(disk, names, wanted)?;
    disk.create_dir_all(&folder)?;
    let filled = fill(disk, names, manifest, &folder);
    if filled.is_err() {
        // What cannot be removed now is cleared when the number is wanted again.
        let _ = clear(disk, names, &folder);
    }
    filled.map(|()| folder)
}

fn fill(disk: &dyn Disk, names: &Names, manifest: &Manifest, folder: &Path) -> Result<(), GenerationError> {
    use std::os::unix::ffi::OsStrExt;
    let live = |entry: &&FileEntry| entry.kind != FileKind::History;
    for entry in manifest.files().filter(live) {
        let name = std::ffi::OsStr::from_bytes(&entry.name);
        disk.hard_link(&names.path(&entry.name), &folder.join(name))?;
    }
    for file in disk.list_dir(&names.folder())? {
        if names.parse_torn(file.name.as_encoded_bytes()).is_some() {
            disk.hard_link(&names.folder().join(&file.name), &folder.join(&file.name))?;
        }
    }
    let kept = Manifest { history: Vec::new(), ..manifest.clone() };
    write_manifest(disk, &folder.join(names.manifest_name()), &kept)
}

/// The first folder from number `wanted` on that is free; one that was left unfinished is cleared.
fn free_folder(disk: &dyn Disk, names: &Names, wanted: i64) -> Result<PathBuf, GenerationError> {
    let mut number = wanted.max(0);
    let there = numbers(disk, names)?;
    while there.contains(&number) {
        let folder = names.previous_folder(number);
        if disk.file_len(&folder.join(names.manifest_name()))?.is_none() {
            clear(disk, names, &folder)?;
            break;
        }
        number += 1;
    }
    Ok(names.previous_folder(number))
}

/// Removes all earlier generations but the latest `keep`.
pub(super) fn prune(disk: &dyn Disk, names: &Names, keep: usize) -> Result<(), DiskError> {
    let numbers = numbers(disk, names)?;
    let surplus = numbers.len().saturating_sub(keep);
    numbers.iter().take(surplus).try_for_each(|number| clear(disk, names, &names.previous_folder(*number)))
}

/// The numbers of earlier generations, ascending.
fn numbers(disk: &dyn Disk, names: &Names) -> Result<Vec<i64>, DiskError> {
    let entries = disk.list_dir(names.dir())?;
    let folders = entries.iter().filter(|entry| entry.kind == EntryKind::Dir);
    let mut numbers: Vec<i64> =
        folders.filter_map(|entry| names.parse_previous(entry.name.as_encoded_bytes())).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes a folder of an earlier generation with the files in it.
fn clear(disk: &dyn Disk, names: &Names, folder: &Path) -> Result<(), DiskError> {
    let manifest = folder.join(names.manifest_name());
    if disk.file_len(&manifest)?.is_some() {
        disk.remove_file(&manifest)?;
        disk.sync_dir(folder)?;
    }
    for file in disk.list_dir(folder)?.iter().filter(|file| file.kind == EntryKind::File) {
        disk.remove_file(&folder.join(&file.name))?;
    }
    disk.sync_dir(folder)?;
    disk.remove_dir(folder)?;
    disk.sync_dir(names.dir())
}
