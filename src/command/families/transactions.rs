//! Transactions; the server runs them.

use crate::command::table::{Command, KeySpec, Locks, acl, flags::*, key};

const CONTROL: u32 = NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY;

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::server("multi", 1, CONTROL).acl(acl::TRANSACTION).doc(
        "transactions",
        "1.2.0",
        "O(1)",
        "Begins a transaction: commands are queued until EXEC.",
        "",
    ),
    Command::server("exec", 1, NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG).acl(acl::TRANSACTION).doc(
        "transactions",
        "1.2.0",
        "Depends on the queued commands",
        "Runs the queued commands as one unit.",
        "",
    ),
    Command::server("discard", 1, CONTROL).acl(acl::TRANSACTION).doc(
        "transactions",
        "2.0.0",
        "O(N) with N queued commands",
        "Forgets the queued commands.",
        "",
    ),
    Command::server("watch", -2, CONTROL)
        .acl(acl::TRANSACTION)
        .keys(&[KeySpec::range(key::RO, 1, -1, 1)])
        .locks(Locks::None)
        .doc(
            "transactions",
            "2.2.0",
            "O(1) a key",
            "Makes the next EXEC fail if one of these keys changes before it.",
            "key [key ...]",
        ),
    Command::server("unwatch", 1, CONTROL).acl(acl::TRANSACTION).doc(
        "transactions",
        "2.2.0",
        "O(1)",
        "Forgets all watched keys of this connection.",
        "",
    ),
];
