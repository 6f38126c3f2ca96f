//! The one door to files, durable rename, fork and memory figures.
//!
//! Whoever writes to disk does it through [`Disk`], so that [`fault::FaultDisk`] can stand in for
//! [`RealDisk`] and tear, fill, fail or lose what was written. Whoever forks does it through [`fork`].

mod appender;
pub mod cpu;
pub mod disk;
pub mod fault;
pub mod fork;
pub mod lock;
mod mapped;
pub mod marks;
pub mod memory;
pub mod process;
mod real;
pub mod scratch;
#[cfg(test)]
mod tests;
pub mod ticks;
pub mod title;

pub use disk::{
    Disk, DiskError, DiskFile, DiskOp, DiskRead, EntryKind, FileEntry, SyncHandle, is_there, nearest_folder,
    remove_tree, sweep_temporaries,
};
pub use mapped::{Behind, MappedFile, WINDOW_BYTES};
pub use real::RealDisk;
