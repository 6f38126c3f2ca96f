//! What was sent lately, for the report of a difference.

use super::grammar::Arg;
use super::shown;
use std::collections::VecDeque;

/// Most commands that are remembered …
const COMMANDS_MAX: usize = 100_000;
/// … and most bytes of them: a run may send millions, some of them long.
const BYTES_MAX: usize = 64 << 20;
/// How many commands a report shows.
const SHOWN: usize = 12;
/// What the names of keys begin with.
const KEY_LETTERS: &[u8] = b"slezhxtkwnoqpg";

/// The last commands since the data sets were empty.
#[derive(Default)]
pub struct History {
    commands: VecDeque<Vec<Arg>>,
    bytes: usize,
}

/// Is this the name of one of the keys?
pub fn is_key(arg: &[u8]) -> bool {
    arg.len() == 2 && KEY_LETTERS.contains(&arg[0]) && arg[1].is_ascii_digit()
}

fn bytes_of(args: &[Arg]) -> usize {
    args.iter().map(|arg| arg.len() + size_of::<Arg>()).sum()
}

impl History {
    /// Adds a command; the oldest are forgotten.
    pub fn push(&mut self, args: Vec<Arg>) {
        self.bytes += bytes_of(&args);
        self.commands.push_back(args);
        while self.commands.len() > COMMANDS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.commands.pop_front() else { return };
            self.bytes -= bytes_of(&oldest);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = History::default();
    }

    /// The last commands before the newest that named a key which these arguments name, too; where they name none, any.
    pub fn about(&self, args: &[Arg]) -> String {
        let keys: Vec<&Arg> = args.iter().filter(|arg| is_key(arg)).collect();
        let is_related = |args: &&Vec<Arg>| keys.is_empty() || args.iter().any(|arg| keys.contains(&arg));
        let related = self.commands.iter().rev().skip(1).filter(is_related);
        let mut lines: Vec<String> =
            related.take(SHOWN).map(|args| format!("      {}", shown(args))).collect();
        lines.reverse();
        lines.join("\n")
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut history = History::default();
    let long = vec![b"SET".to_vec(), b"s1".to_vec(), vec![b'x'; 1 << 20]];
    (0..200).for_each(|_| history.push(long.clone()));
    assert!(history.bytes <= BYTES_MAX && history.commands.len() < 64);
    assert!(history.about(&[b"s1".to_vec()]).lines().count() == SHOWN);
    (0..COMMANDS_MAX + 10).for_each(|_| history.push(vec![b"GET".to_vec()]));
    assert_eq!(history.commands.len(), COMMANDS_MAX);
    history.clear();
    assert_eq!(history.bytes, 0);
}
