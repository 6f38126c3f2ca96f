//! `outrigger TOOL`: the way to the programs that lie beside the server.

use crate::support::server::our_program;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// The program in a folder with nothing beside it.
fn alone() -> TempDir {
    let program = our_program();
    let built = program.parent().expect("the folder of the build");
    // There, so that a hard link will do.
    let home = TempDir::with_prefix_in("beside-", built).expect("make a temporary folder");
    std::fs::hard_link(&program, home.path().join("outrigger")).expect("link the program");
    home
}

fn run(home: &Path, args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(home.join("outrigger")).args(args).output().expect("run the program");
    (status.code(), [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat())
}

fn put(home: &Path, name: &str, script: &str, mode: u32) {
    let path = home.join(name);
    std::fs::write(&path, script).expect("write a script");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set its mode");
}

#[test]
fn a_tool_gets_its_arguments_and_its_exit_code_is_passed_on() {
    let home = alone();
    put(home.path(), "outrigger-backup", "#!/bin/sh\necho \"$# $1 $2\"; exit 7\n", 0o755);
    put(home.path(), "restore", "#!/bin/sh\nexit 1\n", 0o755);
    assert_eq!(run(home.path(), &["backup", "a b", "--help"]), (Some(7), "2 a b --help\n".to_owned()));
    assert_eq!(run(home.path(), &["restore"]), (Some(1), String::new()));
}

#[test]
fn a_tool_that_is_not_there_is_told_with_what_to_do() {
    let home = alone();
    let (code, text) = run(home.path(), &["restore", "x", "--into", "y"]);
    assert_eq!(code, Some(2));
    let folder = home.path().display().to_string();
    assert!(
        text.contains("`restore`") && text.contains(&folder) && text.contains("outrigger-tools"),
        "{text}"
    );
    put(home.path(), "aof-check", "#!/bin/sh\n", 0o644);
    let (code, text) = run(home.path(), &["aof-check"]);
    assert!(code == Some(2) && text.contains("cannot run") && text.contains("ermission denied"), "{text}");
}

#[test]
fn the_help_names_every_tool() {
    let (code, text) = run(alone().path(), &["--help"]);
    assert_eq!(code, Some(0));
    for tool in ["aof-check", "aof-rewrite", "backup", "diff", "rdb-check", "restore"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(tool)), "{tool}: {text}");
    }
}
