//! What the tools share that talk to running servers.

use crate::views::StoppedView;
use crate::{EXIT_DAMAGED, EXIT_SOUND, EXIT_USAGE, Progress, output};
use clap::Args;
use outrigger::remote::commands::Existing;
use outrigger::remote::restore::IntoOptions;
use outrigger::remote::toolbox::{FromFiles, Place, RestoredInto, reach, restore_into};
use outrigger::remote::verify::Proof;
use outrigger::remote::{Patience, RemoteError, Target, is_url};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The environment variable that holds a password, as redis-cli knows it, too.
const PASSWORD_VARIABLE: &str = "REDISCLI_AUTH";

/// How long to wait for a server.
#[derive(Args, Debug, Clone)]
pub struct Waiting {
    /// Seconds to wait for a connection to a running server, and for each of its replies
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Seconds to wait for a running server that is still loading its data
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    wait_loading: u64,
}

impl Waiting {
    /// As the client wants it.
    pub fn patience(&self) -> Patience {
        Patience {
            timeout: Duration::from_secs(self.timeout),
            loading: Duration::from_secs(self.wait_loading),
        }
    }
}

/// How to load into a running server.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Into a running server")]
pub struct IntoServer {
    /// Overwrite keys that the server holds already; without it they are refused, unless they are the same
    #[arg(long, conflicts_with = "skip_existing")]
    replace: bool,
    /// Leave keys that the server holds already as they are
    #[arg(long)]
    skip_existing: bool,
    /// Do not read back what was loaded
    #[arg(long)]
    no_verify: bool,
    /// Where to note how far the load got, so that a call after an interruption goes on there; by default a file beside the
    /// source
    #[arg(long, value_name = "FILE")]
    resume_file: Option<PathBuf>,
    /// Connections to load over; by default as many as there are processors, at most 4
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: Option<u16>,
    #[command(flatten)]
    waiting: Waiting,
}

impl IntoServer {
    /// The first option given that means nothing for a folder.
    pub fn misplaced(&self) -> Option<&'static str> {
        let given = [
            (self.replace, "--replace"),
            (self.skip_existing, "--skip-existing"),
            (self.no_verify, "--no-verify"),
            (self.resume_file.is_some(), "--resume-file"),
            (self.connections.is_some(), "--connections"),
        ];
        given.into_iter().find_map(|(given, name)| given.then_some(name))
    }

    fn options(&self) -> IntoOptions {
        let existing = match (self.replace, self.skip_existing) {
            (true, _) => Existing::Replace,
            (_, true) => Existing::Skip,
            _ => Existing::Refuse,
        };
        IntoOptions {
            patience: self.waiting.patience(),
            existing,
            connections: self.connections.map_or(0, usize::from),
            resume_file: self.resume_file.clone(),
            verify: !self.no_verify,
        }
    }
}

/// A URL as a server; a password may also come from the environment.
pub fn target(text: &str) -> Result<Target, RemoteError> {
    let mut target: Target = text.parse()?;
    if target.password.is_none() {
        target.password = std::env::var(PASSWORD_VARIABLE).ok().filter(|password| !password.is_empty());
    }
    Ok(target)
}

/// How a server is named, for who did not.
pub const HOW_TO_NAME: &str = "for a server write redis://HOST:PORT; for a folder of such a name ./NAME";

/// Whether a name that is no URL is a host and a port: somebody forgot `redis://`.
pub fn is_address(named: &Path) -> bool {
    let parts = named.to_str().filter(|text| !text.contains('/')).and_then(|text| text.rsplit_once(':'));
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) && !named.exists()
}

/// A path or a server, and how it is shown.
pub fn place(named: &Path) -> Result<(Place, String), RemoteError> {
    let Some(text) = named.to_str().filter(|text| is_url(text)) else {
        return Ok((Place::Path(named.to_owned()), named.display().to_string()));
    };
    let target = target(text)?;
    let shown = target.to_string();
    Ok((Place::Server(target), shown))
}

