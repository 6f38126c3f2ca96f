//! Dispatch, transactions, blocking, configuration.

pub mod config;
