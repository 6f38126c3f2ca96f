//! Against stock Redis.

pub mod differential;
pub mod files;
