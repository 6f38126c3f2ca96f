//! Administration: configuration, figures, the command table itself.

use super::memory_usage::memory_usage;
use crate::command::table::{Command, KeySpec, acl, flags::*, key};

const ANY_TIME: u32 = LOADING | STALE;
const ADMINISTER: u32 = ADMIN | NOSCRIPT | LOADING | STALE;

const fn admin(name: &'static str, arity: i32) -> Command {
    Command::server(name, arity, ADMINISTER)
}

const fn container(name: &'static str, since: &'static str, subs: &'static [Command]) -> Command {
    let what = "A container for subcommands.";
    Command::container(name, 0, subs).doc("server", since, "Depends on the subcommand", what, "")
}

const fn help(since: &'static str) -> Command {
    Command::server("help", 2, ANY_TIME).doc("server", since, "O(1)", "Lists the subcommands.", "")
}

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    container("acl", "6.0.0", ACL),
    Command::server("command", -1, ANY_TIME)
        .subs(COMMAND)
        .acl(acl::CONNECTION)
        .tips(&["nondeterministic_output_order"])
        .doc("server", "2.8.13", "O(N) with N commands", "Describes all commands.", ""),
    container("config", "2.0.0", CONFIG),
    admin("debug", -2).doc(
        "server",
        "1.0.0",
        "Depends on the subcommand",
        "A container for what tests and bug hunters need.",
        "subcommand [argument [argument ...]]",
    ),
    Command::server("info", -1, ANY_TIME)
        .acl(acl::DANGEROUS)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .doc("server", "1.0.0", "O(1)", "Returns the server's figures.", "[section [section ...]]"),
    container("latency", "2.8.13", LATENCY),
    Command::server("lolwut", -1, READONLY | FAST).doc(
        "server",
        "5.0.0",
        "O(1)",
        "Draws a boat and tells the version.",
        "[VERSION version]",
    ),
    container("memory", "4.0.0", MEMORY),
    container("module", "4.0.0", MODULE),
    admin("monitor", 1).doc(
        "server",
        "1.0.0",
        "O(1)",
        "Has this connection told of every command that the server runs.",
        "",
    ),
    container("slowlog", "2.2.12", SLOWLOG),
    Command::server("time", 1, ANY_TIME | FAST).tips(&["nondeterministic_output"]).doc(
        "server",
        "2.6.0",
        "O(1)",
        "Returns the server's clock: unix seconds, and microseconds.",
        "",
    ),
];

const ACL: &[Command] = &[
    Command::server("cat", -2, NOSCRIPT | ANY_TIME).doc(
        "server",
        "6.0.0",
        "O(1)",
        "Lists the categories, or the commands of one.",
        "[categoryname]",
    ),
    admin("deluser", -3).doc(
        "server",
        "6.0.0",
        "O(1) a user",
        "Removes users and ends their connections.",
        "username [username ...]",
    ),
    admin("dryrun", -4).doc(
        "server",
        "7.0.0",
        "O(1)",
        "Tells whether a user may run a command, without running it.",
        "username command [arg [arg ...]]",
    ),
    Command::server("genpass", -2, NOSCRIPT | ANY_TIME).doc(
        "server",
        "6.0.0",
        "O(1)",
        "Returns a random password.",
        "[bits]",
    ),
    admin("getuser", 3).doc(
        "server",
        "6.0.0",
        "O(N) with N rules",
        "Returns the rules of a user.",
        "username",
    ),
    help("6.0.0"),
    admin("list", 2).doc(
        "server",
        "6.0.0",
        "O(N) with N users",
        "Lists all users with their rules, as files hold them.",
        "",
    ),
    admin("load", 2).doc(
        "server",
        "6.0.0",
        "O(N) with N users",
        "Takes all users from the file of users, or changes nothing.",
        "",
    ),
    admin("log", -2).doc(
        "server",
        "6.0.0",
        "O(N) with N entries shown",
        "Returns what users were refused lately, or forgets it.",
        "[count | RESET]",
    ),
    admin("save", 2).doc(
        "server",
        "6.0.0",
        "O(N) with N users",
        "Writes all users to the file of users.",
        "",
    ),
    admin("setuser", -3).doc(
        "server",
        "6.0.0",
        "O(N) with N rules",
        "Makes a user or changes its rules.",
        "username [rule [rule ...]]",
    ),
    admin("users", 2).doc("server", "6.0.0", "O(N) with N users", "Lists the users' names.", ""),
    Command::server("whoami", 2, NOSCRIPT | ANY_TIME).doc(
        "server",
        "6.0.0",
        "O(1)",
        "Returns the user of this connection.",
        "",
    ),
];

const UNORDERED: &[&str] = &["nondeterministic_output_order"];

const fn about_commands(name: &'static str, arity: i32) -> Command {
    Command::server(name, arity, ANY_TIME).acl(acl::CONNECTION)
}

