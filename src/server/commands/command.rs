//! COMMAND: the command table, as clients may read it.

use super::command_docs::docs;
use super::{Call, Handler};
use crate::base::glob::glob_match_nocase;
use crate::command::keys_used::{keys_used, settled_flags};
use crate::command::table::{Begin, Command, Find, KeySpec, acl, flags, key};
use crate::command::{CommandError, registry};
use crate::resp::reply::Reply;
use crate::server::dispatch::Next;

const INVALID_ARGUMENTS: &str = "ERR Invalid arguments specified for command";

pub(super) fn handler(name: &str, sub: &str) -> Option<Handler> {
    if name != "command" {
        return None;
    }
    Some(match sub {
        "" => all,
        "count" => count,
        "info" => info,
        "docs" => docs,
        "list" => list,
        "getkeys" => get_keys,
        "getkeysandflags" => get_keys_and_flags,
        _ => return None,
    })
}

fn all(call: &mut Call<'_, '_>) -> Next {
    let mut reply = call.reply();
    reply.array(registry::all().count());
    registry::all().for_each(|command| describe(&mut reply, command));
    Next::Continue
}

fn count(call: &mut Call<'_, '_>) -> Next {
    call.reply().int(registry::all().count() as i64);
    Next::Continue
}

fn info(call: &mut Call<'_, '_>) -> Next {
    let names = &call.args[2..];
    if names.is_empty() {
        return all(call);
    }
    let mut reply = Reply::new(call.out, call.session.resp3);
    reply.array(names.len());
    for name in names {
        match registry::find_full(name) {
            Some(command) => describe(&mut reply, command),
            None => reply.null(),
        }
    }
    Next::Continue
}

/// One command as COMMAND INFO shows it.
fn describe(reply: &mut Reply<'_>, command: &'static Command) {
    let (first, last, step) = legacy_range(command.keys);
    reply.array(10);
    reply.bulk(registry::full_name(command));
    reply.int(i64::from(command.arity));
    names_of_bits(reply, command.flags, flags::NAMES, "");
    for position in [first, last, step] {
        reply.int(i64::from(position));
    }
    names_of_bits(reply, command.acl_all(), acl::NAMES, "@");
    reply.array(command.tips.len());
    command.tips.iter().for_each(|tip| reply.bulk(tip));
    reply.array(command.keys.len());
    command.keys.iter().for_each(|spec| describe_keys(reply, spec));
    reply.array(command.sub.len());
    command.sub.iter().for_each(|sub| describe(reply, sub));
}

/// The names of the bits that are set, as a set of simple strings.
fn names_of_bits(reply: &mut Reply<'_>, bits: u32, names: &[(u32, &str)], prefix: &str) {
    let set = || names.iter().filter(|(bit, _)| bits & bit != 0);
    reply.set(set().count());
    set().for_each(|(_, name)| reply.simple(format!("{prefix}{name}")));
}

/// Keys of a map, each a bulk string.
fn describe_keys(reply: &mut Reply<'_>, spec: &KeySpec) {
    reply.map(3);
    reply.bulk("flags");
    names_of_bits(reply, spec.flags, key::NAMES, "");
    reply.bulk("begin_search");
    match spec.begin {
        Begin::Index(at) => typed(reply, "index", &[("index", at)]),
        Begin::Keyword(word, from) => {
            type_and_spec(reply, "keyword");
            reply.map(2);
            reply.bulk("keyword");
            reply.bulk(word);
            reply.bulk("startfrom");
            reply.int(i64::from(from));
        }
        Begin::Unknown => typed(reply, "unknown", &[]),
    }
    reply.bulk("find_keys");
    match spec.find {
        Find::Range(last, step, limit) => {
            typed(reply, "range", &[("lastkey", last), ("keystep", step), ("limit", limit)]);
        }
        Find::KeyNum(number, first, step) => {
            typed(reply, "keynum", &[("keynumidx", number), ("firstkey", first), ("keystep", step)]);
        }
        Find::Unknown | Find::SortStore => typed(reply, "unknown", &[]),
    }
}

fn type_and_spec(reply: &mut Reply<'_>, kind: &str) {
    reply.map(2);
    reply.bulk("type");
    reply.bulk(kind);
    reply.bulk("spec");
}

fn typed(reply: &mut Reply<'_>, kind: &str, numbers: &[(&str, i32)]) {
    type_and_spec(reply, kind);
    reply.map(numbers.len());
    for (name, number) in numbers {
        reply.bulk(name);
        reply.int(i64::from(*number));
    }
}

/// The first key, the last and the step, as clients older than key specs read them; zeros where specs do not fit that
/// form. Specs of neighbouring single keys are drawn together.
fn legacy_range(specs: &[KeySpec]) -> (i32, i32, i32) {
    let from_first = |first: i32, last: i32| if last >= 0 { first + last } else { last };
    if let [KeySpec { begin: Begin::Index(first), find: Find::Range(last, step, _), .. }] = specs {
        return (*first, from_first(*first, *last), *step);
    }
    let mut whole: Option<(i32, i32)> = None;
    for spec in specs {
        let (Begin::Index(first), Find::Range(last, step, _)) = (spec.begin, spec.find) else { continue };
        let adjoins = whole.is_none_or(|(_, last)| last == first - 1);
        if step != 1 || !adjoins {
            return (0, 0, 0);
        }
        whole = Some((whole.map_or(first, |(start, _)| start), from_first(first, last)));
    }
    whole.map_or((0, 0, 0), |(first, last)| (first, last, 1))
}

