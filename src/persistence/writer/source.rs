//! What the writer asks of the log.

use thiserror::Error;

use crate::format::aof::seal::{Epoch, Lineage};

/// Where a log stands, as of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPosition {
    /// The lineage written now.
    pub lineage: Lineage,
    /// The lineage written before it and the offset where that one ended, if there was one.
    pub previous: Option<(Lineage, u64)>,
    /// The history's epoch.
    pub epoch: Epoch,
    /// Bytes of history that end here; always a command boundary.
    pub end: u64,
}

/// Why a log cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SourceError {
    /// The reader fell behind and the log gave up the bytes that it still needed.
    #[error("the log starts at offset {start}, and the writer needs it from {wanted} on")]
    Trimmed {
        /// The offset that was still needed.
        wanted: u64,
        /// The first offset that the log can serve.
        start: u64,
    },
    /// The log holds another history than the one this source was made for.
    #[error("the log was restarted with another history")]
    Restarted,
}

/// A reader of one history. A log that starts another history needs another source (see
/// [`super::AofWriter::install`]); until then the old one answers [`SourceError::Restarted`].
pub trait LogSource: Send {
    /// Where the log stands.
    fn position(&mut self) -> Result<LogPosition, SourceError>;

    /// Appends up to `max` bytes that follow the last read to `out`; returns how many. 0: there are no more.
    fn read(&mut self, out: &mut Vec<u8>, max: usize) -> Result<usize, SourceError>;

    /// Gives up what was not read before `offset`, so that the next read begins there.
    fn skip_to(&mut self, offset: u64) -> Result<(), SourceError>;
}
