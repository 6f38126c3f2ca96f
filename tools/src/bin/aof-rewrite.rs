//! Writes append-only files anew as one base, into a new folder.

use clap::Parser;
use outrigger::persistence::toolbox::rewrite;
use outrigger_tools::{Progress, arguments, conclude, give_up, views::RestoredView};
use std::path::PathBuf;
use std::process::ExitCode;

/// Writes what a folder of append-only files holds into a new data folder, as one base and an empty log, and loads that
/// again to prove it. The source is only read; a torn end of it is left out.
///
/// Exit code: 0 done and proven, 1 the source is damaged, 2 wrong call, or a file could not be read or written.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// A data folder, an append-only folder, or a manifest
    dir: PathBuf,
    /// The new data folder; there must be no `appendonlydir` in it
    #[arg(long, value_name = "NEW")]
    into: PathBuf,
    /// How many databases there may be
    #[arg(long, default_value_t = 16)]
    databases: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    let progress = Progress::start("rewriting");
    let done = rewrite(&args.dir, &args.into, args.databases, &|done, total| progress.at(done, total));
    progress.finish();
    match done {
        Ok(restored) => {
            let view = RestoredView::new(&args.dir, &args.into, &restored);
            conclude(args.json, true, &view, RestoredView::text)
        }
        Err(error) => give_up(args.json, &args.dir, &error),
    }
}
