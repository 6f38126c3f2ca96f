//! `maxmemory`: keys go or writes are refused, and a replica sees the same.

use crate::support::nodes::figure;
use crate::support::{Client, Server, wait_for};
use std::time::Duration;

const LIMIT_BYTES: i64 = 24 << 20;

fn used(client: &mut Client) -> i64 {
    client.info("used_memory").and_then(|text| text.parse().ok()).expect("used_memory in INFO")
}

/// What is in use, without what does not count for eviction, as of one moment.
fn counted(client: &mut Client) -> i64 {
    let text = client.text("INFO memory");
    let figure = |field: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.and_then(|value| value.parse::<i64>().ok()).unwrap_or_else(|| panic!("{field} in {text}"))
    };
    figure("used_memory") - figure("mem_not_counted_for_evict")
}

/// Sends `count` SETs of 1,000 bytes, some with an expiry, in pipelines; returns how many were refused for memory.
fn fill(client: &mut Client, count: usize) -> usize {
    let value = "x".repeat(1000);
    let mut refused = 0;
    for first in (0..count).step_by(200) {
        let batch: Vec<Vec<String>> = (first..first + 200)
            .map(|n| {
                let mut words = vec!["SET".to_string(), format!("key:{n}"), value.clone()];
                if n % 2 == 0 {
                    words.extend(["EX".to_string(), "10000".to_string()]);
                }
                words
            })
            .collect();
        for reply in client.pipeline(&batch) {
            match reply.as_error() {
                None => {}
                Some(error) if error.starts_with(b"OOM command not allowed") => refused += 1,
                Some(error) => panic!("{}", String::from_utf8_lossy(error)),
            }
        }
    }
    refused
}

fn server(policy: &str) -> Server {
    let limit = LIMIT_BYTES.to_string();
    Server::ours(&["--maxmemory", &limit, "--maxmemory-policy", policy, "--enable-debug-command", "yes"])
}

#[test]
fn keys_are_evicted_and_replicas_follow() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"] {
        let primary = server(policy);
        let primary_port = primary.port().to_string();
        let replica = Server::ours(&[
            "--replicaof",
            &format!("127.0.0.1 {primary_port}"),
            "--enable-debug-command",
            "yes",
            "--maxmemory",
            "1mb",
        ]);
        let mut client = primary.client();
        let mut follower = replica.client();
        wait_for("the replica to follow", Duration::from_secs(30), || {
            follower.info("master_link_status").as_deref() == Some("up")
        });
        assert_eq!(fill(&mut client, 40_000), 0, "{policy}");
        // What lies in clients' buffers comes and goes with the load; what waits for the replica does not count.
        let counted = counted(&mut client);
        assert!(counted < LIMIT_BYTES + (1 << 20), "{policy}: {counted}");
        // Some may still go from one look to the next.
        let mut keys = 0;
        wait_for("each key to be there or evicted", Duration::from_secs(30), || {
            keys = client.int("DBSIZE");
            keys + figure(&mut client, "evicted_keys") == 40_000
        });
        assert!(keys > 5_000, "{policy}: {keys} keys left");
        wait_for("equal data", Duration::from_secs(30), || client.digest() == follower.digest());
    }
}

#[test]
fn without_eviction_writes_are_refused_until_there_is_room() {
    for policy in ["noeviction", "volatile-random"] {
        let server = server(policy);
        let mut client = server.client();
        if policy == "volatile-random" {
            // No key has an expiry, so none may go.
            let value = "x".repeat(1000);
            let batch: Vec<Vec<String>> =
                (0..30_000).map(|n| vec!["SET".into(), format!("stays:{n}"), value.clone()]).collect();
            let refused = batch.chunks(500).flat_map(|chunk| client.pipeline(chunk));
            assert!(refused.filter(|reply| reply.as_error().is_some()).count() > 1000);
        } else {
            assert!(fill(&mut client, 40_000) > 10_000);
        }
        assert!(used(&mut client) < LIMIT_BYTES + (1 << 20), "{policy}: {}", used(&mut client));
        // Buffers that were given back meanwhile may have made room for a few.
        let value = "x".repeat(1000);
        let one_more = (0..2_000).map(|n| client.command(&["SET", &format!("more:{n}"), &value]));
        let refused =
            one_more.map(|reply| reply.as_error().map(<[u8]>::to_vec)).find(Option::is_some).flatten();
        assert!(refused.is_some_and(|text| text.starts_with(b"OOM command not allowed when used memory")));
        assert!(client.cmd("GET key:1").as_error().is_none(), "reading goes on");
        assert_eq!(client.info("evicted_keys").as_deref(), Some("0"));
        client.ok("FLUSHALL SYNC");
        wait_for("room", Duration::from_secs(20), || client.cmd("SET one more").as_error().is_none());
    }
}

/// No log is kept for nobody, which would take more than there is, and what the allocator keeps at hand for threads does
/// not count.
#[test]
fn a_limit_just_above_what_is_in_use_leaves_room_for_keys() {
    let server = Server::ours(&["--maxmemory-policy", "allkeys-random"]);
    let mut client = server.client();
    client.ok("SET first 1");
    client.ok("FLUSHALL");
    let limit = used(&mut client) + 100 * 1024;
    client.ok(&format!("CONFIG SET maxmemory {limit}"));
    for first in (0..20_000).step_by(100) {
        let batch: Vec<_> =
            (first..first + 100).map(|n| vec!["SET".into(), format!("key:{n}"), "x".to_string()]).collect();
        for reply in client.pipeline(&batch) {
            assert!(reply.as_error().is_none(), "{reply:?}");
        }
    }
    let used = used(&mut client);
    assert!(used < limit + 16 * 1024, "{used} and {limit}");
    let keys = client.int("DBSIZE");
    assert!((300..19_000).contains(&keys), "{keys} keys");
}

#[test]
fn a_lower_limit_takes_effect_at_once() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    fill(&mut client, 20_000);
    client.ok("CONFIG SET maxmemory 8mb maxmemory-policy allkeys-lru");
    wait_for("less memory", Duration::from_secs(20), || used(&mut client) < (8 << 20) + (1 << 20));
    assert!(client.int("DBSIZE") > 1000);
    client.ok("CONFIG SET maxmemory 0");
    assert_eq!(fill(&mut client, 20_000), 0);
    assert_eq!(client.int("DBSIZE"), 20_000);
}

#[test]
fn a_limit_set_in_a_transaction_takes_effect_behind_it() {
    let server = Server::ours(&["--maxmemory-policy", "allkeys-lru"]);
    let mut client = server.client();
    client.set_read_timeout(Duration::from_secs(20));
    client.ok("MULTI");
    for words in ["INCR x", "CONFIG SET maxmemory 1", "INCR x"] {
        assert_eq!(client.text(words), "QUEUED");
    }
    assert_eq!(client.cmd("EXEC").as_slice().map(<[_]>::len), Some(3));
    wait_for("the key to go", Duration::from_secs(20), || client.int("DBSIZE") == 0);
}

#[test]
fn the_kernel_is_asked_for_no_huge_pages_unless_that_is_forbidden() {
    let uses_them = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the status of a process");
        let told = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"))?;
        Some(told.trim() == "1")
    };
    let Some(inherited) = uses_them(std::process::id()) else {
        eprintln!("SKIPPED: this kernel does not tell whether a process may have huge pages");
        return;
    };
    assert_eq!(uses_them(Server::ours(&[]).pid()), Some(false));
    assert_eq!(uses_them(Server::ours(&["--disable-thp", "no"]).pid()), Some(inherited));
}
