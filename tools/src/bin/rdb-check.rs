//! Checks a snapshot file as the server that loads it would, tells what takes its memory, or writes its keys out.

use clap::{Parser, ValueEnum};
use outrigger::persistence::toolbox::{
    AnalysisOptions, ExportFormat, analyze_snapshot, check_snapshot, export_snapshot,
};
use outrigger_tools::analyses::AnalysisView;
use outrigger_tools::output::complain;
use outrigger_tools::snapshots::SnapshotView;
use outrigger_tools::{EXIT_DAMAGED, EXIT_SOUND, EXIT_USAGE, Progress, arguments, conclude, give_up};
use std::io::{ErrorKind, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Checks an RDB file: every record, and the checksum.
///
/// Exit code: 0 sound, 1 damaged, 2 wrong call or unreadable file.
#[derive(Parser)]
#[command(version, name = "rdb-check")]
struct Args {
    /// The RDB file
    file: PathBuf,
    /// Refuse keys of databases that a server with so many does not have
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    databases: Option<u32>,
    /// Tell what takes the memory instead: the biggest keys, and sums by type, prefix and time left
    #[arg(long, conflicts_with_all = ["export", "databases"])]
    analyze: bool,
    /// With --analyze: how many of the biggest keys are named
    #[arg(long, default_value_t = 20, requires = "analyze")]
    top: usize,
    /// With --analyze: what a prefix ends with
    #[arg(long, default_value = ":", requires = "analyze")]
    separator: String,
    /// With --analyze: print CSV
    #[arg(long, requires = "analyze", conflicts_with = "json")]
    csv: bool,
    /// Write the keys to the standard output instead: as commands (for `redis-cli --pipe`) or as lines of JSON
    #[arg(long, conflicts_with_all = ["databases", "json"])]
    export: Option<Export>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Export {
    /// One JSON object a line
    Jsonl,
    /// Commands that rebuild the keys
    Resp,
}

/// Keys named at most.
const MOST_TOP: usize = 100_000;

fn main() -> ExitCode {
    let args: Args = arguments();
    match (args.analyze, args.export) {
        (true, _) => analyze(&args),
        (_, Some(format)) => export(&args, format),
        _ => check(&args),
    }
}

fn check(args: &Args) -> ExitCode {
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

fn analyze(args: &Args) -> ExitCode {
    let progress = Progress::start("analysing");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let options = AnalysisOptions {
        top: args.top.min(MOST_TOP),
        separator: args.separator.clone().into_bytes(),
        now_ms: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
    };
    let found = analyze_snapshot(&args.file, &options, &mut |done, total| progress.at(done, total));
    progress.finish();
    match found {
        Ok(analysis) => {
            let view = AnalysisView::new(&args.file, &analysis);
            let text = if args.csv { AnalysisView::csv } else { AnalysisView::text };
            conclude(args.json, view.complete, &view, text)
        }
        Err(error) => give_up(args.json, &args.file, &error),
    }
}

fn export(args: &Args, format: Export) -> ExitCode {
    let format = match format {
        Export::Jsonl => ExportFormat::Jsonl,
        Export::Resp => ExportFormat::Resp,
    };
    let progress = Progress::start("writing");
    let mut out = std::io::stdout().lock();
    let has_bar = !std::io::stdout().is_terminal();
    let exported = export_snapshot(&args.file, format, &mut out, &mut |done, total| {
        if has_bar {
            progress.at(done, total);
        }
    });
    progress.finish();
    let report = match exported {
        Ok(report) => report,
        Err(error) => return give_up(false, &args.file, &error),
    };
    match (report.failed, report.fault) {
        // A reader that went away, as `head` does, is no error.
        (Some(error), _) if error.kind() == ErrorKind::BrokenPipe => ExitCode::from(EXIT_SOUND),
        (Some(error), _) => {
            complain(&format!("the keys cannot be written: {error}; {} keys were", report.keys));
            ExitCode::from(EXIT_USAGE)
        }
        (None, Some(fault)) => {
            complain(&format!(
                "DAMAGED: {}: {fault}\n  the {} keys before it were written; `rdb-check FILE` tells more",
                args.file.display(),
                report.keys
            ));
            ExitCode::from(EXIT_DAMAGED)
        }
        (None, None) => {
            complain(&format!("{} keys, {} bytes", report.keys, report.bytes));
            ExitCode::from(EXIT_SOUND)
        }
    }
}
