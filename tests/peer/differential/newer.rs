//! Hash fields that expire, compared with a stock server of 7.4 or later, where `OUTRIGGER_NEWER_REDIS` names one.

use super::grammar::Arg;
use super::table::{FIELD_TIMES, FIELD_TIMES_AND_VALUES, GENERIC, HASH, Line};
use super::{Entry, Options, Setup, entries, run};
use outrigger::resp::RespValue;

/// Commands on keys that have not changed since 7.0. (DUMP has: what ours dumps says nothing of times that are no more.)
const SAME: &[&str] =
    &["DEL", "UNLINK", "EXISTS", "TYPE", "RENAME", "RENAMENX", "COPY", "MOVE", "OBJECT", "DEBUG"];

/// The lines about hashes and the times of their fields that the stock server knows, and some about keys.
pub(super) fn lines(setup: &Setup) -> Vec<Entry> {
    let [_, stock] = &setup._servers;
    let knows = |name: &str| {
        matches!(stock.client().cmd(&format!("COMMAND INFO {name}")).as_slice(), Some([RespValue::Array(_)]))
    };
    // Times come up three times as often as anything else.
    let times = || FIELD_TIMES.iter().chain(FIELD_TIMES_AND_VALUES);
    let all: Vec<Line> = (0..3).flat_map(|_| times()).chain(HASH).chain(GENERIC).copied().collect();
    let mut all = entries(&all);
    all.retain(|entry| {
        knows(&entry.name) && (entry.name.starts_with('H') || SAME.contains(&entry.name.as_str()))
    });
    // From 8.0 on a cursor that is none is refused.
    all.iter_mut().for_each(|entry| entry.spoils &= entry.name != "HSCAN");
    all
}

/// From 7.2 on a hash goes over to a table for the number of pairs in a command, though fields occur twice.
pub(super) fn is_told_apart(options: Options, args: &[Arg]) -> bool {
    let most = if options.both.is_empty() { 128 } else { 8 };
    let is_hset = || ["HSET", "HMSET", "HSETEX"].iter().any(|it| args[0].eq_ignore_ascii_case(it.as_bytes()));
    options.newer && args.len() > 2 * most && is_hset()
}

#[test]
fn same_field_times_as_a_newer_redis() {
    run(3, Options { both: &[], ours: &[], newer: true, events: false });
    let both = &["--hash-max-listpack-entries", "8", "--hash-max-listpack-value", "32"];
    run(4, Options { both, ours: &[], newer: true, events: false });
}
