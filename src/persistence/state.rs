//! The state that files hold, in memory: for tools that do something else with it than write it to a new folder.

use std::path::Path;
use std::sync::Arc;

use super::load::{Inserting, LoadError, load_rdb};
use super::offline::{Fingerprint, Offline, OfflineError, RestoreTo, Wanted};
use super::recovery::{LoadFrom, RecoverOptions, Recovered, RecoveryError, RecoveryErrorKind};
use super::snapshot::SnapshotOptions;
use super::toolbox::{Located, ToolError, locate};
use crate::base::time::{Clock, SystemClock};
use crate::command::Settings;
use crate::keyspace::Keyspace;
use crate::sys::{Disk, RealDisk};

/// What files hold.
pub struct State {
    /// The data.
    pub keyspace: Keyspace,
    /// What tells it from other data.
    pub fingerprint: Fingerprint,
    /// What a folder's files came to; `None` for a snapshot file.
    pub source: Option<Recovered>,
    /// Sources of function libraries.
    pub functions: Vec<Vec<u8>>,
}

/// Loads what is wanted of a folder of append-only files, or of a snapshot file. A torn end of a log is left out.
pub fn load_state(
    from: &Path,
    wanted: &Wanted,
    databases: u32,
    progress: &dyn Fn(u64, u64),
) -> Result<State, ToolError> {
    let clock = SystemClock::new();
    let now_ms = i64::try_from(clock.unix_ms()).unwrap_or(i64::MAX);
    let settings = Settings::default();
    let inserting = Inserting::new(&settings, now_ms);
    let options = RecoverOptions { from: LoadFrom::AppendOnly, may_cut: true, settings, now_ms };
    let (disk, snapshot) = (Arc::new(RealDisk), SnapshotOptions::default());
    let tool = Offline { disk, clock: &clock, options: &options, snapshot: &snapshot, databases, progress };
    let keyspace = Keyspace::new(databases);
    let (source, mut functions) = match locate(from)? {
        Located::Folder(names) => {
            let (source, _) = tool.load(&names, wanted, &keyspace)?;
            let functions = source.functions.clone();
            (Some(source), functions)
        }
        Located::File if wanted.to != RestoreTo::End || wanted.before.is_some() => {
            let reason =
                "a snapshot is of one moment; an earlier one is in a folder of append-only files".to_owned();
            return Err(ToolError::Path { path: from.to_owned(), reason });
        }
        Located::File => (None, load_file(from, &keyspace, &inserting, progress)?),
    };
    if tool.take_part(&keyspace, &wanted.part)?.is_some() {
        // Libraries are no keys.
        functions.clear();
    }
    let fingerprint = Fingerprint::of(&keyspace);
    Ok(State { keyspace, fingerprint, source, functions })
}

fn load_file(
    path: &Path,
    keyspace: &Keyspace,
    how: &Inserting,
    progress: &dyn Fn(u64, u64),
) -> Result<Vec<Vec<u8>>, ToolError> {
    let file = RealDisk.read_sealed(path)?;
    let bytes = file.len() as u64;
    let loaded = load_rdb(&file, keyspace, how, |done| {
        file.release_before(done);
        progress(done as u64, bytes);
    });
    let checked = loaded.and_then(|facts| match bytes - facts.bytes {
        0 => Ok(facts.functions),
        behind => Err(LoadError::Trailing { offset: facts.bytes, bytes: behind }),
    });
    checked.map_err(|error| {
        let at = error.offset();
        let kind = RecoveryErrorKind::Snapshot(error);
        ToolError::from(OfflineError::Source(RecoveryError::new(path.to_owned(), Some(at), kind)))
    })
}
