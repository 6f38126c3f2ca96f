//! Full syncs are served from memory that goes on changing, without a child.

use super::primary;
use crate::support::nodes::{address, equal_digests, figure, in_step, order, send, wait_linked};
use crate::support::traffic::Traffic;
use crate::support::{Client, Server, wait_for};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

/// Members of the values that are large enough to be sent in pieces.
const MEMBERS: usize = 20_000;
/// So that no PING moves the offset while large data are compared on a busy machine.
const STEADY: [&str; 2] = ["--repl-ping-replica-period", "50"];

/// Fills databases 0 and 5 with keys of every type, some of them large.
fn fill(client: &mut Client) {
    for db in [5, 0] {
        client.ok(&format!("SELECT {db}"));
        let small: Vec<Vec<String>> = (0..15_000)
            .map(|n| match n % 5 {
                0 => vec!["SET".into(), format!("key:{n}"), "v".repeat(n % 300), "EX".into(), "1000".into()],
                1 => vec![
                    "HSET".into(),
                    format!("key:{n}"),
                    "name".into(),
                    format!("{n}"),
                    "b".into(),
                    "2".into(),
                ],
                2 => vec!["RPUSH".into(), format!("key:{n}"), format!("{n}"), "item".into()],
                3 => vec!["SADD".into(), format!("key:{n}"), format!("{n}"), "12".into()],
                _ => vec!["ZADD".into(), format!("key:{n}"), "1.5".into(), format!("{n}")],
            })
            .collect();
        client.pipeline(&small);
        for from in (0..MEMBERS).step_by(1_000) {
            let with = |words: &[&str], member: &dyn Fn(usize) -> Vec<String>| {
                let words = words.iter().map(|word| word.to_string());
                words.chain((from..from + 1_000).flat_map(member)).collect::<Vec<String>>()
            };
            client.pipeline(&[
                with(&["SADD", "large:set"], &|n| vec![format!("member {n}")]),
                with(&["HSET", "large:hash"], &|n| vec![format!("field {n}"), format!("value {n}")]),
                with(&["ZADD", "large:zset"], &|n| vec![n.to_string(), format!("member {n}")]),
                with(&["RPUSH", "large:list"], &|n| vec![format!("item {n}")]),
            ]);
        }
        let entries: Vec<Vec<String>> =
            (0..3_000).map(|n| format!("XADD large:stream {}-1 field {n}", n + 1)).map(words).collect();
        client.pipeline(&entries);
        client.ok(&format!("SET large:string {}", "x".repeat(400_000)));
    }
}

fn words(line: String) -> Vec<String> {
    line.split(' ').map(str::to_string).collect()
}

/// Writes to everything until told to stop: random commands of every type, and changes of the large values.
fn writers(server: &Server, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let (mut one, mut other, mut third) = (server.client(), server.client(), server.client());
    let run = |mut step: Box<dyn FnMut(usize) + Send>| {
        let stop = stop.clone();
        std::thread::spawn(move || (0..).take_while(|_| !stop.load(Ordering::Relaxed)).for_each(&mut *step))
    };
    let mut traffic = Traffic::new(91);
    vec![
        run(Box::new(move |_| send(&mut one, &mut traffic, 3))),
        run(Box::new(move |n| {
            let commands = [
                format!("SADD large:set new-{n}"),
                format!("HDEL large:hash field-{n}"),
                format!("ZADD large:zset {n} new-{n}"),
                "LPOP large:list".into(),
                format!("XADD large:stream * field {n}"),
                format!("APPEND large:string {n}"),
                format!("EXPIRE large:hash {}", 1_000 + n),
            ];
            other.pipeline(&commands.map(words));
            if n % 20 == 19 {
                let commands = ["RENAME large:set moved", "RENAME moved large:set", "SWAPDB 0 5"];
                other.pipeline(&commands.map(|line| words(line.into())));
            }
        })),
        run(Box::new(move |n| {
            let commands: Vec<_> = (0..40)
                .map(|step| (n * 40 + step) * 7_919 % 30_000)
                .map(|key| match key % 3 {
                    0 => format!("SET key:{key} other-{n}"),
                    1 => format!("DEL key:{key}"),
                    _ => format!("PEXPIRE key:{key} {}", 1 + key % 400),
                })
                .map(words)
                .collect();
            third.pipeline(&commands);
        })),
    ]
}

fn assert_no_child(client: &mut Client) {
    assert_eq!((figure(client, "total_forks"), figure(client, "latest_fork_usec")), (0, 0));
}

#[test]
fn full_syncs_under_writes_of_every_type_end_equal_and_fork_nothing() {
    let primary = primary(&["--replica-sync-source", "primary"]);
    let mut client = primary.client();
    fill(&mut client);
    let stop = Arc::new(AtomicBool::new(false));
    let writers = writers(&primary, &stop);
    let mut replicas: Vec<Server> = Vec::new();
    for several in [2, 1] {
        let begun = replicas.len();
        replicas.extend((0..several).map(|_| super::primary(&[])));
        replicas.extend((0..several).filter_map(|_| Server::redis(&[])));
        replicas[begun..].iter().for_each(|replica| order(replica, &primary));
        replicas[begun..].iter().for_each(wait_linked);
    }
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
    for replica in &replicas {
        in_step(&primary, replica);
        equal_digests(&mut client, &mut replica.client());
    }
    assert_eq!(figure(&mut client, "sync_full"), replicas.len() as i64);
    assert_no_child(&mut client);
    assert_eq!(figure(&mut client, "outrigger_sync_snapshot_running"), 0);
}

