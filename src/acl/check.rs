//! May a user run a command with these arguments?

use super::channels::channels_of;
use super::selector::{Selector, granted};
use super::user::User;
use crate::base::glob::glob_match;
use crate::command::keys_used::keys_used;
use crate::command::registry;
use crate::command::table::{Command, flags, key};

/// Why a command was refused. What is further down is told before what is further up, when selectors refuse for
/// different reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// The command.
    Command,
    /// The key at this argument.
    Key(usize),
    /// The channel at this argument.
    Channel(usize),
}

impl Denied {
    /// The argument that is not allowed; of a command, its name.
    pub fn at(self) -> usize {
        match self {
            Denied::Command => 0,
            Denied::Key(at) | Denied::Channel(at) => at,
        }
    }
}

impl User {
    /// Why it may not run this command; `None`: it may. `args` begin with the command's name.
    pub fn check(&self, command: &Command, args: &[&[u8]]) -> Option<Denied> {
        let mut worst = Denied::Command;
        for selector in self.selectors() {
            worst = worst.max(selector.check(command, args)?);
        }
        Some(worst)
    }

    /// May it run this command, and read every key there is while it does?
    pub fn may_read_all_keys(&self, command: &Command, args: &[&[u8]]) -> bool {
        let reads_all = |selector: &Selector| {
            let all = selector.keys.iter().any(|it| it.pattern == b"*" && it.granted & granted::READ != 0);
            (selector.all_keys || all) && selector.check(command, args).is_none()
        };
        self.selectors().any(reads_all)
    }

    /// May it use a channel, or a pattern of channels, with every one of its selectors taken together?
    pub fn may_use_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors()
            .any(|selector| selector.all_channels || selector.may_use_channel(channel, is_pattern))
    }
}

impl Selector {
    fn check(&self, command: &Command, args: &[&[u8]]) -> Option<Denied> {
        if !self.all_commands && !command.has(flags::NO_AUTH) && !self.may_run(command, args) {
            return Some(Denied::Command);
        }
        if !self.all_keys && !command.keys.is_empty() {
            let refused = keys_used(command, args)
                .into_iter()
                .find(|(at, flags)| args.get(*at).is_none_or(|key| !self.may_use_key(key, *flags)));
            if let Some((at, _)) = refused {
                return Some(Denied::Key(at));
            }
        }
        if self.all_channels {
            return None;
        }
        let mut channels = channels_of(command, args)?;
        let may_use =
            |at: usize| args.get(at).is_some_and(|channel| self.may_use_channel(channel, channels.patterns));
        channels.at.find(|at| !may_use(*at)).map(Denied::Channel)
    }

    fn may_run(&self, command: &Command, args: &[&[u8]]) -> bool {
        let Some(index) = registry::index(command) else { return false };
        let allows_first_arg = || {
            let (words, first) = (self.first_args.get(&index), args.get(1));
            words
                .zip(first)
                .is_some_and(|(words, first)| words.iter().any(|it| it.eq_ignore_ascii_case(first)))
        };
        self.commands.has(index) || allows_first_arg()
    }

    /// What is done to a key, as the flags of its spec say, may be done to it.
    fn may_use_key(&self, name: &[u8], flags: u32) -> bool {
        let mut needed = 0;
        if flags & key::ACCESS != 0 {
            needed |= granted::READ;
        }
        if flags & (key::INSERT | key::DELETE | key::UPDATE) != 0 {
            needed |= granted::WRITE;
        }
        self.keys.iter().any(|key| key.granted & needed == needed && glob_match(&key.pattern, name))
    }

    /// Channels are matched by patterns; a pattern that is asked for must be among those that are allowed.
    fn may_use_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let fits =
            |allowed: &Vec<u8>| if is_pattern { allowed == channel } else { glob_match(allowed, channel) };
        self.channels.iter().any(fits)
    }
}
