//! Dispatch, transactions, blocking, configuration.

pub mod acl;
pub mod blocked;
pub mod client_eviction;
pub mod clients;
pub mod command_stats;
pub mod commands;
pub mod config;
pub mod cron;
pub mod dispatch;
pub mod durability;
pub mod endpoint;
pub mod events;
pub mod eviction;
pub mod gate;
pub mod latency;
pub mod later;
pub mod logging;
pub mod mailbox;
pub mod memory;
pub mod migration;
pub mod monitor;
pub mod node;
pub mod own_keys;
pub mod pause;
pub mod proc_title;
pub mod pubsub;
mod removal;
pub mod replication;
pub mod session;
pub mod shutdown;
pub mod slowlog;
pub mod stats;
pub mod tracking;
pub mod transaction;

pub use node::Node;
pub use session::Session;

/// The version of Redis whose behaviour this server presents.
pub const REDIS_VERSION: &str = "7.2.4";
