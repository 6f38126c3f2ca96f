//! Backlog, PSYNC, guard and durable acks: state machines without sockets or clocks.

pub mod acks;
pub mod guard;
pub mod handshake;
pub mod held;
pub mod log;

pub use crate::format::aof::seal::Lineage;
pub use guard::{Offer, Place};
pub use log::{Log, LogError, ReaderId};
