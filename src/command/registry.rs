//! Finds commands by name.

use super::families::FAMILIES;
use super::table::Command;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Longest command name, in bytes, that can be in the table.
const NAME_MAX_BYTES: usize = 32;

type Names = HashMap<&'static [u8], &'static Command, ahash::RandomState>;

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| all().map(|command| (command.name.as_bytes(), command)).collect())
}

/// Every top-level command, family by family.
pub fn all() -> impl Iterator<Item = &'static Command> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// The command of this name, in any case.
#[inline]
pub fn find(name: &[u8]) -> Option<&'static Command> {
    let mut lower = [0u8; NAME_MAX_BYTES];
    let lower = lower.get_mut(..name.len())?;
    for (to, from) in lower.iter_mut().zip(name) {
        *to = from.to_ascii_lowercase();
    }
    names().get(&*lower).copied()
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
}
