//! Persistence commands; the server runs them.

use crate::command::table::{Command, acl, flags::*};

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::server("save", 1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI).doc(
        "server",
        "1.0.0",
        "O(N) with N keys",
        "Writes a snapshot to disk; everybody waits for it.",
        "",
    ),
    Command::server("bgsave", -1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING).doc(
        "server",
        "1.0.0",
        "O(1)",
        "Has a child process write a snapshot to disk.",
        "[SCHEDULE]",
    ),
    Command::server("bgrewriteaof", 1, ADMIN | NOSCRIPT | NO_ASYNC_LOADING).doc(
        "server",
        "1.0.0",
        "O(1)",
        "Has a child process begin a new, smaller generation of the append-only file.",
        "",
    ),
    Command::server("lastsave", 1, LOADING | STALE | FAST)
        .acl(acl::ADMIN | acl::DANGEROUS)
        .tips(&["nondeterministic_output"])
        .doc("server", "1.0.0", "O(1)", "Returns the unix time of the last good snapshot.", ""),
    Command::server("shutdown", -1, ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY).doc(
        "server",
        "1.0.0",
        "O(N) with N keys when it saves, else O(1)",
        "Ends the server once replicas have caught up and everything is fsynced.",
        "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
    ),
];
