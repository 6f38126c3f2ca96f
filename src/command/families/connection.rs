//! Connection commands; the server runs them.

use crate::command::table::{Command, acl, flags::*};

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::server("ping", -1, FAST)
        .acl(acl::CONNECTION)
        .doc("connection", "1.0.0", "O(1)", "Answers PONG, or the given text.", "[message]")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Command::server("echo", 2, FAST).acl(acl::CONNECTION).doc(
        "connection",
        "1.0.0",
        "O(1)",
        "Answers with the given text.",
        "message",
    ),
    Command::server("select", 2, LOADING | STALE | FAST).acl(acl::CONNECTION).doc(
        "connection",
        "1.0.0",
        "O(1)",
        "Chooses the database of this connection.",
        "index",
    ),
    Command::server("quit", -1, NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY)
        .acl(acl::CONNECTION)
        .doc("connection", "1.0.0", "O(1)", "Closes this connection.", ""),
];
