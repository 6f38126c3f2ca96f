//! What is wrong with a rule, and how several words become one.

use std::fmt;

/// Why a rule was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No such command or category.
    #[error("Unknown command or category name in ACL")]
    Unknown,
    /// It is no rule.
    #[error("Syntax error")]
    Syntax,
    /// A pattern for keys where all are allowed already.
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try \
         'resetkeys' to start with an empty list of patterns"
    )]
    AfterAllKeys,
    /// A pattern for channels where all are allowed already.
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. \
         Try 'resetchannels' to start with an empty list of channels"
    )]
    AfterAllChannels,
    /// A password that is to be removed is not there.
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    /// A hash that cannot be one.
    #[error(
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
    )]
    BadHash,
    /// `+container|sub|word`.
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstArgOfSubcommand,
}

/// Why the rules of a user were refused; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetUserError {
    /// A rule is wrong.
    Rule {
        /// The rule, a selector as a whole.
        rule: Vec<u8>,
        /// What is wrong.
        error: RuleError,
    },
    /// A selector has no end.
    Unmatched(Vec<u8>),
}

impl SetUserError {
    /// The error as ACL SETUSER replies it.
    pub fn to_reply(&self) -> Vec<u8> {
        match self {
            SetUserError::Rule { rule, error } => {
                let why = format!("': {error}");
                [b"ERR Error in ACL SETUSER modifier '", &rule[..], why.as_bytes()].concat()
            }
            SetUserError::Unmatched(start) => {
                [b"ERR Unmatched parenthesis in acl selector starting at '", &start[..], b"'."].concat()
            }
        }
    }
}

impl SetUserError {
    /// What is wrong, without saying where.
    pub fn why(&self) -> String {
        match self {
            SetUserError::Rule { error, .. } => error.to_string(),
            SetUserError::Unmatched(_) => self.to_string(),
        }
    }
}

impl fmt::Display for SetUserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetUserError::Rule { rule, error } => {
                write!(f, "Error in applying operation '{}': {error}", rule.escape_ascii())
            }
            SetUserError::Unmatched(start) => {
                write!(
                    f,
                    "Unmatched parenthesis in selector definition starting at '{}'",
                    start.escape_ascii()
                )
            }
        }
    }
}

impl std::error::Error for SetUserError {}

/// Puts the words of selectors together: from one that opens a parenthesis to one that closes it.
pub fn merge_selectors(words: &[&[u8]]) -> Result<Vec<Vec<u8>>, SetUserError> {
    let mut merged = Vec::with_capacity(words.len());
    let mut open: Option<(Vec<u8>, &[u8])> = None;
    for word in words {
        let closes = word.last() == Some(&b')');
        match &mut open {
            None if word.first() == Some(&b'(') && !closes => open = Some((word.to_vec(), word)),
            None => merged.push(word.to_vec()),
            Some((whole, _)) => {
                whole.push(b' ');
                whole.extend_from_slice(word);
                if closes {
                    merged.extend(open.take().map(|(whole, _)| whole));
                }
            }
        }
    }
    match open {
        None => Ok(merged),
        Some((_, start)) => Err(SetUserError::Unmatched(start.to_vec())),
    }
}
