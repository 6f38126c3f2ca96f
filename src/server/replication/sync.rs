//! The snapshot that a full sync sends: written by a fork child into a pipe.

use crate::persistence::Point;
use crate::persistence::snapshot::{SnapshotJob, SnapshotOptions, SnapshotStatus, Target};
use crate::replication::Place;
use crate::server::Node;
use crate::server::stats::add;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::unix::pipe;

/// How often the child is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A snapshot on its way.
pub struct SyncSnapshot {
    /// Where it stands.
    pub place: Place,
    /// Its bytes.
    pub pipe: pipe::Receiver,
    /// Forty random characters that end it on the wire.
    pub mark: String,
    job: SnapshotJob,
}

impl SyncSnapshot {
    /// Forks. Must be called on an I/O thread, which outlives the child.
    pub fn start(node: &Node) -> Result<SyncSnapshot, String> {
        let (reader, writer) = io::pipe().map_err(|error| error.to_string())?;
        let options = SnapshotOptions {
            redis_version: crate::server::REDIS_VERSION.into(),
            ..SnapshotOptions::default()
        };
        let mut place = None;
        let at = || {
            let (history, offset, db) = node.log.position();
            // The stream that a primary's new replica gets begins with a SELECT. A replica hands on its primary's
            // bytes, among which it can put none; there the snapshot tells the database.
            if !node.is_replica() {
                node.log.forget_db();
            }
            place = Some(Place { lineage: history.lineage, offset });
            Some(Point { lineage: history.lineage, offset, db: db.unwrap_or(0) })
        };
        let job = SnapshotJob::start(
            "sync",
            &node.keyspace,
            at,
            Target::Descriptor(writer.into()),
            node.clock(),
            &options,
            node.fork_options(),
        )
        .map_err(|error| error.to_string())?;
        add(&node.stats.forks, 1);
        node.stats.last_fork_us.store(job.child().fork_us(), Ordering::Relaxed);
        let pipe = pipe::Receiver::from_owned_fd(reader.into()).map_err(|error| error.to_string())?;
        let place = place.ok_or("the snapshot has no place in the history")?;
        let mark = crate::base::random::Rng::from_os().hex(40);
        Ok(SyncSnapshot { place, pipe, mark, job })
    }

    /// After the last byte: whether the child says that it wrote everything.
    pub async fn finish(mut self) -> Result<(), String> {
        loop {
            match self.job.check() {
                SnapshotStatus::Running(_) => tokio::time::sleep(LOOK_EVERY).await,
                SnapshotStatus::Done { .. } => return Ok(()),
                SnapshotStatus::Failed(reason) => return Err(reason),
            }
        }
    }
}
