//! Takes, lists and verifies backups of append-only files.

use clap::{Parser, ValueEnum};
use outrigger::backup::shelf::Retention;
use outrigger::backup::{BackupError, Form};
use outrigger::persistence::toolbox::ToolError;
use outrigger_tools::backups::{BackupView, ListView, TakenView};
use outrigger_tools::output::complain;
use outrigger_tools::storage::{S3Options, Storage, StorageError, Wish};
use outrigger_tools::{Progress, arguments, conclude, give_up_saying, schedule};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Takes a backup of a node's append-only files while the node runs: copies what the manifest names, the last log up to its last
/// seal, reads the copy back, loads it as a start would, and gives it its name only then. That takes as much memory as the data. The
/// source is only read.
///
/// What an interrupted run left is cleared away by the next. Two runs over one folder do not mix: the second one refuses.
///
/// Backups can also go to S3-compatible storage (s3://BUCKET/PREFIX), as archives, if this program was built with it. The archive is
/// made and proven in a local folder (--work), sent, read back byte for byte, and published only then. Credentials come from the
/// environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, and AWS_ALLOW_HTTP=true for an endpoint
/// without encryption.
///
/// Exit code: 0 done and proven, 1 the source or a backup is damaged, 2 wrong call, or a file could not be read or written.
#[derive(Parser)]
#[command(name = "outrigger-backup", version)]
struct Args {
    /// A replica's data folder, an append-only folder, or a manifest
    #[arg(required_unless_present_any = ["list", "verify"], conflicts_with_all = ["list", "verify"])]
    dir: Option<PathBuf>,
    /// The folder of the backups, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "FOLDER|S3")]
    to: PathBuf,
    /// One file of LZ4 frames, or a data folder
    #[arg(long, value_enum, default_value_t = FormArg::Archive)]
    form: FormArg,
    /// In a folder: copy files also where a second name (hard link) for them would do
    #[arg(long)]
    copy: bool,
    /// Take one now and then one each so often: 90s, 15m, 6h, 1d. A failure is told, and the next one is tried at its time
    #[arg(long, value_name = "SPAN", value_parser = schedule::parse)]
    schedule: Option<Duration>,
    /// With --schedule: end after so many
    #[arg(long, value_name = "N", requires = "schedule")]
    times: Option<u64>,
    /// Once the new one is good, remove all but the latest N that are
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    retain: Option<u32>,
    /// With --retain: keep also the latest one of each of the last N days that have one (UTC)
    #[arg(long, value_name = "N", default_value_t = 0, requires = "retain")]
    daily: u32,
    /// With --retain: keep also the latest one of each of the last N weeks that have one (from Monday, UTC)
    #[arg(long, value_name = "N", default_value_t = 0, requires = "retain")]
    weekly: u32,
    /// Show what is there
    #[arg(long, conflicts_with = "verify")]
    list: bool,
    /// Read this backup through, load it, and compare with its record
    #[arg(long, value_name = "NAME")]
    verify: Option<String>,
    /// With s3://: the folder in which an archive is made and unpacked before it is sent, or to be verified. It needs room for the
    /// archive and for the files. Otherwise TMPDIR, or /var/tmp
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    #[command(flatten)]
    s3: S3Options,
    /// How many databases there may be
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    databases: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormArg {
    Archive,
    Folder,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    let storage = match Storage::open(&args.to, &args.s3, args.work.as_deref()) {
        Ok(storage) => storage,
        // It may hold a password.
        Err(error @ StorageError::Url(_)) => return fail(&args, Path::new("--to"), &error),
        Err(error) => return fail(&args, &args.to, &error),
    };
    match (&args.dir, &args.verify, args.schedule) {
        (None, Some(name), _) => show_verified(&args, &storage, name),
        (None, None, _) => show_list(&args, &storage),
        (Some(dir), _, None) => back_up(&args, &storage, dir),
        (Some(dir), _, Some(every)) => keep_backing_up(&args, &storage, dir, every),
    }
}

fn fail(args: &Args, path: &Path, error: &StorageError) -> ExitCode {
    const NO_FILES: &str = "a primary writes no files: back up the data folder of its replica, once INFO there has \
                            outrigger_aof_phase:writing";
    let advice = match error.backup() {
        Some(BackupError::Nothing(ToolError::NothingThere { seen: None, .. })) => NO_FILES,
        _ => error.advice(),
    };
    give_up_saying(args.json, path, error.is_damage(), error.to_string(), advice)
}

fn back_up(args: &Args, storage: &Storage, dir: &Path) -> ExitCode {
    let form = match args.form {
        FormArg::Archive => Form::Archive,
        FormArg::Folder => Form::Folder,
    };
    let wish = Wish { from: dir.to_owned(), form, may_link: !args.copy, databases: args.databases };
    let progress = Progress::start("backing up");
    let done = storage.take(&wish, &|what, done, total| progress.step(what, done, total));
    progress.finish();
    let (taken, notes) = match done {
        Ok(done) => (done.taken, done.notes),
        Err(error) => return fail(args, dir, &error),
    };
    let backup = BackupView::taken(&taken, form);
    let mut view = TakenView { backup, cleared: taken.swept, removed: Vec::new(), notes };
    if let Some(last) = args.retain {
        let [last, daily, weekly] = [last, args.daily, args.weekly].map(|count| count as usize);
        match storage.retain(Retention { last, daily, weekly }) {
            Ok(removed) => view.removed = removed,
            Err(error) => {
                complain(&format!(
                    "{} is taken and good, but older ones could not be removed:",
                    taken.path.display()
                ));
                return fail(args, &args.to, &error);
            }
        }
    }
    conclude(args.json, true, &view, TakenView::text)
}

/// Ends only after `--times`, or when the program is ended.
fn keep_backing_up(args: &Args, storage: &Storage, dir: &Path, every: Duration) -> ExitCode {
    let start = Instant::now();
    let mut slot = 0u32;
    let mut taken = 0;
    loop {
        let code = back_up(args, storage, dir);
        taken += 1;
        if args.times.is_some_and(|times| taken >= times) {
            return code;
        }
        // One that takes longer than its span puts off the next, and does not make the later ones crowd.
        slot = slot.saturating_add(1);
        while every.saturating_mul(slot) < start.elapsed() {
            slot = slot.saturating_add(1);
        }
        std::thread::sleep(every.saturating_mul(slot).saturating_sub(start.elapsed()));
    }
}

fn show_list(args: &Args, storage: &Storage) -> ExitCode {
    match storage.list() {
        Ok(found) => {
            let backups = found.iter().map(BackupView::listed).collect();
            let view = ListView { folder: args.to.clone(), backups, verified: false };
            conclude(args.json, view.is_sound(), &view, ListView::text)
        }
        Err(error) => fail(args, &args.to, &error),
    }
}

fn show_verified(args: &Args, storage: &Storage, name: &str) -> ExitCode {
    let progress = Progress::start("verifying");
    let found = storage.verify(name, &|what, done, total| progress.step(what, done, total));
    progress.finish();
    match found {
        Ok(listed) => {
            let backups = vec![BackupView::listed(&listed)];
            let view = ListView { folder: args.to.clone(), backups, verified: true };
            conclude(args.json, true, &view, ListView::text)
        }
        Err(error) => fail(args, &args.to, &error),
    }
}
