//! Writes the man pages and shell completions of all programs to a folder.

use clap::Parser;
use outrigger::persistence::toolbox::programs::PROGRAMS;
use outrigger_tools::generate::{KINDS, OPTION, generate, server_command};
use outrigger_tools::output::complain;
use outrigger_tools::{EXIT_SOUND, EXIT_USAGE, arguments};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Writes man pages and completions (bash, zsh, fish) of outrigger and of every program beside it, for packagers and
/// for whoever installs by hand: DIR/man/man1, DIR/bash, DIR/zsh and DIR/fish.
///
/// Exit code: 0 written, 2 wrong call, or a file could not be written.
#[derive(Parser)]
#[command(version, name = "outrigger-manual")]
struct Args {
    /// The folder; files of the same names in it are replaced
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    match write_all(&args.dir) {
        Ok(files) => {
            println!("{files} files written to {}", args.dir.display());
            ExitCode::from(EXIT_SOUND)
        }
        Err(error) => {
            complain(&error);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn write_all(dir: &Path) -> Result<usize, String> {
    let exe =
        std::env::current_exe().map_err(|error| format!("cannot tell where this program lies: {error}"))?;
    let mut files = 0;
    for (word, kind) in KINDS {
        let own = generate(server_command(), "outrigger", kind).map_err(|error| error.to_string())?;
        write(&dir.join(kind.file("outrigger")), &own)?;
        files += 1;
        for program in PROGRAMS {
            let path = exe.with_file_name(program.name);
            let told = Command::new(&path).args([OPTION, word]).output().map_err(|error| {
                format!(
                    "cannot run {}, whose pages are wanted: {error}; install the programs together",
                    path.display()
                )
            })?;
            if !told.status.success() {
                return Err(format!("{} {OPTION} {word} failed: {}", path.display(), told.status));
            }
            write(&dir.join(kind.file(program.name)), &told.stdout)?;
            files += 1;
        }
    }
    Ok(files)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(path, bytes))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}
