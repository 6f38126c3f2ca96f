//! The server's configuration: redis.conf's syntax and directive names, folded over one table.
//!
//! [`Config`] holds the settings as typed fields. [`TABLE`] names every directive once: file and command line
//! parsing ([`CommandLine`], [`parse_file`]), CONFIG GET and SET ([`Config::get`], [`Config::set_pairs`]), CONFIG
//! REWRITE ([`rewrite`]) and `docs/configuration.md` ([`docs::markdown`]) are folds over it.

mod access;
pub mod docs;
mod error;
mod file;
mod rewrite;
mod settings;
mod table;
pub(super) mod values;
mod words;

pub use access::{Caller, ChangedSet};
pub use error::{ConfigError, FileError};
pub use file::{CommandLine, ConfigSource, DiskSource, Invocation, parse_file};
pub use rewrite::{rewrite, rewrite_all};
pub use settings::{
    AclPubsubDefault, Address, AppendFsync, BufferLimit, ClientsLimit, Config, DebugAccess, DisklessLoad,
    DurableAcksOnLoss, LogLevel, MaxmemoryPolicy, OutputBufferLimits, Role, RolePersistence, SaveRule,
    Secret, ShutdownOptions, SyncSource,
};
pub use table::{Directive, Group, Kind, TABLE, directives, find};

#[cfg(test)]
mod tests;
