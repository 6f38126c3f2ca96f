//! Compares two data sets: dump files, folders of append-only files, running servers.

use clap::Parser;
use outrigger::remote::diff::DiffOptions;
use outrigger::remote::toolbox::compare;
use outrigger_tools::diff_view::DiffView;
use outrigger_tools::{EXIT_USAGE, Progress, arguments, conclude, live};
use std::path::PathBuf;
use std::process::ExitCode;

/// Compares two data sets, key by key. Each is a dump file, a data folder (or its append-only folder, or a manifest), or a
/// running server, ours or a stock one.
///
/// Types, values, times and the groups of streams count; encodings and the order of unordered things do not. Keys that have
/// expired do not count, even if a file still holds them. A running server is no snapshot: keys that differ are read once
/// more, and what is the same by then is not reported; for an exact answer let no one write meanwhile.
///
/// Exit code: 0 the same, 1 different, 2 wrong call, or a file or server could not be read.
#[derive(Parser)]
#[command(version, name = "outrigger-diff")]
struct Args {
    /// The first: a path; or redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] or unix:/SOCKET[?db=DB]. A password may also be in the
    /// environment, as REDISCLI_AUTH. With a database in the URL, only that is compared
    a: PathBuf,
    /// The second
    b: PathBuf,
    /// Keys to list; all are counted
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Times of expiry that are so many milliseconds apart count as the same; with more than 0, times of hash fields are not
    /// compared
    #[arg(long, value_name = "MS", default_value_t = 0)]
    ttl_tolerance: u64,
    /// How many databases there may be in files
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    databases: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    waiting: live::Waiting,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    let options = DiffOptions {
        patience: args.waiting.patience(),
        ttl_tolerance_ms: args.ttl_tolerance,
        databases: args.databases,
    };
    let (a, b) = match (live::place(&args.a), live::place(&args.b)) {
        (Ok(a), Ok(b)) => (a, b),
        (Err(error), _) => return live::give_up_with(args.json, "A", &error, EXIT_USAGE),
        (_, Err(error)) => return live::give_up_with(args.json, "B", &error, EXIT_USAGE),
    };
    let ((a, a_shown), (b, b_shown)) = (a, b);
    let names = [a_shown, b_shown];
    let (reading, walking) = (Progress::start("reading"), Progress::counting("keys"));
    let done =
        compare(&a, &b, &options, &|done, all| reading.at(done, all), &|done, all| walking.at(done, all));
    reading.finish();
    walking.finish();
    match done {
        Ok(found) => {
            let view = DiffView::new(&names, &found, args.limit);
            conclude(args.json, view.same, &view, DiffView::text)
        }
        // Damage is no difference: nothing could be compared.
        Err(error) => live::give_up_with(args.json, &names.join(" "), &error, EXIT_USAGE),
    }
}
