//! The programs from the outside: exit codes, text, JSON.

mod backup;
mod destroyed;
mod files;
mod killed;
mod memory;
mod refused;
#[path = "../../../tests/support/scale.rs"]
mod scale;
mod support;
mod wrong;
