//! One set of permissions: commands, keys, channels. A user has one of its own and any number of further ones, and may
//! do what any of them allows.

use super::rules::RuleError;
use super::user::NewChannels;
use crate::command::registry;
use crate::command::table::{Command, acl};
use std::collections::BTreeMap;

/// What may be done to keys: a set of the constants in [`granted`].
pub type Granted = u8;

/// The constants of [`Granted`].
#[allow(missing_docs)]
pub(super) mod granted {
    pub const READ: u8 = 1;
    pub const WRITE: u8 = 2;
    pub const BOTH: u8 = READ | WRITE;
}

/// Keys that may be used, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPattern {
    /// A glob pattern.
    pub pattern: Vec<u8>,
    /// What may be done to keys that it fits.
    pub granted: Granted,
}

/// Which commands are allowed, by their numbers in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandSet {
    words: Box<[u64]>,
    /// Commands that are not in the table are allowed: everything was, and then some were taken away.
    pub future: bool,
}

impl CommandSet {
    /// All commands, or none.
    pub fn filled(all: bool) -> CommandSet {
        let words = registry::count().div_ceil(64);
        CommandSet { words: vec![if all { u64::MAX } else { 0 }; words].into(), future: all }
    }

    /// Is the command with this number allowed?
    pub fn has(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 != 0)
    }

    fn put(&mut self, index: usize, allowed: bool) {
        let Some(word) = self.words.get_mut(index / 64) else { return };
        match allowed {
            true => *word |= 1 << (index % 64),
            false => *word &= !(1 << (index % 64)),
        }
    }
}

/// One set of permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    pub(super) commands: CommandSet,
    /// Everything is allowed, and nothing was taken away since.
    pub(super) all_commands: bool,
    /// First arguments with which commands are allowed that are not otherwise, by the commands' numbers.
    pub(super) first_args: BTreeMap<usize, Vec<Vec<u8>>>,
    pub(super) all_keys: bool,
    pub(super) keys: Vec<KeyPattern>,
    pub(super) all_channels: bool,
    pub(super) channels: Vec<Vec<u8>>,
}

impl Selector {
    /// One that allows no command and no key, and of channels what new users are given.
    pub fn new(channels: NewChannels) -> Selector {
        Selector {
            commands: CommandSet::filled(false),
            all_commands: false,
            first_args: BTreeMap::new(),
            all_keys: false,
            keys: Vec::new(),
            all_channels: channels == NewChannels::All,
            channels: Vec::new(),
        }
    }

    /// Does it allow everything?
    pub fn is_unrestricted(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels
    }

