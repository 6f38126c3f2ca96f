//! What a handler may refuse with; the text is the reply, code first, as Redis words it.

use std::borrow::Cow;
use thiserror::Error;

/// An error reply. `Display` gives its text without the leading `-`.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CommandError {
    /// Arguments do not fit the command's grammar.
    #[error("ERR syntax error")]
    Syntax,
    /// The key holds another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// An argument or a value is no 64-bit integer.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// An argument is no float.
    #[error("ERR value is not a valid float")]
    NotFloat,
    /// The key must exist and does not.
    #[error("ERR no such key")]
    NoSuchKey,
    /// An index lies outside the value.
    #[error("ERR index out of range")]
    IndexOutOfRange,
    /// A number must not be negative.
    #[error("ERR value is out of range, must be positive")]
    MustBePositive,
    /// A sum left the range of 64 bits.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// A database index is unknown.
    #[error("ERR DB index is out of range")]
    DbIndex,
    /// An expire time that cannot be represented; names the command.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(String),
    /// Wrong number of arguments; names the command.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(String),
    /// A text that ends with what the client sent, made by [`quoting`]; shown here with its odd bytes escaped.
    #[error("{}", .0.escape_ascii())]
    Quoting(Vec<u8>),
    /// Any other error, whole.
    #[error("{0}")]
    Other(Cow<'static, str>),
}

impl CommandError {
    /// An error given as a constant text, code first (`"ERR …"`).
    pub const fn text(text: &'static str) -> CommandError {
        CommandError::Other(Cow::Borrowed(text))
    }

    /// An error with a text made at run time, code first.
    pub fn owned(text: String) -> CommandError {
        CommandError::Other(Cow::Owned(text))
    }

    /// The reply's text: its bytes are not always UTF-8.
    pub fn reply(&self) -> Cow<'_, [u8]> {
        match self {
            CommandError::Quoting(text) => Cow::Borrowed(text),
            CommandError::Other(text) => Cow::Borrowed(text.as_bytes()),
            other => Cow::Owned(other.to_string().into_bytes()),
        }
    }
}

/// What an error text shows of an argument: at most `max_bytes` bytes, and nothing from a NUL on, since Redis's
/// texts are C strings.
pub fn shown(argument: &[u8], max_bytes: usize) -> &[u8] {
    let end = memchr::memchr(0, argument).unwrap_or(argument.len());
    &argument[..end.min(max_bytes)]
}

/// An error text around an argument, as it was sent.
pub fn quoting(before: &str, argument: &[u8], after: &str) -> Vec<u8> {
    [before.as_bytes(), shown(argument, usize::MAX), after.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_as_c_strings() {
        assert_eq!(quoting("ERR '", b"a\xff\0b", "'"), b"ERR 'a\xff'");
        assert_eq!(shown(b"abcdef", 3), b"abc");
        let error = CommandError::Quoting(quoting("ERR ", b"\xff", ""));
        assert_eq!((error.reply().as_ref(), error.to_string()), (&b"ERR \xff"[..], "ERR \\xff".to_string()));
    }
}
