//! Running programs, and folders for them to look at.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

pub const BACKUP: &str = env!("CARGO_BIN_EXE_outrigger-backup");
pub const CHECK: &str = env!("CARGO_BIN_EXE_aof-check");
pub const DIFF: &str = env!("CARGO_BIN_EXE_outrigger-diff");
pub const RDB_CHECK: &str = env!("CARGO_BIN_EXE_rdb-check");
pub const RESTORE: &str = env!("CARGO_BIN_EXE_restore");
pub const REWRITE: &str = env!("CARGO_BIN_EXE_aof-rewrite");
/// When the first batch of a folder with seals was sealed. In ms of Unix time.
pub const FIRST_SEAL_MS: u64 = 4_000_000_000_000;

pub fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().expect("run a tool")
}

/// What a program that must have ended with `code` wrote.
pub fn text_of(code: i32, output: Output, what: &str) -> String {
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat();
    assert_eq!(output.status.code(), Some(code), "{what}:\n{text}");
    text
}

/// Runs a tool that must end with `code`; what it wrote.
pub fn ends_with(code: i32, program: &str, args: &[&str]) -> String {
    text_of(code, run(program, args), &format!("{program} {args:?}"))
}

/// As [`ends_with`], in JSON.
pub fn json(code: i32, program: &str, args: &[&str]) -> Value {
    let text = ends_with(code, program, &[args, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub fn shown(path: &Path) -> &str {
    path.to_str().expect("a path of ASCII")
}

/// A command as a log has it.
pub fn command(words: &[&str]) -> String {
    let args: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{args}", words.len())
}

/// Makes a stock server's data folder with this log.
pub fn stock_folder(dir: &Path, log: &str) {
    fs::create_dir_all(dir.join("appendonlydir")).expect("make a folder");
    let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n";
    fs::write(dir.join("appendonlydir/appendonly.aof.manifest"), manifest).expect("write the manifest");
    fs::write(dir.join("appendonlydir/appendonly.aof.1.incr.aof"), log).expect("write the log");
}
