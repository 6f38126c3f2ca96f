//! The tools' calls, one each.

use std::path::{Path, PathBuf};

use super::client::{Connection, Patience};
use super::diff::{DiffOptions, DiffReport, Side, diff};
use super::error::RemoteError;
use super::facts::Facts;
use super::passing::pass_on;
use super::restore::{IntoOptions, Loaded, default_resume_file, load_into};
use super::url::Target;
use crate::keyspace::Keyspace;
use crate::persistence::offline::{StoppedBefore, Wanted};
use crate::persistence::state::{State, load_state};

/// What came of loading a state into a running server.
pub struct RestoredInto {
    /// Bytes of a torn end of the source that were left out.
    pub cut_bytes: u64,
    /// The command that it stopped before.
    pub before: Option<StoppedBefore>,
    /// Keys that were left out, as they are not of the part that was wanted; `None` if all were wanted.
    pub left_out: Option<u64>,
    /// What was loaded.
    pub loaded: Loaded,
    /// Function libraries of the source, which are not loaded.
    pub functions_left_out: usize,
    /// The data, if it was loaded. A program that ends has no need to free it key by key.
    pub keyspace: Option<Keyspace>,
}

/// What is loaded into a running server.
#[derive(Debug, Clone, Copy)]
pub struct FromFiles<'f> {
    /// A folder of append-only files, or a single file.
    pub path: &'f Path,
    /// What it goes by, where it was unpacked from an archive.
    pub named: &'f Path,
    /// The resume file lies beside this, unless it is named.
    pub beside: &'f Path,
    /// What is wanted of it.
    pub wanted: &'f Wanted,
    /// How many databases there may be.
    pub databases: u32,
}

/// Loads what is wanted of some files into a running server.
/// `progress` is told bytes read and bytes in all; `sending` keys sent or read back, and keys in all.
pub fn restore_into(
    from: &FromFiles<'_>,
    target: &Target,
    options: &IntoOptions,
    progress: &dyn Fn(u64, u64),
    sending: &(dyn Fn(u64, u64) + Sync),
) -> Result<RestoredInto, RemoteError> {
    let resume_file = options.resume_file.clone().unwrap_or_else(|| default_resume_file(from.beside, target));
    if let Some(passed) = pass_on(from, target, &resume_file, options, sending)? {
        return Ok(passed);
    }
    let state = load_state(from.path, from.wanted, from.databases, progress)?;
    let loaded = load_into(&state.keyspace, &state.identity, target, &resume_file, options, sending)?;
    let State { keyspace, source, before, left_out, functions, .. } = state;
    let cut_bytes = source.cut.map_or(0, |cut| cut.bytes);
    let (functions_left_out, keyspace) = (functions.len(), Some(keyspace));
    Ok(RestoredInto { cut_bytes, before, left_out, loaded, functions_left_out, keyspace })
}

/// Finds out whether a server answers, and is of a kind that can be talked to.
pub fn reach(target: &Target, patience: Patience) -> Result<(), RemoteError> {
    let mut connection = Connection::open(target, patience)?;
    Facts::of(&mut connection).map(drop)
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
