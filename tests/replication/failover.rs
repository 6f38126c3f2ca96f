//! FAILOVER: a primary hands over to a replica, without losing a write that it answered.

use super::{primary, replica};
use crate::support::nodes::{LIMIT, address, equal_digests, figure, in_step, is_linked, order, wait_linked};
use crate::support::{Client, Server, scaled, wait_for};
use nix::sys::signal::Signal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn state(node: &Server) -> String {
    node.client().info("master_failover_state").unwrap_or_default()
}

fn role(node: &Server) -> String {
    node.client().info("role").unwrap_or_default()
}

/// Waits until `node` has taken over from `old`, which follows it.
fn taken_over(node: &Server, old: &Server) {
    wait_for("the replica to have taken over", LIMIT, || role(node) == "master" && role(old) == "slave");
    wait_linked(old);
    assert_eq!(state(old), "no-failover");
}

#[test]
fn errors_of_failover_are_those_of_redis() {
    let Some(stock) = Server::redis(&[]) else { return };
    let ours = primary(&[]);
    let mut compare = |words: &str| {
        let (ours, theirs) = (ours.client().cmd(words), stock.client().cmd(words));
        assert_eq!(ours, theirs, "{words}");
    };
    let alone = [
        "FAILOVER",
        "FAILOVER ABORT",
        "FAILOVER ABORT TIMEOUT 1",
        "FAILOVER TIMEOUT 0",
        "FAILOVER TIMEOUT -1",
        "FAILOVER TIMEOUT x",
        "FAILOVER TIMEOUT",
        "FAILOVER TIMEOUT 1 TIMEOUT 1",
        "FAILOVER TO 127.0.0.1",
        "FAILOVER TO 127.0.0.1 x",
        "FAILOVER TO 127.0.0.1 1",
        "FAILOVER FORCE",
        "FAILOVER NONSENSE",
        "PSYNC 0123456789012345678901234567890123456789 1 FAILOVER",
    ];
    alone.into_iter().for_each(&mut compare);
    let (_our_replica, _their_replica) = (replica(&ours, &[]), replica(&stock, &[]));
    let online =
        |node: &Server| node.client().info("slave0").is_some_and(|line| line.contains("state=online"));
    wait_for("both replicas to be online", LIMIT, || online(&ours) && online(&stock));
    let followed = [
        "FAILOVER FORCE",
        "FAILOVER FORCE FORCE",
        "FAILOVER FORCE TIMEOUT 100",
        "FAILOVER TO 127.0.0.1 1",
        "FAILOVER TO 127.0.0.1 1 FORCE TIMEOUT 100",
        "FAILOVER TO 127.0.0.1 99999999",
    ];
    followed.into_iter().for_each(&mut compare);
    for node in [&_our_replica, &_their_replica] {
        let mut client = node.client();
        assert_eq!(client.error("FAILOVER"), "ERR FAILOVER is not valid when server is a replica.");
        let psync = "PSYNC 0123456789012345678901234567890123456789 1 FAILOVER";
        assert_eq!(client.error(psync), "ERR PSYNC FAILOVER replid must match my replid.");
    }
}

/// Increments a counter on whichever of the two nodes takes writes, until told to stop; how often it was answered.
fn increment(ports: [u16; 2], stop: &AtomicBool) -> i64 {
    let mut clients = ports.map(|port| Client::connect(port).expect("connect"));
    let mut at = 0;
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        let reply = clients[at].cmd("INCR counter");
        match reply.as_error() {
            None => answered += 1,
            Some(error) => {
                assert!(error.starts_with(b"READONLY"), "{reply:?}");
                at = 1 - at;
            }
        }
    }
    answered
}

#[test]
fn no_answered_write_is_lost_when_the_roles_change_hands_under_load() {
    let first = primary(&[]);
    let (second, third) = (replica(&first, &["--appendonly", "yes"]), replica(&first, &[]));
    first.client().ok("SET counter 0");
    let stop = AtomicBool::new(false);
    let ports = [first.port(), second.port()];
    let (answered, full_syncs) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4).map(|_| scope.spawn(|| increment(ports, &stop))).collect();
        // There and back, some times.
        for (old, new) in [(&first, &second), (&second, &first)].into_iter().cycle().take(6) {
            wait_linked(new);
            wait_for("the replica to be online", LIMIT, || {
                let mut client = old.client();
                let lines = (0..2).filter_map(|n| client.info(&format!("slave{n}")));
                lines.into_iter().any(|line| line.contains(&format!("port={},state=online", new.port())))
            });
            std::thread::sleep(Duration::from_millis(50));
            old.client().ok(&format!("FAILOVER TO {} TIMEOUT 60000", address(new)));
            taken_over(new, old);
        }
        stop.store(true, Ordering::Relaxed);
        let answered: i64 = writers.into_iter().map(|writer| writer.join().expect("a writer")).sum();
        let full_syncs = [&first, &second].map(|node| figure(&mut node.client(), "outrigger_full_syncs"));
        (answered, full_syncs)
    });
    assert!(answered > 100, "{answered}");
    assert_eq!(first.client().text("GET counter"), answered.to_string());
    // The first came empty to none, the second to its first sync.
    assert_eq!(full_syncs, [0, 1]);
    in_step(&first, &second);
    // Whoever followed the old primary follows it still, through the new one or not.
    wait_for("the third node to have all", LIMIT, || {
        third.client().text("GET counter") == answered.to_string()
    });
}

