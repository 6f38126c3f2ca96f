//! Writes the state of an earlier moment into a new folder.

use clap::Parser;
use outrigger::persistence::offline::RestoreTo;
use outrigger_tools::{Progress, arguments, conclude, give_up, times, views::RestoredView};
use std::path::PathBuf;
use std::process::ExitCode;

/// Writes what a folder of append-only files held at a time or offset into a new data folder, and loads that again to
/// prove it. Without either, up to the end of what is good. The source is only read, and what lies behind the
/// target may be damaged.
///
/// Exit code: 0 done and proven, 1 the source is damaged before the target, 2 wrong call, or a file could not be read or
/// written.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// A data folder, an append-only folder (of an earlier generation, too), or a manifest
    dir: PathBuf,
    /// The new data folder; there must be no `appendonlydir` in it
    #[arg(long, value_name = "NEW")]
    into: PathBuf,
    /// The last batch written at or before this time: Unix seconds, Unix milliseconds, or RFC 3339
    #[arg(long, value_name = "T", value_parser = times::parse_ms, conflicts_with = "to_offset")]
    to_time: Option<u64>,
    /// The last command that ends at or before this replication offset
    #[arg(long, value_name = "N")]
    to_offset: Option<u64>,
    /// How many databases there may be
    #[arg(long, default_value_t = 16)]
    databases: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    let to = match (args.to_time, args.to_offset) {
        (Some(time_ms), _) => RestoreTo::TimeMs(time_ms),
        (None, Some(offset)) => RestoreTo::Offset(offset),
        (None, None) => RestoreTo::End,
    };
    let progress = Progress::start("restoring");
    let told = |done, total| progress.at(done, total);
    let done = outrigger::persistence::toolbox::restore(&args.dir, &args.into, to, args.databases, &told);
    progress.finish();
    match done {
        Ok(restored) => {
            let view = RestoredView::new(&args.dir, &args.into, &restored);
            conclude(args.json, true, &view, RestoredView::text)
        }
        Err(error) => give_up(args.json, &args.dir, &error),
    }
}
