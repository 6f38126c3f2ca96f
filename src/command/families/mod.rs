//! The command table, one file a family.

pub mod connection;
pub mod hash;
pub mod list;
pub mod list_blocking;
pub mod string;
pub mod transactions;

use super::table::Command;

/// The families, each a slice of the table.
pub const FAMILIES: &[&[Command]] = &[
    connection::COMMANDS,
    hash::COMMANDS,
    list::COMMANDS,
    list_blocking::COMMANDS,
    string::COMMANDS,
    transactions::COMMANDS,
];
