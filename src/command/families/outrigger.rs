//! OUTRIGGER: who serves which history, and what an operator can do about it. Only this server has it.

use crate::command::table::{Command, acl, flags::*};

const ADMINISTER: u32 = ADMIN | NOSCRIPT | STALE;
const SINCE: &str = "7.0.0";

const fn order(name: &'static str, summary: &'static str, usage: &'static str) -> Command {
    Command::server(name, -2, ADMINISTER).doc("server", SINCE, "O(1)", summary, usage)
}

const SUBCOMMANDS: &[Command] = &[
    order("fence", "Refuses reads, writes and syncs until UNFENCE.", "[reason]"),
    Command::server("help", 2, LOADING | STALE).doc("server", SINCE, "O(1)", "Lists the subcommands.", ""),
    order(
        "promote",
        "Makes this replica the primary; FORCE, although it has not finished a sync.",
        "[FORCE]",
    ),
    Command::server("recover", -2, ADMINISTER | NO_MULTI).doc(
        "server",
        SINCE,
        "O(N) with N keys",
        "Gives a node without history the most advanced one of its peers, or of those named, or a new one.",
        "[NEW | FROM host:port [host:port ...]]",
    ),
    Command::server("status", 2, LOADING | STALE).acl(acl::ADMIN | acl::DANGEROUS).doc(
        "server",
        SINCE,
        "O(N) with N replicas",
        "Tells role, history, epoch, offsets, fences and replicas, and what to do next.",
        "",
    ),
    order("unfence", "Lifts a fence that FENCE put up, or with FORCE any other.", "[FORCE]"),
];

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[Command::container("outrigger", 0, SUBCOMMANDS).doc(
    "server",
    SINCE,
    "Depends on the subcommand",
    "A container for what concerns who serves which history.",
    "",
)];
