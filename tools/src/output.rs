//! The standard output.

use serde::Serialize;
use std::io::{self, Write};

/// A value as indented JSON, with a line end.
pub fn json<V: Serialize>(value: &V) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n")
}

/// Writes a report. A reader that went away, as `head` does, is no error.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
