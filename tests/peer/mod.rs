//! Against stock Redis.

mod differential;
mod files;
