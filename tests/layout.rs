//! The shape of the source: which module may use which, how long files and functions get, and what has no place here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Longest source file, in lines.
const FILE_MAX_LINES: usize = 800;
/// Longest function, in lines.
const FUNCTION_MAX_LINES: usize = 70;

/// A module of `src/` and what it may use.
struct House {
    name: &'static str,
    /// Modules it may import, beside itself.
    may_use: &'static [&'static str],
    /// Paths of other crates (or of std) that it must not mention.
    never: &'static [&'static str],
}

/// The table of houses in ARCHITECTURE.md.
const HOUSES: &[House] = &[
    House { name: "base", may_use: &[], never: &["tokio::", "std::fs", "std::net", "nix::"] },
    House { name: "resp", may_use: &["base"], never: PURE },
    House { name: "value", may_use: &["base"], never: PURE },
    House { name: "keyspace", may_use: &["value", "base"], never: PURE },
    House { name: "format", may_use: &["value", "resp", "base"], never: PURE },
    House { name: "sys", may_use: &["base"], never: &["tokio::"] },
    House {
        name: "command",
        may_use: &["keyspace", "value", "format", "resp", "base"],
        never: PURE_BUT_MEASURING,
    },
    House { name: "acl", may_use: &["command", "base"], never: PURE },
    House {
        name: "persistence",
        may_use: &["format", "sys", "keyspace", "command", "value", "resp", "base", "replication"],
        never: &["tokio::", "std::net", "std::fs"],
    },
    House {
        name: "backup",
        may_use: &["persistence", "format", "sys", "keyspace", "command", "base"],
        never: &["tokio::", "std::net", "std::fs"],
    },
    House { name: "replication", may_use: &["format", "resp", "base"], never: PURE },
    House {
        name: "server",
        may_use: &[
            "persistence",
            "replication",
            "acl",
            "command",
            "sys",
            "format",
            "keyspace",
            "value",
            "resp",
            "base",
        ],
        never: &[],
    },
    House {
        name: "remote",
        may_use: &["persistence", "command", "keyspace", "format", "value", "resp", "base", "sys"],
        never: &["tokio::", "std::fs"],
    },
    House { name: "pair", may_use: &["server", "resp", "base", "sys"], never: &["std::fs"] },
    House { name: "net", may_use: &["server", "resp", "base", "sys"], never: &["std::fs"] },
];

/// No I/O and no clock of its own.
const PURE: &[&str] = &["tokio::", "std::fs", "std::net", "nix::", "SystemTime::", "Instant::now"];
/// As [`PURE`]; kept apart because handlers may come to measure, but never to do I/O.
const PURE_BUT_MEASURING: &[&str] = &["tokio::", "std::fs", "std::net", "nix::", "SystemTime::"];

/// Texts that belong to the workplace of whoever wrote a file, not into it. (In pieces, so that this file does not hold them.)
const FOREIGN: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("HELP", "ERS.md"),
    concat!("cla", "ude"),
    concat!("anthro", "pic"),
    concat!("chat", "gpt"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    const SKIPPED: &[&str] = &["target", ".git", "corpus", "artifacts", "outrigger-data", "node_modules"];
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let skipped = SKIPPED.iter().any(|name| entry.file_name() == *name);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !skipped => walk(&path, found),
            Ok(kind) if kind.is_file() && !skipped => found.push(path),
            _ => {}
        }
    }
}

fn files_in(dir: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    walk(&root().join(dir), &mut found);
    found.sort();
    let wanted = found.into_iter().filter(|path| path.extension().is_some_and(|e| e == extension));
    wanted.map(|path| (path.clone(), std::fs::read_to_string(path).expect("a text file"))).collect()
}

fn is_test_file(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    matches!(name, "tests" | "testing")
        || name.ends_with("_tests")
        || path.components().any(|c| c.as_os_str() == "tests")
}

/// The text without comments and without the unit tests at its end.
fn code_of(text: &str) -> String {
    let code = match text.find("#[cfg(test)]\nmod tests {") {
        Some(at) => &text[..at],
        None => text,
    };
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The modules that `crate::…` paths in the text name.
fn imports(code: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(is_name) {
            continue; // some_crate::
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(top_names(group)),
            None => found.push(rest.chars().take_while(|c| is_name(*c)).collect()),
        }
    }
    found
}