fn list(call: &mut Call<'_, '_>) -> Next {
    let all = || registry::all().flat_map(|command| std::iter::once(command).chain(command.sub));
    let names: Vec<&str> = match call.args {
        [_, _] => all().map(registry::full_name).collect(),
        [_, _, filter, kind, value] if filter.eq_ignore_ascii_case(b"filterby") => {
            match kind.to_ascii_lowercase().as_slice() {
                b"module" => Vec::new(),
                b"aclcat" => {
                    let known = acl::NAMES.iter().find(|(_, it)| value.eq_ignore_ascii_case(it.as_bytes()));
                    let category = known.map_or(0, |(bit, _)| *bit);
                    all().filter(|it| it.acl_all() & category != 0).map(registry::full_name).collect()
                }
                b"pattern" => {
                    let names = all().map(registry::full_name);
                    names.filter(|name| glob_match_nocase(value, name.as_bytes())).collect()
                }
                _ => return call.error(CommandError::Syntax.to_string()),
            }
        }
        _ => return call.error(CommandError::Syntax.to_string()),
    };
    let mut reply = call.reply();
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Next::Continue
}

/// The keys of the command that follows, with what is done to each, or the error to answer with.
fn keys_of(args: &[&[u8]]) -> Result<Vec<(usize, u32)>, &'static str> {
    let command = match registry::resolve(args) {
        Some((_, Some(sub))) => sub,
        Some((command, None)) if command.sub.is_empty() || args.len() == 1 => command,
        _ => return Err("ERR Invalid command specified"),
    };
    if command.keys.iter().all(|spec| spec.flags & key::NOT_KEY != 0) {
        return Err("ERR The command has no key arguments");
    }
    if !command.arity_fits(args.len()) {
        return Err("ERR Invalid number of arguments specified for command");
    }
    if command.name == "migrate" {
        let keys = keys_used(command, args);
        return if keys.is_empty() { Err(INVALID_ARGUMENTS) } else { Ok(keys.into_vec()) };
    }
    let mut keys = Vec::new();
    let fits = command.for_each_key(args, |at, flags| keys.push((at, flags)));
    if !fits || keys.is_empty() {
        return Err(INVALID_ARGUMENTS);
    }
    for (_, flags) in keys.iter_mut().filter(|(_, flags)| flags & key::VARIABLE_FLAGS != 0) {
        *flags = settled_flags(command, args);
    }
    Ok(keys)
}

fn get_keys(call: &mut Call<'_, '_>) -> Next {
    let args = &call.args[2..];
    match keys_of(args) {
        Err(text) => return call.error(text),
        Ok(keys) => {
            let mut reply = call.reply();
            reply.array(keys.len());
            keys.iter().for_each(|(at, _)| reply.bulk(args[*at]));
        }
    }
    Next::Continue
}

fn get_keys_and_flags(call: &mut Call<'_, '_>) -> Next {
    let args = &call.args[2..];
    match keys_of(args) {
        Err(text) => return call.error(text),
        Ok(keys) => {
            let mut reply = call.reply();
            reply.array(keys.len());
            for (at, flags) in keys {
                reply.array(2);
                reply.bulk(args[at]);
                names_of_bits(&mut reply, flags, key::NAMES, "");
            }
        }
    }
    Next::Continue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_for_older_clients() {
        let one = |at| KeySpec::one(key::RO, at);
        assert_eq!(legacy_range(&[]), (0, 0, 0));
        assert_eq!(legacy_range(&[KeySpec::range(key::RO, 1, -1, 2)]), (1, -1, 2));
        assert_eq!(legacy_range(&[KeySpec::range(key::RO, 2, 3, 1)]), (2, 5, 1));
        assert_eq!(legacy_range(&[one(1), KeySpec::range(key::RO, 2, -1, 1)]), (1, -1, 1));
        assert_eq!(legacy_range(&[one(1), one(2)]), (1, 2, 1));
        assert_eq!(legacy_range(&[one(1), one(3)]), (0, 0, 0));
        assert_eq!(legacy_range(&[one(1), KeySpec::counted(key::RO, 2)]), (1, 1, 1));
        assert_eq!(legacy_range(&[KeySpec::counted(key::RO, 1)]), (0, 0, 0));
    }

    #[test]
    fn keys_are_found_or_the_reason_why_not() {
        let keys = |line: &str| {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            keys_of(&args).map(|keys| keys.into_iter().map(|(at, _)| at).collect::<Vec<_>>())
        };
        assert_eq!(keys("GET a"), Ok(vec![1]));
        assert_eq!(keys("memory usage a"), Ok(vec![2]));
        assert_eq!(keys("foo a"), Err("ERR Invalid command specified"));
        assert_eq!(keys("memory nosuch a"), Err("ERR Invalid command specified"));
        assert_eq!(keys("ping"), Err("ERR The command has no key arguments"));
        assert_eq!(keys("spublish channel text"), Err("ERR The command has no key arguments"));
        assert_eq!(keys("get a b"), Err("ERR Invalid number of arguments specified for command"));
    }
}
