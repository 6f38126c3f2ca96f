//! The keys that a command's arguments name, and what is done to each: a fold over the command table.

use super::table::{Command, Locks, key, streams_option};
use smallvec::SmallVec;
use std::ops::Range;

/// Places of keys among the arguments, each with the flags of its spec, see [`key`].
pub type KeysUsed = SmallVec<[(usize, u32); 4]>;

/// The keys that running the command with these arguments touches. Where the arguments are wrong, in a way that the
/// handler will refuse, some may be missing, or some be named that are none.
pub fn keys_used(command: &Command, args: &[&[u8]]) -> KeysUsed {
    let mut keys = KeysUsed::new();
    if command.locks == Locks::Streams {
        // The spec looks for the word STREAMS, which may also be the name of a group.
        let flags = command.keys.first().map_or(0, |spec| spec.flags);
        keys.extend(streams_option(args).map(|at| (at, flags)));
        return keys;
    }
    if command.name == "migrate" {
        // The spec looks for the word KEYS, which may also be a password or the name of a key.
        let flags = command.keys.first().map_or(0, |spec| spec.flags);
        keys.extend(migrated_keys(args).map(|at| (at, flags)));
        return keys;
    }
    command.for_each_key(args, |at, flags| keys.push((at, flags)));
    keys.retain(|(_, flags)| *flags & key::NOT_KEY == 0);
    for (_, flags) in keys.iter_mut().filter(|(_, flags)| flags & key::VARIABLE_FLAGS != 0) {
        *flags = settled_flags(command, args);
    }
    keys
}

/// Where MIGRATE's keys are among its arguments: behind the first KEYS that is no password, or the third argument.
fn migrated_keys(args: &[&[u8]]) -> Range<usize> {
    const OPTIONS: usize = 6;
    const ONE_KEY: Range<usize> = 3..4;
    let mut at = OPTIONS;
    while let Some(word) = args.get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        at += match () {
            // With a key in its own place, too, the command is refused.
            () if is("keys") => {
                return if args[ONE_KEY.start].is_empty() { at + 1..args.len() } else { 0..0 };
            }
            () if is("auth") => 2,
            () if is("auth2") => 3,
            () => 1,
        };
    }
    ONE_KEY
}

/// What a command whose arguments decide about it does to its key.
pub fn settled_flags(command: &Command, args: &[&[u8]]) -> u32 {
    match command.name {
        // The value may be anything, so the words are looked for behind it.
        "set" if args.iter().skip(3).any(|arg| arg.eq_ignore_ascii_case(b"get")) => {
            key::RW | key::ACCESS | key::UPDATE
        }
        "set" => key::OW | key::UPDATE,
        "bitfield" if only_reads(args.get(2..).unwrap_or_default()) => key::RO | key::ACCESS,
        _ => key::RW | key::ACCESS | key::UPDATE,
    }
}

/// Are BITFIELD's steps nothing but GET, and well formed as far as their numbers of words go?
fn only_reads(mut steps: &[&[u8]]) -> bool {
    while let [word, rest @ ..] = steps {
        steps = match rest {
            [_, _, rest @ ..] if word.eq_ignore_ascii_case(b"get") => rest,
            [_, rest @ ..] if word.eq_ignore_ascii_case(b"overflow") => rest,
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::registry;

    fn used(line: &str) -> Vec<(String, u32)> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let (command, sub) = registry::resolve(&args).expect("a known command");
        let keys = keys_used(sub.unwrap_or(command), &args);
        keys.into_iter().map(|(at, flags)| (String::from_utf8_lossy(args[at]).into(), flags)).collect()
    }

    fn names(line: &str) -> Vec<String> {
        used(line).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn keys_are_those_that_the_handler_touches() {
        assert_eq!(names("XREADGROUP GROUP streams streams STREAMS a b > >"), ["a", "b"]);
        assert_eq!(names("XREAD COUNT 1 STREAMS a 0"), ["a"]);
        assert_eq!(names("SORT a BY store GET store STORE b"), ["a", "b"]);
        assert_eq!(names("GEORADIUS a 1 1 1 m STORE b"), ["a", "b"]);
        assert_eq!(names("ZUNIONSTORE d 2 a b"), ["d", "a", "b"]);
        assert_eq!(names("PING"), Vec::<String>::new());
    }

    #[test]
    fn a_password_hides_no_key_of_migrate() {
        assert_eq!(names("MIGRATE h 1  0 5 KEYS a b"), ["a", "b"]);
        assert_eq!(names("MIGRATE h 1  0 5 AUTH keys KEYS a b"), ["a", "b"]);
        assert_eq!(names("MIGRATE h 1  0 5 AUTH2 keys keys REPLACE KEYS a"), ["a"]);
        assert_eq!(names("MIGRATE h 1 secret 0 5 AUTH keys COPY"), ["secret"]);
        assert_eq!(names("MIGRATE h 1 a 0 5 KEYS b"), Vec::<String>::new(), "refused");
        assert_eq!(names("MIGRATE h 1 a 0 5"), ["a"]);
    }

    #[test]
    fn a_key_may_be_called_keys() {
        assert_eq!(names("MIGRATE h 1  0 5 KEYS secret KEYS b"), ["secret", "KEYS", "b"]);
        assert_eq!(names("MIGRATE keys keys keys 0 5"), ["keys"]);
    }

    #[test]
    fn arguments_decide_what_is_done() {
        assert_eq!(used("SET k get"), [("k".into(), key::OW | key::UPDATE)]);
        assert_eq!(used("SET k v GET"), [("k".into(), key::RW | key::ACCESS | key::UPDATE)]);
        assert_eq!(used("BITFIELD k GET u8 0"), [("k".into(), key::RO | key::ACCESS)]);
        assert_eq!(used("BITFIELD k OVERFLOW SAT GET u8 0"), [("k".into(), key::RO | key::ACCESS)]);
        for line in [
            "BITFIELD k SET u8 0 1",
            "BITFIELD k GET u8 0 INCRBY u8 0 1",
            "BITFIELD k GET u8",
            "BITFIELD k x",
        ] {
            assert_eq!(used(line), [("k".into(), key::RW | key::ACCESS | key::UPDATE)], "{line}");
        }
    }
}
