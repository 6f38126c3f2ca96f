//! Shards, the table of keys, expiry.
