//! Append, fsync policy, snapshots, rewrite and recovery.
