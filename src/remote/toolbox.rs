//! The tools' calls, one each.

use std::path::{Path, PathBuf};

use super::diff::{DiffOptions, DiffReport, Side, diff};
use super::error::RemoteError;
use super::restore::{IntoOptions, Loaded, default_resume_file, load_into};
use super::url::Target;
use crate::persistence::offline::Wanted;
use crate::persistence::recovery::Recovered;
use crate::persistence::state::load_state;

/// What came of loading a state into a running server.
#[derive(Debug)]
pub struct RestoredInto {
    /// What the source came to.
    pub source: Option<Recovered>,
    /// What was loaded.
    pub loaded: Loaded,
    /// Function libraries of the source, which are not loaded.
    pub functions_left_out: usize,
}

/// Loads what is wanted of a folder of append-only files, or of a snapshot file, into a running server.
/// `progress` is told bytes read and bytes in all; `sending` keys sent or read back, and keys in all.
pub fn restore_into(
    from: &Path,
    target: &Target,
    wanted: &Wanted,
    databases: u32,
    options: &IntoOptions,
    progress: &dyn Fn(u64, u64),
    sending: &(dyn Fn(u64, u64) + Sync),
) -> Result<RestoredInto, RemoteError> {
    let state = load_state(from, wanted, databases, progress)?;
    let resume_file = options.resume_file.clone().unwrap_or_else(|| default_resume_file(from, target));
    let loaded = load_into(&state.keyspace, state.fingerprint, target, &resume_file, options, sending)?;
    Ok(RestoredInto { source: state.source, loaded, functions_left_out: state.functions.len() })
}

/// Where a data set is.
#[derive(Debug, Clone)]
pub enum Place {
    /// In a snapshot file or a folder of append-only files.
    Path(PathBuf),
    /// In a running server.
    Server(Target),
}

/// Two data sets that were compared.
#[derive(Debug)]
pub struct Compared {
    /// What was found.
    pub report: DiffReport,
    /// Which of them are running servers.
    pub live: [bool; 2],
}

/// Compares two data sets. `reading` is told bytes of files read and bytes in all; `walking` keys walked, and in all.
pub fn compare(
    a: &Place,
    b: &Place,
    options: &DiffOptions,
    reading: &dyn Fn(u64, u64),
    walking: &(dyn Fn(u64, u64) + Sync),
) -> Result<Compared, RemoteError> {
    let open = |place: &Place| match place {
        Place::Path(path) => Side::of_files(path, options, reading),
        Place::Server(target) => Side::of_server(target, options),
    };
    // Servers first: one that does not answer is known before files are read.
    let sides = match (a, b) {
        (Place::Path(_), Place::Server(_)) => {
            let b = open(b)?;
            (open(a)?, b)
        }
        _ => (open(a)?, open(b)?),
    };
    let report = diff(&sides.0, &sides.1, options, walking)?;
    Ok(Compared { report, live: [sides.0.is_live(), sides.1.is_live()] })
}
