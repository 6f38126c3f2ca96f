//! Listeners, connections and their buffers.
//!
//! Each I/O thread runs a current-thread runtime; a connection lives on one of them from start to end. Its
//! pipelined commands are parsed from one read, run in place, and answered by one write.

pub mod claim;
mod connection;
mod feed;
mod fetch;
mod hold;
pub mod link;
mod migrate;
mod migrate_sockets;
mod peer;
mod pushes;
pub mod recover;
mod slow_reader;
pub mod start;
mod stream;
pub mod threads;

pub use start::{Running, start};
pub use threads::{IoThreads, Serving};
