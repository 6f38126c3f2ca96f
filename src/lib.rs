//! Outrigger: a Redis-compatible in-memory store whose primary only serves and whose replicas remember.
//!
//! The modules are layered; `ARCHITECTURE.md` holds the map and `tests/layout` holds it true.

pub mod acl;
pub mod backup;
pub mod base;
pub mod command;
pub mod format;
pub mod keyspace;
pub mod net;
pub mod pair;
pub mod persistence;
pub mod remote;
pub mod replication;
pub mod resp;
pub mod server;
pub mod sys;
pub mod value;
