//! What can be said of a log's commands without running them.

use smallvec::SmallVec;

use super::{RecoveryError, RecoveryErrorKind};
use crate::command::apply::{ApplyError, Step};
use crate::format::aof::verify::{MetCommand, Watcher};
use std::path::Path;

/// Arguments that tell what a command is.
const HEAD_ARGS: usize = 2;

/// Looks for the first command that does not belong in a log: unknown, of the wrong number of arguments, not one that
/// changes anything, or a SELECT of a database that there is not. A load would stop at it.
#[derive(Debug)]
pub struct Lint {
    databases: u32,
    found: Option<(usize, ApplyError)>,
}

impl Lint {
    /// For a server of so many databases.
    pub fn new(databases: u32) -> Lint {
        Lint { databases, found: None }
    }

    /// The command, if it stands in the first `good_len` bytes. The log begins at byte `from` of the file.
    pub fn finding(self, path: &Path, from: usize, good_len: usize) -> Option<RecoveryError> {
        let (at, error) = self.found.filter(|(at, _)| *at < good_len)?;
        Some(RecoveryError::new(path.to_owned(), Some((from + at) as u64), RecoveryErrorKind::Command(error)))
    }
}

impl Watcher for Lint {
    fn command(&mut self, met: &MetCommand<'_>) {
        if self.found.is_some() {
            return;
        }
        let head: SmallVec<[&[u8]; HEAD_ARGS]> = (0..HEAD_ARGS).map_while(|index| met.arg(index)).collect();
        if let Err(error) = Step::of_head(&head, met.arg_count, self.databases) {
            self.found = Some((met.at, error));
        }
    }
}
