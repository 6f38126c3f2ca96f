//! `outrigger pair`: a primary and a replica on one machine, started, watched and stopped as one thing.
//!
//! The supervisor holds no data. It starts both processes from its own executable, hands their logs on, starts one
//! again that died, and ends them in the order that loses nothing: the primary first, which waits until the
//! replica has fsynced everything, then the replica.

mod backoff;
mod hull;
mod probe;
mod record;
mod screen;
mod setup;
mod status;
mod supervisor;
#[cfg(test)]
mod tests;

use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit code for a call that cannot be followed: wrong arguments, a port in use, a folder that is locked or cannot
/// be written.
const EXIT_USAGE: u8 = 2;
/// The exit code of a pair that ended without being sure that everything is on the disk.
const EXIT_UNSURE: u8 = 1;

/// What `outrigger pair` is told.
#[derive(Debug, Parser)]
#[command(
    name = "outrigger pair",
    version,
    about = "Runs a primary, which serves from memory, and a replica, which remembers, as one supervised pair",
    after_help = "Directives after `--` go to both processes, as in `outrigger pair -- --maxmemory 1gb`.\n\
                  Ctrl-C or SIGTERM stops both in order: exit code 0 says that everything is on the disk."
)]
pub struct PairArgs {
    /// Folder of the pair's data; made if it is not there
    #[arg(long, default_value = "./outrigger-data")]
    pub dir: PathBuf,
    /// Port of the primary on 127.0.0.1; the replica takes the next one
    #[arg(long, default_value_t = 6379, value_parser = clap::value_parser!(u16).range(1..65535))]
    pub port: u16,
    /// Directives of redis.conf for both processes
    #[arg(last = true, value_name = "--directive VALUE")]
    pub directives: Vec<OsString>,
}

/// Runs a pair until it is told to stop. `args` are those after the word `pair`.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let name = OsString::from("outrigger pair");
    let args = match PairArgs::try_parse_from(std::iter::once(name).chain(args)) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return match error.use_stderr() {
                true => ExitCode::from(EXIT_USAGE),
                false => ExitCode::SUCCESS,
            };
        }
    };
    match setup::plan(&args).map(supervisor::run) {
        Ok(Ok(supervisor::Ending::Durable)) => ExitCode::SUCCESS,
        Ok(Ok(supervisor::Ending::Unsure)) => ExitCode::from(EXIT_UNSURE),
        Ok(Err(error)) => fail(&error),
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("outrigger pair: {error}");
    ExitCode::from(EXIT_USAGE)
}
