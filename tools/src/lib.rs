//! What the offline tools share: arguments, progress, output and exit codes. What is true of the files is found out by
//! `outrigger::persistence::toolbox`, with the decoders that the server loads with.

pub mod analyses;
pub mod backups;
pub mod diff_view;
pub mod generate;
pub mod live;
pub mod output;
#[cfg(feature = "s3")]
pub mod s3;
pub mod schedule;
pub mod snapshots;
pub mod storage;
pub mod times;
pub mod views;

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use outrigger::persistence::toolbox::ToolError;
use outrigger::persistence::toolbox::programs;
use serde::Serialize;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Exit code: all is sound, or the new folder is written and proven.
pub const EXIT_SOUND: u8 = 0;
/// Exit code: something in the files is torn or damaged.
pub const EXIT_DAMAGED: u8 = 1;
/// Exit code: the call was wrong, or a file could not be read or written.
pub const EXIT_USAGE: u8 = 2;

/// Reads the arguments; ends the program with exit code 2 if they are wrong. Also ends it after having printed a man page or
/// a shell's completions ([`generate`]), if that is asked for.
pub fn arguments<A: Parser>() -> A {
    match generate::asked(std::env::args_os().skip(1)) {
        None => A::try_parse().unwrap_or_else(|error| {
            if error.use_stderr() && asks_for_json(&A::command(), std::env::args_os().skip(1)) {
                let shown = output::json(&views::WrongCall::new(&error, A::command().get_name()));
                let _ = shown.map(|text| output::print(&text));
                std::process::exit(i32::from(EXIT_USAGE));
            }
            error.exit()
        }),
        Some(kind) => std::process::exit(i32::from(print_generated(A::command(), kind))),
    }
}

/// Whether a call, however wrong, is one of a program for whoever reads JSON.
fn asks_for_json(command: &clap::Command, args: impl Iterator<Item = OsString>) -> bool {
    let is_known = command.get_arguments().any(|arg| arg.get_long() == Some("json"));
    is_known && args.take_while(|arg| arg != "--").any(|arg| arg == "--json")
}

fn print_generated(command: clap::Command, kind: Result<generate::Kind, String>) -> u8 {
    let exe = std::env::current_exe().ok();
    let own = exe.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let known = programs::PROGRAMS.iter().find(|program| program.name == own);
    // One that was given another name by whoever installed it goes by that of the package.
    let name = known.map_or(env!("CARGO_PKG_NAME"), |program| program.name);
    let printed = kind.and_then(|kind| {
        let text = generate::generate(command, name, kind).map_err(|error| error.to_string())?;
        output::print(&String::from_utf8_lossy(&text)).map_err(|error| format!("cannot write: {error}"))
    });
    match printed {
        Ok(()) => EXIT_SOUND,
        Err(error) => {
            output::complain(&error);
            EXIT_USAGE
        }
    }
}

/// How often a bar without figures moves.
const TICK_EVERY: Duration = Duration::from_millis(100);

/// A progress bar on the terminal; nothing where there is none.
pub struct Progress {
    bar: ProgressBar,
    counted: Option<&'static str>,
}

impl Progress {
    /// Begins. `what` is shown beside the bar.
    pub fn start(what: &str) -> Progress {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(TICK_EVERY);
        Progress { bar, counted: None }
    }

    /// A bar that counts something else than bytes. It is not seen before the first figures.
    pub fn counting(what: &'static str) -> Progress {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Progress { bar, counted: Some(what) }
    }

    /// So many bytes of so many are done.
    pub fn at(&self, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            let template = match self.counted {
                None => "{spinner} {msg} {wide_bar} {binary_bytes} of {binary_total_bytes} {eta}".to_owned(),
                Some(what) => format!("{{spinner}} {{wide_bar}} {{pos}} of {{len}} {what} {{eta}}"),
            };
            if let Ok(style) = ProgressStyle::with_template(&template) {
                self.bar.set_style(style);
            }
            if self.counted.is_some() && std::io::stderr().is_terminal() {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
        }
        self.bar.set_position(done);
    }

    /// As [`Progress::at`], of a step that is named.
    pub fn step(&self, what: &'static str, done: u64, total: u64) {
        self.bar.set_message(what);
        self.at(done, total);
    }

    /// Ends, and leaves nothing on the screen.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Prints a finding, as JSON if asked, and says how the program ends.
pub fn conclude<V: Serialize>(
    json: bool,
    sound: bool,
    view: &V,
    text: impl FnOnce(&V) -> String,
) -> ExitCode {
    let shown = match json {
        true => output::json(view),
        false => Ok(text(view)),
    };
    let written = shown.map_err(std::io::Error::from).and_then(|text| output::print(&text));
    match (written, sound) {
        (Err(error), _) => {
            output::complain(&format!("the report cannot be written: {error}"));
            ExitCode::from(EXIT_USAGE)
        }
        (Ok(()), true) => ExitCode::from(EXIT_SOUND),
        (Ok(()), false) => ExitCode::from(EXIT_DAMAGED),
    }
}

/// Prints why there is no report, as JSON if asked, and says how the program ends.
pub fn give_up(json: bool, path: &Path, error: &ToolError) -> ExitCode {
    give_up_saying(json, path, error.is_damage(), error.to_string(), error.advice())
}

/// An error, and behind it what to do, if that is to be said.
pub(crate) fn with_advice(error: &str, next: &str) -> String {
    if next.is_empty() { error.to_owned() } else { format!("{error}\n  next: {next}") }
}

/// As [`give_up`], of any error. Without advice where the text says what to do.
pub fn give_up_saying(json: bool, path: &Path, damaged: bool, error: String, next: &'static str) -> ExitCode {
    let view = views::Failure { path: path.to_owned(), damaged, error, next };
    if json {
        let _ = output::json(&view).map(|text| output::print(&text));
    } else {
        output::complain(&with_advice(&view.error, next));
    }
    ExitCode::from(if damaged { EXIT_DAMAGED } else { EXIT_USAGE })
}
