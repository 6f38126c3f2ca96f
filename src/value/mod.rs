//! The data types and their encodings.

pub mod element;
pub mod listpack;
pub mod table;
mod thin;

pub use element::{Element, Needle};
pub use listpack::{Listpack, ListpackRef};

/// Which end of a sequence, and which way from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first to the last.
    Forward,
    /// From the last to the first.
    Backward,
}
