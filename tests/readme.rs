//! The README's tour, run as it stands there against a pair of the test's own.

use crate::pair::{Pair, free_port_pair};
use crate::support::peer;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Marks a block of commands that belongs to the tour.
const MARK: &str = "<!-- tour -->\n```sh\n";

/// The tour: each block's commands, and the lines it promises.
fn blocks(readme: &str) -> Vec<(String, Vec<String>)> {
    let parts = readme.split(MARK).skip(1);
    let block = |part: &str| {
        let text = part.split("\n```").next().unwrap_or_default();
        let (promised, commands): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with('#'));
        let promised = promised.iter().map(|line| line.trim_start_matches(['#', ' ']).to_owned());
        (commands.join("\n"), promised.collect())
    };
    parts.map(block).collect()
}

/// The commands with this test's ports, folder and build in place of the README's.
fn localized(commands: &str, pair: &Pair, data: &Path) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    commands
        .replace("-p 6379", &format!("-p {}", pair.port))
        .replace("-p 6380", &format!("-p {}", pair.port + 1))
        .replace("outrigger-data", &data.display().to_string())
        .replace("cargo run --release", &format!("{cargo} run"))
}

/// Whether a line is as promised, where `…` stands for anything.
fn is_as_promised(line: &str, promised: &str) -> bool {
    let mut parts = promised.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    for part in parts {
        match rest.find(part) {
            Some(at) if !part.is_empty() => rest = &rest[at + part.len()..],
            Some(_) => return true, // it ends in `…`
            None => return false,
        }
    }
    rest.is_empty()
}

#[test]
fn promises_are_compared() {
    assert!(is_as_promised("a=12,b=3", "a=…,b=…") && is_as_promised("same", "same"));
    assert!(!is_as_promised("a=12,c=3", "a=…,b=…") && !is_as_promised("same here", "same"));
}

#[test]
fn the_tour_of_the_readme_works() {
    if peer::on_path("redis-cli").is_none() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md");
    let blocks = blocks(&readme);
    assert!(blocks.len() >= 5, "the tour has lost its marks: {} blocks", blocks.len());
    let home = TempDir::with_prefix("outrigger-tour-").unwrap();
    let pair = Pair::start(home.path(), free_port_pair(), &[]);
    for (commands, promised) in blocks {
        let script = localized(&commands, &pair, &home.path().join("data"));
        let output = Command::new("timeout")
            // Long enough for the tools to be compiled on a busy machine.
            .args(["600", "sh", "-c", &script])
            .current_dir(root)
            .output()
            .expect("run a block of the tour");
        let shown = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = shown.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let promised: Vec<String> =
            promised.iter().map(|line| line.replace("6380", &(pair.port + 1).to_string())).collect();
        let kept = lines.len() == promised.len()
            && lines.iter().zip(&promised).all(|(line, promised)| is_as_promised(line, promised));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(kept, "\n{script}\npromises {promised:?} and said\n{shown}{errors}");
    }
}

#[test]
fn the_two_commands_stand_in_the_readme() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md");
    for command in ["cargo run --release -- pair", "cargo test --workspace"] {
        assert!(readme.contains(&format!("```sh\n{command}\n```")), "{command}");
    }
}
