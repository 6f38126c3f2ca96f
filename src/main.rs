//! The `outrigger` program: the server and its `pair` supervisor.

use outrigger::net::{IoThreads, Serving};
use outrigger::server::Node;
use outrigger::server::config::{CommandLine, DiskSource, Invocation};
use outrigger::sys::RealDisk;
use std::process::ExitCode;
use std::sync::Arc;

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
    match run(*line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(line: CommandLine) -> std::io::Result<()> {
    let node = Arc::new(Node::new(line.config));
    let threads = IoThreads::start(node.config().io_threads)?;
    let _serving = Serving::start(&node, &threads)?;
    loop {
        std::thread::park();
    }
}
