//! Does the table of grammars bring about every command, and every word of each, that a stock server documents?

use super::table::RARE;
use super::{Entry, all_entries, entries, grammar};
use crate::support::Server;
use outrigger::base::random::Rng;
use outrigger::resp::RespValue;
use std::collections::{BTreeMap, BTreeSet};

/// Groups of commands, as COMMAND DOCS names them, whose commands are compared.
const GROUPS: &[&str] = &[
    "bitmap",
    "connection",
    "generic",
    "geo",
    "hash",
    "hyperloglog",
    "list",
    "set",
    "sorted-set",
    "stream",
    "string",
    "transactions",
];

/// Instances of a line that are looked at.
const INSTANCES: usize = 200;

/// Commands, or words of commands, that random comparison cannot bring about, and what tests them instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("client|help", HELP),
    ("object|help", HELP),
    ("xgroup|help", HELP),
    ("xinfo|help", HELP),
    ("client|info", OF_ITS_OWN),
    ("client|kill MASTER", OF_ITS_OWN),
    ("client|kill NORMAL", OF_ITS_OWN),
    ("client|kill REPLICA", OF_ITS_OWN),
    ("client|kill SLAVE", OF_ITS_OWN),
    ("client|list NORMAL", OF_ITS_OWN),
    ("client|list REPLICA", OF_ITS_OWN),
    ("client|pause", "commands::clients"),
    ("client|reply", "commands::protocol"),
    ("client|tracking", "commands::tracking"),
    ("hello", "commands::protocol; its reply names the server"),
    ("migrate", "commands::migrate"),
    ("pfselftest", "a unit test of the family; it takes its time"),
    ("quit", "commands::protocol"),
    ("reset", "commands::protocol"),
    ("wait", "replication::acks; ours has a replica in these runs, the stock server has none"),
];
const HELP: &str = "texts for people are in words of our own";
const OF_ITS_OWN: &str = "each server has connections of its own; commands::clients";

/// Commands with the words that their documentation names, subcommands as `container|sub`.
fn documented(server: &Server) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    let RespValue::Map(docs) = server.client3().cmd("COMMAND DOCS") else { panic!("a map") };
    for (name, doc) in &docs {
        collect(name, doc, &mut found);
    }
    found
}

fn collect(name: &RespValue, doc: &RespValue, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let group = field(doc, "group").map(text).unwrap_or_default();
    if let Some(RespValue::Map(subcommands)) = field(doc, "subcommands") {
        subcommands.iter().for_each(|(name, doc)| collect(name, doc, found));
        return;
    }
    if GROUPS.contains(&group.as_str()) {
        let mut words = BTreeSet::new();
        field(doc, "arguments").into_iter().for_each(|arguments| collect_words(arguments, &mut words));
        found.insert(text(name), words);
    }
}

fn collect_words(arguments: &RespValue, words: &mut BTreeSet<String>) {
    for argument in arguments.as_slice().unwrap_or_default() {
        words.extend(field(argument, "token").map(text).filter(|token| !token.is_empty()));
        field(argument, "arguments").into_iter().for_each(|inner| collect_words(inner, words));
    }
}

fn field<'a>(map: &'a RespValue, name: &str) -> Option<&'a RespValue> {
    let RespValue::Map(pairs) = map else { return None };
    pairs.iter().find(|(key, _)| text(key) == name).map(|(_, value)| value)
}

fn text(value: &RespValue) -> String {
    String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned()
}

/// The words that instances of each command's lines have.
fn generated(lines: &[Entry]) -> BTreeMap<String, BTreeSet<String>> {
    let mut rng = Rng::from_seed(1);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in lines {
        let words = found.entry(line.name.to_lowercase()).or_default();
        for _ in 0..INSTANCES {
            let mut args = Vec::new();
            grammar::generate(&line.part, &mut rng, &mut args);
            words.extend(args.iter().map(|arg| String::from_utf8_lossy(arg).to_uppercase()));
        }
    }
    // Written out in the code rather than as lines.
    for name in ["multi", "exec", "discard", "watch", "unwatch"] {
        found.entry(name.into()).or_default().insert(name.to_uppercase());
    }
    found
}

#[test]
fn every_documented_word_is_generated() {
    let Some(stock) = Server::redis(&[]) else { return };
    let mut lines = all_entries();
    lines.extend(entries(RARE));
    let generated = generated(&lines);
    let mut lacking = Vec::new();
    let elsewhere = |what: &str| ELSEWHERE.iter().any(|(name, _)| *name == what);
    for (name, words) in documented(&stock) {
        let (command, sub) = name.split_once('|').unwrap_or((&name, ""));
        let ours = generated.get(command).cloned().unwrap_or_default();
        if elsewhere(&name) {
            continue;
        }
        if ours.is_empty() || (!sub.is_empty() && !ours.contains(&sub.to_uppercase())) {
            lacking.push(name.clone());
            continue;
        }
        let lacks =
            |word: &&String| !ours.contains(&word.to_uppercase()) && !elsewhere(&format!("{name} {word}"));
        lacking.extend(words.iter().filter(lacks).map(|word| format!("{name} {word}")));
    }
    assert!(lacking.is_empty(), "not compared: {lacking:#?}");
}
