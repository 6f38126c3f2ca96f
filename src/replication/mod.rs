//! Backlog, PSYNC, guard, epochs and durable acks: state machines without sockets or clocks.

pub mod acks;
pub mod backoff;
pub mod epoch;
pub mod fences;
pub mod guard;
pub mod handshake;
pub mod held;
pub mod log;
pub mod referral;
pub mod reserve;
pub mod tail;

pub use crate::format::aof::seal::{Epoch, Lineage};
pub use guard::{Offer, Place};
pub use log::{Log, LogError, ReaderId};
