//! The node's log, as the writer of the append-only file reads it.

use crate::persistence::writer::{LogPosition, LogSource, SourceError, Waker};
use crate::replication::{Log, LogError, ReaderId};
use std::sync::{Arc, OnceLock};

/// Bytes the writer may be behind the log before the log stops waiting for it: a disk that is this slow has
/// failed, for all that the replica's memory is concerned.
const WRITER_LIMIT_BYTES: u64 = 1 << 30;

/// Where the waker of a writer will be: readers are made before the writer they wake.
pub type WakerSlot = Arc<OnceLock<Waker>>;

/// A reader of the node's log.
pub struct NodeLog {
    log: Arc<Log>,
    reader: ReaderId,
}

impl NodeLog {
    /// A reader that begins after `position`.
    pub fn new(log: &Arc<Log>, position: u64, waker: &WakerSlot) -> Result<NodeLog, LogError> {
        let waker = waker.clone();
        let wake = Box::new(move || {
            if let Some(waker) = waker.get() {
                waker.wake();
            }
        });
        let reader = log.add_reader(position, WRITER_LIMIT_BYTES, wake)?;
        Ok(NodeLog { log: log.clone(), reader })
    }

    fn failed(&self, error: LogError) -> SourceError {
        match error {
            LogError::Trimmed { position, start } => SourceError::Trimmed { wanted: position, start },
            LogError::Restarted | LogError::Renamed | LogError::Ahead { .. } => SourceError::Restarted,
        }
    }
}

impl Drop for NodeLog {
    fn drop(&mut self) {
        self.log.remove_reader(self.reader);
    }
}

impl LogSource for NodeLog {
    fn position(&mut self) -> Result<LogPosition, SourceError> {
        let (history, end, _) = self.log.position();
        if self.log.reader_position(self.reader).is_none() {
            return Err(SourceError::Restarted);
        }
        let previous = u64::try_from(history.previous_end).ok().map(|end| (history.previous, end));
        Ok(LogPosition { lineage: history.lineage, previous, epoch: history.epoch, end })
    }

    fn read(&mut self, out: &mut Vec<u8>, max: usize) -> Result<usize, SourceError> {
        self.log.read(self.reader, out, max).map_err(|error| self.failed(error))
    }

    fn skip_to(&mut self, offset: u64) -> Result<(), SourceError> {
        self.log.seek_reader(self.reader, offset).map_err(|error| self.failed(error))
    }
}