    /// Takes one rule.
    pub(super) fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"" => {}
            b"allkeys" | b"~*" => self.set_all_keys(true),
            b"resetkeys" => self.set_all_keys(false),
            b"allchannels" | b"&*" => self.set_all_channels(true),
            b"resetchannels" => self.set_all_channels(false),
            b"allcommands" | b"+@all" => self.set_all_commands(true),
            b"nocommands" | b"-@all" => self.set_all_commands(false),
            _ => match rule {
                [b'~' | b'%', ..] => self.add_keys(rule)?,
                [b'&', pattern @ ..] => self.add_channels(pattern)?,
                [b'+', b'@', name @ ..] => self.change_category(name, true)?,
                [b'-', b'@', name @ ..] => self.change_category(name, false)?,
                [b'+', name @ ..] => self.allow(name)?,
                [b'-', name @ ..] => {
                    let command = registry::find_full(name).ok_or(RuleError::Unknown)?;
                    self.change(command, false);
                }
                _ => return Err(RuleError::Syntax),
            },
        }
        Ok(())
    }

    fn set_all_keys(&mut self, all: bool) {
        self.all_keys = all;
        self.keys.clear();
    }

    pub(super) fn set_all_channels(&mut self, all: bool) {
        self.all_channels = all;
        self.channels.clear();
    }

    pub(super) fn set_all_commands(&mut self, all: bool) {
        self.commands = CommandSet::filled(all);
        self.all_commands = all;
        self.first_args.clear();
    }

    /// `~pattern`, `%R~pattern`, `%W~pattern`, `%RW~pattern`.
    fn add_keys(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AfterAllKeys);
        }
        let (wanted, pattern) = key_rule(rule).ok_or(RuleError::Syntax)?;
        if has_space(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| known.pattern == pattern) {
            Some(known) => known.granted |= wanted,
            None => self.keys.push(KeyPattern { pattern: pattern.to_vec(), granted: wanted }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::AfterAllChannels);
        }
        if has_space(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| known == pattern) {
            self.channels.push(pattern.to_vec());
        }
        Ok(())
    }

    fn change_category(&mut self, name: &[u8], allowed: bool) -> Result<(), RuleError> {
        let named = acl::NAMES.iter().find(|(_, known)| name.eq_ignore_ascii_case(known.as_bytes()));
        let (category, _) = named.ok_or(RuleError::Unknown)?;
        self.change_all_of(*category, allowed);
        Ok(())
    }

    /// Allows or forbids all commands of a category.
    pub(super) fn change_all_of(&mut self, category: u32, allowed: bool) {
        for command in registry::all() {
            if command.acl_all() & category != 0 {
                self.change(command, allowed);
            }
            for sub in command.sub.iter().filter(|sub| sub.acl_all() & category != 0) {
                self.change(sub, allowed);
            }
        }
    }

    /// `+command`, `+container|sub`, or `+command|first-argument`.
    fn allow(&mut self, name: &[u8]) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|byte| *byte == b'|') else {
            let command = registry::find(name).ok_or(RuleError::Unknown)?;
            self.change(command, true);
            return Ok(());
        };
        let (container, word) = (&name[..bar], &name[bar + 1..]);
        let command = registry::find_full(container).ok_or(RuleError::Unknown)?;
        if container.contains(&b'|') {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        if word.is_empty() {
            return Err(RuleError::Syntax);
        }
        if !command.sub.is_empty() {
            let sub = registry::find_sub(command, word).ok_or(RuleError::Unknown)?;
            self.change(sub, true);
            return Ok(());
        }
        // A word with a space in it could not be told from two when it is written down.
        if has_space(word) {
            return Err(RuleError::Syntax);
        }
        let Some(index) = registry::index(command) else { return Err(RuleError::Unknown) };
        let words = self.first_args.entry(index).or_default();
        if !words.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            words.push(word.to_vec());
        }
        Ok(())
    }

    /// Allows or forbids a command and, of a container, all that is in it.
    pub(super) fn change(&mut self, command: &Command, allowed: bool) {
        let Some(index) = registry::index(command) else { return };
        self.all_commands &= allowed;
        self.first_args.remove(&index);
        self.commands.put(index, allowed);
        for sub in command.sub.iter().filter_map(registry::index) {
            self.commands.put(sub, allowed);
        }
    }
}

/// What a rule about keys grants, and its pattern.
fn key_rule(rule: &[u8]) -> Option<(Granted, &[u8])> {
    let mut wanted = 0;
    let mut rest = match rule {
        [b'~', pattern @ ..] => return Some((granted::BOTH, pattern)),
        [_, rest @ ..] => rest,
        [] => return None,
    };
    while let Some((letter, after)) = rest.split_first() {
        rest = after;
        let bit = match letter {
            b'r' | b'R' => granted::READ,
            b'w' | b'W' => granted::WRITE,
            b'~' => break,
            _ => return None,
        };
        if wanted & bit != 0 {
            return None;
        }
        wanted |= bit;
    }
    (wanted != 0).then_some((wanted, rest))
}

/// Does a text hold what separates words in files, or a zero?
pub(super) fn has_space(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b' ' | 0 | b'\t'..=b'\r'))
}
