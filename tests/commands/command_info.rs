//! COMMAND's account of our commands is the one that stock Redis gives of them.

use crate::support::{Client, Server, show};
use outrigger::resp::RespValue;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Commands whose entry differs, and why.
const DIFFERENT: &[(&str, &str)] = &[
    ("module|load", NO_MODULES),
    ("module|loadex", NO_MODULES),
    ("module|unload", NO_MODULES),
    ("zrank", "takes WITHSCORE, as Redis does from 7.2 on"),
    ("zrevrank", "takes WITHSCORE, as Redis does from 7.2 on"),
];
const NO_MODULES: &str = "no modules can be loaded here";

/// Groups of commands, as COMMAND DOCS names them, of which none may be lacking.
const WHOLE_GROUPS: &[&str] = &[
    "bitmap",
    "connection",
    "generic",
    "geo",
    "hash",
    "hyperloglog",
    "list",
    "pubsub",
    "set",
    "sorted-set",
    "stream",
    "string",
    "transactions",
];

fn names(client: &mut Client) -> Vec<String> {
    let reply = client.cmd("COMMAND LIST");
    let names = reply.as_slice().expect("names").iter().filter_map(RespValue::as_bytes);
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// Names without those of subcommands.
fn top_level(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| !name.contains('|')).cloned().collect()
}

fn text(value: &RespValue) -> String {
    String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned()
}

/// Entries by name, subcommands too; sets (flags, categories, tips) in an order of their own.
fn collect(entry: &RespValue, found: &mut BTreeMap<String, Vec<String>>) {
    let Some(parts) = entry.as_slice() else { return };
    // Key specs may carry notes for people, in words of their own.
    let without_notes = |item: &RespValue| match item {
        RespValue::Map(pairs) => {
            RespValue::Map(pairs.iter().filter(|(name, _)| text(name) != "notes").cloned().collect())
        }
        item => item.clone(),
    };
    let shown = |value: &RespValue| match value {
        RespValue::Set(items) | RespValue::Array(items) => {
            let mut items: Vec<String> =
                items.iter().map(|item| format!("{:?}", without_notes(item))).collect();
            items.sort();
            items.join(" ")
        }
        value => format!("{value:?}"),
    };
    // name, arity, flags, first, last, step, categories, tips, key specs, subcommands
    let name = text(&parts[0]);
    for sub in parts.get(9).and_then(RespValue::as_slice).unwrap_or_default() {
        collect(sub, found);
    }
    found.insert(name, parts.iter().skip(1).take(8).map(shown).collect());
}

fn entries(client: &mut Client, names: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut args = vec!["COMMAND".to_string(), "INFO".to_string()];
    args.extend_from_slice(names);
    let mut found = BTreeMap::new();
    for entry in client.command(&args).as_slice().expect("entries") {
        collect(entry, &mut found);
    }
    found
}

