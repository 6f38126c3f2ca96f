//! What ends up in files, and what comes back from them.

mod backup;
mod begun;
mod damage;
mod drill;
mod exporting;
mod full_disk;
mod judging;
mod loading;
pub mod nodes;
mod own_file;
mod restore;
pub mod traffic;
