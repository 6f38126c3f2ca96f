//! Backlog, PSYNC, guard and durable acks as state machines.
