//! Files of ours in a stock server, and files of a stock server in ours.

pub mod encodings;
mod old_versions;
mod ours_to_stock;
mod stock_to_ours;

use crate::support::{Server, peer};
use std::path::Path;
use std::process::Command;

/// Runs a stock checker over a file, if there is one; it must be content.
fn stock_check(program: &str, file: &Path) {
    let Some(program) = peer::on_path(program) else { return };
    let output = Command::new(&program).arg(file).output().expect("run a stock checker");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{} {}:\n{}", program.display(), file.display(), text.concat());
}

/// The digest of what a server has loaded.
fn digest_of(server: &Server) -> String {
    let mut client = server.client();
    crate::persistence::nodes::wait_loaded(&mut client);
    client.digest()
}
