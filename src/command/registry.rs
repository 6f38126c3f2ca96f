//! Finds commands by name, and numbers them.

use super::families::FAMILIES;
use super::table::Command;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Longest command name, in bytes, that can be in the table.
const NAME_MAX_BYTES: usize = 32;

/// All commands in two blocks of memory, so that a command's number follows from its address.
struct Registry {
    top: &'static [Command],
    sub: &'static [Command],
    names: HashMap<&'static [u8], &'static Command, ahash::RandomState>,
    full_names: Vec<String>,
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(build)
}

fn build() -> Registry {
    let commands = || FAMILIES.iter().flat_map(|family| family.iter());
    // Made once and kept for as long as the process runs.
    let sub: &'static [Command] = commands().flat_map(|c| c.sub).copied().collect::<Vec<_>>().leak();
    let mut rest = sub;
    let mut top = Vec::with_capacity(commands().count());
    let mut full_names: Vec<String> = commands().map(|command| command.name.to_owned()).collect();
    for command in commands() {
        let (own, others) = rest.split_at(command.sub.len());
        rest = others;
        full_names.extend(own.iter().map(|sub| format!("{}|{}", command.name, sub.name)));
        top.push(Command { sub: own, ..*command });
    }
    let top: &'static [Command] = top.leak();
    let names = top.iter().map(|command| (command.name.as_bytes(), command)).collect();
    Registry { top, sub, names, full_names }
}

/// Every top-level command, family by family.
pub fn all() -> impl Iterator<Item = &'static Command> {
    registry().top.iter()
}

/// Number of commands, subcommands included: one more than the greatest [`index`].
pub fn count() -> usize {
    registry().full_names.len()
}

/// The number of a command or subcommand that this module handed out; `None` for a copy of one.
#[inline]
pub fn index(command: &Command) -> Option<usize> {
    let registry = registry();
    let place = |table: &[Command]| {
        let bytes = std::ptr::from_ref(command).addr().wrapping_sub(table.as_ptr().addr());
        let index = bytes / size_of::<Command>();
        (index < table.len()).then_some(index)
    };
    place(registry.top).or_else(|| place(registry.sub).map(|index| index + registry.top.len()))
}

/// The name of the command with this number: `name` or `container|sub`.
pub fn name_at(index: usize) -> &'static str {
    registry().full_names.get(index).map_or("", String::as_str)
}

/// The name of a command that this module handed out: `name` or `container|sub`.
pub fn full_name(command: &Command) -> &'static str {
    index(command).map_or("", name_at)
}

/// The command of this name, in any case.
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Command> {
    let mut lower = [0u8; NAME_MAX_BYTES];
    let lower = lower.get_mut(..name.len())?;
    for (to, from) in lower.iter_mut().zip(name) {
        *to = from.to_ascii_lowercase();
    }
    registry().names.get(&*lower).copied()
}

/// The command of this full name (`name` or `container|sub`), in any case.
pub fn find_full(name: &[u8]) -> Option<&'static Command> {
    match name.iter().position(|byte| *byte == b'|') {
        None => find(name),
        Some(at) => find_sub(find(&name[..at])?, &name[at + 1..]),
    }
}

/// The command that `args` call: a container's subcommand where there is one.
pub fn resolve(args: &[&[u8]]) -> Option<(&'static Command, Option<&'static Command>)> {
    let command = find(args.first()?)?;
    let sub = args.get(1).and_then(|name| find_sub(command, name));
    Some((command, sub))
}

/// A container's subcommand of this name, in any case.
pub fn find_sub(command: &'static Command, name: &[u8]) -> Option<&'static Command> {
    command.sub.iter().find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_lower_case_and_short() {
        let mut seen = HashSet::new();
        for command in all() {
            assert!(seen.insert(command.name), "{} is twice in the table", command.name);
            assert!(command.name.len() <= NAME_MAX_BYTES);
            assert_eq!(command.name, command.name.to_ascii_lowercase());
            assert!(!command.summary.is_empty(), "{} has no summary", command.name);
        }
    }

    #[test]
    fn every_command_has_a_number_and_a_name() {
        let mut seen = HashSet::new();
        for command in all().flat_map(|command| std::iter::once(command).chain(command.sub)) {
            let index = index(command).expect("a command of the table");
            assert!(index < count() && seen.insert(index));
            let found = find_full(name_at(index).as_bytes()).expect("a name of the table");
            assert!(std::ptr::eq(found, command), "{}", name_at(index));
        }
        assert_eq!(seen.len(), count());
        let copy = *find(b"GET").unwrap();
        assert_eq!((index(&copy), full_name(&copy)), (None, ""));
    }
}
