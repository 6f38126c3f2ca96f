//! The one door to files, durable rename, fork and memory figures.
