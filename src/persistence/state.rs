//! The state that files hold, in memory: for tools that do something else with it than write it to a new folder.

use std::path::Path;
use std::sync::Arc;

use super::offline::{Found, Identity, Offline, StoppedBefore, Wanted};
use super::recovery::{LoadFrom, RecoverOptions, Recovered};
use super::snapshot::SnapshotOptions;
use super::toolbox::{ToolError, origin};
use crate::base::time::{Clock, SystemClock};
use crate::command::Settings;
use crate::keyspace::Keyspace;
use crate::sys::RealDisk;

/// What files hold.
pub struct State {
    /// The data.
    pub keyspace: Keyspace,
    /// What names it: the files it comes from, and what was wanted of them.
    pub identity: Identity,
    /// What the files came to.
    pub source: Recovered,
    /// The command that it stopped before.
    pub before: Option<StoppedBefore>,
    /// Keys that were left out, as they are not of the part that was wanted; `None` if all were wanted.
    pub left_out: Option<u64>,
    /// Sources of function libraries.
    pub functions: Vec<Vec<u8>>,
}

/// Loads what is wanted of a folder of append-only files, or of a single file. A torn end of a log is left out.
pub fn load_state(
    from: &Path,
    wanted: &Wanted,
    databases: u32,
    progress: &dyn Fn(u64, u64),
) -> Result<State, ToolError> {
    let clock = SystemClock::new();
    let now_ms = i64::try_from(clock.unix_ms()).unwrap_or(i64::MAX);
    let settings = Settings::default();
    let options = RecoverOptions { from: LoadFrom::AppendOnly, may_cut: true, settings, now_ms };
    let (disk, snapshot) = (Arc::new(RealDisk), SnapshotOptions::default());
    let tool = Offline { disk, clock: &clock, options: &options, snapshot: &snapshot, databases, progress };
    let keyspace = Keyspace::new(databases);
    let Found { source, before, identity } = tool.load(&origin(from)?, wanted, &keyspace)?;
    let left_out = tool.take_part(&keyspace, &wanted.part)?;
    // Libraries are no keys.
    let functions = if left_out.is_some() { Vec::new() } else { source.functions.clone() };
    Ok(State { keyspace, identity, source, before, left_out, functions })
}
