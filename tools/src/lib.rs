//! Shared pieces of the offline tools: argument handling, output and exit codes.
