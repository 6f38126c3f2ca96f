//! Backlog, PSYNC, guard and durable acks: state machines without sockets or clocks.

pub mod lineage;
pub mod log;

pub use lineage::Lineage;
pub use log::{Log, LogError, ReaderId};
