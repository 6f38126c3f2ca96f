//! Checks append-only files with the verifier that the server loads with.

use clap::Parser;
use outrigger::persistence::recovery::Inspect;
use outrigger::persistence::timeline::Span;
use outrigger::persistence::toolbox::inspect_log;
use outrigger_tools::{Progress, arguments, conclude, give_up, times, views::LogView};
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks append-only files: the manifest, the base, every command and seal, and that the files follow each other.
///
/// Exit code: 0 sound, 1 torn or damaged, 2 wrong call or unreadable file. A torn end counts as damage here, though a
/// start with `aof-load-truncated yes` cuts it.
#[derive(Parser)]
#[command(version, name = "aof-check")]
struct Args {
    /// A data folder, an append-only folder, a manifest, or one log file (of servers before 7.0, too)
    #[arg(value_name = "DIR|MANIFEST|FILE")]
    path: PathBuf,
    /// Show commands and bytes a minute, and each command that destroyed data
    #[arg(long)]
    timeline: bool,
    /// The timeline from this time on: Unix seconds, Unix milliseconds, or RFC 3339
    #[arg(long, value_name = "T", value_parser = times::parse_ms, requires = "timeline")]
    since: Option<u64>,
    /// The timeline up to this time
    #[arg(long, value_name = "T", value_parser = times::parse_ms, requires = "timeline")]
    until: Option<u64>,
    /// How many databases there may be
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    databases: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    let progress = Progress::start("checking");
    let told = |done, total| progress.at(done, total);
    let span = Span { since_ms: args.since, until_ms: args.until };
    let timeline = args.timeline.then_some(span);
    let found = inspect_log(&args.path, &Inspect { databases: args.databases, timeline, progress: &told });
    progress.finish();
    match found {
        Ok(report) => {
            let view = LogView::new(&args.path, &report);
            conclude(args.json, view.sound, &view, LogView::text)
        }
        Err(error) => give_up(args.json, &args.path, &error),
    }
}
