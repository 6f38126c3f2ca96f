//! The standard output.

use serde::{Serialize, Serializer};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A path in JSON, which has no signs but those of Unicode: what is no UTF-8 is shown by the sign for that.
pub fn path<S: Serializer>(path: &Path, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(&path.display())
}

/// As [`path()`], of several.
pub fn paths<S: Serializer>(paths: &[PathBuf], out: S) -> Result<S::Ok, S::Error> {
    out.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

/// Writes lines to the standard error. Where that takes none, the exit code alone tells.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

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