const COMMAND: &[Command] = &[
    about_commands("count", 2).doc("server", "2.8.13", "O(1)", "Returns the number of commands.", ""),
    about_commands("docs", -2).tips(UNORDERED).doc(
        "server",
        "7.0.0",
        "O(N) with N commands to look up",
        "Documents all commands, or some.",
        "[command-name [command-name ...]]",
    ),
    about_commands("getkeys", -4).doc(
        "server",
        "2.8.13",
        "O(N) with N arguments",
        "Returns the keys that a command names.",
        "command [arg [arg ...]]",
    ),
    about_commands("getkeysandflags", -4).doc(
        "server",
        "7.0.0",
        "O(N) with N arguments",
        "Returns the keys that a command names, and what it does to them.",
        "command [arg [arg ...]]",
    ),
    about_commands("help", 2).doc("server", "5.0.0", "O(1)", "Lists the subcommands.", ""),
    about_commands("info", -2).tips(UNORDERED).doc(
        "server",
        "2.8.13",
        "O(N) with N commands to look up",
        "Describes all commands, or some.",
        "[command-name [command-name ...]]",
    ),
    about_commands("list", -2).tips(UNORDERED).doc(
        "server",
        "7.0.0",
        "O(N) with N commands",
        "Lists the names of the commands, or of some.",
        "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
    ),
];

const CONFIG: &[Command] = &[
    admin("get", -3).doc(
        "server",
        "2.0.0",
        "O(N) with N settings",
        "Returns the settings that the patterns match.",
        "parameter [parameter ...]",
    ),
    help("5.0.0"),
    admin("resetstat", 2).doc("server", "2.0.0", "O(1)", "Sets the figures to zero.", ""),
    admin("rewrite", 2).doc("server", "2.8.0", "O(1)", "Writes the settings to the configuration file.", ""),
    admin("set", -4).tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]).doc(
        "server",
        "2.0.0",
        "O(N) with N settings",
        "Changes settings, all of them or none.",
        "parameter value [parameter value ...]",
    ),
];

const LATENCY_TIPS: &[&str] =
    &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

const LATENCY: &[Command] = &[
    admin("doctor", 2).tips(LATENCY_TIPS).doc(
        "server",
        "2.8.13",
        "O(1)",
        "Says what took long, and what may be done about it.",
        "",
    ),
    admin("graph", 3).tips(LATENCY_TIPS).doc(
        "server",
        "2.8.13",
        "O(1)",
        "Draws how long an event took lately.",
        "event",
    ),
    help("2.8.13"),
    admin("histogram", -2).tips(LATENCY_TIPS).doc(
        "server",
        "7.0.0",
        "O(N) with N commands that are shown",
        "Returns how many calls of all commands, or some, took how long.",
        "[command-name [command-name ...]]",
    ),
    admin("history", 3).tips(LATENCY_TIPS).doc(
        "server",
        "2.8.13",
        "O(1)",
        "Returns when an event took how long.",
        "event",
    ),
    admin("latest", 2).tips(LATENCY_TIPS).doc(
        "server",
        "2.8.13",
        "O(1)",
        "Returns all events, how long each took last, and at most.",
        "",
    ),
    admin("reset", -2).tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]).doc(
        "server",
        "2.8.13",
        "O(1)",
        "Forgets all events, or some.",
        "[event [event ...]]",
    ),
];

const ALL_SHARDS: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

const MEMORY: &[Command] = &[
    Command::server("doctor", 2, 0).tips(ALL_SHARDS).doc(
        "server",
        "4.0.0",
        "O(1)",
        "Says what is remarkable about the memory in use.",
        "",
    ),
    help("4.0.0"),
    Command::server("malloc-stats", 2, 0).tips(ALL_SHARDS).doc(
        "server",
        "4.0.0",
        "Depends on how much memory is allocated",
        "Returns the allocator's figures.",
        "",
    ),
    Command::server("purge", 2, 0).tips(&["request_policy:all_shards", "response_policy:all_succeeded"]).doc(
        "server",
        "4.0.0",
        "Depends on how much memory is allocated",
        "Gives the allocator's unused memory back to the system.",
        "",
    ),
    Command::server("stats", 2, 0).tips(ALL_SHARDS).doc(
        "server",
        "4.0.0",
        "O(1)",
        "Returns figures about the memory in use.",
        "",
    ),
    Command::new("usage", -3, READONLY, memory_usage).keys(&[KeySpec::one(key::RO, 2)]).doc(
        "server",
        "4.0.0",
        "O(N) with N samples",
        "Estimates the bytes that a key and its value take.",
        "key [SAMPLES count]",
    ),
];

const MODULE: &[Command] = &[
    help("5.0.0"),
    Command::server("list", 2, ADMIN | NOSCRIPT).tips(UNORDERED).doc(
        "server",
        "4.0.0",
        "O(N) with N modules",
        "Lists the loaded modules; there are none.",
        "",
    ),
];

const SLOWLOG: &[Command] = &[
    Command::server("get", -2, ADMIN | ANY_TIME)
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .doc("server", "2.2.12", "O(N) with N entries", "Returns the newest slow commands.", "[count]"),
    help("6.2.0"),
    Command::server("len", 2, ADMIN | ANY_TIME)
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"])
        .doc("server", "2.2.12", "O(1)", "Returns the number of entries in the slow log.", ""),
    Command::server("reset", 2, ADMIN | ANY_TIME)
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .doc("server", "2.2.12", "O(N) with N entries", "Empties the slow log.", ""),
];
