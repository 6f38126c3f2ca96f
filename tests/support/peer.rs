//! Programs of others that some tests compare with. Without them such tests say what they skip, and pass;
//! with `OUTRIGGER_REQUIRE_PEERS=1` they fail.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Stock `redis-server` on the PATH, or the program that `OUTRIGGER_STOCK_SERVER` names in its place.
pub fn redis_server() -> Option<PathBuf> {
    std::env::var_os("OUTRIGGER_STOCK_SERVER").map(PathBuf::from).or_else(|| on_path("redis-server"))
}

/// Does another program stand for the stock server?
pub fn stands_for_stock() -> bool {
    std::env::var_os("OUTRIGGER_STOCK_SERVER").is_some()
}

/// A `redis-server` of 7.4 or later, if `OUTRIGGER_NEWER_REDIS` names one: what it has beyond the one on the PATH is
/// compared with it. Never required.
pub fn newer_redis_server() -> Option<PathBuf> {
    std::env::var_os("OUTRIGGER_NEWER_REDIS").map(PathBuf::from)
}

/// A program on the PATH, or `None` after having said that the test is skipped.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file());
    found.or_else(|| missing(program))
}

/// A Python interpreter that can import `redis`.
pub fn python_with_redis() -> Option<PathBuf> {
    let candidates = ["python3", "/usr/bin/python3"];
    let imports = |python: &&str| {
        let mut command = Command::new(python);
        command.args(["-c", "import redis"]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    candidates
        .iter()
        .find(|python| imports(python))
        .map(PathBuf::from)
        .or_else(|| missing("python3 with the redis package"))
}

fn missing<T>(what: &str) -> Option<T> {
    let test = std::thread::current().name().unwrap_or("a test").to_string();
    assert!(std::env::var_os("OUTRIGGER_REQUIRE_PEERS").is_none_or(|v| v != "1"), "{test} needs {what}");
    eprintln!("SKIPPED {test}: {what} not found");
    None
}
