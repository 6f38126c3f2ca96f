//! What makes a history outlive the process: the append-only files and their writer, snapshots, rewrites, recovery.
//!
//! * [`writer`]: a thread that takes what the log has, appends and seals it, and fsyncs by policy.
//! * [`generation`]: the folder of files and its manifest; every change of it is whole or has not happened.
//! * [`live`]: the snapshot of a full sync, taken from memory that goes on changing.

mod blocks;
pub mod destroying;
pub mod generation;
pub mod judge;
pub mod live;
pub mod load;
pub mod names;
pub mod offline;
mod parts;
pub mod pattern;
pub mod recovery;
pub mod rewrite;
pub mod snapshot;
pub mod state;
#[cfg(test)]
pub(crate) mod testing;
pub mod timeline;
pub mod toolbox;
pub mod writer;

use crate::format::aof::seal::Lineage;
use crate::format::aof::verify::HistoryPoint;

/// A place in a history of writes, and the database that is selected there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Which history.
    pub lineage: Lineage,
    /// Bytes of it that end here.
    pub offset: u64,
    /// The database selected here.
    pub db: u32,
}

impl Point {
    /// The place without the database.
    pub fn history(&self) -> HistoryPoint {
        HistoryPoint { lineage: self.lineage, offset: self.offset }
    }
}

impl From<Point> for HistoryPoint {
    fn from(point: Point) -> Self {
        point.history()
    }
}