#[test]
fn entries_equal_those_of_stock_redis() {
    let Some(stock) = Server::redis(&[]) else { return };
    let server = Server::ours(&[]);
    let (mut ours, mut theirs) = (server.client3(), stock.client3());
    let (our_names, their_names) = (names(&mut ours), names(&mut theirs));
    assert_eq!(ours.int("COMMAND COUNT"), top_level(&our_names).len() as i64);
    assert!(our_names.len() > 200, "only {} commands and subcommands", our_names.len());
    // Containers are asked for, so that each brings its subcommands along.
    let shared: Vec<String> =
        top_level(&our_names).into_iter().filter(|name| their_names.contains(name)).collect();
    let (a, b) = (entries(&mut ours, &shared), entries(&mut theirs, &shared));
    let fields = ["arity", "flags", "first key", "last key", "step", "categories", "tips", "key specs"];
    let mut differences = String::new();
    for (name, theirs) in &b {
        if DIFFERENT.iter().any(|(known, _)| known == name) {
            continue;
        }
        let Some(ours) = a.get(name) else {
            let _ = writeln!(differences, "{name}: missing");
            continue;
        };
        for (field, (ours, theirs)) in fields.iter().zip(ours.iter().zip(theirs)) {
            if ours != theirs {
                let _ = writeln!(differences, "{name}: {field}\n   ours:   {ours}\n   theirs: {theirs}");
            }
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

/// The group that COMMAND DOCS names for each command and subcommand.
fn groups(client: &mut Client, names: &[String]) -> BTreeMap<String, String> {
    let group = |name: &String| {
        let RespValue::Map(docs) = client.command(&["COMMAND", "DOCS", name]) else { panic!("a map") };
        let Some((_, RespValue::Map(fields))) = docs.into_iter().next() else { panic!("docs of {name}") };
        let found = fields.iter().find(|(field, _)| text(field) == "group");
        (name.clone(), found.map(|(_, group)| text(group)).unwrap_or_default())
    };
    names.iter().map(group).collect()
}

#[test]
fn no_command_of_the_data_families_is_lacking() {
    let Some(stock) = Server::redis(&[]) else { return };
    let server = Server::ours(&[]);
    let (mut ours, mut theirs) = (server.client3(), stock.client3());
    let (our_names, their_names) = (names(&mut ours), names(&mut theirs));
    let (our_groups, their_groups) = (groups(&mut ours, &our_names), groups(&mut theirs, &their_names));
    let lacking: Vec<&String> = their_groups
        .iter()
        .filter(|(name, group)| WHOLE_GROUPS.contains(&group.as_str()) && !our_names.contains(name))
        .map(|(name, _)| name)
        .collect();
    assert!(lacking.is_empty(), "{lacking:?}");
    let misplaced: Vec<(&String, &String, &String)> = their_groups
        .iter()
        .filter_map(|(name, group)| Some((name, our_groups.get(name)?, group)))
        .filter(|(_, ours, theirs)| ours != theirs)
        .collect();
    assert!(misplaced.is_empty(), "name, our group, theirs: {misplaced:?}");
}

/// A subcommand's entry is the same whether it is asked for by its own name or comes with its container, and LIST
/// names it.
#[test]
fn subcommands_have_entries_of_their_own() {
    let server = Server::ours(&[]);
    let mut client = server.client3();
    let names = names(&mut client);
    let with_containers = entries(&mut client, &top_level(&names));
    assert_eq!(entries(&mut client, &names), with_containers);
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(sorted, with_containers.into_keys().collect::<Vec<_>>());
    for name in ["config|nosuch", "get|x", "nosuch", "|", "config|"] {
        assert_eq!(
            client.cmd(&format!("COMMAND INFO {name}")),
            RespValue::Array(vec![RespValue::Null]),
            "{name}"
        );
        assert_eq!(client.cmd(&format!("COMMAND DOCS {name}")), RespValue::Map(Vec::new()), "{name}");
    }
    let RespValue::Map(docs) = client.cmd("COMMAND DOCS config|get") else { panic!("a map") };
    assert_eq!(docs.iter().map(|(name, _)| text(name)).collect::<Vec<_>>(), ["config|get"]);
}

#[test]
fn lists_are_filtered_as_stock_redis_filters_them() {
    let Some(stock) = Server::redis(&[]) else { return };
    let server = Server::ours(&[]);
    let (mut ours, mut theirs) = (server.client(), stock.client());
    let all = (names(&mut ours), names(&mut theirs));
    let known = |name: &String| all.0.contains(name) && all.1.contains(name);
    for words in [
        "",
        "FILTERBY PATTERN *",
        "FILTERBY PATTERN config*",
        "FILTERBY PATTERN *|help",
        "FILTERBY PATTERN CONFIG|GET",
        "FILTERBY PATTERN nosuch",
        "FILTERBY ACLCAT dangerous",
        "FILTERBY ACLCAT Read",
        "FILTERBY ACLCAT keyspace",
        "FILTERBY ACLCAT nosuch",
        "FILTERBY MODULE x",
        "FILTERBY",
        "FILTERBY PATTERN",
        "FILTERBY NOSUCH x",
        "FILTERBY PATTERN a b",
    ] {
        let words = format!("COMMAND LIST {words}");
        let shown = |reply: RespValue| match reply.as_slice() {
            Some(names) => {
                let mut names: Vec<String> = names.iter().map(text).filter(known).collect();
                names.sort();
                format!("{names:?}")
            }
            None => format!("{reply:?}"),
        };
        assert_eq!(shown(ours.cmd(&words)), shown(theirs.cmd(&words)), "{words}");
    }
}

#[test]
fn keys_are_found_as_stock_redis_finds_them() {
    let Some(stock) = Server::redis(&[]) else { return };
    let server = Server::ours(&[]);
    let (mut ours, mut theirs) = (server.client(), stock.client());
    let known = names(&mut ours);
    for words in [
        "GET a",
        "MSET a 1 b 2",
        "MSET a 1 b",
        "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
        "ZUNIONSTORE d 9 a b",
        "ZUNION 2 a b",
        "LMPOP 2 a b LEFT",
        "BLPOP a b c 0",
        "COPY a b",
        "SINTERCARD 2 a b LIMIT 3",
        "OBJECT ENCODING a",
        "OBJECT|ENCODING a",
        "OBJECT NOSUCH a",
        "OBJECT",
        "MEMORY USAGE a SAMPLES 3",
        "MEMORY USAGE",
        "MEMORY STATS",
        "CONFIG GET a",
        "EVALSHA x 1 a",
        "MIGRATE h 1 a 0 1",
        "MIGRATE keys 1 a 0 1",
        "MIGRATE h 1 a 0 1 AUTH KEYS",
        "MIGRATE h 1 a 0 1 AUTH2 KEYS KEYS",
        "MIGRATE h 1 a 0 1 KEYS b",
        "MIGRATE h 1  0 1 KEYS a b",
        "MIGRATE h 1  0 1 KEYS a KEYS b",
        "MIGRATE h 1  0 1 COPY AUTH keys KEYS a keys",
        "BITFIELD a",
        "BITFIELD a GET u8 0 OVERFLOW SAT GET u8 0",
        "BITFIELD a GET u8 0 INCRBY u8 0 1",
        "BITFIELD a GET u8",
        "BITFIELD a GET u8 SET",
        "SORT a BY w STORE d",
        "SORT_RO a",
        "MSETNX a 1 b 2",
        "BLMPOP 0 2 a b LEFT",
        "BZMPOP 0 1 a MIN",
        "ZDIFFSTORE d 2 a b",
        "LMOVE a b LEFT RIGHT",
        "DEL a b c",
        "SINTERSTORE d a b",
        "LCS a b",
        "PING",
        "NOSUCH a",
        "GET",
        "DEBUG OBJECT a",
        "RENAME a b",
        "SET a b GET",
    ] {
        for how in ["GETKEYS", "GETKEYSANDFLAGS"] {
            let words = format!("COMMAND {how} {words}");
            let args: Vec<&str> = words.split(' ').collect();
            ours.send(&args).expect("send");
            theirs.send(&args).expect("send");
            let (ours, theirs) =
                (ours.read_raw_reply().expect("reply"), theirs.read_raw_reply().expect("reply"));
            // What is no command here is one there.
            let unknown = args.get(2).is_some_and(|name| !known.contains(&name.to_lowercase()))
                && ours.value.as_error() == Some(b"ERR Invalid command specified");
            assert!(ours.raw == theirs.raw || unknown, "{words}: {} {}", show(&ours.raw), show(&theirs.raw));
        }
    }
}

#[test]
fn docs_name_every_command() {
    let server = Server::ours(&[]);
    let mut client = server.client3();
    let RespValue::Map(docs) = client.cmd("COMMAND DOCS") else { panic!("COMMAND DOCS answers a map") };
    let mut named: Vec<String> = docs.iter().map(|(name, _)| text(name)).collect();
    let mut all = top_level(&names(&mut client));
    named.sort();
    all.sort();
    assert_eq!(named, all);
}
