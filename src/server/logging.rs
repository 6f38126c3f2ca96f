//! The process's log: where it goes, and how much of it.

use super::config::{Config, LogLevel};
use std::fs::{File, OpenOptions};
use std::io;
use std::sync::OnceLock;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

type Handle = reload::Handle<LevelFilter, tracing_subscriber::Registry>;

static HANDLE: OnceLock<Handle> = OnceLock::new();

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::TRACE,
        LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Nothing => LevelFilter::OFF,
    }
}

/// Begins the log as the configuration says: to `logfile`, or to the standard output without one. To be called once, by
/// the program.
pub fn init(config: &Config) -> io::Result<()> {
    let file: Option<File> = match config.logfile.as_str() {
        "" => None,
        path => {
            let open = OpenOptions::new().append(true).create(true).open(config.dir.join(path));
            let name = |error: io::Error| {
                io::Error::new(error.kind(), format!("cannot open the log file {path}: {error}"))
            };
            Some(open.map_err(name)?)
        }
    };
    let (level, handle) = reload::Layer::new(filter(config.loglevel));
    // A log that cannot be written (a full disk, a reader that went away) must not end the server.
    let lines =
        tracing_subscriber::fmt::layer().log_internal_errors(false).with_target(false).with_ansi(false);
    let begun = tracing_subscriber::registry().with(level);
    let done = match file {
        Some(file) => begun.with(lines.with_writer(std::sync::Mutex::new(file))).try_init(),
        None => begun.with(lines.with_writer(io::stdout)).try_init(),
    };
    done.map_err(io::Error::other)?;
    let _ = HANDLE.set(handle);
    Ok(())
}

/// Is the log this module's to change?
pub fn can_change_level() -> bool {
    HANDLE.get().is_some()
}

/// Changes the least important level that is logged.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = HANDLE.get() {
        // It fails only when the log is gone, and with it whoever could be told.
        let _ = handle.modify(|now| *now = filter(level));
    }
}
