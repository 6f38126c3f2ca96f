//! Backlog, PSYNC, guard and durable acks: state machines without sockets or clocks.

pub mod guard;
pub mod handshake;
pub mod lineage;
pub mod log;

pub use guard::{Offer, Place};
pub use lineage::Lineage;
pub use log::{Log, LogError, ReaderId};
