//! What a server answers while it loads its files.

use crate::support::{Client, Server};
use std::time::{Duration, Instant};

const KEYS: i64 = 300_000;
const LIMIT: Duration = Duration::from_secs(60);

/// A server with a snapshot that is not read at one glance.
fn saved() -> Server {
    let snapshots = ["--appendonly", "no", "--save", "3600 1000000", "--rdbcompression", "no"];
    let server = Server::ours(&[&["--enable-debug-command", "yes"], &snapshots[..]].concat());
    server.client().ok(&format!("DEBUG POPULATE {KEYS} key 200"));
    server.client().ok("SAVE");
    server
}

#[test]
fn a_server_that_loads_says_so_and_how_far_it_is() {
    let mut server = saved();
    server.kill();
    server.spawn_again();
    let (start, mut refused, mut progress) = (Instant::now(), 0, 0);
    loop {
        assert!(start.elapsed() < LIMIT, "{}", server.log());
        let Ok(mut client) = Client::connect(server.port()) else { continue };
        let Ok(reply) = client.try_command(&["GET", "key:1"]) else { continue };
        let Some(error) = reply.as_error() else { break };
        assert_eq!(error, b"LOADING Redis is loading the dataset in memory");
        refused += 1;
        // Who may be asked meanwhile answers.
        let info = client.try_info().expect("INFO");
        if info["loading"] == "1" {
            let figure = |name: &str| info[name].parse::<f64>().expect("a number");
            assert!(figure("loading_loaded_bytes") <= figure("loading_total_bytes"));
            assert!(figure("loading_start_time") > 1.0e9);
            progress += i64::from(figure("loading_loaded_perc") > 0.0);
        }
    }
    assert!(refused > 0 && progress > 0, "{refused} refused, {progress} with progress");
    let mut client = server.client();
    assert_eq!(client.int("DBSIZE"), KEYS);
    assert_eq!(client.info("loading").as_deref(), Some("0"));
    assert_eq!(client.info("loading_total_bytes"), None);
}

#[test]
fn a_signal_ends_a_server_that_loads() {
    let mut server = saved();
    let dump = server.dir().join("dump.rdb");
    let before = std::fs::read(&dump).expect("a dump");
    server.kill();
    server.spawn_again();
    while Client::connect(server.port()).and_then(|mut client| client.try_command(&["PING"])).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    server.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(server.wait_end(LIMIT).success());
    // What it had loaded by then has not taken the file's place.
    assert!(std::fs::read(&dump).expect("a dump") == before);
}
