//! The integration tests: one binary, one module a subject.
//!
//! Environment: `OUTRIGGER_REQUIRE_PEERS=1` fails tests that need programs which are missing (otherwise they say so
//! and pass); `OUTRIGGER_SEED` replays random tests (a number, or `random`); `OUTRIGGER_TEST_SCALE` multiplies the length of long ones.

mod commands;
mod crash;
mod layout;
mod pair;
mod partition;
mod peer;
mod persistence;
mod readme;
mod replication;
mod sorted_sets;
// A toolbox: not each tool is in use at each time.
#[allow(dead_code)]
mod support;
