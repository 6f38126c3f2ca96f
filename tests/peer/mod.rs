//! Against stock Redis.

pub mod differential;
mod files;
