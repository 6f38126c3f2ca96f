//! The HELP subcommand of any container: a fold over its part of the command table.

use super::table::Command;
use crate::resp::reply::Reply;

/// Lists a container's subcommands, a line each for what is typed and what it does.
pub fn reply_help(reply: &mut Reply<'_>, container: &str, subcommands: &[Command]) {
    reply.array(1 + 2 * subcommands.len());
    reply.simple(format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for sub in subcommands {
        reply.simple(format!("{} {}", sub.name.to_uppercase(), sub.usage).trim_end());
        reply.simple(format!("    {}", sub.summary));
    }
}
