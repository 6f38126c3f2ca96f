//! Against stock Redis.

mod acl;
pub mod differential;
pub mod files;
