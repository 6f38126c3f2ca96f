//! Publishing and subscribing; the server runs them.

use crate::command::table::{Command, KeySpec, acl, flags::*, key};

const OF_CONNECTION: u32 = PUBSUB | NOSCRIPT | LOADING | STALE;
/// What is published is passed to replicas.
const SENDS: u32 = PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE;
const LOOKS: u32 = PUBSUB | LOADING | STALE;

const A_NAME: &str = "O(1) a name";
const CHANNELS: &str = "channel [channel ...]";
const PATTERNS: &str = "pattern [pattern ...]";
const SHARD_CHANNELS: &str = "shardchannel [shardchannel ...]";

/// Shard channels are placed as keys are, and are none.
const SHARD_NAMES: &[KeySpec] = &[KeySpec::range(key::NOT_KEY, 1, -1, 1)];

const fn command(
    name: &'static str,
    arity: i32,
    since: &'static str,
    summary: &'static str,
    usage: &'static str,
) -> Command {
    Command::server(name, arity, OF_CONNECTION).doc("pubsub", since, A_NAME, summary, usage)
}

const fn looks(
    name: &'static str,
    arity: i32,
    since: &'static str,
    complexity: &'static str,
    summary: &'static str,
    usage: &'static str,
) -> Command {
    Command::server(name, arity, LOOKS).acl(acl::PUBSUB).doc("pubsub", since, complexity, summary, usage)
}

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    command(
        "subscribe",
        -2,
        "2.0.0",
        "Has this connection told what is published to the channels.",
        CHANNELS,
    ),
    command(
        "unsubscribe",
        -1,
        "2.0.0",
        "Ends that, for some channels or for all.",
        "[channel [channel ...]]",
    ),
    command(
        "psubscribe",
        -2,
        "2.0.0",
        "Has this connection told what is published to channels whose names fit the patterns.",
        PATTERNS,
    ),
    command(
        "punsubscribe",
        -1,
        "2.0.0",
        "Ends that, for some patterns or for all.",
        "[pattern [pattern ...]]",
    ),
    Command::server("publish", 3, SENDS).doc(
        "pubsub",
        "2.0.0",
        "O(N+M) with N subscribers of the channel and M patterns",
        "Sends a message to all who have subscribed to the channel, also on replicas.",
        "channel message",
    ),
    command("ssubscribe", -2, "7.0.0", "As SUBSCRIBE, for shard channels.", SHARD_CHANNELS).keys(SHARD_NAMES),
    command(
        "sunsubscribe",
        -1,
        "7.0.0",
        "As UNSUBSCRIBE, for shard channels.",
        "[shardchannel [shardchannel ...]]",
    )
    .keys(SHARD_NAMES),
    Command::server("spublish", 3, SENDS).keys(&[KeySpec::one(key::NOT_KEY, 1)]).doc(
        "pubsub",
        "7.0.0",
        "O(N) with N subscribers of the shard channel",
        "Sends a message to all who have subscribed to the shard channel, also on replicas.",
        "shardchannel message",
    ),
    Command::container("pubsub", 0, ABOUT).doc(
        "pubsub",
        "2.8.0",
        "Depends on the subcommand",
        "A container for questions about channels and patterns.",
        "",
    ),
];

const ABOUT: &[Command] = &[
    looks(
        "channels",
        -2,
        "2.8.0",
        "O(N) with N channels that have subscribers",
        "Lists the channels that have subscribers.",
        "[pattern]",
    ),
    Command::server("help", 2, LOADING | STALE).doc("pubsub", "6.2.0", "O(1)", "Lists the subcommands.", ""),
    looks("numpat", 2, "2.8.0", "O(1)", "Counts the patterns that somebody has subscribed to.", ""),
    looks(
        "numsub",
        -2,
        "2.8.0",
        A_NAME,
        "Counts the subscribers of channels, without those of patterns.",
        "[channel [channel ...]]",
    ),
    looks(
        "shardchannels",
        -2,
        "7.0.0",
        "O(N) with N shard channels that have subscribers",
        "Lists the shard channels that have subscribers.",
        "[pattern]",
    ),
    looks(
        "shardnumsub",
        -2,
        "7.0.0",
        A_NAME,
        "Counts the subscribers of shard channels.",
        "[shardchannel [shardchannel ...]]",
    ),
];
