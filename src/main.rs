//! The `outrigger` program: the server and its `pair` supervisor.

use outrigger::server::config::{CommandLine, DiskSource, Invocation};
use outrigger::sys::RealDisk;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cwd = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let line = match CommandLine::parse(std::env::args_os().skip(1), &cwd, &DiskSource(&RealDisk)) {
        Ok(Invocation::Run(line)) => line,
        Ok(Invocation::Version) => {
            println!("outrigger {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Ok(Invocation::Help) => {
            println!(
                "usage: outrigger [FILE] [--directive VALUE ...]\n       outrigger pair [--dir DIR] [--port P]"
            );
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt().with_target(false).with_ansi(false).with_writer(std::io::stderr).init();
    match outrigger::net::start(line.config, || std::process::exit(0)) {
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
