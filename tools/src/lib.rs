//! What the offline tools share: arguments, progress, output and exit codes. What is true of the files is found out by
//! `outrigger::persistence::toolbox`, with the decoders that the server loads with.

pub mod analyses;
pub mod output;
pub mod snapshots;
pub mod times;
pub mod views;

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use outrigger::persistence::toolbox::ToolError;
use serde::Serialize;
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

/// Reads the arguments; ends the program with exit code 2 if they are wrong.
pub fn arguments<A: Parser>() -> A {
    A::parse()
}

/// How often a bar without figures moves.
const TICK_EVERY: Duration = Duration::from_millis(100);

/// A progress bar on the terminal; nothing where there is none.
pub struct Progress {
    bar: ProgressBar,
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
        Progress { bar }
    }

    /// So many bytes of so many are done.
    pub fn at(&self, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            let template = "{spinner} {msg} {wide_bar} {binary_bytes} of {binary_total_bytes} {eta}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.bar.set_style(style);
            }
        }
        self.bar.set_position(done);
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
            eprintln!("the report cannot be written: {error}");
            ExitCode::from(EXIT_USAGE)
        }
        (Ok(()), true) => ExitCode::from(EXIT_SOUND),
        (Ok(()), false) => ExitCode::from(EXIT_DAMAGED),
    }
}

/// Prints why there is no report, as JSON if asked, and says how the program ends.
pub fn give_up(json: bool, path: &Path, error: &ToolError) -> ExitCode {
    let view = views::Failure { path: path.to_owned(), damaged: error.is_damage(), error: error.to_string() };
    if json {
        let _ = output::json(&view).map(|text| output::print(&text));
    } else {
        eprintln!("{error}");
        if !error.advice().is_empty() {
            eprintln!("  next: {}", error.advice());
        }
    }
    ExitCode::from(if error.is_damage() { EXIT_DAMAGED } else { EXIT_USAGE })
}
