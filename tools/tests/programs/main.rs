//! The programs from the outside: exit codes, text, JSON.

mod backup;
mod destroyed;
mod files;
mod refused;
mod support;
