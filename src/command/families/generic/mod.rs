//! Commands for keys of any type and for whole databases: their part of the table.

mod databases;
mod keys;
mod object;
mod walks;

use crate::command::table::{Command, KeySpec, Locks, acl, flags::*, key};

const REMOVED_KEYS: &[KeySpec] = &[KeySpec::range(key::RM | key::DELETE, 1, -1, 1)];
const LOOKED_AT_KEYS: &[KeySpec] = &[KeySpec::range(key::RO, 1, -1, 1)];
const ALL_SHARDS_SUM: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const ALL_SUCCEEDED: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("del", -2, WRITE, keys::del)
        .keys(REMOVED_KEYS)
        .acl(acl::KEYSPACE)
        .doc("generic", "1.0.0", "O(N) with N keys", "Removes keys.", "key [key ...]")
        .tips(ALL_SHARDS_SUM),
    Command::new("unlink", -2, WRITE | FAST, keys::del)
        .keys(REMOVED_KEYS)
        .acl(acl::KEYSPACE)
        .doc(
            "generic",
            "4.0.0",
            "O(1) a key; freeing is done elsewhere",
            "Removes keys and frees what they held in the background.",
            "key [key ...]",
        )
        .tips(ALL_SHARDS_SUM),
    Command::new("exists", -2, READONLY | FAST, keys::exists)
        .keys(LOOKED_AT_KEYS)
        .acl(acl::KEYSPACE)
        .doc(
            "generic",
            "1.0.0",
            "O(N) with N keys",
            "Counts how many of the keys are there.",
            "key [key ...]",
        )
        .tips(ALL_SHARDS_SUM),
    Command::new("touch", -2, READONLY | FAST, keys::touch)
        .keys(LOOKED_AT_KEYS)
        .acl(acl::KEYSPACE)
        .doc(
            "generic",
            "3.2.1",
            "O(N) with N keys",
            "Marks keys as used now and counts those that are there.",
            "key [key ...]",
        )
        .tips(ALL_SHARDS_SUM),
    Command::new("type", 2, READONLY | FAST, keys::type_of)
        .keys(&[KeySpec::one(key::RO, 1)])
        .acl(acl::KEYSPACE)
        .doc("generic", "1.0.0", "O(1)", "Names the type of the value at a key.", "key"),
    Command::new("rename", 3, WRITE, keys::rename)
        .keys(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1), KeySpec::one(key::OW | key::UPDATE, 2)])
        .acl(acl::KEYSPACE)
        .doc(
            "generic",
            "1.0.0",
            "O(1)",
            "Gives a key another name, replacing a key of that name.",
            "key newkey",
        ),
    Command::new("renamenx", 3, WRITE | FAST, keys::renamenx)
        .keys(&[KeySpec::one(key::RW | key::ACCESS | key::DELETE, 1), KeySpec::one(key::OW | key::INSERT, 2)])
        .acl(acl::KEYSPACE)
        .doc("generic", "1.0.0", "O(1)", "Gives a key another name unless that is taken.", "key newkey"),
    Command::new("copy", -3, WRITE | DENYOOM, keys::copy)
        .keys(&[KeySpec::one(key::RO | key::ACCESS, 1), KeySpec::one(key::OW | key::UPDATE, 2)])
        .acl(acl::KEYSPACE)
        .doc(
            "generic",
            "6.2.0",
            "O(N) with N elements; O(1) for strings",
            "Copies the value at a key to another key.",
            "source destination [DB destination-db] [REPLACE]",
        ),
    Command::new("move", 3, WRITE | FAST, keys::move_to)
        .keys(&[KeySpec::one(key::RW | key::ACCESS | key::UPDATE, 1)])
        .acl(acl::KEYSPACE)
        .doc("generic", "1.0.0", "O(1)", "Moves a key to another database.", "key db"),
    Command::new("keys", 2, READONLY, walks::keys)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .locks(Locks::None)
        .doc(
            "generic",
            "1.0.0",
            "O(N) with N keys in the database",
            "Lists the keys that match a pattern.",
            "pattern",
        )
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"]),
    Command::new("scan", -2, READONLY, walks::scan)
        .acl(acl::KEYSPACE)
        .locks(Locks::None)
        .doc(
            "generic",
            "2.8.0",
            "O(1) a call, O(N) for all N keys",
            "Lists the keys of a database a few at a time.",
            "cursor [MATCH pattern] [COUNT count] [TYPE type]",
        )
        .tips(&["nondeterministic_output", "request_policy:special"]),
    Command::new("randomkey", 1, READONLY, walks::randomkey)
        .acl(acl::KEYSPACE)
        .locks(Locks::None)
        .doc("generic", "1.0.0", "O(1)", "Returns a key chosen at random.", "")
        .tips(&["request_policy:all_shards", "nondeterministic_output"]),
    Command::new("dbsize", 1, READONLY | FAST, databases::dbsize)
        .acl(acl::KEYSPACE)
        .locks(Locks::None)
        .doc("server", "1.0.0", "O(1)", "Counts the keys of the database.", "")
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"]),
    Command::new("flushdb", -1, WRITE, databases::flushdb)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .locks(Locks::All)
        .doc("server", "1.0.0", "O(1); freeing is done elsewhere", "Empties the database.", "[ASYNC | SYNC]")
        .tips(ALL_SUCCEEDED),
    Command::new("flushall", -1, WRITE, databases::flushall)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .locks(Locks::All)
        .doc("server", "1.0.0", "O(1); freeing is done elsewhere", "Empties all databases.", "[ASYNC | SYNC]")
        .tips(ALL_SUCCEEDED),
    Command::new("swapdb", 3, WRITE | FAST, databases::swapdb)
        .acl(acl::KEYSPACE | acl::DANGEROUS)
        .locks(Locks::All)
        .doc(
            "server",
            "4.0.0",
            "O(N) with N clients that watch or wait for keys",
            "Exchanges the contents of two databases.",
            "index1 index2",
        ),
    Command::container("object", 0, object::COMMANDS).doc(
        "generic",
        "2.2.3",
        "O(1)",
        "A container for commands about how a value is kept.",
        "",
    ),
];

#[cfg(test)]
mod tests;
