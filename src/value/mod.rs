//! The data types and their encodings.

pub mod table;
