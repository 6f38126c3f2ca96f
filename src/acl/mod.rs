//! Users and what they may do: rules, the text that tells them, the check of a command, the log of what was refused.
//!
//! Pure: no socket, no file, no clock. Rules are read word by word as ACL SETUSER takes them ([`User::apply`]), and
//! told in the one form in which ACL LIST shows and files keep them ([`User::describe`]). What a user may do follows
//! from the command table alone: commands by their numbers, keys and what is done to them by their specs
//! ([`User::check`]).

mod channels;
mod check;
mod describe;
pub mod file;
pub mod log;
mod password;
mod rules;
mod selector;
mod user;

pub use check::Denied;
pub use rules::{RuleError, SetUserError, merge_selectors};
pub use selector::{Granted, KeyPattern, Selector};
pub use user::{DEFAULT_USER, NewChannels, User, is_name};

#[cfg(test)]
mod tests;
