//! Many connections at once, and one that asks for much.

use crate::support::{Client, Server, scaled, wait_for};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Descriptors that this process and the server need beside the idle connections.
const SPARE_DESCRIPTORS: u64 = 512;

/// Raises the limit on open files as far as it goes and returns it. The server inherits it.
fn raise_descriptor_limit(wanted: u64) -> u64 {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit on open files");
    let raised = wanted.min(hard).max(soft);
    setrlimit(Resource::RLIMIT_NOFILE, raised, hard).expect("raise the limit on open files");
    raised
}

#[test]
fn ten_thousand_idle_and_fifty_busy_connections() {
    const IDLE: u64 = 10_000;
    let limit = raise_descriptor_limit(IDLE + SPARE_DESCRIPTORS);
    let idle_count = IDLE.min(limit.saturating_sub(SPARE_DESCRIPTORS));
    if idle_count < IDLE {
        eprintln!("only {idle_count} idle connections instead of {IDLE}: the limit on open files is {limit}");
    }
    let server = Server::ours(&["--maxclients", "11000"]);
    let mut idle: Vec<Client> = (0..idle_count).map(|_| server.client()).collect();
    let mut watcher = server.client();
    wait_for("all connections to be taken", Duration::from_secs(10), || {
        watcher.info("connected_clients") == Some((idle_count + 1).to_string())
    });
    drop(watcher);
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for worker in 0..50 {
            let (server, done) = (&server, &done);
            scope.spawn(move || {
                let mut client = server.client();
                for i in 0..100 {
                    client.ok(&format!("SET key:{worker} {i}"));
                    assert_eq!(client.text(&format!("GET key:{worker}")), i.to_string());
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 5_000);
    for client in idle.iter_mut().step_by(97) {
        assert_eq!(client.text("PING"), "PONG", "an idle connection still works");
    }
}

#[test]
fn keys_over_many_keys_lets_others_work() {
    let server = Server::ours(&["--io-threads", "2"]);
    let count = scaled(200_000);
    let mut client = server.client();
    for chunk in (0..count).collect::<Vec<_>>().chunks(5_000) {
        let commands: Vec<Vec<String>> =
            chunk.iter().map(|i| vec!["SET".into(), format!("key:{i}"), "x".into()]).collect();
        client.pipeline(&commands);
    }
    // Both on every I/O thread: one of the others shares the thread that walks.
    let mut walkers: Vec<Client> = (0..2).map(|_| server.client()).collect();
    let mut others: Vec<Client> = (0..2).map(|_| server.client()).collect();
    for walker in &mut walkers {
        walker.send(&["KEYS", "*"]).expect("send");
    }
    for round in 0..50 {
        for other in &mut others {
            assert_eq!(other.text(&format!("GET key:{}", round * 7)), "x");
        }
    }
    for walker in &mut walkers {
        let keys = walker.read().expect("the keys");
        assert_eq!(keys.as_slice().map(<[_]>::len), Some(count));
    }
}
