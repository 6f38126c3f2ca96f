//! The command table and its handlers.

pub mod access;
pub mod apply;
pub mod args;
pub mod changing;
pub mod context;
pub mod digest;
pub mod effect;
pub mod elements;
pub mod error;
pub mod events;
pub mod families;
pub mod hash_access;
pub mod help;
pub mod keys_used;
pub mod locking;
pub mod reading;
pub mod registry;
pub mod table;
#[cfg(test)]
pub mod testing;

pub use context::{Context, Counts, ExpiryMode, Settings};
pub use effect::Effects;
pub use error::CommandError;
pub use events::{Event, EventClass, WantedEvents};
pub use table::{Command, CommandResult, DONE, Outcome};
