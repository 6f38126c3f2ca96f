//! The data types and their encodings.
