//! The append-only file: commands, the annotation lines that seal them, the manifest that names the files, and the one
//! verifier that loader and checker share. `docs/formats/aof.md` describes the bytes.

pub mod command;
pub mod manifest;
pub mod parts;
pub mod preamble;

pub mod seal;
pub mod verify;
