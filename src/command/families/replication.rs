//! Replication commands; the server runs them.

use crate::command::table::{Command, acl, flags::*};

const FOLLOW: u32 = ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING;
const SYNC: u32 = ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI;
const REQUEST_ALL: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::server("role", 1, NOSCRIPT | LOADING | STALE | FAST).acl(acl::ADMIN | acl::DANGEROUS).doc(
        "server",
        "2.8.12",
        "O(1)",
        "Tells whether this node is a primary or a replica, of whom, and how far along.",
        "",
    ),
    Command::server("replicaof", 3, FOLLOW).doc(
        "server",
        "5.0.0",
        "O(1)",
        "Makes this node a replica of another, or, with NO ONE, a primary.",
        "host port | NO ONE",
    ),
    Command::server("slaveof", 3, FOLLOW).doc(
        "server",
        "1.0.0",
        "O(1)",
        "The old name of REPLICAOF.",
        "host port | NO ONE",
    ),
    Command::server("failover", -1, ADMIN | NOSCRIPT | STALE).doc(
        "server",
        "6.2.0",
        "O(1)",
        "Hands this primary's role to a replica of its own, once that has everything.",
        "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]",
    ),
    Command::server("psync", -3, SYNC).doc(
        "server",
        "2.8.0",
        "O(N) with N bytes to send",
        "Asks to be fed the stream from an offset of a lineage on; what replicas say.",
        "replicationid offset",
    ),
    Command::server("sync", 1, SYNC).doc(
        "server",
        "1.0.0",
        "O(N) with N keys",
        "Asks for a snapshot and the stream after it; what very old replicas say.",
        "",
    ),
    Command::server("replconf", -1, ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY).doc(
        "server",
        "3.0.0",
        "O(1)",
        "What replicas tell their primary of themselves and of their progress.",
        "option value [option value ...]",
    ),
    Command::server("wait", 3, NOSCRIPT).acl(acl::CONNECTION).tips(REQUEST_ALL).doc(
        "generic",
        "3.0.0",
        "O(1)",
        "Waits until replicas have received this connection's writes.",
        "numreplicas timeout",
    ),
    Command::server("waitaof", 4, NOSCRIPT).acl(acl::CONNECTION).tips(REQUEST_ALL).doc(
        "generic",
        "7.2.0",
        "O(1)",
        "Waits until this connection's writes are fsynced here and on replicas.",
        "numlocal numreplicas timeout",
    ),
];
