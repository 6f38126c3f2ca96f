//! The keys that a command's arguments name, and what is done to each: a fold over the command table.

use super::table::{Command, Locks, key, streams_option};
use smallvec::SmallVec;

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
    command.for_each_key(args, |at, flags| keys.push((at, flags)));
    keys.retain(|(_, flags)| *flags & key::NOT_KEY == 0);
    if command.name == "migrate" && keys.len() > 1 && args.get(3).is_some_and(|one| one.is_empty()) {
        // Several keys go behind KEYS, and nothing in the place of the one.
        keys.remove(0);
    }
    for (_, flags) in keys.iter_mut().filter(|(_, flags)| flags & key::VARIABLE_FLAGS != 0) {
        *flags = settled_flags(command, args);
    }
    keys
}

/// What a command whose arguments decide about it does to its key.
pub fn settled_flags(command: &Command, args: &[&[u8]]) -> u32 {
    let has = |word: &str| args.iter().skip(2).any(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    match command.name {
        // The value may be anything, so the words are looked for behind it.
        "set" if args.iter().skip(3).any(|arg| arg.eq_ignore_ascii_case(b"get")) => {
            key::RW | key::ACCESS | key::UPDATE
        }
        "set" => key::OW | key::UPDATE,
        "bitfield" if !has("set") && !has("incrby") => key::RO | key::ACCESS,
        _ => key::RW | key::ACCESS | key::UPDATE,
    }
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
        assert!(names("MIGRATE h 1 secret 0 5 AUTH keys COPY").contains(&"secret".into()));
        assert_eq!(names("MIGRATE h 1 a 0 5"), ["a"]);
    }

    #[test]
    fn arguments_decide_what_is_done() {
        assert_eq!(used("SET k get"), [("k".into(), key::OW | key::UPDATE)]);
        assert_eq!(used("SET k v GET"), [("k".into(), key::RW | key::ACCESS | key::UPDATE)]);
        assert_eq!(used("BITFIELD k GET u8 0"), [("k".into(), key::RO | key::ACCESS)]);
        assert_eq!(used("BITFIELD k SET u8 0 1"), [("k".into(), key::RW | key::ACCESS | key::UPDATE)]);
    }
}
