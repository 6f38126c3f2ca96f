//! Man pages and completions: for every program, with every option.

use std::path::Path;
use std::process::Command;

const MANUAL: &str = env!("CARGO_BIN_EXE_outrigger-manual");

fn said(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("run a program");
    assert!(output.status.success(), "{} {args:?}: {output:?}", program.display());
    String::from_utf8(output.stdout).expect("text")
}

/// The programs of this package, by their sources.
fn programs() -> Vec<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let entries = std::fs::read_dir(sources).expect("the sources").flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

/// The long options that a help tells of, those of its subcommands among them.
fn options(program: &Path, before: &[&str]) -> Vec<String> {
    let help = said(program, &[before, &["--help"]].concat());
    let shown = |line: &&str| line.starts_with("  ") && line.trim_start().starts_with('-');
    let mut found: Vec<String> = help
        .lines()
        .filter(shown)
        .flat_map(|line| line.split([' ', ',', '=']))
        .filter(|word| word.starts_with("--"))
        .map(|word| word.trim_start_matches('-').to_owned())
        .collect();
    if let Some((_, commands)) = help.split_once("Commands:\n") {
        let names = commands.lines().take_while(|line| !line.is_empty());
        let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("    "));
        for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
            found.extend(options(program, &[before, &[name]].concat()));
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn every_program_of_the_package_is_in_the_list() {
    let mut listed: Vec<&str> =
        outrigger::persistence::toolbox::programs::PROGRAMS.iter().map(|program| program.name).collect();
    listed.sort_unstable();
    assert_eq!(listed, programs(), "tools/src/generate.rs lists the programs of tools/src/bin");
}

#[test]
fn all_are_written_and_name_every_option() {
    let home = tempfile::TempDir::new().unwrap();
    let said_so = said(Path::new(MANUAL), &[home.path().to_str().unwrap()]);
    let all: Vec<String> = programs().into_iter().chain(["outrigger".to_owned()]).collect();
    assert!(said_so.contains(&format!("{} files", all.len() * 4)), "{said_so}");
    for program in programs() {
        let path = Path::new(MANUAL).with_file_name(&program);
        let options = options(&path, &[]);
        assert!(options.contains(&"help".to_owned()) && options.len() >= 2, "{program}: {options:?}");
        for file in [
            format!("man/man1/{program}.1"),
            format!("bash/{program}"),
            format!("zsh/_{program}"),
            format!("fish/{program}.fish"),
        ] {
            let text = std::fs::read_to_string(home.path().join(&file)).expect(&file);
            // In a man page a hyphen that is to stay one has a backslash before it.
            let plain = text.replace("\\-", "-");
            for option in &options {
                let named = match file.ends_with(".fish") {
                    true => plain.contains(&format!("-l {option}")),
                    false => plain.contains(&format!("--{option}")),
                };
                assert!(named, "{file} does not name --{option}");
            }
            assert!(!plain.contains("--generate"), "{file}");
            assert!(plain.contains(&program), "{file}");
        }
    }
}

#[test]
fn those_of_the_server_name_its_words_and_directives() {
    let home = tempfile::TempDir::new().unwrap();
    said(Path::new(MANUAL), &[home.path().to_str().unwrap()]);
    for file in ["man/man1/outrigger.1", "bash/outrigger", "zsh/_outrigger", "fish/outrigger.fish"] {
        let text = std::fs::read_to_string(home.path().join(file)).expect(file).replace("\\-", "-");
        for word in ["pair", "restore", "diff", "aof-check", "appendonly", "port", "maxmemory"] {
            assert!(text.contains(word), "{file} does not name {word}");
        }
    }
}

#[test]
fn scripts_are_sound_for_their_shells() {
    let home = tempfile::TempDir::new().unwrap();
    said(Path::new(MANUAL), &[home.path().to_str().unwrap()]);
    for (shell, folder) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        for entry in std::fs::read_dir(home.path().join(folder)).unwrap().flatten() {
            // Shells that are not here are passed over; bash always is.
            let Ok(output) = Command::new(shell).arg("-n").arg(entry.path()).output() else { continue };
            assert!(output.status.success(), "{}: {output:?}", entry.path().display());
        }
    }
}

#[test]
fn wrong_calls_are_told() {
    let restore = Path::new(MANUAL).with_file_name("restore");
    let output = Command::new(&restore).args(["--generate", "html"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && text.contains("one of man, bash, zsh, fish"), "{text}");
    let output = Command::new(MANUAL).arg("/proc/nowhere").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && text.contains("cannot write /proc/nowhere"), "{text}");
}
