//! Writes the state of an earlier moment into a new folder.

use clap::Parser;
use outrigger::persistence::offline::{Before, Occurrence, Part, RestoreTo, Wanted};
use outrigger::persistence::pattern::CommandPattern;
use outrigger::persistence::toolbox::{NewFolder, restore_to};
use outrigger::remote::is_url;
use outrigger::remote::toolbox::FromFiles;
use outrigger_tools::storage::{S3Options, Source, is_s3, open_source};
use outrigger_tools::{
    Progress, arguments, conclude, give_up, give_up_saying, live, times, views::RestoredView,
};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes what append-only files held at a time, at an offset, or just before a command, into a new data folder,
/// and loads that again to prove it. Without any of these, up to the end of what is good. The source is only read, and what
/// lies behind the target may be damaged.
///
/// With a server's URL in place of the new folder, the state is loaded into that running server, ours or a stock one, over
/// several connections, and proven there. A call that was interrupted, however that came about, goes on where it was when it
/// is made again.
///
/// Exit code: 0 done and proven, 1 the source is damaged before the target, or the server does not hold what it was sent; 2
/// wrong call, nothing matches, or a file or server could not be read or written.
#[derive(Parser)]
#[command(version, name = "restore")]
struct Args {
    /// A data folder, an append-only folder (of an earlier generation, too), a manifest, or a backup: its folder or its archive.
    /// Or one file: a snapshot, or the append-only file of a server before 7.0. An archive in S3-compatible storage,
    /// s3://BUCKET/PREFIX/NAME.oar, is fetched before it is unpacked, with credentials from the environment as
    /// outrigger-backup(1) has them
    dir: PathBuf,
    /// The new data folder, with no `appendonlydir` in it; or a running server: redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]
    /// or unix:/SOCKET[?db=DB]. A password may also be in the environment, as REDISCLI_AUTH
    #[arg(long, value_name = "NEW|URL")]
    into: PathBuf,
    /// The last batch written at or before this time: Unix seconds, Unix milliseconds, or RFC 3339
    #[arg(long, value_name = "T", value_parser = times::parse_ms, conflicts_with = "to_offset")]
    to_time: Option<u64>,
    /// The last command that ends at or before this replication offset
    #[arg(long, value_name = "N")]
    to_offset: Option<u64>,
    /// The state just before the last command that matches: its name, then globs for arguments in order, as in
    /// "FLUSHALL" or "DEL session:*". In a transaction: before all of it. With --to-time or --to-offset: the last up to there
    #[arg(long, value_name = "COMMAND-PATTERN")]
    before: Option<CommandPattern>,
    /// Which of the commands that match: `last`, `first`, or a number counted from the last, which is 1
    #[arg(long, value_name = "WHICH", default_value = "last", value_parser = occurrence, requires = "before")]
    occurrence: Occurrence,
    /// Only keys that match this glob. The new folder then begins a history of its own
    #[arg(long, value_name = "PATTERN")]
    keys: Option<String>,
    /// Only keys of this database. The new folder then begins a history of its own
    #[arg(long, value_name = "N")]
    db: Option<u32>,
    /// Where an archive is unpacked for as long as this takes; by default beside NEW, or, for a running server, beside the archive
    #[arg(long, value_name = "FOLDER")]
    work: Option<PathBuf>,
    /// How many databases there may be
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    databases: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    s3: S3Options,
    #[command(flatten)]
    server: live::IntoServer,
}

fn occurrence(text: &str) -> Result<Occurrence, String> {
    match text {
        "first" => Ok(Occurrence::First),
        "last" => Ok(Occurrence::FromLast(1)),
        number => match number.parse() {
            Ok(number) if number > 0 => Ok(Occurrence::FromLast(number)),
            _ => Err("`first`, `last`, or a number from 1 on is needed".to_owned()),
        },
    }
}

fn main() -> ExitCode {
    let mut args: Args = arguments();
    let to = match (args.to_time, args.to_offset) {
        (Some(time_ms), _) => RestoreTo::TimeMs(time_ms),
        (None, Some(offset)) => RestoreTo::Offset(offset),
        (None, None) => RestoreTo::End,
    };
    let before = args.before.take().map(|pattern| Before { pattern, occurrence: args.occurrence });
    let wanted = Wanted { to, before, part: Part { keys: args.keys.take(), db: args.db } };
    match args.into.to_str().filter(|into| is_url(into)) {
        Some(url) => into_server(&args, url, &wanted),
        None => into_folder(&args, &wanted),
    }
}

/// What is in a bucket has no folder: the present one takes its place.
fn local(args: &Args) -> &Path {
    if is_s3(&args.dir) { Path::new(args.dir.file_name().unwrap_or_default()) } else { &args.dir }
}

/// Opens the source; `near` is where it is unpacked unless somebody says otherwise.
fn open(args: &Args, near: &Path, progress: &Progress) -> Result<Source, ExitCode> {
    let work = args.work.as_deref().unwrap_or(near);
    let told = |what, done, total| progress.step(what, done, total);
    open_source(&args.dir, work, &args.s3, &told).map_err(|error| {
        give_up_saying(args.json, &args.dir, error.is_damage(), error.to_string(), error.advice())
    })
}

fn into_server(args: &Args, url: &str, wanted: &Wanted) -> ExitCode {
    let server = match live::reached(url, &args.server) {
        Ok(server) => server,
        Err((shown, error)) => return live::give_up(args.json, &shown, &error),
    };
    let progress = Progress::start("restoring");
    let local = local(args);
    let here = local.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let source = match open(args, here, &progress) {
        Ok(source) => source,
        Err(code) => return code,
    };
    progress.finish();
    let (path, named, beside) = (source.path(), args.dir.as_path(), local);
    let from = FromFiles { path, named, beside, wanted, databases: args.databases };
    live::restore(&from, &server, &args.server, args.json)
}

fn into_folder(args: &Args, wanted: &Wanted) -> ExitCode {
    let wrong = |text| give_up_saying(args.json, &args.into, false, text, live::HOW_TO_NAME);
    let into = args.into.display();
    if let Some(option) = args.server.misplaced() {
        return wrong(format!("{option} is for a running server, and {into} is a folder"));
    }
    if live::is_address(&args.into) {
        return wrong(format!("{into} looks like a server's address, and would be the name of a folder"));
    }
    // Before anything is fetched, unpacked or read, which may take its time.
    let new = match NewFolder::prepare(&args.dir, &args.into) {
        Ok(new) => new,
        Err(error) => return give_up(args.json, &args.dir, &error),
    };
    let progress = Progress::start("restoring");
    let source = match open(args, &args.into, &progress) {
        Ok(source) => source,
        Err(code) => return code,
    };
    let told = |done, total| progress.step("restoring", done, total);
    let done = restore_to(source.path(), new, wanted, args.databases, &told);
    progress.finish();
    match done {
        Ok(restored) => {
            let mut view = RestoredView::new(&args.dir, &args.into, &restored);
            if source.is_temporary() {
                view.from = args.dir.clone();
            }
            conclude(args.json, true, &view, RestoredView::text)
        }
        Err(error) => give_up(args.json, &args.dir, &error),
    }
}
