//! The state that files hold, in memory: for tools that do something else with it than write it to a new folder.

use std::path::Path;
use std::sync::Arc;

use super::offline::{Found, Identity, Offline, Snapshot, StoppedBefore, Wanted};
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
    with_tool(databases, progress, |tool| {
        let keyspace = Keyspace::new(databases);
        let Found { source, before, identity } = tool.load(&origin(from)?, wanted, &keyspace)?;
        let left_out = tool.take_part(&keyspace, &wanted.part)?;
        // Libraries are no keys.
        let functions = if left_out.is_some() { Vec::new() } else { source.functions.clone() };
        Ok(State { keyspace, identity, source, before, left_out, functions })
    })
}

/// The snapshot that is all of what is wanted, if it is one; see [`Snapshot`].
pub fn whole_snapshot(from: &Path, wanted: &Wanted, databases: u32) -> Result<Option<Snapshot>, ToolError> {
    with_tool(databases, &|_, _| (), |tool| Ok(tool.whole_snapshot(&origin(from)?, wanted)?))
}

fn with_tool<R>(databases: u32, progress: &dyn Fn(u64, u64), work: impl FnOnce(&Offline<'_>) -> R) -> R {
    let clock = SystemClock::new();
    let now_ms = i64::try_from(clock.unix_ms()).unwrap_or(i64::MAX);
    let settings = Settings::default();
    let options = RecoverOptions { from: LoadFrom::AppendOnly, may_cut: true, settings, now_ms };
    let (disk, snapshot) = (Arc::new(RealDisk), SnapshotOptions::default());
    work(&Offline { disk, clock: &clock, options: &options, snapshot: &snapshot, databases, progress })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::crc::crc64;
    use crate::persistence::offline::{Before, Occurrence, Part, RestoreTo};
    use tempfile::TempDir;

    const SET_A: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    const SET_B: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n2\r\n";

    fn identity(bytes: &[u8], wanted: &Wanted) -> String {
        let home = TempDir::new().expect("a folder");
        let path = home.path().join("file");
        std::fs::write(&path, bytes).expect("write it");
        let state = load_state(&path, wanted, 16, &|_, _| ()).unwrap_or_else(|error| panic!("{error}"));
        state.identity.to_string()
    }

    /// Snapshots of one key: of a version with a checksum, of the same without, and of a version that has none.
    fn snapshots(value: u8) -> [Vec<u8>; 3] {
        let mut summed = [b"REDIS0009\x00\x01a\x01".as_slice(), &[value, 0xff]].concat();
        let without = [summed.as_slice(), &[0; 8]].concat();
        summed.extend(crc64(0, &summed).to_le_bytes());
        [summed, without, [b"REDIS0004\x00\x01a\x01".as_slice(), &[value, 0xff]].concat()]
    }

    #[test]
    fn a_state_is_named_by_its_bytes_wherever_they_lie() {
        let all = Wanted::from(RestoreTo::End);
        let mut seen = Vec::new();
        for snapshot in snapshots(b'1').into_iter().chain(snapshots(b'2')) {
            for log in [&b""[..], SET_A, SET_B] {
                let bytes = [snapshot.as_slice(), log].concat();
                let name = identity(&bytes, &all);
                assert_eq!(name, identity(&bytes, &all), "in another folder");
                assert!(!name.contains(['\t', '\n']) && !seen.contains(&name), "{name}: {seen:?}");
                seen.push(name);
            }
        }
        for log in [SET_A, SET_B] {
            let name = identity(log, &all);
            assert!(!seen.contains(&name), "{name}: {seen:?}");
            seen.push(name);
        }
        // What is torn off is no part of it, and what is added is.
        assert_eq!(identity(&[SET_A, b"*1\r\n$4"].concat(), &all), identity(SET_A, &all));
        assert!(!seen.contains(&identity(&[SET_A, SET_A].concat(), &all)));
    }

    #[test]
    fn a_state_is_named_by_what_is_wanted_too() {
        let log = [SET_A, SET_B, SET_A].concat();
        let all = Wanted::from(RestoreTo::End);
        let before = |occurrence| Before { pattern: "SET".parse().expect("a pattern"), occurrence };
        let part = |keys: Option<&str>, db| Part { keys: keys.map(str::to_owned), db };
        let wanted = [
            all.clone(),
            Wanted { before: Some(before(Occurrence::FromLast(1))), ..all.clone() },
            Wanted { before: Some(before(Occurrence::FromLast(2))), ..all.clone() },
            Wanted { part: part(Some("a"), None), ..all.clone() },
            Wanted { part: part(Some("a*\t*"), None), ..all.clone() },
            Wanted { part: part(Some("a"), Some(0)), ..all.clone() },
        ];
        let mut seen = Vec::new();
        for wanted in wanted {
            let bytes = [log.as_slice(), b"*3\r\n$3\r\nSET\r\n$2\r\na\t\r\n$1\r\n1\r\n"].concat();
            let name = identity(&bytes, &wanted);
            assert!(!name.contains(['\t', '\n']) && !seen.contains(&name), "{name}: {seen:?}");
            seen.push(name);
        }
    }
}
