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
            .args(["120", "sh", "-c", &script])
            .current_dir(root)
            .output()
            .expect("run a block of the tour");
        let shown = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = shown.lines().filter(|line| !line.is_empty()).collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(lines, promised, "\n{commands}\nran as\n{script}\nand said\n{shown}{errors}");
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
