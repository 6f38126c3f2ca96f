//! Which arguments of a command are channels. By the commands' names: none of them has keys in the table.

use crate::command::table::Command;
use std::ops::Range;

/// The channels among a command's arguments.
pub(super) struct Channels {
    /// Where they are.
    pub at: Range<usize>,
    /// They are patterns.
    pub patterns: bool,
}

/// Where a command that listens to channels, or says something on one, names them. Whoever stops listening needs no
/// permission.
pub(super) fn channels_of(command: &Command, args: &[&[u8]]) -> Option<Channels> {
    let at = match command.name {
        "subscribe" | "ssubscribe" | "psubscribe" => 1..args.len(),
        "publish" | "spublish" => 1..args.len().min(2),
        _ => return None,
    };
    Some(Channels { at, patterns: command.name == "psubscribe" })
}
