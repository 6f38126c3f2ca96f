//! The command table and its handlers.
