//! What can go wrong while settings are read or changed.

use std::borrow::Cow;
use std::path::PathBuf;

/// Why one value was refused, as the tail of an error message.
pub(super) type Refusal = Cow<'static, str>;

/// A CONFIG SET that changed nothing. `Display` is Redis's text without the leading `ERR `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No directive of that name can be set at run time.
    #[error("Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// The directive exists, but this value or this change was refused.
    #[error("CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Refused {
        /// The directive as the caller wrote it.
        name: String,
        /// Why.
        reason: String,
    },
}

impl ConfigError {
    /// A setting that parsed but could not be put into effect (a port in use, say); the caller keeps the old
    /// [`super::Config`].
    pub fn apply_failed(name: &str, reason: impl Into<String>) -> Self {
        ConfigError::Refused { name: name.to_owned(), reason: reason.into() }
    }

    /// The error line as a client gets it, `ERR ` included. Line breaks in names become spaces.
    pub fn to_reply(&self) -> String {
        format!("ERR {self}").replace(['\r', '\n'], " ")
    }
}

/// A configuration file or command line that cannot be used; the server must not start.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A directive in a file is wrong.
    #[error(
        "*** FATAL CONFIG FILE ERROR (Outrigger {}) ***\nReading the configuration file {}, at line {line}\n>>> '{text}'\n{reason}",
        env!("CARGO_PKG_VERSION"), path.display()
    )]
    Line {
        /// The file, or `-` for the standard input.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The line, trimmed.
        text: String,
        /// Why.
        reason: String,
    },
    /// A directive on the command line is wrong.
    #[error(
        "*** FATAL CONFIG FILE ERROR (Outrigger {}) ***\nReading the command line\n>>> '{text}'\n{reason}",
        env!("CARGO_PKG_VERSION")
    )]
    Argument {
        /// The option with its arguments.
        text: String,
        /// Why.
        reason: String,
    },
    /// A file cannot be read.
    #[error("Fatal error, can't open config file '{}': {source}", path.display())]
    Open {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
