//! What ends up in files, and what comes back from them.

mod begun;
mod damage;
pub mod nodes;
mod restore;
pub mod traffic;
