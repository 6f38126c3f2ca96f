//! Commands as an operator names them: `FLUSHALL`, `DEL session:*`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::base::glob::{glob_admits, glob_match_nocase};
use crate::command::registry;

/// Bytes that are shown of one argument of a command.
const SHOWN_ARG_BYTES: usize = 40;
/// Arguments that are shown of a command.
const SHOWN_ARGS: usize = 6;

/// A pattern for commands. Its first word is a glob for the command's name, in any case. Each further word is a glob for an
/// argument; they must be met in this order, and arguments in between or behind do not matter: `DEL session:*` is every DEL
/// that names such a key, at whichever place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandPattern {
    words: Vec<Vec<u8>>,
}

/// A pattern without words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a pattern of commands begins with a command's name, as in `FLUSHALL` or `DEL session:*`")]
pub struct EmptyPattern;

impl FromStr for CommandPattern {
    type Err = EmptyPattern;

    fn from_str(text: &str) -> Result<Self, EmptyPattern> {
        let words: Vec<Vec<u8>> = text.split_whitespace().map(|word| word.as_bytes().to_vec()).collect();
        if words.is_empty() { Err(EmptyPattern) } else { Ok(CommandPattern { words }) }
    }
}

impl fmt::Display for CommandPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.words.iter().map(|word| String::from_utf8_lossy(word)).collect();
        f.write_str(&words.join(" "))
    }
}

impl CommandPattern {
    /// Whether it means this command.
    pub fn matches(&self, args: &[&[u8]]) -> bool {
        let (Some((name, wanted)), Some((called, rest))) = (self.words.split_first(), args.split_first())
        else {
            return false;
        };
        if !glob_match_nocase(name, called) {
            return false;
        }
        let is_container = has_subcommands(called);
        let mut rest = rest.iter().enumerate();
        wanted.iter().all(|word| {
            rest.any(|(at, arg)| match is_container && at == 0 {
                true => glob_match_nocase(word, arg),
                false => glob_admits(word, arg),
            })
        })
    }
}

/// Whether its first argument is as good as a part of its name. Those of stock servers' logs count, too.
fn has_subcommands(name: &[u8]) -> bool {
    let is_known = registry::find(name).is_some_and(|command| !command.sub.is_empty());
    is_known || [&b"function"[..], b"script"].iter().any(|container| name.eq_ignore_ascii_case(container))
}

/// A command for a person: one line, long arguments and many of them cut short.
pub fn shown_command(args: &[&[u8]]) -> String {
    let shown = args.iter().take(SHOWN_ARGS).map(|arg| match arg.get(..SHOWN_ARG_BYTES) {
        Some(begin) if arg.len() > SHOWN_ARG_BYTES => format!("{}…", begin.escape_ascii()),
        _ => arg.escape_ascii().to_string(),
    });
    let mut text = shown.collect::<Vec<_>>().join(" ");
    if args.len() > SHOWN_ARGS {
        text.push_str(&format!(" … ({} arguments)", args.len() - 1));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, command: &str) -> bool {
        let args: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        pattern.parse::<CommandPattern>().expect("a pattern").matches(&args)
    }

    #[test]
    fn the_name_is_met_in_any_case_and_keys_as_they_are() {
        for (pattern, command) in [
            ("FLUSHALL", "flushall"),
            ("flushall", "FLUSHALL ASYNC"),
            ("FLUSH*", "flushdb"),
            ("DEL session:*", "DEL session:1"),
            ("DEL session:*", "del a b session:2 c"),
            ("SET config:* off", "SET config:mode off KEEPTTL"),
            ("* session:1", "EXPIRE session:1 10"),
            ("script flush", "SCRIPT FLUSH"),
            ("FUNCTION DELETE lib", "function delete lib"),
        ] {
            assert!(matches(pattern, command), "{pattern} is {command}");
        }
        for (pattern, command) in [
            ("FLUSHALL", "FLUSHDB"),
            ("FLUSHALL ASYNC", "FLUSHALL"),
            ("DEL Session:*", "DEL session:1"),
            ("SET off config:*", "SET config:mode off"),
            ("DEL a a", "DEL a"),
            ("SCRIPT flush x", "SCRIPT FLUSH"),
        ] {
            assert!(!matches(pattern, command), "{pattern} is not {command}");
        }
        assert_eq!("  ".parse::<CommandPattern>(), Err(EmptyPattern));
        assert_eq!("DEL  a*".parse::<CommandPattern>().expect("a pattern").to_string(), "DEL a*");
    }

    #[test]
    fn long_commands_are_shown_short() {
        let (long, many) = (vec![b'x'; 100], vec![&b"k"[..]; 9]);
        assert_eq!(shown_command(&[b"SET", b"a\n", &long]), format!("SET a\\n {}…", "x".repeat(40)));
        assert_eq!(shown_command(&many), "k k k k k k … (8 arguments)");
    }
}
