//! Dispatch, transactions, blocking, configuration.

pub mod blocked;
pub mod clients;
pub mod commands;
pub mod config;
pub mod dispatch;
pub mod gate;
pub mod node;
pub mod replication;
pub mod session;
pub mod stats;
pub mod transaction;

pub use node::Node;
pub use session::Session;