#[test]
fn stock_nodes_hand_over_to_ours_and_ours_to_them() {
    let Some(stock) = Server::redis(&["--enable-debug-command", "yes"]) else { return };
    let ours = replica(&stock, &[]);
    for round in 0..4 {
        let (old, new) = if round % 2 == 0 { (&stock, &ours) } else { (&ours, &stock) };
        old.client().ok(&format!("SET round {round}"));
        wait_for("the replica to be online", LIMIT, || {
            old.client().info("slave0").is_some_and(|line| line.contains("state=online"))
        });
        old.client().ok("FAILOVER TIMEOUT 60000");
        taken_over(new, old);
        new.client().ok(&format!("SET after {round}"));
        equal_digests(&mut new.client(), &mut old.client());
        assert_eq!(old.client().text("GET round"), round.to_string());
    }
    assert_eq!(figure(&mut ours.client(), "outrigger_full_syncs"), 1);
    assert_eq!(figure(&mut stock.client(), "sync_full"), 1);
}

#[test]
fn a_failover_ends_in_time_or_when_told() {
    let first = primary(&[]);
    let second = replica(&first, &[]);
    wait_for("the replica to be online", LIMIT, || {
        first.client().info("slave0").is_some_and(|line| line.contains("state=online"))
    });
    second.signal(Signal::SIGSTOP);
    let mut client = first.client();
    client.ok("SET unseen 1");
    client.ok("FAILOVER TIMEOUT 1000");
    assert_eq!(state(&first), "waiting-for-sync");
    assert_eq!(client.error("FAILOVER"), "ERR FAILOVER already in progress.");
    let refused = first.client().error("REPLICAOF 127.0.0.1 1");
    assert_eq!(refused, "ERR REPLICAOF not allowed while failing over.");
    // Neither a CLIENT UNPAUSE nor the end of a CLIENT PAUSE lets writes in meanwhile.
    client.ok("CLIENT PAUSE 1 ALL");
    client.ok("CLIENT UNPAUSE");
    assert_eq!(client.text("GET unseen"), "1");
    // This waits until the failover is given up.
    client.ok("SET later 1");
    assert_eq!((state(&first), role(&first)), ("no-failover".into(), "master".into()));

    client.ok("FAILOVER");
    assert_eq!(state(&first), "waiting-for-sync");
    client.ok("FAILOVER ABORT");
    client.ok("SET later 2");
    assert_eq!(client.error("FAILOVER ABORT"), "ERR No failover in progress.");

    // By force it goes on in spite of what the target lacks, and may still be given up while that does not answer.
    client.ok(&format!("FAILOVER TO {} FORCE TIMEOUT 300", address(&second)));
    wait_for("the failover to be forced", LIMIT, || state(&first) == "failover-in-progress");
    assert_eq!(role(&first), "slave");
    first.client().ok("FAILOVER ABORT");
    assert_eq!((state(&first), role(&first)), ("no-failover".into(), "master".into()));
    first.client().ok("SET later 3");
    second.signal(Signal::SIGCONT);
    in_step(&first, &second);
}

#[test]
fn a_forced_target_that_lacks_writes_takes_over_and_has_its_way() {
    let first = primary(&[]);
    let second = replica(&first, &[]);
    first.client().ok("SET seen 1");
    in_step(&first, &second);
    second.signal(Signal::SIGSTOP);
    first.client().ok("SET unseen 1");
    first.client().ok(&format!("FAILOVER TO {} FORCE TIMEOUT 300", address(&second)));
    wait_for("the failover to be forced", LIMIT, || state(&first) == "failover-in-progress");
    second.signal(Signal::SIGCONT);
    taken_over(&second, &first);
    in_step(&second, &first);
    assert_eq!(first.client().text("GET seen"), "1");
}

#[test]
fn the_first_replica_that_has_everything_is_chosen() {
    let first = primary(&[]);
    let (second, third) = (replica(&first, &[]), replica(&first, &[]));
    wait_for("both replicas to be online", LIMIT, || {
        let mut client = first.client();
        (0..2).all(|n| client.info(&format!("slave{n}")).is_some_and(|line| line.contains("state=online")))
    });
    second.signal(Signal::SIGSTOP);
    first.client().ok("SET key 1");
    first.client().ok("FAILOVER");
    taken_over(&third, &first);
    second.signal(Signal::SIGCONT);
    wait_for("the second to be linked to the first", LIMIT, || is_linked(&second));
    order(&second, &third);
    in_step(&third, &second);
}

#[test]
fn the_offset_stands_still_once_a_pause_of_writes_is_answered() {
    let server = Server::ours(&["--io-threads", "3"]);
    let mut operator = server.client();
    let stop = AtomicBool::new(false);
    let mut moved = 0;
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                let mut client = server.client();
                while !stop.load(Ordering::Relaxed) {
                    match n {
                        0 => drop(client.cmd("BLPOP q 0.001")),
                        1 => drop(client.cmd("RPUSH q a")),
                        _ => drop(client.cmd(&format!("INCR counter:{n}"))),
                    }
                }
            });
        }
        let mut offset = || operator.info("master_repl_offset").expect("an offset");
        let mut other = server.client();
        for _ in 0..scaled(30) {
            other.ok("CLIENT PAUSE 60000 WRITE");
            let told = offset();
            std::thread::sleep(Duration::from_millis(5));
            moved += usize::from(offset() != told);
            other.ok("CLIENT UNPAUSE");
            std::thread::sleep(Duration::from_millis(2));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(moved, 0);
}
