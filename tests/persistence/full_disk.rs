//! A disk that takes no more, or fails: the replica goes on replicating, acknowledges nothing as durable, and heals. The limit
//! of file sizes stands in for a full disk, as it can be set for one running process; so does a library between server and disk.

use super::nodes::{LIMIT, Nodes, number};
use crate::support::slow_disk::{DiskState, SlowDisk};
use crate::support::{Client, Server, free_port, peer, wait_for};
use outrigger::persistence::toolbox::check_log;
use outrigger::resp::RespValue;
use std::process::Command;

/// Bytes that a file may have while the disk is "full": room for the server's log, not for the data.
const FULL_BYTES: &str = "65536";

/// Limits the size of files that a server may write; false (and said so) where there is no program for that.
fn limit_files(server: &Server, bytes: &str) -> bool {
    let Some(program) = peer::on_path("prlimit") else { return false };
    let pid = server.pid().to_string();
    let status = Command::new(program).args(["--pid", &pid, &format!("--fsize={bytes}:")]).status();
    assert!(status.expect("run prlimit").success());
    true
}

fn fill(client: &mut Client, from: usize, keys: usize) {
    for key in from..from + keys {
        // Nothing that compresses: the snapshot must not fit either.
        let value: Vec<u8> =
            (0..1_000u32).map(|n| ((n + key as u32).wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        let reply = client.command(&[b"SET".as_slice(), format!("key:{key}").as_bytes(), &value]);
        assert_eq!(reply, RespValue::Simple(b"OK".to_vec()));
    }
}

fn counts(reply: &RespValue) -> Vec<i64> {
    reply.as_slice().expect("two counts").iter().filter_map(RespValue::as_int).collect()
}

#[test]
fn a_full_disk_stops_acknowledgements_alone_and_heals() {
    let mut nodes = Nodes::start(&["--appendfsync", "always", "--save", "", "--appendonly", "yes"]);
    let mut primary = nodes.primary.client();
    fill(&mut primary, 0, 10);
    let (_, durable) = nodes.settle();
    if !limit_files(&nodes.replica, FULL_BYTES) {
        return;
    }
    fill(&mut primary, 10, 300);
    let mut replica = nodes.replica.client();
    wait_for("the failure to be told", LIMIT, || {
        replica.info("aof_last_write_status").as_deref() == Some("err")
    });
    let failed_at = number(&mut replica, "outrigger_durable_offset");
    assert!(failed_at >= durable);
    assert!(replica.info("outrigger_aof_error").is_some(), "INFO says why");
    // It goes on receiving, and says so; what is not on disk it does not call durable.
    fill(&mut primary, 310, 20);
    assert_eq!(primary.int("WAIT 1 30000"), 1);
    assert_eq!(primary.digest(), replica.digest());
    assert_eq!(counts(&primary.cmd("WAITAOF 0 1 1500")), [0, 0]);
    assert_eq!(
        number(&mut replica, "outrigger_durable_offset"),
        failed_at,
        "nothing became durable meanwhile"
    );
    // A crash now would lose nothing that was acknowledged: what is on disk is whole up to there.
    let report = check_log(nodes.replica.dir()).expect("a report");
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert!(report.end.is_some_and(|end| end.offset >= failed_at), "{:?} and {failed_at}", report.end);

    assert!(limit_files(&nodes.replica, "unlimited"));
    assert_eq!(counts(&primary.cmd("WAITAOF 0 1 60000")), [0, 1], "it heals by itself");
    let (digest, _) = nodes.settle();
    assert_eq!(replica.info("aof_last_write_status").as_deref(), Some("ok"));
    assert_eq!(replica.info("outrigger_full_syncs").as_deref(), Some("1"), "no other sync was needed");
    nodes.replica.kill();
    nodes.replica.set_args(&["--appendonly", "yes"]);
    nodes.replica.restart();
    assert_eq!(nodes.replica.client().digest(), digest);
}

#[test]
fn a_snapshot_that_does_not_fit_leaves_the_old_one() {
    let server = Server::ours(&[]);
    let mut client = server.client();
    fill(&mut client, 0, 10);
    client.ok("SAVE");
    let dump = server.dir().join("dump.rdb");
    let before = std::fs::read(&dump).expect("the snapshot");
    if !limit_files(&server, FULL_BYTES) {
        return;
    }
    fill(&mut client, 10, 300);
    client.cmd("BGSAVE");
    wait_for("the child's failure", LIMIT, || {
        client.info("rdb_last_bgsave_status").as_deref() == Some("err")
    });
    let error = client.error("SAVE");
    assert!(error.contains("File too large"), "{error}");
    assert_eq!(std::fs::read(&dump).expect("the snapshot"), before);
    assert!(limit_files(&server, "unlimited"));
    client.ok("SAVE");
    assert!(std::fs::read(&dump).expect("the snapshot").len() > before.len());
    let names = std::fs::read_dir(server.dir()).expect("read the folder").flatten();
    let names: Vec<_> = names.map(|entry| entry.file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("temp")), "{names:?}");
}

/// What the primary's clients do goes on whatever is wrong with a replica's disk; it says so, and heals.
#[test]
fn a_disk_that_refuses_writes_or_fsyncs_is_told_of_and_heals() {
    let primary = Server::ours(&[]);
    let disk = SlowDisk::new();
    let port = primary.port().to_string();
    let args = ["--replicaof", "127.0.0.1", &port, "--appendfsync", "always"];
    let nodes = Nodes { replica: Server::ours_with_env(free_port(), &args, disk.env()), primary };
    let (mut primary, mut replica) = (nodes.primary.client(), nodes.replica.client());
    wait_for("the first sync", LIMIT, || replica.info("master_link_status").as_deref() == Some("up"));
    for (round, (state, told)) in
        [(DiskState::Full, "No space left"), (DiskState::Broken, "Input/output error")]
            .into_iter()
            .enumerate()
    {
        fill(&mut primary, 100 * round, 50);
        let (_, durable) = nodes.settle();
        disk.set(state);
        fill(&mut primary, 100 * round + 50, 50);
        wait_for("the failure to be told", LIMIT, || {
            replica.info("outrigger_aof_error").is_some_and(|error| error.contains(told))
        });
        assert_eq!(primary.int("WAIT 1 30000"), 1, "it goes on receiving");
        assert_eq!(counts(&primary.cmd("WAITAOF 0 1 500")), [0, 0], "{state:?}");
        assert!(number(&mut replica, "outrigger_durable_offset") >= durable);
        disk.set(DiskState::Well);
        assert_eq!(counts(&primary.cmd("WAITAOF 0 1 60000")), [0, 1], "it heals by itself");
    }
    nodes.settle();
    assert_eq!(replica.info("outrigger_full_syncs").as_deref(), Some("1"));
}
