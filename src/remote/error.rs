//! What can go wrong with a running server, told so that somebody who is woken by it knows what to do next.

use std::io;

use thiserror::Error;

use super::url::UrlError;
use crate::persistence::toolbox::{ToolError, advice_for};
use crate::resp::DecodeError;
use crate::sys::DiskError;

/// How many keys a report names.
pub const NAMED_KEYS: usize = 10;

/// Why a call to a running server came to nothing.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// Not a URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// No connection.
    #[error("{server}: no connection: {source}{}", hint(.source))]
    Connect {
        /// The server.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// The connection broke.
    #[error("{server}: the connection broke: {source}{}", hint(.source))]
    Broken {
        /// The server.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// What came was no reply.
    #[error("{server}: not a Redis-compatible server, or a damaged connection: {source}")]
    Reply {
        /// The server.
        server: String,
        /// Why.
        source: DecodeError,
    },
    /// The server refused a command.
    #[error("{server}: {command} was refused: {}{}", .text.trim_end_matches('.'), advice(.text))]
    Refused {
        /// The server.
        server: String,
        /// The command.
        command: String,
        /// What it answered.
        text: String,
    },
    /// A reply that the command does not have.
    #[error("{server}: {command} was answered with something else than was to be expected: {got}")]
    Unexpected {
        /// The server.
        server: String,
        /// The command.
        command: String,
        /// What it answered.
        got: String,
    },
    /// Something about this server stands in the way.
    #[error("{server}: {reason}")]
    Unfit {
        /// The server.
        server: String,
        /// What.
        reason: String,
    },
    /// A value that cannot be read.
    #[error("{server}: the key \"{key}\" of database {db} cannot be read: {reason}")]
    Value {
        /// The server.
        server: String,
        /// Its database.
        db: u32,
        /// The key, as text.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Keys that are there already.
    #[error(
        "{server} holds {count} of the keys already, with other values{}: {}. {what_is_written}. To overwrite them, add \
         --replace; to leave them as they are, --skip-existing",
        if *.count > .keys.len() as u64 { ", among them" } else { "" }, .keys.join(", ")
    )]
    Exists {
        /// The server.
        server: String,
        /// How many; at least so many if the load was under way.
        count: u64,
        /// Some of them.
        keys: Vec<String>,
        /// What the server has of the source by now.
        what_is_written: &'static str,
    },
    /// What was read back is not what was sent.
    #[error(
        "{server} does not hold what was sent: {missing} keys are missing and {differing} differ, among them {}. \
         If nothing else writes to it, call again: everything is sent and compared anew",
        .keys.join(", ")
    )]
    Differs {
        /// The server.
        server: String,
        /// Keys that are not there.
        missing: u64,
        /// Keys with another value.
        differing: u64,
        /// Some of them.
        keys: Vec<String>,
    },
    /// The file that says how far a restore got.
    #[error("the file {file}, which says how far the restore got, {reason}")]
    Resume {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The source.
    #[error(transparent)]
    Source(#[from] ToolError),
}

impl RemoteError {
    /// What to do next; empty where the text says it.
    pub fn advice(&self) -> &'static str {
        match self {
            RemoteError::Disk(error) => advice_for(error),
            RemoteError::Source(error) => error.advice(),
            _ => "",
        }
    }

    /// Whether it is about damage or a difference, rather than about the call, the disk or the network.
    pub fn is_difference(&self) -> bool {
        match self {
            RemoteError::Differs { .. } => true,
            RemoteError::Source(error) => error.is_damage(),
            _ => false,
        }
    }
}

/// What to do about a system error.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => " (does it run, and listen on this address and port?)",
        io::ErrorKind::NotFound => " (no such socket; does the server run, and with this `unixsocket`?)",
        io::ErrorKind::PermissionDenied => {
            " (this user may not use it; see the server's `unixsocketperm`, or run as its user)"
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            " (no answer in time; the server hangs, is far too busy, or a firewall is between; see --timeout)"
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            " (the server went away, or ended the connection; its log tells more)"
        }
        _ if error.to_string().contains("lookup") => " (is the host's name right?)",
        _ => "",
    }
}

/// What to do about a refusal.
fn advice(text: &str) -> &'static str {
    let code = text.split(' ').next().unwrap_or_default();
    match code {
        "NOAUTH" => ". Name the password in the URL (redis://:PASSWORD@HOST) or in REDISCLI_AUTH",
        "WRONGPASS" => {
            ". Look at user and password of the URL; signs like @ and / are written as %40 and %2F"
        }
        "NOPERM" => ". Name a user in the URL who may run this command on all keys",
        "LOADING" => ". It is still loading its data; call again later, or wait longer with --wait-loading",
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" => {
            ". It is a node of a cluster, which this program does not know how to talk to"
        }
        "READONLY" => ". It is a replica; name its primary",
        "OOM" => ". It has reached its maxmemory: raise that, or make room, and call again",
        "MISCONF" => ". It cannot write its own files and refuses writes; its log tells why",
        "FENCED" | "NOREPLICAS" => ". It refuses by its own rules of durability; its log and INFO tell why",
        "BUSY" => ". A script holds it up; call again when that has ended",
        "DENIED" => ". Protected mode: connect from the machine itself, or give it a password",
        _ if text.contains("without any password configured") => {
            ". It has no password: leave that out of the URL, and REDISCLI_AUTH out of the environment"
        }
        _ if text.contains("payload version or checksum") => {
            ". Its release is too old for these values (7.0 or later is needed)"
        }
        _ => "",
    }
}
