//! DEBUG: for tests and bug hunters.

mod knobs;
mod populate;
mod protocol;

use super::{Call, persistence};
use crate::base::random::Rng;
use crate::command::access::{lfu_count, lru_idle_s};
use crate::command::digest;
use crate::format::rdb::dump;
use crate::keyspace::{Entry, Shard, ValueRef};
use crate::replication::Lineage;
use crate::server::config::DebugAccess;
use crate::server::dispatch::Next;
use crate::value::{Value, hash_bytes};
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes that a DUMP payload has beyond the value: its type before it, version and checksum behind it.
const DUMP_FRAME_BYTES: usize = 11;

const HELP: &[&str] = &[
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANGE-REPL-ID",
    "    Goes on under a new lineage, as a promotion does.",
    "DIGEST",
    "    Returns a digest of the whole data set.",
    "DIGEST-VALUE [key ...]",
    "    Returns digests of single values.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    As CONFIG REWRITE, with a line for every directive.",
    "ERROR <text>",
    "    Answers with this error.",
    "LOADAOF",
    "    Loads the data set from the append-only file.",
    "LOG <text>",
    "    Writes the text to the server's log.",
    "OBJECT <key>",
    "    Describes how a value is kept.",
    "PAUSE-CRON <0|1>",
    "    Has the periodic work (expiry, sampling, idle clients) rest, or go on.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Adds strings named <prefix>:<number> (without a prefix, key:<number>), of <size> bytes, where there are none.",
    "PROTOCOL <type>",
    "    Answers with a value of this type: string, integer, double, bignum, null, array, set, map, attrib, push,",
    "    verbatim, true or false.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Gives elements of this size and above nodes of their own in lists; 0 leaves it to the nodes' size.",
    "RELOAD [NOSAVE]",
    "    Writes the data set out as a snapshot and loads it again.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Removes keys when their time has come, or only when they are next asked for.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Does not look at checksums of snapshots and of what RESTORE is given, or does.",
    "SLEEP <seconds>",
    "    Stops the data set for everybody.",
    "HELP",
    "    Lists the subcommands.",
];

/// Is this client allowed to use DEBUG?
fn is_allowed(call: &Call<'_, '_>) -> bool {
    match call.node.config().enable_debug_command {
        DebugAccess::Yes => true,
        DebugAccess::No => false,
        DebugAccess::Local => call.session.info.addr.is_local(),
    }
}

/// A switch's argument.
fn is_on(word: &[u8]) -> bool {
    word != b"0"
}

/// DEBUG subcommand ….
pub(super) fn debug(call: &mut Call<'_, '_>) -> Next {
    if !is_allowed(call) {
        return call.error(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it \
             from a local connection, otherwise you need to set this option in the configuration file, and then \
             restart the server.",
        );
    }
    let sub = call.args[1].to_ascii_lowercase();
    match (sub.as_slice(), call.args.len()) {
        (b"help", 2) => call.simple_lines(HELP),
        (b"digest", 2) => digest_all(call),
        (b"digest-value", _) => digest_values(call),
        (b"sleep", 3) => sleep(call),
        (b"object", 3 | 4) => object(call),
        (b"set-active-expire", 3) => {
            call.node.active_expiry.store(is_on(call.args[2]), Ordering::Relaxed);
            call.ok()
        }
        (b"change-repl-id", 2) => {
            let node = call.node;
            call.with_all_shards(|_| node.log.change_lineage(Lineage::random(&mut Rng::from_os())));
            call.ok()
        }
        (b"error", 3) => {
            let text = call.args[2];
            call.error(text)
        }
        (b"log", 3) => {
            tracing::warn!("DEBUG LOG: {}", String::from_utf8_lossy(call.args[2]));
            call.ok()
        }
        (b"pause-cron", 3) => {
            call.node.cron_paused.store(is_on(call.args[2]), Ordering::Relaxed);
            call.ok()
        }
        (b"populate", 3..=5) => populate::run(call),
        (b"protocol", 3) => protocol::example(call),
        (b"quicklist-packed-threshold", 3) => knobs::packed_threshold(call),
        (b"set-skip-checksum-validation", 3) => knobs::skip_checksums(call),
        (b"config-rewrite-force-all", 2) => super::config::rewrite_all(call),
        (b"reload", _) => persistence::debug_reload(call),
        (b"loadaof", 2) => persistence::debug_loadaof(call),
        _ => call.wrong_arguments(),
    }
}

fn digest_all(call: &mut Call<'_, '_>) -> Next {
    let databases = call.node.keyspace.databases();
    let digest = call.with_all_shards(|locked| digest::of_locked(locked, databases));
    call.reply().simple(digest.to_string());
    Next::Continue
}

/// The shard that a key lies in: one held for a transaction, or locked for the look.
fn with_shard_of<R>(call: &Call<'_, '_>, key: &[u8], look: impl FnOnce(&Shard, u64) -> R) -> R {
    let hash = hash_bytes(key);
    match &call.held {
        Some(held) => look(held.shard(hash), hash),
        None => look(call.node.keyspace.lock_one(hash).shard(hash), hash),
    }
}

fn digest_values(call: &mut Call<'_, '_>) -> Next {
    let db = call.session.db;
    let keys = &call.args[2..];
    let of = |key: &&[u8]| {
        with_shard_of(call, key, |shard, hash| {
            shard.db(db).get(hash, key).map_or_else(Default::default, digest::of_value).to_string()
        })
    };
    let digests: Vec<String> = keys.iter().map(of).collect();
    call.simple_lines(&digests)
}

/// Holds everything up: nobody reaches the data set, and this thread's connections are not served.
fn sleep(call: &mut Call<'_, '_>) -> Next {
    let seconds = std::str::from_utf8(call.args[2]).ok().and_then(|text| text.parse::<f64>().ok());
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_default();
    call.with_all_shards(|_| std::thread::sleep(time));
    if call.held.is_none() {
        // The commands behind it in the same batch see the time that has passed; in a transaction it stands still.
        call.session.now_ms = call.node.now_ms();
    }
    call.ok()
}

fn object(call: &mut Call<'_, '_>) -> Next {
    let (db, key, now_ms) = (call.session.db, call.args[2], call.session.now_ms);
    let settings = call.session.settings.clone();
    let described = with_shard_of(call, key, |shard, hash| {
        let entry = shard.db(db).get(hash, key)?;
        let mut text = describe(entry);
        let access = entry.access();
        // Writing to a String cannot fail.
        let _ = match settings.lfu {
            true => write!(text, " lru:{access} lfu_freq:{}", lfu_count(access, now_ms, &settings)),
            false => write!(text, " lru:{access} lru_seconds_idle:{}", lru_idle_s(access, now_ms)),
        };
        if let ValueRef::Object(Value::List(list)) = entry.value()
            && list.encoding() == "quicklist"
        {
            let nodes = list.node_count().max(1);
            let _ = write!(text, " ql_nodes:{nodes} ql_avg_node:{:.2}", list.len() as f64 / nodes as f64);
        }
        Some(text)
    });
    match described {
        Some(text) => call.reply().simple(text),
        None => return call.error("ERR no such key"),
    }
    Next::Continue
}

/// How a value is kept. Values have no address or count of references of their own here, as they have in Redis.
fn describe(entry: &Entry) -> String {
    let encoding = entry.encoding();
    let length = dump::encode(&entry.clone_value()).len().saturating_sub(DUMP_FRAME_BYTES);
    format!("Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{length}")
}
