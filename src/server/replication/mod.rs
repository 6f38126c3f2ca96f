//! Replication as the node sees it: its role, its replicas, its link to a primary.

/// How a connection is to be fed once it is a replica's.
pub struct FeedStart {
    /// The log position from which the replica goes on; `None` after a full sync that is still to be made.
    pub position: Option<u64>,
}
