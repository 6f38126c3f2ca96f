//! Nodes that follow each other: syncs, acknowledgements, roles, the guard, fences.

mod acks;
mod chain;
mod durable_acks;
mod duty;
mod failover;
mod fence;
mod field_times;
mod flapping;
mod guard;
mod interop;
mod joins;
mod joins_failing;
mod live_sync;
mod orders;
mod packed;
mod pubsub;
mod replica;
mod roles;
mod syncs;
mod takeover;

use crate::support::Server;
use crate::support::nodes::{address, wait_linked};

/// What lets tests compare data.
const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

/// One of our servers, a primary.
fn primary(args: &[&str]) -> Server {
    Server::ours(&[&DEBUG, args].concat())
}

/// One of our servers that follows `of` and has synced with it.
fn replica(of: &Server, args: &[&str]) -> Server {
    let target = address(of);
    let server = Server::ours(&[&DEBUG[..], &["--replicaof", &target], args].concat());
    wait_linked(&server);
    server
}
