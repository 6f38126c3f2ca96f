//! Memory, lazy freeing, and when values change their encoding.

use super::*;
use crate::server::config::settings::MaxmemoryPolicy;

pub(super) static DIRECTIVES: &[Directive] = &[
    Directive::new(
        "maxmemory-clients",
        Kind::Text {
            get: |c| c.maxmemory_clients.to_string().into_bytes(),
            set: |c, value| {
                c.maxmemory_clients = values::clients_limit(value)?;
                Ok(())
            },
        },
        "Memory of clients' buffers, or a part of `maxmemory` in percent, beyond which those that take most are disconnected; 0 is no limit.",
    ),
    memory!("maxmemory", maxmemory_bytes: u64, 0, u64::MAX, "Memory beyond which keys are evicted, or writes refused; 0 is no limit."),
    word!("maxmemory-policy", maxmemory_policy: MaxmemoryPolicy, "Which keys go at `maxmemory`, if any."),
    integer!("maxmemory-eviction-tenacity", maxmemory_eviction_tenacity: u32, 0, 100, "How many keys a command may evict before it goes on: at 10 it is 64, at 100 as many as it takes."),
    integer!("maxmemory-samples", maxmemory_samples: u32, 1, 64, "Keys looked at to choose one for eviction."),
    yes_no!("lazyfree-lazy-eviction", lazyfree_lazy_eviction, "Free evicted values off the serving threads. Big values always are."),
    yes_no!("lazyfree-lazy-expire", lazyfree_lazy_expire, "Free expired values off the serving threads. Big values always are."),
    yes_no!("lazyfree-lazy-server-del", lazyfree_lazy_server_del, "Free overwritten values off the serving threads. Big values always are."),
    yes_no!("lazyfree-lazy-user-del", lazyfree_lazy_user_del, "Treat DEL as UNLINK. Big values are freed off the serving threads anyway."),
    yes_no!("lazyfree-lazy-user-flush", lazyfree_lazy_user_flush, "Treat FLUSHALL and FLUSHDB as ASYNC. Old tables are freed off the serving threads anyway."),
    yes_no!("replica-lazy-flush", replica_lazy_flush, "Free a replica's old data off the serving threads after a full sync.").aliases(&["slave-lazy-flush"]),
    integer!("lfu-log-factor", lfu_log_factor: u32, 0, INT_MAX, "How slowly the access counter grows."),
    integer!("lfu-decay-time", lfu_decay_time_minutes: u32, 0, INT_MAX, "Minutes after which the access counter is decremented."),
    yes_no!("activerehashing", activerehashing, "Taken and kept for compatibility: the tables here never rehash."),
    integer!("hash-max-listpack-entries", hash_max_listpack_entries: usize, 0, i64::MAX, "Most fields of a hash kept packed.").aliases(&["hash-max-ziplist-entries"]),
    memory!("hash-max-listpack-value", hash_max_listpack_value_bytes: usize, 0, i64::MAX as u64, "Longest field or value of a hash kept packed.").aliases(&["hash-max-ziplist-value"]),
    integer!("set-max-intset-entries", set_max_intset_entries: usize, 0, i64::MAX, "Most members of a set of integers kept as an array."),
    integer!("set-max-listpack-entries", set_max_listpack_entries: usize, 0, i64::MAX, "Most members of a set kept packed."),
    memory!("set-max-listpack-value", set_max_listpack_value_bytes: usize, 0, i64::MAX as u64, "Longest member of a set kept packed."),
    integer!("zset-max-listpack-entries", zset_max_listpack_entries: usize, 0, i64::MAX, "Most members of a sorted set kept packed.").aliases(&["zset-max-ziplist-entries"]),
    memory!("zset-max-listpack-value", zset_max_listpack_value_bytes: usize, 0, i64::MAX as u64, "Longest member of a sorted set kept packed.").aliases(&["zset-max-ziplist-value"]),
    integer!("list-max-listpack-size", list_max_listpack_size: i32, i32::MIN as i64, INT_MAX, "Size of a list's nodes: entries if positive; -1 to -5 for 4, 8, 16, 32 or 64 KiB.").aliases(&["list-max-ziplist-size"]),
    integer!("list-compress-depth", list_compress_depth: u32, 0, INT_MAX, "Nodes at each end of a list left uncompressed; 0 compresses none."),
    memory!("stream-node-max-bytes", stream_node_max_bytes: usize, 0, i64::MAX as u64, "Size of a stream's nodes; 0 is no limit."),
    integer!("stream-node-max-entries", stream_node_max_entries: usize, 0, i64::MAX, "Entries in a stream's node; 0 is no limit."),
    memory!("hll-sparse-max-bytes", hll_sparse_max_bytes: usize, 0, i64::MAX as u64, "Longest sparse form of a HyperLogLog."),
];
