//! Checks append-only files with the verifier that the server loads with.

use clap::Parser;
use outrigger::persistence::toolbox::check_log;
use outrigger_tools::{Progress, arguments, conclude, give_up, views::LogView};
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks append-only files: the manifest, the base, every command and seal, and that the files follow each other.
///
/// Exit code: 0 sound, 1 torn or damaged, 2 wrong call or unreadable file. A torn end counts as damage here, though a
/// start with `aof-load-truncated yes` cuts it.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// A data folder, an append-only folder, a manifest, or one log file
    #[arg(value_name = "DIR|MANIFEST|FILE")]
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    let progress = Progress::start("checking");
    let found = check_log(&args.path);
    progress.finish();
    match found {
        Ok(report) => {
            let view = LogView::new(&args.path, &report);
            conclude(args.json, view.sound, &view, LogView::text)
        }
        Err(error) => give_up(args.json, &args.path, &error),
    }
}