/// A state that was loaded into a running server.
#[derive(Debug, Serialize)]
pub struct LoadedView {
    /// Where it came from.
    #[serde(serialize_with = "output::path")]
    pub from: PathBuf,
    /// The server, without its password.
    pub into: String,
    /// What the server is.
    pub server: String,
    /// Keys of the source.
    pub keys: u64,
    /// The digest of the source, as DEBUG DIGEST tells it; not taken with `--no-verify`.
    pub digest: Option<String>,
    /// Keys made by this call.
    pub made: u64,
    /// Keys that the server held just so.
    pub same: u64,
    /// Keys left as they were.
    pub skipped: u64,
    /// Keys that had expired, and were not made.
    pub expired: u64,
    /// Keys that an earlier call had loaded before it was interrupted.
    pub resumed: u64,
    /// Whether the server was restarted after that, and all was sent again.
    pub restarted: bool,
    /// How it was proven: `digest`, `read-back`, or `none`.
    pub verified: &'static str,
    /// Function libraries that were left out.
    pub functions_left_out: usize,
    /// Bytes of a torn end that were left out.
    pub cut_bytes: u64,
    /// The command that the source was loaded up to, if one was named.
    #[serde(flatten)]
    pub stopped: StoppedView,
    /// Keys that were left out, if only a part was wanted.
    pub left_out: Option<u64>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl LoadedView {
    fn new(from: &Path, into: &Target, done: &RestoredInto, seconds: f64) -> LoadedView {
        let loaded = &done.loaded;
        let verified = match loaded.proof {
            Proof::Digest => "digest",
            Proof::ReadBack => "read-back",
            Proof::Nothing => "none",
        };
        LoadedView {
            from: from.to_owned(),
            into: into.to_string(),
            server: loaded.server.clone(),
            keys: loaded.keys,
            digest: loaded.digest.map(|digest| digest.to_string()),
            made: loaded.made,
            same: loaded.same,
            skipped: loaded.skipped,
            expired: loaded.expired,
            resumed: loaded.resumed,
            restarted: loaded.restarted,
            verified,
            functions_left_out: done.functions_left_out,
            cut_bytes: done.cut_bytes,
            stopped: StoppedView::of(done.before.as_ref()),
            left_out: done.left_out,
            seconds,
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "LOADED: {} keys of {} into {} ({})\n",
            self.keys,
            self.from.display(),
            self.into,
            self.server
        );
        self.stopped.text(&mut text);
        let mut line = |line: String| {
            let _ = writeln!(text, "  {line}");
        };
        line(format!(
            "{} made in {:.1} s, {:.0} a second",
            self.made,
            self.seconds,
            self.made as f64 / self.seconds
        ));
        if self.restarted {
            line("the server was restarted after an earlier call, so all was sent again".to_owned());
        }
        for (count, what) in [
            (self.resumed, "were loaded by an earlier call, which was interrupted"),
            (self.same, "were there already, just so"),
            (self.skipped, "were there already with other values, and were left as they are"),
            (self.expired, "had expired, and were not made"),
        ] {
            if count > 0 {
                line(format!("{count} {what}"));
            }
        }
        if self.cut_bytes > 0 {
            line(format!("{} bytes of a torn end of the source were left out", self.cut_bytes));
        }
        if let Some(left_out) = self.left_out {
            line(format!("{left_out} keys of the source were not asked for, and function libraries neither"));
        }
        if self.functions_left_out > 0 {
            line(format!(
                "{} function libraries were left out: load them with FUNCTION LOAD",
                self.functions_left_out
            ));
        }
        let digest = self.digest.as_deref().unwrap_or_default();
        line(match self.verified {
            "digest" => format!("proven: the server's digest is that of the source, {digest}"),
            "read-back" => {
                format!("proven: every key was read back and compared; digest of the source {digest}")
            }
            _ => "not proven (--no-verify)".to_owned(),
        });
        text
    }
}

/// A server that is to be loaded into, once it has answered: nobody waits for the files to learn that it does not.
/// With the error, how the server is shown: a password is in neither.
pub fn reached(into: &str, how: &IntoServer) -> Result<Target, (String, RemoteError)> {
    let target = target(into).map_err(|error| ("--into".to_owned(), error))?;
    reach(&target, how.options().patience).map_err(|error| (target.to_string(), error))?;
    Ok(target)
}

/// Loads a state into a running server and reports.
pub fn restore(from: &FromFiles<'_>, target: &Target, how: &IntoServer, json: bool) -> ExitCode {
    let began = Instant::now();
    let (reading, sending) = (Progress::start("reading"), Progress::counting("keys"));
    let done =
        restore_into(from, target, &how.options(), &|done, total| reading.at(done, total), &|done, total| {
            sending.at(done, total)
        });
    reading.finish();
    sending.finish();
    match done {
        Ok(done) => {
            let view = LoadedView::new(from.named, target, &done, began.elapsed().as_secs_f64().max(0.001));
            // The program ends.
            std::mem::forget(done);
            crate::conclude(json, true, &view, LoadedView::text)
        }
        Err(error) => give_up(json, &target.to_string(), &error),
    }
}

/// No report.
#[derive(Debug, Serialize)]
struct Failure<'a> {
    /// What was asked about.
    target: &'a str,
    /// Whether what was read is the cause.
    differs: bool,
    /// Why.
    error: String,
    /// What to do; empty where the error says it.
    #[serde(skip_serializing_if = "str::is_empty")]
    next: &'static str,
}

/// Prints why there is no report, as JSON if asked, and says how the program ends.
pub fn give_up(json: bool, target: &str, error: &RemoteError) -> ExitCode {
    give_up_with(json, target, error, if error.is_difference() { EXIT_DAMAGED } else { EXIT_USAGE })
}

/// The same, with an exit code of the caller's.
pub fn give_up_with(json: bool, target: &str, error: &RemoteError, code: u8) -> ExitCode {
    debug_assert_ne!(code, EXIT_SOUND);
    if json {
        let view = Failure {
            target,
            differs: error.is_difference(),
            error: error.to_string(),
            next: error.advice(),
        };
        let _ = output::json(&view).map(|text| output::print(&text));
    } else {
        output::complain(&crate::with_advice(&error.to_string(), error.advice()));
    }
    ExitCode::from(code)
}
