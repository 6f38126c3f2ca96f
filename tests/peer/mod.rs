//! Against stock Redis.

mod differential;
