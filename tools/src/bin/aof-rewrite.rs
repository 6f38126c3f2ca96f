//! Writes append-only files anew as one base, into a new folder.

use clap::{Parser, ValueEnum};
use outrigger::backup::history::{Policy, carry};
use outrigger::persistence::toolbox::rewrite;
use outrigger_tools::backups::RewrittenView;
use outrigger_tools::{Progress, arguments, conclude, give_up, give_up_saying, times, views::RestoredView};
use std::path::PathBuf;
use std::process::ExitCode;

/// Writes what append-only files hold into a new data folder, as one base and an empty log, and loads that
/// again to prove it. The source is only read; a torn end of it is left out.
///
/// Exit code: 0 done and proven, 1 the source is damaged, 2 wrong call, or a file could not be read or written.
#[derive(Parser)]
#[command(version, name = "aof-rewrite")]
struct Args {
    /// A data folder, an append-only folder, or a manifest; or one file: a snapshot, or the append-only file of a server before 7.0
    dir: PathBuf,
    /// The new data folder; there must be no `appendonlydir` in it
    #[arg(long, value_name = "NEW")]
    into: PathBuf,
    /// What NEW has of the generations before the new one: nothing, their files, or an archive of each. DIR keeps them in any case
    #[arg(long, value_enum, default_value_t = History::Drop)]
    history: History,
    /// How many databases there may be
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    databases: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum History {
    Drop,
    Keep,
    Archive,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    let progress = Progress::start("rewriting");
    let done = rewrite(&args.dir, &args.into, args.databases, &|done, total| progress.at(done, total));
    let restored = match done {
        Ok(restored) => restored,
        Err(error) => return give_up(args.json, &args.dir, &error),
    };
    let policy = match args.history {
        History::Drop => Policy::Drop,
        History::Keep => Policy::Keep,
        History::Archive => Policy::Archive,
    };
    let told = |what, done, total| progress.step(what, done, total);
    let carried = carry(&args.dir, &args.into, policy, args.databases, times::now_ms(), &told);
    progress.finish();
    let rewritten = RestoredView::new(&args.dir, &args.into, &restored);
    match carried {
        Ok(carried) => {
            let view = RewrittenView { rewritten, carried };
            conclude(args.json, true, &view, RewrittenView::text)
        }
        Err(error) => {
            let text = format!(
                "{} is written and proven, but not every earlier generation could be carried along: {error}",
                args.into.display()
            );
            give_up_saying(args.json, &args.dir, error.is_damage(), text, error.advice())
        }
    }
}
