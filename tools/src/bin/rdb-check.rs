//! Checks a snapshot file with the decoder that the server loads with.

use clap::Parser;
use outrigger::persistence::toolbox::check_snapshot;
use outrigger_tools::{Progress, arguments, conclude, give_up, snapshots::SnapshotView};
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks an RDB file: every record, and the checksum.
///
/// Exit code: 0 sound, 1 damaged, 2 wrong call or unreadable file.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The RDB file
    file: PathBuf,
    /// Refuse keys of databases that a server with so many does not have
    #[arg(long)]
    databases: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    let progress = Progress::start("checking");
    let found = check_snapshot(&args.file, args.databases, &mut |done, total| progress.at(done, total));
    progress.finish();
    match found {
        Ok(report) => {
            let view = SnapshotView::new(&args.file, &report);
            conclude(args.json, view.sound, &view, SnapshotView::text)
        }
        Err(error) => give_up(args.json, &args.file, &error),
    }
}