/// The first names of each path in a `use crate::{a::b, c}` group.
fn top_names(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut name) = (0, Vec::new(), String::new());
    let mut in_name = true;
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(std::mem::take(&mut name));
                in_name = true;
            }
            ':' if depth == 0 => in_name = false,
            c if depth == 0 && in_name && !c.is_whitespace() => name.push(c),
            _ => {}
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn houses_use_only_what_they_may() {
    let mut broken = String::new();
    for house in HOUSES {
        let files = files_in(&format!("src/{}", house.name), "rs");
        for (path, text) in files.iter().filter(|(path, _)| !is_test_file(path)) {
            let shown = path.strip_prefix(root()).unwrap_or(path).display();
            let code = code_of(text);
            for import in imports(&code) {
                if import != house.name && !house.may_use.contains(&import.as_str()) {
                    let _ = writeln!(broken, "{shown}: `{}` must not use `{import}`", house.name);
                }
            }
            for word in house.never.iter().filter(|word| code.contains(*word)) {
                let _ = writeln!(broken, "{shown}: `{}` must not use `{word}`", house.name);
            }
        }
    }
    assert!(broken.is_empty(), "imports against the layering:\n{broken}");
}

#[test]
fn every_module_is_a_house() {
    let names: Vec<String> = std::fs::read_dir(root().join("src"))
        .expect("src/")
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_string()))
        .collect();
    for name in names.iter().filter(|name| !matches!(name.as_str(), "lib" | "main")) {
        assert!(HOUSES.iter().any(|house| house.name == name), "src/{name} is not in the table of houses");
    }
}

#[test]
fn import_scanner_sees_paths_and_groups() {
    let code = "use crate::{base::num, value::{a, b}};\nfn f() { crate::net::x(); other_crate::y() }\n// crate::gone";
    assert_eq!(imports(&code_of(code)), ["base", "value", "net"]);
}

fn all_sources() -> Vec<(PathBuf, String)> {
    ["src", "tests", "tools", "fuzz", "benches"].iter().flat_map(|dir| files_in(dir, "rs")).collect()
}

#[test]
fn files_stay_short() {
    let long = |(path, text): &(PathBuf, String)| {
        let lines = text.lines().count();
        (lines > FILE_MAX_LINES).then(|| format!("{}: {lines} lines", path.display()))
    };
    let found: Vec<String> = all_sources().iter().filter_map(long).collect();
    assert!(
        found.is_empty(),
        "files over {FILE_MAX_LINES} lines, to be split by what they do:\n{}",
        found.join("\n")
    );
}

/// Functions as rustfmt lays them out: from the line that has `fn` to the brace in the same column.
fn long_functions(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut open: Option<(String, usize, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim_start();
        let starts = |words: &str| {
            let words = words
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ");
            let words =
                words.trim_start_matches("const ").trim_start_matches("async ").trim_start_matches("unsafe ");
            words.starts_with("fn ")
        };
        match &open {
            Some((name, column, from)) if words.starts_with('}') && indent == *column => {
                let lines = number - from + 1;
                if lines > FUNCTION_MAX_LINES {
                    found.push((name.clone(), lines));
                }
                open = None;
            }
            None if starts(words) && !line.ends_with('}') && !line.ends_with(';') => {
                open = Some((words.to_string(), indent, number));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn functions_stay_short() {
    let mut found = String::new();
    for (path, text) in all_sources() {
        for (name, lines) in long_functions(&text) {
            let _ = writeln!(found, "{}: {lines} lines: {name}", path.display());
        }
    }
    assert!(found.is_empty(), "functions over {FUNCTION_MAX_LINES} lines:\n{found}");
}

#[test]
fn long_functions_are_seen() {
    let body = "    x();\n".repeat(FUNCTION_MAX_LINES);
    let text = format!("pub fn long() {{\n{body}}}\nfn short() {{\n    y();\n}}\n");
    assert_eq!(long_functions(&text), [("pub fn long() {".to_string(), FUNCTION_MAX_LINES + 2)]);
}

#[test]
fn nothing_foreign_in_the_repository() {
    let mut paths = Vec::new();
    walk(&root(), &mut paths);
    let mut found = String::new();
    for path in paths {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let lower = text.to_lowercase();
        for word in FOREIGN.iter().filter(|word| lower.contains(&word.to_lowercase())) {
            let _ = writeln!(found, "{}: {word}", path.display());
        }
    }
    assert!(found.is_empty(), "texts that do not belong here:\n{found}");
}
