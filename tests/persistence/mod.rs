//! What ends up in files, and what comes back from them.

mod begun;
pub mod nodes;
pub mod traffic;
