//! Earlier generations, carried along by an offline rewrite.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::pins::pin;
use super::take::{Order, take_on};
use super::{BackupError, Form, Progress};
use crate::persistence::names::Names;
use crate::persistence::toolbox::{APPEND_FOLDER, locate_folder};
use crate::sys::disk::TEMPORARY_PREFIX;
use crate::sys::{Disk, EntryKind, RealDisk};

/// What becomes of the generations before the new one. The source keeps them in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The new folder does not have them.
    Drop,
    /// They lie beside the new generation, each whole, as a server keeps them.
    Keep,
    /// They lie beside it as archives, each loaded once to prove it.
    Archive,
}

/// Puts the generation that was rewritten, and those that lie beside it, into the data folder `into`; returns where they are,
/// the oldest first.
pub fn carry(
    from: &Path,
    into: &Path,
    policy: Policy,
    databases: u32,
    time_ms: u64,
    progress: &Progress<'_>,
) -> Result<Vec<PathBuf>, BackupError> {
    if policy == Policy::Drop {
        return Ok(Vec::new());
    }
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let current = locate_folder(from).map_err(BackupError::Nothing)?;
    let mut carried = Vec::new();
    for (number, names) in generations(&*disk, &current)? {
        let name = format!("{APPEND_FOLDER}.previous-{number}");
        carried.push(match policy {
            Policy::Drop => continue,
            Policy::Keep => keep(&*disk, &names, into, &name)?,
            Policy::Archive => {
                let (from, to, form) = (names.folder(), into.to_owned(), Form::Archive);
                let order = Order { from, to, name, form, may_link: false, databases, time_ms };
                take_on(&disk, &names, &order, progress)?.path
            }
        });
    }
    Ok(carried)
}

/// The generations of a data folder with their numbers, the oldest first: those before, and the current one.
fn generations(disk: &dyn Disk, current: &Names) -> Result<Vec<(i64, Names)>, BackupError> {
    let mut found = Vec::new();
    for entry in disk.list_dir(current.dir())?.iter().filter(|entry| entry.kind == EntryKind::Dir) {
        let Some(number) = current.parse_previous(entry.name.as_encoded_bytes()) else { continue };
        let folder = entry.name.to_str().unwrap_or_default();
        let names = Names::new(current.dir(), folder, current.prefix());
        let names = names.map_err(|bad| BackupError::Name(bad.0))?;
        // Without a manifest it was never finished.
        if disk.file_len(&names.manifest())?.is_some() {
            found.push((number, names));
        }
    }
    found.sort_by_key(|(number, _)| *number);
    let last = found.last().map_or(0, |(number, _)| *number);
    found.push((last.saturating_add(1), current.clone()));
    Ok(found)
}

fn keep(disk: &dyn Disk, names: &Names, into: &Path, name: &str) -> Result<PathBuf, BackupError> {
    let folder = into.join(name);
    let mut pins = pin(disk, names)?;
    let copy = into.join(format!("{TEMPORARY_PREFIX}live"));
    pins.settle_last(disk, &copy)?;
    pins.place(disk, &folder, &names.manifest_name(), true, &mut |_| ())?;
    if disk.file_len(&copy)?.is_some() {
        disk.remove_file(&copy)?;
    }
    disk.sync_dir(into)?;
    Ok(folder)
}
