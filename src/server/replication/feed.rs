//! A replica being fed: its entry in the node and its reader of the log. The socket is somebody else's.

use super::{Replica, ReplicaStage};
use crate::replication::{Lineage, LogError, ReaderId};
use crate::server::{Node, Session};
use std::io;
use std::sync::Arc;
use tokio::sync::Notify;

/// One replica's feed; its entry and its reader end with it.
pub struct Feed {
    /// The node that feeds.
    pub node: Arc<Node>,
    /// The replica.
    pub replica: Arc<Replica>,
    reader: Option<ReaderId>,
    wake: Arc<Notify>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(reader) = self.reader {
            self.node.log.remove_reader(reader);
        }
        self.node.replicas.remove(&self.replica);
        self.node.replicas_changed();
    }
}

impl Feed {
    /// Enters the replica behind `session` among the node's.
    pub fn new(node: &Arc<Node>, session: &Session) -> Feed {
        let ip = session.peer_host();
        let port = session.peer.listening_port;
        let mut replica = Replica::new(session.info.clone(), ip, port, node.now_ms(), node.acks.term());
        replica.gives_snapshots = session.peer.gives_snapshots;
        let replica = Arc::new(replica);
        node.replicas.add(replica.clone());
        Feed { node: node.clone(), replica, reader: None, wake: Arc::new(Notify::new()) }
    }

    /// Begins to read the log after `position`, for a replica that knows the history as `lineage`; an error when
    /// the log does not reach back so far.
    pub fn read_from(&mut self, position: u64, lineage: Lineage) -> io::Result<()> {
        let wake = self.wake.clone();
        let limit = limit_bytes(&self.node);
        let wake = Box::new(move || wake.notify_one());
        let reader = self.node.log.add_replica(position, limit, lineage, wake);
        let reader = reader.map_err(io::Error::other)?;
        self.reader = Some(reader);
        let _ = self.replica.reader.set(reader);
        // It reads by itself from here on.
        self.node.replicas.referrals.release(&self.node, self.replica.client.id);
        Ok(())
    }

    /// Appends at most `max` next bytes of the log to `out`; their number. An error cuts the replica off: it
    /// is further behind than the log or its limit allows, or must be told of another lineage.
    pub fn read(&self, out: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        let Some(reader) = self.reader else { return Ok(0) };
        self.node.log.read(reader, out, max).map_err(|error| {
            match &error {
                LogError::Trimmed { .. } => super::slow::cut_off(&self.node, &self.replica, &error.to_string()),
                _ => tracing::warn!(replica = %self.replica.ip, port = self.replica.port, %error, "replica cut off"),
            }
            io::Error::other(error)
        })
    }

    /// Waits until the log has more.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// The replica takes the stream from now on.
    pub fn online(&self) {
        self.replica.set_stage(ReplicaStage::Online);
        self.node.replicas_changed();
    }
}

/// Bytes a replica may be behind before it is cut off: `client-output-buffer-limit replica`'s hard limit.
pub(super) fn limit_bytes(node: &Node) -> u64 {
    match node.config().client_output_buffer_limit.replica.hard_bytes {
        0 => u64::MAX,
        bytes => bytes,
    }
}
