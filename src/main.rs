//! The `outrigger` program: the server and its `pair` supervisor.

use outrigger::server::config::{CommandLine, DiskSource, Invocation};
use outrigger::sys::RealDisk;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const HELP: &str = "\
A Redis-compatible in-memory store whose primary only serves and whose replicas remember

Usage:
  outrigger pair [--dir DIR] [--port P] [-- --directive VALUE ...]
      Runs a primary and a replica as one supervised pair; `outrigger pair --help` tells more.
  outrigger [FILE] [--directive VALUE ...] [-]
      Runs one server. FILE and the directives are those of redis.conf; `-` reads more of them from the
      standard input. docs/configuration.md lists the directives.

  -h, --help     prints this
  -v, --version  prints the version
";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|first| first == "pair").is_some() {
        return outrigger::pair::main(args);
    }
    let cwd = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let line = match CommandLine::parse(args, &cwd, &DiskSource(&RealDisk)) {
        Ok(Invocation::Run(line)) => line,
        Ok(Invocation::Version) => {
            println!("outrigger {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Ok(Invocation::Help) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = outrigger::server::logging::init(&line.config) {
        eprintln!("outrigger: {error}");
        return ExitCode::FAILURE;
    }
    match outrigger::net::start(*line, || std::process::exit(0)) {
        Ok(running) => {
            for address in &running.serving.addresses {
                tracing::info!(%address, "ready to accept connections");
            }
            loop {
                std::thread::park();
            }
        }
        Err(error) => {
            eprintln!("outrigger: {error}");
            ExitCode::FAILURE
        }
    }
}
