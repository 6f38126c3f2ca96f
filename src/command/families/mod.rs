//! The command table, one file a family.

pub mod bitmap;
pub mod connection;
pub mod dump;
pub mod expiry;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod hash_expiry;
pub mod hash_expiry_values;
pub mod hyperloglog;
pub mod list;
pub mod list_blocking;
pub mod memory_usage;
pub mod outrigger;
pub mod persistence;
pub mod pubsub;
pub mod replication;
pub mod server;
pub mod set;
pub mod set_algebra;
pub mod sort;
pub mod sorted_set;
pub mod sorted_set_algebra;
pub mod sorted_set_pop;
pub mod sorted_set_range;
pub mod stream;
pub mod string;
pub mod transactions;

use super::table::Command;

/// The families, each a slice of the table.
pub const FAMILIES: &[&[Command]] = &[
    bitmap::COMMANDS,
    connection::COMMANDS,
    dump::COMMANDS,
    expiry::COMMANDS,
    generic::COMMANDS,
    geo::COMMANDS,
    hash::COMMANDS,
    hash_expiry::COMMANDS,
    hash_expiry_values::COMMANDS,
    hyperloglog::COMMANDS,
    list::COMMANDS,
    list_blocking::COMMANDS,
    outrigger::COMMANDS,
    persistence::COMMANDS,
    pubsub::COMMANDS,
    replication::COMMANDS,
    server::COMMANDS,
    set::COMMANDS,
    set_algebra::COMMANDS,
    sort::COMMANDS,
    sorted_set::COMMANDS,
    sorted_set_algebra::COMMANDS,
    sorted_set_pop::COMMANDS,
    sorted_set_range::COMMANDS,
    stream::COMMANDS,
    string::COMMANDS,
    transactions::COMMANDS,
];
