//! A primary that was told to append (`appendonly yes`): what it answered is in its own file.

use super::nodes::{LIMIT, number};
use crate::support::slow_disk::{DiskState, SlowDisk};
use crate::support::{Client, Server, free_port, scaled, wait_for};
use outrigger::resp::RespValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Connections that write.
const WRITERS: usize = 4;

/// Appends 1, 2, 3, … to a list of its own, and counts what was answered, until the server is gone.
fn write(server: &Server, number: usize, answered: Arc<AtomicU64>) -> JoinHandle<()> {
    let mut client = server.client();
    std::thread::spawn(move || {
        let list = format!("ledger:{number}");
        let mut next = answered.load(Ordering::Relaxed) + 1;
        while let Ok(reply) = client.try_command(&["RPUSH", &list, &next.to_string()]) {
            assert!(reply.as_error().is_none(), "{reply:?}");
            answered.store(next, Ordering::Relaxed);
            next += 1;
        }
    })
}

/// Killed again and again under load; after each restart every list goes at least as far as was answered.
fn killed_under_load(policy: &str, rounds: usize) {
    let mut server = Server::ours(&["--appendonly", "yes", "--appendfsync", policy]);
    let answered: Vec<_> = (0..WRITERS).map(|_| Arc::new(AtomicU64::new(0))).collect();
    for round in 0..rounds {
        let before: u64 = answered.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        let total = || answered.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u64>();
        let writers: Vec<_> = answered
            .iter()
            .enumerate()
            .map(|(number, count)| write(&server, number, count.clone()))
            .collect();
        wait_for("some writes", LIMIT, || total() > before + 200);
        server.kill();
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        server.restart();
        let mut client = server.client();
        for (number, count) in answered.iter().enumerate() {
            let length = client.int(&format!("LLEN ledger:{number}"));
            let told = count.load(Ordering::Relaxed);
            assert!(length as u64 >= told, "round {round}, {policy}: {length} of {told} are left");
            // One more may have been under way.
            count.store(length as u64, Ordering::Relaxed);
        }
    }
}

#[test]
fn what_was_answered_survives_the_end_of_the_process() {
    killed_under_load("everysec", scaled(4));
    killed_under_load("no", scaled(2));
    killed_under_load("always", scaled(2));
}

/// A server that appends, on a disk that can be put in trouble.
fn on(disk: &SlowDisk, policy: &str) -> Server {
    let args = ["--appendonly", "yes", "--appendfsync", policy, "--save", ""];
    let server = Server::ours_with_env(free_port(), &args, disk.env());
    let mut client = server.client();
    wait_for("the first generation", LIMIT, || {
        client.info("outrigger_aof_phase").as_deref() == Some("writing")
    });
    server
}

#[test]
fn under_always_a_reply_comes_after_the_fsync() {
    let disk = SlowDisk::new();
    let server = on(&disk, "always");
    let mut client = server.client();
    client.ok("SET before 1");
    disk.set(DiskState::Slow(400));
    for i in 0..3 {
        client.ok(&format!("SET k {i}"));
        // Nothing to wait for any more: the answer is what is so already.
        let counts = client.cmd("WAITAOF 1 0 1");
        let counts: Vec<i64> = counts.as_slice().expect("two").iter().filter_map(RespValue::as_int).collect();
        assert_eq!(counts, [1, 0]);
        let mut other = server.client();
        assert_eq!(other.text("GET k"), i.to_string());
        assert_eq!(number(&mut other, "outrigger_durable_offset"), number(&mut other, "master_repl_offset"));
    }
}

#[test]
fn nobody_is_told_what_a_broken_disk_has_not_got() {
    let disk = SlowDisk::new();
    let mut server = on(&disk, "always");
    server.client().ok("SET k good");
    disk.set(DiskState::Broken);
    let reply = server.client().try_command(&["SET", "k", "lost"]);
    assert!(reply.is_err(), "answered with {reply:?}");
    let mut client = server.client();
    wait_for("the failure to be told", LIMIT, || {
        client.info("aof_last_write_status").as_deref() == Some("err")
    });
    let refused = client.error("SET k refused");
    assert!(refused.starts_with("MISCONF Errors writing to the AOF file"), "{refused}");
    assert_eq!(client.cmd("PING"), RespValue::Simple(b"PONG".to_vec()));
    disk.set(DiskState::Well);
    heals(&mut client);
    server.kill();
    server.restart();
    assert_eq!(server.client().text("GET k"), "healed");
}

#[test]
fn under_everysec_a_broken_disk_ends_writes_until_it_heals() {
    let disk = SlowDisk::new();
    let mut server = on(&disk, "everysec");
    let mut client = server.client();
    client.ok("SET k good");
    disk.set(DiskState::Full);
    let mut refused = None;
    wait_for("a refusal", LIMIT, || {
        let reply = client.command(&["SET", "k", "late"]);
        refused = reply.as_error().map(|text| String::from_utf8_lossy(text).into_owned());
        refused.is_some()
    });
    assert!(refused.is_some_and(|text| text.starts_with("MISCONF ")));
    disk.set(DiskState::Well);
    heals(&mut client);
    server.kill();
    server.restart();
    assert_eq!(server.client().text("GET k"), "healed");
}

/// Waits until writes are taken again, and makes one.
fn heals(client: &mut Client) {
    client.set_read_timeout(Duration::from_secs(60));
    wait_for("writes to be taken again", LIMIT, || {
        client.command(&["SET", "k", "healed"]) == RespValue::Simple(b"OK".to_vec())
    });
}
