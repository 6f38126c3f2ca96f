//! A restore, rehearsed: the files loaded as a start would load them, strictly.

use std::path::Path;

use super::{BackupError, Progress, said};
use crate::base::time::{Clock, SystemClock};
use crate::command::Settings;
use crate::format::aof::seal::Epoch;
use crate::format::aof::verify::HistoryPoint;
use crate::format::archive::Record;
use crate::keyspace::Keyspace;
use crate::persistence::names::Names;
use crate::persistence::offline::Fingerprint;
use crate::persistence::recovery::{LoadFrom, RecoverOptions, recover};
use crate::sys::Disk;

/// What was loaded.
pub(super) struct Rehearsed {
    pub(super) place: Option<HistoryPoint>,
    pub(super) epoch: Epoch,
    pub(super) fingerprint: Fingerprint,
}

/// Loads a folder. Nothing may be left out at its end.
pub(super) fn rehearse(
    disk: &dyn Disk,
    names: &Names,
    databases: u32,
    progress: &Progress<'_>,
) -> Result<Rehearsed, BackupError> {
    let now_ms = i64::try_from(SystemClock::new().unix_ms()).unwrap_or(i64::MAX);
    let settings = Settings::default();
    let options = RecoverOptions { from: LoadFrom::AppendOnly, may_cut: false, settings, now_ms };
    let keyspace = Keyspace::new(databases);
    let nowhere = names.dir().join("no-snapshot");
    let mut told = |done, total| progress("loading", done, total);
    let loaded = recover(disk, names, &nowhere, &keyspace, &options, &mut told)?;
    let fingerprint = Fingerprint::of(&keyspace);
    Ok(Rehearsed { place: loaded.point.map(|point| point.history()), epoch: loaded.epoch, fingerprint })
}

impl Rehearsed {
    /// Holds it against the record of the backup at `path`.
    pub(super) fn compare(&self, record: &Record, path: &Path) -> Result<(), BackupError> {
        let found = &self.fingerprint;
        let same = (found.keys, *found.digest.as_bytes(), found.expiry_sum, self.place)
            == (record.keys, record.digest, record.expiry_sum, record.place);
        if same {
            return Ok(());
        }
        let digest: String = record.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let end = |place: Option<HistoryPoint>| {
            place.map_or_else(String::new, |place| format!(", offset {}", place.offset))
        };
        let wanted = format!("{} keys, digest {digest}{}", record.keys, end(record.place));
        let found = format!("{}{}", said(found), end(self.place));
        Err(BackupError::Differs { path: path.to_owned(), wanted, found })
    }
}
