//! The one text that tells a user's rules.
//!
//! What was typed is not kept. Commands are told by the fewest categories that come close, as the bitmap and the command
//! table give them, and then by single commands where that was not exact; so two ways of saying the same give the same
//! text. It is how stock servers of 7.0 do it.

use super::selector::{CommandSet, KeyPattern, Selector, granted};
use super::user::{NewChannels, User};
use crate::command::registry;
use crate::command::table::{Command, acl};

impl User {
    /// Everything about it but its name, in rules that bring it about.
    pub fn describe(&self) -> Vec<u8> {
        let mut words: Vec<Vec<u8>> = self.flags().iter().map(|flag| flag.as_bytes().to_vec()).collect();
        words.extend(self.passwords().map(|hash| [b"#", hash].concat()));
        for (at, selector) in self.selectors().enumerate() {
            let text = selector.describe();
            words.push(if at == 0 { text } else { [b"(", &text[..], b")"].concat() });
        }
        words.join(&b' ')
    }
}

impl Selector {
    /// Its rules.
    pub fn describe(&self) -> Vec<u8> {
        let mut words = Vec::new();
        let keys = self.describe_keys();
        words.extend((!keys.is_empty()).then_some(keys));
        if !self.all_channels {
            words.push(b"resetchannels".to_vec());
        }
        let channels = self.describe_channels();
        words.extend((!channels.is_empty()).then_some(channels));
        words.push(self.describe_commands());
        words.join(&b' ')
    }

    /// The rules about keys.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let rule = |key: &KeyPattern| {
            let prefix: &[u8] = match key.granted {
                granted::READ => b"%R~",
                granted::WRITE => b"%W~",
                // `~*` would be read as all keys, behind which no further pattern is taken.
                _ if key.pattern[..] == *b"*" => b"%RW~",
                _ => b"~",
            };
            [prefix, &key.pattern[..]].concat()
        };
        self.keys.iter().map(rule).collect::<Vec<_>>().join(&b' ')
    }

    /// The rules about channels.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        self.channels.iter().map(|pattern| [b"&", &pattern[..]].concat()).collect::<Vec<_>>().join(&b' ')
    }

    /// The rules about commands.
    pub fn describe_commands(&self) -> Vec<u8> {
        let adds = !self.commands.future;
        let mut told = Selector::new(NewChannels::None);
        told.set_all_commands(!adds);
        let mut words = vec![if adds { b"-@all".to_vec() } else { b"+@all".to_vec() }];
        // What is not told yet: a category that is told is taken away from it.
        let mut rest = self.clone();
        let mut left: Vec<(u32, &str)> = acl::NAMES.to_vec();
        while let Some(at) = best_category(&rest.commands, &left, adds) {
            let (category, name) = left.remove(at);
            words.push(format!("{}@{name}", if adds { '+' } else { '-' }).into_bytes());
            told.change_all_of(category, adds);
            rest.change_all_of(category, !adds);
        }
        for command in registry::all() {
            self.tell(command, &mut told, &mut words);
            command.sub.iter().for_each(|sub| self.tell(sub, &mut told, &mut words));
        }
        words.join(&b' ')
    }

    /// Tells one command, where what was told is not exact about it.
    fn tell(&self, command: &Command, told: &mut Selector, words: &mut Vec<Vec<u8>>) {
        let Some(index) = registry::index(command) else { return };
        let allowed = self.commands.has(index);
        let name = registry::name_at(index).as_bytes();
        if allowed != told.commands.has(index) {
            words.push([if allowed { b"+" } else { b"-" }, name].concat());
            told.change(command, allowed);
        }
        if !allowed && let Some(first_args) = self.first_args.get(&index) {
            words.extend(first_args.iter().map(|arg| [b"+", name, b"|", arg].concat()));
        }
    }
}

/// The place of the category of which most commands, and more than half, are still to be told, and fewest are not.
fn best_category(rest: &CommandSet, left: &[(u32, &str)], adds: bool) -> Option<usize> {
    let mut best = None;
    for (at, (category, _)) in left.iter().enumerate() {
        let (mut same, mut different) = (0, 0);
        for command in registry::all().flat_map(|command| std::iter::once(command).chain(command.sub)) {
            if command.acl_all() & category != 0 {
                let is_on = registry::index(command).is_some_and(|index| rest.has(index));
                *if is_on == adds { &mut same } else { &mut different } += 1;
            }
        }
        let improves =
            best.is_none_or(|(fewest, most, _)| different < fewest || (different == fewest && same > most));
        if same > different && improves {
            best = Some((different, same, at));
        }
    }
    best.map(|(_, _, at)| at)
}