#[test]
fn replicas_that_ask_before_it_begins_share_a_snapshot() {
    let primary = primary(&["--repl-diskless-sync-delay", "2", "--replica-sync-source", "primary"]);
    let mut client = primary.client();
    client.ok("SET key value");
    let target = address(&primary);
    let debug = ["--enable-debug-command", "yes", "--replicaof", &target];
    let mut replicas: Vec<Server> = (0..2).map(|_| Server::ours(&debug)).collect();
    replicas.extend(Server::redis(&["--replicaof", &target]));
    for replica in &replicas {
        wait_linked(replica);
        in_step(&primary, replica);
    }
    assert_eq!(figure(&mut client, "sync_full"), replicas.len() as i64);
    assert_eq!(figure(&mut client, "outrigger_sync_snapshots"), 1);
    client.ok("CONFIG SET repl-diskless-sync-delay 0");
    let late = super::replica(&primary, &[]);
    in_step(&primary, &late);
    assert_eq!(figure(&mut client, "outrigger_sync_snapshots"), 2);
    assert_no_child(&mut client);
}

/// A replica that asks for a snapshot and does not read it.
fn deaf_replica(primary: &Server) -> Client {
    let mut deaf = primary.client();
    deaf.cmd("REPLCONF capa eof capa psync2");
    deaf.send_raw(b"PSYNC ? -1\r\n").expect("sent");
    let mut client = primary.client();
    wait_for("the snapshot to begin", LIMIT, || figure(&mut client, "outrigger_sync_snapshot_running") == 1);
    deaf
}

#[test]
fn writers_of_large_values_do_not_wait_for_a_replica_that_does_not_read() {
    let primary = primary(&STEADY);
    let mut client = primary.client();
    let value = "v".repeat(200_000);
    let keys: Vec<Vec<String>> =
        (0..150).map(|n| vec!["SET".into(), format!("bulk:{n}"), value.clone()]).collect();
    client.pipeline(&keys);
    fill(&mut client);
    let deaf = deaf_replica(&primary);
    // Far more is to come than the sockets hold: the snapshot stands still.
    for line in [
        "SADD large:set more",
        "HSET large:hash more 1",
        "ZINCRBY large:zset 5 more",
        "LPUSH large:list more",
        "APPEND large:string more",
    ] {
        assert!(client.cmd(line).as_error().is_none(), "{line}");
    }
    client.pipeline(&["MULTI", "SADD large:set again", "DEL large:stream", "EXEC"].map(|l| words(l.into())));
    assert_eq!(client.int("EXISTS large:stream"), 0);
    client.ok("SELECT 5");
    client.ok("RENAME large:zset other");
    assert_eq!(client.int("DEL large:set"), 1);
    assert_eq!(client.int("ZCARD other"), MEMBERS as i64);
    client.ok("FLUSHALL");
    assert_eq!(figure(&mut client, "outrigger_sync_snapshot_running"), 1);
    // Its end ends the snapshot, and the next replica is served.
    drop(deaf);
    fill(&mut client);
    let replica = super::replica(&primary, &[]);
    in_step(&primary, &replica);
    equal_digests(&mut client, &mut replica.client());
    assert_no_child(&mut client);
}

#[test]
fn a_snapshot_for_which_too_much_must_be_kept_is_given_up_and_the_next_is_whole() {
    let primary = primary(&STEADY);
    let mut client = primary.client();
    let value = "v".repeat(1_000_000);
    let set = |n: usize, end: &str| vec!["SET".to_string(), format!("key:{n}"), format!("{value}{end}")];
    client.pipeline(&(0..90).map(|n| set(n, "")).collect::<Vec<_>>());
    let mut deaf = deaf_replica(&primary);
    client.pipeline(&(0..90).map(|n| set(n, "x")).collect::<Vec<_>>());
    wait_for("the snapshot to end", LIMIT, || figure(&mut client, "outrigger_sync_snapshot_running") == 0);
    assert!(primary.log().contains("given up"), "{}", primary.log());
    let peak = figure(&mut client, "outrigger_sync_snapshot_waiting_peak_bytes");
    assert!((64 << 20..80 << 20).contains(&peak), "{peak}");
    assert!(deaf.is_closed_by_server());
    let replica = super::replica(&primary, &[]);
    in_step(&primary, &replica);
    equal_digests(&mut client, &mut replica.client());
}

#[test]
fn a_replica_serves_a_sync_without_a_child_too() {
    let primary = primary(&STEADY);
    fill(&mut primary.client());
    let middle = super::replica(&primary, &["--appendonly", "no", "--save", ""]);
    in_step(&primary, &middle);
    let stop = Arc::new(AtomicBool::new(false));
    let writers = writers(&primary, &stop);
    let last = super::replica(&middle, &[]);
    wait_linked(&last);
    stop.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
    in_step(&primary, &middle);
    in_step(&middle, &last);
    equal_digests(&mut primary.client(), &mut last.client());
    assert_eq!(figure(&mut middle.client(), "outrigger_sync_snapshots"), 1);
    assert_no_child(&mut middle.client());
    assert_no_child(&mut primary.client());
}
