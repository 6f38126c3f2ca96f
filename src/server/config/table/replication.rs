//! Primaries and replicas.

use super::*;
use crate::replication::acks::ACKS_MAX;
use crate::server::config::settings::{DisklessLoad, DurableAcksOnLoss, SyncSource};

/// Redis keeps at least this much backlog, and so do we.
const BACKLOG_MIN_BYTES: u64 = 16 * 1024;

pub(super) static DIRECTIVES: &[Directive] = &[
    Directive::new(
        "replicaof",
        Kind::Special {
            form: "HOST PORT | no one",
            list: true,
            get: |c, _| c.replicaof.as_ref().map_or_else(Vec::new, |a| format!("{} {}", a.host, a.port).into()),
            set: |c, args, _| {
                c.replicaof = values::replica_of(args)?;
                Ok(())
            },
            lines: |c| match &c.replicaof {
                None => Vec::new(),
                Some(a) => vec![vec![a.host.clone().into(), a.port.to_string().into()]],
            },
        },
        "The primary to follow; REPLICAOF changes it at run time.",
    )
    .aliases(&["slaveof"])
    .start_over(&["no", "one"])
    .immutable(),
    secret!("masterauth", masterauth, "Password this node gives to its primary."),
    text!("masteruser", masteruser, "User this node logs in as at its primary, who needs `+psync +replconf +ping +info`; empty for the default user."),
    yes_no!("replica-read-only", replica_read_only, "A replica refuses writes of clients.").aliases(&["slave-read-only"]),
    yes_no!("replica-serve-stale-data", replica_serve_stale_data, "A replica without its primary goes on answering reads.").aliases(&["slave-serve-stale-data"]),
    integer!("replica-priority", replica_priority: u32, 0, INT_MAX, "Lower is promoted first; 0 is never promoted.").aliases(&["slave-priority"]),
    text!("replica-announce-ip", replica_announce_ip, "Address a replica tells its primary to list; empty for the connection's.").aliases(&["slave-announce-ip"]),
    integer!("replica-announce-port", replica_announce_port: u16, 0, 65535, "Port a replica tells its primary to list; 0 for its own.").aliases(&["slave-announce-port"]),
    integer!("repl-ping-replica-period", repl_ping_replica_period_seconds: u32, 1, INT_MAX, "Seconds between a primary's pings to its replicas.").aliases(&["repl-ping-slave-period"]),
    integer!("repl-timeout", repl_timeout_seconds: u32, 1, INT_MAX, "Seconds of silence after which a replication link is taken for dead."),
    Directive::new(
        "repl-backlog-size",
        // Smaller values are brought up to the minimum silently, as in Redis.
        Kind::Memory {
            min: 1,
            max: i64::MAX as u64,
            get: |c| c.repl_backlog_size_bytes,
            set: |c, size| c.repl_backlog_size_bytes = size.max(BACKLOG_MIN_BYTES),
        },
        "Log kept in memory for replicas that come back; at least 16 KiB.",
    ),
    integer!("repl-backlog-ttl", repl_backlog_ttl_seconds: u64, 0, i64::MAX, "Seconds without replicas after which a primary frees its backlog; 0 never does."),
    yes_no!("repl-diskless-sync", repl_diskless_sync, "Send snapshots to replicas without writing a file first."),
    integer!("repl-diskless-sync-delay", repl_diskless_sync_delay_seconds: u32, 0, INT_MAX, "Seconds to wait for more replicas before such a snapshot starts."),
    word!("replica-sync-source", replica_sync_source: SyncSource, "Who gives a replica its snapshot. `replica`: another replica where one can; on the primary, joiner and giver. `primary`: this node sends nobody to others, goes to none, and gives none for its primary. (Ours.)"),
    yes_no!("replica-sync-lz4", replica_sync_lz4, "Pack snapshots between two nodes that both say yes: fewer bytes on the network for more time of the processor. (Ours.)"),
    word!("repl-diskless-load", repl_diskless_load: DisklessLoad, "How a replica takes a snapshot in."),
    yes_no!("repl-disable-tcp-nodelay", repl_disable_tcp_nodelay, "Let TCP hold small writes to replicas back to save packets."),
    integer!("min-replicas-to-write", min_replicas_to_write: u32, 0, INT_MAX, "Refuse writes with fewer replicas in touch; 0 asks for none.").aliases(&["min-slaves-to-write"]),
    integer!("min-replicas-max-lag", min_replicas_max_lag_seconds: u32, 0, INT_MAX, "Seconds since a replica's last acknowledgement for it to count as in touch.").aliases(&["min-slaves-max-lag"]),
    integer!("durable-acks", durable_acks: u8, 0, ACKS_MAX as i64, "Hold replies until so many replicas have fsynced what they tell of; CLIENT DURABILITY chooses for one connection."),
    integer!("durable-acks-timeout", durable_acks_timeout_ms: u64, 0, i64::MAX, "Milliseconds after which a reply that is held becomes the error NOTDURABLE; 0 holds it for ever."),
    word!("durable-acks-on-loss", durable_acks_on_loss: DurableAcksOnLoss, "With too few replicas that fsync: hold replies (block), give them at once (degrade), or refuse writes (error)."),
];
