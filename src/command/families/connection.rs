//! Connection commands; the server runs them.

use crate::command::table::{Command, acl, flags::*};

/// Flags of those that come before everything else: authentication and the protocol.
const FIRST: u32 = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY;
const OWN: u32 = NOSCRIPT | LOADING | STALE;
const OTHERS: u32 = ADMIN | OWN;

const fn client(name: &'static str, arity: i32, flags: u32) -> Command {
    Command::server(name, arity, flags).acl(acl::CONNECTION)
}

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::server("ping", -1, FAST)
        .acl(acl::CONNECTION)
        .doc("connection", "1.0.0", "O(1)", "Answers PONG, or the given text.", "[message]")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Command::server("echo", 2, LOADING | STALE | FAST).acl(acl::CONNECTION).doc(
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
    Command::server("quit", -1, FIRST).acl(acl::CONNECTION).doc(
        "connection",
        "1.0.0",
        "O(1)",
        "Closes this connection.",
        "",
    ),
    Command::server("reset", 1, FIRST).acl(acl::CONNECTION).doc(
        "connection",
        "6.2.0",
        "O(1)",
        "Puts this connection into the state of a fresh one.",
        "",
    ),
    Command::server("auth", -2, FIRST).acl(acl::CONNECTION).doc(
        "connection",
        "1.0.0",
        "O(N) with N passwords of the user",
        "Proves who is connected.",
        "[username] password",
    ),
    Command::server("hello", -1, FIRST).acl(acl::CONNECTION).doc(
        "connection",
        "6.0.0",
        "O(1)",
        "Chooses the protocol, perhaps with a password and a name, and tells about the server.",
        "[protover [AUTH username password] [SETNAME clientname]]",
    ),
    Command::container("client", 0, CLIENT).doc(
        "connection",
        "2.4.0",
        "Depends on the subcommand",
        "A container for commands about connections.",
        "",
    ),
];

const CLIENT: &[Command] = &[
    client("caching", 3, OWN).doc(
        "connection",
        "6.0.0",
        "O(1)",
        "Tracks the keys of the next command, or does not.",
        "<YES | NO>",
    ),
    client("durability", 3, OWN).doc(
        "connection",
        "7.2.4",
        "O(1)",
        "Chooses on how many replicas what this connection is told must be durable.",
        "<ASYNC | DEFAULT | replicas>",
    ),
    client("getname", 2, OWN).doc("connection", "2.6.9", "O(1)", "Returns this connection's name.", ""),
    client("getredir", 2, OWN).doc(
        "connection",
        "6.0.0",
        "O(1)",
        "Returns the client that tracking messages go to.",
        "",
    ),
    client("help", 2, LOADING | STALE).doc("connection", "5.0.0", "O(1)", "Lists the subcommands.", ""),
    client("id", 2, OWN).doc("connection", "5.0.0", "O(1)", "Returns this connection's id.", ""),
    client("info", 2, OWN)
        .doc("connection", "6.2.0", "O(1)", "Describes this connection.", "")
        .tips(&["nondeterministic_output"]),
    client("kill", -3, OTHERS).doc(
        "connection",
        "2.4.0",
        "O(N) with N connections",
        "Ends connections, by address or by filters.",
        "<ip:port | [ID client-id | TYPE <NORMAL | MASTER | REPLICA | PUBSUB> | USER username | ADDR ip:port | \
         LADDR ip:port | SKIPME <YES | NO> | MAXAGE seconds] ...>",
    ),
    client("list", -2, OTHERS)
        .doc(
            "connection",
            "2.4.0",
            "O(N) with N connections",
            "Describes all connections, or some.",
            "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
        )
        .tips(&["nondeterministic_output"]),
    client("no-evict", 3, OTHERS).doc(
        "connection",
        "7.0.0",
        "O(1)",
        "Keeps this connection when memory for clients is short, or does not.",
        "<ON | OFF>",
    ),
    client("no-touch", 3, OWN).doc(
        "connection",
        "7.2.0",
        "O(1)",
        "Leaves the idle times of keys alone when this connection reads them, or does not.",
        "<ON | OFF>",
    ),
    client("pause", -3, OTHERS).doc(
        "connection",
        "2.9.50",
        "O(1)",
        "Holds back commands, or writes alone, for a time.",
        "timeout [WRITE | ALL]",
    ),
    client("reply", 3, OWN).doc(
        "connection",
        "3.2.0",
        "O(1)",
        "Chooses whether commands are answered.",
        "<ON | OFF | SKIP>",
    ),
    client("setinfo", 4, OWN).doc(
        "connection",
        "7.2.0",
        "O(1)",
        "Tells the name or version of the client's library.",
        "<LIB-NAME libname | LIB-VER libver>",
    ),
    client("setname", 3, OWN).doc("connection", "2.6.9", "O(1)", "Names this connection.", "connection-name"),
    client("tracking", -3, OWN).doc(
        "connection",
        "6.0.0",
        "O(1)",
        "Turns the tracking of keys that this connection reads on or off.",
        "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
    ),
    client("trackinginfo", 2, OWN).doc(
        "connection",
        "6.2.0",
        "O(1)",
        "Describes this connection's tracking.",
        "",
    ),
    client("unblock", -3, OTHERS).doc(
        "connection",
        "5.0.0",
        "O(log N) with N connections",
        "Ends the wait of a client in a blocking command.",
        "client-id [TIMEOUT | ERROR]",
    ),
    client("unpause", 2, OTHERS).doc(
        "connection",
        "6.2.0",
        "O(N) with N clients held back",
        "Ends a pause.",
        "",
    ),
];
