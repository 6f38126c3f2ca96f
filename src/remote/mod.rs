//! The client that the tools use: running servers, ours and stock ones, as a source and as a target.
//!
//! * [`client`]: one blocking connection; [`url`]: where to, and as whom; [`facts`]: what the server says of itself.
//! * [`restore`]: a restored state into a running server, by [`push`], resumable by its [`journal`], proven by [`verify`].
//!   A state that is one snapshot is not loaded for that ([`passing`]).
//! * [`diff`]: two data sets, of files or running servers, held against each other.
//! * [`toolbox`]: the tools' calls.

pub mod client;
pub mod commands;
pub mod diff;
pub mod error;
pub mod facts;
pub mod fetch;
pub mod journal;
pub mod parts;
pub mod passing;
pub mod plan;
pub mod push;
pub mod restore;
pub mod state;
pub mod toolbox;
pub mod url;
pub mod verify;

pub use client::Patience;
pub use error::RemoteError;
pub use url::{Target, is_url};
