//! The `outrigger` program: the server, its `pair` supervisor, and the way to the offline tools beside it.

use outrigger::persistence::toolbox::programs::{Program, tools};
use outrigger::server::config::{CommandLine, DiskSource, Invocation};
use outrigger::sys::RealDisk;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// jemalloc's options, which it looks for under this name; the environment's `_RJEM_MALLOC_CONF` goes before them.
///
/// Collections that grow an item at a time, many in turn, leave each size class behind as they outgrow it. After its
/// default of ten seconds those pages made up a third of what was resident; after one second they are nothing to
/// speak of, and what is reused sooner is never given back at all.
// SAFETY: jemalloc declares this symbol as a pointer to a string that ends in a zero, and only reads it.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8; 20] = b"dirty_decay_ms:1000\0";

const HELP: &str = "\
A Redis-compatible in-memory store whose primary only serves and whose replicas remember

Usage:
  outrigger pair [--dir DIR] [--port P] [-- --directive VALUE ...]
      Runs a primary and a replica as one supervised pair; `outrigger pair --help` tells more.
  outrigger [FILE] [--directive VALUE ...] [-]
      Runs one server. FILE and the directives are those of redis.conf; `-` reads more of them from the
      standard input. docs/configuration.md lists the directives.

  outrigger TOOL ...
      Runs an offline tool, a program of its own beside this one; `outrigger TOOL --help` tells more:
";

/// What the help ends in.
const HELP_END: &str = "
  -h, --help     prints this
  -v, --version  prints the version
";

fn print_help() {
    print!("{HELP}");
    tools().for_each(|tool| println!("        {:<12} {}", tool.word, tool.what));
    print!("{HELP_END}");
}

/// Becomes the tool. Returns only if that cannot be done.
fn run_tool(tool: &Program, args: impl Iterator<Item = OsString>) -> ExitCode {
    let exe = match std::env::current_exe() {
        Ok(exe) => exe,
        Err(error) => {
            eprintln!(
                "outrigger: cannot tell where this program lies, so not where {} is: {error}",
                tool.name
            );
            return ExitCode::from(2);
        }
    };
    let program = exe.with_file_name(tool.name);
    let error = Command::new(&program).args(args).exec();
    if error.kind() == std::io::ErrorKind::NotFound {
        let folder = exe.parent().unwrap_or(&exe).display();
        eprintln!(
            "outrigger: `{}` is the program {}, which is not in {folder}, beside this one. Install it there, or build it \
             with `cargo build --release -p outrigger-tools`",
            tool.word, tool.name
        );
    } else {
        eprintln!("outrigger: cannot run {}: {error}", program.display());
    }
    ExitCode::from(2)
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|first| first == "pair").is_some() {
        return outrigger::pair::main(args);
    }
    if let Some(tool) = args.peek().and_then(|first| tools().find(|tool| first == tool.word)) {
        return run_tool(tool, args.skip(1));
    }
    let cwd = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let line = match CommandLine::parse(args, &cwd, &DiskSource(&RealDisk)) {
        Ok(Invocation::Run(line)) => line,
        Ok(Invocation::Version) => {
            println!("outrigger {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Ok(Invocation::Help) => {
            print_help();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    // SAFETY: this is the only thread yet, and the arguments have been read.
    unsafe { outrigger::sys::title::claim() };
    if let Err(error) = outrigger::server::logging::init(&line.config) {
        eprintln!("outrigger: {error}");
        return ExitCode::FAILURE;
    }
    match outrigger::net::start(*line, || std::process::exit(0)) {
        Ok(running) => {
            for address in &running.serving.addresses {
                tracing::info!(%address, "Ready to accept connections");
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
